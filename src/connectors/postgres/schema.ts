import type { ColumnObjects, ForeignKeyObject, IdentityObject, IndexObject, PartitionObject, ReferenceAction, SchemaObjects, Shape, TableObjects, ViewObject } from '../../contract.js';
import { looseQuery, neededObjects, needsQuery, otherObjects, othersQuery } from './others.js';
import type { Session, TextRow } from './session.js';
import { qualified, quoted } from './sql.js';

/** What these tables have besides columns and keys, as the server deparses it, and all views beside them. */
export async function readObjects(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<SchemaObjects> {
  const names = shapes.map((shape) => qualified(shape));
  const ask = async (sql: string) => grouped(await session.query(sql, signal, [names]));
  const [tables, columns, indexes, constraints, partitions, others, needs] = [
    await ask(tablesQuery), await ask(columnsQuery), await ask(indexesQuery), await ask(constraintsQuery), await ask(partitionsQuery), await ask(chosen + othersQuery), await ask(`WITH RECURSIVE${chosen.slice('WITH'.length)}${needsQuery}`),
  ];
  return {
    tables: shapes.map((shape, i) => {
      const of = (groups: ReadonlyMap<string, TextRow[]>) => groups.get(names[i]) ?? [];
      return {
        ...tableObjects(shape, of(tables)[0], of(columns), of(indexes), of(constraints), of(partitions)),
        others: otherObjects(of(others)), needs: neededObjects(of(needs)),
      };
    }),
    views: await readViews(session, signal),
  };
}

/** The tables as they were asked for, with their object ids. */
const chosen = `WITH chosen (name, oid) AS (SELECT name, to_regclass(name) FROM unnest($1::text[]) name WHERE to_regclass(name) IS NOT NULL)`;

const tablesQuery = `${chosen}
  SELECT t.name, obj_description(c.oid, 'pg_class'), c.relpersistence, CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END, (SELECT string_agg(o, ', ') FROM (SELECT unnest(c.reloptions) UNION ALL SELECT 'toast.' || unnest(x.reloptions) FROM pg_class x WHERE x.oid = c.reltoastrelid) r (o))
  FROM chosen t JOIN pg_class c ON c.oid = t.oid`;

const columnsQuery = `${chosen}
  SELECT t.name, a.attname, col_description(a.attrelid, a.attnum), pg_get_expr(d.adbin, d.adrelid), a.attgenerated, a.attidentity,
    CASE WHEN a.attcollation <> y.typcollation THEN (SELECT quote_ident(n.nspname) || '.' || quote_ident(c.collname) FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation) END,
    format_type(a.atttypid, a.atttypmod), a.attnotnull,
    (SELECT count(*) - 1 FROM pg_attribute b WHERE b.attrelid = a.attrelid AND b.attnum BETWEEN 1 AND a.attnum AND NOT b.attisdropped),
    n.nspname, q.relname, format('AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s', format_type(s.seqtypid, NULL), s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END),
    s.seqincrement, o.oid IS NOT NULL,
    CASE WHEN has_sequence_privilege(q.oid, 'SELECT, USAGE') THEN coalesce(pg_sequence_last_value(q.oid)::numeric + s.seqincrement, s.seqstart) END,
    CASE WHEN y.typtype = 'd' THEN format_type(a.atttypid, a.atttypmod) END,
    (SELECT 'CONSTRAINT ' || quote_ident(k.conname) || ' NOT NULL' || CASE WHEN k.connoinherit THEN ' NO INHERIT' ELSE '' END FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
      WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] AND k.convalidated AND k.conislocal AND (k.connoinherit OR k.conname <> left(c.relname || '_' || a.attname, 54) || '_not_null'))
  FROM chosen t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type y ON y.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN LATERAL (SELECT e.objid FROM pg_depend e JOIN pg_class k ON k.oid = e.objid AND k.relkind = 'S'
    WHERE e.classid = 'pg_class'::regclass AND e.refclassid = 'pg_class'::regclass AND e.refobjid = a.attrelid AND e.refobjsubid = a.attnum AND e.deptype IN ('a', 'i') LIMIT 1) o (oid) ON true
  LEFT JOIN LATERAL (SELECT e.refobjid FROM pg_depend e JOIN pg_class k ON k.oid = e.refobjid AND k.relkind = 'S'
    WHERE e.classid = 'pg_attrdef'::regclass AND e.objid = d.oid AND e.refclassid = 'pg_class'::regclass LIMIT 1) u (oid) ON true
  LEFT JOIN pg_class q ON q.oid = CASE WHEN a.attidentity <> '' THEN o.oid ELSE u.oid END
  LEFT JOIN pg_namespace n ON n.oid = q.relnamespace LEFT JOIN pg_sequence s ON s.seqrelid = q.oid
  ORDER BY t.name, a.attnum`;

const indexesQuery = `${chosen}
  SELECT t.name, c.relname, i.indisunique, i.indisprimary, k.conname IS NOT NULL, coalesce(k.contype, ''), m.amname, pg_get_indexdef(i.indexrelid),
    CASE WHEN c.reloptions IS NULL OR k.contype = 'x' THEN pg_get_constraintdef(k.oid) ELSE regexp_replace(pg_get_constraintdef(k.oid), '( DEFERRABLE( INITIALLY DEFERRED)?)?$', ' WITH (' || array_to_string(c.reloptions, ', ') || ')\\1') END, pg_get_expr(i.indpred, i.indrelid),
    (SELECT json_agg(json_build_array(a.attname, pg_get_indexdef(i.indexrelid, p, false), coalesce(pg_index_column_has_property(i.indexrelid, p, 'desc'), false)) ORDER BY p)
      FROM generate_series(1, i.indnkeyatts) p LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = (i.indkey::int2[])[p - 1] AND a.attnum > 0),
    (SELECT json_agg(a.attname ORDER BY p) FROM generate_series(i.indnkeyatts + 1, i.indnatts) p JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = (i.indkey::int2[])[p - 1]), i.indisvalid
  FROM chosen t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
  LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
  ORDER BY t.name, c.relname COLLATE "C"`;

const constraintsQuery = `${chosen}
  SELECT t.name, k.conname, k.contype, pg_get_constraintdef(k.oid), pg_get_expr(k.conbin, k.conrelid), rn.nspname || '.' || r.relname,
    (SELECT json_agg(a.attname ORDER BY p.n) FROM unnest(k.conkey) WITH ORDINALITY p (number, n) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number),
    (SELECT json_agg(a.attname ORDER BY p.n) FROM unnest(k.confkey) WITH ORDINALITY p (number, n) JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = p.number),
    k.confupdtype, k.confdeltype, k.confmatchtype, k.condeferrable, k.condeferred, k.convalidated
  FROM chosen t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype IN ('c', 'f')
  LEFT JOIN pg_class r ON r.oid = k.confrelid LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
  WHERE k.conparentid = 0
  ORDER BY t.name, k.conname COLLATE "C"`;

const partitionsQuery = `${chosen}
  SELECT t.name, n.nspname, c.relname, pg_get_expr(c.relpartbound, c.oid), CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
    CASE WHEN p.parentrelid <> t.oid THEN (SELECT quote_ident(pn.nspname) || '.' || quote_ident(pc.relname) FROM pg_class pc JOIN pg_namespace pn ON pn.oid = pc.relnamespace WHERE pc.oid = p.parentrelid) END,
    c.relpersistence, (SELECT string_agg(o, ', ') FROM (SELECT unnest(c.reloptions) UNION ALL SELECT 'toast.' || unnest(x.reloptions) FROM pg_class x WHERE x.oid = c.reltoastrelid) r (o))
  FROM chosen t JOIN pg_class root ON root.oid = t.oid AND root.relkind = 'p' CROSS JOIN LATERAL pg_partition_tree(t.oid) p
  JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE p.relid <> t.oid ORDER BY t.name, p.level, c.relname COLLATE "C"`;

function tableObjects(shape: Shape, table: TextRow | undefined, columns: readonly TextRow[], indexes: readonly TextRow[], constraints: readonly TextRow[], partitions: readonly TextRow[]): Omit<TableObjects, 'others'> {
  const [, comment, persistence, partition, options] = table ?? [];
  const primary = indexes.find((index) => index[3] === 't');
  return {
    namespace: shape.namespace, engine: 'postgres', ...(comment && { comment }),
    columns: columns.map(columnObjects).filter((column) => Object.keys(column).length > 1),
    indexes: indexes.filter((index) => index[3] !== 't' && index[12] === 't' && (index[5] === '' || index[5] === 'u')).map((row) => indexObject(row, shape)),
    foreignKeys: constraints.filter((row) => row[2] === 'f').map((row) => foreignKey(row, shape)),
    checks: constraints.filter((row) => row[2] === 'c').map(([, name, , definition, expression]) => ({ name: name!, expression: expression!, definition: definition!, native: added(shape, name!, definition!) })),
    native: {
      ...(primary && { primaryKey: `CONSTRAINT ${quoted(primary[1]!)} ${primary[8]}` }), ...(partition && { partition: `PARTITION BY ${partition}` }),
      ...(persistence === 'u' && { unlogged: 'UNLOGGED' }), ...(options && { options }),
    },
    partitions: partitions.map(([, schema, name, bound, by, parent, persistence, options]): PartitionObject => ({
      schema: schema!, name: name!, bound: bound!, ...(by && { by }), ...(parent && { parent }), ...(persistence === 'u' && { unlogged: true }), ...(options && { options }),
    })),
  };
}

function columnObjects(row: TextRow): ColumnObjects {
  const [, name, comment, expression, generated, , collation, native, nullable, position] = row, identity = identityOf(row), [declared, notNull] = row.slice(16);
  return {
    name: name!, ...(comment && { comment }), ...(declared && { declared }), ...(notNull && { notNull }), ...(collation && { collation }), ...(identity && { identity }),
    ...(expression !== null && (generated === '' ? { default: expression } : { generated: { expression, stored: generated === 's', native: native!, nullable: nullable !== 't', position: Number(position) } })),
  };
}

/** A default that only asks a sequence, and an identity, are numbers that the table gives out by itself. */
function identityOf([, , , expression, , identity, , , , , schema, name, definition, increment, owned, next]: TextRow): IdentityObject | undefined {
  if (schema === null || name === null) return undefined;
  if (identity === '' && !/^nextval\('[^:]*'::regclass\)$/.test(expression ?? '')) return undefined;
  const kind = identity === 'a' ? 'always' : identity === 'd' ? 'by-default' : 'serial';
  return { kind, increment: increment!, ...(next !== null && { next }), sequence: { schema, name, definition: definition!, owned: owned === 't' } };
}

function indexObject([, name, unique, , constraint, , method, native, definition, where, parts, include]: TextRow, shape: Shape): IndexObject {
  return {
    name: name!, unique: unique === 't', method: method!, ...(constraint === 't' && { constraint: true }), ...(where && { where }),
    parts: (JSON.parse(parts!) as [string | null, string, boolean][]).map(([column, expression, descending]) => ({ ...(column === null ? { expression } : { column }), ...(descending && { descending }) })),
    ...(include && { include: JSON.parse(include) as string[] }),
    definition: constraint === 't' ? definition! : native!.slice(native!.indexOf(' USING ', headOf(native!)) + 1),
    native: constraint === 't' ? added(shape, name!, definition!) : native!,
  };
}

/** The length of `CREATE UNIQUE INDEX name ON ONLY schema.table`, whatever the names contain. */
function headOf(native: string): number {
  const identifier = '("(?:[^"]|"")*"|[^\\s".]+)';
  return new RegExp(`^CREATE (UNIQUE )?INDEX ${identifier} ON (ONLY )?${identifier}(\\.${identifier})?`).exec(native)?.[0].length ?? 0;
}

const actions: Readonly<Record<string, ReferenceAction>> = { a: 'no action', r: 'restrict', c: 'cascade', n: 'set null', d: 'set default' };

function foreignKey([, name, , definition, , references, columns, referred, update, remove, match, deferrable, deferred, validated]: TextRow, shape: Shape): ForeignKeyObject {
  const suffix = [match === 'f' && 'MATCH FULL', deferrable === 't' && `DEFERRABLE${deferred === 't' ? ' INITIALLY DEFERRED' : ''}`, validated === 'f' && 'NOT VALID'].filter(Boolean).join(' ');
  return {
    name: name!, columns: JSON.parse(columns!) as string[], references: { namespace: references!, columns: JSON.parse(referred!) as string[] },
    onUpdate: actions[update!], onDelete: actions[remove!], ...(suffix && { suffix }), definition: definition!, native: added(shape, name!, definition!),
  };
}

function added(shape: Shape, name: string, definition: string): string {
  return `ALTER TABLE ${qualified(shape)} ADD CONSTRAINT ${quoted(name)} ${definition}`;
}

/** Those of users, in the order in which they were made: a view comes after what it reads. Then sequences that nothing uses. */
async function readViews(session: Session, signal: AbortSignal): Promise<readonly ViewObject[]> {
  const rows = await session.query(`
    SELECT n.nspname, c.relname, c.relkind, pg_get_viewdef(c.oid), array_to_string(c.reloptions, ', '), concat_ws('; ', '',
      (SELECT string_agg(pg_get_indexdef(i.indexrelid), '; ') FROM pg_index i WHERE i.indrelid = c.oid),
      'COMMENT ON ' || CASE c.relkind WHEN 'm' THEN 'MATERIALIZED ' ELSE '' END || 'VIEW ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) || ' IS ' || quote_literal(obj_description(c.oid, 'pg_class')),
      (SELECT string_agg('COMMENT ON COLUMN ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) || '.' || quote_ident(a.attname) || ' IS ' || quote_literal(col_description(c.oid, a.attnum)), '; ') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '_dsync')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.oid`, signal);
  const views = rows.map(([schema, name, kind, definition, options, more]) => {
    const materialized = kind === 'm', query = definition!.trim().replace(/;$/, '');
    return {
      namespace: `${schema}.${name}`, schema: schema!, name: name!, engine: 'postgres', materialized, definition: query,
      native: `CREATE ${materialized ? 'MATERIALIZED ' : ''}VIEW ${qualified({ schema: schema!, name: name! })}${options ? ` WITH (${options})` : ''} AS ${query}${more}`,
    };
  });
  const loose = await session.query(looseQuery, signal);
  return [...views, ...loose.map(([namespace, schema, name, kind, native]) => ({ kind: kind!, namespace: namespace!, schema: schema!, name: name!, engine: 'postgres', materialized: false, definition: native!, native: native! }))];
}

function grouped(rows: readonly TextRow[]): ReadonlyMap<string, TextRow[]> {
  const groups = new Map<string, TextRow[]>();
  for (const row of rows) {
    const group = groups.get(row[0]!);
    if (group) group.push(row);
    else groups.set(row[0]!, [row]);
  }
  return groups;
}
