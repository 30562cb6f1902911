import type { LogicalType } from '../../contract.js';
import type { NativeType, Trial } from '../../values/native-type.js';

type More = Pick<NativeType, 'takes' | 'only' | 'note'>;
const of = (name: string, type: LogicalType, trials: readonly Trial[], more: More = {}): NativeType => ({ name, type, trials, ...more });
const column = (declared: string, ...values: readonly string[]): Trial => ({ declared, values });
const utf8 = 'CHARACTER SET utf8mb4';

function int(name: string, bits: 8 | 16 | 24 | 32 | 64): NativeType {
  const half = 2n ** BigInt(bits - 1);
  return of(name, { kind: 'int', bits, signed: true }, [column(name, `${-half}`, '0', `${half - 1n}`), column(`${name} unsigned`, '0', `${half}`, `${2n * half - 1n}`), column(`${name}(5) unsigned zerofill`, '42', `${2n * half - 1n}`)], { takes: ['signed'] });
}

const hostile = "'tab\\t nl\\n cr\\r bs\\\\ nul\\0 q'' é 😀 \f\v\b \\\\N'";
/** Text of the character sets other than utf8mb4; with characters whose second byte is a backslash in sjis, gbk and big5. */
const ownWords = {
  latin1: ['é€ß'], latin2: ['Łódź'], greek: ['Ωμέγα'], hebrew: ['שלום'], cp1251: ['Привет'], koi8r: ['Привет'], ascii: ['plain'], utf8mb3: ['é中'], ucs2: ['é中'], utf16: ['é😀'], utf16le: ['é😀'], utf32: ['é😀'],
  sjis: ['日本', '表ソ', 'ｱ'], cp932: ['日本①', '表'], ujis: ['日本', 'ｱ', '丂'], eucjpms: ['日本①', 'ｱ'], gbk: ['中文', '誠'], gb2312: ['中文'], big5: ['中文', '功'], euckr: ['한국어'], gb18030: ['中文😀', '㐀'],
} as const;
const texts = ["''", "'trail '", hostile];

/** No values here for a type of text of so many characters. */
const text = (name: string, declared = name): NativeType => of(name, { kind: 'text' }, [column(`${declared} ${utf8}`, ...texts)], { takes: ['maxLength'] });
const bytes = (name: string): NativeType => of(name, { kind: 'bytes' }, [column(name, "''", "x'5c4e090a0d00ff'")], { takes: ['maxLength'] });

const hex = 'as hexadecimal digits of its bytes: SRID and well-known binary';
const geometry = (name: string, example: string, only?: string): NativeType =>
  of(name, { kind: 'native', engine: 'mysql' }, [column(name, `ST_GeomFromText('${example}')`, `ST_GeomFromText('${example}', 4326)`)], { note: hex, ...(only && { only }) });

