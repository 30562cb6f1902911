import { createHash } from 'node:crypto';
import type { Column, Fidelity, Mapping, Shape, TableObjects, Target } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { withComputed } from '../../schema/computed.js';
import { distinct, fitting } from '../../schema/names.js';
import { findTable, type Table } from './catalog.js';
import { fit } from './fit.js';
import { names } from './objects.js';
import type { Session } from './session.js';
import { placeFor, type Place } from './types.js';

/** Where a mapping's rows are put: its table, or the staging table of one without a key. */
export function landing(run: string, { staged, target }: Mapping): { readonly schema: string; readonly name: string } {
  return { schema: target.schema!, name: staged ? `_dsync_${hash(run, target.namespace)}` : target.name };
}

export function hash(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** The target of a source table: the standing table, if it fits, or the one to be made. Fails with `refused`. */
export async function adapt(session: Session, whole: Shape, target: Target, signal: AbortSignal, objects?: TableObjects): Promise<Mapping> {
  const schema = fitting(target.schema ?? session.defaultSchema ?? 'public', names), name = fitting(target.name, names);
  const standing = await findTable(session, { schema, name }, signal);
  if (standing) {
    const mapping = fitted(whole, standing);
    return { ...mapping, fidelity: mapping.fidelity.map((one, i) => (one.level === 'exact' ? keptOwn(mapping.target.columns[i].native, session.versionNumber) : one)) };
  }
  const source = objects ? withoutComputed(whole, objects) : whole;
  const mapping = planned(source, { schema, name }, await placesFor(session, source, signal, objects));
  return objects ? { ...(objects.engine === 'postgres' ? mapping : kept(withComputed(mapping, objects), objects, session.versionNumber)), objects } : mapping;
}

/** Virtual ones are there from PostgreSQL 18 on, and in no index. */
function kept({ computed, ...mapping }: Mapping, { indexes }: TableObjects, version: number): Mapping {
  const isIndexed = (name: string) => indexes.some(({ parts, include }) => parts.some(({ column }) => column === undefined || column === name) || include?.includes(name));
  return computed ? { ...mapping, computed: computed.map((column) => ({ ...column, stored: column.stored || version < 180_000 || isIndexed(column.name) })) } : mapping;
}

/** The columns that the new table computes as the source does are not sent; a key's are, or no row could be found again. */
function withoutComputed(shape: Shape, { engine, columns }: TableObjects): Shape {
  const computed = engine === 'postgres' ? columns.filter(({ generated }) => generated).map(({ name }) => name) : [];
  return without(shape, shape.columns.flatMap(({ name }, i) => (computed.includes(name) && !shape.key.includes(i) ? [] : [i])));
}

function planned(source: Shape, { schema, name }: { readonly schema: string; readonly name: string }, places: readonly Place[]): Mapping {
  const problems = source.columns.flatMap((column, i) => {
    const place = places[i];
    return 'refused' in place ? [`${column.name} (${column.native}): ${place.refused}`] : [];
  });
  const named = distinct(source.columns.map((column) => column.name), names);
  if (source.columns.length > 1600) problems.push('a table in PostgreSQL has at most 1600 columns');
  if (problems.length > 0) throw misfit(source, `${schema}.${name}`, problems);
  const made = places.map((place) => place as Exclude<Place, { refused: string }>);
  const columns = source.columns.map((column, i) => ({ name: named[i], type: made[i].type, native: made[i].native, nullable: column.nullable && !source.key.includes(i) }));
  const target: Shape = { namespace: `${schema}.${name}`, schema, name, engine: 'postgres', columns, key: source.key };
  return { source, target, fidelity: made.map(({ fidelity }, i) => (named[i] === source.columns[i].name ? fidelity : renamed(fidelity, named[i]))), existed: false, staged: source.key.length === 0 };
}

function renamed({ level, note }: Fidelity, name: string): Fidelity {
  return { level: level === 'exact' ? 'reshaped' : level, note: [note, `the column is named ${name}: a name in PostgreSQL has at most 63 bytes`].filter(Boolean).join('; ') };
}

/** Columns that the standing table computes by itself are left out of the mapping. */
function fitted(whole: Shape, table: Table): Mapping {
  const named = distinct(whole.columns.map(({ name }) => name), names);
  const at = named.map((name) => table.shape.columns.findIndex((column) => column.name === name));
  const kept = whole.columns.flatMap((_, i) => (at[i] >= 0 && table.traits[at[i]].generated ? [] : [i]));
  const source = without(whole, kept);
  const positions = kept.map((i) => at[i]);
  const columns = positions.map((position) => table.shape.columns[position] as Column | undefined);
  const fits = source.columns.map((column, i) => columns[i] && fit(column, columns[i]));
  const problems = [
    ...source.columns.flatMap((column, i) => (fits[i] ? [] : [columns[i] ? `${column.name}: ${columns[i].native} does not hold ${column.native}` : `${column.name} is missing`])),
    ...unfilled(columns, table).map((name) => `${name} is NOT NULL, has no default, and is not in the source`),
    ...(source.key.length < whole.key.length ? ['the target computes a key column by itself'] : []),
    ...(keyStands(source, table, positions) ? [] : [`it has no primary key or unique constraint on (${source.key.map((i) => source.columns[i].name).join(', ')}), which finding rows again needs`]),
  ];
  if (problems.length > 0) throw misfit(whole, table.shape.namespace, problems);
  const target: Shape = { ...table.shape, columns: columns.map((column) => column!), key: source.key };
  return { source, target, fidelity: fits.map((fidelity) => fidelity!), existed: true, staged: source.key.length === 0 };
}

function without(shape: Shape, kept: readonly number[]): Shape {
  if (kept.length === shape.columns.length) return shape;
  return { ...shape, columns: kept.map((i) => shape.columns[i]), key: shape.key.flatMap((i) => (kept.includes(i) ? [kept.indexOf(i)] : [])) };
}

function unfilled(taken: readonly (Column | undefined)[], { shape, traits }: Table): string[] {
  return shape.columns.filter((column, i) => !column.nullable && !traits[i].filled && !traits[i].generated && !taken.includes(column)).map(({ name }) => name);
}

function keyStands(source: Shape, { keys }: Table, positions: readonly number[]): boolean {
  const wanted = source.key.map((i) => positions[i]);
  return wanted.length === 0 || keys.some((key) => key.length === wanted.length && wanted.every((position) => key.includes(position)));
}

function misfit(source: Shape, target: string, problems: readonly string[]): DsyncError {
  return new DsyncError('refused', `${source.namespace} does not fit into ${target}: ${problems.join('; ')}`, {
    namespace: source.namespace, remedy: `change the table, convert the columns (--cast 'TABLE.COLUMN=TYPE'), or copy elsewhere: --namespace '${source.namespace}:NAME'`,
  });
}

/** For a PostgreSQL source its own types, as far as they are known here; else by their meaning. */
async function placesFor(session: Session, source: Shape, signal: AbortSignal, objects?: TableObjects): Promise<readonly Place[]> {
  const columns = session.versionNumber < 150_000 ? source.columns.map(withoutOddScale) : source.columns;
  if (source.engine !== 'postgres') return columns.map((column) => (column.type.kind === 'json-value' ? withoutSignOfZero(placeFor(column)) : placeFor(column)));
  const known = await knownTypes(session, columns, signal);
  const enums = columns.filter(({ type }) => type.kind === 'enum').map(({ native }) => native), needed = new Set(objects?.needs?.map(({ name }) => name));
  return columns.map((column) => {
    const here = known.get(column.native)!;
    if (column.type.kind === 'enum') return enumPlace(column, here);
    const element = column.native.replace(/(\[\])+$/, '');
    if (here.known || enums.includes(element) || needed.has(element)) return { native: column.native, type: column.type, fidelity: keptOwn(column.native, session.versionNumber) };
    const place = placeFor(column);
    if (here.elsewhere) return { native: here.elsewhere, type: column.type, fidelity: { level: 'exact' } };
    if (!('refused' in place)) return place;
    return { refused: here.extension ? `it needs the extension ${here.extension}: CREATE EXTENSION ${here.extension}` : `the destination has no such type: make it first, as it is in the source` };
  });
}

/** Before 16 there is no way to write a byte above 127 as text. */
function keptOwn(native: string, version: number): Fidelity {
  return version < 160_000 && native.startsWith('"char"') ? { level: 'lossy', note: 'a byte above 127 becomes a backslash: PostgreSQL before 16 does not read its spelling' } : { level: 'exact' };
}

/** Numbers in jsonb are numerics. */
function withoutSignOfZero(place: Place): Place {
  return 'refused' in place ? place : { ...place, fidelity: { level: 'reshaped', note: 'among its numbers -0 becomes 0' } };
}

/** Before PostgreSQL 15 a scale is neither below 0 nor above the precision: without any, a numeric takes every number. */
function withoutOddScale(column: Column): Column {
  const [, precision, scale] = /^numeric\((\d+),(-?\d+)\)/.exec(column.native) ?? [];
  const { type } = column, [digits, decimals = 0] = type.kind === 'decimal' ? [type.precision, type.scale] : [Number(precision), Number(scale)];
  if (digits === undefined || !(decimals < 0 || decimals > digits)) return column;
  return { ...column, native: column.native.replace(/^numeric\([^)]*\)/, 'numeric'), type: type.kind === 'decimal' ? { kind: 'decimal' } : type };
}

