import type { Change, ChangeLog, Destination, LaneWork, LogChanges, LogPlace, LogRow, Mapping, Rejected } from '../contract.js';
import { spellAny } from '../values/normal.js';

/** Lane 0 is for what must not be overtaken, and its place counts for all lanes; the others share the rest by key. */
const serial = 0;
const parallel = [1, 2, 3, 4] as const;
/** A lane's transaction is closed at about so many changes. */
const mostChanges = 4000;

export interface LanePorts {
  readonly run: string;
  readonly mappings: readonly Mapping[];
  readonly destination: Destination;
  readonly reached: ChangeLog['reached'];
  /** How much may wait for the lanes, in bytes. */
  readonly bytes: number;
  readonly signal: AbortSignal;
  readonly applied: (changes: number) => void;
  readonly rejected: (mapping: Mapping, rows: readonly Rejected[]) => void;
  /** Called once, with the first failure. */
  readonly failed: (error: unknown) => void;
}

interface Piece { readonly changes: ReadonlyMap<Mapping, readonly Change[]>; readonly count: number; readonly bytes: number; readonly place: LogPlace }

interface Lane { readonly number: number; place: LogPlace; readonly waiting: Piece[]; working?: Promise<void> }

/**
 * Applies the changes of a log in several transactions at once, without letting one overtake another of the same row: keys are
 * divided among the lanes, and what touches more than one row's fate (key changes, truncates, tables without a key, tables that
 * were there before and may have rules of their own) is applied alone, when all before it is.
 */
export class Lanes {
  readonly #ports: LanePorts;
  readonly #lanes: readonly Lane[];
  readonly #byNamespace: ReadonlyMap<string, Mapping>;
  #bytes = 0;
  #settled: LogPlace | undefined;
  #wake = () => {};

  /** `places`: what the destination has of an earlier process. Lanes that it knows nothing of begin at `start`. */
  constructor(ports: LanePorts, places: ReadonlyMap<number, LogPlace>, start: LogPlace) {
    this.#ports = ports;
    this.#byNamespace = new Map(ports.mappings.map((mapping) => [mapping.source.namespace, mapping]));
    const base = this.#later(places.get(serial) ?? start, start);
    this.#lanes = [serial, ...parallel].map((number) => ({ number, place: this.#later(places.get(number) ?? base, base), waiting: [] }));
  }

  /** Everything up to here is durable. */
  get place(): LogPlace {
    return this.#lanes.slice(1).map((lane) => lane.place).reduce((a, b) => (this.#later(a, b) === a ? b : a));
  }

  get isIdle(): boolean {
    return this.#lanes.every((lane) => lane.waiting.length === 0 && !lane.working);
  }

  /** Hands the changes to their lanes; waits while too much is waiting there. */
  async take(message: LogChanges): Promise<void> {
    const alone = message.changes.some((change) => this.#isAlone(change));
    if (alone) {
      await this.drain();
      this.#add(this.#lanes[serial], message.changes, message);
      await this.drain();
      this.#reached(message.place);
      return;
    }
    const shares = new Map<number, Change[]>(parallel.map((number) => [number, []]));
    for (const change of message.changes) shares.get(this.#laneOf(change))!.push(change);
    for (const [number, changes] of shares) this.#add(this.#lanes[number], changes, message);
    while (this.#bytes > this.#ports.bytes && !this.#ports.signal.aborted) await new Promise<void>((resolve) => { this.#wake = resolve; });
    this.#ports.signal.throwIfAborted();
  }

  /** Nothing of ours happened up to here; not durable before `settle`. */
  pass(place: LogPlace): void {
    if (this.isIdle) this.#reached(place);
  }

  /** Makes the place durable while nothing is under way. */
  async settle(): Promise<void> {
    const { place } = this;
    if (!this.isIdle || place === this.#settled) return;
    this.#settled = place;
    await this.#ports.destination.apply!(this.#ports.run, { lane: serial, place, tables: [] }, this.#ports.signal);
  }

  /** Resolves when all that was taken is durable. */
  async drain(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.working));
    this.#ports.signal.throwIfAborted();
  }

  #reached(place: LogPlace): void {
    for (const lane of this.#lanes) lane.place = this.#later(lane.place, place);
  }

  #later(a: LogPlace, b: LogPlace): LogPlace {
    if (a.position === b.position) return a.changes >= b.changes ? a : b;
    return this.#ports.reached(a.position, b.position) ? a : b;
  }

  #isAlone(change: Change): boolean {
    const mapping = this.#byNamespace.get(change.namespace);
    if (!mapping || change.kind === 'truncate' || mapping.existed || mapping.source.key.length === 0) return mapping !== undefined;
    return change.kind === 'update' && change.before !== undefined && mapping.source.key.some((i) => change.before![i] !== undefined && spelled(change.before![i]) !== spelled(change.row[i]));
  }

