import { setTimeout as delay } from 'node:timers/promises';
import type { Collection } from 'mongodb';
import type { Barrier, Batch, LanePlace, LaneWork, ProgressRow, Rejected, Task } from '../../contract.js';
import { parseRejected, spellRejected } from '../../destination/fold.js';
import { DsyncError } from '../../errors.js';
import { ifSupported, type Session } from './session.js';
import { dropCollection } from './staging.js';
import { commentOf, durable } from './write.js';

/** What the destination remembers of runs: `_dsync_run` has a mark for each, `_dsync_progress` a document for each batch and lane. */
export interface Progress {
  /** Takes the run: from now on `check` of an earlier process fails. */
  begin(run: string, signal: AbortSignal): Promise<void>;
  /** Fails with `busy` if another process took the run since, with `refused` if the mark is gone. */
  check(run: string, signal: AbortSignal): Promise<void>;
  rows(run: string, signal: AbortSignal): Promise<readonly ProgressRow[] | undefined>;
  written(run: string, batch: Batch, signal: AbortSignal): Promise<void>;
  taskDone(run: string, barrier: Barrier, signal: AbortSignal): Promise<void>;
  forgetTasks(run: string, tasks: readonly Task[], signal: AbortSignal): Promise<void>;
  /** Is the staging collection of this namespace being swapped in, or already? */
  swapped(run: string, namespace: string, signal: AbortSignal): Promise<boolean>;
  setSwapped(run: string, namespace: string, swapped: boolean, signal: AbortSignal): Promise<void>;
  lanes(run: string, signal: AbortSignal): Promise<ReadonlyMap<number, LanePlace>>;
  /** If the place of the work is there already, all up to it is: what was rejected then. */
  laneNoted(run: string, work: LaneWork, signal: AbortSignal): Promise<readonly Rejected[] | undefined>;
  noteLane(run: string, work: LaneWork, rejected: readonly Rejected[], signal: AbortSignal): Promise<void>;
  forget(run: string, signal: AbortSignal): Promise<void>;
}

interface RunMark { readonly _id: string; readonly epoch: number }
interface Entry { readonly _id: string; readonly run: string; readonly task: string; readonly sequence: number; readonly cursor?: string; readonly rows: number; readonly done: boolean }
interface Swap { readonly _id: string; readonly run: string; readonly swapped: string }
interface Lane { readonly _id: string; readonly run: string; readonly lane: number; readonly position: string; readonly changes: number; readonly rejected: string | null }

const options = { writeConcern: durable };

