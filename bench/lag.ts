import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Command } from '../test/crash/command.js';
import { Wires } from '../test/crash/wires.js';
import { kinds, type ServerName } from '../test/servers/kinds.js';
import { run, startServer, type OwnServer } from '../test/servers/server.js';
import { connectText, textRows } from '../test/servers/sql.js';
import { prepareLoad, workDatabase } from './loads.js';

/*
 * How far a live run is behind. `npx tsx bench/lag.ts latency|backlog|idle [from-to] --seconds N --changes N --rate N`
 * - latency: from the acknowledged commit of a row in the source to its being seen by a query in the destination
 * - backlog: single-row changes, each a transaction, made while dsync was away; how many a second are applied once it is back
 * - idle: the log that a quiet database's slot keeps, beside a busy other database of the same server
 */
const { values, positionals: [what = 'latency', ...pairs] } = parseArgs({ allowPositionals: true, options: {
  seconds: { type: 'string' }, changes: { type: 'string', default: '500000' }, rate: { type: 'string', default: '500' }, flags: { type: 'string', default: '' },
} });
const flags: Partial<Record<ServerName, readonly string[]>> = {
  postgres18: ['-c', 'fsync=on', '-c', 'max_wal_size=4GB', '-c', 'shared_buffers=256MB'],
  mariadb: ['--innodb-buffer-pool-size=512M', '--innodb-flush-log-at-trx-commit=1', '--innodb-log-file-size=512M'],
};
const measures: Readonly<Record<string, (pair: string, source: OwnServer, destination: OwnServer) => Promise<void>>> = { latency, backlog, idle };
const ofAll: Readonly<Record<string, readonly string[]>> = { latency: ['postgres18-postgres18', 'mariadb-mariadb'], backlog: ['postgres18-postgres18', 'postgres18-mariadb', 'mariadb-mariadb'], idle: ['postgres18-postgres18'] };

for (const pair of pairs.length > 0 ? pairs : ofAll[what]!) {
  const [from, to] = pair.split('-') as [ServerName, ServerName];
  await using source = await startServer(from, await kinds[from].obtain(), { flags: async () => flags[from] ?? [] });
  await using destination = await startServer(to, await kinds[to].obtain(), { flags: async () => flags[to] ?? [] });
  await measures[what]!(pair, source, destination);
}

async function latency(pair: string, source: OwnServer, destination: OwnServer): Promise<void> {
  const { here, there, command } = await ends(source, destination);
  using _command = command;
  await textRows(here, 'CREATE TABLE beats (id int PRIMARY KEY, note varchar(40))');
  const running = command.sync('--live');
  await running.says(/info +follow/);
  const writer = await connectText(here), reader = await connectText(there), count = Number(values.rate) * Number(values.seconds ?? 30);
  const written = new Float64Array(count), seen = new Float64Array(count), begun = performance.now();
  const write = async () => {
    for (let id = 0; id < count; id++) {
      await writer.query(`INSERT INTO beats VALUES (${id}, 'beat ${id}')`);
      written[id] = performance.now();
      const early = begun + ((id + 1) * 1000) / Number(values.rate) - performance.now();
      if (early > 1) await delay(early);
    }
  };
  const read = async () => {
    for (let low = 0, until = begun + 300_000; low < count && performance.now() < until; await delay(2)) {
      const rows = await reader.query(`SELECT id FROM beats WHERE id >= ${low}`), now = performance.now();
      for (const { id } of rows) seen[Number(id)] ||= now;
      while (low < count && seen[low]! > 0) low++;
    }
  };
  await Promise.all([write(), read()]);
  await Promise.all([writer.end(), reader.end()]);
  running.kill('SIGINT');
  await running.ended;
  // Of the first second the programs are still cold.
  const waits = [...written.keys()].slice(Number(values.rate)).map((id) => Math.max(0, seen[id]! - written[id]!)).sort((a, b) => a - b);
  const at = (share: number) => waits[Math.floor((waits.length - 1) * share)]!.toFixed(0);
  console.log(`${pair}: ${waits.length} changes at ${values.rate} a second, seen after p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms (the look itself takes 2 ms and more)`);
}

