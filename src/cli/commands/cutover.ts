import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from '@commander-js/extra-typings';
import type { RunRequest, RunState } from '../../contract.js';
import type { CutoverAsk, CutoverReport } from '../../coordinator/cutover.js';
import type { WayBackAsk } from '../../coordinator/wayback.js';
import { DsyncError, type ErrorCode } from '../../errors.js';
import { withFlags } from '../flags.js';
import type { Outcome, Perform, Session, Store } from '../perform.js';
import { durationOf } from '../sizes.js';

const examples = `
Examples:
  dsync cutover 20250131-k3f9xq
      the applications are stopped: wait until none writes, compare, set sequences, end the run
  dsync cutover 20250131-k3f9xq --fence --timeout 2m
      dsync has the source refuse writes to the run's tables, and lets them in again if it is not done in time
  dsync cutover 20250131-k3f9xq --fence --reverse
      leaves a run that follows the new database into the old one
  dsync cutover 20250131-k3f9xq --abort
      undo a cutover that was cut short; or lift the fence of one that is done
`;

interface Wanted { readonly fence: boolean; readonly reverse: boolean; readonly abort: boolean; readonly timeout: string; readonly acceptLoss: readonly string[] }

export function addCutover(program: Command, perform: Perform): void {
  const command = program.command('cutover').argument('<RUN>', 'the live run')
    .description('move over: when the source takes no more writes, prove that the destination has them all, set its sequences, and end the run')
    .option('--fence', 'have the source refuse writes to these tables, instead of waiting until none comes')
    .option('--reverse', 'leave a run that follows the new database into the old one from here on')
    .option('--timeout <time>', 'after so long all is as before, and the run goes on', '10m')
    .option('--abort', 'undo a cutover that did not come to its end')
    .option('--source <url>', 'the same source, written anew')
    .option('--destination <url>', 'the same destination, written anew')
    .addHelpText('after', examples);
  withFlags(command, ['acceptLoss']).action((run, { source, destination, fence, reverse, timeout, abort, acceptLoss, ...flags }: Record<string, unknown>) => {
    const wanted: Wanted = { fence: fence === true, reverse: reverse === true, abort: abort === true, timeout: String(timeout), acceptLoss: (acceptLoss ?? []) as readonly string[] };
    const given = { source: source as string | undefined, destination: destination as string | undefined, flags };
    return perform({ ...given, fromFile: ['state', 'logLevel', 'logFile', 'json'] }, (session) => cutover(session, run, wanted));
  });
}

async function cutover(session: Session, named: string, wanted: Wanted): Promise<Outcome> {
  const store = await session.store(), state = store.load(named);
  if (!state) throw new DsyncError('usage', `there is no run ${named} in ${store.folder}`, { remedy: 'dsync runs lists them' });
  if (wanted.abort) return aborted(session, store, state);
  const ask = await askOf(session, state, wanted);
  refuseUnready(state);
  const report = store.holder(state.flow) ? await askedOfHolder(session, store, state, ask) : await inThisProcess(session, store, state, ask);
  const { cutoverText } = await import('../cutover-text.js');
  return { exitStatus: report.exitStatus, document: report, text: cutoverText(report) };
}

function refuseUnready({ run, status, phase, config }: RunState): void {
  if (status === 'done') throw new DsyncError('usage', `run ${run} is done: there is nothing to cut over`);
  if (!(config as { live?: boolean }).live) throw new DsyncError('usage', `run ${run} copies as of one moment: only a live run is cut over`, { remedy: 'dsync sync --live' });
  if (phase !== 'follow') throw new DsyncError('usage', `run ${run} has not come to follow the source yet: it is in the phase ${phase}`, { remedy: 'dsync status shows when it does' });
}

async function askOf(session: Session, state: RunState, { fence, timeout, reverse, acceptLoss }: Wanted): Promise<CutoverAsk> {
  const timeoutMillis = durationOf(timeout);
  if (timeoutMillis === undefined) throw new DsyncError('usage', `--timeout: "${timeout}" is not a time such as 90s, 10m or 1h`);
  return { token: randomUUID(), fence, timeoutMillis, askedAt: Date.now(), ...(reverse && { wayBack: await wayBackOf(session, state, acceptLoss) }) };
}

