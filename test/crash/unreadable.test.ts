import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { ownServer, type ServerName } from '../servers/index.js';
import type { SqlEnd } from './ends.js';
import { describeEnds, Scene } from './scene.js';

/* What a session or the server does to the log in the middle of a live run, so that it no longer tells whole rows, ends the run: no row is passed over. */

interface Case { readonly server: Extract<ServerName, 'mariadb' | 'mysql9'>; readonly what: string; readonly before: string; readonly change: string; readonly says: RegExp; readonly remedy: RegExp }

const change = "UPDATE items SET note = 'unread', j = JSON_SET(j, '$.a', 2) WHERE id = 3";
const cases: readonly Case[] = [
  { server: 'mysql9', what: 'compressed transactions', before: 'SET SESSION binlog_transaction_compression = ON', change, says: /holds a compressed transaction/, remedy: /binlog_transaction_compression = OFF/ },
  { server: 'mysql9', what: 'parts of JSON values', before: "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'", change, says: /holds parts of JSON values/, remedy: /binlog_row_value_options = ''/ },
  { server: 'mysql9', what: 'parts of rows', before: 'SET SESSION binlog_row_image = MINIMAL', change, says: /a row of \S+items in the binary log can't be read/, remedy: /binlog_row_image = FULL/ },
  { server: 'mysql9', what: 'rows without their large values', before: 'SET SESSION binlog_row_image = NOBLOB', change: "UPDATE items SET note = 'unread' WHERE id = 3", says: /a row of \S+items in the binary log can't be read/, remedy: /binlog_row_image = FULL/ },
  { server: 'mariadb', what: 'compressed rows', before: 'SET GLOBAL log_bin_compress_min_len = 10; SET GLOBAL log_bin_compress = ON', change, says: /holds compressed rows/, remedy: /log_bin_compress = OFF/ },
  { server: 'mariadb', what: 'parts of rows', before: 'SET SESSION binlog_row_image = MINIMAL', change, says: /a row of \S+items in the binary log can't be read/, remedy: /binlog_row_image = FULL/ },
];

for (const { server, what, before, change, says, remedy } of cases) describeEnds([server], `A live run from ${server} whose log comes to hold ${what}`, () => {
  it('ends with 5 before them, and again when it is resumed; all before them is applied', async () => {
    const own = await ownServer(server);
    onTestFinished(() => own.stop());
    await using scene = await Scene.set(server, 'sqlite', { rows: 50, width: 50, sourceServer: own.url });
    const source = scene.source as SqlEnd, destination = scene.destination as SqlEnd;
    await source.query("ALTER TABLE items ADD COLUMN j JSON, ADD COLUMN t TEXT");
    await source.query("UPDATE items SET t = 'kept', j = '{\"a\": 1, \"b\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}'");
    const running = scene.command.sync('--live');
    await running.says(/\bfollow\b/);
    await source.query("UPDATE items SET note = 'read' WHERE id = 2");
    while ((await destination.query("SELECT 1 FROM items WHERE note = 'read'")).length === 0) await delay(50);
    const session = await source.connect();
    await session.query(`${before}; SET SESSION ${server === 'mariadb' ? 'tx_isolation' : 'transaction_isolation'} = 'REPEATABLE-READ'; ${change}`);
    for (const by of [running, scene.command.resume()]) {
      const { by: status, stderr } = await by.ended;
      expect(status, stderr).toBe(5);
      expect(stderr).toMatch(says);
      expect(stderr).toMatch(remedy);
    }
    await session.end();
    expect(await destination.query("SELECT id FROM items WHERE note IN ('read', 'unread')")).toEqual([{ id: '2' }]);
  });
});

describeEnds(['mysql9'], 'Parts of JSON values in the log of tables that are not followed', () => {
  it('are passed over', async () => {
    await using scene = await Scene.set('mysql9', 'sqlite', { rows: 50, width: 50 });
    const source = scene.source as SqlEnd, destination = scene.destination as SqlEnd;
    await source.query("CREATE TABLE other (id INT PRIMARY KEY, j JSON); INSERT INTO other VALUES (1, '{\"a\": 1, \"b\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}')");
    const running = scene.command.sync('--live', '--exclude', 'other');
    await running.says(/\bfollow\b/);
    await source.query("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'; UPDATE other SET j = JSON_SET(j, '$.a', 2)");
    await source.query("UPDATE items SET note = 'read' WHERE id = 2");
    while ((await destination.query("SELECT 1 FROM items WHERE note = 'read'")).length === 0) await delay(50);
    running.kill('SIGINT');
    expect((await running.ended).by).toBe(130);
  });
});
