import type { ErrorCode } from '../../errors.js';
import { DsyncError } from '../../errors.js';
import type { Store } from './store.js';

/** A hook that fails at its nth call (from 1), once. */
export function failNth(n: number, code: ErrorCode = 'connection-lost'): () => void {
  let calls = 0;
  return () => {
    if (++calls === n) throw new DsyncError(code, `call ${n} was made to fail`);
  };
}

export interface Gate {
  readonly hook: () => Promise<void>;
  /** Resolves when the first call waits. */
  readonly held: Promise<void>;
  release(): void;
}

/** A hook that keeps every call waiting until `release`. */
export function gate(): Gate {
  let hold = () => {}, release = () => {};
  const held = new Promise<void>((resolve) => { hold = resolve; });
  const open = new Promise<void>((resolve) => { release = resolve; });
  const hook = () => {
    hold();
    return open;
  };
  return { hook, held, release: () => release() };
}

/** Every open snapshot of the store fails with `source-lost` from now on. */
export function loseSnapshots(store: Store): void {
  store.generation++;
}
