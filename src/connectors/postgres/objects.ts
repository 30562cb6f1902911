import type { ColumnObjects, Finding, IdentityObject, IndexObject, Mapping, NameRules, PlannedObject, Shape, TableObjects, Target, ViewObject } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { withComputedClauses } from '../../schema/computed.js';
import { columnNames, isKey, leftOut, madeOf, notMade, plannedCheck, plannedForeignKey, plannedIndexes, plannedOthers, translatedDefaults, untranslatedDefaults, withoutDialect, type Skills } from '../../schema/portable.js';
import { refusal } from '../../schema/refusal.js';
import { serverError } from './failure.js';
import { held, type Hold } from './progress.js';
import type { Session } from './session.js';
import { list, literal, qualified, quoted } from './sql.js';

export const names: NameRules = { longest: 63, unit: 'bytes', indexes: 'schema', constraints: 'table', ignoresCase: false };

const skills: Skills = {
  dialect: 'postgres', table: qualified, partial: true, expressions: true, include: true, descending: true,
  part: ({ target, source }, position, index) => {
    const { name, native } = target.columns[position];
    if (/^(json|point|line|polygon|box|circle|path|xml)\b/.test(native)) return undefined;
    const cut = index.parts.some(({ column, length }) => column === source.columns[position].name && length !== undefined);
    return { sql: quoted(name), ...(cut && { note: 'it holds the whole of each text' }) };
  },
  fullText: (mapping, index, columns) => ({
    stage: 'index', kind: 'index', name: index.name, native: index.native, note: `a full-text index over to_tsvector('simple', …)`,
    sql: `CREATE INDEX ${quoted(index.name)} ON ${qualified(mapping.target)} USING gin (to_tsvector('pg_catalog.simple'::pg_catalog.regconfig, ${columns.map((column) => `coalesce(${quoted(column)}, '')`).join(` || ' ' || `)}))`,
  }),
};

/** What becomes of a table's objects: from PostgreSQL all that can be, from another engine what has a counterpart. */
export function planObjects(mapping: Mapping): readonly PlannedObject[] {
  const { objects } = mapping;
  if (!objects || mapping.existed) return [];
  return objects.engine === 'postgres' ? own(mapping, objects) : withoutDialect(mapping, objects) ?? foreign(mapping, objects);
}

function own(mapping: Mapping, objects: TableObjects): readonly PlannedObject[] {
  const table = qualified(mapping.target), columnOf = columnNames(mapping);
  const standing = mapping.source.key.length > 0 && !objects.native.primaryKey ? objects.indexes.find((index) => isKey(mapping, index)) : undefined;
  return [
    ...lateKey(mapping, objects),
    ...objects.indexes.filter((index) => index !== standing).map((index): PlannedObject => ({
      stage: index.unique ? 'unique' : 'index', kind: index.unique ? 'unique' : 'index', name: index.name, native: index.native, sql: indexStatement(index, mapping),
    })),
    ...objects.checks.map((check): PlannedObject => ({
      stage: 'check', kind: 'check', name: check.name, native: check.native, sql: `ALTER TABLE ${table} ADD CONSTRAINT ${quoted(check.name)} ${check.definition}`,
    })),
    ...objects.foreignKeys.map((key) => plannedForeignKey(mapping, key, skills)),
    ...objects.columns.flatMap((column): PlannedObject[] => {
      const name = columnOf(column.name);
      if (name === undefined) return [];
      if (column.identity) return numbers(mapping, name, column.identity, column.default);
      return column.default === undefined ? [] : [{ stage: 'end', kind: 'default', name, native: column.default, sql: `ALTER TABLE ${table} ALTER COLUMN ${quoted(name)} SET DEFAULT ${column.default}` }];
    }),
    ...comments(mapping, objects), ...plannedOthers(mapping, objects, (on) => partPlace(mapping, on, mapping.target)),
    ...leftOut(mapping, { ...objects, partitions: [], native: {}, others: objects.others.filter(({ stage }) => stage === undefined) }, 'postgres'),
  ];
}

