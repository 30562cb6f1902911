import type { Change, Column, LogicalType, LogRow, Shape, Value } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { parseCell, trimFraction } from '../../values/normal.js';
import { columnTypes } from './catalog.js';
import type { Cells, Message, Relation } from './pgoutput.js';
import type { Session, TextRow } from './session.js';
import { list, literal, qualified, quoted } from './sql.js';

/** A table as its changes are being read. */
export interface Followed {
  readonly shape: Shape;
  readonly relation: Relation;
  /** Of the relation's columns: how cells are read, and where they stand in a row. */
  readonly parsers: readonly ((text: string) => Value)[];
  readonly places: readonly number[];
  /** Columns whose values the log does not have: the expressions that make them. */
  readonly computed: readonly Computed[];
}

/** `inputs`: the columns that the expression reads. */
export interface Computed { readonly place: number; readonly expression: string; readonly inputs: readonly string[]; readonly parse: (text: string) => Value }

type Changes = Extract<Message, { tag: 'insert' | 'update' | 'delete' }>;
type Cell = Value | undefined;

/** Reads the text of a cell, as the server prints it under the session's settings, into the copy's normal form. */
function cellParser(type: LogicalType): (text: string) => Value {
  if (type.kind === 'instant') return (text) => trimFraction(text.replace(/\+00(?= BC$|$)/, ''));
  if (type.kind === 'text' && type.padded) return (text) => text.replace(/ +$/, '');
  return parseCell(type);
}

/** The same message, with what its old tuple knows of cells that did not change. Null there means: not logged. */
export function filled(message: Changes): Changes {
  if (message.tag !== 'update' || !message.before) return message;
  const { before } = message;
  return { ...message, row: message.row.map((cell, i) => (cell === undefined ? before[i] ?? undefined : cell)) };
}

/** The change that a message tells of. Keys as the shape has them; of a table without one every cell counts. */
export function changeOf(message: Changes, followed: Followed): Change {
  const { namespace, key } = followed.shape;
  switch (message.tag) {
    case 'insert': return { kind: 'insert', namespace, row: rowOf(message.row, followed) as Value[] };
    case 'delete': return { kind: 'delete', namespace, before: key.length > 0 ? keyOf(message.before, followed) : rowOf(message.before, followed) };
    case 'update': return updateOf(message, followed);
    default: return message satisfies never;
  }
}

function updateOf({ row: after, before }: Extract<Message, { tag: 'update' }>, followed: Followed): Change {
  const { namespace, key } = followed.shape;
  const row = rowOf(after, followed);
  if (key.length === 0) {
    if (!before) throw new DsyncError('not-ready', `the log does not say which row of ${namespace} was updated: the table has no key`, { namespace, remedy: `ALTER TABLE ${qualified(followed.shape)} REPLICA IDENTITY FULL, then start anew` });
    return { kind: 'update', namespace, before: rowOf(before, followed), row };
  }
  if (!before || !keyMoved(before, after, followed)) return { kind: 'update', namespace, row };
  return { kind: 'update', namespace, before: keyOf(before, followed), row };
}

function keyMoved(before: Cells, after: Cells, { shape, places }: Followed): boolean {
  return places.some((place, i) => shape.key.includes(place) && after[i] !== undefined && after[i] !== before[i]);
}

function rowOf(cells: Cells, { shape, parsers, places }: Followed): Cell[] {
  const row = new Array<Cell>(shape.columns.length).fill(undefined);
  for (let i = 0; i < parsers.length; i++) {
    const cell = cells[i];
    row[places[i]] = cell === null || cell === undefined ? cell : parsers[i](cell);
  }
  return row;
}

function keyOf(cells: Cells, followed: Followed): LogRow {
  const row = rowOf(cells, followed);
  return row.map((cell, place) => (followed.shape.key.includes(place) ? cell : undefined));
}

