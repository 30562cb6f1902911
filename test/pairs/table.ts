/** Tables as no engine writes them: each end makes them in its own SQL, and reads them back by its plain driver. */

/** What the cells of a column mean; it decides how two spellings of one value are told to be equal. */
export type Kind = 'bool' | 'int' | 'decimal' | 'float32' | 'float64' | 'text' | 'padded' | 'bytes' | 'date' | 'time' | 'timestamp' | 'instant' | 'uuid' | 'json' | 'bits';

/** The engines' families: the types of a column are written for each. */
export type Family = 'postgres' | 'mysql' | 'mariadb' | 'sqlite';

export interface FixtureColumn {
  readonly name: string;
  readonly kind: Kind;
  /** The type in a CREATE TABLE of each family. A family that is not named has no such column. */
  readonly types: Readonly<Partial<Record<Family, string>>>;
}

/** A cell as it is given to a driver's parameter. Text for all kinds but `bytes`; bits are `0` and `1`. */
export type FixtureCell = string | Buffer | null;

export interface FixtureTable {
  readonly name: string;
  readonly columns: readonly FixtureColumn[];
  /** Names of the key columns; empty for none. */
  readonly key: readonly string[];
  readonly rows: readonly (readonly FixtureCell[])[];
}

/** The table as a family has it, only with the columns for which it has a type; undefined if it can't have the key. */
export function tableFor(table: FixtureTable, family: Family): FixtureTable | undefined {
  if (table.columns.some((column) => table.key.includes(column.name) && !column.types[family])) return undefined;
  const kept = table.columns.flatMap((column, i) => column.types[family] ? [i] : []);
  return { ...table, columns: kept.map((i) => table.columns[i]!), rows: table.rows.map((row) => kept.map((i) => row[i]!)) };
}

/** `CREATE TABLE` in the family's own words, with the family's own quotes. */
export function createTable(table: FixtureTable, family: Family, quote: (name: string) => string, suffix = ''): string {
  const columns = table.columns.map((column) => `${quote(column.name)} ${column.types[family]}${table.key.includes(column.name) ? ' NOT NULL' : ''}`);
  const key = table.key.length > 0 ? [`PRIMARY KEY (${table.key.map(quote).join(', ')})`] : [];
  return `CREATE TABLE ${quote(table.name)} (${[...columns, ...key].join(', ')})${suffix}`;
}

export const doubleQuoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
export const backticked = (name: string): string => `\`${name.replaceAll('`', '``')}\``;
