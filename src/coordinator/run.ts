import { createHash } from 'node:crypto';
import type { Destination, Mapping, Moment, Phase, Rejected, RejectLine, Shape, Snapshot, Source, Task } from '../contract.js';
import { DsyncError } from '../errors.js';
import { tellRow } from '../values/told-cells.js';
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
  /** An earlier process has written some of its rows, and may have died before it could tell which were rejected. */
  readonly stale: boolean;
  /** The source may have changed since. */
  readonly changed: boolean;
}

/** Copies tables in the present moment, into what `prepare` has made. */
export async function copyTables(run: Run, works: readonly Work[], snapshot: Snapshot, number: number): Promise<void> {
  for (const { mapping, empty, overwrite, tasks } of works) {
    if (empty) forgetRejects(run, mapping);
    await run.destination.prepare(run.id, mapping, { empty, keyed: overwrite, tasks }, run.signal);
  }
  const jobs = works.flatMap((work) => work.jobs).sort((a, b) => size(b) - size(a));
  await copy(jobs, snapshot, limitsOf(run.config), {
    run: run.id, destination: run.destination, emit: run.emit, signal: run.signal,
    begun: (task) => run.store.begun(run.id, task, number),
    rejected: (mapping, rows) => reject(run, mapping, rows),
  });
}

/** Writes rejected rows to the run's reject file and tells of them. Fails with `waiting` where they are more than `--max-rejects`. */
export function reject(run: Run, mapping: Mapping, rows: readonly Rejected[], position?: string): void {
  const count = run.store.reject(run.id, rows.map((rejected) => lineOf(mapping.source, rejected, position)));
  for (const rejected of rows) run.emit({ kind: 'rejected', rejected, count });
  const last = rows.find(({ column }) => endsWith(mapping, column));
  if (last) throw new DsyncError('data', `${mapping.source.namespace}, row ${keyText(mapping.source, last.row)} can't be kept (${last.reason}), and --on-bad-value fail ends the run; the row is in the reject file`, { namespace: mapping.source.namespace, remedy: 'mend the row and start over, or go on without it: dsync resume' });
  refuseMore(run, count, rows.at(-1));
}

export function lineOf(shape: Shape, { namespace, row, reason, partial }: Rejected, position?: string): RejectLine {
  const told = tellRow(shape.columns, row);
  return {
    version: 2, namespace, key: keyText(shape, row), ...(shape.key.length === 0 && { keyless: true as const }), ...(partial && { partial }), reason,
    ...(position !== undefined && { position }), digest: digestOf(told), row: told,
  };
}

/** Of a row as a reject file has it. */
export function digestOf(told: RejectLine['row']): string {
  return createHash('sha256').update(JSON.stringify(told)).digest('hex').slice(0, 16);
}

/** The rows of a table that is read in a later moment are rejected anew, if they are. */
export function forgetRejects(run: Run, { source: { namespace } }: Mapping): void {
  if (run.store.rejects(run.id).keys.has(namespace)) run.store.unreject(run.id, namespace);
}

/** Rejected rows of all processes of the run count, not those that a later moment has shown to fit. */
export function refuseMore(run: Run, count: number, last?: Rejected): void {
  const { maxRejects } = run.config;
  if (maxRejects === undefined || count <= maxRejects) return;
  const { path } = run.store.rejects(run.id);
  throw new DsyncError('waiting', `${counted(count)} rejected, more than --max-rejects ${maxRejects}${last ? `; the last one of ${last.namespace}: ${last.reason}` : ''}; all of them are in ${path}`, {
    namespace: last?.namespace, remedy: `mend what does not fit, then go on with more of them allowed: dsync resume ${run.id} --max-rejects ${Math.max(count, 10 * maxRejects)}`,
  });
}

function counted(count: number): string {
  return count === 1 ? '1 row was' : `${count} rows were`;
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

function size(job: CopyJob): number {
  return job.read.shape.estimatedBytes ?? job.read.shape.estimatedRows ?? 0;
}
