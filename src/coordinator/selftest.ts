import { randomBytes } from 'node:crypto';
import { connectorFor } from '../connectors/index.js';
import type { ChangeLog, LogRow, Mapping, OpenOptions, Row, Rows, Scratch, ScratchTable, Shape, Snapshot, Source, Value } from '../contract.js';
import { DsyncError } from '../errors.js';
import { decodeRows } from '../values/bson.js';
import { codec } from '../values/codec.js';

/** Whether one type of a server is spelled alike by all who read it. */
export interface TypeTested {
  readonly type: string;
  readonly declared: string;
  readonly rows: number;
  /** Empty: all equal. */
  readonly differences: readonly { readonly key: string; readonly value?: string; readonly spelled: Readonly<Record<string, string>> }[];
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
  readonly refused: readonly { readonly namespace: string; readonly value: string; readonly reason: string }[];
}

/** Rows by their key, spelled. */
type Spelled = ReadonlyMap<string, string>;
/** What one way of reading gives of each table. */
export interface Reading { readonly way: string; readonly tables: ReadonlyMap<string, Spelled> }

/** Reads rows of every type that a server has by each way there is, in a place of its own that is dropped again. Fails with `usage` where there is nothing to try. */
export async function selftest(url: string, signal: AbortSignal): Promise<SelftestReport> {
  const connector = await connectorFor(url), options: OpenOptions = { signal, connections: 2, batchBytes: 1 << 20 };
  if (!connector.openSource || !connector.openScratch) throw new DsyncError('usage', `${connector.name}: has no types of its own to try`, { remedy: 'name a database: dsync selftest postgres://…' });
  const run = `dsync_selftest_${randomBytes(4).toString('hex')}`;
  await using scratch = await connector.openScratch(url, run, { ...options, empty: false });
  await using source = await connector.openSource(scratch.url, options);
  const shapes = await source.shapes({ include: scratch.include, exclude: [] }, signal);
  const unfollowed = await whyUnfollowed(source, shapes, signal);
  const { refused, logged } = unfollowed === undefined ? await followed(source.log!, run, shapes, scratch, signal) : { refused: await scratch.fill(signal), logged: [] };
  const now = source.log ? shapes : await source.shapes({ include: scratch.include, exclude: [] }, signal);
  const readings = [...await readByAll(source, now, signal), ...logged];
  return {
    server: source.version, scratch: scratch.name, ways: readings.map(({ way }) => way), ...(unfollowed !== undefined && { unfollowed }),
    types: scratch.tables.map((table) => tested(table, readings, refused.filter(({ namespace }) => namespace === table.namespace).map(({ value }) => value))),
    absent: scratch.absent, refused,
  };
}

async function whyUnfollowed(source: Source, shapes: readonly Shape[], signal: AbortSignal): Promise<string | undefined> {
  if (!source.log) return `${source.engine} keeps no log that dsync follows`;
  const errors = (await source.log.check(shapes, signal)).filter(({ level }) => level === 'error');
  return errors.length > 0 ? errors.map(({ message, remedy }) => (remedy === undefined ? message : `${message}: ${remedy}`)).join('; ') : undefined;
}

/** Fills the tables while their log is followed. */
async function followed(log: ChangeLog, run: string, shapes: readonly Shape[], scratch: Scratch, signal: AbortSignal): Promise<{ readonly refused: SelftestReport['refused']; readonly logged: readonly Reading[] }> {
  try {
    const snapshot = await log.pin(run, shapes, () => undefined, signal), { position } = snapshot.moment;
    await snapshot[Symbol.asyncDispose]();
    const refused = await scratch.fill(signal);
    return { refused, logged: [await readLog(log, { run, shapes, from: { position: position!, changes: 0 }, bytes: 1 << 20 }, signal)] };
  } finally {
    await log.unpin(run, new AbortController().signal);
  }
}

async function readLog(log: ChangeLog, job: Parameters<ChangeLog['follow']>[0], signal: AbortSignal): Promise<Reading> {
  const stop = new AbortController(), end = await log.head(signal), tables = new Map(job.shapes.map(({ namespace }) => [namespace, new Map<string, string>()]));
  const shapes = new Map(job.shapes.map((shape) => [shape.namespace, shape]));
  try {
    for await (const message of log.follow(job, AbortSignal.any([signal, stop.signal]))) {
      if (message.kind === 'shape') shapes.set(message.shape.namespace, message.shape);
      if (message.kind === 'changes') for (const change of message.changes) if (change.kind === 'insert') add(tables.get(change.namespace)!, shapes.get(change.namespace)!, change.row);
      if (message.kind !== 'shape' && message.place.changes === 0 && log.reached(message.place.position, end)) break;
    }
  } finally {
    stop.abort(new DsyncError('interrupted', 'the log is read'));
  }
  signal.throwIfAborted();
  return { way: 'log', tables };
}

/** By the copy, in each format that the source gives, and by the verifier. */
async function readByAll(source: Source, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Reading[]> {
  await using snapshot = await source.snapshot(shapes, signal);
  const copies = new Map<string, Map<string, Spelled>>(), scans = new Map<string, Spelled>();
  for (const shape of shapes) {
    for (const format of formatsOf(source, shape)) {
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

function add(rows: Map<string, string>, { key }: Shape, row: LogRow): void {
  rows.set(key.map((position) => plainly(row[position])).join(', '), row.map(plainly).join(', '));
}

/** What a value is, and all of it: two that differ in any way are spelled apart. */
function plainly(value: Value | undefined): string {
  if (value === undefined) return 'not told';
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  return JSON.stringify(value);
}

/** One line for each row that is not the same in all readings; and one if there are fewer rows than were written, of which the last is NULL. */
export function tested({ type, declared, namespace, values }: ScratchTable, readings: readonly Reading[], refused: readonly string[]): TypeTested {
  const written = values.length + 1 - refused.length, keys = [...new Set(readings.flatMap(({ tables }) => [...(tables.get(namespace)?.keys() ?? [])]))];
  const spelledBy = (key: string) => readings.flatMap(({ way, tables }) => (tables.has(namespace) ? [[way, tables.get(namespace)!.get(key) ?? 'no such row'] as const] : []));
  const differing = keys.map((key) => ({ key, spelled: spelledBy(key) })).filter(({ spelled }) => new Set(spelled.map(([, text]) => text)).size > 1);
  const missing = keys.length < written ? [{ key: '', spelled: { written: `${written} rows`, read: `${keys.length} rows` } }] : [];
  return {
    type, declared, rows: keys.length,
    differences: [...missing, ...differing.map(({ key, spelled }) => ({ key, ...valueOf(key, values), spelled: Object.fromEntries(spelled) }))],
  };
}

function valueOf(key: string, values: readonly string[]): { readonly value?: string } {
  const value = values[Number(/\d+/.exec(key)?.[0]) - 1];
  return value === undefined ? {} : { value };
}
