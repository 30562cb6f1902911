import { BSON } from 'mongodb';
import { expect, test } from 'vitest';
import type { Row, Shape } from '../../src/contract.js';
import { Look, tableIn } from '../../src/source/look.js';
import { documentsOfRows, rowsOfDocuments } from '../../src/values/columns.js';
import { documentOfJson } from '../../src/values/extended-json-bytes.js';
import { encodeRows, toExtendedJson } from '../../src/values/bson.js';
import { randomFrom } from '../random.js';
import { natives } from '../../src/connectors/mongodb/natives.js';
import { everyType, mixedIds, rareTypes } from '../pairs/documents.js';

const { Binary, Decimal128, Double, Int32, Long, ObjectId, UUID } = BSON;

const collection: Shape = { namespace: 'shop.c', schema: 'shop', name: 'c', engine: 'mongodb', columns: [], key: [] };
const serialized = (fields: readonly (readonly [string, unknown])[]): Uint8Array => Buffer.from(BSON.serialize(new Map(fields)));
const jsonOf = (json: string): Uint8Array => documentOfJson(json);

function shapeFor(documents: readonly Uint8Array[], connector = 'postgres'): Shape {
  const look = new Look();
  for (const document of documents) look.add(document);
  return look.columns(collection, tableIn(connector, true), false).shape;
}

