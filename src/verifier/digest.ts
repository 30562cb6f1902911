import type { RowHasher } from './rows.js';

export const bucketCount = 1024;

/** The additive digest of a set of rows: how many, and the sums of their hashes. Equal rows add up, they never cancel. */
export interface Digest { readonly rows: number; readonly first: bigint; readonly second: bigint }

export const nothing: Digest = { rows: 0, first: 0n, second: 0n };

export function plus(a: Digest, b: Digest): Digest {
  return { rows: a.rows + b.rows, first: BigInt.asUintN(64, a.first + b.first), second: BigInt.asUintN(64, a.second + b.second) };
}

export function minus(a: Digest, b: Digest): Digest {
  return { rows: a.rows - b.rows, first: BigInt.asUintN(64, a.first - b.first), second: BigInt.asUintN(64, a.second - b.second) };
}

export function same(a: Digest, b: Digest): boolean {
  return a.rows === b.rows && a.first === b.first && a.second === b.second;
}

export function hex(digest: Digest): string {
  return [digest.first, digest.second].map((lane) => lane.toString(16).padStart(16, '0')).join('');
}

/** A digest that grows. */
export class Sum {
  #rows = 0;
  readonly #lanes = new BigUint64Array(2);

  /** Adds the row that the hasher has taken. */
  add(hasher: RowHasher): void {
    this.#rows++;
    this.#lanes[0] += hasher.first;
    this.#lanes[1] += hasher.second;
  }

  get total(): Digest {
    return { rows: this.#rows, first: this.#lanes[0], second: this.#lanes[1] };
  }
}

/** Digests of a part's rows, in buckets by the hash of their key. */
export class Buckets {
  readonly #rows = new Float64Array(bucketCount);
  readonly #first = new BigUint64Array(bucketCount);
  readonly #second = new BigUint64Array(bucketCount);

  /** Adds the row that the hasher has taken. */
  add(hasher: RowHasher): void {
    const bucket = bucketOf(hasher);
    this.#rows[bucket]++;
    this.#first[bucket] += hasher.first;
    this.#second[bucket] += hasher.second;
  }

  at(bucket: number): Digest {
    return { rows: this.#rows[bucket], first: this.#first[bucket], second: this.#second[bucket] };
  }

  total(buckets: readonly number[] = everyBucket): Digest {
    return buckets.reduce((sum, bucket) => plus(sum, this.at(bucket)), nothing);
  }

  /** The buckets in which the two sides differ. */
  differing(other: Buckets): readonly number[] {
    return everyBucket.filter((bucket) => !same(this.at(bucket), other.at(bucket)));
  }
}

export function bucketOf(hasher: RowHasher): number {
  return hasher.keyLow & (bucketCount - 1);
}

const everyBucket: readonly number[] = [...Array(bucketCount).keys()];
