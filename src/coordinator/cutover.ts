import { setTimeout as delay } from 'node:timers/promises';
import type { Cutover, FenceProof, NamespaceVerification, Position, RunState, SequenceSet, Source, StateStore } from '../contract.js';
import { DsyncError, messageOf } from '../errors.js';
import type { Ports, RunConfig } from './config.js';
import { openOptions, openSource } from './ends.js';
import type { Following } from './handlers.js';
import { sourceSequences } from './numbers.js';
import { compareNow, unreadable } from './prove.js';
import type { Handlers } from './requests.js';
import { dropWayBack, prepareWayBack, type WayBackAsk, type WayBack } from './wayback.js';
import type { Run } from './run.js';

/** What is asked of the process that has a run. One ask is one try: the process that a kill has ended it in does not begin it again. */
export interface CutoverAsk {
  readonly token: string;
  readonly fence: boolean;
  readonly timeoutMillis: number;
  /** Milliseconds since 1970. */
  readonly askedAt: number;
  /** A run that follows the new database into the old one is to be left. */
  readonly wayBack?: WayBackAsk;
}

/** What a cutover came to. `different`: the run goes on as before. */
export interface CutoverReport {
  readonly run: string;
  readonly status: 'done' | 'rejected' | 'different';
  readonly exitStatus: 0 | 4 | 6;
  /** Where the source's log ended when no more writes came: all before it is in the destination. */
  readonly position: Position;
  /** `enforced`: the server refuses writes. `observed`: none came for some time. */
  readonly fence: { readonly kind: 'enforced' | 'observed'; readonly how: string; readonly endedSessions: readonly string[] };
  /** ISO 8601, and how long it took from then on. */
  readonly stoppedAt: string;
  readonly seconds: number;
  readonly tables: readonly NamespaceVerification[];
  readonly sequences: readonly SequenceSet[];
  readonly wayBack?: WayBack;
}

/** How long no write must come before the writes count as stopped. */
const quietMillis = 3000;
/** How long sessions that hold a table may go on; a third of the time limit at most. */
const graceMillis = 10_000;
/** How long lifting a fence may take, whatever has happened. */
const liftMillis = 30_000;

/** What a run that follows does when it is asked to cut over, or to give that up. */
export function cutoverHandlers(following: Following): Handlers {
  let under: { readonly stop: AbortController; readonly ended: Promise<unknown> } | undefined;
  return {
    cutover: async (detail, signal) => {
      const stop = new AbortController(), running = cutOver(following, detail as CutoverAsk, AbortSignal.any([signal, stop.signal]));
      under = { stop, ended: running.catch(() => undefined) };
      return running.finally(() => { under = undefined; });
    },
    'cutover-abort': async () => {
      under?.stop.abort(new DsyncError('waiting', 'the cutover was given up on request: all is as before'));
      await under?.ended;
      return { lifted: await giveUp(following.run) };
    },
  };
}

async function cutOver(following: Following, ask: CutoverAsk, signal: AbortSignal): Promise<CutoverReport> {
  const { run } = following, known = run.store.load(run.id)?.log?.cutover;
  await giveUp(run);
  if (known?.token === ask.token) throw new DsyncError('waiting', 'the cutover was cut short: all is as before', { remedy: `dsync cutover ${run.id}` });
  const limit = AbortSignal.timeout(Math.max(0, ask.askedAt + ask.timeoutMillis - Date.now())), attempt: Attempt = { doing: 'it begins' };
  note(run, { token: ask.token, stage: 'begun', steps: [] });
  try {
    const report = await attemptCutover(following, ask, attempt, AbortSignal.any([signal, limit]));
    if (report.status === 'different') await giveUp(run);
    else {
      note(run, { stage: 'done', report });
      following.end({ kind: 'cutover', result: report });
    }
    return report;
  } catch (error) {
    const cause = signal.aborted ? signal.reason : limit.aborted ? late(ask, attempt) : error;
    await giveUp(run);
    throw cause;
  }
}

/** What is under way, for the message when the time is over. */
interface Attempt { doing: string }

