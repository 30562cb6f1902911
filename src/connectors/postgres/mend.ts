import type { Batch, Mapping, Rejected, Row } from '../../contract.js';
import { encodeDelimited } from '../../values/delimited.js';
import { CopyIn } from './copy.js';
import { held, type Hold } from './progress.js';
import type { Session } from './session.js';
import { list, qualified, quoted } from './sql.js';
import { bytesOf, place, rejectedRows, wayOf } from './write.js';

export interface Changes { readonly upserts: readonly Row[]; readonly deletes: readonly Row[] }

/** Deletes and upserts by key, in one transaction. */
export async function mend(session: Session, hold: Hold, mapping: Mapping, { upserts, deletes }: Changes, signal: AbortSignal): Promise<readonly Rejected[]> {
  const { namespace } = mapping.source;
  const batch: Batch = { task: 'mend', namespace, sequence: 0, rows: { format: 'values', rows: upserts }, count: upserts.length, bytes: 0 };
  const bytes = bytesOf(batch, mapping);
  const way = await wayOf(session, hold, mapping, true, false, signal);
  return held(session, hold, signal, async () => {
    if (deletes.length > 0) await deleteByKey(session, mapping, deletes, signal);
    return rejectedRows(await place(session, way, bytes, signal), batch, mapping, bytes);
  });
}

async function deleteByKey(session: Session, { source, target }: Mapping, keys: readonly Row[], signal: AbortSignal): Promise<void> {
  const columns = target.key.map((i) => quoted(target.columns[i].name));
  const names = list(target.key.map((i) => target.columns[i].name));
  await session.query(`CREATE TEMPORARY TABLE _dsync_keys ON COMMIT DROP AS SELECT ${names} FROM ${qualified(target)} WITH NO DATA`, signal);
  const bytes = encodeDelimited(target.key.map((i) => source.columns[i]))(keys);
  await session.run(new CopyIn({ sql: `COPY pg_temp._dsync_keys (${names}) FROM STDIN`, chunks: [bytes] }), signal);
  await session.query(`DELETE FROM ${qualified(target)} held USING pg_temp._dsync_keys gone WHERE ${columns.map((name) => `held.${name} = gone.${name}`).join(' AND ')}`, signal);
}
