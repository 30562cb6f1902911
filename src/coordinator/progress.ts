import type { Event, Phase, TableState } from '../contract.js';

/** How far one namespace is. */
export interface NamespaceProgress {
  readonly namespace: string;
  /** Those that an earlier process has copied count, too. */
  rows: number;
  bytes: number;
  /** Absent if nobody knows. Grows when more rows come than were estimated. */
  estimate: number | undefined;
  exceeded: boolean;
  state: 'waiting' | 'copying' | 'copied' | 'verifying' | 'done' | 'paused' | 'resync';
  /** Why it is paused. */
  why?: string;
  tasksLeft: number;
  parts: number;
  ofParts: number;
}

export interface Total {
  readonly rows: number;
  /** Of all namespaces; absent if one of them has no estimate. */
  readonly estimate: number | undefined;
  readonly rowsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly secondsLeft: number | undefined;
  /** Parts compared so far, and namespaces that are wholly compared. */
  readonly parts: number;
  readonly verified: number;
  readonly namespaces: number;
}

interface Sample { readonly at: number; readonly rows: number; readonly bytes: number }

const windowSeconds = 10;

/** What a run's events say about how far it is. Rates are those of the last seconds; `now` gives seconds of any clock. */
export class Progress {
  readonly #now: () => number;
  readonly #namespaces = new Map<string, NamespaceProgress>();
  #samples: Sample[];
  #rows = 0;
  #bytes = 0;
  phase: Phase = 'check';
  followed: Followed = { changes: 0 };
  /** Rows that the destination could not hold, of all processes. */
  rejected = 0;

  constructor(now: () => number = () => performance.now() / 1000) {
    this.#now = now;
    this.#samples = [{ at: now(), rows: 0, bytes: 0 }];
  }

  get namespaces(): readonly NamespaceProgress[] {
    return [...this.#namespaces.values()];
  }

  take(event: Event): void {
    switch (event.kind) {
      case 'phase': this.#enter(event.phase); break;
      case 'agreed': this.#of(event.namespace); break;
      case 'planned': this.#planned(this.#of(event.namespace), event); break;
      case 'written': this.#written(this.#of(event.namespace), event.rows, event.bytes); break;
      case 'task-done': this.#taskDone(this.#of(event.namespace)); break;
      case 'finished': this.#of(event.namespace).state = 'copied'; break;
      case 'compared': Object.assign(this.#of(event.namespace), { state: 'verifying', parts: event.parts, ofParts: Math.max(event.of, event.parts) }); break;
      // What was not compared is no more than copied.
      case 'verified': this.#of(event.verification.namespace).state = event.verification.result === 'not-comparable' ? 'copied' : 'done'; break;
      case 'rejected': this.rejected = event.count; break;
      case 'followed': this.followed = event; break;
      case 'table': Object.assign(this.#of(event.namespace), apartOf(event.table)); break;
      default:
    }
  }

  total(): Total {
    const all = this.namespaces;
    const { rowsPerSecond, bytesPerSecond } = this.#rates();
    const estimate = all.every((one) => one.estimate !== undefined) ? sum(all.map((one) => one.estimate ?? 0)) : undefined;
    const left = estimate === undefined || rowsPerSecond === 0 ? undefined : Math.max(0, estimate - this.#rows) / rowsPerSecond;
    return { rows: this.#rows, estimate, rowsPerSecond, bytesPerSecond, secondsLeft: left, parts: sum(all.map((one) => one.parts)), verified: all.filter((one) => one.state === 'done').length, namespaces: all.length };
  }

  #enter(phase: Phase): void {
    this.phase = phase;
    if (phase === 'copy') this.#samples = [{ at: this.#now(), rows: this.#rows, bytes: this.#bytes }];
  }

  #of(namespace: string): NamespaceProgress {
    const known = this.#namespaces.get(namespace);
    if (known) return known;
    const fresh: NamespaceProgress = { namespace, rows: 0, bytes: 0, estimate: undefined, exceeded: false, state: 'waiting', tasksLeft: 1, parts: 0, ofParts: 0 };
    this.#namespaces.set(namespace, fresh);
    return fresh;
  }

  #planned(one: NamespaceProgress, { tasks, copiedRows, estimatedRows }: Extract<Event, { kind: 'planned' }>): void {
    this.#rows += copiedRows - one.rows;
    Object.assign(one, { rows: copiedRows, estimate: known(estimatedRows), tasksLeft: tasks, state: tasks === 0 ? 'copied' : 'waiting' });
  }

  #written(one: NamespaceProgress, rows: number, bytes: number): void {
    one.rows += rows;
    one.bytes += bytes;
    one.state = 'copying';
    this.#rows += rows;
    this.#bytes += bytes;
    if (one.estimate !== undefined && one.rows >= one.estimate && one.tasksLeft > 0) grow(one);
    this.#sample();
  }

  // What was really there is better than any estimate.
  #taskDone(one: NamespaceProgress): void {
    one.tasksLeft--;
    if (one.tasksLeft > 0) return;
    Object.assign(one, { estimate: one.rows, exceeded: false, state: 'copied' });
  }

  #sample(): void {
    const at = this.#now();
    if (at - this.#samples[this.#samples.length - 1].at < 0.5) return;
    this.#samples.push({ at, rows: this.#rows, bytes: this.#bytes });
    while (this.#samples.length > 2 && at - this.#samples[1].at > windowSeconds) this.#samples.shift();
  }

  #rates(): { rowsPerSecond: number; bytesPerSecond: number } {
    const [oldest] = this.#samples;
    const seconds = this.#now() - oldest.at;
    return seconds <= 0 ? { rowsPerSecond: 0, bytesPerSecond: 0 } : { rowsPerSecond: (this.#rows - oldest.rows) / seconds, bytesPerSecond: (this.#bytes - oldest.bytes) / seconds };
  }
}

/** What a live run has applied in this process, and how far it is behind the source, if that is known. */
export interface Followed { readonly changes: number; readonly behindSeconds?: number; readonly behindBytes?: number }

// A tenth at a time: the bar moves back a little, and goes on.
function grow(one: NamespaceProgress): void {
  one.estimate = Math.ceil(one.rows * 1.1) + 1;
  one.exceeded = true;
}

function apartOf(table: TableState | undefined): Pick<NamespaceProgress, 'state' | 'why'> {
  return table === undefined || table.state === 'since' ? { state: 'done', why: undefined } : { state: table.state, why: table.why };
}

function known(estimate: number | undefined): number | undefined {
  return estimate !== undefined && estimate > 0 ? estimate : undefined;
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
