import pLimit from 'p-limit';
import type { Change, ChangeLog, Finding, FollowJob, LogChanges, LogMessage, LogRow, OpenOptions, Rejected, Row, SchemaObjects, Shape, Snapshot, Source } from '../contract.js';
import { DsyncError } from '../errors.js';
import { keyOfDocument, rowsOfDocuments, shapeOfDocuments } from '../values/columns.js';
import { documentOfJson } from '../values/extended-json-bytes.js';
import { isOfType } from '../values/misfits.js';
import { asCollection, isCollection } from './collections.js';
import { objectsInColumns } from './indexes.js';
import { Look, type Table } from './look.js';
import { whole } from './ruled.js';

export interface Looking {
  readonly table: Table;
  /** Look at so many documents of a collection only; absent: at all. */
  readonly sample?: number;
  /** Shapes that a run has already: their collections are not looked at again, and keep them. */
  readonly known: readonly Shape[];
  /** Of these collections' tables those that stand in the destination, by the collection's namespace. */
  readonly standing: (shapes: readonly Shape[], signal: AbortSignal) => Promise<ReadonlyMap<string, Shape>>;
  /** Fields of a collection that are to be masked: nothing of them is in the rest. */
  readonly masked: (shape: Shape) => readonly string[];
  readonly options: OpenOptions;
}

