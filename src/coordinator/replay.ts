import { randomUUID } from 'node:crypto';
import type { Batch, Destination, Mapping, NamespaceVerification, NumberedReject, RejectLine, ReplayOutcome, Row, RunState, Snapshot, Source } from '../contract.js';
import { DsyncError, messageOf } from '../errors.js';
import { bytesOfRow } from '../source/batches.js';
import { ruledAgain } from '../source/ruled.js';
import { misfits, misfitsBetween } from '../values/misfits.js';
import { readRow, tellRow } from '../values/told-cells.js';
import { keyText } from '../verifier/key.js';
import { lookUp } from '../verifier/lookup.js';
import { destination as destinationSide, source as sourceSide } from '../verifier/rows.js';
import type { Ports, RunConfig } from './config.js';
import { isSameSource } from './continuity.js';
import { doneCutover } from './cutover.js';
import { isReadable, lookAtDestination, openDestination, openOptions, openSourceOf } from './ends.js';
import { otherEnd } from './losses.js';
import { compareNow } from './prove.js';
import { filtersOf } from './route.js';
import { withRules } from './rules.js';
import { digestOf, type Run } from './run.js';
import { vanished } from './sync.js';
import { refitted } from './tables.js';

export interface ReplayOptions {
  /** Another file than the run's own. */
  readonly file?: string;
  /** Looks, and writes nothing. */
  readonly dryRun: boolean;
  /** A row takes the place of one that stands under its key with other values. */
  readonly overwrite: boolean;
}

/** What a replay came to: what `--json` prints. With `dryRun`, what it would come to, as far as that can be told. */
export interface ReplayReport {
  readonly run: string;
  readonly exitStatus: 0 | 4 | 6;
  readonly dryRun: boolean;
  readonly written: number;
  /** At the destination already, as they are. */
  readonly there: number;
  /** The source of a live run has them no longer. */
  readonly gone: number;
  readonly left: readonly { readonly namespace: string; readonly key: string; readonly reason: string }[];
  readonly rejected: { readonly count: number; readonly path?: string };
  readonly verification?: readonly NamespaceVerification[];
  /** Why the tables were not compared with the source. */
  readonly unverified?: string;
}

/** A row to be written again. */
interface Candidate { readonly line: RejectLine; readonly row: Row; readonly edited: boolean }

interface Replaying {
  readonly run: string;
  readonly id: string;
  readonly config: RunConfig;
  readonly ports: Ports;
  readonly destination: Destination;
  readonly options: ReplayOptions;
  /** Of a live run that has not ended: its source as it is now. */
  readonly source?: Snapshot;
}

const batchRows = 500;
const stands = 'its key is at the destination with other values: --overwrite puts this row in their place';
const written = { done: 'written' } as const, there = { done: 'there' } as const, gone = { done: 'gone' } as const;

/**
 * Writes rejected rows again, each once, however often the process is killed: rows with a key are looked for first, and those
 * without are noted before they are written, in batches whose fate the destination remembers.
 */
export async function replay(state: RunState, config: RunConfig, ports: Ports, options: ReplayOptions): Promise<ReplayReport> {
  await using _lock = await ports.store.lock(state.flow);
  refuseUnfinished(state);
  ports.emit({ kind: 'phase', phase: 'check' });
  await using destination = await openDestination(config, ports);
  await refuseOther(state, destination, ports.signal);
  const mappings = await mappingsOf(state, destination, ports, options);
  if (!options.dryRun) await begin(state.run, mappings, config, ports, destination);
  const lines = groupsOf(ports.store.rejectLines(state.run, options.file), mappings, options.file ?? ports.store.rejects(state.run).path);
  ports.emit({ kind: 'phase', phase: 'copy' });
  const outcomes = await throughSource(state, config, ports, destination, async (source) => {
    const replaying: Replaying = { run: state.run, id: randomUUID(), config, ports, destination, options, ...(source && { source }) };
    return outcomesOf(replaying, state, lines);
  });
  const touched = [...lines].flatMap(([mapping, candidates]) => (candidates.length > 0 ? [mapping] : []));
  return await conclude(state, { config, ports, destination, mappings, options }, outcomes, touched);
}