interface KnownType {
  readonly known: boolean;
  readonly labels?: readonly string[];
  /** Has the type, and is not installed. */
  readonly extension?: string;
  /** The same type of an installed extension, in another schema. */
  readonly elsewhere?: string;
}

async function knownTypes(session: Session, columns: readonly Column[], signal: AbortSignal): Promise<ReadonlyMap<string, KnownType>> {
  const asked = [...new Set(columns.map(({ native }) => native))].map((native) => ({ native, bare: bareName(native), extension: extensions[bareName(native)] ?? bareName(native) }));
  const rows = await session.query(`
    SELECT t.native, to_regtype(t.native) IS NOT NULL, (SELECT json_agg(e.enumlabel) FROM pg_enum e WHERE e.enumtypid = to_regtype(t.native)), x.name,
      (SELECT quote_ident(n.nspname) FROM pg_type p JOIN pg_namespace n ON n.oid = p.typnamespace JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = p.oid AND d.deptype = 'e' WHERE p.typname = t.bare LIMIT 1)
    FROM json_to_recordset($1::json) t (native text, bare text, extension text)
    LEFT JOIN pg_available_extensions x ON x.name = t.extension AND x.installed_version IS NULL`, signal, [JSON.stringify(asked)]);
  return new Map(rows.map(([native, known, labels, extension, schema]) => [native!, {
    known: known === 't', ...(labels && { labels: JSON.parse(labels) as string[] }), ...(extension && { extension }),
    ...(schema && { elsewhere: native!.replace(/^("([^"]|"")+"|[^".]+)\./, `${schema}.`) }),
  }]));
}

/** `public.geometry(Point,4326)[]` → `geometry`. */
function bareName(native: string): string {
  return native.replace(/[([].*$/, '').replace(/^.*\./, '').replaceAll('"', '');
}

/** Extensions that are not named after their type. */
const extensions: Readonly<Record<string, string>> = {
  geometry: 'postgis', geography: 'postgis', raster: 'postgis_raster', halfvec: 'vector', sparsevec: 'vector', lquery: 'ltree', ltxtquery: 'ltree',
};

/** An enum of the same name is made if there is none; a standing one must know all labels. */
function enumPlace(column: Column, here: KnownType): Place {
  const { type, native } = column;
  if (type.kind !== 'enum' || !here.known) return { native, type, fidelity: { level: 'exact' } };
  const missing = type.labels.filter((label) => !here.labels?.includes(label));
  if (missing.length === 0) return { native, type, fidelity: { level: 'exact' } };
  return { refused: `the destination's type ${native} lacks ${missing.join(', ')}: ALTER TYPE ${native} ADD VALUE '${missing[0].replaceAll("'", "''")}'` };
}

