import type { NativeType } from '../../values/native-type.js';

const of = (name: string, values: readonly string[], note?: string): NativeType => ({ name, type: { kind: 'document' }, trials: [{ declared: name, values }], ...(note !== undefined && { note }) });
/** Of 16 bytes, no two alike. */
const binary = (subtype: string): string => `{"$binary":{"base64":"${Buffer.from([...Array.from({ length: 15 }, (_, i) => i), Number.parseInt(subtype, 16)]).toString('base64')}","subType":"${subtype}"}}`;
const decimal = (text: string): string => `{"$numberDecimal":"${text}"}`;
const date = (milliseconds: string): string => `{"$date":{"$numberLong":"${milliseconds}"}}`;
const double = (text: string): string => `{"$numberDouble":"${text}"}`;

/** The types of BSON, as `$type` names them. A document passes as its bytes, so each is kept within it; other engines keep canonical Extended JSON. */
export const natives: readonly NativeType[] = [
  of('double', ['0.0', '0.1', '-0.0', '1.7976931348623157E+308', '5E-324', 'NaN', 'Infinity', '-Infinity'].map(double)),
  of('string', ['""', '"a\\u0000b"', '"\\\\N\\t\\n\\r\\f\\b\\"\'"', '"👩‍👩‍👧‍👦"', '"$"', `"${'\\\\'.repeat(2000)}"`]),
  of('object', ['{}', '{"z":{"$numberInt":"1"},"10":{"$numberInt":"2"},"9":{"$numberInt":"3"},"a":{"b":{"c":null}}}', '{"a":{"$numberInt":"1"},"a":{"$numberInt":"2"}}', '{"":{"$numberInt":"1"},"a.b":{"$numberInt":"1"},"__proto__":{"$numberInt":"1"}}', '{"$ref":"c","$id":{"$oid":"65a1b2c3d4e5f60718293a4b"},"$db":"d"}'],
    'with the order, the duplicates and the names of its fields; a DBRef is an object'),
  of('array', ['[]', '[{"$numberInt":"1"},"x",null,{"$numberDouble":"1.5"},[[]],{}]']),
  of('binData', ['00', '01', '03', '04', '05', '06', '07', '08', '09', '80', 'ff'].map(binary), 'every subtype'),
  of('undefined', ['{"$undefined":true}'], 'deprecated'), of('objectId', ['{"$oid":"000000000000000000000000"}', '{"$oid":"ffffffffffffffffffffffff"}']),
  of('bool', ['true', 'false']),
  of('date', ['0', '-1', '253402300799999', '-62135596800001', '9223372036854775807', '-9223372036854775808', '8640000000000001'].map(date), 'any 64-bit number of milliseconds'),
  of('null', ['null']), of('regex', ['{"$regularExpression":{"pattern":"^a\\\\/b\\"$","options":"imsx"}}', '{"$regularExpression":{"pattern":"","options":""}}']),
  of('dbPointer', ['{"$dbPointer":{"$ref":"db.c","$id":{"$oid":"65a1b2c3d4e5f60718293a4b"}}}'], 'deprecated'),
  of('javascript', ['{"$code":"function () { return \\"x\\"; }"}']), of('symbol', ['{"$symbol":"s"}'], 'deprecated'), of('javascriptWithScope', ['{"$code":"x","$scope":{"x":{"$numberInt":"1"}}}'], 'deprecated'),
  of('int', ['-2147483648', '0', '2147483647'].map((digits) => `{"$numberInt":"${digits}"}`)),
  of('timestamp', ['{"$timestamp":{"t":4294967295,"i":4294967295}}', '{"$timestamp":{"t":0,"i":1}}']),
  of('long', ['-9223372036854775808', '0', '1', '9007199254740993', '9223372036854775807'].map((digits) => `{"$numberLong":"${digits}"}`)),
  of('decimal', ['1.10', '-0', '1.1', '0E+3', '9.999999999999999999999999999999999E+6144', '1E-6176', 'NaN', 'Infinity', '-Infinity', '1234567890123456789012345678901234'].map(decimal), 'with trailing zeros and exponents'),
  of('minKey', ['{"$minKey":1}']), of('maxKey', ['{"$maxKey":1}']),
];
