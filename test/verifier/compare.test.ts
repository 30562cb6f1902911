import { describe, expect, test } from 'vitest';
import type { LogicalType, Value } from '../../src/contract.js';
import { Cells } from '../../src/verifier/cells.js';
import { comparer, type Conversions, type Spell } from '../../src/verifier/compare.js';

const t = {
  bool: { kind: 'bool' }, int8: { kind: 'int', bits: 8, signed: true }, int32: { kind: 'int', bits: 32, signed: true },
  int64: { kind: 'int', bits: 64, signed: true }, uint64: { kind: 'int', bits: 64, signed: false },
  decimal: { kind: 'decimal' }, money: { kind: 'decimal', precision: 12, scale: 2 },
  float32: { kind: 'float', bits: 32 }, float64: { kind: 'float', bits: 64 },
  text: { kind: 'text' }, char: { kind: 'text', maxLength: 10, padded: true }, bytes: { kind: 'bytes' },
  date: { kind: 'date' }, time: { kind: 'time', fraction: 6 }, time0: { kind: 'time', fraction: 0 },
  timestamp: { kind: 'timestamp', fraction: 6 }, timestamp3: { kind: 'timestamp', fraction: 3 }, timestamp0: { kind: 'timestamp', fraction: 0 },
  instant: { kind: 'instant', fraction: 6 }, instant3: { kind: 'instant', fraction: 3 },
  uuid: { kind: 'uuid' }, jsonText: { kind: 'json-text' }, json: { kind: 'json-value' },
  enum: { kind: 'enum', labels: ['new', 'paid'] }, set: { kind: 'set', labels: ['a', 'b'] },
  bits: { kind: 'bits', length: 8 }, bits3: { kind: 'bits', length: 3 }, bit: { kind: 'bits', length: 1 },
  native: { kind: 'native', engine: 'postgres' }, any: { kind: 'any' }, document: { kind: 'document' }, id: { kind: 'document-id' },
} as const satisfies Record<string, LogicalType>;
type Name = keyof typeof t;

function spelled(spell: Spell, value: Value): string {
  const cells = new Cells();
  if (value === null) cells.null();
  else spell(value, cells);
  return Buffer.from(cells.from(0)).toString('latin1');
}

function title([from, left, to, right, conversions]: Pair): string {
  const shown = (value: Value) => (typeof value === 'string' ? JSON.stringify(value) : Object.is(value, -0) ? '-0' : String(value)).slice(0, 60);
  return `${from} ${shown(left)} beside ${to} ${shown(right)}${conversions ? ` (${Object.keys(conversions)})` : ''}`;
}

function same(from: Name, left: Value, to: Name, right: Value, conversions: Conversions = {}): boolean {
  const { source, destination } = comparer(t[from], t[to], conversions);
  return spelled(source, left) === spelled(destination, right);
}

const hex = (text: string): Uint8Array => Buffer.from(text, 'hex');
/** `{_id: 7, a: 'x'}` */
const document = hex('17000000105f69640007000000026100020000007800' + '00');
const documentText = '{"_id":{"$numberInt":"7"},"a":"x"}';

type Pair = readonly [from: Name, left: Value, to: Name, right: Value, conversions?: Conversions];

