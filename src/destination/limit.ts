import { setTimeout as delay } from 'node:timers/promises';
import type { Destination } from '../contract.js';

/** At most so many rows, or bytes, a second. */
export interface RateLimit { readonly rows?: number; readonly bytes?: number }

/** A destination that is written to no faster than the limit, over any second or longer. */
export function withRateLimit(destination: Destination, limit: RateLimit): Destination {
  let free = 0;
  const take = async (rows: number, bytes: number, signal: AbortSignal) => {
    const now = performance.now();
    const start = Math.max(now, free);
    free = start + 1000 * Math.max(limit.rows ? rows / limit.rows : 0, limit.bytes ? bytes / limit.bytes : 0);
    if (start > now) await delay(start - now, undefined, { signal });
  };
  return {
    ...destination,
    write: async (run, batch, mapping, options, signal) => {
      await take(batch.count, batch.bytes, signal);
      return destination.write(run, batch, mapping, options, signal);
    },
  };
}
