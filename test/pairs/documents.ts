import { BSON } from 'mongodb';

const { Binary, Code, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp, BSONRegExp, BSONSymbol, UUID } = BSON;

type Id = unknown;
type Fields = readonly (readonly [string, unknown])[];
/** A Map, since an object would put numeric-looking keys first. */
export const document = (id: Id, fields: Fields): Map<string, unknown> => new Map([['_id', id] as const, ...fields]);

/** Of every type that an `_id` may have. `{ _id: { $gt: … } }` compares within one type only. */
export const mixedIds: readonly Id[] = [
  new Int32(0), new Int32(-1), new Int32(2147483647), Long.MIN_VALUE, Long.MAX_VALUE, Long.fromString('9007199254740993'),
  new Double(0.5), new Double(-1e300), new Double(Infinity), Decimal128.fromString('12345678901234567890.1234567890123'),
  '', ' ', 'a', 'A', 'a ', 'é', 'e\u0301', '😀', '\\', '\t\n', "it's", '"', '$', 'a.b', '10', 'x'.repeat(200),
  new ObjectId('000000000000000000000000'), new ObjectId('ffffffffffffffffffffffff'), new ObjectId('65a1b2c3d4e5f60718293a4b'),
  true, false, null, new Date(0), new Date(-1), new Date('9999-12-31T23:59:59.999Z'),
  new UUID('0e37df36-f698-11e6-8dd4-cb9ced3df976'), new Binary(Buffer.from([0, 1, 255])), new Binary(Buffer.alloc(0)),
  new Timestamp({ t: 1, i: 2 }), new MinKey(), new MaxKey(),
  new Map<string, unknown>([['b', new Int32(1)], ['a', 'x']]), new Map<string, unknown>([['a', 'x'], ['b', new Int32(1)]]), new Map(),
];

/** One document for each type of value, beside the names that trip parsers. */
export const everyType: readonly Map<string, unknown>[] = ([
  ['double', [['v', new Double(0.1)], ['whole', new Double(5)], ['negativeZero', new Double(-0)], ['large', new Double(1.7976931348623157e308)], ['small', new Double(5e-324)]]],
  ['notFinite', [['nan', new Double(NaN)], ['inf', new Double(Infinity)], ['ninf', new Double(-Infinity)]]],
  ['int', [['a', new Int32(-2147483648)], ['b', new Int32(2147483647)], ['c', new Int32(0)]]],
  ['long', [['a', Long.MIN_VALUE], ['b', Long.MAX_VALUE], ['c', Long.fromNumber(1)], ['d', Long.fromString('9007199254740993')]]],
  ['decimal', ['1.10', '1.1', '-0', '0E+3', '1E-6176', '9.999999999999999999999999999999999E+6144', 'NaN', 'Infinity', '-Infinity'].map((text, i) => [`d${i}`, Decimal128.fromString(text)] as const)],
  ['text', [['empty', ''], ['nul', 'a\0b'], ['escapes', '\\N\t\n\r\f\v\b"\'`'], ['emoji', '👩‍👩‍👧‍👦'], ['long', '\\'.repeat(20_000)]]],
  ['nothing', [['null', null], ['emptyDocument', {}], ['emptyArray', []]]],
  ['bool', [['t', true], ['f', false]]],
  ['date', [['epoch', new Date(0)], ['before', new Date(-1)], ['year1', new Date('0001-01-01T00:00:00.001Z')], ['last', new Date('9999-12-31T23:59:59.999Z')]]],
  ['bytes', [['all', new Binary(Buffer.from(Array.from({ length: 256 }, (_, i) => i)))], ['empty', new Binary(Buffer.alloc(0))], ['uuid', new UUID('12345678-1234-4234-8234-123456789abc')]]],
  ['nested', [['a', new Map<string, unknown>([['b', [new Int32(1), [new Map([['c', null]])]]]])], ['deep', Array.from({ length: 60 }).reduce<unknown>((inner) => ({ inner }), new Int32(1))]]],
  ['mixedArray', [['a', [new Int32(1), 'x', null, new Double(1.5), new ObjectId('65a1b2c3d4e5f60718293a4b'), {}]]]],
  ['regex', [['r', new BSONRegExp('^a\\/b"$', 'imx')]]],
  ['code', [['plain', new Code('function () { return "x"; }')]]],
  ['others', [['timestamp', new Timestamp({ t: 4294967295, i: 4294967295 })], ['min', new MinKey()], ['max', new MaxKey()]]],
  ['order', [['z', new Int32(1)], ['a', new Int32(2)], ['10', new Int32(3)], ['9', new Int32(4)], ['in', new Map<string, unknown>([['2', 'two'], ['b', 'b'], ['1', 'one']])]]],
  ['names', [['', 'empty name'], ['two words', new Int32(1)], ['quote"d', new Int32(2)], ['back\\slash', new Int32(3)], ['__proto__', new Int32(4)], ['constructor', new Int32(5)], ['é😀', new Int32(6)]]],
  ['large', [['text', 'w'.repeat(1_000_000)], ['bytes', new Binary(Buffer.alloc(1_000_000, 0xff))]]],
] satisfies readonly (readonly [string, Fields])[]).map(([id, fields]) => document(id, fields));

/** What mongo-java-server closes the connection at. */
export const rareTypes: readonly Map<string, unknown>[] = [
  document('scoped', [['code', new Code('x', { x: new Int32(1) })]]),
  document('symbol', [['symbol', new BSONSymbol('s')]]),
];

/** Collections by name. */
export const collections: Readonly<Record<string, readonly Map<string, unknown>[]>> = {
  mixed_ids: mixedIds.map((id, i) => document(id, [['n', new Int32(i)]])),
  every_type: everyType,
  many: Array.from({ length: 5_000 }, (_, i) => document(new ObjectId(i.toString(16).padStart(24, '0')), [['i', new Int32(i)], ['text', `row ${i}`], ['half', new Double(i / 2)]])),
  numbered: Array.from({ length: 2_000 }, (_, i) => document(i % 3 === 0 ? Long.fromNumber(i) : i % 3 === 1 ? new Int32(i) : String(i), [['i', new Int32(i)]])),
  nothing: [],
  Order: [document('1', [['group', 'x']])],
  'we"ird': [document('1', [['n', new Int32(1)]])],
  "it's": [document('1', [['n', new Int32(1)]])],
  Ünïcödé: [document('1', [['n', new Int32(1)]])],
  'with.dots': [document('1', [['n', new Int32(1)]])],
};
