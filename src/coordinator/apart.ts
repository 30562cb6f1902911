import type { Mapping, Position, TableState } from '../contract.js';
import type { DsyncError } from '../errors.js';
import type { Suspicion } from './lanes.js';
import type { Run } from './run.js';

/** The tables of a run that are not followed as the others are. What is set is on disk when the call returns. */
export class Apart {
  readonly #run: Run;
  readonly #states: Map<string, TableState>;
  readonly #suspected = new Map<string, number>();
  /** What they were before they were suspected. */
  readonly #before = new Map<string, TableState | undefined>();
  readonly #confirmed = new Set<string>();

  constructor(run: Run) {
    this.#run = run;
    const known = run.store.load(run.id)?.log?.tables ?? {};
    this.#states = new Map(Object.entries(known).flatMap(([namespace, state]) => (state ? [[namespace, state]] : [])));
  }

  /** Tells of all of them, for those who look on. */
  announce(): void {
    for (const [namespace, table] of this.#states) this.#run.emit({ kind: 'table', namespace, table });
  }

  get(namespace: string): TableState | undefined {
    return this.#states.get(namespace);
  }

  /** Undefined: it is followed as the others are. */
  set(namespace: string, state: TableState | undefined): void {
    this.#run.store.update(this.#run.id, { log: { tables: { [namespace]: wholly(state) } } });
    if (state) this.#states.set(namespace, state);
    else this.#states.delete(namespace);
    this.#run.emit({ kind: 'table', namespace, ...(state && { table: state }) });
  }

  /** Are its changes passed over? */
  isLeft(namespace: string): boolean {
    const state = this.#states.get(namespace)?.state;
    return state === 'paused' || state === 'resync';
  }

  /** Was it never copied? */
  isFresh(namespace: string): boolean {
    const state = this.#states.get(namespace);
    return state !== undefined && state.state !== 'since' && state.fresh === true;
  }

  /** Those that are to be made equal to the source anew. */
  get waiting(): readonly string[] {
    return [...this.#states].flatMap(([namespace, { state }]) => (state === 'resync' ? [namespace] : []));
  }

  get since(): ReadonlyMap<string, Position> {
    return new Map([...this.#states].flatMap(([namespace, state]) => (state.state === 'since' ? [[namespace, state.position]] : [])));
  }

  /** Tables whose own position this one has reached are as the others from now on. */
  reached(isReached: (goal: Position) => boolean): void {
    for (const [namespace, position] of this.since) if (isReached(position)) this.set(namespace, undefined);
  }

  /** Several lanes may suspect one table at once: it is cleared when all have cleared it, and no one has confirmed it. */
  suspect({ source: { namespace } }: Mapping, error: DsyncError, leave: () => void): Suspicion {
    const before = this.#suspected.get(namespace) ?? 0;
    this.#suspected.set(namespace, before + 1);
    if (before === 0) this.#before.set(namespace, this.#states.get(namespace));
    if (before === 0 && !this.isLeft(namespace)) this.set(namespace, { state: 'paused', why: error.message, failed: true });
    return {
      confirm: () => {
        this.#confirmed.add(namespace);
        leave();
      },
      clear: () => {
        const left = this.#suspected.get(namespace)! - 1;
        this.#suspected.set(namespace, left);
        const state = this.#states.get(namespace);
        if (left === 0 && !this.#confirmed.has(namespace) && state?.state === 'paused' && state.failed) this.set(namespace, this.#before.get(namespace));
      },
    };
  }
}

/** An update adds to what is stored: what a state does not have must be taken out. */
function wholly(state: TableState | undefined): TableState | null {
  const nothing = { why: null, failed: null, fresh: null, position: null };
  return state ? { ...nothing, ...state } as unknown as TableState : null;
}
