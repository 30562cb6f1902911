import type { RowHasher, Side } from './rows.js';

/** What is known of one key: how often either side has it, and the sum of the hashes of its rows. */
export interface Entry {
  readonly key: bigint;
  readonly counts: readonly [number, number];
  readonly sums: readonly [bigint, bigint];
}

/** Keys by their 64-bit hash, 32 bytes each, whatever the rows weigh: open addressing over flat arrays. */
export class KeyTable {
  #low: Uint32Array;
  #high: Uint32Array;
  /** Two per entry; both zero where it is free. */
  #counts: Uint32Array;
  #sums: BigUint64Array;
  #size = 0;

  constructor(expected: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(64, expected * 1.4)));
    [this.#low, this.#high] = [new Uint32Array(slots), new Uint32Array(slots)];
    [this.#counts, this.#sums] = [new Uint32Array(2 * slots), new BigUint64Array(2 * slots)];
  }

  get size(): number {
    return this.#size;
  }

  /** Adds the row that the hasher has taken. */
  add(side: Side, hasher: RowHasher): void {
    this.#put(hasher.keyLow, hasher.keyHigh, side, 1, hasher.first);
  }

  /** The place of the key of the row that the hasher has taken; -1 if it is not here. */
  find(hasher: RowHasher): number {
    const slot = this.#slot(hasher.keyLow, hasher.keyHigh);
    return this.#isFree(slot) ? -1 : slot;
  }

  at(slot: number): Entry {
    const i = 2 * slot;
    const key = (BigInt(this.#high[slot]) << 32n) | BigInt(this.#low[slot]);
    return { key, counts: [this.#counts[i], this.#counts[i + 1]], sums: [this.#sums[i], this.#sums[i + 1]] };
  }

  /** Does the destination have this key as often as the source, or more often? */
  isMatched(slot: number): boolean {
    return this.#counts[2 * slot + 1] >= this.#counts[2 * slot];
  }

  /** Adds a row to the entry at a place that was found. */
  addAt(slot: number, side: Side, hasher: RowHasher): void {
    this.#counts[2 * slot + side]++;
    this.#sums[2 * slot + side] += hasher.first;
  }

  /** The entries that `keep` chooses, in a table of their own. */
  only(keep: (entry: Entry) => boolean): KeyTable {
    const slots: number[] = [];
    for (const slot of this.#slots()) if (keep(this.at(slot))) slots.push(slot);
    const kept = new KeyTable(slots.length);
    for (const slot of slots) kept.#take(this, slot);
    return kept;
  }

  *entries(): Iterable<Entry> {
    for (const slot of this.#slots()) yield this.at(slot);
  }

  *#slots(): Iterable<number> {
    for (let slot = 0; slot < this.#low.length; slot++) if (!this.#isFree(slot)) yield slot;
  }

  #put(low: number, high: number, side: Side, count: number, sum: bigint): void {
    let slot = this.#slot(low, high);
    if (this.#isFree(slot)) {
      if (this.#size >= 0.8 * this.#low.length) {
        this.#grow();
        slot = this.#slot(low, high);
      }
      this.#low[slot] = low;
      this.#high[slot] = high;
      this.#size++;
    }
    this.#counts[2 * slot + side] += count;
    this.#sums[2 * slot + side] += sum;
  }

  #take(from: KeyTable, slot: number): void {
    for (const side of [0, 1] as const) {
      const i = 2 * slot + side;
      if (from.#counts[i] > 0) this.#put(from.#low[slot], from.#high[slot], side, from.#counts[i], from.#sums[i]);
    }
  }

  #grow(): void {
    const wider = new KeyTable(2 * this.#low.length);
    for (const slot of this.#slots()) wider.#take(this, slot);
    [this.#low, this.#high, this.#counts, this.#sums] = [wider.#low, wider.#high, wider.#counts, wider.#sums];
  }

  #isFree(slot: number): boolean {
    return this.#counts[2 * slot] === 0 && this.#counts[2 * slot + 1] === 0;
  }

  /** Where the key is, or where it belongs. The low bits chose the bucket already, so the high ones choose the place. */
  #slot(low: number, high: number): number {
    const last = this.#low.length - 1;
    let slot = (high ^ (low >>> 10)) & last;
    while (!this.#isFree(slot) && (this.#low[slot] !== low || this.#high[slot] !== high)) slot = (slot + 1) & last;
    return slot;
  }
}
