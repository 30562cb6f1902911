import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { openEnd, type End, type EndName } from '../pairs/ends/index.js';
import { describePair } from '../pairs/skip.js';
import { Command, type Running } from './command.js';
import { uncommitted, unacknowledged } from './points.js';
import type { Point } from './scene.js';
import { Wires } from './wires.js';

/* Rows that the destination can't hold, in runs and replays that are killed. Rows are `id`, and `v` that takes five characters there. */

const column = (name: string) => ({ name, kind: 'text', types: {} }) as const;
const rowsOf = async (end: End) => (await end.read('t', [column('id'), column('v')])).map((cells) => cells.join(' ')).sort();
const widen: Partial<Record<EndName, string>> = { postgres18: 'ALTER TABLE t ALTER COLUMN v TYPE varchar(50)', mysql9: 'ALTER TABLE t MODIFY v varchar(50)', mariadb: 'ALTER TABLE t MODIFY v varchar(50)' };
const linesOf = (path: string) => readFileSync(path, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { readonly key: string });
/** A row that is told twice counts as its last line has it. */
const keysIn = (path: string) => [...new Set(linesOf(path).map(({ key }) => key))].sort();

interface Pair extends AsyncDisposable { readonly source: End; readonly destination: End; readonly wires: Wires; readonly command: Command }

async function pairOf(from: EndName, to: EndName, ...flags: readonly string[]): Promise<Pair> {
  const source = await openEnd[from](), destination = await openEnd[to](), wires = await Wires.between(source.url, destination.url), command = new Command(wires, flags);
  return {
    source, destination, wires, command,
    async [Symbol.asyncDispose]() {
      command[Symbol.dispose]();
      for (const one of [wires, destination, source]) await one[Symbol.asyncDispose]();
    },
  };
}

async function killAt({ wires }: Pair, running: Running, point: Point): Promise<void> {
  const tooEarly = running.ended.then(({ by, stderr }) => { throw new Error(`dsync ended (${by}) too early:\n${stderr}`); });
  tooEarly.catch(() => undefined);
  for (const [i, sign] of point.entries()) {
    if (i > 0 && !('says' in point[i - 1]!)) wires.release();
    await Promise.race([('says' in sign ? running.says(sign.says) : wires.stopAt(sign)), tooEarly]);
  }
  running.kill('SIGKILL');
  await running.ended;
  wires.release();
}

