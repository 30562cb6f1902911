import type { Column, LogicalType, Row, Value } from '../contract.js';
import { DsyncError } from '../errors.js';
import { toExtendedJson } from './extended-json.js';
import { isOfType } from './misfits.js';

/*
 * A row as it stands in a reject file (docs/rejects.md): people read and edit it, and `readRow` gives the very cells again.
 * A value that is one of its column's type is plain JSON where JSON can hold it; everything else says what it is.
 */

type ToldCell = null | boolean | number | string | { readonly text: string } | { readonly int: string } | { readonly number: string } | { readonly bytes: string; readonly json?: string } | { readonly json: string };

export function tellRow(columns: readonly Column[], row: Row): Readonly<Record<string, unknown>> {
  return Object.fromEntries(columns.map(({ name, type }, i) => [name, tellCell(type, row[i])]));
}

function tellCell(type: LogicalType, value: Value): ToldCell {
  switch (typeof value) {
    case 'string': return type.kind === 'document' ? { json: value } : holdsText(type) ? value : { text: value };
    case 'bigint': return type.kind === 'int' && type.bits === 64 && isSafe(value) ? Number(value) : { int: String(value) };
    case 'number': return Number.isFinite(value) && !Object.is(value, -0) && (type.kind === 'int' ? type.bits < 64 && Number.isSafeInteger(value) : holdsNumbers(type)) ? value : { number: Object.is(value, -0) ? '-0' : String(value) };
    case 'boolean': return value;
    case 'object': return value === null ? null : { bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex'), ...(type.kind === 'document' && { json: toExtendedJson(value) }) };
    default: return value satisfies never;
  }
}

/** The reverse of `tellRow`. Fails with `data`, naming the column, where a cell is none. */
export function readRow(columns: readonly Column[], told: unknown): Row {
  if (typeof told !== 'object' || told === null || Array.isArray(told)) throw unreadable('"row" is no object');
  const known = new Set(columns.map(({ name }) => name)), other = Object.keys(told).find((name) => !known.has(name));
  if (other !== undefined) throw unreadable(`the table has no column ${other}`);
  return columns.map(({ name, type }) => {
    if (!Object.hasOwn(told, name)) throw unreadable(`${name} is missing`);
    return readCell(type, (told as Record<string, unknown>)[name], name);
  });
}

function readCell(type: LogicalType, cell: unknown, name: string): Value {
  switch (typeof cell) {
    case 'boolean': return cell;
    case 'string': {
      if (holdsText(type)) return cell;
      break;
    }
    case 'number': {
      if (type.kind === 'int' && Number.isSafeInteger(cell)) return type.bits === 64 ? BigInt(cell) : cell;
      if (type.kind !== 'int' && holdsNumbers(type)) return cell;
      break;
    }
    case 'object': {
      const value = cell === null ? null : readNamed(cell);
      if (value !== undefined) return value;
      break;
    }
    default:
  }
  throw unreadable(`${name} can't be ${JSON.stringify(cell)?.slice(0, 60)}: ${expected(type)}`);
}

function readNamed(cell: object): Value | undefined {
  const { text, int, number, bytes, json } = cell as { readonly [name: string]: unknown };
  if (typeof text === 'string') return text;
  if (typeof int === 'string' && /^-?\d+$/.test(int)) return BigInt(int);
  if (typeof number === 'string' && (number === 'NaN' || !Number.isNaN(Number(number)))) return Number(number);
  if (typeof bytes === 'string' && /^([0-9a-f]{2})*$/i.test(bytes)) return Buffer.from(bytes, 'hex');
  return typeof json === 'string' ? json : undefined;
}

function expected(type: LogicalType): string {
  if (type.kind === 'bytes') return 'write {"bytes": "hex digits"}';
  if (type.kind === 'int') return type.bits === 64 ? 'write a whole number, past 2^53 as {"int": "digits"}' : 'write a whole number';
  if (type.kind === 'float') return 'write a number, or {"number": "NaN"}';
  return type.kind === 'bool' ? 'write true or false' : type.kind === 'document' ? 'write {"json": "Extended JSON"}' : 'write text in quotes';
}

/** Is plain text in a cell of this type the value itself? */
function holdsText(type: LogicalType): boolean {
  return type.kind === 'any' || (type.kind !== 'document' && isOfType(type)(''));
}

function holdsNumbers(type: LogicalType): boolean {
  return type.kind === 'any' || type.kind === 'float';
}

function isSafe(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
}

function unreadable(what: string): DsyncError {
  return new DsyncError('data', what);
}