/** How a relation's rows are read, given the shape that was known last. Asks the catalogue as it is now for what the log leaves out: names of types, NOT NULL. */
export async function follow(session: Session, relation: Relation, known: Shape, signal: AbortSignal): Promise<Followed> {
  const types = await columnTypes(session, relation.columns, signal);
  const traits = new Map((await session.query(traitsQuery, signal, [relation.id])).map((row) => [row[0]!, row]));
  const logged = relation.columns.map(({ name, type, modifier }): Column => ({
    name, nullable: traits.get(name)?.[1] !== 't', ...types.get(`${type}:${modifier}`) ?? { native: `type ${type}`, type: { kind: 'native', engine: 'postgres' } },
  }));
  const columns = [...logged];
  for (const [name, row] of traits) if (row[2] !== null && !logged.some((column) => column.name === name)) columns.splice(placeAmong(columns, [...traits.keys()], name), 0, await computedColumn(session, name, row, signal));
  const shape = shapeOf(relation, columns, known);
  const placeOf = (name: string) => shape.columns.findIndex((column) => column.name === name);
  return {
    shape, relation,
    parsers: logged.map(({ type }) => cellParser(type)), places: logged.map(({ name }) => placeOf(name)),
    computed: columns.filter((column) => !logged.includes(column)).map(({ name, type }) => ({ place: placeOf(name), expression: traits.get(name)![2]!, inputs: JSON.parse(traits.get(name)![5]!) as string[], parse: cellParser(type) })),
  };
}

/** Generated columns are in the log only where the server publishes them; the others come with their expression. */
const traitsQuery = `
  SELECT a.attname, a.attnotnull, CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END, a.atttypid, a.atttypmod,
    (SELECT coalesce(json_agg(i.attname), '[]') FROM pg_attribute i WHERE i.attrelid = a.attrelid AND a.attgenerated <> '' AND EXISTS (
      SELECT FROM pg_depend p WHERE p.refclassid = 'pg_class'::regclass AND p.refobjid = i.attrelid AND p.refobjsubid = i.attnum AND i.attnum <> a.attnum
        AND ((p.classid = 'pg_class'::regclass AND p.objid = a.attrelid AND p.objsubid = a.attnum) OR (p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid))))
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`;

async function computedColumn(session: Session, name: string, [, notNull, , type, modifier]: TextRow, signal: AbortSignal): Promise<Column> {
  const [found] = (await columnTypes(session, [{ type: Number(type), modifier: Number(modifier) }], signal)).values();
  return { name, nullable: notNull !== 't', ...found };
}

/** Where a column belongs among others, by the order of all. */
function placeAmong(columns: readonly Column[], order: readonly string[], name: string): number {
  const later = new Set(order.slice(order.indexOf(name) + 1));
  const place = columns.findIndex((column) => later.has(column.name));
  return place === -1 ? columns.length : place;
}

/** The known shape itself where names, types and key are the same. A table that was renamed keeps the namespace by which it was chosen. */
function shapeOf(relation: Relation, columns: readonly Column[], known: Shape): Shape {
  const key = keyIn(relation, columns, known);
  const same = relation.schema === known.schema && relation.name === known.name && String(key) === String(known.key) && columns.length === known.columns.length
    && columns.every(({ name, native, type }, i) => name === known.columns[i].name && native === known.columns[i].native && JSON.stringify(type) === JSON.stringify(known.columns[i].type));
  return same ? known : { namespace: known.namespace, schema: relation.schema, name: relation.name, engine: 'postgres', columns, key };
}

/**
 * The log names the columns of the replica identity, not their order. The key that was known stands as long as it can be
 * the one that is meant: it is the identity (the primary key), or a part of it (of an index's columns, or of all).
 */
