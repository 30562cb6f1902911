import type { Column, Mapping, Rejected, Row, Shape, Value } from '../contract.js';

/**
 * Rows with a value of another type than its column's: SQLite lets any value stand in any column, where other engines would
 * take its spelling for what it is not. They are rejected, the other rows of the batch are written.
 */
export interface Divided { readonly fit: readonly Row[]; readonly rejected: readonly Rejected[] }

/** Only SQLite has such rows, and only another engine can't take them. */
export function misfitsBetween({ source, target }: Mapping): (rows: readonly Row[]) => Divided {
  return source.engine === 'sqlite' && target.engine !== 'sqlite' ? misfits(source) : (rows) => ({ fit: rows, rejected: [] });
}

/** Compiles the division of a table's rows. */
export function misfits({ columns, namespace }: Shape): (rows: readonly Row[]) => Divided {
  const tests = columns.map(({ type }) => testOf(type));
  const misfit = (row: Row): number => row.findIndex((value, i) => value !== null && !tests[i](value));
  const reason = (row: Row): string => {
    const { name, native } = columns[misfit(row)];
    return `the value of ${name} is no ${native || 'value'} but ${named(row[misfit(row)])}`;
  };
  return (rows) => {
    const bad = rows.filter((row) => misfit(row) >= 0);
    if (bad.length === 0) return { fit: rows, rejected: [] };
    return { fit: rows.filter((row) => misfit(row) < 0), rejected: bad.map((row) => ({ namespace, row, reason: reason(row) })) };
  };
}

type Test = (value: Exclude<Value, null>) => boolean;

/** Is the value one of the type, as `Value` says? */
export function testOf(type: Column['type']): Test {
  switch (type.kind) {
    case 'any': return () => true;
    case 'bool': return (value) => typeof value === 'boolean';
    case 'int': return type.bits === 64 ? (value) => typeof value === 'bigint' : (value) => typeof value === 'number' && Number.isInteger(value);
    case 'float': return (value) => typeof value === 'number';
    case 'bytes': case 'document': return (value) => value instanceof Uint8Array;
    default: return (value) => typeof value === 'string';
  }
}

function named(value: Value): string {
  if (value instanceof Uint8Array) return 'a blob, or text that is not UTF-8';
  return typeof value === 'string' ? 'text' : typeof value === 'bigint' ? 'an integer' : 'a number';
}
