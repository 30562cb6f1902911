import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect as connectPlain, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { BSON, Binary, Decimal128, Double, Int32, Long, MaxKey, MinKey, MongoClient, MongoServerError, ObjectId, Timestamp, type Db, type Document } from 'mongodb';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { mongodb } from '../../src/connectors/mongodb/connector.js';
import { deleteStatement, exactIdText, upsertStatement } from '../../src/connectors/mongodb/frames.js';
import { Fields, parseExtendedJson } from '../../src/connectors/mongodb/json.js';
import { filterOf, tasksAt } from '../../src/connectors/mongodb/ranges.js';
import { failure } from '../../src/connectors/mongodb/session.js';
import { findSequence } from '../../src/connectors/mongodb/sequence.js';
import { messages } from '../../src/connectors/mongodb/write.js';
import type { Batch, Column, Destination, LogicalType, Mapping, OpenOptions, Row, Shape, Snapshot, Source, Task } from '../../src/contract.js';
import { idText, toExtendedJson } from '../../src/values/bson.js';
import { newAuthority } from '../pairs/certificates.js';
import { describeWith, freshDatabase, serverFor, type FreshMongoDatabase } from '../servers/index.js';

const signal = new AbortController().signal;
const options: OpenOptions = { signal, connections: 2, batchBytes: 1 << 20 };
const all = { include: [], exclude: [] };
const run = 'run-1';

/** Every type that can be an `_id`, numbers of all kinds, in no order. mongo-java-server can't compare other binaries with UUIDs. */
const ids: readonly unknown[] = [
  'b', new Int32(2), new ObjectId('5f5e1000aabbccddeeff0011'), new Double(2.5), Long.fromString('9007199254740993'), Decimal128.fromString('2.7'), new Double(-Infinity), 'a', '',
  { k: 1 }, { k: 2, j: 1 }, { k: 1, j: 2 }, new Binary(Buffer.alloc(16, 3), 4), new Binary(Buffer.alloc(16, 4), 4), true, false, new Date(0), new Date(-5), new Date(1e12),
  new Timestamp({ t: 5, i: 1 }), null, new MinKey(), new MaxKey(), new ObjectId('6f5e1000aabbccddeeff0011'), new Int32(-7), Long.fromNumber(40), new Double(1e300), 'ä😀',
];

