import { setTimeout as delay } from 'node:timers/promises';
import type { RunRequest, StateStore } from '../contract.js';
import { DsyncError, messageOf } from '../errors.js';

/** How often either side looks. */
const lookMillis = 200;

/** Does what is asked; what it returns is the answer, and so is the error that it throws. */
export type Handler = (detail: unknown) => unknown;

/**
 * Answers what other processes ask of this run, one request after the other, until stopped. `failed` hears that the state
 * can't be read or written.
 */
export function serveRequests({ id, store }: { readonly id: string; readonly store: StateStore }, handlers: Readonly<Record<string, Handler>>, failed: (error: unknown) => void): { stop(): Promise<void> } {
  const stopped = new AbortController();
  const serve = async () => {
    while (!stopped.signal.aborted) {
      for (const request of store.asked(id)) store.answer(id, request.number, await answerTo(request, handlers));
      await delay(lookMillis, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  };
  const serving = serve().catch(failed);
  return { stop: () => { stopped.abort(); return serving; } };
}

async function answerTo({ kind, detail }: RunRequest, handlers: Readonly<Record<string, Handler>>): Promise<NonNullable<RunRequest['answer']>> {
  try {
    const handler = handlers[kind];
    if (!handler) throw new DsyncError('usage', `the run can't do this in its present phase: ${kind}`, { remedy: 'dsync status shows where it stands' });
    return { result: await handler(detail) };
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
    if (!(await isHeld(store, flow)) && !store.request(run, number)?.answer) throw new DsyncError('waiting', `no process works on run ${run}: it is done when one does`, { remedy: `dsync resume ${run}` });
    await delay(lookMillis, undefined, { signal }).catch(() => { throw signal.reason; });
  }
}

/** Does a process have this flow? */
export async function isHeld(store: StateStore, flow: string): Promise<boolean> {
  try {
    await (await store.lock(flow))[Symbol.asyncDispose]();
    return false;
  } catch (error) {
    if (error instanceof DsyncError && error.code === 'busy') return true;
    throw error;
  }
}
