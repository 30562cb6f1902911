import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { Batch, Destination, Finding, Mapping, Rejected, Row, Shape, WriteOptions } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { decodeDelimited, slicesOf } from '../../values/delimited.js';
import { alter } from './alter.js';
import { apply } from './apply.js';
import { readTable } from './catalogue.js';
import { checkDestination } from './check.js';
import { createStatement, make, names, planObjects, planView, release } from './objects.js';
import { anyDone, createProgress, ensureOwned, fateOf, forgetRun, forgetTasks, lanesOf, progressOf, rejectedOf, remember, rememberDone, takeRun } from './progress.js';
import { readObjects } from './schema.js';
import { setSequences } from './sequences.js';
import { identityOf, quoted, waitingForLock, type Session } from './session.js';
import { adapt, createTable, stagingName, tableStands } from './target.js';
import { typeOf } from './types.js';
import { deleteKeys, insertRows } from './write.js';

/** One connection writes, one transaction after the other. */
export function destination(session: Session): Destination {
  const epochs = new Map<string, bigint>(), identity = identityOf(session.file);
  const inTurn = turnstile();
  const transaction = <T>(signal: AbortSignal, act: () => T | Promise<T>) => inTurn(() => inTransaction(session, identity, signal, act));
  const owned = <T>(run: string, signal: AbortSignal, act: () => T | Promise<T>) => transaction(signal, () => {
    ensureOwned(session, run, epochs.get(run));
    return act();
  });

  return {
    engine: 'sqlite',
    version: session.version,
    defaultSchema: 'main',
    identity: async () => identity,
    check: async (mappings) => checkDestination(session, mappings),
    adapt: async (source, target, _signal, objects) => adapt(session, source, target, objects),
    typeOf,
    names,
    objects: planObjects,
    view: planView,
    createStatements: (mapping) => [createStatement(mapping, mapping.target.name, true)],
    async build(run, mapping, objects, signal) {
      const findings: Finding[] = [];
      for (const object of objects) findings.push(...await owned(run, signal, () => make(session, mapping, object) ?? []).then((finding) => [finding].flat()));
      return findings;
    },
    release: (run, _mapping, objects, signal) => owned(run, signal, () => release(session, objects)),
    standing: async (shapes) => readObjects(session, shapes).tables,
    holdsRows: async ({ name }) => tableStands(session, name) && session.get(`SELECT 1 FROM ${quoted(name)} LIMIT 1`) !== undefined,
    formats: ({ source }) => (source.columns.some(({ type }) => type.kind === 'document') ? ['values'] : ['delimited', 'values']),
    async begin(run, signal) {
      await inTurn(() => preferLog(session));
      epochs.set(run, await transaction(signal, () => {
        createProgress(session);
        return takeRun(session, run);
      }));
    },
    progress: async (run) => inTurn(() => progressOf(session, run)),
    prepare: (run, mapping, { empty, tasks }, signal) => owned(run, signal, () => {
      createTable(session, mapping, mapping.target.name, true);
      if (empty) forgetTasks(session, run, tasks);
      if (empty && !mapping.staged) session.exec(`DELETE FROM ${quoted(mapping.target.name)}`);
      if (mapping.staged) prepareStaging(session, run, mapping, empty || !anyDone(session, run, tasks), empty);
    }),
    write: (run, batch, mapping, options, signal) => owned(run, signal, () => write(session, run, batch, mapping, options)),
    taskDone: (run, barrier, signal) => owned(run, signal, () => rememberDone(session, run, barrier)),
    async finish(run, mapping, { keepRows }, signal) {
      await owned(run, signal, () => swapIn(session, run, mapping, keepRows, signal));
      await inTurn(() => waitingForLock(() => session.exec(`PRAGMA analysis_limit = 1000; ANALYZE ${quoted(mapping.target.name)}`), signal));
      return [];
    },
    mend: (run, mapping, { upserts, deletes }, signal) => owned(run, signal, async () => {
      deleteKeys(session, mapping, deletes);
      const refused = await insertRows(session, mapping, [upserts], { table: mapping.target.name, overwrite: true });
      return { rejected: rejectedOf(mapping.source.namespace, [upserts], refused) };
    }),
    apply: (run, work, signal) => owned(run, signal, async () => ({ rejected: await apply(session, run, work, signal) })),
    lanes: async (run) => inTurn(() => lanesOf(session, run)),
    alter: (run, mapping, source, signal) => owned(run, signal, () => alter(session, run, mapping, source)),
    setSequences: (mappings, given, signal) => transaction(signal, () => setSequences(session, mappings, given)),
    forget: (run, mappings, signal) => transaction(signal, () => {
      for (const mapping of mappings) session.exec(`DROP TABLE IF EXISTS ${quoted(stagingName(run, mapping))}`);
      forgetRun(session, run);
    }),
    [Symbol.asyncDispose]: () => inTurn(() => session[Symbol.dispose]()),
  };
}

