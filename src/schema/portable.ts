import type { CheckObject, ForeignKeyObject, IndexObject, IndexPart, Mapping, OtherObject, PlannedObject, Shape, TableObjects } from '../contract.js';
import { translateDefault, type Default } from './defaults.js';
import { dialectOf, nameIn, parseExpression, renderExpression, type Dialect, type Expression } from './expression.js';

/** What a destination can make of another engine's objects. */
export interface Skills {
  readonly dialect: Dialect;
  /** The table as a statement names it. */
  readonly table: (target: Pick<Shape, 'schema' | 'name'>) => string;
  /** Index names in CREATE INDEX; the schema, where there is one, is the table's. */
  readonly partial: boolean;
  readonly expressions: boolean;
  readonly include: boolean;
  readonly descending: boolean;
  /** How a column stands in an index, its direction apart; undefined where it can't. */
  readonly part: (mapping: Mapping, position: number, index: IndexObject) => { readonly sql: string; readonly note?: string } | undefined;
  /** How an expression stands in an index; absent where it stands as it is. */
  readonly expression?: (mapping: Mapping, sql: string, unique: boolean) => { readonly sql: string; readonly note?: string };
  /** A full-text index; undefined where there is none. */
  readonly fullText?: (mapping: Mapping, index: IndexObject, columns: readonly string[]) => PlannedObject;
}

/** Of a database that knows no SQL nothing has a counterpart in one that does. */
export function withoutDialect({ source: { engine, columns } }: Mapping, { indexes }: TableObjects): readonly PlannedObject[] | undefined {
  // Fields that became columns are indexed as columns are.
  if (dialectOf(engine) || !columns.some(({ type }) => type.kind === 'document')) return undefined;
  return indexes.map(({ name, unique, native }) => notMade(unique ? 'unique' : 'index', name, native, 'the fields of a document are no columns here'));
}

/** A source column's name at the destination; columns that the table computes itself keep theirs. */
export function columnNames({ source, target, objects }: Mapping): (name: string) => string | undefined {
  const computed = new Set(objects?.columns.filter(({ generated }) => generated).map(({ name }) => name));
  return (name) => {
    const at = source.columns.findIndex((column) => column.name === name);
    const found = at >= 0 ? at : source.columns.findIndex((column) => column.name.toLowerCase() === name.toLowerCase());
    return found >= 0 ? target.columns[found].name : computed.has(name) ? name : undefined;
  };
}

/** Tells every foreign key where the table has gone to which it refers. */
export function resolveReferences(mappings: readonly Mapping[]): readonly Mapping[] {
  const among = new Map(mappings.map((mapping) => [mapping.source.namespace, mapping]));
  return mappings.map((mapping) => {
    if (!mapping.objects || mapping.objects.foreignKeys.length === 0) return mapping;
    const foreignKeys = mapping.objects.foreignKeys.map((key) => {
      const other = among.get(key.references.namespace), columns = other && key.references.columns.map(columnNames(other));
      if (!other || !columns || columns.includes(undefined)) return key;
      return { ...key, to: { ...(other.target.schema !== undefined && { schema: other.target.schema }), name: other.target.name, columns: columns as readonly string[] } };
    });
    return { ...mapping, objects: { ...mapping.objects, foreignKeys } };
  });
}

export function notMade(kind: string, name: string, native: string, note: string): PlannedObject {
  return { stage: 'none', kind, name, native, note };
}

/** Is this unique index the key itself, which stands already? */
export function isKey({ source }: Mapping, index: IndexObject): boolean {
  const names = (columns: readonly (string | undefined)[]) => JSON.stringify([...columns].sort());
  return index.unique && index.where === undefined && names(index.parts.map(({ column, length }) => (length === undefined ? column : undefined))) === names(source.key.map((i) => source.columns[i].name));
}

export function plannedIndexes(mapping: Mapping, objects: TableObjects, skills: Skills): readonly PlannedObject[] {
  return objects.indexes.map((index) => (isKey(mapping, index) ? madeAsKey(index) : plannedIndex(mapping, index, skills)));
}

function madeAsKey({ name, native }: IndexObject): PlannedObject {
  return { stage: 'table', kind: 'unique', name, native, note: 'it is the primary key' };
}