/** A primary key that is none to dsync, WITHOUT OVERLAPS: it comes with the unique indexes. */
function lateKey({ source, target }: Mapping, { native: { primaryKey } }: TableObjects): readonly PlannedObject[] {
  if (!primaryKey || source.key.length > 0) return [];
  const name = /^CONSTRAINT "((?:[^"]|"")+)"/.exec(primaryKey)![1].replaceAll('""', '"');
  return [{ stage: 'unique', kind: 'unique', name, native: primaryKey, sql: `ALTER TABLE ${qualified(target)} ADD ${primaryKey}` }];
}

/** Where the table, or one of its partitions, stands here. */
function partPlace({ source }: Mapping, { schema, name }: { readonly schema: string; readonly name: string }, place: { readonly schema?: string; readonly name: string }) {
  if (schema === source.schema && name === source.name) return place;
  return { schema: schema === source.schema ? place.schema : schema, name };
}

function indexStatement(index: IndexObject, { target }: Mapping): string {
  if (index.constraint) return `ALTER TABLE ${qualified(target)} ADD CONSTRAINT ${quoted(index.name)} ${index.definition}`;
  return `CREATE ${index.unique ? 'UNIQUE ' : ''}INDEX ${quoted(index.name)} ON ${qualified(target)} ${index.definition}`;
}

function foreign(mapping: Mapping, objects: TableObjects): readonly PlannedObject[] {
  const table = qualified(mapping.target), defaults = translatedDefaults(mapping, objects, 'postgres'), columnOf = columnNames(mapping);
  return [
    ...plannedIndexes(mapping, objects, skills),
    ...objects.checks.map((check) => plannedCheck(mapping, check, skills)),
    ...objects.foreignKeys.map((key) => plannedForeignKey(mapping, key, skills)),
    ...[...defaults].flatMap(([name, given]): PlannedObject[] => (given.kept
      ? [{ stage: 'end', kind: 'default', name, native: given.sql, sql: `ALTER TABLE ${table} ALTER COLUMN ${quoted(name)} SET DEFAULT ${given.sql}` }] : [])),
    ...untranslatedDefaults(objects, defaults),
    ...objects.columns.flatMap((column): PlannedObject[] => {
      const name = columnOf(column.name);
      return column.identity && name !== undefined ? numbers(mapping, name, column.identity) : [];
    }),
    ...comments(mapping, objects), ...leftOut(mapping, objects, 'postgres'),
  ];
}

/** The column gives out numbers again, the next of them after the source's and after every key that is there. */
function numbers({ target, source }: Mapping, name: string, identity: IdentityObject, expression?: string): PlannedObject[] {
  const table = qualified(target), column = quoted(name), { native } = target.columns.find((each) => each.name === name)!;
  const own = source.engine === 'postgres', sequence = own ? identity.sequence : undefined, increment = identity.increment ?? '1';
  const place = sequence && qualified({ schema: sequence.schema === source.schema ? target.schema : sequence.schema, name: sequence.name });
  const whole = /^(smallint|integer|bigint)$/.test(native);
  const largest = increment.startsWith('-') ? 'NULL' : `(SELECT max(${column}) + ${increment} FROM ${table})`;
  const next = (named: string): PlannedObject => ({
    stage: 'end', kind: 'next number', name, native: `next: ${identity.next ?? 'unknown'}`, sql: `SELECT setval(${named}, greatest(${identity.next ?? 'NULL'}, ${largest})::bigint, false) WHERE greatest(${identity.next ?? 'NULL'}, ${largest}) IS NOT NULL`,
  });
  const asked = (made: string): PlannedObject[] => [
    { stage: 'end', kind: 'sequence', name, native: expression ?? 'auto_increment', sql: made },
    { stage: 'end', kind: 'default', name, native: expression ?? 'auto_increment', sql: `ALTER TABLE ${table} ALTER COLUMN ${column} SET DEFAULT nextval(${literal(place ?? ownSequence)}::regclass)` },
  ];
  const ownSequence = qualified({ schema: target.schema, name: `${[...target.name].slice(0, 20).join('')}_${[...name].slice(0, 20).join('')}_seq` });
  if (identity.kind === 'serial' && place) return [...asked(`CREATE SEQUENCE IF NOT EXISTS ${place} ${sequence!.definition}${sequence!.owned ? `; ALTER SEQUENCE ${place} OWNED BY ${table}.${column}` : ''}`), next(`${literal(place)}::regclass`)];
  if (!whole) return [...asked(`CREATE SEQUENCE IF NOT EXISTS ${ownSequence}; ALTER SEQUENCE ${ownSequence} OWNED BY ${table}.${column}`), next(`${literal(ownSequence)}::regclass`)];
  const options = sequence && place ? ` (SEQUENCE NAME ${place} ${sequence.definition.replace(/^AS \S+ /, '')})` : '';
  return [
    {
      stage: 'end', kind: 'identity', name, native: identity.kind,
      sql: `ALTER TABLE ${table} ALTER COLUMN ${column} SET NOT NULL, ALTER COLUMN ${column} ADD GENERATED ${identity.kind === 'always' && own ? 'ALWAYS' : 'BY DEFAULT'} AS IDENTITY${options}`,
    },
    next(`pg_get_serial_sequence(${literal(table)}, ${literal(name)})`),
  ];
}