async function attemptCutover(following: Following, ask: CutoverAsk, attempt: Attempt, signal: AbortSignal): Promise<CutoverReport> {
  const { run } = following, begin = (doing: string) => { attempt.doing = doing; run.emit({ kind: 'cutover', doing }); };
  await refuseNew(following);
  refuseLeft(following);
  await sourceSequences(run, signal);
  const wayBack = ask.wayBack && await prepareWayBack(run, ask.wayBack, signal);
  try {
    const fence = ask.fence ? await raise(run, ask, begin, signal) : undefined;
    const stopped = await drained(following, fence !== undefined, begin, signal);
    begin('both sides are compared');
    const tables = await compareNow({ ...run, signal });
    const facts = { run: run.id, position: stopped.position, fence: fenceFacts(fence), stoppedAt: stopped.at.toISOString(), tables };
    if (tables.some(isUnequal)) return { ...facts, status: 'different', exitStatus: 4, seconds: secondsSince(stopped.at), sequences: [] };
    begin('sequences are set');
    const sequences = await setSequences(run, signal);
    await refuseNew(following);
    await refuseWrites(following, stopped, signal);
    if (wayBack) begin('the way back is made ready');
    const left = await wayBack?.leave((id) => note(run, { wayBack: id }), signal);
    const rejected = tables.some((table) => table.rejected > 0);
    return { ...facts, status: rejected ? 'rejected' : 'done', exitStatus: rejected ? 6 : 0, seconds: secondsSince(stopped.at), sequences, ...(left && { wayBack: left }) };
  } finally {
    await wayBack?.close();
  }
}

/** A table that is not followed is not what it is in the source. */
function refuseLeft({ run, apart }: Following): void {
  const left = run.mappings.map(({ source }) => source.namespace).filter((namespace) => apart.isLeft(namespace));
  if (left.length === 0) return;
  throw new DsyncError('refused', `${left.join(', ')} ${left.length === 1 ? 'is' : 'are'} not followed: the cutover would leave out what changed there`, { namespace: left[0], remedy: left.map((namespace) => `dsync tables ${run.id} resync ${namespace}`).join('\n') });
}

/** With `--on-ddl apply` what was made meanwhile belongs to the run, and would be left behind. */
async function refuseNew({ run, newTables }: Following): Promise<void> {
  const found = await newTables();
  if (found.length > 0) throw new DsyncError('waiting', `${found.join(', ')} ${found.length === 1 ? 'is' : 'are'} new in the source, and copied first: all is as before`, { namespace: found[0], remedy: `dsync cutover ${run.id}, once dsync status shows ${found.length === 1 ? 'it' : 'them'} followed` });
}

async function raise(run: Run, ask: CutoverAsk, begin: (doing: string) => void, signal: AbortSignal): Promise<FenceProof> {
  const { fence, unfenced } = run.source;
  if (!fence) throw new DsyncError('usage', `${run.source.engine} has no fence that dsync could raise${unfenced ? `: ${unfenced.why}` : ''}`, { remedy: `${unfenced?.remedy ?? 'stop the applications, or take the right to write from their users'}; then cut over without --fence` });
  begin('a fence is raised');
  let said = '';
  const told = (sessions: readonly string[]) => {
    const text = sessions.join('; ');
    if (text && text !== said) begin(`the fence waits for ${text}`);
    said = text;
  };
  const save = (step: Cutover['steps'][number]) => {
    const { steps } = run.store.load(run.id)!.log!.cutover!;
    note(run, { steps: [...steps.filter(({ what }) => what !== step.what), step] });
  };
  return fence.raise(run.id, run.mappings.map(({ source }) => source), { graceMillis: Math.min(graceMillis, ask.timeoutMillis / 3), save, told }, signal);
}

interface Stopped { readonly position: Position; readonly at: Date; readonly changes: number }

/** All that was written is in the destination; without a fence the writes count as stopped when none came for a while. */
async function drained(following: Following, fenced: boolean, begin: (doing: string) => void, signal: AbortSignal): Promise<Stopped> {
  begin('the rest of the log is applied');
  for (;;) {
    const at = new Date(), first = await applyAll(following, signal);
    if (fenced) return { ...first, at };
    await delay(quietMillis, undefined, { signal }).catch(() => { throw signal.reason; });
    const { position, changes } = await applyAll(following, signal);
    if (changes === first.changes) return { position, changes, at };
    begin(`writes still come to the source: ${changes - first.changes} changes in ${quietMillis / 1000} s`);
  }
}

async function applyAll({ log, applied, changes }: Following, signal: AbortSignal): Promise<Omit<Stopped, 'at'>> {
  const position = await log.head(signal);
  await applied(position, signal);
  return { position, changes: changes() };
}