/** What is on its way takes a moment. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300 && !(await condition()); tries++) await delay(100);
  expect(await condition()).toBe(true);
}

for (const to of ['postgres18', 'mysql9', 'mariadb'] as const) {
  describePair(['postgres18', to], `a replay from postgres18 to ${to} of a table without a key`, () => {
    it.each([['the destination has a batch and dsync is not told', unacknowledged(to, 2)], ['a batch is on its way', uncommitted(to, 2)]])('writes every row once, though it is killed when %s', async (_, point) => {
      await using pair = await pairOf('postgres18', to);
      const { source, destination, command } = pair;
      await source.execute('CREATE TABLE t (id integer, v text)', "INSERT INTO t SELECT i / 2, CASE WHEN i % 3 = 0 THEN 'short' ELSE 'much too long' END FROM generate_series(1, 2400) i", "INSERT INTO t VALUES (1, '1234567890123456789012345678901234567890123456789012345678901234567890')");
      await destination.execute('CREATE TABLE t (id integer, v varchar(5))');
      const copied = await command.sync().ended;
      expect([copied.by, copied.report.rejected?.count], copied.stderr).toEqual([6, 1601]);
      await destination.execute(widen[to]!);
      await killAt(pair, command.replay(copied.report.run), point);
      const second = await command.replay(copied.report.run).ended;
      expect([second.by, second.report.rejected?.count], second.stderr).toEqual([6, 1]);
      const wanted = (await rowsOf(source)).filter((row) => row.length < 60);
      expect(await rowsOf(destination)).toEqual(wanted);
      const third = await command.replay(copied.report.run).ended;
      expect([third.by, (await rowsOf(destination)).length], third.stderr).toEqual([6, wanted.length]);
    });
  });
}

const kept: Partial<Record<EndName, Point>> = {
  postgres18: [{ side: 'destination', way: 'asked', text: /rejected = \$3/ }, { side: 'destination', way: 'asked', text: /COMMIT\0/, unanswered: true }],
  mysql9: [{ side: 'destination', way: 'asked', text: /REPLACE INTO [^]*_dsync_lane[^]*too long/ }, { side: 'destination', way: 'asked', text: /COMMIT/, unanswered: true }],
};

for (const to of ['postgres18', 'mysql9'] as const) {
  describePair(['postgres18', to], `a live run from postgres18 to ${to}`, () => {
    it('tells a rejected row though it was killed before it could, and a replay brings back no older row', async () => {
      await using pair = await pairOf('postgres18', to, '--existing', 'append');
      const { source, destination, command } = pair;
      await source.execute('CREATE TABLE t (id integer PRIMARY KEY, v text)', "INSERT INTO t VALUES (1, 'one')");
      await destination.execute('CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(5))');
      const first = command.sync('--live');
      await first.says(/follow/);
      const killed = killAt(pair, first, kept[to]!);
      await source.execute("INSERT INTO t VALUES (2, 'much too long')");
      await killed;

      const running = command.resume();
      await running.says(/a row was rejected/);
      const { run } = await command.status(), path = join(command.state, 'rejects', `${run}.ndjson`);
      await source.execute("INSERT INTO t VALUES (3, 'too long: gone'), (4, 'too long: same'), (5, 'too long: other'), (6, 'too long: short')");
      await until(async () => keysIn(path).length === 5);
      await source.execute("UPDATE t SET v = 'six' WHERE id = 6");
      await until(async () => (await rowsOf(destination)).includes('6 six'));
      expect(keysIn(path)).toEqual(['id=2', 'id=3', 'id=4', 'id=5', 'id=6']);
      running.kill('SIGINT');
      expect((await running.ended).by).toBe(130);
      expect((await command.status()).rejected).toBe(5);

      await source.execute('DELETE FROM t WHERE id = 3', "UPDATE t SET v = 'too long: changed' WHERE id = 5");
      await destination.execute(widen[to]!);
      const replayed = await command.replay(run).ended;
      expect([replayed.by, replayed.report], replayed.stderr).toEqual([0, expect.objectContaining({ written: 3, there: 1, gone: 1, left: [], unverified: expect.stringContaining('follows its source') })]);
      expect(await rowsOf(destination)).toEqual(['1 one', '2 much too long', '4 too long: same', '5 too long: changed', '6 six']);
      expect(existsSync(path)).toBe(false);

      const last = command.resume();
      await last.says(/follow/);
      await source.execute("INSERT INTO t VALUES (7, 'seven, which fits now')");
      await until(async () => JSON.stringify(await rowsOf(destination)) === JSON.stringify(await rowsOf(source)));
      last.kill('SIGINT');
      await last.ended;
      expect(existsSync(path), 'what was replayed is not told again').toBe(false);
    });
  });
}

describePair(['postgres18'], 'more rejected rows than --max-rejects', () => {
  it('stop a copy, which goes on with more of them; those of all processes count', async () => {
    await using pair = await pairOf('postgres18', 'postgres18', '--batch-size', '100 rows', '--concurrency', '1');
    const { source, destination, command } = pair;
    await source.execute('CREATE TABLE t (id integer PRIMARY KEY, v text)', "INSERT INTO t SELECT i, CASE WHEN i % 100 = 7 THEN 'much too long' ELSE 'short' END FROM generate_series(1, 2000) i");
    await destination.execute('CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(5))');
    const first = await command.sync('--max-rejects', '3').ended;
    expect([first.by, first.report], first.stderr).toEqual([7, { error: expect.objectContaining({ code: 'waiting', namespace: 'public.t', message: expect.stringMatching(/^4 rows were rejected, more than --max-rejects 3; the last one of public\.t: .*too long.*\.ndjson$/s), remedy: expect.stringMatching(/dsync resume \S+ --max-rejects 30/) }), run: expect.any(String) }]);
    const second = await command.resume().ended;
    expect(second.by, second.stderr).toBe(7);
    const last = await command.resume('--max-rejects', '20').ended;
    expect([last.by, last.report.rejected?.count], last.stderr).toEqual([6, 20]);
    expect(new Set(linesOf(last.report.rejected!.path!).map(({ key }) => key)).size).toBe(20);
    expect((await rowsOf(destination)).length).toBe(1980);
  });

  it('are not those that the source has mended before the run went on', async () => {
    await using pair = await pairOf('postgres18', 'postgres18', '--batch-size', '100 rows', '--concurrency', '1');
    const { source, destination, command } = pair;
    await source.execute('CREATE TABLE t (id integer PRIMARY KEY, v text)', "INSERT INTO t SELECT i, CASE WHEN i % 100 = 7 THEN 'much too long' ELSE 'short' END FROM generate_series(1, 900) i");
    await destination.execute('CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(5))');
    expect((await command.sync('--max-rejects', '3').ended).by).toBe(7);
    await source.execute("UPDATE t SET v = 'fits' WHERE id = 7", 'DELETE FROM t WHERE id = 107');
    const last = await command.resume('--max-rejects', '20').ended;
    expect([last.by, last.report.rejected?.count], last.stderr).toEqual([6, 7]);
    expect(linesOf(last.report.rejected!.path!).map(({ key }) => key).sort()).toEqual([207, 307, 407, 507, 607, 707, 807].map((id) => `id=${id}`));
    expect((await rowsOf(destination)).filter((row) => row.startsWith('7 '))).toEqual(['7 fits']);
  });

  it('are one, where none is allowed, also while the log is followed', async () => {
    await using pair = await pairOf('postgres18', 'postgres18');
    const { source, destination, command } = pair;
    await source.execute('CREATE TABLE t (id integer PRIMARY KEY, v text)', "INSERT INTO t VALUES (1, 'one')");
    await destination.execute('CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(5))');
    const running = command.sync('--live', '--max-rejects', '0');
    await running.says(/follow/);
    await source.execute("INSERT INTO t VALUES (2, 'much too long')");
    const stopped = await running.ended;
    expect([stopped.by, stopped.stderr]).toEqual([7, expect.stringMatching(/1 row was rejected, more than --max-rejects 0/)]);
    const again = await command.resume().ended;
    expect([again.by, again.stderr]).toEqual([7, expect.stringMatching(/1 row was rejected/)]);
    const last = command.resume('--max-rejects', '1');
    await source.execute("INSERT INTO t VALUES (3, 'three')");
    await until(async () => (await rowsOf(destination)).length === 2);
    last.kill('SIGINT');
    expect((await last.ended).by).toBe(130);
  });
});

describePair(['postgres18'], 'a reject file that can not be written', () => {
  it('stops the run, which loses no row', async () => {
    await using pair = await pairOf('postgres18', 'postgres18');
    const { source, destination, command } = pair;
    await source.execute('CREATE TABLE t (id integer PRIMARY KEY, v text)', "INSERT INTO t VALUES (1, 'one'), (2, 'much too long'), (3, 'three')");
    await destination.execute('CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(5))');
    // No rights would keep root out of it: the folder itself is gone.
    const folder = join(command.state, 'rejects');
    const running = command.sync();
    await running.says(/reading the source/);
    rmSync(folder, { recursive: true });
    const first = await running.ended;
    expect([first.by, first.stderr]).toEqual([1, expect.stringMatching(/state can't be (written|opened|used)/)]);
    mkdirSync(folder);
    const last = await command.resume().ended;
    expect([last.by, last.report.rejected?.count], last.stderr).toEqual([6, 1]);
    expect(linesOf(last.report.rejected!.path!).map(({ key }) => key)).toEqual(['id=2']);
    expect(await rowsOf(destination)).toEqual(['1 one', '3 three']);
  });
});