/** The documents through rows and back, in hex, beside themselves. */
function through(documents: readonly Uint8Array[], shape: Shape): { readonly back: readonly string[]; readonly were: readonly string[]; readonly rows: readonly Row[] } {
  const rows = documents.map(rowsOfDocuments(shape));
  const plain = !shape.columns.some(({ native }) => native === 'rest');
  const encode = plain ? (row: Row) => encodeRows({ source: shape, target: shape, fidelity: [], existed: true, staged: false })([row])[0]! : documentsOfRows(shape);
  return { rows, back: rows.map((row) => hex(encode(row))), were: documents.map(hex) };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const columnsOf = (shape: Shape) => shape.columns.map(({ name, native }) => `${name} ${native}`);

for (const connector of ['postgres', 'mysql', 'sqlite']) {
  test(`documents of every type come back from rows for ${connector} to the byte`, () => {
    const documents = [...everyType, ...rareTypes, ...mixedIds.map((_id, i) => new Map<string, unknown>([['_id', _id], ['i', i]]))].map((document) => Buffer.from(BSON.serialize(document)));
    const { back, were } = through(documents, shapeFor(documents, connector));
    expect(back).toEqual(were);
  });

  test(`one type a field: every value of it comes back from a column for ${connector} to the byte`, () => {
    for (const { name, trials } of natives) {
      const documents = trials.flatMap(({ values }) => values.map((value, i) => jsonOf(`{"_id":{"$numberInt":"${i}"},"v":${value}}`)));
      const { back, were } = through(documents, shapeFor(documents, connector));
      expect(back, name).toEqual(were);
    }
  });
}

test('Extended JSON tells apart what only looks alike, and is read to the byte', () => {
  const oid = new ObjectId('65a1b2c3d4e5f60718293a4b');
  const alike = [
    [['_id', 1], ['a', oid]], [['_id', 1], ['a', new Map([['$oid', oid.toHexString()]])]], [['_id', 1], ['a', new Map<string, unknown>([['$code', 'x'], ['$scope', new Map()]])]],
    [['_id', 1], ['a', new BSON.Code('x', {})]], [['_id', 1], ['a', new Map([['$bson', 'EA==']])]], [['_id', 1], ['a', new Map<string, unknown>([['$ref', 'c'], ['$id', oid]])]],
    [['_id', 1], ['a', new Map([['$numberInt', '5']])]], [['_id', 1], ['a', new Int32(5)]], [['_id', 1], ['a', new Map([['$oid', 'no']])]],
  ].map((fields) => serialized(fields as never));
  expect(new Set(alike.map(toExtendedJson)).size).toBe(alike.length);
  expect(alike.map((document) => hex(documentOfJson(toExtendedJson(document))))).toEqual(alike.map(hex));
});

test('bytes that no other JSON tells come back: a NaN with a payload, a decimal of other bits, an array of odd names', () => {
  const plain = serialized([['_id', 1], ['d', new Double(NaN)], ['m', Decimal128.fromString('1')], ['a', ['x', 'y']]]);
  const odd = Buffer.from(plain);
  odd.writeBigUInt64LE(0xfff8_0000_0000_0001n, odd.indexOf('\x01d\0', 0, 'latin1') + 3);
  odd.writeBigUInt64LE(0x7c00_0000_0000_0001n, odd.indexOf('\x13m\0', 0, 'latin1') + 11);
  odd[odd.lastIndexOf('\x021\0')! + 1] = 0x37;
  expect(hex(documentOfJson(toExtendedJson(odd)))).toBe(hex(odd));
  const { back, were } = through([odd, plain], shapeFor([odd, plain]));
  expect(back).toEqual(were);
});

test('a field of one type is a column of that type, in the order of the documents', () => {
  const shape = shapeFor([
    serialized([['_id', new ObjectId()], ['name', 'a'], ['age', new Int32(1)], ['at', new Date(0)], ['ok', true], ['price', Decimal128.fromString('1.50')]]),
    serialized([['_id', new ObjectId()], ['name', 'b'], ['nick', 'n'], ['age', new Int32(2)], ['big', Long.MAX_VALUE], ['id', new UUID()], ['raw', new Binary(Buffer.from('x'))], ['in', { a: 1 }], ['tags', []], ['half', new Double(0.5)]]),
  ]);
  expect(columnsOf(shape)).toEqual(['_id objectId', 'name string', 'nick string', 'age int', 'big long', 'id uuid', 'raw binData', 'in json', 'tags json', 'half double', 'at date', 'ok bool', 'price decimal(36,2)', '_rest rest']);
});

test('a document that fits its columns leaves nothing to the rest; what does not fit is there, exact', () => {
  const documents = [
    serialized([['_id', 1], ['a', new Int32(1)], ['s', 'x']]),
    serialized([['_id', 2], ['a', Long.fromNumber(2)], ['s', 'y']]),
    serialized([['_id', 3], ['s', null]]),
    serialized([['_id', 4], ['s', 'z'], ['a', new Int32(4)]]),
  ], shape = shapeFor(documents), { rows, back, were } = through(documents, shape);
  expect(rows).toEqual([
    [1, 1n, 'x', '{"v":1,"fields":{"a":{"$numberInt":"1"}}}'], [2, 2n, 'y', null], [3, null, null, '{"v":1,"fields":{"s":null}}'],
    [4, 4n, 'z', '{"v":1,"fields":{"a":{"$numberInt":"4"}},"order":["_id","s","a"]}'],
  ]);
  expect(back).toEqual(were);
  const [later] = [serialized([['_id', 5], ['new', 'f'], ['a', 'text']])].map(rowsOfDocuments(shape));
  expect(later).toEqual([5, null, null, '{"v":1,"fields":{"new":"f","a":"text"},"order":["_id","new","a"]}']);
});

test('a changed cell wins over what the rest has of its field', () => {
  const document = serialized([['_id', 1], ['a', new Int32(1)], ['n', null]]), shape = shapeFor([document, serialized([['_id', 2], ['a', Long.fromNumber(3)], ['n', 'x']])]);
  const [id, a, , rest] = rowsOfDocuments(shape)(document), back = documentsOfRows(shape);
  expect(toExtendedJson(back([id!, a!, null, rest!]))).toBe('{"_id":{"$numberInt":"1"},"a":{"$numberInt":"1"},"n":null}');
  expect(toExtendedJson(back([id!, 7n, null, rest!]))).toBe('{"_id":{"$numberInt":"1"},"a":{"$numberLong":"7"},"n":null}');
  expect(toExtendedJson(back([id!, null, 'y', rest!]))).toBe('{"_id":{"$numberInt":"1"},"n":"y"}');
});

test('duplicate names come back as often, and as they stood', () => {
  const documents = [jsonOf('{"_id":1,"a":1,"b":2,"a":3,"c":4,"c":5}'), jsonOf('{"_id":2,"a":1,"b":7}')];
  for (const shape of [shapeFor(documents), shapeFor(documents.slice(1))]) {
    const { back, were } = through(documents, shape);
    expect(back).toEqual(were);
  }
});

test('names that some engine would change have no column: empty, long, case, accents, spaces at the end, PostgreSQL’s own, __proto__', () => {
  const names = ['a', 'A', 'é', 'e', 'x'.repeat(64), '', 'sp ', 'ctid', '😀', '$d', 'a.b', '10', '9', '_rest', '__proto__', '_ID'];
  const documents = [serialized([['_id', 1], ...names.map((name) => [name, name] as const)])], shape = shapeFor(documents);
  expect(shape.columns.map(({ name }) => name)).toEqual(['_id', 'a', 'é', '$d', 'a.b', '10', '9', '_rest', '_rest_2']);
  const { back, were } = through(documents, shape);
  expect(back).toEqual(were);
});

test('of 1,500 fields the most frequent are columns', () => {
  const fields = Array.from({ length: 1500 }, (_, i) => [`f${i}`, i] as const);
  const documents = [serialized([['_id', 1], ...fields]), serialized([['_id', 2], ...fields.slice(-10)])];
  for (const connector of ['postgres', 'mysql', 'sqlite']) {
    const shape = shapeFor(documents, connector), { back, were } = through(documents, shape);
    expect(shape.columns.length).toBe(tableIn(connector, true).mostColumns);
    expect(shape.columns.map(({ name }) => name)).toContain('f1499');
    expect(back).toEqual(were);
  }
});

test('documents that are like rows have the table’s key and no rest; one that is not like the others brings a rest, under the same key', () => {
  const row = (id: number, ...more: readonly (readonly [string, unknown])[]) => serialized([['_id', id], ['id', id], ['name', id % 2 === 0 ? null : 'x'], ['at', new Date(id)], ...more]);
  const alike = [1, 2, 3].map((id) => row(id)), shape = shapeFor(alike);
  expect([columnsOf(shape), shape.key]).toEqual([['id int', 'name string', 'at date'], [0]]);
  expect(through(alike, shape)).toMatchObject({ rows: [[1, 'x', '1970-01-01 00:00:00.001'], [2, null, '1970-01-01 00:00:00.002'], [3, 'x', '1970-01-01 00:00:00.003']], back: alike.map(hex) });
  const others = [...alike, row(4, ['more', 1]), serialized([['_id', 5], ['id', 5], ['at', null]])], keyed = shapeFor(others), { rows, back, were } = through(others, keyed);
  expect([columnsOf(keyed), keyed.key]).toEqual([['id int', 'name string', 'at date', 'more int', '_rest rest'], [0]]);
  expect(rows[1]).toEqual([2, null, '1970-01-01 00:00:00.002', null, '{"v":1,"fields":{},"absent":["more"]}']);
  expect(back).toEqual(were);
  // MySQL's columns would not tell a date from a text of one.
  expect(columnsOf(shapeFor(alike, 'mysql'))).toContain('_rest rest');
  expect(() => rowsOfDocuments(shape)(others[3]!)).toThrow(/no row like the others/);
});

test('a key of several fields is found; an _id that only looks like one is kept', () => {
  const pair = (a: number, b: string, id: unknown = new Map<string, unknown>([['a', a], ['b', b]])) => serialized([['_id', id], ['a', a], ['b', b], ['v', 1]]);
  const documents = [pair(1, 'x'), pair(1, 'y')], shape = shapeFor(documents);
  expect([columnsOf(shape), shape.key]).toEqual([['a int', 'b string', 'v int'], [0, 1]]);
  expect(through(documents, shape).back).toEqual(documents.map(hex));
  for (const odd of [pair(2, 'x', 5), pair(2, 'x', new Map<string, unknown>([['b', 'x'], ['a', 2]])), pair(2, 'x', new Map<string, unknown>([['a', 3], ['b', 'x']]))]) {
    const with_ = shapeFor([...documents, odd]), { back, were } = through([...documents, odd], with_);
    expect(columnsOf(with_)[0]).toBe('_id string id');
    expect(back).toEqual(were);
  }
});

test('any documents come back from rows to the byte, those that the look saw and others', () => {
  const random = randomFrom(7);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const scalars: readonly (() => unknown)[] = [
    () => new Int32(Math.floor(random() * 10)), () => Long.fromNumber(Math.floor(random() * 1e15)), () => new Double(pick([0, -0, 1.5, NaN, 1e300, 7])), () => pick(['', 'a', '{', '[1]', 'true', '5', 'x\0y', '"q"']), () => null,
    () => new Date(pick([0, 1, -1e14, 8.64e15])), () => random() < 0.5, () => Decimal128.fromString(pick(['1.10', '1.1', '-0', 'NaN', '1E+3', '5'])), () => new Binary(Buffer.from([1]), pick([0, 5])), () => new UUID(), () => new ObjectId(),
  ];
  const value = (depth: number): unknown => (depth > 3 || random() < 0.8 ? pick(scalars)() : random() < 0.5 ? [value(depth + 1), value(depth + 1)] : new Map([[pick(['$oid', 'a', '$bson', '']), value(depth + 1)]]));
  for (let round = 0; round < 150; round++) {
    const names = Array.from({ length: 4 }, () => pick(['a', 'b', 'A', '', '_rest', 'c d', '$x'])), kinds = new Map(names.map((name) => [name, pick(scalars)]));
    const ids = pick<() => unknown>([() => new Int32(Math.floor(random() * 100)), () => new ObjectId(), () => pick(['s', '{', 5]), () => Long.fromNumber(5)]);
    const make = (): Uint8Array => {
      const id = ids(), fields = [...new Set(names)].filter(() => random() < 0.9).map((name) => [name, random() < 0.8 ? kinds.get(name)!() : value(0)] as const);
      return serialized(pick([0, 1]) === 0 ? [['_id', id], ...fields] : [['_id', id], ['k', id], ...fields]);
    };
    const seen = Array.from({ length: 5 }, make), others = Array.from({ length: 5 }, make);
    for (const connector of ['postgres', 'mysql', 'sqlite']) {
      const shape = shapeFor(seen, connector), all = shape.columns.some(({ native }) => native === 'rest') ? [...seen, ...others] : seen, { back, were } = through(all, shape);
      expect(back, JSON.stringify([connector, columnsOf(shape), all.map(toExtendedJson)])).toEqual(were);
    }
  }
});
