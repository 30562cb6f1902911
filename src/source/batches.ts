import type { Batch, Cursor, ReadJob, Row } from '../contract.js';

export interface BatchLimits { readonly batchBytes: number; readonly batchRows?: number }

/** Gathers a task's rows into numbered batches of `values`, within the limits; a larger row is a batch of its own. */
export interface Gatherer {
  /** Would this row overfill the open batch? Then `take` it first. */
  full(bytes: number): boolean;
  add(row: Row, bytes: number): void;
  /** Closes the open batch; undefined if it has no rows. `cursor`: where to go on after its last row. */
  take(cursor?: Cursor): Batch | undefined;
}

export function gather(job: ReadJob, limits: BatchLimits): Gatherer {
  const most = limits.batchRows ?? Infinity;
  let rows: Row[] = [], bytes = 0, sequence = job.sequence;
  return {
    full: (more) => rows.length > 0 && (rows.length >= most || bytes + more > limits.batchBytes),
    add(row, size) {
      rows.push(row);
      bytes += size;
    },
    take(cursor) {
      if (rows.length === 0) return undefined;
      const batch: Batch = {
        task: job.task.id, namespace: job.task.namespace, sequence: sequence++,
        rows: { format: 'values', rows }, count: rows.length, bytes, ...(cursor !== undefined && { cursor }),
      };
      rows = [];
      bytes = 0;
      return batch;
    },
  };
}

/** About the memory that a row of values takes, as measured on V8: what a value is wrapped in is often more than the value. */
export function bytesOfRow(row: Row): number {
  let bytes = 48 + 8 * row.length;
  for (const value of row) {
    if (typeof value === 'string') bytes += 40 + value.length;
    else if (typeof value === 'bigint') bytes += 32;
    else if (typeof value === 'number') bytes += 16;
    else if (value instanceof Uint8Array) bytes += 200 + value.byteLength;
  }
  return bytes;
}
