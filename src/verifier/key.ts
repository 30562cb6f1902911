import { createHash } from 'node:crypto';
import type { LogicalType, Row, Shape, Value } from '../contract.js';
import { spellAny, spellCell } from '../values/normal.js';
import { withoutPadding } from './compare.js';

const longest = 400;

/**
 * A row's key as people read it: `id=7`, `a=1, b="x"`; the whole row where there is no key. One text per key: what is
 * too long to be read is cut in the middle and told apart by a hash. Reject files and reports share this spelling.
 */
export function keyText(shape: Shape, row: Row): string {
  const positions = keyPositions(shape);
  const text = positions.map((position) => `${shape.columns[position].name}=${spelledCell(shape.columns[position].type, row[position])}`).join(', ');
  return text.length <= longest ? text : `${cutInTheMiddle(text, longest)} #${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}

/** Positions of the columns that tell rows apart: the key's, or all. */
export function keyPositions(shape: Shape): readonly number[] {
  return shape.key.length > 0 ? shape.key : shape.columns.map((_, position) => position);
}

/** A cell as people read it: text in quotes, all else in normal form, `NULL`. */
export function spelledCell(type: LogicalType, value: Value): string {
  if (value === null) return 'NULL';
  const text = spellCell(type)(value);
  if (typeof value !== 'string' || !quoted.has(type.kind)) return text;
  return JSON.stringify(type.kind === 'text' && type.padded ? withoutPadding(text) : text);
}

/** Not `any`: formats of text know no types, so what was a number comes back as text. */
const quoted: ReadonlySet<LogicalType['kind']> = new Set(['text', 'enum', 'set', 'native']);

/** The text without its middle, in memory of its own: a slice would keep the whole alive. */
export function cutInTheMiddle(text: string, length: number): string {
  if (text.length <= length) return text;
  const half = Math.floor((length - 1) / 2);
  return detached(`${text.slice(0, half)}…${text.slice(-half)}`);
}

export function detached(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le');
}

/** Orders key cells: numbers by their worth, all else by code units, nulls first. */
export function compareKeys(a: readonly Value[], b: readonly Value[]): number {
  for (let i = 0; i < a.length; i++) {
    const order = compareCells(a[i], b[i]);
    if (order !== 0) return order;
  }
  return 0;
}

function compareCells(a: Value, b: Value): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  const x = comparable(a), y = comparable(b);
  if (typeof x === typeof y || (typeof x !== 'string' && typeof y !== 'string')) return x < y ? -1 : x > y ? 1 : 0;
  return typeof x === 'string' ? 1 : -1;
}

function comparable(value: Exclude<Value, null>): number | bigint | string {
  return typeof value === 'boolean' ? Number(value) : typeof value === 'object' ? spellAny(value) : value;
}