async function backlog(pair: string, source: OwnServer, destination: OwnServer): Promise<void> {
  const { here, there, command } = await ends(source, destination), keys = 100_000, changes = Number(values.changes), folder = await mkdtemp(join(tmpdir(), 'dsync-lag-'));
  using _command = command;
  const isPostgres = here.startsWith('postgres');
  await textRows(here, `CREATE TABLE accounts (id int PRIMARY KEY, n int NOT NULL, amount decimal(12,2) NOT NULL, note varchar(60))`);
  await textRows(here, isPostgres ? `INSERT INTO accounts SELECT g, 0, g, 'note ' || g FROM generate_series(1, ${keys}) g` : `INSERT INTO accounts SELECT seq, 0, seq, concat('note ', seq) FROM seq_1_to_${keys}`);
  const first = command.sync('--live');
  await first.says(/info +follow/);
  first.kill('SIGINT');
  await first.ended;
  await (isPostgres ? byPgbench : bySysbench)(here, folder, keys, changes);
  const wanted = await sumOf(here), running = command.resume(), begun = performance.now();
  await running.says(/info +follow/);
  const followed = performance.now();
  const reader = await connectText(there);
  while ((await reader.query('SELECT sum(n) AS n FROM accounts'))[0]!.n !== wanted) await delay(100);
  const seconds = (performance.now() - followed) / 1000;
  await reader.end();
  running.kill('SIGINT');
  const { by } = await running.ended;
  console.log(`${pair}: ${wanted} changes of ${keys} rows in ${seconds.toFixed(1)} s: ${Math.round(Number(wanted) / seconds)} a second (${((followed - begun) / 1000).toFixed(1)} s to start before that; ended with ${by})`);
  await rm(folder, { recursive: true, force: true });
}

async function sumOf(url: string): Promise<string> {
  return (await textRows(url, 'SELECT sum(n) AS n FROM accounts'))[0]!.n!;
}

async function byPgbench(url: string, folder: string, keys: number, changes: number): Promise<void> {
  const { hostname, port, username, password, pathname } = new URL(url), script = join(folder, 'change.sql');
  await writeFile(script, `\\set id random(1, ${keys})\nUPDATE accounts SET n = n + 1, amount = amount + 1, note = 'changed' WHERE id = :id;\n`);
  await run(['pgbench', '-n', '-f', script, '-c', '4', '-t', String(changes / 4), '-h', hostname, '-p', port, '-U', username, pathname.slice(1)], { env: { PGPASSWORD: password, PGOPTIONS: '-c synchronous_commit=off' } });
}

async function bySysbench(url: string, folder: string, keys: number, changes: number): Promise<void> {
  const { hostname, port, username, password, pathname } = new URL(url), script = join(folder, 'change.lua');
  await writeFile(script, `function thread_init() con = sysbench.sql.driver():connect() end
    function event() con:query("UPDATE accounts SET n = n + 1, amount = amount + 1, note = 'changed' WHERE id = " .. sysbench.rand.uniform(1, ${keys})) end\n`);
  await textRows(url, 'SET GLOBAL innodb_flush_log_at_trx_commit = 0');
  await run(['sysbench', script, `--mysql-host=${hostname}`, `--mysql-port=${port}`, `--mysql-user=${username}`, `--mysql-password=${password}`, `--mysql-db=${pathname.slice(1)}`, '--threads=4', `--events=${changes}`, '--time=0', '--mysql-ignore-errors=1213', 'run']);
  await textRows(url, 'SET GLOBAL innodb_flush_log_at_trx_commit = 1');
}

async function idle(pair: string, source: OwnServer, destination: OwnServer): Promise<void> {
  const { here, command } = await ends(source, destination), seconds = Number(values.seconds ?? 600);
  using _command = command;
  await textRows(here, 'CREATE TABLE quiet (id int PRIMARY KEY)');
  await textRows(source.url, 'CREATE DATABASE busy');
  const other = new URL(source.url);
  other.pathname = '/busy';
  await using load = (await prepareLoad(other.href, 3)).load;
  const running = command.sync('--live');
  await running.says(/info +follow/);
  load.start(Number(values.rate));
  const retained = async () => (await textRows(source.url, 'SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) AS held, confirmed_flush_lsn AS confirmed FROM pg_replication_slots'))[0]!;
  const before = (await textRows(source.url, 'SELECT pg_current_wal_lsn() AS lsn'))[0]!.lsn;
  const held: number[] = [], places = new Set<string>();
  for (const until = performance.now() + seconds * 1000; performance.now() < until; await delay(1000)) {
    const row = await retained();
    held.push(Number(row.held));
    places.add(row.confirmed!);
  }
  const [{ grown }] = await textRows(source.url, `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '${before}') AS grown`) as [{ grown: string }];
  running.kill('SIGINT');
  await running.ended;
  console.log(`${pair}: ${seconds} s, the busy database wrote ${megabytes(Number(grown))} of log; the quiet one's slot kept at most ${megabytes(Math.max(...held))}, and moved ${places.size - 1} times`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

async function ends(source: OwnServer, destination: OwnServer) {
  const [here, there] = [await workDatabase(source), await workDatabase(destination)];
  // No relay in between: its share of the processor would be counted.
  const command = new Command({ source: here, destination: there } as Wires, values.flags.split(' ').filter(Boolean));
  return { here, there, command };
}