const equal: readonly Pair[] = [
  ['bool', true, 'bool', true], ['bool', true, 'int8', 1], ['bool', false, 'int32', 0], ['bool', true, 'int64', 1n], ['bool', true, 'decimal', '1'],
  ['bool', true, 'bit', '1'], ['bool', false, 'bit', '0'], ['bool', true, 'text', '1'], ['bool', true, 'text', 'true'], ['bool', false, 'text', 'f'], ['int8', 1, 'bool', true], ['bool', true, 'any', 1n],
  ['int32', 5, 'int64', 5n], ['int64', 5n, 'int32', 5], ['int64', 9223372036854775807n, 'decimal', '9223372036854775807'], ['uint64', 18446744073709551615n, 'decimal', '18446744073709551615.00'],
  ['uint64', 18446744073709551615n, 'text', '18446744073709551615'], ['int64', 9007199254740991n, 'decimal', '9007199254740991.0'], ['int64', -9007199254740992n, 'decimal', '-9007199254740992'],
  ['int32', 0, 'decimal', '-0.00'], ['int32', -7, 'text', '-7'], ['int64', 5n, 'any', 5n], ['int64', 5n, 'any', 5], ['int32', 5, 'bits', '00000101'], ['int32', 100, 'decimal', '1e2'], ['int32', 5, 'jsonText', '5'],
  ['decimal', '1.10', 'decimal', '1.1'], ['decimal', '1.10', 'money', '1.1000'], ['decimal', '1.', 'decimal', '1'], ['decimal', '.5', 'decimal', '0.50'], ['decimal', '+3', 'decimal', '3'], ['decimal', '5', 'int64', 5n],
  ['decimal', '11e-1', 'decimal', '1.1'], ['decimal', '1E+5', 'decimal', '100000'], ['decimal', '000123456789012345678901234567890.10', 'decimal', '123456789012345678901234567890.1'],
  ['decimal', '-0', 'decimal', '0'], ['decimal', '-0.000', 'decimal', '0'], ['decimal', 'NaN', 'decimal', 'NaN'], ['decimal', 'Infinity', 'decimal', 'inf'], ['decimal', '-Infinity', 'decimal', '-infinity'],
  ['decimal', '1.50', 'text', '1.5'], ['decimal', '1.5', 'any', 1.5], ['decimal', '123456789012345.5', 'decimal', '123456789012345.50000000'], ['decimal', '-12345678901234.5', 'decimal', '-12345678901234.50'],
  ['decimal', '0.1', 'float64', 0.1], ['decimal', '0.10000000000000000001', 'float64', 0.1], ['decimal', '0.1', 'float32', Math.fround(0.1)], ['int64', 9007199254740993n, 'float64', 9007199254740992], ['decimal', 'NaN', 'float64', NaN],
  ['float64', 0.1, 'float64', 0.1], ['float64', NaN, 'float64', NaN], ['float64', -Infinity, 'float64', -Infinity], ['float64', -0, 'float64', 0], ['float64', -0, 'float64', -0, { signedZero: true }], ['float32', -0, 'float32', 0],
  ['float64', 5e-324, 'float64', 5e-324], ['float64', 0.1, 'float32', Math.fround(0.1)], ['float64', 1.5, 'decimal', '1.50'], ['float64', 1e300, 'text', '1e+300'], ['float64', 0.1, 'text', '0.1'], ['float64', NaN, 'text', 'NaN'], ['float64', 5, 'int64', 5n], ['float64', -0, 'int32', 0], ['float64', Infinity, 'decimal', 'Infinity'],
  ['float32', Math.fround(0.1), 'float32', Math.fround(0.1)], ['float32', Math.fround(0.1), 'float64', 0.1], ['float32', Math.fround(0.1), 'float64', Math.fround(0.1)], ['float32', Math.fround(0.1), 'text', '0.1'], ['float32', Math.fround(0.1), 'decimal', '0.1'],
  ['float32', Math.fround(0.1), 'float32', 0.1], ['float32', 16777216, 'float64', 16777216], ['float32', 2 ** 30, 'float64', 1073741824], ['float32', 2 ** 30, 'float64', 1073741800], ['float32', 3.4028234663852886e38, 'float64', 3.4028235e38], ['float32', Math.fround(0.1), 'any', 0.1],
  ['text', 'größe 😀', 'text', 'größe 😀'], ['text', '', 'text', ''], ['text', 'a\0b', 'text', 'a\0b'], ['text', 'ab', 'char', 'ab        '], ['char', 'ab   ', 'text', 'ab'], ['char', '', 'char', '   '], ['char', 'a b ', 'enum', 'a b'], ['text', 'x'.repeat(5_000), 'text', 'x'.repeat(5_000)], ['text', '\ud800', 'text', '\ud800'],
  ['enum', 'paid', 'text', 'paid'], ['enum', 'paid', 'enum', 'paid'], ['enum', 'paid', 'native', 'paid'], ['set', 'a,b', 'set', 'b,a'], ['set', 'a,b', 'text', 'a,b'], ['set', '', 'text', ''],
  ['native', '{1,2}', 'native', '{1,2}'], ['native', '[1,2)', 'text', '[1,2)'], ['native', 'x', 'any', 'x'], ['id', '{"$oid":"507f1f77bcf86cd799439011"}', 'text', '{"$oid":"507f1f77bcf86cd799439011"}'], ['id', '"a"', 'id', '"a"'],
  ['bytes', hex('00ff'), 'bytes', hex('00ff')], ['bytes', hex(''), 'bytes', hex('')], ['bytes', hex('00ff'), 'text', '\\x00ff'], ['bytes', hex('00ff'), 'any', hex('00ff')], ['text', '\\x00ff', 'bytes', hex('00ff')],
  ['date', '2026-01-02', 'date', '2026-01-02'], ['date', '2026-01-02', 'timestamp', '2026-01-02 00:00:00'], ['date', '0044-03-15 BC', 'timestamp', '0044-03-15 00:00:00 BC'], ['date', 'infinity', 'date', 'infinity'], ['date', '2026-01-02', 'text', '2026-01-02'], ['date', '2026-01-02', 'any', '2026-01-02'],
  ['timestamp', '2026-01-02 03:04:05.100000', 'timestamp', '2026-01-02 03:04:05.1'], ['timestamp', '2026-01-02 03:04:05.000', 'text', '2026-01-02 03:04:05'], ['timestamp', '2026-01-02 03:04:05.123456', 'timestamp3', '2026-01-02 03:04:05.123'], ['timestamp', '2026-01-02 03:04:05.123456', 'timestamp0', '2026-01-02 03:04:05'], ['timestamp', '2026-01-02 03:04:05.100456', 'timestamp3', '2026-01-02 03:04:05.1'],
  ['instant', '2026-01-02 03:04:05.5', 'timestamp', '2026-01-02 03:04:05.5'], ['instant', '2026-01-02 03:04:05.5', 'text', '2026-01-02T03:04:05.500Z'], ['instant', '2026-01-02 03:04:05', 'text', '2026-01-02 03:04:05+00'], ['instant', '2026-01-02 03:04:05.123456', 'instant3', '2026-01-02 03:04:05.123'], ['instant', '0044-03-15 01:02:03.50 BC', 'instant', '0044-03-15 01:02:03.5 BC'], ['timestamp', '2026-01-02 00:00:00', 'date', '2026-01-02'],
  ['time', '12:00:00.500000', 'time', '12:00:00.5'], ['time', '12:00:00.000000', 'text', '12:00:00'], ['time', '-838:59:59', 'time', '-838:59:59'], ['time', '12:00:00.9', 'time0', '12:00:00'], ['time', '12:00:10', 'any', '12:00:10'],
  ['uuid', '0188A0B2-1111-4222-8333-0123456789AB', 'uuid', '0188a0b2-1111-4222-8333-0123456789ab'], ['uuid', '0188a0b2-1111-4222-8333-0123456789ab', 'text', '{0188A0B2-1111-4222-8333-0123456789AB}'], ['uuid', '0188a0b2-1111-4222-8333-0123456789ab', 'text', '0188a0b21111422283330123456789ab'], ['uuid', '0188a0b2-1111-4222-8333-0123456789ab', 'bytes', hex('0188a0b21111422283330123456789ab')],
  ['jsonText', '{"a":  1.0}', 'jsonText', '{"a":  1.0}'], ['jsonText', '{"a":1}', 'text', '{"a":1}'], ['jsonText', '{"b":1, "a":2}', 'json', '{"a": 2, "b": 1.0}'],
  ['json', '{"b":[1,2.50,{"c":null}],"a":"x"}', 'json', ' {"a" : "\\u0078", "b":[1.0,25e-1,{"c":null}]} '], ['json', '{"a":1,"a":2}', 'json', '{"a":2}'], ['json', '12345678901234567890.10', 'json', '12345678901234567890.1'], ['json', '"\\ud83d\\ude00"', 'json', '"😀"'], ['json', '-0', 'json', '0.0'], ['json', '[]', 'json', '[ ]'], ['json', '{}', 'text', '{ }'], ['json', 'true', 'any', 'true'], ['json', '"\\/"', 'json', '"/"'],
  ['json', '{"a":0.1234567890123456789,"b":18446744073709551615}', 'json', '{"a":0.12345678901234568,"b":18446744073709551615}', { doubles: true }], ['json', '1e400', 'json', '1e400', { doubles: true }],
  ['bits', '00000101', 'bits', '00000101'], ['bits3', '101', 'bits', '00000101'], ['bits', '00000000', 'int32', 0], ['bits', '00000101', 'text', '00000101'], ['bits', '11111111', 'decimal', '255'],
  ['document', document, 'document', document], ['document', document, 'jsonText', documentText], ['document', document, 'text', documentText], ['document', document, 'json', '{"a":"x","_id":{"$numberInt":"7"}}'], ['document', document, 'bytes', document],
  ['id', '{"$numberInt":"7"}', 'json', '{ "$numberInt": "7" }'],
  ['any', 5n, 'any', 5], ['any', 1.5, 'any', 1.5], ['any', 'x', 'any', 'x'], ['any', hex('00'), 'any', hex('00')], ['any', 5n, 'text', '5'], ['any', 1.5, 'text', '1.5'], ['any', hex('ab'), 'text', '\\xab'], ['any', 'x', 'text', 'x'], ['any', '2026-01-02T00:00:00Z', 'timestamp', '2026-01-02 00:00:00'], ['any', true, 'any', 1],
];

