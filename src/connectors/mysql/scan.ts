import type { Column, Row, ScanJob, Value } from '../../contract.js';
import { trimFraction } from '../../values/normal.js';
import { isBinaryNative, lengthWidth } from './lines.js';
import { conditionOf, type Range } from './ranges.js';
import { stream, type Collector, type Field, type RowPacket } from './rows.js';
import { name, tableName, type Session } from './session.js';
import { isZerofill } from './types.js';

const chunkRows = 200;
const chunkBytes = 1 << 20;

/** The rows of a part by the binary protocol: another statement, another protocol and another decoder than the copy's. */
export function scan(job: ScanJob, session: Session, signal: AbortSignal): AsyncGenerator<readonly Row[]> {
  const { columns } = job.shape;
  return stream(session, selectOf(job, columns.map((column) => name(column.name)).join(', ')), 'prepared', valueCollector(columns), signal);
}

/** A query that gives `what` of the part's rows. */
export function selectOf({ shape, part, where }: ScanJob, what: string): string {
  const first = shape.key.length > 0 ? name(shape.columns[shape.key[0]].name) : undefined;
  const range = first === undefined ? undefined : conditionOf(first, part satisfies Range, (edge) => BigInt(edge).toString());
  const conditions = [range, where && `(${where})`].filter((condition) => condition !== undefined && condition !== '');
  return `SELECT ${what} FROM ${tableName(shape.schema, shape.name)}${conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : ''}`;
}

/** A place in a packet that moves on as values are taken. */
interface Reader { readonly buffer: Buffer; at: number }
type Take = (reader: Reader) => Value;

function valueCollector(columns: readonly Column[]): Collector<readonly Row[]> {
  let takes: readonly Take[] = [], rows: Row[] = [], bytes = 0;
  const rest = () => {
    if (rows.length === 0) return undefined;
    const chunk = rows;
    rows = [];
    bytes = 0;
    return chunk;
  };
  return {
    fields(fields) { takes = columns.map((column, i) => takeOf(column, fields[i])); },
    row(packet, emit) {
      rows.push(rowOf(packet, takes));
      bytes += packet.end - packet.offset;
      if (rows.length >= chunkRows || bytes >= chunkBytes) emit(rest()!);
    },
    rest,
  };
}

/** A binary row: a zero byte, a bitmap of nulls that starts at its third bit, and the values. */
function rowOf({ buffer, offset }: RowPacket, takes: readonly Take[]): Row {
  const nulls = offset + 1;
  const reader: Reader = { buffer, at: nulls + ((takes.length + 9) >> 3) };
  const row = new Array<Value>(takes.length);
  for (let i = 0; i < takes.length; i++) {
    const bit = i + 2;
    row[i] = (buffer[nulls + (bit >> 3)] >> (bit & 7)) & 1 ? null : takes[i](reader);
  }
  return row;
}

const [tiny, short, long, float, double, , timestamp, longlong, int24, date, time, datetime, year] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];

/** Reads a value of the protocol's type, spelled for the column's logical type. */
function takeOf(column: Column, { columnType }: Field): Take {
  const { type } = column;
  switch (columnType) {
    case tiny: case short: case year: case long: case int24: case longlong: return integer(columnType, type.kind === 'int' && type.signed, type.kind === 'int' && type.bits === 64);
    case float: return (reader) => reader.buffer.readFloatLE((reader.at += 4) - 4);
    case double: return (reader) => reader.buffer.readDoubleLE((reader.at += 8) - 8);
    case date: return takeDate;
    case timestamp: case datetime: return takeTimestamp;
    case time: return takeTime;
    default: return bytesOf(column);
  }
}

function integer(columnType: number, signed: boolean, large: boolean): Take {
  const size = columnType === tiny ? 1 : columnType === short || columnType === year ? 2 : columnType === longlong ? 8 : 4;
  if (size === 8) {
    const take = (reader: Reader) => (signed ? reader.buffer.readBigInt64LE((reader.at += 8) - 8) : reader.buffer.readBigUInt64LE((reader.at += 8) - 8));
    return large ? take : (reader) => Number(take(reader));
  }
  const take = (reader: Reader) => (signed ? reader.buffer.readIntLE((reader.at += size) - size, size) : reader.buffer.readUIntLE((reader.at += size) - size, size));
  return large ? (reader) => BigInt(take(reader)) : take;
}

function bytesOf(column: Column): Take {
  const { type, native } = column;
  if (type.kind === 'bytes') return (reader) => Buffer.from(span(reader));
  if (type.kind === 'bits') return (reader) => bitsOf(span(reader), type.length ?? 64);
  if (type.kind === 'native' && isBinaryNative(native)) return (reader) => span(reader).toString('hex').toUpperCase();
  if (type.kind === 'decimal' && isZerofill(native)) return (reader) => span(reader).toString('latin1').replace(/^0+(?=\d)/, '');
  return (reader) => span(reader).toString('utf8');
}

function span(reader: Reader): Buffer {
  let length = reader.buffer[reader.at++];
  if (length > 251) {
    const width = lengthWidth(length);
    length = reader.buffer.readUIntLE(reader.at, Math.min(width, 6));
    reader.at += width;
  }
  return reader.buffer.subarray(reader.at, (reader.at += length));
}

function bitsOf(bytes: Buffer, length: number): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(2).padStart(8, '0');
  return text.slice(-length).padStart(length, '0');
}

function takeDate(reader: Reader): string {
  const end = reader.buffer[reader.at] + 1 + reader.at;
  const text = end - reader.at > 1 ? dateAt(reader.buffer, reader.at + 1) : '0000-00-00';
  reader.at = end;
  return text;
}

function takeTimestamp(reader: Reader): string {
  const { buffer, at } = reader, length = buffer[at];
  reader.at = at + 1 + length;
  const day = length >= 4 ? dateAt(buffer, at + 1) : '0000-00-00';
  const clock = length >= 7 ? clockAt(buffer[at + 5], buffer, at + 6) : '00:00:00';
  return `${day} ${clock}${length >= 11 ? micros(buffer, at + 8) : ''}`;
}

/** Sign, days, hours, minutes, seconds, microseconds; days count into the hours. */
function takeTime(reader: Reader): string {
  const { buffer, at } = reader, length = buffer[at];
  reader.at = at + 1 + length;
  if (length === 0) return '00:00:00';
  const hours = buffer.readUInt32LE(at + 2) * 24 + buffer[at + 6];
  return `${buffer[at + 1] === 1 ? '-' : ''}${clockAt(hours, buffer, at + 7)}${length >= 12 ? micros(buffer, at + 9) : ''}`;
}

function dateAt(buffer: Buffer, at: number): string {
  return `${padded(buffer.readUInt16LE(at), 4)}-${padded(buffer[at + 2], 2)}-${padded(buffer[at + 3], 2)}`;
}

function clockAt(hours: number, buffer: Buffer, at: number): string {
  return `${padded(hours, 2)}:${padded(buffer[at], 2)}:${padded(buffer[at + 1], 2)}`;
}

function micros(buffer: Buffer, at: number): string {
  return trimFraction(`.${padded(buffer.readUInt32LE(at), 6)}`);
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}
