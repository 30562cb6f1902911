import type { Column, Fidelity, Mapping, Shape, Target } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { readTable, type Table, type TableColumn } from './catalogue.js';
import { quoted, type Session } from './session.js';
import { affinityOf, declaredFor, keeps } from './types.js';

/** The table that will take a source's rows: the one that stands, or the one that `createTable` makes. */
export function adapt(session: Session, source: Shape, target: Target): Mapping {
  const name = target.schema === undefined || target.schema === 'main' ? target.name : `${target.schema}.${target.name}`;
  if (/^sqlite_/i.test(name)) throw refusal(source, `SQLite keeps names that begin with sqlite_ to itself`);
  const standing = readTable(session, name);
  const made = standing ? fitted(session, source, standing) : fresh(source, name);
  return { source, ...made, existed: standing !== undefined, staged: source.key.length === 0 };
}

/** Makes a table for a shape under a name of its own, with its key or, for staging, without. */
export function createTable(session: Session, { columns, key }: Shape, name: string, keyed: boolean): void {
  const definitions = columns.map((column, i) => `${quoted(column.name)} ${typeIn(column.native)}${column.nullable && !key.includes(i) ? '' : ' NOT NULL'}`);
  if (keyed && key.length > 0) definitions.push(`PRIMARY KEY (${key.map((position) => quoted(columns[position].name)).join(', ')})`);
  session.exec(`CREATE TABLE IF NOT EXISTS ${quoted(name)} (\n  ${definitions.join(',\n  ')}\n)`);
}

/** Where the rows of a keyless table wait for the end of their task. */
export function stagingName(run: string, { target }: Mapping): string {
  return `_dsync_${run}_${target.name}`;
}

export function tableStands(session: Session, name: string): boolean {
  return readTable(session, name) !== undefined;
}

function fresh(source: Shape, name: string): { target: Shape; fidelity: readonly Fidelity[] } {
  const twins = source.columns.filter((column, i) => source.columns.findIndex((each) => sameName(each, column)) !== i);
  if (twins.length > 0) throw refusal(source, `SQLite takes two of its columns for one: ${names(twins)}`);
  const { key } = source;
  const declared = source.columns.map((column, i) => declaredFor(column, source.engine, key.length === 1 && key[0] === i));
  const columns = source.columns.map((column, i): Column => ({ name: column.name, type: declared[i].type, native: declared[i].native, nullable: column.nullable }));
  return { target: { namespace: name, name, engine: 'sqlite', columns, key }, fidelity: declared.map(({ fidelity }) => fidelity) };
}

function fitted(session: Session, source: Shape, table: Table): { target: Shape; fidelity: readonly Fidelity[] } {
  const found = source.columns.map((column) => table.columns.find((each) => sameName(each, column)));
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

/** A declared type, as one word if it is not made of plain ones. */
export function typeIn(native: string): string {
  return /^([\w ]+(\([\d, ]+\))?)?$/.test(native) && !/\b(PRIMARY|NOT|NULL|UNIQUE|CHECK|DEFAULT|COLLATE|REFERENCES|GENERATED|AS|CONSTRAINT)\b/i.test(native) ? native : quoted(native);
}

function sameName(a: Column, b: Column): boolean {
  return a.name.toLowerCase() === b.name.toLowerCase();
}

function names(columns: readonly Column[]): string {
  return columns.map(({ name }) => name).join(', ');
}

function refusal({ namespace }: Shape, message: string): DsyncError {
  return new DsyncError('refused', `${namespace}: ${message}`, { namespace });
}
