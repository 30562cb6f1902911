import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'libsql';
import { MongoClient, type Collection, type Db, type Document } from 'mongodb';
import type { ServerName } from '../servers/kinds.js';
import { connectText, textRows } from '../servers/sql.js';

export type EndName = ServerName | 'sqlite';
export type Dialect = 'postgres' | 'mysql' | 'sqlite';
export type Cells = readonly (string | null)[];

/** A table of these tests: whole numbers and text, which every engine spells alike. */
export interface Table {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: 'int' | 'text'; readonly length?: number }[];
  /** Positions; empty for a table without a key, which may hold equal rows. */
  readonly key: readonly number[];
  readonly count: number;
  readonly row: (i: number) => Cells;
}

/** A database of its own, filled, changed and read by the plain driver, never by dsync. */
export interface End extends AsyncDisposable {
  readonly name: EndName;
  readonly url: string;
  /** What its namespaces begin with. */
  readonly prefix: string;
  fill(tables: readonly Table[]): Promise<void>;
  /** All rows, in any order. */
  contents(table: Table): Promise<readonly Cells[]>;
  /** Drops all that is there. */
  empty(): Promise<void>;
  /** Resolves when a process waits to take a run from another one's writes; engines without such locks never do. */
  someoneWaits(): Promise<void>;
}

export interface SqlEnd extends End {
  readonly dialect: Dialect;
  query(sql: string): Promise<readonly Readonly<Record<string, string | null>>[]>;
  /** The same database by a connection of its own, for a client that works at the same time. */
  connect(): Promise<{ query(sql: string): Promise<unknown>; end(): Promise<void> }>;
}

export interface MongoEnd extends End {
  readonly name: 'mongodb';
  readonly db: Db;
}

/** A new database on the server at this URL; SQLite needs none. */
export async function openEnd(name: EndName, serverUrl: string | undefined): Promise<SqlEnd | MongoEnd> {
  if (name === 'sqlite') return sqliteEnd();
  return name === 'mongodb' ? mongoEnd(serverUrl!) : sqlEnd(name, serverUrl!);
}

/** MySQL's keys are compared by their bytes here: what a lenient collation takes for one key is another test's matter. */
const textTypes: Record<Exclude<EndName, 'mongodb'>, string> = {
  postgres18: 'COLLATE "C"', postgres14: 'COLLATE "C"', mariadb: 'COLLATE utf8mb4_nopad_bin', mysql9: 'COLLATE utf8mb4_0900_bin', sqlite: '',
};

const postgresWaits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%\\_dsync.run%'";
/** MySQL's answer is as old as 0.1 s if it is asked more often than that. */
const mysqlWaits = "SELECT 1 FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE t.trx_state = 'LOCK WAIT' AND p.db = database() AND t.trx_query LIKE '%\\_dsync\\_run%'";

let made = 0;
const freshName = (): string => `crash_${process.pid}_${Date.now().toString(36)}_${made++}`;

function withDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** Every query has a connection of its own: the server may be restarted between them. */
async function sqlEnd(name: Exclude<ServerName, 'mongodb'>, serverUrl: string): Promise<SqlEnd> {
  const database = freshName(), url = withDatabase(serverUrl, database);
  const isPostgres = name.startsWith('postgres');
  const query: SqlEnd['query'] = (sql) => textRows(url, sql);
  const create = () => textRows(serverUrl, `CREATE DATABASE ${database}${isPostgres ? '' : ' CHARACTER SET utf8mb4'}`);
  const drop = () => textRows(serverUrl, `DROP DATABASE IF EXISTS ${database}${isPostgres ? ' WITH (FORCE)' : ''}`);
  await create();
  return {
    name, url, dialect: isPostgres ? 'postgres' : 'mysql', prefix: isPostgres ? 'public.' : `${database}.`, query,
    connect: () => connectText(url),
    fill: async (tables) => {
      for (const table of tables) await fillTable(name, table, query);
      if (isPostgres) await makeRoomBehind(tables, query);
    },
    contents: async (table) => cellsOf(table, await query(`SELECT ${table.columns.map((column) => column.name).join(', ')} FROM ${table.name}`)),
    empty: async () => { await drop(); await create(); },
    someoneWaits: async () => { while ((await query(isPostgres ? postgresWaits : mysqlWaits)).length === 0) await delay(200); },
    [Symbol.asyncDispose]: async () => void await drop(),
  };
}

