import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { describeWith, freshDatabase } from '../servers/index.js';
import { findProgram } from '../servers/programs.js';
import { dsync, syncJson } from './command.js';
import { works as mysqlWorks } from './mysql-works.js';
import { works as postgresWorks } from './postgres-works.js';

const folder = mkdtempSync(join(tmpdir(), 'dsync-test-ddl-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

type Server = 'postgres18' | 'mariadb' | 'sqlite';
interface Place { readonly url: string; run(statements: readonly string[]): Promise<void>; /** Runs a file by the database's own program, which stops at the first error. */ perform(file: string): Promise<void> }

async function own(program: string, args: readonly string[], file: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const path = await findProgram(program);
  if (!path) throw new Error(`no ${program} on the PATH`);
  const child = spawn(path, args, { stdio: ['pipe', 'ignore', 'pipe'], env: { ...process.env, ...env } });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => { said += text; });
  createReadStream(file).pipe(child.stdin).on('error', () => { /* the status says so */ });
  const [status] = await once(child, 'close') as [number];
  if (status !== 0) throw new Error(`${program}: ${said}`);
}

async function place(server: Server): Promise<Place> {
  if (server === 'sqlite') {
    const path = join(folder, `${files++}.db`), database = new Database(path);
    onTestFinished(() => void database.close());
    return { url: `sqlite:${path}`, run: async (statements) => statements.forEach((sql) => void database.exec(sql)), perform: (file) => own('sqlite3', ['-bail', path], file) };
  }
  const made = await freshDatabase(server), { hostname, port, username, password } = new URL(made.url);
  onTestFinished(() => made[Symbol.asyncDispose]());
  return {
    url: made.url, run: async (statements) => { for (const sql of statements) await made.query(sql); },
    perform: (file) => (server === 'mariadb'
      ? own('mariadb', ['--no-defaults', `--host=${hostname}`, `--port=${port}`, `--user=${username}`, '--default-character-set=utf8mb4', made.name], file, { MYSQL_PWD: password })
      : own('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', made.url], file)),
  };
}

const role = 'dsync_test_ddl';
const sqliteWorks = [
  `CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT 'it''s', n INT DEFAULT 5 CHECK (n > 0), twice INT GENERATED ALWAYS AS (n * 2) STORED, mail TEXT UNIQUE)`,
  'CREATE TABLE posts (id INT PRIMARY KEY, author INT REFERENCES people (id) ON DELETE CASCADE, title TEXT)', 'CREATE INDEX by_title ON posts (title DESC, author)', 'CREATE INDEX some ON posts (author) WHERE author > 5', 'CREATE VIEW titles AS SELECT title FROM posts',
  `CREATE TRIGGER noted AFTER INSERT ON posts BEGIN UPDATE people SET name = 'x;y' WHERE id = NEW.author; END`, `INSERT INTO people (name) VALUES ('a'), ('b')`, `INSERT INTO posts VALUES (1, 1, 't')`,
];
const worksOf: Readonly<Record<Server, readonly string[]>> = {
  postgres18: [`DO $$BEGIN CREATE ROLE ${role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END$$`, ...postgresWorks(18, role)],
  mariadb: mysqlWorks('mariadb').statements, sqlite: sqliteWorks,
};

const programs: Readonly<Record<Server, string>> = { postgres18: 'psql', mariadb: 'mariadb', sqlite: 'sqlite3' };
const stand = new Map(await Promise.all(Object.values(programs).map(async (program) => [program, await findProgram(program) !== undefined] as const)));

const servers = ['postgres18', 'mariadb', 'sqlite'] as const;
for (const from of servers) for (const to of servers) {
  describeWith([...new Set([from, to])].filter((server) => server !== 'sqlite'), `plan --ddl, ${from} → ${to}`, () => {
    test.skipIf(!stand.get(programs[to]))('writes a file that the own program of the destination runs, and after which nothing is missing', async () => {
      const source = await place(from), destination = await place(to), file = join(folder, `${from}-${to}.sql`);
      await source.run(worksOf[from]);
      const planned = await dsync('plan', source.url, destination.url, '--ddl', file, '--json');
      expect(planned, planned.stderr).toMatchObject({ status: 0 });
      await destination.perform(file);
      const outcome = await syncJson(source.url, destination.url, '--schema', 'check', '--no-verify');
      const findings = (JSON.parse(outcome.stdout) as { findings?: { finding: { code: string; message: string } }[] }).findings ?? [];
      expect(findings.map(({ finding }) => finding).filter(({ code }) => code === 'object-missing').map(({ message }) => message), outcome.stderr).toEqual([]);
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    });
  });
}
