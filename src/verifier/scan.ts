import type { Mapping, Part, Row, Snapshot } from '../contract.js';
import { DsyncError, located, messageOf } from '../errors.js';
import { destination, source, type RowHasher, type Side } from './rows.js';

/** A table on both sides, and what counts as a difference in it. */
export interface Table {
  readonly mapping: Mapping;
  readonly hashers: readonly [RowHasher, RowHasher];
  readonly where: readonly [string | undefined, string | undefined];
  /** Rows that only the destination has are no differences. */
  readonly extrasAllowed: boolean;
  /** Rows that stand in the destination may be overwritten and deleted by key to mend them. */
  readonly mayOverwrite: boolean;
  /** Has the copy rejected this row of the source? */
  isRejected(row: Row): boolean;
}

/** Both sides as they are read now. */
export interface View { readonly snapshots: readonly [Snapshot, Snapshot]; readonly signal: AbortSignal }

export type Visit = (row: Row, hasher: RowHasher) => void;

/** Has every row of one side's part hashed and visited. `afterBatch` may wait: the scan does, too. */
export async function scan(table: Table, view: View, side: Side, part: Part, visit: Visit, afterBatch?: () => Promise<void>): Promise<void> {
  const { mapping, hashers, where } = table;
  const shape = side === source ? mapping.source : mapping.target, hasher = hashers[side];
  try {
    for await (const rows of view.snapshots[side].scan({ shape, part, where: where[side] }, view.signal)) {
      view.signal.throwIfAborted();
      for (const row of rows) {
        hasher.take(row);
        visit(row, hasher);
      }
      await afterBatch?.();
    }
  } catch (error) {
    throw view.signal.aborted ? view.signal.reason : scanError(error, side, mapping);
  }
  // A scan that heard the signal may just have ended: what it gave is not the whole part.
  view.signal.throwIfAborted();
}

/** Both sides at the same time. The failure of one ends the other. */
export async function scanBoth(table: Table, view: View, part: Part, visits: readonly [Visit, Visit]): Promise<void> {
  const stop = new AbortController();
  const linked: View = { ...view, signal: AbortSignal.any([view.signal, stop.signal]) };
  const sides = ([source, destination] as const).map((side) => scan(table, linked, side, part, visits[side]).catch((error: unknown) => {
    stop.abort(error);
    throw error;
  }));
  await Promise.allSettled(sides);
  if (linked.signal.aborted) throw linked.signal.reason;
}

/** A destination is read as a source is, but losing it loses no moment that matters. */
export function scanError(error: unknown, side: Side, { source: { namespace } }: Mapping): DsyncError {
  if (side === destination && error instanceof DsyncError && error.code === 'source-lost') {
    return new DsyncError('connection-lost', `the destination was lost while it was compared: ${messageOf(error)}`, { cause: error.cause, namespace, remedy: error.remedy });
  }
  return located(error, { namespace });
}