/** Where MySQL has a long text unique by its SHA-256, the text itself is meant. */
function unhashed(part: IndexPart): IndexPart {
  const column = part.column === undefined ? /^sha2\(`((?:[^`]|``)+)`,\s*256\)$/i.exec(part.expression!)?.[1] : undefined;
  return column === undefined ? part : { column: column.replaceAll('``', '`') };
}

function plannedIndex(mapping: Mapping, given: IndexObject, skills: Skills): PlannedObject {
  const index = given.unique && dialectOf(mapping.source.engine) === 'mysql' ? { ...given, parts: given.parts.map(unhashed) } : given;
  const kind = index.unique ? 'unique' : 'index', refused = (note: string) => notMade(kind, index.name, index.native, note);
  if (index.method === 'fulltext') return fullText(mapping, index, skills) ?? refused('there is no full-text index');
  if (!['btree', 'hash', 'brin'].includes(index.method)) return refused(`there is no index of kind ${index.method}`);
  const columnOf = columnNames(mapping), notes: string[] = [];
  if (index.method === 'brin') notes.push('it holds each row, not ranges of blocks');
  const parts = index.parts.map((part) => partOf(mapping, index, part, skills, notes));
  const missing = parts.findIndex((part) => part === undefined);
  if (missing >= 0) return refused(`${index.parts[missing].column ?? index.parts[missing].expression} can't be indexed`);
  let where = '';
  if (index.where !== undefined) {
    const condition = translated(mapping, index.where, skills.dialect);
    if (skills.partial && condition !== undefined) where = ` WHERE ${condition}`;
    else if (index.unique) return refused(skills.partial ? 'its condition is an expression of the source\'s own' : 'there is no unique index over a part of the rows');
    else notes.push('it holds all rows, not those of its condition only');
  }
  const includes = (index.include ?? []).map(columnOf).filter((name) => name !== undefined).map((name) => nameIn(skills.dialect, name));
  if (includes.length > 0 && !skills.include) notes.push('it includes no further columns');
  const include = includes.length > 0 && skills.include ? ` INCLUDE (${includes.join(', ')})` : '';
  return {
    stage: index.unique ? 'unique' : 'index', kind, name: index.name, native: index.native,
    sql: `CREATE ${index.unique ? 'UNIQUE ' : ''}INDEX ${nameIn(skills.dialect, index.name)} ON ${skills.table(mapping.target)} (${parts.join(', ')})${include}${where}`,
    ...(notes.length > 0 && { note: notes.join('; ') }),
  };
}

function fullText(mapping: Mapping, index: IndexObject, skills: Skills): PlannedObject | undefined {
  const columns = index.parts.map(({ column }) => column && columnNames(mapping)(column));
  return columns.every((column) => column !== undefined) ? skills.fullText?.(mapping, index, columns as readonly string[]) : undefined;
}

function partOf(mapping: Mapping, index: IndexObject, part: IndexPart, skills: Skills, notes: string[]): string | undefined {
  const direction = part.descending && skills.descending ? ' DESC' : '';
  if (part.descending && !skills.descending) notes.push('it is kept in ascending order');
  if (part.column === undefined) {
    const expression = skills.expressions ? translated(mapping, part.expression!, skills.dialect) : undefined;
    const placed = expression === undefined ? undefined : skills.expression?.(mapping, expression, index.unique) ?? { sql: expression };
    if (placed?.note) notes.push(placed.note);
    return placed && `(${placed.sql})${direction}`;
  }
  const position = mapping.source.columns.findIndex(({ name }) => name.toLowerCase() === part.column!.toLowerCase());
  if (position < 0) {
    const computed = mapping.computed?.find(({ name }) => name.toLowerCase() === part.column!.toLowerCase());
    return computed && nameIn(skills.dialect, computed.name) + direction;
  }
  if (part.length !== undefined && skills.dialect !== 'mysql' && index.unique) return undefined;
  const placed = skills.part(mapping, position, index);
  if (!placed) return undefined;
  if (placed.note) notes.push(placed.note);
  return placed.sql + direction;
}

