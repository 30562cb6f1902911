import type { Column, LogicalType, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { isOwn } from '../../source/selection.js';
import { quoted, type Native, type Session } from './session.js';
import { affinityOf, classOf, isOurs, logicalOf, seenAs, type Affinity, type StorageClass } from './types.js';

/** A table as the file's schema tells of it. */
export interface Table {
  readonly name: string;
  readonly strict: boolean;
  readonly columns: readonly TableColumn[];
  /** Names of the primary key's columns, in key order. */
  readonly key: readonly string[];
  /** The row number as an SQL expression; absent in a WITHOUT ROWID table. */
  readonly rowid?: string;
  /** The column that is the row number: the only one of an INTEGER PRIMARY KEY. */
  readonly alias?: string;
}

export interface TableColumn extends Column {
  readonly generated: boolean;
  readonly hasDefault: boolean;
}

/** Names of the tables that hold people's data: no views, no virtual or internal tables, none of dsync's. */
export function tableNames(session: Session): string[] {
  const rows = session.all("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'");
  return rows.map(([name]) => String(name)).filter((name) => !isOwn(name));
}

/** Names of the views. */
export function viewNames(session: Session): string[] {
  return session.all("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'view'").map(([name]) => String(name)).filter((name) => !isOwn(name));
}

/**
 * What a view shows, as a table: its columns have the types of all values that it shows now. A declared type stays where its
 * affinity would leave them alone.
 */
export function viewShape(session: Session, name: string): Shape {
  const columns = columnsIn(session, name, false).map(({ name: column, native }) => ({ name: column, native, nullable: true }));
  const classes = columns.map((column, i) => `${classOf(quoted(column.name))} AS c${i}`).join(', ');
  const found = session.get(`SELECT count(*), ${columns.map((_, i) => `group_concat(DISTINCT c${i})`).join(', ')} FROM (SELECT ${classes} FROM ${quoted(name)})`)!;
  return {
    namespace: name, name, engine: 'sqlite', view: 'plain', key: [], estimatedRows: Number(found[0]),
    columns: columns.map((column, i) => {
      const seen = new Set(String(found[i + 1] ?? 'null').split(',') as StorageClass[]), native = leavesAlone(affinityOf(column.native), seen) ? column.native : '';
      return { ...column, native, type: isOurs(native) ? logicalOf(native) : seenAs(native, seen) };
    }),
  };
}

function leavesAlone(affinity: Affinity, seen: ReadonlySet<StorageClass>): boolean {
  const others: Record<Affinity, readonly StorageClass[]> = { BLOB: [], TEXT: ['bit', 'integer', 'real'], REAL: ['bit', 'integer', 'text'], INTEGER: ['real', 'text'], NUMERIC: ['real', 'text'] };
  return !others[affinity].some((one) => seen.has(one));
}

/** The rows of a view at this moment, as they are, in a temporary table of its name: they get numbers by which they can be read. */
export function keptView(session: Session, { name, columns }: Shape): Table {
  session.exec(`PRAGMA query_only = OFF; CREATE TEMP TABLE ${quoted(name)} (${columns.map((column) => quoted(column.name)).join(', ')})`);
  session.exec(`INSERT INTO temp.${quoted(name)} SELECT * FROM main.${quoted(name)}; PRAGMA query_only = ON`);
  const own = columnsIn(session, name, false);
  return { name, strict: false, columns: own, key: [], rowid: rowidName(name, own) };
}

/** The table of this name, in any case; undefined if there is none. */
export function readTable(session: Session, named: string): Table | undefined {
  const found = session.get("SELECT name, wr, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name = ? COLLATE NOCASE", [named]);
  if (!found) return undefined;
  const name = String(found[0]), withoutRowid = found[1] === 1n, strict = found[2] === 1n;
  const rows = rowsOfColumns(session, name), columns = rows.map((row) => columnOf(row, strict));
  const key = rows.filter(([, , , pk]) => pk !== 0n).sort((a, b) => Number(a[3]) - Number(b[3])).map(([column]) => String(column));
  const alias = withoutRowid ? undefined : aliasIn(session, name, rows, key);
  return { name, strict, columns, key, alias, rowid: withoutRowid ? undefined : alias === undefined ? rowidName(name, columns) : quoted(alias) };
}

function rowsOfColumns(session: Session, name: string): Native[][] {
  return session.all('SELECT name, type, "notnull", pk, hidden, dflt_value FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid', [name]);
}

function columnsIn(session: Session, name: string, strict: boolean): readonly TableColumn[] {
  return rowsOfColumns(session, name).map((row) => columnOf(row, strict));
}

/** The source's view of a table, with estimates. */
export function shapeOf(session: Session, table: Table): Shape {
  const { name, columns } = table;
  const key = hasTrueKey(session, table) ? table.key.map((column) => columns.findIndex((each) => each.name === column)) : [];
  const estimatedRows = estimateRows(session, table), width = averageWidth(session, table), types = typesSeen(session, table);
  return {
    namespace: name, name, engine: 'sqlite', key,
    columns: columns.map(({ name: column, native, nullable }, i) => ({ name: column, type: types[i], native, nullable: nullable && !key.includes(i) })),
    ...(estimatedRows !== undefined && { estimatedRows, estimatedBytes: Math.round(Math.min(estimatedRows * width, fileSize(session))) }),
  };
}

function columnOf([name, type, notNull, , hidden, fallback]: Native[], strict: boolean): TableColumn {
  // ANY means no affinity in a STRICT table, and NUMERIC in another one.
  const native = strict && String(type).toUpperCase() === 'ANY' ? '' : String(type);
  return { name: String(name), type: logicalOf(native), native, nullable: notNull === 0n, generated: hidden !== 0n, hasDefault: fallback !== null };
}

/** `INTEGER PRIMARY KEY` is the row number, but `INT PRIMARY KEY` is not, nor `INTEGER PRIMARY KEY DESC`: those have an index. */
function aliasIn(session: Session, table: string, rows: readonly Native[][], key: readonly string[]): string | undefined {
  const column = rows.find(([name]) => name === key[0]);
  if (key.length !== 1 || String(column?.[1]).toUpperCase() !== 'INTEGER') return undefined;
  const indexed = session.get("SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", [table]);
  return indexed ? undefined : key[0];
}

/** The row number has three names; a column may have taken one. */
function rowidName(table: string, columns: readonly Column[]): string {
  const taken = new Set(columns.map(({ name }) => name.toLowerCase()));
  const free = ['rowid', '_rowid_', 'oid'].find((name) => !taken.has(name));
  if (free === undefined) {
    throw new DsyncError('not-ready', `table ${table} has columns called rowid, _rowid_ and oid, so its rows can't be told apart`, {
      namespace: table, remedy: `rename one of them: ALTER TABLE ${quoted(table)} RENAME COLUMN oid TO …`,
    });
  }
  return free;
}

/** SQLite lets null into a primary key, any number of times: then it is none. */
function hasTrueKey(session: Session, { name, columns, key, alias, rowid }: Table): boolean {
  const doubtful = columns.filter((column) => column.nullable && key.includes(column.name) && column.name !== alias && rowid !== undefined);
  if (key.length === 0 || doubtful.length === 0) return key.length > 0;
  const holes = doubtful.map((column) => `${quoted(column.name)} IS NULL`).join(' OR ');
  return session.get(`SELECT 1 FROM ${quoted(name)} WHERE ${holes} LIMIT 1`) === undefined;
}

/** The columns' types, with a look at the first and the last rows where a declaration is but a promise. */
function typesSeen(session: Session, { name, columns, strict, rowid, key }: Table): LogicalType[] {
  const doubtful = strict ? columns.filter(({ native }) => native === '') : columns.filter(({ native }) => !isOurs(native));
  if (doubtful.length === 0) return columns.map(({ type }) => type);
  const classes = doubtful.map((column, i) => `${classOf(quoted(column.name))} AS c${i}`).join(', '), order = rowid ?? key.map(quoted).join(', ');
  const rows = (direction: string) => `SELECT * FROM (SELECT ${classes} FROM ${quoted(name)} ORDER BY ${order} ${direction} LIMIT 2000)`;
  const found = session.get(`SELECT ${doubtful.map((_, i) => `group_concat(DISTINCT c${i})`).join(', ')} FROM (${rows('ASC')} UNION ALL ${rows('DESC')})`)!;
  return columns.map((column) => {
    const at = doubtful.indexOf(column);
    return at < 0 ? column.type : seenAs(column.native, new Set(String(found[at] ?? 'null').split(',') as StorageClass[]));
  });
}

/** ANALYZE's count, or else the span of the row numbers, which has no more rows than the file could hold. */
function estimateRows(session: Session, { name, rowid }: Table): number | undefined {
  const counted = hasStatistics(session) ? session.get('SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE tbl = ?', [name])?.[0] : null;
  if (typeof counted === 'bigint') return Number(counted);
  if (rowid === undefined) return undefined;
  const [low, high] = edges(session, name, rowid);
  if (low === undefined || high === undefined) return 0;
  return Math.min(Number(high - low) + 1, Math.ceil(fileSize(session) / 4));
}

function fileSize(session: Session): number {
  const [pages, size] = [session.get('PRAGMA page_count')!, session.get('PRAGMA page_size')!].map(([number]) => Number(number));
  return pages * size;
}

/** The smallest and the largest integer of an indexed expression. */
export function edges(session: Session, table: string, expression: string): [bigint | undefined, bigint | undefined] {
  return ['ASC', 'DESC'].map((order) => {
    const value = session.get(`SELECT ${expression} FROM ${quoted(table)} WHERE typeof(${expression}) = 'integer' ORDER BY ${expression} ${order} LIMIT 1`)?.[0];
    return typeof value === 'bigint' ? value : undefined;
  }) as [bigint | undefined, bigint | undefined];
}

function hasStatistics(session: Session): boolean {
  return session.get("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'") !== undefined;
}

/** Of the first rows: enough to cut tasks by. */
function averageWidth(session: Session, { name, columns }: Table): number {
  const [width] = session.get(`SELECT avg(size) FROM (SELECT ${sizeOf(columns)} AS size FROM ${quoted(name)} LIMIT 100)`)!;
  return typeof width === 'number' ? width : 1;
}

/** SQL for about the bytes of a row; it looks at lengths only, not at what is long. */
export function sizeOf(columns: readonly Column[]): string {
  const long = columns.filter(({ native }) => affinityOf(native) !== 'INTEGER' && affinityOf(native) !== 'REAL');
  return [...long.map(({ name }) => `ifnull(octet_length(${quoted(name)}), 0)`), String(8 * columns.length)].join(' + ');
}