describeWith('mongodb', 'MongoDB', () => {
  let database: FreshMongoDatabase, db: Db, source: Source, destination: Destination;
  beforeAll(async () => {
    database = await freshDatabase('mongodb');
    db = database.db;
    source = await mongodb.openSource!(database.url, options);
    destination = await mongodb.openDestination!(database.url, options);
  });
  afterAll(async () => {
    await source[Symbol.asyncDispose]();
    await destination[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });
  beforeEach(async () => { await db.dropDatabase(); });

  const shapeOf = async (name: string): Promise<Shape> => (await source.shapes({ include: [`*.${name}`], exclude: [] }, signal))[0]!;
  const snapshot = (shape: Shape): Promise<Snapshot> => source.snapshot([shape], signal);
  async function batchesOf(from: Snapshot, shape: Shape, task: Task, rest: { after?: string; where?: string } = {}): Promise<Batch[]> {
    return collected(from.read({ task, shape, format: 'bson', sequence: 0, ...rest }, signal));
  }
  const documentsIn = (batches: readonly Batch[]): Uint8Array[] => batches.flatMap(({ rows }) => (rows.format === 'bson' ? rows.documents : []));
  const idsIn = (batches: readonly Batch[]): string[] => documentsIn(batches).map(idText);
  const raw = async (collection: string): Promise<Buffer[]> => (await db.collection(collection).find({}, { raw: true }).sort({ _id: 1 }).toArray()) as unknown as Buffer[];
  async function mapped(shape: Shape, name: string): Promise<Mapping> {
    const mapping = await destination.adapt(shape, { name }, signal);
    await destination.begin(run, signal);
    await destination.prepare(run, mapping, { empty: false, keyed: false, tasks: [] }, signal);
    return mapping;
  }
  const write = (batch: Batch, mapping: Mapping, how: { overwrite?: boolean; redo?: boolean } = {}) =>
    destination.write(run, batch, mapping, { overwrite: false, redo: false, ...how }, signal);

  test('tasks share no document and leave none out, whatever the types of _id, those that come after the plan too', async () => {
    await db.collection('ids').insertMany(ids.map((_id) => ({ _id })) as Document[]);
    const shape = await shapeOf('ids'), from = await snapshot(shape);
    const order = (await raw('ids')).map(idText);
    for (const edges of [order, order.filter((_, i) => i % 3 === 0), order.slice(0, 4), [order[8]!]]) {
      const tasks = tasksAt(shape, edges);
      const read = (await Promise.all(tasks.map((task) => batchesOf(from, shape, task)))).flatMap(idsIn);
      expect(read.toSorted()).toEqual(order.toSorted());
    }
    const tasks = tasksAt(shape, order.filter((id) => id.startsWith('{"$oid"')));
    expect((await batchesOf(from, shape, tasks.at(-1)!)).flatMap((batch) => idsIn([batch]))).toEqual(order.filter((id) => !id.startsWith('{"$oid"')));
  });

  test('a plan comes from a sample: ranges, and a remainder for what is in none', async () => {
    await db.collection('big').insertMany(Array.from({ length: 3000 }, (_, i) => ({ _id: (i % 2 ? i : `k${i}`) as never, v: 'x'.repeat(100) })));
    const shape = await shapeOf('big'), from = await snapshot(shape);
    const tasks = await from.plan(shape, { taskBytes: Math.ceil(shape.estimatedBytes! / 5) }, signal);
    expect(tasks.length).toBeGreaterThan(4);
    const read = (await Promise.all(tasks.map((task) => batchesOf(from, shape, task)))).flatMap(idsIn);
    expect(new Set(read).size).toBe(3000);
    expect(read.length).toBe(3000);
    expect(await from.plan(shape, { taskBytes: 1 << 30 }, signal)).toEqual([{ id: `${shape.namespace}#0`, namespace: shape.namespace, estimatedRows: 3000 }]);
  });

  test('a read goes on after any of its cursors, in every kind of task', async () => {
    await db.collection('ids').insertMany(ids.map((_id) => ({ _id })) as Document[]);
    await using one = await mongodb.openSource!(database.url, { ...options, batchRows: 1 });
    const shape = await shapeOf('ids'), from = await one.snapshot([shape], signal);
    const order = (await raw('ids')).map(idText);
    for (const task of [...tasksAt(shape, []), ...tasksAt(shape, order.filter((_, i) => i % 4 === 0))]) {
      const batches = await batchesOf(from, shape, task);
      for (const [i, batch] of batches.entries()) {
        expect(batch.cursor).toBeDefined();
        expect(idsIn(await batchesOf(from, shape, task, { after: batch.cursor! })), `${task.range} after ${batch.cursor}`).toEqual(idsIn(batches.slice(i + 1)));
      }
    }
  });

  test('a document arrives byte for byte, names like numbers in their order', async () => {
    const nested = new Map<string, unknown>([['2', 1], ['1', new Map<string, unknown>([['b', new Double(1)], ['10', Long.fromNumber(1)], ['9', null]])]]);
    const document = new Map<string, unknown>([['_id', 1], ['10', nested], ['9', Decimal128.fromString('1.10')], ['', 'empty name'], ['d', new Date(-62135596800000)], ['r', /a/i], ['z', new Double(-0)], ['$x', 1], ['a.b', 2]]);
    await db.command({ insert: 'bytes', documents: [document] });
    const before = await raw('bytes');
    expect(before[0]!.equals(BSON.serialize(document))).toBe(true);
    const shape = await shapeOf('bytes'), mapping = await mapped(shape, 'bytes_copy'), from = await snapshot(shape);
    for (const how of [{}, { overwrite: true }, { redo: true }]) {
      for (const batch of await batchesOf(from, shape, (await from.plan(shape, { taskBytes: 1 << 20 }, signal))[0]!)) {
        expect(await write(batch, mapping, how)).toEqual({ written: 1, rejected: [] });
      }
      expect(await raw('bytes_copy')).toEqual(before);
    }
  });

  test('a filter of the user is pushed down, and a wrong one is a mistake of the user', async () => {
    await db.collection('t').insertMany([{ _id: 1 as never, v: 1 }, { _id: 2 as never, v: 2 }, { _id: 3 as never, v: 3 }]);
    const shape = await shapeOf('t'), from = await snapshot(shape);
    const [task] = tasksAt(shape, []);
    expect(idsIn(await batchesOf(from, shape, task!, { where: '{"v":{"$gte":2}}' }))).toEqual(['{"$numberInt":"2"}', '{"$numberInt":"3"}']);
    const rows = await collected(from.scan({ shape, part: {}, where: '{"v":2}' }, signal));
    expect(rows.flat().map(([id]) => id)).toEqual(['{"$numberInt":"2"}']);
    await expect(batchesOf(from, shape, task!, { where: 'v >= 2' })).rejects.toMatchObject({ code: 'usage' });
  });

  test('the size of a batch is bounded, and a large document is one of its own', async () => {
    await db.collection('wide').insertMany([...Array.from({ length: 200 }, (_, i) => ({ _id: i as never, v: 'x'.repeat(1000) })), { _id: 1000 as never, v: 'x'.repeat(3_000_000) }]);
    await using small = await mongodb.openSource!(database.url, { ...options, batchBytes: 20_000, batchRows: 30 });
    const shape = await shapeOf('wide'), from = await small.snapshot([shape], signal);
    const batches = await batchesOf(from, shape, tasksAt(shape, [])[0]!);
    expect(batches.every(({ bytes, count }) => (bytes <= 40_000 || count === 1) && count <= 30)).toBe(true);
    expect(batches.map(({ sequence }) => sequence)).toEqual(batches.map((_, i) => i));
    expect(documentsIn(batches).length).toBe(201);
  });

  test('a row that is there already is rejected, told apart from one that an earlier try wrote, or overwritten', async () => {
    const mapping = await mapped({ namespace: 'x.t', name: 't', engine: 'mongodb', key: [0], columns: (await documentShape()).columns }, 'target');
    const batch = (...documents: Document[]): Batch => ({ task: 'x.t#0', namespace: 'x.t', sequence: 0, count: documents.length, bytes: 100, rows: { format: 'bson', documents: documents.map((document) => BSON.serialize(document)) } });
    await db.collection('target').insertOne({ _id: 2 as never, v: 'theirs' });
    const first = await write(batch({ _id: 1, v: 'a' }, { _id: 2, v: 'b' }, { _id: 3, v: 'c' }), mapping);
    expect(first.written).toBe(2);
    expect(first.rejected).toEqual([{ namespace: 'x.t', row: ['{"$numberInt":"2"}', BSON.serialize({ _id: 2, v: 'b' })], reason: expect.stringContaining('duplicate key') }]);
    expect((await write(batch({ _id: 3, v: 'c' }), mapping)).rejected).toHaveLength(1);
    const again = await write(batch({ _id: 1, v: 'a' }, { _id: 2, v: 'b' }, { _id: 4, v: 'd' }), mapping, { redo: true });
    expect(again.rejected.map(({ row }) => row[0])).toEqual(['{"$numberInt":"2"}']);
    expect(await write(batch({ _id: 2, v: 'b' }, { _id: 5, v: 'e' }), mapping, { overwrite: true })).toEqual({ written: 2, rejected: [] });
    expect((await db.collection('target').find().sort({ _id: 1 }).toArray()).map(({ v }) => v as string)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('a document that is too large is rejected, and its neighbours are written', async () => {
    const mapping = await mapped(await documentShape(), 'target');
    const documents = [{ _id: 1 }, { _id: 2, v: 'x'.repeat(16 * 1024 * 1024) }, { _id: 3 }].map((document) => BSON.serialize(document));
    const { written, rejected } = await write({ task: 'x.t#0', namespace: 'x.t', sequence: 0, count: 3, bytes: 1, rows: { format: 'bson', documents } }, mapping);
    expect([written, rejected.map(({ row }) => row[0])]).toEqual([2, ['{"$numberInt":"2"}']]);
    const again = await write({ task: 'x.t#0', namespace: 'x.t', sequence: 1, count: 3, bytes: 1, rows: { format: 'bson', documents: [documents[1]!, BSON.serialize({ _id: 4 }), documents[2]!] } }, mapping);
    expect(again.rejected.map(({ row }) => row[0]).sort()).toEqual(['{"$numberInt":"2"}', '{"$numberInt":"3"}']);
    expect(await db.collection('target').countDocuments()).toBe(3);
  });

  test('more statements than a server takes at once are sent in several messages', async () => {
    const mapping = await mapped(await documentShape(), 'target');
    const documents = Array.from({ length: 2500 }, (_, i) => BSON.serialize({ _id: i }));
    await db.collection('target').insertOne({ _id: 2200 as never, v: 'theirs' });
    const first = await write({ task: 'x.t#0', namespace: 'x.t', sequence: 0, count: 2500, bytes: 1, rows: { format: 'bson', documents } }, mapping);
    expect([first.written, first.rejected.map(({ row }) => row[0])]).toEqual([2499, ['{"$numberInt":"2200"}']]);
    await db.collection('target').deleteMany({ _id: { $gt: 1500 as never } });
    for (const [overwrite, redo] of [[false, true], [true, false]]) {
      expect(await write({ task: 'x.t#0', namespace: 'x.t', sequence: 0, count: 2500, bytes: 1, rows: { format: 'bson', documents } }, mapping, { overwrite: overwrite!, redo: redo! })).toEqual({ written: 2500, rejected: [] });
      expect(await db.collection('target').countDocuments()).toBe(2500);
    }
  });

  test('an empty timestamp is kept or its document rejected, never replaced', async () => {
    const mapping = await mapped(await documentShape(), 'target');
    const bytes = Buffer.from(BSON.serialize({ _id: 1, t: new Timestamp({ t: 0, i: 0 }) }));
    const { rejected } = await write({ task: 'x.t#0', namespace: 'x.t', sequence: 0, count: 1, bytes: 1, rows: { format: 'bson', documents: [bytes] } }, mapping);
    const kept = await raw('target');
    if (rejected.length === 0) expect(kept).toEqual([bytes]);
    else expect(kept).toEqual([]);
  });

  test('rows of SQL become documents, come back as they were, and are found by ranges of their key', async () => {
    const rows: Row[] = Array.from({ length: 20 }, (_, i) => [i - 5, `t${i}`, '1.10', BigInt(i) << 40n, null]);
    for (const key of [[0], [0, 1]]) {
      const shape = sqlShape({ id: int32, name: { kind: 'text' }, price: { kind: 'decimal', precision: 10, scale: 2 }, big: { kind: 'int', bits: 64, signed: true }, $none: { kind: 'text' } }, key);
      const name = `sql${key.length}`, mapping = await mapped(shape, name);
      expect(await write(valuesBatch(rows), mapping)).toEqual({ written: 20, rejected: [] });
      await using there = await mongodb.openSource!(database.url, options);
      const from = await there.snapshot([mapping.target], signal);
      const scan = async (part: { from?: string; to?: string }): Promise<Row[]> => (await collected(from.scan({ shape: mapping.target, part }, signal))).flat().sort((a, b) => Number(a[0]) - Number(b[0]));
      expect(await scan({})).toEqual(rows);
      expect(await scan({ from: '-2', to: '7' })).toEqual(rows.filter(([id]) => Number(id) >= -2 && Number(id) < 7));
      expect(await scan({ to: '0' })).toEqual(rows.slice(0, 5));
      expect(await scan({ from: '14' })).toEqual(rows.slice(19));
    }
    expect(await db.collection('sql2').findOne({ name: 't0' })).toMatchObject({ _id: { id: -5, name: 't0' }, '＄none': null });
  });

  test('a row is mended and deleted by its key', async () => {
    for (const key of [[0], [1, 0]]) {
      const mapping = await mapped(sqlShape({ id: int32, name: { kind: 'text' }, v: { kind: 'text' } }, key), `mend${key.length}`);
      await write(valuesBatch([[1, 'a', 'old'], [2, 'b', 'gone']]), mapping);
      const gone: Row = key.map((position) => [2, 'b'][position]!);
      expect(await destination.mend(run, mapping, { upserts: [[1, 'a', 'new'], [3, 'c', 'more']], deletes: [gone] }, signal)).toEqual({ rejected: [] });
      expect((await db.collection(`mend${key.length}`).find().sort({ id: 1 }).toArray()).map(({ v }) => v as string)).toEqual(['new', 'more']);
    }
  });

  test('a document is mended and deleted by an _id of any type', async () => {
    const mapping = await mapped(await documentShape(), 'target');
    // mongo-java-server gives an upserted null another _id.
    const documents = ids.filter((id) => id !== null).map((_id) => BSON.serialize({ _id, v: 1 }));
    await destination.mend(run, mapping, { upserts: documents.map((document) => [idText(document), document]), deletes: [] }, signal);
    expect(await db.collection('target').countDocuments()).toBe(documents.length);
    await destination.mend(run, mapping, { upserts: [], deletes: documents.slice(3).map((document) => [idText(document)]) }, signal);
    expect((await raw('target')).map(idText).toSorted()).toEqual(documents.slice(0, 3).map(idText).toSorted());
  });

  test('rows without a key are staged, written again without a second copy, and swapped in once', async () => {
    const shape = sqlShape({ v: { kind: 'text' } }, []), rows: Row[] = [['same'], ['same'], [null]];
    const mapping = await mapped(shape, 'keyless');
    expect(mapping.staged).toBe(true);
    await write(valuesBatch(rows), mapping);
    await write(valuesBatch(rows), mapping, { redo: true });
    expect(await db.collection('keyless').countDocuments()).toBe(0);
    await destination.finish(run, mapping, { keepRows: false }, signal);
    expect((await db.collection('keyless').find().toArray()).map(({ v }) => v as unknown)).toEqual(['same', 'same', null]);
    await destination.prepare(run, mapping, { empty: false, keyed: false, tasks: [] }, signal);
    await destination.finish(run, mapping, { keepRows: false }, signal);
    expect(await db.collection('keyless').countDocuments()).toBe(3);
    expect(await own()).toEqual(['_dsync_progress', '_dsync_run']);
  });

  test('staged rows are added to those that stand, and take their place with the indexes kept', async () => {
    await db.collection<Document>('keyless').insertOne({ v: 'before' });
    await db.collection('keyless').createIndex({ v: 1 }, { name: 'by_v' });
    const mapping = await mapped(sqlShape({ v: { kind: 'text' } }, []), 'keyless');
    await write(valuesBatch([['a'], ['b']]), mapping);
    await destination.finish(run, mapping, { keepRows: true }, signal);
    expect((await db.collection('keyless').find().toArray()).map(({ v }) => v as string).sort()).toEqual(['a', 'b', 'before']);
    await destination.prepare(run, mapping, { empty: true, keyed: false, tasks: [] }, signal);
    await write(valuesBatch([['c']]), mapping);
    await destination.finish(run, mapping, { keepRows: false }, signal);
    expect((await db.collection('keyless').find().toArray()).map(({ v }) => v as string)).toEqual(['c']);
    expect((await db.collection('keyless').indexes()).map(({ name }) => name)).toContain('by_v');
  });

  test('progress is kept batch by batch, one row for a task that is done, and none for a destination that was emptied', async () => {
    expect(await destination.progress(run, signal)).toBeUndefined();
    const mapping = await mapped(await documentShape(), 'target');
    expect(await destination.progress(run, signal)).toEqual([]);
    const batch = (sequence: number, cursor?: string): Batch => ({ task: 't#0', namespace: 't', sequence, count: 1, bytes: 1, ...(cursor && { cursor }), rows: { format: 'bson', documents: [BSON.serialize({ _id: sequence })] } });
    await write(batch(0, '{"$numberInt":"0"}'), mapping);
    await write(batch(1), mapping);
    expect(await destination.progress(run, signal)).toEqual([
      { task: 't#0', sequence: 0, cursor: '{"$numberInt":"0"}', rows: 1, done: false }, { task: 't#0', sequence: 1, rows: 1, done: false },
    ]);
    await destination.taskDone(run, { kind: 'task-done', task: 't#0', namespace: 't', sequence: 2, rows: 2 }, signal);
    expect(await destination.progress(run, signal)).toEqual([{ task: 't#0', sequence: 2, rows: 2, done: true }]);
    expect(await db.collection('_dsync_progress').countDocuments()).toBe(1);
    await destination.forget(run, [mapping], signal);
    expect(await own()).toEqual([]);
    await expect(write(batch(2), mapping)).rejects.toMatchObject({ code: 'refused' });
  });

  test('no progress is told of a batch that failed', async () => {
    const mapping = await mapped(await documentShape(), 'target');
    const batch: Batch = { task: 't#0', namespace: 't', sequence: 0, count: 1, bytes: 1, rows: { format: 'bson', documents: [BSON.serialize({ noId: 1 })] } };
    await expect(write(batch, mapping, { overwrite: true })).rejects.toMatchObject({ code: 'data' });
    expect(await destination.progress(run, signal)).toEqual([]);
  });

  test('an earlier process of the run can write no more once a later one took it', async () => {
    const mapping = await mapped(await documentShape(), 'target');
    await using later = await mongodb.openDestination!(database.url, options);
    await later.begin(run, signal);
    const batch: Batch = { task: 't#0', namespace: 't', sequence: 0, count: 1, bytes: 1, rows: { format: 'bson', documents: [BSON.serialize({ _id: 1 })] } };
    await expect(write(batch, mapping)).rejects.toMatchObject({ code: 'busy' });
    expect(await db.collection('target').countDocuments()).toBe(0);
    expect(await later.write(run, batch, mapping, { overwrite: false, redo: false }, signal)).toEqual({ written: 1, rejected: [] });
  });

  test('dsync\'s own collections are never a source, and names that MongoDB has not are refused', async () => {
    await mapped(await documentShape(), 'target');
    expect((await source.shapes(all, signal)).map(({ name }) => name)).toEqual(['target']);
    await expect(destination.adapt(await documentShape(), { name: 'a$b' }, signal)).rejects.toMatchObject({ code: 'refused' });
    await expect(destination.adapt(sqlShape({ '＄x': int32, $x: int32 }, [0]), { name: 't' }, signal)).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining('$x') as string });
  });

  test('an abort ends a read at once', async () => {
    await db.collection('t').insertMany(Array.from({ length: 5000 }, (_, i) => ({ _id: i as never })));
    await using small = await mongodb.openSource!(database.url, { ...options, batchRows: 10 });
    const shape = await shapeOf('t'), from = await small.snapshot([shape], signal), stop = new AbortController();
    const reading = from.read({ task: tasksAt(shape, [])[0]!, shape, format: 'bson', sequence: 0 }, stop.signal)[Symbol.asyncIterator]();
    await reading.next();
    stop.abort(new Error('stopped'));
    await expect((async () => { while (!(await reading.next()).done); })()).rejects.toThrow('stopped');
  });

  const documentShape = async (): Promise<Shape> => ({ ...await (async () => { await db.collection<Document>('seed').insertOne({ _id: 1 as never }); const shape = await shapeOf('seed'); await db.collection('seed').drop(); return shape; })(), namespace: 'x.t', name: 't' });
  const own = async () => (await db.listCollections().toArray()).map(({ name }) => name).filter((name) => name.startsWith('_dsync')).sort();
});

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const int32: LogicalType = { kind: 'int', bits: 32, signed: true };

function sqlShape(types: Readonly<Record<string, LogicalType>>, key: readonly number[]): Shape {
  const columns: Column[] = Object.entries(types).map(([name, type]) => ({ name, type, native: type.kind, nullable: true }));
  return { namespace: 'public.t', schema: 'public', name: 't', engine: 'postgres', columns, key };
}

function valuesBatch(rows: readonly Row[]): Batch {
  return { task: 'public.t#0', namespace: 'public.t', sequence: 0, count: rows.length, bytes: 1, rows: { format: 'values', rows } };
}

test('nobody there, or no URL: the error says which, without the password', async () => {
  await expect(mongodb.openSource!('mongodb://user:secret@127.0.0.1:1/db?serverSelectionTimeoutMS=200', options)).rejects.toMatchObject({ code: 'unreachable', message: expect.stringMatching(/^(?!.*secret).*127\.0\.0\.1:1/s) as string });
  await expect(mongodb.openSource!('mongodb://user:sec:ret@/db', options)).rejects.toMatchObject({ code: 'usage', message: expect.not.stringContaining('sec:ret') as string });
});

test.each([
  [18, 'unreachable', 'denied'], [13, 'connection-lost', 'denied'], [10107, 'connection-lost', 'connection-lost'], [91, 'source-lost', 'source-lost'], [43, 'source-lost', 'source-lost'],
  [14031, 'connection-lost', 'disk-full'], [112, 'connection-lost', 'conflict'], [2, 'source-lost', 'usage'], [121, 'connection-lost', 'internal'],
] as const)('the server\'s error %i means, where a loss is %s: %s', (code, lost, meaning) => {
  const error = failure(new MongoServerError({ code, message: 'no to mongodb://me:secret@host/' }), 'writing', lost);
  expect(error).toMatchObject({ code: meaning, message: 'writing: no to mongodb://me:***@host/' });
  expect(error.retryable).toBe(meaning === 'connection-lost' || meaning === 'source-lost' || meaning === 'conflict');
});

test('an abort ends connecting to a server that never answers', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1');
  const stop = new AbortController();
  silent.once('connection', () => stop.abort(new Error('stopped')));
  await new Promise((resolve) => silent.once('listening', resolve));
  const { port } = silent.address() as { port: number }, since = performance.now();
  await expect(mongodb.openSource!(`mongodb://127.0.0.1:${port}/db`, { ...options, signal: stop.signal })).rejects.toThrow('stopped');
  expect(performance.now() - since).toBeLessThan(3000);
  silent.close();
});

test('a statement holds the document as it is, duplicates and names like numbers', () => {
  const bytes = BSON.serialize(new Fields([['_id', new Fields([['2', 1], ['1', 2]])], ['9', 1], ['1', 2], ['9', new Int32(3)]]));
  const json = toExtendedJson(bytes);
  expect(json).toBe('{"_id":{"2":{"$numberInt":"1"},"1":{"$numberInt":"2"}},"9":{"$numberInt":"1"},"1":{"$numberInt":"2"},"9":{"$numberInt":"3"}}');
  const id = '{"_id":{"$eq":{"2":{"$numberInt":"1"},"1":{"$numberInt":"2"}}}}';
  expect(toExtendedJson(upsertStatement(bytes))).toBe(`{"q":${id},"u":${json},"upsert":true}`);
  expect(toExtendedJson(deleteStatement(bytes))).toBe(`{"q":${id},"limit":{"$numberInt":"1"}}`);
  expect(toExtendedJson(upsertStatement(BSON.serialize({ v: 1, _id: 'x' })))).toBe('{"q":{"_id":"x"},"u":{"v":{"$numberInt":"1"},"_id":"x"},"upsert":true}');
});

test('a message holds as many statements as the server takes, and no more bytes', () => {
  const cuts = (sizes: readonly number[], maxWriteBatchSize: number, maxMessageSizeBytes: number) =>
    [...messages(sizes.map((size) => Buffer.alloc(size)), { maxWriteBatchSize, maxMessageSizeBytes })].map(({ start, end }) => [start, end]);
  expect(cuts([1, 1, 1, 1, 1], 2, 1e6)).toEqual([[0, 2], [2, 4], [4, 5]]);
  expect(cuts([6000, 5000, 5000, 20_000, 1], 100, 16 * 1024 + 11_000)).toEqual([[0, 2], [2, 3], [3, 4], [4, 5]]);
  expect(cuts([], 2, 1e6)).toEqual([]);
});

test('Extended JSON is read as it was written, and relaxed too', () => {
  for (const id of ids) {
    const bytes = BSON.serialize({ _id: id });
    expect(Buffer.from(BSON.serialize(parseExtendedJson(toExtendedJson(bytes)) as object)).equals(bytes), toExtendedJson(bytes)).toBe(true);
    expect(exactIdText(bytes)).toBe(idText(bytes));
  }
  expect(toExtendedJson(BSON.serialize(parseExtendedJson(' {"a" : [1, 2.5, 3000000000, -1e3, true, null, "\\u00e4\\n"], "d": {"$date": "2024-01-01T00:00:00Z"}, "u": {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}, "q": {"$gt": 5, "$lt": 9}, "x": {"$regex": "^a", "$options": "i"}} ') as object)))
    .toBe('{"a":[{"$numberInt":"1"},{"$numberDouble":"2.5"},{"$numberLong":"3000000000"},{"$numberDouble":"-1000.0"},true,null,"ä\\n"],"d":{"$date":{"$numberLong":"1704067200000"}},"u":{"$binary":{"base64":"ABEiM0RVZneImaq7zN3u/w==","subType":"04"}},"q":{"$gt":{"$numberInt":"5"},"$lt":{"$numberInt":"9"}},"x":{"$regex":"^a","$options":"i"}}');
  for (const wrong of ['{', '{"a"}', '[1,]', '{"a":1}}', '"a', '{"$oid":"x"}', '', '{"$numberInt":5}', 'nul']) expect(() => parseExtendedJson(wrong), wrong).toThrow('Extended JSON');
});

test('a cursor that would not come back to the bit is none', () => {
  const far = Buffer.from(BSON.serialize({ _id: new Date(0) }));
  far.writeBigInt64LE(9_000_000_000_000_000_001n, 9);
  expect(idText(far)).toBe('{"$date":{"$numberLong":"9000000000000000001"}}');
  expect(exactIdText(far)).toBeUndefined();
});

test('the remainder is the opposite of the ranges, and a comparison knows what stands before', () => {
  const shape = { ...sqlShape({}, []), namespace: 'd.c' };
  expect(tasksAt(shape, ['{"$numberInt":"5"}', '{"$numberDouble":"NaN"}', '"a"', '"b"', 'true']).map(({ range }) => range)).toEqual([
    '{"_id":{"$lt":{"$numberInt":"5"}}}', '{"_id":{"$gte":{"$numberInt":"5"}}}', '{"_id":{"$lt":"a"}}', '{"_id":{"$gte":"a","$lt":"b"}}', '{"_id":{"$gte":"b"}}',
    '{"$nor":[{"_id":{"$lt":{"$numberInt":"5"}}},{"_id":{"$gte":{"$numberInt":"5"}}},{"_id":{"$lt":"a"}},{"_id":{"$gte":"a"}}]}',
  ]);
  expect(tasksAt(shape, []).map(({ range }) => range)).toEqual([undefined]);
  expect(BSON.deserialize(BSON.serialize(filterOf({}, '"x"')))).toEqual({ $nor: [{ _id: { $type: 'minKey' } }, { _id: null }, { _id: { $type: 'number' } }, { _id: { $lte: 'x' } }] });
  expect(BSON.deserialize(BSON.serialize(filterOf({ range: '{"_id":{"$gte":"a"}}' }, '"x"', '{"v":1}')))).toEqual({ $and: [{ _id: { $gte: 'a' } }, { _id: { $gt: 'x' } }, { v: 1 }] });
});

describeWith('mongodb', 'the driver\'s class for documents', () => {
  test.each([['as the driver has it', undefined], ['gone', () => ({})], ['framing otherwise', () => ({ DocumentSequence: class { push() { return 0; } toBin() { return Buffer.from('other'); } } })]])('%s: documents arrive byte for byte', async (_, load) => {
    await using database = await freshDatabase('mongodb');
    const client = await MongoClient.connect(database.url);
    const documents = [new Fields([['_id', 1], ['10', 1], ['9', new Double(1)]]), new Fields([['_id', 2], ['9', 1], ['10', Decimal128.fromString('1.0')]])].map((fields) => BSON.serialize(fields));
    const sequence = load ? findSequence(load) : findSequence();
    await client.db(database.name).command({ insert: 'c', documents: sequence('documents', documents) });
    expect((await client.db(database.name).collection('c').find({}, { raw: true }).toArray() as unknown as Buffer[]).map((bytes) => bytes.toString('hex'))).toEqual(documents.map((bytes) => Buffer.from(bytes).toString('hex')));
    await client.close();
  });
});

describeWith('mongodb', 'MongoDB behind TLS', () => {
  test('is reached with its authority and a certificate of our own, and not without', async () => {
    await using authority = await newAuthority('test authority');
    const server = await authority.sign('server', 'IP:127.0.0.1'), client = await authority.sign('client');
    const both = join(authority.folder, 'both.pem');
    await writeFile(both, await readFile(client.key, 'utf8') + await readFile(client.cert, 'utf8'));
    const to = new URL(serverFor('mongodb')!.url);
    const front = createTlsServer({ key: await readFile(server.key), cert: await readFile(server.cert), ca: await readFile(authority.ca), requestCert: true, rejectUnauthorized: true }, (socket) => {
      const plain = connectPlain(Number(to.port), to.hostname);
      socket.on('error', () => plain.destroy()).pipe(plain).on('error', () => socket.destroy()).pipe(socket);
    });
    front.on('tlsClientError', () => {});
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    const url = (query: string) => `mongodb://127.0.0.1:${(front.address() as AddressInfo).port}/db?directConnection=true&serverSelectionTimeoutMS=1500${query}`;
    try {
      await using source = await mongodb.openSource!(url(`&tls=true&tlsCAFile=${authority.ca}&tlsCertificateKeyFile=${both}`), options);
      expect(await source.shapes({ include: ['none'], exclude: [] }, signal)).toEqual([]);
      for (const query of [`&tls=true&tlsCertificateKeyFile=${both}`, `&tls=true&tlsCAFile=${authority.ca}`, '']) {
        await expect(mongodb.openSource!(url(query), options), query).rejects.toMatchObject({ code: 'unreachable' });
      }
    } finally {
      front.close();
    }
  });
});
