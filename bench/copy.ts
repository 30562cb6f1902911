import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MongoClient } from 'mongodb';
import { kinds } from '../test/servers/kinds.js';
import { startServer, type OwnServer } from '../test/servers/server.js';
import { textRows } from '../test/servers/sql.js';
import { dsync, timed, type Measured } from './measure.js';

/*
 * dsync beside the servers' own tools on the same work, in turns, on the same machine: ratios of wall time, and the peak
 * memory of dsync. `npx tsx bench/copy.ts [pair…] --rows 2000000 --runs 3`. Needs psql and mariadb on the PATH.
 */
const { values, positionals } = parseArgs({ allowPositionals: true, options: { rows: { type: 'string', default: '2000000' }, runs: { type: 'string', default: '3' }, flags: { type: 'string', default: '' } } });
const rows = Number(values.rows), runs = Number(values.runs);
const folder = await mkdtemp(join(tmpdir(), 'dsync-bench-'));

interface Contest { readonly name: string; readonly raw: string; readonly from: string; readonly to: string; readonly clear: () => Promise<unknown>; readonly create: () => Promise<unknown> }

const columns = 'id, customer_id, amount, status, note, created_at, paid, coupon, discount, attrs';
const pgTable = `(id bigint NOT NULL, customer_id integer NOT NULL, amount numeric(12,2) NOT NULL, status varchar(16) NOT NULL, note text, created_at timestamp NOT NULL, paid boolean NOT NULL, coupon varchar(32), discount double precision, attrs json)`;
const myTable = `(id bigint NOT NULL PRIMARY KEY, customer_id int NOT NULL, amount decimal(12,2) NOT NULL, status varchar(16) NOT NULL, note longtext, created_at datetime(6) NOT NULL, paid tinyint(1) NOT NULL, coupon varchar(32), discount double, attrs json)`;

const servers: OwnServer[] = [];
try {
  const wanted = (name: string) => positionals.length === 0 || positionals.some((pair) => pair.includes(name));
  if (wanted('mongo')) await compete(await mongoContest());
  if (positionals.length > 0 && !wanted('pg') && !wanted('mariadb')) process.exit(0);
  const pg = await started('postgres18', '-c', 'fsync=on', '-c', 'max_wal_size=4GB', '-c', 'shared_buffers=512MB');
  const maria = await started('mariadb', '--innodb-buffer-pool-size=1G', '--innodb-flush-log-at-trx-commit=1', '--innodb-log-file-size=1G');
  await fill(pg, maria);
  const chosen = contests(pg, maria).filter((contest) => positionals.length === 0 || positionals.includes(contest.name));
  for (const contest of chosen) await compete(contest);
} finally {
  for (const server of servers) await server.stop();
  await rm(folder, { recursive: true, force: true });
}

function contests(pg: Ends, maria: Ends): Contest[] {
  const psql = (db: string, sql: string) => `psql -qX '${pg.url(db)}' -c "${sql}"`;
  const half = (stream: number) => `${psql('source', `copy (select * from orders where ${stream === 0 ? `ctid < '(${pg.middle},0)'` : `ctid >= '(${pg.middle},0)'`}) to stdout (format binary)`)} | ${psql('target', 'copy orders from stdin (format binary)')}`;
  const mariadb = (db: string, sql: string) => `mariadb ${maria.login} --local-infile=1 --quick ${db} -N -B -e "${sql}"`;
  const cleanPg = () => pg.query('target', `DROP TABLE IF EXISTS orders; DROP SCHEMA IF EXISTS _dsync CASCADE; CHECKPOINT`);
  const cleanMaria = () => maria.query('target', 'DROP TABLE IF EXISTS orders, _dsync_run, _dsync_progress');
  const createPg = () => pg.query('target', `CREATE TABLE orders ${pgTable}`);
  const createMaria = () => maria.query('target', `CREATE TABLE orders ${myTable}`);
  return [
    { name: 'pg-pg', from: pg.url('source'), to: pg.url('target'), clear: cleanPg, create: createPg, raw: `(${half(0)}) & (${half(1)}); wait; ${psql('target', 'alter table orders add primary key (id)')}` },
    { name: 'pg-mariadb', from: pg.url('source'), to: maria.url('target'), clear: cleanMaria, create: createMaria,
      raw: `${psql('source', `copy (select ${columns.replace('paid', 'paid::int')} from orders) to stdout`)} | ${mariadb('target', `load data local infile '/dev/stdin' into table orders character set utf8mb4`)}` },
    { name: 'mariadb-pg', from: maria.url('source'), to: pg.url('target'), clear: cleanPg, create: createPg,
      raw: `${mariadb('source', `select ${columns.replace(/note|coupon|discount/g, (name) => `ifnull(${name}, '\\\\N')`).replaceAll('\\\\', '\\\\\\\\')} from orders`)} --raw | ${psql('target', 'copy orders from stdin')}; ${psql('target', 'alter table orders add primary key (id)')}` },
    { name: 'mariadb-mariadb', from: maria.url('source'), to: maria.url('target'), clear: cleanMaria, create: createMaria,
      raw: `${mariadb('source', `select ${columns.replace(/note|coupon|discount/g, (name) => `ifnull(${name}, '\\\\N')`).replaceAll('\\\\', '\\\\\\\\')} from orders`)} --raw | ${mariadb('target', `load data local infile '/dev/stdin' into table orders character set utf8mb4`)}` },
  ];
}

