import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Command, type Running } from '../test/crash/command.js';
import { Wires } from '../test/crash/wires.js';
import { randomFrom } from '../test/random.js';
import { kinds, type ServerName } from '../test/servers/kinds.js';
import { startServer, type OwnServer } from '../test/servers/server.js';
import { connectText, type TextRow } from '../test/servers/sql.js';
import { documentsOf } from './documents.js';
import { prepareLoad, workDatabase, type Prepared } from './loads.js';

/*
 * A live run under load: SIGKILL at random moments of the copy and of following, and in some of the rounds the source's server
 * killed and started again, the destination's, all connections cut, or everything held back for a while. When the load has
 * stopped and everything has arrived, each table is compared by queries of plain drivers. A server that keeps all in memory is
 * not restarted: it would come back empty.
 * `npx tsx bench/live.ts [from-to…] --kills 20 --scale 3 --rate 100 --seed 1 --flags='…'`. Needs pgbench and sysbench.
 */
const { values, positionals } = parseArgs({ allowPositionals: true, options: {
  kills: { type: 'string', default: '20' }, scale: { type: 'string', default: '3' }, rate: { type: 'string', default: '100' },
  seed: { type: 'string', default: String(Date.now() % 100_000) }, flags: { type: 'string', default: '' },
} });
const kills = Number(values.kills), random = randomFrom(Number(values.seed));
const pairs = positionals.length > 0 ? positionals : ['postgres18-postgres18', 'postgres18-mariadb', 'mariadb-postgres18', 'mariadb-mariadb', 'mysql9-postgres18', 'mongodb-mongodb', 'mongodb-postgres18'];
console.log(`seed ${values.seed}`);

for (const pair of pairs) {
  const [from, to] = pair.split('-') as [ServerName, ServerName];
  await using source = await startServer(from, await kinds[from].obtain(), { log: true });
  await using destination = await startServer(to, await kinds[to].obtain());
  await torment(pair, source, destination);
}

async function torment(pair: string, source: OwnServer, destination: OwnServer): Promise<void> {
  const [here, there] = [await workDatabase(source), await workDatabase(destination)], begun = performance.now();
  const { load, tables }: Prepared = await prepareLoad(here, Number(values.scale));
  await using _load = load;
  await using wires = await Wires.between(here, there);
  using command = new Command(wires, ['--live', ...values.flags.split(' ').filter(Boolean)]);
  load.start(Number(values.rate));
  let running = command.sync(), troubles: string[] = [];
  await running.says(/info +plan/);
  for (let n = 0; n < kills; n++) {
    await delay(500 + random() * 4000);
    if (n % 4 === 3) troubles = [...troubles, await trouble(source, destination, wires)];
    await kill(running);
    running = command.resume();
  }
  await load.stop();
  const stopped = performance.now(), faults = await settled(here, there, tables, running);
  const lag = (performance.now() - stopped) / 1000;
  running.kill('SIGINT');
  const { by, stderr } = await running.ended;
  const rows = await Promise.all(tables.map(async ({ name }) => `${name} ${(await linesOf(there, { name, columns: [] }, here)).length}`));
  console.log(`${pair}: ${kills} kills, ${troubles.join(', ')}: ${faults.length === 0 ? 'EQUAL' : `DIFFERENT: ${faults.join('; ')}`}   (${((stopped - begun) / 1000).toFixed(0)} s of load, equal ${lag.toFixed(1)} s after it, ended with ${by}; ${rows.join(', ')})`);
  if (faults.length > 0) {
    console.log(stderr.slice(-2000));
    for (const table of tables) await tellDifferences(here, there, table);
  }
  if (faults.length > 0 || by !== 130) process.exitCode = 1;
}

/** One that came up while a server was away has ended by itself, with 3; with anything else the run is over. */
async function kill(running: Running): Promise<void> {
  const ended = await Promise.race([running.ended, delay(0)]);
  if (ended && ended.by !== 3) throw new Error(`dsync ended with ${ended.by} before it was killed\n${ended.stderr}`);
  running.kill('SIGKILL');
  await running.ended;
}

/** mongo-java-server has all in memory. */
function keeps({ url }: OwnServer): boolean {
  return !url.startsWith('mongodb');
}

async function trouble(source: OwnServer, destination: OwnServer, wires: Wires): Promise<string> {
  const all: Record<string, () => unknown> = {
    ...(keeps(source) && { 'source restarted': () => source.restart() }),
    ...(keeps(destination) && { 'destination restarted': () => destination.restart() }),
    'source cut, then held back 3 s': async () => { wires.cut('source'); wires.hold(); await delay(3000); wires.release(); },
    'connections cut': () => { wires.cut('source'); wires.cut('destination'); },
    'held back 5 s': async () => { wires.hold(); await delay(5000); wires.release(); },
  };
  const name = Object.keys(all)[Math.floor(random() * Object.keys(all).length)]!;
  await all[name]!();
  await delay(3000 + random() * 4000);
  return name;
}

/** Waits until both sides are the same; returns the tables that are not after a while. */
async function settled(here: string, there: string, tables: Prepared['tables'], running: Running): Promise<readonly string[]> {
  let faults: readonly string[] = tables.map(({ name }) => name);
  for (const until = performance.now() + 240_000; faults.length > 0 && performance.now() < until; await delay(500)) {
    const ended = await Promise.race([running.ended, delay(0)]);
    if (ended) throw new Error(`dsync ended with ${ended.by}\n${ended.stderr}`);
    faults = await differing(here, there, tables.filter(({ name }) => faults.includes(name)));
    if (faults.length === 0) faults = await differing(here, there, tables);
  }
  return faults;
}

async function differing(here: string, there: string, tables: Prepared['tables']): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const table of tables) if ((await digestOf(here, table, here)) !== (await digestOf(there, table, here))) faults.push(table.name);
  return faults;
}

/** Of the rows as text, in the order of that text: equal rows count as often as they are there. */
async function digestOf(url: string, table: Prepared['tables'][number], source: string): Promise<string> {
  const lines = await linesOf(url, table, source).catch(() => undefined);
  return lines ? createHash('sha256').update([...lines].sort().join('\n')).digest('hex') : `no answer ${random()}`;
}

/** The first lines of either side that the other has not as often. */
async function tellDifferences(here: string, there: string, table: Prepared['tables'][number]): Promise<void> {
  const counts = new Map<string, number>();
  for (const line of await linesOf(here, table, here)) counts.set(line, (counts.get(line) ?? 0) + 1);
  for (const line of await linesOf(there, table, here)) counts.set(line, (counts.get(line) ?? 0) - 1);
  const differing = [...counts].filter(([, n]) => n !== 0);
  console.log(`${table.name}: ${differing.length} lines differ`);
  for (const [line, n] of differing.slice(0, 10)) console.log(`  ${n > 0 ? 'source' : 'destination'}: ${line.slice(0, 400)}`);
}

async function linesOf(url: string, { name, columns }: Prepared['tables'][number], source: string): Promise<readonly string[]> {
  if (source.startsWith('mongodb')) return documentsOf(url, name);
  const connection = await connectText(url);
  try {
    return (await connection.query(`SELECT ${columns.length > 0 ? columns.join(', ') : '1 AS n'} FROM ${name}`)).map((row) => columns.map((column) => spelled(row[column]!)).join('\t'));
  } finally {
    await connection.end();
  }
}

/** Padding and zeros at the end of a fraction of a second are the engines' own. */
function spelled(cell: TextRow[string]): string {
  return cell === null ? '\0' : cell.replace(/(:\d\d\.\d*?)0+$/, '$1').replace(/\.$/, '').trimEnd();
}
