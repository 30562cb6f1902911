import type { ChangeLog, Mapping, Moment, Position, Shape, Snapshot } from '../contract.js';
import { DsyncError } from '../errors.js';
import { literally } from '../source/selection.js';
import type { Apart } from './apart.js';
import { isReadable, logOf } from './ends.js';
import { tasksOf } from './moment.js';
import { compareStale, unreadable } from './prove.js';
import { reshaped, retaken, sameShape } from './reshape.js';
import { placesOf, selectionOf } from './route.js';
import { copyTables, forgetRejects, type Run, type Work } from './run.js';
import { adaptAll, agreementOf, refuseLosses, refuseRows } from './tables.js';

/**
 * Makes the tables that wait for it equal to the source, in a moment whose position is exact, or after one whose log goes by key; from
 * there on they are followed.
 * Nothing else may write meanwhile. A table with which that can't be done is paused. Fails with `source-lost` where the moment is
 * gone: the tables wait on, on disk.
 */
export async function resync(run: Run, apart: Apart): Promise<void> {
  for (const namespace of apart.waiting) {
    try {
      await resyncOne(run, apart, namespace);
    } catch (error) {
      if (run.signal.aborted || !(error instanceof DsyncError) || !ofTheTable.includes(error.code)) throw error;
      apart.set(namespace, { state: 'paused', why: error.message, failed: true, ...(apart.isFresh(namespace) && { fresh: true }) });
    }
  }
}

const ofTheTable: readonly string[] = ['data', 'refused', 'denied', 'not-ready', 'usage', 'internal'];

async function resyncOne(run: Run, apart: Apart, namespace: string): Promise<void> {
  const fresh = apart.isFresh(namespace);
  if (!(await isReadable(run.config.destination))) throw new DsyncError('refused', unreadable, { namespace });
  const log = logOf(run.source);
  await using snapshot = await log.pin(run.id, run.mappings.map(({ source }) => source), (pin) => run.store.update(run.id, { log: { pin } }), run.signal);
  const mapping = await presentMapping(run, namespace);
  const number = noted(run, snapshot.moment);
  const work = await workOf(run, mapping, snapshot, fresh);
  forgetRejects(run, mapping);
  if (fresh) await copied(run, work, snapshot, number);
  else await compareStale(run, [work], snapshot);
  apart.set(namespace, { state: 'since', position: positionOf(snapshot, log) });
}

/** The table as it is now, which the moment shows: what was altered since it was last followed is taken up here. */
async function presentMapping(run: Run, namespace: string): Promise<Mapping> {
  const mapping = run.mappings.find(({ source }) => source.namespace === namespace);
  if (!mapping) throw new DsyncError('usage', `the run has no table ${namespace}`, { namespace });
  const [now] = await run.source.shapes({ include: [literally(namespace)], exclude: [] }, run.signal);
  if (!now) throw new DsyncError('refused', `${namespace} is no longer in the source`, { namespace });
  if (run.config.onDdl === 'ignore' && !sameShape(mapping.source, now)) {
    const next = await retaken(run, mapping, now);
    remap(run, next);
    return next;
  }
  if (sameShape(mapping.source, now)) {
    remap(run, mapping);
    return mapping;
  }
  const next = await reshaped(run, mapping, now);
  remap(run, next.mapping, next.logged);
  return next.mapping;
}

/** The run goes on with this mapping in the place of the table's old one; with `place` in the same step as that is reached. */
export function remap(run: Run, mapping: Mapping, logged?: Shape, place?: { readonly position: Position; readonly changes: number }): void {
  const { namespace } = mapping.source;
  run.mappings = run.mappings.map((one) => (one.source.namespace === namespace ? mapping : one));
  run.store.update(run.id, { mappings: run.mappings, log: { ...(place && { place }), stops: { [namespace]: null }, shapes: { [namespace]: logged ?? null } } });
}

function noted(run: Run, moment: Moment): number {
  run.moments = [...run.moments, moment];
  run.store.update(run.id, { moments: run.moments });
  run.emit({ kind: 'moment', moment, number: run.moments.length - 1 });
  return run.moments.length - 1;
}

/** Changes by key make of rows that were read after the position what they became. */
function positionOf({ moment: { exact, position, how } }: Snapshot, { byKey }: ChangeLog): Position {
  if ((exact || byKey) && position !== undefined) return position;
  throw new DsyncError('not-ready', `the source gives its readers no common moment that is a place in its log (${how})`);
}

async function workOf(run: Run, mapping: Mapping, snapshot: Snapshot, fresh: boolean): Promise<Work> {
  const { namespace } = mapping.source, known = run.tasks.filter((task) => task.namespace === namespace);
  const tasks = known.length > 0 && !fresh ? known : await tasksOf(mapping, run, snapshot);
  run.tasks = [...run.tasks.filter((task) => task.namespace !== namespace), ...tasks];
  run.store.update(run.id, { tasks: run.tasks });
  const table = { mapping, agreement: agreementOf(mapping, run.source, run.destination), overwrite: false };
  const jobs = fresh ? tasks.map((task) => ({ table, read: { task, shape: mapping.source, format: table.agreement.read, where: undefined, sequence: 0 } })) : [];
  return { mapping, tasks, jobs, empty: fresh, overwrite: false, stale: true, changed: true };
}

async function copied(run: Run, work: Work, snapshot: Snapshot, number: number): Promise<void> {
  const { source: { namespace, estimatedRows, estimatedBytes } } = work.mapping;
  run.emit({ kind: 'planned', namespace, tasks: work.tasks.length, copiedRows: 0, estimatedRows, estimatedBytes });
  await copyTables(run, [work], snapshot, number);
  for (const finding of await run.destination.finish(run.id, work.mapping, { keepRows: false }, run.signal)) run.emit({ kind: 'finding', end: 'destination', finding });
  run.emit({ kind: 'finished', namespace });
}

/** Takes a table of the source into the run; it is copied at the next opportunity. Fails where it can't be, and nothing is changed then. */
export async function add(run: Run, apart: Apart, name: string): Promise<string> {
  const { source, destination, config, signal } = run;
  const named = (pattern: string) => source.shapes(selectionOf([pattern], [], source), signal);
  const exactly = await named(literally(name)), shapes = exactly.length > 0 ? exactly : await named(name);
  if (shapes.length !== 1) throw new DsyncError('usage', shapes.length === 0 ? `the source has no table ${name}` : `${name} names ${shapes.length} tables`, { remedy: 'name one table, as dsync plan does' });
  const [shape] = shapes, { namespace } = shape;
  if (run.mappings.some((mapping) => mapping.source.namespace === namespace)) throw new DsyncError('usage', `the run has the table ${namespace} already`, { remedy: `dsync tables ${run.id} resync ${namespace} copies it anew` });
  const targets = placesOf([...run.mappings.map((mapping) => mapping.source), shape], config.namespaces, source, destination);
  const [mapping] = await adaptAll(new Map([[shape, targets.get(shape)!]]), destination, signal);
  refuseLosses([mapping], config.acceptLoss);
  await refuseRows([mapping], { ...config, existing: 'refuse' }, destination, signal);
  for (const { level, message, remedy } of await logOf(source).check([shape], signal)) if (level === 'error') throw new DsyncError('not-ready', message, { namespace, remedy });
  // First apart, then part of the run: a crash between leaves a name that means nothing.
  apart.set(namespace, { state: 'resync', why: 'it is new', fresh: true });
  run.mappings = [...run.mappings, mapping];
  run.store.update(run.id, { mappings: run.mappings });
  return namespace;
}
