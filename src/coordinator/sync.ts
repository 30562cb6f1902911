import type { Destination, Finding, Mapping, Phase, RunState, Shape, Source } from '../contract.js';
import { DsyncError, messageOf } from '../errors.js';
import { Apart } from './apart.js';
import type { Onlooker, Ports, RunConfig, RunReport } from './config.js';
import { adoptFrom, fromPosition, refuseToBegin } from './changes.js';
import { isSameSource } from './continuity.js';
import { doneCutover, giveUp, type CutoverReport } from './cutover.js';
import { logOf, openDestination, openOptions, openSourceOf } from './ends.js';
import { follow, startOf } from './follow.js';
import { otherEnd, throughLosses } from './losses.js';
import { runInOneMoment } from './moment.js';
import { notComparable, notYet, unreadable } from './prove.js';
import { withinRetained } from './retained.js';
import { filtersOf, selectionOf } from './route.js';
import { refuseUnnamed, withRules, type Rules } from './rules.js';
import type { Run } from './run.js';
import { adaptTables, buildObjects, objectFindings } from './schema.js';
import { agreedOf, agreementOf, refuseKeylessMerge, refuseLosses, refuseRows } from './tables.js';
import { tallying, type Tally } from './tally.js';
import { telling } from './vitals.js';

/** The whole way of a new run: check → plan → copy → finish → verify. */
export async function sync(config: RunConfig, ports: Ports): Promise<RunReport> {
  await using _lock = await ports.store.lock(ports.flow);
  using vitals = telling(ports.store);
  const tally = tallying((event) => { vitals.take(event); ports.emit(event); });
  const inner: Ports = { ...ports, emit: tally.emit };
  const id = ports.newRunId();
  return await withEnds(config, inner, async (source, destination) => {
    tally.emit({ kind: 'phase', phase: 'check' });
    const mappings = await check(config, inner, source, destination);
    const state = await firstState(id, inner, mappings, source, destination);
    if (config.from === undefined) await refuseRows(mappings, config, destination, ports.signal).catch((error: unknown) => { throw withInterrupted(error, inner); });
    inner.store.save(config.from === undefined ? state : fromPosition(state, config.from));
    tally.emit({ kind: 'run', run: id, flow: ports.flow, resumed: false });
    return goOn(runOf(state, config, inner, source, destination), tally, config.from === undefined ? undefined : 'follow');
  });
}

/** Goes on with an interrupted run, under a new moment of the source; what the old one left behind is mended at the end. */
export async function resume(state: RunState, config: RunConfig, ports: Ports): Promise<RunReport> {
  await using _lock = await ports.store.lock(state.flow);
  using vitals = telling(ports.store);
  const tally = tallying((event) => { vitals.take(event); ports.emit(event); });
  const inner: Ports = { ...ports, emit: tally.emit };
  tally.emit({ kind: 'run', run: state.run, flow: state.flow, resumed: true });
  return await withEnds(config, inner, async (source, destination) => {
    tally.emit({ kind: 'phase', phase: 'check' });
    await refuseOtherEnds(state, source, destination, ports.signal);
    // The log tells a run that follows what became of its tables.
    if (state.phase !== 'follow') await refuseOtherShapes(state, config, source, ports.signal);
    if (state.moments.length > 0 && !(await destination.progress(state.run, ports.signal))) throw vanished(state.run);
    announce(state.mappings, inner, source, destination);
    report('destination', state.mappings.flatMap((mapping) => objectFindings(mapping, destination.objects?.(mapping) ?? [], config.live)), inner);
    inner.store.update(state.run, { status: 'running', config: inner.storedConfig });
    return goOn(runOf(state, config, inner, source, destination), tally, state.phase);
  }, state.mappings.map((mapping) => mapping.source));
}

/**
 * Reads what there is to copy and checks both ends; returns each table beside its place in the destination. Fails with
 * `usage` where nothing matches, `refused` where something would be lost, and with the first error that a check found.
 */
