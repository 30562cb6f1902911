import { setTimeout as delay } from 'node:timers/promises';
import type { Change, ChangeLog, LogChanges, LogMessage, LogPlace, Position, RunLog, RunState, Shape } from '../contract.js';
import { DsyncError } from '../errors.js';
import { Apart } from './apart.js';
import { refuseAhead } from './continuity.js';
import { handlersOf, type Ending } from './handlers.js';
import { logOf } from './ends.js';
import { Lanes } from './lanes.js';
import { throughLosses } from './losses.js';
import { lookForTables } from './newcomers.js';
import { serveRequests } from './requests.js';
import { differences, projecting, replaced, reshaped } from './reshape.js';
import { remap, resync } from './resync.js';
import { enter, reject, type Run } from './run.js';
import { placeText, takeRejects } from './untold.js';

/** How often the place is saved, and the log before it let go. */
const saveMillis = 1000;
/** How often it is made durable in the destination while nothing happens. */
const settleMillis = 10_000;
/** How often it is looked whether a position is reached that somebody waits for. */
const lookMillis = 50;
const messageBytes = 1 << 20;
/** What waits for the lanes: several transactions of each. More would only take memory (bench/large-transaction.ts). */
const waitingBytes = 32 << 20;

/**
 * Applies what the source's log has after `start`, in order, and answers what other processes ask, until one of them ends it
 * or the run is stopped: then it fails, with the signal's reason, or with `waiting` where the user must act. A lost source is
 * waited for. Where tables are to be made equal anew, that is done between two transactions, while nothing else is applied.
 */
export async function follow(run: Run, start: LogPlace): Promise<Ending> {
  enter(run, 'follow');
  const tally = { changes: 0, rounds: 0 };
  new Apart(run).announce();
  return throughLosses(run, () => tally.changes + tally.rounds, async () => {
    for (;;) {
      const apart = new Apart(run);
      const ending = await followOnce(run, start, apart, tally);
      if (ending) return ending;
      await resync(run, apart);
      tally.rounds++;
    }
  });
}

interface Tally { changes: number; rounds: number }

/** What aborts following when a handler ends it. */
class Ended {
  constructor(readonly ending: Ending) {}
}

