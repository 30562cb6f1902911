import { BSON } from 'mongodb';
import { expect, test } from 'vitest';
import type { Row, Shape } from '../../src/contract.js';
import { Look, tableIn } from '../../src/source/look.js';
import { documentsOfRows, rowsOfDocuments } from '../../src/values/columns.js';
import { documentOfJson } from '../../src/values/extended-json-bytes.js';
import { toExtendedJson } from '../../src/values/bson.js';
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
  return { rows, back: rows.map((row) => hex(documentsOfRows(shape)(row))), were: documents.map(hex) };
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
