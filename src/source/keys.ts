import type { Cursor, Value } from '../contract.js';

/** Key cells as a cursor: JSON that people can read, different for different keys, `parseKey` of which gives the cells again. */
export function spellKey(key: readonly Value[]): Cursor {
  return JSON.stringify(key.map(tagged));
}

export function parseKey(cursor: Cursor): Value[] {
  return (JSON.parse(cursor) as Tagged[]).map(untagged);
}

/** JSON knows text, booleans, null and, as long as they are finite, floating point numbers; the rest is named. */
type Tagged = string | number | boolean | null | { readonly int: string } | { readonly bytes: string } | { readonly number: string };

function tagged(value: Value): Tagged {
  if (typeof value === 'bigint') return { int: String(value) };
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))) return { number: Object.is(value, -0) ? '-0' : String(value) };
  return value instanceof Uint8Array ? { bytes: Buffer.from(value).toString('hex') } : value;
}

function untagged(cell: Tagged): Value {
  if (typeof cell !== 'object' || cell === null) return cell;
  if ('int' in cell) return BigInt(cell.int);
  return 'bytes' in cell ? Buffer.from(cell.bytes, 'hex') : Number(cell.number);
}
