import { DsyncError } from '../../errors.js';
import type { Session } from './session.js';

/** Up to so many sessions, opened when they are needed; lost ones are replaced by the next use. */
export class Pool {
  readonly #open: (signal: AbortSignal) => Promise<Session>;
  readonly #limit: number;
  readonly #idle: Session[] = [];
  readonly #all = new Set<Session>();
  readonly #waiting: (() => void)[] = [];
  #used = 0;
  #closed = false;

  constructor(limit: number, open: (signal: AbortSignal) => Promise<Session>) {
    this.#limit = Math.max(1, limit);
    this.#open = open;
  }

  async use<Result>(signal: AbortSignal, action: (session: Session) => Promise<Result>): Promise<Result> {
    const session = await this.take(signal);
    try {
      return await action(session);
    } finally {
      this.give(session);
    }
  }

  /** Waits for a free session. The caller gives it back. */
  async take(signal: AbortSignal): Promise<Session> {
    await this.#enter(signal);
    try {
      for (let session = this.#idle.pop(); session; session = this.#idle.pop()) {
        if (!session.lost) return session;
        this.#all.delete(session);
      }
      const session = await this.#open(signal);
      this.#all.add(session);
      if (this.#closed) session.destroy();
      return session;
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  give(session: Session): void {
    if (this.#closed) session.destroy();
    if (session.lost) this.#all.delete(session);
    else this.#idle.push(session);
    this.#leave();
  }

  /** Ends all sessions, those in use too. */
  async close(): Promise<void> {
    this.#closed = true;
    const idle = new Set(this.#idle.splice(0));
    await Promise.all([...this.#all].map((session) => (idle.has(session) ? session.close() : session.destroy())));
    this.#all.clear();
  }

  async #enter(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw stopped(signal);
    if (this.#used < this.#limit) {
      this.#used++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const stop = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(stopped(signal));
      };
      const enter = () => {
        signal.removeEventListener('abort', stop);
        resolve();
      };
      signal.addEventListener('abort', stop, { once: true });
      this.#waiting.push(enter);
    });
  }

  /** The place goes to the next who waits. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#used--;
  }
}

function stopped(signal: AbortSignal): DsyncError {
  return new DsyncError('interrupted', 'stopped on request', { cause: signal.reason, retryable: false });
}
