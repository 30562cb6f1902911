import { expect, test } from 'vitest';
import { dsync, syncJson } from './command.js';
import { endNames, openEnd, type End } from './ends/index.js';
import { describePair } from './skip.js';
import type { FixtureColumn, Kind } from './table.js';

const made = 'generator:?namespaces=2&rows=3000&seed=7&nulls=0.2&unicode=0.3';

const columnsOf = (kinds: Readonly<Record<string, Kind>>): readonly FixtureColumn[] => Object.entries(kinds).map(([name, kind]) => ({ name, kind, types: {} }));
const data = { account: 'int', amount: 'decimal', active: 'bool', status: 'text', created_at: 'timestamp', note: 'text' } as const;
const keys: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
  int: { id: 'int' }, uuid: { id: 'uuid' }, text: { id: 'text' }, composite: { tenant: 'int', code: 'text' }, none: { id: 'int' },
};

for (const to of endNames.filter((name) => name !== 'sqlite')) {
  describePair([to], `generator → ${to}`, () => {
    test.each(Object.keys(keys))('puts the same rows there as into SQLite, with key %s', async (key) => {
      await using here = await openEnd.sqlite();
      await using there = await openEnd[to]();
      for (const end of [here, there]) {
        const outcome = await syncJson(`${made}&key=${key}`, end.url);
        expect(outcome, outcome.stderr).toMatchObject({ status: 0, report: { rows: 6_000 } });
      }
      for (const table of ['fake_1', 'fake_2']) {
        const [expected, found] = [await sortedRows(here, table, key), await sortedRows(there, table, key)];
        expect(expected).toHaveLength(3_000);
        expect(found.filter((row, i) => row !== expected[i]).slice(0, 5)).toEqual([]);
        expect(found).toHaveLength(3_000);
      }
    });
  });
}

test('a generator is verified again, and a spoilt row is named', async () => {
  await using here = await openEnd.sqlite();
  expect(await syncJson(made, here.url)).toMatchObject({ status: 0 });
  const outcome = await dsync('verify', made, here.url, '--json');
  expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
  await here.execute("UPDATE fake_1 SET note = 'spoilt' WHERE id = 1234");
  const spoilt = await dsync('verify', made, here.url, '--json');
  expect(spoilt).toMatchObject({ status: 4 });
  expect(spoilt.stdout).toContain('id=1234');
});

test.each(['memory:test', 'null:'])('a generator goes to %s', async (destination) => {
  const outcome = await syncJson(made, destination);
  expect(outcome, outcome.stderr).toMatchObject({ status: 0, report: { rows: 6_000 } });
});

async function sortedRows(end: End, table: string, key: string): Promise<readonly string[]> {
  return (await end.read(table, columnsOf({ ...keys[key], ...data }))).map((row) => JSON.stringify(row)).sort();
}