async function outcomesOf(replaying: Replaying, state: RunState, lines: Groups): Promise<readonly ReplayOutcome[]> {
  const { ports: { store }, options, run, id } = replaying, outcomes: ReplayOutcome[] = [], keyless: [Mapping, readonly Candidate[]][] = [];
  for (const [mapping, candidates] of lines) {
    const of = (way: Way) => candidates.filter(({ line }) => wayOf(line, mapping, follows(state)) === way);
    outcomes.push(...left(of('anew'), anew(run, mapping, follows(state))));
    outcomes.push(...left(of('unknown'), 'only some of its cells are known, and the source is not asked any more'));
    if (of('keyed').length > 0) outcomes.push(...await replayKeyed(replaying, mapping, of('keyed')));
    if (of('keyless').length > 0) keyless.push([mapping, of('keyless')]);
  }
  const plan = keyless.flatMap(([, candidates]) => candidates.map(({ line }) => line));
  if (options.dryRun) return [...outcomes, ...plan.map((line) => ({ line, ...written }))];
  if (plan.length > 0) store.keepReplay(run, { id, lines: plan });
  for (const [mapping, candidates] of keyless) outcomes.push(...await insertKeyless(replaying, id, mapping, candidates));
  store.endReplay(run, id, outcomes);
  return outcomes;
}

function anew(run: string, { source: { namespace } }: Mapping, follows: boolean): string {
  return follows ? `a table without a key, which is followed, is not replayed: dsync tables ${run} resync ${namespace} copies it anew, while dsync resume ${run} goes on`
    : 'a change of a table without a key, which may have met other rows: copy the table anew';
}

type Way = 'keyed' | 'keyless' | 'anew' | 'unknown';

/** A change may have met rows without a key since, and nothing tells which; a change that was rejected may have been any. */
function wayOf({ position, partial }: RejectLine, { source }: Mapping, follows: boolean): Way {
  if (source.key.length === 0) return follows || position !== undefined ? 'anew' : 'keyless';
  return partial && !follows ? 'unknown' : 'keyed';
}

/** Takes the run, and ends what a killed replay has begun: the destination knows which batches of rows without a key it has. */
async function begin(run: string, mappings: readonly Mapping[], config: RunConfig, ports: Ports, destination: Destination): Promise<void> {
  const { store, signal } = ports;
  store.update(run, { mappings });
  await destination.begin(run, signal);
  const kept = store.keptReplay(run);
  if (!kept) return;
  const replaying: Replaying = { run, id: kept.id, config, ports, destination, options: { dryRun: false, overwrite: false } }, outcomes: ReplayOutcome[] = [];
  for (const [mapping, candidates] of groupsOf(kept.lines.map((line, i) => ({ number: i + 1, line })), mappings, 'the replay that was interrupted')) outcomes.push(...await insertKeyless(replaying, kept.id, mapping, candidates));
  store.endReplay(run, kept.id, outcomes);
}

// --- rows with a key -------------------------------------------------------

async function replayKeyed(replaying: Replaying, mapping: Mapping, given: readonly Candidate[]): Promise<readonly ReplayOutcome[]> {
  const outcomes: ReplayOutcome[] = [], fit = fitting(mapping, given, outcomes);
  const present = replaying.source ? await asInSource(replaying, replaying.source, mapping, fit, outcomes) : fit;
  const standing = await lookThere(replaying, mapping, present), missing: Candidate[] = [], others: Candidate[] = [];
  for (const [i, candidate] of present.entries()) {
    const found = standing.get(i);
    if (found?.equal) outcomes.push({ line: candidate.line, ...there });
    else if (!found) missing.push(candidate);
    else if (replaying.options.overwrite) others.push(candidate);
    else outcomes.push({ line: candidate.line, reason: stands });
  }
  if (replaying.options.dryRun) return [...outcomes, ...[...missing, ...others].map(({ line }) => ({ line, ...written }))];
  const sent = [...await insert(replaying, replaying.id, mapping, missing), ...await overwrite(replaying, mapping, others)];
  return [...outcomes, ...await readBack(replaying, mapping, [...missing, ...others], sent)];
}

