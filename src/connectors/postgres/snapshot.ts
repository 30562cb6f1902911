import type { Moment, OpenOptions, Snapshot } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { digestsOf } from './digest.js';
import { identity } from './identity.js';
import type { Login } from './login.js';
import { plan } from './plan.js';
import { logEnd } from './lsn.js';
import { Pool } from './pool.js';
import { read } from './read.js';
import { parts, scan } from './scan.js';
import { Session } from './session.js';

/**
 * One session holds the exported snapshot open; readers join it, as many as the options allow. What reads no rows is asked
 * of the source's own session: a failure there can't spoil the snapshot's transaction.
 */
export async function openSnapshot(session: Session, login: Login, options: OpenOptions, begin: Freeze, signal: AbortSignal): Promise<Snapshot> {
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
      ...(session.serverEncoding === 'UTF8' && { digests: digestsOf(readers) }),
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

/** A moment by itself, apart from any slot. */
export async function freeze(control: Session, signal: AbortSignal): ReturnType<Freeze> {
  const at = new Date().toISOString();
  // The position is read first: changes that the snapshot shows already may come again from the log, none may be missed.
  const [[standby, position, timeline]] = await control.query(`
    SELECT pg_is_in_recovery(), ${logEnd}, timeline_id
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
