import type { LogicalType } from '../../contract.js';
import type { NativeType, Trial } from '../../values/native-type.js';

const native: LogicalType = { kind: 'native', engine: 'postgres' };
const text: LogicalType = { kind: 'text' };

type More = Pick<NativeType, 'takes' | 'only' | 'note'>;
const of = (name: string, type: LogicalType, trials: readonly Trial[], more: More = {}): NativeType => ({ name, type, trials, ...more });
const column = (declared: string, ...values: readonly string[]): Trial => ({ declared, values });
/** In PostgreSQL's own text, which any other engine keeps as text. */
const own = (name: string, ...values: readonly string[]): NativeType => of(name, native, [column(name, ...values)]);
const extension = (from: string, name: string, values: readonly string[], { type = native, declared = name, note }: { readonly type?: LogicalType; readonly declared?: string; readonly note?: string } = {}): NativeType =>
  of(name, type, values.length > 0 ? [column(declared, ...values)] : [], { only: `extension ${from}`, ...(note && { note }) });
/** Hardly compressible, so that it is kept out of its row: a log does not repeat it. */
const long = (seed: bigint): string => (seed ** 9000n).toString(36);
const internal = (name: string): NativeType => of(name, native, [], { note: 'of the server itself: takes no values of users' });
const internalOf = (from: string, name: string): NativeType => extension(from, name, [], { note: 'of its indexes: takes no values of users' });

