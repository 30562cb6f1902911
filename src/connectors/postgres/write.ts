import type { Batch, Mapping, Rejected, Row, WriteOptions } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { lockedSeconds } from '../../destination/changes.js';
import { cellsOfLine, encodeDelimited, lineStarts } from '../../values/delimited.js';
import { parseCell } from '../../values/normal.js';
import { CopyIn } from './copy.js';
import { isAboutRows, serverError } from './failure.js';
import { held, noteBatch, noteRejected, outcomeOf, taken, withoutMark, type Hold, type Outcome } from './progress.js';
import type { Session } from './session.js';
import { list, qualified, quoted } from './sql.js';
import { hash, landing } from './target.js';

/** How the rows of a mapping get into their table. */
export interface Way {
  /** The name of the table that the COPY goes to, as errors name it. */
  readonly table: string;
  /** `COPY … FROM STDIN` */
  readonly copy: string;
  /** With upserts the COPY goes to a temporary table, and this moves its rows on. */
  readonly upsert?: string;
  readonly clear?: string;
}

const binaryHead = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const binaryEnd = Buffer.from([0xff, 0xff]);

/** Where a table has shown bad rows, its batches go in by so many pieces: only those with a bad row are sent again. */
const troubledPieces = 16;

/**
 * One transaction: the run is still ours, the progress row, the rows. A batch that is there already is left as it is.
 * `troubled`: tables that have shown bad rows.
 */
export async function write(session: Session, hold: Hold, batch: Batch, mapping: Mapping, options: WriteOptions, troubled: WeakSet<Mapping>, signal: AbortSignal): Promise<{ readonly written: number; readonly rejected: readonly Rejected[] }> {
  const bytes = bytesOf(batch, mapping);
  const way = await wayOf(session, hold, mapping, options.overwrite, batch.rows.format === 'pg-binary', signal);
  const outcome = (troubled.has(mapping) ? undefined : await writeWhole(session, hold, batch, way, bytes, signal))
    ?? await held(session, hold, signal, () => writeInPieces(session, hold, batch, way, bytes, signal)).catch(standing(session, hold, batch, signal));
  if (outcome.rejected.length > 0) troubled.add(mapping);
  return { written: outcome.rows, rejected: rejectedRows(outcome, batch, mapping, bytes) };
}

/** Undefined if some row can't be written: nothing is, then. */
async function writeWhole(session: Session, hold: Hold, batch: Batch, way: Way, bytes: Uint8Array, signal: AbortSignal): Promise<Outcome | undefined> {
  const binary = batch.rows.format === 'pg-binary';
  const sql = `BEGIN; ${noteBatch(hold, batch)}; ${way.copy}`;
  try {
    const rows = await session.run(new CopyIn({ sql, chunks: binary ? [binaryHead, bytes, binaryEnd] : [bytes], allows: (tags) => tags.at(-1) === 'INSERT 0 1' }), signal);
    if (rows === undefined) throw taken(hold);
    if (rows !== batch.count) throw miscounted(batch, rows);
    if (way.upsert) await session.query(way.upsert, signal);
    await session.query('COMMIT', signal);
    return { rows, rejected: [] };
  } catch (error) {
    await session.rollback(signal);
    const { code, schema } = serverError(error) ?? {};
    if (code === '23505' && schema === '_dsync') return outcomeOf(session, hold, batch, signal);
    if (code === '42P01' && /_dsync/.test(serverError(error)!.message)) withoutMark(hold)(error);
    if (isAboutRows(error) && !binary) return undefined;
    throw error;
  }
}

/** An earlier try has written it. */
function standing(session: Session, hold: Hold, batch: Batch, signal: AbortSignal): (error: unknown) => Promise<Outcome> {
  return async (error) => {
    const { code, schema } = serverError(error) ?? {}, known = code === '23505' && schema === '_dsync' ? await outcomeOf(session, hold, batch, signal) : undefined;
    if (!known) throw error;
    return known;
  };
}

async function writeInPieces(session: Session, hold: Hold, batch: Batch, way: Way, bytes: Uint8Array, signal: AbortSignal): Promise<Outcome> {
  await session.query(noteBatch(hold, batch), signal);
  const outcome = await place(session, way, bytes, signal, troubledPieces);
  await noteRejected(session, hold, batch, outcome, signal);
  return outcome;
}

/**
 * The slow way around rows that the table can't hold, inside a transaction: `pieces` at first, which shrink around the line
 * that the server names, and are as long then as the way between two bad rows, so that a row is sent a few times however many are bad.
 */
export async function place(session: Session, way: Way, bytes: Uint8Array, signal: AbortSignal, pieces = 1): Promise<Outcome> {
  const starts = [...lineStarts(bytes), bytes.length], count = starts.length - 1;
  const rejected: [number, string][] = [];
  await session.query('SET CONSTRAINTS ALL IMMEDIATE', signal);
  const most = Math.ceil(count / pieces);
  for (let at = 0, size = most, badIsNext = false; at < count;) {
    const end = Math.min(count, at + size), failure = await placePiece(session, way, bytes.subarray(starts[at], starts[end]), end - at, signal);
    if (failure && end - at > 1) {
      size = sizeBefore(failure.line, end - at);
      badIsNext = size === (failure.line ?? 0) - 1;
      continue;
    }
    if (failure) rejected.push([at, failure.reason]);
    size = badIsNext ? 1 : Math.max(1, Math.min(most, 2 * (failure ? at - (rejected.at(-2)?.[0] ?? -1) - 1 : size)));
    badIsNext = false;
    at = end;
  }
  return { rows: count - rejected.length, rejected };
}

