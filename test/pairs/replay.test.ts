import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { freshDatabase } from '../servers/index.js';
import { dsync, syncJson, type Outcome } from './command.js';
import { openEnd, type End, type EndName } from './ends/index.js';
import { describePair } from './skip.js';

/** How a table `t (id, v)` that takes five characters is made, and how it is widened later. */
interface Narrow { readonly make: (columns: string) => readonly string[]; readonly widen: readonly string[] }

const varchar = (change: string): Narrow => ({ make: (columns) => [`CREATE TABLE t (${columns}, v varchar(5))`], widen: [`ALTER TABLE t ${change}`] });
const narrows: Partial<Record<EndName, Narrow>> = {
  postgres18: varchar('ALTER COLUMN v TYPE varchar(50)'),
  mysql9: varchar('MODIFY v varchar(50)'),
  mariadb: varchar('MODIFY v varchar(50)'),
};

const both = [{ name: 'id', kind: 'int', types: {} }, { name: 'v', kind: 'text', types: {} }] as const;
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

describePair(['postgres18'], 'lines of a reject file', () => {
  test('that do not tell all, or are no rows of the run, are not written', async () => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd.postgres18();
    const replay = replayOf(source, destination);
    await source.execute('CREATE TABLE t (id integer PRIMARY KEY, v text)', "INSERT INTO t VALUES (1, 'one'), (2, 'much too long')", 'CREATE TABLE k (v text)', "INSERT INTO k VALUES ('much too long')");
    await destination.execute('CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(5))', 'CREATE TABLE k (v varchar(5))');
    const copied = await syncJson(source.url, destination.url), run = runOf(copied), path = copied.report.rejected!.path!, file = `${path}.mended`;
    await destination.execute('ALTER TABLE t ALTER v TYPE text', 'ALTER TABLE k ALTER v TYPE text');
    const lines = linesOf(path), write = (...some: readonly object[]) => writeFileSync(file, some.map((line) => `${JSON.stringify(line)}\n`).join(''));
    const keyed = lines.find(({ key }) => key === 'id=2')!, keyless = lines.find(({ keyless }) => keyless)!;
    write({ ...keyed, partial: true }, { ...keyless, position: '0/1' });
    expect(await replay(run, '--file', file)).toMatchObject({ status: 6, report: { written: 0, left: [{ key: 'id=2', reason: expect.stringContaining('some of its cells') }, { key: 'v="much too long"', reason: expect.stringContaining('copy the table anew') }] } });
    for (const [line, message] of [[{ ...keyed, row: { id: 2 } }, /mended:1: v is missing/], [{ ...keyed, row: { id: '2', v: 'x' } }, /id can't be "2"/], [{ ...keyed, namespace: 'public.other' }, /no table public\.other/]] as const) {
      write(line);
      expect(await replay(run, '--file', file)).toMatchObject({ status: 2, report: { error: { code: 'usage', message: expect.stringMatching(message) } } });
    }
    expect(await replay(run, '--file', `${path}.absent`)).toMatchObject({ status: 2, report: { error: { message: expect.stringContaining('there is no file') } } });
    write({ ...keyed, row: { id: 2, v: 'short' } });
    expect(await replay(run, '--file', file)).toMatchObject({ status: 6, report: { written: 1, rejected: { count: 1 } } });
    expect(linesOf(path)).toMatchObject([{ keyless: true }]);
    expect(await replay(run)).toMatchObject({ status: 0, report: { written: 1, rejected: { count: 0 } } });
    expect(await rowsOf(destination)).toEqual(['1 one', '2 short']);
  });
});

describePair(['postgres18'], 'rows that SQLite has rejected', () => {
  test('are written by a replay once no constraint keeps them out', async () => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd.sqlite();
    const replay = replayOf(source, destination);
    await source.execute('CREATE TABLE t (id integer PRIMARY KEY, v text)', "INSERT INTO t VALUES (1, 'one'), (2, 'much too long'), (3, 'mine')");
    await destination.execute('CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v TEXT CHECK (length(v) <= 5))', "INSERT INTO t VALUES (3, 'ours')");
    const copied = await syncJson(source.url, destination.url, '--existing', 'append'), run = runOf(copied);
    expect(copied, copied.stderr).toMatchObject({ status: 6, report: { rejected: { count: 2 } } });
    expect(linesOf(copied.report.rejected!.path!)).toMatchObject([{ key: 'id=2', reason: expect.stringContaining('CHECK') }, { key: 'id=3', reason: expect.stringContaining('UNIQUE') }]);
    await destination.execute('ALTER TABLE t RENAME TO old', 'CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v TEXT)', 'INSERT INTO t SELECT * FROM old', 'DROP TABLE old');
    expect(await replay(run)).toMatchObject({ status: 6, report: { written: 1, left: [{ key: 'id=3', reason: expect.stringContaining('other values') }] } });
    expect(await replay(run, '--overwrite', '--no-verify')).toMatchObject({ status: 0, report: { written: 1, unverified: expect.any(String) } });
    expect(await rowsOf(destination)).toEqual(['1 one', '2 much too long', '3 mine']);
  });
});

