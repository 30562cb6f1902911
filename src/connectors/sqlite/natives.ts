import type { LogicalType } from '../../contract.js';
import type { NativeType } from '../../values/native-type.js';

const ours = { only: 'dsync' } as const;
type More = Pick<NativeType, 'takes' | 'only' | 'note'>;
const of = (name: string, type: LogicalType, declared: string, values: readonly string[], more: More = {}): NativeType => ({ name, type, trials: [{ declared, values }], ...more });
const whole = ['0', '1', '-1', '9007199254740993', '9223372036854775807', '-9223372036854775808'];
const small = ['0', '1', '127'];
const real = ['0.5', '0.1', '1e300', '5e-324', '9e999', '-9e999', '1.0'];
/** A REAL column keeps no sign of a zero: SQLite itself makes 0.0 of it. */
const float = [...real, '-0.0'];
const text = ["''", "'trail '", "'NULL'", "'\\N'", "'é😀'", "char(9, 10, 13, 92)"];
const long = (name: string): NativeType => of(name, { kind: 'int', bits: 64, signed: true }, name, whole);
const texts = (name: string, declared = name): NativeType => of(name, { kind: 'text' }, declared, text);
const reals = (name: string): NativeType => of(name, { kind: 'float', bits: 64 }, name, real);
const sized = (name: string, bits: 8 | 16 | 24 | 32, signed: boolean): NativeType => of(name, { kind: 'int', bits, signed }, name, small, ours);

/**
 * Names that a column may be declared with. SQLite itself knows affinities only, so a sample of the values has the last word
 * where others made the table (types.ts). Names that are not here go by their affinity: text, or a type for each value.
 */
export const natives: readonly NativeType[] = [
  long('INTEGER'), long('INT'), long('TINYINT'), long('SMALLINT'), long('MEDIUMINT'), long('BIGINT'), long('INT2'), long('INT4'), long('INT8'), long('UNSIGNED BIG INT'),
  long('INT UNSIGNED'), long('TINYINT UNSIGNED'), long('SMALLINT UNSIGNED'), long('MEDIUMINT UNSIGNED'), long('BIGINT UNSIGNED'),
  of('BOOLEAN', { kind: 'bool' }, 'BOOLEAN', ['0', '1']), of('BOOL', { kind: 'bool' }, 'BOOL', ['0', '1']),
  reals('REAL'), reals('DOUBLE'), reals('DOUBLE PRECISION'), reals('FLOAT'),
  texts('TEXT'), texts('CLOB'), texts('VARCHAR', 'VARCHAR(20)'), texts('CHAR', 'CHAR(20)'), texts('NVARCHAR', 'NVARCHAR(20)'),
  of('BLOB', { kind: 'bytes' }, 'BLOB', ["x''", "x'00ff5c4e090a0d'"], { takes: ['maxLength'] }),
  of('ANY', { kind: 'any' }, 'ANY', ['1', "'x'", '0.5', "x'00'"], { note: 'plain in STRICT tables; elsewhere numbers in text become numbers' }),
  of('NUMERIC', { kind: 'any' }, 'NUMERIC', ['1', '0.5', "'x'"]), of('DECIMAL', { kind: 'any' }, 'DECIMAL(10,2)', ['1', '1.5']),
  of('DATE', { kind: 'any' }, 'DATE', ["'2024-01-01'"]), of('DATETIME', { kind: 'any' }, 'DATETIME', ["'2024-01-01 00:00:00'"]), of('TIMESTAMP', { kind: 'any' }, 'TIMESTAMP', ["'2024-01-01 00:00:00.5'"]),
  of('', { kind: 'any' }, '', ['1', "'x'", '0.5', "x'00'"], { note: 'a column without a type' }),
  ...([8, 16, 24, 32] as const).flatMap((bits) => [sized(`SIGNED${bits}_INT`, bits, true), sized(`UNSIGNED${bits}_INT`, bits, false)]),
  of('UNSIGNED64_BLOB', { kind: 'int', bits: 64, signed: false }, 'UNSIGNED64_BLOB', ['0', '9223372036854775807', "'18446744073709551615'"], { ...ours, note: 'text above 2⁶³−1' }),
  of('BOOLEAN_INT', { kind: 'bool' }, 'BOOLEAN_INT', ['0', '1'], ours),
  of('FLOAT32_BLOB', { kind: 'float', bits: 32 }, 'FLOAT32_BLOB', ['0.5', '-0.0', '0.10000000149011612'], ours), of('FLOAT64_BLOB', { kind: 'float', bits: 64 }, 'FLOAT64_BLOB', float, ours),
  of('VARCHAR_TEXT', { kind: 'text' }, 'VARCHAR_TEXT(20)', text, { ...ours, takes: ['maxLength'] }), of('CHAR_TEXT', { kind: 'text', padded: true }, 'CHAR_TEXT(5)', ["'ab'"], { ...ours, takes: ['maxLength'] }),
  of('DECIMAL_TEXT', { kind: 'decimal' }, 'DECIMAL_TEXT(10,2)', ["'1.10'", "'NaN'"], { ...ours, takes: ['precision', 'scale'] }),
  of('DATE_TEXT', { kind: 'date' }, 'DATE_TEXT', ["'2024-02-29'", "'infinity'"], ours),
  of('TIME_TEXT', { kind: 'time', fraction: 6 }, 'TIME_TEXT(6)', ["'-838:59:59'", "'12:00:00.5'"], { ...ours, takes: ['fraction'] }),
  of('TIMESTAMP_TEXT', { kind: 'timestamp', fraction: 6 }, 'TIMESTAMP_TEXT(6)', ["'2024-02-29 12:34:56.789012'"], { ...ours, takes: ['fraction'] }),
  of('INSTANT_TEXT', { kind: 'instant', fraction: 6 }, 'INSTANT_TEXT(6)', ["'2024-02-29 12:34:56.789012'", "'0044-03-15 00:00:00 BC'"], { ...ours, takes: ['fraction'] }),
  of('UUID_TEXT', { kind: 'uuid' }, 'UUID_TEXT', ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"], ours), of('JSON_TEXT', { kind: 'json-text' }, 'JSON_TEXT', [`'{"a": 1.10}'`, "'null'"], ours),
  of('BITS_TEXT', { kind: 'bits' }, 'BITS_TEXT(4)', ["'0001'"], { ...ours, takes: ['length'] }), of('VARBITS_TEXT', { kind: 'bits', varying: true }, 'VARBITS_TEXT(4)', ["'1'", "''"], { ...ours, takes: ['length'] }),
];
