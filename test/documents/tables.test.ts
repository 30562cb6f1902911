import { expect, test } from 'vitest';
import { dsync, syncJson } from '../pairs/command.js';
import { openEnd } from '../pairs/ends/index.js';
import { describePair } from '../pairs/skip.js';
import { freshDatabase } from '../servers/index.js';

/* A table goes to MongoDB and comes back as columns: into a new table, and into one that is made like the first. */

const pairTable = ['CREATE TABLE pair (a int NOT NULL, b varchar(20) NOT NULL, v varchar(20), PRIMARY KEY (a, b))', `INSERT INTO pair VALUES (1, 'x', 'v'), (1, 'y', NULL), (2, 'x', '')`];

const postgres = {
  make: [`CREATE TABLE t (id int PRIMARY KEY, big bigint, small smallint, num numeric(12,3), free numeric, f double precision, ok boolean, name varchar(20), txt text, raw bytea, day date, at timestamptz, milli timestamptz(3),
    wall timestamp, tim time, u uuid, jb jsonb, js json, ip inet, arr int[], bits bit(8), span interval)`, pairTable[0]],
  fill: [`INSERT INTO t VALUES (1, 9007199254740993, -32768, 1.500, 1.10, '-0', true, 'näme', '{"no": "json"', '\\x00ff', '2024-02-29', '2024-01-01 00:00:00.123456+00', '2024-01-01 00:00:00.12+00', 'infinity', '23:59:59.5',
      'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": 1.50, "a": [null]}', '{"b":1, "a":  2}', '10.0.0.1/8', '{1,NULL,3}', '00000001', '1 day 02:00:00'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, -9223372036854775808, 0, -123456789.123, 'NaN', 'NaN', false, '', '', '', '0001-01-01', '1970-01-01 00:00:00+00', '1970-01-01 00:00:00+00', '4000-01-01 BC', '00:00:00', '00000000-0000-0000-0000-000000000000', '"x"', 'null', '::1', '{}', '11111111', '-1 mon')`, pairTable[1]],
  // A wall clock at infinity is text like the others.
  types: ['bigint', 'bytea', 'boolean', 'double precision', 'integer', 'numeric', 'text', 'timestamp with time zone', 'uuid'],
};

const mysql = {
  make: [`CREATE TABLE t (id int PRIMARY KEY, big bigint, ubig bigint unsigned, tiny tinyint(1), num decimal(12,3), f double, name varchar(20), txt longtext, raw varbinary(20), day date, at datetime(6), ts timestamp NULL, tim time, y year, e enum('a','b'), s set('x','y'), js json)
    CHARACTER SET utf8mb4`, pairTable[0]],
  fill: [`INSERT INTO t VALUES (1, 9007199254740993, 18446744073709551615, 1, 1.500, 0.1, 'näme', '{"no": "json"', x'00ff', '2024-02-29', '2024-01-01 00:00:00.123456', '2024-01-01 00:00:00', '-100:59:59', 1999, 'b', 'x,y', '{"b": 1.5, "a": [null]}'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, -9223372036854775808, 0, 0, -123456789.123, -1e300, '', '[', '', '1000-01-01', '9999-12-31 23:59:59', '1970-01-01 00:00:01', '00:00:00', 0, 'a', '', '"x"')`, pairTable[1]],
  types: ['bigint', 'datetime', 'decimal', 'double', 'int', 'longblob', 'longtext'],
};