/** The peer is the driver's find → insertMany, whose processor time is its own, like ours. */
async function mongoContest(): Promise<Contest> {
  const server = await startServer('mongodb', await kinds.mongodb.obtain());
  servers.push(server);
  const url = (db: string) => { const full = new URL(server.url); full.pathname = `/${db}`; return full.href; };
  await using client = await MongoClient.connect(server.url);
  const documents = client.db('source').collection<{ _id: number }>('orders');
  const count = Math.min(rows, 200_000);
  for (let at = 0; at < count; at += 5000) {
    await documents.insertMany(Array.from({ length: 5000 }, (_, i) => ({
      _id: at + i, customer: { id: (at + i) % 1000, name: `customer ${i}`, tags: ['a', 'b', `t${i % 10}`] }, amount: i / 7, note: 'x'.repeat(180), at: new Date(at + i),
      lines: [{ sku: `s${i}`, n: 1, price: 1.5 }, { sku: `s${i + 1}`, n: 2, price: 2.5 }],
    })));
  }
  const driver = fileURLToPath(new URL('driver-copy.mjs', import.meta.url));
  const clear = async () => {
    await using cleaner = await MongoClient.connect(server.url);
    await cleaner.db('target').dropDatabase();
  };
  return { name: 'mongodb-mongodb', from: url('source'), to: url('target'), clear, create: async () => undefined, raw: `exec ${process.execPath} ${driver} ${url('source')} ${url('target')} orders` };
}

/** Raw and dsync in turns; the first of each is a warm-up and not counted. */
async function compete(contest: Contest): Promise<void> {
  const raw: Measured[] = [], ours: Measured[] = [];
  for (let i = 0; i <= runs; i++) {
    await contest.clear();
    await contest.create();
    raw.push(await timed('bash', ['-c', contest.raw]));
    await contest.clear();
    ours.push(await timed(dsync, ['sync', contest.from, contest.to, '--no-verify', '--state', join(folder, `${contest.name}-${i}`), ...values.flags.split(' ').filter(Boolean)]));
  }
  const median = (all: readonly Measured[], of: keyof Measured) => all.slice(1).map((one) => one[of]).sort((a, b) => a - b)[Math.floor((all.length - 1) / 2)];
  const ratios = ours.slice(1).map((one, i) => one.seconds / raw[i + 1].seconds).sort((a, b) => a - b);
  const line = (name: string, all: readonly Measured[]) => `${name} ${median(all, 'seconds').toFixed(2)} s (cpu ${median(all, 'cpu').toFixed(2)} s)`;
  console.log(`${contest.name.padEnd(16)} ${line('raw', raw)}   ${line('dsync', ours)}   ratio ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}   peak ${Math.max(...ours.map((one) => one.megabytes))} MB`);
}

interface Ends { readonly url: (db: string) => string; readonly query: (db: string, sql: string) => Promise<unknown>; readonly login: string; middle: number }

async function started(name: 'postgres18' | 'mariadb', ...flags: string[]): Promise<Ends> {
  const server = await startServer(name, await kinds[name].obtain(), { flags: async () => flags });
  servers.push(server);
  const { username, password, port } = new URL(server.url);
  const url = (db: string) => { const full = new URL(server.url); full.pathname = `/${db}`; return full.href; };
  for (const db of ['source', 'target']) await textRows(server.url, `CREATE DATABASE ${db}`);
  return { url, query: (db, sql) => textRows(url(db), sql), login: `-h127.0.0.1 -P${port} -u${username} -p${password}`, middle: 0 };
}

async function fill(pg: Ends, maria: Ends): Promise<void> {
  console.log(`filling ${rows} rows on each side`);
  await pg.query('source', `CREATE TABLE orders ${pgTable}; ALTER TABLE orders ADD PRIMARY KEY (id)`);
  await pg.query('source', `INSERT INTO orders SELECT g, g * 7 % 100000, (g % 100000)::numeric / 100, (ARRAY['new','paid','sent','back'])[1 + g % 4], CASE WHEN g % 5 > 0 THEN 'note ' || md5(g::text) END,
    '2024-01-01'::timestamp + g * interval '1.000123 second', g % 2 = 0, CASE WHEN g % 3 = 0 THEN 'C' || g END, CASE WHEN g % 4 > 0 THEN g / 7.0 END, json_build_object('src', g % 10, 'w', g % 1000) FROM generate_series(1, ${rows}) g`);
  await pg.query('source', 'VACUUM ANALYZE orders');
  pg.middle = Number(((await pg.query('source', `SELECT pg_relation_size('orders') / 8192 / 2 AS n`)) as { n: string }[])[0].n);
  await maria.query('source', `CREATE TABLE orders ${myTable}`);
  await maria.query('source', `INSERT INTO orders SELECT seq, seq * 7 % 100000, seq % 100000 / 100, elt(1 + seq % 4, 'new','paid','sent','back'), IF(seq % 5 > 0, concat('note ', md5(seq)), NULL),
    '2024-01-01' + interval seq * 1000123 microsecond, seq % 2 = 0, IF(seq % 3 = 0, concat('C', seq), NULL), IF(seq % 4 > 0, seq / 7e0, NULL), concat('{"src" : ', seq % 10, ', "w" : ', seq % 1000, '}') FROM seq_1_to_${rows}`);
  await maria.query('source', 'ANALYZE TABLE orders');
}
