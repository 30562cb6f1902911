import type { Family, FixtureCell, FixtureColumn, FixtureTable, Kind } from './table.js';

/** Tables that every destination can hold to the last cell. What one of them can't hold is in rejects.test.ts. */

/** The same type in each SQL family. */
const everywhere = (type: string): Record<Family, string> => ({ postgres: type, mysql: type, mariadb: type, sqlite: type });
const each = (postgres: string, mysql: string, sqlite: string, mariadb = mysql): Record<Family, string> => ({ postgres, mysql, mariadb, sqlite });
const column = (name: string, kind: Kind, types: FixtureColumn['types']): FixtureColumn => ({ name, kind, types });

/** Sorted and told apart by their bytes, with trailing spaces: what other collations would call duplicates are different keys. */
const keyText = (length: number): Record<Family, string> => ({
  postgres: `varchar(${length}) COLLATE "C"`, mysql: `varchar(${length}) COLLATE utf8mb4_0900_bin`, mariadb: `varchar(${length}) COLLATE utf8mb4_nopad_bin`, sqlite: `varchar(${length})`,
});

/** Strings that end cells, rows or statements, if anybody lets them. */
export const hostileTexts: readonly string[] = [
  '', ' ', 'NULL', 'null', '\\N', '\\', '\\\\', '\\.', '\\.\n', 'a\\', '\\t', '\t', '\n', '\r', '\r\n', '\f', '\v', '\b', '\x01', '\x1a', '\x1b', '\x7f', '\u0085',
  "'", "''", '"', '`', "'; DROP TABLE numbers; --", '%s', '%', '_', '$1', '?', ':a', '${HOME}', '{}', '[]', ',', ';', '|', '\\x41', '\\u0041', '0', '-0', '1e5', 'true', 'NaN', '0000-00-00',
  ' lead', 'trail ', 'tab\tbed', 'line\nbroken', 'carriage\rreturned', 'quoted "twice" \'once\'', 'a,b;c', 'é', 'e\u0301', 'ß', 'İ', 'ﬁ', '中文', '😀', '👩‍👩‍👧‍👦', '\u{10ffff}', '\u{1f1e6}',
  '\ufeffmark', '\u200b', '\u202e', '\u2028', '\ufffd', '\ud7ff', '\ue000', 'x'.repeat(9_000), '😀'.repeat(3_000), '\\'.repeat(5_000), '\n'.repeat(5_000),
];

const numbers: FixtureTable = {
  name: 'numbers',
  key: ['id'],
  columns: [
    column('id', 'int', everywhere('bigint')),
    column('small', 'int', each('smallint', 'smallint', 'smallint')),
    column('tiny', 'int', { mysql: 'tinyint', mariadb: 'tinyint', sqlite: 'tinyint' }),
    column('medium', 'int', { mysql: 'mediumint', mariadb: 'mediumint' }),
    column('int', 'int', everywhere('integer')),
    column('long', 'int', everywhere('bigint')),
    column('utiny', 'int', { mysql: 'tinyint unsigned', mariadb: 'tinyint unsigned' }),
    column('usmall', 'int', { mysql: 'smallint unsigned', mariadb: 'smallint unsigned' }),
    column('uint', 'int', { mysql: 'int unsigned', mariadb: 'int unsigned' }),
    column('ulong', 'int', { mysql: 'bigint unsigned', mariadb: 'bigint unsigned' }),
    column('yes', 'bool', { postgres: 'boolean', mysql: 'tinyint(1)', mariadb: 'tinyint(1)' }),
    column('money', 'decimal', each('numeric(12,2)', 'decimal(12,2)', 'decimal(12,2)')),
    column('huge', 'decimal', { postgres: 'numeric(38,0)', mysql: 'decimal(38,0)', mariadb: 'decimal(38,0)' }),
    column('fine', 'decimal', { postgres: 'numeric(38,20)', mysql: 'decimal(38,20)', mariadb: 'decimal(38,20)' }),
    column('single', 'float32', { postgres: 'real', mysql: 'float', mariadb: 'float' }),
    column('double', 'float64', each('double precision', 'double', 'double')),
  ],
  rows: [
    ['-9223372036854775808', '-32768', '-128', '-8388608', '-2147483648', '-9223372036854775808', '0', '0', '0', '0', '0', '-9999999999.99', `-${'9'.repeat(38)}`, `-${'9'.repeat(18)}.${'9'.repeat(20)}`, '-3.4028234663852886e38', '-1.7976931348623157e308'],
    ['-1', '-1', '-1', '-1', '-1', '-1', '1', '1', '1', '1', '1', '-0.01', '-1', '-0.00000000000000000001', '-1.1754944e-38', '-2.2250738585072014e-308'],
    ['0', '0', '0', '0', '0', '0', '128', '32768', '2147483648', '9223372036854775808', '0', '0.00', '0', '0', '0', '0'],
    ['1', null, null, null, null, null, null, null, null, null, null, null, null, null, null, null],
    ['2', '1', '1', '1', '1', '9007199254740993', '254', '65534', '4294967294', '18446744073709551614', '1', '0.10', '10000000000000000000000000000000000001', '0.1', '0.1', '0.1'],
    ['3', '2', '2', '2', '2', '-9007199254740993', '2', '2', '2', '9007199254740993', '0', '123456.70', '12345678901234567890123456789012345678', '123456789012345678.12345678901234567891', '16777216', '0.30000000000000004'],
    ['4', '3', '3', '3', '3', '4611686018427387904', '3', '3', '3', '3', '1', '1.00', '100', '100.5', '3.1415927', '123456789.12345679'],
    ['5', '4', '4', '4', '4', '5', '4', '4', '4', '4', '1', '10.00', '5', '5', '0.000011920929', '5e-324'],
    ['9223372036854775807', '32767', '127', '8388607', '2147483647', '9223372036854775807', '255', '65535', '4294967295', '18446744073709551615', '1', '9999999999.99', '9'.repeat(38), `${'9'.repeat(18)}.${'9'.repeat(20)}`, '3.4028234663852886e38', '1.7976931348623157e308'],
  ],
};

