import type { Batch, Column, Cursor, ReadJob, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { decodeDelimited } from '../../values/delimited.js';
import type { Table } from './catalogue.js';
import { lineCollector, type LineLimits } from './lines.js';
import { conditionOf, edgeLiteral, type Range } from './ranges.js';
import { stream } from './rows.js';
import { name, quote, tableName, type Session } from './session.js';
import { isYear, isZerofill } from './types.js';

/**
 * The rows of a task as COPY text, in key order. The columns come as the server's text, one by one, and are escaped here:
 * a line that the server builds is cut off at `max_allowed_packet`, doubles bytes on the way, and takes longer.
 */
export async function* read(job: ReadJob, table: Table | undefined, session: Session, limits: LineLimits, signal: AbortSignal): AsyncGenerator<Batch> {
  const { shape } = job;
  refuseOtherColumns(shape, table);
  const ordered = shape.key.length > 0 && isCursor(shape) ? shape.key : undefined;
  const sql = selectOf(job, ordered && table.keyIndex);
  const batches = stream(session, sql, 'text', lineCollector(job, limits, ordered), signal);
  if (job.format === 'delimited') yield* batches;
  else yield* decoded(batches, shape);
}

/** Fails with `usage` where the server does not understand a filter. */
export async function checkFilter(shape: Shape, where: string, session: Session, signal: AbortSignal): Promise<void> {
  try {
    await session.rows(`EXPLAIN SELECT 1 FROM ${tableName(shape.schema, shape.name)} WHERE (${where})`, signal);
  } catch (error) {
    if (!(error instanceof DsyncError) || !['internal', 'data'].includes(error.code)) throw error;
    throw new DsyncError('usage', `the filter of ${shape.namespace} is no condition that ${session.version.text} knows: ${error.message}`, { namespace: shape.namespace, cause: error.cause });
  }
}

function refuseOtherColumns(shape: Shape, table: Table | undefined): asserts table is Table {
  const spelled = (columns: readonly Column[] | undefined) => JSON.stringify(columns?.map(({ name: column, native }) => [column, native]));
  // Columns that both tables compute by themselves are not read, nor those that the user leaves out.
  const isUnread = (column: string) => table?.generated.has(column.toLowerCase()) || shape.origin?.some((each) => each.name === column);
  const isRead = ({ name: column }: Column) => shape.columns.some((each) => each.name === column) || !isUnread(column);
  if (spelled(table?.shape.columns.filter(isRead)) === spelled(shape.columns)) return;
  throw new DsyncError('refused', `${shape.namespace} was changed or dropped since the run began`, { namespace: shape.namespace, remedy: 'start over with a new run' });
}

async function* decoded(batches: AsyncIterable<Batch>, shape: Shape): AsyncGenerator<Batch> {
  const decode = decodeDelimited(shape.columns);
  for await (const batch of batches) {
    if (batch.rows.format !== 'delimited') throw new DsyncError('internal', 'lines were expected');
    yield { ...batch, rows: { format: 'values', rows: decode(batch.rows.bytes) } };
  }
}

function selectOf({ shape, task, where, after }: ReadJob, keyIndex: string | undefined): string {
  const range: Range = task.range === undefined ? {} : JSON.parse(task.range) as Range;
  const key = shape.key.map((position) => shape.columns[position]);
  const conditions = [
    key.length > 0 ? conditionOf(name(key[0].name), range, edgeLiteral(shape)) : undefined,
    after === undefined || keyIndex === undefined ? undefined : afterCursor(key, after),
    where === undefined ? undefined : `(${where})`,
  ].filter((condition) => condition !== undefined);
  return [
    `SELECT ${shape.columns.map(textOf).join(', ')} FROM ${tableName(shape.schema, shape.name)}`,
    ...(keyIndex === undefined ? [] : [`FORCE INDEX (${name(keyIndex)})`]),
    ...(conditions.length === 0 ? [] : [`WHERE ${conditions.join(' AND ')}`]),
    ...(keyIndex === undefined ? [] : [`ORDER BY ${key.map((column) => name(column.name)).join(', ')}`]),
  ].join(' ');
}

/** The column as text that loses nothing and is in normal form: FLOAT prints six digits only, ZEROFILL and YEAR pad. */
function textOf(column: Column): string {
  const plain = name(column.name);
  if (column.type.kind === 'float') return `CAST(${plain} AS DOUBLE)`;
  return isZerofill(column.native) || isYear(column.native) ? `${plain} + 0` : plain;
}

const cursorKinds = new Set(['int', 'decimal', 'text', 'bytes', 'date', 'time', 'timestamp', 'instant', 'uuid']);

/** Can the key's order be written as comparisons with literals? ENUM and SET sort by number and compare as text. */
function isCursor(shape: Shape): boolean {
  return shape.key.every((position) => cursorKinds.has(shape.columns[position].type.kind));
}

/** `a >= x AND (a > x OR (a = x AND b > y))`: the first part is what an index can use. */
function afterCursor(key: readonly Column[], cursor: Cursor): string {
  const cells = JSON.parse(cursor) as string[];
  const [columns, values] = [key.map((column) => name(column.name)), key.map((column, i) => literal(column, cells[i]))];
  const beyond = columns.map((column, i) =>
    `(${[...columns.slice(0, i).map((before, j) => `${before} = ${values[j]}`), `${column} > ${values[i]}`].join(' AND ')})`);
  return key.length === 1 ? `${columns[0]} > ${values[0]}` : `${columns[0]} >= ${values[0]} AND (${beyond.join(' OR ')})`;
}

function literal({ type }: Column, cell: string): string {
  if (type.kind === 'int' || type.kind === 'decimal') return /^-?\d+(\.\d+)?$/.test(cell) ? cell : quote(cell);
  return type.kind === 'bytes' ? `x'${cell.slice(2)}'` : quote(cell);
}
