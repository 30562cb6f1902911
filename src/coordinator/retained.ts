import { setTimeout as delay } from 'node:timers/promises';
import { DsyncError } from '../errors.js';
import { logOf } from './ends.js';
import { startOf } from './follow.js';
import type { Run } from './run.js';

/** How often it is looked how much the source keeps. */
const lookMillis = 10_000;

/**
 * The same run, which ends with `waiting` as soon as the source keeps more of its log for it than `maxRetainedBytes`: while it
 * copies, and while it follows. Without such a limit nothing is looked at.
 */
export function withinRetained(run: Run): { readonly run: Run; stop(): Promise<void> } {
  const limit = run.config.maxRetainedBytes;
  if (limit === undefined || !run.config.live) return { run, stop: async () => undefined };
  const reached = new AbortController(), stopped = new AbortController();
  const guarded: Run = { ...run, signal: AbortSignal.any([run.signal, reached.signal]) };
  const watch = async () => {
    while (!stopped.signal.aborted) {
      const bytes = await retainedBytes(guarded, AbortSignal.any([run.signal, stopped.signal]));
      if (bytes !== undefined && bytes > limit) return reached.abort(tooMuch(run.id, bytes, limit));
      await delay(lookMillis, undefined, { signal: AbortSignal.any([run.signal, stopped.signal]) }).catch(() => undefined);
      if (run.signal.aborted) return undefined;
    }
  };
  const watching = watch();
  return { run: guarded, stop: () => { stopped.abort(); return watching; } };
}

/** Where that can't be told now (nothing is pinned yet, the source is away), the run itself hears of it. */
async function retainedBytes(run: Run, signal: AbortSignal): Promise<number | undefined> {
  const state = run.store.load(run.id);
  if (state?.log?.pin?.position === undefined) return undefined;
  return logOf(run.source).retention(run.id, startOf({ ...state, moments: run.moments }).position, signal).then(({ bytes }) => bytes, () => undefined);
}

function tooMuch(run: string, bytes: number, limit: number): DsyncError {
  return new DsyncError('waiting', `the source keeps ${megabytes(bytes)} of its log for this run, and --max-retained allows ${megabytes(limit)}`, {
    remedy: `it goes on keeping its log from there while the run is stopped. Either let the run catch up soon: dsync resume ${run} --max-retained with more, when the source's disk can bear it; or let the source have its log back: dsync cleanup ${run}, after which the copy must be made anew (a slot that was given with --slot is yours to drop)`,
  });
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
