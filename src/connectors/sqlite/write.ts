import { setImmediate } from 'node:timers/promises';
import type { Mapping, Row } from '../../contract.js';
import type { Refusal } from './progress.js';
import { ConstraintFailure, quoted, type Native, type Session } from './session.js';
import { Unfit, valueBinder } from './types.js';

/** Values bound by one statement: more are no faster. */
const valuesAtOnce = 400;
/** Milliseconds of work after which others get their turn. */
const turn = 15;

export interface Into {
  /** The table, or its staging table. */
  readonly table: string;
  readonly overwrite: boolean;
}

/**
 * Inserts rows in the open transaction, and returns those that SQLite can't hold or that the table's constraints refuse.
 * Others get their turn in between: the caller must keep them from the session.
 */
export async function insertRows(session: Session, mapping: Mapping, rows: readonly Row[], into: Into): Promise<Refusal[]> {
  const width = mapping.target.columns.length, bind = binder(mapping), refused: Refusal[] = [];
  const many = Math.max(1, Math.floor(valuesAtOnce / width));
  let since = performance.now();
  for (let start = 0; start < rows.length; start += many) {
    const bound = rows.slice(start, start + many).map((row, i) => ({ index: start + i, values: bind(row) }));
    refused.push(...bound.filter(isUnfit).map(({ index, values }) => ({ index, reason: values.message })));
    refused.push(...insert(session, mapping, into, bound.filter((each) => !isUnfit(each)) as Bound[]));
    if (performance.now() - since > turn) {
      await setImmediate();
      since = performance.now();
    }
  }
  return refused.sort((a, b) => a.index - b.index);
}

export function deleteKeys(session: Session, { target }: Mapping, keys: readonly Row[]): void {
  const columns = target.key.map((position) => target.columns[position]);
  const binders = target.key.map((position) => valueBinder(target.columns[position].type, target.columns[position].native));
  const sql = `DELETE FROM ${quoted(target.name)} WHERE ${columns.map(({ name }) => `${quoted(name)} = ?`).join(' AND ')}`;
  for (const key of keys) session.run(sql, key.map((cell, i) => binders[i](cell)));
}

interface Bound { readonly index: number; readonly values: readonly Native[] }
interface Misfit { readonly index: number; readonly values: Unfit }

function isUnfit(bound: { readonly index: number; readonly values: readonly Native[] | Unfit }): bound is Misfit {
  return bound.values instanceof Unfit;
}

/** All rows by one statement; if that fails by one of them, each by its own. */
function insert(session: Session, mapping: Mapping, into: Into, rows: readonly Bound[]): Refusal[] {
  if (rows.length === 0) return [];
  try {
    session.insert(statement(mapping, into, rows.length), rows.flatMap(({ values }) => values));
    return [];
  } catch (error) {
    if (!(error instanceof ConstraintFailure)) throw error;
    if (rows.length === 1) return [{ index: rows[0].index, reason: error.message }];
    return rows.flatMap((row) => insert(session, mapping, into, [row]));
  }
}

function statement({ target: { columns, key } }: Mapping, { table, overwrite }: Into, rows: number): string {
  const names = columns.map(({ name }) => quoted(name));
  const marks = `(${names.map(() => '?').join(', ')})`;
  const insert = `INSERT INTO ${quoted(table)} (${names.join(', ')}) VALUES ${new Array(rows).fill(marks).join(', ')}`;
  if (!overwrite) return insert;
  const others = names.filter((_, i) => !key.includes(i)).map((name) => `${name} = excluded.${name}`);
  return `${insert} ON CONFLICT (${key.map((position) => names[position]).join(', ')}) DO ${others.length > 0 ? `UPDATE SET ${others.join(', ')}` : 'NOTHING'}`;
}

function binder({ source, target }: Mapping): (row: Row) => readonly Native[] | Unfit {
  const binders = source.columns.map(({ type }, i) => valueBinder(type, target.columns[i].native));
  const bind = (row: Row): Native[] => {
    const values = new Array<Native>(binders.length);
    for (let i = 0; i < binders.length; i++) values[i] = binders[i](row[i]);
    return values;
  };
  return (row) => {
    try {
      return bind(row);
    } catch (error) {
      if (error instanceof Unfit) return error;
      throw error;
    }
  };
}