const unsignedKeys: FixtureTable = {
  name: 'unsigned_keys',
  key: ['id'],
  columns: [column('id', 'int', { mysql: 'bigint unsigned', mariadb: 'bigint unsigned' }), column('what', 'text', everywhere('varchar(50)'))],
  rows: [['0', 'none'], ['1', 'one'], ['9223372036854770000', 'one with a sign'], ['9223372036854775808', 'the first without'], ['18446744073709551615', 'the last']],
};

/** Apart, since a REAL column of SQLite can't give it, and MariaDB takes it for 0. */
export const negativeZero: FixtureTable = {
  name: 'negative_zero',
  key: ['id'],
  columns: [
    column('id', 'int', { postgres: 'integer', mysql: 'integer' }),
    column('single', 'float32', { postgres: 'real', mysql: 'float' }),
    column('double', 'float64', { postgres: 'double precision', mysql: 'double' }),
  ],
  rows: [['1', '-0', '-0'], ['2', '0', '0']],
};

const texts: FixtureTable = {
  name: 'texts',
  key: ['id'],
  columns: [
    column('id', 'int', everywhere('integer')),
    column('body', 'text', each('text', 'longtext', 'text')),
    column('short', 'text', each('varchar(30)', 'varchar(30)', 'varchar(30)')),
    column('fixed', 'padded', { postgres: 'char(8)', mysql: 'char(8)', mariadb: 'char(8)' }),
    column('other', 'text', each('text NOT NULL', 'text NOT NULL', 'text NOT NULL')),
  ],
  rows: [
    ...hostileTexts.map((text, i) => [String(i), text, [...text].slice(0, 15).join(''), i % 3 === 0 ? null : 'ab  cd', '']),
    [String(hostileTexts.length), null, null, null, ''],
    [String(hostileTexts.length + 1), '', '', '', 'beside an empty one'],
  ],
};

/** The second part tells keys apart that a careless collation would merge. */
const compositeKeys: FixtureTable = {
  name: 'composite_keys',
  key: ['tenant', 'name'],
  columns: [
    column('name', 'text', keyText(60)),
    column('n', 'int', everywhere('integer')),
    column('tenant', 'int', everywhere('integer')),
  ],
  rows: ['a', 'A', 'á', 'a ', 'a\t', '', ' ', "it's", '"', '\\', '\\N', '\n', 'ß', 'ss', 'i', 'I', 'İ', 'ı', '😀', '😁', '%', 'z', 'Z', '10', '9'].flatMap((name, i) => [
    [name, String(i), '1'], [name, null, '2'], [name, String(-i), '-1'],
  ]),
};

