import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Command, type Running } from '../test/crash/command.js';
import { cellsOf, cellsOfDocuments, openEnd, type Cells, type EndName, type MongoEnd, type SqlEnd, type Table } from '../test/crash/ends.js';
import { faultsOf, type Faults } from '../test/crash/equal.js';
import { tablesOf } from '../test/crash/tables.js';
import { randomFrom } from '../test/random.js';
import { Wires } from '../test/crash/wires.js';
import { startWriter, type Writer } from '../test/crash/writer.js';
import { kinds, type ServerName } from '../test/servers/kinds.js';
import { startServer, type OwnServer } from '../test/servers/server.js';

/*
 * SIGKILL at random moments of a large copy, by what has been read or written, never by the clock, while another client
 * works on the source; it stops before the last resume. Then both databases are compared by their drivers.
 * `npx tsx bench/chaos.ts [from-to…] --rows 2000000 --documents 500000 --kills 20 --seed 1 --flags='--batch-size 1MB'`
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: '2000000' }, documents: { type: 'string', default: '500000' }, kills: { type: 'string', default: '20' },
    width: { type: 'string', default: '100' }, seed: { type: 'string', default: String(Date.now() % 100_000) }, flags: { type: 'string', default: '' },
  },
});
const kills = Number(values.kills), seed = Number(values.seed), random = randomFrom(seed);

const sql: readonly EndName[] = ['postgres18', 'mariadb', 'mysql9', 'sqlite'];
const everyPair = [...sql.flatMap((from) => sql.map((to) => `${from}-${to}`)), 'mongodb-mongodb'];
const servers = new Map<ServerName, OwnServer>();
console.log(`seed ${seed}`);
try {
  for (const pair of positionals.length > 0 ? positionals : everyPair) await torment(...pair.split('-') as [EndName, EndName]);
} finally {
  for (const server of servers.values()) await server.stop();
}

interface Pair { readonly source: SqlEnd | MongoEnd; readonly destination: SqlEnd | MongoEnd; readonly tables: readonly Table[]; readonly wires: Wires; readonly command: Command }

async function torment(from: EndName, to: EndName): Promise<void> {
  const start = performance.now();
  const rows = Number(from === 'mongodb' ? values.documents : values.rows);
  await using source = await openEnd(from, await serverUrl(from));
  await using destination = await openEnd(to, await serverUrl(to));
  const tables = tablesOf({ rows, width: Number(values.width) }, from === 'mongodb');
  await source.fill(tables);
  await using wires = await Wires.between(source.url, destination.url);
  using command = new Command(wires, values.flags.split(' ').filter(Boolean));
  await using writer = await startWriter(source, rows, seed);
  const pair: Pair = { source, destination, tables, wires, command };
  const filled = performance.now();
  const killed = await killAgainAndAgain(pair, writer);
  await writer.stop();
  const last = await command.resume().ended;
  if (last.by !== 0) throw new Error(`${from} to ${to}: the last resume ended with ${last.by}\n${last.stderr}`);
  const ended = performance.now();
  const faults = await compare(pair);
  const changes = Object.values(writer.done).reduce((sum, n) => sum + n, 0);
  console.log(`${from} to ${to}: ${rows} rows, ${killed} kills, ${changes} changes, the last process wrote ${last.report.rows} and mended ${last.report.mended.upserted} + ${last.report.mended.deleted}: ${faults.length === 0 ? 'EQUAL' : 'DIFFERENT'}   (filled in ${seconds(start, filled)}, killed and resumed in ${seconds(filled, ended)}, compared in ${seconds(ended, performance.now())})`);
  for (const fault of faults) console.log(`  ${fault}`);
  if (faults.length > 0) process.exitCode = 1;
}

/** Each process is killed after a random part of the work; on average they do three quarters of the copy together. */
async function killAgainAndAgain(pair: Pair, writer: Writer): Promise<number> {
  const whole = Number(pair.tables[0]!.count) * (Number(values.width) + 60);
  for (let n = 0; n < kills; n++) {
    const running = n === 0 ? pair.command.sync() : pair.command.resume();
    const early = await Promise.race([randomMoment(pair, running, random() * 1.5 * whole / kills), running.ended]);
    if (early) throw new Error(`dsync ended with ${early.by} before kill ${n + 1}; take more rows, or fewer kills\n${early.stderr}`);
    running.kill('SIGKILL');
    await running.ended;
    pair.wires.release();
    await writer.more(10);
  }
  return kills;
}

/** After so many bytes of what the source gives or the destination gets. */
async function randomMoment({ source, destination, wires }: Pair, running: Running, bytes: number): Promise<undefined> {
  const nth = Math.ceil(bytes), wired = [source.name !== 'sqlite', destination.name !== 'sqlite'];
  if (wired[0] && (!wired[1] || random() < 0.5)) await wires.stopAt({ side: 'source', way: 'answered', nth });
  else if (wired[1]) await wires.stopAt({ side: 'destination', way: 'asked', nth });
  else await grown(destination.url.slice('sqlite:'.length), nth, running);
}

/** Of two files nothing passes a wire: what has been written shows in the destination's size. */
async function grown(path: string, bytes: number, running: Running): Promise<void> {
  let ended = false;
  void running.ended.then(() => { ended = true; });
  const size = async () => (await Promise.all([path, `${path}-wal`].map((file) => stat(file).then((found) => found.size, () => 0)))).reduce((sum, n) => sum + n);
  for (const before = await size(); !ended && (await size()) < before + bytes;) await delay(5);
}

async function serverUrl(name: EndName): Promise<string | undefined> {
  if (name === 'sqlite') return undefined;
  const server = servers.get(name) ?? await startServer(name, await kinds[name].obtain());
  servers.set(name, server);
  return server.url;
}

/** The large table in pieces of its key, the others as wholes. */
async function compare({ source, destination, tables }: Pair): Promise<readonly string[]> {
  const lines: string[] = [];
  const tell = (table: Table, faults: Faults) => {
    for (const [kind, keys] of Object.entries(faults) as [string, string[]][]) if (keys.length > 0) lines.push(`${table.name}: ${keys.length} ${kind}: ${keys.slice(0, 5).join(' ')}`);
  };
  const [large, ...others] = tables;
  for (let after = -Infinity; after < Infinity;) {
    const from = await pieceOf(source, large!, after, Infinity, 100_000);
    const end = from.length < 100_000 ? Infinity : Number(from.at(-1)![0]);
    tell(large!, faultsOf(large!, from, await pieceOf(destination, large!, after, end)));
    after = end;
  }
  for (const table of others) tell(table, faultsOf(table, await source.contents(table), await destination.contents(table)));
  return lines;
}

/** Rows with a first column in (after, end], the first of them in its order. */
async function pieceOf(at: SqlEnd | MongoEnd, table: Table, after: number, end: number, limit?: number): Promise<readonly Cells[]> {
  if ('db' in at) {
    const key = { $gt: after, ...(end < Infinity && { $lte: end }) } as object;
    return cellsOfDocuments(table, await at.db.collection(table.name).find({ _id: key }).sort({ _id: 1 }).limit(limit ?? 0).toArray());
  }
  const [first] = table.columns, conditions = [...(after > -Infinity ? [`${first!.name} > ${after}`] : []), ...(end < Infinity ? [`${first!.name} <= ${end}`] : [])];
  return cellsOf(table, await at.query(`SELECT * FROM ${table.name}${conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : ''} ORDER BY ${first!.name}${limit ? ` LIMIT ${limit}` : ''}`));
}

function seconds(from: number, to: number): string {
  return `${((to - from) / 1000).toFixed(0)} s`;
}
