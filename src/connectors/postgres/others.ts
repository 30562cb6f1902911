import type { NeededObject, OtherObject } from '../../contract.js';
import type { TextRow } from './session.js';

/*
 * What pg_dump --schema-only shows of tables besides columns, indexes and constraints, each as the statement that makes it.
 * The queries go on from `chosen (name, oid)`, the tables that were asked for.
 */

/** The tables and their partitions, as statements spell them. */
const parts = `parts (name, oid, schema, relname, spelled, root, level) AS (
    SELECT t.name, c.oid, n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.oid = t.oid, p.level
    FROM chosen t CROSS JOIN LATERAL (SELECT t.oid, 0 UNION SELECT relid, level FROM pg_partition_tree(t.oid)) p (oid, level)
    JOIN pg_class c ON c.oid = p.oid JOIN pg_namespace n ON n.oid = c.relnamespace)`;

const notExtension = (catalogue: string, oid: string) => `NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '${catalogue}'::regclass AND e.objid = ${oid} AND e.deptype = 'e')`;

const enabled = (column: string, kind: string, item: string) => `CASE ${column} WHEN 'O' THEN '' ELSE '; ALTER TABLE ' || p.spelled || CASE ${column} WHEN 'D' THEN ' DISABLE' WHEN 'A' THEN ' ENABLE ALWAYS' ELSE ' ENABLE REPLICA' END || ' ${kind} ' || quote_ident(${item}) END`;

/** `on`: an expression for what is commented on. */
const comment = (oid: string, catalogue: string, on: string) => `coalesce('; COMMENT ON ' || ${on} || ' IS ' || quote_literal(obj_description(${oid}, '${catalogue}')), '')`;

const privileges = (acl: string, owner: string, on: string, columns = `''`) => `
  (SELECT g.grantee, g.role, g.option, 'GRANT ' || string_agg(g.privilege || ${columns}, ', ' ORDER BY g.privilege) || ' ON ' || ${on} || ' TO ' || g.role || CASE WHEN g.option THEN ' WITH GRANT OPTION' ELSE '' END AS native
    FROM (SELECT a.grantee, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS role, a.is_grantable AS option, a.privilege_type AS privilege FROM aclexplode(${acl}) a WHERE a.grantee <> ${owner}) g
    GROUP BY g.grantee, g.role, g.option)`;

/** With its comment; what its ACL takes away from everyone is taken away again. What runs with its owner's rights goes to a role of the same name, or nowhere. */
const functionStatement = `pg_get_functiondef(f.oid) || ${comment('f.oid', 'pg_proc', "'ROUTINE ' || f.oid::regprocedure")}
  || CASE WHEN f.proacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(f.proacl) a WHERE a.grantee = 0) THEN '; REVOKE ALL ON ROUTINE ' || f.oid::regprocedure || ' FROM PUBLIC' ELSE '' END
  || CASE WHEN f.prosecdef THEN '; ALTER ROUTINE ' || f.oid::regprocedure || ' OWNER TO ' || quote_ident(pg_get_userbyid(f.proowner)) ELSE '' END`;

const ofUsers = `f.pronamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', '_dsync')) AND f.prokind IN ('f', 'p', 'w') AND ${notExtension('pg_proc', 'f.oid')}`;

