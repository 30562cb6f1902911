import type { Change, ChangeLog, Finding, LogMessage, LogRow, Row, Shape, Snapshot, Source, Value } from '../contract.js';
import { DsyncError } from '../errors.js';
import { documentsOfRows, shapeOfDocuments } from '../values/columns.js';
import { documentOfPair, isPairs, keyOfPair } from '../values/pairs.js';
import { idText } from '../values/bson.js';
import { asCollection } from './collections.js';

/** Tables that dsync has made of collections, as the collections that they were; other tables as they are. */
export function asDocuments(source: Source): Source {
  return {
    ...source,
    shapes: async (selection, signal) => (await source.shapes(selection, signal)).map(collectionOf),
    async check(shapes, signal) {
      return [...await source.check(shapes.map(tableOf), signal), ...shapes.filter(({ table }) => table).map(restored)];
    },
    ...(source.objects && { objects: (shapes: readonly Shape[], signal: AbortSignal) => source.objects!(shapes.map(tableOf), signal) }),
    ...(source.sequences && { sequences: (shapes: readonly Shape[], signal: AbortSignal) => source.sequences!(shapes.map(tableOf), signal) }),
    formats: (mapping) => (mapping.source.table ? ['bson'] : source.formats(mapping)),
    ...(source.log && { log: logOfDocuments(source.log) }),
    ...(source.fence && { fence: { ...source.fence, raise: (run, shapes, how, signal) => source.fence!.raise(run, shapes.map(tableOf), how, signal) } }),
    snapshot: async (shapes, signal) => snapshotOfDocuments(await source.snapshot(shapes.map(tableOf), signal)),
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

function collectionOf(shape: Shape): Shape {
  const { columns, key } = shape;
  return isPairs(shape) || shapeOfDocuments(shape) ? { ...asCollection(shape), table: { columns, key } } : shape;
}

function tableOf(collection: Shape): Shape {
  const { table, origin: _, ...shape } = collection;
  return table ? { ...shape, ...table } : collection;
}

function restored({ namespace }: Shape): Finding {
  return { level: 'info', code: 'documents', namespace, message: `${namespace} was made of documents: they are restored` };
}

interface Restoring {
  readonly document: (row: Row) => Buffer;
  /** Of a row in which only the key cells are not null: a document with its `_id`. */
  readonly key: (row: Row) => Buffer;
}

/** Compiles the way from a row of the table to its document; undefined for a table that has not been made of documents. */
function restoring(shape: Shape): Restoring | undefined {
  if (!shape.table) return undefined;
  const table = tableOf(shape);
  if (isPairs(table)) return { document: documentOfPair(table), key: keyOfPair(table) };
  const document = documentsOfRows(shapeOfDocuments(table)!);
  return { document, key: document };
}

function snapshotOfDocuments(snapshot: Snapshot): Snapshot {
  return {
    ...snapshot,
    plan: (shape, options, signal) => snapshot.plan(tableOf(shape), options, signal),
    async *read(job, signal) {
      const { document } = restoring(job.shape) ?? {};
      if (!document) return yield* snapshot.read(job, signal);
      for await (const batch of snapshot.read({ ...job, shape: tableOf(job.shape), format: 'values' }, signal)) {
        const documents = batch.rows.format === 'values' ? batch.rows.rows.map(document) : [];
        yield { ...batch, rows: { format: 'bson', documents }, bytes: documents.reduce((sum, { length }) => sum + length, 0) };
      }
    },
    parts: async (shape, rows, signal) => (shape.table ? [{}] : snapshot.parts(shape, rows, signal)),
    async *scan(job, signal) {
      const { document } = restoring(job.shape) ?? {};
      if (!document) return yield* snapshot.scan(job, signal);
      for await (const rows of snapshot.scan({ ...job, shape: tableOf(job.shape) }, signal)) yield rows.map((row) => rowOf(document(row)));
    },
    [Symbol.asyncDispose]: () => snapshot[Symbol.asyncDispose](),
  };
}

function rowOf(document: Buffer): Row {
  return [idText(document), document];
}

function logOfDocuments(log: ChangeLog): ChangeLog {
  return {
    ...log,
    check: (shapes, signal) => log.check(shapes.map(tableOf), signal),
    pin: async (run, shapes, save, signal) => snapshotOfDocuments(await log.pin(run, shapes.map(tableOf), save, signal)),
    ...(log.adopt && { adopt: (run, shapes, from, save, signal) => log.adopt!(run, shapes.map(tableOf), from, save, signal) }),
    follow: (job, signal) => followDocuments(log, job, signal),
  };
}

/** Changes of a table that has changed its shape come as they are: the run stops, or goes on with the table, as with any other. */
async function* followDocuments(log: ChangeLog, job: Parameters<ChangeLog['follow']>[0], signal: AbortSignal): AsyncGenerator<LogMessage, void, undefined> {
  const ways = new Map(job.shapes.flatMap((shape) => {
    const restored = restoring(shape);
    return restored ? [[shape.namespace, { shape, ...restored }] as const] : [];
  }));
  for await (const message of log.follow({ ...job, shapes: job.shapes.map(tableOf) }, signal)) {
    if (message.kind === 'changes') yield { ...message, changes: message.changes.map((change) => changeOf(change, ways.get(change.namespace))) };
    else if (message.kind !== 'shape') yield message;
    else {
      const way = ways.get(message.shape.namespace);
      if (way && message.changed) ways.delete(message.shape.namespace);
      yield way && !message.changed ? { ...message, shape: way.shape } : message;
    }
  }
}

interface Way extends Restoring { readonly shape: Shape }

function changeOf(change: Change, way: Way | undefined): Change {
  if (!way || change.kind === 'truncate') return change;
  const whole = (row: LogRow): Row => rowOf(way.document(complete(row, way.shape)));
  const key = (row: LogRow): LogRow => [idText(way.key(row.map((cell): Value => cell ?? null))), undefined];
  switch (change.kind) {
    case 'insert': return { ...change, row: whole(change.row) };
    case 'update': return { kind: 'update', namespace: change.namespace, row: whole(change.row), ...(change.before && { before: key(change.before) }) };
    case 'delete': return { ...change, before: key(change.before) };
    default: return change satisfies never;
  }
}

function complete(row: LogRow, { namespace }: Shape): Row {
  if (!row.includes(undefined)) return row as Row;
  throw new DsyncError('not-ready', `the log does not repeat a large value of ${namespace} that did not change: its document can't be restored`, {
    namespace, remedy: `ALTER TABLE ${namespace} REPLICA IDENTITY FULL, then start anew`,
  });
}
