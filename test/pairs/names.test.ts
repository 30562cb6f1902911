import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { describeWith, freshDatabase, ownServer, type ServerName } from '../servers/index.js';
import { textRows } from '../servers/sql.js';
import { dsync, syncJson, type Outcome } from './command.js';

const folder = mkdtempSync(join(tmpdir(), 'dsync-test-names-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

type Server = Exclude<ServerName, 'mongodb'> | 'sqlite';
interface End { readonly url: string; readonly schema?: string; quote(name: string): string; run(sql: string): Promise<readonly Readonly<Record<string, string | null>>[]> }

async function open(server: Server): Promise<End> {
  if (server === 'sqlite') {
    const path = join(folder, `${files++}.db`), database = new Database(path);
    onTestFinished(() => void database.close());
    return { url: `sqlite:${path}`, quote: (name) => `"${name.replaceAll('"', '""')}"`, run: async (sql) => { const found = database.prepare(sql); return found.reader ? found.all() as Record<string, string>[] : (found.run(), []); } };
  }
  const made = await freshDatabase(server), mark = server.startsWith('postgres') ? '"' : '`';
  onTestFinished(() => made[Symbol.asyncDispose]());
  return { url: made.url, schema: made.name, quote: (name) => mark + name.replaceAll(mark, mark + mark) + mark, run: (sql) => made.query(sql) };
}

const codes = ({ stdout }: Outcome) => (JSON.parse(stdout) as { findings: { finding: { code: string } }[] }).findings.map(({ finding }) => finding.code).filter((code) => /renamed|refused|left-out/.test(code));

/** Names that some engine takes for others, or can't take: all that differ in letter case only come last, and only where the source tells them apart. */
const strange = ['Mixed Case', 'select', `a"b'c`, 'back`tick', 'Straße ünï 名', 'with.dot', 'per%cent', 'semi;colon', 'dollar$1 $& \\1'];
const longest = (server: Server) => 'ß'.repeat(server.startsWith('postgres') ? 31 : 40);

async function fill(end: End, tables: readonly string[]): Promise<void> {
  for (const table of tables) {
    const q = end.quote(table);
    await end.run(`CREATE TABLE ${q} (${q} int NOT NULL PRIMARY KEY, ${end.quote('Order')} int, ${end.quote(`${table.slice(0, 20)} x`)} int)`);
    await end.run(`CREATE INDEX ${end.quote(`i ${table.slice(0, 20)}`)} ON ${q} (${end.quote('Order')})`);
    await end.run(`INSERT INTO ${q} VALUES (1, 2, 3), (4, 5, 6)${table === 'twins' ? ', (7, 8, 9)' : ''}`);
  }
}

const servers = ['postgres18', 'mariadb', 'sqlite'] as const;
const pairs: readonly (readonly [Server, Server])[] = [...servers.flatMap((from) => servers.map((to) => [from, to] as const)), ['mysql9', 'mysql9'], ['mysql9', 'postgres18']];
for (const [from, to] of pairs) {
  const needed = [...new Set([from, to])].filter((server): server is Exclude<Server, 'sqlite'> => server !== 'sqlite');
  describeWith(needed, `names, ${from} → ${to}`, () => {
    test('are kept where they can be; what is cut or marked is told, and verify finds it again', async () => {
      const source = await open(from), destination = await open(to), twins = from === 'postgres18' || from === 'mysql9' || from === 'mariadb' ? ['Twins', 'twins'] : [];
      await fill(source, [...strange, longest(from), ...twins]);
      const outcome = await syncJson(source.url, destination.url);
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      const tooLong = to === 'postgres18' && from !== 'postgres18', twin = to === 'sqlite' && twins.length > 0;
      expect(codes(outcome).filter((code) => code === 'table-renamed')).toHaveLength((tooLong ? 1 : 0) + (twin ? 1 : 0));
      expect(codes(outcome).filter((code) => /refused|left-out/.test(code))).toEqual([]);
      const rows = await destination.run(`SELECT ${destination.quote('select')} AS v FROM ${destination.quote('select')} ORDER BY 1`);
      expect(rows.map(({ v }) => Number(v))).toEqual([1, 4]);
      const verified = await dsync('verify', source.url, destination.url);
      expect(verified, verified.stdout + verified.stderr).toMatchObject({ status: 0 });
    });
  });
}

describeWith(['postgres18', 'mariadb'], 'schemas and databases', () => {
  test('of a server that lowers names take tables whose names differ in letter case only, each in a table of its own', async () => {
    await using server = await ownServer('mariadb', { flags: async () => ['--lower-case-table-names=1'] });
    const source = await freshDatabase('postgres18');
    onTestFinished(() => source[Symbol.asyncDispose]());
    for (const sql of ['CREATE TABLE "Users" (id int PRIMARY KEY, a int)', 'CREATE TABLE users (id int PRIMARY KEY, b text)', 'CREATE TABLE "Ünder" (id int PRIMARY KEY, u int REFERENCES "Users")', 'INSERT INTO "Users" VALUES (1, 1)', `INSERT INTO users VALUES (2, 'x')`, 'INSERT INTO "Ünder" VALUES (3, 1)']) await source.query(sql);
    await textRows(server.url, 'CREATE DATABASE lowered');
    const outcome = await syncJson(source.url, `${server.url}lowered`);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    expect(codes(outcome).filter((code) => /refused|left-out/.test(code))).toEqual([]);
    const tables = await textRows(server.url, `SELECT table_name AS t FROM information_schema.tables WHERE table_schema = 'lowered' AND table_name NOT LIKE '\\_dsync%' ORDER BY 1`);
    expect(tables.map(({ t }) => t).sort()).toEqual(['users', expect.stringMatching(/^users_[0-9a-f]{8}$/), 'ünder']);
    const verified = await dsync('verify', source.url, `${server.url}lowered`);
    expect(verified, verified.stdout + verified.stderr).toMatchObject({ status: 0 });
    const back = await freshDatabase('postgres18');
    onTestFinished(() => back[Symbol.asyncDispose]());
    expect(await syncJson(`${server.url}lowered`, back.url)).toMatchObject({ status: 0 });
  });

  test('keep tables of the same name apart, whatever the databases are called', async () => {
    const source = await freshDatabase('postgres18'), mark = `t-${process.pid}.d`;
    onTestFinished(() => source[Symbol.asyncDispose]());
    for (const sql of [`CREATE SCHEMA "${mark}"`, 'CREATE TABLE t (id int PRIMARY KEY, v text)', `CREATE TABLE "${mark}".t (id int PRIMARY KEY, w int)`, `INSERT INTO t VALUES (1, 'public')`, `INSERT INTO "${mark}".t VALUES (2, 2)`, 'CREATE INDEX same ON t (v)', `CREATE INDEX same ON "${mark}".t (w)`]) await source.query(sql);
    const destination = await freshDatabase('mariadb');
    onTestFinished(async () => { await destination.query(`DROP DATABASE IF EXISTS \`${mark}\``); await destination[Symbol.asyncDispose](); });
    expect(await syncJson(source.url, destination.url)).toMatchObject({ status: 0 });
    expect(await destination.query('SELECT v FROM t')).toEqual([{ v: 'public' }]);
    expect(await destination.query(`SELECT w FROM \`${mark}\`.t`)).toEqual([{ w: '2' }]);
    const verified = await dsync('verify', source.url, destination.url);
    expect(verified, verified.stdout + verified.stderr).toMatchObject({ status: 0 });
    const back = await freshDatabase('postgres18'), url = destination.url.replace(/\/[^/]*$/, `/${encodeURIComponent(mark)}`);
    onTestFinished(() => back[Symbol.asyncDispose]());
    expect(await syncJson(url, back.url)).toMatchObject({ status: 0 });
    expect(await back.query('SELECT w::text FROM public.t')).toEqual([{ w: '2' }]);
  });

  test('other than public are the default of a connection that says so', async () => {
    const source = await freshDatabase('postgres18'), destination = await freshDatabase('postgres18');
    for (const end of [source, destination]) { onTestFinished(() => end[Symbol.asyncDispose]()); await end.query('CREATE SCHEMA "Shop"'); }
    for (const sql of ['CREATE TABLE "Shop".t (id serial PRIMARY KEY, v int CHECK (v > 0))', 'CREATE INDEX tv ON "Shop".t (v)', 'INSERT INTO "Shop".t (v) VALUES (1)', 'CREATE TABLE t (id int PRIMARY KEY)']) await source.query(sql);
    const within = (url: string) => `${url}?options=${encodeURIComponent('-c search_path="Shop"')}`;
    const moved = await syncJson(within(source.url), destination.url, '--namespace', 'Shop.*');
    expect(moved, moved.stderr).toMatchObject({ status: 0 });
    expect(await destination.query('INSERT INTO public.t (v) VALUES (5) RETURNING id::text')).toEqual([{ id: '2' }]);
    // Both would go to the same table.
    expect(await syncJson(source.url, within(destination.url))).toMatchObject({ status: 2, report: { error: { message: expect.stringContaining('would both go to') as string } } });
    const kept = await syncJson(source.url, within(destination.url), '--namespace', 'Shop.*');
    expect(kept, kept.stderr).toMatchObject({ status: 0 });
    expect(await destination.query('SELECT count(*)::text AS n FROM "Shop".t')).toEqual([{ n: '1' }]);
  });
});