  #laneOf(change: Change): number {
    const mapping = this.#byNamespace.get(change.namespace);
    if (!mapping || change.kind === 'truncate') return parallel[0];
    const row: LogRow = change.kind === 'delete' ? change.before : change.row;
    return parallel[hashOf(change.namespace, mapping.source.key, row) % parallel.length];
  }

  #add(lane: Lane, changes: readonly Change[], { bytes, place, changes: all }: LogChanges): void {
    const byMapping = new Map<Mapping, Change[]>();
    for (const change of changes) {
      const mapping = this.#byNamespace.get(change.namespace);
      if (!mapping) continue;
      const share = byMapping.get(mapping);
      if (share) share.push(change);
      else byMapping.set(mapping, [change]);
    }
    const share = all.length === 0 ? 0 : Math.ceil((bytes * changes.length) / all.length);
    this.#bytes += share;
    lane.waiting.push({ changes: byMapping, count: changes.length, bytes: share, place });
    lane.working ??= this.#work(lane).finally(() => { lane.working = undefined; });
  }

  async #work(lane: Lane): Promise<void> {
    // What comes in the same moment goes into the same transaction.
    await Promise.resolve();
    try {
      while (lane.waiting.length > 0) await this.#apply(lane, nextOf(lane));
    } catch (error) {
      this.#ports.failed(error);
    } finally {
      this.#wake();
    }
  }

  async #apply(lane: Lane, pieces: readonly Piece[]): Promise<void> {
    const count = pieces.reduce((sum, piece) => sum + piece.count, 0), { place } = pieces.at(-1)!;
    if (count > 0) await this.#applyTables(lane, pieces, place, count);
    lane.place = this.#later(lane.place, place);
    this.#bytes -= pieces.reduce((sum, piece) => sum + piece.bytes, 0);
    this.#wake();
  }

  async #applyTables(lane: Lane, pieces: readonly Piece[], place: LogPlace, count: number): Promise<void> {
    const { run, destination, signal, mappings } = this.#ports;
    const tables = mappings.map((mapping) => ({ mapping, changes: pieces.flatMap((piece) => piece.changes.get(mapping) ?? []) })).filter(({ changes }) => changes.length > 0);
    const work: LaneWork = { lane: lane.number, place, tables };
    const { rejected } = await destination.apply!(run, work, signal);
    for (const { mapping } of tables) {
      const own = rejected.filter(({ namespace }) => namespace === mapping.source.namespace);
      if (own.length > 0) this.#ports.rejected(mapping, own);
    }
    this.#ports.applied(count);
  }
}

/** Takes the pieces of the lane's next transaction. */
function nextOf(lane: Lane): readonly Piece[] {
  let end = 0, changes = 0;
  while (end < lane.waiting.length && (end === 0 || changes + lane.waiting[end].count <= mostChanges)) changes += lane.waiting[end++].count;
  return lane.waiting.splice(0, end);
}

/** FNV-1a, by UTF-16 code units: a row's changes always meet in one lane, in every process. */
function hashOf(namespace: string, key: readonly number[], row: LogRow): number {
  let hash = 0x811c9dc5;
  const add = (text: string) => {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  };
  add(namespace);
  for (const i of key) add(spelled(row[i]));
  return hash >>> 0;
}

function spelled(value: LogRow[number]): string {
  return value === undefined || value === null ? '\0' : `${spellAny(value)}\0`;
}
