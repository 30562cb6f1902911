import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { kinds } from '../test/servers/kinds.js';
import { startServer, type OwnServer } from '../test/servers/server.js';
import { connectText, type TextConnection } from '../test/servers/sql.js';
import { dsync, usageOf } from './measure.js';

/*
 * One transaction of many rows, followed by `dsync sync --live` into another database of the same server: how large the process
 * grows, and how long it takes from the commit until the last row is there. With --kill the process is killed in the middle of
 * the transaction and resumed. `npx tsx bench/large-transaction.ts [postgres18|mariadb|mysql9…] --rows 5000000 --kill`
 */
const { values, positionals } = parseArgs({ allowPositionals: true, options: { rows: { type: 'string', default: '5000000' }, kill: { type: 'boolean', default: false }, memory: { type: 'string', default: '128MB' } } });
const rows = Number(values.rows);
type Name = 'postgres18' | 'postgres14' | 'mariadb' | 'mysql9';
const spacious = ['--innodb-flush-log-at-trx-commit=0', '--sync-binlog=0', '--innodb-buffer-pool-size=512M', '--loose-max-binlog-cache-size=8G'];
const flags: Readonly<Record<Name, readonly string[]>> = {
  postgres18: ['-c', 'max_wal_size=4GB', '-c', 'synchronous_commit=off'], postgres14: ['-c', 'max_wal_size=4GB', '-c', 'synchronous_commit=off'],
  mariadb: [...spacious, '--innodb-log-file-size=1G'], mysql9: [...spacious, '--innodb-redo-log-capacity=1G', '--gtid-mode=ON', '--enforce-gtid-consistency=ON'],
};
const fillers: Readonly<Record<Name, string>> = {
  postgres18: `SELECT n, n % 1000, 'note of row ' || n FROM generate_series(1, ${rows}) n`, postgres14: `SELECT n, n % 1000, 'note of row ' || n FROM generate_series(1, ${rows}) n`,
  mariadb: `SELECT seq, seq % 1000, concat('note of row ', seq) FROM seq_1_to_${rows}`,
  mysql9: `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows}) SELECT /*+ SET_VAR(cte_max_recursion_depth=${rows}) */ i, i % 1000, concat('note of row ', i) FROM n`,
};

for (const name of positionals.length > 0 ? positionals as Name[] : ['postgres18', 'mariadb'] as const) {
  const server = await startServer(name, await kinds[name].obtain(), { flags: async () => flags[name] });
  const folder = await mkdtemp(join(tmpdir(), 'dsync-bench-'));
  try {
    await measure(name, server, folder);
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(name: Name, server: OwnServer, folder: string): Promise<void> {
  const admin = await connectText(server.url);
  for (const database of ['bench_source', 'bench_destination']) await admin.query(`CREATE DATABASE ${database}`);
  await admin.end();
  const [source, destination] = await Promise.all(['bench_source', 'bench_destination'].map((database) => connectText(urlOf(server, database))));
  await source.query('CREATE TABLE items (id bigint PRIMARY KEY, amount decimal(12,2) NOT NULL, note varchar(100) NOT NULL)');
  await source.query('CREATE TABLE marks (id int PRIMARY KEY)');
  let follower = await started(['sync', urlOf(server, 'bench_source'), urlOf(server, 'bench_destination'), '--live'], folder);
  const filling = performance.now();
  await source.query(`INSERT INTO items ${fillers[name]}`);
  await source.query('INSERT INTO marks VALUES (1)');
  const start = performance.now(), peaks: number[] = [];
  console.log(`${name}: one transaction of ${rows} rows, made in ${((start - filling) / 1000).toFixed(0)} s`);
  if (values.kill) {
    await until(follower, async () => Number((await destination.query('SELECT max(id) AS n FROM items'))[0].n) > rows / 2);
    peaks.push(await ended(follower, 'SIGKILL'));
    follower = await started(['resume'], folder);
  }
  await until(follower, async () => (await destination.query('SELECT id FROM marks')).length > 0);
  await until(follower, async () => Number((await destination.query('SELECT count(*) AS n FROM items'))[0].n) === rows);
  const seconds = (performance.now() - start) / 1000;
  peaks.push(await ended(follower, 'SIGINT'));
  const [there, here] = [await sumOf(destination), await sumOf(source)];
  if (there !== here) throw new Error(`${there} where ${here} should be`);
  console.log(`  peak ${peaks.join(' MB, after the kill ')} MB; ${seconds.toFixed(0)} s, ${Math.round(rows / seconds)} rows/s${values.kill ? ', killed in its middle and resumed' : ''}; equal`);
  for (const connection of [source, destination]) await connection.end();
}

async function sumOf(connection: TextConnection): Promise<string> {
  return JSON.stringify(await connection.query('SELECT count(*) AS n, sum(id) AS ids, sum(amount) AS amounts, sum(length(note)) AS letters FROM items'));
}

function urlOf(server: OwnServer, database: string): string {
  const url = new URL(server.url);
  url.pathname = `/${database}`;
  return url.href;
}

interface Follower { readonly child: ChildProcess; said: string; readonly over: Promise<unknown> }

/** Resolves when it follows. */
async function started(args: readonly string[], folder: string): Promise<Follower> {
  const child = spawn(dsync, [...args, '--memory', values.memory, '--state', join(folder, 'state')], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, DSYNC_SOURCE_PASSWORD: 'pw', DSYNC_DESTINATION_PASSWORD: 'pw' } });
  const follower: Follower = { child, said: '', over: once(child, 'close') };
  child.stderr!.setEncoding('utf8').on('data', (text: string) => { follower.said = (follower.said + text).slice(-20_000); });
  await until(follower, async () => /\bfollow\b/.test(follower.said), 50);
  return follower;
}

async function until(follower: Follower, reached: () => Promise<boolean>, millis = 1000): Promise<void> {
  while (!(await reached())) {
    if (follower.child.exitCode !== null || follower.child.signalCode !== null) throw new Error(`dsync ended early: ${follower.said}`);
    await delay(millis);
  }
}

/** Ends it; returns the largest resident size that it had, in megabytes. */
async function ended({ child, over }: Follower, signal: NodeJS.Signals): Promise<number> {
  const { megabytes } = await usageOf(child.pid!);
  child.kill(signal);
  await over;
  return megabytes;
}
