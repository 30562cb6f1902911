import { expect, test } from 'vitest';
import { dsync } from '../pairs/command.js';
import { openEnd, type End, type EndName } from '../pairs/ends/index.js';
import { describePair } from '../pairs/skip.js';
import { freshDatabase } from '../servers/index.js';
import type { RoundtripReport } from '../../src/coordinator/roundtrip.js';

const rehearse = async (source: string, destination: string, ...more: readonly string[]) => {
  const outcome = await dsync('doctor', source, destination, '--types', '--json', ...more);
  return { ...outcome, report: outcome.report as unknown as RoundtripReport };
};
const columnsIn = ({ columns }: RoundtripReport) => Object.fromEntries(columns.map((column) => [column.column, column]));

/** Nothing of what was made is left, and nothing else was made. */
async function expectUntouched(end: End, tables: readonly string[] = []): Promise<void> {
  expect(await end.tables()).toEqual(tables);
}

const schemasLeft = (server: 'postgres18' | 'mariadb') => async (end: End): Promise<unknown> => {
  const { connectText } = await import('../servers/index.js'), connection = await connectText(end.url);
  try {
    return await connection.query(server === 'mariadb' ? "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'dsync_types%'" : "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%dsync%'");
  } finally {
    await connection.end();
  }
};

const make = [
  "CREATE TYPE mood AS ENUM ('sad', 'happy')",
  'CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz NOT NULL, n numeric(10,2), f double precision, v varchar(10), m mood, iv interval)',
  "INSERT INTO t VALUES (1, 'infinity', 1.10, 0.5, 'a', 'sad', '1 day'), (2, now(), NULL, 'NaN', 'é', NULL, NULL), (3, now(), -1, -0.5, '', 'happy', '1 mon')",
];

describePair(['postgres18', 'mariadb'], 'doctor --types, postgres18 → mariadb', () => {
  test('counts the values that would be rejected, by column, with an example each, and leaves nothing behind', async () => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd.mariadb();
    await source.execute(...make);
    const { report, status, stderr } = await rehearse(source.url, destination.url);
    expect(status, stderr).toBe(6);
    const { at, f, n, ...others } = columnsIn(report);
    expect(at).toMatchObject({ rows: { tried: 3, rejected: 1, unequal: 0, example: { sent: 'infinity', reason: expect.stringContaining('at') } }, extremes: { rejected: 4, unequal: 0 } });
    expect(f).toMatchObject({ rows: { tried: 3, rejected: 1, unequal: 0, example: { sent: 'NaN' } }, extremes: { rejected: 3, unequal: 0 } });
    expect(n).toMatchObject({ rows: { tried: 2, rejected: 0, unequal: 0 }, extremes: { rejected: 1, example: { sent: 'NaN' } } });
    expect(others).toEqual({});
    expect(report.tables).toEqual([{ namespace: 'public.t', rows: 3, rejected: 2 }]);
    await expectUntouched(destination);
    await expectUntouched(source, ['t']);
    expect(await schemasLeft('mariadb')(destination)).toEqual([]);
  });

  test('tables of other columns are each tried', async () => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd.mariadb();
    await source.execute('CREATE TABLE a (id int PRIMARY KEY, v text)', 'CREATE TABLE b (n bigint, u uuid)', "INSERT INTO a VALUES (1, 'x')", 'INSERT INTO b VALUES (1, gen_random_uuid())');
    const { report, status, stderr } = await rehearse(source.url, destination.url);
    expect(status, stderr).toBe(0);
    expect(report.tables).toMatchObject([{ namespace: 'public.a', rows: 1 }, { namespace: 'public.b', rows: 1 }]);
  });

  test('a sample is as many rows as one says', async () => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd.mariadb();
    await source.execute('CREATE TABLE t (id int PRIMARY KEY, v text)', "INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 12000) g");
    const rowsOf = async (...more: readonly string[]) => {
      const { report, status, stderr } = await rehearse(source.url, destination.url, ...more);
      expect(status, stderr).toBe(0);
      return report.tables[0]!.rows;
    };
    expect([await rowsOf(), await rowsOf('--sample', '7'), await rowsOf('--sample', 'all'), await rowsOf('--sample', '0')]).toEqual([10_000, 7, 12_000, 0]);
  });
});

