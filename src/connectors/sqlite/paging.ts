import type { Value } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { quoted, type Native } from './session.js';
import type { Table } from './catalogue.js';
import { largestInteger } from './types.js';

/** SQL of a condition, with the values of its parameters. */
export interface Condition { readonly sql: string; readonly values: readonly Native[] }

/** The columns (or the row number) in whose order a table is read, as SQL names them. */
export function orderOf(table: Table): readonly string[] {
  if (table.rowid !== undefined) return [table.rowid];
  return table.key.map(quoted);
}

/** Behind a place in that order. */
export function behind(order: readonly string[], place: readonly Native[]): Condition {
  const marks = place.map(() => '?');
  return { sql: order.length === 1 ? `${order[0]} > ?` : `(${order.join(', ')}) > (${marks.join(', ')})`, values: place };
}

/** Integers of `expression` in [from, to), with what is no integer behind the largest of them; undefined if both edges are open. */
export function between(expression: string, from: string | undefined, to: string | undefined): Condition | undefined {
  const edges = [from ? notBelow(expression, from) : undefined, to ? below(expression, to) : undefined];
  return edges.some(Boolean) ? all(edges) : undefined;
}

/** All of the conditions that there are. */
export function all(conditions: readonly (Condition | undefined)[]): Condition {
  const given = conditions.filter((condition) => condition !== undefined);
  if (given.length === 0) return { sql: '1', values: [] };
  return { sql: given.map(({ sql }) => `(${sql}\n)`).join(' AND '), values: given.flatMap(({ values }) => values) };
}

/** The user's own condition; a comment at its end ends with the line. */
export function userCondition(where: string | undefined): Condition | undefined {
  return where === undefined ? undefined : { sql: where, values: [] };
}

function below(expression: string, digits: string): Condition {
  if (BigInt(digits) <= largestInteger) return { sql: `${expression} < ?`, values: [BigInt(digits)] };
  // Unsigned integers past 2^63-1 are kept as text, all of them with as many digits or one more.
  const shorter = `(length(${expression}), ${expression}) < (?, ?)`;
  return { sql: `typeof(${expression}) = 'integer' OR ${shorter}`, values: [BigInt(digits.length), digits] };
}

function notBelow(expression: string, digits: string): Condition {
  if (BigInt(digits) <= largestInteger) return { sql: `${expression} >= ?`, values: [BigInt(digits)] };
  return { sql: `typeof(${expression}) = 'text' AND (length(${expression}), ${expression}) >= (?, ?)`, values: [BigInt(digits.length), digits] };
}

/** A key cell as SQLite holds it. */
export function nativeOf(value: Value): Native {
  if (typeof value === 'boolean') return value ? 1n : 0n;
  return typeof value === 'bigint' && value > largestInteger ? String(value) : value;
}

/** Rows are told apart by their keys, and the driver can't hand over a text that is not UTF-8. */
export function brokenKey(table: string, column: string): DsyncError {
  return new DsyncError('data', `${table}: the key column ${column} holds a text that is not UTF-8`, { namespace: table, remedy: `find it by SELECT hex(${column}), and mend it` });
}
