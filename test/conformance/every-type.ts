/*
 * Tables with every type of an engine, with values at the edges of each: what the copy, the log and the verifier must spell alike.
 */

/** In PostgreSQL: `t`. */
export const everyType = `
  CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore;
  CREATE TYPE mood AS ENUM ('sad', 'it''s ok', '"'); CREATE DOMAIN positive AS numeric(10,2) CHECK (value > 0); CREATE DOMAIN more_positive AS positive;
  CREATE TABLE t (id int PRIMARY KEY, "Mixed ""name" bool, i2 smallint, i8 bigint, n numeric, n2 numeric(10,2), f4 real, f8 double precision, tx text, vc varchar(20), ch char(5), nm name,
    by bytea, d date, tm time, tm0 time(0), ts timestamp, ts3 timestamp(3), tz timestamptz, u uuid, js json, jb jsonb, en mood, bi bit(4), vb bit varying, iv interval, ttz timetz,
    ar int[], ta text[], ip inet, ci cidr, mc macaddr, rg int4range, pt point, mo money, xm xml, ct citext, hs hstore, dm more_positive, oi oid, ts_v tsvector, ea mood[]);
  INSERT INTO t VALUES
    (1, true, -32768, 9223372036854775807, 'NaN', 99999999.99, 'NaN', '-Infinity', E'a\\tb\\nc\\\\.\\r\\f\\x0b\\x08', '', 'ab', 'n', '\\x00ff5c', 'infinity', '24:00:00', '01:02:03', '-infinity', '2024-01-02 03:04:05.120', 'infinity',
      'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{"a": 1.00,  "a":12345678901234567890}', '{"b":1.0,"a":12345678901234567890}', 'it''s ok', '1010', '1', '1 year 2 mons -3 days 04:05:06.789', '03:04:05+02',
      '[2:3]={7,8}', '{"a,b","NULL",NULL,""}', '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '[1,5)', '(1.5,-0)', 12.34, '<a b="c">&amp;</a>', 'CiText', 'a=>1,b=>NULL', 0.01, 4294967295, 'a b:1', '{sad,"\\""}'),
    (2, false, 32767, -9223372036854775808, '123456789012345678901234567890.123456789000', -0.10, 0.1, '-0', '\\N', '\\N', '', '', '', '0044-03-15 BC', '00:00:00.000001', '00:00:00', '4713-01-01 BC', '294276-12-31 23:59:59.999', '0001-01-01 00:00:00.5+00 BC',
      '00000000-0000-0000-0000-000000000000', 'null', 'null', '"', '0000', '', '00:00:00', '00:00:00-15:59', '{}', '{}', '::1', '::/0', 'ff:ff:ff:ff:ff:ff', 'empty', '(NaN,Infinity)', -92233720368547758.08, '', '', '', 99999999.99, 0, '', '{}'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, true, 1, 9007199254740993, 1e-300, 1.00, 3.4028235e38, 5e-324, '😀' || chr(1114111), repeat('é', 20), 'a  b', repeat('n', 63), decode(repeat('ff00', 40000), 'hex'), '5874897-12-31', '23:59:59.9', '23:59:59', '2024-02-29 12:00:00.1', '1970-01-01', '2024-01-02 03:04:05.123456+05:30',
      'ffffffff-ffff-ffff-ffff-ffffffffffff', '"\\u0000"', '[1.10, "\\u00e9", {}]', 'sad', '1111', '111000111', '-178000000 years', '24:00:00+00', '{{1,2},{3,NULL}}', '{{"{}","\\\\"},{" ","\\t"}}', '10.0.0.1', '2001:db8::/32', '00:00:00:00:00:00', '(,3)', '(1e300,1)', 0, 'text', 'É', '"k e y"=>"v\\"al"', 1, 1, '''it'':1A', '{"it''s ok"}')`;

