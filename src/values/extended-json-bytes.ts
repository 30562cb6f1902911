import { DsyncError } from '../errors.js';
import { bsonType } from './bson-bytes.js';
import { BsonWriter } from './bson-writer.js';
import { writeDecimal } from './decimal128.js';

/** JSON whose objects keep the order and the duplicates of their members; numbers are their digits. */
export type Json = null | boolean | string | JsonNumber | JsonObject | readonly Json[];
export interface JsonNumber { readonly digits: string }
export interface JsonObject { readonly members: readonly (readonly [name: string, value: Json])[] }

/** The document of an Extended JSON text, canonical, relaxed or mixed, byte for byte what `toExtendedJson` spelled. Fails with `data`. */
export function documentOfJson(text: string): Buffer {
  const json = parseJson(text);
  if (!isObject(json)) throw unreadable(text, 0, 'a document');
  const writer = new BsonWriter(text.length + 64);
  const raw = rawValue(json);
  if (raw?.[0] === bsonType.document) return raw.subarray(1);
  writeMembers(writer, json);
  return writer.bytes();
}

/** A value as `[its type][its bytes]`. */
export function valueOfJson(json: Json): Buffer {
  const writer = new BsonWriter(256);
  putJson(writer, noName, json);
  return writer.bytes();
}

/** Writes a field. `name` ends in a NUL; it may be `noName`, for what stands behind the type. */
export function putJson(writer: BsonWriter, name: Buffer, json: Json): void {
  if (json === null) writer.field(bsonType.null, name);
  else if (typeof json === 'boolean') { writer.field(bsonType.bool, name); writer.byte(json ? 1 : 0); }
  else if (typeof json === 'string') { writer.field(bsonType.string, name); writer.string(json); }
  else if (isArray(json)) putArray(writer, name, json);
  else if ('digits' in json) putNumber(writer, name, json.digits);
  else if (!putMeant(writer, name, json)) {
    writer.field(bsonType.document, name);
    writeMembers(writer, json);
  }
}

const noName = Buffer.alloc(0);

function writeMembers(writer: BsonWriter, { members }: JsonObject): void {
  const open = writer.open();
  for (const [name, value] of members) putJson(writer, nameOf(name), value);
  writer.close(open);
}

function nameOf(name: string): Buffer {
  if (name.includes('\0')) throw new DsyncError('data', `not Extended JSON: a field is named ${JSON.stringify(name)}, with a NUL in it`);
  return Buffer.from(`${name}\0`);
}

function putArray(writer: BsonWriter, name: Buffer, values: readonly Json[]): void {
  writer.field(bsonType.array, name);
  const open = writer.open();
  values.forEach((value, i) => putJson(writer, Buffer.from(`${i}\0`, 'latin1'), value));
  writer.close(open);
}

/** Of relaxed Extended JSON: the smallest type that holds a whole number. */
function putNumber(writer: BsonWriter, name: Buffer, digits: string): void {
  const whole = /^-?\d+$/.test(digits) ? BigInt(digits) : undefined;
  if (whole !== undefined && BigInt.asIntN(32, whole) === whole) { writer.field(bsonType.int, name); writer.int(Number(whole)); }
  else if (whole !== undefined && BigInt.asIntN(64, whole) === whole) { writer.field(bsonType.long, name); writer.long(whole); }
  else { writer.field(bsonType.double, name); writer.double(Number(digits)); }
}

// --- wrappers -----------------------------------------------------------------

/** Writes the value that a wrapper such as `{"$oid": …}` stands for. False for a plain document: nothing is written then. */
function putMeant(writer: BsonWriter, name: Buffer, { members }: JsonObject): boolean {
  const [first, second] = members;
  if (!first?.[0].startsWith('$') || members.length > 2) return false;
  const [wrapper, value] = first;
  if (second) return wrapper === '$code' && second[0] === '$scope' && typeof value === 'string' && isObject(second[1]) && putScoped(writer, name, value, second[1]);
  return putters[wrapper]?.(writer, name, value) ?? false;
}

type Putter = (writer: BsonWriter, name: Buffer, value: Json) => boolean;

