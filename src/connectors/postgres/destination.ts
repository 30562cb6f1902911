import type { Destination, Mapping, OpenOptions, PlannedObject } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { alter } from './alter.js';
import { apply } from './apply.js';
import { finish, prepare, surroundingStatements } from './build.js';
import { checkDestination } from './check.js';
import { serverError } from './failure.js';
import type { Login } from './login.js';
import { mend } from './mend.js';
import { Pool } from './pool.js';
import { begin, forgetRun, lanesOf, noteDone, progressOf, type Hold } from './progress.js';
import { setSequences } from './sequences.js';
import { Session } from './session.js';
import { identity } from './identity.js';
import { independent } from './independent.js';
import { isBinary } from './source.js';
import { qualified } from './sql.js';
import { build, names, planObjects, planView, release, tableStatements, keyStatement } from './objects.js';
import { readObjects } from './schema.js';
import { adapt, landing } from './target.js';
import { typeOf } from './types.js';
import { write } from './write.js';

export async function openDestination(login: Login, options: OpenOptions): Promise<Destination> {
  const sessions = new Pool(options.connections, (signal) => Session.open(login, 'destination', signal));
  const { version, versionNumber, defaultSchema = 'public', serverEncoding } = await sessions.use(options.signal, async (session) => session);
  const holds = new Map<string, Hold>(), troubled = new WeakSet<Mapping>();
  const holdOf = (run: string): Hold => {
    const hold = holds.get(run);
    if (!hold) throw new DsyncError('internal', `run ${run} was not begun in this process`);
    return hold;
  };
  const use = <Result>(signal: AbortSignal, action: (session: Session) => Promise<Result>) => sessions.use(signal, action);

  return {
    engine: 'postgres',
    version: `PostgreSQL ${version}`,
    defaultSchema,
    identity: (signal) => use(signal, (session) => identity(session, signal)),
    check: (mappings, signal) => use(signal, (session) => checkDestination(session, mappings, options.connections, signal)),
    adapt: (source, target, signal, objects) => use(signal, (session) => adapt(session, source, target, signal, objects)),
    typeOf,
    names,
    objects: planObjects,
    view: planView,
    createStatements: (mapping) => [...surroundingStatements(mapping), ...tableStatements(mapping, { schema: mapping.target.schema!, name: mapping.target.name }), ...(mapping.target.key.length > 0 ? [keyStatement(mapping)] : [])],
    // Indexes of one table are built side by side; a constraint wants the table for itself.
    build: async (run, mapping, objects, signal) => {
      const isIndex = ({ sql }: PlannedObject) => /^CREATE (UNIQUE )?INDEX /.test(sql ?? ''), functions = objects.filter(({ kind }) => kind === 'function');
      const plain = objects.filter(isIndex), others = objects.filter((object) => !isIndex(object) && object.kind !== 'function');
      const first = functions.length > 0 ? await use(signal, (session) => build(session, holdOf(run), mapping, functions, signal)) : [];
      const found = await Promise.all(plain.map((object) => use(signal, (session) => build(session, holdOf(run), mapping, [object], signal))));
      return [...first, ...found.flat(), ...await use(signal, (session) => build(session, holdOf(run), mapping, others, signal))];
    },
    release: (run, mapping, objects, signal) => use(signal, (session) => release(session, holdOf(run), mapping, objects, signal)),
    standing: (shapes, signal) => use(signal, async (session) => (await readObjects(session, shapes, signal)).tables),
    holdsRows: (target, signal) => use(signal, (session) => holdsRows(session, qualified(target), signal)),
    formats: (mapping) => (serverEncoding === 'UTF8' && !mapping.existed && isBinary(mapping) && !(versionNumber < 170_000 && hasIntervals(mapping)) ? ['pg-binary', 'delimited', 'values'] : ['delimited', 'values']),
    begin: async (run, signal) => void holds.set(run, await use(signal, (session) => begin(session, run, signal))),
    progress: (run, signal) => use(signal, (session) => progressOf(session, run, signal)),
    prepare: (run, mapping, preparing, signal) => use(signal, (session) => prepare(session, holdOf(run), mapping, preparing, signal)),
    write: (run, batch, mapping, writing, signal) => use(signal, (session) => write(session, holdOf(run), batch, mapping, writing, troubled, signal)),
    taskDone: (run, barrier, signal) => use(signal, (session) => noteDone(session, holdOf(run), barrier, signal)),
    finish: (run, mapping, { keepRows }, signal) => use(signal, (session) => finish(session, holdOf(run), mapping, keepRows, signal)),
    mend: (run, mapping, changes, signal) => use(signal, async (session) => ({ rejected: await mend(session, holdOf(run), mapping, changes, signal) })),
    apply: (run, work, signal) => use(signal, async (session) => ({ rejected: await apply(session, holdOf(run), work, signal) })),
    independent: (targets, signal) => use(signal, (session) => independent(session, targets, signal)),
    lanes: (run, signal) => use(signal, (session) => lanesOf(session, run, signal)),
    alter: (run, mapping, source, signal) => use(signal, (session) => alter(session, holdOf(run), mapping, source, signal)),
    setSequences: (mappings, given, signal) => use(signal, (session) => setSequences(session, defaultSchema, mappings, given, signal)),
    forget: (run, mappings, signal) => use(signal, async (session) => {
      for (const mapping of mappings) if (mapping.staged) await session.query(`DROP TABLE IF EXISTS ${qualified(landing(run, mapping))}`, signal);
      await forgetRun(session, run, signal);
      holds.delete(run);
    }),
    [Symbol.asyncDispose]: () => sessions.close(),
  };
}

/** Before 17 there is no infinity among them, and its bytes would be taken for other numbers. */
function hasIntervals({ target }: Mapping): boolean {
  return target.columns.some(({ native }) => native.startsWith('interval'));
}

async function holdsRows(session: Session, table: string, signal: AbortSignal): Promise<boolean> {
  try {
    return (await session.query(`SELECT FROM ${table} LIMIT 1`, signal)).length > 0;
  } catch (error) {
    if (['42P01', '3F000'].includes(serverError(error)?.code ?? '')) return false;
    throw error;
  }
}
