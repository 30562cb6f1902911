import { freshDatabase, freshSql, type FreshDatabase } from '../../servers/index.js';
import { spell } from '../spelling.js';
import { createTable, doubleQuoted as quote, tableFor, type FixtureTable } from '../table.js';
import type { End } from './end.js';

export async function postgresEnd(name: 'postgres18' | 'postgres14'): Promise<End> {
  return postgresEndOf(name, await freshDatabase(name));
}

/** A database on any server. */
export async function postgresEndAt(name: 'postgres18' | 'postgres14', serverUrl: string): Promise<End> {
  return postgresEndOf(name, await freshSql(serverUrl));
}

function postgresEndOf(name: 'postgres18' | 'postgres14', database: FreshDatabase): End {
  const types = async (table: string): Promise<ReadonlyMap<string, string>> => {
    const rows = await database.query("SELECT column_name AS c, data_type AS t FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1", [table]);
    return new Map(rows.map((row) => [row.c!, row.t!]));
  };
  return {
    name, url: database.url, prefix: 'public.',
    make: async (tables) => {
      await database.query("CREATE TYPE mood AS ENUM ('sad', 'so, so', 'it''s ok', 'happy')");
      const made: FixtureTable[] = [];
      for (const table of tables.flatMap((each) => tableFor(each, 'postgres') ?? [])) made.push(await fill(database, table));
      return made;
    },
    execute: async (...statements) => { for (const sql of statements) await database.query(sql); },
    read: async (table, columns) => {
      const typeOf = await types(table);
      const selected = columns.map((column, i) => `${typeOf.get(column.name) === 'bytea' ? `encode(${quote(column.name)}, 'hex')` : `${quote(column.name)}::text`} AS c${i}`);
      const rows = await database.query(`SELECT ${selected.join(', ')} FROM ${quote(table)}`);
      return rows.map((row) => columns.map((column, i) => spell(column.kind, row[`c${i}`]!)));
    },
    tables: async () => (await database.query("SELECT table_name AS t FROM information_schema.tables WHERE table_schema = 'public'")).map((row) => row.t!),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

async function fill(database: FreshDatabase, table: FixtureTable): Promise<FixtureTable> {
  await database.query(createTable(table, 'postgres', quote));
  for (const row of table.rows) {
    await database.query(`INSERT INTO ${quote(table.name)} VALUES (${row.map((_, i) => `$${i + 1}`).join(', ')})`, row);
  }
  return table;
}