const textKeys: FixtureTable = {
  name: 'text_keys',
  key: ['code'],
  columns: [column('code', 'text', keyText(100)), column('v', 'float64', each('double precision', 'double', 'double'))],
  rows: hostileTexts.filter((text) => text.length <= 50).map((text, i) => [text, String(i / 7)]),
};

const times: FixtureTable = {
  name: 'times',
  key: ['id'],
  columns: [
    column('id', 'int', everywhere('integer')),
    column('day', 'date', { postgres: 'date', mysql: 'date', mariadb: 'date' }),
    column('clock', 'time', { postgres: 'time(6)', mysql: 'time(6)', mariadb: 'time(6)' }),
    column('wall', 'timestamp', { postgres: 'timestamp(6)', mysql: 'datetime(6)', mariadb: 'datetime(6)' }),
    column('wall_seconds', 'timestamp', { postgres: 'timestamp(0)', mysql: 'datetime', mariadb: 'datetime' }),
    column('moment', 'instant', { postgres: 'timestamptz', mysql: 'timestamp(6) NULL', mariadb: 'timestamp(6) NULL' }),
  ],
  rows: [
    ['1', '0001-01-01', '00:00:00', '0001-01-01 00:00:00', '0001-01-01 00:00:00', '1970-01-01 00:00:01'],
    ['2', '9999-12-31', '23:59:59.999999', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59', '2038-01-19 03:14:07.999999'],
    ['3', '1582-10-10', '12:00:00.000001', '1582-10-10 12:00:00.000001', '1582-10-10 12:00:00', '1999-12-31 23:59:59.999999'],
    ['4', '2000-02-29', '00:00:00.100000', '2000-02-29 00:00:00.1', '2000-02-29 00:00:00', '2026-03-29 01:30:00'],
    ['5', '1900-02-28', '01:02:03.456', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59', '2026-10-25 00:30:00.123456'],
    ['6', null, null, null, null, null],
    ['7', '2024-12-31', '23:59:59', '2026-03-29 02:30:00', '2026-03-29 02:30:00', '2026-10-25 01:30:00'],
  ],
};

const allBytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

const things: FixtureTable = {
  name: 'things',
  key: ['id'],
  columns: [
    column('id', 'int', everywhere('integer')),
    column('raw', 'bytes', each('bytea', 'longblob', 'blob')),
    column('hash', 'bytes', { postgres: 'bytea', mysql: 'varbinary(64)', mariadb: 'varbinary(64)' }),
    column('who', 'uuid', { postgres: 'uuid', mariadb: 'uuid' }),
    column('doc', 'json', { postgres: 'jsonb', mysql: 'json', mariadb: 'json' }),
    column('doc_text', 'json', { postgres: 'json' }),
    column('mood', 'text', { postgres: 'mood', mysql: "enum('sad', 'so, so', 'it''s ok', 'happy')", mariadb: "enum('sad', 'so, so', 'it''s ok', 'happy')" }),
    column('flags', 'text', { mysql: "set('a', 'b', 'c d')", mariadb: "set('a', 'b', 'c d')" }),
    column('bits', 'bits', { postgres: 'bit(12)', mysql: 'bit(12)', mariadb: 'bit(12)' }),
    column('many_bits', 'bits', { postgres: 'bit(64)', mysql: 'bit(64)', mariadb: 'bit(64)' }),
  ],
  rows: [
    ['1', allBytes, Buffer.from('\\x00\\N\t\n'), '00000000-0000-0000-0000-000000000000', '{"b": [1, 2.50, null, true], "a": {"é": "😀\\n\\t\\\\\\""}}', '{"z":1,  "a":2,"big": 12345678901234567890}', 'sad', 'a', '000000000000', '0'.repeat(64)],
    ['2', Buffer.alloc(0), Buffer.alloc(0), 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'null', 'null', "it's ok", '', '111111111111', '1'.repeat(64)],
    ['3', Buffer.from([0]), Buffer.from([0, 0]), '0e37df36-f698-11e6-8dd4-cb9ced3df976', '"text"', '"\\u00e9"', 'so, so', 'a,c d', '000000000001', `1${'0'.repeat(63)}`],
    ['4', null, null, null, null, null, null, null, null, null],
    ['5', Buffer.from([0x5c, 0x4e, 0x09, 0x0a, 0x0d, 0x00, 0xff, 0xfe]), Buffer.from('  '), '12345678-1234-4234-8234-123456789abc', '[]', '[ ]', 'happy', 'a,b,c d', '101010101010', `0${'1'.repeat(63)}`],
    ['6', allBytes.subarray(128), allBytes.subarray(0, 64), 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{}', '{}', 'happy', 'b', '100000000000', '10'.repeat(32)],
  ],
};

/** Three equal rows, rows that differ by null and empty only, and rows of nulls. */
const noKey: FixtureTable = {
  name: 'no_key',
  key: [],
  columns: [column('a', 'int', everywhere('integer')), column('b', 'text', each('text', 'text', 'text'))],
  rows: [['1', 'x'], ['1', 'x'], ['1', 'x'], ['1', ''], ['1', null], ['1', null], [null, null], [null, null], [null, ''], ['2', '\\N'], ['2', 'NULL']],
};

const nothing: FixtureTable = { name: 'nothing', key: ['id'], columns: [column('id', 'int', everywhere('integer')), column('t', 'text', everywhere('text'))], rows: [] };
const nothingKeyless: FixtureTable = { name: 'nothing_keyless', key: [], columns: [column('t', 'text', everywhere('text'))], rows: [] };

/** Names that need their quotes, in every engine's way of quoting. */
const named = (name: string): FixtureTable => ({
  name,
  key: ['Id', 'order'],
  columns: [
    column('Id', 'int', everywhere('integer')),
    column('group', 'text', everywhere('varchar(20)')),
    column('order', 'int', everywhere('integer')),
    ...['select', 'CamelCase', 'we"ird', 'back`tick', "quote'd", 'two words', 'per%cent', 'Ünïcödé', 'semi;colon', 'back\\slash', 'com,ma', 'paren(thesis)', 'at@sign', '--', ':x', '?'].map((odd) => column(odd, 'text', everywhere('text'))),
  ],
  rows: ['1', '2', '3'].map((id) => [id, `${name} ${id}`.slice(0, 20), id, ...Array.from({ length: 16 }, (_, i) => (i % 4 === Number(id) ? null : `${name}/${i}/${id}`))]),
});
export const oddNames: readonly string[] = ['Order', 'select', 'we"ird', 'back`tick', "it's", 'Two Words', 'Ünïcödé', 'per%cent', 'back\\slash', 'a;b', 'a,b'];

/** Rows of a megabyte, of bytes that need no escape and of bytes that all do. */
const wide: FixtureTable = {
  name: 'wide',
  key: ['id'],
  columns: [column('id', 'int', everywhere('integer')), column('body', 'text', each('text', 'longtext', 'text')), column('raw', 'bytes', each('bytea', 'longblob', 'blob'))],
  rows: [
    ['1', 'w'.repeat(1_000_000), null],
    ['2', '\n\t\\\r'.repeat(250_000), Buffer.alloc(10, 7)],
    ['3', '😀'.repeat(250_000), null],
    ['4', null, Buffer.concat(Array.from({ length: 4_096 }, () => allBytes))],
    ['5', 'short', Buffer.alloc(0)],
  ],
};

/** Enough rows for several batches and tasks. */
const many: FixtureTable = {
  name: 'many',
  key: ['id'],
  columns: [column('id', 'int', everywhere('bigint')), column('v', 'text', everywhere('varchar(40)')), column('n', 'decimal', each('numeric(20,4)', 'decimal(20,4)', 'decimal(20,4)'))],
  rows: Array.from({ length: 5_000 }, (_, i) => [String((i - 2_500) * 7), i % 11 === 0 ? null : `row ${i} ${hostileTexts[i % 60]}`.slice(0, 40), `${i}.${String(i).padStart(4, '0')}`]),
};

export const fixtures: readonly FixtureTable[] = [
  numbers, unsignedKeys, texts, compositeKeys, textKeys, times, things, noKey, nothing, nothingKeyless, wide, many, ...oddNames.map(named),
];

/** Rows with \0 in a text: for the engines that can hold it. */
export const nulTexts: FixtureTable = {
  name: 'nul_texts',
  key: ['id'],
  columns: [column('id', 'int', everywhere('integer')), column('t', 'text', each('text', 'longtext', 'text'))],
  rows: ['\0', 'a\0b', '\0\0', 'end\0'].map((text, i) => [String(i), text] satisfies FixtureCell[]),
};