/** In MySQL and MariaDB: `hostile`. */
export const hostile = `SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; CREATE TABLE hostile (id BIGINT UNSIGNED PRIMARY KEY, t1 TINYINT, u1 TINYINT UNSIGNED, s SMALLINT, m MEDIUMINT UNSIGNED,
  i INT, z INT(7) UNSIGNED ZEROFILL, dz DECIMAL(8,2) UNSIGNED ZEROFILL, i64 BIGINT, u64 BIGINT UNSIGNED, d DECIMAL(65,30), f FLOAT, f2 FLOAT(7,2), db DOUBLE, db2 DOUBLE(20,4),
  b BIT(11), b64 BIT(64), y YEAR, dt DATE, dtm DATETIME(6), ts TIMESTAMP(6) NULL, ts0 TIMESTAMP NULL, tm TIME(6), c CHAR(10), v VARCHAR(200) CHARACTER SET utf8mb4, l1 VARCHAR(50) CHARACTER SET latin1,
  tx TEXT CHARACTER SET utf8mb4, bn BINARY(4), vb VARBINARY(300), bl LONGBLOB, e ENUM('a', 'b,''c', 'back\\\\slash') CHARACTER SET utf8mb4, st SET('x', 'y', 'z'), g GEOMETRY);
  INSERT INTO hostile VALUES (0, -128, 255, -32768, 16777215, -2147483648, 42, 12.5, -9223372036854775808, 18446744073709551615, '12345678901234567890123456789012345.012345678901234567890123456789',
    16777215.5, 12345.67, 0.30000000000000004, 1234.5678, b'10101', b'${'10'.repeat(32)}', 2024, '2024-02-29', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012', '2038-01-19 03:14:07', '-838:59:58.999999',
    'ab', 'tab\\t nl\\n cr\\r bs\\\\ nul\\0 q'' é 😀 \f\v\b \\N', 'é€ß', '', x'00ff0a09', x'5c4e09', x'000102ff', 'a', 'x,z', ST_GeomFromText('POINT(1 2)'));
  INSERT INTO hostile VALUES (18446744073709551615, 127, 0, 32767, 0, 2147483647, 0, 0, 9223372036854775807, 0, '-0.000000000000000000000000000001', 3.4028234663852886e38, -0.01, -1.7976931348623157e308, -1e10,
    0, 0, 0, '0000-00-00', '0000-00-00 00:00:00', '1970-01-01 00:00:01.000001', '1970-01-01 00:00:01', '838:59:59', '', '', '', '\\\\N', x'00000000', '', '', 'back\\\\slash', '', NULL);
  INSERT INTO hostile (id) VALUES (1);
  INSERT INTO hostile (id, f, db, y, dt, dtm, tm, e) VALUES (2, 1e-45, 5e-324, 1901, '9999-12-31', '2024-00-00 00:00:00', '00:00:00.5', 'b,''c'), (3, 0.1, -0e0, 2155, '0001-01-01', '1000-01-01 00:00:00.1', '23:59:59.999999', NULL);`;

/** What only one of them has: `own`. */
export const hostileMariadb = `CREATE TABLE own (id UUID PRIMARY KEY, j JSON, i4 INET4, i6 INET6);
  INSERT INTO own VALUES ('00112233-4455-6677-8899-aabbccddeeff', '{"a" : 1.10, "big": 12345678901234567890}', '127.0.0.1', '::1'), ('ffffffff-4455-6677-8899-aabbccddeeff', NULL, NULL, NULL)`;
export const hostileMysql = `CREATE TABLE own (id INT PRIMARY KEY, j JSON, p POINT SRID 4326, w VECTOR(3));
  INSERT INTO own VALUES (1, '{"b": 1.10, "a": [1, 2.0, "é\\\\n"], "big": 12345678901234567890}', ST_SRID(POINT(1, 2), 4326), TO_VECTOR('[1,2.5,-3]')), (2, 'null', NULL, NULL)`;
