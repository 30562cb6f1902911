import type { ColumnObjects, Finding, ForeignKeyObject, IndexObject, Mapping, NameRules, PlannedObject, TableObjects, Target, ViewObject } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { withComputedClauses } from '../../schema/computed.js';
import { columnNames, isKey, leftOut, notMade, plannedCheck, plannedForeignKey, plannedIndexes, translatedDefaults, untranslatedDefaults, withoutDialect, type Skills } from '../../schema/portable.js';
import { refusal } from '../../schema/refusal.js';
import { errnoOf } from './faults.js';
import type { Hold } from './progress.js';
import { name, quote, tableName, type Session, type Version } from './session.js';
import type { Offer } from './storage.js';

/** Foreign keys and checks have their names to themselves in a database. */
export const names: NameRules = { longest: 64, unit: 'characters', indexes: 'table', constraints: 'schema', ignoresCase: true };

const indexBytes = 3072;

function skillsOf(version: Version): Skills {
  const mariadb = version.flavour === 'mariadb';
  return {
    dialect: 'mysql', table: ({ schema, name: table }) => tableName(schema, table), partial: false, include: false,
    expressions: !mariadb && version.number >= 80_013, descending: version.number >= (mariadb ? 100_800 : 80_000),
    part: (mapping, position, index) => indexPart(mapping, position, index, mariadb),
    expression: indexExpression,
    fullText: (mapping, index, columns) => ({
      stage: 'index', kind: 'index', name: index.name, native: index.native,
      sql: `CREATE FULLTEXT INDEX ${name(index.name)} ON ${tableName(mapping.target.schema, mapping.target.name)} (${columns.map(name).join(', ')})`,
    }),
  };
}

/** Texts that are too long for an index are in it by their first characters; where they must be unique, by their hash. */
function indexPart({ source, target }: Mapping, position: number, index: IndexObject, mariadb: boolean): { readonly sql: string; readonly note?: string } | undefined {
  const { native, name: column } = target.columns[position], given = index.parts.find((part) => part.column === source.columns[position].name)?.length;
  if (/^(json|geometry|point|linestring|polygon|multi|geom)/i.test(native)) return undefined;
  const length = /^(?:var)?(?:char|binary)\((\d+)\)/i.exec(native)?.[1], isText = /char|text/i.test(native), isLong = /text|blob/i.test(native);
  if (given !== undefined && (isLong || length !== undefined)) return { sql: `${name(column)}(${given})` };
  const most = Math.floor(indexBytes / index.parts.length / (isText ? 4 : 1));
  if (!isLong && (length === undefined || Number(length) <= most)) return { sql: name(column) };
  if (!index.unique) return { sql: `${name(column)}(${Math.min(255, most)})`, note: `it holds the first ${Math.min(255, most)} of each ${isText ? 'text' : 'value'} of ${column}` };
  return mariadb ? { sql: name(column) } : { sql: `(sha2(${name(column)}, 256))`, note: `${column} is unique by its SHA-256` };
}

/** No index holds what is made of a long text: its first characters are in it; where it must be unique, its hash. */
function indexExpression({ target }: Mapping, sql: string, unique: boolean): { readonly sql: string; readonly note?: string } {
  const isLong = target.columns.some(({ native, name: column }) => /text|blob/i.test(native) && sql.includes(name(column)));
  if (!isLong) return { sql };
  return unique ? { sql: `sha2(${sql}, 256)`, note: `${sql} is unique by its SHA-256` } : { sql: `cast(left(${sql}, 255) AS char(255))`, note: `it holds the first 255 of each ${sql}` };
}