function comments(mapping: Mapping, objects: TableObjects): PlannedObject[] {
  const columnOf = columnNames(mapping), table = qualified(mapping.target);
  const whole: PlannedObject[] = objects.comment === undefined ? [] : [{ stage: 'end', kind: 'comment', name: mapping.target.name, native: objects.comment, sql: `COMMENT ON TABLE ${table} IS ${literal(objects.comment)}` }];
  return [...whole, ...objects.columns.flatMap(({ name, comment }): PlannedObject[] => {
    const column = columnOf(name);
    return comment === undefined || column === undefined ? [] : [{ stage: 'end', kind: 'comment', name: column, native: comment, sql: `COMMENT ON COLUMN ${table}.${quoted(column)} IS ${literal(comment)}` }];
  })];
}

/** Views of PostgreSQL go as they are, where all that they read has its own name here. */
export function planView(view: ViewObject, { schema = 'public', name }: Target, mappings: readonly Mapping[]): PlannedObject {
  const kind = view.kind ?? (view.materialized ? 'materialized view' : 'view');
  if (view.engine !== 'postgres') return notMade(kind, view.namespace, view.native, `a ${kind} goes to its own engine only`);
  const moved = mappings.find(({ source, target }) => source.namespace !== target.namespace);
  if (moved) return notMade(kind, view.namespace, view.native, `${moved.source.namespace} has another name here`);
  return { stage: 'view', kind, name: `${schema}.${name}`, native: view.native, sql: view.native };
}

/** Columns as a CREATE TABLE takes them: those that the table computes stand where they stood. */
function columnClauses({ target, objects, computed: across }: Mapping, place: { readonly name: string }): readonly string[] {
  const own = objects?.engine === 'postgres' ? objects : undefined, told = new Map(own?.columns.map((column) => [column.name, column]));
  const clauses = target.columns.map(({ name, native, nullable }) => {
    const { declared = native, collation, notNull = place.name === target.name ? 'NOT NULL' : notNullOf(target.name, name) } = told.get(name) ?? {};
    return `${quoted(name)} ${declared}${collation ? ` COLLATE ${collation}` : ''}${nullable ? '' : ` ${notNull}`}`;
  });
  for (const column of computed(target, own)) clauses.splice(column.generated!.position, 0, computedClause(column));
  return withComputedClauses(clauses, across, quoted);
}

/** As PostgreSQL 18 names it: else it would be named after the staging table. */
function notNullOf(table: string, column: string): string {
  const name = `${table}_${column}_not_null`;
  return Buffer.byteLength(name) > names.longest ? 'NOT NULL' : `CONSTRAINT ${quoted(name)} NOT NULL`;
}

function computed(target: Shape, objects: TableObjects | undefined): readonly ColumnObjects[] {
  return objects?.columns.filter(({ name, generated }) => generated && !target.columns.some((column) => column.name === name)) ?? [];
}

function computedClause({ name, generated, collation, declared }: ColumnObjects): string {
  const { native, expression, stored, nullable } = generated!;
  return `${quoted(name)} ${declared ?? native}${collation ? ` COLLATE ${collation}` : ''} GENERATED ALWAYS AS (${expression}) ${stored ? 'STORED' : 'VIRTUAL'}${nullable ? '' : ' NOT NULL'}`;
}

