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

/** How far a task got without a gap. `sequence` is above every batch that ever landed, so that numbers are never used twice. */
export interface Reached { readonly done: boolean; readonly rows: number; readonly cursor?: Cursor; readonly sequence: number }

/** What the destination's progress says of each task: its cursor advances over the contiguous prefix only. */
export function reached(progress: readonly ProgressRow[]): ReadonlyMap<string, Reached> {
  const byTask = new Map<string, ProgressRow[]>();
  for (const row of progress) byTask.set(row.task, [...(byTask.get(row.task) ?? []), row]);
  return new Map([...byTask].map(([task, rows]) => [task, prefixOf(rows)]));
}

function prefixOf(rows: readonly ProgressRow[]): Reached {
  const ordered = [...rows].sort((a, b) => a.sequence - b.sequence);
  const last = ordered[ordered.length - 1];
  const finished = ordered.find((row) => row.done);
  if (finished) return { done: true, rows: finished.rows, sequence: last.sequence + 1 };
  let cursor: Cursor | undefined;
  for (let i = 0; i < ordered.length && ordered[i].sequence === i; i++) cursor = ordered[i].cursor ?? cursor;
  return { done: false, rows: ordered.reduce((sum, row) => sum + row.rows, 0), cursor, sequence: last.sequence + 1 };
}
