import { describe, expect, it } from 'vitest';
import type { LogicalType, Value } from '../../src/contract.js';
import { BadValue, castBetween, castOfAny } from '../../src/values/cast.js';
import { spellCell } from '../../src/values/normal.js';
import { logicalKinds } from '../../src/values/logical.js';
import { refusalOf } from '../../src/values/taking.js';

const text: LogicalType = { kind: 'text' };
const int = (bits: 8 | 16 | 32 | 64, signed = true): LogicalType => ({ kind: 'int', bits, signed });
const decimal = (precision: number, scale: number): LogicalType => ({ kind: 'decimal', precision, scale });
const float = (bits: 32 | 64): LogicalType => ({ kind: 'float', bits });
const at = (kind: 'time' | 'timestamp' | 'instant', fraction: number): LogicalType => ({ kind, fraction });
const bool: LogicalType = { kind: 'bool' }, date: LogicalType = { kind: 'date' }, uuid: LogicalType = { kind: 'uuid' }, bytes: LogicalType = { kind: 'bytes' }, json: LogicalType = { kind: 'json-text' };

const cast = (from: LogicalType, to: LogicalType, value: Exclude<Value, null>, rounds = false): Value | 'bad' => {
  const made = castBetween(from, to, rounds)!.convert(value);
  return made instanceof BadValue ? 'bad' : made;
};

