import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { kinds, type ServerName } from '../test/servers/kinds.js';
import { startServer, type OwnServer } from '../test/servers/server.js';
import { textRows } from '../test/servers/sql.js';
import { dsync, timed } from './measure.js';

/*
 * The largest resident size of dsync for many narrow rows and for few wide ones, verification included.
 * `npx tsx bench/memory.ts [from-to…] --narrow 2000000 --wide 2000 --megabytes 5`; 0 leaves one of them out.
 */
const { values, positionals } = parseArgs({ allowPositionals: true, options: { narrow: { type: 'string', default: '2000000' }, wide: { type: 'string', default: '2000' }, megabytes: { type: 'string', default: '5' }, flags: { type: 'string', default: '' } } });
const contents = [
  { unit: '160 B', rows: Number(values.narrow), width: 160 },
  { unit: `${values.megabytes} MB`, rows: Number(values.wide), width: Number(values.megabytes) * 1e6 },
].filter(({ rows }) => rows > 0);

type EndName = ServerName | 'sqlite';
const ends: readonly EndName[] = ['postgres18', 'mariadb', 'mysql9', 'sqlite', 'mongodb'];
const pairs = positionals.length > 0 ? positionals.map((pair) => pair.split('-') as [EndName, EndName]) : ends.flatMap((from) => ends.map((to) => [from, to] as const));
const folder = await mkdtemp(join(tmpdir(), 'dsync-bench-'));
const servers = new Map<EndName, OwnServer>();
/** Large rows need large packets, and nothing here has to outlive a crash of the server. */
const large = ['--max-allowed-packet=64M', '--innodb-flush-log-at-trx-commit=0', '--skip-log-bin'];
const flags: Partial<Record<EndName, readonly string[]>> = { mariadb: [...large, '--innodb-log-file-size=512M'], mysql9: [...large, '--innodb-redo-log-capacity=1G'], postgres18: ['-c', 'max_wal_size=2GB', '-c', 'fsync=off'] };
/** mongo-java-server keeps all in its own memory. */
const mostDocuments = 400_000, mostDocumentBytes = 600e6;
let count = 0;

try {
  for (const { unit, rows, width } of contents) {
    const nameOf = (count: number) => `${count} × ${unit}`;
    for (const from of new Set(pairs.map(([source]) => source))) {
      const source = await urlOf(from), fitting = from === 'mongodb' ? Math.min(rows, mostDocuments, Math.floor(mostDocumentBytes / width)) : rows;
      const filled = await copied(`generator:?rows=${fitting}&width=${width}`, source, '--no-verify');
      console.log(`${`generator → ${from}`.padEnd(26)} ${nameOf(fitting)}: ${filled}`);
      for (const [, to] of pairs.filter(([end, other]) => end === from && (other !== 'mongodb' || from === 'mongodb'))) {
        const destination = await urlOf(to);
        console.log(`${`${from} → ${to}`.padEnd(26)} ${nameOf(fitting)}: ${await copied(source, destination)}`);
        await drop(to, destination);
      }
      await drop(from, source);
    }
  }
} finally {
  for (const server of servers.values()) await server.stop();
  await rm(folder, { recursive: true, force: true });
}

async function copied(source: string, destination: string, ...more: readonly string[]): Promise<string> {
  try {
    const { megabytes, seconds, cpu } = await timed(dsync, ['sync', source, destination, '--state', join(folder, `state-${++count}`), ...more, ...values.flags.split(' ').filter(Boolean)]);
    return `peak ${megabytes} MB   (${seconds.toFixed(0)} s, cpu ${cpu.toFixed(0)} s)`;
  } catch (error) {
    process.exitCode = 1;
    return `FAILED ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** A database or file of its own. */
async function urlOf(end: EndName): Promise<string> {
  const database = `bench_${++count}`;
  if (end === 'sqlite') return `sqlite:${join(folder, `${database}.db`)}`;
  const server = servers.get(end) ?? await startServer(end, await kinds[end].obtain(), { flags: async () => flags[end] ?? [] });
  servers.set(end, server);
  if (end !== 'mongodb') await textRows(server.url, `CREATE DATABASE ${database}`);
  const url = new URL(server.url);
  url.pathname = `/${database}`;
  return url.href;
}

async function drop(end: EndName, url: string): Promise<void> {
  if (end === 'sqlite') return rm(url.slice('sqlite:'.length), { force: true });
  if (end !== 'mongodb') await textRows(servers.get(end)!.url, `DROP DATABASE ${new URL(url).pathname.slice(1)}`);
}
