import type { Column, Row, Shape, Value } from '../contract.js';
import { DsyncError } from '../errors.js';
import { bsonType, bufferOf, eachField, fieldOf, textAt, type Element } from './bson-bytes.js';
import { BsonWriter } from './bson-writer.js';
import { decodeRows, encodeRows, idText } from './bson.js';
import { valueJson, type Style } from './extended-json.js';
import { isObject, parseJson, valueOfJson, type Json } from './extended-json-bytes.js';
import { decimalNative, fieldCodec, type FieldCodec } from './fields.js';

/*
 * Documents as rows of columns, and back to the byte (docs/connectors/mongodb.md). A column's `native` names its codec
 * (values/fields.ts); the last one, `rest`, is null or JSON:
 *
 *   {"v":1,"fields":{…},"order":[…],"absent":[…]}
 *
 * - `fields`: canonical Extended JSON of what the columns alone would not restore: fields without a column, values that don't
 *   fit their column (which is null) or became another type's in it, explicit nulls, all fields of a name that comes twice
 * - `order`: the names of all fields, where they don't stand in the order of the columns, those without a column last
 * - `absent`: columns whose null is no explicit one, where there is no column `_id`
 *
 * Without a column `_id` the `_id` is that of a row of a table: its key, or an embedded document of its keys, and every null is explicit.
 */

export const restNative = 'rest';
const inRest: Style = { plain: false, deepest: 20 };
const version = '{"v":1,"fields":{';

interface Layout {
  readonly columns: readonly Column[];
  /** By the column's place; undefined for `rest`. */
  readonly codecs: readonly (FieldCodec | undefined)[];
  readonly rest: number;
  readonly key: readonly number[];
  /** There is no column `_id`. */
  readonly keyed: boolean;
}

function layoutOf({ columns, key, namespace }: Shape): Layout {
  const rest = columns.findIndex(({ native }) => native === restNative);
  const codecs = columns.map(({ native, name }, i) => {
    const codec = i === rest ? undefined : fieldCodec(native);
    if (!codec && i !== rest) throw new DsyncError('internal', `${namespace}.${name} is no column of documents: ${native}`);
    return codec;
  });
  return { columns, codecs, rest, key, keyed: !columns.some(({ name }) => name === '_id') };
}

// --- documents to rows ----------------------------------------------------------

/**
 * Compiles the way from documents to rows of `shape`: a row depends on its document and the shape alone. Nothing of fields that are
 * `hidden` is in the rest, whatever the columns lack.
 */
export function rowsOfDocuments(shape: Shape, hidden: ReadonlySet<string> = new Set()): (document: Uint8Array) => Row {
  if (!shape.columns.some(({ native }) => native === restNative)) return rowsOfTable(shape);
  const layout = layoutOf(shape), { columns, codecs, rest, keyed } = layout, width = columns.length, keys = new Set(layout.key);
  const names = columns.map(({ name }, i) => (i === rest ? Buffer.alloc(0) : Buffer.from(name)));
  const places = new Map(columns.flatMap(({ name }, i) => (i === rest ? [] : [[name, i] as const])));
  const hiddenPlaces = new Set(columns.flatMap(({ name }, i) => (hidden.has(name) ? [i] : [])));
  const seen = new Uint32Array(width);
  let bytes: Buffer, row: Value[], last: number, count: number, fields: string, isOrdered: boolean, isTwice: boolean, hasOthers: boolean, stamp = 0;

  const other = (name: string, type: number, start: number, end: number): void => {
    if (!hidden.has(name)) fields += `${fields ? ',' : ''}${JSON.stringify(name)}:${valueJson(bytes, type, start, end, inRest)}`;
  };
  const visit = (type: number, nameStart: number, nameEnd: number, start: number, end: number): void => {
    let place: number | undefined = last + 1;
    if (place >= width || place === rest || !isAt(names[place]!, bytes, nameStart, nameEnd)) place = places.get(bytes.toString('utf8', nameStart, nameEnd));
    if (place === undefined) return otherField(type, nameStart, nameEnd, start, end);
    if (seen[place] === stamp) { isTwice = true; return; }
    seen[place] = stamp;
    count++;
    if (!hiddenPlaces.has(place)) {
      if (place < last || hasOthers) isOrdered = false;
      last = place;
    }
    const codec = codecs[place]!;
    if (type === bsonType.null && !keys.has(place)) {
      if (!keyed) other(columns[place]!.name, type, start, end);
      return;
    }
    const cell = codec.cell(bytes, type, start, end);
    if (cell !== undefined) row[place] = cell;
    else if (keys.has(place)) row[place] = valueJson(bytes, type, start, end);
    if (cell === undefined || !codec.isExact(bytes, type, start, end)) other(columns[place]!.name, type, start, end);
  };
  const otherField = (type: number, nameStart: number, nameEnd: number, start: number, end: number): void => {
    const name = textAt(bytes, nameStart, nameEnd);
    if (keyed && name === '_id' && count === 0 && !hasOthers && isKey(layout, bytes, { type, start, end })) return;
    if (hidden.has(name)) return;
    hasOthers = true;
    other(name, type, start, end);
  };

  return (document) => {
    [bytes, row, last, count, fields, isOrdered, isTwice, hasOthers] = [bufferOf(document), new Array<Value>(width).fill(null), -1, 0, '', true, false, false];
    stamp = (stamp + 1) >>> 0;
    if (stamp === 0) { seen.fill(0); stamp = 1; }
    eachField(bytes, 0, bytes.length, visit);
    if (isTwice) { fields = againWithTwins(bytes, layout, places, hidden); isOrdered = false; }
    const absent = keyed && count < width - 1 ? columns.flatMap(({ name }, i) => (i === rest || seen[i] === stamp ? [] : [name])) : [];
    if (fields || !isOrdered || absent.length > 0) row[rest] = restText(fields, isOrdered ? undefined : namesOf(bytes).filter((name) => !hidden.has(name)), absent);
    return row;
  };
}

