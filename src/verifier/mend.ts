import type { Part, Row } from '../contract.js';
import type { KeyTable } from './keytable.js';
import { Rejects } from './rejected.js';
import { destination, source, type RowHasher } from './rows.js';
import { scan, type Table, type View } from './scan.js';

/** Makes the destination's rows so: `Destination.mend` of one table. */
export type Mend = (changes: { readonly upserts: readonly Row[]; readonly deletes: readonly Row[] }) => Promise<void>;

export interface Mended { readonly upserted: number; readonly deleted: number }

const batchRows = 500;
const batchBytes = 4 << 20;

/**
 * Makes the rows of differing keys as the source has them, a batch at a time. What is there too often is deleted first and
 * written anew; rows that the copy rejected stay missing, and rows that may not be overwritten stay as they are.
 */
export async function mendRows(table: Table, view: View, part: Part, differing: KeyTable, mend: Mend): Promise<Mended> {
  const deleted = await deleteRows(table, view, part, differing, mend);
  const upserts = batches((rows) => mend({ upserts: rows, deletes: [] })), rejects = new Rejects(table);
  await scan(table, view, source, part, (row, hasher) => {
    const place = differing.find(hasher);
    if (place < 0) return;
    const entry = differing.at(place), mayWrite = table.mayOverwrite || entry.counts[destination] === 0;
    if (mayWrite && !rejects.takes(entry, row, hasher)) upserts.add(row, hasher);
  }, upserts.sendFull);
  await upserts.send();
  return { upserted: upserts.sent(), deleted };
}

async function deleteRows(table: Table, view: View, part: Part, differing: KeyTable, mend: Mend): Promise<number> {
  if (!table.mayOverwrite) return 0;
  const { key } = table.mapping.source, gone = new Set<bigint>();
  const deletes = batches((rows) => mend({ upserts: [], deletes: rows }));
  await scan(table, view, destination, part, (row, hasher) => {
    const place = differing.find(hasher);
    if (place < 0) return;
    const { key: hash, counts: [before, after] } = differing.at(place);
    if ((before > 0 && after < 2) || gone.has(hash)) return;
    gone.add(hash);
    deletes.add(key.map((position) => row[position]), hasher);
  }, deletes.sendFull);
  await deletes.send();
  return deletes.sent();
}

/** Gathers rows until they are worth a call. */
function batches(apply: (rows: readonly Row[]) => Promise<void>) {
  let rows: Row[] = [], bytes = 0, sent = 0;
  const send = async () => {
    for (const batch = rows; batch.length > 0; sent += batch.splice(0, batchRows).length) await apply(batch.slice(0, batchRows));
    [rows, bytes] = [[], 0];
  };
  return {
    send,
    sendFull: async () => {
      if (rows.length >= batchRows || bytes >= batchBytes) await send();
    },
    add: (row: Row, hasher: RowHasher) => {
      rows.push(row);
      bytes += hasher.length;
    },
    sent: () => sent,
  };
}
