import type { Finding, Mapping, NameRules, PlannedObject, TableObjects, Target, ViewObject } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { withComputedClauses } from '../../schema/computed.js';
import { columnNames, leftOut, notMade, plannedCheck, plannedForeignKey, plannedIndexes, translatedDefaults, untranslatedDefaults, withoutDialect, type Skills } from '../../schema/portable.js';
import { refusal } from '../../schema/refusal.js';
import { quoted, type Session } from './session.js';

export const names: NameRules = { longest: 1000, unit: 'bytes', indexes: 'schema', constraints: 'table', ignoresCase: true };

const skills: Skills = {
  dialect: 'sqlite', table: ({ name }) => quoted(name), partial: true, expressions: true, include: false, descending: true,
  part: ({ target }, position) => ({ sql: quoted(target.columns[position].name) }),
};

/** What becomes of a table's objects; defaults, checks and foreign keys stand in its CREATE TABLE. */
export function planObjects(mapping: Mapping): readonly PlannedObject[] {
  const { objects, existed, target } = mapping;
  if (!objects || existed) return [];
  const unknown = withoutDialect(mapping, objects);
  if (unknown) return unknown;
  const own = isOwn(mapping), keys = objects.foreignKeys.filter((key) => own || inline(mapping, key));
  return [
    ...(own ? ownIndexes(mapping, objects) : plannedIndexes(mapping, objects, skills)),
    ...(own ? [] : objects.checks.map((check) => plannedCheck(mapping, check, skills)).filter(({ stage }) => stage === 'none')),
    ...(own ? [] : objects.foreignKeys.filter((key) => !keys.includes(key)).map((key) => plannedForeignKey(mapping, key, skills))),
    ...(keys.length > 0 ? [{ stage: 'foreign-key', kind: 'foreign keys', name: target.name, native: keys.map(({ native }) => native).join('\n'), sql: `SELECT * FROM pragma_foreign_key_check('${target.name.replaceAll("'", "''")}')` } as const] : []),
    ...nextNumbers(mapping, objects), ...(own ? triggers(mapping, objects) : foreignLeft(mapping, objects)),
  ];
}

/** From another SQLite file, and to the same names: the table's own SQL is what makes it. */
export function isOwn({ source, target, objects, existed }: Mapping): boolean {
  return objects?.engine === 'sqlite' && !existed && (source.name === target.name || objects.foreignKeys.length === 0) && objects.foreignKeys.every(({ to, references }) => !to || to.name === references.namespace);
}

function ownIndexes({ target }: Mapping, objects: TableObjects): readonly PlannedObject[] {
  return objects.indexes.filter(({ constraint }) => !constraint).map((index): PlannedObject => ({
    stage: index.unique ? 'unique' : 'index', kind: index.unique ? 'unique' : 'index', name: index.name, native: index.native,
    sql: `CREATE ${index.unique ? 'UNIQUE ' : ''}INDEX ${quoted(index.name)} ON ${quoted(target.name)} ${index.definition}`,
  }));
}

function triggers({ source, target }: Mapping, objects: TableObjects): readonly PlannedObject[] {
  return objects.others.map(({ kind, name, native }): PlannedObject => (source.name === target.name ? { stage: 'end', kind, name, native, sql: native } : notMade(kind, name, native, 'its table has another name here')));
}

function foreignLeft(mapping: Mapping, objects: TableObjects): readonly PlannedObject[] {
  const told = [objects.comment, ...objects.columns.map(({ comment }) => comment)].filter((comment) => comment !== undefined);
  const numbered = automatic(mapping), lost = objects.columns.filter(({ identity, name }) => identity && columnNames(mapping)(name) !== numbered);
  return [
    ...untranslatedDefaults(objects, translatedDefaults(mapping, objects, 'sqlite')), ...leftOut(mapping, objects, 'sqlite'),
    ...lost.map(({ name, identity }) => notMade('identity', name, identity!.kind, 'SQLite numbers a table\'s whole key only, if it is an INTEGER')),
    ...(told.length > 0 ? [notMade('comment', mapping.target.name, told.join('\n'), 'SQLite keeps no comments')] : []),
  ];
}

/** The column that is the row number: an INTEGER that is the whole key. */
function automatic({ target, objects }: Mapping): string | undefined {
  const column = target.key.length === 1 ? target.columns[target.key[0]] : undefined;
  return column?.native === 'INTEGER' && objects?.columns.some(({ identity }) => identity) ? column.name : undefined;
}

function isNumbered(mapping: Mapping): boolean {
  const { source, target, objects } = mapping, name = automatic(mapping);
  return name !== undefined && objects!.columns.some((column) => column.identity?.next !== undefined && column.name === source.columns[target.key[0]].name);
}

