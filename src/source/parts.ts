import type { Part } from '../contract.js';

/** Adjoining parts that meet at these ascending values of the first key column, the outer ones open. */
export function partsAt(edges: readonly string[]): Part[] {
  const distinct = edges.filter((edge, i) => edge !== edges[i - 1]);
  return [undefined, ...distinct].map((from, i) => ({
    ...(from !== undefined && { from }),
    ...(i < distinct.length && { to: distinct[i] }),
  }));
}
