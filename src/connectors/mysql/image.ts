import type { Column, Shape, Value } from '../../contract.js';
import { trimFraction } from '../../values/normal.js';
import { charsetOf, type Charset } from './charsets.js';
import { isBinaryNative } from './lines.js';
import { codes, lengthCoded, type LoggedColumn } from './tablemap.js';
import { isYear } from './types.js';

/** A place in a row event that moves on as values are taken. */
interface Reader { readonly buffer: Buffer; at: number }
type Take = (reader: Reader) => Value;

/** Decodes the rows of one table, as long as it has the columns of the table map that it was made for. */
export interface RowDecoder {
  /** Columns that the log can't give as the table gives them: they are read again. Their cells are null until then. */
  readonly inexact: readonly number[];
  /** `body`: a row event without its header. For an update the rows come in pairs, before and after. */
  rows(body: Buffer, event: { readonly extra: boolean; readonly update: boolean }): Value[][];
}

/** Why the log's columns are not those of the shape, or a decoder. */
export function decoderFor(shape: Shape, logged: readonly LoggedColumn[], charsets: ReadonlyMap<string, Charset>): RowDecoder | string {
  if (logged.length !== shape.columns.length) return `the log has ${logged.length} columns, the table ${shape.columns.length}`;
  const takes: Take[] = [], inexact: number[] = [];
  for (const [i, column] of shape.columns.entries()) {
    const there = logged[i];
    if (there.name !== undefined && there.name.toLowerCase() !== column.name.toLowerCase()) return `column ${i + 1} is ${there.name} in the log and ${column.name} in the table`;
    const take = takeOf(column, there, charsets);
    if (take === undefined) return `column ${column.name} is ${column.native} in the table, and of type ${there.type} (${there.meta.join(' ')}${there.unsigned ? ' unsigned' : ''}) in the log`;
    if (take === 'skip') inexact.push(i);
    takes.push(take === 'skip' ? skipOf(there) : take);
  }
  return { inexact, rows: (body, event) => rowsIn(body, takes, event) };
}

function rowsIn(body: Buffer, takes: readonly Take[], { extra, update }: { readonly extra: boolean; readonly update: boolean }): Value[][] {
  const reader: Reader = { buffer: body, at: 8 };
  if (extra) reader.at += body.readUInt16LE(8);
  const count = lengthCoded(reader), bitmap = (count + 7) >> 3;
  for (let images = update ? 2 : 1; images > 0; images--) {
    if (!isFull(body, reader.at, count)) throw new RangeError('a row image that is not FULL');
    reader.at += bitmap;
  }
  const rows: Value[][] = [];
  while (reader.at < body.length) rows.push(rowAt(reader, takes, bitmap));
  if (reader.at !== body.length) throw new RangeError('a row event that does not end with its last row');
  return rows;
}

function rowAt(reader: Reader, takes: readonly Take[], bitmap: number): Value[] {
  const nulls = reader.at;
  reader.at += bitmap;
  const row = new Array<Value>(takes.length);
  for (let i = 0; i < takes.length; i++) {
    row[i] = (reader.buffer[nulls + (i >> 3)] >> (i & 7)) & 1 ? null : takes[i](reader);
  }
  return row;
}

function isFull(body: Buffer, at: number, count: number): boolean {
  for (let i = 0; i < count; i++) if (((body[at + (i >> 3)] >> (i & 7)) & 1) === 0) return false;
  return true;
}

const intCodes = { 8: codes.tiny, 16: codes.short, 24: codes.int24, 32: codes.long, 64: codes.longlong } as const;

/** Undefined where the log's type is not the column's; `skip` where it is, and does not tell the value as the table spells it. */
function takeOf(column: Column, logged: LoggedColumn, charsets: ReadonlyMap<string, Charset>): Take | 'skip' | undefined {
  const { type, native } = column, { type: code, meta } = logged;
  const when = (holds: boolean, take: Take | 'skip'): Take | 'skip' | undefined => (holds ? take : undefined);
  switch (type.kind) {
    case 'int':
      if (isYear(native)) return when(code === codes.year, takeYear);
      return when(code === intCodes[type.bits] && (logged.unsigned ?? !type.signed) === !type.signed, integer(type.bits, type.signed));
    case 'decimal': return when(code === codes.decimal && meta[0] === type.precision && meta[1] === type.scale, decimal(meta[0], meta[1]));
    case 'float': return type.bits === 32
      ? when(code === codes.float, (reader) => reader.buffer.readFloatLE((reader.at += 4) - 4))
      : when(code === codes.double, (reader) => reader.buffer.readDoubleLE((reader.at += 8) - 8));
    case 'bits': return when(code === codes.bit && meta[1] * 8 + meta[0] === type.length, bits(type.length ?? 1));
    case 'date': return when(code === codes.date, takeDate);
    case 'time': return when(code === codes.time && meta[0] === type.fraction, time(type.fraction));
    case 'timestamp': return when(code === codes.datetime && meta[0] === type.fraction, datetime(type.fraction));
    case 'instant': return when(code === codes.timestamp && meta[0] === type.fraction, instant(type.fraction));
    case 'enum': return when(realType(logged) === codes.enum, enumeration(type.labels, meta[1]));
    case 'set': return when(realType(logged) === codes.set, set(type.labels, meta[1]));
    case 'json-value': return when(code === codes.json, 'skip');
    case 'text': case 'json-text': return text(column, logged, charsets);
    case 'bytes': return bytes(column, logged);
    case 'uuid': return when(code === codes.string && meta[1] === 16, (reader) => uuidText(fixed(reader, 16)));
    case 'native': return nativeTake(native, logged);
    default: return undefined;
  }
}

