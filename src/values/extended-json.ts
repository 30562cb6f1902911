import { bsonType, bufferOf, cstringEnd, damaged, eachField, textAt } from './bson-bytes.js';
import { scientificDecimal, writeDecimal } from './decimal128.js';
import { wrappers } from './extended-json-bytes.js';

/** MongoDB itself stops at 100 levels. */
const deepest = 200;

/**
 * A BSON document as canonical Extended JSON (v2), without white space: fields in their order, duplicates and all. What
 * Extended JSON would not tell from something else (a document that looks like a wrapper, a NaN with other bits, …) is
 * `{"$bson": …}`, so that the text is the document's alone (`documentOfJson`).
 */
export function toExtendedJson(document: Uint8Array): string {
  const bytes = bufferOf(document);
  return documentJson(bytes, 0, bytes.length, 0, canonical);
}

/** One value, by place, as canonical Extended JSON. */
export function valueJson(bytes: Buffer, type: number, start: number, end: number, style: Style = canonical, depth = 0): string {
  switch (type) {
    case bsonType.double: return doubleJson(bytes, start, end, style);
    case bsonType.string: return JSON.stringify(textAt(bytes, start + 4, end - 1));
    case bsonType.document: return depth >= style.deepest ? rawJson(bytes, type, start, end) : documentJson(bytes, start, end, depth + 1, style);
    case bsonType.array: return depth >= style.deepest ? rawJson(bytes, type, start, end) : arrayJson(bytes, start, end, depth + 1, style);
    case bsonType.binary: return binaryJson(bytes, start, end);
    case bsonType.undefined: return '{"$undefined":true}';
    case bsonType.objectId: return `{"$oid":"${bytes.toString('hex', start, end)}"}`;
    case bsonType.bool: return bool(bytes[start]!);
    case bsonType.date: return `{"$date":${style.plain ? plainDate(bytes.readBigInt64LE(start)) : longJson(bytes.readBigInt64LE(start))}}`;
    case bsonType.null: return 'null';
    case bsonType.regex: return regexJson(bytes, start, end);
    case bsonType.dbPointer: return `{"$dbPointer":{"$ref":${JSON.stringify(textAt(bytes, start + 4, end - 13))},"$id":{"$oid":"${bytes.toString('hex', end - 12, end)}"}}}`;
    case bsonType.code: return `{"$code":${JSON.stringify(textAt(bytes, start + 4, end - 1))}}`;
    case bsonType.symbol: return `{"$symbol":${JSON.stringify(textAt(bytes, start + 4, end - 1))}}`;
    case bsonType.codeWithScope: return scopedJson(bytes, start, end, depth + 1, style);
    case bsonType.int: return style.plain ? String(bytes.readInt32LE(start)) : `{"$numberInt":"${bytes.readInt32LE(start)}"}`;
    case bsonType.timestamp: return `{"$timestamp":{"t":${bytes.readUInt32LE(start + 4)},"i":${bytes.readUInt32LE(start)}}}`;
    case bsonType.long: return style.plain ? plainLong(bytes.readBigInt64LE(start)) : longJson(bytes.readBigInt64LE(start));
    case bsonType.decimal: return decimalJson(bytes, start, end);
    case bsonType.minKey: return '{"$minKey":1}';
    case bsonType.maxKey: return '{"$maxKey":1}';
    default: throw damaged(`no type has the number 0x${type.toString(16)}`);
  }
}

/** `plain`: numbers and dates as people write them, as far as they can be told from each other. What is deeper than `deepest` is `{"$bson": …}`. */
export interface Style { readonly plain: boolean; readonly deepest: number }

const canonical: Style = { plain: false, deepest: Infinity };

function documentJson(bytes: Buffer, start: number, end: number, depth: number, style: Style): string {
  let first = '';
  const { json, count } = membersJson(bytes, start, end, depth, style, (name) => { first = name; });
  const disguised = first.startsWith('$') && wrappers.has(first) && (count === 1 || (count === 2 && first === '$code'));
  return disguised ? rawJson(bytes, bsonType.document, start, end) : json;
}

