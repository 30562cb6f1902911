import { BSON, Decimal128, Int32, Long, MongoServerError, ObjectId, type Document } from 'mongodb';
import { describe, expect, onTestFinished, test } from 'vitest';
import { mongodbDestination } from '../../src/connectors/mongodb/destination.js';
import { parseExtendedJson, type Fields } from '../../src/connectors/mongodb/json.js';
import { build, planObjects, release } from '../../src/connectors/mongodb/objects.js';
import { failure, type Hello, type Session } from '../../src/connectors/mongodb/session.js';
import { mongodbSource } from '../../src/connectors/mongodb/source.js';
import { measurementColumns } from '../../src/connectors/mongodb/timeseries.js';
import { documentColumns } from '../../src/connectors/mongodb/types.js';
import { planView } from '../../src/connectors/mongodb/views.js';
import type { Batch, Mapping, OpenOptions, PlannedObject, Shape, TableObjects, ViewObject } from '../../src/contract.js';
import { syncJson } from '../pairs/command.js';
import { describeWith, freshDatabase } from '../servers/index.js';

const never = new AbortController().signal;
const options: OpenOptions = { signal: never, connections: 1, batchBytes: 1 << 20 };
const every = { include: ['**'], exclude: [] };

/*
 * mongo-java-server has neither collMod nor capped collections, views, validators, collations or time series. Here a server is made
 * up that answers as the manual prints it (the page is named at each), and keeps what it is asked. No real server of MongoDB was there.
 */
class MadeUpServer {
  readonly asked: Document[] = [];
  collections: Document[] = [];
  readonly indexes: Record<string, readonly unknown[]> = {};
  readonly found: Record<string, readonly Document[]> = {};
  readonly refuses: Record<string, number> = {};
  version = '8.0.4';

  session(): Session {
    const list = (documents: readonly unknown[]) => ({ toArray: async () => documents.map((document) => BSON.serialize(document as Document)) });
    const collection = (name: string) => ({ listIndexes: () => list([{ v: 2, key: { _id: 1 }, name: '_id_' }, ...this.indexes[name] ?? []]), isCapped: async () => false, estimatedDocumentCount: async () => 3, findOne: async () => ({ epoch: 1 }), findOneAndUpdate: async () => ({ epoch: 1 }), replaceOne: async () => ({}), deleteOne: async () => ({}), deleteMany: async () => ({}) });
    const db = () => ({
      collection, command: (command: Document, how?: Document) => this.#command(command, how),
      listCollections: (_: Document, how: Document = {}) => (how['raw'] ? list(this.collections) : { toArray: async () => this.collections.map(({ name, type, options: told }) => ({ name, type, ...(!how['nameOnly'] && { options: told }) })) }),
      dropCollection: async (name: string) => { this.asked.push({ drop: name }); this.collections = this.collections.filter((one) => one['name'] !== name); },
      admin: () => ({ command: () => ({}) }),
    });
    const client = { db, options: { hosts: [] }, readPreference: { mode: 'primary' }, startSession: () => ({ endSession: async () => undefined }) };
    return {
      client: client as never, hello: { isWritablePrimary: true, maxWireVersion: 0, maxBsonObjectSize: 1 << 24, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000 } as Hello, version: this.version, hosts: 'a', database: 'shop', [Symbol.asyncDispose]: async () => undefined,
      attempt: (what, _signal, action) => action().catch((error: unknown) => { throw failure(error, what, 'connection-lost'); }),
    };
  }

  async #command(command: Document, how: Document = {}): Promise<Document> {
    const [name] = Object.keys(command) as [string];
    this.asked.push(command);
    if (this.refuses[name]) throw new MongoServerError({ code: this.refuses[name], message: `no ${name}` });
    if (name === 'create') this.collections.push({ name: command['create'], type: 'collection', options: {} });
    return how['raw'] ? { cursor: BSON.serialize({ id: Long.ZERO, ns: `shop.${String(command['find'])}`, firstBatch: this.found[command['find'] as string] ?? [] }) } : { ok: 1 };
  }
}

