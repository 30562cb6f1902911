import type { Column, Fidelity, Mapping, Shape, TableObjects, Target } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { withComputed } from '../../schema/computed.js';
import { distinct, fitting } from '../../schema/names.js';
import { readTable, type Table } from './catalogue.js';
import { fit } from './fits.js';
import { names } from './objects.js';
import { quote, type Session } from './session.js';
import { storeColumns, type Offer } from './storage.js';
import { collationOf, tellsAllApart } from './types.js';

export async function readOffer(session: Session, signal: AbortSignal): Promise<Offer> {
  const { version } = session;
  const rows = await session.rows('SELECT collation_name FROM information_schema.collations', signal);
  const exactCollation = version.flavour === 'mariadb' ? 'utf8mb4_nopad_bin' : 'utf8mb4_0900_bin';
  const [[lowered]] = await session.rows('SELECT @@lower_case_table_names', signal);
  return { version, exactCollation, collations: new Set(rows.flatMap(([collation]) => collation ?? [])), lowersNames: lowered === '1', ignoresTableCase: lowered !== '0' };
}

/** The table that takes the rows of `source`: what stands there, if it fits, else what would be made. */
export async function adapt(source: Shape, target: Target, schema: string, offer: Offer, session: Session, signal: AbortSignal, objects?: TableObjects): Promise<Mapping> {
  const name = offer.lowersNames ? fitting(target.name, names).toLowerCase() : fitting(target.name, names), place = offer.lowersNames ? schema.toLowerCase() : schema;
  refuseNames(source, { schema: place, name });
  const standing = await readTable(session, place, name, signal);
  if (standing) return withZeroNotes(fitted(source, standing));
  await refuseView(session, place, name, source, signal);
  const mapping = withZeroNotes(made(source, name, place, offer));
  if (!objects) return mapping;
  const own = objects.engine === mapping.target.engine && mapping.fidelity.every(({ level }) => level === 'exact');
  return { ...(own ? withoutColumns(mapping, computedIn(objects, mapping)) : withComputed(mapping, objects)), objects };
}

/** Columns that the new table computes as the source's does; a key's values are sent all the same. */
function computedIn({ columns }: TableObjects, { source }: Mapping): ReadonlySet<string> {
  return new Set(columns.flatMap(({ name, generated }) => (generated && !source.key.some((i) => source.columns[i].name === name) ? [name] : [])));
}

/** These columns of the source are not sent. */
function withoutColumns(mapping: Mapping, left: ReadonlySet<string>): Mapping {
  if (left.size === 0) return mapping;
  const { source, target, fidelity } = mapping, kept = source.columns.flatMap(({ name }, i) => (left.has(name) ? [] : [i]));
  const narrow = (shape: Shape): Shape => ({ ...shape, columns: kept.map((i) => shape.columns[i]), key: shape.key.map((i) => kept.indexOf(i)) });
  return { ...mapping, source: narrow(source), target: narrow(target), fidelity: kept.map((i) => fidelity[i]) };
}

/** MariaDB makes 0 of a float's -0. */
export function withZeroNotes(mapping: Mapping): Mapping {
  const { source, target, fidelity } = mapping;
  if (target.engine !== 'mariadb' || source.engine === 'mariadb') return mapping;
  const loses = (i: number) => source.columns[i].type.kind === 'float' && target.columns[i].type.kind === 'float';
  return { ...mapping, fidelity: fidelity.map((one, i) => (loses(i) ? noted(one, '-0 becomes 0') : one)) };
}

function noted({ level, note }: Fidelity, more: string): Fidelity {
  return { level: level === 'exact' ? 'reshaped' : level, note: note ? `${note}; ${more}` : more };
}

function made(source: Shape, name: string, schema: string, offer: Offer): Mapping {
  const stored = storeColumns(source, offer);
  const missing = source.columns.filter((_, i) => stored[i] === undefined).map((column) => `${column.name} (${column.native})`);
  if (missing.length > 0) throw refused(source, `${offer.version.text} has no counterpart for ${missing.join(', ')}`, 'leave the table out (--exclude), or make the target table by hand with types that fit');
  const named = distinct(source.columns.map((column) => column.name), names);
  const columns = stored.map((one, i): Column => ({ ...one!.column, name: named[i], nullable: source.columns[i].nullable && !source.key.includes(i) }));
  return {
    source, existed: false, staged: source.key.length === 0,
    fidelity: stored.map((one, i) => (named[i] === source.columns[i].name ? one!.fidelity : noted(one!.fidelity, `the column is named ${named[i]}`))),
    target: { namespace: `${schema}.${name}`, schema, name, engine: offer.version.flavour, columns, key: source.key },
  };
}