/** Name, kind, schema, name as a statement says it, statement: in the order in which they can be made, as far as that is known. */
export const needsQuery = `, used (name, type, depth) AS (
    SELECT t.name, a.atttypid, 1 FROM chosen t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT u.name, x.type, u.depth + 1 FROM used u JOIN pg_type y ON y.oid = u.type CROSS JOIN LATERAL (
      SELECT y.typelem WHERE y.typcategory = 'A' UNION ALL SELECT y.typbasetype WHERE y.typtype = 'd'
      UNION ALL SELECT a.atttypid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE c.oid = y.typrelid AND c.relkind = 'c'
      UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = y.oid UNION ALL SELECT r.rngtypid FROM pg_range r WHERE to_jsonb(r)->>'rngmultitypid' = y.oid::text
    ) x (type) WHERE x.type <> 0 AND u.depth < 20
  ), types AS (
    SELECT u.name, y.oid, y.typtype, max(u.depth) AS depth, n.nspname, y.typname, quote_ident(n.nspname) || '.' || quote_ident(y.typname) AS spelled, y.typrelid, y.typbasetype, y.typtypmod, y.typcollation, y.typnotnull, y.typdefault
    FROM used u JOIN pg_type y ON y.oid = u.type JOIN pg_namespace n ON n.oid = y.typnamespace LEFT JOIN pg_class c ON c.oid = y.typrelid
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND (y.typtype IN ('e', 'd', 'r') OR c.relkind = 'c') AND ${notExtension('pg_type', 'y.oid')}
    GROUP BY u.name, y.oid, n.nspname, y.typname
  ), collations (name, oid) AS (
    SELECT t.name, a.attcollation FROM chosen t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 UNION SELECT y.name, y.typcollation FROM types y
    UNION SELECT y.name, a.attcollation FROM types y JOIN pg_attribute a ON a.attrelid = y.typrelid
  ), functions (name, oid) AS (
    SELECT y.name, d.refobjid FROM types y JOIN pg_constraint k ON k.contypid = y.oid JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass
    UNION SELECT y.name, d.refobjid FROM types y JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = y.oid AND d.refclassid = 'pg_proc'::regclass WHERE y.typtype = 'r'
    UNION SELECT t.name, d.refobjid FROM chosen t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attgenerated <> '' JOIN pg_attrdef f ON f.adrelid = t.oid AND f.adnum = a.attnum
      JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_proc'::regclass
  )
  SELECT o.name, 'collation', n.nspname, quote_ident(n.nspname) || '.' || quote_ident(c.collname),
    format('CREATE COLLATION %I.%I (provider = %s, %s, deterministic = %s%s)', n.nspname, c.collname, CASE c.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
      CASE WHEN c.collprovider = 'c' THEN format('lc_collate = %L, lc_ctype = %L', c.collcollate, c.collctype) ELSE format('locale = %L', coalesce(to_jsonb(c)->>'colllocale', to_jsonb(c)->>'colliculocale', c.collcollate)) END,
      CASE WHEN c.collisdeterministic THEN 'true' ELSE 'false' END, ', rules = ' || quote_literal(to_jsonb(c)->>'collicurules')), 0, 0
  FROM collations o JOIN pg_collation c ON c.oid = o.oid JOIN pg_namespace n ON n.oid = c.collnamespace WHERE n.nspname <> 'pg_catalog' AND ${notExtension('pg_collation', 'c.oid')}
  UNION ALL SELECT o.name, 'function', n.nspname, f.oid::regprocedure::text, ${functionStatement}, 2, 0
  FROM functions o JOIN pg_proc f ON f.oid = o.oid JOIN pg_namespace n ON n.oid = f.pronamespace WHERE ${ofUsers}
  UNION ALL SELECT y.name, 'type', y.nspname, y.spelled, CASE y.typtype
      WHEN 'e' THEN (SELECT format('CREATE TYPE %s AS ENUM (%s)', y.spelled, string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)) FROM pg_enum e WHERE e.enumtypid = y.oid)
      WHEN 'd' THEN format('CREATE DOMAIN %s AS %s', y.spelled, format_type(y.typbasetype, y.typtypmod))
        || CASE WHEN y.typcollation <> (SELECT b.typcollation FROM pg_type b WHERE b.oid = y.typbasetype) THEN (SELECT format(' COLLATE %I.%I', n.nspname, c.collname) FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = y.typcollation) ELSE '' END
        || coalesce(' DEFAULT ' || y.typdefault, '') || CASE WHEN y.typnotnull THEN ' NOT NULL' ELSE '' END
        || coalesce((SELECT string_agg(format(' CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid)), '' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = y.oid AND k.contype = 'c' AND k.convalidated), '')
        || coalesce((SELECT string_agg(format('; ALTER DOMAIN %s ADD CONSTRAINT %I %s', y.spelled, k.conname, pg_get_constraintdef(k.oid)), '' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = y.oid AND k.contype = 'c' AND NOT k.convalidated), '')
      WHEN 'c' THEN (SELECT format('CREATE TYPE %s AS (%s)', y.spelled, string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attcollation <> b.typcollation THEN (SELECT format(' COLLATE %I.%I', n.nspname, c.collname) FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation) ELSE '' END, ', ' ORDER BY a.attnum))
        FROM pg_attribute a JOIN pg_type b ON b.oid = a.atttypid WHERE a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
      WHEN 'r' THEN (SELECT format('CREATE TYPE %s AS RANGE (subtype = %s', y.spelled, format_type(r.rngsubtype, NULL))
        || coalesce((SELECT format(', subtype_opclass = %I.%I', n.nspname, o.opcname) FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace WHERE o.oid = r.rngsubopc AND NOT o.opcdefault), '')
        || coalesce((SELECT format(', collation = %I.%I', n.nspname, c.collname) FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = r.rngcollation), '')
        || CASE WHEN r.rngsubdiff <> 0 THEN ', subtype_diff = ' || r.rngsubdiff::regproc ELSE '' END
        || coalesce((SELECT format(', multirange_type_name = %I.%I', n.nspname, m.typname) FROM pg_type m JOIN pg_namespace n ON n.oid = m.typnamespace WHERE m.oid::text = to_jsonb(r)->>'rngmultitypid'), '') || ')'
        FROM pg_range r WHERE r.rngtypid = y.oid AND r.rngcanonical = 0)
    END || coalesce('; COMMENT ON ' || CASE y.typtype WHEN 'd' THEN 'DOMAIN ' ELSE 'TYPE ' END || y.spelled || ' IS ' || quote_literal(obj_description(y.oid, 'pg_type')), ''), CASE y.typtype WHEN 'e' THEN 1 ELSE 3 END, -y.depth
  FROM types y
  ORDER BY 1, 6, 7, 4`;

