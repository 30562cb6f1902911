import type { LanePlace, LogPlace, Rejected } from '../contract.js';
import { lineOf, refuseMore, type Run } from './run.js';

/** A place in the log as a reject file names it. */
export function placeText({ position, changes }: LogPlace): string {
  return changes === 0 ? position : `${position}, change ${changes}`;
}

/**
 * What a lane has rejected on the way to its place, and a process that died could not tell any more: the destination has
 * kept it. What was told, and replayed or found anew since, does not come back.
 */
export function takeRejects(run: Run, places: Iterable<LanePlace>): void {
  const rejected = [...places].flatMap((place) => (place.rejected ?? []).flatMap((one) => {
    const mapping = run.mappings.find(({ source }) => source.namespace === one.namespace);
    return mapping && one.row.length === mapping.source.columns.length ? [{ one, line: lineOf(mapping.source, one, placeText(place)) }] : [];
  }));
  if (rejected.length === 0) return refuseMore(run, run.store.rejects(run.id).count);
  const untold = new Set(run.store.untoldRejects(run.id, rejected.map(({ line }) => line)));
  const count = run.store.reject(run.id, [...untold]);
  const news: readonly Rejected[] = rejected.flatMap(({ one, line }) => (untold.has(line) ? [one] : []));
  for (const one of news) run.emit({ kind: 'rejected', rejected: one, count });
  refuseMore(run, count, news.at(-1));
}