const different: readonly Pair[] = [
  ['bool', true, 'int8', 0], ['bool', true, 'int8', 2], ['bool', true, 'text', 'yes'], ['bool', false, 'text', ''],
  ['int32', 5, 'int32', -5], ['int64', 9223372036854775807n, 'int64', 9223372036854775806n], ['int64', 9007199254740993n, 'int64', 9007199254740992n], ['int64', 9007199254740993n, 'decimal', '9007199254740992'], ['uint64', 18446744073709551615n, 'int64', -1n], ['int32', 5, 'text', 'five'], ['int32', 0, 'text', ''],
  ['decimal', '1.1', 'decimal', '1.01'], ['decimal', '1.1', 'decimal', '11'], ['decimal', '1.1', 'decimal', '-1.1'], ['decimal', '12345678901234567890.1', 'decimal', '12345678901234567890.2'], ['decimal', '1', 'decimal', '10'], ['decimal', 'NaN', 'decimal', '0'], ['decimal', 'Infinity', 'decimal', '-Infinity'], ['decimal', '1e5', 'decimal', '1e6'], ['decimal', '0.1', 'float64', 0.2],
  ['float64', 0.1, 'float64', 0.10000000000000002], ['float64', -0, 'float64', 0, { signedZero: true }], ['float64', NaN, 'float64', 0], ['float32', Math.fround(0.1), 'float64', 0.1000000001], ['float32', Math.fround(0.1), 'float32', Math.fround(0.10000001)], ['float64', 0.1, 'decimal', '0.10000000000000001'], ['float64', 1, 'text', 'one'],
  ['text', 'a', 'text', 'A'], ['text', 'a', 'text', 'a '], ['text', 'é', 'text', 'e\u0301'], ['text', '', 'text', ' '], ['text', '1.0', 'text', '1'], ['char', ' a', 'text', 'a'], ['char', 'a\t', 'char', 'a'], ['text', '\ud800', 'text', '\udfff'], ['text', '\ud800', 'text', '\ufffd'], ['text', 'x'.repeat(5_000), 'text', `${'x'.repeat(4_999)}y`], ['text', hex('ab'), 'text', '\\xab'],
  ['enum', 'new', 'text', 'paid'], ['set', 'a,b', 'set', 'a'], ['set', 'b,a', 'text', 'a,b'], ['native', '{1,2}', 'text', '{1, 2}'],
  ['bytes', hex('00ff'), 'bytes', hex('00fe')], ['bytes', hex('00'), 'bytes', hex('')], ['bytes', hex('00ff'), 'text', '00ff'], ['bytes', hex('00ff'), 'any', '\\x00ff'],
  ['date', '2026-01-02', 'date', '2026-02-01'], ['date', '2026-01-02', 'timestamp', '2026-01-02 00:00:01'], ['timestamp', '2026-01-02 03:04:05', 'timestamp', '2026-01-02 03:04:05.000001'], ['timestamp3', '2026-01-02 03:04:05.123', 'timestamp', '2026-01-02 03:04:05.123456'], ['timestamp', '2026-01-02 03:04:05.1', 'timestamp', '2026-01-02 03:04:05.01'], ['instant', '2026-01-02 03:04:05', 'text', '2026-01-02 03:04:05+02'], ['timestamp', '0044-03-15 00:00:00 BC', 'timestamp', '0044-03-15 00:00:00'], ['timestamp', '2026-01-02 10:00:00', 'timestamp', '2026-01-02 00:00:00'],
  ['time', '12:00:00', 'time', '12:00:00.000001'], ['time', '10:00:00', 'time', '01:00:00'],
  ['uuid', '0188a0b2-1111-4222-8333-0123456789ab', 'uuid', '0188a0b2-1111-4222-8333-0123456789ac'], ['uuid', '0188a0b2-1111-4222-8333-0123456789ab', 'text', 'x'], ['uuid', '0188a0b2-1111-4222-8333-0123456789ab', 'bytes', hex('00')],
  ['jsonText', '{"a":1}', 'jsonText', '{"a": 1}'], ['json', '1.00000000000000000001', 'json', '1'], ['json', '{"a":1}', 'json', '{"a":"1"}'], ['json', '[1,2]', 'json', '[2,1]'], ['json', '{"a":[]}', 'json', '{"a":{}}'], ['json', 'null', 'json', '"null"'], ['json', '{"a":1}', 'json', '{"a":1'], ['json', '["a","b"]', 'json', '["a\\",\\"b"]'], ['json', '{"a":{"b":1}}', 'json', '{"a":{},"b":1}'], ['json', '0.1', 'json', '0.10000000000000000001'], ['json', '9007199254740993', 'json', '9007199254740992', { doubles: true }],
  ['bits', '00000101', 'bits', '00000111'], ['bits3', '101', 'bits', '10100000'], ['bits', '00000101', 'int32', 4],
  ['document', document, 'document', hex('17000000105f69640008000000026100020000007800' + '00')], ['document', document, 'text', '{"_id":{"$numberInt":"7"},"a":"y"}'], ['document', document, 'text', '{"a":"x","_id":{"$numberInt":"7"}}'],
  ['any', 1, 'any', '1'], ['any', hex('31'), 'any', '1'], ['any', 5n, 'text', '5.0'], ['id', '{"$numberInt":"7"}', 'id', '{"$numberLong":"7"}'],
];