/** What becomes of a table's objects; what stands in its CREATE TABLE is not among them. */
export function planObjects(mapping: Mapping, { version }: Offer): readonly PlannedObject[] {
  const { objects } = mapping;
  if (!objects || mapping.existed) return [];
  const unknown = withoutDialect(mapping, objects);
  if (unknown) return unknown;
  const table = tableName(mapping.target.schema, mapping.target.name), skills = skillsOf(version), own = isOwn(mapping), inline = inlineIndexes(mapping);
  const indexes = own
    ? objects.indexes.filter((index) => !inline.includes(index)).map((index): PlannedObject => ({
      stage: index.unique ? 'unique' : 'index', kind: index.unique ? 'unique' : 'index', name: index.name, native: index.native, sql: `ALTER TABLE ${table} ADD ${ownIndex(index)}`,
    }))
    : plannedIndexes(mapping, objects, skills).map((index) => ({ ...index, ...(index.sql && { sql: altering(index.sql, table) }) }));
  const checks = own
    ? objects.checks.filter(({ definition }) => definition).map((check): PlannedObject => ({ stage: 'check', kind: 'check', name: check.name, native: check.native, sql: `ALTER TABLE ${table} ADD CONSTRAINT ${name(check.name)} ${check.definition}` }))
    : objects.checks.map((check) => unnumbered(plannedCheck(mapping, check, skills), mapping));
  const next = objects.columns.find(({ identity }) => identity?.next !== undefined && /^\d+$/.test(identity.next));
  const numbered = next && automatic(mapping) ? [{ stage: 'end', kind: 'next number', name: next.name, native: next.identity!.next!, sql: `ALTER TABLE ${table} AUTO_INCREMENT = ${next.identity!.next}` } as const] : [];
  return [...indexes, ...checks, ...objects.foreignKeys.map((key) => proven(plannedForeignKey(mapping, key, skills), mapping, key)), ...numbered, ...(objects.engine === mapping.target.engine ? triggers(mapping, objects) : []), ...(own ? ownLeft(mapping, objects) : foreignLeft(mapping, objects))];
}

/** What they say of tables of their own database is said of the database to which that has gone. */
function triggers({ source, target }: Mapping, { others }: TableObjects): readonly PlannedObject[] {
  return others.filter(({ stage }) => stage === 'last').map(({ kind, name: trigger, native, settings }): PlannedObject => (source.name.toLowerCase() === target.name.toLowerCase()
    ? { stage: 'last', kind, name: trigger, native, sql: inSchemas(native, new Map([[source.schema!, target.schema!]])), ...(settings && { settings }) }
    : notMade(kind, trigger, native, 'its table has another name here')));
}

/** Statements that name a database before a table, with the databases' names as they are here. */
function inSchemas(sql: string, schemas: ReadonlyMap<string, string>): string {
  return sql.replace(/'(?:[^'\\]|''|\\.)*'|`((?:[^`]|``)+)`\.(?=`)/gs, (text, schema: string | undefined) => {
    const to = schema === undefined ? undefined : schemas.get(schema.replaceAll('``', '`'));
    return to === undefined ? text : `${name(to)}.`;
  });
}

/** The sequences that the table's defaults ask, where they do not stand. */
export function neededStatements({ source, target, objects }: Mapping): readonly string[] {
  if (objects?.engine !== target.engine) return [];
  return (objects.needs ?? []).map(({ native }) => inSchemas(native.replace(/^CREATE SEQUENCE /, 'CREATE SEQUENCE IF NOT EXISTS '), new Map([[source.schema!, target.schema!]])));
}

/** From the same server family, with nothing left out or changed: definitions go as they are written. */
function isOwn({ source, target, objects, fidelity }: Mapping): boolean {
  return objects?.engine === target.engine && objects.columns.every(({ native }) => native !== undefined) && fidelity.every(({ level }) => level === 'exact') && source.columns.every(({ name: column }, i) => target.columns[i].name === column);
}

function ownIndex(index: IndexObject): string {
  const kind = index.unique ? 'UNIQUE ' : index.method === 'fulltext' || index.method === 'spatial' ? `${index.method.toUpperCase()} ` : '';
  return `${kind}KEY ${name(index.name)} ${index.definition}`;
}

/** `CREATE UNIQUE INDEX n ON t (…)` → `ALTER TABLE t ADD UNIQUE INDEX n (…)`: several of them are made by one statement. */
function altering(sql: string, table: string): string {
  const [head, ...rest] = sql.slice('CREATE '.length).split(` ON ${table} `);
  return `ALTER TABLE ${table} ADD ${head} ${rest.join(` ON ${table} `)}`;
}

function ownLeft({ source }: Mapping, objects: TableObjects): readonly PlannedObject[] {
  const engine = /\bENGINE=(\w+)/.exec(objects.native.options ?? '')?.[1] ?? 'InnoDB';
  return [
    ...(engine === 'InnoDB' ? [] : [{ stage: 'table', kind: 'storage engine', name: engine, native: `ENGINE=${engine}`, note: 'made as InnoDB, whose rows and progress are durable together' } as const]),
    ...(/\bWITH SYSTEM VERSIONING\b/.test(objects.native.options ?? '') ? [{ stage: 'table', kind: 'row history', name: source.name, native: 'WITH SYSTEM VERSIONING', note: 'it begins anew, with the rows as they are now' } as const] : []),
  ];
}