/** Documents that were rows of a table, as those. Fails with `data` for one that is none, of which something would be lost. */
function rowsOfTable(shape: Shape): (document: Uint8Array) => Row {
  const decode = decodeRows(shape), encode = encodeRows({ source: shape, target: shape, fidelity: [], existed: true, staged: false });
  return (document) => {
    const [row] = decode([document]), [again] = encode([row!]);
    if (bufferOf(again!).equals(bufferOf(document))) return row!;
    throw new DsyncError('data', `${shape.namespace}: the document with the _id ${idText(document)} is no row like the others: it came, or was changed, after all were looked at`, {
      namespace: shape.namespace, remedy: 'start anew (dsync cleanup, then dsync sync): the documents are looked at again; or with --live, which keeps a column _rest',
    });
  };
}

function isAt(name: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const { length } = name;
  if (end - start !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[start + i] !== name[i]) return false;
  return true;
}

function restText(fields: string, order: readonly string[] | undefined, absent: readonly string[]): string {
  return `${version}${fields}}${order ? `,"order":${JSON.stringify(order)}` : ''}${absent.length > 0 ? `,"absent":${JSON.stringify(absent)}` : ''}}`;
}

function namesOf(bytes: Buffer): readonly string[] {
  const names: string[] = [];
  eachField(bytes, 0, bytes.length, (_type, nameStart, nameEnd) => names.push(textAt(bytes, nameStart, nameEnd)));
  return names;
}

function isRestored({ cell, isExact }: FieldCodec, bytes: Buffer, type: number, start: number, end: number): boolean {
  return isExact(bytes, type, start, end) && cell(bytes, type, start, end) !== undefined;
}

/** The fields of the rest where a name comes twice: all of that name are among them. */
function againWithTwins(bytes: Buffer, { codecs, keyed }: Layout, places: ReadonlyMap<string, number>, hidden: ReadonlySet<string>): string {
  const names = namesOf(bytes), twice = new Set(names.filter((name, i) => names.indexOf(name) !== i));
  const parts: string[] = [];
  eachField(bytes, 0, bytes.length, (type, nameStart, nameEnd, start, end) => {
    const name = textAt(bytes, nameStart, nameEnd), place = places.get(name);
    const restored = place !== undefined && !twice.has(name) && (type === bsonType.null ? keyed : isRestored(codecs[place]!, bytes, type, start, end));
    if (!restored && !hidden.has(name)) parts.push(`${JSON.stringify(name)}:${valueJson(bytes, type, start, end, inRest)}`);
  });
  return parts.join(',');
}

