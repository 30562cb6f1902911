import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { ownServer, type OwnServer } from '../servers/index.js';
import { textRows } from '../servers/sql.js';
import type { SqlEnd } from './ends.js';
import { describeEnds, Scene } from './scene.js';

/* A server fails over to a replica: a live run goes on there if the replica provably has what was applied, and is refused otherwise. */

const servers = ['mysql9', 'mariadb'] as const;
type Name = typeof servers[number];

async function replicaOf(primary: OwnServer, name: Name): Promise<OwnServer> {
  const replica = await ownServer(name, { flags: async () => ['--server-id=2', ...(name === 'mariadb' ? ['--log-slave-updates=ON'] : [])] });
  onTestFinished(() => replica.stop());
  if (name === 'mariadb') await textRows(replica.url, `RESET MASTER; CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = ${primary.port}, MASTER_USER = 'tester', MASTER_PASSWORD = 'pw', MASTER_USE_GTID = slave_pos; START SLAVE`);
  else await textRows(replica.url, `RESET BINARY LOGS AND GTIDS; CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = ${primary.port}, SOURCE_USER = 'tester', SOURCE_PASSWORD = 'pw', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1; START REPLICA`);
  return replica;
}

async function replicated(primary: OwnServer, replica: OwnServer, name: Name): Promise<void> {
  if (name === 'mariadb') {
    const [{ pos }] = await textRows(primary.url, 'SELECT @@global.gtid_binlog_pos AS pos') as [{ pos: string }];
    return expect(await textRows(replica.url, `SELECT MASTER_GTID_WAIT('${pos}', 60) AS late`)).toEqual([{ late: '0' }]);
  }
  const [{ all }] = await textRows(primary.url, 'SELECT @@global.gtid_executed AS `all`') as [{ all: string }];
  const [{ late }] = await textRows(replica.url, `SELECT WAIT_FOR_EXECUTED_GTID_SET('${all.replace(/\s/g, '')}', 60) AS late`) as [{ late: string }];
  expect(late).toBe('0');
}

for (const name of servers) describeEnds([name], `A failover of ${name}`, () => {
  it('is followed to a replica that has all, and refused to one that lacks some or is no replica', async () => {
    const primary = await ownServer(name);
    onTestFinished(() => primary.stop());
    const replica = await replicaOf(primary, name), stranger = await ownServer(name);
    onTestFinished(() => stranger.stop());
    await using scene = await Scene.set(name, 'sqlite', { rows: 100, width: 100, sourceServer: primary.url });
    const source = scene.source as SqlEnd, destination = scene.destination as SqlEnd;
    const at = (server: OwnServer) => `${server.url}${new URL(source.url).pathname.slice(1)}`;
    const running = scene.command.sync('--live');
    await running.says(/\bfollow\b/);
    await source.query("UPDATE items SET note = 'first' WHERE id = 1");
    await applied(destination, 'first');
    // By then the place is on disk.
    await running.says(/applied \d+ changes?, nothing left/);
    running.kill('SIGINT');
    await running.ended;
    await replicated(primary, replica, name);
    // MariaDB's GTIDs of a stranger are the same, as far as they go: by its number and its count.
    const database = new URL(source.url).pathname.slice(1);
    await textRows(stranger.url, `CREATE DATABASE ${database}; USE ${database}; CREATE TABLE items (id INT PRIMARY KEY, n INT, note TEXT, pad TEXT); ${Array.from({ length: 100 }, (_, i) => `INSERT INTO items (id) VALUES (${i})`).join('; ')}`);
    const toStranger = await scene.command.resume('--source', at(stranger)).ended;
    expect([toStranger.by, toStranger.stderr]).toEqual([5, expect.stringContaining('not the database that run')]);

    await textRows(at(replica), "STOP REPLICA; UPDATE items SET note = 'second' WHERE id = 2");
    const there = scene.command.resume('--source', at(replica));
    await there.says(/\bfollow\b/);
    await applied(destination, 'second');
    there.kill('SIGINT');
    expect((await there.ended).by).toBe(130);
    // The old server has not what the replica was given since.
    const back = await scene.command.resume('--source', at(primary)).ended;
    expect([back.by, back.stderr]).toEqual([5, expect.stringContaining('lacks changes that this run has applied')]);
  });
});

async function applied(destination: SqlEnd, note: string): Promise<void> {
  while ((await destination.query(`SELECT 1 FROM items WHERE note = '${note}'`)).length === 0) await delay(100);
}
