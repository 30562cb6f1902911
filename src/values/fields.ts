import type { LogicalType, Value } from '../contract.js';
import { bsonType, textAt } from './bson-bytes.js';
import type { BsonWriter } from './bson-writer.js';
import { plainDecimal, writeDecimal } from './decimal128.js';
import { valueJson, type Style } from './extended-json.js';
import { parseJson, putJson } from './extended-json-bytes.js';
import { trimFraction } from './normal.js';

/** A value of a field as the cell of a column, and the way back. A value that has a cell and `isExact` is restored by `put` to the bit. */
export interface FieldCodec {
  /** As BSON calls the type; the column's `native`. */
  readonly native: string;
  readonly type: LogicalType;
  /** Undefined for a value that the column can't hold. */
  readonly cell: (bytes: Buffer, type: number, start: number, end: number) => Value | undefined;
  readonly isExact: (bytes: Buffer, type: number, start: number, end: number) => boolean;
  /** Writes the field; fails, or writes another type, for a cell that `cell` never gives. `name` ends in a NUL. */
  readonly put: (writer: BsonWriter, name: Buffer, cell: Exclude<Value, null>) => void;
}

/** What JSON parsers of other programs take: MariaDB's ends at 32 levels. */
const inColumn: Style = { plain: true, deepest: 24 }, asText: Style = { plain: false, deepest: 24 };

/** The codec that a column's `native` names; undefined for other columns. */
export function fieldCodec(native: string): FieldCodec | undefined {
  const [, name, scale] = /^([a-zA-Z ]+)(?:\(\d+,(\d+)\))?$/.exec(native) ?? [];
  return name === 'decimal' && scale !== undefined ? decimals(Number(scale)) : codecs[native];
}

const only = (type: number) => (_bytes: Buffer, found: number): boolean => found === type;

