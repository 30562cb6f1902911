import { createHash } from 'node:crypto';
import type { LogKeeping, Pin, Position, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { serverError } from './failure.js';
import type { Login } from './login.js';
import { Session } from './session.js';
import type { Freeze } from './snapshot.js';
import { literal, qualified, quoted } from './sql.js';

/** What a slot shows of itself, as far as the log is concerned. */
export interface Slot { readonly lost: boolean; readonly confirmed?: Position; readonly activePid?: string }

/** Slot and publication have one name, made of the run's id: small letters, digits and underscores, 63 at most. */
export function pinName(run: string): string {
  if (/^[a-z0-9_]{1,57}$/.test(run)) return `dsync_${run}`;
  const digest = createHash('sha256').update(run).digest('hex').slice(0, 12);
  return `dsync_${run.toLowerCase().replace(/[^a-z0-9]+/g, '_').slice(0, 40)}_${digest}`;
}

/** By what a run's log is kept, and which of it dsync makes and drops itself. */
export interface Keeping {
  readonly slot: string;
  readonly publication: string;
  readonly ownSlot: boolean;
  readonly ownPublication: boolean;
  /** Absent: where the server waits for standbys that take slots over. */
  readonly failover?: boolean;
}

export function keepingOf(run: string, given: LogKeeping = {}): Keeping {
  const name = pinName(run);
  return {
    slot: given.slot ?? name, publication: given.publication ?? name, ownSlot: given.slot === undefined, ownPublication: given.publication === undefined,
    ...(given.failover !== undefined && { failover: given.failover }),
  };
}

function ownNames({ slot, publication, ownSlot, ownPublication }: Keeping): readonly string[] {
  return [...(ownPublication ? [`publication ${publication}`] : []), ...(ownSlot ? [`replication slot ${slot}`] : [])];
}

export async function findSlot(session: Session, name: string, signal: AbortSignal): Promise<Slot | undefined> {
  const [row] = await session.query(`
    SELECT wal_status = 'lost' OR wal_status IS NULL, confirmed_flush_lsn, CASE WHEN active THEN active_pid END
    FROM pg_replication_slots WHERE slot_name = $1 AND plugin = 'pgoutput' AND database = current_database()`, signal, [name]);
  if (!row) return undefined;
  return { lost: row[0] === 't', ...(row[1] !== null && { confirmed: row[1] }), ...(row[2] !== null && { activePid: row[2] }) };
}

export function historyLost(run: string, what: string, cause?: unknown): DsyncError {
  return new DsyncError('history-lost', `the source no longer keeps the changes that this run has not applied: ${what}`, {
    cause, remedy: `remove the run with dsync cleanup ${run} and start it anew; if the log grew past max_slot_wal_keep_size, raise that first`,
  });
}

export interface Pinning { readonly run: string; readonly keeping: Keeping; readonly shapes: readonly Shape[]; readonly save: (pin: Pin) => void; readonly seconds: number }

/**
 * Makes publication and slot, or for a slot that stands a temporary one beside it. Returns how to freeze the moment at
 * which the new slot begins; `done` lets go of the connection that exported it, once the moment is frozen.
 */
export async function makePin(session: Session, login: Login, { run, keeping, shapes, save, seconds }: Pinning, signal: AbortSignal): Promise<{ readonly freeze: Freeze; done(): Promise<void> }> {
  const names = ownNames(keeping), standing = await findSlot(session, keeping.slot, signal);
  if (standing?.lost) throw historyLost(run, `the replication slot ${keeping.slot} was invalidated`);
  if (!standing && !keeping.ownSlot) throw noSuchSlot(keeping.slot);
  if (!standing || !keeping.ownSlot) save({ names });
  if (keeping.ownPublication) {
    const published = standing !== undefined && await isPublished(session, keeping.publication, signal);
    await (published ? publishMore : publish)(session, keeping.publication, shapes, signal);
  }
  const sender = await Session.open({ ...login, replication: 'database' }, 'source', signal);
  try {
    const slot = standing ? `${pinName(run).slice(0, 54)}_${sender.processId}` : keeping.slot;
    const { position, snapshot } = await createSlot(session, sender, slot, { temporary: standing !== undefined, failover: keeping.failover, seconds }, signal);
    save({ names, position: standing?.confirmed ?? position });
    return { freeze: freezer(position, snapshot), done: () => sender.close() };
  } catch (error) {
    sender.destroy();
    throw error;
  }
}

/** For exactly these tables: not for what inherits from them, which is copied by itself. Left over from an attempt that made no slot, it is made anew. */
async function publish(session: Session, name: string, shapes: readonly Shape[], signal: AbortSignal): Promise<void> {
  const generated = session.versionNumber >= 180000 ? ', publish_generated_columns = stored' : '';
  await session.query(`DROP PUBLICATION IF EXISTS ${quoted(name)}`, signal);
  await session.query(`CREATE PUBLICATION ${quoted(name)}${shapes.length > 0 ? ` FOR TABLE ${shapes.map((shape) => `ONLY ${qualified(shape)}`).join(', ')}` : ''} WITH (publish_via_partition_root = true${generated})`, signal);
}

async function isPublished(session: Session, name: string, signal: AbortSignal): Promise<boolean> {
  return (await session.query('SELECT 1 FROM pg_publication WHERE pubname = $1', signal, [name])).length > 0;
}

/** Tables that have come to the run since: their changes are in the log from then on. */
async function publishMore(session: Session, name: string, shapes: readonly Shape[], signal: AbortSignal): Promise<void> {
  const published = new Set((await session.query('SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = $1', signal, [name])).map(([schema, table]) => JSON.stringify([schema, table])));
  const more = shapes.filter((shape) => !published.has(JSON.stringify([shape.schema, shape.name])));
  if (more.length > 0) await session.query(`ALTER PUBLICATION ${quoted(name)} ADD TABLE ${more.map((shape) => `ONLY ${qualified(shape)}`).join(', ')}`, signal);
}

/** The server waits for all transactions that have written and are open: after so many seconds it is said which they are. */
async function createSlot(session: Session, sender: Session, name: string, options: { readonly temporary: boolean; readonly failover?: boolean; readonly seconds: number }, signal: AbortSignal): Promise<{ readonly position: Position; readonly snapshot: string }> {
  const limit = AbortSignal.timeout(options.seconds * 1000);
  try {
    const how = options.temporary ? 'TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT' : options.failover ?? await standbysFollow(session, signal) ? "LOGICAL pgoutput (SNAPSHOT 'export', FAILOVER)" : 'LOGICAL pgoutput EXPORT_SNAPSHOT';
    const [[, position, snapshot]] = await sender.query(`CREATE_REPLICATION_SLOT ${quoted(name)} ${how}`, AbortSignal.any([signal, limit]));
    return { position: position!, snapshot: snapshot! };
  } catch (error) {
    if (limit.aborted && !signal.aborted) throw await blocked(session, options.seconds, signal);
    if (serverError(error)?.code !== '53400') throw error;
    throw new DsyncError('not-ready', `the source has no replication slot left: ${(error as Error).message}`, { cause: error, remedy: 'raise max_replication_slots and restart the server, or drop slots that nobody uses (SELECT slot_name FROM pg_replication_slots WHERE NOT active)' });
  }
}

/** A primary that holds its changes back until standbys have them (17 and later) is meant to lose no slot with itself. */
async function standbysFollow(session: Session, signal: AbortSignal): Promise<boolean> {
  const [[named]] = await session.query("SELECT coalesce(current_setting('synchronized_standby_slots', true), '') <> '' AND NOT pg_is_in_recovery()", signal);
  return named === 't';
}

/** A standby can't tell which of the primary's transactions are open before it has heard of them all. */
function unheard(seconds: number): DsyncError {
  return new DsyncError('not-ready', `no replication slot could be made within ${seconds} s: the standby waits until its primary logs which transactions are under way there`, {
    retryable: true, remedy: 'on the primary, while dsync tries again: SELECT pg_log_standby_snapshot()',
  });
}

async function blocked(session: Session, seconds: number, signal: AbortSignal): Promise<DsyncError> {
  const [[standby]] = await session.query('SELECT pg_is_in_recovery()', signal);
  if (standby === 't') return unheard(seconds);
  const sessions = await session.query(`
    SELECT pid, format('process %s (%s%s, %s), open since %s', pid, usename, ' ' || nullif(application_name, ''), state, to_char(xact_start, 'YYYY-MM-DD HH24:MI:SS'))
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 5`, signal);
  const prepared = await session.query('SELECT gid FROM pg_prepared_xacts ORDER BY prepared LIMIT 5', signal);
  const ends = [...sessions.map(([pid]) => `SELECT pg_terminate_backend(${pid})`), ...prepared.map(([gid]) => `ROLLBACK PREPARED ${literal(gid!)}`)];
  return new DsyncError('not-ready', `no replication slot could be made within ${seconds} s: the server waits for the end of ${[...sessions.map(([, told]) => told), ...prepared.map(([gid]) => `the prepared transaction ${gid}`)].join(', ') || 'open transactions'}`, {
    retryable: true, remedy: `wait until they end, or end them: ${ends.join('; ') || 'see pg_stat_activity'}`,
  });
}

/** The control session takes the slot's snapshot and exports it again: the replication connection need not be kept then. */
function freezer(position: Position, snapshot: string): Freeze {
  return async (control, signal) => {
    const at = new Date().toISOString();
    const [[system, database, timeline, standby]] = await control.query('SELECT s.system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()), c.timeline_id, pg_is_in_recovery() FROM pg_control_system() s, pg_control_checkpoint() c', signal);
    await control.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT ${literal(snapshot)}`, signal);
    const [[name, visible]] = await control.query('SELECT pg_export_snapshot(), pg_current_snapshot()', signal);
    // On a standby pg_current_snapshot() does not tell which transactions are under way.
    const fingerprint = standby === 't' ? undefined : `postgres:${system}/${database}/${timeline}/${visible}`;
    return { name: name!, moment: { at, exact: true, how: 'snapshot of a replication slot', position, ...(fingerprint && { fingerprint }) } };
  };
}

/** Drops slot and publication, those that dsync has made. */
export async function removePin(session: Session, { slot, publication, ownSlot, ownPublication }: Keeping, signal: AbortSignal): Promise<void> {
  // The database may have been made read-only by default, for its applications.
  await session.query('SET default_transaction_read_only = off', signal);
  if (ownSlot) await dropSlot(session, slot, signal);
  if (ownPublication && await isPublished(session, publication, signal)) await session.query(`DROP PUBLICATION IF EXISTS ${quoted(publication)}`, signal);
}

/** A walsender of a process that has just gone may hold the slot for a moment. */
async function dropSlot(session: Session, name: string, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; await findSlot(session, name, signal); attempt++) {
    const error = await session.query('SELECT pg_drop_replication_slot($1)', signal, [name]).then(() => undefined, (failure: unknown) => failure);
    if (error === undefined || serverError(error)?.code === '42704') break;
    if (serverError(error)?.code !== '55006') throw error;
    if (attempt > 50) throw inUse(name, error);
    await session.query('SELECT pg_sleep(0.1)', signal);
  }
}

function noSuchSlot(name: string): DsyncError {
  return new DsyncError('not-ready', `the source has no replication slot ${name} of pgoutput for this database`, { remedy: `SELECT pg_create_logical_replication_slot(${literal(name)}, 'pgoutput'), or leave out --slot: dsync makes one` });
}

export function inUse(name: string, cause?: unknown, pid?: string): DsyncError {
  return new DsyncError('source-lost', `the replication slot ${name} is in use by ${pid ? `the server process ${pid}` : 'another process'}`, {
    cause, retryable: true, remedy: `wait until it is gone (a lost connection is noticed after wal_sender_timeout), or SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = ${literal(name)}`,
  });
}