/** A row of another type than its column's would be taken for what it is not. */
function fitting(mapping: Mapping, given: readonly Candidate[], outcomes: ReplayOutcome[]): readonly Candidate[] {
  const divide = mapping.source.origin ? misfits(mapping.source) : misfitsBetween(mapping), again = ruledAgain(mapping.source);
  return given.flatMap((candidate) => {
    const { row, reason = divide([row]).rejected[0]?.reason } = again(candidate.row);
    if (reason !== undefined) outcomes.push({ line: candidate.line, reason });
    return reason === undefined ? [{ ...candidate, row }] : [];
  });
}

/**
 * What became of the rows in the source of a live run. A row that was changed since is taken as it is now: the changes that are
 * still to be applied end in the same. One that is gone stays away.
 */
async function asInSource({ ports: { signal } }: Replaying, source: Snapshot, mapping: Mapping, candidates: readonly Candidate[], outcomes: ReplayOutcome[]): Promise<readonly Candidate[]> {
  const found = await lookUp(mapping, candidates.map(({ row }) => row), sourceSide, source, signal);
  return candidates.flatMap((candidate, i) => {
    const { line, edited } = candidate, now = found.get(i);
    if (!now) {
      outcomes.push({ line, ...gone });
      return [];
    }
    const changed = !now.equal && digestOf(tellRow(mapping.source.columns, now.row)) !== line.digest;
    if (!edited) return [changed ? { ...candidate, row: now.row } : candidate];
    if (changed) outcomes.push({ line, reason: 'the line was edited, and the row was changed in the source since: reject it anew, or write it as the source has it now' });
    return changed ? [] : [candidate];
  });
}

async function lookThere({ config, ports }: Replaying, mapping: Mapping, candidates: readonly Candidate[]): ReturnType<typeof lookUp> {
  if (candidates.length === 0 || !(await isReadable(config.destination))) return new Map();
  await using snapshot = await lookAtDestination(config, ports, [mapping.target]);
  return await lookUp(mapping, candidates.map(({ row }) => row), destinationSide, snapshot, ports.signal);
}

/** Only inserts: what came under a key in the meantime is not overwritten. */
async function insert(replaying: Replaying, id: string, mapping: Mapping, candidates: readonly Candidate[]): Promise<readonly ReplayOutcome[]> {
  const { run, destination, ports: { signal, emit } } = replaying, { namespace } = mapping.source, plain = { ...mapping, staged: false }, outcomes: ReplayOutcome[] = [];
  for (const [sequence, some] of batchesOf(candidates).entries()) {
    const rows = some.map(({ row }) => row), task = `replay/${id}/${namespace}`;
    const batch: Batch = { task, namespace, sequence, rows: { format: 'values', rows }, count: rows.length, bytes: rows.reduce((sum, row) => sum + bytesOfRow(row), 0) };
    const start = performance.now(), result = await destination.write(run, batch, plain, { overwrite: false, redo: true }, signal);
    emit({ kind: 'written', namespace, task, rows: result.written, bytes: batch.bytes, seconds: (performance.now() - start) / 1000 });
    outcomes.push(...outcomesOfRows(mapping, some, result.rejected));
  }
  return outcomes;
}

async function overwrite({ run, destination, ports: { signal } }: Replaying, mapping: Mapping, candidates: readonly Candidate[]): Promise<readonly ReplayOutcome[]> {
  const outcomes: ReplayOutcome[] = [];
  for (const some of batchesOf(candidates)) {
    const { rejected } = await destination.mend(run, mapping, { upserts: some.map(({ row }) => row), deletes: [] }, signal);
    outcomes.push(...outcomesOfRows(mapping, some, rejected));
  }
  return outcomes;
}

/** What was written is read again by the verifier's own way in. */
async function readBack(replaying: Replaying, mapping: Mapping, candidates: readonly Candidate[], sent: readonly ReplayOutcome[]): Promise<readonly ReplayOutcome[]> {
  const done = new Set(sent.filter(({ done }) => done).map(({ line }) => line)), looked = candidates.filter(({ line }) => done.has(line));
  if (looked.length === 0 || !(await isReadable(replaying.config.destination))) return sent;
  const standing = await lookThere(replaying, mapping, looked);
  const other = new Map(looked.flatMap(({ line }, i) => (standing.get(i)?.equal ? [] : [[line, standing.has(i) ? 'it was written, and read back with other values' : 'it was written, and is not there'] as const])));
  return sent.map((outcome) => (other.has(outcome.line) ? { line: outcome.line, reason: other.get(outcome.line)! } : outcome));
}