/** The standing table's columns in the order of the source's; fails with `refused`, naming each column that does not fit. */
function fitted(whole: Shape, table: Table): Mapping {
  const { shape } = table;
  const source = withoutGenerated(whole, table), named = distinct(source.columns.map(({ name }) => name), names);
  const columns = named.map((name) => shape.columns.find((column) => column.name === name) ?? shape.columns.find((column) => column.name.toLowerCase() === name.toLowerCase()));
  const fidelity = source.columns.map((column, i) => columns[i] && fit(column, columns[i], source.engine));
  const misfits = source.columns.flatMap((column, i) => {
    const found = columns[i];
    if (!found) return [`it has no column ${column.name}`];
    if (table.generated.has(found.name.toLowerCase())) return [`${found.name} is a generated column of the key`];
    return fidelity[i] ? [] : [`${found.name} is ${found.native}, which can't take ${column.native}`];
  });
  const taken = new Set(columns.map((column) => column?.name));
  const unfilled = shape.columns.filter((column) => !taken.has(column.name) && !table.optional.has(column.name.toLowerCase())).map((column) => `${column.name} has no default`);
  const problems = [...misfits, ...unfilled, ...keyProblems(source, table), ...storageProblems(source, table)];
  if (problems.length > 0) {
    throw refused(source, `table ${shape.namespace} does not fit ${source.namespace}: ${problems.join('; ')}`, 'change the table, drop it so that dsync makes it, or copy elsewhere: --namespace NAMESPACE:TARGET');
  }
  const target: Shape = { ...shape, columns: columns.map((column) => column!), key: source.key };
  return { source, target, fidelity: fidelity.map((one, i) => withKeyNote(one!, source, columns[i]!, i)), existed: true, staged: source.key.length === 0 };
}

/** What the table computes by itself is not sent to it. */
function withoutGenerated(source: Shape, { generated }: Table): Shape {
  const kept = source.columns.flatMap(({ name }, i) => (generated.has(name.toLowerCase()) && !source.key.includes(i) ? [] : [i]));
  return kept.length === source.columns.length ? source : { ...source, columns: kept.map((i) => source.columns[i]), key: source.key.map((i) => kept.indexOf(i)) };
}

function keyProblems(source: Shape, table: Table): string[] {
  if (source.key.length === 0 || hasUnique(table, source)) return [];
  return [`it has no primary key or unique index on ${source.key.map((position) => source.columns[position].name).join(', ')}`];
}

function hasUnique({ indexes }: Table, source: Shape): boolean {
  const key = lowered(source.key.map((position) => source.columns[position].name));
  return indexes.some((index) => index.unique && index.whole && lowered(index.columns) === key);
}

function lowered(names: readonly string[]): string {
  return JSON.stringify(names.map((name) => name.toLowerCase()).sort());
}

function storageProblems(source: Shape, { transactional, storage }: Table): string[] {
  return transactional || source.key.length > 0 ? [] : [`its storage engine ${storage} has no transactions, so that rows without a key could come twice`];
}

function withKeyNote(fidelity: Fidelity, source: Shape, target: Column, position: number): Fidelity {
  const collation = collationOf(target.native);
  if (fidelity.level === 'lossy' || !source.key.includes(position) || tellsAllApart(collation)) return fidelity;
  if (source.columns[position].native === target.native) return fidelity;
  return noted(fidelity, `keys that ${collation} takes for equal are rejected`);
}

/** Names that no server of this kind takes; too long ones are cut elsewhere. */
function refuseNames(source: Shape, { schema, name }: { readonly schema: string; readonly name: string }): void {
  const bad = [schema, name, ...source.columns.map((column) => column.name)].filter((text) => text.endsWith(' ') || text.includes('\0'));
  if (bad.length > 0) throw refused(source, `MySQL takes names that don't end in a space, not ${bad.map((text) => `'${text}'`).join(', ')}`, 'rename the table: --namespace NAMESPACE:TARGET');
}

async function refuseView(session: Session, schema: string, name: string, source: Shape, signal: AbortSignal): Promise<void> {
  const [found] = await session.rows(`SELECT table_type FROM information_schema.tables WHERE table_schema = ${quote(schema)} AND table_name = ${quote(name)}`, signal);
  if (found) throw refused(source, `${schema}.${name} is a ${found[0]}, not a table`, 'copy elsewhere: --namespace NAMESPACE:TARGET');
}

function refused(source: Shape, message: string, remedy: string): DsyncError {
  return new DsyncError('refused', message, { namespace: source.namespace, remedy });
}
