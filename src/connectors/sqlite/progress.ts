import type { Barrier, Batch, LanePlace, LaneWork, ProgressRow, Rejected, Row, Task } from '../../contract.js';
import { parseRejected, spellRejected } from '../../destination/fold.js';
import { DsyncError } from '../../errors.js';
import type { Session } from './session.js';

/*
 * What dsync keeps in the destination: a mark per run, whose epoch grows with each process that takes the run, and a row
 * per batch in the transaction of its rows, or per lane in the transaction of its changes.
 */

/** A rejected row by its place in the batch, so that a redo can tell of it again. */
export interface Refusal { readonly index: number; readonly reason: string }

export function createProgress(session: Session): void {
  session.exec('CREATE TABLE IF NOT EXISTS _dsync_run (run TEXT PRIMARY KEY NOT NULL, epoch INTEGER NOT NULL)');
  session.exec(`CREATE TABLE IF NOT EXISTS _dsync_progress (
    run TEXT NOT NULL, task TEXT NOT NULL, sequence INTEGER NOT NULL, cursor TEXT, "rows" INTEGER NOT NULL, done INTEGER NOT NULL, refused TEXT,
    PRIMARY KEY (run, task, sequence, done)) WITHOUT ROWID`);
  session.exec('CREATE TABLE IF NOT EXISTS _dsync_lane (run TEXT NOT NULL, lane INTEGER NOT NULL, position TEXT NOT NULL, changes INTEGER NOT NULL, refused TEXT, PRIMARY KEY (run, lane)) WITHOUT ROWID');
}

/** Takes the run for the caller: its epoch, which an earlier process does not have. */
export function takeRun(session: Session, run: string): bigint {
  const [epoch] = session.get('INSERT INTO _dsync_run VALUES (?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING epoch', [run])!;
  return epoch as bigint;
}

/** Fails with `busy` if another process has taken the run, with `refused` if its mark is gone. */
export function ensureOwned(session: Session, run: string, epoch: bigint | undefined): void {
  const found = epochOf(session, run);
  if (found === undefined) {
    throw new DsyncError('refused', `run ${run} is not in ${session.file.path} any more: the destination was emptied or replaced`, { remedy: 'start anew with dsync sync' });
  }
  if (found !== epoch) throw new DsyncError('busy', `another process has taken run ${run}`);
}

export function progressOf(session: Session, run: string): ProgressRow[] | undefined {
  if (epochOf(session, run) === undefined) return undefined;
  const rows = session.all('SELECT task, sequence, cursor, "rows", done FROM _dsync_progress WHERE run = ? ORDER BY task, sequence', [run]);
  return rows.map(([task, sequence, cursor, count, done]) => ({
    task: String(task), sequence: Number(sequence), rows: Number(count), done: done === 1n, ...(cursor !== null && { cursor: String(cursor) }),
  }));
}

/** What became of a batch that may have been sent before. */
export function fateOf(session: Session, run: string, { task, sequence }: Batch): { readonly written: number; readonly refused: readonly Refusal[] } | undefined {
  const found = session.get('SELECT "rows", refused FROM _dsync_progress WHERE run = ? AND task = ? AND sequence = ? AND done = 0', [run, task, BigInt(sequence)]);
  return found && { written: Number(found[0]), refused: found[1] === null ? [] : JSON.parse(String(found[1])) };
}

export function remember(session: Session, run: string, { task, sequence, cursor, count }: Batch, refused: readonly Refusal[]): void {
  session.run('INSERT OR REPLACE INTO _dsync_progress VALUES (?, ?, ?, ?, ?, 0, ?)', [
    run, task, BigInt(sequence), cursor ?? null, BigInt(count - refused.length), refused.length > 0 ? JSON.stringify(refused) : null,
  ]);
}

export function rememberDone(session: Session, run: string, { task, sequence, rows }: Barrier): void {
  session.run('DELETE FROM _dsync_progress WHERE run = ? AND task = ?', [run, task]);
  session.run('INSERT INTO _dsync_progress VALUES (?, ?, ?, NULL, ?, 1, NULL)', [run, task, BigInt(sequence), BigInt(rows)]);
}

export function anyDone(session: Session, run: string, tasks: readonly Task[]): boolean {
  return tasks.some(({ id }) => session.get('SELECT 1 FROM _dsync_progress WHERE run = ? AND task = ? AND done = 1', [run, id]) !== undefined);
}

export function forgetTasks(session: Session, run: string, tasks: readonly Task[]): void {
  for (const { id } of tasks) session.run('DELETE FROM _dsync_progress WHERE run = ? AND task = ?', [run, id]);
}

/** If the place of the work is there already, all up to it is: what was rejected then. */
export function laneNoted(session: Session, run: string, { lane, place }: LaneWork): readonly Rejected[] | undefined {
  const found = session.get('SELECT refused FROM _dsync_lane WHERE run = ? AND lane = ? AND position = ? AND changes = ?', [run, BigInt(lane), place.position, BigInt(place.changes)]);
  return found && parseRejected(found[0] as string | null);
}

export function noteLane(session: Session, run: string, { lane, place }: LaneWork, rejected: readonly Rejected[]): void {
  session.run('INSERT OR REPLACE INTO _dsync_lane VALUES (?, ?, ?, ?, ?)', [run, BigInt(lane), place.position, BigInt(place.changes), rejected.length > 0 ? spellRejected(rejected) : null]);
}

export function lanesOf(session: Session, run: string): ReadonlyMap<number, LanePlace> {
  if (!hasLanes(session)) return new Map();
  const rows = session.all('SELECT lane, position, changes, refused FROM _dsync_lane WHERE run = ? ORDER BY lane', [run]);
  return new Map(rows.map(([lane, position, changes, rejected]) => [Number(lane), { position: String(position), changes: Number(changes), ...(rejected !== null && { rejected: parseRejected(String(rejected)) }) }]));
}

/** Drops the tables with the last run. */
export function forgetRun(session: Session, run: string): void {
  if (!hasProgress(session)) return;
  session.run('DELETE FROM _dsync_progress WHERE run = ?', [run]);
  if (hasLanes(session)) session.run('DELETE FROM _dsync_lane WHERE run = ?', [run]);
  session.run('DELETE FROM _dsync_run WHERE run = ?', [run]);
  if (session.get('SELECT 1 FROM _dsync_run') === undefined) session.exec('DROP TABLE _dsync_progress; DROP TABLE IF EXISTS _dsync_lane; DROP TABLE _dsync_run');
}

/** The refused of the rows, which come some at a time. */
export function rejectedOf(namespace: string, slices: Iterable<readonly Row[]>, refused: readonly Refusal[]): Rejected[] {
  if (refused.length === 0) return [];
  const rows = [...slices].flat();
  return refused.map(({ index, reason }) => ({ namespace, row: rows[index], reason }));
}

function epochOf(session: Session, run: string): bigint | undefined {
  return hasProgress(session) ? (session.get('SELECT epoch FROM _dsync_run WHERE run = ?', [run])?.[0] as bigint | undefined) : undefined;
}

/** A file that was begun before there were lanes lacks their table. */
function hasLanes(session: Session): boolean {
  return session.get("SELECT 1 FROM sqlite_schema WHERE name = '_dsync_lane'") !== undefined;
}

function hasProgress(session: Session): boolean {
  return session.get("SELECT 1 FROM sqlite_schema WHERE name = '_dsync_run'") !== undefined;
}