/** Each takes the value in a wrapper, and refuses one that the wrapper never has. */
const putters: Readonly<Record<string, Putter>> = {
  $oid: ifText(/^[0-9a-fA-F]{24}$/, bsonType.objectId, (writer, text) => writer.raw(Buffer.from(text, 'hex'))),
  $numberInt: ifText(/^-?\d{1,10}$/, bsonType.int, (writer, text) => writer.int(Number(text))),
  $numberLong: ifText(/^-?\d{1,19}$/, bsonType.long, (writer, text) => writer.long(BigInt(text))),
  $numberDouble: ifText(/^(-?\d+(\.\d+)?([eE][+-]?\d+)?|NaN|-?Infinity)$/, bsonType.double, (writer, text) => writer.double(Number(text))),
  $numberDecimal(writer, name, text) {
    const bytes = Buffer.alloc(16);
    if (typeof text !== 'string' || !writeDecimal(text, bytes, 0)) return false;
    writer.field(bsonType.decimal, name);
    writer.raw(bytes);
    return true;
  },
  $symbol: ifText(/(?:)/, bsonType.symbol, (writer, text) => writer.string(text)),
  $code: ifText(/(?:)/, bsonType.code, (writer, text) => writer.string(text)),
  $uuid: ifText(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, bsonType.binary, (writer, text) => writer.binary(4, Buffer.from(text.replaceAll('-', ''), 'hex'))),
  $date(writer, name, value) {
    const moment = momentOf(value);
    if (moment === undefined) return false;
    writer.field(bsonType.date, name);
    writer.long(moment);
    return true;
  },
  $binary(writer, name, value) {
    const [base64, subType] = textsOf(value, 'base64', 'subType');
    if (base64 === undefined || subType === undefined || !/^[0-9a-f]{1,2}$/i.test(subType)) return false;
    const bytes = Buffer.from(base64, 'base64'), subtype = Number.parseInt(subType, 16);
    writer.field(bsonType.binary, name);
    writer.binary(subtype, subtype === 2 ? Buffer.concat([lengthOf(bytes), bytes]) : bytes);
    return true;
  },
  $timestamp(writer, name, value) {
    const [t, i] = isObject(value) ? ['t', 'i'].map((field) => value.members.find(([member]) => member === field)?.[1]) : [];
    if (!isNumber(t) || !isNumber(i)) return false;
    writer.field(bsonType.timestamp, name);
    writer.long(BigInt.asIntN(64, BigInt(t.digits) << 32n | BigInt(i.digits)));
    return true;
  },
  $regularExpression(writer, name, value) {
    const [pattern, options] = textsOf(value, 'pattern', 'options');
    if (pattern === undefined || options === undefined || (pattern + options).includes('\0')) return false;
    writer.field(bsonType.regex, name);
    writer.raw(Buffer.from(`${pattern}\0${options}\0`));
    return true;
  },
  $dbPointer(writer, name, value) {
    const [first, second] = isObject(value) ? value.members : [];
    if (first?.[0] !== '$ref' || typeof first[1] !== 'string' || second?.[0] !== '$id' || !isObject(second[1])) return false;
    const [id] = textsOf(second[1], '$oid');
    if (id === undefined) return false;
    writer.field(bsonType.dbPointer, name);
    writer.string(first[1]);
    writer.raw(Buffer.from(id, 'hex'));
    return true;
  },
  $undefined: bare(bsonType.undefined), $minKey: bare(bsonType.minKey), $maxKey: bare(bsonType.maxKey),
  $bson(writer, name, value) {
    const raw = rawValue({ members: [['$bson', value]] });
    if (!raw) return false;
    writer.field(raw[0], name);
    writer.raw(raw.subarray(1));
    return true;
  },
};

/** Members that make a document look like a value, where it begins with one of them. */
export const wrappers: ReadonlySet<string> = new Set(Object.keys(putters));

/** `{"$bson": …}`: dsync's own wrapper, of the base64 of `[type][bytes]`, for what Extended JSON would not tell from something else. */
function rawValue({ members }: JsonObject): Buffer | undefined {
  const [only] = members;
  if (members.length !== 1 || only[0] !== '$bson' || typeof only[1] !== 'string') return undefined;
  const raw = Buffer.from(only[1], 'base64');
  return raw.length > 0 ? raw : undefined;
}

function putScoped(writer: BsonWriter, name: Buffer, code: string, scope: JsonObject): boolean {
  writer.field(bsonType.codeWithScope, name);
  const inner = new BsonWriter(256);
  inner.string(code);
  writeMembers(inner, scope);
  writer.int(inner.length + 4);
  writer.raw(inner.bytes());
  return true;
}

function ifText(pattern: RegExp, type: number, put: (writer: BsonWriter, text: string) => void): Putter {
  return (writer, name, value) => {
    if (typeof value !== 'string' || !pattern.test(value)) return false;
    writer.field(type, name);
    put(writer, value);
    return true;
  };
}