export async function check(config: RunConfig, ports: Ports, source: Source, destination: Destination): Promise<readonly Mapping[]> {
  const shapes = await selectedShapes(config, source, ports.signal);
  if (config.live) refuseViews(shapes);
  filtersOf(config.where, shapes);
  const { mappings, findings } = await adaptTables(config, source, destination, shapes, ports.signal);
  report('source', await source.check(shapes, ports.signal), ports);
  report('destination', [...await destination.check(mappings, ports.signal), ...findings], ports);
  if (config.live) await checkLive(config, ports, source, destination, shapes);
  if (config.from !== undefined) refuseToBegin(mappings, config.from, logOf(source));
  refuseLosses(mappings, config.acceptLoss);
  refuseKeylessMerge(mappings, config);
  announce(mappings, ports, source, destination);
  return mappings;
}

/** What a view shows changes with the tables behind it, and is in no log. */
function refuseViews(shapes: readonly Shape[]): void {
  const views = shapes.filter(({ view }) => view).map(({ namespace }) => namespace);
  if (views.length === 0) return;
  throw new DsyncError('usage', `${views.join(', ')}: a view has no log that could be followed`, {
    namespace: views[0], remedy: `leave out --live, or leave the views out: --views skip, --views definition, or ${views.map((namespace) => `--exclude '${namespace}'`).join(' ')}`,
  });
}

async function checkLive(config: RunConfig, ports: Ports, source: Source, destination: Destination, shapes: readonly Shape[]): Promise<void> {
  if (Object.keys(config.where).length > 0) throw new DsyncError('usage', 'a filter (--where) is not applied to the log: --live takes whole tables', { remedy: 'leave out one of the two' });
  if (!destination.apply) throw new DsyncError('usage', `${destination.engine} can't apply changes`, { remedy: 'leave out --live' });
  refuseUnheld(config, source);
  refuseKeyless(destination, shapes);
  report('source', await logOf(source).check(shapes, ports.signal), ports);
}

function refuseKeyless({ appliesByKey, engine }: Destination, shapes: readonly Shape[]): void {
  const keyless = shapes.filter(({ key }) => key.length === 0).map(({ namespace }) => namespace);
  if (!appliesByKey || keyless.length === 0) return;
  throw new DsyncError('refused', `${keyless.join(', ')} ${keyless.length === 1 ? 'has' : 'have'} no key: changes could be applied to ${engine} twice`, {
    namespace: keyless[0], remedy: `leave ${keyless.length === 1 ? 'it' : 'them'} out: ${keyless.map((namespace) => `--exclude '${namespace}'`).join(' ')}; or give ${keyless.length === 1 ? 'it a key' : 'them keys'}`,
  });
}

/** What is said of a slot, to a source that keeps its log without one. */
function refuseUnheld(config: RunConfig, source: Source): void {
  const { slot, publication, failoverSlot, maxRetainedBytes } = config;
  const named = Object.entries({ '--slot': slot, '--publication': publication, '--failover-slot': failoverSlot, '--max-retained': maxRetainedBytes }).flatMap(([flag, value]) => (value === undefined ? [] : [flag]));
  if (named.length === 0 || logOf(source).held) return;
  throw new DsyncError('usage', `${source.engine} keeps its log as long as its own settings say, and not for a run: ${named.join(', ')} can't be heeded`, { remedy: `leave out ${named.join(' and ')}` });
}

export async function selectedShapes(config: Pick<RunConfig, 'namespaces' | 'exclude' | 'views'> & Partial<Rules>, source: Source, signal: AbortSignal): Promise<readonly Shape[]> {
  const shapes = await source.shapes(selectionOf(config.namespaces, config.exclude, source, config.views === 'as-tables'), signal);
  if (shapes.length > 0) refuseUnnamed(config, shapes);
  if (shapes.length > 0) return shapes;
  const all = (await source.shapes({ include: ['*'], exclude: [] }, signal)).map((shape) => shape.namespace);
  const there = all.length === 0 ? 'the source has no tables' : `the source has ${all.slice(0, 10).join(', ')}${all.length > 10 ? `, and ${all.length - 10} more` : ''}`;
  throw new DsyncError('usage', `nothing to sync: no table matches ${config.namespaces.join(', ') || 'what is left after --exclude'}; ${there}`);
}

/** Opens both ends for an action and closes them after it, whatever happens. `known`: shapes that the run has already. */
export async function withEnds<T>(config: RunConfig, ports: Onlooker, action: (source: Source, destination: Destination) => Promise<T>, known?: readonly Shape[]): Promise<T> {
  const source = await openSourceOf(config, openOptions(config, ports.signal), known);
  try {
    await using destination = await openDestination(config, ports);
    return await action(withRules(source, config, destination, ports.emit), destination);
  } finally {
    await source[Symbol.asyncDispose]();
  }
}