function keyIn({ columns: logged, identity }: Relation, columns: readonly Column[], known: Shape): readonly number[] {
  const placeOf = (name: string) => columns.findIndex((column) => column.name === name);
  const before = known.key.map((place) => known.columns[place].name), named = logged.filter((column) => column.identity).map(({ name }) => name);
  const covers = before.every((name) => named.includes(name)) && before.length > 0;
  if (identity === 'f') return covers ? before.map(placeOf) : [];
  return (covers && (identity === 'i' || named.length === before.length) ? before : named).map(placeOf);
}

/** Fills in what the log does not have, in place: computed by the server from each row's own cells. */
export async function compute(session: Session, followed: Followed, rows: readonly Cell[][], texts: readonly Cells[], signal: AbortSignal): Promise<void> {
  const { relation: { columns, name, id }, computed } = followed;
  const natives = new Map((await session.query('SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped', signal, [id])).map(([column, native]) => [column!, native!]));
  const given = columns.flatMap((column, i) => (natives.has(column.name) ? [{ i, cast: `given.c${i}::${natives.get(column.name)} AS ${quoted(column.name)}` }] : []));
  const found = await session.query(`
    SELECT ${computed.map(({ expression }) => `(${expression})`).join(', ')}
    FROM unnest(${given.map((_, n) => `$${n + 1}::text[]`).join(', ')}) WITH ORDINALITY given (${[...given.map(({ i }) => `c${i}`), 'number'].join(', ')})
    CROSS JOIN LATERAL (SELECT ${given.map(({ cast }) => cast).join(', ')} OFFSET 0) ${quoted(name)} ORDER BY given.number`, signal, given.map(({ i }) => texts.map((cells) => cells[i] ?? null)));
  const cellOf = (text: string | null | undefined, { parse }: Computed) => (text === null || text === undefined ? text : parse(text));
  for (const [r, row] of rows.entries()) {
    const unknown = columns.filter((_, i) => texts[r][i] === undefined).map((column) => column.name);
    const blind = computed.some(({ inputs }) => inputs.some((input) => unknown.includes(input)));
    const values = blind ? await asItIsNow(session, followed, texts[r], signal) : found[r];
    computed.forEach((column, c) => { row[column.place] = cellOf(values?.[c], column); });
  }
}

/**
 * Computed cells of a row whose inputs the log did not repeat: those that the row has by now. If it is gone, or has another
 * key, a later change says so; if it changed again, a later change brings the same cells again.
 */
async function asItIsNow(session: Session, { shape, relation, computed }: Followed, texts: Cells, signal: AbortSignal): Promise<TextRow | undefined> {
  const key = shape.key.map((place) => shape.columns[place].name), cells = key.map((name) => texts[relation.columns.findIndex((column) => column.name === name)]);
  if (key.length === 0 || cells.includes(undefined)) return undefined;
  const conditions = key.map((name, i) => `${quoted(name)} = $${i + 1}`).join(' AND ');
  const [row] = await session.query(`SELECT ${list(computed.map(({ place }) => shape.columns[place].name))} FROM ${qualified(shape)} WHERE ${conditions}`, signal, cells);
  return row;
}

/** Was one of the tables renamed while nobody followed? Then its changes must not be taken for another's. */
export async function refuseRenamed(session: Session, relation: Relation, shapes: readonly Shape[], signal: AbortSignal): Promise<void> {
  const wanted = JSON.stringify(shapes.map(({ schema, name }) => ({ schema, name })));
  const gone = await session.query(`
    SELECT t.schema, t.name FROM json_to_recordset(${literal(wanted)}::json) t (schema text, name text)
    WHERE NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = t.schema AND c.relname = t.name)`, signal);
  if (gone.length === 0) return;
  const names = gone.map(([schema, name]) => `${schema}.${name}`).join(', ');
  throw new DsyncError('refused', `the log has changes of ${relation.schema}.${relation.name}, which was not chosen, and ${names} is no longer there: was it renamed?`, {
    remedy: 'give the table its old name back, or start anew with the new one',
  });
}
