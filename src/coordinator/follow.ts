import type { ChangeLog, LogPlace, RunState, Source } from '../contract.js';
import { DsyncError } from '../errors.js';
import { refuseAhead } from './continuity.js';
import { Lanes } from './lanes.js';
import { throughLosses } from './losses.js';
import { enter, reject, type Run } from './run.js';

/** How often the place is saved, and the log before it let go. */
const saveMillis = 1000;
/** How often it is made durable in the destination while nothing happens. */
const settleMillis = 10_000;
const messageBytes = 1 << 20;
/** What waits for the lanes: several transactions of each. More would only take memory (bench/large-transaction.ts). */
const waitingBytes = 32 << 20;

/**
 * Applies what the source's log has after `start`, in order, until the run is stopped: it ends by failing, with the
 * signal's reason, or with `waiting` where the user must act. A lost source is waited for.
 */
export async function follow(run: Run, start: LogPlace): Promise<never> {
  enter(run, 'follow');
  const tally = { changes: 0 };
  return throughLosses(run, () => tally.changes, () => followOnce(run, start, tally));
}

interface Tally { changes: number }

async function followOnce(run: Run, start: LogPlace, tally: Tally): Promise<never> {
  const log = logOf(run.source), stop = new AbortController(), signal = AbortSignal.any([run.signal, stop.signal]);
  const places = await run.destination.lanes!(run.id, signal);
  await refuseAhead(run.id, log, [start, ...places.values()], signal);
  const lanes = new Lanes({
    run: run.id, mappings: run.mappings, destination: run.destination, reached: log.reached, bytes: Math.min(run.config.memoryBytes / 2, waitingBytes), signal,
    applied: (changes) => { tally.changes += changes; },
    rejected: (mapping, rows) => reject(run, mapping, rows),
    failed: (error) => stop.abort(error),
  }, places, start);
  const saver = new Saver(run, log, lanes, tally, (error) => stop.abort(error));
  try {
    for await (const message of log.follow({ run: run.id, shapes: run.mappings.map((mapping) => mapping.source), from: lanes.place, bytes: messageBytes }, signal)) {
      switch (message.kind) {
        case 'changes':
          await lanes.take(message);
          saver.at = message.at;
          break;
        case 'position':
          lanes.pass(message.place);
          saver.at = message.at;
          break;
        case 'shape':
          if (message.changed) throw await waiting(message.shape.namespace, lanes, saver);
          break;
        default: message satisfies never;
      }
    }
    throw new DsyncError('source-lost', 'the change log ended');
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    saver.stop();
    stop.abort(new DsyncError('interrupted', 'following has ended'));
    await lanes.drain().catch(() => undefined);
  }
}

/** Everything before the first row of the new shape is applied. */
async function waiting(namespace: string, lanes: Lanes, saver: Saver): Promise<DsyncError> {
  await lanes.drain();
  saver.save();
  return new DsyncError('waiting', `${namespace} changed its shape in the source; everything before that is applied`, {
    namespace, remedy: 'change it back, or start over with a new run: dsync cleanup, then dsync sync --live',
  });
}

/** Saves the lanes' place, and then lets the log before it go: in this order, always. */
class Saver {
  /** When the last message happened, by the source's clock. */
  at: number | undefined;
  readonly #run: Run;
  readonly #log: ChangeLog;
  readonly #lanes: Lanes;
  readonly #tally: Tally;
  readonly #timers: readonly NodeJS.Timeout[];
  #saved = '';

  constructor(run: Run, log: ChangeLog, lanes: Lanes, tally: Tally, failed: (error: unknown) => void) {
    [this.#run, this.#log, this.#lanes, this.#tally] = [run, log, lanes, tally];
    const guarded = (action: () => unknown) => () => { Promise.resolve().then(action).catch(failed); };
    this.#timers = [setInterval(guarded(() => this.save()), saveMillis), setInterval(guarded(() => lanes.settle()), settleMillis)];
  }

  save(): void {
    const { place, isIdle } = this.#lanes, { store, id, emit } = this.#run;
    const text = JSON.stringify(place);
    if (text !== this.#saved) {
      store.update(id, { log: { place } });
      this.#log.confirm(place.position);
      this.#saved = text;
    }
    const behindSeconds = isIdle ? 0 : this.at === undefined ? undefined : Math.max(0, (Date.now() - this.at) / 1000);
    emit({ kind: 'followed', changes: this.#tally.changes, place, ...(behindSeconds !== undefined && { behindSeconds }) });
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }
}

/** Where to follow from: what an earlier process has saved, or the moment that the tables are copied from. */
export function startOf(state: Pick<RunState, 'log' | 'moments'>): LogPlace {
  const position = state.moments.at(-1)?.position;
  if (state.log?.place) return state.log.place;
  if (position !== undefined) return { position, changes: 0 };
  throw new DsyncError('internal', 'nothing is known of the moment that the tables were copied from');
}

export function logOf(source: Source): ChangeLog {
  if (source.log) return source.log;
  throw new DsyncError('usage', `${source.engine} keeps no log of its changes that dsync can follow`, { remedy: 'leave out --live: the copy is as of one moment' });
}