function nativeTake(native: string, { type: code, meta }: LoggedColumn): Take | undefined {
  if (/^inet4\b/i.test(native)) return code === codes.string && meta[1] === 4 ? (reader) => fixed(reader, 4).join('.') : undefined;
  if (/^inet6\b/i.test(native)) return code === codes.string && meta[1] === 16 ? (reader) => inet6(fixed(reader, 16)) : undefined;
  if (!isBinaryNative(native)) return undefined;
  const width = code === codes.geometry || code === codes.vector ? meta[0] : code === codes.varchar ? prefixOf(meta[0] + meta[1] * 256) : undefined;
  return width === undefined ? undefined : (reader) => span(reader, width).toString('hex').toUpperCase();
}

/** MariaDB's JSON, whose native type names no character set. */
const plainUtf8: Charset = { maxBytes: 4, decode: (value) => value.toString('utf8') };

/** How long the text is in the log: VARCHAR and CHAR by their bytes at most, TEXT by the size of its length. */
function text({ native, type }: Column, logged: LoggedColumn, charsets: ReadonlyMap<string, Charset>): Take | 'skip' | undefined {
  const charset = charsets.get(charsetOf(native) ?? '') ?? plainUtf8;
  const width = widthOf(native, logged, type.kind === 'text' ? (type.maxLength ?? 0) * charset.maxBytes : 0);
  if (width === undefined) return undefined;
  const { decode } = charset;
  return decode === undefined ? 'skip' : (reader) => decode(span(reader, width));
}

/** BINARY(n) loses its zero bytes at the end on the way into the log. */
function bytes({ native, type }: Column, logged: LoggedColumn): Take | undefined {
  const most = type.kind === 'bytes' ? type.maxLength ?? 0 : 0;
  const width = widthOf(native, logged, most);
  if (width === undefined) return undefined;
  if (!/^binary\b/i.test(native)) return (reader) => Buffer.from(span(reader, width));
  return (reader) => {
    const padded = Buffer.alloc(most);
    span(reader, width).copy(padded);
    return padded;
  };
}

const lengthSizes: Readonly<Record<string, number>> = { tinytext: 1, tinyblob: 1, text: 2, blob: 2, mediumtext: 3, mediumblob: 3, longtext: 4, longblob: 4, json: 4 };

/** Bytes of the length before a value; undefined if the log's column is another than the table's. */
function widthOf(native: string, { type: code, meta }: LoggedColumn, most: number): number | undefined {
  const word = /^\w+/.exec(native)![0].toLowerCase();
  if (word.startsWith('var')) return code === codes.varchar && meta[0] + meta[1] * 256 === most ? prefixOf(most) : undefined;
  if (word === 'char' || word === 'binary') return code === codes.string && stringLength(meta) === most ? prefixOf(most) : undefined;
  return code === codes.blob && meta[0] === lengthSizes[word] ? meta[0] : undefined;
}

function prefixOf(most: number): number {
  return most > 255 ? 2 : 1;
}

/** The length of CHAR above 255 is hidden in bits 4 and 5 of the type's byte, turned over. */
function stringLength([type, length]: readonly number[]): number {
  return length + (((type & 0x30) ^ 0x30) << 4);
}

function realType({ type, meta }: LoggedColumn): number {
  return type === codes.string ? meta[0] : type;
}

/** Moves past a value that is read again. */
function skipOf({ type: code, meta }: LoggedColumn): Take {
  const width = code === codes.varchar ? prefixOf(meta[0] + meta[1] * 256) : code === codes.string ? prefixOf(stringLength(meta)) : meta[0];
  return (reader) => {
    span(reader, width);
    return null;
  };
}

function span(reader: Reader, width: number): Buffer {
  const length = reader.buffer.readUIntLE(reader.at, width);
  const start = reader.at + width;
  if (start + length > reader.buffer.length) throw new RangeError('a value that is longer than its row event');
  return reader.buffer.subarray(start, (reader.at = start + length));
}

function fixed(reader: Reader, length: number): Buffer {
  const padded = Buffer.alloc(length);
  span(reader, 1).copy(padded);
  return padded;
}

function takeYear(reader: Reader): number {
  const year = reader.buffer[reader.at++];
  return year === 0 ? 0 : 1900 + year;
}

function integer(width: number, signed: boolean): Take {
  const size = width / 8;
  if (size === 8) return (reader) => (signed ? reader.buffer.readBigInt64LE((reader.at += 8) - 8) : reader.buffer.readBigUInt64LE((reader.at += 8) - 8));
  return (reader) => (signed ? reader.buffer.readIntLE((reader.at += size) - size, size) : reader.buffer.readUIntLE((reader.at += size) - size, size));
}

