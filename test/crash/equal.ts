import type { Cells, Table } from './ends.js';

/** Keys, or whole rows where there is no key. */
export interface Faults { readonly missing: string[]; readonly twice: string[]; readonly stale: string[]; readonly extra: string[] }

/** What the destination's rows lack to be the source's. */
export function faultsOf(table: Table, from: readonly Cells[], to: readonly Cells[]): Faults {
  return table.key.length > 0 ? faultsByKey(table, from, to) : faultsByCount(from, to);
}

function faultsByKey({ key }: Table, from: readonly Cells[], to: readonly Cells[]): Faults {
  const keyOf = (row: Cells): string => JSON.stringify(key.map((i) => row[i]));
  const found = new Map<string, Cells>(), faults: Faults = { missing: [], twice: [], stale: [], extra: [] };
  for (const row of to) {
    if (found.has(keyOf(row))) faults.twice.push(keyOf(row));
    found.set(keyOf(row), row);
  }
  for (const row of from) {
    const there = found.get(keyOf(row));
    found.delete(keyOf(row));
    if (!there) faults.missing.push(keyOf(row));
    else if (JSON.stringify(there) !== JSON.stringify(row)) faults.stale.push(keyOf(row));
  }
  return { ...faults, extra: [...found.keys()] };
}

/** Without a key: each row as often as in the source. */
function faultsByCount(from: readonly Cells[], to: readonly Cells[]): Faults {
  const counts = new Map<string, number>();
  for (const row of from) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) + 1);
  const known = new Set(counts.keys());
  for (const row of to) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) - 1);
  const rows = (test: (row: string, left: number) => boolean): string[] => [...counts].filter(([row, left]) => test(row, left)).map(([row, left]) => `${Math.abs(left)} × ${row}`);
  return { missing: rows((_, left) => left > 0), twice: rows((row, left) => left < 0 && known.has(row)), stale: [], extra: rows((row, left) => left < 0 && !known.has(row)) };
}
