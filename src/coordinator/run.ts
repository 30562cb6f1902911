import type { Destination, Mapping, Moment, Phase, Rejected, Snapshot, Source, Task } from '../contract.js';
import { DsyncError } from '../errors.js';
import { spellAny } from '../values/normal.js';
import { keyText } from '../verifier/key.js';
import type { Ports, RunConfig } from './config.js';
import { copy, type CopyJob } from './copy.js';
import { batchBytesOf } from './ends.js';
import { endsWith } from './rules.js';

/** A run that is under way: its ends, its plan, and what it has been told. `emit` is the run's own tally. */
export interface Run extends Ports {
  readonly id: string;
  readonly config: RunConfig;
  source: Source;
  readonly destination: Destination;
  mappings: readonly Mapping[];
  readonly where: (namespace: string) => string | undefined;
  tasks: readonly Task[];
  moments: readonly Moment[];
}

/** One table in one moment: what is left to copy, and how much of it an earlier moment has copied. */
export interface Work {
  readonly mapping: Mapping;
  readonly tasks: readonly Task[];
  readonly jobs: readonly CopyJob[];
  /** The table starts anew: what an earlier try has left goes first. */
  readonly empty: boolean;
  readonly overwrite: boolean;
  /** Rows of an earlier moment may be there, which the source has changed since. */
  readonly stale: boolean;
}

/** Copies tables in the present moment, into what `prepare` has made. */
export async function copyTables(run: Run, works: readonly Work[], snapshot: Snapshot, number: number): Promise<void> {
  for (const { mapping, empty, overwrite, tasks } of works) {
    await run.destination.prepare(run.id, mapping, { empty, keyed: overwrite, tasks }, run.signal);
  }
  const jobs = works.flatMap((work) => work.jobs).sort((a, b) => size(b) - size(a));
  await copy(jobs, snapshot, limitsOf(run.config), {
    run: run.id, destination: run.destination, emit: run.emit, signal: run.signal,
    begun: (task) => run.store.begun(run.id, task, number),
    rejected: (mapping, rows) => reject(run, mapping, rows),
  });
}

/** Writes rejected rows to the run's reject file and tells of them. */
export function reject(run: Run, mapping: Mapping, rows: readonly Rejected[]): void {
  const { columns, namespace } = mapping.source;
  run.store.reject(run.id, rows.map(({ row, reason }) => ({
    namespace, reason, key: keyText(mapping.source, row),
    row: Object.fromEntries(columns.map((column, i) => [column.name, readable(row[i])])),
  })));
  for (const rejected of rows) run.emit({ kind: 'rejected', rejected });
  const last = rows.find(({ column }) => endsWith(mapping, column));
  if (last) throw new DsyncError('data', `${namespace}, row ${keyText(mapping.source, last.row)} can't be kept (${last.reason}), and --on-bad-value fail ends the run; the row is in the reject file`, { namespace, remedy: 'mend the row and start over, or go on without it: dsync resume' });
}

export function enter(run: Run, phase: Phase): void {
  run.store.update(run.id, { phase });
  run.emit({ kind: 'phase', phase });
}

/** Two batches for each writer keep all of them busy; more would only wait in memory. The readers each hold another one that is not in the channel yet. */
function limitsOf(config: RunConfig): { readonly memoryBytes: number; readonly concurrency: number } {
  const { concurrency, memoryBytes } = config;
  return { memoryBytes: Math.max(1, Math.min(memoryBytes / 2, 2 * concurrency * batchBytesOf(config))), concurrency };
}

/** Numbers and text stay as they are; what JSON can't hold exactly becomes its normal-form text. */
function readable(value: Rejected['row'][number]): unknown {
  return typeof value === 'object' && value !== null || typeof value === 'bigint' || (typeof value === 'number' && !Number.isSafeInteger(value)) ? spellAny(value) : value;
}

function size(job: CopyJob): number {
  return job.read.shape.estimatedBytes ?? job.read.shape.estimatedRows ?? 0;
}
