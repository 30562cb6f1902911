import type { Barrier, Batch, LanePlace, LaneWork, ProgressRow, Rejected } from '../../contract.js';
import { parseRejected, spellRejected } from '../../destination/fold.js';
import { DsyncError } from '../../errors.js';
import { serverError } from './failure.js';
import type { Session } from './session.js';
import { literal } from './sql.js';

/** A run as this process has taken it. What another process has taken since is not written to: `busy`. */
export interface Hold { readonly run: string; readonly epoch: number }

/** What became of one batch. `rejected`: the positions of rows that could not be written, with the reasons. */
export interface Outcome { readonly rows: number; readonly rejected: readonly (readonly [index: number, reason: string])[] }

const tables = `
  CREATE SCHEMA IF NOT EXISTS _dsync;
  CREATE TABLE IF NOT EXISTS _dsync.run (run text PRIMARY KEY, epoch bigint NOT NULL, began timestamptz NOT NULL DEFAULT now());
  CREATE TABLE IF NOT EXISTS _dsync.progress (
    run text, task text, sequence bigint, cursor text, rows bigint NOT NULL, done boolean NOT NULL, rejected json, PRIMARY KEY (run, task, sequence));
  CREATE TABLE IF NOT EXISTS _dsync.lane (run text, lane integer, position text NOT NULL, changes bigint NOT NULL, rejected json, PRIMARY KEY (run, lane))`;

