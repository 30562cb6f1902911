import type { Column, Shape } from '../../contract.js';
import type { Session, TextRow } from './session.js';
import { logicalType } from './types.js';

/** A table as the catalogue has it. */
export interface Table {
  readonly oid: string;
  readonly partitioned: boolean;
  readonly shape: Shape;
  /** In the order of `shape.columns`. */
  readonly traits: readonly ColumnTraits[];
  /** The column sets by which an upsert can find a row: positions in `shape.columns`, the primary key first. */
  readonly keys: readonly (readonly number[])[];
  readonly hasPrimaryKey: boolean;
}

/** What a table's kind is in the catalogue. */
const tableKinds = ['r', 'p'], viewKinds = ['v', 'm'];

export interface ColumnTraits {
  readonly generated: boolean;
  /** Gets a value by itself where none is given. */
  readonly filled: boolean;
}

export type TableName = { readonly oid: string; readonly schema: string; readonly name: string };

/** All tables of the users', and with `views` their views, sorted: no partitions (their parent stands for them), nothing of the system's, of extensions' or of dsync's own. */
export async function tableNames(session: Session, views: boolean, signal: AbortSignal): Promise<readonly TableName[]> {
  const rows = await session.query(`
    SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = ANY ($1::text[]) AND NOT c.relispartition AND c.relpersistence <> 't' AND c.relnatts > 0
      AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '_dsync') AND c.relname NOT LIKE '\\_dsync%'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY (n.nspname || '.' || c.relname) COLLATE "C"`, signal, [views ? [...tableKinds, ...viewKinds] : tableKinds]);
  return rows.map(([oid, schema, name]) => ({ oid: oid!, schema: schema!, name: name! }));
}

export async function findTable(session: Session, { schema, name }: { readonly schema: string; readonly name: string }, signal: AbortSignal): Promise<Table | undefined> {
  const [row] = await session.query(`
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'f', 'v', 'm')`, signal, [schema, name]);
  if (!row) return undefined;
  return (await describe(session, [{ oid: row[0]!, schema, name }], signal))[0];
}

/** Reads the tables' columns, keys and sizes; of a partitioned table the sums over its partitions. */
export async function describe(session: Session, names: readonly TableName[], signal: AbortSignal): Promise<readonly Table[]> {
  const oids = [`{${names.map(({ oid }) => oid).join(',')}}`];
  const columns = grouped(await session.query(columnsQuery, signal, oids));
  const keys = grouped(await session.query(keysQuery, signal, oids));
  const sizes = grouped(await session.query(sizesQuery, signal, oids));
  return names.filter(({ oid }) => columns.has(oid)).map((name) => tableOf(name, columns.get(name.oid)!, keys.get(name.oid) ?? [], sizes.get(name.oid)![0]));
}

/** What columns of these types (object ids) and modifiers are, by `type:modifier`; a type that is no more is left out. */
export async function columnTypes(session: Session, wanted: readonly { readonly type: number; readonly modifier: number }[], signal: AbortSignal): Promise<ReadonlyMap<string, Pick<Column, 'native' | 'type'>>> {
  const rows = await session.query(typesQuery, signal, [wanted.map(({ type }) => type), wanted.map(({ modifier }) => modifier)]);
  return new Map(rows.map((row) => [row[0]!, typeIn(row)]));
}

const domains = `
  WITH RECURSIVE domains (oid, base, modifier) AS (
    SELECT oid, typbasetype, typtypmod FROM pg_type WHERE typtype = 'd'
    UNION ALL
    SELECT d.oid, t.typbasetype, CASE WHEN d.modifier = -1 THEN t.typtypmod ELSE d.modifier END
    FROM domains d JOIN pg_type t ON t.oid = d.base WHERE t.typtype = 'd'
  )`;

const typesQuery = `${domains}
  SELECT a.type || ':' || a.modifier, NULL, format_type(t.oid, m.modifier), t.typname, t.typnamespace = 'pg_catalog'::regnamespace, m.modifier,
    CASE WHEN t.typtype = 'e' THEN (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) END
  FROM unnest($1::oid[], $2::int[]) a (type, modifier)
  LEFT JOIN domains d ON d.oid = a.type AND NOT EXISTS (SELECT FROM pg_type b WHERE b.oid = d.base AND b.typtype = 'd')
  JOIN pg_type t ON t.oid = coalesce(d.base, a.type)
  CROSS JOIN LATERAL (SELECT CASE WHEN d.oid IS NULL THEN a.modifier ELSE d.modifier END) m (modifier)`;

