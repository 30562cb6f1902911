import type { Barrier, Batch, LanePlace, LaneWork, ProgressRow, Rejected } from '../../contract.js';
import { parseRejected, spellRejected } from '../../destination/fold.js';
import { DsyncError } from '../../errors.js';
import { errnoOf } from './faults.js';
import { quote, tableName, type Session } from './session.js';

/*
 * dsync's own tables in the target database. `_dsync_run` holds a row a run with its epoch: every write shares that row
 * until it commits, and `begin` needs it alone, so a new process waits for the writes of an earlier one and shuts it out.
 * `_dsync_progress` holds a row for each batch and finished task (`kind` batch), and one for each swap of a staging table
 * (`kind` swap): DDL commits by itself, so a swap is announced before it and noted after it. `_dsync_lane` holds a row a lane.
 */

export interface Ledger {
  readonly runs: string;
  readonly rows: string;
  readonly lanes: string;
}

/** One run's hold on the destination, as one session sees it. */
export interface Hold {
  readonly ledger: Ledger;
  readonly run: string;
  readonly epoch: number | undefined;
  readonly session: Session;
  readonly signal: AbortSignal;
}

const missingTable = 1146, missingDatabase = 1049;

export function ledgerIn(schema: string): Ledger {
  return { runs: tableName(schema, '_dsync_run'), rows: tableName(schema, '_dsync_progress'), lanes: tableName(schema, '_dsync_lane') };
}

export async function begin(ledger: Ledger, run: string, session: Session, signal: AbortSignal): Promise<number> {
  await session.run(`CREATE TABLE IF NOT EXISTS ${ledger.runs} (run VARCHAR(100) NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL, begun DATETIME NOT NULL) ${own}`, signal);
  await session.run(`CREATE TABLE IF NOT EXISTS ${ledger.rows} (run VARCHAR(100) NOT NULL, kind VARCHAR(10) NOT NULL, task VARCHAR(500) NOT NULL, sequence BIGINT NOT NULL,
    cursor_text LONGTEXT, row_count BIGINT NOT NULL, done TINYINT NOT NULL, rejects LONGTEXT, PRIMARY KEY (run, kind, task, sequence)) ${own}`, signal);
  await session.run(`CREATE TABLE IF NOT EXISTS ${ledger.lanes} (run VARCHAR(100) NOT NULL, lane INT NOT NULL, position_text LONGTEXT NOT NULL, changes BIGINT NOT NULL, rejects LONGTEXT,
    PRIMARY KEY (run, lane)) ${own}`, signal);
  await session.run('START TRANSACTION', signal);
  await session.run(`INSERT INTO ${ledger.runs} VALUES (${quote(run)}, 1, NOW()) ON DUPLICATE KEY UPDATE epoch = epoch + 1`, signal);
  const [[epoch]] = await session.rows(`SELECT epoch FROM ${ledger.runs} WHERE run = ${quote(run)}`, signal);
  await session.run('COMMIT', signal);
  return Number(epoch);
}

const own = 'ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin';

/** Shares the run's mark until the transaction ends; fails with `busy` if another process has taken the run. */
export async function fence(ledger: Ledger, run: string, epoch: number | undefined, session: Session, signal: AbortSignal): Promise<void> {
  const [row] = await session.rows(`SELECT epoch FROM ${ledger.runs} WHERE run = ${quote(run)} LOCK IN SHARE MODE`, signal).catch(orNothing);
  if (!row || Number(row[0]) !== epoch) throw new DsyncError('busy', `run ${run} was taken over or cleaned up by another process`);
}

export async function progress(ledger: Ledger, run: string, session: Session, signal: AbortSignal): Promise<readonly ProgressRow[] | undefined> {
  const mark = await session.rows(`SELECT 1 FROM ${ledger.runs} WHERE run = ${quote(run)}`, signal).catch(orNothing);
  if (mark.length === 0) return undefined;
  const rows = await session.rows(`SELECT task, sequence, cursor_text, row_count, done FROM ${ledger.rows} WHERE run = ${quote(run)} AND kind = 'batch' ORDER BY task, sequence`, signal).catch(orNothing);
  return rows.map(([task, sequence, cursor, count, done]) => ({
    task: task!, sequence: Number(sequence), rows: Number(count), done: done === '1', ...(cursor !== null && { cursor }),
  }));
}

/** What became of a batch that was sent before: the lines that were rejected with their reasons, or undefined if it never landed. */
export async function recorded(ledger: Ledger, run: string, batch: Batch, session: Session, signal: AbortSignal): Promise<ReadonlyMap<number, string> | undefined> {
  const [row] = await session.rows(`SELECT rejects FROM ${ledger.rows} WHERE run = ${quote(run)} AND kind = 'batch' AND task = ${quote(batch.task)} AND sequence = ${batch.sequence}`, signal);
  return row && new Map(row[0] === null ? [] : JSON.parse(row[0]) as [number, string][]);
}

export async function record(ledger: Ledger, run: string, batch: Batch, rejects: ReadonlyMap<number, string>, session: Session, signal: AbortSignal): Promise<void> {
  const cursor = batch.cursor === undefined ? 'NULL' : quote(batch.cursor);
  const reasons = rejects.size === 0 ? 'NULL' : quote(spelledRejects(rejects));
  await session.run(`REPLACE INTO ${ledger.rows} VALUES (${quote(run)}, 'batch', ${quote(batch.task)}, ${batch.sequence}, ${cursor}, ${batch.count - rejects.size}, 0, ${reasons})`, signal);
}