const digitBytes = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/** Nine digits in four bytes, the odd ones at both ends in fewer; the first bit turned over, and all of them for a negative. */
function decimal(precision: number, scale: number): Take {
  const whole = precision - scale;
  const groups = [whole % 9, ...new Array<number>(Math.floor(whole / 9)).fill(9)].filter((digits) => digits > 0);
  const tail = [...new Array<number>(Math.floor(scale / 9)).fill(9), scale % 9].filter((digits) => digits > 0);
  return (reader) => {
    const { buffer } = reader;
    const start = reader.at, negative = (buffer[start] & 0x80) === 0;
    const digitsOf = (digits: number): string => {
      const size = digitBytes[digits];
      let value = 0;
      for (let i = 0; i < size; i++, reader.at++) {
        const byte = reader.at === start ? buffer[reader.at] ^ 0x80 : buffer[reader.at];
        value = value * 256 + (negative ? byte ^ 0xff : byte);
      }
      return String(value).padStart(digits, '0');
    };
    const integral = groups.map(digitsOf).join('').replace(/^0+(?=\d)/, '') || '0';
    const fraction = tail.map(digitsOf).join('');
    return `${negative ? '-' : ''}${integral}${scale > 0 ? `.${fraction}` : ''}`;
  };
}

function bits(length: number): Take {
  const size = (length + 7) >> 3;
  return (reader) => {
    let spelled = '';
    for (let i = 0; i < size; i++) spelled += reader.buffer[reader.at++].toString(2).padStart(8, '0');
    return spelled.slice(-length);
  };
}

function takeDate(reader: Reader): string {
  const value = reader.buffer.readUIntLE((reader.at += 3) - 3, 3);
  return dateText(value >> 9, (value >> 5) & 15, value & 31);
}

/** Sign, hours, minutes, seconds and the fraction are one number, kept with its first bit turned over. */
function time(fraction: number): Take {
  const extra = (fraction + 1) >> 1, scale = 256 ** extra;
  return (reader) => {
    const value = reader.buffer.readUIntBE((reader.at += 3 + extra) - 3 - extra, 3 + extra) - 0x800000 * scale;
    const size = Math.abs(value), clock = Math.floor(size / scale);
    return `${value < 0 ? '-' : ''}${clockText(clock >> 12, (clock >> 6) & 63, clock & 63)}${fractionText(size % scale, extra)}`;
  };
}

function datetime(fraction: number): Take {
  const extra = (fraction + 1) >> 1;
  return (reader) => {
    const value = reader.buffer.readUIntBE((reader.at += 5) - 5, 5) - 0x8000000000;
    const day = Math.floor(value / 131_072), clock = value % 131_072, months = day >> 5;
    return `${dateText(Math.floor(months / 13), months % 13, day & 31)} ${clockText(clock >> 12, (clock >> 6) & 63, clock & 63)}${takeFraction(reader, extra)}`;
  };
}

function instant(fraction: number): Take {
  const extra = (fraction + 1) >> 1;
  return (reader) => {
    const seconds = reader.buffer.readUInt32BE((reader.at += 4) - 4), rest = takeFraction(reader, extra);
    if (seconds === 0 && rest === '') return '0000-00-00 00:00:00';
    return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ') + rest;
  };
}

function takeFraction(reader: Reader, extra: number): string {
  return extra === 0 ? '' : fractionText(reader.buffer.readUIntBE((reader.at += extra) - extra, extra), extra);
}

function fractionText(value: number, extra: number): string {
  return value === 0 ? '' : trimFraction(`.${String(value).padStart(extra * 2, '0')}`);
}

function dateText(year: number, month: number, day: number): string {
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`;
}

function clockText(hours: number, minutes: number, seconds: number): string {
  return `${two(hours)}:${two(minutes)}:${two(seconds)}`;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

/** 0 stands for a value that was none of the labels. */
function enumeration(labels: readonly string[], size: number): Take {
  return (reader) => {
    const index = reader.buffer.readUIntLE((reader.at += size) - size, size);
    return index === 0 ? '' : labels[index - 1];
  };
}

function set(labels: readonly string[], size: number): Take {
  return (reader) => {
    const start = reader.at;
    reader.at += size;
    return labels.filter((_, i) => (reader.buffer[start + (i >> 3)] >> (i & 7)) & 1).join(',');
  };
}

function uuidText(stored: Buffer): string {
  const hex = stored.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** As the server spells it: the longest run of zero groups is `::`, IPv4 in IPv6 has dots. */
function inet6(address: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => address.readUInt16BE(i * 2));
  const zeros = groups.findIndex((group) => group !== 0);
  const dotted = address.subarray(12).join('.');
  if (zeros === 5 && groups[5] === 0xffff) return `::ffff:${dotted}`;
  if (zeros === 6) return `::${dotted}`;
  const run = longestZeros(groups);
  const spelled = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  return run.length < 2 ? spelled(groups) : `${spelled(groups.slice(0, run.start))}::${spelled(groups.slice(run.start + run.length))}`;
}

function longestZeros(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
