import type { Column, Mapping } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { cellsOfLine } from '../../values/delimited.js';
import { assignment } from './assign.js';
import { name, quote, type Done, type Session } from './session.js';

/** Lines of COPY text: line i is bytes [starts[i], starts[i + 1]). */
export interface Lines { readonly bytes: Uint8Array; readonly starts: readonly number[]; readonly count: number }

/** Why the server would change or drop some lines; `named` where it said which, and `more` if it did not name all. */
export interface Trouble { readonly reason: string; readonly named: ReadonlyMap<number, string>; readonly more?: boolean }

/** A way to bring lines into a table. Resolves with what is wrong, if anything; then the caller rolls back. */
export type Load = (session: Session, lines: Lines, signal: AbortSignal) => Promise<Trouble | undefined>;

/** Tells which lines are in the way of others, where the server only says that some are. */
export type Find = (session: Session, lines: Lines, signal: AbortSignal) => Promise<ReadonlyMap<number, string>>;

/** What the server takes in one packet, less room for the statement itself. */
export interface PacketLimit { readonly bytes: number }

const chunkBytes = 512 << 10;
const rowsPerInsert = 5000;
/** Fewer lines are sooner tried in halves than looked up. */
const worthFinding = 50;

/** LOAD DATA LOCAL implies IGNORE: it is clean only if every line became a row and nothing was warned of. */
export function infileLoad(mapping: Mapping, table: string): Load {
  const { target, source } = mapping;
  const assigns = target.columns.map((column, i) => assignment(source.columns[i], column)), some = assigns.some((assign) => assign !== undefined);
  const parts = target.columns.map((column, i) => {
    // Beside any SET, MariaDB takes a 0 that is not SET itself for "the next number", whatever the sql_mode.
    const assign = assigns[i] ?? (some && mayBeNumbered(column) ? (v: string) => v : undefined);
    return assign ? { field: `@c${i}`, set: `${name(column.name)} = ${assign(`@c${i}`)}` } : { field: name(column.name) };
  });
  const sets = parts.flatMap((part) => part.set ?? []);
  const sql = `LOAD DATA LOCAL INFILE 'dsync' INTO TABLE ${table} CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' `
    + `(${parts.map((part) => part.field).join(', ')})${sets.length > 0 ? ` SET ${sets.join(', ')}` : ''}`;
  const unlabelled = unlabelledIn(mapping);
  return (session, lines, signal) => judged(async () => {
    const done = await session.load(sql, chunks(lines.bytes), signal);
    const [records, , skipped, warnings] = (done.info.match(/\d+/g) ?? []).map(Number);
    if (records === lines.count && skipped === 0 && warnings === 0 && done.warnings === 0) return undefined;
    const told = await session.rows('SHOW WARNINGS', signal);
    const isWhole = records === lines.count && skipped === 0 && told.length === warnings;
    return isWhole && told.every((warning) => unlabelled.isMeant(warning, (row) => cellsOf(lines, row))) ? undefined : warned(told, done, unlabelled, lines);
  });
}

type Warning = readonly (string | null)[];
interface Unlabelled { readonly any: boolean; isIn(cells: readonly (string | null)[]): boolean; isMeant(warning: Warning, cellsIn: (row: number) => readonly (string | null)[] | undefined): boolean }

/**
 * An ENUM of the same family may hold 0, the place of a value that was none of its labels, which reads as the empty text. Written
 * so, it becomes 0 again, with a warning: that one is meant, where the cell is empty indeed.
 */
function unlabelledIn({ source, target }: Mapping): Unlabelled {
  const places = new Map(target.columns.flatMap(({ name: column, type }, i) => (type.kind === 'enum' && source.columns[i].type.kind === 'enum' && !type.labels.includes('') ? [[column, i] as const] : [])));
  return {
    any: places.size > 0,
    isIn: (cells) => places.size > 0 && [...places.values()].some((i) => cells[i] === ''),
    isMeant([, code, message], cellsIn) {
      const [, column, row] = /^Data truncated for column '(.*)' at row (\d+)$/s.exec(message ?? '') ?? [];
      return code === '1265' && places.has(column) && cellsIn(Number(row) - 1)?.[places.get(column)!] === '';
    },
  };
}

function cellsOf(lines: Lines, i: number): readonly (string | null)[] | undefined {
  return i < lines.count ? cellsOfLine(lines.bytes, lines.starts[i], lines.starts[i + 1] - 1) : undefined;
}

/** May the column be AUTO_INCREMENT? */
function mayBeNumbered({ type, nullable }: Column): boolean {
  return !nullable && (type.kind === 'int' || type.kind === 'float');
}