/** What information_schema calls types (`data_type`) on MySQL and MariaDB. Types that are not here are `native`. */
export const natives: readonly NativeType[] = [
  int('tinyint', 8), int('smallint', 16), int('mediumint', 24), int('int', 32), int('bigint', 64),
  of('year', { kind: 'int', bits: 16, signed: true }, [column('year', '0', '1901', '2155')]),
  of('decimal', { kind: 'decimal', precision: 10, scale: 0 }, [
    column('decimal(65,30)', "'12345678901234567890123456789012345.012345678901234567890123456789'", "'-0.000000000000000000000000000001'", '0'), column('decimal(8,2) unsigned zerofill', '12.5', '0'), column('decimal(10,0)', '-9999999999'), column('decimal(65,0)', `'-${'9'.repeat(65)}'`, '0'), column('decimal(30,30)', `'-0.${'9'.repeat(30)}'`),
  ], { takes: ['precision', 'scale'] }),
  of('float', { kind: 'float', bits: 32 }, [column('float', '0', '-0e0', '0.1', '16777215.5', '3.4028234663852886e38', '1e-45'), column('float(7,2)', '12345.67', '-0.01'), column('float(7,4)', '999.9999', '-0.0001'), column('float unsigned', '0.1')]),
  of('double', { kind: 'float', bits: 64 }, [column('double', '0', '-0e0', '0.30000000000000004', '-1.7976931348623157e308', '5e-324'), column('double(20,4)', '1234.5678', '-1e10'), column('double(10,2)', '99999999.99', '-0.01')], { note: 'with decimals (DOUBLE(M,D)) as the number that is kept, which the server rounds when it shows it' }),
  of('bit', { kind: 'bits', length: 1 }, [column('bit(1)', "b'0'", "b'1'"), column('bit(11)', "b'10101'", "b'0'"), column('bit(64)', `b'${'10'.repeat(32)}'`, `b'${'1'.repeat(64)}'`, "b'0'")], { takes: ['length'] }),
  of('date', { kind: 'date' }, [column('date', "'2024-02-29'", "'0001-01-01'", "'9999-12-31'", "'0000-00-00'", "'2024-00-00'", "'2024-02-00'", "'0000-01-01'", "'0000-00-01'", "'2024-02-31'")], { note: 'zero and partial dates are rejected where there are none' }),
  of('time', { kind: 'time', fraction: 0 }, [column('time(6)', "'-838:59:58.999999'", "'838:59:59'", "'-00:00:00.5'", "'23:59:59.999999'", "'24:00:00'", "'12:00:00.100000'"), column('time', "'00:00:00'", "'-00:00:01'", "'100:00:00'"), column('time(3)', "'-838:59:58.999'", "'-00:00:00.001'")], { takes: ['fraction'], note: 'times below 0 or over 24 hours are rejected where there are none' }),
  of('datetime', { kind: 'timestamp', fraction: 0 }, [column('datetime(6)', "'2024-02-29 12:34:56.789012'", "'1000-01-01 00:00:00.1'", "'9999-12-31 23:59:59.999999'", "'0000-00-00 00:00:00'", "'2024-00-00 00:00:00'"), column('datetime', "'2024-02-29 12:34:56'"), column('datetime(3)', "'2024-02-29 12:34:56.120'", "'0000-00-00 00:00:00'", "'2024-01-00 10:00:00.5'", "'0000-01-01 00:00:00'", "'2023-02-29 01:00:00'")], { takes: ['fraction'], note: 'zero and partial dates are rejected where there are none' }),
  of('timestamp', { kind: 'instant', fraction: 0 }, [column('timestamp(6) NULL', "'1970-01-01 00:00:01.000001'", "'2024-03-31 02:30:00.5'", "'2038-01-19 03:14:07.999999'", "'0000-00-00 00:00:00'"), column('timestamp NULL', "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'"), column('timestamp(3) NULL', "'2001-09-09 01:46:40.100'")], { takes: ['fraction'] }),
  of('char', { kind: 'text', padded: true }, [column(`char(10) ${utf8}`, "''", "'ab'", "'a  b'", "'😀'"), column('char(5) CHARACTER SET latin1', "'é'", "'ab'"), column('char(5) CHARACTER SET sjis', "'日本'"), column('char(0)', "''")], { takes: ['maxLength'], note: 'spaces at the end mean nothing, and are left out' }),
  of('varchar', { kind: 'text' }, [
    column(`varchar(200) ${utf8}`, ...texts), ...Object.entries(ownWords).map(([charset, words]) => column(`varchar(50) CHARACTER SET ${charset}`, ...words.map((word) => `'${word}'`), "''", "'tab\\t bs\\\\ \\0'")),
    column('varchar(50) CHARACTER SET latin1 COLLATE latin1_bin', "'é€ß'", "'É'"), column('varchar(50) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin', "'é'"),
  ], { takes: ['maxLength'], note: 'of any character set' }),
  text('tinytext'), text('text'), text('mediumtext'),
  of('longtext', { kind: 'text' }, [column(`longtext ${utf8}`, ...texts)]),
  of('binary', { kind: 'bytes' }, [column('binary(4)', "x'00ff0a09'", "x'00000000'", "'a'")], { takes: ['maxLength'], note: 'with the zero bytes that fill it up' }),
  of('varbinary', { kind: 'bytes' }, [column('varbinary(300)', "''", "x'5c4e09'", "x'0020'")], { takes: ['maxLength'] }), bytes('tinyblob'), bytes('blob'), bytes('mediumblob'),
  of('longblob', { kind: 'bytes' }, [column('longblob', "''", "x'000102ff'", "REPEAT(x'ff00', 40000)")]),
  of('enum', { kind: 'enum', labels: [] }, [column(`enum('a', 'b,''c', 'back\\\\slash') ${utf8}`, "'a'", "'b,''c'", "'back\\\\slash'", '0'), column("enum('é', '') CHARACTER SET latin1", "'é'", "''", '0'), column("enum('日本', 'ソ') CHARACTER SET sjis", "'日本'", "'ソ'")], { takes: ['labels'], note: 'the empty text is the label 0 of a wrong value' }),
  of('set', { kind: 'set', labels: [] }, [column(`set('x', 'y', 'z w') ${utf8}`, "''", "'x,z w'", "'x,y,z w'"), column(`set(${Array.from({ length: 64 }, (_, i) => `'l${i}'`).join(', ')})`, "'l0,l63'", '9223372036854775808', '18446744073709551615'), column("set('é', 'ß') CHARACTER SET latin1", "'é,ß'")], { takes: ['labels'] }),
  of('json', { kind: 'json-value' }, [column('json', `'{"b": 1.10, "a": [1, 2.0, "é\\\\n"], "big": 12345678901234567890}'`, "'null'", "'\"text\"'", "'[]'", "'-0.5e-300'", '\'"\\\\u0000 \\\\\\\\ \\\\n"\'', "'1e308'", "'-0.0'", "'18446744073709551615'", "'{\"10\":1,\"9\":{\"\":[]}}'")], { only: 'mysql', note: 'null in JSON is not NULL' }),
  of('json', { kind: 'json-text' }, [column('json', `'{"a" : 1.10, "big": 123456789012345678901}'`, "'null'", "'[ ]'", '\'"\\\\u0000 \\\\n é"\'')], { only: 'mariadb', note: 'LONGTEXT with a check; null in JSON is not NULL' }),
  geometry('geometry', 'POINT(1 2)'), geometry('point', 'POINT(1 2)'), geometry('linestring', 'LINESTRING(0 0,1 1)'), geometry('polygon', 'POLYGON((0 0,0 1,1 1,0 0))'), geometry('multipoint', 'MULTIPOINT(0 0,1 1)'),
  geometry('multilinestring', 'MULTILINESTRING((0 0,1 1),(2 2,3 3))'), geometry('multipolygon', 'MULTIPOLYGON(((0 0,0 1,1 1,0 0)))'), geometry('geometrycollection', 'GEOMETRYCOLLECTION(POINT(1 2))', 'mariadb'),
  geometry('geomcollection', 'GEOMETRYCOLLECTION(POINT(1 2))', 'mysql'),
  of('vector', { kind: 'native', engine: 'mysql' }, [column('vector(3)', "TO_VECTOR('[1,2.5,-3]')")], { only: 'mysql', note: 'as hexadecimal digits of its bytes: floats of 32 bits' }),
  of('vector', { kind: 'native', engine: 'mariadb' }, [column('vector(3)', "VEC_FromText('[1,2.5,-3]')")], { only: 'mariadb', note: 'as hexadecimal digits of its bytes: floats of 32 bits' }),
  of('uuid', { kind: 'uuid' }, [column('uuid', "'00112233-4455-6677-8899-aabbccddeeff'", "'ffffffff-4455-1677-8899-aabbccddeeff'", "'00000000-0000-0000-0000-000000000000'")], { only: 'mariadb' }),
  of('inet4', { kind: 'native', engine: 'mariadb' }, [column('inet4', "'127.0.0.1'", "'255.255.255.255'")], { only: 'mariadb' }), of('inet6', { kind: 'native', engine: 'mariadb' }, [column('inet6', "'::1'", "'2001:db8::ff00:42:8329'", "'::ffff:1.2.3.4'", "'::'", "'1:0:0:2::3'")], { only: 'mariadb' }),
];
