import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { ownServer, type OwnServer } from '../servers/index.js';
import { textRows } from '../servers/sql.js';
import type { SqlEnd } from './ends.js';
import { describeEnds, Scene } from './scene.js';

/* MySQL fails over to a replica: a live run goes on there if the replica provably has what was applied, and is refused otherwise. */

async function replicaOf(primary: OwnServer): Promise<OwnServer> {
  const replica = await ownServer('mysql9', { flags: async () => ['--server-id=2'] });
  onTestFinished(() => replica.stop());
  await textRows(replica.url, `RESET BINARY LOGS AND GTIDS; CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = ${primary.port}, SOURCE_USER = 'tester', SOURCE_PASSWORD = 'pw', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1; START REPLICA`);
  return replica;
}

async function replicated(primary: OwnServer, replica: OwnServer): Promise<void> {
  const [{ all }] = await textRows(primary.url, 'SELECT @@global.gtid_executed AS `all`') as [{ all: string }];
  const [{ late }] = await textRows(replica.url, `SELECT WAIT_FOR_EXECUTED_GTID_SET('${all.replace(/\s/g, '')}', 60) AS late`) as [{ late: string }];
  expect(late).toBe('0');
}

describeEnds(['mysql9'], 'A failover of MySQL', () => {
  it('is followed to a replica that has all, and refused to one that lacks some or is no replica', async () => {
    const primary = await ownServer('mysql9');
    onTestFinished(() => primary.stop());
    const replica = await replicaOf(primary), stranger = await ownServer('mysql9');
    onTestFinished(() => stranger.stop());
    await using scene = await Scene.set('mysql9', 'sqlite', { rows: 100, width: 100, sourceServer: primary.url });
    const source = scene.source as SqlEnd, destination = scene.destination as SqlEnd;
    const at = (server: OwnServer) => `${server.url}${new URL(source.url).pathname.slice(1)}`;
    const running = scene.command.sync('--live');
    await running.says(/\bfollow\b/);
    await source.query("UPDATE items SET note = 'first' WHERE id = 1");
    await applied(destination, 'first');
    running.kill('SIGINT');
    await running.ended;
    await replicated(primary, replica);
    await textRows(stranger.url, `CREATE DATABASE ${new URL(source.url).pathname.slice(1)}; USE ${new URL(source.url).pathname.slice(1)}; CREATE TABLE items (id INT PRIMARY KEY)`);
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