/** Collections as tables with a column for each field (values/columns.ts): all that reads them hears rows of columns. */
export function inColumns(source: Source, looking: Looking): Source {
  const known = new Map(looking.known.map((shape) => [shape.namespace, whole(shape)])), told = new Map<string, readonly Finding[]>();
  const limit = pLimit(looking.options.connections);
  return {
    ...source,
    async shapes(selection, signal) {
      const found = await source.shapes(selection, signal), unknown = found.filter(({ namespace }) => !known.has(namespace)), plain = new Set<string>();
      refuseSeries(found);
      for (const [namespace, table] of unknown.length > 0 ? await looking.standing(unknown, signal) : []) {
        const made = shapeOfDocuments(table);
        if (!made) plain.add(namespace);
        if (!made) continue;
        known.set(namespace, made);
        told.set(namespace, [{ level: 'info', code: 'columns-stand', namespace, message: `${namespace}: its columns are those of ${table.namespace}, which stands; ${made.columns.at(-1)!.name} has what they don't restore` }]);
      }
      await using snapshot = await source.snapshot(found, signal);
      return Promise.all(found.map((shape) => limit(async () => {
        const { columns, key } = known.get(shape.namespace) ?? await look(shape, snapshot, { ...looking, table: { ...looking.table, stands: plain.has(shape.namespace) } }, told, signal);
        const seen = { ...shape, columns, key };
        known.set(shape.namespace, seen);
        return seen;
      })));
    },
    check: async (shapes, signal) => [...await source.check(shapes.map(asCollection), signal), ...shapes.flatMap(({ namespace }) => told.get(namespace) ?? [])],
    ...(source.objects && { objects: (shapes: readonly Shape[], signal: AbortSignal) => readObjects(source, shapes, signal) }),
    formats: () => ['values'],
    ...(source.log && { log: logInColumns(source.log, looking) }),
    snapshot: async (shapes, signal) => snapshotInColumns(await source.snapshot(shapes.map(asCollection), signal), looking),
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

/** Its documents have no key that a row could have. */
function refuseSeries(shapes: readonly Shape[]): void {
  const [series] = shapes.filter((shape) => isCollection(shape) && shape.key.length === 0);
  if (series) throw new DsyncError('refused', `${series.namespace} is a time series: it has no columns with --document columns`, { namespace: series.namespace, remedy: `leave it out: --exclude '${series.namespace}'; and copy it by itself, with --document json` });
}

async function readObjects(source: Source, shapes: readonly Shape[], signal: AbortSignal): Promise<SchemaObjects> {
  const { tables, views } = await source.objects!(shapes.map(asCollection), signal), byName = new Map(shapes.map((shape) => [shape.namespace, shape]));
  return { views, tables: tables.map((table) => objectsInColumns(table, byName.get(table.namespace)!)) };
}

/** A sample is taken in parts, so that it is not all of the oldest documents. */
const sampleParts = 16;

async function look(shape: Shape, snapshot: Snapshot, { sample, table }: Looking, told: Map<string, readonly Finding[]>, signal: AbortSignal): Promise<Shape> {
  const seen = new Look(), taskBytes = sample === undefined ? Infinity : Math.max(1 << 20, Math.ceil((shape.estimatedBytes ?? 0) / sampleParts));
  const tasks = await snapshot.plan(shape, { taskBytes }, signal);
  for (const [i, task] of tasks.entries()) {
    // What a part lacks of its share is left to those that follow.
    const upTo = sample === undefined ? Infinity : Math.ceil((sample * (i + 1)) / tasks.length);
    if (seen.documents < upTo) await lookAtTask(seen, snapshot.read({ task, shape, format: 'bson', sequence: 0 }, signal), upTo);
  }
  const { shape: found, findings } = seen.columns(shape, table, sample !== undefined && seen.documents >= sample);
  told.set(shape.namespace, findings);
  return found;
}

async function lookAtTask(seen: Look, batches: ReturnType<Snapshot['read']>, upTo: number): Promise<void> {
  for await (const { rows } of batches) {
    if (rows.format !== 'bson') throw new DsyncError('internal', `a collection came as ${rows.format}`);
    for (const document of rows.documents) {
      if (seen.documents >= upTo) return;
      seen.add(document);
    }
  }
}

/** Compiled once per shape. */
function compiled<T>(compile: (shape: Shape) => T): (shape: Shape) => T {
  const known = new WeakMap<Shape, T>();
  return (shape) => {
    const there = known.get(shape) ?? compile(shape);
    known.set(shape, there);
    return there;
  };
}

/** Rows of the columns that are wanted of a shape; what is left out is not in the rest either. */
function wantedRows(shape: Shape, { masked }: Looking): (document: Uint8Array) => Row {
  const all = whole(shape), wanted = shape.columns.map(({ name }) => all.columns.findIndex((column) => column.name === name));
  const left = all.columns.filter(({ name }) => !shape.columns.some((column) => column.name === name)).map(({ name }) => name);
  const row = rowsOfDocuments(all, new Set([...left, ...masked(all)]));
  return left.length === 0 ? row : (document) => {
    const cells = row(document);
    return wanted.map((place) => cells[place]!);
  };
}

function snapshotInColumns(snapshot: Snapshot, looking: Looking): Snapshot {
  const rowOf = compiled((shape) => wantedRows(shape, looking)), isKey = compiled(keyTest);
  return {
    moment: snapshot.moment,
    plan: (shape, options, signal) => snapshot.plan(asCollection(shape), options, signal),
    async *read(job, signal) {
      const { shape } = job;
      for await (const batch of snapshot.read({ ...job, shape: asCollection(shape), format: 'bson' }, signal)) {
        const documents = batch.rows.format === 'bson' ? batch.rows.documents : [];
        const all = documents.map(rowOf(shape)), fit = all.filter(isKey(shape)), rejected = fit.length === all.length ? [] : all.filter((row) => !isKey(shape)(row)).map((row) => rejectedRow(shape, row));
        yield { ...batch, rows: { format: 'values', rows: fit }, count: fit.length, ...(rejected.length > 0 && { rejected }) };
      }
    },
    parts: async () => [{}],
    async *scan(job, signal) {
      const row = rowOf(job.shape);
      for await (const rows of snapshot.scan({ ...job, shape: asCollection(job.shape) }, signal)) yield rows.map(([, document]) => row(document as Uint8Array));
    },
    [Symbol.asyncDispose]: () => snapshot[Symbol.asyncDispose](),
  };
}

function logInColumns(log: ChangeLog, looking: Looking): ChangeLog {
  return {
    ...log,
    check: (shapes, signal) => log.check(shapes.map(asCollection), signal),
    pin: async (run, shapes, save, signal) => snapshotInColumns(await log.pin(run, shapes.map(asCollection), save, signal), looking),
    ...(log.adopt && { adopt: (run, shapes, from, save, signal) => log.adopt!(run, shapes.map(asCollection), from, save, signal) }),
    follow: (job, signal) => followInColumns(log, job, looking, signal),
  };
}

/** The shapes of a log are whole: who wants some of the columns takes them. */
async function* followInColumns(log: ChangeLog, job: FollowJob, looking: Looking, signal: AbortSignal): AsyncGenerator<LogMessage, void, undefined> {
  const ways = new Map(job.shapes.map((shape): [string, Way] => [shape.namespace, { shape, row: wantedRows(shape, looking), key: keyOfDocument(shape), isKey: keyTest(shape) }]));
  for await (const message of log.follow({ ...job, shapes: job.shapes.map(asCollection) }, signal)) {
    if (message.kind === 'shape') yield { ...message, shape: isCollection(message.shape) ? ways.get(message.shape.namespace)?.shape ?? message.shape : message.shape };
    else if (message.kind === 'changes') yield changesInColumns(message, ways);
    else yield message;
  }
}

interface Way {
  readonly shape: Shape;
  readonly row: (document: Uint8Array) => Row;
  readonly key: ReturnType<typeof keyOfDocument>;
  /** Can the key hold what is in it? */
  readonly isKey: (row: LogRow) => boolean;
}

function keyTest({ columns, key }: Shape): (row: LogRow) => boolean {
  const tests = key.map((place) => ({ place, holds: isOfType(columns[place]!.type) }));
  return (row) => tests.every(({ place, holds }) => row[place] !== undefined && row[place] !== null && holds(row[place]));
}

function rejectedRow({ namespace, columns, key }: Shape, row: Row): Rejected {
  return { namespace, row, reason: `its _id is none that a key of ${key.map((place) => columns[place]!.native).join(', ')} holds` };
}

/** A document whose `_id` the key can't hold is rejected, whatever happens to it. */
function changesInColumns(message: LogChanges, ways: ReadonlyMap<string, Way>): LogChanges {
  const changes: Change[] = [], rejected: Rejected[] = [...message.rejected ?? []];
  for (const change of message.changes) {
    const way = ways.get(change.namespace)!, one = changeInColumns(change, way);
    if (one.kind === 'truncate' || way.isKey('row' in one ? one.row : one.before)) changes.push(one);
    else if ('row' in one) rejected.push(rejectedRow(way.shape, one.row as Row));
  }
  return { ...message, changes, ...(rejected.length > 0 && { rejected }) };
}

function changeInColumns(change: Change, { row, key }: Way): Change {
  switch (change.kind) {
    case 'insert': return { ...change, row: row(change.row[1] as Uint8Array) };
    case 'update': return { kind: 'update', namespace: change.namespace, row: row(change.row[1] as Uint8Array) };
    case 'delete': return { ...change, before: key(documentOfJson(`{"_id":${String(change.before[0])}}`)) };
    case 'truncate': return change;
    default: return change satisfies never;
  }
}