for (const [name, { make, fill, types }] of [['postgres18', postgres], ['mariadb', mysql], ['mysql9', mysql]] as const) {
  describePair(['mongodb', name], `${name} → mongodb → ${name}`, () => {
    const cells = name === 'postgres18' ? 't::text' : 'id, big, ubig, tiny, num, f, name, txt, hex(raw) AS raw, day, at, ts, tim, y, e, s, js';
    test('every value comes back, in a table like the first; a new table has the types that BSON tells, the key and no other column', async () => {
      await using first = await freshDatabase(name);
      await using between = await freshDatabase('mongodb');
      await using like = await freshDatabase(name);
      await using fresh = await freshDatabase(name);
      for (const sql of [...make, ...fill]) await first.query(sql!);
      for (const sql of make) await like.query(sql!);
      const there = await syncJson(first.url, between.url);
      expect(there, there.stderr).toMatchObject({ status: 0 });
      for (const to of [like, fresh]) {
        const back = await syncJson(between.url, to.url, '--document', 'columns');
        expect(back, back.stderr).toMatchObject({ status: 0 });
        expect(await dsync('verify', between.url, to.url, '--document', 'columns')).toMatchObject({ status: 0 });
      }
      expect(await like.query(`SELECT ${cells} FROM t ORDER BY id`)).toEqual(await first.query(`SELECT ${cells} FROM t ORDER BY id`));
      expect(await like.query('SELECT * FROM pair ORDER BY a, b')).toEqual(await first.query('SELECT * FROM pair ORDER BY a, b'));
      expect(await fresh.query('SELECT * FROM pair ORDER BY a, b')).toEqual(await first.query('SELECT * FROM pair ORDER BY a, b'));
      const schema = name === 'postgres18' ? `'public'` : 'database()';
      const columns = await fresh.query(`SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_schema = ${schema} AND table_name = 't' ORDER BY ordinal_position`);
      const were = await first.query(`SELECT column_name AS name FROM information_schema.columns WHERE table_schema = ${schema} AND table_name = 't' ORDER BY ordinal_position`);
      expect(columns.map((column) => column.name)).toEqual([...were.map((column) => column.name), ...(name === 'postgres18' ? [] : ['_rest'])]);
      expect([...new Set(columns.map((column) => column.type))].sort()).toEqual([...types].sort());
      const same = await dsync('verify', first.url, like.url);
      expect(same, same.stdout).toMatchObject({ status: 0 });
    });
  });
}

describePair(['mongodb', 'sqlite'], 'sqlite → mongodb → sqlite', () => {
  test('every value comes back', async () => {
    await using first = await openEnd.sqlite();
    await using between = await freshDatabase('mongodb');
    await using fresh = await openEnd.sqlite();
    await first.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, big INTEGER, f REAL, txt TEXT, raw BLOB)', `INSERT INTO t VALUES (1, 9007199254740993, 0.1, 'näme', x'00ff'), (2, NULL, NULL, NULL, NULL), (-3, 0, 1e300, '', x'')`, ...pairTable);
    expect(await syncJson(first.url, between.url)).toMatchObject({ status: 0 });
    const back = await syncJson(between.url, fresh.url, '--document', 'columns');
    expect(back, back.stderr).toMatchObject({ status: 0 });
    const same = await dsync('verify', first.url, fresh.url);
    expect(same, same.stdout).toMatchObject({ status: 0 });
    expect((await fresh.tables()).filter((name) => !name.startsWith('_dsync')).sort()).toEqual(['pair', 't']);
  });
});

describePair(['mongodb', 'sqlite'], 'a document that is no row like the others', () => {
  test('comes with a rest, like all of its collection', async () => {
    await using source = await freshDatabase('mongodb');
    await using table = await openEnd.sqlite();
    await source.db.collection<{ _id: number }>('t').insertMany([{ _id: 1, id: 1, v: 'x' }, { _id: 2, id: 2, v: 'y' }, { _id: 3, id: 4, v: 'z' }] as never);
    expect(await syncJson(source.url, table.url, '--document', 'columns')).toMatchObject({ status: 0 });
    const rows = await table.read('t', ['_id', 'id', '_rest'].map((name) => ({ name, kind: 'text', types: {} })));
    expect([...rows].sort()).toEqual([['1', '1', null], ['2', '2', null], ['3', '4', null]]);
  });
});
