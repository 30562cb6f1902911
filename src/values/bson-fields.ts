import type { ColumnRule, Mask } from '../contract.js';
import { bsonType, bufferOf, eachField, textAt } from './bson-bytes.js';
import { BsonWriter } from './bson-writer.js';
import { plainDecimal, writeDecimal } from './decimal128.js';
import { digestOf, redactedText, widened } from './mask.js';
import { spellAny, trimFraction } from './normal.js';

/*
 * Documents whose fields are left out or masked, by paths of names. A path goes through every element of an array. What no
 * path names is copied byte by byte.
 */

interface Branch {
  readonly children: Map<string, Branch>;
  /** Only what the children name stays. */
  only: boolean;
  mask?: Mask;
  left?: true;
}

/** Compiles the rewriting of documents. `key`: for hashes. */
export function fieldsRewriter({ masks, left, kept }: NonNullable<ColumnRule['fields']>, key: string | undefined): (document: Uint8Array) => Uint8Array {
  const root = fresh(kept !== undefined);
  for (const path of kept ?? []) addKept(root, path.split('.'));
  for (const { path, mask } of masks) branchAt(root, path).mask = mask;
  for (const path of left) branchAt(root, path).left = true;
  return (document) => {
    const bytes = bufferOf(document), writer = new BsonWriter(bytes.length + 64);
    rewrite(writer, bytes, 0, bytes.length, root, key, true);
    return writer.bytes();
  };
}

function fresh(only: boolean): Branch {
  return { children: new Map(), only };
}

/** A path that is kept whole wins over one that goes further down. */
function addKept(root: Branch, path: readonly string[]): void {
  let branch = root;
  for (const [i, name] of path.entries()) {
    const last = i === path.length - 1, known = branch.children.get(name), next = known ?? fresh(!last);
    if (last) next.only = false;
    branch.children.set(name, next);
    if (known && !known.only) return;
    branch = next;
  }
}

/** The branch of a path that does not keep anything from being copied by being there. */
function branchAt(root: Branch, path: string): Branch {
  let branch = root;
  for (const name of path.split('.')) {
    const known = branch.children.get(name), isUnkept = branch.only && !known;
    const next = known ?? fresh(false);
    if (isUnkept) next.left = true;
    branch.children.set(name, next);
    branch = next;
  }
  return branch;
}

function rewrite(writer: BsonWriter, bytes: Buffer, start: number, limit: number, branch: Branch, key: string | undefined, isTop: boolean): void {
  const open = writer.open();
  eachField(bytes, start, limit, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    const name = bytes.toString('utf8', nameStart, nameEnd), child = branch.children.get(name);
    if (!child) {
      if (!branch.only || (isTop && name === '_id')) writer.raw(bytes.subarray(nameStart - 1, valueEnd));
    } else if (!child.left) follow(writer, bytes, { type, name: bytes.subarray(nameStart, nameEnd + 1), start: valueStart, end: valueEnd }, child, key);
  });
  writer.close(open);
}

/** `name`: with its NUL. */
interface Field { readonly type: number; readonly name: Buffer; readonly start: number; readonly end: number }

function follow(writer: BsonWriter, bytes: Buffer, field: Field, branch: Branch, key: string | undefined): void {
  const { type, name, start, end } = field;
  if (branch.mask) return masked(writer, bytes, field, branch.mask, key);
  if (type === bsonType.document && branch.children.size > 0) {
    writer.field(type, name);
    rewrite(writer, bytes, start, end, branch, key, false);
  } else if (type === bsonType.array && branch.children.size > 0) {
    writer.field(type, name);
    elements(writer, bytes, start, end, (element) => follow(writer, bytes, element, branch, key));
  } else if (!branch.only) {
    writer.field(type, name);
    writer.raw(bytes.subarray(start, end));
  }
}

/** Each element of an array, numbered anew: some may be left out. */
function elements(writer: BsonWriter, bytes: Buffer, start: number, limit: number, put: (element: Field) => void): void {
  const open = writer.open();
  let number = 0;
  eachField(bytes, start, limit, (type, _nameStart, _nameEnd, valueStart, valueEnd) => {
    const before = writer.length;
    put({ type, name: Buffer.from(`${number}\0`), start: valueStart, end: valueEnd });
    if (writer.length > before) number++;
  });
  writer.close(open);
}

const empty: ReadonlySet<number> = new Set([bsonType.null, bsonType.undefined, bsonType.minKey, bsonType.maxKey]);

