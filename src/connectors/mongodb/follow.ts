import type { Change, FollowJob, LogChanges, LogMessage, LogPlace, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { changeOf, isOfDocument, type ChangeEvent, type Named } from './events.js';
import { compareTimes, filterOf, parseSpot, spellSpot, type Spot, type Time } from './places.js';
import type { Heard, Listener } from './stream.js';

export interface FollowPorts {
  /** Listens to these collections from the job's place on. */
  readonly listen: (job: FollowJob, signal: AbortSignal) => Promise<Listener>;
  /** The document of this key (`{_id: …}`) as it is now; undefined where there is none. */
  readonly find: (shape: Shape, key: Buffer, signal: AbortSignal) => Promise<Buffer | undefined>;
}

/** After so long without a message the caller hears how far the log was read. */
const quietMilliseconds = 500;
/** Of a change, beside its document. */
const overhead = 256;

export async function* follow(job: FollowJob, ports: FollowPorts, signal: AbortSignal): AsyncGenerator<LogMessage, void, undefined> {
  const listener = await ports.listen(job, signal), follower = new Follower(job, ports, signal);
  try {
    for (;;) {
      const { heard, complete } = await listener.next(signal);
      for (const one of heard) yield* follower.hear(one);
      yield* follower.rest(complete);
    }
  } finally {
    listener.close();
  }
}

interface Pending { readonly heard: Heard; readonly shape: Shape }

/** Turns events into messages. Changes are told at once, and counted from the last place between two transactions. */
class Follower {
  readonly #job: FollowJob;
  readonly #ports: FollowPorts;
  readonly #signal: AbortSignal;
  readonly #shapes: ReadonlyMap<string, Shape>;
  /** Up to when collections, by namespace, are to be left out. */
  readonly #leftOut: ReadonlyMap<string, Time>;
  readonly #announced = new Set<Shape>();
  /** Collections that were dropped or renamed, as was told, until they are there again. */
  readonly #gone = new Set<Shape>();
  /** Everything up to here was told, or is about to be. */
  #base: Spot | undefined;
  #position: string;
  /** Changes since then, and how many of the next ones the caller has already. */
  #since = 0;
  #skip: number;
  #out: Pending[] = [];
  #bytes = 0;
  #at = 0;
  #told: LogPlace;
  #lastMessage = performance.now();

  constructor(job: FollowJob, ports: FollowPorts, signal: AbortSignal) {
    [this.#job, this.#ports, this.#signal] = [job, ports, signal];
    this.#shapes = new Map(job.shapes.map((shape) => [nameOf({ database: shape.schema!, collection: shape.name }), shape]));
    this.#leftOut = new Map([...job.since ?? []].map(([namespace, position]) => [namespace, parseSpot(position).time]));
    this.#position = job.from.position;
    this.#skip = isCountedAlone(job) ? job.from.changes : 0;
    this.#told = job.from;
  }

  async *hear(heard: Heard): AsyncGenerator<LogMessage> {
    const { event, after } = heard;
    this.#reach(after);
    this.#at = event.at;
    if (!isOfDocument(event)) return yield* this.#definition(event);
    const shape = this.#shapeOf(event.on);
    if (!shape) return;
    const isTold = this.#isTold(shape, event);
    if (isTold && !this.#announced.has(shape)) yield* this.#announce(shape);
    this.#gone.delete(shape);
    this.#since++;
    if (this.#skip > 0) {
      this.#skip--;
      return;
    }
    if (!isTold) return;
    this.#out.push({ heard, shape });
    this.#bytes += event.bytes + overhead;
    if (this.#bytes >= this.#job.bytes) yield* this.#flush();
  }

  /** A reply was heard to its end. */
  async *rest(complete: Spot | undefined): AsyncGenerator<LogMessage> {
    yield* this.#flush();
    if (!complete) return;
    this.#reach(complete);
    const isNew = this.#position !== this.#told.position || this.#since !== this.#told.changes;
    // What was told in a transaction is whole now: that is said at once.
    if (isNew && (this.#told.changes > 0 || performance.now() - this.#lastMessage >= quietMilliseconds)) yield this.#place();
  }

  #isTold({ namespace }: Shape, { time }: ChangeEvent): boolean {
    const until = this.#leftOut.get(namespace);
    return until === undefined || compareTimes(time, until) > 0;
  }

  #reach(spot: Spot): void {
    if (spot === this.#base) return;
    this.#base = spot;
    this.#position = spellSpot(spot);
    this.#since = 0;
  }

  async *#announce(shape: Shape, other?: string): AsyncGenerator<LogMessage> {
    yield* this.#flush();
    this.#announced.add(shape);
    yield { kind: 'shape', shape, changed: other !== undefined, ...(other !== undefined && { other }) };
  }

  async *#flush(): AsyncGenerator<LogMessage> {
    if (this.#out.length === 0) return;
    const pending = this.#out, bytes = this.#bytes, changes: Change[] = [];
    [this.#out, this.#bytes] = [[], 0];
    const { place, at } = this.#place();
    for (const one of pending) {
      const change = changeOf(await this.#whole(one), one.shape);
      if (change) changes.push(change);
    }
    yield changes.length > 0 ? { kind: 'changes', changes, place, bytes, at } satisfies LogChanges : { kind: 'position', place, at };
  }

  #place(): Extract<LogMessage, { kind: 'position' }> {
    this.#told = { position: this.#position, changes: this.#since };
    this.#lastMessage = performance.now();
    return { kind: 'position', place: this.#told, at: this.#at };
  }

  /** The document of an event that was too large to bring it. */
  async #whole({ heard: { event, bare }, shape }: Pending): Promise<ChangeEvent> {
    if (!bare || event.kind === 'delete') return event;
    if (!event.key) throw new DsyncError('data', `an event of ${shape.namespace} does not tell of which document`, { namespace: shape.namespace });
    const document = await this.#ports.find(shape, event.key, this.#signal);
    return { ...event, ...(document && { document }) };
  }

  // --- collections come and go ---------------------------------------------

  /** The caller is told, once, of a chosen collection that is another one from here on. */
  async *#definition(event: ChangeEvent): AsyncGenerator<LogMessage> {
    for (const shape of this.#concerned(event)) {
      if (this.#gone.has(shape) || !this.#isTold(shape, event)) continue;
      this.#gone.add(shape);
      yield* this.#announce(shape, this.#becameOf(shape, event));
    }
  }

  #becameOf(shape: Shape, { kind, to }: ChangeEvent): string {
    if (kind !== 'rename' || !to) return kind === 'invalidate' ? 'was dropped or renamed' : 'was dropped';
    return this.#shapeOf(to) === shape ? 'was replaced by a collection that was given its name' : `was renamed to ${to.database}.${to.collection}`;
  }

  #concerned({ kind, on, to }: ChangeEvent): readonly Shape[] {
    switch (kind) {
      case 'drop': case 'rename': return [this.#shapeOf(on), to && this.#shapeOf(to)].filter((shape) => shape !== undefined);
      case 'dropDatabase': return this.#job.shapes.filter(({ schema }) => on === undefined || schema === on.database);
      case 'invalidate': return on || this.#job.shapes.length === 1 ? [this.#shapeOf(on)].filter((shape) => shape !== undefined) : [];
      default: return [];
    }
  }

  #shapeOf(named: Named | undefined): Shape | undefined {
    return named ? this.#shapes.get(nameOf(named)) : this.#job.shapes.length === 1 ? this.#job.shapes[0] : undefined;
  }
}

/**
 * Changes of several streams come in another order the next time, and with other collections there are others to count: they
 * are all told again, which ends the same.
 */
function isCountedAlone({ from: { position }, shapes, since }: FollowJob): boolean {
  const { process, filter } = parseSpot(position);
  return process === undefined && (filter === undefined || filter === filterOf(shapes)) && (since?.size ?? 0) === 0;
}

function nameOf({ database, collection }: Named): string {
  return JSON.stringify([database, collection]);
}
