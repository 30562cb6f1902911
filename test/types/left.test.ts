import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { openEnd, type End } from '../pairs/ends/index.js';
import { dsync } from '../pairs/command.js';
import { describePair } from '../pairs/skip.js';
import { connectText, describeWith, freshDatabase, type TextConnection } from '../servers/index.js';

vi.setConfig({ testTimeout: 300_000 });

const program = fileURLToPath(new URL('../../bin/dsync.js', import.meta.url));

/** Starts the command, and ends it by this signal as soon as something is there. */
async function endedOnce(isThere: () => Promise<boolean>, by: NodeJS.Signals, ...args: readonly string[]): Promise<number | NodeJS.Signals | null> {
  const child = spawn(process.execPath, [program, ...args, '--state', mkdtempSync(join(tmpdir(), 'dsync-test-state-'))], { stdio: 'ignore' }), ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  while (child.exitCode === null && !await isThere());
  child.kill(by);
  const [status, signal] = await ended;
  return signal ?? status;
}

async function asking<T>(url: string, ask: (connection: TextConnection) => Promise<T>): Promise<T> {
  const connection = await connectText(url);
  try {
    return await ask(connection);
  } finally {
    await connection.end();
  }
}

const many = 'INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 60000) g';
const names = (url: string, sql: string) => asking(url, async (connection) => (await connection.query(sql)).map((row) => Object.values(row)[0]!));
const inPostgres = (url: string) => names(url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%dsync%' UNION SELECT slot_name FROM pg_replication_slots WHERE database = current_database() UNION SELECT pubname FROM pg_publication ORDER BY 1");
const othersInPostgres = (url: string) => names(url, "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'dsync%'");
const inMariadb = (url: string) => names(url, "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'dsync\\_types\\_%' AND schema_name <> 'dsync_types_of_a_user'");

async function source(): Promise<End> {
  const end = await openEnd.postgres18();
  await end.execute('CREATE TABLE t (id int PRIMARY KEY, v text)', many);
  return end;
}

describePair(['postgres18', 'mariadb'], 'doctor --types that is killed', () => {
  test('leaves what it made in PostgreSQL to the next one, which drops it', async () => {
    await using from = await source();
    await using to = await openEnd.postgres18();
    await to.execute('CREATE SCHEMA dsync_types_of_a_user');
    expect(await endedOnce(async () => (await inPostgres(to.url)).includes('_dsync'), 'SIGKILL', 'doctor', from.url, to.url, '--types', '--sample', 'all')).toBe('SIGKILL');
    expect(await inPostgres(to.url)).toEqual(['_dsync', expect.stringMatching(/^dsync_types_[\da-f]{12}$/), 'dsync_types_of_a_user']);
    while ((await othersInPostgres(to.url)).length > 0);
    expect(await dsync('doctor', from.url, to.url, '--types', '--sample', '1')).toMatchObject({ status: 0 });
    expect(await inPostgres(to.url)).toEqual(['dsync_types_of_a_user']);
  });

  test('leaves what it made in MariaDB to the next one; Ctrl-C leaves nothing', async () => {
    await using from = await source();
    await using to = await openEnd.mariadb();
    const doctor = ['doctor', from.url, to.url, '--types', '--sample', 'all'] as const;
    expect(await endedOnce(async () => (await inMariadb(to.url)).length > 0, 'SIGKILL', ...doctor)).toBe('SIGKILL');
    const [left] = await inMariadb(to.url);
    while ((await names(to.url, `SELECT CONCAT(IS_USED_LOCK('${left}'))`))[0] !== null);
    expect(await endedOnce(async () => (await inMariadb(to.url)).some((name) => name !== left), 'SIGINT', ...doctor)).toBe(130);
    expect((await inMariadb(to.url)).filter((name) => name !== left)).toEqual([]);
    expect(await dsync(...doctor.slice(0, -1), '1')).toMatchObject({ status: 0 });
    expect(await inMariadb(to.url)).toEqual([]);
  });

  test('does not drop what another one works in', async () => {
    await using from = await source();
    await using to = await openEnd.postgres18();
    const short = () => dsync('doctor', from.url, to.url, '--types', '--sample', '1');
    const first = dsync('doctor', from.url, to.url, '--types', '--sample', 'all', '--json');
    while (!(await inPostgres(to.url)).includes('_dsync'));
    expect(await short()).toMatchObject({ status: 0 });
    expect(await first).toMatchObject({ status: 0, report: { tables: [{ rows: 60_000 }] } });
    expect(await inPostgres(to.url)).toEqual([]);
  });

  test('leaves its file to the next one, if SQLite is the destination', async () => {
    await using from = await source();
    await using to = await openEnd.sqlite();
    let pid = '';
    const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('dsync_types_') && name.includes(`-${hostname()}-`) && (pid === '' || name.includes(`-${pid}-`)));
    const before = new Set(folders());
    await endedOnce(async () => {
      const [made] = folders().filter((name) => !before.has(name));
      if (made) pid = /-(\d+)-[^-]*$/.exec(made)![1]!;
      return made !== undefined;
    }, 'SIGKILL', 'doctor', from.url, to.url, '--types', '--sample', 'all');
    expect(folders()).toHaveLength(1);
    expect(await dsync('doctor', from.url, to.url, '--types', '--sample', '1')).toMatchObject({ status: 0 });
    expect(folders()).toEqual([]);
  });
});

describeWith('postgres18', 'selftest that is killed', () => {
  test('leaves its schema, its slot and its publication to the next one, which drops them', async () => {
    await using database = await freshDatabase('postgres18');
    expect(await endedOnce(async () => (await inPostgres(database.url)).filter((name) => name.startsWith('dsync_dsync_selftest_')).length > 0 && (await names(database.url, "SELECT slot_name FROM pg_replication_slots WHERE database = current_database() AND NOT temporary AND confirmed_flush_lsn IS NOT NULL")).length > 0, 'SIGKILL', 'selftest', database.url)).toBe('SIGKILL');
    expect((await inPostgres(database.url)).length).toBeGreaterThan(1);
    while ((await othersInPostgres(database.url)).length > 0);
    expect(await dsync('selftest', database.url)).toMatchObject({ status: 0 });
    expect(await inPostgres(database.url)).toEqual([]);
  });
});
