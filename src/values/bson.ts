import type { Column, LogicalType, Mapping, Row, Shape, Value } from '../contract.js';
import { DsyncError, messageOf } from '../errors.js';
import { bsonType, bufferOf, eachField, fieldOf, textAt } from './bson-bytes.js';
import { BsonWriter } from './bson-writer.js';
import { plainDecimal, writeDecimal } from './decimal128.js';
import { valueJson } from './extended-json.js';
import { trimFraction } from './normal.js';

export { toExtendedJson } from './extended-json.js';

/** The largest document that a MongoDB server takes. */
const largestDocument = 16 * 1024 * 1024;

/** What a column becomes in BSON. */
export type Kept = 'bool' | 'int' | 'long' | 'decimal' | 'double' | 'string' | 'binData' | 'uuid' | 'date' | 'any';

export function keptAs(type: LogicalType): Kept {
  switch (type.kind) {
    case 'bool': return 'bool';
    case 'int': return type.bits < 32 || (type.bits === 32 && type.signed) ? 'int' : type.bits === 32 || type.signed ? 'long' : 'decimal';
    case 'decimal': return 'decimal';
    case 'float': return 'double';
    case 'bytes': return 'binData';
    case 'uuid': return 'uuid';
    case 'instant': return type.fraction <= 3 ? 'date' : 'string';
    case 'any': return 'any';
    case 'text': case 'date': case 'time': case 'timestamp': case 'json-text': case 'json-value': case 'enum': case 'set':
    case 'bits': case 'native': case 'document': case 'document-id': return 'string';
    default: return type satisfies never;
  }
}

/** The `_id` of a document as canonical Extended JSON. */
export function idText(document: Uint8Array): string {
  const bytes = bufferOf(document), id = fieldOf(bytes, '_id');
  if (!id) throw new DsyncError('data', 'a document has no _id');
  return valueJson(bytes, id.type, id.start, id.end);
}

/** Rows that became documents, and those that can't, by their place. */
export interface Encoded {
  /** As many as there are rows, in their order; undefined where the row is among `bad`. */
  readonly documents: readonly (Uint8Array | undefined)[];
  readonly bad: readonly { readonly index: number; readonly reason: string }[];
}

/**
 * Compiles the way from rows to documents. SQL rows: `_id` from the key (its value, or an embedded document of a
 * composite key; none without a key), then every column as a field, null where it is null. Rows of documents: the bytes.
 */
export function encodeEachRow(mapping: Mapping): (rows: readonly Row[]) => Encoded {
  const write = rowWriter(mapping);
  return (rows) => {
    const writer = new BsonWriter();
    const bad: { index: number; reason: string }[] = [];
    const ends = rows.map((row, index) => {
      const start = writer.length;
      try {
        write(writer, row);
        if (writer.length - start <= largestDocument) return { start, end: writer.length };
        bad.push({ index, reason: `the document would have ${writer.length - start} bytes; MongoDB takes ${largestDocument}` });
      } catch (error) {
        bad.push({ index, reason: messageOf(error) });
      }
      writer.truncate(start);
      return undefined;
    });
    const bytes = writer.bytes();
    return { documents: ends.map((place) => place && bytes.subarray(place.start, place.end)), bad };
  };
}

/** As `encodeEachRow`, but fails with `data` on the first row that does not fit. */
export function encodeRows(mapping: Mapping): (rows: readonly Row[]) => Uint8Array[] {
  const encode = encodeEachRow(mapping);
  return (rows) => {
    const { documents, bad } = encode(rows);
    if (bad[0]) throw new DsyncError('data', `${mapping.source.namespace}: row ${bad[0].index + 1} of ${rows.length} can't become a document: ${bad[0].reason}`);
    return documents as Uint8Array[];
  };
}

/** The `_id` that the key cells of a row make, as a document of that one field: `{_id: …}`. */
export function encodeKey(mapping: Mapping): (key: Row) => Buffer {
  const { columns, key: positions } = mapping.target;
  const write = idWriter(positions.map((position) => columns[position]!), positions.map((_, index) => index));
  return (key) => {
    const writer = new BsonWriter(256);
    const open = writer.open();
    write(writer, key);
    writer.close(open);
    return writer.bytes();
  };
}

/**
 * Compiles the way from documents to rows of `shape`. Documents: `_id` as text, and the bytes. SQL rows: the fields by
 * name, null where one is missing; a value of another BSON type than the column's is spelled as Extended JSON.
 */
export function decodeRows(shape: Shape): (documents: readonly Uint8Array[]) => Row[] {
  const whole = shape.columns.findIndex((column) => column.type.kind === 'document');
  if (whole >= 0) {
    const cell = (column: Column) => (column.type.kind === 'document' ? (document: Uint8Array) => document : idText);
    const cells = shape.columns.map(cell);
    return (documents) => documents.map((document) => cells.map((of) => of(document)));
  }
  const readers = shape.columns.map((column) => valueReader(column.type));
  const places = new Map(shape.columns.map((column, index) => [column.name, index]));
  return (documents) => documents.map((document) => fieldsOf(bufferOf(document), places, readers));
}

