import { isUtf8 } from 'node:buffer';
import { DsyncError } from '../errors.js';

/** The types of BSON elements, by their byte. */
export const bsonType = {
  double: 0x01, string: 0x02, document: 0x03, array: 0x04, binary: 0x05, undefined: 0x06, objectId: 0x07, bool: 0x08,
  date: 0x09, null: 0x0a, regex: 0x0b, dbPointer: 0x0c, code: 0x0d, symbol: 0x0e, codeWithScope: 0x0f, int: 0x10,
  timestamp: 0x11, long: 0x12, decimal: 0x13, minKey: 0xff, maxKey: 0x7f,
} as const;

/** A field's value, by place: `bytes[start..end)`, of this type. */
export interface Element { readonly type: number; readonly start: number; readonly end: number }

export type Visit = (type: number, nameStart: number, nameEnd: number, start: number, end: number) => void;

export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Visits the fields of the document at `start`, in order, duplicates too, and returns where the document ends, at `limit`
 * at the latest. Fails with `data` on bytes that are no BSON: every length is checked before it is believed.
 */
export function eachField(bytes: Buffer, start: number, limit: number, visit: Visit): number {
  const end = start + counted(bytes, start, limit, 5);
  if (end > limit || bytes[end - 1] !== 0) throw damaged('a document does not end where its length says');
  let at = start + 4;
  while (at < end - 1) {
    const type = bytes[at]!, nameEnd = cstringEnd(bytes, at + 1, end - 1), valueStart = nameEnd + 1;
    const valueEnd = endOfValue(bytes, type, valueStart, end - 1);
    visit(type, at + 1, nameEnd, valueStart, valueEnd);
    at = valueEnd;
  }
  return end;
}

/** The first field of that name, at the top. */
export function fieldOf(document: Buffer, name: string): Element | undefined {
  let found: Element | undefined;
  eachField(document, 0, document.length, (type, nameStart, nameEnd, start, end) => {
    if (!found && nameEnd - nameStart === name.length && document.toString('latin1', nameStart, nameEnd) === name) found = { type, start, end };
  });
  return found;
}

/** Where the value that starts at `at` ends. */
function endOfValue(bytes: Buffer, type: number, at: number, limit: number): number {
  const end = at + sizeOfValue(bytes, type, at, limit);
  if (end > limit) throw damaged('a value is longer than its document');
  return end;
}

function sizeOfValue(bytes: Buffer, type: number, at: number, limit: number): number {
  switch (type) {
    case bsonType.double: case bsonType.date: case bsonType.timestamp: case bsonType.long: return 8;
    case bsonType.int: return 4;
    case bsonType.string: case bsonType.code: case bsonType.symbol: return stringSize(bytes, at, limit);
    case bsonType.document: case bsonType.array: return counted(bytes, at, limit, 5);
    case bsonType.codeWithScope: return counted(bytes, at, limit, 14);
    case bsonType.binary: return 5 + counted(bytes, at, limit, 0);
    case bsonType.objectId: return 12;
    case bsonType.decimal: return 16;
    case bsonType.bool: return 1;
    case bsonType.regex: return cstringEnd(bytes, cstringEnd(bytes, at, limit) + 1, limit) + 1 - at;
    case bsonType.dbPointer: return stringSize(bytes, at, limit) + 12;
    case bsonType.undefined: case bsonType.null: case bsonType.minKey: case bsonType.maxKey: return 0;
    default: throw damaged(`no type has the number 0x${type.toString(16)}`);
  }
}

function stringSize(bytes: Buffer, at: number, limit: number): number {
  const size = 4 + counted(bytes, at, limit, 1);
  if (at + size > limit || bytes[at + size - 1] !== 0) throw damaged('a string does not end where its length says');
  return size;
}

/** The 32-bit length at `at`. */
function counted(bytes: Buffer, at: number, limit: number, least: number): number {
  if (at + 4 > limit) throw damaged('it is cut short');
  const length = bytes.readInt32LE(at);
  if (length < least) throw damaged(`a length is ${length}`);
  return length;
}

/** The position of the NUL that ends the name or pattern at `at`. */
export function cstringEnd(bytes: Buffer, at: number, limit: number): number {
  for (let end = at; end < limit; end++) if (bytes[end] === 0) return end;
  throw damaged('a name does not end');
}

/** Text from UTF-8; fails with `data` on bytes that are none, which a decoder would replace silently. */
export function textAt(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start, end);
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(start, end))) throw damaged('a string is not UTF-8');
  return text;
}

export function damaged(what: string): DsyncError {
  return new DsyncError('data', `not a BSON document: ${what}`);
}
