import { freshDatabase, freshSql, type FreshDatabase } from '../../servers/index.js';
import { spell } from '../spelling.js';
import { backticked as quote, createTable, tableFor, type Family, type FixtureTable } from '../table.js';
import type { End } from './end.js';

type MysqlName = 'mysql9' | 'mariadb';
const familyOf: Record<MysqlName, Family> = { mysql9: 'mysql', mariadb: 'mariadb' };

export async function mysqlEnd(name: MysqlName): Promise<End> {
  return mysqlEndOf(name, await freshDatabase(name));
}

/** A database on any server. */
export async function mysqlEndAt(name: MysqlName, serverUrl: string): Promise<End> {
  return mysqlEndOf(name, await freshSql(serverUrl));
}

function mysqlEndOf(name: MysqlName, database: FreshDatabase): End {
  const types = async (table: string): Promise<ReadonlyMap<string, string>> => {
    const rows = await database.query('SELECT column_name AS c, data_type AS t FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?', [table]);
    return new Map(rows.map((row) => [row.c!, row.t!]));
  };
  return {
    name, url: database.url, prefix: `${database.name}.`,
    make: async (tables) => {
      const made: FixtureTable[] = [];
      for (const table of tables.flatMap((each) => tableFor(each, familyOf[name]) ?? [])) made.push(await fill(database, table, familyOf[name]));
      return made;
    },
    execute: async (...statements) => { for (const sql of statements) await database.query(sql); },
    read: async (table, columns) => {
      const typeOf = await types(table);
      const selected = columns.map((column, i) => `${asText(quote(column.name), typeOf.get(column.name))} AS c${i}`);
      const rows = await database.query(`SELECT ${selected.join(', ')} FROM ${quote(table)}`);
      return rows.map((row) => columns.map((column, i) => spell(column.kind, row[`c${i}`]!)));
    },
    tables: async () => (await database.query('SELECT table_name AS t FROM information_schema.tables WHERE table_schema = DATABASE()')).map((row) => row.t!),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

/** FLOAT is printed with six digits only, as a DOUBLE with all. */
function asText(column: string, type: string | undefined): string {
  if (type === 'bit') return `BIN(${column} + 0)`;
  if (type === 'float') return `CAST(${column} AS DOUBLE)`;
  if (type && /blob|binary|geom|point|linestring|polygon|vector/.test(type)) return `HEX(${column})`;
  return column;
}

async function fill(database: FreshDatabase, table: FixtureTable, family: Family): Promise<FixtureTable> {
  await database.query(createTable(table, family, quote, ' CHARACTER SET utf8mb4'));
  const values = table.columns.map((column) => (column.types[family]!.startsWith('bit') ? 'CAST(CONV(?, 2, 10) AS UNSIGNED)' : '?')).join(', ');
  for (let from = 0; from < table.rows.length; from += 50) {
    const rows = table.rows.slice(from, from + 50);
    await database.query(`INSERT INTO ${quote(table.name)} VALUES ${rows.map(() => `(${values})`).join(', ')}`, rows.flat());
  }
  return table;
}