const shapeNamed = (name: string, schema = 'shop'): Shape => ({ namespace: `${schema}.${name}`, schema, name, engine: 'mongodb', columns: documentColumns, key: [0] });
const mappingOf = (source: Shape, target: Shape, objects?: TableObjects): Mapping => ({ source, target, fidelity: [], existed: false, staged: false, ...(objects && { objects }) });
const spelled = ({ stage, kind, sql }: PlannedObject) => [stage, kind, sql && BSON.EJSON.parse(sql)];

async function objectsOf(server: MadeUpServer, name: string): Promise<TableObjects> {
  return (await mongodbSource(server.session(), options).objects!([shapeNamed(name)], never)).tables[0]!;
}

describe('the objects of a collection', () => {
  test('indexes come with all their options, their fields in the order of the server, whatever they are named', async () => {
    const server = new MadeUpServer();
    server.collections = [{ name: 'things', type: 'collection', options: {} }];
    // reference/command/listIndexes, reference/command/createIndexes
    const spec = (name: string, key: readonly (readonly [string, unknown])[], rest: Document = {}) => new Map<string, unknown>([['v', 2], ['key', new Map(key)], ['name', name], ...Object.entries(rest)]);
    server.indexes['things'] = [
      spec('numbers', [['10', 1], ['2', -1]], { ns: 'shop.things' }), spec('wild', [['$**', 1]], { wildcardProjection: { secret: 0 } }), spec('text', [['_fts', 'text'], ['_ftsx', 1]], { weights: { title: 10 }, default_language: 'german', language_override: 'l', textIndexVersion: 3 }),
      spec('partial', [['a', 1]], { unique: true, partialFilterExpression: { n: { $gt: Long.fromString('9007199254740993') } }, collation: { locale: 'de', strength: 2 }, hidden: true, sparse: true }),
      spec('place', [['at', '2dsphere']], { '2dsphereIndexVersion': 3 }), spec('hash', [['h', 'hashed']]), spec('old', [['at', 1]], { expireAfterSeconds: 3600 }),
    ];
    const plan = planObjects(mappingOf(shapeNamed('things'), shapeNamed('copy', 'there'), await objectsOf(server, 'things')));
    expect(plan.map(({ stage, kind, name }) => [stage, kind, name])).toEqual([
      ['index', 'index', 'numbers'], ['index', 'index', 'wild'], ['index', 'index', 'text'], ['unique', 'unique', 'partial'], ['index', 'index', 'place'], ['index', 'index', 'hash'], ['unique', 'ttl index', 'old'],
    ]);
    expect(plan[0]!.sql).toBe('{"createIndexes":"copy","indexes":[{"v":{"$numberInt":"2"},"key":{"10":{"$numberInt":"1"},"2":{"$numberInt":"-1"}},"name":"numbers"}]}');
    for (const [i, { sql }] of plan.entries()) {
      const { ns: _, ...told } = Object.fromEntries(server.indexes['things'][i] as Map<string, unknown>);
      expect(BSON.EJSON.parse(sql!)).toEqual({ createIndexes: 'copy', indexes: [BSON.EJSON.parse(BSON.EJSON.stringify(BSON.deserialize(BSON.serialize(told))))] });
    }
    server.asked.length = 0;
    expect(await build(server.session(), mappingOf(shapeNamed('things'), shapeNamed('copy')), plan.slice(0, 1), never)).toEqual([]);
    expect(Buffer.from(BSON.serialize(server.asked[0]!)).includes(Buffer.from(BSON.serialize(new Map([['10', new Int32(1)], ['2', new Int32(-1)]]))))).toBe(true);
  });

  test('what would refuse or delete documents is made after all of them, and taken away before rows are mended', async () => {
    const server = new MadeUpServer(), validator = { $jsonSchema: { required: ['a'] } };
    // reference/command/listCollections, reference/command/collMod
    server.collections = [{ name: 'things', type: 'collection', options: { validator, validationLevel: 'moderate', validationAction: 'warn', collation: { locale: 'fr' }, changeStreamPreAndPostImages: { enabled: true }, clusteredIndex: { v: 2, key: { _id: 1 }, name: '_id_', unique: true }, expireAfterSeconds: Long.fromNumber(60), recordIdsReplicated: true } }];
    server.indexes['things'] = [{ v: 2, key: { a: 1 }, name: 'by a' }, { v: 2, key: { b: 1 }, name: 'by b', collation: { locale: 'en' } }, { v: 2, key: { _id: 1 }, name: 'clustered one', clustered: true }];
    const objects = await objectsOf(server, 'things'), mapping = mappingOf(shapeNamed('things'), shapeNamed('things'), objects), plan = planObjects(mapping);
    expect(plan.map(spelled)).toEqual([
      // An index without a collation compares bytes; made so in a collection that has one it would take that.
      ['index', 'index', { createIndexes: 'things', indexes: [{ v: 2, key: { a: 1 }, name: 'by a', collation: { locale: 'simple' } }] }],
      ['index', 'index', { createIndexes: 'things', indexes: [{ v: 2, key: { b: 1 }, name: 'by b', collation: { locale: 'en' } }] }],
      ['unique', 'validator', { collMod: 'things', validator, validationLevel: 'moderate', validationAction: 'warn' }],
      ['unique', 'expiry', { collMod: 'things', expireAfterSeconds: 60 }],
      ['none', 'option', undefined],
    ]);
    expect(plan.at(-1)).toMatchObject({ native: '{"recordIdsReplicated":true}' });
    await mongodbDestination(server.session()).prepare('r', mapping, { empty: false, keyed: false, tasks: [] }, never);
    server.collections = [];
    await mongodbDestination(server.session()).prepare('r', mapping, { empty: false, keyed: false, tasks: [] }, never);
    const { collation, clusteredIndex, changeStreamPreAndPostImages } = Object.fromEntries((parseExtendedJson(objects.native['options']!) as Fields).list);
    expect(server.asked.filter((command) => 'create' in command)).toEqual([{ create: 'things', collation, clusteredIndex, changeStreamPreAndPostImages, writeConcern: { w: 'majority', j: true } }]);
    server.asked.length = 0;
    await release(server.session(), mapping, [...plan, { stage: 'unique', kind: 'ttl index', name: 'old', native: '' }], never);
    expect(server.asked).toEqual([{ collMod: 'things', validator: {} }, { collMod: 'things', expireAfterSeconds: 'off' }, { dropIndexes: 'things', index: 'old' }]);
  });

  test('a capped collection is converted before its indexes are made, for the conversion keeps none', async () => {
    const server = new MadeUpServer();
    // reference/command/convertToCapped; the number of documents is set by collMod (6.0)
    server.collections = [{ name: 'ring', type: 'collection', options: { capped: true, size: 4096, max: 10 } }];
    server.indexes['ring'] = [{ v: 2, key: { a: 1 }, name: 'by a' }];
    const mapping = mappingOf(shapeNamed('ring'), shapeNamed('ring'), await objectsOf(server, 'ring'));
    expect(planObjects(mapping).map(spelled)).toEqual([
      ['unique', 'capped collection', { convertToCapped: 'ring', size: 4096 }], ['unique', 'capped collection', { collMod: 'ring', cappedMax: 10 }], ['unique', 'index', { createIndexes: 'ring', indexes: [{ v: 2, key: { a: 1 }, name: 'by a' }] }],
    ]);
  });

  test('a view reads its collections by the names that they have in the destination', () => {
    // core/views, reference/operator/aggregation/lookup, …/unionWith, …/graphLookup, …/facet
    const definition = { create: 'paid', viewOn: 'orders', pipeline: [{ $match: { $expr: { $eq: ['$from', 'orders'] } } }, { $lookup: { from: 'people', as: 'p', let: { from: '$x' }, pipeline: [{ $unionWith: 'people' }] } }, { $facet: { a: [{ $graphLookup: { from: 'orders', startWith: '$n', connectFromField: 'n', connectToField: 'm', as: 'g' } }] } }, { $unionWith: { coll: 'other view', pipeline: [{ $unionWith: { coll: 'orders' } }] } }], collation: { locale: 'de' } };
    const text = BSON.EJSON.stringify(definition, { relaxed: false }), view: ViewObject = { namespace: 'shop.paid', schema: 'shop', name: 'paid', engine: 'mongodb', materialized: false, definition: text, native: text };
    const mappings = [mappingOf(shapeNamed('orders', 'elsewhere'), shapeNamed('others', 'there')), mappingOf(shapeNamed('orders'), shapeNamed('old_orders', 'there')), mappingOf(shapeNamed('people'), shapeNamed('users', 'there'))];
    const planned = planView(view, { schema: 'there', name: 'paid' }, mappings);
    expect(planned).toMatchObject({ stage: 'view', name: 'there.paid' });
    expect(planned.sql).toBe(text.replace('"viewOn":"orders"', '"viewOn":"old_orders"').replace('"$lookup":{"from":"people"', '"$lookup":{"from":"users"').replace('[{"$unionWith":"people"}]', '[{"$unionWith":"users"}]').replace('"$graphLookup":{"from":"orders"', '"$graphLookup":{"from":"old_orders"').replace('{"coll":"orders"}', '{"coll":"old_orders"}'));
    expect(planView(view, { schema: 'another', name: 'paid' }, mappings)).toMatchObject({ stage: 'none', note: expect.stringContaining('another database') });
  });

  test('an armed TTL index of a collection that stands is a warning, with the statements that disarm it and arm it again', async () => {
    const server = new MadeUpServer();
    server.collections = [{ name: 'things', type: 'collection', options: {} }];
    server.indexes['things'] = [{ v: 2, key: { at: 1 }, name: 'old', expireAfterSeconds: 60 }, { v: 2, key: { b: 1 }, name: 'off', expireAfterSeconds: 2147483647 }, { v: 2, key: { c: 1 }, name: 'plain' }];
    const findings = await mongodbDestination(server.session()).check([{ ...mappingOf(shapeNamed('things'), shapeNamed('things')), existed: true }], never);
    expect(findings.filter(({ code }) => code === 'ttl-armed')).toEqual([{ level: 'warning', code: 'ttl-armed', namespace: 'shop.things', message: expect.stringContaining('old of shop.things deletes'), remedy: 'db.getSiblingDB("shop").runCommand({"collMod":"things","index":{"name":"old","expireAfterSeconds":2147483647}}); and when the run is done: db.getSiblingDB("shop").runCommand({"collMod":"things","index":{"name":"old","expireAfterSeconds":60}})' }]);
  });
});

