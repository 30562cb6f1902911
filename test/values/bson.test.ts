import { BSON, BSONRegExp, BSONSymbol, Binary, Code, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'mongodb';
import { describe, expect, test } from 'vitest';
import type { Column, LogicalType, Mapping, Row, Shape, Value } from '../../src/contract.js';
import { encodeEachRow, decodeRows, encodeKey, encodeRows, idText, toExtendedJson } from '../../src/values/bson.js';
import { plainDecimal, scientificDecimal, writeDecimal } from '../../src/values/decimal128.js';

/** A document from elements: type, name, value as bytes. */
function document(...elements: readonly (readonly [number, string, Buffer])[]): Buffer {
  const body = Buffer.concat(elements.map(([type, name, value]) => Buffer.concat([Buffer.from([type]), Buffer.from(`${name}\0`), value])));
  const length = Buffer.alloc(4);
  length.writeInt32LE(body.length + 5);
  return Buffer.concat([length, body, Buffer.from([0])]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(`${value}\0`), length = Buffer.alloc(4);
  length.writeInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

const int = (value: number) => { const bytes = Buffer.alloc(4); bytes.writeInt32LE(value); return bytes; };
const oid = Buffer.from('5f5e1000aabbccddeeff0011', 'hex');
const none = Buffer.alloc(0);

describe('a document as canonical Extended JSON', () => {
  test('keeps fields that look like numbers in their order, and duplicates', () => {
    const bytes = document([0x10, '10', int(1)], [0x10, '9', int(2)], [0x10, 'a', int(3)], [0x10, 'a', int(4)]);
    expect(toExtendedJson(bytes)).toBe('{"10":{"$numberInt":"1"},"9":{"$numberInt":"2"},"a":{"$numberInt":"3"},"a":{"$numberInt":"4"}}');
  });

  test('spells every type that the driver can write as the driver itself does', () => {
    const values = {
      double: new Double(1), half: new Double(0.5), negativeZero: new Double(-0), large: new Double(1e300), tiny: new Double(5e-324), huge: new Double(123456789012345680000),
      nan: new Double(NaN), infinity: new Double(Infinity), minus: new Double(-Infinity),
      string: 'ä "quoted" \\ \u0000 \u2028 😀', empty: '', document: { b: 1, a: { c: [] } }, array: [1, 'x', null, [true]],
      binary: new Binary(Buffer.from('bytes'), 0), user: new Binary(Buffer.from([0, 255]), 128), uuid: new Binary(Buffer.alloc(16, 7), 4),
      old: new Binary(Buffer.from('old'), 2), noBytes: new Binary(Buffer.alloc(0), 0),
      id: new ObjectId(oid), yes: true, no: false, date: new Date(-1), nothing: null, regex: new BSONRegExp('a"/\\d', 'imx'),
      code: new Code('f()'), scoped: new Code('f()', { x: 1, y: { z: 2 } }), symbol: new BSONSymbol('s'), int: new Int32(-5), timestamp: new Timestamp({ t: 4294967295, i: 1 }),
      long: Long.MIN_VALUE, decimal: Decimal128.fromString('1.10'), least: new MinKey(), most: new MaxKey(),
    };
    const bytes = BSON.serialize(values);
    const expected = BSON.EJSON.stringify(BSON.deserialize(bytes, { promoteValues: false, promoteBuffers: false, bsonRegExp: true }), { relaxed: false });
    expect(JSON.parse(toExtendedJson(bytes))).toEqual(JSON.parse(expected));
  });

  test('spells the types that drivers no longer write', () => {
    const bytes = document([0x06, 'u', none], [0x0c, 'p', Buffer.concat([text('db.c'), oid])], [0x0e, 's', text('sy')]);
    expect(toExtendedJson(bytes)).toBe('{"u":{"$undefined":true},"p":{"$dbPointer":{"$ref":"db.c","$id":{"$oid":"5f5e1000aabbccddeeff0011"}}},"s":{"$symbol":"sy"}}');
  });

  test('keeps dates that JavaScript has not', () => {
    const moment = Buffer.alloc(8);
    moment.writeBigInt64LE(9223372036854775807n);
    expect(toExtendedJson(document([0x09, 'd', moment]))).toBe('{"d":{"$date":{"$numberLong":"9223372036854775807"}}}');
  });

  test('tells 1.0 from 1 and -0.0 from 0.0', () => {
    const bytes = BSON.serialize({ a: new Double(1), b: new Int32(1), c: new Double(-0), d: new Double(0), e: Long.fromNumber(1) });
    expect(toExtendedJson(bytes)).toBe('{"a":{"$numberDouble":"1.0"},"b":{"$numberInt":"1"},"c":{"$numberDouble":"-0.0"},"d":{"$numberDouble":"0.0"},"e":{"$numberLong":"1"}}');
  });

  test('has the _id wherever it stands', () => {
    expect(idText(document([0x10, 'a', int(1)], [0x02, '_id', text('x')]))).toBe('"x"');
    expect(() => idText(document([0x10, 'a', int(1)]))).toThrow('no _id');
  });
});

describe('hostile bytes', () => {
  const good = BSON.serialize({ a: 'text', b: { c: [1, 2] }, d: new Binary(Buffer.from('xyz'), 2), e: new Code('x', { y: 1 }), f: new BSONRegExp('a', 'i'), g: 1.5 });

  test('are an error wherever a document is cut', () => {
    for (let end = 0; end < good.length; end++) expect(() => toExtendedJson(good.subarray(0, end)), `cut at ${end}`).toThrow(/not a BSON document/);
  });

  test('never read outside of the document, whatever byte is changed', () => {
    for (let at = 0; at < good.length; at++) {
      for (const byte of [0, 1, 2, 3, 5, 0x10, 0x12, 0x13, 0x7f, 0x80, 0xff]) {
        const bytes = Buffer.from(good);
        bytes[at] = byte;
        try { toExtendedJson(bytes); } catch (error) { expect((error as { code: string }).code).toBe('data'); }
      }
    }
  });

  test('are an error where a value is longer than its own document, not only than all', () => {
    const inner = document([0x12, 'b', Buffer.from([1, 2, 3])]);
    expect(() => toExtendedJson(document([0x03, 'a', inner], [0x02, 'c', text('more than enough')]))).toThrow('longer than its document');
  });

  test('are an error where a string has no end', () => {
    expect(() => toExtendedJson(document([0x02, 'a', Buffer.concat([int(2), Buffer.from('xy')])]))).toThrow('does not end');
  });

  test('are an error where text is not UTF-8', () => {
    const bytes = document([0x02, 'a', Buffer.concat([int(3), Buffer.from([0xc3, 0x28, 0])])]);
    expect(() => toExtendedJson(bytes)).toThrow('not UTF-8');
    expect(toExtendedJson(document([0x02, 'a', text('\ufffd')]))).toBe('{"a":"\ufffd"}');
  });

  test('are an error where they follow the end, or are nested without end', () => {
    expect(() => toExtendedJson(Buffer.concat([good, Buffer.from([0])]))).toThrow('after its end');
    let nested = document();
    for (let i = 0; i < 5000; i++) nested = document([0x03, 'a', nested]);
    expect(() => toExtendedJson(nested)).toThrow('nested');
  });
});

describe('Decimal128', () => {
  test('is spelled as the driver spells it, whatever its bits', () => {
    let seed = 1;
    const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) & 0xff;
    for (let i = 0; i < 20_000; i++) {
      const bytes = Buffer.from(Array.from({ length: 16 }, (_, at) => (i % 2 && at > 8 && at < 14 ? 0 : random())));
      expect(scientificDecimal(bytes, 0)).toBe(new Decimal128(bytes).toString());
    }
  });

  test.each(['0', '-0', '0.00', '1.10', '-12345678901234567890123456789012.34', '0.0000000000000000000000000000000001', '9999999999999999999999999999999999', 'NaN', 'Infinity', '-Infinity'])('keeps %s, digit by digit', (number) => {
    const bytes = Buffer.alloc(16);
    expect(writeDecimal(number, bytes, 0)).toBe(true);
    expect(plainDecimal(bytes, 0)).toBe(number);
    expect(Buffer.from(Decimal128.fromString(number).bytes)).toEqual(bytes);
  });

  test.each(['12345678901234567890123456789012345', '', '1e', 'x', '1.', '0x10'])('does not hold %s', (number) => {
    expect(writeDecimal(number, Buffer.alloc(16), 0)).toBe(false);
  });
});

const columns = (types: Readonly<Record<string, LogicalType>>): Column[] => Object.entries(types).map(([name, type]) => ({ name, type, native: type.kind, nullable: true }));

function mapping(types: Readonly<Record<string, LogicalType>>, key: readonly number[]): Mapping {
  const source: Shape = { namespace: 's.t', name: 't', engine: 'postgres', columns: columns(types), key };
  return { source, target: { ...source, engine: 'mongodb' }, fidelity: source.columns.map(() => ({ level: 'exact' })), existed: false, staged: key.length === 0 };
}

const json = (of: Mapping, row: Row) => toExtendedJson(encodeRows(of)([row])[0]!);

describe('a row as a document', () => {
  test('has its key as _id, and every column as a field', () => {
    expect(json(mapping({ id: { kind: 'int', bits: 32, signed: true }, name: { kind: 'text' } }, [0]), [7, 'x']))
      .toBe('{"_id":{"$numberInt":"7"},"id":{"$numberInt":"7"},"name":"x"}');
  });

  test('has a composite key as an embedded document in key order', () => {
    const of = mapping({ a: { kind: 'text' }, b: { kind: 'int', bits: 64, signed: true } }, [1, 0]);
    expect(json(of, ['x', 5n])).toBe('{"_id":{"b":{"$numberLong":"5"},"a":"x"},"a":"x","b":{"$numberLong":"5"}}');
    expect(toExtendedJson(encodeKey(of)([5n, 'x']))).toBe('{"_id":{"b":{"$numberLong":"5"},"a":"x"}}');
  });

  test('has no _id without a key, and one only where the key column has that name', () => {
    expect(json(mapping({ a: { kind: 'text' } }, []), ['x'])).toBe('{"a":"x"}');
    expect(json(mapping({ a: { kind: 'text' }, _id: { kind: 'text' } }, [1]), ['x', 'y'])).toBe('{"_id":"y","a":"x"}');
  });

  const types: readonly (readonly [string, LogicalType, Value, string])[] = [
    ['bool', { kind: 'bool' }, true, 'true'],
    ['int32', { kind: 'int', bits: 32, signed: true }, -2147483648, '{"$numberInt":"-2147483648"}'],
    ['uint32', { kind: 'int', bits: 32, signed: false }, 4294967295, '{"$numberLong":"4294967295"}'],
    ['int64', { kind: 'int', bits: 64, signed: true }, -9223372036854775808n, '{"$numberLong":"-9223372036854775808"}'],
    ['uint64', { kind: 'int', bits: 64, signed: false }, 18446744073709551615n, '{"$numberDecimal":"18446744073709551615"}'],
    ['decimal', { kind: 'decimal', precision: 34, scale: 2 }, '1.10', '{"$numberDecimal":"1.10"}'],
    ['decimal with a small value', { kind: 'decimal' }, '0.000000010', '{"$numberDecimal":"1.0E-8"}'],
    ['decimal of 38 digits', { kind: 'decimal', precision: 38, scale: 0 }, '99999999999999999999999999999999999999', '"99999999999999999999999999999999999999"'],
    ['decimal NaN', { kind: 'decimal' }, 'NaN', '{"$numberDecimal":"NaN"}'],
    ['float64', { kind: 'float', bits: 64 }, -0, '{"$numberDouble":"-0.0"}'],
    ['float32', { kind: 'float', bits: 32 }, Math.fround(0.1), '{"$numberDouble":"0.10000000149011612"}'],
    ['text', { kind: 'text' }, 'a\u0000b😀', '"a\\u0000b😀"'],
    ['bytes', { kind: 'bytes' }, Buffer.from([0, 255]), '{"$binary":{"base64":"AP8=","subType":"00"}}'],
    ['uuid', { kind: 'uuid' }, '00112233-4455-6677-8899-aabbccddeeff', '{"$binary":{"base64":"ABEiM0RVZneImaq7zN3u/w==","subType":"04"}}'],
    ['instant of milliseconds', { kind: 'instant', fraction: 3 }, '2024-02-29 12:00:00.5', '{"$date":{"$numberLong":"1709208000500"}}'],
    ['instant in the year 1', { kind: 'instant', fraction: 0 }, '0001-01-01 00:00:00', '{"$date":{"$numberLong":"-62135596800000"}}'],
    ['infinite instant', { kind: 'instant', fraction: 3 }, 'infinity', '"infinity"'],
    ['zero instant', { kind: 'instant', fraction: 0 }, '0000-00-00 00:00:00', '"0000-00-00 00:00:00"'],
    ['instant on a leap day', { kind: 'instant', fraction: 3 }, '2024-02-29 23:59:59.999', '{"$date":{"$numberLong":"1709251199999"}}'],
    ['instant on a day that is not', { kind: 'instant', fraction: 3 }, '2023-02-29 00:00:00', '"2023-02-29 00:00:00"'],
    ['instant at 24 hours', { kind: 'instant', fraction: 0 }, '2024-01-01 24:00:00', '"2024-01-01 24:00:00"'],
    ['instant before Christ', { kind: 'instant', fraction: 0 }, '0044-03-15 00:00:00 BC', '"0044-03-15 00:00:00 BC"'],
    ['instant past 9999', { kind: 'instant', fraction: 0 }, '12024-01-01 00:00:00', '"12024-01-01 00:00:00"'],
    ['instant of microseconds', { kind: 'instant', fraction: 6 }, '2024-02-29 12:00:00.123456', '"2024-02-29 12:00:00.123456"'],
    ['timestamp', { kind: 'timestamp', fraction: 3 }, '2024-02-29 12:00:00.5', '"2024-02-29 12:00:00.5"'],
    ['date', { kind: 'date' }, '2024-02-29', '"2024-02-29"'],
    ['json', { kind: 'json-text' }, '{"b":1.0}', '"{\\"b\\":1.0}"'],
    ['enum', { kind: 'enum', labels: ['a'] }, 'a', '"a"'],
    ['any integer', { kind: 'any' }, 5n, '{"$numberLong":"5"}'],
    ['any real', { kind: 'any' }, 5, '{"$numberDouble":"5.0"}'],
    ['any bytes', { kind: 'any' }, Buffer.from('x'), '{"$binary":{"base64":"eA==","subType":"00"}}'],
    ['null', { kind: 'text' }, null, 'null'],
  ];
  test.each(types)('%s: keeps its value, there and back', (_, type, value, expected) => {
    const of = mapping({ v: type }, []), [bytes] = encodeRows(of)([[value]]);
    expect(toExtendedJson(bytes!)).toBe(`{"v":${expected}}`);
    expect(decodeRows(of.target)([bytes!])).toEqual([[value]]);
  });

  test('shows a value of another type as it is, never as one of the column', () => {
    const { target } = mapping({ n: { kind: 'int', bits: 32, signed: true }, t: { kind: 'text' } }, []);
    expect(decodeRows(target)([BSON.serialize({ n: new Double(5), t: new Int32(5) })])).toEqual([['{"$numberDouble":"5.0"}', '{"$numberInt":"5"}']]);
    expect(decodeRows(target)([BSON.serialize({ other: 1 })])).toEqual([[null, null]]);
  });

  test('names the rows that do not fit, and gives the others', () => {
    const of = mapping({ id: { kind: 'int', bits: 32, signed: true }, v: { kind: 'text' } }, [0]);
    const { documents, bad } = encodeEachRow(of)([[1, 'a'], [2147483648, 'b'], [3, 'x'.repeat(16 * 1024 * 1024)], [4, 'd']]);
    expect(documents.map((one) => one && idText(one))).toEqual(['{"$numberInt":"1"}', undefined, undefined, '{"$numberInt":"4"}']);
    expect(bad.map(({ index, reason }) => [index, reason.slice(0, 40)])).toEqual([[1, 'id: expected a 32-bit integer, got 21474'], [2, 'the document would have 16777246 bytes; ']]);
    expect(() => encodeRows(of)([[2147483648, 'b']])).toThrow('s.t: row 1 of 1');
  });
});

test('rows of documents are the documents', () => {
  const shape: Shape = { namespace: 'd.c', name: 'c', engine: 'mongodb', key: [0], columns: columns({ _id: { kind: 'document-id' }, document: { kind: 'document' } }) };
  const bytes = Buffer.from(BSON.serialize({ _id: 'x', v: 1 }));
  expect(decodeRows(shape)([bytes])).toEqual([['"x"', bytes]]);
  expect(encodeRows({ source: shape, target: shape, fidelity: [], existed: false, staged: false })([['"x"', bytes]]).map((one) => Buffer.from(one))).toEqual([bytes]);
});