/** The reasons stand there for a redo only: in a heap of rejects they are left out, for the sake of `max_allowed_packet`. */
function spelledRejects(rejects: ReadonlyMap<number, string>): string {
  const whole = JSON.stringify([...rejects]);
  return whole.length < mostReasons ? whole : JSON.stringify([...rejects.keys()].map((line) => [line, 'rejected when the batch was first written']));
}

const mostReasons = 4 << 20;

export async function recordDone(ledger: Ledger, run: string, { task, sequence, rows }: Barrier, session: Session, signal: AbortSignal): Promise<void> {
  await session.run(`DELETE FROM ${ledger.rows} WHERE run = ${quote(run)} AND kind = 'batch' AND task = ${quote(task)}`, signal);
  await session.run(`INSERT INTO ${ledger.rows} VALUES (${quote(run)}, 'batch', ${quote(task)}, ${sequence}, NULL, ${rows}, 1, NULL)`, signal);
}

export async function dropTasks(ledger: Ledger, run: string, tasks: readonly string[], session: Session, signal: AbortSignal): Promise<void> {
  if (tasks.length > 0) await session.run(`DELETE FROM ${ledger.rows} WHERE run = ${quote(run)} AND kind = 'batch' AND task IN (${tasks.map(quote).join(', ')})`, signal);
}

/** If the place of the work is there already, all up to it is: what was rejected then. */
export async function laneNoted({ ledger, run, session, signal }: Hold, { lane, place }: LaneWork): Promise<readonly Rejected[] | undefined> {
  const [row] = await session.rows(`SELECT position_text, changes, rejects FROM ${ledger.lanes} WHERE run = ${quote(run)} AND lane = ${lane}`, signal);
  return row && row[0] === place.position && Number(row[1]) === place.changes ? parseRejected(row[2]) : undefined;
}

export async function noteLane({ ledger, run, session, signal }: Hold, { lane, place }: LaneWork, rejected: readonly Rejected[]): Promise<void> {
  const reasons = rejected.length === 0 ? 'NULL' : quote(spellRejected(rejected));
  await session.run(`REPLACE INTO ${ledger.lanes} VALUES (${quote(run)}, ${lane}, ${quote(place.position)}, ${place.changes}, ${reasons})`, signal);
}

export async function lanes(ledger: Ledger, run: string, session: Session, signal: AbortSignal): Promise<ReadonlyMap<number, LanePlace>> {
  const rows = await session.rows(`SELECT lane, position_text, changes, rejects FROM ${ledger.lanes} WHERE run = ${quote(run)} ORDER BY lane`, signal).catch(orNothing);
  return new Map(rows.map(([lane, position, changes, rejects]) => [Number(lane), { position: position!, changes: Number(changes), ...(rejects !== null && { rejected: parseRejected(rejects) }) }]));
}

/** How far a staging table is on its way to become the target. `ours`: the target that stands was made by this run. */
export interface Swap { readonly state: 'none' | 'announced' | 'done'; readonly ours: boolean }

export async function swapOf(ledger: Ledger, run: string, namespace: string, session: Session, signal: AbortSignal): Promise<Swap> {
  const [row] = await session.rows(`SELECT sequence, row_count FROM ${ledger.rows} WHERE run = ${quote(run)} AND kind = 'swap' AND task = ${quote(namespace)}`, signal);
  return row === undefined ? { state: 'none', ours: false } : { state: swapStates[Number(row[0])], ours: row[1] === '1' };
}

export async function noteSwap(ledger: Ledger, run: string, namespace: string, { state, ours }: Swap, session: Session, signal: AbortSignal): Promise<void> {
  await session.run(`DELETE FROM ${ledger.rows} WHERE run = ${quote(run)} AND kind = 'swap' AND task = ${quote(namespace)}`, signal);
  await session.run(`INSERT INTO ${ledger.rows} VALUES (${quote(run)}, 'swap', ${quote(namespace)}, ${swapStates.indexOf(state)}, NULL, ${ours ? 1 : 0}, 0, NULL)`, signal);
}

const swapStates = ['none', 'announced', 'done'] as const;

/** Removes a run's rows, and the tables with the last run. */
export async function forget(ledger: Ledger, run: string, session: Session, signal: AbortSignal): Promise<void> {
  await session.run(`DELETE FROM ${ledger.rows} WHERE run = ${quote(run)}`, signal).catch(orNothing);
  await session.run(`DELETE FROM ${ledger.lanes} WHERE run = ${quote(run)}`, signal).catch(orNothing);
  await session.run(`DELETE FROM ${ledger.runs} WHERE run = ${quote(run)}`, signal).catch(orNothing);
  const others = await session.rows(`SELECT 1 FROM ${ledger.runs} LIMIT 1`, signal).catch(orNothing);
  if (others.length === 0) await session.run(`DROP TABLE IF EXISTS ${ledger.rows}, ${ledger.lanes}, ${ledger.runs}`, signal);
}

function orNothing(error: unknown): [] {
  if ([missingTable, missingDatabase].includes(errnoOf(error) ?? 0)) return [];
  throw error;
}
