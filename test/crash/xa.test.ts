import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ownServer } from '../servers/index.js';
import type { SqlEnd } from './ends.js';
import { describeEnds, Scene } from './scene.js';

/* A large transaction that is prepared long before it is committed takes no memory for its rows, and none of them is lost to a kill between. */

const rows = 300_000, most = 330;

for (const from of ['mariadb', 'mysql9'] as const) describeEnds([from, 'postgres18'], `An XA transaction of ${rows} rows from ${from}`, () => {
  it(`is applied when it is committed, after a kill, in less than ${most} MB`, async () => {
    // While one is prepared, nobody else's live run begins on its server.
    await using server = await ownServer(from);
    await using scene = await Scene.set(from, 'postgres18', { sourceServer: server.url, rows: 1000, width: 50, flags: ['--memory', '32MB', '--concurrency', '2'] });
    const source = scene.source as SqlEnd, destination = scene.destination as SqlEnd;
    const counted = async () => Number((await destination.query('SELECT count(*) AS n FROM items WHERE id > 10000'))[0]!.n);
    const first = scene.command.sync('--live');
    await first.says(/\bfollow\b/);
    const session = await source.connect(), xid = new URL(source.url).pathname.slice(1);
    await session.query(`SET ${from === 'mariadb' ? 'max_recursive_iterations' : 'cte_max_recursion_depth'} = ${rows}; XA START '${xid}'; INSERT INTO items (id, n, note, pad) WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < ${rows}) SELECT 10000 + i, i % 97, 'in two phases', REPEAT('x', 700) FROM s; XA END '${xid}'; XA PREPARE '${xid}'`);
    const applied = async (note: string) => {
      await source.query(`UPDATE items SET note = '${note}' WHERE id = 1`);
      while ((await destination.query(`SELECT 1 FROM items WHERE note = '${note}'`)).length === 0) await delay(100);
    };
    await applied('prepared');
    first.kill('SIGKILL');
    await first.ended;
    const second = scene.command.resume();
    await second.says(/\bfollow\b/);
    await applied('still prepared');
    expect(await counted()).toBe(0);
    const { pid } = (await scene.command.status()).process!;
    await session.query(`XA COMMIT '${xid}'`);
    await session.end();
    while ((await counted()) < rows / 10) await delay(100);
    const peaks = [peakOf(pid)];
    second.kill('SIGKILL');
    await second.ended;
    const third = scene.command.resume();
    await third.says(/\bfollow\b/);
    const last = (await scene.command.status()).process!.pid;
    await applied('committed');
    expect(await counted()).toBe(rows);
    peaks.push(peakOf(last));
    expect(await destination.query("SELECT count(*) AS n, min(length(pad)) AS pad, sum(id) AS ids FROM items WHERE note = 'in two phases'")).toEqual([{ n: String(rows), pad: '700', ids: String(10_000 * rows + (rows * (rows + 1)) / 2) }]);
    third.kill('SIGINT');
    expect((await third.ended).by).toBe(130);
    expect(Math.max(...peaks), `${peaks.join(', ')} MB at the most`).toBeLessThan(most);
  }, 300_000);
});

/** The most that this process had in memory so far, in megabytes. */
function peakOf(pid: number): number {
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1000);
}