describe('a time series', () => {
  // core/timeseries/timeseries-procedures, reference/command/listCollections
  const made = { timeField: 'at', metaField: 'sensor', granularity: 'minutes', bucketMaxSpanSeconds: 86400 };
  const measurements = [{ at: new Date(5), sensor: { b: 1, a: 2 }, _id: new ObjectId('65a1b2c3d4e5f60718293a4b'), t: Decimal128.fromString('1.10') }, { _id: 1, at: new Date(6), t: 2 }, { _id: 1, at: new Date(6), t: 2 }];
  const server = () => {
    const one = new MadeUpServer();
    one.collections = [{ name: 'weather', type: 'timeseries', options: { timeseries: made, expireAfterSeconds: Long.fromNumber(3600) } }, { name: 'system.buckets.weather', type: 'collection', options: {} }, { name: 'system.views', type: 'collection', options: {} }];
    one.found['weather'] = measurements;
    return one;
  };
  const sorted = measurements.map((document) => Buffer.from(BSON.serialize(Object.fromEntries(Object.entries(document).sort(([a], [b]) => (a < b ? -1 : 1))))));

  async function batchOf(from: MadeUpServer): Promise<{ readonly shape: Shape; readonly batch: Batch }> {
    const source = mongodbSource(from.session(), options), shapes = await source.shapes(every, never), [shape] = shapes as [Shape];
    expect(shapes.map(({ name, key, columns }) => [name, key, columns.map((column) => column.name)])).toEqual([['weather', [], ['document']]]);
    const snapshot = await source.snapshot(shapes, never), tasks = await snapshot.plan(shape, { taskBytes: 1 }, never), batches: Batch[] = [];
    expect(tasks).toHaveLength(1);
    for await (const batch of snapshot.read({ task: tasks[0]!, shape, format: 'bson', sequence: 0 }, never)) batches.push(batch);
    for await (const rows of snapshot.scan({ shape, part: {} }, never)) expect(rows).toEqual(sorted.map((document) => [document]));
    expect(batches[0]!.cursor).toBeUndefined();
    expect(from.asked.filter((command) => 'find' in command).every((command) => !('sort' in command))).toBe(true);
    return { shape, batch: batches[0]! };
  }

  test('is read through its collection, each measurement with its fields in the order of their names, equal ones as often as they are there', async () => {
    const { batch } = await batchOf(server());
    expect(batch.rows.format === 'bson' && batch.rows.documents).toEqual(sorted);
  });

  test('is staged, and made of what is staged in one command; its expiry is set when all is there', async () => {
    const from = server(), { shape, batch } = await batchOf(from), to = new MadeUpServer(), destination = mongodbDestination(to.session());
    const [objects] = (await mongodbSource(from.session(), options).objects!([shape], never)).tables, mapping = await destination.adapt(shape, { schema: 'shop', name: 'climate' }, never, objects);
    expect(mapping).toMatchObject({ staged: true, existed: false, target: { namespace: 'shop.climate', key: [] }, fidelity: [{ level: 'reshaped' }] });
    await destination.begin('r', never);
    await destination.prepare('r', mapping, { empty: true, keyed: false, tasks: [] }, never);
    expect(await destination.write('r', batch, mapping, { overwrite: false, redo: false }, never)).toEqual({ written: 3, rejected: [] });
    await destination.finish('r', mapping, { keepRows: false }, never);
    const staging = (to.asked.find((command) => 'create' in command) as { readonly create: string }).create, inserted = to.asked.find((command) => 'insert' in command && command['insert'] === staging)!;
    const staged = documentsIn((inserted['documents'] as { toBin(): Uint8Array }).toBin());
    expect(new Set(staged.map(({ _id }) => String(_id))).size).toBe(3);
    expect(staged.map(({ document }) => Buffer.from(BSON.serialize(document as Document)))).toEqual(sorted);
    const out = to.asked.find((command) => 'aggregate' in command)!;
    // reference/operator/aggregation/out
    expect(BSON.deserialize(BSON.serialize(out))).toEqual({ aggregate: staging, pipeline: [{ $replaceRoot: { newRoot: '$document' } }, { $out: { db: 'shop', coll: 'climate', timeseries: made } }], cursor: {}, writeConcern: { w: 'majority', j: true } });
    expect(to.asked.at(-1)).toEqual({ drop: staging });
    expect(planObjects(mapping).map(spelled)).toEqual([['unique', 'expiry', { collMod: 'climate', expireAfterSeconds: 3600 }]]);
  });

  test('is refused by a server that makes none of staged documents, where a collection stands, and in a live run', async () => {
    const { shape } = await batchOf(server()), old = new MadeUpServer(), taken = new MadeUpServer();
    old.version = '7.0.2';
    await expect(mongodbDestination(old.session()).adapt(shape, { name: 'weather' }, never)).rejects.toMatchObject({ code: 'refused', remedy: expect.stringContaining('--exclude') });
    taken.collections = [{ name: 'weather', type: 'collection', options: {} }];
    await expect(mongodbDestination(taken.session()).adapt(shape, { name: 'weather' }, never)).rejects.toMatchObject({ code: 'refused' });
    expect(await mongodbSource(server().session(), options).log!.check([shape, shapeNamed('orders')], never)).toEqual([expect.objectContaining({ level: 'error', error: 'refused', namespace: 'shop.weather', remedy: expect.stringContaining("--exclude 'shop.weather'") })]);
  });

  test('says how it is made in its column', () => {
    expect(measurementColumns('{"timeField":"at"}')[0]!.native).toBe('measurement {"timeField":"at"}');
  });
});

