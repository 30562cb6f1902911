import pLimit from 'p-limit';
import { reached, type Reached } from '../channel/ledger.js';
import type { ChangeLog, Mapping, Snapshot, Task } from '../contract.js';
import { DsyncError } from '../errors.js';
import type { CopyJob, CopyTable } from './copy.js';
import { logOf } from './ends.js';
import { verifyRun } from './prove.js';
import { copyTables, enter, forgetRejects, refuseMore, type Run, type Work } from './run.js';
import { buildObjects, releaseObjects } from './schema.js';
import { agreementOf } from './tables.js';

const megabyte = 1 << 20;

/** What the destination has of each task. */
type Far = ReadonlyMap<string, Reached>;

/**
 * Copies, finishes and verifies what is left to do, all under one moment of the source. Fails with `source-lost` if the
 * moment is gone: the caller may call again, and what was copied before is then stale, to be mended.
 */
export async function runInOneMoment(run: Run): Promise<void> {
  const progress = await run.destination.progress(run.id, run.signal);
  if (!progress) throw new DsyncError('busy', `run ${run.id} was taken over or cleaned up by another process`);
  await using snapshot = await freeze(run);
  const number = run.moments.length;
  run.moments = [...run.moments, snapshot.moment];
  run.store.update(run.id, { moments: run.moments });
  run.emit({ kind: 'moment', moment: snapshot.moment, number });
  const far = reached(progress);
  await plan(run, far, snapshot);
  const works = worksOf(run, far);
  // What is mended below shows anew which rows don't fit.
  if (isCompared(run)) for (const { mapping } of works.filter(({ changed }) => changed)) forgetRejects(run, mapping);
  await copyAll(run, works, snapshot, number);
  await finishAll(run, works);
  await releaseObjects(run, works.filter(({ stale }) => stale).map(({ mapping }) => mapping));
  await verifyRun(run, works, snapshot);
  refuseMore(run, run.store.rejects(run.id).count);
  await buildObjects(run);
}

/** A live copy of no single moment is made right by its log, and not compared before. */
function isCompared({ config, moments }: Run): boolean {
  return !config.live || moments.at(-1)!.exact;
}

/** A live run's moment is a place in the log as well, which the source keeps from then on. */
async function freeze(run: Run): Promise<Snapshot> {
  const shapes = run.mappings.map((mapping) => mapping.source);
  if (!run.config.live) return run.source.snapshot(shapes, run.signal);
  const log = logOf(run.source), snapshot = await log.pin(run.id, shapes, (pin) => run.store.update(run.id, { log: { pin } }), run.signal);
  if (snapshot.moment.exact && snapshot.moment.position !== undefined) return snapshot;
  if (log.byKey && snapshot.moment.position !== undefined) return fromTheFirst(run, log, snapshot);
  await snapshot[Symbol.asyncDispose]();
  throw new DsyncError('not-ready', `the source gives its readers no common moment that is a place in its log (${snapshot.moment.how})`, { remedy: 'dsync doctor names what is missing' });
}

/**
 * A copy of no single moment is followed from where it began: what an earlier process has copied is made right by the log
 * since then, and by nothing else. Fails with `history-lost` where the log does not reach back so far any more.
 */
async function fromTheFirst(run: Run, log: ChangeLog, snapshot: Snapshot): Promise<Snapshot> {
  const position = run.moments[0]?.position;
  if (position === undefined) return snapshot;
  await log.retention(run.id, position, run.signal);
  return { ...snapshot, moment: { ...snapshot.moment, position } };
}

/** Divides the tables into tasks, once in a run's life, and remembers them before any row is read. */
async function plan(run: Run, far: Far, snapshot: Snapshot): Promise<void> {
  enter(run, 'plan');
  run.tasks = run.tasks.length > 0 ? run.tasks : (await Promise.all(run.mappings.map((mapping) => tasksOf(mapping, run, snapshot)))).flat();
  run.store.update(run.id, { tasks: run.tasks });
  for (const mapping of run.mappings) run.emit({ kind: 'planned', ...leftOf(mapping, run.tasks, far) });
}

/** What there is to copy of a table, and what the destination has of it. */
function leftOf({ source, staged }: Mapping, tasks: readonly Task[], far: Far) {
  const { namespace, estimatedRows, estimatedBytes } = source;
  const own = tasks.filter((task) => task.namespace === namespace);
  const copiedRows = staged ? 0 : own.reduce((sum, task) => sum + (far.get(task.id)?.rows ?? 0), 0);
  return { namespace, tasks: own.filter((task) => !far.get(task.id)?.done).length, copiedRows, estimatedRows, estimatedBytes };
}

/** Some tasks for each reader, none too small to be worth a query and none so large that little can be resumed. */
export async function tasksOf(mapping: Mapping, run: Pick<Run, 'config' | 'where' | 'signal'>, snapshot: Snapshot): Promise<readonly Task[]> {
  const { namespace, estimatedBytes } = mapping.source;
  const share = (estimatedBytes ?? 0) / (4 * run.config.concurrency);
  const taskBytes = Math.min(256 * megabyte, Math.max(8 * megabyte, share));
  return snapshot.plan(mapping.source, { taskBytes, where: run.where(namespace) }, run.signal);
}

/** What is left of each table. The destination's progress decides; the local state adds the tasks whose first batch may have landed unseen. */
function worksOf(run: Run, far: Far): readonly Work[] {
  const number = run.moments.length - 1;
  const unchanged = run.moments.every((moment) => moment.fingerprint !== undefined && moment.fingerprint === run.moments[number].fingerprint);
  const begun = run.store.allBegun(run.id);
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
      stale: touched, changed: touched && !unchanged,
    };
  });
}

function jobOf(task: Task, table: CopyTable, run: Run, far: Reached | undefined): CopyJob {
  const { source } = table.mapping;
  // Rows that were rejected before a process died may be in no file: where nothing is compared they are read again.
  const after = isCompared(run) ? far?.cursor : undefined;
  const read = { task, shape: source, format: table.agreement.read, where: run.where(source.namespace), after, sequence: far?.sequence ?? 0 };
  return { table, read };
}

async function copyAll(run: Run, works: readonly Work[], snapshot: Snapshot, number: number): Promise<void> {
  enter(run, 'copy');
  await copyTables(run, works.filter((work) => work.jobs.length > 0), snapshot, number);
}

/** Builds keys and swaps staging tables in, several tables at a time. */
async function finishAll(run: Run, works: readonly Work[]): Promise<void> {
  enter(run, 'finish');
  const limit = pLimit(run.config.concurrency);
  const keepRows = run.config.existing === 'append' || run.config.existing === 'merge';
  await Promise.all(works.map(({ mapping }) => limit(async () => {
    const findings = await run.destination.finish(run.id, mapping, { keepRows }, run.signal);
    for (const finding of findings) run.emit({ kind: 'finding', end: 'destination', finding });
    run.emit({ kind: 'finished', namespace: mapping.source.namespace });
  })));
}