function foreignLeft(mapping: Mapping, objects: TableObjects): readonly PlannedObject[] {
  const numbered = automatic(mapping), lost = objects.columns.filter(({ name: column, identity }) => identity && column !== numbered?.source);
  return [
    ...untranslatedDefaults(objects, translatedDefaults(mapping, objects, 'mysql')), ...leftOut(mapping, objects.engine === mapping.target.engine ? { ...objects, others: [] } : objects, 'mysql'),
    ...lost.map(({ name: column, identity }) => notMade('identity', column, identity!.kind, 'AUTO_INCREMENT is for one column of integers, the first of the key')),
  ];
}

/** No check may speak of the column that the server numbers. */
function unnumbered(check: PlannedObject, mapping: Mapping): PlannedObject {
  const numbered = automatic(mapping);
  const speaks = numbered !== undefined && check.sql?.slice(check.sql.indexOf(' CHECK ')).includes(name(numbered.target));
  return speaks ? notMade('check', check.name, check.native, `it speaks of ${numbered.target}, which AUTO_INCREMENT numbers`) : check;
}

/** The column that is numbered by the server, if it may be: an integer that comes first in the key. */
function automatic({ source, target, objects }: Mapping): { readonly source: string; readonly target: string } | undefined {
  const own = objects?.engine === target.engine;
  const found = objects?.columns.find((column) => {
    const at = source.columns.findIndex(({ name: each }) => each === column.name);
    return column.identity && at >= 0 && (own || (target.columns[at].type.kind === 'int' && target.key[0] === at));
  });
  return found && { source: found.name, target: target.columns[source.columns.findIndex(({ name: each }) => each === found.name)].name };
}

/** InnoDB would look at every row by copying the table: one query looks faster. */
function proven(object: PlannedObject, mapping: Mapping, { columns: referring, to }: ForeignKeyObject): PlannedObject {
  if (object.sql === undefined || !to) return object;
  const columns = referring.map((column) => name(columnNames(mapping)(column)!)), referred = to.columns.map(name);
  return {
    ...object,
    proof: `SELECT ${columns.map((column) => `c.${column}`).join(', ')} FROM ${tableName(mapping.target.schema, mapping.target.name)} c LEFT JOIN ${tableName(to.schema, to.name)} p
      ON ${columns.map((column, i) => `c.${column} = p.${referred[i]}`).join(' AND ')} WHERE p.${referred[0]} IS NULL AND ${columns.map((column) => `c.${column} IS NOT NULL`).join(' AND ')} LIMIT 1`,
  };
}

/** Indexes that must stand from the start: the key where it is no primary key, and what AUTO_INCREMENT asks for. */
function inlineIndexes(mapping: Mapping): readonly IndexObject[] {
  const { objects } = mapping;
  if (!objects || !isOwn(mapping)) return [];
  const primary = objects.native.primaryKey, numbered = objects.columns.find(({ identity }) => identity)?.name;
  const key = primary ? [] : objects.indexes.filter((index) => mapping.source.key.length > 0 && isKey(mapping, index)).slice(0, 1);
  const first = (index: IndexObject) => index.parts[0].column;
  const leads = primary !== undefined && mapping.source.key.length > 0 && mapping.source.columns[mapping.source.key[0]].name === numbered;
  const auto = numbered === undefined || leads || key.some((index) => first(index) === numbered) ? [] : objects.indexes.filter((index) => first(index) === numbered).slice(0, 1);
  return [...key, ...auto];
}

/** With its primary key: InnoDB stores the rows in its order, and adding it later would write them all again. */
export function createStatement(table: string, mapping: Mapping, offer: Offer): string {
  const { objects, target } = mapping;
  if (objects && isOwn(mapping)) return ownStatement(table, mapping, objects);
  const defaults = objects ? translatedDefaults(mapping, objects, 'mysql') : new Map<string, never>(), numbered = automatic(mapping)?.target;
  const told = new Map(objects?.columns.map((column) => [columnNames(mapping)(column.name), column]));
  const columns = target.columns.map((column) => {
    const given = defaults.get(column.name), fallback = given?.kept ? ` DEFAULT ${given.sql}` : defaultOf(column.native, column.nullable);
    return `${name(column.name)} ${column.native}${column.nullable ? ' NULL' : ' NOT NULL'}${column.name === numbered ? ' AUTO_INCREMENT' : fallback}${extras(told.get(column.name), column.native)}`;
  });
  const key = target.key.length > 0 ? [`PRIMARY KEY (${target.key.map((position) => name(target.columns[position].name)).join(', ')})`] : [];
  const comment = objects?.comment === undefined ? '' : ` COMMENT=${quote([...objects.comment].slice(0, 2048).join(''))}`;
  return `CREATE TABLE IF NOT EXISTS ${table} (${[...withComputedClauses(columns, mapping.computed, name), ...key].join(', ')}) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=${offer.exactCollation}${comment}`;
}