/** Where the server forbids LOAD DATA LOCAL. */
export function insertLoad(mapping: Mapping, table: string, limit: PacketLimit): Load {
  const { target, source } = mapping;
  const spell = target.columns.map((column, i) => assignment(source.columns[i], column) ?? ((v: string) => v));
  const head = `INSERT INTO ${table} (${target.columns.map((column) => name(column.name)).join(', ')}) VALUES `;
  const unlabelled = unlabelledIn(mapping);
  const tuple = (cells: readonly (string | null)[]) => `(${cells.map((cell, column) => (cell === null ? 'NULL' : spell[column](quote(cell)))).join(',')})`;
  return (session, lines, signal) => judged(async () => {
    let rows: (readonly (string | null)[])[] = [], tuples: string[] = [], size = 0;
    const send = async (): Promise<Trouble | undefined> => {
      if (tuples.length === 0) return undefined;
      const [sent, statement] = [rows, head + tuples.join(',')];
      [rows, tuples, size] = [[], [], 0];
      if (sent.some((cells) => unlabelled.isIn(cells))) return loosely(session, statement, (warning) => unlabelled.isMeant(warning, (row) => sent[row]), signal);
      const done = await session.run(statement, signal);
      return done.warnings === 0 ? undefined : unnamed(await firstWarning(session, signal));
    };
    for (let i = 0; i < lines.count; i++) {
      const cells = cellsOf(lines, i)!, text = tuple(cells), bytes = Buffer.byteLength(text) + 1;
      if (bytes > limit.bytes) return { reason: '', named: new Map([[i, `the row takes ${bytes} bytes, more than max_allowed_packet`]]) };
      if (size + bytes > limit.bytes || tuples.length >= rowsPerInsert) {
        const trouble = await send();
        if (trouble) return trouble;
      }
      if (unlabelled.any) rows.push(cells);
      tuples.push(text);
      size += bytes;
    }
    return send();
  });
}

/** A statement that a strict session would not take; each of its warnings must be one that is meant. */
async function loosely(session: Session, statement: string, isMeant: (warning: Warning) => boolean, signal: AbortSignal): Promise<Trouble | undefined> {
  const [[mode]] = await session.rows('SELECT @@sql_mode', signal);
  await session.run(`SET SESSION sql_mode = ${quote(mode!.split(',').filter((word) => !/^STRICT/.test(word)).join(','))}`, signal);
  try {
    const done = await session.run(statement, signal), told = await session.rows('SHOW WARNINGS', signal), other = told.find((warning) => !isMeant(warning));
    return other ? unnamed(other[2] ?? '') : told.length < done.warnings ? unnamed('the server warned of more than it tells') : undefined;
  } finally {
    await session.run(`SET SESSION sql_mode = ${quote(mode!)}`, signal);
  }
}

/**
 * Brings in all lines that the table can hold, in the session's open transaction; returns the others with the reason.
 * Lines that the server names are left out and the rest is tried again; where it names none, they are looked for by `find`, or halves are tried.
 * `pieces`: so many parts are brought in one after the other, each by itself.
 */
export async function place(load: Load, find: Find | undefined, session: Session, lines: Lines, signal: AbortSignal, pieces = 1): Promise<ReadonlyMap<number, string>> {
  const rejected = new Map<number, string>();
  const attempt = async (numbers: readonly number[]): Promise<void> => {
    if (numbers.length === 0) return;
    await session.run('SAVEPOINT dsync', signal);
    const own = numbers.length === lines.count ? lines : only(lines, numbers);
    const trouble = await load(session, own, signal);
    if (!trouble) return;
    await session.run('ROLLBACK TO SAVEPOINT dsync', signal);
    if (numbers.length === 1) {
      rejected.set(numbers[0], trouble.named.get(0) ?? trouble.reason);
      return;
    }
    const named = trouble.named.size > 0 || numbers.length < worthFinding || !find ? trouble.named : await find(session, own, signal);
    for (const [i, reason] of named) rejected.set(numbers[i], reason);
    const others = numbers.filter((_, i) => !named.has(i));
    if (named.size > 0 && !trouble.more) return attempt(others);
    const middle = others.length >> 1;
    await attempt(others.slice(0, middle));
    await attempt(others.slice(middle));
  };
  const all = Array.from({ length: lines.count }, (_, i) => i), size = Math.ceil(lines.count / pieces);
  for (let start = 0; start < lines.count; start += size) await attempt(all.slice(start, start + size));
  return rejected;
}

export function linesOf(bytes: Uint8Array, count: number): Lines {
  let starts: readonly number[] | undefined;
  // Most batches are taken whole: then nobody asks where lines start.
  return { bytes, count, get starts() { return starts ??= startsIn(bytes); } };
}

function startsIn(bytes: Uint8Array): readonly number[] {
  const starts = [0];
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) starts.push(at + 1);
  return starts;
}

function only(lines: Lines, numbers: readonly number[]): Lines {
  return linesOf(Buffer.concat(numbers.map((i) => lines.bytes.subarray(lines.starts[i], lines.starts[i + 1]))), numbers.length);
}

/** A complaint about the data is trouble; any other failure is thrown. */
export async function judged(action: () => Promise<Trouble | undefined>): Promise<Trouble | undefined> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof DsyncError && error.code === 'data') return unnamed(messageOf(error.cause));
    throw error;
  }
}

export function unnamed(reason: string): Trouble {
  return { reason: reason.replace(/ at row \d+$/, ''), named: new Map() };
}

function warned(warnings: readonly Warning[], done: Done, unlabelled: Unlabelled, lines: Lines): Trouble {
  const named = new Map<number, string>(), troubles = warnings.filter((warning) => !unlabelled.isMeant(warning, (row) => cellsOf(lines, row)));
  for (const [, , message] of troubles) {
    const row = /\bat row (\d+)/.exec(message ?? '')?.[1];
    if (row !== undefined && !named.has(Number(row) - 1)) named.set(Number(row) - 1, message!.replace(/ at row \d+$/, ''));
  }
  return { ...unnamed(troubles[0]?.[2] ?? `the server left lines out: ${done.info}`), named, more: warnings.length < Number(/Warnings: (\d+)/.exec(done.info)?.[1] ?? 0) };
}

async function firstWarning(session: Session, signal: AbortSignal): Promise<string> {
  const [warning] = await session.rows('SHOW WARNINGS', signal);
  return warning?.[2] ?? 'the server warned of something';
}

function* chunks(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(chunkBytes, bytes.length - at));
}
