import { BSON } from 'mongodb';
import { describe, expect, test } from 'vitest';
import type { Column, LogicalType, Value } from '../../src/contract.js';
import { readRow, tellRow } from '../../src/values/told-cells.js';

const column = (type: LogicalType): Column => ({ name: 'v', type, native: '', nullable: true });
const types: Readonly<Record<string, LogicalType>> = {
  bool: { kind: 'bool' }, int32: { kind: 'int', bits: 32, signed: true }, int64: { kind: 'int', bits: 64, signed: false }, decimal: { kind: 'decimal' },
  float32: { kind: 'float', bits: 32 }, float64: { kind: 'float', bits: 64 }, text: { kind: 'text' }, bytes: { kind: 'bytes' }, date: { kind: 'date' },
  json: { kind: 'json-value' }, native: { kind: 'native', engine: 'postgres' }, any: { kind: 'any' }, document: { kind: 'document' }, id: { kind: 'document-id' },
};
const through = (type: LogicalType, value: Value): Value => readRow([column(type)], JSON.parse(JSON.stringify(tellRow([column(type)], [value]))))[0]!;

describe('a cell of a reject file', () => {
  const document = BSON.serialize({ a: [1, 2n, Number.NaN], 10: 'x', b: new BSON.Binary(Buffer.from([1]), 5) });
  const values: readonly Value[] = [
    null, true, false, 0, -0, 7, -2147483648, 1.5, Math.fround(0.1), 5e-324, 1e300, Number.NaN, Infinity, -Infinity,
    0n, -7n, 9_007_199_254_740_991n, 9_007_199_254_740_992n, -(2n ** 63n), 2n ** 64n - 1n,
    '', 'x', '\0', '\ud800', 'ü\n"\\', '\\x00', '{"int":"1"}', '1', 'NaN', new Uint8Array(0), Buffer.from([0, 255, 10]), document,
  ];

  for (const [name, type] of Object.entries(types)) {
    test(`of ${name} is the very value again, of whatever type it is`, () => {
      for (const value of values) {
        if (type.kind === 'document' && value instanceof Uint8Array && value !== document) continue;
        const again = through(type, value);
        if (value instanceof Uint8Array) expect(Buffer.from(again as Uint8Array)).toEqual(Buffer.from(value));
        else expect(again).toBe(value);
      }
    });
  }

  test('is plain where its type leaves no doubt', () => {
    const told = (type: LogicalType, value: Value) => tellRow([column(type)], [value]).v;
    expect([told(types.int64!, 7n), told(types.int32!, 7), told(types.float64!, 1.5), told(types.text!, 'x'), told(types.decimal!, '1.50'), told(types.bool!, true)]).toEqual([7, 7, 1.5, 'x', '1.50', true]);
    expect([told(types.any!, 7n), told(types.int64!, 'seven'), told(types.bytes!, Buffer.from([1]))]).toEqual([{ int: '7' }, { text: 'seven' }, { bytes: '01' }]);
    expect(told(types.document!, document)).toMatchObject({ json: expect.stringContaining('"10":"x"') as string });
  });

  test.each<[string, unknown, RegExp]>([
    ['int64', '7', /v can't be "7": write a whole number, past/], ['int64', 1e17, /can't be/], ['int32', 1.5, /whole number/], ['text', 7, /write text in quotes/],
    ['decimal', 1.5, /write text in quotes/], ['bytes', '\\x00', /hex digits/], ['bytes', { bytes: 'abc' }, /hex digits/], ['float64', '1.5', /write a number/], ['text', { what: 1 }, /text/], ['int64', { int: '1.5' }, /whole/],
  ])('of %s can\'t be %j', (type, cell, message) => {
    expect(() => readRow([column(types[type]!)], { v: cell })).toThrow(message);
  });

  test('belongs to a column, and every column has one', () => {
    expect(() => readRow([column(types.text!)], {})).toThrow(/v is missing/);
    expect(() => readRow([column(types.text!)], { v: 'x', w: 1 })).toThrow(/no column w/);
    expect(() => readRow([column(types.text!)], ['x'])).toThrow(/no object/);
    expect(readRow([{ ...column(types.text!), name: '__proto__' }], JSON.parse('{"__proto__":"x"}'))).toEqual(['x']);
  });
});
