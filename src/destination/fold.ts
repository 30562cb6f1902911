import type { Change, LogRow, Rejected, Row, Value } from '../contract.js';
import { parseKey, spellKey } from '../source/keys.js';

/**
 * Writes that leave a table with a key as its changes would have, one after the other: every key is named once. First
 * `truncate`, then the deletes, the upserts and the updates, in any order among themselves but in theirs of the last change
 * of each key; `move` last.
 */
export interface Step {
  /** The table is emptied first. */
  readonly truncate: boolean;
  /** Key cells, in key order. */
  readonly deletes: readonly Row[];
  readonly upserts: readonly Row[];
  readonly updates: readonly Updates[];
  readonly move?: Move;
}

/** Rows of which only these columns change, found by their key cells. One that is not there stays away. */
export interface Updates { readonly columns: readonly number[]; readonly rows: readonly LogRow[] }

/** A row goes to another key, with cells that only the destination has. One that is not there stays away. */
export interface Move { readonly from: Row; readonly row: LogRow }

/**
 * Folds the changes of one table, whose key has these positions. One step takes them all, unless a row moves to another
 * key with cells that the log does not repeat: that ends a step.
 */
export function fold(changes: readonly Change[], key: readonly number[]): readonly Step[] {
  const steps: Step[] = [];
  let open = opened(key, false);
  for (const change of changes) {
    switch (change.kind) {
      case 'insert': open.put(change.row); break;
      case 'delete': open.remove(cellsAt(change.before, key)); break;
      case 'truncate':
        steps.length = 0;
        open = opened(key, true);
        break;
      case 'update': {
        const move = open.update(change.row, change.before);
        if (!move) break;
        steps.push({ ...open.step(), move });
        open = opened(key, false);
        break;
      }
      default: change satisfies never;
    }
  }
  const last = open.step();
  return isIdle(last) ? steps : [...steps, last];
}

export function isFull(row: LogRow): row is Row {
  return !row.includes(undefined);
}

/** As it stands in a reject file: what the log did not tell is null. */
export function told(row: LogRow): Pick<Rejected, 'row' | 'partial'> {
  return isFull(row) ? { row } : { row: row.map((cell) => cell ?? null), partial: true };
}

/** Rejected rows as text that a destination can keep, for a call that is made again. */
export function spellRejected(rejected: readonly Rejected[]): string {
  return JSON.stringify(rejected.map(({ namespace, row, reason, partial }) => [namespace, spellKey(row), reason, ...(partial ? [partial] : [])]));
}

export function parseRejected(text: string | null | undefined): readonly Rejected[] {
  return (JSON.parse(text ?? '[]') as [string, string, string, true?][]).map(([namespace, row, reason, partial]) => ({ namespace, row: parseKey(row), reason, ...(partial && { partial }) }));
}

type Entry = { readonly kind: 'upsert'; readonly row: Row } | { readonly kind: 'update'; readonly row: LogRow } | { readonly kind: 'delete'; readonly key: Row };

/** A step that still takes changes. `truncate`: nothing is in the table but what comes. */
function opened(key: readonly number[], truncate: boolean) {
  const entries = new Map<Name, Entry>();
  const nameOf = namer(key.length);
  /** What stands in the destination for a key that no entry names is unknown, unless the table was emptied. */
  const isGone = (entry: Entry | undefined) => (entry ? entry.kind === 'delete' : truncate);
  /** The order is that of the last changes: a unique value is let go before it is taken. */
  const set = (name: Name, entry: Entry) => {
    entries.delete(name);
    entries.set(name, entry);
  };
  const remove = (cells: Row) => {
    const name = nameOf(cells);
    if (truncate) entries.delete(name);
    else set(name, { kind: 'delete', key: cells });
  };
  const put = (row: Row) => set(nameOf(cellsAt(row, key)), { kind: 'upsert', row });

  function update(changed: LogRow, before: LogRow | undefined): Move | undefined {
    const row = before ? withKey(changed, before, key) : changed;
    const cells = cellsAt(row, key), from = before ? cellsAt(before, key) : cells;
    const name = nameOf(cells), known = entries.get(nameOf(from)), moves = before !== undefined && nameOf(from) !== name;
    const whole = known?.kind === 'upsert' ? merged(known.row, row) : row;
    if (isFull(whole)) {
      if (moves) remove(from);
      put(whole);
    } else if (isGone(known)) return undefined;
    else if (moves) return { from, row: whole };
    else set(name, { kind: 'update', row: known?.kind === 'update' ? merged(known.row, row) : row });
    return undefined;
  }

  return { put, remove, update, step: () => stepOf(truncate, entries.values(), key) };
}

function stepOf(truncate: boolean, entries: Iterable<Entry>, key: readonly number[]): Step {
  const deletes: Row[] = [], upserts: Row[] = [], updates = new Map<string, { columns: number[]; rows: LogRow[] }>();
  for (const entry of entries) {
    switch (entry.kind) {
      case 'delete': deletes.push(entry.key); break;
      case 'upsert': upserts.push(entry.row); break;
      case 'update': {
        const columns = [...entry.row.keys()].filter((i) => entry.row[i] !== undefined && !key.includes(i)), name = columns.join();
        const group = updates.get(name) ?? { columns, rows: [] };
        if (columns.length > 0) updates.set(name, group);
        group.rows.push(entry.row);
        break;
      }
      default: entry satisfies never;
    }
  }
  return { truncate, deletes, upserts, updates: [...updates.values()] };
}

function isIdle({ truncate, deletes, upserts, updates }: Step): boolean {
  return !truncate && deletes.length + upserts.length + updates.length === 0;
}

/** What tells keys apart: most are one cell, which is its own name. */
type Name = Value;

function namer(cells: number): (key: Row) => Name {
  return cells === 1 ? ([cell]) => (cell instanceof Uint8Array ? spellKey([cell]) : cell) : spellKey;
}

function cellsAt(row: LogRow, positions: readonly number[]): Row {
  return positions.map((position) => row[position] as Value);
}

function merged(under: Row, over: LogRow): Row;
function merged(under: LogRow, over: LogRow): LogRow;
function merged(under: LogRow, over: LogRow): LogRow {
  return over.map((cell, i) => (cell === undefined ? under[i] : cell));
}

/** Key cells that the log does not repeat are those from before. */
function withKey(row: LogRow, before: LogRow, key: readonly number[]): LogRow {
  return key.some((i) => row[i] === undefined) ? row.map((cell, i) => (cell === undefined && key.includes(i) ? before[i] : cell)) : row;
}