// --- rows without a key ----------------------------------------------------

/** The same batches each time, for the same lines: those that the destination has are not written again. */
async function insertKeyless(replaying: Replaying, id: string, mapping: Mapping, given: readonly Candidate[]): Promise<readonly ReplayOutcome[]> {
  const outcomes: ReplayOutcome[] = [];
  return [...await insert(replaying, id, mapping, fitting(mapping, given, outcomes)), ...outcomes];
}

/** Destinations tell rejected rows as they are spelled: they are found again by their keys, of equal rows as many as were rejected. */
function outcomesOfRows({ source }: Mapping, candidates: readonly Candidate[], rejected: readonly { readonly row: Row; readonly reason: string }[]): readonly ReplayOutcome[] {
  const reasons = new Map<string, string[]>();
  for (const { row, reason } of rejected) reasons.set(keyText(source, row), [...reasons.get(keyText(source, row)) ?? [], reason]);
  return candidates.map(({ line, row }) => {
    const reason = reasons.get(keyText(source, row))?.pop();
    return reason === undefined ? { line, ...written } : { line, reason };
  });
}

function batchesOf(candidates: readonly Candidate[]): readonly (readonly Candidate[])[] {
  return Array.from({ length: Math.ceil(candidates.length / batchRows) }, (_, i) => candidates.slice(i * batchRows, (i + 1) * batchRows));
}

// --- before and after ------------------------------------------------------

type Groups = ReadonlyMap<Mapping, readonly Candidate[]>;

/** The lines as rows, by table. Fails with `usage`, naming each line that is none. */
function groupsOf(lines: readonly NumberedReject[], mappings: readonly Mapping[], file: string): Groups {
  const groups = new Map<Mapping, Candidate[]>(), mistakes: string[] = [];
  for (const { number, line } of lines) {
    const mapping = mappings.find(({ source }) => source.namespace === line.namespace);
    try {
      if (!mapping) throw new DsyncError('data', `the run has no table ${line.namespace}`);
      const group = groups.get(mapping) ?? [];
      groups.set(mapping, group);
      group.push({ line, row: readRow(mapping.source.columns, line.row), edited: digestOf(line.row) !== line.digest });
    } catch (error) {
      mistakes.push(`${file}:${number}: ${messageOf(error)}`);
    }
  }
  if (mistakes.length > 0) throw new DsyncError('usage', mistakes.slice(0, 20).join('\n'));
  return groups;
}

function left(candidates: readonly Candidate[], reason: string): readonly ReplayOutcome[] {
  return candidates.map(({ line }) => ({ line, reason }));
}

function refuseUnfinished({ run, phase }: RunState): void {
  if (phase === 'follow' || phase === 'done') return;
  throw new DsyncError('refused', `run ${run} has not come through its copy: its rejected rows may still change`, { remedy: `dsync resume ${run} goes on; replay afterwards what is rejected then` });
}

function follows({ phase }: RunState): boolean {
  return phase === 'follow';
}

async function refuseOther(state: RunState, destination: Destination, signal: AbortSignal): Promise<void> {
  if ((await destination.identity(signal)) !== state.destinationIdentity) throw otherEnd('destination', state.run);
  if (!(await destination.progress(state.run, signal))) throw vanished(state.run);
}

/** The run's tables as they stand now; only those of which rows are to be written are looked at. */
async function mappingsOf(state: RunState, destination: Destination, { store, signal }: Ports, { file }: ReplayOptions): Promise<readonly Mapping[]> {
  const named = new Set(store.rejectLines(state.run, file).map(({ line }) => line.namespace));
  return Promise.all(state.mappings.map((mapping) => (named.has(mapping.source.namespace) ? refitted(mapping, destination, signal) : mapping)));
}

/** Where the run still follows its source, that is asked what became of the rows. */
async function throughSource<T>(state: RunState, config: RunConfig, ports: Ports, destination: Destination, action: (source: Snapshot | undefined) => Promise<T>): Promise<T> {
  const named = new Set(ports.store.rejects(state.run).keys.keys());
  if (!follows(state) || named.size === 0) return action(undefined);
  await using source = await sourceOf(state, config, ports, destination);
  if (!(await isSameSource(state, source, ports.signal))) throw otherEnd('source', state.run);
  await using snapshot = await source.snapshot(state.mappings.map((mapping) => mapping.source), ports.signal);
  return await action(snapshot);
}