type Reader = (bytes: Buffer, type: number, start: number, end: number) => Value;

function fieldsOf(bytes: Buffer, places: ReadonlyMap<string, number>, readers: readonly Reader[]): Row {
  const row: Value[] = new Array<Value>(readers.length).fill(null);
  eachField(bytes, 0, bytes.length, (type, nameStart, nameEnd, start, end) => {
    const place = places.get(bytes.toString('utf8', nameStart, nameEnd));
    if (place !== undefined && type !== bsonType.null) row[place] = readers[place]!(bytes, type, start, end);
  });
  return row;
}

function valueReader(type: LogicalType): Reader {
  const single = type.kind === 'float' && type.bits === 32, kept = keptAs(type);
  const wide = type.kind === 'int' && type.bits === 64;
  const read = kept === 'any' ? anyReader : exactReader(kept, wide, single);
  return (bytes, found, start, end) => read(bytes, found, start, end) ?? valueJson(bytes, found, start, end);
}

/** Undefined for a BSON type that `encodeRows` never writes for such a column. */
function exactReader(kept: Exclude<Kept, 'any'>, wide: boolean, single: boolean): (...place: Parameters<Reader>) => Value | undefined {
  const { string } = bsonType;
  switch (kept) {
    case 'bool': return (bytes, type, start) => (type === bsonType.bool ? bytes[start] === 1 : undefined);
    case 'int': return (bytes, type, start) => (type === bsonType.int ? bytes.readInt32LE(start) : undefined);
    case 'long': return (bytes, type, start) => (type !== bsonType.long ? undefined : wide ? bytes.readBigInt64LE(start) : Number(bytes.readBigInt64LE(start)));
    case 'double': return (bytes, type, start) => (type !== bsonType.double ? undefined : single ? Math.fround(bytes.readDoubleLE(start)) : bytes.readDoubleLE(start));
    case 'decimal': return (bytes, type, start, end) => {
      if (type === bsonType.decimal) return wide ? BigInt(plainDecimal(bytes, start)) : plainDecimal(bytes, start);
      return type === string ? textAt(bytes, start + 4, end - 1) : undefined;
    };
    case 'string': return (bytes, type, start, end) => (type === string ? textAt(bytes, start + 4, end - 1) : undefined);
    case 'binData': return (bytes, type, start, end) => (type === bsonType.binary && bytes[start + 4] === 0 ? bytes.subarray(start + 5, end) : undefined);
    case 'uuid': return (bytes, type, start, end) => {
      if (type === bsonType.binary && bytes[start + 4] === 4 && end - start === 21) return spellUuid(bytes.toString('hex', start + 5, end));
      return type === string ? textAt(bytes, start + 4, end - 1) : undefined;
    };
    case 'date': return (bytes, type, start, end) => {
      if (type === bsonType.date) return spellInstant(Number(bytes.readBigInt64LE(start)));
      return type === string ? textAt(bytes, start + 4, end - 1) : undefined;
    };
    default: return kept satisfies never;
  }
}

function anyReader(bytes: Buffer, type: number, start: number, end: number): Value | undefined {
  switch (type) {
    case bsonType.long: return bytes.readBigInt64LE(start);
    case bsonType.double: return bytes.readDoubleLE(start);
    case bsonType.bool: return bytes[start] === 1;
    case bsonType.string: return textAt(bytes, start + 4, end - 1);
    case bsonType.binary: return bytes[start + 4] === 0 ? bytes.subarray(start + 5, end) : undefined;
    default: return undefined;
  }
}

type Write = (writer: BsonWriter, row: Row) => void;

function rowWriter({ source, target }: Mapping): Write {
  const whole = source.columns.findIndex((column) => column.type.kind === 'document');
  if (whole >= 0) return (writer, row) => writer.raw(bytesOf(row[whole]!));
  const id = idWriter(target.key.map((position) => target.columns[position]!), target.key);
  const isId = (index: number) => target.key.length === 1 && target.key[0] === index && target.columns[index]!.name === '_id';
  const fields = target.columns.map((column, index) => ({ index, put: putter(column) })).filter(({ index }) => !isId(index));
  return (writer, row) => {
    const open = writer.open();
    id(writer, row);
    for (const { index, put } of fields) put(writer, row[index]!);
    writer.close(open);
  };
}

function idWriter(columns: readonly Column[], positions: readonly number[]): Write {
  const [only] = columns;
  if (!only) return () => {};
  if (columns.length === 1) {
    const put = putter(only, '_id');
    return (writer, row) => put(writer, row[positions[0]!]!);
  }
  const putters = columns.map((column) => putter(column)), name = Buffer.from('_id\0');
  return (writer, row) => {
    writer.field(bsonType.document, name);
    const open = writer.open();
    putters.forEach((put, index) => put(writer, row[positions[index]!]!));
    writer.close(open);
  };
}

