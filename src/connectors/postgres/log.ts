import type { ChangeLog, LogKeeping, Position, Retention, Snapshot } from '../../contract.js';
import { adopt } from './adopt.js';
import { follow } from './follow.js';
import type { Login } from './login.js';
import { logEnd, lsnOf } from './lsn.js';
import { checkLog } from './logcheck.js';
import { growth, look, type Growth } from './outlook.js';
import { findSlot, historyLost, keepingOf, makePin, removePin } from './pin.js';
import { Pool } from './pool.js';
import { Session } from './session.js';
import type { Freeze } from './snapshot.js';

export interface LogOptions {
  /** How long a slot may wait for open transactions. */
  readonly slotSeconds?: number;
  readonly heartbeatMillis?: number;
  readonly keeping?: LogKeeping;
}

/** The log by logical decoding (pgoutput). Positions are LSNs: where a transaction's commit ends. Its sessions are opened when needed. */
export function openLog(login: Login, openSnapshot: (freeze: Freeze, signal: AbortSignal) => Promise<Snapshot>, options: LogOptions = {}): ChangeLog & AsyncDisposable {
  const { slotSeconds = 60, heartbeatMillis = 5000, keeping } = options;
  const sessions = new Pool(1, (signal) => Session.open(login, 'source', signal));
  const grows = growth();
  let confirmed = 0n;
  return {
    held: true,
    check: (shapes, signal) => sessions.use(signal, (session) => checkLog(session, shapes, keepingOf('', keeping), signal)),
    pin: (run, shapes, save, signal) => sessions.use(signal, async (session) => {
      const pin = await makePin(session, login, { run, keeping: keepingOf(run, keeping), shapes, save, seconds: slotSeconds }, signal);
      try {
        return await openSnapshot(pin.freeze, signal);
      } finally {
        await pin.done();
      }
    }),
    adopt: (run, shapes, from, save, signal) => sessions.use(signal, (session) => adopt(session, run, shapes, from, save, signal)),
    follow: (job, signal) => follow(login, job, { keeping: keepingOf(job.run, keeping), confirmed: () => confirmed, heartbeatMillis }, signal),
    head: (signal) => sessions.use(signal, (session) => head(session, signal)),
    reached: (position, goal) => lsnOf(position) >= lsnOf(goal),
    distance: (position, signal) => sessions.use(signal, async (session) => Number((await session.query(`SELECT greatest(0, pg_wal_lsn_diff(${logEnd}, $1::pg_lsn))`, signal, [position]))[0][0])),
    confirm(position) {
      if (lsnOf(position) > confirmed) confirmed = lsnOf(position);
    },
    retention: (run, _position, signal) => sessions.use(signal, (session) => retention(session, run, keepingOf(run, keeping).slot, grows, signal)),
    look: (signal) => sessions.use(signal, (session) => look(session, signal)),
    unpin: (run, signal) => sessions.use(signal, (session) => removePin(session, keepingOf(run, keeping), signal)),
    [Symbol.asyncDispose]: () => sessions.close(),
  };
}

/** A commit of our own has everything before it flushed, and a walsender reads what is flushed; where we may not, the log is taken as it stands. */
async function head(session: Session, signal: AbortSignal): Promise<Position> {
  await session.query("SELECT pg_logical_emit_message(true, 'dsync', '')", signal).catch(() => undefined);
  const [[position]] = await session.query('SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END', signal);
  return position!;
}

/** What is left until the server gives the slot up, at the pace of the last calls; with no limit, only the disk ends it. */
async function retention(session: Session, run: string, name: string, grows: Growth, signal: AbortSignal): Promise<Retention> {
  const slot = await findSlot(session, name, signal);
  if (!slot || slot.lost) throw historyLost(run, `the replication slot ${name} ${slot ? 'was invalidated' : 'is not there'}`);
  const [[bytes, safe, written]] = await session.query(`
    SELECT pg_wal_lsn_diff(e.lsn, restart_lsn), safe_wal_size, pg_wal_lsn_diff(e.lsn, '0/0') FROM pg_replication_slots,
      (SELECT ${logEnd}) e (lsn) WHERE slot_name = $1`, signal, [name]);
  const pace = grows(Number(written));
  return {
    ...(bytes !== null && { bytes: Number(bytes) }),
    ...(safe !== null && pace !== undefined && pace > 0 && { secondsLeft: Math.max(0, Math.round(Number(safe) / pace)), estimated: true }),
  };
}