/** What was compared holds only if nothing was written meanwhile. */
async function refuseWrites(following: Following, stopped: Stopped, signal: AbortSignal): Promise<void> {
  const { changes } = await applyAll(following, signal);
  if (changes === stopped.changes) return;
  throw new DsyncError('waiting', `${changes - stopped.changes} changes were written to the source after its writes had stopped: all is as before`, { remedy: 'stop the applications, then cut over again; or with --fence' });
}

async function setSequences(run: Run, signal: AbortSignal): Promise<readonly SequenceSet[]> {
  const given = await sourceSequences(run, signal), { destination, mappings } = run;
  if (destination.setSequences) return destination.setSequences(mappings, given, signal);
  return given.map(({ namespace, column, name, next }) => ({ of: namespace === undefined ? name! : `${namespace}.${column}`, state: 'missing', next }));
}

function isUnequal({ result, reason }: NamespaceVerification): boolean {
  return result === 'different' || (result === 'not-comparable' && reason !== unreadable);
}

function fenceFacts(fence: FenceProof | undefined): CutoverReport['fence'] {
  if (fence) return { kind: 'enforced', how: fence.how, endedSessions: fence.ended };
  return { kind: 'observed', how: `no write came for ${quietMillis / 1000} s, nor while both sides were compared`, endedSessions: [] };
}

function secondsSince(start: Date): number {
  return (Date.now() - start.getTime()) / 1000;
}

function late({ timeoutMillis }: CutoverAsk, { doing }: Attempt): DsyncError {
  return new DsyncError('waiting', `the cutover was not done within ${timeoutMillis / 1000} s (${doing}): all is as before, and the run goes on`, { remedy: 'stop the writers, or raise the limit with --timeout' });
}

function note(run: Pick<Run, 'store' | 'id'>, change: Partial<Cutover>): void {
  run.store.update(run.id, { log: { cutover: change as Cutover } });
}

/** Undoes what a cutover that did not come to its end has done; says what that was. Once it is done, only the fence is lifted. */
export async function giveUp({ id, store, config, signal: _, ...ports }: Pick<Run, 'id' | 'store' | 'config'> & Ports): Promise<readonly string[]> {
  const cutover = store.load(id)?.log?.cutover;
  if (!cutover || cutover.stage === 'undone') return [];
  const patience = AbortSignal.timeout(liftMillis), inner: Ports = { ...ports, store, signal: patience };
  try {
    if (cutover.steps.length > 0) await liftFence(id, cutover, config, patience);
    if (cutover.wayBack !== undefined && cutover.stage === 'begun') await dropWayBack(cutover.wayBack, config, inner);
  } catch (error) {
    throw new DsyncError('waiting', `what the cutover had done could not be undone (${messageOf(error)}): ${cutover.steps.map(({ what }) => what).join(', ') || 'the way back'}`, { cause: error, remedy: `dsync cutover ${id} --abort tries again` });
  }
  note({ id, store }, cutover.stage === 'done' ? { steps: [] } : { stage: 'undone', steps: [] });
  return cutover.steps.map(({ what }) => what);
}

/** On a connection of its own: the run's may be what was lost. */
async function liftFence(run: string, { steps }: Cutover, config: RunConfig, signal: AbortSignal): Promise<void> {
  await using source: Source = await openSource(config.source, openOptions(config, signal));
  await source.fence?.lift(run, steps, signal);
}

/** The report of a cutover that is done, though the run may not have been concluded. */
export function doneCutover(store: StateStore, run: string): CutoverReport | undefined {
  const cutover = store.load(run)?.log?.cutover;
  return cutover?.stage === 'done' ? cutover.report as CutoverReport : undefined;
}

/** `dsync cutover --abort` where no process has the run: undoes what is left, and answers those who still wait. */
export async function abortCutover({ run, flow }: Pick<RunState, 'run' | 'flow'>, config: RunConfig, ports: Ports): Promise<readonly string[]> {
  await using _lock = await ports.store.lock(flow);
  const lifted = await giveUp({ ...ports, id: run, config });
  for (const { kind, number } of ports.store.asked(run)) {
    if (kind === 'cutover') ports.store.answer(run, number, { error: { code: 'waiting', message: 'the cutover was given up on request' } });
  }
  return lifted;
}
