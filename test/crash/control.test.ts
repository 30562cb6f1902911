import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ownServer, type ServerName } from '../servers/index.js';
import type { Running, Status } from './command.js';
import type { EndName, SqlEnd, Table } from './ends.js';
import { describeEnds, Scene, type Point } from './scene.js';

/* One table at a time, and shapes that change, in a live run that is killed on the way. */

const pairs: readonly (readonly [ServerName, ServerName])[] = [['postgres18', 'mariadb'], ['mariadb', 'postgres18']];

for (const [from, to] of pairs) {
  describeEnds([from, to], `${from} to ${to}, a table whose shape changes`, () => {
    it('stops before the first row of it with 7, and goes on once the destination fits: no value shifts, and none is lost', async () => {
      await using scene = await liveScene(from, to);
      const { source, destination } = ends(scene);
      const running = await following(scene, '--live');
      await source.query("UPDATE items SET note = 'before' WHERE id < 50");
      await source.query('ALTER TABLE items DROP COLUMN n');
      await source.query('ALTER TABLE items ADD COLUMN more int DEFAULT 7');
      await source.query("UPDATE items SET note = 'after', more = 8 WHERE id = 1");
      await source.query('UPDATE pairs SET v = -5');
      for (const by of [running, scene.command.resume()]) {
        const { by: status, stderr } = await by.ended;
        expect(status, stderr).toBe(7);
        expect(stderr).toMatch(/items changed its shape in the source \(.*dropped n/);
      }
      expect(await destination.query("SELECT count(*) AS n FROM items WHERE note = 'before'")).toEqual([{ n: '49' }]);
      await destination.query('ALTER TABLE items DROP COLUMN n');
      // What a user does who acts half: on MySQL the two changes are known as one by now, on PostgreSQL too.
      const half = scene.command.resume();
      expect((await half.ended).stderr).toMatch(/does not fit.*more/s);
      await destination.query('ALTER TABLE items ADD COLUMN more int');
      const last = await following(scene);
      await becomesEqual(scene, changed(scene, 'items', ['id', 'note', 'pad', 'more']));
      await stopped(last);
    });
  });

  describeEnds([from, to], `${from} to ${to}, shapes that change in a run that applies them`, () => {
    it('are made in the destination: added, dropped and widened columns, and new tables, through kills', async () => {
      await using scene = await liveScene(from, to);
      const { source, destination } = ends(scene), wide = from === 'mariadb' ? 'MODIFY v bigint' : 'ALTER v TYPE bigint';
      const writing = async (what: string) => { for (let id = 1; id < 40; id++) await source.query(`UPDATE items SET note = '${what} ${id}' WHERE id = ${id}`); };
      const first = await following(scene, '--live', '--on-ddl', 'apply');
      await writing('before');
      await source.query("ALTER TABLE items ADD COLUMN more varchar(20) DEFAULT 'by default'");
      await writing('added');
      await scene.killAt(first, [{ says: /items: resync: it changed its shape \(added more/ }]);
      await source.query(`ALTER TABLE pairs ${wide}`);
      await source.query('UPDATE pairs SET v = 5000000000 WHERE tenant = 0');
      const second = await following(scene);
      await eventually(async () => expect((await destination.query('SELECT max(v) AS v FROM pairs'))[0]!.v).toBe('5000000000'));
      await source.query('ALTER TABLE words DROP COLUMN n');
      await source.query("INSERT INTO words (word) VALUES ('without n')");
      await source.query("UPDATE items SET more = 'later' WHERE id < 5");
      second.kill('SIGKILL');
      await second.ended;
      await source.query('CREATE TABLE later (id int PRIMARY KEY, v int)');
      await source.query('INSERT INTO later VALUES (1, 1), (2, 2), (3, 3)');
      const last = await following(scene);
      await eventually(async () => expect(await destination.query('SELECT count(*) AS n FROM later')).toEqual([{ n: '3' }]));
      await source.query('UPDATE later SET v = 20 WHERE id = 2');
      const later: Table = { name: 'later', key: [0], count: 0, columns: [{ name: 'id', type: 'int' }, { name: 'v', type: 'int' }], row: () => [] };
      const tables = changed(scene, 'items', ['id', 'n', 'note', 'pad', 'more']).map((table) => (table.name === 'words' ? { ...table, columns: [table.columns[0]!] } : table));
      await becomesEqual(scene, [...tables, later]);
      expect(Object.keys((await destination.query('SELECT * FROM words LIMIT 1'))[0]!)).toEqual(['word']);
      await stopped(last);
    });

    it('are made once where dsync is killed while the destination makes them, whether it comes to know of that or not', async () => {
      await using scene = await liveScene(from, to);
      const { source, destination } = ends(scene);
      let running = await following(scene, '--live', '--on-ddl', 'apply');
      const columns = ['id', 'n', 'note', 'pad'], altering = (column: string) => ({ side: 'destination' as const, way: 'asked' as const, text: new RegExp(`ADD COLUMN \\S*${column}`) });
      const points: readonly Point[] = [
        [altering('c0')], [{ ...altering('c1'), unanswered: true }],
        // In PostgreSQL it is made by then, and committed.
        ...(to === 'postgres18' ? [[altering('c2'), { side: 'destination' as const, way: 'asked' as const, text: /COMMIT\0/, unanswered: true }]] : []),
      ];
      for (const [i, point] of points.entries()) {
        await source.query(`INSERT INTO items (id, n) VALUES (${50_000 + i}, ${i})`);
        await source.query('UPDATE pairs SET v = v + 1');
        await source.query(`ALTER TABLE items ADD COLUMN c${i} int DEFAULT ${i}`);
        columns.push(`c${i}`);
        await Promise.all([scene.killAt(running, point), source.query(`UPDATE items SET c${i} = 77 WHERE id < 20`)]);
        running = await following(scene);
        // A table that is altered again before its log was read is another test's matter.
        await eventually(async () => expect(await destination.query(`SELECT count(*) AS n FROM items WHERE c${i} = 77`)).toEqual([{ n: '19' }]));
      }
      await becomesEqual(scene, changed(scene, 'items', columns));
      await stopped(running);
    });

    it('and tables that are made meanwhile are copied, with what was written to them before they were found, and before a cutover', async () => {
      await using scene = await liveScene(from, to);
      const { source, destination } = ends(scene);
      const running = await following(scene, '--live', '--on-ddl', 'apply'), { run } = await scene.command.status();
      await source.query('CREATE TABLE soon (id int PRIMARY KEY, v int)');
      await source.query('INSERT INTO soon VALUES (1, 1), (2, 2), (3, 3)');
      await source.query('UPDATE soon SET v = 20 WHERE id = 2');
      const start = performance.now();
      await eventually(async () => expect(await destination.query('SELECT id, v FROM soon ORDER BY id')).toEqual([{ id: '1', v: '1' }, { id: '2', v: '20' }, { id: '3', v: '3' }]));
      // MySQL's and MariaDB's log tells of it; PostgreSQL is asked every 10 s.
      if (from === 'mariadb') expect(performance.now() - start).toBeLessThan(8000);
      await source.query('DELETE FROM soon WHERE id = 3');
      await source.query('CREATE TABLE late (id int PRIMARY KEY, v int)');
      await source.query('INSERT INTO late VALUES (1, 1)');
      let last = await scene.command.cutover(run).ended;
      if (from === 'postgres18') expect([last.by, last.stderr]).toEqual([7, expect.stringMatching(/late is new in the source, and copied first/)]);
      for (; last.by === 7 || last.by === 5; last = await scene.command.cutover(run).ended) await delay(500);
      expect(last.by, last.stderr).toBe(0);
      expect((await running.ended).by).toBe(0);
      expect(await destination.query('SELECT id, v FROM late')).toEqual([{ id: '1', v: '1' }]);
      expect(await destination.query('SELECT id FROM soon ORDER BY id')).toEqual([{ id: '1' }, { id: '2' }]);
    });

    it('stop it where they can not be applied, before the first row', async () => {
      await using scene = await liveScene(from, to);
      const { source, destination } = ends(scene), change = from === 'mariadb' ? 'MODIFY n varchar(40)' : 'ALTER n TYPE varchar(40)';
      const running = await following(scene, '--live', '--on-ddl', 'apply');
      await source.query(`ALTER TABLE words ${change}`);
      await source.query("UPDATE words SET n = 'not a number'");
      const { by, stderr } = await running.ended;
      expect([by, stderr]).toEqual([7, expect.stringMatching(/words changed its shape.*can't simply be widened/s)]);
      await destination.query(to === 'mariadb' ? 'ALTER TABLE words MODIFY n varchar(40)' : 'ALTER TABLE words ALTER n TYPE varchar(40)');
      const last = await following(scene);
      await becomesEqual(scene);
      await stopped(last);
    });
  });

  describeEnds([from, to], `${from} to ${to}, shapes that change in a run that ignores them`, () => {
    it('leave the destination as it is: rows go by the names of their columns', async () => {
      await using scene = await liveScene(from, to);
      const { source, destination } = ends(scene);
      const first = await following(scene, '--live', '--on-ddl', 'ignore');
      await source.query(`ALTER TABLE items ${from === 'mariadb' ? "ADD COLUMN more varchar(20) DEFAULT 'x' FIRST" : "ADD COLUMN more varchar(20) DEFAULT 'x'"}`);
      await source.query('ALTER TABLE items DROP COLUMN note');
      await source.query('UPDATE items SET n = n + 1000 WHERE id < 100');
      await eventually(async () => expect(await destination.query('SELECT count(*) AS n FROM items WHERE n >= 1000')).toEqual([{ n: '99' }]));
      first.kill('SIGKILL');
      await first.ended;
      await source.query("INSERT INTO items (id, n, pad) VALUES (100000, 7, 'p')");
      await source.query('DELETE FROM items WHERE id = 5');
      const last = await following(scene);
      await becomesEqual(scene, changed(scene, 'items', ['id', 'n', 'pad']));
      expect(await destination.query('SELECT count(*) AS n FROM items WHERE note IS NOT NULL')).not.toEqual([{ n: '0' }]);
      expect(await destination.query('SELECT note FROM items WHERE id = 100000')).toEqual([{ note: null }]);
      await source.query(`ALTER TABLE items ${from === 'mariadb' ? 'MODIFY n varchar(9)' : 'ALTER n TYPE varchar(9)'}`);
      await source.query("UPDATE items SET n = 'x' WHERE id = 1");
      expect((await last.ended)).toMatchObject({ by: 7, stderr: expect.stringMatching(/this can't be ignored: n is/) });
    });

    it('take them up in a resync: new columns are made and filled, those that are gone stay, through kills', async () => {
      await using scene = await liveScene(from, to);
      const { source, destination } = ends(scene);
      const first = await following(scene, '--live', '--on-ddl', 'ignore');
      const { run } = await scene.command.status();
      await source.query("ALTER TABLE items ADD COLUMN more varchar(20) DEFAULT 'x', DROP COLUMN note");
      await source.query("UPDATE items SET n = n + 1000, more = 'y' WHERE id < 100");
      await eventually(async () => expect(await destination.query('SELECT count(*) AS n FROM items WHERE n >= 1000')).toEqual([{ n: '99' }]));
      const notes = await destination.query('SELECT count(*) AS n FROM items WHERE note IS NOT NULL');
      const asking = scene.command.tables(run, 'resync', 'items');
      await scene.killAt(first, [{ side: 'destination', way: 'asked', text: /ADD COLUMN \S*more/, unanswered: true }]);
      await asking.ended;
      const last = await following(scene);
      await source.query("UPDATE items SET more = 'z' WHERE id = 1");
      await becomesEqual(scene, changed(scene, 'items', ['id', 'n', 'pad', 'more']));
      expect(await destination.query('SELECT count(*) AS n FROM items WHERE note IS NOT NULL')).toEqual(notes);
      await source.query('ALTER TABLE items ADD COLUMN again int');
      await source.query("UPDATE items SET again = 7, more = 'still followed' WHERE id = 2");
      await becomesEqual(scene, changed(scene, 'items', ['id', 'n', 'pad', 'more']));
      await stopped(last);
    });
  });

  describeEnds([from, to], `${from} to ${to}, one table of a live run`, () => {
    it('is paused, resumed, resynced and added while the others are followed, through kills', async () => {
      await using scene = await liveScene(from, to);
      const { source, destination } = ends(scene), prefix = source.prefix;
      let running = await following(scene, '--live');
      const { run } = await scene.command.status();
      const ask = async (action: 'pause' | 'resume' | 'resync' | 'add', name: string) => {
        const { by, stderr } = await scene.command.tables(run, action, name).ended;
        expect(by, stderr).toBe(0);
      };
      const again = async () => {
        running.kill('SIGKILL');
        await running.ended;
        running = await following(scene);
      };
      const writer = await scene.write();
      await ask('pause', `${prefix}pairs`);
      await ask('pause', 'log');
      const before = await destination.query('SELECT sum(v) AS v, count(*) AS n FROM pairs');
      await writer.more(300);
      await again();
      await writer.more(300);
      await scene.command.status().then(({ tables }) => expect(tables).toContainEqual(expect.objectContaining({ namespace: `${prefix}pairs`, state: 'paused', why: 'by request' })));
      await source.query("UPDATE words SET n = 4711 WHERE word LIKE 'b-word-1%'");
      await eventually(async () => expect((await destination.query("SELECT count(*) AS n FROM words WHERE n = 4711"))[0]!.n).not.toBe('0'));
      expect(await destination.query('SELECT sum(v) AS v, count(*) AS n FROM pairs')).toEqual(before);
      await ask('resume', `${prefix}pairs`);
      await ask('resume', `${prefix}log`);
      await again();
      await writer.more(200);
      await source.query('CREATE TABLE later (id int PRIMARY KEY, v int)');
      await source.query('INSERT INTO later VALUES (1, 1), (2, 2), (3, 3)');
      await ask('add', 'later');
      await again();
      await source.query('UPDATE later SET v = 20 WHERE id = 2');
      await source.query('DELETE FROM later WHERE id = 3');
      await destination.query('UPDATE words SET n = 12345');
      await ask('resync', 'words');
      await writer.more(200);
      await writer.stop();
      const later: Table = { name: 'later', key: [0], count: 0, columns: [{ name: 'id', type: 'int' }, { name: 'v', type: 'int' }], row: () => [] };
      await becomesEqual(scene, [...scene.tables, later]);
      await stopped(running);
    }, 240_000);

    it('that is dropped, or locked for long, or in whose way a unique row stands, never keeps the others', async () => {
      // What waits there would keep other tests from making slots.
      await using own = await ownServer(to);
      await using scene = await liveScene(from, to, own.url);
      const { source, destination } = ends(scene);
      const running = await following(scene, '--live'), { run } = await scene.command.status();
      await destination.query('DROP TABLE pairs');
      await destination.query(`INSERT INTO fresh VALUES (900, 7)`);
      await destination.query('CREATE UNIQUE INDEX one_n ON fresh (n)');
      const holder = await destination.connect();
      await holder.query(to === 'mariadb' ? 'LOCK TABLES words WRITE' : 'BEGIN; LOCK TABLE words IN ACCESS EXCLUSIVE MODE');
      await source.query('UPDATE pairs SET v = v + 1');
      await source.query('UPDATE words SET n = n + 1');
      await source.query('INSERT INTO fresh VALUES (1, 7), (2, 8)');
      await source.query("UPDATE items SET note = 'not kept' WHERE id < 100");
      await source.query('DELETE FROM log WHERE n < 100');
      await eventually(async () => expect(await destination.query("SELECT count(*) AS n FROM items WHERE note = 'not kept'")).toEqual([{ n: '99' }]), 120);
      await eventually(async () => expect(await destination.query('SELECT count(*) AS n FROM log WHERE n < 100')).toEqual([{ n: '0' }]));
      expect(await destination.query('SELECT id, n FROM fresh ORDER BY id')).toEqual([{ id: '2', n: '8' }, { id: '900', n: '7' }]);
      const status = await scene.command.status();
      expect(tableOf(status, 'pairs')).toMatchObject({ state: 'paused', why: expect.stringMatching(/pairs/) });
      expect(tableOf(status, 'words')).toMatchObject({ state: 'paused', why: expect.stringMatching(/words was locked by others for 30 s/) });
      for (const name of ['items', 'log', 'fresh']) expect(tableOf(status, name)).toMatchObject({ state: 'following' });
      await holder.end();
      expect((await scene.command.tables(run, 'resume', 'words').ended).by).toBe(0);
      await becomesEqual(scene, scene.tables.filter(({ name }) => name !== 'pairs' && name !== 'fresh'));
      await stopped(running);
    }, 240_000);

    it('whose changes can not be applied is apart by itself, with its error, and whole again after a resync', async () => {
      await using scene = await liveScene(from, to);
      const { source, destination } = ends(scene);
      const running = await following(scene, '--live');
      await destination.query('ALTER TABLE pairs RENAME TO elsewhere');
      await source.query('UPDATE pairs SET v = v + 1');
      await source.query("UPDATE words SET n = 4711 WHERE word LIKE 'b-word-1%'");
      await eventually(async () => expect((await destination.query("SELECT count(*) AS n FROM words WHERE n = 4711"))[0]!.n).not.toBe('0'));
      const status = await eventually(async () => {
        const now = await scene.command.status();
        expect(tableOf(now, 'pairs')).toMatchObject({ state: 'paused', why: expect.stringMatching(/pairs/) });
        return now;
      });
      expect(tableOf(status, 'words')).toMatchObject({ state: 'following' });
      await destination.query('ALTER TABLE elsewhere RENAME TO pairs');
      expect((await scene.command.tables(status.run, 'resume', 'pairs').ended).by).toBe(0);
      await becomesEqual(scene);
      await stopped(running);
    });
  });
}

const ends = (scene: Scene) => ({ source: scene.source as SqlEnd, destination: scene.destination as SqlEnd });
const tableOf = ({ tables }: Status, name: string) => tables.find(({ namespace }) => namespace.endsWith(`.${name}`));

async function liveScene(from: EndName, to: EndName, destinationServer?: string): Promise<Scene> {
  const scene = await Scene.set(from, to, { rows: 2_000, width: 200, destinationServer });
  // Without a key the log must tell whole rows.
  if (from.startsWith('postgres')) await ends(scene).source.query('ALTER TABLE log REPLICA IDENTITY FULL');
  return scene;
}

/** A new run with these flags, or the latest resumed, that follows. */
async function following(scene: Scene, ...flags: readonly string[]): Promise<Running> {
  const running = flags.length > 0 ? scene.command.sync(...flags) : scene.command.resume();
  await running.says(/\bfollow\b/);
  return running;
}

async function stopped(running: Running): Promise<void> {
  running.kill('SIGINT');
  const { by, stderr } = await running.ended;
  expect(by, stderr).toBe(130);
}

/** The scene's tables, one of them with other columns. */
function changed(scene: Scene, name: string, columns: readonly string[]): readonly Table[] {
  return scene.tables.map((table) => (table.name === name ? { ...table, columns: columns.map((column) => ({ name: column, type: 'text' })) } : table));
}

const becomesEqual = (scene: Scene, tables?: readonly Table[]) => eventually(() => scene.expectEqual(tables));

/** What is on its way takes a moment. */
async function eventually<T>(look: () => Promise<T>, seconds = 40): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await look();
    } catch (error) {
      if (tries >= seconds * 5) throw error;
      await delay(200);
    }
  }
}
