import type { LogicalType, Part, Shape, Task } from '../../contract.js';
import { partsAt } from '../../source/parts.js';
import { name, quote, tableName, type Session } from './session.js';

const mostTasks = 512;

/** A task's place in the first key column's order, as `Task.range` holds it. Absent edges are open. */
export interface Range { readonly from?: string; readonly to?: string }

/** Tasks of about `taskBytes` each. Reads index edges and the optimizer's estimates, never rows. */
export async function divide(shape: Shape, { taskBytes }: { readonly taskBytes: number }, session: Session, signal: AbortSignal): Promise<readonly Task[]> {
  const wanted = Math.min(mostTasks, Math.ceil((shape.estimatedBytes ?? 0) / taskBytes));
  const cuts = wanted < 2 ? [] : await edges(shape, Math.ceil((shape.estimatedRows ?? 0) / wanted), session, signal);
  return partsAt(cuts).map((part, number, all) => ({
    id: `${shape.namespace}#${number}`, namespace: shape.namespace,
    ...(all.length > 1 && { range: JSON.stringify(part) }),
    ...(shape.estimatedRows !== undefined && { estimatedRows: Math.round(shape.estimatedRows / all.length) }),
  }));
}

export async function partsOf(shape: Shape, rows: number, session: Session, signal: AbortSignal): Promise<readonly Part[]> {
  return partsAt(isInteger(shape) ? await edges(shape, rows, session, signal) : []);
}

/** The condition of a range; undefined if it takes all. `literal` spells an edge for SQL. */
export function conditionOf(column: string, range: Range, literal: (edge: string) => string): string | undefined {
  const conditions = [
    ...(range.from === undefined ? [] : [`${column} >= ${literal(range.from)}`]),
    ...(range.to === undefined ? [] : [`${column} < ${literal(range.to)}`]),
  ];
  return conditions.length === 0 ? undefined : conditions.join(' AND ');
}

/** How an edge of this table's ranges is spelled in SQL. */
export function edgeLiteral(shape: Shape): (edge: string) => string {
  if (isInteger(shape)) return (edge) => BigInt(edge).toString();
  return shape.key.length > 0 && shape.columns[shape.key[0]].type.kind === 'bytes' ? (edge) => `x'${edge}'` : quote;
}

export function isInteger(shape: Shape): boolean {
  return shape.key.length > 0 && shape.columns[shape.key[0]].type.kind === 'int';
}

/** Ascending values of the first key column, about `rows` rows apart. */
async function edges(shape: Shape, rows: number, session: Session, signal: AbortSignal): Promise<readonly string[]> {
  if (shape.key.length === 0) return [];
  if (isInteger(shape)) return integerEdges(shape, Math.max(rows, 1), session, signal);
  return spreadEdges(shape, session, signal);
}

async function integerEdges(shape: Shape, rows: number, session: Session, signal: AbortSignal): Promise<readonly string[]> {
  const table = tableName(shape.schema, shape.name), column = name(shape.columns[shape.key[0]].name);
  const [[least, most]] = await session.rows(`SELECT MIN(${column}), MAX(${column}) FROM ${table}`, signal);
  if (least === null || most === null) return [];
  const estimate = async (from: bigint, to: bigint): Promise<number> => {
    const [explained] = await session.rows(`EXPLAIN FORMAT=TRADITIONAL SELECT ${column} FROM ${table} WHERE ${column} >= ${from} AND ${column} < ${to}`, signal);
    return Number(explained[explained.length - (session.version.flavour === 'mysql' ? 3 : 2)] ?? 0);
  };
  const cuts: bigint[] = [];
  const split = async (from: bigint, to: bigint, inside: number): Promise<void> => {
    if (inside <= rows * 1.5 || to - from < 2n || cuts.length >= mostTasks) return;
    const middle = (from + to) / 2n;
    const left = await estimate(from, middle), right = await estimate(middle, to);
    await split(from, middle, left);
    cuts.push(middle);
    await split(middle, to, right);
  };
  const from = BigInt(least), to = BigInt(most) + 1n;
  await split(from, to, await estimate(from, to));
  return cuts.map(String);
}

/** Keys whose first characters or bytes are likely to differ: one index look-up for each that is possible. */
async function spreadEdges(shape: Shape, session: Session, signal: AbortSignal): Promise<readonly string[]> {
  const { type, name: first } = shape.columns[shape.key[0]];
  const probes = probesOf(type);
  if (probes.length === 0) return [];
  const table = tableName(shape.schema, shape.name), column = name(first);
  const look = (probe: string) => `(SELECT ${column} AS k FROM ${table} WHERE ${column} >= ${probe} ORDER BY ${column} LIMIT 1)`;
  const rows = await session.rows(`SELECT ${type.kind === 'bytes' ? 'HEX(k)' : 'k'} FROM (${probes.map(look).join(' UNION ')}) AS looked ORDER BY k`, signal);
  return rows.map(([edge]) => edge!).slice(1);
}

const hexDigits = [...'123456789abcdef'];

function probesOf(type: LogicalType): readonly string[] {
  switch (type.kind) {
    case 'text': return [...'123456789abcdefghijklmnopqrstuvwxyz'].map(quote);
    case 'bytes': return hexDigits.map((digit) => `x'${digit}0'`);
    // MariaDB orders some versions of UUID by their last part first.
    case 'uuid': return hexDigits.map((digit) => quote(`${digit}0000000-0000-0000-0000-${digit}00000000000`));
    default: return [];
  }
}