function bare(type: number): Putter {
  return (writer, name) => {
    writer.field(type, name);
    return true;
  };
}

/** Milliseconds since 1970: `{"$numberLong": …}`, a number, or a date of ISO 8601 with its zone. */
function momentOf(value: Json): bigint | undefined {
  if (typeof value === 'string') return Number.isNaN(Date.parse(value)) ? undefined : BigInt(Date.parse(value));
  if (isNumber(value)) return /^-?\d+$/.test(value.digits) ? BigInt(value.digits) : undefined;
  const [digits] = textsOf(value, '$numberLong');
  return digits !== undefined && /^-?\d{1,19}$/.test(digits) ? BigInt(digits) : undefined;
}

function textsOf(value: Json, ...names: readonly string[]): readonly (string | undefined)[] {
  if (!isObject(value)) return [];
  return names.map((name) => {
    const found = value.members.find(([member]) => member === name)?.[1];
    return typeof found === 'string' ? found : undefined;
  });
}

function lengthOf(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32LE(bytes.length);
  return length;
}

// --- JSON -----------------------------------------------------------------------

export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && 'members' in json;
}

function isArray(json: Json): json is readonly Json[] {
  return Array.isArray(json);
}

function isNumber(json: Json | undefined): json is JsonNumber {
  return typeof json === 'object' && json !== null && 'digits' in json;
}

interface Reader { readonly text: string; at: number }

/** Fails with `data`. */
export function parseJson(text: string): Json {
  const reader = { text, at: 0 }, json = readValue(reader);
  skipSpace(reader);
  if (reader.at < text.length) throw unreadable(text, reader.at, 'the end');
  return json;
}

function readValue(reader: Reader): Json {
  skipSpace(reader);
  switch (reader.text[reader.at]) {
    case '{': return { members: readMembers(reader) };
    case '[': return readArray(reader);
    case '"': return readString(reader);
    default: return readWord(reader);
  }
}

function readMembers(reader: Reader): JsonObject['members'] {
  const members: (readonly [string, Json])[] = [];
  reader.at++;
  if (taken(reader, '}')) return members;
  for (;;) {
    skipSpace(reader);
    const name = readString(reader);
    if (!taken(reader, ':')) throw unreadable(reader.text, reader.at, "':'");
    members.push([name, readValue(reader)]);
    if (taken(reader, '}')) return members;
    if (!taken(reader, ',')) throw unreadable(reader.text, reader.at, "',' or '}'");
  }
}

function readArray(reader: Reader): readonly Json[] {
  const values: Json[] = [];
  reader.at++;
  if (taken(reader, ']')) return values;
  for (;;) {
    values.push(readValue(reader));
    if (taken(reader, ']')) return values;
    if (!taken(reader, ',')) throw unreadable(reader.text, reader.at, "',' or ']'");
  }
}

function readString(reader: Reader): string {
  const { text, at } = reader;
  if (text[at] !== '"') throw unreadable(text, at, 'a text in quotes');
  let end = at + 1, plain = true;
  for (; end < text.length; end++) {
    const code = text.charCodeAt(end);
    if (code === 0x22) break;
    if (code === 0x5c) { plain = false; end++; }
    else if (code < 0x20) throw unreadable(text, end, 'an escape in place of a control character');
  }
  if (end >= text.length) throw unreadable(text, at, 'the end of a text');
  reader.at = end + 1;
  if (plain) return text.slice(at + 1, end);
  try {
    return JSON.parse(text.slice(at, end + 1)) as string;
  } catch {
    throw unreadable(text, at, 'a text');
  }
}

const word = /true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

function readWord(reader: Reader): Json {
  word.lastIndex = reader.at;
  const [token] = word.exec(reader.text) ?? [];
  if (token === undefined) throw unreadable(reader.text, reader.at, 'a value');
  reader.at += token.length;
  switch (token) {
    case 'true': return true;
    case 'false': return false;
    case 'null': return null;
    default: return { digits: token };
  }
}

function taken(reader: Reader, sign: string): boolean {
  skipSpace(reader);
  if (reader.text[reader.at] !== sign) return false;
  reader.at++;
  return true;
}

function skipSpace(reader: Reader): void {
  for (;;) {
    const code = reader.text.charCodeAt(reader.at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    reader.at++;
  }
}

function unreadable(text: string, at: number, expected: string): DsyncError {
  return new DsyncError('data', `not Extended JSON: expected ${expected} at character ${at + 1} of ${text.slice(0, 200)}`);
}
