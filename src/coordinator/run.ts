import pLimit from 'p-limit';
import { reached, type Reached } from '../channel/ledger.js';
import type { Destination, Mapping, Moment, ProgressRow, Rejected, Snapshot, Source, Task } from '../contract.js';
import { DsyncError } from '../errors.js';
import { keyText } from '../verifier/key.js';
import { spellAny } from '../values/normal.js';
import type { Ports, RunConfig } from './config.js';
import { copy, type CopyJob, type CopyTable } from './copy.js';
import { batchBytesOf } from './ends.js';
import { agreementOf } from './tables.js';
import { verifyRun } from './prove.js';

/** A run that is under way: its ends, its plan, and what it has been told. `emit` is the run's own tally. */
export interface Run extends Ports {
  readonly id: string;
  readonly config: RunConfig;
  source: Source;
  readonly destination: Destination;
  readonly mappings: readonly Mapping[];
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

const megabyte = 1 << 20;

/**
 * Copies, finishes and verifies what is left to do, all under one moment of the source. Fails with `source-lost` if the
 * moment is gone: the caller may call again, and what was copied before is then stale, to be mended.
 */
export async function runInOneMoment(run: Run): Promise<void> {
  const progress = await run.destination.progress(run.id, run.signal);
  if (!progress) throw new DsyncError('busy', `run ${run.id} was taken over or cleaned up by another process`);
  await using snapshot = await run.source.snapshot(run.mappings.map((mapping) => mapping.source), run.signal);
  const number = run.moments.length;
  run.moments = [...run.moments, snapshot.moment];
  run.store.update(run.id, { moments: run.moments });
  run.emit({ kind: 'moment', moment: snapshot.moment, number });
  await plan(run, snapshot);
  const works = worksOf(run, progress);
  await copyAll(run, works, snapshot, number);
  await finishAll(run, works);
  await verifyRun(run, works, snapshot);
}

/** Divides the tables into tasks, once in a run's life, and remembers them before any row is read. */
async function plan(run: Run, snapshot: Snapshot): Promise<void> {
  enter(run, 'plan');
  const tasks = run.tasks.length > 0 ? run.tasks : (await Promise.all(run.mappings.map((mapping) => tasksOf(mapping, run, snapshot)))).flat();
  run.tasks = tasks;
  run.store.update(run.id, { tasks });
  for (const { source } of run.mappings) {
    const count = tasks.filter((task) => task.namespace === source.namespace).length;
    run.emit({ kind: 'planned', namespace: source.namespace, tasks: count, estimatedRows: source.estimatedRows, estimatedBytes: source.estimatedBytes });
  }
}

/** Some tasks for each reader, none too small to be worth a query and none so large that little can be resumed. */
export async function tasksOf(mapping: Mapping, run: Pick<Run, 'config' | 'where' | 'signal'>, snapshot: Snapshot): Promise<readonly Task[]> {
  const { namespace, estimatedBytes } = mapping.source;
  const share = (estimatedBytes ?? 0) / (4 * run.config.concurrency);
  const taskBytes = Math.min(256 * megabyte, Math.max(8 * megabyte, share));
  return snapshot.plan(mapping.source, { taskBytes, where: run.where(namespace) }, run.signal);
}

/** What is left of each table. The destination's progress decides; the local state adds the tasks whose first batch may have landed unseen. */
export function worksOf(run: Run, progress: readonly ProgressRow[]): readonly Work[] {
  const number = run.moments.length - 1;
  const unchanged = run.moments.every((moment) => moment.fingerprint !== undefined && moment.fingerprint === run.moments[number].fingerprint);
  const far = reached(progress), begun = run.store.allBegun(run.id);
  const wasBegun = (task: Task) => far.has(task.id) || (begun.get(task.id) ?? number) < number;
  return run.mappings.map((mapping) => {
    const tasks = run.tasks.filter((task) => task.namespace === mapping.source.namespace);
    const touched = tasks.some(wasBegun);
    const open = tasks.filter((task) => !far.get(task.id)?.done && !(run.config.existing === 'append' && !mapping.staged && wasBegun(task)));
    const overwrite = !mapping.staged && (run.config.existing === 'merge' || (run.config.existing !== 'append' && touched));
    const table: CopyTable = { mapping, agreement: agreementOf(mapping, run.source, run.destination), overwrite };
    return {
      mapping, tasks, overwrite,
      jobs: open.map((task) => jobOf(task, table, run, mapping.staged ? undefined : far.get(task.id))),
      empty: mapping.staged ? open.length > 0 : run.config.existing === 'replace' && !touched,
      stale: touched && !unchanged,
    };
  });
}

function jobOf(task: Task, table: CopyTable, run: Run, far: Reached | undefined): CopyJob {
  const { source } = table.mapping;
  const read = { task, shape: source, format: table.agreement.read, where: run.where(source.namespace), after: far?.cursor, sequence: far?.sequence ?? 0 };
  return { table, read };
}

async function copyAll(run: Run, works: readonly Work[], snapshot: Snapshot, number: number): Promise<void> {
  enter(run, 'copy');
  await copyTables(run, works.filter((work) => work.jobs.length > 0), snapshot, number);
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

/** Builds keys and swaps staging tables in, several tables at a time. */
export async function finishAll(run: Run, works: readonly Work[]): Promise<void> {
  enter(run, 'finish');
  const limit = pLimit(run.config.concurrency);
  const keepRows = run.config.existing === 'append' || run.config.existing === 'merge';
  await Promise.all(works.map(({ mapping }) => limit(async () => {
    const findings = await run.destination.finish(run.id, mapping, { keepRows }, run.signal);
    for (const finding of findings) run.emit({ kind: 'finding', end: 'destination', finding });
    run.emit({ kind: 'finished', namespace: mapping.source.namespace });
  })));
}

/** Writes rejected rows to the run's reject file and tells of them. */
export function reject(run: Run, mapping: Mapping, rows: readonly Rejected[]): void {
  const { columns, namespace } = mapping.source;
  run.store.reject(run.id, rows.map(({ row, reason }) => ({
    namespace, reason, key: keyText(mapping.source, row),
    row: Object.fromEntries(columns.map((column, i) => [column.name, readable(row[i])])),
  })));
  for (const rejected of rows) run.emit({ kind: 'rejected', rejected });
}

export function enter(run: Run, phase: 'plan' | 'copy' | 'finish' | 'verify' | 'done'): void {
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