/** The rows before the bad line, or that line alone; half of them, if the server named none. */
function sizeBefore(line: number | undefined, size: number): number {
  return line === undefined || line > size ? size >> 1 : Math.max(1, line - 1);
}

/** Undefined if it went in; else nothing of it did. `line`, from 1, is the row that the server names, if it names one. */
async function placePiece(session: Session, way: Way, bytes: Uint8Array, count: number, signal: AbortSignal): Promise<{ readonly line?: number; readonly reason: string } | undefined> {
  try {
    const rows = await session.run(new CopyIn({ sql: `SAVEPOINT piece; ${way.copy}`, chunks: [bytes] }), signal);
    if (rows !== count) throw miscounted({ count, namespace: way.table }, rows ?? 0);
    await session.query(`${way.upsert ? `${way.upsert}; ${way.clear}; ` : ''}RELEASE SAVEPOINT piece`, signal);
    return undefined;
  } catch (error) {
    if (!isAboutRows(error)) throw error;
    await session.query('ROLLBACK TO SAVEPOINT piece; RELEASE SAVEPOINT piece', signal);
    const { message, detail, where } = serverError(error)!, column = columnIn(where, way.table), said = detail ? `${message} (${detail})` : message;
    return { line: lineIn(where, way.table), reason: column === undefined || message.includes(`"${column}"`) ? said : `column "${column}": ${said}` };
  }
}

/** `COPY orders, line 17, column total: "x"`: in any language the first number after the table's name. */
function lineIn(where: string | undefined, table: string): number | undefined {
  const line = /^\D*(\d+)/.exec(placeIn(where, table))?.[1];
  return line === undefined ? undefined : Number(line);
}

/** Without its language: between the second comma's word and what follows the name. */
function columnIn(where: string | undefined, table: string): string | undefined {
  return /^\D*\d+\s*, \S+ (.+?)(?:: |$)/s.exec(placeIn(where, table))?.[1];
}

function placeIn(where: string | undefined, table: string): string {
  const place = where?.split('\n').at(-1), head = `COPY ${table}, `;
  return place?.startsWith(head) ? place.slice(head.length) : '';
}

/** A transaction that does not wait for a lock for ever. */
export const beginImpatient = `BEGIN; SET LOCAL lock_timeout = '${lockedSeconds}s'`;

export async function wayOf(session: Session, { run }: Hold, mapping: Mapping, overwrite: boolean, binary: boolean, signal: AbortSignal): Promise<Way> {
  const { target } = mapping, columns = list(target.columns.map(({ name }) => name));
  const landed = landing(run, mapping), into = qualified(landed);
  const from = `FROM STDIN (FORMAT ${binary ? 'binary' : 'text'})`;
  if (!overwrite || mapping.staged) return { table: landed.name, copy: `COPY ${into} (${columns}) ${from}` };
  const table = `_dsync_${hash(target.namespace, columns, ...target.columns.map(({ native }) => native))}`, temporary = `pg_temp.${quoted(table)}`;
  if (!session.made.has(temporary)) {
    await session.transaction(signal, () => session.query(`CREATE TEMPORARY TABLE ${temporary} ON COMMIT DELETE ROWS AS SELECT ${columns} FROM ${into} WITH NO DATA`, signal), beginImpatient);
    session.made.add(temporary);
  }
  return { table, copy: `COPY ${temporary} (${columns}) ${from}`, upsert: upsertOf(mapping, into, columns, temporary), clear: `DELETE FROM ${temporary}` };
}

function upsertOf({ target }: Mapping, into: string, columns: string, from: string): string {
  const names = target.columns.map(({ name }) => quoted(name));
  const others = names.filter((_, i) => !target.key.includes(i));
  const change = others.length === 0 ? 'NOTHING' : `UPDATE SET ${others.map((name) => `${name} = excluded.${name}`).join(', ')}`;
  return `INSERT INTO ${into} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${from} ON CONFLICT (${target.key.map((i) => names[i]).join(', ')}) DO ${change}`;
}

export function bytesOf({ rows, namespace }: Batch, { source }: Mapping): Uint8Array {
  switch (rows.format) {
    case 'pg-binary': case 'delimited': return rows.bytes;
    case 'values': return encodeDelimited(source.columns)(rows.rows);
    default: throw new DsyncError('internal', `postgres was sent ${rows.format}`, { namespace });
  }
}

export function rejectedRows({ rejected }: Outcome, { rows, namespace }: Batch, { source }: Mapping, bytes: Uint8Array): readonly Rejected[] {
  if (rejected.length === 0) return [];
  const parsers = source.columns.map(({ type }) => parseCell(type));
  const starts = [...lineStarts(bytes), bytes.length];
  const decoded = (index: number): Row => cellsOfLine(bytes, starts[index], starts[index + 1] - 1).map((cell, i) => (cell === null ? null : parsers[i](cell)));
  return rejected.map(([index, reason]) => ({ namespace, reason, row: rows.format === 'values' ? rows.rows[index] : decoded(index) }));
}

function miscounted({ count, namespace, task }: Pick<Batch, 'count' | 'namespace'> & { readonly task?: string }, rows: number): DsyncError {
  return new DsyncError('internal', `of ${count} rows sent the destination took ${rows}: a trigger, a rule or a policy of the table drops rows`, { namespace, task });
}
