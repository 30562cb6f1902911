import type { Batch, Column, OpenOptions, ReadJob, Rows } from '../../contract.js';
import { bytesOfRow } from '../../source/batches.js';
import { decodeDelimited } from '../../values/delimited.js';
import { RowFrames, type Piece } from './frames.js';
import { rangeOf, type Range } from './plan.js';
import type { Pool } from './pool.js';
import { list, literal, qualified, quoted, spelledChar } from './sql.js';

/** One COPY for the whole task. Every batch names the place of its last row, so that any of them can be the last. */
export async function* read(readers: Pool, job: ReadJob, options: Pick<OpenOptions, 'batchBytes' | 'batchRows'>, signal: AbortSignal): AsyncGenerator<Batch> {
  const range = rangeOf(job.task, job.shape), binary = job.format === 'pg-binary';
  const encode = rowsOf(job);
  // Rows as values take about twice the memory of their text.
  const pieceBytes = job.format === 'values' ? options.batchBytes / 2 : options.batchBytes;
  const frames = new RowFrames(sqlOf(job, range, binary), { as: binary ? 'copy-binary' : 'copy-text', placed: range.placed, pieceBytes, pieceRows: options.batchRows });
  const session = await readers.take(signal);
  let sequence = job.sequence, whole = false;
  try {
    const done = session.run(frames, signal);
    done.catch(() => undefined);
    for await (const piece of frames) {
      yield { task: job.task.id, namespace: job.task.namespace, sequence: sequence++, count: piece.count, ...encode(piece), ...(piece.last !== undefined && { cursor: piece.last }) };
    }
    await done;
    whole = true;
  } finally {
    if (!whole) session.destroy();
    readers.give(session);
  }
}

function rowsOf({ format, shape }: ReadJob): (piece: Piece) => { readonly rows: Rows; readonly bytes: number } {
  if (format === 'pg-binary' || format === 'delimited') return ({ bytes }) => ({ rows: { format, bytes }, bytes: bytes.length });
  const decode = decodeDelimited(shape.columns);
  return (piece) => {
    const rows = decode(piece.bytes);
    return { rows: { format: 'values', rows }, bytes: rows.reduce((sum, row) => sum + bytesOfRow(row), 0) };
  };
}

function sqlOf({ shape, where, after }: ReadJob, range: Range, binary: boolean): string {
  const columns = binary ? list(shape.columns.map(({ name }) => name)) : shape.columns.map(normal).join(', ');
  const conditions = [
    ...(range.from === undefined ? [] : [`ctid >= '(${range.from},0)'`]), ...(range.to === undefined ? [] : [`ctid < '(${range.to},0)'`]),
    ...(after === undefined ? [] : [`ctid > ${literal(after)}`]), ...(where === undefined ? [] : [`(${where}\n)`]),
  ];
  const select = `SELECT ${columns}${range.placed ? ', ctid' : ''} FROM ${range.tree ? '' : 'ONLY '}${qualified(range)}${conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : ''}`;
  // An index would give the rows of a filter in its own order; a bitmap or a plain scan gives them in that of their places.
  return `${inOrderOfPlaces}; COPY (${select}) TO STDOUT (FORMAT ${binary ? 'binary' : 'text'})`;
}

const inOrderOfPlaces = Object.entries({ indexscan: 'off', indexonlyscan: 'off', bitmapscan: 'on', seqscan: 'on', tidscan: 'on' })
  .map(([way, set]) => `SET LOCAL enable_${way} = ${set}`).join('; ');

/**
 * A column in normal form. Dates and timestamps out of other engines' reach (infinity, years BC) keep PostgreSQL's own
 * spelling: `infinity`, `0044-03-15 BC`.
 */
function normal({ name, type, native }: Column): string {
  if (native === '"char"') return spelledChar(quoted(name));
  switch (type.kind) {
    case 'bool': return `(${quoted(name)})::int`;
    case 'instant': return `${quoted(name)} AT TIME ZONE 'UTC'`;
    case 'text': return type.padded ? `${quoted(name)}::text` : quoted(name);
    default: return quoted(name);
  }
}
