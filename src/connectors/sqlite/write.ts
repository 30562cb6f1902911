import { setImmediate } from 'node:timers/promises';
import type { Mapping, Row } from '../../contract.js';
import { hasOwnUnique } from './objects.js';
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
 * Inserts rows, which come some at a time, in the open transaction, and returns those that SQLite can't hold or that the
 * table's constraints refuse. Others get their turn in between: the caller must keep them from the session.
 */
export async function insertRows(session: Session, mapping: Mapping, slices: Iterable<readonly Row[]>, into: Into): Promise<Refusal[]> {
  const insert = inserter(session, mapping, into), refused: Refusal[] = [];
  const many = Math.max(1, Math.floor(valuesAtOnce / mapping.target.columns.length));
  let since = performance.now(), before = 0;
  for (const rows of slices) {
    for (let start = 0; start < rows.length; start += many) {
      for (const { index, reason } of insert(rows, start, Math.min(rows.length, start + many))) refused.push({ index: before + index, reason });
      if (performance.now() - since > turn) {
        await setImmediate();
        since = performance.now();
      }
    }
    before += rows.length;
  }
  return refused;
}

export function deleteKeys(session: Session, { target }: Mapping, keys: readonly Row[]): void {
  const columns = target.key.map((position) => target.columns[position]);
  const binders = columns.map(({ type, native }) => valueBinder(type, native));
  const sql = `DELETE FROM ${quoted(target.name)} WHERE ${columns.map(({ name }) => `${quoted(name)} = ?`).join(' AND ')}`;
  for (const key of keys) session.run(sql, key.map((cell, i) => binders[i](cell)));
}

/** Inserts rows [start, end) by one statement; where one of them is at fault, halves tell which. */
function inserter(session: Session, mapping: Mapping, into: Into): (rows: readonly Row[], start: number, end: number) => Refusal[] {
  const bind = binder(mapping), statements = new Map<number, string>();
  const statement = (rows: number): string => {
    const sql = statements.get(rows) ?? insertStatement(mapping, into, rows);
    statements.set(rows, sql);
    return sql;
  };
  const insert = (rows: readonly Row[], start: number, end: number): Refusal[] => {
    try {
      session.insert(statement(end - start), bind(rows, start, end));
      return [];
    } catch (error) {
      if (!(error instanceof ConstraintFailure || error instanceof Unfit)) throw error;
      if (end - start === 1) return [{ index: start, reason: error.message }];
      const middle = (start + end) >> 1;
      return [...insert(rows, start, middle), ...insert(rows, middle, end)];
    }
  };
  return insert;
}

/** A row that another constraint would keep out takes the place of the one that is in its way: that one is mended in its turn. */
function insertStatement(mapping: Mapping, { table, overwrite }: Into, rows: number): string {
  const { columns, key } = mapping.target;
  const names = columns.map(({ name }) => quoted(name));
  const marks = `(${names.map(() => '?').join(', ')})`;
  const insert = `INSERT ${overwrite && hasOwnUnique(mapping) ? 'OR REPLACE ' : ''}INTO ${quoted(table)} (${names.join(', ')}) VALUES ${new Array(rows).fill(marks).join(', ')}`;
  if (!overwrite || hasOwnUnique(mapping)) return insert;
  const others = names.filter((_, i) => !key.includes(i)).map((name) => `${name} = excluded.${name}`);
  return `${insert} ON CONFLICT (${key.map((position) => names[position]).join(', ')}) DO ${others.length > 0 ? `UPDATE SET ${others.join(', ')}` : 'NOTHING'}`;
}

/** The cells of rows [start, end), one after the other. */
function binder({ source, target }: Mapping): (rows: readonly Row[], start: number, end: number) => Native[] {
  const binders = source.columns.map(({ type }, i) => valueBinder(type, target.columns[i].native)), width = binders.length;
  return (rows, start, end) => {
    const values = new Array<Native>((end - start) * width);
    for (let row = start, at = 0; row < end; row++) {
      for (let i = 0; i < width; i++) values[at++] = binders[i](rows[row][i]);
    }
    return values;
  };
}