describePair(['postgres18'], 'doctor --types, postgres18 → postgres18', () => {
  test('a column that stands there and loses something is listed with what the plan says; the table itself is not touched', async () => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd.postgres18();
    await source.execute(...make);
    await destination.execute(make[0]!, make[1]!.replace('10,2', '10,1'), "INSERT INTO t VALUES (7, now(), 1, 1, 'there', NULL, NULL)");
    const { report, status, stderr } = await rehearse(source.url, destination.url);
    expect(status, stderr).toBe(0);
    expect(report.columns).toMatchObject([{ column: 'n', level: 'lossy', extremes: { unequal: expect.any(Number) } }]);
    expect(await destination.read('t', [{ name: 'id', kind: 'int', types: {} }])).toEqual([['7']]);
    expect(await schemasLeft('postgres18')(destination)).toEqual([]);
    await using fresh = await openEnd.postgres18();
    expect((await rehearse(source.url, fresh.url)).report).toMatchObject({ columns: [], untried: [{ column: 'm' }] });
  });
});

for (const [from, to] of [['mariadb', 'postgres18'], ['mysql9', 'mariadb'], ['sqlite', 'postgres18'], ['postgres18', 'sqlite'], ['postgres18', 'mongodb'], ['mariadb', 'mysql9']] as readonly (readonly [EndName, EndName])[]) {
  describePair([from, to], `doctor --types, ${from} → ${to}`, () => {
    test('no extreme value of the common types comes back changed', async () => {
      await using source = await openEnd[from]();
      await using destination = await openEnd[to]();
      await source.execute(...common[from.replace(/\d+$/, '') as keyof typeof common]);
      const { report, status, stderr } = await rehearse(source.url, destination.url);
      expect(status, stderr).toBe(0);
      expect(report.columns.filter(({ extremes, rows }) => extremes.unequal + rows.unequal + rows.rejected > 0)).toEqual([]);
      expect(report.tables.map(({ rows }) => rows)).toEqual([1]);
      await expectUntouched(destination);
    });
  });
}

const mysqlCommon = ['CREATE TABLE t (id bigint unsigned PRIMARY KEY, i1 tinyint, u3 mediumint unsigned, d decimal(65,30), f float, g double, c char(5), v varchar(20), b varbinary(300), bl longblob, dt date, tm time(6), at datetime(3), ts timestamp(6) NULL, e enum(\'a\', \'b\'), s set(\'x\', \'y\'), bi bit(11)) CHARACTER SET utf8mb4', 'INSERT INTO t (id) VALUES (1)'];
const common = {
  postgres: ['CREATE TABLE t (id bigint PRIMARY KEY, b boolean, i2 smallint, n numeric, n2 numeric(10,2), f4 real, f8 double precision, ch char(5), v varchar(20), tx text, by bytea, d date, tm time(3), ts timestamp, tz timestamptz(3), u uuid, j json, jb jsonb, bi bit(70), vb varbit(5))', 'INSERT INTO t (id) VALUES (1)'],
  mysql: mysqlCommon, mariadb: mysqlCommon,
  sqlite: ['CREATE TABLE t (id INTEGER PRIMARY KEY, r REAL, tx TEXT, b BLOB, f FLOAT32_BLOB, u UNSIGNED64_BLOB, d DECIMAL_TEXT(10,2), ti TIMESTAMP_TEXT(6))', "INSERT INTO t VALUES (1, 0.5, 'a', x'00', 0.5, 7, '1.10', '2024-01-01 00:00:00')"],
};

describePair(['mariadb'], 'doctor --types, mariadb → mariadb', () => {
  test('values that a column can not have are not tried', async () => {
    await using source = await openEnd.mariadb();
    await using destination = await openEnd.mariadb();
    await source.execute("CREATE TABLE t (id int PRIMARY KEY, y year, b binary(3), l varchar(9) CHARACTER SET latin1, u text CHARACTER SET utf8mb3)", "INSERT INTO t VALUES (1, 2155, 'abc', 'é', '€')");
    const { report, status, stderr } = await rehearse(source.url, destination.url);
    expect(status, stderr).toBe(0);
    expect(report.columns).toEqual([]);
  });
});

describePair(['mongodb', 'postgres18'], 'doctor --types, mongodb', () => {
  test('documents come back from SQL as they were, and from MongoDB', async () => {
    await using source = await freshDatabase('mongodb');
    await source.db.collection('c').insertMany([{ _id: 1 as never, a: [1, 'x', null], 10: 'ten' }, { b: new Date(0) }]);
    await using sql = await openEnd.postgres18();
    await using other = await freshDatabase('mongodb');
    for (const { url } of [sql, other]) {
      const { report, status, stderr } = await rehearse(source.url, url);
      expect(status, stderr).toBe(0);
      expect(report).toMatchObject({ columns: [], tables: [{ rows: 2 }] });
    }
    expect(await other.db.listCollections().toArray()).toEqual([]);
  });
});

test('a sample that is no number is a mistake, and one without --types too', async () => {
  for (const flags of [['--types', '--sample', 'some'], ['--sample', '5']]) expect((await dsync('doctor', 'sqlite:a.db', 'sqlite:b.db', ...flags)).status).toBe(2);
});