/** The documents of a message's section of kind 1: kind, length, name, documents. */
function documentsIn(section: Uint8Array): Document[] {
  const bytes = Buffer.from(section), documents: Document[] = [];
  for (let at = 5 + Buffer.byteLength('documents\0'); at < bytes.length; at += bytes.readInt32LE(at)) documents.push(BSON.deserialize(bytes.subarray(at, at + bytes.readInt32LE(at)), { promoteValues: false }));
  return documents;
}

describeWith('mongodb', 'objects on their way from MongoDB to MongoDB', () => {
  test('indexes come with all that the server keeps of them, their keys in order', async () => {
    const [source, destination] = await Promise.all([freshDatabase('mongodb'), freshDatabase('mongodb')]);
    onTestFinished(async () => { await source[Symbol.asyncDispose](); await destination[Symbol.asyncDispose](); });
    await source.db.collection('things').insertOne({ a: 1, at: new Date(0) });
    const indexes = [{ key: new Map([['10', 1], ['2', 1]]), name: 'numbers' }, { key: { at: 1 }, name: 'old', expireAfterSeconds: 3600, hidden: true, collation: { locale: 'de' } }, { key: { a: 1 }, name: 'one', unique: true, sparse: true, partialFilterExpression: { a: { $gt: 0 } } }];
    await source.db.command({ createIndexes: 'things', indexes });
    const { status, stderr } = await syncJson(source.url, destination.url);
    expect(status, stderr).toBe(0);
    const told = async (end: typeof source) => (await end.db.collection('things').listIndexes({ raw: true }).toArray()).map((bytes) => Buffer.from(bytes as unknown as Uint8Array).toString('latin1')).sort();
    expect(await told(destination)).toEqual(await told(source));
  });
});

