import xxhash, { type XXHashAPI } from 'xxhash-wasm';
import type { Column, Mapping, Row, Shape } from '../contract.js';
import { DsyncError } from '../errors.js';
import { Cells } from './cells.js';
import { comparer, type Comparer, type Conversions, type Spell } from './compare.js';

const seeds = [0n, 0x9e3779b97f4a7c15n] as const;
const keySeed = 0xc2b2ae3d27d4eb4fn;
/** Engines that give a float's -0 back as they got it; MariaDB makes it 0. */
const signedZeroEngines: ReadonlySet<string> = new Set(['postgres', 'mysql', 'mongodb', 'memory']);
/** SQLite's REAL makes -0 0, its BLOB leaves it alone. */
const hasNoAffinity = /^$|BLOB/i;
const hashing: Promise<XXHashAPI> = xxhash();
/** One for all: a row is spelled and hashed in one go. */
const cells = new Cells();

/** Which side of a comparison: an index. */
export type Side = 0 | 1;
export const source = 0, destination = 1;

/**
 * Hashes rows of one side of a table: what it holds after `take` is of that row. Two rows have equal hashes if they mean
 * the same cell by cell (compare.ts); without a key the whole row is the key.
 */
export class RowHasher {
  readonly #hash: XXHashAPI;
  readonly #shape: Shape;
  readonly #spells: readonly Spell[];
  /** Column positions, those of the key first. */
  readonly #order: readonly number[];
  readonly #keyLength: number;
  readonly #lanes = new BigUint64Array(1);
  readonly #halves = new Uint32Array(this.#lanes.buffer);

  /** Two lanes of the row's hash. */
  first = 0n;
  second = 0n;
  /** The hash of its key, in two halves. */
  keyLow = 0;
  keyHigh = 0;
  /** What its cells take, in bytes. */
  length = 0;

  constructor(hash: XXHashAPI, shape: Shape, key: readonly number[], spells: readonly Spell[]) {
    this.#hash = hash;
    this.#shape = shape;
    this.#spells = spells;
    this.#keyLength = key.length > 0 ? key.length : spells.length;
    this.#order = [...key, ...spells.keys()].filter((position, i, all) => all.indexOf(position) === i);
  }

  take(row: Row): void {
    if (row.length !== this.#spells.length) throw this.#malformed(`a row of ${row.length} cells`);
    const order = this.#order;
    cells.clear();
    for (let i = 0; i < this.#keyLength; i++) this.#spell(row, order[i]);
    this.#lanes[0] = this.#hash.h64Raw(cells.from(0), keySeed);
    this.keyLow = this.#halves[0];
    this.keyHigh = this.#halves[1];
    for (let i = this.#keyLength; i < order.length; i++) this.#spell(row, order[i]);
    const bytes = cells.from(0);
    this.first = this.#hash.h64Raw(bytes, seeds[0]);
    this.second = this.#hash.h64Raw(bytes, seeds[1]);
    this.length = bytes.length;
  }

  /** The hash of one cell alone. */
  cell(row: Row, position: number): bigint {
    cells.clear();
    this.#spell(row, position);
    return this.#hash.h64Raw(cells.from(0));
  }

  #spell(row: Row, position: number): void {
    const value = row[position];
    if (value === null) cells.null();
    else if (value === undefined) throw this.#malformed(`nothing in column ${this.#shape.columns[position].name}`);
    else this.#spells[position](value, cells);
  }

  #malformed(what: string): DsyncError {
    return new DsyncError('internal', `the scan of ${this.#shape.namespace} gave ${what}`, { namespace: this.#shape.namespace });
  }
}

/** The hashers of a table's two sides. What `take` leaves in them is to be used before anything is waited for. */
export async function hashers(mapping: Mapping): Promise<readonly [RowHasher, RowHasher]> {
  const { source, target } = mapping;
  const comparers = comparersOf(mapping);
  return [
    new RowHasher(await hashing, source, source.key, comparers.map((one) => one.source)),
    new RowHasher(await hashing, target, source.key, comparers.map((one) => one.destination)),
  ];
}

function comparersOf({ source, target }: Mapping): readonly Comparer[] {
  if (source.columns.length !== target.columns.length) {
    throw new DsyncError('internal', `${source.namespace} has ${source.columns.length} columns, its target ${target.columns.length}`, { namespace: source.namespace });
  }
  return source.columns.map((column, i) => comparer(column.type, target.columns[i].type, conversionsOf(target.columns[i], target.engine)));
}

function conversionsOf({ native, type }: Column, engine: string): Conversions {
  return { signedZero: signedZeroEngines.has(engine) || (engine === 'sqlite' && hasNoAffinity.test(native)), doubles: engine === 'mysql' && type.kind === 'json-value' };
}