/** Takes the run: waits for writes of an earlier process that are under way (they hold its row), and locks out later ones. */
export async function begin(session: Session, run: string, signal: AbortSignal): Promise<Hold> {
  if (!(await stands(session, signal)) || !(await lanesStand(session, signal))) await session.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtext('dsync')); ${tables}; COMMIT`, signal).catch((error) => undo(session, error, signal));
  const [[epoch]] = await session.query('INSERT INTO _dsync.run AS mark (run, epoch) VALUES ($1, 1) ON CONFLICT (run) DO UPDATE SET epoch = mark.epoch + 1 RETURNING epoch', signal, [run]);
  return { run, epoch: Number(epoch) };
}

export async function progressOf(session: Session, run: string, signal: AbortSignal): Promise<readonly ProgressRow[] | undefined> {
  if (!(await stands(session, signal))) return undefined;
  const marks = await session.query('SELECT FROM _dsync.run WHERE run = $1', signal, [run]);
  if (marks.length === 0) return undefined;
  const rows = await session.query('SELECT task, sequence, cursor, rows, done FROM _dsync.progress WHERE run = $1 ORDER BY task, sequence', signal, [run]);
  return rows.map(([task, sequence, cursor, count, done]) => ({ task: task!, sequence: Number(sequence), rows: Number(count), done: done === 't', ...(cursor !== null && { cursor }) }));
}

/** A transaction that only the holder of the run can make. Another process that takes the run waits for its end. */
export async function held<Result>(session: Session, hold: Hold, signal: AbortSignal, action: () => Promise<Result>, begin?: string): Promise<Result> {
  return session.transaction(signal, async () => {
    const marks = await session.query('SELECT FROM _dsync.run WHERE run = $1 AND epoch = $2 FOR SHARE', signal, [hold.run, hold.epoch]).catch(withoutMark(hold));
    if (marks.length === 0) throw taken(hold);
    return action();
  }, begin);
}

/** The first statement of a batch's transaction: inserts one row if the run is still ours, and none otherwise. */
export function noteBatch({ run, epoch }: Hold, { task, sequence, cursor, count }: Batch): string {
  return `INSERT INTO _dsync.progress (run, task, sequence, cursor, rows, done)
    SELECT ${literal(run)}, ${literal(task)}, ${sequence}, ${cursor === undefined ? 'NULL' : literal(cursor)}, ${count}, false
    FROM _dsync.run WHERE run = ${literal(run)} AND epoch = ${epoch} FOR SHARE`;
}

export async function noteRejected(session: Session, { run }: Hold, { task, sequence }: Batch, { rows, rejected }: Outcome, signal: AbortSignal): Promise<void> {
  await session.query('UPDATE _dsync.progress SET rows = $4, rejected = $5 WHERE run = $1 AND task = $2 AND sequence = $3', signal, [run, task, sequence, rows, JSON.stringify(rejected)]);
}

/** What an earlier try of this batch has done, if it was committed. */
export async function outcomeOf(session: Session, { run }: Hold, { task, sequence }: Batch, signal: AbortSignal): Promise<Outcome | undefined> {
  const [row] = await session.query('SELECT rows, rejected FROM _dsync.progress WHERE run = $1 AND task = $2 AND sequence = $3', signal, [run, task, sequence]);
  return row && { rows: Number(row[0]), rejected: JSON.parse(row[1] ?? '[]') as Outcome['rejected'] };
}

export async function noteDone(session: Session, hold: Hold, { task, sequence, rows }: Barrier, signal: AbortSignal): Promise<void> {
  await held(session, hold, signal, async () => {
    await session.query('DELETE FROM _dsync.progress WHERE run = $1 AND task = $2', signal, [hold.run, task]);
    await session.query('INSERT INTO _dsync.progress (run, task, sequence, rows, done) VALUES ($1, $2, $3, $4, true)', signal, [hold.run, task, sequence, rows]);
  });
}

/** Notes the lane's place in the open transaction. If that very place is there already, all up to it is: tells what was rejected then. */
export async function noteLane(session: Session, { run }: Hold, { lane, place: { position, changes } }: LaneWork, signal: AbortSignal): Promise<readonly Rejected[] | undefined> {
  const noted = await session.query(`INSERT INTO _dsync.lane AS known (run, lane, position, changes) VALUES ($1, $2, $3, $4)
    ON CONFLICT (run, lane) DO UPDATE SET position = excluded.position, changes = excluded.changes, rejected = NULL
    WHERE (known.position, known.changes) <> (excluded.position, excluded.changes) RETURNING lane`, signal, [run, lane, position, changes]);
  if (noted.length > 0) return undefined;
  const [[rejected]] = await session.query('SELECT rejected FROM _dsync.lane WHERE run = $1 AND lane = $2', signal, [run, lane]);
  return parseRejected(rejected);
}

export async function noteLaneRejected(session: Session, { run }: Hold, { lane }: LaneWork, rejected: readonly Rejected[], signal: AbortSignal): Promise<void> {
  await session.query('UPDATE _dsync.lane SET rejected = $3 WHERE run = $1 AND lane = $2', signal, [run, lane, spellRejected(rejected)]);
}

export async function lanesOf(session: Session, run: string, signal: AbortSignal): Promise<ReadonlyMap<number, LanePlace>> {
  if (!(await lanesStand(session, signal))) return new Map();
  const rows = await session.query('SELECT lane, position, changes, rejected FROM _dsync.lane WHERE run = $1 ORDER BY lane', signal, [run]);
  return new Map(rows.map(([lane, position, changes, rejected]) => [Number(lane), { position: position!, changes: Number(changes), ...(rejected !== null && { rejected: parseRejected(rejected) }) }]));
}

/** Removes what is known of a run, and `_dsync` with the last one. */
export async function forgetRun(session: Session, run: string, signal: AbortSignal): Promise<void> {
  if (!(await stands(session, signal))) return;
  await session.transaction(signal, async () => {
    await session.query("SELECT pg_advisory_xact_lock(hashtext('dsync'))", signal);
    await session.query('DELETE FROM _dsync.run WHERE run = $1', signal, [run]);
    await session.query('DELETE FROM _dsync.progress WHERE run = $1', signal, [run]);
    if (await lanesStand(session, signal)) await session.query('DELETE FROM _dsync.lane WHERE run = $1', signal, [run]);
    const [[left]] = await session.query('SELECT count(*) FROM _dsync.run', signal);
    if (left === '0') await session.query('DROP TABLE IF EXISTS _dsync.lane; DROP TABLE _dsync.progress, _dsync.run; DROP SCHEMA _dsync', signal);
  });
}

export function taken({ run }: Hold): DsyncError {
  return new DsyncError('busy', `another process works on run ${run}, or it was cleaned up`, { remedy: 'let that process go on, or end it and resume' });
}

export function withoutMark(hold: Hold): (error: unknown) => never {
  return (error) => {
    if (serverError(error)?.code !== '42P01') throw error;
    throw new DsyncError('refused', `the destination no longer knows run ${hold.run}: its _dsync tables are gone`, { cause: error, remedy: 'start over with dsync sync' });
  };
}

async function stands(session: Session, signal: AbortSignal): Promise<boolean> {
  const [[found]] = await session.query("SELECT to_regclass('_dsync.run') IS NOT NULL AND to_regclass('_dsync.progress') IS NOT NULL", signal);
  return found === 't';
}

/** A `_dsync` that was made before there were lanes lacks their table. */
async function lanesStand(session: Session, signal: AbortSignal): Promise<boolean> {
  const [[found]] = await session.query("SELECT to_regclass('_dsync.lane') IS NOT NULL", signal);
  return found === 't';
}

async function undo(session: Session, error: unknown, signal: AbortSignal): Promise<never> {
  await session.rollback(signal);
  throw error;
}