async function sourceOf({ mappings }: RunState, config: RunConfig, ports: Ports, destination: Destination): Promise<Source> {
  return withRules(await openSourceOf(config, openOptions(config, ports.signal), mappings.map(({ source }) => source)), config, destination, ports.emit);
}

interface Ending { readonly config: RunConfig; readonly ports: Ports; readonly destination: Destination; readonly mappings: readonly Mapping[]; readonly options: ReplayOptions }

async function conclude(state: RunState, ending: Ending, outcomes: readonly ReplayOutcome[], touched: readonly Mapping[]): Promise<ReplayReport> {
  const { ports: { store, emit }, options: { dryRun } } = ending, { path, count } = store.rejects(state.run);
  const verified = dryRun || touched.length === 0 ? {} : await verifyTouched(state, ending, touched);
  const how = (what: ReplayOutcome['done']) => outcomes.filter(({ done }) => done === what).length;
  const exitStatus = count > 0 ? 6 : isDifferent(verified.verification, store.replayed(state.run)) ? 4 : 0;
  if (!dryRun) remember(state, ending, count, path);
  emit({ kind: 'phase', phase: 'done' });
  return {
    run: state.run, exitStatus, dryRun, written: how('written'), there: how('there'), gone: how('gone'),
    left: outcomes.flatMap(({ line: { namespace, key }, reason }) => (reason === undefined ? [] : [{ namespace, key, reason }])),
    rejected: { count, ...(count > 0 && { path }) }, ...verified,
  };
}

/** The tables as the source has them now, where nothing else is known to be on its way. */
async function verifyTouched(state: RunState, { config, ports, destination, mappings }: Ending, touched: readonly Mapping[]): Promise<Pick<ReplayReport, 'verification' | 'unverified'>> {
  if (!config.verify) return { unverified: '--no-verify was given' };
  if (follows(state)) return { unverified: `the run follows its source: dsync resume ${state.run} goes on, and dsync verify compares` };
  if (doneCutover(ports.store, state.run)) return { unverified: 'the run was cut over: the destination goes its own way' };
  let source: Source;
  try {
    source = await sourceOf(state, config, ports, destination);
  } catch (error) {
    if (ports.signal.aborted || !(error instanceof DsyncError)) throw error;
    return { unverified: error.message };
  }
  try {
    ports.emit({ kind: 'phase', phase: 'verify' });
    const run: Run = { ...ports, id: state.run, config, source, destination, mappings, where: filtersOf(config.where, mappings.map((mapping) => mapping.source)), tasks: state.tasks, moments: state.moments };
    return { verification: await compareNow(run, touched) };
  } finally {
    await source[Symbol.asyncDispose]();
  }
}

/** Rows that the user has edited, now or for an earlier replay, are not those of the source. */
function isDifferent(verification: readonly NamespaceVerification[] | undefined, replayed: readonly RejectLine[]): boolean {
  const edited = new Set(replayed.filter((line) => digestOf(line.row) !== line.digest).map(({ namespace, key }) => `${namespace}\n${key}`));
  return (verification ?? []).some(({ namespace, result, missing, extra, changed, differences }) => {
    const known = differences.filter(({ kind, key }) => kind === 'changed' && edited.has(`${namespace}\n${key}`)).length;
    return result === 'different' && missing + extra + changed > known;
  });
}

/** For `dsync runs` and `dsync status`. */
function remember(state: RunState, { ports: { store } }: Ending, count: number, path: string): void {
  const summary = state.summary as { readonly status?: string; readonly rejected?: unknown } | undefined, told = store.told(state.run)?.vitals;
  if (told) store.tell(state.run, { ...told, rejected: count });
  if (summary?.rejected === undefined) return;
  const settled = summary.status === 'rejected' && count === 0 ? { status: 'done', exitStatus: 0 } : {};
  store.update(state.run, { summary: { ...summary, ...settled, rejected: { count, ...(count > 0 && { path }) } } });
}