/** Foreign keys as what stands after ADD, or in a CREATE TABLE. */
export function plannedForeignKey(mapping: Mapping, key: ForeignKeyObject, { dialect, table }: Pick<Skills, 'dialect' | 'table'>): PlannedObject {
  const { to } = key, refused = (note: string) => notMade('foreign key', key.name, key.native, note);
  if (!to) return refused(`${key.references.namespace}, to which it refers, is not copied`);
  if (mapping.source.engine !== mapping.target.engine && /^FOREIGN KEY \([^)]*, PERIOD /.test(key.definition ?? '')) return refused('only PostgreSQL refers to a time within a period');
  const columns = key.columns.map(columnNames(mapping));
  if (columns.includes(undefined)) return refused('one of its columns is not copied');
  const names = (list: readonly (string | undefined)[]) => list.map((name) => nameIn(dialect, name!)).join(', ');
  const restricts = dialect === 'mysql' && [key.onDelete, key.onUpdate].includes('set default');
  if (restricts) return refused('InnoDB knows no SET DEFAULT');
  const actions = (['onDelete', 'onUpdate'] as const).map((when) => (key[when] === 'no action' ? '' : ` ON ${when === 'onDelete' ? 'DELETE' : 'UPDATE'} ${key[when].toUpperCase()}`)).join('');
  const suffix = mapping.source.engine === mapping.target.engine && key.suffix ? ` ${key.suffix}` : '';
  const same = mapping.source.engine === mapping.target.engine && key.definition !== undefined && (to.schema === undefined ? to.name : `${to.schema}.${to.name}`) === key.references.namespace;
  const clause = same ? `CONSTRAINT ${nameIn(dialect, key.name)} ${key.definition}` : `CONSTRAINT ${nameIn(dialect, key.name)} FOREIGN KEY (${names(columns)}) REFERENCES ${table(to)} (${names(to.columns)})${actions}${suffix}`;
  return { stage: 'foreign-key', kind: 'foreign key', name: key.name, native: key.native, sql: dialect === 'sqlite' ? clause : `ALTER TABLE ${table(mapping.target)} ADD ${clause}` };
}

export function plannedCheck(mapping: Mapping, check: CheckObject, { dialect, table }: Pick<Skills, 'dialect' | 'table'>): PlannedObject {
  const condition = translated(mapping, check.expression, dialect);
  if (condition === undefined) return notMade('check', check.name, check.native, 'its condition is an expression of the source\'s own');
  const clause = `CONSTRAINT ${nameIn(dialect, check.name)} CHECK ${condition.startsWith('(') ? condition : `(${condition})`}`;
  return { stage: 'check', kind: 'check', name: check.name, native: check.native, sql: dialect === 'sqlite' ? clause : `ALTER TABLE ${table(mapping.target)} ADD ${clause}` };
}

/** What a table has in its own engine besides: each statement about it where the table, or its part, stands now. */
export function plannedOthers(mapping: Mapping, { others }: TableObjects, placeOf: (on: NonNullable<OtherObject['on']>) => Pick<Shape, 'schema' | 'name'>): readonly PlannedObject[] {
  return others.flatMap((other): PlannedObject[] => {
    const { stage, kind, name, native, settings } = other;
    if (stage === undefined || stage === 'table') return [];
    return [{ stage, kind, name, native, sql: madeOf(other, (on) => qualifiedIn(dialectOf(mapping.target.engine)!, placeOf(on))), ...(settings && { settings }) }];
  });
}

function qualifiedIn(dialect: Dialect, { schema, name }: Pick<Shape, 'schema' | 'name'>): string {
  return schema === undefined ? nameIn(dialect, name) : `${nameIn(dialect, schema)}.${nameIn(dialect, name)}`;
}

/** The statement with the table's name as it is now, wherever it stands for itself. */
export function madeOf({ native, on }: OtherObject, nameOf: (on: NonNullable<OtherObject['on']>) => string): string {
  if (!on) return native;
  const spelled = on.spelled.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return native.replace(new RegExp(`(?<![\\w".$\`])${spelled}(?![\\w"$\`])`, 'gu'), () => nameOf(on));
}

/** How an engine keeps its rows, and nothing that another one could lack. */
const ofStorage: ReadonlySet<string> = new Set(['column storage', 'index statistics', 'clustering', 'replica identity', 'name of an index', 'column order of a partition']);