describe('two cells mean the same', () => {
  test.each(equal.map((pair) => ({ pair, title: title(pair) })))('$title', ({ pair }) => {
    expect(same(...pair)).toBe(true);
  });
});

describe('two cells differ', () => {
  test.each(different.map((pair) => ({ pair, title: title(pair) })))('$title', ({ pair }) => {
    expect(same(...pair)).toBe(false);
  });
});

const samples: Readonly<Record<LogicalType['kind'], Value>> = {
  bool: true, int: 7, decimal: '7.50', float: 7.5, text: 'x', bytes: hex('07'), date: '2026-01-02', time: '03:04:05', timestamp: '2026-01-02 03:04:05', instant: '2026-01-02 03:04:05',
  uuid: '0188a0b2-1111-4222-8333-0123456789ab', 'json-text': '{"a":1}', 'json-value': '{"a": 1}', enum: 'new', set: 'a,b', bits: '00000111', native: '{7}', any: 'x', document, 'document-id': '"x"',
};
const names = Object.keys(t) as Name[];

describe.each(names)('%s beside every type', (from) => {
  test('a null is a null only, garbage is garbage only, and either side spells every value', () => {
    for (const to of names) {
      const { source, destination } = comparer(t[from], t[to]);
      expect(spelled(source, null)).toBe(spelled(destination, null));
      for (const value of [...Object.values(samples), '', '%', 0, -1n, false, hex('')]) {
        expect(spelled(source, value)).not.toBe(spelled(destination, null));
        expect(spelled(destination, value)).not.toBe(spelled(source, null));
        expect(spelled(source, value) === spelled(destination, '%'), `${from} ${String(value)} beside ${to} %`).toBe(value === '%');
      }
    }
  });

  test('a value is itself on both sides', () => {
    expect(same(from, samples[t[from].kind], from, samples[t[from].kind])).toBe(true);
  });
});
