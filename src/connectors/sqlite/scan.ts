import { isUtf8 } from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import type { Column, Part, Row, ScanJob } from '../../contract.js';
import { sizeOf, type Table } from './catalogue.js';
import { all, between, brokenKey, orderOf, userCondition, type Condition } from './paging.js';
import { quoted, type Native, type Session } from './session.js';
import { affinityOf, largestInteger, valueReader } from './types.js';

/*
 * The verifier's way in: pages between two places, whose cells the driver decodes. It shares neither with the copy.
 */

const pageRows = 250, pageBytes = 1 << 20;

/** The rows of a part, page by page. */
export async function* scan(session: Session, table: Table, { shape, part, where }: ScanJob, signal: AbortSignal): AsyncIterable<readonly Row[]> {
  const bounded = part.from !== undefined || part.to !== undefined, first = shape.columns[shape.key[0]]?.name;
  const order = bounded && first !== table.alias ? shape.key.map((position) => quoted(shape.columns[position].name)) : orderOf(table);
  const within = bounded ? between(quoted(first), part.from, part.to) : undefined, selected = userCondition(where);
  const fetch = fetcher(session, table, shape.columns), limits = isOrdered(part) ? { selected, end: bounded ? between(quoted(first), undefined, part.to) : undefined } : { selected: all([within, selected]) };
  const turn = pager(session, table, shape.columns, order, limits);
  for (let start = placeAt(session, table, order, all([within, selected]), 0); start !== undefined;) {
    await setImmediate();
    signal.throwIfAborted();
    const { page, next } = turn(start);
    yield fetch(page);
    start = next;
  }
}

/** Numbers that are kept as text are not in the order of numbers: pages can't do without the part's own edges. */
function isOrdered({ from, to }: Part): boolean {
  return [from, to].every((edge) => edge === undefined || BigInt(edge) <= largestInteger);
}

interface Page { readonly page: Condition; readonly next?: Native[] }
interface Limits { readonly selected?: Condition; readonly end?: Condition }

/** Finds the page that starts at a place, and where the next one starts. A page is about `pageBytes` at most, or one row. */
function pager(session: Session, table: Table, columns: readonly Column[], order: readonly string[], { selected, end }: Limits): (start: Native[]) => Page {
  const size = `SELECT sum(${sizeOf(columns)}) FROM ${quoted(table.name)}`;
  return (start) => {
    const rest = all([atLeast(order, start), end, selected]);
    for (let rows = pageRows; ; rows = Math.ceil(rows / 8)) {
      const next = placeAt(session, table, order, rest, rows);
      // One bound alone at each side: SQLite would search by one of two, and it might be the wrong one.
      const page = next ? all([atLeast(order, start), before(order, next), selected]) : rest;
      if (rows === 1 || Number(session.get(`${size} WHERE ${page.sql}`, page.values)![0]) <= pageBytes) return { page, next };
    }
  };
}

/** The place of the row that has so many before it. */
function placeAt(session: Session, table: Table, order: readonly string[], { sql, values }: Condition, offset: number): Native[] | undefined {
  const columns = order.join(', ');
  // A place may be a text with a NUL, which the driver would cut.
  const exact = order.map((column) => `typeof(${column}), CASE typeof(${column}) WHEN 'text' THEN CAST(${column} AS BLOB) ELSE ${column} END`).join(', ');
  const cells = session.get(`SELECT ${exact} FROM ${quoted(table.name)} WHERE ${sql} ORDER BY ${columns} LIMIT 1 OFFSET ?`, [...values, BigInt(offset)]);
  return cells && order.map((column, i) => {
    const cell = cellFrom(cells[2 * i], cells[2 * i + 1]);
    if (cells[2 * i] === 'text' && typeof cell !== 'string') throw brokenKey(table.name, column);
    return cell;
  });
}

function atLeast(order: readonly string[], place: readonly Native[]): Condition {
  return compared(order, '>=', place);
}

function before(order: readonly string[], place: readonly Native[]): Condition {
  return compared(order, '<', place);
}

function compared(order: readonly string[], operator: string, place: readonly Native[]): Condition {
  return { sql: `(${order.join(', ')}) ${operator} (${place.map(() => '?').join(', ')})`, values: place };
}

/** Compiles the query for a page's rows: the driver's columns as they are, or as bytes where it would spoil a text. */
function fetcher(session: Session, { name }: Table, columns: readonly Column[]): (page: Condition) => Row[] {
  const cells = columns.map((column) => quoted(column.name)), readers = columns.map(valueReader);
  const texts = `SELECT CAST(group_concat(${joined(columns.map(textOf))}, char(10)) AS BLOB) FROM ${quoted(name)}`;
  const plain = `SELECT ${cells.join(', ')} FROM ${quoted(name)}`;
  const careful = `SELECT ${cells.map((cell) => `typeof(${cell}), CASE typeof(${cell}) WHEN 'text' THEN CAST(${cell} AS BLOB) ELSE ${cell} END`).join(', ')} FROM ${quoted(name)}`;
  return ({ sql, values }) => {
    const [sample] = session.get(`${texts} WHERE ${sql}`, values)!;
    if (isSafe(sample as Uint8Array | null)) return session.all(`${plain} WHERE ${sql}`, values).map((row) => row.map((cell, i) => readers[i](cell)));
    return session.all(`${careful} WHERE ${sql}`, values).map((row) => readers.map((reader, i) => reader(cellFrom(row[2 * i], row[2 * i + 1]))));
  };
}

/** SQL for the text in a column, if there is any. */
function textOf({ name, native }: Column): string {
  return affinityOf(native) === 'TEXT' ? quoted(name) : `CASE typeof(${quoted(name)}) WHEN 'text' THEN ${quoted(name)} END`;
}

/** With a separator, so that half a character in one cell is never made whole by the next. */
function joined(expressions: readonly string[]): string {
  if (expressions.length <= 100) return `concat_ws(char(10), ${expressions.join(', ')})`;
  return joined(Array.from({ length: Math.ceil(expressions.length / 100) }, (_, i) => joined(expressions.slice(i * 100, i * 100 + 100))));
}

function isSafe(texts: Uint8Array | null): boolean {
  return texts === null || (!texts.includes(0) && isUtf8(texts));
}

/** A text that is not UTF-8 stays the bytes that it is. */
function cellFrom(storage: Native, cell: Native): Native {
  return storage === 'text' && cell instanceof Uint8Array && isUtf8(cell) ? Buffer.from(cell).toString('utf8') : cell;
}
