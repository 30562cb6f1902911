import { isAscii, isUtf8 } from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import type { Batch, Column, OpenOptions, ReadJob, Value } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { bytesOfRow, gather, gatherLines } from '../../source/batches.js';
import { parseKey, spellKey } from '../../source/keys.js';
import { sizeOf, type Table } from './catalogue.js';
import { all, behind, between, brokenKey, nativeOf, orderOf, userCondition, type Condition } from './paging.js';
import { quoted, type Native, type Session } from './session.js';
import { affinityOf, valueReader } from './types.js';

/*
 * A page of rows comes out of SQLite as one blob: each cell is a letter for its storage class and, but for null, its
 * length or digits up to a comma. The driver's own columns cost more, cut a text at its first NUL, and abort the process
 * at a text that is not UTF-8.
 */

const pageRows = 1000;
/** Rows that are values wait as objects, and large batches of them outlive the cheap garbage collection: the process would take twice the memory. */
const mostValueBytes = 1 << 20;

/** A task's rows in the order of the row number, or of the key where there is none. */
export async function* read(session: Session, table: Table, job: ReadJob, options: OpenOptions, signal: AbortSignal): AsyncIterable<Batch> {
  const open = job.format === 'delimited' ? gatherLines(job, options) : gather(job, { ...options, batchBytes: Math.min(options.batchBytes, mostValueBytes) });
  const page = pager(session, table, job, options.batchBytes);
  let place: readonly Native[] | undefined = job.after === undefined ? undefined : parseKey(job.after).map(nativeOf);
  const close = () => open.take(spellKey(place!));
  for (;;) {
    // SQLite works in this thread: others must get their turn.
    await setImmediate();
    signal.throwIfAborted();
    const rows = page(place);
    if (rows.length === 0) break;
    for (const { row, at } of rows) {
      const bytes = bytesOfRow(row);
      if (open.full(bytes)) yield close()!;
      open.add(row, bytes);
      place = at;
    }
  }
  const rest = place && close();
  if (rest) yield rest;
}

interface Placed { readonly row: Value[]; readonly at: readonly Native[] }

/** Reads the page behind a place. */
function pager(session: Session, table: Table, job: ReadJob, pageBytes: number): (after: readonly Native[] | undefined) => readonly Placed[] {
  const { columns } = job.shape, order = orderOf(table), size = sizeOf(columns), cells = cellsOf(columns, table);
  const decode = decoder(columns, table);
  const where = userCondition(job.where), [from, to] = (job.task.range ?? '..').split('..');
  const start = between(order[0], from, undefined), end = between(order[0], undefined, to);
  const select = (expression: string, { sql }: Condition) =>
    `(SELECT ${expression} AS cell FROM ${quoted(table.name)} WHERE ${sql} ORDER BY ${order.join(', ')} LIMIT ?)`;
  return (after) => {
    // One lower bound alone: SQLite would search by one of two, and it might be the wrong one.
    const condition = all([after ? behind(order, after) : start, end, where]);
    const [count, sum, most] = session.get(`SELECT count(*), sum(cell), max(cell) FROM ${select(size, condition)}`, [...condition.values, BigInt(pageRows)])!;
    if (count === 0n) return [];
    const limit = Number(sum) <= pageBytes ? pageRows : Math.max(1, Math.floor(pageBytes / Number(most)));
    const [bytes] = session.get(`SELECT CAST(group_concat(cell, '') AS BLOB) FROM ${select(cells, condition)}`, [...condition.values, BigInt(limit)])!;
    const { rows, zeros } = decode(bytes as Buffer);
    for (const column of zeros) {
      const signs = session.all(`SELECT iif(typeof(cell) = 'real', cell, 1.0) FROM ${select(quoted(columns[column].name), condition)}`, [...condition.values, BigInt(limit)]);
      for (const [i, [sign]] of signs.entries()) if (Object.is(sign, -0)) rows[i].row[column] = -0;
    }
    return rows;
  };
}

/** SQL for the cells of a row and, where no column is the row number, for that. */
function cellsOf(columns: readonly Column[], { rowid, alias }: Table): string {
  const cells = columns.map(({ name, native }) => cellOf(quoted(name), affinityOf(native) === 'TEXT'));
  return concatenated(rowid !== undefined && alias === undefined ? [...cells, cellOf(rowid, false)] : cells);
}

