import { Long, MongoServerError, Timestamp, type Document } from 'mongodb';
import { DsyncError, messageOf } from '../../errors.js';
import { toExtendedJson } from '../../values/bson.js';
import { Fragments, together, type ChangeEvent } from './events.js';
import { parseExtendedJson } from './json.js';
import { tooShort } from './oplog.js';
import { compareTimes, timeAfter, timeBefore, timeInToken, type Spot, type Time } from './places.js';
import { replyOf } from './replies.js';
import { hasSessions, type Session } from './session.js';

/** What a stream is opened on. */
export type Scope =
  | { readonly on: 'deployment' }
  | { readonly on: 'database'; readonly database: string }
  | { readonly on: 'collection'; readonly database: string; readonly collection: string };

export interface StreamSpec {
  readonly scope: Scope;
  /** Which of its events are wanted: a condition of `$match`. Absent for all. */
  readonly match?: Document;
  /** After this token (Extended JSON), or from this time on, that time included. */
  readonly start: { readonly after: string } | { readonly at: Time };
  /** Events without their documents, one in a reply: those that are too large otherwise. */
  readonly bare: boolean;
  /** How long the server may wait for an event. */
  readonly waitMillis: number;
}

/** The cursor of one change stream: no more than the commands themselves, whose errors are those of the driver. */
export interface Cursor {
  /** `token`: how far the server has read, where it says so. */
  next(signal: AbortSignal): Promise<{ readonly documents: readonly Buffer[]; readonly token?: Buffer }>;
  /** Neither fails nor waits. */
  close(): void;
}

export type OpenCursor = (spec: StreamSpec, signal: AbortSignal) => Promise<Cursor>;

const unknownStage = 40324, tooLarge = 10334, notReplicated = 40573;
/** The log does not reach back so far, the stream can't go on, or the token is none of this server's. */
const historyCodes = new Set([286, 280, 260]);
/** Of an error that is about the place, the rights or the server's kind: the same try would end the same. */
const lasting = new Set(['denied', 'history-lost', 'usage', 'not-ready', 'unreachable']);

/** The driver's own change stream goes on by itself after some errors, from where it was told last, not from what was applied: it is not used. */
export function cursorsOf({ client, hello }: Session): OpenCursor {
  let splits = true;
  return async (spec, signal) => {
    const { scope } = spec, db = client.db(scope.on === 'deployment' ? 'admin' : scope.database);
    const session = hasSessions(hello) ? client.startSession({ causalConsistency: false }) : undefined;
    const ask: Ask = async (command, aborting) => replyOf(await db.command(command, { raw: true, ...(aborting && { signal: aborting }), ...(session && { session }) }));
    const end = () => void session?.endSession().catch(() => {});
    const open = (split: boolean) => ask({ aggregate: scope.on === 'collection' ? scope.collection : 1, pipeline: pipelineOf(spec, split), cursor: spec.bare ? { batchSize: 1 } : {} }, signal);
    try {
      const first = await open(splits).catch((error: unknown) => {
        if (!(error instanceof MongoServerError && error.code === unknownStage)) throw error;
        splits = false;
        return open(false);
      });
      return cursorOf(first, spec, ask, db.databaseName, end);
    } catch (error) {
      end();
      throw error;
    }
  };
}

type Reply = ReturnType<typeof replyOf>;
type Ask = (command: Document, signal?: AbortSignal) => Promise<Reply>;

function cursorOf(first: Reply, { bare, waitMillis }: StreamSpec, ask: Ask, database: string, end: () => void): Cursor {
  const collection = first.name.slice(database.length + 1);
  let { id } = first, waiting: Reply | undefined = first;
  return {
    async next(signal) {
      if (waiting === undefined && id === 0n) throw new DsyncError('source-lost', 'the server has ended the change stream');
      const reply = waiting ?? await ask({ getMore: Long.fromBigInt(id), collection, maxTimeMS: waitMillis, ...(bare && { batchSize: 1 }) }, signal);
      waiting = undefined;
      id = reply.id;
      return reply;
    },
    close() {
      const killed: Promise<unknown> = id === 0n ? Promise.resolve() : ask({ killCursors: collection, cursors: [Long.fromBigInt(id)] });
      id = 0n;
      void killed.then(end, end);
    },
  };
}