/** The stored configuration with its ends exchanged and its tables mapped back. */
async function wayBackOf(session: Session, state: RunState, acceptLoss: readonly string[]): Promise<WayBackAsk> {
  const [{ restoredConfig, withoutRules }, { flowId }, { ruleFor }] = await Promise.all([import('../config.js'), import('../../state/flow.js'), import('../../coordinator/route.js')]);
  const stored = withoutRules(restoredConfig(state.run, state.config));
  const namespaces = state.mappings.map(({ source, target }) => ruleFor(target, source));
  const storedConfig = {
    ...stored, source: stored.destination, destination: stored.source, secrets: { source: stored.secrets.destination, destination: stored.secrets.source },
    namespaces, exclude: [], where: {}, existing: 'refuse' as const, acceptLoss: [...acceptLoss], live: true,
  };
  const flow = flowId(storedConfig), { newRunId } = await session.ports(flow, stored);
  return { run: newRunId(), flow, storedConfig, namespaces, acceptLoss };
}

/** Ctrl-C here gives the cutover up there. */
async function askedOfHolder(session: Session, store: Store, state: RunState, ask: CutoverAsk): Promise<CutoverReport> {
  const { askRun } = await import('../../coordinator/requests.js');
  try {
    const report = await askRun(store, state, 'cutover', ask, session.signal) as CutoverReport;
    if (report.status !== 'different') await concluded(store, state, session.signal);
    return report;
  } catch (error) {
    if (session.signal.aborted) store.ask(state.run, 'cutover-abort', null);
    throw withUndoing(error, store, state);
  }
}

/** The slot is dropped, and the run told done, a moment after the answer. */
async function concluded(store: Store, { run, flow }: RunState, signal: AbortSignal): Promise<void> {
  while (store.load(run)?.status !== 'done' && store.holder(flow)) await delay(100, undefined, { signal });
  if (store.load(run)?.status !== 'done') throw new DsyncError('waiting', `run ${run} is cut over, but its process ended before it had cleaned up`, { remedy: `dsync resume ${run}` });
}

/** The process that had the run is gone: a fence may stand. */
function withUndoing(error: unknown, store: Store, { run, flow }: RunState): unknown {
  const cutover = store.load(run)?.log?.cutover;
  if (!(error instanceof DsyncError) || cutover?.stage !== 'begun' || store.holder(flow)) return error;
  return new DsyncError('waiting', `the process that had run ${run} ended in the middle of the cutover${cutover.steps.length > 0 ? '; its fence stands' : ''}`, {
    cause: error, remedy: `dsync cutover ${run} --abort undoes it, and so does dsync resume ${run}`,
  });
}

/** No process has the run: it goes on in this one, which finds the request waiting. */
async function inThisProcess(session: Session, store: Store, state: RunState, ask: CutoverAsk): Promise<CutoverReport> {
  const { recalledRun } = await import('../recalled.js');
  const { config, ports } = await recalledRun(session, state), { resume } = await session.actions();
  const stop = new AbortController(), number = store.ask(state.run, 'cutover', ask);
  const running = resume(state, config, { ...ports, signal: AbortSignal.any([session.signal, stop.signal]) });
  const answered = answerOf(store, state.run, number, stop.signal);
  try {
    const first = await Promise.race([running, answered]);
    if ('cutover' in first && first.cutover) return first.cutover;
    const { error, result } = first as NonNullable<RunRequest['answer']>;
    if (error) throw new DsyncError(error.code as ErrorCode, error.message, { remedy: error.remedy });
    const report = result as CutoverReport;
    return report.status === 'different' ? report : (await running).cutover ?? report;
  } finally {
    stop.abort(new DsyncError('interrupted', 'the cutover has ended'));
    await running.catch(() => undefined);
    await answered.catch(() => undefined);
  }
}

async function answerOf(store: Store, run: string, number: number, signal: AbortSignal): Promise<NonNullable<RunRequest['answer']>> {
  for (;;) {
    const answer = store.request(run, number)?.answer;
    if (answer) return answer;
    await delay(100, undefined, { signal }).catch(() => { throw signal.reason; });
  }
}

async function aborted(session: Session, store: Store, state: RunState): Promise<Outcome> {
  const undone = state.log?.cutover?.stage === 'done' ? 'the cutover stays done' : 'all is as before';
  const lifted = store.holder(state.flow) ? await abortedByHolder(session, store, state) : await abortedHere(session, state);
  return { exitStatus: 0, document: { run: state.run, lifted }, text: lifted.length > 0 ? `Lifted: ${lifted.join(', ')}; ${undone}.\n` : `There was nothing to lift; ${undone}.\n` };
}

async function abortedByHolder(session: Session, store: Store, state: RunState): Promise<readonly string[]> {
  const { askRun } = await import('../../coordinator/requests.js');
  return (await askRun(store, state, 'cutover-abort', null, session.signal) as { readonly lifted: readonly string[] }).lifted;
}

async function abortedHere(session: Session, state: RunState): Promise<readonly string[]> {
  const { recalledRun } = await import('../recalled.js');
  const { config, ports } = await recalledRun(session, state, { reads: false }), { abortCutover } = await session.actions();
  return abortCutover(state, config, ports);
}
