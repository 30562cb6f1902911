import type { Change, FollowJob, LogChanges, LogMessage, LogRow, Position, Shape, Value } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { bytesOfChange } from '../../source/batches.js';
import { openBinlog, type Binlog, type LogEvent } from './binlog.js';
import { readTable } from './catalogue.js';
import { learnCharsets, type Charset } from './charsets.js';
import { effectsOf, type Effect, type Named } from './ddl.js';
import { decoderFor, type RowDecoder } from './image.js';
import { filePlaceOf, reached, trackFrom, type Track } from './places.js';
import { complete, type Incomplete } from './reread.js';
import type { Session } from './session.js';
import { loggedColumns, type TableMap } from './tablemap.js';

export interface FollowPorts {
  readonly open: (signal: AbortSignal) => Promise<Session>;
  /** Where the log ends now. */
  readonly head: (session: Session, signal: AbortSignal) => Promise<Position>;
}

/** A chosen table on its way through the log. */
interface Followed {
  shape: Shape;
  announced: boolean;
  /** `gone`: there is no such table now. `unclear`: its columns at this place in the log are not known. */
  state: 'known' | 'gone' | 'unclear';
  /** Made for these very table maps and this shape. */
  decoder?: { readonly map: Buffer; readonly decode: RowDecoder };
}

/** After so long without a message the caller hears how far the log was read. */
const quietMilliseconds = 500;
const [openingBytes, truncateBytes] = [8 << 20, 64];
/** Rows of prepared transactions are kept up to so many bytes; those of larger ones are read again when they are committed. */
const preparedBytes = 4 << 20;

export async function* follow(job: FollowJob, ports: FollowPorts, signal: AbortSignal): AsyncGenerator<LogMessage, void, undefined> {
  const control = await ports.open(signal);
  const sessions = [control];
  let log: Binlog | undefined;
  try {
    const dump = await ports.open(signal);
    sessions.push(dump);
    const follower = await Follower.start(job, ports, control, signal);
    log = await openBinlog({ from: job.from.position, chosen: (schema, table) => follower.follows({ schema, name: table }), bytes: openingBytes }, control, dump, signal);
    for (;;) {
      const events = await log.take(signal, follower.patience);
      for (const event of events) yield* follower.hear(event);
      if (log.drained) yield* follower.rest();
    }
  } finally {
    log?.close();
    for (const session of sessions) session.destroy();
  }
}

/** Turns the log's events into messages, and knows at each moment where they may be taken up again. */
class Follower {
  readonly #job: FollowJob;
  readonly #ports: FollowPorts;
  readonly #control: Session;
  readonly #signal: AbortSignal;
  readonly #tables = new Map<string, Followed>();
  readonly #byId: Mapped = new Map();
  readonly #charsets = new Map<string, Charset>();
  readonly #foldCase: boolean;
  readonly #track: Track;
  /** XA transactions that are prepared: their rows count once those are committed. */
  readonly #prepared = new Map<string, Prepared>();
  /** The XA transaction that is being read. */
  #preparing: Prepared | undefined;
  /** Of the rows that are kept for XA transactions. */
  #keptBytes = 0;
  /** Where the log is to be read from again as long as something is prepared. */
  #held: Position | undefined;
  #inside = false;
  /** Of the transaction under way. */
  #gtid: string | undefined;
  /** Changes since the position, and how many of them the caller has already. */
  #since = 0;
  #skip: number;
  #out: Pending[] = [];
  #bytes = 0;
  #at = 0;
  #moved = false;
  #lastMessage = performance.now();

