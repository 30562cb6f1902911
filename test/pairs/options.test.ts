import { expect, test } from 'vitest';
import { syncJson } from './command.js';
import { expectTables } from './compare.js';
import { openEnd, sqlNames, type End, type EndName } from './ends/index.js';
import { describePair } from './skip.js';
import type { FixtureTable } from './table.js';

const items = (name: string, rows: FixtureTable['rows']): FixtureTable => ({
  name, key: ['id'], rows,
  columns: [
    // What SQLite calls an integer or a varchar may be of any size.
    { name: 'id', kind: 'int', types: { postgres: 'bigint', mysql: 'bigint', mariadb: 'bigint', sqlite: 'integer' } },
    { name: 'v', kind: 'text', types: { postgres: 'text', mysql: 'longtext', mariadb: 'longtext', sqlite: 'text' } },
  ],
});
const orders = items('orders', [['1', 'one'], ['2', 'two'], ['3', 'three']]);
const order_lines = items('order_lines', [['10', 'ten']]);
const people = items('people', [['5', 'Ada']]);

const pairs: readonly (readonly [EndName, EndName])[] = [...sqlNames.map((to) => ['postgres18', to] as const), ...sqlNames.map((to) => ['mariadb', to] as const), ['sqlite', 'sqlite'], ['postgres18', 'mongodb']];

for (const [from, to] of pairs) {
  describePair([from, to], `${from} → ${to}`, () => {
    test('takes only the namespaces that are asked for', async () => {
      await using ends = await opened([orders, order_lines, people]);
      await expectDone(ends, '--namespace', `${ends.source.prefix}order*`, '--exclude', `${ends.source.prefix}order_lines`);
      await expectTables(ends.destination, [orders]);
      expect(await tablesOf(ends.destination)).toEqual(['orders']);
    });

    test('renames a namespace', async () => {
      await using ends = await opened([orders, people]);
      await expectDone(ends, '--namespace', `${ends.source.prefix}orders:Orders copy`);
      await expectTables(ends.destination, [orders], () => 'Orders copy');
      expect(await tablesOf(ends.destination)).toEqual(['Orders copy']);
    });

    test('takes only the rows that a filter lets through, and compares only those', async () => {
      await using ends = await opened([orders, people]);
      const outcome = await expectDone(ends, '--where', `${ends.source.prefix}orders: id > 1 AND v <> 'three'`);
      await expectTables(ends.destination, [{ ...orders, rows: [['2', 'two']] }, people]);
      expect(outcome.report.verification?.map(({ namespace, sourceRows, destinationRows }) => [namespace, sourceRows, destinationRows]).sort()).toEqual([
        [`${ends.source.prefix}orders`, 1, 1], [`${ends.source.prefix}people`, 1, 1],
      ]);
    });

    test('refuses a namespace that matches nothing, and names it', async () => {
      await using ends = await opened([orders]);
      const outcome = await syncJson(ends.source.url, ends.destination.url, '--namespace', 'no such*');
      expect(outcome, outcome.stderr).toMatchObject({ status: 2 });
      expect(outcome.stderr + outcome.stdout).toContain('no such*');
    });
  });

  async function opened(tables: readonly FixtureTable[]): Promise<Ends> {
    const source = await openEnd[from]();
    const destination = await openEnd[to]();
    await source.make(tables);
    return { source, destination, [Symbol.asyncDispose]: async () => { await source[Symbol.asyncDispose](); await destination[Symbol.asyncDispose](); } };
  }
}

for (const to of sqlNames) {
  describePair(['sqlite', to], `a table with rows in ${to}`, () => {
    const standing = items('orders', [['2', 'old two'], ['9', 'nine']]);

    test('is refused, with the ways on, and left as it was', async () => {
      await using ends = await met(standing);
      const outcome = await syncJson(ends.source.url, ends.destination.url);
      expect(outcome, outcome.stderr).toMatchObject({ status: 5 });
      expect(outcome.stderr + outcome.stdout).toMatch(/append[^]*merge[^]*replace/);
      await expectTables(ends.destination, [standing]);
    });

    test('gets the new rows beside its own with append', async () => {
      const others = items('orders', [['7', 'seven'], ['9', 'nine']]);
      await using ends = await met(others);
      await expectDone(ends, '--existing', 'append');
      await expectTables(ends.destination, [{ ...orders, rows: [...orders.rows, ...others.rows] }]);
    });

    test('gets rows of the same key overwritten with merge', async () => {
      await using ends = await met(standing);
      await expectDone(ends, '--existing', 'merge');
      await expectTables(ends.destination, [{ ...orders, rows: [...orders.rows, ['9', 'nine']] }]);
    });

    test('gets all its rows replaced with replace', async () => {
      await using ends = await met(standing);
      await expectDone(ends, '--existing', 'replace');
      await expectTables(ends.destination, [orders]);
    });

    test('is refused where it does not fit, whatever is said of its rows', async () => {
      await using ends = await met({ ...standing, rows: [] }, 'ALTER TABLE orders DROP COLUMN v');
      const outcome = await syncJson(ends.source.url, ends.destination.url, '--existing', 'merge');
      expect(outcome, outcome.stderr).toMatchObject({ status: 5 });
      expect(outcome.stderr + outcome.stdout).toMatch(/\bv\b/);
    });

    async function met(table: FixtureTable, ...statements: readonly string[]): Promise<Ends> {
      const source = await openEnd.sqlite();
      const destination = await openEnd[to]();
      await source.make([orders]);
      await destination.make([table]);
      await destination.execute(...statements);
      return { source, destination, [Symbol.asyncDispose]: async () => { await source[Symbol.asyncDispose](); await destination[Symbol.asyncDispose](); } };
    }
  });
}

interface Ends extends AsyncDisposable { readonly source: End; readonly destination: End }

async function expectDone(ends: Ends, ...args: readonly string[]): ReturnType<typeof syncJson> {
  const outcome = await syncJson(ends.source.url, ends.destination.url, ...args);
  expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
  return outcome;
}

const tablesOf = async (end: End): Promise<readonly string[]> => (await end.tables()).filter((name) => !name.startsWith('_dsync'));