describe('values of any type', () => {
  test('of SQLite wait in the file, and come back as they were', async () => {
    await using source = await openEnd.sqlite();
    await using destination = await openEnd.sqlite();
    const replay = replayOf(source, destination), values = ["9007199254740993", '1.0', "'1'", "x'00ff'", 'NULL', '9e999', '-1.5e-300', "CAST(x'610062' AS TEXT)"];
    await source.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, v)', `INSERT INTO t (v) VALUES ${values.map((value) => `(${value})`).join(', ')}`);
    await destination.execute('CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v, CHECK (id < 0))');
    const copied = await syncJson(source.url, destination.url), run = runOf(copied);
    expect(copied, copied.stderr).toMatchObject({ status: 6, report: { rejected: { count: values.length } } });
    await destination.execute('DROP TABLE t', 'CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v)');
    expect(await replay(run)).toMatchObject({ status: 0, report: { written: values.length, verification: [{ result: 'equal' }] } });
    const typed = async (end: End) => {
      await end.execute('CREATE VIEW typed AS SELECT id, typeof(v) AS kind, hex(v) AS bytes FROM t');
      return end.read('typed', [{ name: 'id', kind: 'int', types: {} }, { name: 'kind', kind: 'text', types: {} }, { name: 'bytes', kind: 'text', types: {} }]);
    };
    expect(await typed(destination)).toEqual(await typed(source));
  });
});

describePair(['mongodb', 'postgres18'], 'documents', () => {
  test('that PostgreSQL has rejected are written as they were, once they fit', async () => {
    await using source = await freshDatabase('mongodb');
    await using destination = await openEnd.postgres18();
    await source.db.collection('t').insertMany([{ _id: 1 as never, v: 'one' }, { _id: 2 as never, v: 'much too long for it', n: { 10: 1, 9: [NaN] } }]);
    await destination.execute('CREATE TABLE t (_id text NOT NULL PRIMARY KEY, document json NOT NULL CHECK (length(document::text) < 40))');
    const copied = await syncJson(source.url, destination.url), run = runOf(copied), path = copied.report.rejected!.path!;
    expect(copied, copied.stderr).toMatchObject({ status: 6, report: { rejected: { count: 1 } } });
    expect(linesOf(path)).toMatchObject([{ row: { document: { json: expect.stringMatching(/^\{"_id":\{"\$numberInt":"2"\}/) } } }]);
    await destination.execute('ALTER TABLE t DROP CONSTRAINT t_document_check');
    const done = await dsync('replay', run, '--json', '--source', source.url, '--destination', destination.url);
    expect(done, done.stderr).toMatchObject({ status: 0, report: { written: 1, verification: [{ result: 'equal' }] } });
  });

  test('that MongoDB has rejected wait as their very bytes', async () => {
    await using source = await freshDatabase('mongodb');
    await using destination = await freshDatabase('mongodb');
    await source.db.collection('t').insertMany([{ _id: 1 as never, v: 'a' }, { _id: 2 as never, v: 'b', n: 1.5 }]);
    await destination.db.collection('t').createIndex({ v: 1 }, { unique: true });
    await destination.db.collection('t').insertOne({ _id: 9 as never, v: 'b' });
    const copied = await syncJson(source.url, destination.url, '--existing', 'append'), run = runOf(copied), path = copied.report.rejected!.path!;
    expect(copied, copied.stderr).toMatchObject({ status: 6, report: { rejected: { count: 1 } } });
    expect(linesOf(path)).toMatchObject([{ reason: expect.stringContaining('duplicate'), row: { document: { bytes: expect.stringMatching(/^[0-9a-f]+$/), json: expect.any(String) } } }]);
    await destination.db.collection('t').deleteOne({ _id: 9 as never });
    const done = await dsync('replay', run, '--json', '--source', source.url, '--destination', destination.url);
    expect(done, done.stderr).toMatchObject({ status: 0, report: { written: 1 } });
    expect(await destination.db.collection('t').find().sort({ _id: 1 }).toArray()).toEqual(await source.db.collection('t').find().sort({ _id: 1 }).toArray());
  });
});
