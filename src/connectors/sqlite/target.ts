import type { Column, Fidelity, Mapping, Shape, TableObjects, Target } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { withComputed } from '../../schema/computed.js';
import { distinct } from '../../schema/names.js';
import { readTable, type Table, type TableColumn } from './catalogue.js';
import { createStatement, names as rules } from './objects.js';
import type { Session } from './session.js';
import { affinityOf, declaredFor, keeps } from './types.js';

/** The table that will take a source's rows: the one that stands, or the one that `createTable` makes. */
export function adapt(session: Session, whole: Shape, target: Target, objects?: TableObjects): Mapping {
  const name = target.schema === undefined || target.schema === 'main' ? target.name : `${target.schema}.${target.name}`;
  if (/^sqlite_/i.test(name)) throw refusal(whole, `SQLite keeps names that begin with sqlite_ to itself`);
  const standing = readTable(session, name);
  const computed = standing ? standing.columns.filter(({ generated }) => generated) : objects?.engine === 'sqlite' ? objects.columns.filter(({ generated }) => generated) : [];
  const source = without(whole, computed.map((column) => column.name.toLowerCase()));
  const made = standing ? fitted(session, source, standing) : fresh(source, name);
  const mapping: Mapping = { source, ...made, existed: standing !== undefined, staged: source.key.length === 0 };
  return objects && !standing ? { ...(objects.engine === 'sqlite' ? mapping : withComputed(mapping, objects)), objects } : mapping;
}

/** Columns that the table computes by itself are not sent to it. */
function without(shape: Shape, computed: readonly string[]): Shape {
  const kept = shape.columns.flatMap(({ name }, i) => (computed.includes(name.toLowerCase()) && !shape.key.includes(i) ? [] : [i]));
  return kept.length === shape.columns.length ? shape : { ...shape, columns: kept.map((i) => shape.columns[i]), key: shape.key.map((i) => kept.indexOf(i)) };
}

/** Makes a mapping's table under a name of its own, with its key or, for staging, without. */
export function createTable(session: Session, mapping: Mapping, name: string, keyed: boolean): void {
  session.exec(createStatement(mapping, name, keyed));
}

/** Where the rows of a keyless table wait for the end of their task. */
export function stagingName(run: string, { target }: Mapping): string {
  return `_dsync_${run}_${target.name}`;
}

export function tableStands(session: Session, name: string): boolean {
  return readTable(session, name) !== undefined;
}

function fresh(source: Shape, name: string): { target: Shape; fidelity: readonly Fidelity[] } {
  const { key } = source, named = distinct(source.columns.map((column) => column.name), rules);
  const declared = source.columns.map((column, i) => declaredFor(column, source.engine, key.length === 1 && key[0] === i));
  const columns = source.columns.map((column, i): Column => ({ name: named[i], type: declared[i].type, native: declared[i].native, nullable: column.nullable }));
  const fidelity = declared.map(({ fidelity }, i) => (named[i] === source.columns[i].name ? fidelity : { level: 'reshaped' as const, note: `the column is named ${named[i]}` }));
  return { target: { namespace: name, name, engine: 'sqlite', columns, key }, fidelity };
}

function fitted(session: Session, source: Shape, table: Table): { target: Shape; fidelity: readonly Fidelity[] } {
  const named = distinct(source.columns.map(({ name }) => name), rules);
  const found = named.map((name) => table.columns.find((each) => each.name.toLowerCase() === name.toLowerCase()));
  const complaints = [
    ...source.columns.map((column, i) => misfit(source.engine, column, found[i])),
    ...table.columns.filter((column) => !found.includes(column)).map(unfilled),
    hasKey(session, table, source) ? undefined : `it has no unique key (${names(source.key.map((position) => source.columns[position]))})`,
  ].filter((complaint) => complaint !== undefined);
  if (complaints.length > 0) throw refusal(source, `table ${table.name} does not fit: ${complaints.join('; ')}`);
  const declared = source.columns.map((column) => declaredFor(column, source.engine, false));
  const columns = found.map((column, i): Column => ({ name: column!.name, type: declared[i].type, native: column!.native, nullable: column!.nullable }));
  return { target: { namespace: table.name, name: table.name, engine: 'sqlite', columns, key: source.key }, fidelity: declared.map(({ fidelity }) => fidelity) };
}

function misfit(engine: string, { name, type, native }: Column, standing: TableColumn | undefined): string | undefined {
  if (!standing) return `${name} is missing`;
  if (standing.generated) return `${name} is generated`;
  const affinity = affinityOf(standing.native);
  const kept = engine === 'sqlite' ? affinity === affinityOf(native) || affinity === 'BLOB' : keeps(affinity, type);
  return kept ? undefined : `${name} is ${standing.native || 'of no type'}, which would change values of type ${native}`;
}

function unfilled({ name, nullable, hasDefault, generated }: TableColumn): string | undefined {
  return nullable || hasDefault || generated ? undefined : `${name} must not be null, and the source has no such column`;
}

/** Upserts need the source's key to be a unique one here. */
function hasKey(session: Session, table: Table, { columns, key }: Shape): boolean {
  const wanted = sorted(key.map((position) => columns[position].name));
  if (key.length === 0 || wanted === sorted(table.key)) return true;
  const indexes = session.all('SELECT name FROM pragma_index_list(?) WHERE "unique" = 1 AND partial = 0', [table.name]);
  return indexes.some(([index]) => sorted(session.all('SELECT name FROM pragma_index_info(?)', [index]).map(([column]) => String(column))) === wanted);
}

function sorted(names: readonly string[]): string {
  return JSON.stringify(names.map((name) => name.toLowerCase()).sort());
}

function names(columns: readonly Column[]): string {
  return columns.map(({ name }) => name).join(', ');
}

function refusal({ namespace }: Shape, message: string): DsyncError {
  return new DsyncError('refused', `${namespace}: ${message}`, { namespace });
}
