import type { Mapping, Moment, OpenOptions, Snapshot, Source } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { selects } from '../../source/selection.js';
import { describe, tableNames } from './catalog.js';
import { checkSource } from './check.js';
import { openLog } from './log.js';
import type { Login } from './login.js';
import { Pool } from './pool.js';
import { plan } from './plan.js';
import { read } from './read.js';
import { parts, scan } from './scan.js';
import { Session } from './session.js';
import { isBinarySafe } from './types.js';

export async function openSource(login: Login, options: OpenOptions): Promise<Source> {
  const session = await Session.open(login, 'source', options.signal);
  const log = openLog(login, (begin, signal) => openSnapshot(session, login, options, begin, signal));
  return {
    engine: 'postgres',
    version: `PostgreSQL ${session.version}`,
    defaultSchema: session.defaultSchema ?? 'public',
    identity: (signal) => identity(session, signal),
    check: (shapes, signal) => checkSource(session, shapes, signal),
    async shapes(selection, signal) {
      const selected = selects(selection);
      const names = (await tableNames(session, signal)).filter(({ schema, name }) => selected(`${schema}.${name}`));
      return (await describe(session, names, signal)).map(({ shape }) => shape);
    },
    formats: (mapping) => (session.serverEncoding === 'UTF8' && isBinary(mapping) ? ['pg-binary', 'delimited', 'values'] : ['delimited', 'values']),
    log,
    snapshot: (_shapes, signal) => openSnapshot(session, login, options, freeze, signal),
    async [Symbol.asyncDispose]() {
      await log[Symbol.asyncDispose]();
      await session.close();
    },
  };
}

/** Which database this is, whatever host it is reached by; a standby is the same as its primary. */
export async function identity(session: Session, signal: AbortSignal): Promise<string> {
  const [[system, database]] = await session.query('SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()) FROM pg_control_system()', signal);
  return `postgres:${system}/${database}`;
}

/** The same built-in types on both sides, and no more than that: bytes that pass untouched can't be turned into another column. */
export function isBinary({ source, target }: Mapping): boolean {
  return source.engine === 'postgres' && target.engine === 'postgres' && source.columns.length > 0
    && source.columns.every((column, i) => column.native === target.columns[i].native && isBinarySafe(column));
}

/**
 * One session holds the exported snapshot open; readers join it, as many as the options allow. What reads no rows is asked
 * of the source's own session: a failure there can't spoil the snapshot's transaction.
 */
async function openSnapshot(session: Session, login: Login, options: OpenOptions, begin: Freeze, signal: AbortSignal): Promise<Snapshot> {
  const control = await Session.open(login, 'source', signal);
  try {
    const { moment, name } = await begin(control, signal);
    const readers = new Pool(options.connections, (opening) => openReader(login, name, opening));
    return {
      moment,
      plan: (shape, planning, aborted) => plan(session, shape, planning, aborted),
      read: (job, aborted) => read(readers, job, options, aborted),
      parts: (shape, rows, aborted) => parts(session, shape, rows, aborted),
      scan: (job, aborted) => scan(readers, job, aborted),
      async [Symbol.asyncDispose]() {
        await readers.close();
        await control.close();
      },
    };
  } catch (error) {
    control.destroy();
    throw error;
  }
}

/** Begins the transaction that holds a snapshot open, and names the snapshot for the readers. */
export type Freeze = (control: Session, signal: AbortSignal) => Promise<{ readonly moment: Moment; readonly name: string }>;

async function freeze(control: Session, signal: AbortSignal): ReturnType<Freeze> {
  const at = new Date().toISOString();
  // The position is read first: changes that the snapshot shows already may come again from the log, none may be missed.
  const [[standby, position, timeline]] = await control.query(`
    SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, timeline_id
    FROM pg_control_checkpoint()`, signal);
  await control.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', signal);
  const [[name, visible]] = await control.query('SELECT pg_export_snapshot(), pg_current_snapshot()', signal);
  // On a standby pg_current_snapshot() does not tell which transactions are under way.
  const fingerprint = standby === 't' ? undefined : `${await identity(control, signal)}/${timeline}/${visible}`;
  return { name: name!, moment: { at, exact: true, how: 'exported snapshot', ...(position !== null && { position }), ...(fingerprint && { fingerprint }) } };
}

async function openReader(login: Login, snapshot: string, signal: AbortSignal): Promise<Session> {
  let session: Session | undefined;
  try {
    session = await Session.open(login, 'source', signal);
    await session.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '${snapshot}'`, signal);
    return session;
  } catch (error) {
    session?.destroy();
    if (signal.aborted || !(error instanceof DsyncError)) throw error;
    throw new DsyncError('source-lost', `the source's snapshot can't be joined: ${error.message}`, { cause: error.cause, remedy: error.remedy });
  }
}

