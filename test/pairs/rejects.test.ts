import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { syncJson } from './command.js';
import { openEnd, type EndName } from './ends/index.js';
import { describePair } from './skip.js';

/** Rows 1 and 3 of a table `t (id, v)` go through; row 2 holds what the destination can't. */
interface Case {
  readonly what: string;
  readonly from: readonly EndName[];
  readonly to: readonly EndName[];
  /** Statements that make and fill the table. */
  readonly make: readonly string[];
}

const rows = (type: string, good: string, bad: string): readonly string[] => [
  `CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v ${type})`,
  `INSERT INTO t VALUES (1, ${good}), (2, ${bad}), (3, ${good})`,
];
const anyDate = "SET sql_mode = ''";
const bothPostgres = ['postgres18', 'postgres14'] as const;
const bothMysql = ['mysql9', 'mariadb'] as const;

const cases: readonly Case[] = [
  { what: '\\0 in a text', from: bothMysql, to: bothPostgres, make: rows('varchar(20) CHARACTER SET utf8mb4', "'a'", "'a\\0b'") },
  { what: '\\0 in a text', from: ['sqlite'], to: bothPostgres, make: rows('text', "'a'", "CAST(x'610062' AS TEXT)") },
  { what: 'a zero date', from: bothMysql, to: bothPostgres, make: [anyDate, ...rows('date', "'2026-01-01'", "'0000-00-00'")] },
  { what: 'a date with a zero day', from: bothMysql, to: bothPostgres, make: [anyDate, ...rows('datetime(6)', "'2026-01-01 00:00:00'", "'2026-01-00 00:00:00'")] },
  { what: 'hours past a day', from: bothMysql, to: bothPostgres, make: rows('time(3)', "'23:59:59.999'", "'-838:59:59'") },
  { what: 'NaN', from: bothPostgres, to: bothMysql, make: rows('double precision', '1.5', "'NaN'") },
  { what: 'an infinite float', from: bothPostgres, to: bothMysql, make: rows('real', '1.5', "'-Infinity'") },
  { what: 'NaN in a numeric', from: bothPostgres, to: bothMysql, make: rows('numeric(10,2)', '1.5', "'NaN'") },
  { what: 'a year before 1', from: bothPostgres, to: bothMysql, make: rows('date', "'2026-01-01'", "'0044-03-15 BC'") },
  { what: 'a year past 9999', from: bothPostgres, to: bothMysql, make: rows('timestamp(6)', "'2026-01-01'", "'20000-01-01'") },
  { what: 'an infinite timestamp', from: bothPostgres, to: bothMysql, make: rows('timestamptz', "'2026-01-01 00:00:00Z'", "'infinity'") },
];

for (const { what, from, to, make } of cases) {
  for (const source of from) {
    for (const destination of to) {
      describePair([source, destination], `${source} → ${destination}, ${what}`, () => {
        test('sets the one row aside with its reason, and moves the others', async () => {
          await using one = await openEnd[source]();
          await using other = await openEnd[destination]();
          await one.execute(...make);
          const outcome = await syncJson(one.url, other.url);
          expect.soft(outcome, outcome.stderr).toMatchObject({ status: 6 });
          expect.soft((await other.read('t', [{ name: 'id', kind: 'int', types: {} }])).map(([id]) => id).sort()).toEqual(['1', '3']);
          expectOneReject(outcome.report.rejected, /"id":\s*"?2"?/);
        });
      });
    }
  }
}

for (const destination of bothMysql) {
  describePair(['postgres18', destination], `postgres18 → ${destination}, a key of 5,000 characters`, () => {
    test('sets the one row aside with its reason, and moves the others', async () => {
      await using one = await openEnd.postgres18();
      await using other = await openEnd[destination]();
      await one.execute('CREATE TABLE t (id text PRIMARY KEY, v integer)', "INSERT INTO t VALUES ('1', 1), (repeat('x', 2500) || repeat('y', 2500), 2), ('3', 3)");
      const outcome = await syncJson(one.url, other.url);
      expect.soft(outcome, outcome.stderr).toMatchObject({ status: 6 });
      expect.soft((await other.read('t', [{ name: 'v', kind: 'int', types: {} }])).map(([v]) => v).sort()).toEqual(['1', '3']);
      expectOneReject(outcome.report.rejected, /xxxxyyyy/);
    });
  });
}

function expectOneReject(rejected: { readonly count: number; readonly path?: string } | undefined, row: RegExp): void {
  expect(rejected).toMatchObject({ count: 1, path: expect.any(String) as string });
  const lines = readFileSync(rejected!.path!, 'utf8').trim().split('\n');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(row);
  expect(JSON.parse(lines[0]!)).toMatchObject({ reason: expect.stringMatching(/\w{3}/) as string });
}
