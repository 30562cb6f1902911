import type { Column, Shape } from '../../contract.js';
import { quote, type Cell, type Session } from './session.js';
import { columnOf, type CatalogueColumn } from './types.js';

/** A table with what `Shape` has no word for. */
export interface Table {
  readonly shape: Shape;
  readonly transactional: boolean;
  readonly storage: string;
  /** The index whose columns are the key. */
  readonly keyIndex?: string;
  readonly indexes: readonly Index[];
  /** Columns of the table that need no value: nullable, with a default, generated or numbered by the server. */
  readonly optional: ReadonlySet<string>;
  readonly generated: ReadonlySet<string>;
}

export interface Index { readonly name: string; readonly unique: boolean; readonly columns: readonly string[]; /** Whole columns, not prefixes or expressions. */ readonly whole: boolean; readonly visible: boolean }

const systemSchemas = ['mysql', 'information_schema', 'performance_schema', 'sys'];

/** All tables of a database, or of all that are not the server's own; or the one that is named. With `views` also views. */
export async function readTables(session: Session, where: { readonly schema?: string; readonly table?: string; readonly views?: boolean }, signal: AbortSignal): Promise<Table[]> {
  const filter = (schema: string, table: string) => [
    where.schema === undefined ? `${schema} NOT IN (${systemSchemas.map(quote).join(', ')})` : `${schema} = ${quote(where.schema)}`,
    ...(where.table === undefined ? [] : [`${table} = ${quote(where.table)}`]),
  ].join(' AND ');
  const own = filter('table_schema', 'table_name');
  const [tables, columns, indexes, json] = [
    await session.rows(`SELECT t.table_schema, t.table_name, t.engine, COALESCE(e.transactions, 'NO'), t.table_rows, t.data_length, t.table_type
      FROM information_schema.tables t LEFT JOIN information_schema.engines e ON e.engine = t.engine
      WHERE t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED'${where.views ? ", 'VIEW'" : ''}) AND ${filter('t.table_schema', 't.table_name')}`, signal),
    await session.rows(`SELECT table_schema, table_name, column_name, data_type, column_type, character_maximum_length, numeric_precision, numeric_scale,
      datetime_precision, character_set_name, collation_name, is_nullable, extra, column_default IS NOT NULL, ${sridColumn(session)}
      FROM information_schema.columns WHERE ${own} ORDER BY table_schema, table_name, ordinal_position`, signal),
    await session.rows(`SELECT table_schema, table_name, index_name, non_unique, column_name, sub_part, ${visibility(session)}
      FROM information_schema.statistics WHERE ${own} ORDER BY table_schema, table_name, index_name, seq_in_index`, signal),
    await jsonColumns(session, where, signal),
  ];
  const columnsOf = grouped(columns), indexesOf = grouped(indexes);
  return tables.map((row) => tableOf(row, columnsOf.get(keyOf(row)) ?? [], indexesOf.get(keyOf(row)) ?? [], json, session.version.flavour));
}

export async function readTable(session: Session, schema: string, table: string, signal: AbortSignal, views = false): Promise<Table | undefined> {
  return (await readTables(session, { schema, table, views }, signal))[0];
}

function tableOf(row: readonly Cell[], columnRows: readonly Cell[][], indexRows: readonly Cell[][], json: ReadonlySet<string>, engine: string): Table {
  const [schema, name, storage, transactions, rows, bytes, kind] = row as [string, string, ...Cell[]];
  const columns = columnRows.map((cells) => columnOf(catalogueColumn(cells, json), engine));
  const indexes = indexesFrom(indexRows);
  const keyIndex = keyIndexOf(indexes, columns);
  const position = new Map(columns.map((column, i) => [column.name.toLowerCase(), i]));
  return {
    shape: {
      namespace: `${schema}.${name}`, schema, name, engine, ...(kind === 'VIEW' && { view: 'plain' as const }), columns,
      key: keyIndex?.columns.map((column) => position.get(column.toLowerCase())!) ?? [],
      ...(rows !== null && { estimatedRows: Number(rows) }), ...(bytes !== null && { estimatedBytes: Number(bytes) }),
    },
    storage: storage ?? '', transactional: transactions === 'YES', keyIndex: keyIndex?.name, indexes,
    optional: new Set(columnRows.filter(isOptional).map((cells) => cells[2]!.toLowerCase())),
    generated: new Set(columnRows.filter(isGenerated).map((cells) => cells[2]!.toLowerCase())),
  };
}