function membersJson(bytes: Buffer, start: number, end: number, depth: number, style: Style, tellFirst?: (name: string) => void): { readonly json: string; readonly count: number } {
  if (depth > deepest) throw damaged(`it is nested more than ${deepest} levels deep`);
  let json = '', count = 0;
  const last = eachField(bytes, start, end, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    const name = textAt(bytes, nameStart, nameEnd);
    if (count++ === 0) tellFirst?.(name);
    json += `${json ? ',' : '{'}${JSON.stringify(name)}:${valueJson(bytes, type, valueStart, valueEnd, style, depth)}`;
  });
  if (last !== end) throw damaged('there is more after its end');
  return { json: json ? `${json}}` : '{}', count };
}

/** What only its bytes tell: `[type][bytes]`. */
function rawJson(bytes: Buffer, type: number, start: number, end: number): string {
  return `{"$bson":"${Buffer.concat([Buffer.of(type), bytes.subarray(start, end)]).toString('base64')}"}`;
}

function arrayJson(bytes: Buffer, start: number, end: number, depth: number, style: Style): string {
  if (depth > deepest) throw damaged(`it is nested more than ${deepest} levels deep`);
  let json = '', count = 0, numbered = true;
  eachField(bytes, start, end, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    numbered &&= bytes.toString('latin1', nameStart, nameEnd) === String(count);
    count++;
    json += `${json ? ',' : '['}${valueJson(bytes, type, valueStart, valueEnd, style, depth)}`;
  });
  return numbered ? json ? `${json}]` : '[]' : rawJson(bytes, bsonType.array, start, end);
}

const plainNaN = 0x7ff8_0000_0000_0000n;

function doubleJson(bytes: Buffer, start: number, end: number, { plain }: Style): string {
  const value = bytes.readDoubleLE(start);
  if (Number.isNaN(value) && bytes.readBigUInt64LE(start) !== plainNaN) return rawJson(bytes, bsonType.double, start, end);
  return plain && Number.isFinite(value) ? double(value) : `{"$numberDouble":"${double(value)}"}`;
}

function double(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

const again = Buffer.alloc(16);

/** There are bits that mean the same number, or none. */
function decimalJson(bytes: Buffer, start: number, end: number): string {
  const text = scientificDecimal(bytes, start);
  return writeDecimal(text, again, 0) && again.compare(bytes, start, end) === 0 ? `{"$numberDecimal":"${text}"}` : rawJson(bytes, bsonType.decimal, start, end);
}

function longJson(value: bigint): string {
  return `{"$numberLong":"${value}"}`;
}

/** Digits that would be read as an int are none of a long. */
function plainLong(value: bigint): string {
  return BigInt.asIntN(32, value) === value ? longJson(value) : String(value);
}

const lastPlainDate = 253402300799999n;

function plainDate(moment: bigint): string {
  return moment >= 0n && moment <= lastPlainDate ? `"${new Date(Number(moment)).toISOString().replace('.000Z', 'Z')}"` : longJson(moment);
}

function bool(byte: number): string {
  if (byte > 1) throw damaged(`a bool is ${byte}`);
  return byte ? 'true' : 'false';
}

/** The old subtype 2 holds its length a second time, which is not part of its bytes. */
function binaryJson(bytes: Buffer, start: number, end: number): string {
  const subtype = bytes[start + 4]!;
  if (subtype === 2 && (end - start < 9 || bytes.readInt32LE(start + 5) !== end - start - 9)) throw damaged('a binary of subtype 2 has two lengths');
  const base64 = bytes.toString('base64', start + (subtype === 2 ? 9 : 5), end);
  return `{"$binary":{"base64":"${base64}","subType":"${subtype.toString(16).padStart(2, '0')}"}}`;
}

function regexJson(bytes: Buffer, start: number, end: number): string {
  const patternEnd = cstringEnd(bytes, start, end);
  const pattern = textAt(bytes, start, patternEnd), options = textAt(bytes, patternEnd + 1, end - 1);
  return `{"$regularExpression":{"pattern":${JSON.stringify(pattern)},"options":${JSON.stringify(options)}}}`;
}

function scopedJson(bytes: Buffer, start: number, end: number, depth: number, style: Style): string {
  const scope = start + 8 + bytes.readInt32LE(start + 4);
  if (scope < start + 9 || scope + 5 > end || bytes[scope - 1] !== 0) throw damaged('a code with scope has no scope');
  return `{"$code":${JSON.stringify(textAt(bytes, start + 8, scope - 1))},"$scope":${membersJson(bytes, scope, end, depth, style).json}}`;
}
