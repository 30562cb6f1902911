import type { Batch, Change, Cursor, LogRow, ReadJob, Rejected, Row, Rows } from '../contract.js';
import { encodeDelimited } from '../values/delimited.js';
import { misfits } from '../values/misfits.js';

export interface BatchLimits { readonly batchBytes: number; readonly batchRows?: number }

/** Gathers a task's rows into numbered batches, within the limits; a larger row is a batch of its own. */
export interface Gatherer {
  /** Would this row, of `bytesOfRow`, overfill the open batch? Then `take` it first. */
  full(bytes: number): boolean;
  add(row: Row, bytes: number): void;
  /** Closes the open batch; undefined if it has no rows. `cursor`: where to go on after its last row. */
  take(cursor?: Cursor): Batch | undefined;
}

/** Batches of `values`. */
export function gather(job: ReadJob, limits: BatchLimits): Gatherer {
  let rows: Row[] = [], size = 0;
  const content = () => ({ rows: { format: 'values' as const, rows }, count: rows.length, bytes: size });
  return {
    ...numbered(job, limits, () => ({ rows: rows.length, bytes: size }), content, () => { rows = []; size = 0; }),
    add(row, bytes) {
      rows.push(row);
      size += bytes;
    },
  };
}

const linesAtOnce = 200;

/** Batches of `delimited`, in which rows take the least memory. Rows with a value of another type than its column's are left out, as rejected. */
export function gatherLines(job: ReadJob, limits: BatchLimits): Gatherer {
  const encode = encodeDelimited(job.shape.columns), divide = misfits(job.shape);
  let chunks: Buffer[] = [], rejected: Rejected[] = [], open: Row[] = [], written = 0, openBytes = 0, rows = 0;
  const settle = () => {
    const divided = divide(open), chunk = encode(divided.fit);
    chunks.push(chunk);
    rejected.push(...divided.rejected);
    written += chunk.length;
    [open, openBytes] = [[], 0];
  };
  const content = () => {
    settle();
    const bytes = Buffer.concat(chunks);
    return { rows: { format: 'delimited' as const, bytes }, count: rows - rejected.length, bytes: bytes.length, ...(rejected.length > 0 && { rejected }) };
  };
  return {
    ...numbered(job, limits, () => ({ rows, bytes: written + openBytes }), content, () => { [chunks, rejected, written, rows] = [[], [], 0, 0]; }),
    add(row, bytes) {
      rows++;
      openBytes += bytes;
      if (open.push(row) >= linesAtOnce) settle();
    },
  };
}

type Content = { readonly rows: Rows; readonly count: number; readonly bytes: number; readonly rejected?: readonly Rejected[] };

function numbered(job: ReadJob, limits: BatchLimits, open: () => { rows: number; bytes: number }, content: () => Content, clear: () => void): Pick<Gatherer, 'full' | 'take'> {
  const most = limits.batchRows ?? Infinity;
  let { sequence } = job;
  return {
    full(more) {
      const { rows, bytes } = open();
      return rows > 0 && (rows >= most || bytes + more > limits.batchBytes);
    },
    take(cursor) {
      if (open().rows === 0) return undefined;
      const batch: Batch = { task: job.task.id, namespace: job.task.namespace, sequence: sequence++, ...content(), ...(cursor !== undefined && { cursor }) };
      clear();
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

/** About the memory that a change takes while it waits to be applied. */
export function bytesOfChange(change: Change): number {
  const of = (row: LogRow) => bytesOfRow(row as Row);
  return 64 + ('row' in change ? of(change.row) : 0) + ('before' in change && change.before ? of(change.before) : 0);
}
