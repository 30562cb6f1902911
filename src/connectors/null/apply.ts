import type { LaneWork, LogPlace } from '../../contract.js';

/** The lanes' places of runs; the changes are gone. */
export function appliedNowhere() {
  const runs = new Map<string, Map<number, LogPlace>>();
  return {
    apply: (run: string, { lane, place }: LaneWork): void => void runs.set(run, new Map([...runs.get(run) ?? [], [lane, place]])),
    lanes: (run: string): ReadonlyMap<number, LogPlace> => new Map(runs.get(run)),
    forget: (run: string): void => void runs.delete(run),
  };
}