describe('a view as a table', () => {
  // reference/command/listCollections
  const server = () => {
    const one = new MadeUpServer();
    one.collections = [{ name: 'orders', type: 'collection', options: {} }, { name: 'large', type: 'view', options: { viewOn: 'orders', pipeline: [] } }, { name: 'system.views', type: 'collection', options: {} }];
    one.found['large'] = [{ _id: 2, t: 7 }];
    return one;
  };

  test('is chosen where it is asked for, has no statistics, and is read like a collection', async () => {
    const one = server(), source = mongodbSource(one.session(), options);
    expect((await source.shapes(every, never)).map(({ name, view }) => [name, view])).toEqual([['orders', undefined]]);
    one.asked.length = 0;
    const shapes = await source.shapes({ include: ['*large'], exclude: [], views: true }, never), [shape] = shapes as [Shape];
    expect(shapes).toEqual([{ namespace: 'shop.large', schema: 'shop', name: 'large', engine: 'mongodb', view: 'plain', columns: documentColumns, key: [0] }]);
    expect(one.asked).toEqual([]);
    const snapshot = await source.snapshot(shapes, never), tasks = await snapshot.plan(shape, { taskBytes: 1 }, never), read: unknown[] = [];
    for await (const { rows } of snapshot.read({ task: tasks[0]!, shape, format: 'bson', sequence: 0 }, never)) read.push(...(rows as { readonly documents: readonly Uint8Array[] }).documents.map((document) => BSON.deserialize(document)));
    expect([tasks.length, read]).toEqual([1, [{ _id: 2, t: 7 }]]);
  });

  test('is refused where its documents have no _id', async () => {
    const one = server(), source = mongodbSource(one.session(), options);
    const shapes = await source.shapes({ include: ['*large'], exclude: [], views: true }, never);
    expect(await source.check(shapes, never)).toContainEqual(expect.objectContaining({ level: 'error', code: 'no-id', error: 'refused', namespace: 'shop.large', remedy: "leave it out: --exclude 'shop.large'" }));
  });
});
