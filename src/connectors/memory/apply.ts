import type { Change, LaneWork, LogPlace, LogRow, Mapping, Rejected, Row, Value } from '../../contract.js';
import { fold, isFull, type Step } from '../../destination/fold.js';
import { spellKey } from '../../source/keys.js';
import { keyOf, projection, put, tableOf, type Run, type Store, type Table } from './store.js';

/** The lanes' places of each run, for as long as its mark stands. */
const lanes = new WeakMap<Run, Map<number, LogPlace>>();

export function lanesOf(mark: Run | undefined): ReadonlyMap<number, LogPlace> {
  return new Map(mark && lanes.get(mark));
}

/** The changes and the lane's place, in one synchronous step: nobody sees one without the other. */
export function apply(store: Store, mark: Run, { lane, place, tables }: LaneWork): readonly Rejected[] {
  const known = lanes.get(mark)?.get(lane);
  if (known?.position === place.position && known.changes === place.changes) return [];
  for (const { mapping, changes } of tables) {
    if (mapping.target.key.length === 0) applyInOrder(store, mapping, changes);
    else for (const step of fold(changes, mapping.target.key)) applyStep(store, mapping, step);
  }
  lanes.set(mark, new Map([...lanes.get(mark) ?? [], [lane, place]]));
  return [];
}

function applyStep(store: Store, { target }: Mapping, { truncate, deletes, upserts, updates, move }: Step): void {
  const table = tableOf(store, target), own = projection(target, table.shape);
  const change = (from: string, row: LogRow) => {
    const old = table.rows.get(from);
    table.rows.delete(from);
    if (old) put(table, changed(table, old, target, row));
  };
  if (truncate) table.rows.clear();
  for (const key of deletes) table.rows.delete(spellKey(key));
  for (const row of upserts) put(table, own(row));
  for (const row of updates.flatMap(({ rows }) => rows)) change(spellKey(keyOf(target, row as Row)), row);
  if (move) change(spellKey(move.from), move.row);
}

/** A table without a key: of the rows that are equal to `before` one changes, or goes. */
function applyInOrder(store: Store, { target }: Mapping, changes: readonly Change[]): void {
  const table = tableOf(store, target), own = projection(target, table.shape), shown = projection(table.shape, target);
  for (const change of changes) {
    if (change.kind === 'truncate') table.rows.clear();
    else if (change.kind === 'insert') put(table, own(change.row));
    else {
      const before = change.kind === 'delete' ? change.before : change.before ?? change.row;
      const found = [...table.rows].find(([, row]) => isSame(shown(row), before));
      if (!found) continue;
      if (change.kind === 'delete') table.rows.delete(found[0]);
      else table.rows.set(found[0], changed(table, found[1], target, change.row));
    }
  }
}

/** The row with the cells that the log tells. */
function changed({ shape }: Table, old: Row, target: Mapping['target'], row: LogRow): Row {
  const from = shape.columns.map(({ name }) => target.columns.findIndex((column) => column.name === name));
  return old.map((cell, i) => row[from[i]] ?? (row[from[i]] === null ? null : cell));
}

function isSame(row: Row, before: LogRow): boolean {
  if (isFull(before)) return spellKey(row) === spellKey(before);
  return before.every((cell, i) => cell === undefined || spellKey([cell as Value]) === spellKey([row[i]]));
}
