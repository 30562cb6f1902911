import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { relayFrom, type Relay } from '../test/pairs/relay.js';
import { kinds } from '../test/servers/kinds.js';
import { startServer, type OwnServer } from '../test/servers/server.js';
import { textRows } from '../test/servers/sql.js';
import { dsync, timed } from './measure.js';

/*
 * `dsync verify` by rows and by digests of the servers, nearby and through a network: seconds, and what came over it.
 * `npx tsx bench/distance.ts --rows 1000000 --delay 20 --mbits 200`; `delay` is of a round trip, in milliseconds.
 */
const { values } = parseArgs({ options: { rows: { type: 'string', default: '1000000' }, delay: { type: 'string', default: '20' }, mbits: { type: 'string', default: '200' }, runs: { type: 'string', default: '2' } } });
const rows = Number(values.rows), delay = Number(values.delay) / 2, bytesPerSecond = (Number(values.mbits) * 1e6) / 8;
const networks = [['near', undefined], [`${values.delay} ms`, { delay }], [`${values.delay} ms, ${values.mbits} Mbit/s`, { delay, bytesPerSecond }]] as const;

const folder = await mkdtemp(join(tmpdir(), 'dsync-bench-')), servers: OwnServer[] = [];
try {
  const postgres = await started('postgres18', 'shared_buffers=512MB'), mariadb = await started('mariadb');
  for (const name of ['source', 'target']) await textRows(postgres.url, `CREATE DATABASE ${name}`);
  await textRows(mariadb.url, 'CREATE DATABASE target');
  const source = urlOf(postgres, 'source');
  await textRows(source, `CREATE TABLE orders (id bigint PRIMARY KEY, customer_id integer NOT NULL, amount numeric(12,2) NOT NULL, status varchar(16) NOT NULL, note text, created_at timestamp NOT NULL, paid boolean NOT NULL, discount double precision)`);
  await textRows(source, `INSERT INTO orders SELECT i, i % 5000, (i % 10000) + (10 + i % 90) / 100.0, 'status ' || i % 7, CASE WHEN i % 7 > 0 THEN 'note ' || i || repeat(' lorem ipsum', 5) END, timestamp '2026-01-01' + i * interval '1.000123 s', i % 3 = 0, i / 7.0 FROM generate_series(1, ${rows}) i`);
  await textRows(source, 'ANALYZE orders');
  for (const [name, target] of [['postgres → postgres', urlOf(postgres, 'target')], ['postgres → mariadb', urlOf(mariadb, 'target')]] as const) {
    await run('sync', source, target, '--no-verify');
    for (const [network, distance] of networks) {
      await using near = await through(source, distance), far = await through(target, distance);
      for (const way of ['rows', 'digests']) console.log(`${name}, ${network}, ${way}: ${await measured(near, far, way)}`);
    }
  }
} finally {
  for (const server of servers) await server.stop();
  await rm(folder, { recursive: true, force: true });
}

interface Wire extends AsyncDisposable { readonly url: string; readonly relay?: Relay }

async function measured(source: Wire, target: Wire, way: string): Promise<string> {
  const received = () => [source, target].reduce((sum, { relay }) => sum + (relay?.received() ?? 0), 0), seconds: number[] = [], before = received();
  for (let i = 0; i < Number(values.runs); i++) seconds.push((await run('verify', source.url, target.url, '--verify-with', way)).seconds);
  const took = `${seconds.map((time) => time.toFixed(1)).join(' and ')} s`;
  return source.relay ? `${took}, ${((received() - before) / seconds.length / 1e6).toFixed(2)} MB` : took;
}

function run(command: string, ...args: readonly string[]) {
  return timed(dsync, [command, ...args, '--state', folder]);
}

async function through(url: string, distance: (typeof networks)[number][1]): Promise<Wire> {
  if (!distance) return { url, [Symbol.asyncDispose]: async () => {} };
  const there = new URL(url), relay = await relayFrom('127.0.0.2', Number(there.port), distance);
  there.hostname = '127.0.0.2';
  there.port = String(relay.port);
  return { url: there.href, relay, [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose]() };
}

async function started(name: 'postgres18' | 'mariadb', ...settings: readonly string[]): Promise<OwnServer> {
  const server = await startServer(name, await kinds[name].obtain(), { flags: async () => settings.flatMap((setting) => ['-c', setting]) });
  servers.push(server);
  return server;
}

function urlOf(server: OwnServer, database: string): string {
  const url = new URL(server.url);
  url.pathname = `/${database}`;
  return url.href;
}