/** The table, and the parts that it is divided into. `place`: where its rows go first. */
export function tableStatements(mapping: Mapping, place: { readonly schema: string; readonly name: string }): readonly string[] {
  const { objects, target, source } = mapping, own = objects?.engine === 'postgres' ? objects : undefined, divided = own?.native.partition !== undefined && place.name === target.name;
  const schemaOf = (schema: string) => (schema === source.schema ? place.schema : schema);
  const suffix = (divided ? ` ${own!.native.partition}` : '') + (own?.native.options ? ` WITH (${own.native.options})` : '');
  const table = `CREATE ${own?.native.unlogged ? 'UNLOGGED ' : ''}TABLE IF NOT EXISTS ${qualified(place)} (${columnClauses(mapping, place).join(', ')})${suffix}`;
  const storage = (own?.others ?? []).filter(({ stage, on }) => stage === 'table' && (divided || (on?.schema === source.schema && on?.name === source.name))).map((other) => madeOf(other, (on) => qualified(partPlace(mapping, on, place))));
  if (!divided) return [table, ...storage];
  return [table, ...own!.partitions.map((part) => {
    const parent = part.parent ? own!.partitions.find(({ schema, name }) => part.parent === readable(schema, name)) : undefined;
    const over = parent ? qualified({ schema: schemaOf(parent.schema), name: parent.name }) : qualified(place);
    const suffix = `${part.by ? ` PARTITION BY ${part.by}` : ''}${part.options ? ` WITH (${part.options})` : ''}`;
    return `CREATE ${part.unlogged ? 'UNLOGGED ' : ''}TABLE IF NOT EXISTS ${qualified({ schema: schemaOf(part.schema), name: part.name })} PARTITION OF ${over} ${part.bound}${suffix}`;
  }), ...storage];
}

/** As quote_ident writes it. */
function readable(schema: string, name: string): string {
  const plain = (text: string) => (/^[a-z_][a-z0-9_]*$/.test(text) ? text : quoted(text));
  return `${plain(schema)}.${plain(name)}`;
}

/** The key, under its own name where the source is PostgreSQL too. */
export function keyStatement({ source, target, objects, ...rest }: Mapping): string {
  const own = objects?.engine === 'postgres' ? objects : undefined, table = qualified(target);
  if (own?.native.primaryKey) return `ALTER TABLE ${table} ADD ${own.native.primaryKey}`;
  const unique = own?.indexes.find((index) => isKey({ source, target, ...rest }, index));
  return unique ? indexStatement(unique, { source, target, ...rest }) : `ALTER TABLE ${table} ADD PRIMARY KEY (${list(target.key.map((i) => target.columns[i].name))})`;
}

/** One transaction each: what the server refuses is a finding, and what stands already is kept. */
export async function build(session: Session, hold: Hold, mapping: Mapping | undefined, objects: readonly PlannedObject[], signal: AbortSignal): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const object of objects) {
    try {
      await held(session, hold, signal, async () => {
        // Two at once on what tables share would be in each other's way, and these are quick.
        if (object.kind === 'function' || object.stage === 'end' || object.stage === 'last') await session.query("SELECT pg_advisory_xact_lock(hashtext('dsync'), hashtext('needs')); SET LOCAL check_function_bodies = off", signal);
        if (object.sql === undefined || await stands(session, mapping, object, signal)) return;
        await session.query("SELECT set_config('maintenance_work_mem', '256MB', true) FROM pg_settings WHERE name = 'maintenance_work_mem' AND setting::bigint < 262144", signal);
        await session.query(object.sql, signal);
      });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (standsAlready(object, error)) continue;
      const { message, detail } = serverError(error)!;
      findings.push(refusal(object, detail ? `${message} (${detail})` : message, mapping));
    }
  }
  return findings;
}

/** Of what no other table can have, the server says itself that it stands. */
function standsAlready({ kind }: PlannedObject, error: unknown): boolean {
  return ['exclusion constraint', 'check', 'not null', 'foreign key', 'statistics', 'trigger', 'rule', 'policy', 'inheritance'].includes(kind) && ['42710', '42P07'].includes(serverError(error)?.code ?? '');
}

/** The server said no to this statement, and would to the next try as well. */
function isRefusal(error: unknown): boolean {
  const code = serverError(error)?.code;
  return error instanceof DsyncError && code !== undefined && /^(0A|22|23|2B|42|54|55000|0LP|P0|XX)/.test(code) && !/_dsync/.test(serverError(error)!.message);
}

