import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { RoundtripReport } from '../../src/coordinator/roundtrip.js';
import { dsync, syncJson } from '../pairs/command.js';
import { openEnd, type EndName } from '../pairs/ends/index.js';
import { describePair } from '../pairs/skip.js';
import { fillTypes, type TypedSource } from '../pairs/type-tables.js';

/** How many values of each column come to grief, by `table.column`. */
type Counts = Readonly<Record<string, number>>;

const bare = (namespace: string): string => namespace.split('.').at(-1)!;
const counted = (names: readonly string[]): Counts => Object.fromEntries([...new Set(names)].sort().map((name) => [name, names.filter((one) => one === name).length]));

async function foretold(source: string, destination: string): Promise<{ readonly rejected: Counts; readonly changed: Counts; readonly byTable: Counts; readonly status: number | null }> {
  const { report, status, stderr } = await dsync('doctor', source, destination, '--types', '--sample', 'all', '--json'), { columns, tables } = report as unknown as RoundtripReport;
  expect(columns, stderr).toBeDefined();
  const of = (what: 'rejected' | 'unequal') => Object.fromEntries(columns.flatMap(({ namespace, column, rows }) => (rows[what] > 0 ? [[`${bare(namespace)}.${column}`, rows[what]] as const] : [])).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { rejected: of('rejected'), changed: of('unequal'), byTable: Object.fromEntries(tables.flatMap(({ namespace, rejected }) => (rejected > 0 ? [[bare(namespace), rejected]] : []))), status };
}

interface Rejected { readonly namespace: string; readonly row: Readonly<Record<string, unknown>> }
interface Verified { readonly namespace: string; readonly changed: number; readonly differences: readonly { readonly columns?: readonly { readonly name: string }[] }[] }

/** What became of them. Every row has one value beside its key. */
async function happened(source: string, destination: string, ...flags: readonly string[]): Promise<{ readonly rejected: Counts; readonly changed: Counts; readonly byTable: Counts }> {
  const plan = JSON.parse((await dsync('plan', source, destination, ...flags.filter((flag) => flag !== 'append' && flag !== '--existing'), '--json')).stdout) as { readonly namespaces: readonly { readonly namespace: string; readonly columns: readonly { readonly name: string; readonly level: string }[] }[] };
  const lossy = plan.namespaces.flatMap(({ namespace, columns }) => columns.flatMap(({ name, level }) => (level === 'lossy' ? ['--accept-loss', `${bare(namespace)}.${name}`] : [])));
  const { report, stderr } = await syncJson(source, destination, ...flags, ...lossy);
  expect(report.rejected, stderr).toBeDefined();
  const rows = report.rejected?.path === undefined ? [] : readFileSync(report.rejected.path, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Rejected);
  const rejected = rows.map(({ namespace, row }) => `${bare(namespace)}.${Object.keys(row).find((name) => name !== 'id' && row[name] !== null)}`);
  const verified = (report.verification ?? []) as unknown as readonly Verified[];
  return {
    rejected: counted(rejected), byTable: counted(rows.map(({ namespace }) => bare(namespace))),
    changed: counted(verified.flatMap(({ namespace, differences }) => differences.flatMap(({ columns = [] }) => columns.map(({ name }) => `${bare(namespace)}.${name}`)))),
  };
}

for (const [from, to] of [['postgres18', 'mariadb'], ['mariadb', 'postgres18'], ['sqlite', 'postgres18'], ['postgres18', 'sqlite'], ['mysql9', 'mongodb'], ['postgres18', 'postgres14']] as readonly (readonly [TypedSource, EndName])[]) {
  describePair([from, to], `doctor --types and sync, ${from} → ${to}`, () => {
    test('reject the same values of every type, and change none else', async () => {
      await using source = await openEnd[from]();
      await using destination = await openEnd[to]();
      const tables = await fillTypes(source, from, to);
      if (to === 'postgres14') await destination.execute(...['citext', 'hstore', 'ltree', 'cube', 'seg', 'isn', 'intarray'].map((name) => `CREATE EXTENSION ${name}`), ...tables.flatMap(({ create }) => create.slice(0, -1)));
      const { status, ...told } = await foretold(source.url, destination.url), done = await happened(source.url, destination.url);
      expect(told).toEqual(done);
      expect(status).toBe(Object.keys(done.rejected).length > 0 ? 6 : 0);
    });
  });
}

describePair(['postgres18'], 'doctor --types and sync, into a table that stands', () => {
  test('reject and change the same values', async () => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd.postgres18();
    await source.execute('CREATE TABLE t (id int PRIMARY KEY, n numeric(10,2), at timestamp, v varchar(10), f float8, i bigint)',
      "INSERT INTO t (id, n) VALUES (1, 1.25), (2, 1.5), (3, 99999999.99)", "INSERT INTO t (id, at) VALUES (4, '2024-01-01 00:00:00.123456'), (5, '2024-01-01')", "INSERT INTO t (id, v) VALUES (6, 'abcdefgh'), (7, 'abc'), (13, 'space ')", 'INSERT INTO t (id, f) VALUES (8, 0.1), (9, 0.5), (10, 1e300)', 'INSERT INTO t (id, i) VALUES (11, 3000000000), (12, 7)');
    await destination.execute('CREATE TABLE t (id int PRIMARY KEY, n numeric(9,1), at timestamp(0), v varchar(5), f real, i int)');
    const { status, ...told } = await foretold(source.url, destination.url), done = await happened(source.url, destination.url, '--existing', 'append');
    expect(told).toEqual(done);
    expect(told).toMatchObject({ rejected: { 't.n': 1, 't.v': 1, 't.f': 1, 't.i': 1 }, byTable: { t: 4 } });
    // A space beyond the five is cut in silence by the server.
    expect(told.changed).toMatchObject({ 't.v': 1 });
    expect(status).toBe(4);
  });
});

describePair(['postgres18', 'mariadb'], 'doctor --types of a table with more refused rows than are looked at one by one', () => {
  test('counts them all', async () => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd.mariadb();
    await source.execute('CREATE TABLE t (id int PRIMARY KEY, at timestamptz)', "INSERT INTO t SELECT g, CASE WHEN g % 10 = 0 THEN 'infinity'::timestamptz ELSE now() END FROM generate_series(1, 4000) g");
    const { report, stdout } = await dsync('doctor', source.url, destination.url, '--types', '--sample', 'all', '--json'), { tables, columns } = report as unknown as RoundtripReport;
    expect(tables, stdout).toEqual([{ namespace: 'public.t', rows: 4000, rejected: 400 }]);
    expect(columns).toMatchObject([{ column: 'at', rows: { rejected: 400, tried: 4000 } }]);
  });
});
