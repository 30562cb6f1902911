import { onTestFinished } from 'vitest';
import type { Change, ChangeLog, FollowJob, LogMessage, LogPlace } from '../../src/contract.js';

/** What was heard of a log so far. */
export interface Following { readonly messages: readonly LogMessage[]; readonly changes: () => Change[]; readonly place: () => LogPlace | undefined; until(arrived: () => boolean): Promise<void>; stop(): Promise<unknown>; readonly ended: Promise<unknown> }

/** Follows in the background, and keeps what comes. */
export function following(log: ChangeLog, job: FollowJob, heard: (message: LogMessage) => void | Promise<void> = () => undefined): Following {
  const messages: LogMessage[] = [], stopping = new AbortController(), reason = new Error('enough');
  let stir = () => {}, over = false;
  const ended = (async () => {
    try {
      for await (const message of log.follow(job, stopping.signal)) {
        messages.push(message);
        stir();
        await heard(message);
      }
      return undefined;
    } catch (error) {
      return error;
    } finally {
      over = true;
      stir();
    }
  })();
  const stop = async () => {
    stopping.abort(reason);
    const error = await ended;
    return error === reason ? undefined : error;
  };
  onTestFinished(async () => { await stop(); });
  return {
    messages, ended, stop,
    changes: () => messages.flatMap((message) => (message.kind === 'changes' ? message.changes : [])),
    place: () => messages.flatMap((message) => ('place' in message ? [message.place] : [])).at(-1),
    async until(arrived) {
      while (!arrived()) {
        if (over) throw await ended ?? new Error('the log ended');
        await new Promise<void>((resolve) => { stir = resolve; });
      }
    },
  };
}
