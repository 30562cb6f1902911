/** Numbers that look random and follow from where the row stands: `at` goes to a row, `next` gives its numbers in turn. */
export interface Draw {
  at(row: number): void;
  /** A whole number in [0, 2^32). */
  next(): number;
  /** A whole number in [0, limit). */
  below(limit: number): number;
  /** True in `share` of the cases. */
  chance(share: number): boolean;
}

export function drawing(seed: number, namespace: number): Draw {
  const start = mix(mix(seed) ^ Math.imul(namespace + 1, 0x9e3779b1));
  let state = 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    return mix(state);
  };
  return {
    at(row) {
      state = mix(start ^ mix(row >>> 0) ^ Math.imul((row / 0x100000000) | 0, 0x85ebca6b));
    },
    next,
    below: (limit) => Math.floor((next() / 0x100000000) * limit),
    chance: (share) => share > 0 && next() < share * 0x100000000,
  };
}

/** Thirty-two bits in, thirty-two well stirred bits out, one to one. */
function mix(number: number): number {
  let bits = number | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return (bits ^ (bits >>> 15)) >>> 0;
}
