import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { dsync, syncJson, type Outcome } from './command.js';
import { openEnd, type End, type EndName } from './ends/index.js';
import { describePair } from './skip.js';

/** How a table `t (id, v)` that takes five characters is made, and how it is widened later; `more` stands after the columns. */
interface Narrow { readonly make: (columns: string) => readonly string[]; readonly widen: readonly string[] }

const varchar = (change: string): Narrow => ({ make: (columns) => [`CREATE TABLE t (${columns}, v varchar(5))`], widen: [`ALTER TABLE t ${change}`] });
const narrows: Partial<Record<EndName, Narrow>> = {
  postgres18: varchar('ALTER COLUMN v TYPE varchar(50)'),
  mysql9: varchar('MODIFY v varchar(50)'),
  mariadb: varchar('MODIFY v varchar(50)'),
  sqlite: {
    make: (columns) => [`CREATE TABLE t (${columns}, v text CHECK (length(v) <= 5 OR EXISTS_WIDE = 1), EXISTS_WIDE integer DEFAULT 0)`.replaceAll('EXISTS_WIDE', 'w')],
    widen: ['ALTER TABLE t RENAME TO old', 'CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v text)', 'INSERT INTO t SELECT id, v FROM old', 'DROP TABLE old'],
  },
};

const idOnly = [{ name: 'id', kind: 'int', types: {} }] as const;
const both = [...idOnly, { name: 'v', kind: 'text', types: {} }] as const;
const rowsOf = async (end: End) => (await end.read('t', both)).map(([id, v]) => `${id} ${v}`).sort();

const replayOf = (source: End, destination: End) => (run: string, ...args: readonly string[]): Promise<Outcome> => dsync('replay', run, '--json', '--source', source.url, '--destination', destination.url, ...args);
const runOf = ({ report }: Outcome): string => (report as { run: string }).run;
const linesOf = (path: string) => readFileSync(path, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);

for (const name of ['postgres18', 'mysql9', 'mariadb'] as const) {
  describePair(['postgres18', name], `rows that ${name} has rejected`, () => {
    const { make, widen } = narrows[name]!;

    test('are written by a replay once they fit, verified, and leave the file', async () => {
      await using source = await openEnd.postgres18();
      await using destination = await openEnd[name]();
      const replay = replayOf(source, destination);
      await source.execute('CREATE TABLE t (id integer PRIMARY KEY, v text)', "INSERT INTO t VALUES (1, 'one'), (2, 'much too long'), (3, 'three'), (4, 'too long as well')");
      await destination.execute(...make('id integer NOT NULL PRIMARY KEY'));
      const copied = await syncJson(source.url, destination.url), run = runOf(copied), path = copied.report.rejected!.path!;
      expect(copied, copied.stderr).toMatchObject({ status: 6, report: { rejected: { count: 2 } } });
      expect(linesOf(path)).toMatchObject([{ version: 2, namespace: 'public.t', key: 'id=2', reason: expect.stringMatching(/\bv\b/), row: { id: 2, v: 'much too long' } }, { key: 'id=4' }]);

      expect(await replay(run)).toMatchObject({ status: 6, report: { written: 0, left: [{ key: 'id=2' }, { key: 'id=4' }] } });
      await destination.execute(...widen);
      expect(await replay(run, '--dry-run')).toMatchObject({ status: 6, report: { written: 2 } });
      expect(await rowsOf(destination)).toEqual(['1 one', '3 three']);
      const done = await replay(run);
      expect(done, done.stderr).toMatchObject({ status: 0, report: { written: 2, left: [], rejected: { count: 0 }, verification: [{ result: 'equal', rejected: 0 }] } });
      expect(await rowsOf(destination)).toEqual(['1 one', '2 much too long', '3 three', '4 too long as well']);
      expect(existsSync(path)).toBe(false);
      expect(linesOf(path.replace('.ndjson', '.replayed.ndjson'))).toMatchObject([{ key: 'id=2', done: 'written' }, { key: 'id=4', done: 'written' }]);
      expect((await dsync('runs')).stdout).toMatch(new RegExp(`${run} +done +done`));
    });

    test('of a table without a key are written as often as they were rejected', async () => {
      await using source = await openEnd.postgres18();
      await using destination = await openEnd[name]();
      const replay = replayOf(source, destination);
      await source.execute('CREATE TABLE t (id integer, v text)', "INSERT INTO t VALUES (1, 'one'), (2, 'much too long'), (2, 'much too long'), (2, 'too long as well')");
      await destination.execute(...make('id integer'));
      const copied = await syncJson(source.url, destination.url), run = runOf(copied);
      expect(copied, copied.stderr).toMatchObject({ status: 6, report: { rejected: { count: 3 } } });
      await destination.execute(...widen);
      expect(await replay(run)).toMatchObject({ status: 0, report: { written: 3, left: [], verification: [{ result: 'equal' }] } });
      expect(await rowsOf(destination)).toEqual(['1 one', '2 much too long', '2 much too long', '2 too long as well']);
      expect(await replay(run)).toMatchObject({ status: 0, report: { written: 0 } });
      expect((await rowsOf(destination)).length).toBe(4);
    });

    test('can be mended in the file, are told where their key has other values, and overwritten where the user says so', async () => {
      await using source = await openEnd.postgres18();
      await using destination = await openEnd[name]();
      const replay = replayOf(source, destination);
      await source.execute('CREATE TABLE t (id integer PRIMARY KEY, v text)', "INSERT INTO t VALUES (1, 'one'), (2, 'much too long'), (3, 'too long as well')");
      await destination.execute(...make('id integer NOT NULL PRIMARY KEY'));
      const copied = await syncJson(source.url, destination.url), run = runOf(copied), path = copied.report.rejected!.path!;
      await destination.execute("INSERT INTO t VALUES (3, 'mine')");
      writeFileSync(path, readFileSync(path, 'utf8').replace('"much too long"', '"short"').replace('"too long as well"', '"less"').trimEnd());
      const first = await replay(run);
      expect(first, first.stderr).toMatchObject({ status: 6, report: { written: 1, left: [{ key: 'id=3', reason: expect.stringContaining('other values') }] } });
      expect(await rowsOf(destination)).toEqual(['1 one', '2 short', '3 mine']);
      expect(await replay(run, '--overwrite')).toMatchObject({ status: 0, report: { written: 1, left: [] } });
      expect(await rowsOf(destination)).toEqual(['1 one', '2 short', '3 less']);
    });
  });
}
