import type { ChangeLog, Position, Snapshot } from '../../contract.js';
import { adopt } from './adopt.js';
import { follow } from './follow.js';
import type { Login } from './login.js';
import { lsnOf } from './lsn.js';
import { findSlot, historyLost, makePin, pinName, removePin } from './pin.js';
import { Pool } from './pool.js';
import { checkLog } from './logcheck.js';
import { Session } from './session.js';
import type { Freeze } from './snapshot.js';

export interface LogOptions {
  /** How long a slot may wait for open transactions. */
  readonly slotSeconds?: number;
  readonly heartbeatMillis?: number;
}

/** The log by logical decoding (pgoutput). Positions are LSNs: where a transaction's commit ends. Its sessions are opened when needed. */
export function openLog(login: Login, openSnapshot: (freeze: Freeze, signal: AbortSignal) => Promise<Snapshot>, options: LogOptions = {}): ChangeLog & AsyncDisposable {
  const { slotSeconds = 60, heartbeatMillis = 10_000 } = options;
  const sessions = new Pool(1, (signal) => Session.open(login, 'source', signal));
  let confirmed = 0n;
  return {
    check: (shapes, signal) => sessions.use(signal, (session) => checkLog(session, shapes, signal)),
    pin: (run, shapes, save, signal) => sessions.use(signal, async (session) => {
      const pin = await makePin(session, login, { run, shapes, save, seconds: slotSeconds }, signal);
      try {
        return await openSnapshot(pin.freeze, signal);
      } finally {
        await pin.done();
      }
    }),
    adopt: (run, shapes, from, save, signal) => sessions.use(signal, (session) => adopt(session, run, shapes, from, save, signal)),
    follow: (job, signal) => follow(login, job, { confirmed: () => confirmed, heartbeatMillis }, signal),
    head: (signal) => sessions.use(signal, (session) => head(session, signal)),
    reached: (position, goal) => lsnOf(position) >= lsnOf(goal),
    confirm(position) {
      if (lsnOf(position) > confirmed) confirmed = lsnOf(position);
    },
    retention: (run, _position, signal) => sessions.use(signal, (session) => retention(session, run, signal)),
    unpin: (run, signal) => sessions.use(signal, (session) => removePin(session, run, signal)),
    [Symbol.asyncDispose]: () => sessions.close(),
  };
}

/** A commit of our own has everything before it flushed, and a walsender reads what is flushed; where we may not, the log is taken as it stands. */
async function head(session: Session, signal: AbortSignal): Promise<Position> {
  await session.query("SELECT pg_logical_emit_message(true, 'dsync', '')", signal).catch(() => undefined);
  const [[position]] = await session.query('SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END', signal);
  return position!;
}

/** How long the log stays depends on how fast it grows: unknown here. */
async function retention(session: Session, run: string, signal: AbortSignal): Promise<{ readonly bytes?: number }> {
  const slot = await findSlot(session, run, signal);
  if (!slot || slot.lost) throw historyLost(run, `the replication slot ${pinName(run)} ${slot ? 'was invalidated' : 'is not there'}`);
  const [[bytes]] = await session.query(`
    SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)
    FROM pg_replication_slots WHERE slot_name = $1`, signal, [pinName(run)]);
  return bytes === null ? {} : { bytes: Number(bytes) };
}