export function neededObjects(rows: readonly TextRow[]): readonly NeededObject[] {
  return rows.flatMap(([, kind, schema, name, native]) => (native === null ? [] : [{ kind: kind as NeededObject['kind'], schema: schema!, name: name!, native }]));
}

/** Name, stage (or null), kind, item, statement, and the table it is about: schema, name, spelled. In the order in which they are made. */
export const othersQuery = `, ${parts}, items (number, name, stage, kind, item, native, schema, relname, spelled) AS (
  SELECT 1, o.name, 'index', 'function', f.oid::regprocedure::text, ${functionStatement}, NULL, NULL, NULL
    FROM (SELECT DISTINCT p.name, d.refobjid FROM parts p CROSS JOIN LATERAL (
        SELECT 'pg_trigger'::regclass, g.oid FROM pg_trigger g WHERE g.tgrelid = p.oid AND NOT g.tgisinternal
        UNION ALL SELECT 'pg_attrdef'::regclass, f.oid FROM pg_attrdef f WHERE f.adrelid = p.oid UNION ALL SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE k.conrelid = p.oid
        UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i WHERE i.indrelid = p.oid UNION ALL SELECT 'pg_policy'::regclass, y.oid FROM pg_policy y WHERE y.polrelid = p.oid
        UNION ALL SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r WHERE r.ev_class = p.oid UNION ALL SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext s WHERE s.stxrelid = p.oid
      ) u (catalogue, oid) JOIN pg_depend d ON d.classid = u.catalogue AND d.objid = u.oid AND d.refclassid = 'pg_proc'::regclass) o (name, oid)
    JOIN pg_proc f ON f.oid = o.oid WHERE ${ofUsers}
  UNION ALL SELECT 2, p.name, 'table', 'column storage', a.attname, concat_ws('; ',
      CASE WHEN a.attstorage <> y.typstorage THEN c.altered || ' SET STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
      CASE to_jsonb(a)->>'attcompression' WHEN 'p' THEN c.altered || ' SET COMPRESSION pglz' WHEN 'l' THEN c.altered || ' SET COMPRESSION lz4' END,
      CASE WHEN a.attstattarget >= 0 THEN c.altered || ' SET STATISTICS ' || a.attstattarget END, c.altered || ' SET (' || array_to_string(a.attoptions, ', ') || ')'), p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type y ON y.oid = a.atttypid
    CROSS JOIN LATERAL (SELECT 'ALTER TABLE ONLY ' || p.spelled || ' ALTER COLUMN ' || quote_ident(a.attname)) c (altered)
    WHERE a.attstorage <> y.typstorage OR a.attstattarget >= 0 OR a.attoptions IS NOT NULL OR coalesce(to_jsonb(a)->>'attcompression', '') <> ''
  UNION ALL SELECT 3, p.name, CASE WHEN i.indisunique OR i.indisexclusion THEN 'unique' ELSE 'index' END, CASE WHEN p.root THEN 'exclusion constraint' ELSE 'index of a partition' END, c.relname,
      CASE WHEN k.oid IS NULL THEN pg_get_indexdef(i.indexrelid) ELSE 'ALTER TABLE ' || p.spelled || ' ADD CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid) END, p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_index i ON i.indrelid = p.oid AND i.indisvalid JOIN pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
    WHERE NOT p.root OR k.contype = 'x'
  UNION ALL SELECT 4, p.name, CASE k.contype WHEN 'f' THEN 'foreign-key' ELSE 'check' END, CASE k.contype WHEN 'f' THEN 'foreign key' WHEN 'n' THEN 'not null' ELSE 'check' END, k.conname, 'ALTER TABLE ' || p.spelled || ' ADD CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_constraint k ON k.conrelid = p.oid AND k.conparentid = 0
    WHERE (NOT p.root AND k.contype IN ('c', 'f') AND k.conislocal AND k.coninhcount = 0) OR (k.contype = 'n' AND NOT k.convalidated AND (p.root OR k.coninhcount = 0))
  UNION ALL SELECT 5, p.name, 'end', 'default of a partition', a.attname, 'ALTER TABLE ONLY ' || p.spelled || ' ALTER COLUMN ' || quote_ident(a.attname) || coalesce(' SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), ' DROP DEFAULT'), p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_inherits h ON h.inhrelid = p.oid JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = '' LEFT JOIN pg_attrdef d ON d.adrelid = p.oid AND d.adnum = a.attnum
    JOIN pg_attribute b ON b.attrelid = h.inhparent AND b.attname = a.attname LEFT JOIN pg_attrdef e ON e.adrelid = h.inhparent AND e.adnum = b.attnum
    WHERE NOT p.root AND pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM pg_get_expr(e.adbin, e.adrelid)
  UNION ALL SELECT 6, p.name, 'end', 'statistics', s.stxname, pg_get_statisticsobjdef(s.oid) || CASE WHEN s.stxstattarget >= 0 THEN format('; ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, s.stxname, s.stxstattarget) ELSE '' END
      || ${comment('s.oid', 'pg_statistic_ext', "format('STATISTICS %I.%I', n.nspname, s.stxname)")}, p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_statistic_ext s ON s.stxrelid = p.oid JOIN pg_namespace n ON n.oid = s.stxnamespace
  UNION ALL SELECT 7, p.name, 'end', 'comment', p.relname, 'COMMENT ON TABLE ' || p.spelled || ' IS ' || quote_literal(obj_description(p.oid, 'pg_class')), p.schema, p.relname, p.spelled FROM parts p WHERE NOT p.root
  UNION ALL SELECT 7, p.name, 'end', 'comment', p.relname || '.' || a.attname, 'COMMENT ON COLUMN ' || p.spelled || '.' || quote_ident(a.attname) || ' IS ' || quote_literal(col_description(p.oid, a.attnum)), p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum > 0 WHERE NOT p.root
  UNION ALL SELECT 7 + p.level * 0.001, p.name, 'last', 'name of an index', c.relname, format('DO $dsync$BEGIN EXECUTE coalesce((SELECT format(''ALTER INDEX %%s RENAME TO %%I'', i.indexrelid::regclass, %L) FROM pg_inherits h JOIN pg_index i ON i.indexrelid = h.inhrelid JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = %L::regclass AND i.indrelid = %L::regclass AND c.relname <> %L), ''SELECT''); END$dsync$',
      c.relname, format('%I.%I', xn.nspname, x.relname), p.spelled, c.relname), p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_index i ON i.indrelid = p.oid JOIN pg_class c ON c.oid = i.indexrelid AND c.relispartition JOIN pg_inherits h ON h.inhrelid = c.oid JOIN pg_class x ON x.oid = h.inhparent JOIN pg_namespace xn ON xn.oid = x.relnamespace
    WHERE c.relname !~ '_(idx|key|pkey|excl)[0-9]*$'
  UNION ALL SELECT 8, p.name, 'last', 'comment', c.relname, format('COMMENT ON INDEX %I.%I IS %L', p.schema, c.relname, obj_description(c.oid, 'pg_class')), NULL, NULL, NULL
    FROM parts p JOIN pg_index i ON i.indrelid = p.oid JOIN pg_class c ON c.oid = i.indexrelid WHERE obj_description(c.oid, 'pg_class') IS NOT NULL
  UNION ALL SELECT 8, p.name, 'last', 'comment', k.conname, 'COMMENT ON CONSTRAINT ' || quote_ident(k.conname) || ' ON ' || p.spelled || ' IS ' || quote_literal(obj_description(k.oid, 'pg_constraint')), p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_constraint k ON k.conrelid = p.oid
  UNION ALL SELECT 9, p.name, 'last', 'index statistics', c.relname, format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', p.schema, c.relname, a.attnum, a.attstattarget), NULL, NULL, NULL
    FROM parts p JOIN pg_index i ON i.indrelid = p.oid JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attstattarget >= 0
  UNION ALL SELECT 10, p.name, 'last', 'clustering', p.relname, 'ALTER TABLE ' || p.spelled || ' CLUSTER ON ' || quote_ident(c.relname), p.schema, p.relname, p.spelled FROM parts p JOIN pg_index i ON i.indrelid = p.oid AND i.indisclustered JOIN pg_class c ON c.oid = i.indexrelid
  UNION ALL SELECT 11, p.name, 'last', 'replica identity', p.relname, 'ALTER TABLE ONLY ' || p.spelled || ' REPLICA IDENTITY ' || CASE c.relreplident WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL' ELSE 'USING INDEX ' || (SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = p.oid AND i.indisreplident) END, p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_class c ON c.oid = p.oid AND c.relreplident <> 'd'
  UNION ALL SELECT 12, p.name, 'last', 'inheritance', quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'ALTER TABLE ' || p.spelled || ' INHERIT ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname), p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_inherits h ON h.inhrelid = p.oid JOIN pg_class c ON c.oid = h.inhparent JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.root
  UNION ALL SELECT 13, p.name, 'last', 'trigger', g.tgname, pg_get_triggerdef(g.oid) || ${enabled('g.tgenabled', 'TRIGGER', 'g.tgname')} || ${comment('g.oid', 'pg_trigger', "'TRIGGER ' || quote_ident(g.tgname) || ' ON ' || p.spelled")}, p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_trigger g ON g.tgrelid = p.oid AND NOT g.tgisinternal AND g.tgparentid = 0 AND g.tgname NOT LIKE '\\_dsync%'
  UNION ALL SELECT 14, p.name, 'last', 'rule', r.rulename, trim(trailing ';' FROM pg_get_ruledef(r.oid)) || ${enabled('r.ev_enabled', 'RULE', 'r.rulename')} || ${comment('r.oid', 'pg_rewrite', "'RULE ' || quote_ident(r.rulename) || ' ON ' || p.spelled")}, p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_rewrite r ON r.ev_class = p.oid
  UNION ALL SELECT 15, p.name, 'last', 'policy', y.polname, concat_ws(' ', 'CREATE POLICY', quote_ident(y.polname), 'ON', p.spelled, CASE WHEN NOT y.polpermissive THEN 'AS RESTRICTIVE' END, CASE y.polcmd WHEN 'r' THEN 'FOR SELECT' WHEN 'a' THEN 'FOR INSERT' WHEN 'w' THEN 'FOR UPDATE' WHEN 'd' THEN 'FOR DELETE' END,
      'TO ' || (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ') FROM unnest(y.polroles) r), 'USING (' || pg_get_expr(y.polqual, y.polrelid) || ')', 'WITH CHECK (' || pg_get_expr(y.polwithcheck, y.polrelid) || ')')
      || ${comment('y.oid', 'pg_policy', "'POLICY ' || quote_ident(y.polname) || ' ON ' || p.spelled")}, p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_policy y ON y.polrelid = p.oid
  UNION ALL SELECT 16, p.name, 'last', 'row security', p.relname, 'ALTER TABLE ' || p.spelled || CASE WHEN c.relrowsecurity THEN ' ENABLE ROW LEVEL SECURITY' ELSE ' DISABLE ROW LEVEL SECURITY' END || CASE WHEN c.relforcerowsecurity THEN ', FORCE ROW LEVEL SECURITY' ELSE '' END, p.schema, p.relname, p.spelled
    FROM parts p JOIN pg_class c ON c.oid = p.oid AND (c.relrowsecurity OR c.relforcerowsecurity)
  UNION ALL SELECT 17, p.name, 'last', 'grant', p.relname || ' to ' || g.role, g.native, p.schema, p.relname, p.spelled FROM parts p JOIN pg_class c ON c.oid = p.oid CROSS JOIN LATERAL ${privileges('c.relacl', 'c.relowner', 'p.spelled')} g
  UNION ALL SELECT 18, p.name, 'last', 'grant', p.relname || '.' || a.attname || ' to ' || g.role, g.native, p.schema, p.relname, p.spelled FROM parts p JOIN pg_class c ON c.oid = p.oid JOIN pg_attribute a ON a.attrelid = p.oid AND a.attacl IS NOT NULL
    CROSS JOIN LATERAL ${privileges('a.attacl', 'c.relowner', 'p.spelled', "' (' || quote_ident(a.attname) || ')'")} g
  UNION ALL SELECT 19, p.name, 'last', 'grant', c.relname || ' to ' || g.role, g.native, NULL, NULL, NULL FROM parts p JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = p.oid AND d.deptype IN ('a', 'i')
    JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL ${privileges('c.relacl', 'c.relowner', "'SEQUENCE ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname)")} g
  UNION ALL SELECT 20, p.name, NULL, 'column order of a partition', p.relname, (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped), NULL, NULL, NULL
    FROM parts p JOIN pg_inherits h ON h.inhrelid = p.oid
    WHERE NOT p.root AND (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped) <> (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = h.inhparent AND a.attnum > 0 AND NOT a.attisdropped)
  UNION ALL SELECT 21, p.name, NULL, 'invalid index', c.relname, pg_get_indexdef(i.indexrelid), NULL, NULL, NULL FROM parts p JOIN pg_index i ON i.indrelid = p.oid AND NOT i.indisvalid JOIN pg_class c ON c.oid = i.indexrelid
)
SELECT name, stage, kind, item, native, schema, relname, spelled FROM items WHERE native IS NOT NULL ORDER BY name, number, item COLLATE "C"`;