const columnsQuery = `${domains}
  SELECT a.attrelid, a.attname, format_type(t.oid, m.modifier), t.typname, t.typnamespace = 'pg_catalog'::regnamespace, m.modifier,
    CASE WHEN t.typtype = 'e' THEN (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) END,
    a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND NOT k.convalidated AND k.conkey = ARRAY[a.attnum]), a.attgenerated <> '', a.atthasdef OR a.attidentity <> '', a.attnum
  FROM pg_attribute a
  LEFT JOIN domains d ON d.oid = a.atttypid AND NOT EXISTS (SELECT FROM pg_type b WHERE b.oid = d.base AND b.typtype = 'd')
  JOIN pg_type t ON t.oid = coalesce(d.base, a.atttypid)
  CROSS JOIN LATERAL (SELECT CASE WHEN d.oid IS NULL THEN a.atttypmod ELSE d.modifier END) m (modifier)
  WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  ORDER BY a.attrelid, a.attnum`;

/** Unique and not null, so that a value names one row: the primary key, then the shortest, of integers before others. Deferred ones name one row too, but an upsert can't use them. */
const keysQuery = `
  SELECT i.indrelid, array_to_json((i.indkey::int2[])[0:i.indnkeyatts - 1]), i.indisprimary, i.indimmediate
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE i.indrelid = ANY ($1::oid[]) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT i.indisexclusion
    AND (i.indisprimary OR i.indimmediate)
    AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND NOT a.attnotnull)
  ORDER BY i.indrelid, i.indisprimary DESC, i.indnkeyatts,
    (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND a.atttypid NOT IN (20, 21, 23)), c.relname COLLATE "C"`;

const sizesQuery = `
  SELECT c.oid, c.relkind, sum(l.reltuples) FILTER (WHERE l.reltuples >= 0), bool_and(l.reltuples >= 0), sum(pg_table_size(l.oid))
  FROM pg_class c
  CROSS JOIN LATERAL (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf) p (oid)
  JOIN pg_class l ON l.oid = p.oid AND l.relkind <> 'p'
  WHERE c.oid = ANY ($1::oid[]) GROUP BY c.oid, c.relkind
  UNION ALL
  SELECT c.oid, 'p', 0, true, 0 FROM pg_class c
  WHERE c.oid = ANY ($1::oid[]) AND c.relkind = 'p' AND NOT EXISTS (SELECT FROM pg_partition_tree(c.oid) WHERE isleaf AND relid <> c.oid)`;

function tableOf({ oid, schema, name }: TableName, columns: readonly TextRow[], keys: readonly TextRow[], size: TextRow): Table {
  const positions = new Map(columns.map((column, i) => [Number(column[10]), i]));
  const positionsOf = (key: TextRow) => (JSON.parse(key[1]!) as number[]).map((number) => positions.get(number)!);
  const [, kind, rows, analysed, bytes] = size, view = kind === 'v' ? 'plain' : kind === 'm' ? 'materialized' : undefined;
  const shape: Shape = {
    namespace: `${schema}.${name}`, schema, name, engine: 'postgres', ...(view && { view }),
    columns: columns.map(columnOf), key: keys.length > 0 ? positionsOf(keys[0]) : [],
    ...(analysed === 't' && view !== 'plain' && { estimatedRows: Math.round(Number(rows)) }), ...(view !== 'plain' && { estimatedBytes: Number(bytes) }),
  };
  return {
    oid, shape, partitioned: kind === 'p',
    traits: columns.map((column) => ({ generated: column[8] === 't', filled: column[9] === 't' })),
    keys: keys.filter((key) => key[3] === 't').map(positionsOf), hasPrimaryKey: keys.some((key) => key[2] === 't'),
  };
}

function columnOf(row: TextRow): Column {
  return { name: row[1]!, nullable: row[7] !== 't', ...typeIn(row) };
}

function typeIn([, , native, type, builtIn, modifier, labels]: TextRow): Pick<Column, 'native' | 'type'> {
  return {
    native: native!,
    type: logicalType({ name: type!, builtIn: builtIn === 't', modifier: Number(modifier), ...(labels !== null && { labels: JSON.parse(labels) as string[] }) }),
  };
}

function grouped(rows: readonly TextRow[]): Map<string, TextRow[]> {
  const groups = new Map<string, TextRow[]>();
  for (const row of rows) groups.set(row[0]!, [...(groups.get(row[0]!) ?? []), row]);
  return groups;
}
