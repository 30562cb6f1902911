import { setTimeout as delay } from 'node:timers/promises';
import type { RunRequest, StateStore } from '../contract.js';
import { DsyncError, messageOf } from '../errors.js';

/** How often either side looks. */
const lookMillis = 200;

/** Does what is asked; what it returns is the answer, and so is the error that it throws. Ends within a second of the signal. */
export type Handler = (detail: unknown, signal: AbortSignal) => unknown;
export type Handlers = Readonly<Record<string, Handler>>;

/**
 * Answers what other processes ask of this run, until stopped: requests of one kind one after the other, those of different
 * kinds at the same time. What a stop has cut short has no answer: the next process is asked it again. `failed` hears that
 * the state can't be read or written.
 */
export function serveRequests({ id, store }: { readonly id: string; readonly store: StateStore }, handlers: Handlers, failed: (error: unknown) => void): { stop(): Promise<void> } {
  const stopped = new AbortController(), { signal } = stopped;
  const busy = new Map<string, Promise<void>>();
  const take = async (request: RunRequest) => {
    const answer = await answerTo(request, handlers, signal);
    if (!signal.aborted || answer.error === undefined) store.answer(id, request.number, answer);
  };
  const look = () => {
    for (const request of store.asked(id)) {
      if (!busy.has(request.kind)) busy.set(request.kind, take(request).finally(() => busy.delete(request.kind)).catch(failed));
    }
  };
  const serve = async () => {
    while (!signal.aborted) {
      look();
      await delay(lookMillis, undefined, { signal }).catch(() => undefined);
    }
    await Promise.all(busy.values());
  };
  const serving = serve().catch(failed);
  return { stop: () => { stopped.abort(new DsyncError('interrupted', 'the run stops')); return serving; } };
}

async function answerTo({ kind, detail }: RunRequest, handlers: Handlers, signal: AbortSignal): Promise<NonNullable<RunRequest['answer']>> {
  try {
    const handler = handlers[kind];
    if (!handler) throw new DsyncError('usage', `the run can't do this in its present phase: ${kind}`, { remedy: 'dsync status shows where it stands' });
    return { result: (await handler(detail, signal)) ?? null };
  } catch (error) {
    const known = error instanceof DsyncError ? error : new DsyncError('internal', messageOf(error));
    return { error: { code: known.code, message: known.message, ...(known.remedy !== undefined && { remedy: known.remedy }) } };
  }
}

/**
 * Asks the process that has the run, and waits for its answer. Fails as it failed; with `waiting` if no process has the run,
 * or the one that had it went away: the request then waits for the next one.
 */
export async function askRun(store: StateStore, { run, flow }: { readonly run: string; readonly flow: string }, kind: string, detail: unknown, signal: AbortSignal): Promise<unknown> {
  const number = store.ask(run, kind, detail);
  for (;;) {
    const request = store.request(run, number);
    if (!request) throw new DsyncError('usage', `the run ${run} is no longer there`);
    if (request.answer?.error) throw new DsyncError(request.answer.error.code as DsyncError['code'], request.answer.error.message, { remedy: request.answer.error.remedy });
    if (request.answer) return request.answer.result;
    if (!store.holder(flow) && !store.request(run, number)?.answer) throw new DsyncError('waiting', `no process works on run ${run}: it is done when one does`, { remedy: `dsync resume ${run}` });
    await delay(lookMillis, undefined, { signal }).catch(() => { throw signal.reason; });
  }
}
