import { parseArgs } from 'node:util';
import { connectorFor } from '../src/connectors/index.js';
import type { Change, LaneWork, Mapping, Row, Shape } from '../src/contract.js';
import { kinds } from '../test/servers/kinds.js';
import { startServer, type OwnServer } from '../test/servers/server.js';
import { connectText } from '../test/servers/sql.js';

/*
 * Single-row changes a second into PostgreSQL and MariaDB, by lanes, beside one statement a change by the plain driver on as
 * many connections. `npx tsx bench/apply.ts [postgres18|mariadb…] --changes 200000 --keys 50000 --lanes 4 --calls 1000,5000`.
 */
const { values, positionals } = parseArgs({ allowPositionals: true, options: {
  changes: { type: 'string', default: '200000' }, keys: { type: 'string', default: '50000' }, lanes: { type: 'string', default: '4' }, calls: { type: 'string', default: '1000,5000' },
} });
const count = Number(values.changes), keys = Number(values.keys), lanes = Number(values.lanes);
const signal = new AbortController().signal, run = 'bench';

const columns: Shape['columns'] = [
  { name: 'id', type: { kind: 'int', bits: 64, signed: true }, native: 'bigint', nullable: false },
  { name: 'amount', type: { kind: 'decimal', precision: 12, scale: 2 }, native: 'decimal(12,2)', nullable: false },
  { name: 'status', type: { kind: 'text', maxLength: 16 }, native: 'varchar(16)', nullable: false },
  { name: 'note', type: { kind: 'text' }, native: 'text', nullable: true },
  { name: 'changed', type: { kind: 'timestamp', fraction: 6 }, native: 'timestamp', nullable: false },
];
const source: Shape = { namespace: 'bench.accounts', schema: 'bench', name: 'accounts', engine: 'bench', columns, key: [0] };
const flags = { postgres18: ['-c', 'fsync=on', '-c', 'max_wal_size=4GB', '-c', 'shared_buffers=256MB'], mariadb: ['--innodb-buffer-pool-size=512M', '--innodb-flush-log-at-trx-commit=1', '--innodb-log-file-size=512M'] };

for (const name of ['postgres18', 'mariadb'] as const) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const server = await startServer(name, await kinds[name].obtain(), { flags: async () => flags[name] });
  try {
    console.log(`${name}: ${server.version ?? ''} ${count} changes over ${keys} keys, ${lanes} lanes`);
    await plain(name, server);
    for (const size of values.calls.split(',').map(Number)) await applied(server, size);
  } finally {
    await server.stop();
  }
}

async function applied(server: OwnServer, size: number): Promise<void> {
  const url = await emptyDatabase(server), connector = await connectorFor(url);
  const destination = await connector.openDestination!(url, { signal, connections: lanes, batchBytes: 2 << 20 });
  const mapping = await destination.adapt(source, { name: 'accounts' }, signal);
  await destination.begin(run, signal);
  await destination.prepare(run, mapping, { empty: false, keyed: true, tasks: [] }, signal);
  const works = byLane().map((changes, lane) => worksOf(lane, changes, size, mapping));
  const start = performance.now(), cpu = process.cpuUsage();
  await Promise.all(works.map(async (own) => { for (const work of own) await destination.apply!(run, work, signal); }));
  const used = process.cpuUsage(cpu);
  told(`calls of ${size}`, start, (used.user + used.system) / 1e6);
  await expectRows(url);
  await destination[Symbol.asyncDispose]();
}