/** Everything that is named but made in no other engine. */
export function leftOut(mapping: Mapping, objects: TableObjects, dialect: Dialect): readonly PlannedObject[] {
  const { namespace } = mapping.source;
  const columns = objects.columns.flatMap((column) => [
    ...(column.generated && mapping.source.columns.some(({ name }) => name === column.name)
      ? [notMade('generated column', column.name, `${column.name} GENERATED ALWAYS AS (${column.generated.expression})`, 'its values are kept, and no longer computed')] : []),
    ...(column.onUpdate && dialect !== 'mysql' ? [notMade('default', column.name, `ON UPDATE ${column.onUpdate}`, 'a column that changes with its row needs a trigger')] : []),
  ]);
  const partitions = objects.partitions.length > 0 || objects.native.partition
    ? [notMade('partitions', namespace, objects.native.partition ?? objects.partitions.map(({ name, bound }) => `${name} ${bound}`).join(', '), 'the table is made in one part')] : [];
  const keys = objects.native.primaryKey && mapping.source.key.length === 0 && objects.engine === 'postgres' ? [notMade('primary key', namespace, objects.native.primaryKey, 'only PostgreSQL has keys WITHOUT OVERLAPS')] : [];
  return [...columns, ...keys, ...partitions, ...objects.others.filter(({ kind }) => mapping.source.engine === mapping.target.engine || !ofStorage.has(kind)).map(({ kind, name, native }) => notMade(kind, name, native, 'it is not copied'))];
}

/** The defaults of a table's columns at another engine, by the destination's column names. */
export function translatedDefaults(mapping: Mapping, objects: TableObjects, dialect: Dialect): ReadonlyMap<string, Exclude<Default, undefined>> {
  const from = dialectOf(mapping.source.engine);
  if (!from) return new Map();
  return new Map(objects.columns.flatMap((column) => {
    const at = mapping.source.columns.findIndex(({ name }) => name === column.name);
    if (column.default === undefined || column.identity || column.generated || at < 0) return [];
    const translated = translateDefault(column.default, from, dialect, mapping.target.columns[at]);
    return translated ? [[mapping.target.columns[at].name, translated] as const] : [];
  }));
}

export function untranslatedDefaults(objects: TableObjects, defaults: ReadonlyMap<string, Exclude<Default, undefined>>): readonly PlannedObject[] {
  return [...defaults].flatMap(([name, given]) => (given.kept ? [] : [notMade('default', name, objects.columns.find((column) => column.name === name)?.default ?? '', given.note)]));
}

/** Numbers that are kept as texts would be compared as such. */
function comparable(mapping: Mapping): (name: string) => string | undefined {
  const nameOf = columnNames(mapping), numbers = ['int', 'decimal', 'float', 'bool'];
  return (name) => {
    const at = mapping.source.columns.findIndex((column) => column.name.toLowerCase() === name.toLowerCase()), source = mapping.source.columns[at], target = mapping.target.columns[at];
    if (source && numbers.includes(source.type.kind) && (!numbers.includes(target.type.kind) || /^(DECIMAL_TEXT|UNSIGNED64_BLOB)/.test(target.native))) return undefined;
    return nameOf(name);
  };
}

function translated(mapping: Mapping, text: string, to: Dialect): string | undefined {
  const expression = parseExpression(text, dialectOf(mapping.source.engine)!);
  return expression && renderExpression(to === 'postgres' ? withTruths(mapping, expression) : expression, to, comparable(mapping));
}

/** PostgreSQL compares booleans with no numbers. */
function withTruths(mapping: Mapping, expression: Expression): Expression {
  if (expression.kind !== 'operation') return expression;
  const args = expression.args.map((one) => withTruths(mapping, one));
  return { ...expression, args: args.some((one) => isBoolean(mapping, one)) ? args.map(truthOf) : args };
}

function isBoolean({ source, target }: Mapping, one: Expression): boolean {
  return one.kind === 'column' && target.columns[source.columns.findIndex(({ name }) => name.toLowerCase() === one.name.toLowerCase())]?.type.kind === 'bool';
}

function truthOf(one: Expression): Expression {
  return one.kind === 'number' && ['0', '1'].includes(one.value) ? { kind: 'boolean', value: one.value === '1' } : one;
}