  static async start(job: FollowJob, ports: FollowPorts, control: Session, signal: AbortSignal): Promise<Follower> {
    const [[caseless]] = await control.rows('SELECT @@lower_case_table_names <> 0', signal);
    const follower = new Follower(job, ports, control, caseless === '1', signal);
    for (const shape of job.shapes) await learnCharsets(follower.#charsets, shape.columns, control, signal);
    return follower;
  }

  constructor(job: FollowJob, ports: FollowPorts, control: Session, foldCase: boolean, signal: AbortSignal) {
    [this.#job, this.#ports, this.#control, this.#foldCase, this.#signal] = [job, ports, control, foldCase, signal];
    this.#track = trackFrom(job.from.position, control.version.flavour);
    this.#skip = job.from.changes;
    for (const shape of job.shapes) this.#tables.set(this.#keyOf({ schema: shape.schema ?? '', name: shape.name }), { shape, announced: false, state: 'known' });
  }

  follows(named: Named): boolean {
    return this.#tables.has(this.#keyOf(named));
  }

  async *hear(event: LogEvent): AsyncGenerator<LogMessage> {
    switch (event.kind) {
      case 'begin':
        this.#track.begin(event.gtid);
        this.#gtid = event.gtid;
        this.#inside = event.standalone === false;
        if (this.#preparing) this.#leave(this.#preparing);
        // MySQL says it by `XA START`.
        this.#preparing = event.prepares ? this.#began() : undefined;
        return;
      case 'file': return this.#track.file(event.name);
      case 'passed':
        this.#track.passed(event.offset);
        this.#moved = true;
        return;
      case 'map': return this.#mapped(event.map, this.#byId);
      case 'rows': return yield* this.#rows(event, this.#byId);
      case 'commit': return this.#commit(event.end, event.at);
      case 'prepare': return yield* this.#prepare(event);
      case 'query': return yield* this.#query(event);
      default: return event satisfies never;
    }
  }

  /** Milliseconds after which `rest` may have something to say. */
  get patience(): number | undefined {
    return this.#moved && !this.#inside ? Math.max(0, quietMilliseconds - (performance.now() - this.#lastMessage)) : undefined;
  }

  /** Nothing more has come: what is complete goes out, and now and then how far the log was read. */
  async *rest(): AsyncGenerator<LogMessage> {
    if (this.#inside) return;
    if (this.#out.length > 0) return yield* this.#flush();
    if (this.#moved && performance.now() - this.#lastMessage >= quietMilliseconds) yield this.#position();
  }

  // --- transactions -------------------------------------------------------

  #commit(end: number, at: number): void {
    this.#track.end(end);
    this.#inside = false;
    this.#at = at;
    this.#moved = true;
    if (this.#prepared.size > 0 || [...this.#tables.values()].some(({ state }) => state === 'unclear')) return;
    this.#held = undefined;
    this.#since = 0;
    this.#skip = 0;
  }

  async *#prepare({ xid, onePhase, end, at }: Extract<LogEvent, { kind: 'prepare' }>): AsyncGenerator<LogMessage> {
    const prepared = this.#preparing ?? this.#began();
    this.#preparing = undefined;
    if (onePhase) yield* this.#committed(prepared);
    else {
      this.#held ??= this.#track.text();
      this.#prepared.set(xid, prepared);
    }
    this.#commit(end, at);
  }

  #began(): Prepared {
    return { from: this.#track.text(), gtid: this.#gtid, rows: [], bytes: 0 };
  }

  #keep(prepared: Prepared, row: Pending): void {
    prepared.rows!.push(row);
    prepared.bytes += row.bytes;
    this.#keptBytes += row.bytes;
    if (this.#keptBytes > preparedBytes) this.#leave(prepared);
  }

  /** Its rows are no longer kept. */
  #leave(prepared: Prepared): void {
    this.#keptBytes -= prepared.bytes;
    Object.assign(prepared, { rows: undefined, bytes: 0 });
  }

  /** Its rows count from now on. */
  async *#committed(prepared: Prepared): AsyncGenerator<LogMessage> {
    const { rows } = prepared;
    if (!rows) return yield* this.#readAgain(prepared);
    this.#leave(prepared);
    for (const row of rows) {
      this.#append(row);
      if (this.#bytes >= this.#job.bytes) yield* this.#flush();
    }
  }

  /** The log from before it on has it first. */
  async *#readAgain({ from, gtid }: Prepared): AsyncGenerator<LogMessage> {
    const control = await this.#ports.open(this.#signal), sessions = [control], byId: Mapped = new Map();
    let log: Binlog | undefined;
    try {
      const dump = await this.#ports.open(this.#signal);
      sessions.push(dump);
      log = await openBinlog({ from, chosen: (schema, table) => this.follows({ schema, name: table }), bytes: openingBytes }, control, dump, this.#signal);
      for (;;) {
        for (const event of await log.take(this.#signal)) {
          if (event.kind === 'begin' && event.gtid !== gtid) throw new DsyncError('source-lost', `the binary log has ${event.gtid} where ${gtid} was`);
          if (event.kind === 'map') this.#mapped(event.map, byId);
          if (event.kind === 'rows') yield* this.#rows(event, byId);
          if (event.kind === 'prepare') return;
        }
      }
    } finally {
      log?.close();
      for (const session of sessions) session.destroy();
    }
  }

  async *#query({ schema, sql, end, at }: Extract<LogEvent, { kind: 'query' }>): AsyncGenerator<LogMessage> {
    const words = /^[\s(]*(\w+)(?:\s+(\w+))?/.exec(sql.slice(0, 200));
    const [first, second] = [words?.[1].toUpperCase() ?? '', words?.[2]?.toUpperCase()];
    if (first === 'BEGIN') this.#inside = true;
    else if (first === 'XA') yield* this.#xa(second ?? '', sql, end, at);
    else if (first === 'COMMIT') this.#commit(end, at);
    else if (first === 'ROLLBACK' || first === 'SAVEPOINT') this.#rolledBack(first, sql, end, at);
    else if (dataStatements.has(first)) this.#refuseStatement(sql, schema);
    else yield* this.#definition(sql, schema, end, at);
  }

  async *#xa(what: string, sql: string, end: number, at: number): AsyncGenerator<LogMessage> {
    if (what === 'START' || what === 'BEGIN') {
      this.#inside = true;
      this.#preparing = this.#began();
    }
    if (what !== 'COMMIT' && what !== 'ROLLBACK') return;
    const [, gtrid, bqual, format] = /X'([0-9a-f]*)'\s*,\s*X'([0-9a-f]*)'\s*,\s*(\d+)/i.exec(sql) ?? [];
    const xid = `'${gtrid?.toLowerCase()}','${bqual?.toLowerCase()}',${format}`;
    const prepared = this.#prepared.get(xid);
    if (!prepared && what === 'COMMIT' && !/ONE PHASE/i.test(sql)) throw new DsyncError('history-lost', `the XA transaction ${xid} was prepared before this run's log begins, and committed after: its rows are not known`, { remedy: 'start over with a new run, while no XA transaction is prepared (XA RECOVER)' });
    if (prepared && what === 'COMMIT') yield* this.#committed(prepared);
    else if (prepared) this.#leave(prepared);
    this.#prepared.delete(xid);
    this.#commit(end, at);
  }

  /** Of tables with transactions the log has nothing to roll back, but where they are mixed with others. */
  #rolledBack(first: string, sql: string, end: number, at: number): void {
    if (first === 'SAVEPOINT') return;
    if (this.#since > 0 && this.#inside) throw new DsyncError('refused', 'a transaction that changes tables with and without transactions was rolled back in part: the log does not tell what is left', { remedy: 'start over with a new run, without the tables that have no transactions (--exclude)' });
    if (!/\bTO\b/i.test(sql)) this.#commit(end, at);
  }

  #refuseStatement(sql: string, schema: string): void {
    const named = [...this.#tables.values()].find(({ shape }) => mentions(sql, shape.name) && (schema === shape.schema || mentions(sql, shape.schema ?? '')));
    if (!named) return;
    throw new DsyncError('refused', `${named.shape.namespace} was changed by a session that logs statements, not rows`, {
      namespace: named.shape.namespace, remedy: 'SET GLOBAL binlog_format = ROW, and start over with a new run',
    });
  }

  // --- rows ---------------------------------------------------------------

  #mapped(map: TableMap, byId: Mapped): void {
    const table = this.#tables.get(this.#keyOf({ schema: map.schema, name: map.table }));
    if (table) byId.set(map.id, { map, table });
  }

  async *#rows({ change, extra, table: id, body }: Extract<LogEvent, { kind: 'rows' }>, byId: Mapped): AsyncGenerator<LogMessage> {
    const { map, table } = byId.get(id)!, preparing = this.#preparing;
    if (this.#isEarly(table.shape)) {
      // What it may be further than is when it is committed, not when it is prepared.
      if (preparing) return this.#leave(preparing);
      // One for all rows of the event: to count them they would have to be decoded.
      return void this.#count();
    }
    if (preparing && !preparing.rows) return;
    if (table.decoder === undefined || !table.decoder.map.equals(map.body)) yield* this.#decoder(table, map);
    const { decode } = table.decoder!;
    const rows = this.#decoded(table.shape, () => decode.rows(body, { extra, update: change === 'update' }));
    const step = change === 'update' ? 2 : 1;
    for (let i = 0; i < rows.length; i += step) {
      const told = changeOf(change, table.shape, rows[i], rows[i + 1]);
      const pending: Pending = { change: told, bytes: bytesOfChange(told), ...(decode.inexact.length > 0 && told.kind !== 'delete' && { incomplete: { shape: table.shape, inexact: decode.inexact } }) };
      if (!preparing) this.#append(pending);
      else if (preparing.rows) this.#keep(preparing, pending);
      if (this.#bytes >= this.#job.bytes) yield* this.#flush();
    }
  }

  #decoded<T>(shape: Shape, decode: () => T): T {
    try {
      return decode();
    } catch (error) {
      throw new DsyncError('refused', `a row of ${shape.namespace} in the binary log can't be read: ${messageOf(error)}`, {
        namespace: shape.namespace, cause: error, remedy: 'SET GLOBAL binlog_row_image = FULL, and start over with a new run',
      });
    }
  }

  /** The table's columns are those of the map, or no row is read. */
  async *#decoder(table: Followed, map: TableMap): AsyncGenerator<LogMessage> {
    const logged = this.#decoded(table.shape, () => loggedColumns(map));
    const decoderNow = () => decoderFor(table.shape, logged, this.#charsets);
    let decode = table.state === 'known' ? decoderNow() : `its columns at that time are not known`;
    if (typeof decode === 'string' && (table.state === 'gone' || !table.announced)) {
      yield* this.#flush();
      yield* this.#reread(table, this.#track.text());
      if (table.state === 'known') decode = decoderNow();
    }
    if (typeof decode === 'string') throw unknownColumns(table.shape, decode);
    refuseWithoutKey(table.shape, decode);
    if (!table.announced) {
      yield* this.#flush();
      table.announced = true;
      yield this.#said({ kind: 'shape', shape: table.shape, changed: false });
    }
    table.decoder = { map: map.body, decode };
  }

  #append(pending: Pending): void {
    if (!this.#count()) return;
    this.#out.push(pending);
    this.#bytes += pending.bytes;
  }

  /** Counts a change; false if the caller has it already. */
  #count(): boolean {
    this.#since++;
    if (this.#skip === 0) return true;
    this.#skip--;
    return false;
  }

  /** Does the transaction under way belong to what the table is further than? */
  #isEarly({ namespace }: Shape): boolean {
    const since = this.#job.since?.get(namespace);
    if (since === undefined) return false;
    const here = this.#track.text();
    return this.#gtid !== undefined && filePlaceOf(here) === undefined ? reached(since, this.#gtid) : !reached(here, since);
  }

  async *#flush(): AsyncGenerator<LogMessage> {
    if (this.#out.length === 0) return;
    const pending = this.#out, bytes = this.#bytes;
    this.#out = [];
    this.#bytes = 0;
    const changes = pending.map(({ change }) => change);
    const incomplete = new Map<number, Incomplete>();
    pending.forEach(({ change, incomplete: what }, i) => { if (what) incomplete.set(i, { ...what, change: change as Incomplete['change'] }); });
    const { place, at } = this.#position();
    if (incomplete.size > 0) await complete(incomplete, changes, this.#control, this.#signal);
    yield this.#said<LogChanges>({ kind: 'changes', changes, place, bytes, at });
  }

  #position(): Extract<LogMessage, { kind: 'position' }> {
    return this.#said({ kind: 'position', place: { position: this.#held ?? this.#track.text(), changes: this.#since }, at: this.#at });
  }

  #said<T extends LogMessage>(message: T): T {
    this.#moved = false;
    this.#lastMessage = performance.now();
    return message;
  }