/** The rows and the progress of a batch, in the open transaction. */
async function write(session: Session, run: string, batch: Batch, mapping: Mapping, { overwrite, redo }: WriteOptions): Promise<{ written: number; rejected: Rejected[] }> {
  const fate = redo ? fateOf(session, run, batch) : undefined;
  if (fate) return { written: fate.written, rejected: rejectedOf(batch.namespace, valuesIn(batch, mapping), fate.refused) };
  const table = mapping.staged ? stagingName(run, mapping) : mapping.target.name;
  const refused = await insertRows(session, mapping, valuesIn(batch, mapping), { table, overwrite: overwrite && !mapping.staged });
  remember(session, run, batch, refused);
  return { written: batch.count - refused.length, rejected: rejectedOf(batch.namespace, valuesIn(batch, mapping), refused) };
}

/** `wanted`: the rows are still to come, and not in the target already. */
function prepareStaging(session: Session, run: string, mapping: Mapping, wanted: boolean, anew: boolean): void {
  const name = stagingName(run, mapping);
  if (anew) session.exec(`DROP TABLE IF EXISTS ${quoted(name)}`);
  if (wanted) createTable(session, mapping, name, false);
}

/** Staging becomes the target where that is ours; a table that stood before keeps its definition and takes the rows. */
async function swapIn(session: Session, run: string, mapping: Mapping, keepRows: boolean, signal: AbortSignal): Promise<void> {
  const { target, existed, staged } = mapping, staging = quoted(stagingName(run, mapping)), table = quoted(target.name);
  if (!staged || !tableStands(session, stagingName(run, mapping))) return;
  if (!existed && !keepRows) {
    session.exec(`DROP TABLE ${table}; ALTER TABLE ${staging} RENAME TO ${table}`);
    return;
  }
  if (!keepRows) session.exec(`DELETE FROM ${table}`);
  await moveRows(session, stagingName(run, mapping), target, signal);
  session.exec(`DROP TABLE ${staging}`);
}

async function moveRows(session: Session, staging: string, target: Shape, signal: AbortSignal): Promise<void> {
  const step = 5000n, { rowid } = readTable(session, staging)!;
  const columns = target.columns.map(({ name }) => quoted(name)).join(', ');
  const move = `INSERT INTO ${quoted(target.name)} (${columns}) SELECT ${columns} FROM ${quoted(staging)} WHERE ${rowid} > ? AND ${rowid} <= ?`;
  const [last] = session.get(`SELECT ifnull(max(${rowid}), 0) FROM ${quoted(staging)}`)!;
  for (let start = 0n; start < (last as bigint); start += step) {
    await setImmediate();
    signal.throwIfAborted();
    session.run(move, [start, start + step]);
  }
}

async function inTransaction<T>(session: Session, identity: string, signal: AbortSignal, act: () => T | Promise<T>): Promise<T> {
  // SQLite would go on writing into a file that was removed.
  if (!existsSync(session.file.path) || identityOf(session.file) !== identity) {
    throw new DsyncError('refused', `${session.file.path} was removed or replaced while dsync wrote to it`);
  }
  await waitingForLock(() => session.exec('BEGIN IMMEDIATE'), signal);
  try {
    const result = await act();
    signal.throwIfAborted();
    await waitingForLock(() => session.exec('COMMIT'), signal);
    return result;
  } catch (error) {
    rollBack(session);
    throw error;
  }
}

/** Some errors have rolled back already. */
function rollBack(session: Session): void {
  try {
    session.exec('ROLLBACK');
  } catch {
    // There was no transaction left.
  }
}

/** With a write-ahead log others can read while rows are written. While somebody else uses the file it keeps the journal that it has. */
function preferLog(session: Session): void {
  try {
    session.get('PRAGMA journal_mode = WAL');
  } catch (error) {
    if (!(error instanceof DsyncError && error.code === 'conflict')) throw error;
  }
}

/** Rows that came as bytes are taken apart a few at a time, no sooner than they are written: until then they take a fraction of the memory. */
function* valuesIn({ rows, namespace }: Batch, { source }: Mapping): Iterable<readonly Row[]> {
  switch (rows.format) {
    case 'values': return yield rows.rows;
    case 'delimited': {
      const decode = decodeDelimited(source.columns);
      for (const slice of slicesOf(rows.bytes)) yield decode(slice);
      return;
    }
    default: throw new DsyncError('internal', `sqlite: was sent ${rows.format}`, { namespace });
  }
}

/** Runs calls one after the other, in the order in which they come. */
function turnstile(): <T>(act: () => T | Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (act) => {
    const mine = last.then(act, act);
    last = mine.catch(() => undefined);
    return mine;
  };
}