/** Undefined: some tables wait for a resync, and the log was read up to the end of a transaction. */
async function followOnce(run: Run, start: LogPlace, apart: Apart, tally: Tally): Promise<Ending | undefined> {
  const log = logOf(run.source), stop = new AbortController(), signal = AbortSignal.any([run.signal, stop.signal]);
  const places = await run.destination.lanes!(run.id, signal);
  await refuseAhead(run.id, log, [start, ...places.values()], signal);
  takeRejects(run, places.values());
  const standing = run.mappings.filter(({ existed }) => existed).map(({ target }) => target), independent = new Set(standing.length > 0 ? await run.destination.independent?.(standing, signal) : []);
  const lanes: Lanes = new Lanes({
    run: run.id, mappings: run.mappings, destination: run.destination, independent, reached: log.reached, bytes: Math.min(run.config.memoryBytes / 2, waitingBytes), signal,
    applied: (changes) => { tally.changes += changes; },
    rejected: (mapping, rows, place) => reject(run, mapping, rows, placeText(place)),
    suspect: (mapping, error) => apart.suspect(mapping, error, () => lanes.drop(mapping.source.namespace)),
    failed: (error) => stop.abort(error),
  }, places, start);
  if (apart.waiting.length > 0 && lanes.place.changes === 0) return undefined;
  for (const { source: { namespace } } of run.mappings) if (apart.isLeft(namespace)) lanes.drop(namespace);
  const saver = new Saver({ run, log, lanes, tally, apart }, (error) => stop.abort(error));
  const wanted = new Wanted();
  if (apart.waiting.length > 0) wanted.ask();
  const looking = lookForTables(run, apart, wanted, (error) => stop.abort(error));
  const serving = serveRequests(run, handlersOf({
    run, log, lanes, apart, newTables: () => looking.look(), changes: () => tally.changes, save: () => saver.save(), end: (ending) => stop.abort(new Ended(ending)), resync: () => wanted.ask(),
    applied: (goal, until) => applied(log, lanes, goal, AbortSignal.any([signal, until])),
  }), (error) => stop.abort(error));
  const logged = run.store.load(run.id)?.log?.shapes ?? {}, shapes = shapesInLog(run, apart, logged), ways = waysOf(run, logged);
  let messages: AsyncIterator<LogMessage> | undefined;
  try {
    messages = log.follow({ run: run.id, shapes, from: lanes.place, bytes: messageBytes, since: apart.since, newTables: run.config.onDdl === 'apply' }, signal)[Symbol.asyncIterator]();
    for (let between = lanes.place.changes === 0; ;) {
      const message = await nextOf(messages, between ? wanted : undefined);
      if (!message) {
        await lanes.drain();
        await lanes.settle();
        saver.save();
        return undefined;
      }
      if (message.done) throw new DsyncError('source-lost', 'the change log ended');
      if (message.value.kind === 'shape') {
        if (message.value.changed) await changeShape(message.value, { run, apart, lanes, saver, wanted, ways });
        continue;
      }
      if (message.value.kind === 'position' && message.value.created) looking.now();
      if (message.value.kind === 'position') lanes.pass(message.value.place);
      else {
        rejectAll(run, message.value);
        await lanes.take(ways.size === 0 ? message.value : { ...message.value, changes: message.value.changes.map((change) => ways.get(change.namespace)?.(change) ?? change) });
      }
      saver.heard(message.value);
      between = message.value.place.changes === 0;
    }
  } catch (error) {
    const cause = signal.aborted ? signal.reason : error;
    if (!(cause instanceof Ended)) throw cause;
    saver.save();
    return cause.ending;
  } finally {
    saver.stop();
    looking.stop();
    stop.abort(new DsyncError('interrupted', 'following has ended'));
    await messages?.return?.().catch(() => undefined);
    await lanes.drain().catch(() => undefined);
    await serving.stop();
  }
}

/** Before the place behind them is durable: after a crash they are told once more, never less. */
function rejectAll(run: Run, { rejected = [], place }: LogChanges): void {
  for (const mapping of run.mappings) {
    const own = rejected.filter(({ namespace }) => namespace === mapping.source.namespace);
    if (own.length > 0) reject(run, mapping, own, placeText(place));
  }
}

/** Somebody wants the log left at the next end of a transaction. */
class Wanted {
  ask = (): void => {};
  readonly asked = new Promise<undefined>((resolve) => { this.ask = () => resolve(undefined); });
}

/** The next message; undefined where the log is wanted to be left. */
async function nextOf(messages: AsyncIterator<LogMessage>, wanted: Wanted | undefined): Promise<IteratorResult<LogMessage> | undefined> {
  const next = messages.next();
  if (!wanted) return next;
  const first = await Promise.race([wanted.asked, next]);
  // It is aborted soon, and nobody waits for it.
  if (!first) next.catch(() => undefined);
  return first;
}

/** The chosen tables as the log has them; those that were never copied are not among them yet. */
function shapesInLog({ mappings }: Run, apart: Apart, logged: NonNullable<RunLog['shapes']>): readonly Shape[] {
  return mappings.flatMap(({ source }) => (apart.isFresh(source.namespace) ? [] : [logged[source.namespace] ?? source]));
}

/** How changes of tables are narrowed of which only some columns are taken. */
type Ways = Map<string, (change: Change) => Change>;

function waysOf({ mappings }: Run, logged: NonNullable<RunLog['shapes']>): Ways {
  return new Map(mappings.flatMap((mapping) => {
    const shape = logged[mapping.source.namespace];
    return shape ? [[mapping.source.namespace, projecting(mapping, shape)] as const] : [];
  }));
}

interface Reshaping { readonly run: Run; readonly apart: Apart; readonly lanes: Lanes; readonly saver: Saver; readonly wanted: Wanted; readonly ways: Ways }

