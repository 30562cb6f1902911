import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { serverFor } from '../servers/index.js';
import { Command } from './command.js';
import { openEnd, type SqlEnd } from './ends.js';
import { faultsOf } from './equal.js';
import { describeEnds } from './scene.js';
import { tablesOf } from './tables.js';

/*
 * The least rights of the documentation's pages, as they stand there, are enough: roles are made of those statements, and a live
 * run has no other ones.
 */

/** The statements of a page's first section, by the comment above them. */
function statementsOf(page: string): ReadonlyMap<string, readonly string[]> {
  const [, sql] = /## The least rights\n+```sql\n([^]*?)```/.exec(readFileSync(resolve(`docs/connectors/${page}.md`), 'utf8'))!;
  return new Map(sql!.split(/^-- /m).slice(1).map((part) => {
    const [title, ...lines] = part.split('\n');
    return [title!.trim(), lines.map((line) => line.replace(/--.*$/, '').trim()).filter(Boolean)];
  }));
}

let count = 0;

interface Granted { readonly url: string; readonly role: string }

/** A role of a database's own, with these parts of its page and nothing else. */
async function roleOf(end: SqlEnd, titles: readonly string[]): Promise<Granted> {
  const role = `least_${process.pid}_${count++}`, isPostgres = end.dialect === 'postgres', url = new URL(end.url), database = url.pathname.slice(1);
  const statements = statementsOf(isPostgres ? 'postgres' : 'mysql');
  const chosen = titles.flatMap((title) => statements.get(title) ?? expect.fail(`the page has no part '${title}'`));
  if (isPostgres) await end.query(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC`);
  await end.query(isPostgres ? `CREATE ROLE ${role} LOGIN PASSWORD 'least'` : `CREATE USER ${role} IDENTIFIED BY 'least'`);
  for (const statement of chosen) await end.query(statement.replaceAll('shop_owner', `${database}_owner`).replace(/\bshop\b/g, database).replace(/\bdsync\b/g, role));
  onTestFinished(async () => { for (const statement of isPostgres ? [`DROP OWNED BY ${role} CASCADE`, `DROP ROLE ${role}`] : [`DROP USER ${role}`]) await end.query(statement); });
  [url.username, url.password] = [role, 'least'];
  return { url: url.href, role };
}

const tables = tablesOf({ rows: 200, width: 100 }).filter(({ name }) => name !== 'fresh');

/** Filled by the administrator; PostgreSQL's tables belong to a role of their own. */
async function filled(name: 'postgres18' | 'mariadb' | 'mysql9'): Promise<SqlEnd> {
  const end = await openEnd(name, serverFor(name)!.url) as SqlEnd;
  onTestFinished(() => end[Symbol.asyncDispose]());
  await end.fill(tables);
  if (end.dialect !== 'postgres') return end;
  const owner = `${new URL(end.url).pathname.slice(1)}_owner`;
  await end.query(`CREATE ROLE ${owner}`);
  onTestFinished(async () => { await end.query(`DROP OWNED BY ${owner} CASCADE`); await end.query(`DROP ROLE ${owner}`); });
  await end.query('ALTER TABLE log REPLICA IDENTITY FULL');
  for (const table of tables) await end.query(`ALTER TABLE ${table.name} OWNER TO ${owner}`);
  return end;
}

const source = (more: string): readonly string[] => ['source', `source, besides, with --live${more}`];
const ways = [
  ['postgres18', 'mariadb', source(''), []], ['postgres18', 'postgres18', source(' and --publication'), ['--publication', 'given']],
  ['mysql9', 'postgres18', source(' (MySQL)'), []], ['mariadb', 'mysql9', source(' (MariaDB)'), []],
] as const;

for (const [from, to, titles, flags] of ways) describeEnds([from, to], `From ${from} to ${to} ${flags.join(' ')} with the least rights`, () => {
  it('a live run copies, follows, is killed, goes on, and is cleaned up', async () => {
    const here = await filled(from), there = await openEnd(to, serverFor(to)!.url) as SqlEnd;
    onTestFinished(() => there[Symbol.asyncDispose]());
    if (flags.length > 0) await here.query('CREATE PUBLICATION given FOR ALL TABLES');
    const [reader, writer] = [await roleOf(here, titles), await roleOf(there, ['destination'])];
    using command = new Command({ source: reader.url, destination: writer.url }, []);
    const doctor = await command.doctor('--live', ...flags).ended;
    expect(doctor.by, doctor.stderr).toBe(0);
    const first = command.sync('--live', ...flags);
    await first.says(/\bfollow\b/);
    for (const statement of ["UPDATE items SET note = 'other' WHERE id <= 50", 'DELETE FROM log WHERE n = 3', "INSERT INTO words VALUES ('new', 1)", 'UPDATE items SET id = -id WHERE id = 60']) await here.query(statement);
    await becomeEqual(here, there);
    first.kill('SIGKILL');
    await first.ended;
    for (const statement of ['TRUNCATE TABLE words', "INSERT INTO words VALUES ('last', 2)", "INSERT INTO log VALUES (1, 'again'), (1, 'again')"]) await here.query(statement);
    const second = command.resume();
    await second.says(/\bfollow\b/);
    await becomeEqual(here, there);
    second.kill('SIGINT');
    expect((await second.ended).by).toBe(130);
    const cleanup = await command.cleanup().ended;
    expect(cleanup.by, cleanup.stderr).toBe(0);
    if (here.dialect === 'postgres') expect(await here.query('SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database() UNION ALL SELECT pubname FROM pg_publication')).toEqual(flags.length > 0 ? [{ name: 'given' }] : []);
  });
});

/** What is on its way takes a moment. */
async function becomeEqual(from: SqlEnd, to: SqlEnd): Promise<void> {
  const faults = async () => Promise.all(tables.map(async (table) => ({ table: table.name, ...faultsOf(table, await from.contents(table), await to.contents(table)) })));
  const none = tables.map(({ name }) => ({ table: name, missing: [], twice: [], stale: [], extra: [] }));
  for (let tries = 0; tries < 100; tries++) {
    if (JSON.stringify(await faults()) === JSON.stringify(none)) return;
    await delay(200);
  }
  expect(await faults()).toEqual(none);
}
