import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { spell } from '../spelling.js';
import { createTable, doubleQuoted as quote, tableFor } from '../table.js';
import type { Cells, End } from './end.js';

export async function sqliteEnd(): Promise<End> {
  const folder = await mkdtemp(join(tmpdir(), 'dsync-test-sqlite-'));
  const path = join(folder, 'end.db');
  const open = <T>(use: (database: Database.Database) => T): T => {
    const database = new Database(path);
    try { return use(database); } finally { database.close(); }
  };
  return {
    name: 'sqlite', url: `sqlite:${path}`, prefix: '',
    make: async (tables) => open((database) => {
      const made = tables.flatMap((table) => tableFor(table, 'sqlite') ?? []);
      for (const table of made) {
        database.exec(createTable(table, 'sqlite', quote));
        const insert = database.prepare(`INSERT INTO ${quote(table.name)} VALUES (${table.columns.map(() => '?').join(', ')})`);
        database.transaction(() => { for (const row of table.rows) insert.run(...row); })();
      }
      return made;
    }),
    execute: async (...statements) => open((database) => { for (const sql of statements) database.exec(sql); }),
    read: async (table, columns) => open((database) => {
      // The driver ends a text at its first \0: its bytes are asked for instead.
      const selected = columns.map(({ name }) => `typeof(${quote(name)}), ${quote(name)}, hex(CAST(${quote(name)} AS BLOB))`);
      const rows = database.prepare(`SELECT ${selected.join(', ')} FROM ${quote(table)}`).safeIntegers(true).raw(true).all() as unknown[][];
      return rows.map((row): Cells => columns.map((column, i) => spell(column.kind, textOf(row[i * 3] as string, row[i * 3 + 1], row[i * 3 + 2] as string))));
    }),
    tables: async () => open((database) => (database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE '@'").raw(true).all() as string[][]).map(([name]) => name!)),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

function textOf(type: string, value: unknown, hex: string): string | null {
  if (type === 'null') return null;
  if (type === 'blob') return hex.toLowerCase();
  if (type === 'text') return Buffer.from(hex, 'hex').toString();
  return Object.is(value, -0) ? '-0' : String(value);
}