function nextNumbers(mapping: Mapping, objects: TableObjects): readonly PlannedObject[] {
  const next = objects.columns.find(({ identity }) => identity?.next !== undefined)?.identity?.next, table = `'${mapping.target.name.replaceAll("'", "''")}'`;
  if (next === undefined || !/^\d+$/.test(next) || BigInt(next) < 1n || !isNumbered(mapping)) return [];
  const last = String(BigInt(next) - 1n);
  return [{
    stage: 'end', kind: 'next number', name: automatic(mapping)!, native: next,
    sql: `UPDATE sqlite_sequence SET seq = max(seq, ${last}) WHERE name = ${table}; INSERT INTO sqlite_sequence (name, seq) SELECT ${table}, ${last} WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ${table})`,
  }];
}

/** `SET DEFAULT` and the like are all known here; only a table that is not copied can't be referred to. */
function inline(mapping: Mapping, key: TableObjects['foreignKeys'][number]): boolean {
  return plannedForeignKey(mapping, key, skills).sql !== undefined;
}

/** A table under a name of its own, with its key or, for staging, without. */
export function createStatement(mapping: Mapping, name: string, keyed: boolean): string {
  const { target: { columns, key }, objects } = mapping;
  if (objects && isOwn(mapping)) return `CREATE TABLE IF NOT EXISTS ${quoted(name)} ${objects.native.body}`;
  const defaults = objects ? translatedDefaults(mapping, objects, 'sqlite') : undefined, numbered = objects && keyed && isNumbered(mapping) ? automatic(mapping) : undefined;
  const clauses = columns.map((column, i) => {
    const given = defaults?.get(column.name), primary = column.name === numbered ? ' PRIMARY KEY AUTOINCREMENT' : '';
    return `${quoted(column.name)} ${typeIn(column.native)}${primary}${given?.kept ? ` DEFAULT ${given.sql}` : ''}${column.nullable && !key.includes(i) ? '' : ' NOT NULL'}`;
  });
  const definitions = [...withComputedClauses(clauses, mapping.computed, quoted)];
  if (keyed && key.length > 0 && numbered === undefined) definitions.push(`PRIMARY KEY (${key.map((position) => quoted(columns[position].name)).join(', ')})`);
  const constraints = [...(objects?.checks ?? []).map((check) => plannedCheck(mapping, check, skills)), ...(objects?.foreignKeys ?? []).map((foreign) => plannedForeignKey(mapping, foreign, skills))];
  definitions.push(...constraints.flatMap(({ sql }) => sql ?? []));
  return `CREATE TABLE IF NOT EXISTS ${quoted(name)} (\n  ${definitions.join(',\n  ')}\n)`;
}

/** A declared type, as one word if it is not made of plain ones. */
export function typeIn(native: string): string {
  return /^([\w ]+(\([\d, ]+\))?)?$/.test(native) && !/\b(PRIMARY|NOT|NULL|UNIQUE|CHECK|DEFAULT|COLLATE|REFERENCES|GENERATED|AS|CONSTRAINT)\b/i.test(native) ? native : quoted(native);
}

/** Does a constraint in the table's own SQL tie rows together that the key does not? */
export function hasOwnUnique(mapping: Mapping): boolean {
  return isOwn(mapping) && mapping.objects!.indexes.some(({ constraint, unique }) => constraint && unique);
}

export function planView(view: ViewObject, target: Target, mappings: readonly Mapping[]): PlannedObject {
  if (view.engine !== 'sqlite') return notMade(view.kind ?? 'view', view.namespace, view.native, `a ${view.kind ?? 'view'} goes to its own engine only`);
  const moved = mappings.find(({ source, target: to }) => source.name !== to.name);
  return moved ? notMade('view', view.name, view.native, `${moved.source.name} has another name here`) : { stage: 'view', kind: 'view', name: target.name, native: view.native, sql: view.native };
}

/** In the open transaction; undefined if the object is made, or stood before. */
export function make(session: Session, mapping: Mapping | undefined, object: PlannedObject): Finding | undefined {
  const { kind, name, sql } = object;
  const types: Readonly<Record<string, string>> = { index: 'index', unique: 'index', view: 'view', trigger: 'trigger' };
  if (types[kind] && session.get('SELECT 1 FROM sqlite_schema WHERE type = ? AND name = ? COLLATE NOCASE', [types[kind], name])) return undefined;
  try {
    if (kind !== 'foreign keys') return void session.exec(sql!);
    const broken = session.get(`${sql} LIMIT 1`);
    return broken && refusal({ ...object, sql: undefined }, `rows refer to nothing in ${String(broken[2])}, for instance row ${String(broken[1])}: the foreign keys stand all the same`, mapping);
  } catch (error) {
    if (!(error instanceof DsyncError) || !['internal', 'data'].includes(error.code)) throw error;
    return refusal(object, messageOf(error.cause ?? error), mapping);
  }
}

/** Takes unique indexes of an interrupted process away. */
export function release(session: Session, objects: readonly PlannedObject[]): void {
  for (const { name } of objects.filter(({ kind }) => kind === 'unique')) session.exec(`DROP INDEX IF EXISTS ${quoted(name)}`);
}