export function progressIn(session: Session, database: string): Progress {
  const db = session.client.db(database);
  const runs = db.collection<RunMark>('_dsync_run', options), entries: Collection<Entry> = db.collection<Entry>('_dsync_progress', options);
  const swaps = db.collection<Swap>('_dsync_progress', options), places: Collection<Lane> = db.collection<Lane>('_dsync_progress', options);
  const epochs = new Map<string, number>();
  const attempt = <T>(what: string, signal: AbortSignal, action: () => Promise<T>) => session.attempt(`${what} in ${database}`, signal, action);
  const put = (entry: Entry, signal: AbortSignal) =>
    attempt('keeping the progress', signal, () => entries.replaceOne({ _id: entry._id }, entry, { upsert: true }));
  return {
    async begin(run, signal) {
      const mark = await attempt("taking the run", signal, () => runs.findOneAndUpdate({ _id: run }, { $inc: { epoch: 1 } }, { upsert: true, returnDocument: 'after' }));
      epochs.set(run, mark!.epoch);
      await earlierWrites(session, run, signal);
    },
    async check(run, signal) {
      const mark = await attempt('looking for the run', signal, () => runs.findOne({ _id: run }, { signal }));
      if (!mark) throw new DsyncError('refused', `the mark of run ${run} is gone from ${database} on MongoDB at ${session.hosts}: the database was emptied or replaced`);
      if (mark.epoch !== epochs.get(run)) throw new DsyncError('busy', `another process goes on with run ${run}`);
    },
    async rows(run, signal) {
      return attempt('reading the progress', signal, async () => {
        if (!await runs.findOne({ _id: run }, { signal })) return undefined;
        const found = await entries.find({ run, swapped: { $exists: false }, lane: { $exists: false } } as object, { signal }).toArray();
        const done = new Set(found.filter((entry) => entry.done).map(({ task }) => task));
        return found.filter((entry) => entry.done || !done.has(entry.task))
          .map(({ task, sequence, cursor, rows, done }) => ({ task, sequence, ...(cursor != null && { cursor }), rows, done }))
          .sort((a, b) => (a.task === b.task ? a.sequence - b.sequence : a.task < b.task ? -1 : 1));
      });
    },
    async written(run, { task, sequence, cursor, count }, signal) {
      await put({ _id: `${run}/${task}/${sequence}`, run, task, sequence, ...(cursor !== undefined && { cursor }), rows: count, done: false }, signal);
    },
    async taskDone(run, { task, sequence, rows }, signal) {
      await put({ _id: `${run}/${task}/done`, run, task, sequence, rows, done: true }, signal);
      await attempt('keeping the progress', signal, () => entries.deleteMany({ run, task, done: false }));
    },
    async forgetTasks(run, tasks, signal) {
      await attempt('forgetting the progress', signal, () => entries.deleteMany({ run, task: { $in: tasks.map(({ id }) => id) } }));
    },
    swapped: (run, namespace, signal) => attempt('reading the progress', signal, async () => (await swaps.findOne({ _id: swapId(run, namespace) }, { signal })) !== null),
    async setSwapped(run, namespace, swapped, signal) {
      const _id = swapId(run, namespace);
      await attempt('keeping the progress', signal, async () => {
        if (swapped) await swaps.replaceOne({ _id }, { run, swapped: namespace }, { upsert: true });
        else await swaps.deleteOne({ _id });
      });
    },
    async lanes(run, signal) {
      const found = await attempt('reading the progress', signal, () => places.find({ run, lane: { $exists: true } }, { signal }).toArray());
      return new Map(found.sort((a, b) => a.lane - b.lane).map(({ lane, position, changes, rejected }) => [lane, { position, changes, ...(rejected !== null && { rejected: parseRejected(rejected) }) }]));
    },
    async laneNoted(run, { lane, place }, signal) {
      const found = await attempt('reading the progress', signal, () => places.findOne({ _id: laneId(run, lane) }, { signal }));
      return found?.position === place.position && found.changes === place.changes ? parseRejected(found.rejected) : undefined;
    },
    async noteLane(run, { lane, place: { position, changes } }, rejected, signal) {
      const row = { run, lane, position, changes, rejected: rejected.length > 0 ? spellRejected(rejected) : null };
      await attempt('keeping the progress', signal, () => places.replaceOne({ _id: laneId(run, lane) }, row, { upsert: true }));
    },
    async forget(run, signal) {
      await attempt('forgetting the run', signal, async () => {
        await entries.deleteMany({ run });
        await runs.deleteOne({ _id: run });
        if (await runs.findOne({}, { signal })) return;
        for (const collection of ['_dsync_progress', '_dsync_run']) await dropCollection(session, { run, database, collection }, signal);
      });
    },
  };
}

function swapId(run: string, namespace: string): string {
  return `${run}/swapped/${namespace}`;
}

function laneId(run: string, lane: number): string {
  return `${run}/lane/${lane}`;
}

const patienceSeconds = 60;

/** Waits for writes that an earlier process of the run sent before it died. Where the server does not list them they are taken to be over. */
async function earlierWrites(session: Session, run: string, signal: AbortSignal): Promise<void> {
  const { comment } = commentOf(session, run);
  if (comment === undefined) return;
  const pipeline = [{ $currentOp: {} }, { $match: { 'command.comment': comment } }, { $limit: 1 }];
  for (const start = Date.now(); Date.now() - start < patienceSeconds * 1000; await delay(100, undefined, { signal })) {
    const found = await session.attempt('looking for earlier writes', signal, () => ifSupported(session.client.db('admin').aggregate(pipeline).toArray()));
    if (!found?.length) return;
  }
  throw new DsyncError('busy', `writes of an earlier process of run ${run} have been under way for ${patienceSeconds} seconds on MongoDB at ${session.hosts}`);
}
