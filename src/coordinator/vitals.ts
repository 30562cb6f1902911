import type { Event, Phase, StateStore } from '../contract.js';
import { Progress, type NamespaceProgress } from './progress.js';

/** What a run tells of itself while a process works on it. What is unknown is absent. */
export interface Vitals {
  readonly phase: Phase;
  readonly rows: number;
  readonly estimatedRows?: number;
  readonly estimatedSecondsLeft?: number;
  /** Applied by this process. */
  readonly changes?: number;
  readonly behindSeconds?: number;
  readonly behindBytes?: number;
  /** Rows that the destination could not hold. */
  readonly rejected?: number;
  readonly lastError?: { readonly at: string; readonly message: string };
  readonly tables: readonly TableVitals[];
}

export interface TableVitals {
  readonly namespace: string;
  readonly state: NamespaceProgress['state'] | 'following';
  readonly rows: number;
  readonly estimatedRows?: number;
  readonly why?: string;
}

const tellMillis = 1000;

/** Leaves in the state what the events say, once a second where something changed. */
export function telling(store: StateStore): Disposable & { take(event: Event): void } {
  const progress = new Progress();
  let run: string | undefined, earlier: Vitals | undefined, lastError: Vitals['lastError'], told = '';
  const tell = () => {
    const text = JSON.stringify(vitalsOf(progress, earlier, lastError));
    if (run === undefined || text === told) return;
    told = text;
    try {
      store.tell(run, JSON.parse(text));
    } catch {
      // Where nothing can be written the run itself fails, and says why.
    }
  };
  const timer = setInterval(tell, tellMillis);
  return {
    take(event) {
      progress.take(event);
      if (event.kind === 'run') {
        run = event.run;
        earlier = store.told(run)?.vitals as Vitals | undefined;
      }
      if (event.kind === 'retry') lastError = { at: new Date().toISOString(), message: `${event.end}: ${event.error}` };
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      tell();
    },
  };
}

/** A process that goes on following knows of the copy what an earlier one has told. */
function vitalsOf(progress: Progress, earlier: Vitals | undefined, lastError: Vitals['lastError']): Vitals {
  const { phase, followed: { changes, behindSeconds, behindBytes } } = progress, { rows, estimate, secondsLeft } = progress.total();
  const known = rows === 0 && earlier ? earlier : { rows, estimatedRows: estimate === undefined ? undefined : Math.max(estimate, rows) };
  return {
    phase, rows: known.rows, estimatedRows: known.estimatedRows,
    estimatedSecondsLeft: phase === 'copy' && secondsLeft !== undefined ? Math.ceil(secondsLeft) : undefined,
    ...(phase === 'follow' && { changes, behindSeconds, behindBytes }),
    rejected: progress.rejected || earlier?.rejected,
    lastError, tables: progress.namespaces.map((one) => tableOf(one, phase, earlier?.tables.find(({ namespace }) => namespace === one.namespace))),
  };
}

function tableOf({ namespace, state, rows, estimate, why }: NamespaceProgress, phase: Phase, earlier: TableVitals | undefined): TableVitals {
  const follows = phase === 'follow' && state !== 'paused' && state !== 'resync';
  const known = rows === 0 && earlier ? earlier : { rows, estimatedRows: estimate };
  return { namespace, rows: known.rows, estimatedRows: known.estimatedRows, ...(follows ? { state: 'following' } : { state, why }) };
}