/** One statement a change, each committed by itself, as a simple consumer does. */
async function plain(name: 'postgres18' | 'mariadb', server: OwnServer): Promise<void> {
  const url = await emptyDatabase(server), isPostgres = name === 'postgres18', connections = await Promise.all(Array.from({ length: lanes }, () => connectText(url)));
  await connections[0].query(`CREATE TABLE accounts (id bigint PRIMARY KEY, amount decimal(12,2) NOT NULL, status varchar(16) NOT NULL, note text, changed ${isPostgres ? 'timestamp' : 'datetime(6)'} NOT NULL)`);
  const few = Math.ceil(count / 10), own = byLane().map((changes) => changes.slice(0, Math.ceil(few / lanes)));
  const literal = (cell: Row[number]) => (cell === null ? 'NULL' : `'${String(cell)}'`);
  const conflict = isPostgres ? 'ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, status = excluded.status, note = excluded.note, changed = excluded.changed'
    : 'ON DUPLICATE KEY UPDATE amount = VALUES(amount), status = VALUES(status), note = VALUES(note), changed = VALUES(changed)';
  const start = performance.now(), cpu = process.cpuUsage();
  await Promise.all(own.map(async (changes, lane) => {
    for (const change of changes) {
      if (change.kind === 'delete') await connections[lane].query(`DELETE FROM accounts WHERE id = ${String(change.before[0])}`);
      else if (change.kind !== 'truncate') await connections[lane].query(`INSERT INTO accounts VALUES (${(change.row as Row).map(literal).join(', ')}) ${conflict}`);
    }
  }));
  const used = process.cpuUsage(cpu);
  told(`a statement a change (${few} of them)`, start, (used.user + used.system) / 1e6, few);
  for (const connection of connections) await connection.end();
}

function told(what: string, start: number, cpu: number, changes = count): void {
  const seconds = (performance.now() - start) / 1000;
  console.log(`  ${what.padEnd(40)} ${Math.round(changes / seconds).toString().padStart(7)} changes/s   ${seconds.toFixed(2)} s, ${cpu.toFixed(2)} s of them dsync's processor time`);
}

/** The changes of each lane: keys go by their remainder. Half of them updates, a third inserts, the rest deletes. */
function byLane(): Change[][] {
  const all: Change[][] = Array.from({ length: lanes }, () => []), there = new Uint8Array(keys);
  for (let i = 0, state = 1; i < count; i++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    const key = (state >> 4) % keys, kind = there[key] === 0 ? 'insert' : i % 5 === 0 ? 'delete' : 'update', { namespace } = source;
    const row: Row = [BigInt(key), `${i % 10000}.50`, ['new', 'paid', 'sent'][i % 3], i % 4 === 0 ? null : `note ${i} `.repeat(4), `2026-01-01 00:${String(i % 60).padStart(2, '0')}:00.${String(100000 + (i % 800000))}`];
    there[key] = kind === 'delete' ? 0 : 1;
    all[key % lanes].push(kind === 'delete' ? { kind, namespace, before: [BigInt(key), undefined, undefined, undefined, undefined] } : { kind, namespace, row });
  }
  return all;
}

function worksOf(lane: number, changes: readonly Change[], size: number, mapping: Mapping): LaneWork[] {
  const works: LaneWork[] = [];
  for (let at = 0; at < changes.length; at += size) works.push({ lane, place: { position: `${at}`, changes: 0 }, tables: [{ mapping, changes: changes.slice(at, at + size) }] });
  return works;
}

async function expectRows(url: string): Promise<void> {
  const left = new Map<unknown, Row>(), connection = await connectText(url);
  for (const change of byLane().flat()) if (change.kind === 'insert' || change.kind === 'update') left.set(change.row[0], change.row as Row); else if (change.kind === 'delete') left.delete(change.before[0]);
  const [{ n, total }] = (await connection.query('SELECT count(*) AS n, sum(amount) AS total FROM accounts')) as unknown as { n: string; total: string }[];
  const expected = [...left.values()].reduce((sum, row) => sum + Number(row[1]), 0);
  await connection.end();
  if (Number(n) !== left.size || Number(total) !== expected) throw new Error(`${n} rows of ${total} where ${left.size} of ${expected} should be`);
}

async function emptyDatabase(server: OwnServer): Promise<string> {
  const connection = await connectText(server.url);
  await connection.query('DROP DATABASE IF EXISTS bench');
  await connection.query('CREATE DATABASE bench');
  await connection.end();
  const url = new URL(server.url);
  url.pathname = '/bench';
  return url.href;
}
