import { connectorFor } from '../connectors/index.js';
import type { Change, ChangeLog, FollowJob, LogPlace, LogRow, Mapping, OpenOptions, Row, Rows, Scratch, ScratchRefusal, ScratchTable, Shape, Snapshot, Source, Value } from '../contract.js';
import { DsyncError } from '../errors.js';
import { decodeRows } from '../values/bson.js';
import { codec } from '../values/codec.js';
import { scratchName } from '../values/scratch-name.js';
import { nextValue } from '../values/trials.js';

/** Whether one type of a server is spelled alike by all who read it. */
export interface TypeTested {
  readonly type: string;
  readonly declared: string;
  readonly rows: number;
  /** Empty: all equal. */
  readonly differences: readonly { readonly after: Step; readonly key: string; readonly value?: string; readonly spelled: Readonly<Record<string, string>> }[];
}

export interface SelftestReport {
  readonly server: string;
  /** What was made for it and dropped again. */
  readonly scratch: string;
  readonly ways: readonly string[];
  /** Why the log was not read. */
  readonly unfollowed?: string;
  readonly types: readonly TypeTested[];
  /** Types that dsync knows, and this server has not. */
  readonly absent: readonly string[];
  readonly refused: readonly ScratchRefusal[];
}

type Step = 'insert' | 'update' | 'delete';
/** Rows by their number, spelled. */
type Spelled = ReadonlyMap<string, string>;
/** What one way of reading gives of each table. */
export interface Reading { readonly way: string; readonly tables: ReadonlyMap<string, Spelled> }
/** All readings after one step, and what the log said of rows as they were that is not so. */
export interface Stage { readonly step: Step; readonly readings: readonly Reading[]; readonly untrue?: readonly Untrue[] }
interface Untrue { readonly namespace: string; readonly key: string; readonly spelled: Readonly<Record<string, string>> }

/** Reads rows of every type that a server has by each way there is, in a place of its own that is dropped again. Fails with `usage` where there is nothing to try. */
export async function selftest(url: string, signal: AbortSignal): Promise<SelftestReport> {
  const connector = await connectorFor(url), options: OpenOptions = { signal, connections: 2, batchBytes: 1 << 20 };
  if (!connector.openSource || !connector.openScratch) throw new DsyncError('usage', `${connector.name}: has no types of its own to try`, { remedy: 'name a database: dsync selftest postgres://…' });
  const run = scratchName('selftest');
  await using scratch = await connector.openScratch(url, run, { ...options, empty: false });
  await using source = await connector.openSource(scratch.url, options);
  for (const name of scratch.left) await source.log?.unpin(name, signal);
  await scratch.sweep(signal);
  const shapes = await source.shapes({ include: scratch.include, exclude: [] }, signal);
  const unfollowed = await whyUnfollowed(source, shapes, signal);
  const { refused, stages } = unfollowed === undefined ? await followed(source, { run, shapes, scratch }, signal) : await unlogged(source, scratch, signal);
  return {
    server: source.version, scratch: scratch.name, ways: [...new Set(stages.flatMap(({ readings }) => readings.map(({ way }) => way)))], ...(unfollowed !== undefined && { unfollowed }),
    types: scratch.tables.map((table) => tested(table, stages, refused.filter(({ namespace }) => namespace === table.namespace).length)),
    absent: scratch.absent, refused,
  };
}

async function whyUnfollowed(source: Source, shapes: readonly Shape[], signal: AbortSignal): Promise<string | undefined> {
  if (!source.log) return `${source.engine} keeps no log that dsync follows`;
  const errors = (await source.log.check(shapes, signal)).filter(({ level }) => level === 'error');
  return errors.length > 0 ? errors.map(({ message, remedy }) => (remedy === undefined ? message : `${message}: ${remedy}`)).join('; ') : undefined;
}

interface Written { readonly refused: readonly ScratchRefusal[]; readonly stages: readonly Stage[] }

/** What a column means may depend on its values: shapes are read again when these are there. */
async function unlogged(source: Source, scratch: Scratch, signal: AbortSignal): Promise<Written> {
  const refused = await scratch.fill(signal), shapes = await source.shapes({ include: scratch.include, exclude: [] }, signal);
  return { refused, stages: [{ step: 'insert', readings: await readByAll(source, shapes, scratch, signal) }] };
}