type Put = (writer: BsonWriter, value: Value) => void;
type PutSome = (writer: BsonWriter, value: Exclude<Value, null>) => void;

function putter(column: Column, field = column.name): Put {
  const name = Buffer.from(`${field}\0`), put = valuePutter(keptAs(column.type), name);
  return (writer, value) => {
    try {
      if (value === null) writer.field(bsonType.null, name);
      else put(writer, value);
    } catch (error) {
      throw new DsyncError('data', `${column.name}: ${messageOf(error)}`);
    }
  };
}

function valuePutter(kept: Kept, name: Buffer): PutSome {
  const text: PutSome = (writer, value) => {
    if (typeof value === 'object') throw misfit('text', value);
    writer.field(bsonType.string, name);
    writer.string(String(value));
  };
  switch (kept) {
    case 'bool': return (writer, value) => { writer.field(bsonType.bool, name); writer.byte(value ? 1 : 0); };
    case 'int': return (writer, value) => { writer.field(bsonType.int, name); writer.int(whole(value, 32)); };
    case 'long': return (writer, value) => { writer.field(bsonType.long, name); writer.long(whole(value, 64)); };
    case 'double': return (writer, value) => {
      if (typeof value !== 'number') throw misfit('a number', value);
      writer.field(bsonType.double, name);
      writer.double(value);
    };
    case 'decimal': return (writer, value) => { if (!decimal(writer, name, String(value))) text(writer, value); };
    case 'string': return text;
    case 'binData': return (writer, value) => { writer.field(bsonType.binary, name); writer.binary(0, bytesOf(value)); };
    case 'uuid': return (writer, value) => {
      const bytes = Buffer.from(String(value).replaceAll('-', ''), 'hex');
      if (bytes.length !== 16 || spellUuid(bytes.toString('hex')) !== value) return text(writer, value);
      writer.field(bsonType.binary, name);
      writer.binary(4, bytes);
    };
    case 'date': return (writer, value) => {
      const moment = parseInstant(String(value));
      if (moment === undefined) return text(writer, value);
      writer.field(bsonType.date, name);
      writer.long(BigInt(moment));
    };
    case 'any': return (writer, value) => anyPutter(value, name, text)(writer, value);
    default: return kept satisfies never;
  }
}

function anyPutter(value: Exclude<Value, null>, name: Buffer, text: PutSome): PutSome {
  switch (typeof value) {
    case 'string': return text;
    case 'bigint': return valuePutter('long', name);
    case 'number': return valuePutter('double', name);
    case 'boolean': return valuePutter('bool', name);
    case 'object': return valuePutter('binData', name);
    default: return value satisfies never;
  }
}

/** A number that Decimal128 would respell (an exponent, a leading zero) or can't hold is left to text. */
function decimal(writer: BsonWriter, name: Buffer, text: string): boolean {
  const bytes = Buffer.allocUnsafe(16);
  if (!writeDecimal(text, bytes, 0) || plainDecimal(bytes, 0) !== text) return false;
  writer.field(bsonType.decimal, name);
  writer.raw(bytes);
  return true;
}

function whole(value: Exclude<Value, null>, bits: 32): number;
function whole(value: Exclude<Value, null>, bits: 64): bigint;
function whole(value: Exclude<Value, null>, bits: 32 | 64): number | bigint {
  const fits = bits === 32 ? typeof value === 'number' && (value | 0) === value : typeof value === 'bigint' ? BigInt.asIntN(64, value) === value : Number.isSafeInteger(value);
  if (!fits) throw misfit(`a ${bits}-bit integer`, value);
  return bits === 32 ? (value as number) : BigInt(value as number | bigint);
}

function bytesOf(value: Value): Uint8Array {
  if (!(value instanceof Uint8Array)) throw misfit('bytes', value);
  return value;
}

function misfit(expected: string, value: Value): DsyncError {
  return new DsyncError('data', `expected ${expected}, got ${value instanceof Uint8Array ? `${value.length} bytes` : String(value)}`);
}

function spellUuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Milliseconds since 1970; undefined for what a Date would respell: infinity, years before 1 or after 9999, zero dates. */
function parseInstant(text: string): number | undefined {
  const moment = Date.parse(`${text.slice(0, 10)}T${text.slice(11)}Z`);
  if (Number.isNaN(moment)) return undefined;
  return plainInstant.test(text) || spellInstant(moment) === text ? moment : undefined;
}

/** Surely read as it is spelled: no day that some month has not. */
const plainInstant = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8]) (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{0,2}[1-9])?$/;

/** Beyond JavaScript's dates: the milliseconds. */
function spellInstant(moment: number): string {
  if (Math.abs(moment) > 8.64e15) return `${moment} ms`;
  return trimFraction(new Date(moment).toISOString().replace('T', ' ').replace('Z', ''));
}