/** SQL for one cell; the storage class that is likely is asked for first. */
function cellOf(cell: string, likelyText: boolean): string {
  const text = `WHEN 'text' THEN concat('t', octet_length(${cell}), ',', ${cell})`, integer = `WHEN 'integer' THEN 'i' || ${cell} || ','`;
  // Nineteen digits are more than a double needs, whatever the rounding of the last one.
  const rest = `WHEN 'null' THEN 'n' WHEN 'real' THEN concat('r', printf('%!.19g', ${cell}), ',') ELSE concat('b', octet_length(${cell}), ',', ${cell})`;
  return `CASE typeof(${cell}) ${likelyText ? `${text} ${integer}` : `${integer} ${text}`} ${rest} END`;
}

/** A function takes no more than 127 arguments. */
function concatenated(expressions: readonly string[]): string {
  if (expressions.length <= 100) return `concat(${expressions.join(', ')})`;
  const groups = Array.from({ length: Math.ceil(expressions.length / 100) }, (_, i) => concatenated(expressions.slice(i * 100, i * 100 + 100)));
  return concatenated(groups);
}

interface Page {
  readonly rows: readonly Placed[];
  /** Columns with a zero whose sign is not known: SQL never tells it. */
  readonly zeros: ReadonlySet<number>;
}

function decoder(columns: readonly Column[], table: Table): (page: Buffer) => Page {
  const readers = columns.map((column) => readerOf(column, table));
  if (table.rowid !== undefined && table.alias === undefined) readers.push(rowidReader);
  const key = table.key.map((name) => columns.findIndex((column) => column.name === name));
  const placeOf = table.rowid === undefined ? (cells: Value[]) => key.map((position) => nativeOf(cells[position]))
    : table.alias === undefined ? (cells: Value[]) => [cells.pop() as Native] : (cells: Value[]) => [cells[key[0]] as Native];
  return (page) => {
    const rows: Placed[] = [], zeros = new Set<number>();
    const cursor: Reading = { page, text: page.toString('latin1'), ascii: isAscii(page), at: 0 };
    while (cursor.at < page.length) {
      const cells = new Array<Value>(readers.length);
      for (let i = 0; i < readers.length; i++) {
        cells[i] = readCell(cursor, readers[i]);
        if (cells[i] === 0 && readers[i].signed) zeros.add(i);
      }
      rows.push({ at: placeOf(cells), row: cells });
    }
    return { rows, zeros };
  };
}

interface Reading {
  readonly page: Buffer;
  /** A character for each byte of `page`. */
  readonly text: string;
  readonly ascii: boolean;
  at: number;
}

interface CellReader {
  /** The column may hold -0.0: every other affinity would have made it 0. */
  readonly signed: boolean;
  integer(digits: string): Value;
  text(text: string): Value;
  /** Bytes of a text that is not UTF-8, which has no spelling. */
  broken(bytes: Uint8Array): Value;
}

function readCell(reading: Reading, reader: CellReader): Value {
  const { page, text } = reading, start = reading.at + 1, tag = text.charCodeAt(reading.at);
  if (tag === 110 /* n */) {
    reading.at = start;
    return null;
  }
  const comma = text.indexOf(',', start), digits = text.slice(start, comma);
  if (tag === 105 /* i */ || tag === 114 /* r */) {
    reading.at = comma + 1;
    return tag === 105 ? reader.integer(digits) : real(digits);
  }
  const from = comma + 1, to = from + Number(digits);
  reading.at = to;
  if (tag === 98 /* b */) return page.subarray(from, to);
  if (tag !== 116 /* t */ || to > page.length) throw new DsyncError('internal', `a page of rows can't be read at byte ${start - 1}`);
  if (reading.ascii) return reader.text(text.slice(from, to));
  const cell = page.toString('utf8', from, to);
  return cell.includes('\ufffd') && !isUtf8(page.subarray(from, to)) ? reader.broken(page.subarray(from, to)) : reader.text(cell);
}

const rowidReader: CellReader = { signed: false, integer: BigInt, text: (text) => text, broken: (bytes) => bytes };

function readerOf(column: Column, table: Table): CellReader {
  const { name, type } = column, value = valueReader(column), isPlace = table.rowid === undefined && table.key.includes(name);
  const small = type.kind === 'int' && type.bits < 64;
  return {
    signed: affinityOf(column.native) === 'BLOB',
    integer: (digits) => (small && digits.length < 16 ? Number(digits) : value(BigInt(digits))),
    text: type.kind === 'int' ? value : (text) => text,
    broken(bytes) {
      if (isPlace) throw brokenKey(table.name, name);
      return bytes;
    },
  };
}

function real(digits: string): number {
  return digits === 'Inf' ? Infinity : digits === '-Inf' ? -Infinity : Number(digits);
}