/** Is this `_id` the one that the key cells make? */
function isKey({ columns, codecs, key }: Layout, bytes: Buffer, id: Element): boolean {
  const value = bytes.subarray(id.start, id.end);
  const same = (place: number, other: Element, of: Buffer) => {
    const field = fieldNamed(bytes, columns[place]!.name);
    return field !== undefined && isRestored(codecs[place]!, bytes, field.type, field.start, field.end) && field.type === other.type && bytes.subarray(field.start, field.end).equals(of.subarray(other.start, other.end));
  };
  if (key.length === 1) return same(key[0]!, id, bytes);
  if (id.type !== bsonType.document) return false;
  const parts: [string, Element][] = [];
  eachField(value, 0, value.length, (type, nameStart, nameEnd, start, end) => parts.push([textAt(value, nameStart, nameEnd), { type, start, end }]));
  return parts.length === key.length && parts.every(([name, part], i) => name === columns[key[i]!]!.name && same(key[i]!, part, value));
}

function fieldNamed(bytes: Buffer, name: string): Element | undefined {
  let found: Element | undefined;
  eachField(bytes, 0, bytes.length, (type, nameStart, nameEnd, start, end) => {
    if (!found && bytes.toString('utf8', nameStart, nameEnd) === name) found = { type, start, end };
  });
  return found;
}

/** The key cells of the document with this `{_id: …}`, at their places in a row; the others are undefined. */
export function keyOfDocument(shape: Shape): (id: Uint8Array) => readonly (Value | undefined)[] {
  const { columns, codecs, key, keyed } = layoutOf(shape);
  return (document) => {
    const bytes = bufferOf(document), id = fieldOf(bytes, '_id'), row = new Array<Value | undefined>(columns.length).fill(undefined);
    if (!id) throw new DsyncError('data', `a document of ${shape.namespace} has no _id`);
    const composite = keyed && key.length > 1 && id.type === bsonType.document;
    const value = composite ? bytes.subarray(id.start, id.end) : bytes;
    for (const place of key) {
      const part = composite ? fieldNamed(value, columns[place]!.name) : id;
      if (part) row[place] = codecs[place]!.cell(value, part.type, part.start, part.end) ?? valueJson(value, part.type, part.start, part.end);
    }
    return row;
  };
}

// --- rows to documents ----------------------------------------------------------

/** Compiles the way back. A cell that was changed since wins over what its `rest` says of the field. */
export function documentsOfRows(shape: Shape): (row: Row) => Buffer {
  const layout = layoutOf(shape), { columns, codecs, rest, keyed, key } = layout;
  const names = columns.map(({ name }) => Buffer.from(`${name}\0`)), id = Buffer.from('_id\0');
  const putCell = (writer: BsonWriter, place: number, cell: Value, name = names[place]!): void => {
    if (cell === null) writer.field(bsonType.null, name);
    else codecs[place]!.put(writer, name, cell);
  };
  const putKey = (writer: BsonWriter, row: Row): void => {
    if (key.length === 1) return putCell(writer, key[0]!, row[key[0]!]!, id);
    writer.field(bsonType.document, id);
    const open = writer.open();
    for (const place of key) putCell(writer, place, row[place]!);
    writer.close(open);
  };
  const putAll = (writer: BsonWriter, row: Row): void => {
    if (keyed && key.length > 0) putKey(writer, row);
    for (let place = 0; place < columns.length; place++) {
      const cell = row[place]!;
      if (place !== rest && (cell !== null || keyed)) putCell(writer, place, cell);
    }
  };
  const putWithRest = (writer: BsonWriter, row: Row, kept: Rest): void => {
    const items: Item[] = [], places = new Set<string>();
    if (keyed && key.length > 0 && !kept.fields.has('_id')) items.push(['_id', () => putKey(writer, row)]);
    columns.forEach(({ name }, place) => {
      if (place === rest) return;
      places.add(name);
      const cell = row[place]!, values = kept.fields.get(name);
      if (values && isUnchanged(codecs[place]!, values[0]!, cell, layout.key.includes(place))) items.push(...values.map((value): Item => [name, () => putRaw(writer, names[place]!, value)]));
      else if (cell !== null || (keyed && !kept.absent.has(name))) items.push([name, () => putCell(writer, place, cell)]);
    });
    for (const { name, value } of kept.list) if (!places.has(name)) items.push([name, () => putRaw(writer, Buffer.from(`${name}\0`), value)]);
    for (const [, put] of kept.order ? inOrder(items, kept.order) : items) put();
  };
  return (row) => {
    const writer = new BsonWriter(512), open = writer.open(), text = rest < 0 ? null : row[rest]!;
    const kept = text === null ? undefined : restOf(String(text));
    if (kept) putWithRest(writer, row, kept);
    else putAll(writer, row);
    if (text !== null && !kept) {
      writer.field(bsonType.string, names[rest]!);
      writer.string(String(text));
    }
    writer.close(open);
    return writer.bytes();
  };
}

