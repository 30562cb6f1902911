import type { FollowJob, Pin, Position, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { lsnOf } from './lsn.js';
import { findSlot, pinName } from './pin.js';
import type { Session } from './session.js';

/**
 * For tables that were copied by other means: a slot of dsync's own is made of one that keeps the log from this position on.
 * That one stays as it is. The user's publication is read, too: a newer one is not seen by the changes before it.
 */
export async function adopt(session: Session, run: string, shapes: readonly Shape[], from: Position, save: (pin: Pin) => void, signal: AbortSignal): Promise<void> {
  lsnOf(from);
  const name = pinName(run), names = [`replication slot ${name}`];
  if (await findSlot(session, name, signal)) return;
  const [[future]] = await session.query('SELECT $1::pg_lsn > pg_current_wal_insert_lsn()', signal, [from]);
  if (future === 't') throw new DsyncError('usage', `the source's log has not come to ${from} yet`);
  if (await publicationFor(session, shapes, signal) === undefined) throw new DsyncError('not-ready', 'no publication has all of these tables, whole, with every kind of change', { remedy: procedure });
  const [slot] = await session.query(`
    SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical' AND plugin = 'pgoutput' AND database = current_database() AND NOT temporary
      AND wal_status IS DISTINCT FROM 'lost' AND confirmed_flush_lsn <= $1::pg_lsn ORDER BY confirmed_flush_lsn DESC, slot_name LIMIT 1`, signal, [from]);
  if (!slot) throw new DsyncError('history-lost', `no replication slot (pgoutput) keeps the source's log from ${from} on`, { remedy: procedure });
  save({ names });
  await session.query('SELECT pg_copy_logical_replication_slot($1, $2, false)', signal, [slot[0], name]);
  save({ names, position: from });
}

const procedure = "before the copy: CREATE PUBLICATION … FOR TABLE … WITH (publish_via_partition_root = true), then SELECT pg_create_logical_replication_slot('…', 'pgoutput'): its position is where the changes begin";

/** The run's own, else the user's. */
export async function publicationOf(session: Session, { run, shapes }: FollowJob, signal: AbortSignal): Promise<string> {
  const [own] = await session.query('SELECT FROM pg_publication WHERE pubname = $1', signal, [pinName(run)]);
  return own ? pinName(run) : await publicationFor(session, shapes, signal) ?? pinName(run);
}

async function publicationFor(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<string | undefined> {
  const whole = session.versionNumber >= 150000 ? 'AND t.rowfilter IS NULL' : '';
  const [row] = await session.query(`
    SELECT p.pubname FROM pg_publication p WHERE p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND NOT EXISTS (
      SELECT FROM json_to_recordset($1::json) s (schema text, name text)
      WHERE NOT EXISTS (SELECT FROM pg_publication_tables t WHERE t.pubname = p.pubname AND t.schemaname = s.schema AND t.tablename = s.name ${whole}))
    ORDER BY p.oid LIMIT 1`, signal, [JSON.stringify(shapes.map(({ schema, name }) => ({ schema, name })))]);
  return row?.[0] ?? undefined;
}
