import type { Change, Column, LaneWork, LogRow, Mapping, Rejected, Value } from '../../contract.js';
import { applyFolded, applyInOrder, lockedOut, type Folded, type InOrder } from '../../destination/changes.js';
import { told, type Move, type Step } from '../../destination/fold.js';
import { DsyncError, messageOf } from '../../errors.js';
import { spellCell } from '../../values/normal.js';
import { assignment } from './assign.js';
import { readTable } from './catalogue.js';
import { errnoOf } from './faults.js';
import { laneNoted, noteLane, type Hold } from './progress.js';
import { name, quote } from './session.js';
import { fenced, targetName } from './tables.js';
import { isYear } from './types.js';
import type { Writing } from './write.js';

const lockWaitTimeout = 1205;

type Apply = (hold: Hold, work: LaneWork) => Promise<readonly Rejected[]>;

/** One transaction: the run is still ours, the changes, the lane's place. A place that is there already is left as it is. */
export function applying(writing: Writing): Apply {
  const finals = new WeakMap<Mapping, Mapping>();
  /** Rows of a table without a key have left their staging table: the changes go to the target. */
  const final = (mapping: Mapping): Mapping => {
    if (!mapping.staged) return mapping;
    const known = finals.get(mapping) ?? { ...mapping, staged: false };
    finals.set(mapping, known);
    return known;
  };
  return async (hold, work) => {
    const tables = work.tables.map(({ mapping, changes }) => ({ mapping: final(mapping), changes }));
    for (const { mapping } of tables) if (mapping.target.key.length === 0 && !(await writing.isTransactional(hold, mapping))) throw inexact(mapping);
    return fenced(hold, async () => {
      const known = await laneNoted(hold, work);
      if (known) return known;
      const rejected: Rejected[] = [];
      for (const { mapping, changes } of tables) {
        const { key } = mapping.target;
        rejected.push(...await (key.length > 0 ? applyFolded(changes, key, folding(hold, mapping, writing)) : applyInOrder(changes, inOrder(hold, mapping, writing))).catch(unlessLocked(mapping)));
      }
      await noteLane(hold, work, rejected);
      return rejected;
    });
  };
}

function unlessLocked(mapping: Mapping): (error: unknown) => never {
  return (error) => { throw errnoOf(error) === lockWaitTimeout ? lockedOut(mapping, error) : error; };
}

function inexact({ source, target }: Mapping): DsyncError {
  return new DsyncError('refused', `${target.namespace} has no key, and a storage engine without transactions: its changes could be applied twice`, {
    namespace: source.namespace, remedy: `ALTER TABLE ${targetName(target)} ENGINE=InnoDB`,
  });
}

function folding(hold: Hold, mapping: Mapping, writing: Writing): Folded {
  const { session, signal } = hold, run = async (sql: string) => void await session.run(sql, signal);
  return {
    begin: () => run('SAVEPOINT dsync_folded'),
    keep: () => undefined,
    undo: () => run('ROLLBACK TO SAVEPOINT dsync_folded'),
    step: (step) => applyStep(hold, mapping, step, writing),
    hasOtherUnique: () => hasOtherUnique(hold, mapping),
  };
}

function inOrder(hold: Hold, mapping: Mapping, writing: Writing): InOrder {
  return {
    insert: (rows) => writing.insert(hold, mapping, rows),
    truncate: () => clear(hold, mapping),
    one: (change) => changeOne(hold, mapping, change),
  };
}

async function hasOtherUnique({ session, signal }: Hold, { target }: Mapping): Promise<boolean> {
  const table = await readTable(session, target.schema ?? '', target.name, signal);
  return (table?.indexes.filter(({ unique }) => unique).length ?? 0) > 1;
}

async function applyStep(hold: Hold, mapping: Mapping, { truncate, deletes, upserts, updates, move }: Step, writing: Writing): Promise<readonly Rejected[]> {
  if (truncate) await clear(hold, mapping);
  const rejected = [...await writing.change(hold, mapping, { upserts, deletes })];
  for (const { columns, rows } of updates) rejected.push(...await writing.update(hold, mapping, columns, rows));
  if (move) rejected.push(...await moveRow(hold, mapping, move));
  return rejected;
}