type Item = readonly [name: string, put: () => void];

interface Rest {
  readonly list: readonly { readonly name: string; readonly value: Buffer }[];
  readonly fields: ReadonlyMap<string, readonly Buffer[]>;
  readonly order?: readonly string[];
  readonly absent: ReadonlySet<string>;
}

/** Undefined for what dsync has not written. */
function restOf(text: string): Rest | undefined {
  const json = parsed(text);
  if (!isObject(json)) return undefined;
  const member = (name: string) => json.members.find(([known]) => known === name)?.[1];
  const named = member('v'), fields = member('fields'), order = member('order'), absent = member('absent');
  if (!isObject(fields) || typeof named !== 'object' || named === null || !('digits' in named) || named.digits !== '1') return undefined;
  const list = fields.members.map(([name, value]) => ({ name, value: valueOfJson(value) }));
  const byName = new Map<string, Buffer[]>();
  for (const { name, value } of list) byName.set(name, [...byName.get(name) ?? [], value]);
  return { list, fields: byName, absent: new Set(texts(absent)), ...(Array.isArray(order) && { order: texts(order) }) };
}

function texts(json: Json | undefined): readonly string[] {
  return Array.isArray(json) ? json.filter((one) => typeof one === 'string') : [];
}

function parsed(text: string): Json | undefined {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/** Is the cell still what the value was turned into? */
function isUnchanged(codec: FieldCodec, value: Buffer, cell: Value, isKey: boolean): boolean {
  const type = value[0]!, bytes = value.subarray(1);
  const then = type === bsonType.null && !isKey ? null : codec.cell(bytes, type, 0, bytes.length) ?? (isKey ? valueJson(bytes, type, 0, bytes.length) : null);
  if (then instanceof Uint8Array) return cell instanceof Uint8Array && bufferOf(then).equals(bufferOf(cell));
  if (typeof then === 'boolean') return cell === then || cell === Number(then);
  return typeof then === 'bigint' && typeof cell === 'number' ? then === BigInt(cell) : then === cell;
}

function putRaw(writer: BsonWriter, name: Buffer, value: Buffer): void {
  writer.field(value[0]!, name);
  writer.raw(value.subarray(1));
}

/** As the names say; what they don't name follows. */
function inOrder(items: readonly Item[], order: readonly string[]): readonly Item[] {
  const left = new Map<string, Item[]>();
  for (const item of items) left.set(item[0], [...left.get(item[0]) ?? [], item]);
  const named = order.map((name) => left.get(name)?.shift()).filter((item) => item !== undefined), used = new Set(named);
  return [...named, ...items.filter((item) => !used.has(item))];
}

// --- tables that documents were made into -----------------------------------------

const restName = /^_rest(_\d+)?$/;

/**
 * The shape of a table that dsync has made of documents, with its columns' codecs by their types; undefined for any other
 * table. It is known by its last column, `_rest`.
 */
export function shapeOfDocuments(shape: Shape): Shape | undefined {
  const { columns, key, engine } = shape, last = columns.at(-1);
  if (!last || !restName.test(last.name) || !last.nullable || !['json-text', 'json-value', 'text'].includes(last.type.kind) || key.length === 0) return undefined;
  const id = columns.findIndex(({ name }) => name === '_id');
  if (id >= 0 && (key.length > 1 || key[0] !== id)) return undefined;
  const natives = columns.map((column, i) => (i === columns.length - 1 ? restNative : nativeOf(column, engine, key.length === 1 && key[0] === i)));
  return { ...shape, columns: columns.map((column, i) => ({ ...column, native: natives[i]! })) };
}

function nativeOf({ name, type }: Column, engine: string, isKey: boolean): string {
  const textNative = isKey && name === '_id' ? 'string id' : engine === 'mysql' || engine === 'mariadb' ? 'text' : 'string';
  switch (type.kind) {
    case 'bool': return 'bool';
    case 'int': return type.bits === 8 ? 'bool' : type.bits < 64 ? 'int' : isKey && engine === 'sqlite' ? 'integer' : 'long';
    case 'decimal': return decimalNative(type.scale ?? 0);
    case 'float': return 'double';
    case 'bytes': return 'binData';
    case 'uuid': return 'uuid';
    case 'instant': case 'timestamp': return 'date';
    case 'json-text': case 'json-value': return 'json';
    case 'text': return type.padded && type.maxLength === 24 ? 'objectId' : type.padded && type.maxLength === 36 ? 'uuid' : textNative;
    default: return textNative;
  }
}