/** What PostgreSQL's catalogue (pg_type) calls types, but for arrays, which are all like `[]`. Types that are not here are `native`. */
export const natives: readonly NativeType[] = [
  of('bool', { kind: 'bool' }, [column('boolean', 'true', 'false')]),
  of('int2', { kind: 'int', bits: 16, signed: true }, [column('smallint', '-32768', '0', '32767')]),
  of('int4', { kind: 'int', bits: 32, signed: true }, [column('integer', '-2147483648', '0', '2147483647')]),
  of('int8', { kind: 'int', bits: 64, signed: true }, [column('bigint', '-9223372036854775808', '-9007199254740993', '0', '9007199254740993', '9223372036854775807')]),
  of('oid', { kind: 'int', bits: 32, signed: false }, [column('oid', '0', '4294967295')]),
  of('numeric', { kind: 'decimal' }, [
    column('numeric', '0', '0.00', '-0.10', '1e-300', '123456789012345678901234567890.123456789000', '1e2000', '-1e-2000', 'NaN', 'Infinity', '-Infinity'),
    column('numeric(10,2)', '-99999999.99', '99999999.99', '1.10', '0', 'NaN'), column('numeric(38,20)', '123456789012345678.12345678901234567891', '-0.00000000000000000001'),
    column('numeric(5,-2)', '1234500', '-100'), column('numeric(3,5)', '0.00999', '-0.00001'), column('numeric(1000,500)', '1.5'),
  ], { takes: ['precision', 'scale'] }),
  of('float4', { kind: 'float', bits: 32 }, [column('real', '0', '-0', '0.1', '3.4028235e38', '-3.4028235e38', '1e-45', '16777217', 'NaN', 'Infinity', '-Infinity')]),
  of('float8', { kind: 'float', bits: 64 }, [column('double precision', '0', '-0', '0.1', '0.30000000000000004', '1.7976931348623157e308', '5e-324', 'NaN', 'Infinity', '-Infinity')]),
  of('text', text, [column('text', '', ' ', 'a\tb\nc\\.\r\f\v\b', '\\N', 'NULL', 'trail ', '😀\u{10ffff}', 'e\u0301', long(7n), long(11n))]),
  of('varchar', text, [column('character varying(20)', '', 'é'.repeat(20), 'trail '), column('character varying', 'any', '')], { takes: ['maxLength'] }),
  of('bpchar', { kind: 'text', padded: true }, [column('character(5)', '', 'ab', 'a  b', '😀', 'a\n', '\t'), column('bpchar', 'ab', 'ab  ')], { takes: ['maxLength'], note: 'spaces at the end mean nothing, and are left out' }),
  of('name', { kind: 'text', maxLength: 63 }, [column('name', '', 'é', 'n'.repeat(63))]),
  of('char', native, [column('"char"', '', 'a', '\\', ' '), { declared: '"char"', values: ['(-1)::"char"', '(-128)::"char"', '127::"char"'], expressions: true }], { note: 'a destination before PostgreSQL 16 has no way to write a byte above 127: lossy there' }),
  of('bytea', { kind: 'bytes' }, [column('bytea', '\\x', '\\x00ff5c', '\\x5c4e090a0d', `\\x${Buffer.from(long(13n)).toString('hex')}`)]),
  of('date', { kind: 'date' }, [column('date', '2024-02-29', '0001-01-01', '9999-12-31', '10000-01-01', '5874897-12-31', '4713-01-01 BC', '0044-03-15 BC', 'infinity', '-infinity')]),
  of('time', { kind: 'time', fraction: 6 }, [column('time', '00:00:00', '23:59:59.999999', '24:00:00', '12:00:00.5'), column('time(0)', '01:02:03')], { takes: ['fraction'] }),
  of('timetz', native, [column('time with time zone', '03:04:05+02', '00:00:00-15:59', '24:00:00+00', '03:04:05.123456-05:30:45'), column('time(0) with time zone', '03:04:05+02')]),
  of('timestamp', { kind: 'timestamp', fraction: 6 }, [
    column('timestamp', '2024-02-29 12:34:56.789012', '0001-01-01 00:00:00', '9999-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999', '4713-01-01 00:00:00 BC', 'infinity', '-infinity'),
    column('timestamp(3)', '2024-01-02 03:04:05.120', '1969-12-31 23:59:59.999'), column('timestamp(0)', '2024-01-02 03:04:05'),
  ], { takes: ['fraction'] }),
  of('timestamptz', { kind: 'instant', fraction: 6 }, [
    column('timestamp with time zone', '2024-01-02 03:04:05.123456+05:30', '0001-01-01 00:00:00.5+00 BC', '1969-12-31 23:59:59.999999+00', '9999-12-31 23:59:59.999999+00', '294276-12-31 00:00:00+00', 'infinity', '-infinity'),
    column('timestamp(3) with time zone', '2024-01-02 03:04:05.123+00', '1901-01-01 00:00:00+00', '10000-01-01 00:00:00+00', 'infinity'),
  ], { takes: ['fraction'] }),
  of('interval', native, [
    column('interval', '1 year 2 mons -3 days 04:05:06.789', '-178000000 years', '178000000 years', '00:00:00', '-1 year +2 mons -3 days -04:05:06.000001', '30 days', '1 mon', '720:00:00', '2147483647 days'),
    column('interval(0)', '04:05:06'), column('interval', 'infinity', '-infinity'),
  ], { note: 'months, days and time are kept apart; infinity needs PostgreSQL 17 or later' }),
  of('uuid', { kind: 'uuid' }, [column('uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff')]),
  of('json', { kind: 'json-text' }, [column('json', '{"a": 1.00,  "a":12345678901234567890}', 'null', '"\\u0000"', '1e400', '[ ]', '"é😀\\n"')], { note: 'null in JSON is not NULL' }),
  of('jsonb', { kind: 'json-value' }, [column('jsonb', '{"b":1.0,"a":12345678901234567890}', 'null', '[1.10, "\\u00e9", {}]', '0.1e-30', '-0.5', '"\\\\N"', '-0.0', '1e400', '{"a":{"b":[null,"",{}]},"":1}', '12345678901234567890123456789.01234567890')], { note: 'null in JSON is not NULL; numbers of any size' }),
  of('bit', { kind: 'bits' }, [column('bit(4)', '0000', '0001', '1111'), column('bit(64)', '1'.repeat(64), '0'.repeat(64)), column('bit(70)', '10'.repeat(35))], { takes: ['length'] }),
  of('varbit', { kind: 'bits', varying: true }, [column('bit varying', '', '0', '0001', '10'.repeat(40)), column('bit varying(5)', '', '1', '00001', '11111')], { takes: ['length'] }),
  own('inet', '192.168.0.1/24', '10.0.0.1', '::1', '::ffff:1.2.3.4'), own('cidr', '10.0.0.0/8', '::/0', '2001:db8::/32'),
  own('macaddr', '08:00:2b:01:02:03', 'ff:ff:ff:ff:ff:ff'), own('macaddr8', '08:00:2b:01:02:03:04:05', 'ff:ff:ff:ff:ff:ff:ff:ff'),
  of('money', native, [column('money', '12.34', '-92233720368547758.08', '0')], { note: 'in the locale C' }),
  own('xml', '<a b="c">&amp;</a>', 'text', '', '<?xml version="1.0" standalone="yes"?><a/>', '<!-- é --><a/>'), own('jsonpath', '$."a"[*]?(@ > 1)'),
  own('tsvector', "'it':1A 'a':2,3", "'a b''c\\\\':16383", ''), own('tsquery', "'a' & !'b':A* <-> 'c'"),
  own('point', '(1.5,-0)', '(NaN,Infinity)', '(1e+300,0.1)'), own('line', '{1,-1,0.30000000000000004}'), own('lseg', '[(0,0),(1,1)]'), own('box', '(2,2),(1,1)'),
  own('path', '[(0,0),(1,1)]', '((0,0),(1,1))'), own('polygon', '((0,0),(1,1),(1,0))'), own('circle', '<(1,2),3.5>'),
  own('int4range', '[1,5)', 'empty', '(,3)', '(,)'), own('int8range', '[1,9223372036854775807)'), own('numrange', '(0.10,1e30]'), own('daterange', '[2024-01-01,infinity)', '["0044-03-15 BC",)'),
  own('tsrange', '["2024-01-01 00:00:00.5",infinity)'), own('tstzrange', '["2024-01-01 00:00:00+05:30",)'),
  own('int4multirange', '{[1,3),[5,9)}', '{}'), own('int8multirange', '{[1,3)}'), own('nummultirange', '{[0.10,2)}'), own('datemultirange', '{[2024-01-01,2024-02-01)}'),
  own('tsmultirange', '{["2024-01-01 00:00:00","2024-02-01 00:00:00")}'), own('tstzmultirange', '{["2024-01-01 00:00:00+02","2024-02-01 00:00:00+00")}'),
  of('[]', native, [
    column('integer[]', '[2:3]={7,8}', '{}', '{{1,2},{3,NULL}}', '[-1:0][5:6]={{1,2},{3,4}}'), column('text[]', '{"a,b","NULL",NULL,""}', '{{"{}","\\\\"},{" ","\t"}}'), column('numeric(10,2)[]', '{1.10,NaN}'),
    column('timestamp with time zone[]', '{"2024-01-02 03:04:05.123456+05:30",infinity}'), column('double precision[]', '{-0,NaN,5e-324,0.1}'), column('bytea[]', '{"\\\\x00ff"}'), column('jsonb[]', '{"{\\"a\\": 1.0}",null}'), column('int4range[]', '{"[1,5)",empty}'),
    column('character(5)[]', '{"ab   ",""}'), column('bit(3)[]', '{101,NULL}'), column('boolean[]', '{t,f,NULL}'), column('uuid[]', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'), column('date[]', '{infinity,"0044-03-15 BC"}'),
    column('interval[]', '{"-1 days"}'), column('money[]', '{12.34,-1}'), column('inet[]', '{10.0.0.1,::1/64}'), column('time with time zone[]', '{03:04:05+02}'), column('xml[]', '{"<a b=\\"c\\"/>"}'), column('json[]', '{"{\\"a\\" : 1.0}","null",NULL}'), column('point[]', '{"(1,-0)"}'),
  ], { note: 'arrays of each type, with bounds, nulls and dimensions' }),
  of('enum', { kind: 'enum', labels: [] }, [{ declared: 'mood', values: ['sad', "it's ok", '"'], before: [`CREATE TYPE mood AS ENUM ('sad', 'it''s ok', '"')`] }], { takes: ['labels'] }),
  of('domain', native, [{ declared: 'positive', values: ['0.01', '99999999.99'], before: ['CREATE DOMAIN positive AS numeric(10,2) CHECK (value > 0)'] },
    { declared: 'whole_numbers', values: ['{1,NULL}', '{}', '[0:1]={1,2}'], before: ['CREATE DOMAIN whole_numbers AS int[]'] }, { declared: 'positive[]', values: ['{0.01,NULL}'] }], { note: 'taken for the type that it is based on' }),
  of('composite', native, [{ declared: 'pair', values: ['(1,"a,b")', '(,)', '(1,"")'], before: ['CREATE TYPE pair AS (a int, b text)'] }, { declared: 'pair[]', values: ['{"(1,\\"a,b\\")",NULL,"(,)"}'] },
    { declared: 'nest', values: ['("{1,2}","(1,\\"x y\\")","2024-01-01 00:00:00+00")'], before: ['CREATE TYPE nest AS (a int[], p pair, t timestamptz)'] }], { note: 'rows of a user\'s type; in another PostgreSQL the type must stand' }),
  of('range', native, [{ declared: 'floats', values: ['[0.1,0.2)', 'empty'], before: ['CREATE TYPE floats AS RANGE (subtype = float8)'] }, { declared: 'floats[]', values: ['{"[0.1,0.2)",empty}'] }], { note: 'ranges of a user\'s type; in another PostgreSQL the type must stand' }),
  own('pg_lsn', '16/B374D848', 'FFFFFFFF/FFFFFFFF'), own('tid', '(4294967295,65535)'), own('xid', '4294967295'), own('xid8', '18446744073709551615'), own('cid', '4294967295'),
  own('regclass', 'pg_class', '-'), own('regtype', 'integer', 'timestamp with time zone'), own('regproc', 'now'), own('regprocedure', 'sum(integer)'), own('regoper', '||/'), own('regoperator', '+(integer,integer)'),
  own('regrole', 'pg_monitor'), own('regnamespace', 'pg_catalog'), own('regconfig', 'english'), own('regdictionary', 'simple'), own('regcollation', '"C"'),
  own('refcursor', 'a cursor'), own('aclitem', 'pg_monitor=r/pg_monitor'), own('pg_snapshot', '10:20:10,14,15'), own('txid_snapshot', '10:20:10,14,15'), own('int2vector', '1 2 3', ''), own('oidvector', '1 4294967295', ''),
  ...['pg_node_tree', 'pg_ndistinct', 'pg_dependencies', 'pg_mcv_list', 'pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary', 'gtsvector', 'pg_ddl_command'].map(internal),
  extension('citext', 'citext', ['CiText', 'É', ''], { type: text, note: 'elsewhere letter case counts in comparisons' }),
  extension('hstore', 'hstore', ['a=>1,b=>NULL', '"k e y"=>"v\\"al"', '']),
  extension('ltree', 'ltree', ['Top.Science.Astronomy', '']), extension('ltree', 'lquery', ['Top.*{1,2}']), extension('ltree', 'ltxtquery', ['Europe & Russia*@']),
  extension('cube', 'cube', ['(1, 2),(3, 4)', '(0.1)']), extension('seg', 'seg', ['1.50 .. 2', '~5.0']), extension('intarray', 'query_int', ['1&(2|3)']),
  ...[['ean13', '978-0-11-000533-1'], ['isbn13', '978-0-393-04002-9'], ['ismn13', '979-0-060-11561-5'], ['issn13', '977-1436-4522-06'], ['isbn', '0-393-04002-X'], ['ismn', 'M-060-11561-5'], ['issn', '1436-4522'], ['upc', '220356483481']]
    .map(([name, value]) => extension('isn', name, [value])),
  extension('vector', 'vector', ['[1,2.5,-3]'], { declared: 'vector(3)' }), extension('vector', 'halfvec', ['[1,2.5,-3]'], { declared: 'halfvec(3)' }), extension('vector', 'sparsevec', ['{1:1.5,3:-2}/3'], { declared: 'sparsevec(3)' }),
  extension('postgis', 'geometry', ['POINT(1 2)', 'SRID=4326;LINESTRING(0 0,1 1)', 'POINT EMPTY'], { note: 'as its EWKB in hexadecimal digits' }), extension('postgis', 'geography', ['SRID=4326;POINT(1 2)'], { note: 'as its EWKB in hexadecimal digits' }),
  extension('postgis', 'box2d', ['BOX(0 0,1 1)']), extension('postgis', 'box3d', ['BOX3D(0 0 0,1 1 1)']),
  internalOf('hstore', 'ghstore'), internalOf('ltree', 'ltree_gist'), internalOf('intarray', 'intbig_gkey'), internalOf('pg_trgm', 'gtrgm'),
  ...['4', '8', '16', '32', '2', '_var'].map((size) => internalOf('btree_gist', `gbtreekey${size}`)),
];
