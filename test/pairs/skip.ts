import { describe } from 'vitest';
import { skipReasonOfEnd, type EndName } from './ends/index.js';

/** `describe`, skipped with the reason in its title where one of the ends can't be had. */
export function describePair(names: readonly EndName[], title: string, tests: () => void): void {
  const reason = names.map(skipReasonOfEnd).find(Boolean);
  if (reason) describe.skip(`${title} (skipped: ${reason.split('\n')[0]})`, tests);
  else describe(title, tests);
}
