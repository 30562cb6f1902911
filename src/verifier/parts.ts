import type { LogicalType, Mapping, Part, Snapshot } from '../contract.js';
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

/** The first key column is the same on both sides, whole numbers, and never null. */
function rangesFit({ source, target }: Mapping): boolean {
  const [first] = source.key, ownColumn = source.columns[first], column = target.columns[first];
  return first !== undefined && target.key[0] === first && !ownColumn.nullable && !column.nullable && ownColumn.type.kind === 'int' && isWhole(column.type);
}

function isWhole(type: LogicalType): boolean {
  return type.kind === 'int' || (type.kind === 'decimal' && !type.scale);
}