async function sqliteEnd(): Promise<SqlEnd> {
  const folder = await mkdtemp(join(tmpdir(), 'dsync-crash-sqlite-'));
  const path = join(folder, 'end.db');
  const open = (): Database.Database => {
    const database = new Database(path);
    database.exec('PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF');
    return database;
  };
  const ask = (database: Database.Database, sql: string): Record<string, string | null>[] => {
    const statement = database.prepare(sql);
    if (!statement.reader) return statement.run(), [];
    return statement.safeIntegers(true).all().map((row) => Object.fromEntries(Object.entries(row as object).map(([name, value]) => [name, value === null ? null : String(value)])));
  };
  const query: SqlEnd['query'] = async (sql) => {
    const database = open();
    try { return ask(database, sql); } finally { database.close(); }
  };
  return {
    name: 'sqlite', url: `sqlite:${path}`, dialect: 'sqlite', prefix: '', query,
    connect: async () => {
      const database = open();
      return { query: async (sql) => ask(database, sql), end: async () => void database.close() };
    },
    fill: async (tables) => { for (const table of tables) await fillTable('sqlite', table, query); },
    contents: async (table) => cellsOf(table, await query(`SELECT ${table.columns.map((column) => column.name).join(', ')} FROM ${table.name}`)),
    empty: async () => { for (const suffix of ['', '-wal', '-shm']) await rm(`${path}${suffix}`, { force: true }); },
    someoneWaits: never,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

async function mongoEnd(serverUrl: string): Promise<MongoEnd> {
  const client = await MongoClient.connect(serverUrl), name = freshName(), db = client.db(name);
  return {
    name: 'mongodb', url: withDatabase(serverUrl, name), prefix: `${name}.`, db,
    fill: async (tables) => {
      for (const table of tables) {
        const collection: Collection<Document> = db.collection(table.name);
        for (const rows of chunksOf(table, 5_000)) await collection.insertMany(rows.map((row) => documentOf(table, row)));
      }
    },
    contents: async (table) => cellsOfDocuments(table, await db.collection(table.name).find().toArray()),
    empty: () => db.dropDatabase().then(() => undefined),
    someoneWaits: never,
    [Symbol.asyncDispose]: async () => {
      await db.dropDatabase();
      await client.close();
    },
  };
}

const never = () => new Promise<never>(() => undefined);

export function cellsOfDocuments(table: Table, documents: readonly Document[]): readonly Cells[] {
  return documents.map((document) => table.columns.map(({ name }) => textOf(cellOf(document, name))));
}

function* chunksOf({ count, row }: Table, size: number): Generator<readonly Cells[]> {
  for (let from = 0; from < count; from += size) yield Array.from({ length: Math.min(size, count - from) }, (_, i) => row(from + i));
}

/** The one key column is the `_id`, as dsync makes it of a row. */
function documentOf(table: Table, row: Cells): Document {
  const cell = (i: number): unknown => (row[i] !== null && table.columns[i]!.type === 'int' ? Number(row[i]) : row[i]);
  return Object.fromEntries(table.columns.map(({ name }, i) => [i === table.key[0] ? '_id' : name, cell(i)]));
}

/** A key column stands in `_id`: as it is, or as a field of it where the key has several columns. */
function cellOf(document: Document, column: string): unknown {
  if (Object.hasOwn(document, column)) return document[column];
  const id = document._id as unknown;
  return id !== null && typeof id === 'object' && Object.hasOwn(id, column) ? (id as Document)[column] : id;
}

const textOf = (value: unknown): string | null => (value === null || value === undefined ? null : String(value));

export const cellsOf = (table: Table, rows: readonly Readonly<Record<string, string | null>>[]): readonly Cells[] =>
  rows.map((row) => table.columns.map(({ name }) => row[name]!));

async function fillTable(engine: Exclude<EndName, 'mongodb'>, table: Table, query: SqlEnd['query']): Promise<void> {
  const columns = table.columns.map(({ name, type, length }, i) => {
    const native = type === 'int' ? 'bigint' : `varchar(${length ?? 2000})${table.key.includes(i) ? ` ${textTypes[engine]}` : ''}`;
    return `${name} ${native}${table.key.includes(i) ? ' NOT NULL' : ''}`;
  });
  const key = table.key.length > 0 ? [`PRIMARY KEY (${table.key.map((i) => table.columns[i]!.name).join(', ')})`] : [];
  await query(`CREATE TABLE ${table.name} (${[...columns, ...key].join(', ')})`);
  for (const rows of chunksOf(table, 2_000)) {
    await query(`INSERT INTO ${table.name} VALUES ${rows.map((row) => `(${row.map(literal).join(', ')})`).join(', ')}`);
  }
}

/** Every engine reads digits in quotes as a number, and none of these texts has a backslash. */
export function literal(cell: string | null): string {
  return cell === null ? 'NULL' : `'${cell.replaceAll("'", "''")}'`;
}

/** Free pages all over the files, so that an update moves a row behind the cursors as often as before them. */
async function makeRoomBehind(tables: readonly Table[], query: SqlEnd['query']): Promise<void> {
  for (const { name } of tables) {
    await query(`DELETE FROM ${name} WHERE (ctid::text::point)[0]::int % 7 = 0 AND (SELECT relpages FROM pg_class WHERE oid = '${name}'::regclass) > 7`);
    await query(`VACUUM ${name}`);
    await query(`ANALYZE ${name}`);
  }
}