/** The server looks updated documents up as it sends the event: what the event would tell of them is no whole document. */
function pipelineOf({ scope, match, start, bare }: StreamSpec, splits: boolean): Document[] {
  const from = 'after' in start ? { startAfter: parseExtendedJson(start.after) } : { startAtOperationTime: new Timestamp(start.at) };
  const fields = Object.fromEntries(['operationType', 'ns', 'to', 'documentKey', 'clusterTime', 'wallTime', 'lsid', 'txnNumber'].map((name) => [name, 1]));
  return [
    { $changeStream: { ...(scope.on === 'deployment' && { allChangesForCluster: true }), ...(!bare && { fullDocument: 'updateLookup' }), ...from } },
    ...(match ? [{ $match: match }] : []),
    ...(bare ? [{ $project: fields }] : splits ? [{ $changeStreamSplitLargeEvent: {} }] : []),
  ];
}

/** An event, and the place before it: everything up to there was heard before, whole transactions. `bare`: without its document. */
export interface Heard { readonly event: ChangeEvent; readonly after: Spot; readonly bare: boolean }

export interface Hearing {
  readonly heard: readonly Heard[];
  /** Nothing is under way: everything up to here was heard. */
  readonly complete?: Spot;
}

export interface Listener {
  next(signal: AbortSignal): Promise<Hearing>;
  close(): void;
}

export interface StreamPorts {
  readonly open: OpenCursor;
  readonly attempt: Session['attempt'];
  /** Where the log ends now: for servers that don't say how far a stream has read. Absent for others. */
  readonly clock?: (signal: AbortSignal) => Promise<Time>;
}

/**
 * Hears one change stream. Any error ends it: `history-lost` where there is no way on, `source-lost` where there is one from
 * an earlier place. An event that is too large for its reply comes bare.
 */
export class Stream implements Listener {
  readonly #ports: StreamPorts;
  readonly #spec: Omit<StreamSpec, 'start' | 'bare'>;
  readonly #fragments = new Fragments();
  #cursor: Cursor | undefined;
  #bare = false;
  #start: StreamSpec['start'];
  /** All before it was heard. */
  #complete: Spot;
  /** The last event of a transaction that more may follow of. */
  #last: ChangeEvent | undefined;
  #clock: Time | undefined;