  // --- definitions --------------------------------------------------------

  async *#definition(sql: string, schema: string, end: number, at: number): AsyncGenerator<LogMessage> {
    const all = effectsOf(sql, schema);
    if (this.#job.newTables && all.some((effect) => this.#makesAnother(effect))) {
      yield* this.#flush();
      yield { ...this.#position(), created: true };
    }
    const effects = all.flatMap((effect) => this.#concerned(effect)).filter(({ table }) => !this.#isEarly(table.shape));
    // What was before has a place before: one after the definition is told only when its shapes are.
    if (effects.length > 0) yield* this.#flush();
    const before = this.#held ?? this.#track.text();
    for (const { effect, table } of effects) {
      if (effect.kind === 'replaced') throw replaced(table.shape, effect.how);
      if (effect.kind === 'truncated' || effect.kind === 'recreated' || (effect.kind === 'created' && table.state === 'gone')) this.#append({ change: { kind: 'truncate', namespace: table.shape.namespace }, bytes: truncateBytes });
      table.decoder = undefined;
    }
    // `CREATE TABLE … SELECT` goes on with its rows, and MariaDB's says at its beginning that a commit follows.
    if (/START TRANSACTION\s*$/i.test(sql)) this.#inside = true;
    if (!this.#inside) this.#commit(end, at);
    for (const { effect, table } of effects) {
      if (effect.kind === 'dropped' || effect.kind === 'schema-dropped') table.state = 'gone';
      else if (effect.kind !== 'truncated') yield* this.#reread(table, this.#track.text());
      // As long as its columns are not known the log is to be read again from here: another process would take them for the old ones.
      if (table.state === 'unclear') this.#held ??= before;
    }
    if (effects.length > 0) yield* this.#flush();
  }

  #makesAnother(effect: Effect): boolean {
    return (effect.kind === 'created' || effect.kind === 'recreated' || effect.kind === 'replaced') && !this.follows(effect.table);
  }

  #concerned(effect: Effect): { readonly effect: Effect; readonly table: Followed }[] {
    if (effect.kind === 'schema-dropped') return [...this.#tables.values()].filter(({ shape }) => this.#fold(shape.schema ?? '') === this.#fold(effect.schema)).map((table) => ({ effect, table }));
    const table = this.#tables.get(this.#keyOf(effect.table));
    return table ? [{ effect, table }] : [];
  }

  /** The table as the catalogue has it now: good for this place in the log if nothing altered it again since. */
  async *#reread(table: Followed, here: Position): AsyncGenerator<LogMessage> {
    const now = await readTable(this.#control, table.shape.schema ?? '', table.shape.name, this.#signal);
    const head = await this.#ports.head(this.#control, this.#signal);
    table.decoder = undefined;
    table.state = now === undefined ? 'gone' : !reached(here, head) && await this.#altersAgain(table, here, head) ? 'unclear' : 'known';
    if (now === undefined || table.state !== 'known') return;
    const changed = spelled(now.shape) !== spelled(table.shape);
    table.shape = now.shape;
    await learnCharsets(this.#charsets, now.shape.columns, this.#control, this.#signal);
    if (!changed) return;
    table.announced = true;
    yield this.#said({ kind: 'shape', shape: now.shape, changed: true });
  }

  /** Reads the log ahead, without its rows. */
  async #altersAgain(table: Followed, from: Position, to: Position): Promise<boolean> {
    const dump = await this.#ports.open(this.#signal), control = await this.#ports.open(this.#signal);
    let log: Binlog | undefined;
    try {
      log = await openBinlog({ from, chosen: () => false, bytes: openingBytes }, control, dump, this.#signal);
      const track = trackFrom(from, control.version.flavour);
      while (!reached(track.text(), to)) {
        for (const event of await log.take(this.#signal)) {
          if (event.kind === 'begin') track.begin(event.gtid);
          if (event.kind === 'file') track.file(event.name);
          if (event.kind === 'query' && effectsOf(event.sql, event.schema).some((effect) => this.#concerned(effect).some((concerned) => concerned.table === table))) return true;
          if (event.kind === 'passed') track.passed(event.offset);
          if ('end' in event) track.end(event.end);
        }
      }
      return false;
    } finally {
      log?.close();
      dump.destroy();
      control.destroy();
    }
  }

  #keyOf({ schema, name }: Named): string {
    return JSON.stringify([this.#fold(schema), this.#fold(name)]);
  }

  #fold(name: string): string {
    return this.#foldCase ? name.toLowerCase() : name;
  }
}

type Mapped = Map<number, { readonly map: TableMap; readonly table: Followed }>;

/** `from`: the log before it. `rows`: absent where they are read again. */
interface Prepared { readonly from: Position; readonly gtid: string | undefined; rows: Pending[] | undefined; bytes: number }

interface Pending { readonly change: Change; readonly bytes: number; readonly incomplete?: Omit<Incomplete, 'change'> }

const dataStatements = new Set(['INSERT', 'UPDATE', 'DELETE', 'REPLACE', 'LOAD', 'CALL', 'WITH']);

function changeOf(kind: 'insert' | 'update' | 'delete', shape: Shape, first: readonly Value[], second: readonly Value[]): Change {
  const { namespace } = shape;
  if (kind === 'insert') return { kind, namespace, row: first };
  if (kind === 'delete') return { kind, namespace, before: keyOnly(shape, first) };
  const moved = shape.key.length === 0 || shape.key.some((position) => !same(first[position], second[position]));
  return { kind, namespace, ...(moved && { before: keyOnly(shape, first) }), row: second };
}

function keyOnly({ key }: Shape, row: readonly Value[]): LogRow {
  return key.length === 0 ? row : row.map((cell, i) => (key.includes(i) ? cell : undefined));
}

function same(a: Value, b: Value): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array ? Buffer.compare(a, b) === 0 : a === b;
}

function spelled({ columns, key }: Shape): string {
  return JSON.stringify([columns.map(({ name, native, nullable }) => [name, native, nullable]), key]);
}

function mentions(sql: string, name: string): boolean {
  return name !== '' && sql.toLowerCase().includes(name.toLowerCase());
}

/** Values that the log does not tell are looked up by the key, which it must tell. */
function refuseWithoutKey(shape: Shape, { inexact }: RowDecoder): void {
  if (inexact.length === 0 || (shape.key.length > 0 && !shape.key.some((position) => inexact.includes(position)))) return;
  throw new DsyncError('refused', `${shape.namespace} has columns that the binary log does not tell exactly (${inexact.map((position) => shape.columns[position].name).join(', ')}), and no key to look them up by`, {
    namespace: shape.namespace, remedy: 'add a primary key, or leave the table out (--exclude)',
  });
}

function unknownColumns(shape: Shape, why: string): DsyncError {
  return new DsyncError('refused', `rows of ${shape.namespace} in the binary log can't be told apart into columns: ${why}`, {
    namespace: shape.namespace, remedy: 'start over with a new run; with SET GLOBAL binlog_row_metadata = FULL the log keeps its columns\' names',
  });
}

function replaced(shape: Shape, how: string): DsyncError {
  return new DsyncError('refused', `${how} changed the rows of ${shape.namespace} without telling the binary log which`, {
    namespace: shape.namespace, remedy: 'start over with a new run',
  });
}
