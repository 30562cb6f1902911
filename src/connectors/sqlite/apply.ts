import { setImmediate } from 'node:timers/promises';
import type { Change, Column, LaneWork, LogRow, Mapping, Rejected, Row, Value } from '../../contract.js';
import { fold, told, type Step } from '../../destination/fold.js';
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
    rejected.push(...await (mapping.target.key.length > 0 ? applyFolded : applyInOrder)(session, mapping, changes, oneByOne(session, mapping, signal)));
  }
  noteLane(session, run, work, rejected);
  return rejected;
}

/**
 * Where another unique index stands, a row may be in the way of one that comes before it in no order of folded rows: halves
 * of the changes are tried then, down to one change, which is what the source did.
 */
async function applyFolded(session: Session, mapping: Mapping, changes: readonly Change[], one: ChangeOne): Promise<readonly Rejected[]> {
  const rejected: Rejected[] = [];
  session.exec('SAVEPOINT folded');
  for (const step of fold(changes, mapping.target.key)) rejected.push(...await applyStep(session, mapping, step, one));
  const settled = rejected.length === 0 || changes.length === 1 || !hasOtherUnique(session, mapping);
  session.exec(settled ? 'RELEASE folded' : 'ROLLBACK TO folded; RELEASE folded');
  if (settled) return rejected;
  const middle = changes.length >> 1;
  return [...await applyFolded(session, mapping, changes.slice(0, middle), one), ...await applyFolded(session, mapping, changes.slice(middle), one)];
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

/** A table without a key: runs of inserts at once, the others one by one. */
async function applyInOrder(session: Session, mapping: Mapping, changes: readonly Change[], one: ChangeOne): Promise<readonly Rejected[]> {
  const rejected: Rejected[] = [], inserts: Row[] = [], { namespace } = mapping.source, { rowid, key } = readTable(session, mapping.target.name)!;
  const insert = async () => {
    const rows = inserts.splice(0);
    rejected.push(...rejectedOf(namespace, [rows], await insertRows(session, mapping, [rows], { table: mapping.target.name, overwrite: false })));
  };
  for (const change of changes) {
    if (change.kind !== 'insert') await insert();
    switch (change.kind) {
      case 'insert': inserts.push(change.row); break;
      case 'truncate': clear(session, mapping); break;
      case 'update': case 'delete': rejected.push(...await changeOne(mapping, change, rowid ?? key.map(quoted).join(', '), one)); break;
      default: change satisfies never;
    }
  }
  await insert();
  return rejected;
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
      return [{ namespace: source.namespace, row: told(row), reason: error.message }];
    }
  };
}