const codecs: Readonly<Record<string, FieldCodec>> = {
  objectId: {
    native: 'objectId', type: { kind: 'text', maxLength: 24, padded: true }, isExact: only(bsonType.objectId),
    cell: (bytes, type, start, end) => (type === bsonType.objectId ? bytes.toString('hex', start, end) : undefined),
    put: (writer, name, cell) => (hex24.test(String(cell)) ? putBytes(writer, bsonType.objectId, name, Buffer.from(String(cell), 'hex')) : putTextOrJson(writer, name, cell)),
  },
  int: {
    native: 'int', type: { kind: 'int', bits: 32, signed: true }, isExact: only(bsonType.int),
    cell: (bytes, type, start) => (type === bsonType.int ? bytes.readInt32LE(start) : undefined),
    put: (writer, name, cell) => putWhole(writer, name, cell),
  },
  long: {
    native: 'long', type: { kind: 'int', bits: 64, signed: true }, isExact: only(bsonType.long),
    cell: (bytes, type, start) => (type === bsonType.long ? bytes.readBigInt64LE(start) : type === bsonType.int ? BigInt(bytes.readInt32LE(start)) : undefined),
    put(writer, name, cell) {
      writer.field(bsonType.long, name);
      writer.long(BigInt(cell as bigint | number));
    },
  },
  double: {
    native: 'double', type: { kind: 'float', bits: 64 },
    isExact: (bytes, type, start) => type === bsonType.double && bytes.readBigUInt64LE(start) !== minusZero && Number.isFinite(bytes.readDoubleLE(start)),
    cell: doubleCell,
    put(writer, name, cell) {
      writer.field(bsonType.double, name);
      writer.double(Number(cell));
    },
  },
  string: {
    native: 'string', type: { kind: 'text' }, isExact: only(bsonType.string),
    cell: textCell, put: (writer, name, cell) => putText(writer, name, cell),
  },
  // Where JSON is kept in columns of text: what looks like JSON is no text.
  text: {
    native: 'text', type: { kind: 'text' },
    isExact: (bytes, type, start, end) => type !== bsonType.string || !looksLikeJson(bytes, start + 4, end - 1),
    // A number by itself would be taken for the text of its digits.
    cell: (bytes, type, start, end) => (type === bsonType.string ? textCell(bytes, type, start, end)
      : valueJson(bytes, type, start, end, type === bsonType.document || type === bsonType.array ? inColumn : asText)),
    put: (writer, name, cell) => putTextOrJson(writer, name, cell),
  },
  bool: {
    native: 'bool', type: { kind: 'bool' }, isExact: only(bsonType.bool),
    cell: (bytes, type, start) => (type === bsonType.bool ? bytes[start] === 1 : undefined),
    put(writer, name, cell) {
      if (cell !== true && cell !== false && cell !== 0 && cell !== 1) return putWhole(writer, name, cell);
      writer.field(bsonType.bool, name);
      writer.byte(cell ? 1 : 0);
    },
  },
  date: {
    native: 'date', type: { kind: 'instant', fraction: 3 }, isExact: only(bsonType.date),
    cell: dateCell,
    put(writer, name, cell) {
      const text = String(cell), moment = Date.parse(`${text.slice(0, 10)}T${text.slice(11)}Z`);
      if (Number.isNaN(moment)) return putText(writer, name, cell);
      writer.field(bsonType.date, name);
      writer.long(BigInt(moment));
    },
  },
  binData: {
    native: 'binData', type: { kind: 'bytes' },
    isExact: (bytes, type, start) => type === bsonType.binary && bytes[start + 4] === 0,
    cell: (bytes, type, start, end) => (type === bsonType.binary ? bytes.subarray(start + 5, end) : undefined),
    put(writer, name, cell) {
      if (!(cell instanceof Uint8Array)) return putText(writer, name, cell);
      writer.field(bsonType.binary, name);
      writer.binary(0, cell);
    },
  },
  uuid: {
    native: 'uuid', type: { kind: 'uuid' }, isExact: isUuid,
    cell: (bytes, type, start, end) => (isUuid(bytes, type, start, end) ? spellUuid(bytes.toString('hex', start + 5, end)) : undefined),
    put(writer, name, cell) {
      if (!uuidText.test(String(cell))) return putTextOrJson(writer, name, cell);
      writer.field(bsonType.binary, name);
      writer.binary(4, Buffer.from(String(cell).replaceAll('-', ''), 'hex'));
    },
  },
  json: {
    native: 'json', type: { kind: 'json-text' }, isExact: () => true,
    cell: (bytes, type, start, end) => valueJson(bytes, type, start, end, inColumn),
    put: (writer, name, cell) => putJson(writer, name, parseJson(String(cell))),
  },
  // SQLite has one type of integers for a whole key: the smaller of two that a number may have been.
  integer: {
    native: 'integer', type: { kind: 'int', bits: 64, signed: true },
    isExact: (bytes, type, start) => type === bsonType.int || (type === bsonType.long && BigInt.asIntN(32, bytes.readBigInt64LE(start)) !== bytes.readBigInt64LE(start)),
    cell: (bytes, type, start) => (type === bsonType.long ? bytes.readBigInt64LE(start) : type === bsonType.int ? BigInt(bytes.readInt32LE(start)) : undefined),
    put: (writer, name, cell) => putWhole(writer, name, cell),
  },
  // An `_id` of whatever type.
  'string id': {
    native: 'string id', type: { kind: 'text' }, isExact: () => true,
    cell(bytes, type, start, end) {
      const text = type === bsonType.string ? textAt(bytes, start + 4, end - 1) : undefined;
      return text === undefined || text.includes('\0') || jsonStart.test(text) ? valueJson(bytes, type, start, end) : text;
    },
    put: (writer, name, cell) => putTextOrJson(writer, name, cell),
  },
};

