import type { Finding, LogLook } from '../../contract.js';
import { logEnd } from './lsn.js';
import type { Session } from './session.js';

/** Bytes a second since the last call, given what was written so far; undefined at the first. */
export type Growth = (written: number) => number | undefined;

/** Calls that follow each other at once say nothing new: the pace is taken over a second at least. */
export function growth(): Growth {
  let last: { readonly at: number; readonly written: number } | undefined, pace: number | undefined;
  return (written) => {
    const at = performance.now();
    if (last && at - last.at < 1000) return pace;
    if (last) pace = Math.max(0, written - last.written) * 1000 / (at - last.at);
    last = { at, written };
    return pace;
  };
}

export async function look(session: Session, signal: AbortSignal): Promise<LogLook> {
  const [[written, most]] = await session.query(`
    SELECT pg_wal_lsn_diff(${logEnd}, '0/0'),
      nullif(s.setting, '-1')::numeric * 1048576 FROM pg_settings s WHERE s.name = 'max_slot_wal_keep_size'`, signal);
  return {
    written: Number(written), ...(most !== null && { mostBytes: Number(most) }),
    heldBack: [...await oldTransactions(session, signal), ...await oldSlots(session, signal)],
    snapshotHolds: 'VACUUM removes no row version that is newer than the snapshot, in any table of the database',
    lengthen: "ALTER SYSTEM SET max_slot_wal_keep_size = -1 (or to what the disk can bear); SELECT pg_reload_conf()",
  };
}

const longSeconds = 300;

/** They hold VACUUM back, and a new slot waits for those that have written. */
async function oldTransactions(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const rows = await session.query(`
    SELECT pid::text, format('process %s (%s%s, %s)', pid, usename, ' ' || nullif(application_name, ''), state), round(extract(epoch FROM now() - xact_start)), 'SELECT pg_terminate_backend(' || pid || ')'
    FROM pg_stat_activity WHERE xact_start < now() - $1 * interval '1 second' AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    UNION ALL SELECT gid, format('the prepared transaction %s', gid), round(extract(epoch FROM now() - prepared)), format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE prepared < now() - $1 * interval '1 second'
    ORDER BY 3 DESC LIMIT 5`, signal, [longSeconds]);
  return rows.map(([, who, seconds, end]) => ({ level: 'warning', code: 'old-transaction', message: `${who} has been open for ${seconds} s: it holds VACUUM back, and a new replication slot may wait for it`, remedy: `wait until it ends, or: ${end}` }));
}

/** Slots that nobody reads keep the log, and the catalogue's old rows. */
async function oldSlots(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const rows = await session.query(`
    SELECT slot_name, pg_size_pretty(pg_wal_lsn_diff(${logEnd}, restart_lsn)), quote_literal(slot_name)
    FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL ORDER BY restart_lsn LIMIT 5`, signal);
  return rows.map(([name, size, text]) => ({ level: 'warning', code: 'unread-slot', message: `nobody reads the replication slot ${name}: it holds back ${size} of the log`, remedy: `resume what it belongs to, or: SELECT pg_drop_replication_slot(${text})` }));
}
