import { setImmediate } from 'node:timers/promises';
import type { Change, Column, LaneWork, LogRow, Mapping, Rejected, Value } from '../../contract.js';
import { applyFolded, applyInOrder, type Folded, type InOrder } from '../../destination/changes.js';
import { told, type Step } from '../../destination/fold.js';
import { readTable } from './catalogue.js';
import { laneNoted, noteLane, rejectedOf } from './progress.js';
import { ConstraintFailure, quoted, type Native, type Session } from './session.js';
import { Unfit, valueBinder } from './types.js';
import { deleteKeys, insertRows } from './write.js';

/** Milliseconds of work after which others get their turn. */
const turn = 15;

/** Where rows are changed one by one: the statement, its values, and the row for the reject file. */
type ChangeOne = (sql: string, values: () => readonly Native[], row: LogRow) => Promise<readonly Rejected[]>;

/** The changes and the lane's place, in the open transaction. A place that is there already is left as it is. */
export async function apply(session: Session, run: string, work: LaneWork, signal: AbortSignal): Promise<readonly Rejected[]> {
  const known = laneNoted(session, run, work);
  if (known) return known;
  const rejected: Rejected[] = [];
  for (const { mapping, changes } of work.tables) {
    const one = oneByOne(session, mapping, signal), { key } = mapping.target;
    rejected.push(...await (key.length > 0 ? applyFolded(changes, key, folding(session, mapping, one)) : applyInOrder(changes, inOrder(session, mapping, one))));
  }
  noteLane(session, run, work, rejected);
  return rejected;
}

function folding(session: Session, mapping: Mapping, one: ChangeOne): Folded {
  return {
    begin: () => session.exec('SAVEPOINT folded'),
    keep: () => session.exec('RELEASE folded'),
    undo: () => session.exec('ROLLBACK TO folded; RELEASE folded'),
    step: (step) => applyStep(session, mapping, step, one),
    hasOtherUnique: () => hasOtherUnique(session, mapping),
  };
}

function inOrder(session: Session, mapping: Mapping, one: ChangeOne): InOrder {
  const { source, target } = mapping, { rowid, key } = readTable(session, target.name)!, place = rowid ?? key.map(quoted).join(', ');
  return {
    insert: async (rows) => rejectedOf(source.namespace, [rows], await insertRows(session, mapping, [rows], { table: target.name, overwrite: false })),
    truncate: () => clear(session, mapping),
    one: (change) => changeOne(mapping, change, place, one),
  };
}

/** An INTEGER PRIMARY KEY has no index of its own. */
function hasOtherUnique(session: Session, { target }: Mapping): boolean {
  return session.get("SELECT 1 FROM pragma_index_list(?) WHERE \"unique\" = 1 AND origin <> 'pk'", [target.name]) !== undefined;
}

async function applyStep(session: Session, mapping: Mapping, { truncate, deletes, upserts, updates, move }: Step, one: ChangeOne): Promise<readonly Rejected[]> {
  const { source, target } = mapping, { key } = target, rejected: Rejected[] = [];
  const isKey = key.map((i) => `${quoted(target.columns[i].name)} = ?`).join(' AND ');
  if (truncate) clear(session, mapping);
  deleteKeys(session, mapping, deletes);
  rejected.push(...rejectedOf(source.namespace, [upserts], await insertRows(session, mapping, [upserts], { table: target.name, overwrite: true })));
  for (const { columns, rows } of updates) {
    const sql = `UPDATE ${quoted(target.name)} SET ${columns.map((i) => `${quoted(target.columns[i].name)} = ?`).join(', ')} WHERE ${isKey}`;
    for (const row of rows) rejected.push(...await one(sql, () => bound(mapping, [...columns, ...key], row), row));
  }
  if (move) {
    const { from, row } = move, old: LogRow = target.columns.map((_, i) => from[key.indexOf(i)]);
    const sql = `UPDATE ${quoted(target.name)} SET ${assignments(mapping, row)} WHERE ${isKey}`;
    rejected.push(...await one(sql, () => [...bound(mapping, toldOf(row), row), ...bound(mapping, key, old)], row));
  }
  return rejected;
}

function clear(session: Session, { target }: Mapping): void {
  session.exec(`DELETE FROM ${quoted(target.name)}`);
}

/** Of the rows that are equal to `before` one changes, or goes. `place`: what tells one from the other. */
async function changeOne(mapping: Mapping, change: Extract<Change, { kind: 'update' | 'delete' }>, place: string, one: ChangeOne): Promise<readonly Rejected[]> {
  const { target } = mapping, row = change.kind === 'delete' ? change.before : change.row, before = change.before ?? row;
  const table = quoted(target.name), equal = toldOf(before).map((i) => isSame(target.columns[i])).join(' AND ');
  const where = `WHERE (${place}) = (SELECT ${place} FROM ${table} WHERE ${equal} LIMIT 1)`;
  const asked = () => toldOf(before).flatMap((i) => repeated(target.columns[i], bound(mapping, [i], before)));
  if (change.kind === 'delete') return one(`DELETE FROM ${table} ${where}`, asked, row);
  return one(`UPDATE ${table} SET ${assignments(mapping, row)} ${where}`, () => [...bound(mapping, toldOf(row), row), ...asked()], row);
}

/**
 * Holds the column the very value? Texts are compared byte by byte, whatever the column's collation. Where any type may stand,
 * 1 and 1.0 are two values. What can't be told apart: 0.0 and -0.0.
 */
function isSame({ name, type }: Column): string {
  return `${quoted(name)} IS ? COLLATE BINARY${type.kind === 'any' ? ` AND typeof(${quoted(name)}) = typeof(?)` : ''}`;
}

function repeated({ type }: Column, values: readonly Native[]): readonly Native[] {
  return type.kind === 'any' ? [...values, ...values] : values;
}

/** Positions of the cells that the log told. */
function toldOf(row: LogRow): number[] {
  return [...row.keys()].filter((i) => row[i] !== undefined);
}

function assignments({ target }: Mapping, row: LogRow): string {
  return toldOf(row).map((i) => `${quoted(target.columns[i].name)} = ?`).join(', ');
}

function bound({ source, target }: Mapping, positions: readonly number[], row: LogRow): Native[] {
  return positions.map((i) => valueBinder(source.columns[i].type, target.columns[i].native)(row[i] as Value));
}

/** Others get their turn in between: the caller keeps them from the session. */
function oneByOne(session: Session, { source }: Mapping, signal: AbortSignal): ChangeOne {
  let since = performance.now();
  return async (sql, values, row) => {
    if (performance.now() - since > turn) {
      await setImmediate();
      signal.throwIfAborted();
      since = performance.now();
    }
    try {
      session.insert(sql, values());
      return [];
    } catch (error) {
      if (!(error instanceof ConstraintFailure || error instanceof Unfit)) throw error;
      return [{ namespace: source.namespace, ...told(row), reason: error.message }];
    }
  };
}
