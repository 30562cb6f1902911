import { describe, expect, test } from 'vitest';
import { dsync, syncJson } from './command.js';
import { openEnd, type EndName } from './ends/index.js';
import { describePair } from './skip.js';

const pairs: readonly (readonly [EndName, EndName])[] = [
  ['postgres18', 'postgres18'], ['postgres18', 'mysql9'], ['postgres18', 'sqlite'], ['postgres14', 'mariadb'], ['mysql9', 'postgres18'], ['mysql9', 'mysql9'],
  ['mariadb', 'sqlite'], ['mariadb', 'mariadb'], ['sqlite', 'postgres18'], ['sqlite', 'sqlite'], ['sqlite', 'mysql9'], ['postgres18', 'mongodb'], ['sqlite', 'mongodb'],
];
const made = (source: EndName) => [
  'CREATE TABLE orders (id integer NOT NULL PRIMARY KEY, customer varchar(20), total integer)',
  "INSERT INTO orders VALUES (1, 'ada', 5), (2, 'bob', 7), (3, 'ada', 9)",
  'CREATE VIEW customers AS SELECT customer, count(*) AS orders, sum(total) AS total FROM orders GROUP BY customer',
  'CREATE VIEW names AS SELECT customer FROM orders',
  ...(source.startsWith('postgres') ? ['CREATE MATERIALIZED VIEW large AS SELECT id, total FROM orders WHERE total > 5', 'CREATE INDEX large_total ON large (total)', 'CREATE UNIQUE INDEX large_id ON large (id)'] : []),
];
const column = (name: string) => ({ name, kind: 'text', types: {} }) as const;

for (const [from, to] of pairs) {
  describePair([from, to], `views of ${from} as tables of ${to}`, () => {
    test('hold what the views show, beside the tables, and are verified', async () => {
      await using source = await openEnd[from]();
      await using destination = await openEnd[to]();
      await source.execute(...made(from));
      const outcome = await syncJson(source.url, destination.url, '--views', 'as-tables');
      expect(outcome, outcome.stderr).toMatchObject({ status: 0, report: { status: 'done' } });
      const isMaterialized = from.startsWith('postgres');
      expect(outcome.report.verification!.map(({ namespace, result, sourceRows }) => [namespace.replace(source.prefix, ''), result, sourceRows]).sort())
        .toEqual([['customers', 'equal', 2], ...(isMaterialized ? [['large', 'equal', 2]] : []), ['names', 'equal', 3], ['orders', 'equal', 3]]);
      expect((await destination.tables()).filter((name) => !name.startsWith('_dsync')).sort()).toEqual(['customers', ...(isMaterialized ? ['large'] : []), 'names', 'orders']);
      expect((await destination.read('names', [column('customer')])).map(([name]) => name).sort()).toEqual(['ada', 'ada', 'bob']);
      expect((await destination.read('customers', [column('customer'), column('orders'), column('total')])).map((cells) => cells.join(' ').replace(/\.0+\b/g, '')).sort()).toEqual(['ada 2 14', 'bob 1 7']);
      const verified = await dsync('verify', source.url, destination.url, '--views', 'as-tables', '--json');
      expect(verified, verified.stderr).toMatchObject({ status: 0, report: { status: 'done' } });
    });
  });
}

describePair(['postgres18'], 'views of PostgreSQL', () => {
  test('are named by the plan, chosen by patterns, and have no log', async () => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd.postgres18();
    await source.execute(...made('postgres18'));
    const plan = await dsync('plan', source.url, destination.url, '--views', 'as-tables', '--exclude', 'names', '--json');
    expect((plan.report as { namespaces: { namespace: string; staged: boolean; objects: { name: string }[] }[] }).namespaces.map(({ namespace, staged, objects }) => [namespace, staged, objects.map(({ name }) => name)]))
      .toEqual([['public.customers', true, []], ['public.large', true, ['large_id', 'large_total']], ['public.orders', false, expect.anything()]]);
    expect((await syncJson(source.url, destination.url, '--views', 'as-tables', '--live')).report.error).toMatchObject({ code: 'usage', message: expect.stringMatching(/public\.customers, public\.large, public\.names: a view has no log/) });
    await source.execute('CREATE MATERIALIZED VIEW empty AS SELECT * FROM orders WITH NO DATA');
    expect((await syncJson(source.url, destination.url, '--views', 'as-tables')).report.error).toMatchObject({ code: 'not-ready', message: expect.stringMatching(/public\.empty was never filled/), remedy: expect.stringMatching(/REFRESH MATERIALIZED VIEW/) });
    const done = await syncJson(source.url, destination.url, '--views', 'as-tables', '--exclude', 'empty');
    expect(done, done.stderr).toMatchObject({ status: 0 });
    await destination.execute("CREATE VIEW kept AS SELECT indexname FROM pg_indexes WHERE tablename = 'large'");
    expect((await destination.read('kept', [column('indexname')])).map(([name]) => name).sort()).toEqual(['large_id', 'large_total']);
  });
});

describe('views of SQLite', () => {
  test('keep values of any type that they show', async () => {
    await using source = await openEnd.sqlite();
    await using destination = await openEnd.sqlite();
    await source.execute('CREATE TABLE t (id integer PRIMARY KEY, n integer, r real, x text)', "INSERT INTO t VALUES (1, 5, 1.0, '5')", "CREATE VIEW v AS SELECT n AS a, r AS b FROM t UNION ALL SELECT '12', 3 FROM t UNION ALL SELECT x'00ff', NULL FROM t");
    const outcome = await syncJson(source.url, destination.url, '--views', 'as-tables');
    expect(outcome, outcome.stderr).toMatchObject({ status: 0, report: { status: 'done' } });
    for (const end of [source, destination]) await end.execute('CREATE VIEW typed AS SELECT typeof(a) AS k, hex(a) AS h, typeof(b) AS l, hex(b) AS g FROM v');
    const typed = async (end: typeof source) => (await end.read('typed', ['k', 'h', 'l', 'g'].map(column))).map((cells) => cells.join(' ')).sort();
    expect(await typed(destination)).toEqual(await typed(source));
  });
});
