import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Database from 'libsql';
import pg from 'pg';
import { kinds } from '../../test/servers/kinds.js';
import { startServer } from '../../test/servers/server.js';
import { fill } from './data.js';

/*
 * The main job for real: a PostgreSQL server from npm is filled with public data and synced to an SQLite file. dsync is
 * killed on the way (SIGKILL: no chance to tidy up), resumed, and proves in the end that nothing was lost.
 */
const dsync = fileURLToPath(new URL('../../bin/dsync.js', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'dsync-demo-'));
const file = join(folder, 'flights.db');

async function main(): Promise<void> {
  step('Starting PostgreSQL (from npm) and filling it with US air traffic');
  await using server = await startServer('demo', await kinds.postgres18.obtain());
  await using client = await connect(server.url);
  const counts = await fill(client);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  say(`${total.toLocaleString('en')} rows in ${counts.size} tables: ${[...counts.keys()].join(', ')}`);

  const { password } = new URL(server.url);
  const source = server.url.replace(`:${password}@`, ':${DEMO_PASSWORD}@');
  const env = { ...process.env, DEMO_PASSWORD: password };
  const state = ['--state', join(folder, 'state')];
  step('Syncing to SQLite, slowly enough to be killed on the way');
  await killedMidway(['sync', source, `sqlite:${file}`, '--batch-size', '5000', '--rate-limit', '100000 rows/s', ...state], env, total / 3);

  step('Resuming');
  await dsyncRun(['resume', ...state], env);

  step('Asking both databases, without dsync');
  await compare(client, counts);
  say(`\nThe copy is ${file}; look at it with any SQLite tool, and remove ${folder} when you are done.`);
}

async function connect(url: string): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client(url);
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

/** Runs dsync until the destination holds so many rows, then kills it. */
async function killedMidway(args: readonly string[], env: NodeJS.ProcessEnv, rows: number): Promise<void> {
  say(`$ dsync ${args.join(' ')}`);
  const child = spawn(process.execPath, [dsync, ...args], { env, stdio: 'inherit' });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  while (child.exitCode === null && copied() < rows) await delay(20);
  if (child.exitCode !== null) throw new Error(`dsync ended (${child.exitCode}) before it could be killed`);
  const there = copied();
  child.kill('SIGKILL');
  await ended;
  say(`killed with SIGKILL when ${there.toLocaleString('en')} rows were in the destination`);
}

/** What the destination's own progress says. */
function copied(): number {
  if (!existsSync(file)) return 0;
  const database = new Database(file, { readonly: true });
  try {
    return (database.prepare('SELECT coalesce(sum(rows), 0) AS rows FROM _dsync_progress').get() as { rows: number }).rows;
  } catch {
    return 0;
  } finally {
    database.close();
  }
}

async function dsyncRun(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  say(`$ dsync ${args.join(' ')}`);
  const child = spawn(process.execPath, [dsync, ...args], { env, stdio: 'inherit' });
  const status = await new Promise((resolve) => child.once('exit', resolve));
  if (status !== 0) throw new Error(`dsync ended with ${String(status)}`);
}

/** Counts and sums, by SQL on each side. */
async function compare(client: pg.Client, counts: ReadonlyMap<string, number>): Promise<void> {
  const database = new Database(file, { readonly: true });
  const queries = [...[...counts.keys()].map((table) => `SELECT count(*) AS n FROM ${table}`), 'SELECT sum(distance) AS n FROM departures', 'SELECT sum(delay) AS n FROM flights', 'SELECT sum(length(name)) AS n FROM airports'];
  for (const query of queries) {
    const there = Number((await client.query<{ n: string }>(query)).rows[0].n);
    const here = Number((database.prepare(query).get() as { n: number }).n);
    say(`${query.padEnd(46)} PostgreSQL ${String(there).padStart(11)}   SQLite ${String(here).padStart(11)}   ${there === here ? 'equal' : 'DIFFERENT'}`);
    if (there !== here) process.exitCode = 1;
  }
  database.close();
}

function step(title: string): void {
  console.log(`\n== ${title}`);
}

function say(text: string): void {
  console.log(text);
}

await main().catch(async (error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
  await rm(folder, { recursive: true, force: true });
});
