import type { Mapping, Sequence } from '../contract.js';

/** What is known of a destination's sequence, in digits. `largest`: of the keys that it gives, the smallest where it counts down. */
export interface Giver { readonly step: string; readonly largest?: string; readonly next?: string }

/**
 * The next value that is free on both sides: the furthest of the source's, of what follows the largest key, and of the
 * destination's own; never back. A source that counts the other way says nothing.
 */
export function furthest(source: readonly Pick<Sequence, 'next' | 'step'>[], { step, largest, next }: Giver): string | undefined {
  const by = BigInt(step), isDown = by < 0n;
  const candidates = [
    ...source.filter((one) => BigInt(one.step) < 0n === isDown).map((one) => BigInt(one.next)),
    ...(largest === undefined ? [] : [BigInt(largest) + by]),
    ...(next === undefined ? [] : [BigInt(next)]),
  ];
  if (candidates.length === 0) return undefined;
  return String(candidates.reduce((a, b) => ((isDown ? b < a : b > a) ? b : a)));
}

/** The source's sequences by the place of their column in the mapping's shapes. */
export function sequencesOf({ source }: Mapping, sequences: readonly Sequence[]): ReadonlyMap<number, readonly Sequence[]> {
  const own = new Map<number, Sequence[]>();
  for (const sequence of sequences) {
    const place = sequence.namespace === source.namespace ? source.columns.findIndex(({ name }) => name === sequence.column) : -1;
    if (place >= 0) own.set(place, [...(own.get(place) ?? []), sequence]);
  }
  return own;
}