function extras(column: ColumnObjects | undefined, native: string): string {
  const update = column?.onUpdate && /^(timestamp|datetime)/i.test(native) ? ` ON UPDATE ${column.onUpdate}` : '';
  return `${update}${column?.comment === undefined ? '' : ` COMMENT ${quote([...column.comment].slice(0, 1024).join(''))}`}`;
}

function ownStatement(table: string, mapping: Mapping, { columns, native }: TableObjects): string {
  const collation = /\bCOLLATE=(\w+)/.exec(native.options)?.[1];
  const schemas = new Map([[mapping.source.schema!, mapping.target.schema!]]);
  const lines = columns.map((column) => `${name(column.name)} ${inSchemas(asTable(column.native!, collation), schemas)}`);
  const options = native.options.replace(/\bENGINE=\w+/, 'ENGINE=InnoDB');
  const keys = [...(native.primaryKey ? [native.primaryKey] : []), ...inlineIndexes(mapping).map(ownIndex)];
  return `CREATE TABLE IF NOT EXISTS ${table} (${[...lines, ...keys].join(', ')}) ${options}${native.partition ? ` ${native.partition}` : ''}`;
}

/** A collation that is the table's own need not be said, and would be printed with its character set from then on. */
function asTable(definition: string, collation: string | undefined): string {
  const type = /^\w+(\((?:'(?:[^'\\]|''|\\.)*'|[^')])*\))?/s.exec(definition)?.[0] ?? '', rest = definition.slice(type.length);
  return collation !== undefined && `${rest} `.startsWith(` COLLATE ${collation} `) ? type + rest.slice(` COLLATE ${collation}`.length) : definition;
}

/** Without a default of its own, an older MariaDB would give a TIMESTAMP that is not null the present time on each update. */
function defaultOf(native: string, nullable: boolean): string {
  return /^timestamp\b/i.test(native) && !nullable ? " DEFAULT '1970-01-01 00:00:01'" : '';
}

/** Views go to a server of the same family, with the names of the databases that the tables have gone to. */
export function planView(view: ViewObject, target: Target, mappings: readonly Mapping[], { version }: Offer): PlannedObject {
  const place = `${target.schema ?? view.schema}.${target.name}`, kind = view.kind ?? 'view', refused = (note: string) => notMade(kind, view.namespace, view.native, note);
  if (view.engine !== version.flavour) return refused(`a ${kind} goes to its own engine only`);
  const moved = mappings.find(({ source, target: to }) => source.name !== to.name);
  if (moved) return refused(`${moved.source.namespace} has another name here`);
  const schemas = new Map(mappings.map(({ source, target: to }) => [source.schema!, to.schema!]));
  if (view.kind !== undefined && view.kind !== 'sequence') return refused('it is not copied');
  if (view.kind === 'sequence') return { stage: 'view', kind, name: place, native: view.native, sql: inSchemas(view.native, new Map([[view.schema!, target.schema ?? view.schema!]])) };
  const definition = inSchemas(view.definition, schemas);
  const security = /^CREATE SQL SECURITY INVOKER/.test(view.native) ? 'INVOKER' : 'DEFINER';
  return { stage: 'view', kind: 'view', name: place, native: view.native, sql: `CREATE SQL SECURITY ${security} VIEW ${tableName(target.schema ?? view.schema, target.name)} AS ${definition}` };
}

/** Indexes of a table by one statement, the rest one by one; what the server refuses is a finding, and what stands is kept. */
export async function build(hold: Hold, mapping: Mapping | undefined, objects: readonly PlannedObject[]): Promise<readonly Finding[]> {
  const due: PlannedObject[] = [];
  for (const object of objects) if (!(await stands(hold, mapping, object))) due.push(object);
  const indexes = due.filter(({ stage }) => stage === 'index' || stage === 'unique'), others = due.filter((object) => !indexes.includes(object));
  const together = indexes.length > 1 && mapping ? await tried(hold, mapping, { ...indexes[0], sql: joined(indexes, tableName(mapping.target.schema, mapping.target.name)) }) : undefined;
  const findings: Finding[] = [];
  for (const object of [...(together?.length === 0 ? [] : indexes), ...others]) findings.push(...await tried(hold, mapping, object));
  return findings;
}

