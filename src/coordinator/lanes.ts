import type { Change, ChangeLog, Destination, LaneWork, LogChanges, LogPlace, LogRow, Mapping, Rejected } from '../contract.js';
import { DsyncError, type ErrorCode } from '../errors.js';
import { spellAny } from '../values/normal.js';

/** Lane 0 is for what must not be overtaken, and its place counts for all lanes; the others share the rest by key. */
const serial = 0;
const parallel = [1, 2, 3, 4] as const;
/** A lane's transaction is closed at about so many changes. */
const mostChanges = 4000;
/** Errors that may be one table's own. */
const aboutTables: readonly ErrorCode[] = ['data', 'refused', 'denied', 'not-ready', 'internal'];

export interface LanePorts {
  readonly run: string;
  readonly mappings: readonly Mapping[];
  readonly destination: Destination;
  /** Standing tables whose changes may be applied in any order of keys; by the target's namespace. */
  readonly independent?: ReadonlySet<string>;
  readonly reached: ChangeLog['reached'];
  /** How much may wait for the lanes, in bytes. */
  readonly bytes: number;
  readonly signal: AbortSignal;
  readonly applied: (changes: number) => void;
  /** `place`: where the lane was when it had applied the others of the same transaction. */
  readonly rejected: (mapping: Mapping, rows: readonly Rejected[], place: LogPlace) => void;
  /** Remembers on disk that changes of this table are lost to it, because of this error. */
  readonly suspect?: (mapping: Mapping, error: DsyncError) => Suspicion;
  /** Called once, with the first failure. */
  readonly failed: (error: unknown) => void;
}

/** It was this table's fault: it stays apart; or it was not. One of the two is called. */
export interface Suspicion { confirm(): void; clear(): void }

interface Piece { readonly changes: ReadonlyMap<Mapping, readonly Change[]>; readonly count: number; readonly bytes: number; readonly place: LogPlace }

interface Lane { readonly number: number; place: LogPlace; readonly waiting: Piece[]; working?: Promise<void> }

/**
 * Applies the changes of a log in several transactions at once, without letting one overtake another of the same row: keys are
 * divided among the lanes, and what touches more than one row's fate (key changes, truncates, tables without a key, tables that
 * were there before and have rules of their own) is applied alone, when all before it is.
 */
export class Lanes {
  readonly #ports: LanePorts;
  readonly #lanes: readonly Lane[];
  readonly #byNamespace: Map<string, Mapping>;
  #bytes = 0;
  #settled: LogPlace | undefined;
  /** Reached as soon as all that was taken before it is durable. */
  #passed: LogPlace | undefined;
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

  /** From now on this table's changes are applied so. To be called while all that was taken is drained. */
  put(mapping: Mapping): void {
    this.#byNamespace.set(mapping.source.namespace, mapping);
  }

  /** From now on this table's changes are passed over, those that wait too. */
  drop(namespace: string): void {
    this.#byNamespace.delete(namespace);
  }

  /** Hands the changes to their lanes; waits while too much is waiting there. */
  async take(message: LogChanges): Promise<void> {
    this.#passed = undefined;
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
    this.#passed = place;
    this.#catchUp();
  }

  #catchUp(): void {
    if (!this.#passed || !this.isIdle || this.#ports.signal.aborted) return;
    this.#reached(this.#passed);
    this.#passed = undefined;
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
    if (!mapping || change.kind === 'truncate' || (mapping.existed && !this.#isIndependent(mapping)) || mapping.source.key.length === 0) return mapping !== undefined;
    return change.kind === 'update' && change.before !== undefined && mapping.source.key.some((i) => change.before![i] !== undefined && spelled(change.before![i]) !== spelled(change.row[i]));
  }

  #isIndependent(mapping: Mapping): boolean {
    return hasExactKey(mapping) && this.#ports.independent?.has(mapping.target.namespace) === true;
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
    lane.working ??= this.#work(lane).finally(() => {
      lane.working = undefined;
      this.#catchUp();
    });
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
    const mappings = [...this.#byNamespace.values()];
    const tables = mappings.map((mapping) => ({ mapping, changes: pieces.flatMap((piece) => piece.changes.get(mapping) ?? []) })).filter(({ changes }) => changes.length > 0);
    const work: LaneWork = { lane: lane.number, place, tables };
    const rejected = await this.#send(work).catch((error: unknown) => this.#without(work, error));
    for (const { mapping } of tables) {
      const own = rejected.filter(({ namespace }) => namespace === mapping.source.namespace);
      if (own.length > 0) this.#ports.rejected(mapping, own, place);
    }
    this.#ports.applied(count);
  }

  async #send(work: LaneWork): Promise<readonly Rejected[]> {
    const { run, destination, signal } = this.#ports;
    return (await destination.apply!(run, work, signal)).rejected;
  }

  /**
   * One bad table must not keep the others: the one without which the rest can be applied is set apart, on disk before the
   * rest is applied: a crash between leaves it apart, never its changes forgotten. Fails with the error where it is no table's.
   */
  async #without(work: LaneWork, error: unknown): Promise<readonly Rejected[]> {
    const { suspect } = this.#ports;
    if (!suspect || !isAboutTables(error)) throw error;
    const named = (table: LaneWork['tables'][number]) => Number(table.mapping.source.namespace === error.namespace);
    const tables = [...work.tables].sort((a, b) => named(b) - named(a));
    for (const bad of [...tables.map((table) => [table]), ...(tables.length > 1 ? [tables] : [])]) {
      const suspicions = bad.map(({ mapping }) => suspect(mapping, error));
      const rest = await this.#send({ ...work, tables: work.tables.filter((table) => !bad.includes(table)) }).catch((second: unknown) => {
        for (const suspicion of suspicions) suspicion.clear();
        if (!isAboutTables(second)) throw second;
      });
      if (!rest) continue;
      for (const suspicion of suspicions) suspicion.confirm();
      return rest;
    }
    throw error;
  }
}

function isAboutTables(error: unknown): error is DsyncError {
  return error instanceof DsyncError && aboutTables.includes(error.code);
}

/** Two keys that are spelled otherwise are two rows there, too: no collation of the destination's makes them one. */
function hasExactKey({ source, target }: Mapping): boolean {
  return source.key.every((i) => ['int', 'uuid'].includes(source.columns[i].type.kind) && target.columns[i].type.kind === source.columns[i].type.kind);
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
