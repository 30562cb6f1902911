import { setTimeout as delay } from 'node:timers/promises';
import { patient } from '../destination/retry.js';
import { DsyncError, messageOf } from '../errors.js';
import { isSameSource } from './continuity.js';
import { reopenSource } from './ends.js';
import { withRules } from './rules.js';
import type { Run } from './run.js';

/**
 * Acts again, on a new connection, where the source is lost on the way; gives up when several tries on end got nowhere.
 * `gone` counts anything that grows as long as the action gets on.
 */
export async function throughLosses<T>(run: Run, gone: () => number, action: () => Promise<T>): Promise<T> {
  for (let fruitless = 0; ;) {
    const before = gone();
    try {
      return await action();
    } catch (error) {
      if (run.signal.aborted || !(error instanceof DsyncError && error.code === 'source-lost')) throw error;
      fruitless = gone() > before ? 1 : fruitless + 1;
      if (fruitless >= patient.attempts) throw error;
      run.emit({ kind: 'retry', end: 'source', attempt: fruitless, waitSeconds: fruitless, error: messageOf(error) });
      await delay(fruitless * 1000, undefined, { signal: run.signal }).catch(() => { throw run.signal.reason; });
      await replaceSource(run);
    }
  }
}

async function replaceSource(run: Run): Promise<void> {
  await Promise.resolve(run.source[Symbol.asyncDispose]()).catch(() => undefined);
  run.source = withRules(await reopenSource(run.config, run, run.mappings.map(({ source }) => source)), run.config, run.destination, run.emit);
  if (!(await isSameSource(run.store.load(run.id)!, run.source, run.signal))) throw otherEnd('source', run.id);
}

export function otherEnd(end: 'source' | 'destination', run: string): DsyncError {
  return new DsyncError('refused', `the ${end} is not the database that run ${run} began with`, {
    remedy: `bring the old one back and resume, or forget this run ('dsync cleanup ${run}') and start over`,
  });
}