/** Inserts, updates and deletes while the log is followed. */
async function followed(source: Source, { run, shapes, scratch }: { readonly run: string; readonly shapes: readonly Shape[]; readonly scratch: Scratch }, signal: AbortSignal): Promise<Written> {
  const log = source.log!;
  try {
    const snapshot = await log.pin(run, shapes, () => undefined, signal), replay = new Replay(log, { run, shapes, from: { position: snapshot.moment.position!, changes: 0 }, bytes: 1 << 20 });
    await snapshot[Symbol.asyncDispose]();
    const refused = await scratch.fill(signal), first = await replay.next('insert', signal);
    const inserted: Stage = { ...first, readings: [...await readByAll(source, shapes, scratch, signal), ...first.readings] };
    await scratch.touch(signal);
    const touched = await replay.next('update', signal);
    // What was refused was told when it was inserted.
    await scratch.change(signal);
    const second = await replay.next('update', signal), updated: Stage = { ...second, untrue: [...touched.untrue ?? [], ...second.untrue ?? []], readings: [...await readByAll(source, shapes, scratch, signal), ...second.readings] };
    await scratch.clear(signal);
    const third = await replay.next('delete', signal), nothing: Reading = { way: 'verifier', tables: new Map(shapes.map(({ namespace }) => [namespace, new Map()])) };
    return { refused, stages: [inserted, updated, { ...third, readings: [nothing, ...third.readings] }] };
  } finally {
    await log.unpin(run, new AbortController().signal);
  }
}

/** Applies a log to rows kept here, as a destination would, and compares what it tells of rows as they were with these. */
class Replay {
  readonly #log: ChangeLog;
  readonly #job: FollowJob;
  readonly #shapes: Map<string, Shape>;
  readonly #tables: ReadonlyMap<string, Map<string, LogRow>>;
  #place: LogPlace;
  #untrue: Untrue[] = [];

  constructor(log: ChangeLog, job: FollowJob) {
    this.#log = log;
    this.#job = job;
    this.#place = job.from;
    this.#shapes = new Map(job.shapes.map((shape) => [shape.namespace, shape]));
    this.#tables = new Map(job.shapes.map(({ namespace }) => [namespace, new Map()]));
  }

  /** The rows as they are where the log ends now. */
  async next(step: Step, signal: AbortSignal): Promise<Stage> {
    const stop = new AbortController(), end = await this.#log.head(signal);
    this.#untrue = [];
    try {
      for await (const message of this.#log.follow({ ...this.#job, from: this.#place }, AbortSignal.any([signal, stop.signal]))) {
        if (message.kind === 'shape') this.#shapes.set(message.shape.namespace, message.shape);
        if (message.kind === 'changes') for (const change of message.changes) this.#apply(change);
        if (message.kind !== 'shape') this.#place = message.place;
        if (message.kind !== 'shape' && message.place.changes === 0 && this.#log.reached(message.place.position, end)) break;
      }
    } finally {
      stop.abort(new DsyncError('interrupted', 'the log is read'));
    }
    signal.throwIfAborted();
    const spelled = [...this.#tables].map(([namespace, rows]) => [namespace, new Map([...rows].map(([name, row]) => [name, row.map(plainly).join(', ')]))] as const);
    return { step, readings: [{ way: 'log', tables: new Map(spelled) }], untrue: this.#untrue };
  }

  #apply(change: Change): void {
    if (change.kind === 'truncate') return;
    const { namespace } = change, shape = this.#shapes.get(namespace)!, rows = this.#tables.get(namespace)!, place = numberOf(shape);
    const name = plainly((change.kind === 'delete' ? change.before : change.row)[place]), held = rows.get(name);
    if (change.kind !== 'insert' && change.before) this.#check({ shape, name, before: change.before, held, what: `log, before ${change.kind === 'update' ? 'an update' : 'a delete'}` });
    if (change.kind === 'update' && held) this.#checkOthers({ shape, name, row: change.row, held });
    if (change.kind === 'delete') rows.delete(name);
    // What the log does not repeat is as it was.
    else rows.set(name, change.row.map((value, i) => (value === undefined ? held?.[i] : value)));
  }

  /** The update that changes `n` leaves all other cells as they are. */
  #checkOthers({ shape, name, row, held }: { readonly shape: Shape; readonly name: string; readonly row: LogRow; readonly held: LogRow }): void {
    const other = shape.columns.findIndex((column) => column.name === 'n');
    if (other < 0 || plainly(row[other]) === plainly(held[other]) || row.every((value, i) => i === other || value === undefined || plainly(value) === plainly(held[i]))) return;
    this.#untrue.push({ namespace: shape.namespace, key: name, spelled: { 'log, after an update of another column': row.map(plainly).join(', '), 'as it was': held.map(plainly).join(', ') } });
  }

  /** All of the key is told, or of a table without one all of the row; and what is told is so. */
  #check({ shape, name, before, held, what }: { readonly shape: Shape; readonly name: string; readonly before: LogRow; readonly held: LogRow | undefined; readonly what: string }): void {
    const needed = shape.key.length > 0 ? shape.key : [...shape.columns.keys()], isTrue = before.every((value, i) => (value === undefined ? !needed.includes(i) : plainly(value) === plainly(held?.[i])));
    if (!isTrue) this.#untrue.push({ namespace: shape.namespace, key: name, spelled: { [what]: before.map(plainly).join(', '), 'as it was': held ? held.map(plainly).join(', ') : 'no such row' } });
  }
}

