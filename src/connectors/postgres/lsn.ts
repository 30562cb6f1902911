import type { Position } from '../../contract.js';
import { DsyncError } from '../../errors.js';

/** A place in the log as a number, from PostgreSQL's own spelling: `16/B374D848`. */
export function lsnOf(position: Position): bigint {
  const [, high, low] = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(position) ?? [];
  if (high === undefined) throw new DsyncError('usage', `'${position}' is no position in PostgreSQL's log`, { remedy: 'write it as 16/B374D848' });
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

export function positionOf(lsn: bigint): Position {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase();
}

/** SQL: where the log ends, flushed or not; on a standby, what it has applied. */
export const logEnd = 'CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END';
