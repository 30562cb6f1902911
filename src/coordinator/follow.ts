import { setTimeout as delay } from 'node:timers/promises';
import type { ChangeLog, LogPlace, Position, RunState, Source } from '../contract.js';
import { DsyncError } from '../errors.js';
import { handlersOf, type Ending } from './handlers.js';
import { Lanes } from './lanes.js';
import { throughLosses } from './losses.js';
import { serveRequests } from './requests.js';
import { enter, reject, type Run } from './run.js';

/** How often the place is saved, and the log before it let go. */
const saveMillis = 1000;
/** How often it is made durable in the destination while nothing happens. */
const settleMillis = 10_000;
/** How often it is looked whether a position is reached that somebody waits for. */
const lookMillis = 50;
const messageBytes = 1 << 20;

/**
 * Applies what the source's log has after `start`, in order, and answers what other processes ask, until one of them ends it
 * or the run is stopped: then it fails, with the signal's reason, or with `waiting` where the user must act. A lost source is
 * waited for.
 */
export async function follow(run: Run, start: LogPlace): Promise<Ending> {
  enter(run, 'follow');
  const tally = { changes: 0 };
  return throughLosses(run, () => tally.changes, () => followOnce(run, start, tally));
}

interface Tally { changes: number }

/** What aborts following when a handler ends it. */
class Ended {
  constructor(readonly ending: Ending) {}
}

async function followOnce(run: Run, start: LogPlace, tally: Tally): Promise<Ending> {
  const log = logOf(run.source), stop = new AbortController(), signal = AbortSignal.any([run.signal, stop.signal]);
  const lanes = new Lanes({
    run: run.id, mappings: run.mappings, destination: run.destination, reached: log.reached, bytes: run.config.memoryBytes / 2, signal,
    applied: (changes) => { tally.changes += changes; },
    rejected: (mapping, rows) => reject(run, mapping, rows),
    failed: (error) => stop.abort(error),
  }, await run.destination.lanes!(run.id, signal), start);
  const saver = new Saver(run, log, lanes, tally, (error) => stop.abort(error));
  const serving = serveRequests(run, handlersOf({
    run, log, lanes, changes: () => tally.changes, save: () => saver.save(), end: (ending) => stop.abort(new Ended(ending)),
    applied: (goal, until) => applied(log, lanes, goal, AbortSignal.any([signal, until])),
  }), (error) => stop.abort(error));
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
    const cause = signal.aborted ? signal.reason : error;
    if (!(cause instanceof Ended)) throw cause;
    saver.save();
    return cause.ending;
  } finally {
    saver.stop();
    stop.abort(new DsyncError('interrupted', 'following has ended'));
    await lanes.drain().catch(() => undefined);
    await serving.stop();
  }
}

async function applied(log: ChangeLog, lanes: Lanes, goal: Position, signal: AbortSignal): Promise<void> {
  while (!log.reached(lanes.place.position, goal)) await delay(lookMillis, undefined, { signal }).catch(() => { throw signal.reason; });
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