/** By the copy, in each format that the source gives, and by the verifier. */
async function readByAll(source: Source, shapes: readonly Shape[], scratch: Scratch, signal: AbortSignal): Promise<readonly Reading[]> {
  const alike = new Set(scratch.tables.flatMap((table) => (table.alike ? [table.namespace] : [])));
  await using snapshot = await source.snapshot(shapes, signal);
  const copies = new Map<string, Map<string, Spelled>>(), scans = new Map<string, Spelled>();
  for (const shape of shapes) {
    for (const format of alike.has(shape.namespace) ? [] : formatsOf(source, shape)) {
      const way = `copy, ${format}`, tables = copies.get(way) ?? new Map<string, Spelled>();
      copies.set(way, tables.set(shape.namespace, await copied(snapshot, shape, format, signal)));
    }
    const rows = new Map<string, string>();
    for await (const found of snapshot.scan({ shape, part: {} }, signal)) for (const row of found) add(rows, shape, row);
    scans.set(shape.namespace, rows);
  }
  return [...[...copies].map(([way, tables]) => ({ way, tables })), { way: 'verifier', tables: scans }];
}

type Format = Rows['format'];

/** Those that tell of values: COPY BINARY passes between two servers and is decoded by none, and a line of text says of no value which type it has. */
function formatsOf(source: Source, shape: Shape): readonly Format[] {
  const untold = shape.columns.some(({ type }) => type.kind === 'any') ? ['pg-binary', 'delimited'] : ['pg-binary'];
  return source.formats(asTarget(shape)).filter((format) => !untold.includes(format));
}

/** As any other engine would be sent the rows. */
function asTarget(shape: Shape): Mapping {
  return { source: shape, target: { ...shape, engine: 'any other' }, fidelity: [], existed: false, staged: false };
}

async function copied(snapshot: Snapshot, shape: Shape, format: Format, signal: AbortSignal): Promise<Spelled> {
  const rows = new Map<string, string>(), decode = decoderOf(format, shape);
  for (const task of await snapshot.plan(shape, { taskBytes: 1 << 30 }, signal)) {
    for await (const batch of snapshot.read({ task, shape, format, sequence: 0 }, signal)) for (const row of decode(batch.rows)) add(rows, shape, row);
  }
  return rows;
}

function decoderOf(format: Format, shape: Shape): (rows: Rows) => readonly Row[] {
  if (format === 'bson') {
    const decode = decodeRows(shape);
    return (rows) => decode((rows as Extract<Rows, { format: 'bson' }>).documents);
  }
  const convert = codec({ read: format, write: 'values' }, asTarget(shape));
  return (rows) => (convert(rows) as Extract<Rows, { format: 'values' }>).rows;
}

function add(rows: Map<string, string>, shape: Shape, row: LogRow): void {
  rows.set(plainly(row[numberOf(shape)]), row.map(plainly).join(', '));
}

/** Where a row's number stands. */
function numberOf({ columns }: Shape): number {
  return columns.findIndex(({ name }) => name === 'id' || name === '_id');
}

/** What a value is, and all of it: two that differ in any way are spelled apart. */
function plainly(value: Value | undefined): string {
  if (value === undefined) return 'not told';
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  return JSON.stringify(value);
}

/** One line for each row that is not the same in all readings of a step; and one if there are fewer rows than were written. */
export function tested(table: ScratchTable, stages: readonly Stage[], refused: number): TypeTested {
  const { type, declared, namespace, rows } = table;
  const differences = stages.flatMap(({ step, readings, untrue = [] }) => {
    const keys = [...new Set(readings.flatMap(({ tables }) => [...(tables.get(namespace)?.keys() ?? [])]))], written = step === 'delete' ? 0 : rows - refused;
    const spelledBy = (key: string) => readings.flatMap(({ way, tables }) => (tables.has(namespace) ? [[way, tables.get(namespace)!.get(key) ?? 'no such row'] as const] : []));
    const differing = keys.map((key) => ({ key, spelled: spelledBy(key) })).filter(({ spelled }) => new Set(spelled.map(([, text]) => text)).size > 1);
    const missing = keys.length < written ? [{ after: step, key: '', spelled: { written: `${written} rows`, read: `${keys.length} rows` } }] : [];
    const wrong = [...differing.map(({ key, spelled }) => ({ key, spelled: Object.fromEntries(spelled) })), ...untrue.filter((one) => one.namespace === namespace).map(({ key, spelled }) => ({ key, spelled }))];
    return [...missing, ...wrong.map((one) => ({ after: step, ...valueOf(one.key, table, step), ...one }))];
  });
  return { type, declared, rows: rows - refused, differences };
}

/** As it was written. */
function valueOf(key: string, table: ScratchTable, step: Step): { readonly value?: string } {
  const number = /^\d+$/.exec(key)?.[0] ?? /^"\{\\"\$numberInt\\":\\"(\d+)\\"\}"$/.exec(key)?.[1];
  const place = Number(number) - 1, value = step === 'insert' ? table.values[place] : nextValue(table, place);
  return number === undefined || value === undefined ? {} : { value };
}
