import type { LogicalType, Mapping, Part, Row, Snapshot } from '../contract.js';
import { DsyncError } from '../errors.js';

const everything: readonly Part[] = [{}];

/**
 * The parts of a table, which together are the whole table on both sides: ranges where both order its key alike and can
 * find a range by it, else one. Fails with `internal` if the ranges leave a gap: what is in none would never be compared.
 */
export async function partsOf(mapping: Mapping, snapshot: Snapshot, rows: number, signal: AbortSignal): Promise<readonly Part[]> {
  if (!rangesFit(mapping)) return everything;
  const parts = await snapshot.parts(mapping.source, rows, signal);
  const gap = parts.findIndex((part, i) => part.from !== parts[i - 1]?.to);
  if (parts.length > 0 && gap < 0 && parts.at(-1)!.to === undefined) return parts;
  throw new DsyncError('internal', `the parts of ${mapping.source.namespace} leave out some of its keys: ${JSON.stringify(parts.slice(0, 20))}`, { namespace: mapping.source.namespace });
}

const mostRanges = 64;

/** Parts, not many, in which all rows with these first key cells are, and as few others as that allows. */
export function partsAround(mapping: Mapping, rows: readonly Row[]): readonly Part[] {
  if (!rangesFit(mapping)) return everything;
  const firsts = [...new Set(rows.map((row) => BigInt(row[mapping.source.key[0]] as number | bigint)))].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const gaps = firsts.slice(1).map((first, i) => ({ at: i + 1, wide: first - firsts[i] })).sort((a, b) => (a.wide > b.wide ? -1 : a.wide < b.wide ? 1 : 0));
  const starts = [0, ...gaps.slice(0, mostRanges - 1).map(({ at }) => at).sort((a, b) => a - b)];
  return starts.map((start, i) => ({ from: String(firsts[start]), to: String(firsts[(starts[i + 1] ?? firsts.length) - 1] + 1n) }));
}

/** The first key column is the same on both sides, whole numbers, and never null. */
function rangesFit({ source, target }: Mapping): boolean {
  const [first] = source.key, ownColumn = source.columns[first], column = target.columns[first];
  return first !== undefined && target.key[0] === first && !ownColumn.nullable && !column.nullable && ownColumn.type.kind === 'int' && isWhole(column.type);
}

function isWhole(type: LogicalType): boolean {
  return type.kind === 'int' || (type.kind === 'decimal' && !type.scale);
}