/** A value of the same type, or text where the type has none; of documents and arrays every value inside of them. */
function masked(writer: BsonWriter, bytes: Buffer, field: Field, mask: Mask, key: string | undefined): void {
  const { type, name, start, end } = field;
  if (mask === 'null') return writer.field(bsonType.null, name);
  if (type === bsonType.document || type === bsonType.array) {
    writer.field(type, name);
    const open = writer.open();
    eachField(bytes, start, end, (inner, nameStart, nameEnd, valueStart, valueEnd) => masked(writer, bytes, { type: inner, name: bytes.subarray(nameStart, nameEnd + 1), start: valueStart, end: valueEnd }, mask, key));
    return writer.close(open);
  }
  if (empty.has(type)) {
    writer.field(type, name);
    return writer.raw(bytes.subarray(start, end));
  }
  if (mask === 'redact') redacted(writer, bytes, field);
  else hashed(writer, bytes, field, digestOf(key!, normalForm(bytes, field)));
}

function redacted(writer: BsonWriter, bytes: Buffer, { type, name, start, end }: Field): void {
  const size = end - start, isKept = type === bsonType.binary || fixedSize.has(type);
  writer.field(isKept ? type : bsonType.string, name);
  if (type === bsonType.decimal) writer.raw(decimalBytes('0'));
  else if (type === bsonType.binary) writer.binary(bytes[start + 4]!, bytes[start + 4] === 2 ? lengthTwice(Buffer.alloc(0)) : Buffer.alloc(size - 5));
  else if (isKept) writer.raw(Buffer.alloc(size));
  else writer.string(redactedText);
}

const fixedSize: ReadonlySet<number> = new Set([bsonType.double, bsonType.int, bsonType.long, bsonType.date, bsonType.bool, bsonType.objectId, bsonType.decimal]);
const day = 86_400_000, days = 18_262;

function hashed(writer: BsonWriter, bytes: Buffer, { type, name, start, end }: Field, digest: Buffer): void {
  writer.field(type === bsonType.binary || fixedSize.has(type) ? type : bsonType.string, name);
  switch (type) {
    case bsonType.double: return writer.double(digest.readUIntBE(0, 6));
    case bsonType.int: return writer.int(digest.readUInt32BE(0) >>> 1);
    case bsonType.long: return writer.long(BigInt.asUintN(63, digest.readBigUInt64BE(0)));
    case bsonType.decimal: return writer.raw(decimalBytes((digest.readBigUInt64BE(0) % 10n ** 18n).toString()));
    case bsonType.date: return writer.long(BigInt(digest.readUIntBE(0, 6) % (days * day)));
    case bsonType.bool: return writer.byte(digest[0]! & 1);
    case bsonType.objectId: return writer.raw(digest.subarray(0, 12));
    case bsonType.binary: return writer.binary(bytes[start + 4]!, bytes[start + 4] === 2 ? lengthTwice(digest) : widened(digest, end - start - 5));
    default: return writer.string(digest.toString('hex'));
  }
}

/** The old subtype 2 has the length of its bytes a second time. */
function lengthTwice(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function decimalBytes(digits: string): Buffer {
  const bytes = Buffer.alloc(16);
  writeDecimal(digits, bytes, 0);
  return bytes;
}

/** As a column of its type would spell it; what no column has, in hexadecimal digits. */
function normalForm(bytes: Buffer, { type, start, end }: Field): string {
  switch (type) {
    case bsonType.string: case bsonType.symbol: case bsonType.code: return textAt(bytes, start + 4, end - 1);
    case bsonType.int: return String(bytes.readInt32LE(start));
    case bsonType.long: return String(bytes.readBigInt64LE(start));
    case bsonType.double: return spellAny(bytes.readDoubleLE(start));
    case bsonType.decimal: return plainDecimal(bytes, start);
    case bsonType.bool: return bytes[start] ? '1' : '0';
    case bsonType.date: return spelledDate(bytes.readBigInt64LE(start));
    case bsonType.binary: return `\\x${bytes.toString('hex', start + 5, end)}`;
    default: return bytes.toString('hex', start, end);
  }
}

function spelledDate(milliseconds: bigint): string {
  const moment = Number(milliseconds);
  return Math.abs(moment) > 8.64e15 ? `${milliseconds} ms` : trimFraction(new Date(moment).toISOString().replace('T', ' ').replace('Z', ''));
}