/** Runs to the end; where the source is lost on the way, waits for it and goes on under a new moment. */
async function goOn(unbounded: Run, tally: Tally, phase?: Phase): Promise<RunReport> {
  const { run, stop } = withinRetained(unbounded);
  try {
    await run.destination.begin(run.id, run.signal);
    const done = doneCutover(run.store, run.id);
    if (!done && phase !== 'follow') await throughMoments(run, tally);
    const follows = !done && run.config.live && isEqual(tally), cutover = follows ? await followToCutover(run) : done;
    if (follows) tellOfLeft(run);
    if (cutover) await endFollowing(run);
    return conclude(run, tally, cutover);
  } catch (error) {
    const cause = run.signal.aborted ? run.signal.reason : error;
    rememberFailure(run, cause);
    throw cause;
  } finally {
    await stop();
  }
}

/** What was not followed to the end is not called equal. */
function tellOfLeft(run: Run): void {
  const apart = new Apart(run);
  for (const mapping of run.mappings) {
    const state = apart.get(mapping.source.namespace);
    if (apart.isLeft(mapping.source.namespace)) run.emit({ kind: 'verified', verification: notComparable(mapping, `it is apart (${state?.state}): dsync tables ${run.id} resync ${mapping.source.namespace} makes it equal`) });
  }
}

/** A cutover that was cut short with its process is undone first. */
async function followToCutover(run: Run): Promise<CutoverReport | undefined> {
  await giveUp(run);
  await adoptFrom(run, logOf(run.source));
  const ending = await follow(run, startOf(run.store.load(run.id)!));
  return ending.kind === 'cutover' ? ending.result as CutoverReport : undefined;
}

/** What ties rows together can be made now that no change comes any more; then the source's log may go. */
async function endFollowing(run: Run): Promise<void> {
  await buildObjects(run, false);
  await logOf(run.source).unpin(run.id, run.signal);
}

/** Where even this can't be written, the error that came first is the one to tell. */
function rememberFailure(run: Run, error: unknown): void {
  try {
    run.store.update(run.id, { status: run.signal.aborted ? 'interrupted' : 'failed', summary: { error: messageOf(error) } });
  } catch {
    // A run that is still 'running' here with nobody holding its flow is resumed like an interrupted one.
  }
}

/** Each try but the first begins anew: an earlier one may have left a write on its way. */
async function throughMoments(run: Run, tally: Tally): Promise<void> {
  let first = true;
  await throughLosses(run, () => tally.rows, async () => {
    if (!first) await run.destination.begin(run.id, run.signal);
    first = false;
    await runInOneMoment(run);
  });
}

/** As far as it was compared. What its log is to make right is followed. */
function isEqual({ verification }: Tally): boolean {
  return verification.every(({ result, reason }) => result === 'equal' || reason === unreadable || reason === notYet);
}

/** After a cutover its own comparison counts. */
function conclude(run: Run, tally: Tally, cutover?: CutoverReport): RunReport {
  const verification = cutover?.tables ?? tally.verification;
  const unsettled = verification.some((one) => one.result === 'not-comparable');
  const unequal = verification.some((one) => one.result === 'different' || (one.result === 'not-comparable' && one.reason !== unreadable));
  const rejects = run.store.rejects(run.id), { count } = rejects;
  const status = verification.some((one) => one.result === 'different') ? 'different' : count > 0 && !unequal ? 'rejected' : unsettled ? 'not-comparable' : 'done';
  run.emit({ kind: 'phase', phase: 'done' });
  const ends = { source: run.source.version, destination: run.destination.version };
  const report: RunReport = {
    run: run.id, flow: run.flow, status, exitStatus: unequal ? 4 : count > 0 ? 6 : 0, ...ends,
    agreed: tally.agreed, tasks: run.tasks.length, rows: tally.rows, bytes: tally.bytes, seconds: tally.seconds(), phases: tally.phases(),
    moments: run.moments, mended: { upserted: tally.upserted, deleted: tally.deleted, recopied: tally.recopied },
    rejected: { count, path: count > 0 ? rejects.path : undefined },
    ...(Object.keys(tally.nulled).length > 0 && { nulled: tally.nulled }),
    verification: verification.length > 0 ? verification : undefined, findings: tally.findings,
    ...(cutover && { cutover }),
  };
  run.store.update(run.id, { status: unequal ? 'failed' : 'done', phase: 'done', summary: report });
  return report;
}