describe('a cast', () => {
  it.each<[LogicalType, Exclude<Value, null>, LogicalType, Value | 'bad', (Value | 'bad')?]>([
    [int(32), 127, int(8), 127], [int(32), 128, int(8), 'bad'], [int(32), -1, int(32, false), 'bad'], [int(32), 7, int(64), 7n], [int(64), 2n ** 40n, int(32), 'bad'], [int(64, false), 2n ** 64n - 1n, int(64), 'bad'],
    [text, ' 42 ', int(32), 42], [text, '4.0', int(32), 4], [text, '4.5', int(32), 'bad', 5], [text, '-4.5', int(32), 'bad', -5], [text, '-0.4', int(32), 'bad', 0], [text, '1e3', int(32), 1000], [text, '', int(32), 'bad'], [text, '0x10', int(32), 'bad'], [text, '1e99999999', int(64), 'bad'],
    [bool, true, int(8), 1], [int(8), 1, bool, true], [int(8), 2, bool, 'bad'], [text, 'Yes', bool, true], [text, 'off', bool, false], [text, 'maybe', bool, 'bad'],
    [decimal(10, 3), '1.230', decimal(10, 2), '1.23'], [decimal(10, 3), '1.235', decimal(10, 2), 'bad', '1.24'], [decimal(10, 3), '-1.235', decimal(10, 2), 'bad', '-1.24'], [decimal(10, 3), '999.995', decimal(5, 2), 'bad', 'bad'], [decimal(10, 3), '9.999', decimal(3, 2), 'bad', 'bad'], [decimal(10, 3), '-0.000', decimal(3, 2), '0'],
    [text, '.5', decimal(3, 2), '0.5'], [float(64), 0.1, decimal(3, 2), '0.1'], [float(64), 1e21, { kind: 'decimal' }, '1000000000000000000000'], [float(64), NaN, decimal(3, 2), 'bad'], [float(64), NaN, { kind: 'decimal' }, 'NaN'],
    [decimal(20, 10), '0.1000000000', float(64), 0.1], [decimal(20, 10), '1234567890.1234567891', float(64), 'bad', 1234567890.1234567], [text, '-Infinity', float(64), -Infinity], [float(64), 0.1, float(32), Math.fround(0.1)], [float(64), 0.30000000000000004, float(32), 'bad', Math.fround(0.3)], [int(64), 2n ** 53n + 1n, float(64), 'bad', 2 ** 53],
    [int(32), 5, text, '5'], [bool, true, text, 'true'], [bytes, Buffer.from('é'), text, 'é'], [bytes, Buffer.from([0xff]), text, 'bad'], [float(32), Math.fround(0.1), text, '0.1'], [text, 'éé😀', { kind: 'text', maxLength: 3 }, 'éé😀'], [text, 'abcd', { kind: 'text', maxLength: 3 }, 'bad', 'abc'],
    [text, 'é', bytes, Buffer.from('é')], [uuid, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', bytes, Buffer.from('a0eebc999c0b4ef8bb6d6bb9bd380a11', 'hex')], [bytes, Buffer.from('a0eebc999c0b4ef8bb6d6bb9bd380a11', 'hex'), uuid, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'], [text, '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}', uuid, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'], [text, 'a0ee', uuid, 'bad'],
    [text, '2024-02-29', date, '2024-02-29'], [text, '2023-02-29', date, 'bad'], [text, '2024-02-29T00:00', date, '2024-02-29'], [text, '2024-02-29 10:00:00', date, 'bad', '2024-02-29'], [date, '2024-02-29', at('timestamp', 0), '2024-02-29 00:00:00'],
    [text, '2024-02-29T23:30:00.250+02:00', at('instant', 3), '2024-02-29 21:30:00.25'], [text, '2024-01-01 00:30:00-0100', at('timestamp', 0), '2024-01-01 01:30:00'], [at('timestamp', 6), '2024-01-01 00:00:00.123456', at('instant', 3), 'bad', '2024-01-01 00:00:00.123'], [at('timestamp', 6), '2024-01-01 00:00:00.120000', at('instant', 2), '2024-01-01 00:00:00.12'], [at('instant', 6), 'infinity', at('timestamp', 0), 'infinity'],
    [at('instant', 0), '2024-01-01 00:00:00', date, '2024-01-01'], [at('instant', 0), '2024-01-01 00:00:01', date, 'bad', '2024-01-01'], [text, '12:30', at('time', 0), '12:30:00'], [text, '12:30:00.5', at('time', 0), 'bad', '12:30:00'], [text, '25', at('time', 0), 'bad'],
    [text, '{"a":1}', json, '{"a":1}'], [text, '{a:1}', json, 'bad'], [int(32), 3, json, '3'], [bool, false, json, 'false'], [float(64), NaN, json, 'bad'],
    [text, 'b', { kind: 'enum', labels: ['a', 'b'] }, 'b'], [text, 'c', { kind: 'enum', labels: ['a', 'b'] }, 'bad'], [text, 'a,b', { kind: 'set', labels: ['a', 'b'] }, 'a,b'], [text, 'a,c', { kind: 'set', labels: ['a', 'b'] }, 'bad'],
    [int(32), 5, { kind: 'bits', length: 4 }, '0101'], [int(32), 16, { kind: 'bits', length: 4 }, 'bad'], [bool, true, { kind: 'bits', length: 1 }, '1'], [text, '012', { kind: 'bits', length: 3 }, 'bad'], [{ kind: 'bits', length: 4 }, '0101', int(32), 5],
  ])('of %o %s to %o gives %s; rounded %s', (from, value, to, exact, rounded = exact) => {
    expect(cast(from, to, value)).toEqual(exact);
    expect(cast(from, to, value, true)).toEqual(rounded);
  });

  it.each<[LogicalType, LogicalType]>([[bool, date], [date, bool], [uuid, int(32)], [json, date], [bytes, int(32)], [int(32), bytes], [int(64), at('instant', 0)], [{ kind: 'document' }, text]])('of %o to %o is none', (from, to) => {
    expect(castBetween(from, to)).toBeUndefined();
  });

  it('says what is wrong with a value, and shows only its beginning', () => {
    const made = castBetween(text, int(32))!.convert('x'.repeat(500)) as BadValue;
    expect(made.reason).toMatch(/^'x{59}…' is not a whole number$/);
  });

  it('goes by what each value is, where a column takes any', () => {
    const toInt = castOfAny(int(32));
    expect([toInt('7'), toInt(7), toInt(7n), toInt(true), toInt(Buffer.from('7')) instanceof BadValue]).toEqual([7, 7, 7, 1, true]);
  });

  const variants = Object.values(logicalKinds).flatMap(({ variants: all }) => all);
  const samples: Partial<Record<LogicalType['kind'], readonly Exclude<Value, null>[]>> = {
    bool: [true, false], int: [0, 1, 100], decimal: ['1.50', '0', '-2'], float: [0.5, 1e20, -0], text: ['a', '', '5'], date: ['2024-01-01'], time: ['12:00:00'], timestamp: ['2024-01-01 00:00:00'], instant: ['2024-01-01 00:00:00'],
    uuid: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'], 'json-text': ['{"a": 1}'], 'json-value': ['1'], enum: ['a'], set: ['a,b', ''], bits: ['01'], native: ['x'],
  };

  it('that keeps every text does so, between all types', () => {
    for (const from of variants) for (const to of variants) {
      const way = castBetween(from, to);
      if (!way?.keepsText || from.kind === 'bytes') continue;
      for (const sample of samples[from.kind] ?? []) {
        const value = from.kind === 'int' && from.bits === 64 ? BigInt(sample as number) : sample, made = way.convert(value);
        expect(made, JSON.stringify([from, to, String(value)])).not.toBeInstanceOf(BadValue);
        expect(spellCell(to)(made as Exclude<Value, null>)).toBe(spellCell(from)(value));
      }
    }
  });
});

describe('what a column refuses', () => {
  it.each<[string, LogicalType, Exclude<Value, null>, boolean, string?]>([
    ['postgres', text, 'a\0b', false], ['mariadb', text, 'a\0b', true], ['mysql', float(64), NaN, false], ['postgres', float(64), NaN, true], ['sqlite', float(64), NaN, false],
    ['postgres', date, '0000-00-00', false], ['postgres', date, '2024-00-00', false], ['postgres', date, '2023-02-29', false], ['postgres', date, 'infinity', true], ['postgres', at('timestamp', 0), '0044-03-15 00:00:00 BC', true], ['mysql', date, '0000-00-00', true], ['mysql', date, '0044-03-15 BC', false], ['mysql', date, '10000-01-01', false], ['mysql', at('timestamp', 0), 'infinity', false],
    ['mysql', at('instant', 0), '2039-01-01 00:00:00', false], ['mysql', at('instant', 0), '2037-01-01 00:00:00', true], ['postgres', at('time', 0), '24:00:00', true], ['postgres', at('time', 0), '24:00:01', false], ['postgres', at('time', 0), '-01:00:00', false], ['mysql', at('time', 0), '-838:59:59', true], ['mysql', at('time', 0), '839:00:00', false],
    ['postgres', int(16), 40000, false], ['postgres', int(16), 4000, true], ['mariadb', decimal(5, 2), '1000.00', false], ['mariadb', decimal(5, 2), '999.990', true], ['mariadb', decimal(5, 2), 'NaN', false], ['postgres', decimal(5, 2), 'NaN', true],
    ['postgres', { kind: 'text', maxLength: 2 }, '😀😀', true], ['postgres', { kind: 'text', maxLength: 2 }, 'abc', false], ['mysql', { kind: 'enum', labels: ['a'] }, 'b', false], ['mysql', { kind: 'bytes', maxLength: 1 }, Buffer.from('ab'), false],
    ['postgres', { kind: 'json-value' }, '"\\u0000"', false, 'jsonb'], ['postgres', { kind: 'json-value' }, '"\\\\u0000"', true, 'jsonb'], ['postgres', uuid, 'zz', false], ['postgres', { kind: 'bits', length: 2 }, '111', false],
  ])('of %s, %o, is told of %s', (engine, type, value, holds, native = 'x') => {
    expect(refusalOf({ engine, type, native })(value) === undefined).toBe(holds);
  });
});
