import type { Barrier, Cursor, ProgressRow } from '../contract.js';

/**
 * Keeps account of one copy: batches land in any order, a task is done only when its barrier was seen and every batch
 * before it has landed.
 */
export class Ledger {
  readonly #tasks = new Map<string, { landed: Set<number>; prefix: number; barrier?: Barrier }>();

  /** A batch is durable. Returns the task's barrier if that completes it. */
  landed(task: string, sequence: number): Barrier | undefined {
    const entry = this.#entry(task);
    entry.landed.add(sequence);
    while (entry.landed.delete(entry.prefix)) entry.prefix++;
    return this.#complete(task);
  }

  /** The task's barrier has arrived. Returns it if every batch before it has landed already. */
  barrier(barrier: Barrier): Barrier | undefined {
    this.#entry(barrier.task).barrier = barrier;
    return this.#complete(barrier.task);
  }

  /** A task that goes on after `sequence` batches of an earlier process. */
  startAt(task: string, sequence: number): void {
    this.#entry(task).prefix = sequence;
  }

  #entry(task: string) {
    let entry = this.#tasks.get(task);
    if (!entry) this.#tasks.set(task, (entry = { landed: new Set(), prefix: 0 }));
    return entry;
  }

  #complete(task: string): Barrier | undefined {
    const { prefix, barrier } = this.#entry(task);
    return barrier && prefix === barrier.sequence ? barrier : undefined;
  }
}

/**
 * How far a task got without a gap. Each process that works on a task numbers its batches from a multiple of `series`, which
 * is `sequence` here: numbers are never used twice, and a gap that one process has left is behind the next one's batches.
 */
export interface Reached { readonly done: boolean; readonly rows: number; readonly cursor?: Cursor; readonly sequence: number }

/** More batches than a task has. */
const series = 2 ** 32;

/** What the destination's progress says of each task: its cursor advances over the contiguous prefix only. */
export function reached(progress: readonly ProgressRow[]): ReadonlyMap<string, Reached> {
  const byTask = new Map<string, ProgressRow[]>();
  for (const row of progress) {
    const rows = byTask.get(row.task);
    if (rows) rows.push(row);
    else byTask.set(row.task, [row]);
  }
  return new Map([...byTask].map(([task, rows]) => [task, prefixOf(rows)]));
}

function prefixOf(rows: readonly ProgressRow[]): Reached {
  const last = Math.max(...rows.map((row) => row.sequence)), finished = rows.find((row) => row.done);
  const sequence = (Math.floor(last / series) + 1) * series;
  if (finished) return { done: true, rows: finished.rows, sequence };
  return { done: false, rows: rows.reduce((sum, row) => sum + row.rows, 0), cursor: cursorOf(new Map(rows.map((row) => [row.sequence, row])), last), sequence };
}

/** Each process went on from where those before it had got: the latest one that got anywhere decides. */
function cursorOf(rows: ReadonlyMap<number, ProgressRow>, last: number): Cursor | undefined {
  for (let start = Math.floor(last / series) * series; start >= 0; start -= series) {
    let cursor: Cursor | undefined;
    for (let at = start; rows.has(at); at++) cursor = rows.get(at)!.cursor ?? cursor;
    if (cursor !== undefined) return cursor;
  }
  return undefined;
}