const hex24 = /^[0-9a-f]{24}$/;
const uuidText = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** What begins like this is JSON where text may be either. */
const jsonStart = /^(?:[{["]|(?:true|false|null)$)/;
const minusZero = 0x8000_0000_0000_0000n;

/** Every Decimal128 with so many digits after the point, and with fewer. */
export const decimalNative = (scale: number): string => `decimal(${34 + scale},${scale})`;
export const mostScale = 30;

function decimals(scale: number): FieldCodec {
  return {
    native: decimalNative(scale), type: { kind: 'decimal', precision: 34 + scale, scale },
    isExact(bytes, type, start) {
      if (type !== bsonType.decimal) return false;
      const text = plainDecimal(bytes, start);
      return scaleOf(text) === scale && writesSame(text, bytes, start) && !isMinusZero(text) && plainNumber.test(text);
    },
    cell(bytes, type, start) {
      const text = numberText(bytes, type, start);
      return text === undefined ? undefined : padded(text, scale);
    },
    put(writer, name, cell) {
      const decimal = Buffer.alloc(16);
      if (!writeDecimal(String(cell), decimal, 0)) return putText(writer, name, cell);
      putBytes(writer, bsonType.decimal, name, decimal);
    },
  };
}

const plainNumber = /^-?\d+(?:\.\d+)?$/;

/** The digits of a number of any type; undefined for what is none, or very long. */
function numberText(bytes: Buffer, type: number, start: number): string | undefined {
  switch (type) {
    case bsonType.decimal: return finite(plainDecimal(bytes, start));
    case bsonType.int: return String(bytes.readInt32LE(start));
    case bsonType.long: return String(bytes.readBigInt64LE(start));
    case bsonType.double: return finite(String(bytes.readDoubleLE(start)));
    default: return undefined;
  }
}

function finite(text: string): string | undefined {
  return plainNumber.test(text) && text.length < 100 ? text : undefined;
}

/** The digits after the point. */
export function scaleOf(text: string): number {
  const point = text.indexOf('.');
  return point < 0 ? 0 : text.length - point - 1;
}

/** Is it the same decimal after it has been digits? */
export function isPlainDecimal(bytes: Buffer, start: number): boolean {
  return writesSame(plainDecimal(bytes, start), bytes, start);
}

/** With exactly `scale` digits after the point; undefined where digits would be lost, or there are too many before it. */
function padded(text: string, scale: number): string | undefined {
  const unsigned = text.replace('-', ''), point = unsigned.indexOf('.');
  const whole = point < 0 ? unsigned : unsigned.slice(0, point), fraction = point < 0 ? '' : unsigned.slice(point + 1);
  if (whole.replace(/^0+/, '').length > 34 || /[1-9]/.test(fraction.slice(scale))) return undefined;
  const digits = scale === 0 ? whole : `${whole}.${fraction.slice(0, scale).padEnd(scale, '0')}`;
  return text.startsWith('-') && /[1-9]/.test(digits) ? `-${digits}` : digits;
}

function isMinusZero(text: string): boolean {
  return text.startsWith('-') && !/[1-9]/.test(text);
}

const again = Buffer.alloc(16);

function writesSame(text: string, bytes: Buffer, start: number): boolean {
  return writeDecimal(text, again, 0) && again.compare(bytes, start, start + 16) === 0;
}

function doubleCell(bytes: Buffer, type: number, start: number): number | undefined {
  if (type === bsonType.int) return bytes.readInt32LE(start);
  if (type === bsonType.long) return isExactDouble(bytes.readBigInt64LE(start)) ? Number(bytes.readBigInt64LE(start)) : undefined;
  if (type !== bsonType.double) return undefined;
  const value = bytes.readDoubleLE(start);
  return Number.isFinite(value) ? value + 0 : undefined;
}

export function isExactDouble(value: bigint): boolean {
  return BigInt(Number(value)) === value;
}

/** PostgreSQL's text has no NUL. */
function textCell(bytes: Buffer, type: number, start: number, end: number): string | undefined {
  if (type !== bsonType.string) return undefined;
  const text = textAt(bytes, start + 4, end - 1);
  return text.includes('\0') ? undefined : text;
}

function looksLikeJson(bytes: Buffer, start: number, end: number): boolean {
  const first = bytes[start];
  return first === 0x7b || first === 0x5b || first === 0x22 || (end - start < 6 && jsonStart.test(bytes.toString('latin1', start, end)));
}

/** The years that every engine's dates have. */
const [firstDate, lastDate] = [Date.UTC(1000, 0, 1), Date.UTC(9999, 11, 31, 23, 59, 59, 999)];

function dateCell(bytes: Buffer, type: number, start: number): string | undefined {
  if (type !== bsonType.date) return undefined;
  const moment = Number(bytes.readBigInt64LE(start));
  return moment >= firstDate && moment <= lastDate ? trimFraction(new Date(moment).toISOString().replace('T', ' ').replace('Z', '')) : undefined;
}

function isUuid(bytes: Buffer, type: number, start: number, end: number): boolean {
  return type === bsonType.binary && bytes[start + 4] === 4 && end - start === 21;
}

function spellUuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function putBytes(writer: BsonWriter, type: number, name: Buffer, bytes: Uint8Array): void {
  writer.field(type, name);
  writer.raw(bytes);
}

function putText(writer: BsonWriter, name: Buffer, cell: Exclude<Value, null>): void {
  writer.field(bsonType.string, name);
  writer.string(String(cell));
}

function putTextOrJson(writer: BsonWriter, name: Buffer, cell: Exclude<Value, null>): void {
  const text = String(cell), json = jsonStart.test(text) ? parsed(text) : undefined;
  if (json === undefined) putText(writer, name, text);
  else putJson(writer, name, json);
}

function parsed(text: string): ReturnType<typeof parseJson> | undefined {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

function putWhole(writer: BsonWriter, name: Buffer, cell: Exclude<Value, null>): void {
  const value = BigInt(cell as number | bigint), isInt = BigInt.asIntN(32, value) === value;
  writer.field(isInt ? bsonType.int : bsonType.long, name);
  if (isInt) writer.int(Number(value));
  else writer.long(value);
}