/** Two ALTERs of tables that foreign keys tie together wait for each other for ever: neither server notices. */
export async function isTied({ session, signal }: Hold, { target }: Mapping, objects: readonly PlannedObject[]): Promise<boolean> {
  if (objects.some(({ stage }) => stage === 'foreign-key')) return true;
  const place = (schema: string, table: string) => `(${schema} = ${quote(target.schema ?? '')} AND ${table} = ${quote(target.name)})`;
  return (await session.rows(`SELECT 1 FROM information_schema.referential_constraints WHERE ${place('constraint_schema', 'table_name')} OR ${place('unique_constraint_schema', 'referenced_table_name')} LIMIT 1`, signal)).length > 0;
}

function joined(indexes: readonly PlannedObject[], table: string): string {
  const head = `ALTER TABLE ${table} `;
  return head + indexes.map(({ sql }) => sql!.slice(head.length)).join(', ');
}

async function tried({ session, signal }: Hold, mapping: Mapping | undefined, object: PlannedObject): Promise<readonly Finding[]> {
  try {
    if (object.proof !== undefined) {
      const [broken] = await session.rows(object.proof, signal);
      if (broken) return [refusal(object, `rows refer to nothing, for instance (${broken.join(', ')})`, mapping)];
    }
    await under(session, object.settings, signal, () => session.run(object.sql!, signal));
    return [];
  } catch (error) {
    if (!(error instanceof DsyncError) || !['internal', 'data', 'denied'].includes(error.code) || (errnoOf(error) ?? 0) <= 0) throw error;
    return [refusal(object, messageOf(error.cause), mapping)];
  }
}

/** With these settings of the session, and then with its own again. */
async function under<T>(session: Session, settings: PlannedObject['settings'], signal: AbortSignal, action: () => Promise<T>): Promise<T> {
  const names = Object.keys(settings ?? {});
  if (names.length === 0) return action();
  const set = (values: readonly (string | null)[]) => session.run(`SET SESSION ${names.map((each, i) => `${each} = ${quote(values[i] ?? '')}`).join(', ')}`, signal);
  const [before] = await session.rows(`SELECT ${names.map((each) => `@@${each}`).join(', ')}`, signal);
  await set(Object.values(settings!));
  try {
    return await action();
  } finally {
    if (!session.lost) await set(before).catch(() => session.destroy());
  }
}

async function stands({ session, signal }: Hold, mapping: Mapping | undefined, { kind, stage, name: object }: PlannedObject): Promise<boolean> {
  if (stage === 'view') return (await session.rows(`SELECT 1 FROM information_schema.tables WHERE table_type IN ('VIEW', 'SEQUENCE') AND CONCAT(table_schema, '.', table_name) = ${quote(object)}`, signal)).length > 0;
  const where = `table_schema = ${quote(mapping!.target.schema ?? '')} AND table_name = ${quote(mapping!.target.name)}`;
  switch (kind) {
    case 'trigger': return (await session.rows(`SELECT 1 FROM information_schema.triggers WHERE event_object_schema = ${quote(mapping!.target.schema ?? '')} AND event_object_table = ${quote(mapping!.target.name)} AND trigger_name = ${quote(object)}`, signal)).length > 0;
    case 'index': case 'unique': return (await session.rows(`SELECT 1 FROM information_schema.statistics WHERE ${where} AND index_name = ${quote(object)} LIMIT 1`, signal)).length > 0;
    case 'check': case 'foreign key': return (await session.rows(`SELECT 1 FROM information_schema.table_constraints WHERE ${where} AND constraint_name = ${quote(object)} LIMIT 1`, signal)).length > 0;
    default: return false;
  }
}

/** Takes away the triggers, foreign keys and unique indexes of an interrupted process. */
export async function release(hold: Hold, mapping: Mapping, objects: readonly PlannedObject[]): Promise<void> {
  const table = tableName(mapping.target.schema, mapping.target.name), order = { last: 0, 'foreign-key': 1, unique: 2 } as Readonly<Record<string, number>>;
  for (const object of objects.filter(({ stage }) => stage in order).sort((a, b) => order[a.stage] - order[b.stage])) {
    if (!(await stands(hold, mapping, object))) continue;
    if (object.stage === 'last') await hold.session.run(`DROP TRIGGER ${tableName(mapping.target.schema, object.name)}`, hold.signal);
    else await hold.session.run(`ALTER TABLE ${table} DROP ${object.stage === 'unique' ? 'INDEX' : 'FOREIGN KEY'} ${name(object.name)}`, hold.signal);
  }
}
