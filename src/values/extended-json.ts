import { bsonType, bufferOf, cstringEnd, damaged, eachField, textAt } from './bson-bytes.js';
import { scientificDecimal } from './decimal128.js';

/** MongoDB itself stops at 100 levels. */
const deepest = 200;

/** A BSON document as canonical Extended JSON (v2), without white space: fields in their order, duplicates and all. */
export function toExtendedJson(document: Uint8Array): string {
  const bytes = bufferOf(document);
  return documentJson(bytes, 0, bytes.length, 0);
}

/** One value, by place, as canonical Extended JSON. */
export function valueJson(bytes: Buffer, type: number, start: number, end: number, depth = 0): string {
  switch (type) {
    case bsonType.double: return `{"$numberDouble":"${double(bytes.readDoubleLE(start))}"}`;
    case bsonType.string: return JSON.stringify(textAt(bytes, start + 4, end - 1));
    case bsonType.document: return documentJson(bytes, start, end, depth + 1);
    case bsonType.array: return arrayJson(bytes, start, end, depth + 1);
    case bsonType.binary: return binaryJson(bytes, start, end);
    case bsonType.undefined: return '{"$undefined":true}';
    case bsonType.objectId: return `{"$oid":"${bytes.toString('hex', start, end)}"}`;
    case bsonType.bool: return bool(bytes[start]!);
    case bsonType.date: return `{"$date":{"$numberLong":"${bytes.readBigInt64LE(start)}"}}`;
    case bsonType.null: return 'null';
    case bsonType.regex: return regexJson(bytes, start, end);
    case bsonType.dbPointer: return `{"$dbPointer":{"$ref":${JSON.stringify(textAt(bytes, start + 4, end - 13))},"$id":{"$oid":"${bytes.toString('hex', end - 12, end)}"}}}`;
    case bsonType.code: return `{"$code":${JSON.stringify(textAt(bytes, start + 4, end - 1))}}`;
    case bsonType.symbol: return `{"$symbol":${JSON.stringify(textAt(bytes, start + 4, end - 1))}}`;
    case bsonType.codeWithScope: return scopedJson(bytes, start, end, depth + 1);
    case bsonType.int: return `{"$numberInt":"${bytes.readInt32LE(start)}"}`;
    case bsonType.timestamp: return `{"$timestamp":{"t":${bytes.readUInt32LE(start + 4)},"i":${bytes.readUInt32LE(start)}}}`;
    case bsonType.long: return `{"$numberLong":"${bytes.readBigInt64LE(start)}"}`;
    case bsonType.decimal: return `{"$numberDecimal":"${scientificDecimal(bytes, start)}"}`;
    case bsonType.minKey: return '{"$minKey":1}';
    case bsonType.maxKey: return '{"$maxKey":1}';
    default: throw damaged(`no type has the number 0x${type.toString(16)}`);
  }
}

function documentJson(bytes: Buffer, start: number, end: number, depth: number): string {
  if (depth > deepest) throw damaged(`it is nested more than ${deepest} levels deep`);
  let json = '';
  const last = eachField(bytes, start, end, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    json += `${json ? ',' : '{'}${JSON.stringify(textAt(bytes, nameStart, nameEnd))}:${valueJson(bytes, type, valueStart, valueEnd, depth)}`;
  });
  if (last !== end) throw damaged('there is more after its end');
  return json ? `${json}}` : '{}';
}

function arrayJson(bytes: Buffer, start: number, end: number, depth: number): string {
  if (depth > deepest) throw damaged(`it is nested more than ${deepest} levels deep`);
  let json = '';
  eachField(bytes, start, end, (type, _nameStart, _nameEnd, valueStart, valueEnd) => {
    json += `${json ? ',' : '['}${valueJson(bytes, type, valueStart, valueEnd, depth)}`;
  });
  return json ? `${json}]` : '[]';
}

function double(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
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

function scopedJson(bytes: Buffer, start: number, end: number, depth: number): string {
  const scope = start + 8 + bytes.readInt32LE(start + 4);
  if (scope < start + 9 || scope + 5 > end || bytes[scope - 1] !== 0) throw damaged('a code with scope has no scope');
  return `{"$code":${JSON.stringify(textAt(bytes, start + 8, scope - 1))},"$scope":${documentJson(bytes, scope, end, depth)}}`;
}
