import type { Mapping, Row, Snapshot } from '../contract.js';
import { partsAround } from './parts.js';
import { hashers, source, type RowHasher, type Side } from './rows.js';
import { scan, type Table } from './scan.js';

/** A row that was looked for by its key, as it stands; `equal`: it means the same, cell by cell. */
export interface Standing { readonly row: Row; readonly equal: boolean }

/**
 * Looks for rows of a table with a key, given as the source has them, by the verifier's own way in: key ranges around them
 * where both sides order the key alike, else the whole table. By their places in `rows`; absent: no such key is there.
 */
export async function lookUp(mapping: Mapping, rows: readonly Row[], side: Side, snapshot: Snapshot, signal: AbortSignal): Promise<ReadonlyMap<number, Standing>> {
  const found = new Map<number, Standing>();
  if (rows.length === 0) return found;
  const own = await hashers(mapping), wanted = wantedOf(rows, own[source]);
  const table: Table = { mapping, hashers: own, where: [undefined, undefined], extrasAllowed: false, mayOverwrite: false, isRejected: () => false };
  for (const part of partsAround(mapping, rows)) {
    await scan(table, { snapshots: [snapshot, snapshot], signal }, side, part, (row, hasher) => {
      for (const { place, first, second } of wanted.get(keyOf(hasher)) ?? []) found.set(place, { row, equal: hasher.first === first && hasher.second === second });
    });
  }
  return found;
}

interface Wanted { readonly place: number; readonly first: bigint; readonly second: bigint }

function wantedOf(rows: readonly Row[], hasher: RowHasher): ReadonlyMap<string, readonly Wanted[]> {
  const wanted = new Map<string, Wanted[]>();
  for (const [place, row] of rows.entries()) {
    hasher.take(row);
    const known = wanted.get(keyOf(hasher)) ?? [];
    wanted.set(keyOf(hasher), [...known, { place, first: hasher.first, second: hasher.second }]);
  }
  return wanted;
}

function keyOf({ keyHigh, keyLow }: RowHasher): string {
  return `${keyHigh}.${keyLow}`;
}