function catalogueColumn(cells: readonly Cell[], json: ReadonlySet<string>): CatalogueColumn {
  const [schema, table, name, dataType, columnType, maxLength, precision, scale, fraction, charset, collation, nullable, , , srid] = cells as [string, string, string, string, string, ...Cell[]];
  return {
    name, dataType: dataType.toLowerCase(), columnType, maxLength: number(maxLength), precision: number(precision), scale: number(scale), fraction: number(fraction),
    charset: charset ?? undefined, collation: collation ?? undefined, nullable: nullable === 'YES', srid: srid ?? undefined,
    isJson: json.has(JSON.stringify([schema, table, name.toLowerCase()])),
  };
}

function isGenerated(cells: readonly Cell[]): boolean {
  return / GENERATED$/i.test(cells[12] ?? '') || /^(VIRTUAL|PERSISTENT|STORED)\b/i.test(cells[12] ?? '');
}

function isOptional(cells: readonly Cell[]): boolean {
  return cells[11] === 'YES' || cells[13] === '1' || /auto_increment|default_generated/i.test(cells[12] ?? '') || isGenerated(cells);
}

function indexesFrom(rows: readonly Cell[][]): Index[] {
  const byName = new Map<string, Cell[][]>();
  for (const row of rows) byName.set(row[2]!, [...(byName.get(row[2]!) ?? []), row]);
  return [...byName].map(([name, parts]) => ({
    name, unique: parts[0][3] === '0', columns: parts.map((part) => part[4] ?? ''),
    whole: parts.every((part) => part[4] !== null && part[5] === null), visible: parts[0][6] === 'YES',
  }));
}

/** The primary key, else the smallest unique index over whole columns that are never null. */
function keyIndexOf(indexes: readonly Index[], columns: readonly Column[]): Index | undefined {
  const nullable = new Set(columns.filter((column) => column.nullable).map((column) => column.name.toLowerCase()));
  const fit = indexes.filter((index) => index.unique && index.whole && index.visible && !index.columns.some((column) => nullable.has(column.toLowerCase())));
  return fit.find((index) => index.name === 'PRIMARY') ?? [...fit].sort((a, b) => a.columns.length - b.columns.length || (a.name < b.name ? -1 : 1))[0];
}

/** MariaDB's JSON is LONGTEXT with this check. */
async function jsonColumns(session: Session, { schema, table }: { readonly schema?: string; readonly table?: string }, signal: AbortSignal): Promise<ReadonlySet<string>> {
  if (session.version.flavour !== 'mariadb') return new Set();
  const rows = await session.rows(`SELECT constraint_schema, table_name, constraint_name, check_clause FROM information_schema.check_constraints
    WHERE level = 'Column'${schema === undefined ? '' : ` AND constraint_schema = ${quote(schema)}`}${table === undefined ? '' : ` AND table_name = ${quote(table)}`}`, signal);
  const isJson = ([, , column, clause]: readonly Cell[]) => clause?.toLowerCase() === `json_valid(\`${column!.toLowerCase()}\`)`;
  return new Set(rows.filter(isJson).map(([constraintSchema, constraintTable, column]) => JSON.stringify([constraintSchema, constraintTable, column!.toLowerCase()])));
}

function sridColumn({ version }: Session): string {
  return version.flavour === 'mysql' ? 'srs_id' : 'NULL';
}

function visibility({ version }: Session): string {
  return version.flavour === 'mysql' ? 'is_visible' : "IF(ignored = 'YES', 'NO', 'YES')";
}

function grouped(rows: readonly Cell[][]): ReadonlyMap<string, Cell[][]> {
  const groups = new Map<string, Cell[][]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group) group.push(row);
    else groups.set(keyOf(row), [row]);
  }
  return groups;
}

function keyOf(row: readonly Cell[]): string {
  return JSON.stringify([row[0], row[1]]);
}

function number(cell: Cell): number | undefined {
  return cell === null ? undefined : Number(cell);
}