  constructor(ports: StreamPorts, spec: Omit<StreamSpec, 'start' | 'bare'>, from: Spot) {
    [this.#ports, this.#spec, this.#complete] = [ports, spec, from];
    this.#start = from.token !== undefined ? { after: from.token } : { at: timeAfter(from.time) };
  }

  async next(signal: AbortSignal): Promise<Hearing> {
    const clock = await this.#ports.clock?.(signal);
    const { documents, token } = await this.#reply(signal), bare = this.#bare, heard: Heard[] = [];
    for (const document of documents) {
      const event = this.#fragments.add(document);
      if (!event) continue;
      if (this.#last && !together(this.#last, event)) this.#reach(this.#last.time, this.#last.token);
      this.#last = event;
      this.#start = { after: event.token };
      heard.push({ event, after: this.#complete, bare });
    }
    // The server has ended it, and another one goes on after it.
    if (heard.length > 0 && (bare || this.#last?.kind === 'invalidate')) this.#reopen();
    if (token && !this.#fragments.isOpen) this.#readUpTo(toExtendedJson(token));
    if (documents.length === 0) this.#rest(clock);
    return { heard, ...(!this.#last && !this.#fragments.isOpen && { complete: this.#complete }) };
  }

  close(): void {
    this.#cursor?.close();
    this.#cursor = undefined;
  }

  async #reply(signal: AbortSignal): Promise<Awaited<ReturnType<Cursor['next']>>> {
    try {
      return await this.#attempt(signal, async () => {
        this.#cursor ??= await this.#ports.open({ ...this.#spec, start: this.#start, bare: this.#bare }, signal);
        return this.#cursor.next(signal);
      });
    } catch (error) {
      if (this.#bare || !isTooLarge(error)) throw error;
      this.#reopen();
      this.#bare = true;
      return this.#reply(signal);
    }
  }

  #reopen(): void {
    this.close();
    this.#fragments.forget();
    this.#bare = false;
  }

  /** A time alone says less than a token of that time. */
  #reach(time: Time, token?: string): void {
    const { reach, filter } = this.#complete;
    this.#complete = { time, ...(reach !== undefined && { reach, filter }), ...(token !== undefined && { token }) };
  }

  /** The server's own mark: no event before it will follow, those at its very time may. */
  #readUpTo(token: string): void {
    const clock = timeInToken(token);
    this.#start = { after: token };
    if (!clock) return;
    if (this.#last && compareTimes(clock, this.#last.time) <= 0) return;
    this.#last = undefined;
    if (compareTimes(timeBefore(clock), this.#complete.time) > 0) this.#reach(timeBefore(clock), token);
  }

  /** The server had nothing more: what came last is whole. Where it does not say how far it has read, it is as far as the log was a while ago. */
  #rest(clock: Time | undefined): void {
    if (this.#last && !this.#fragments.isOpen) this.#reach(this.#last.time, this.#last.token);
    this.#last = undefined;
    if (clock && this.#clock && compareTimes(this.#clock, this.#complete.time) > 0) this.#reach(this.#clock);
    this.#clock = clock;
  }

  async #attempt<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> {
    const { scope } = this.#spec, where = scope.on === 'deployment' ? 'all databases' : scope.on === 'database' ? scope.database : `${scope.database}.${scope.collection}`;
    try {
      return await this.#ports.attempt(`reading the change stream of ${where}`, signal, () => action().catch((error: unknown) => { throw told(error); }));
    } catch (error) {
      if (signal.aborted || isTooLarge(error) || (error instanceof DsyncError && lasting.has(error.code))) throw error;
      throw new DsyncError('source-lost', messageOf(error), { cause: error });
    }
  }
}

/** What the server's errors of change streams mean; the others are left to the session. */
function told(error: unknown): unknown {
  if (!(error instanceof MongoServerError)) return error;
  const code = Number(error.code);
  if (historyCodes.has(code)) return new DsyncError('history-lost', `the change stream can't go on from where this run stands: ${error.message}`, {
    cause: error, remedy: tooShort,
  });
  if (code === notReplicated) return new DsyncError('not-ready', 'the server is no member of a replica set: it keeps no log of changes', { cause: error, remedy: standaloneRemedy });
  return error;
}

const standaloneRemedy = "start mongod with --replSet NAME, then rs.initiate() once: a set of one member will do; name it in the URL (replicaSet=NAME)";

function isTooLarge(error: unknown): boolean {
  const cause = error instanceof DsyncError ? error.cause : error;
  return cause instanceof MongoServerError && cause.code === tooLarge;
}

/**
 * Hears several streams as one, for who may not open one for all. They go on independently: a place is the earliest of
 * theirs, and events of one transaction may come in different turns.
 */
export class Streams implements Listener {
  readonly #streams: readonly Listener[];
  #complete: Spot;
  readonly #reached: Time[];
  readonly #under: boolean[];

  constructor(streams: readonly Listener[], from: Spot, process: string) {
    this.#streams = streams;
    this.#complete = { time: from.time, reach: from.reach, filter: from.filter, process };
    this.#reached = streams.map(() => from.time);
    this.#under = streams.map(() => false);
  }

  async next(signal: AbortSignal): Promise<Hearing> {
    const hearings = await Promise.all(this.#streams.map((stream) => stream.next(signal))), after = this.#complete;
    hearings.forEach(({ heard, complete }, i) => {
      this.#under[i] = complete === undefined;
      this.#reached[i] = complete?.time ?? heard.at(-1)?.after.time ?? this.#reached[i]!;
    });
    const earliest = this.#reached.reduce((a, b) => (compareTimes(a, b) <= 0 ? a : b));
    if (compareTimes(earliest, after.time) > 0) this.#complete = { ...after, time: earliest };
    return { heard: hearings.flatMap(({ heard }) => heard.map((one) => ({ ...one, after }))), ...(!this.#under.includes(true) && { complete: this.#complete }) };
  }

  close(): void {
    for (const stream of this.#streams) stream.close();
  }
}