/** Everything before the first row of the new shape is applied; what comes of it is on disk together with that place. */
async function changeShape({ shape, other }: Extract<LogMessage, { kind: 'shape' }>, { run, apart, lanes, saver, wanted, ways }: Reshaping): Promise<void> {
  const { namespace } = shape, mapping = run.mappings.find(({ source }) => source.namespace === namespace)!;
  await lanes.drain();
  saver.save();
  if (apart.isLeft(namespace)) return run.store.update(run.id, { log: { place: lanes.place, shapes: { [namespace]: shape } } });
  const next = other !== undefined ? replaced(run, mapping, shape, other) : await reshaped(run, mapping, shape);
  if (next.stale) apart.set(namespace, { state: 'resync', why: other !== undefined ? `it ${other}` : `it changed its shape (${differences(mapping.source, shape)})` });
  remap(run, next.mapping, next.logged, lanes.place);
  ways.delete(namespace);
  if (next.logged) ways.set(namespace, projecting(next.mapping, next.logged));
  lanes.put(next.mapping);
  if (!next.stale) return;
  lanes.drop(namespace);
  wanted.ask();
}

async function applied(log: ChangeLog, lanes: Lanes, goal: Position, signal: AbortSignal): Promise<void> {
  while (!log.reached(lanes.place.position, goal)) await delay(lookMillis, undefined, { signal }).catch(() => { throw signal.reason; });
}

/** Saves the lanes' place, and then lets the log before it go: in this order, always. */
class Saver {
  /** When the last message happened, by the source's clock. */
  #at: number | undefined;
  /** When the transactions before these positions were committed; in their order. */
  readonly #committed = new Map<Position, number>();
  readonly #run: Run;
  readonly #log: ChangeLog;
  readonly #lanes: Lanes;
  readonly #tally: Tally;
  readonly #apart: Apart;
  readonly #timers: readonly NodeJS.Timeout[];
  #saved = '';
  /** The latest answer: the log is asked anew once it has come. */
  #behindBytes: number | undefined;
  #asking = false;

  constructor({ run, log, lanes, tally, apart }: { readonly run: Run; readonly log: ChangeLog; readonly lanes: Lanes; readonly tally: Tally; readonly apart: Apart }, failed: (error: unknown) => void) {
    [this.#run, this.#log, this.#lanes, this.#tally, this.#apart] = [run, log, lanes, tally, apart];
    const guarded = (action: () => unknown) => () => { Promise.resolve().then(action).catch(failed); };
    this.#timers = [setInterval(guarded(() => this.save()), saveMillis), setInterval(guarded(() => lanes.settle()), settleMillis)];
  }

  heard({ place, at }: { readonly place: LogPlace; readonly at: number }): void {
    this.#at = at;
    if (at > 0 && !this.#committed.has(place.position)) this.#committed.set(place.position, at);
  }

  save(): void {
    const { place, isIdle } = this.#lanes, { store, id, emit } = this.#run;
    const text = JSON.stringify(place);
    if (text !== this.#saved) {
      const at = this.#committedAt(place.position);
      store.update(id, { log: { place, ...(at !== undefined && { committed: { position: place.position, at } }) } });
      this.#log.confirm(place.position);
      this.#apart.reached((goal) => this.#log.reached(place.position, goal));
      this.#saved = text;
    }
    const behindSeconds = isIdle ? 0 : this.#at === undefined ? undefined : Math.max(0, (Date.now() - this.#at) / 1000);
    void this.#ask();
    const behindBytes = this.#behindBytes;
    emit({ kind: 'followed', changes: this.#tally.changes, place, ...(behindSeconds !== undefined && { behindSeconds }), ...(behindBytes !== undefined && { behindBytes }) });
  }

  /** Forgets those before. */
  #committedAt(position: Position): number | undefined {
    const at = this.#committed.get(position);
    if (at === undefined) return undefined;
    for (const earlier of this.#committed.keys()) {
      if (earlier === position) break;
      this.#committed.delete(earlier);
    }
    return at;
  }

  async #ask(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    this.#behindBytes = await this.#log.distance?.(this.#lanes.place.position, this.#run.signal).catch(() => undefined);
    this.#asking = false;
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