export function otherObjects(rows: readonly TextRow[]): readonly OtherObject[] {
  return rows.map(([, stage, kind, name, native, schema, table, spelled]) => ({
    kind: kind!, name: name!, native: native!, ...(stage !== null && { stage: stage as OtherObject['stage'] }), ...(spelled !== null && { on: { schema: schema!, name: table!, spelled } }),
  }));
}

/** What stands beside tables, views apart: sequences that nothing uses, and what others may do with views. Namespace, schema, name, kind, statement. */
export const looseQuery = `
  SELECT n.nspname || '.' || c.relname, n.nspname, c.relname, 'sequence', format('CREATE SEQUENCE %I.%I AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s', n.nspname, c.relname, format_type(s.seqtypid, NULL), s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END)
      || ${comment('c.oid', 'pg_class', "format('SEQUENCE %I.%I', n.nspname, c.relname)")}, c.oid
    FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid AND c.relpersistence <> 't' JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '_dsync')
    WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid)
  UNION ALL SELECT n.nspname || '.' || c.relname, n.nspname, c.relname || ' to ' || g.role, 'grant', g.native, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '_dsync')
    CROSS JOIN LATERAL ${privileges('c.relacl', 'c.relowner', "format('%I.%I', n.nspname, c.relname)")} g WHERE c.relkind IN ('v', 'm') AND ${notExtension('pg_class', 'c.oid')}
  ORDER BY 4 DESC, 6, 3`;