/** TRUNCATE would commit. */
async function clear({ session, signal }: Hold, { target }: Mapping): Promise<void> {
  await session.run(`DELETE FROM ${targetName(target)}`, signal);
}

async function moveRow(hold: Hold, mapping: Mapping, { from, row }: Move): Promise<readonly Rejected[]> {
  const { source, target } = mapping;
  const isFrom = target.key.map((i, at) => isSame(source.columns[i], target.columns[i], from[at])).join(' AND ');
  return alone(hold, source.namespace, `UPDATE ${targetName(target)} SET ${assignments(mapping, row)} WHERE ${isFrom}`, row);
}

/** Of the rows that are equal to `before` one changes, or goes. */
async function changeOne(hold: Hold, mapping: Mapping, change: Extract<Change, { kind: 'update' | 'delete' }>): Promise<readonly Rejected[]> {
  const { source, target } = mapping, row = change.kind === 'delete' ? change.before : change.row, before = change.before ?? row;
  const equal = target.columns.flatMap((column, i) => (before[i] === undefined ? [] : [isSame(source.columns[i], column, before[i])])).join(' AND ');
  const what = change.kind === 'delete' ? `DELETE FROM ${targetName(target)}` : `UPDATE ${targetName(target)} SET ${assignments(mapping, row)}`;
  return alone(hold, source.namespace, `${what} WHERE ${equal} LIMIT 1`, row);
}

function assignments({ source, target }: Mapping, row: LogRow): string {
  return target.columns.flatMap((column, i) => (row[i] === undefined ? [] : [`${name(column.name)} = ${literal(source.columns[i], column, row[i])}`])).join(', ');
}

/** The value as the column takes it. */
function literal(source: Column, target: Column, value: Value): string {
  if (value === null) return 'NULL';
  const text = quote(spellCell(source.type)(value)), assign = assignment(source, target);
  return assign ? assign(text) : text;
}

/**
 * Holds the column the very value? Texts are compared by their bytes, whatever the collation; numbers as numbers, for a text
 * would make a DOUBLE of both. What can't be told apart: 0 and -0, and two spellings of one value in a JSON of MySQL's.
 */
function isSame(source: Column, target: Column, value: Value): string {
  const cell = name(target.name), { type } = target;
  if (value === null) return `${cell} IS NULL`;
  switch (type.kind) {
    case 'int': case 'float': case 'decimal': return `${cell} = ${isNumber(value) ? number(value, type.kind) : literal(source, target, value)}`;
    case 'text': case 'enum': case 'set': case 'json-text': {
      const text = spellCell(source.type)(value), kept = type.kind === 'text' && type.padded ? text.replace(/ +$/, '') : text;
      return `CAST(CONVERT(${cell} USING utf8mb4) AS BINARY) = CAST(${quote(kept)} AS BINARY)`;
    }
    case 'json-value': return `${cell} = CAST(${literal(source, target, value)} AS JSON)`;
    default: return isYear(target.native) ? `${cell} = ${Number(value)}` : `${cell} = ${literal(source, target, value)}`;
  }
}

function isNumber(value: Value): boolean {
  return typeof value !== 'string' || /^-?\d+(\.\d+)?$/.test(value);
}

/** With an exponent a literal is a DOUBLE, without one an exact number. */
function number(value: Value, kind: 'int' | 'float' | 'decimal'): string {
  if (typeof value === 'boolean') return value ? '1' : '0';
  return kind === 'float' ? Number(value).toExponential() : String(value);
}

/** One statement, which its row alone may fail. A warning says that a value would be kept as another one. */
async function alone({ session, signal }: Hold, namespace: string, sql: string, row: LogRow): Promise<readonly Rejected[]> {
  await session.run('SAVEPOINT dsync', signal);
  const reason = await session.run(sql, signal).then(async ({ warnings }) => (warnings === 0 ? undefined : (await session.rows('SHOW WARNINGS', signal))[0]?.[2] ?? 'the server warned of something'), (error: unknown) => {
    if (error instanceof DsyncError && error.code === 'data') return messageOf(error.cause);
    throw error;
  });
  if (reason === undefined) return [];
  await session.run('ROLLBACK TO SAVEPOINT dsync', signal);
  return [{ namespace, ...told(row), reason: reason.replace(/ at row \d+$/, '') }];
}
