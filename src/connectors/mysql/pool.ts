import { setMaxListeners } from 'node:events';
import type { DsyncError } from '../../errors.js';
import type { Session } from './session.js';

/** A fixed number of sessions, lent one at a time. */
export interface Pool extends AsyncDisposable {
  /** Waits for a free session. The signal ends the wait, not the use. */
  take(signal: AbortSignal): Promise<Session>;
  give(session: Session): void;
}

export interface PoolOptions {
  readonly size: number;
  /** The first session. */
  readonly open: (signal: AbortSignal) => Promise<Session>;
  /** Any later one. */
  readonly reopen: (signal: AbortSignal) => Promise<Session>;
}

/** Sessions are opened when first needed; a lost one is replaced. */
export function pool({ size, open, reopen }: PoolOptions): Pool {
  const idle: Session[] = [], waiting: (() => void)[] = [];
  const all = new Set<Session>();
  let lent = 0, opened = false;
  return {
    async take(signal) {
      setMaxListeners(0, signal);
      while (lent >= size) await turn(waiting, signal);
      lent++;
      try {
        signal.throwIfAborted();
        for (let session = idle.pop(); session; session = idle.pop()) {
          if (!session.lost) return session;
          all.delete(session);
        }
        const session = await (opened ? reopen : open)(signal);
        opened = true;
        all.add(session);
        return session;
      } catch (error) {
        lent--;
        waiting.shift()?.();
        throw error;
      }
    },
    give(session) {
      lent--;
      if (session.lost) all.delete(session);
      else idle.push(session);
      waiting.shift()?.();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...all].map((session) => session.close()));
      all.clear();
    },
  };
}

/** These sessions and no others: with the first one that is lost, `take` fails for ever. */
export function fixedPool(sessions: readonly Session[]): Pool {
  const idle = [...sessions], waiting: (() => void)[] = [];
  let lost: DsyncError | undefined;
  for (const session of sessions) {
    session.onLost((error) => {
      lost ??= error;
      for (const wake of waiting.splice(0)) wake();
    });
  }
  return {
    async take(signal) {
      setMaxListeners(0, signal);
      for (;;) {
        signal.throwIfAborted();
        if (lost) throw lost;
        const session = idle.pop();
        if (session) return session;
        await turn(waiting, signal);
      }
    },
    give(session) {
      idle.push(session);
      waiting.shift()?.();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(sessions.map((session) => session.close()));
    },
  };
}

/** Lends a session for an action. */
export async function withSession<T>(from: Pool, signal: AbortSignal, action: (session: Session) => Promise<T>): Promise<T> {
  const session = await from.take(signal);
  try {
    return await action(session);
  } finally {
    from.give(session);
  }
}

function turn(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const wake = () => { signal.removeEventListener('abort', stop); resolve(); };
    const stop = () => { waiting.splice(waiting.indexOf(wake), 1); reject(signal.reason); };
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    waiting.push(wake);
  });
}