async function stands(session: Session, mapping: Mapping | undefined, { kind, stage, name }: PlannedObject, signal: AbortSignal): Promise<boolean> {
  if (stage === 'view') return (await session.query('SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname || \'.\' || c.relname = $1', signal, [name])).length > 0;
  const table = qualified(mapping!.target);
  switch (kind) {
    case 'index': case 'unique': case 'index of a partition':
      return (await session.query('SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = $2 AND (i.indrelid = $1::regclass OR i.indrelid IN (SELECT relid FROM pg_partition_tree($1::regclass)))', signal, [table, name])).length > 0;
    case 'function': return (await session.query('SELECT FROM to_regprocedure($1) f WHERE f IS NOT NULL', signal, [name])).length > 0;
    case 'check': case 'foreign key': return (await session.query('SELECT FROM pg_constraint WHERE conrelid = $1::regclass AND conname = $2', signal, [table, name])).length > 0;
    case 'identity': return (await session.query("SELECT FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2 AND attidentity <> ''", signal, [table, name])).length > 0;
    default: return false;
  }
}

/** Takes away what an interrupted process has made that ties rows together, fires, or forbids: of the table and of its partitions. */
export async function release(session: Session, hold: Hold, { target }: Mapping, objects: readonly PlannedObject[], signal: AbortSignal): Promise<void> {
  const named = (...kinds: readonly string[]) => objects.filter(({ kind, stage }) => kinds.includes(kind) || kinds.includes(stage)).map(({ name }) => name);
  const all = { ties: named('unique', 'foreign-key'), triggers: named('trigger'), rules: named('rule'), secured: named('row security'), children: named('inheritance') };
  await held(session, hold, signal, async () => {
    const [[standing]] = await session.query('SELECT to_regclass($1) IS NOT NULL', signal, [qualified(target)]);
    if (standing === 'f') return;
    for (const [query, names, statement] of undoing) {
      if (all[names].length === 0) continue;
      for (const [table, schema, name] of await session.query(`WITH tree (oid) AS (SELECT $1::regclass UNION SELECT relid FROM pg_partition_tree($1::regclass)) ${query}`, signal, [qualified(target), all[names]])) await session.query(statement(table!, schema!, name!), signal);
    }
  });
}

/** Queries for table, schema and name among the names of `$2`, and the statement that undoes what they find. */
const undoing: readonly (readonly [query: string, names: 'ties' | 'triggers' | 'rules' | 'secured' | 'children', statement: (table: string, schema: string, name: string) => string])[] = [
  ["SELECT conrelid::regclass, '', conname FROM pg_constraint JOIN tree ON conrelid = tree.oid WHERE conparentid = 0 AND conname = ANY ($2)", 'ties', (table, _, name) => `ALTER TABLE ${table} DROP CONSTRAINT IF EXISTS ${quoted(name)} CASCADE`],
  ['SELECT indrelid::regclass, nspname, relname FROM pg_index JOIN tree ON indrelid = tree.oid JOIN pg_class c ON c.oid = indexrelid AND NOT relispartition JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = ANY ($2)', 'ties', (_, schema, name) => `DROP INDEX IF EXISTS ${qualified({ schema, name })} CASCADE`],
  ["SELECT tgrelid::regclass, '', tgname FROM pg_trigger JOIN tree ON tgrelid = tree.oid WHERE NOT tgisinternal AND tgparentid = 0 AND tgname = ANY ($2)", 'triggers', (table, _, name) => `DROP TRIGGER ${quoted(name)} ON ${table}`],
  ["SELECT ev_class::regclass, '', rulename FROM pg_rewrite JOIN tree ON ev_class = tree.oid WHERE rulename = ANY ($2)", 'rules', (table, _, name) => `DROP RULE ${quoted(name)} ON ${table}`],
  ["SELECT c.oid::regclass, '', relname FROM pg_class c JOIN tree ON c.oid = tree.oid WHERE (relrowsecurity OR relforcerowsecurity) AND relname = ANY ($2)", 'secured', (table) => `ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY`],
  ["SELECT inhrelid::regclass, '', inhparent::regclass FROM pg_inherits WHERE inhrelid = $1::regclass AND inhparent::regclass::text = ANY ($2)", 'children', (table, _, parent) => `ALTER TABLE ${table} NO INHERIT ${parent}`],
];