function runOf(state: RunState, config: RunConfig, ports: Ports, source: Source, destination: Destination): Run {
  const { run: id, mappings, tasks, moments } = state;
  const where = filtersOf(config.where, mappings.map((mapping) => mapping.source));
  return { ...ports, id, config, source, destination, mappings, where, tasks, moments };
}

async function firstState(run: string, ports: Ports, mappings: readonly Mapping[], source: Source, destination: Destination): Promise<RunState> {
  const now = new Date().toISOString();
  return {
    run, flow: ports.flow, status: 'running', phase: 'check', startedAt: now, updatedAt: now, config: ports.storedConfig,
    sourceIdentity: await source.identity(ports.signal), destinationIdentity: await destination.identity(ports.signal),
    mappings, tasks: [], moments: [],
  };
}

function announce(mappings: readonly Mapping[], ports: Ports, source: Source, destination: Destination): void {
  for (const mapping of mappings) ports.emit({ kind: 'agreed', ...agreedOf(mapping, agreementOf(mapping, source, destination)) });
}

/** Tells of the findings; fails with the first that is an error, naming all of them. */
function report(end: 'source' | 'destination', findings: readonly Finding[], ports: Ports): void {
  for (const finding of findings) ports.emit({ kind: 'finding', end, finding });
  const errors = findings.filter((finding) => finding.level === 'error');
  if (errors.length === 0) return;
  const remedies = errors.flatMap((finding) => finding.remedy ?? []);
  throw new DsyncError(errors[0].error ?? 'not-ready', `the ${end} is not ready: ${errors.map((finding) => finding.message).join('; ')}`, {
    namespace: errors[0].namespace, remedy: remedies.join('\n') || undefined,
  });
}

async function refuseOtherEnds(state: RunState, source: Source, destination: Destination, signal: AbortSignal): Promise<void> {
  if (!(await isSameSource(state, source, signal))) throw otherEnd('source', state.run);
  if ((await destination.identity(signal)) !== state.destinationIdentity) throw otherEnd('destination', state.run);
}

async function refuseOtherShapes(state: RunState, config: RunConfig, source: Source, signal: AbortSignal): Promise<void> {
  const now = new Map((await selectedShapes(config, source, signal)).map((shape) => [shape.namespace, shape]));
  const changed = state.mappings.filter((mapping) => !sameColumns(mapping, now.get(mapping.source.namespace))).map((mapping) => mapping.source.namespace);
  if (changed.length === 0) return;
  throw new DsyncError('refused', `the source's ${changed.join(', ')} changed shape (or vanished) since run ${state.run} began`, {
    remedy: `undo the change and resume, or forget this run ('dsync cleanup ${state.run}') and start over`,
  });
}

/** Columns that the destination computes by itself are no part of the run. */
function sameColumns({ source: then, objects }: Mapping, now: Shape | undefined): boolean {
  const known = new Set(then.columns.map(({ name }) => name));
  const computed = new Set(objects?.columns.flatMap(({ name, generated }) => (generated && !known.has(name) ? [name] : [])));
  const columns = (shape: Shape) => JSON.stringify([shape.columns.filter(({ name }) => !computed.has(name)).map(({ name, native }) => [name, native]), shape.key.map((i) => shape.columns[i].name)]);
  return now !== undefined && columns(then) === columns(now);
}

export function vanished(run: string): DsyncError {
  return new DsyncError('refused', `the destination no longer knows run ${run}: its _dsync progress is gone, so it was emptied or replaced since`, {
    remedy: `forget this run ('dsync cleanup ${run}') and start over with 'dsync sync'`,
  });
}

/** A table that holds rows may hold an interrupted run's: then the way on is to resume it. */
function withInterrupted(error: unknown, ports: Ports): unknown {
  const run = ports.store.list().find((state) => state.flow === ports.flow && state.status !== 'done');
  if (!(error instanceof DsyncError) || !run) return error;
  return new DsyncError(error.code, error.message, { cause: error.cause, remedy: `run ${run.run} of this flow was not finished: go on with 'dsync resume ${run.run}'. Or ${error.remedy}` });
}
