import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { BSON, Long, MongoNetworkError, MongoServerError, ObjectId, Timestamp, type Document } from 'mongodb';
import { expect, onTestFinished, test, describe } from 'vitest';
import { mongodb } from '../../src/connectors/mongodb/connector.js';
import { changeLog } from '../../src/connectors/mongodb/log.js';
import { mongodbSource } from '../../src/connectors/mongodb/source.js';
import { failure, type Hello, type Session } from '../../src/connectors/mongodb/session.js';
import { documentColumns } from '../../src/connectors/mongodb/types.js';
import type { Change, ChangeLog, Event, FollowJob, LogMessage, LogPlace, OpenOptions, Pin, Shape, Snapshot, Source } from '../../src/contract.js';
import type { Ports, RunConfig } from '../../src/coordinator/config.js';
import { resume, sync } from '../../src/coordinator/sync.js';
import { DsyncError } from '../../src/errors.js';
import { openStore } from '../../src/state/store.js';
import { idText } from '../../src/values/bson.js';
import { describeWith, freshDatabase, freshMongo, ownServer, type FreshMongoDatabase } from '../servers/index.js';
import { following } from './following.js';

const never = new AbortController().signal;
const options: OpenOptions = { signal: never, connections: 3, batchBytes: 256 << 10 };
const every = { include: ['**'], exclude: [] };

async function sourceOf(url: string): Promise<Source & { readonly log: ChangeLog }> {
  const source = await mongodb.openSource!(url, options);
  onTestFinished(() => source[Symbol.asyncDispose]());
  return source as Source & { readonly log: ChangeLog };
}

/** Each document as it is in the end, by its `_id`: changes may come again, or for what was read later. */
function replay(documents: readonly Uint8Array[], changes: readonly Change[]): string[] {
  const found = new Map(documents.map((document) => [idText(document), document]));
  for (const change of changes) {
    if (change.kind === 'delete') found.delete(change.before[0] as string);
    else if (change.kind !== 'truncate') {
      expect(change.row[0]).toBe(idText(change.row[1] as Uint8Array));
      found.set(change.row[0] as string, change.row[1] as Uint8Array);
    }
  }
  return hexOf([...found.values()]);
}

const hexOf = (documents: readonly Uint8Array[]): string[] => documents.map((document) => Buffer.from(document).toString('hex')).sort();

describeWith('mongodb', 'the log of MongoDB', () => {
  interface World { readonly database: FreshMongoDatabase; readonly log: ChangeLog; readonly shapes: readonly Shape[]; readonly pins: readonly Pin[]; readonly snapshot: Snapshot; readonly start: LogPlace }

  async function pinned(collections: Readonly<Record<string, readonly Document[]>>, choose = every): Promise<World> {
    const database = await freshDatabase('mongodb');
    onTestFinished(() => database[Symbol.asyncDispose]());
    for (const [name, documents] of Object.entries(collections)) await database.db.collection(name).insertMany(documents as Document[]);
    const source = await sourceOf(database.url), shapes = await source.shapes(choose, never), pins: Pin[] = [];
    const snapshot = await source.log.pin('r', shapes, (pin) => { pins.push(pin); }, never);
    return { database, log: source.log, shapes, pins, snapshot, start: { position: snapshot.moment.position!, changes: 0 } };
  }
  const jobOf = ({ shapes, start }: World, from = start): FollowJob => ({ run: 'r', shapes, from, bytes: 1 << 20 });
  const now = async ({ database }: World, name: string): Promise<Uint8Array[]> => (await database.db.collection(name).find({}, { raw: true }).toArray()) as unknown as Uint8Array[];

  async function followed(world: World, from = world.start) {
    const goal = await world.log.head(never), all = following(world.log, jobOf(world, from));
    await all.until(() => all.place()?.changes === 0 && world.log.reached(all.place()!.position, goal));
    expect(await all.stop()).toBeUndefined();
    return all;
  }

  async function copyOf({ snapshot }: World, shape: Shape): Promise<Uint8Array[]> {
    const read: Uint8Array[] = [];
    for (const task of await snapshot.plan(shape, { taskBytes: 8 << 10 }, never)) {
      for await (const { rows } of snapshot.read({ task, shape, format: 'bson', sequence: 0 }, never)) if (rows.format === 'bson') read.push(...rows.documents);
    }
    return read;
  }

  test('a copy of no moment and the log from where it began are the source, byte by byte, while a writer works', async () => {
    const world = await pinned({ a: Array.from({ length: 800 }, (_, i) => ({ _id: i as never, n: 0, pad: 'x'.repeat(60) })), b: [{ _id: 'one' as never, 2: 'b', 1: 'a' }] });
    expect(world.snapshot.moment).toMatchObject({ exact: false, position: expect.stringMatching(/^\d+\.\d+ /) });
    expect(world.pins).toEqual([{ names: [] }, { names: [], position: world.start.position }]);
    let writing = true, written = 0;
    const { db } = world.database, a = db.collection<{ _id: number }>('a'), b = db.collection<{ _id: string }>('b');
    const work = (async () => {
      for (let i = 0; writing; i++, written++) {
        const id = (i * 7919) % 800;
        await a.updateOne({ _id: id }, { $inc: { n: 1 }, $set: { [`f${i % 5}`]: new ObjectId() } });
        if (i % 3 === 0) await a.deleteOne({ _id: (id * 31) % 800 });
        if (i % 4 === 0) await a.replaceOne({ _id: id }, { z: 1, a: Long.fromNumber(i) }, { upsert: true });
        if (i % 2 === 0) await b.insertOne({ _id: `k${i}` });
        if (i % 6 === 0) await b.deleteOne({ _id: `k${i - 6}` });
      }
    })();
    while (written < 20) await new Promise(setImmediate);
    const copies = new Map<string, Uint8Array[]>();
    for (const shape of world.shapes) copies.set(shape.name, await copyOf(world, shape));
    while (written < 150) await new Promise(setImmediate);
    writing = false;
    await work;
    const changes = (await followed(world)).changes();
    expect(changes.length).toBeGreaterThan(150);
    for (const { name, namespace } of world.shapes) expect(replay(copies.get(name)!, changes.filter((change) => change.namespace === namespace))).toEqual(hexOf(await now(world, name)));
  });

  test('every kind of change is told with its key; a document that is gone meanwhile only by its delete', async () => {
    const world = await pinned({ t: [{ _id: 1 as never, a: 1 }, { _id: 2 as never, a: 2 }, { _id: 3 as never, a: 3 }] }), t = world.database.db.collection<Document>('t');
    await t.insertOne({ _id: { k: 1 } as never });
    await t.updateOne({ a: 1 }, { $set: { a: 5 } });
    await t.replaceOne({ a: 2 }, { b: 6 });
    await t.updateOne({ a: 3 }, { $set: { gone: true } });
    await t.deleteOne({ a: 3 });
    const all = await followed(world), { namespace } = world.shapes[0]!;
    expect(all.messages[0]).toEqual({ kind: 'shape', shape: world.shapes[0], changed: false });
    expect(all.changes().map((change) => [change.kind, ...('row' in change ? [change.row[0], BSON.deserialize(change.row[1] as Uint8Array)] : 'before' in change ? change.before : [])])).toEqual([
      ['insert', '{"k":{"$numberInt":"1"}}', { _id: { k: 1 } }], ['update', '{"$numberInt":"1"}', { _id: 1, a: 5 }], ['update', '{"$numberInt":"2"}', { _id: 2, b: 6 }], ['delete', '{"$numberInt":"3"}', undefined],
    ]);
    expect(all.changes().every((change) => change.namespace === namespace)).toBe(true);
  });

  test('from each place on, what comes after it and nothing before', async () => {
    const world = await pinned({ t: [{ _id: -1 as never }] }), t = world.database.db.collection<{ _id: number }>('t');
    const live = following(world.log, jobOf(world)), ids = (changes: readonly Change[]) => changes.map((change) => ('row' in change ? Number(/-?\d+/.exec(String(change.row[0]))![0]) : undefined));
    for (let i = 0; i < 5; i++) {
      await t.insertOne({ _id: i });
      await live.until(() => live.changes().length > i);
    }
    await live.stop();
    const places = live.messages.flatMap((message) => (message.kind === 'changes' ? [{ place: message.place, last: ids(message.changes).at(-1)! }] : []));
    for (const { place, last } of [places[0]!, places[2]!]) expect(ids((await followed(world, place)).changes())).toEqual([0, 1, 2, 3, 4].filter((id) => id > last));
    const head = await world.log.head(never);
    expect((await followed(world, { position: head, changes: 0 })).changes()).toEqual([]);
    expect(world.log.reached(head, places[0]!.place.position) && !world.log.reached(world.start.position, head)).toBe(true);
  });

  test('an idle collection gets on beside a busy one', async () => {
    const world = await pinned({ quiet: [{ _id: 1 as never }], busy: [{ _id: 1 as never }] }, { include: ['*.quiet'], exclude: [] });
    for (let i = 2; i < 40; i++) await world.database.db.collection('busy').insertOne({ _id: i as never });
    expect((await followed(world)).changes()).toEqual([]);
  });

  test('from a place of other collections on, all comes that these have had since', async () => {
    const world = await pinned({ a: [{ _id: 1 as never }], b: [{ _id: 1 as never }] }), { db } = world.database, [a] = world.shapes;
    await db.collection('a').insertOne({ _id: 2 as never });
    const alone = following(world.log, { ...jobOf(world, { position: await world.log.head(never), changes: 0 }), shapes: [a!] });
    await db.collection('a').insertOne({ _id: 3 as never });
    await alone.until(() => alone.changes().length > 0 && alone.place()!.changes === 0);
    await alone.stop();
    await db.collection('b').insertOne({ _id: 4 as never });
    expect((await followed(world, alone.place()!)).changes().map((change) => 'row' in change && change.row[0]).at(-1)).toBe('{"$numberInt":"4"}');
  });

  test('a dropped collection is told as another shape, after everything before it', async () => {
    const world = await pinned({ t: [{ _id: 1 as never }] }), t = world.database.db.collection('t');
    await t.insertOne({ _id: 2 as never });
    await t.drop();
    const all = following(world.log, jobOf(world));
    await all.until(() => all.messages.some((message) => message.kind === 'shape' && message.changed));
    expect(all.messages.map((message) => (message.kind === 'shape' ? message.changed : message.kind)).slice(0, 3)).toEqual([false, 'changes', true]);
  });

  test('an abort ends at once while nothing comes', async () => {
    const world = await pinned({ a: [{ x: 1 }], b: [{ x: 1 }] }), all = following(world.log, jobOf(world));
    await all.until(() => all.place() !== undefined || all.messages.length === 0);
    const since = performance.now();
    expect(await all.stop()).toBeUndefined();
    expect(performance.now() - since).toBeLessThan(1000);
  });
});

describeWith('mongodb', 'a live run from MongoDB', () => {
  test('calls its copy neither equal nor different, and follows from where the first copy began, also after an interruption', async () => {
    await using database = await freshDatabase('mongodb');
    const t = database.db.collection<{ _id: number; n: number }>('t'), folder = mkdtempSync(join(tmpdir(), 'dsync-mongolog-'));
    await t.insertMany(Array.from({ length: 500 }, (_, i) => ({ _id: i, n: 0 })));
    await using store = openStore(folder);
    const config: RunConfig = { source: database.url, destination: `sqlite:${join(folder, 'copy.db')}`, namespaces: [], exclude: [], where: {}, existing: 'refuse', acceptLoss: [], concurrency: 1, memoryBytes: 1 << 20, batchRows: 50, verify: true, live: true, onDdl: 'stop', schema: 'create', views: 'definition' };
    const events: Event[] = [];
    const ports = (stopAt: (event: Event) => boolean): Ports => {
      const stop = new AbortController();
      return { store, signal: stop.signal, flow: 'f', storedConfig: {}, newRunId: () => 'r1', emit: (event) => { events.push(event); if (stopAt(event)) stop.abort(new DsyncError('interrupted', 'stopped')); } };
    };
    await expect(sync(config, ports(({ kind }) => kind === 'written'))).rejects.toMatchObject({ code: 'interrupted' });
    // These were copied before or were not: only the log since the first copy can tell.
    await t.deleteOne({ _id: 3 });
    await t.updateOne({ _id: 4 }, { $set: { n: 4 } });
    await t.insertOne({ _id: 1000, n: 1 });
    await expect(resume(store.load('r1')!, config, ports((event) => event.kind === 'followed' && event.behindSeconds === 0 && event.changes >= 3))).rejects.toMatchObject({ code: 'interrupted' });
    const { moments } = store.load('r1')!, copy = new Database(join(folder, 'copy.db'), { readonly: true });
    expect(moments.map(({ exact, position }) => [exact, position])).toEqual([[false, expect.any(String)], [false, moments[0]!.position]]);
    expect(events.flatMap((event) => (event.kind === 'verified' ? [[event.verification.result, event.verification.reason]] : []))).toEqual([['not-comparable', expect.stringContaining('no single moment')]]);
    const rows = copy.prepare('SELECT document FROM t').all().map((row) => BSON.EJSON.parse((row as { document: string }).document) as { _id: number; n: number });
    copy.close();
    expect(rows.sort((a, b) => a._id - b._id)).toEqual(await t.find().sort({ _id: 1 }).toArray());
    rmSync(folder, { recursive: true });
  });
});

describeWith('mongodb', 'a MongoDB that goes away', () => {
  test('is a lost source', async () => {
    await using server = await ownServer('mongodb', { log: true });
    const database = await freshMongo(server.url);
    await database.db.collection('t').insertOne({ x: 1 });
    const source = await sourceOf(database.url), shapes = await source.shapes(every, never);
    const { moment } = await source.log.pin('r', shapes, () => undefined, never), all = following(source.log, { run: 'r', shapes, from: { position: moment.position!, changes: 0 }, bytes: 1 << 20 });
    await database.db.collection('t').insertOne({ x: 2 });
    await all.until(() => all.changes().length === 1);
    await server.kill();
    expect(await all.ended).toMatchObject({ code: 'source-lost', retryable: true });
  });
}, { own: true });

/*
 * What mongo-java-server has not is shown on events as the manual of MongoDB prints them
 * (https://www.mongodb.com/docs/manual/reference/change-events/, the page is named at each), answered by a server that is
 * made up: it takes the commands where the driver would send them. No real server of MongoDB was there to compare with.
 */

type Answer = Document | Error;

/** Answers commands one by one; a cursor's replies come in order, then it waits like a server where nothing happens. */
class MadeUpServer {
  readonly asked: (Document & { $on: string })[] = [];
  readonly hello: Document = { setName: 'rs0', logicalSessionTimeoutMinutes: 30, maxWireVersion: 21, operationTime: at(100), localTime: new Date(0) };
  /** What opening and reading a stream is answered, in turn: errors, events, or events with how far the server has read. */
  replies: (Error | readonly Document[] | { readonly events: readonly Document[]; readonly token?: Document })[] = [];
  readonly others: Record<string, (command: Document) => Answer> = {};
  readonly documents: Document[] = [];
  readonly hosts: string[] = ['a:27017'];
  mapped = 0;

  session(): Session {
    const collection = (name: string) => ({
      findOne: async (filter: Document, how: Document) => {
        this.asked.push({ findOne: name, filter, how, $on: '' });
        const found = this.documents.find((document) => JSON.stringify(document['_id']) === JSON.stringify(filter['_id'].$eq));
        return found ? BSON.serialize(found) : null;
      },
      find: () => ({ sort: (order: Document) => ({ limit: () => ({ project: () => ({ toArray: async () => { const answer = this.others['oplog']?.(order); if (answer instanceof Error) throw answer; return answer ? [answer] : []; } }) }) }) }),
    });
    const db = (on: string) => ({ databaseName: on, collection, command: (command: Document, how: Document = {}) => this.#command({ ...command, $on: on }, how) });
    const client = { db, startSession: () => ({ endSession: async () => undefined }), options: { hosts: this.hosts }, readPreference: { mode: 'primary' } };
    return {
      client: client as never, hello: this.hello as Hello, version: '8.0.0', hosts: this.hosts.join(','), [Symbol.asyncDispose]: async () => undefined,
      attempt: async (what, signal, action) => {
        const aborting = new AbortController();
        try {
          signal.throwIfAborted();
          return await Promise.race([action(), new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true, signal: aborting.signal }))]);
        } catch (error) {
          if (signal.aborted) throw signal.reason;
          throw failure(error, what, 'source-lost');
        } finally {
          aborting.abort();
        }
      },
    };
  }

  log(): ChangeLog {
    return changeLog(this.session(), () => ({ moment: { at: '', exact: false, how: '' } }) as never);
  }

  async #command(command: Document & { $on: string }, how: Document): Promise<Document> {
    this.asked.push(command);
    if ('hello' in command) return this.hello;
    if ('killCursors' in command) return how['raw'] ? { cursor: BSON.serialize({}) } : {};
    if ('aggregate' in command || 'getMore' in command) return this.#reply(command);
    const answer = this.others[Object.keys(command)[0]!]?.(command) ?? new MongoServerError({ code: 59, message: 'no such command' });
    if (answer instanceof Error) throw answer;
    return answer;
  }

  async #reply(command: Document & { $on: string }): Promise<Document> {
    const reply = this.replies.shift();
    if (reply instanceof Error) throw reply;
    if (!reply) await new Promise((resolve) => setTimeout(resolve, 20));
    const { events, token } = !reply ? { events: [], token: undefined } : 'events' in reply ? reply : { events: reply as readonly Document[], token: undefined };
    const name = typeof command['aggregate'] === 'string' ? command['aggregate'] : '$cmd.aggregate';
    const ended = events.some((event) => event['operationType'] === 'invalidate');
    return { cursor: BSON.serialize({ id: ended ? Long.ZERO : Long.fromNumber(7), ns: `${command.$on}.${name}`, [command['aggregate'] === undefined ? 'nextBatch' : 'firstBatch']: events, ...(token && { postBatchResumeToken: token }) }) };
  }

  pipelines(): Document[][] {
    return this.asked.flatMap((command) => ('aggregate' in command ? [command['pipeline'] as Document[]] : []));
  }
}

const at = (t: number, i = 1) => new Timestamp({ t, i });
const hex = (n: number) => n.toString(16).padStart(8, '0').toUpperCase();
/** As they are printed by the server: clock, then `+` and what tells events of one moment apart; those without it are marks of how far it has read. */
const token = (t: number, i = 1, rest = '2B042C0100296E5A1004') => ({ _data: `82${hex(t)}${hex(i)}${rest}` });
const mark = (t: number, i = 1) => token(t, i, '2B0429296E1404');
const shapeNamed = (schema: string, name: string): Shape => ({ namespace: `${schema}.${name}`, schema, name, engine: 'mongodb', columns: documentColumns, key: [0] });
const users = shapeNamed('engineering', 'users'), teams = shapeNamed('engineering', 'teams');
const id = new ObjectId('599af247bb69cd89961c986d'), alice = { _id: id, userName: 'alice123', name: 'Alice' };
const ns = { db: 'engineering', coll: 'users' };

/** change-events/insert: the key of a sharded collection names the shard key, too. */
const inserted = (t = 101, i = 1, document: Document = alice, rest: Document = {}): Document => ({ _id: token(t, i), operationType: 'insert', clusterTime: at(t, i), wallTime: new Date(t * 1000 + 250), ns, documentKey: { userName: document['userName'], _id: document['_id'] }, fullDocument: document, ...rest });
/** change-events/update: with the document as it is now, or null. */
const updated = (t: number, fullDocument: Document | null, rest: Document = {}): Document => ({
  _id: token(t), operationType: 'update', clusterTime: at(t), ns, documentKey: { _id: id },
  updateDescription: { updatedFields: { email: 'alice@10gen.com' }, removedFields: ['phoneNumber'], truncatedArrays: [{ field: 'vacation_time', newSize: 36 }] }, fullDocument, ...rest,
});
/** change-events/replace */
const replaced = (t: number, fullDocument: Document): Document => ({ _id: token(t), operationType: 'replace', clusterTime: at(t), ns, documentKey: { _id: id }, fullDocument });
/** change-events/delete */
const deleted = (t: number): Document => ({ _id: token(t), operationType: 'delete', clusterTime: at(t), ns, documentKey: { _id: id } });
/** change-events/drop, change-events/rename, change-events/dropDatabase, change-events/invalidate */
const dropped = (t: number, coll = 'users'): Document => ({ _id: token(t), operationType: 'drop', clusterTime: at(t), wallTime: new Date(0), ns: { db: 'engineering', coll } });
const renamed = (t: number, from: string, to: string): Document => ({ _id: token(t), operationType: 'rename', clusterTime: at(t), ns: { db: 'engineering', coll: from }, to: { db: 'engineering', coll: to } });
const databaseDropped = (t: number): Document => ({ _id: token(t), operationType: 'dropDatabase', clusterTime: at(t), wallTime: new Date(0), ns: { db: 'engineering' } });
const invalidated = (t: number): Document => ({ _id: token(t), operationType: 'invalidate', clusterTime: at(t), wallTime: new Date(0) });
/** What the events of one transaction have in common (core/transactions, change-events/insert). */
const transaction = { lsid: { id: new BSON.UUID('11111111-2222-4333-8444-555555555555'), uid: new BSON.Binary(Buffer.alloc(32, 5)) }, txnNumber: Long.fromNumber(3) };
const problem = (code: number, message = `error ${code}`) => new MongoServerError({ code, message, errmsg: message });

const job = (position: string, changes = 0, shapes: readonly Shape[] = [users]): FollowJob => ({ run: 'r', shapes, from: { position, changes }, bytes: 1 << 20 });

async function pinOf(log: ChangeLog, shapes: readonly Shape[] = [users]): Promise<string> {
  return (await log.pin('r', shapes, () => undefined, never)).moment.position!;
}

const told = (messages: readonly LogMessage[]) => messages.flatMap((message) => (message.kind === 'changes' ? message.changes.map((change) => [change.kind, 'row' in change ? BSON.deserialize(change.row[1] as Uint8Array) : 'before' in change ? change.before[0] : undefined]) : []));

describe('events as the manual prints them', () => {
  test('insert, update, replace and delete come by key, with the bytes that the server sent', async () => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log);
    const first = { _id: id, 2: 'numeric names keep their order', 1: new BSON.Double(1), d: BSON.Decimal128.fromString('1.10') };
    server.replies = [[], [inserted(101, 1, first), updated(102, { ...alice, team: 'replication' }), replaced(103, alice), deleted(104)]];
    const all = following(log, job(from));
    await all.until(() => all.changes().length === 4);
    const text = '{"$oid":"599af247bb69cd89961c986d"}', namespace = 'engineering.users';
    expect(all.changes()).toEqual([
      { kind: 'insert', namespace, row: [text, Buffer.from(BSON.serialize(first))] }, { kind: 'update', namespace, row: [text, Buffer.from(BSON.serialize({ ...alice, team: 'replication' }))] },
      { kind: 'update', namespace, row: [text, Buffer.from(BSON.serialize(alice))] }, { kind: 'delete', namespace, before: [text, undefined] },
    ]);
    expect(all.messages.find((message) => message.kind === 'changes')).toMatchObject({ at: 104_000 });
  });

  test('an update whose document is gone tells nothing: the delete that follows does, and neither is counted twice', async () => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log);
    server.replies = [[updated(101, null)], [], [deleted(102)], []];
    const all = following(log, job(from));
    await all.until(() => all.place()?.changes === 0 && all.changes().length > 0);
    expect(told(all.messages)).toEqual([['delete', '{"$oid":"599af247bb69cd89961c986d"}']]);
    expect(all.messages[1]).toMatchObject({ kind: 'position', place: { position: from, changes: 1 } });
  });

  test('a place is never inside a transaction: changes are counted from the one before, and gone on with there', async () => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log), one = (n: number, t = 102) => inserted(t, 1, { _id: n }, { ...transaction, _id: token(t, 1, `2B042C0100296E5A1004${n}`) });
    // A transaction of several oplog entries has several times (change-events/insert, clusterTime).
    const events = [inserted(101, 1, { _id: 0 }), one(1), one(2), one(3, 103), inserted(104, 1, { _id: 4 })];
    server.replies = [events.slice(0, 3), events.slice(3, 4), events.slice(4)];
    const all = following(log, job(from));
    await all.until(() => all.place()?.changes === 0);
    const places = all.messages.flatMap((message) => (message.kind === 'changes' ? [message.place] : []));
    const after = (event: Document) => expect.stringContaining((event['_id'] as { _data: string })._data);
    expect(places).toEqual([{ position: after(events[0]!), changes: 2 }, { position: after(events[0]!), changes: 3 }, { position: after(events[3]!), changes: 1 }]);
    expect(all.place()!.position).toEqual(after(events[4]!));
    const later = new MadeUpServer(), again = later.log();
    later.replies = [events.slice(1, 2), events.slice(2)];
    const rest = following(again, job(places[0]!.position, places[0]!.changes));
    await rest.until(() => rest.changes().length === 2);
    expect(later.pipelines()[0]![0]).toMatchObject({ $changeStream: { startAfter: { list: [['_data', (events[0]!['_id'] as { _data: string })._data]] } } });
    expect(told(rest.messages)).toEqual([['insert', { _id: 3 }], ['insert', { _id: 4 }]]);
  });

  test('a place counts what was told, and not the change that comes next in another collection', async () => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log, [users, teams]);
    server.replies = [[inserted(102, 1, alice, transaction), inserted(102, 1, { _id: 2 }, { ...transaction, _id: token(102, 1, '2B042C01BB'), ns: { db: 'engineering', coll: 'teams' } })]];
    const all = following(log, job(from, 0, [users, teams]));
    await all.until(() => all.changes().length === 2);
    expect(all.messages.flatMap((message) => (message.kind === 'changes' ? [[message.place.position === from, message.place.changes, message.changes.length]] : []))).toEqual([[true, 1, 1], [true, 2, 1]]);
  });

  test('the fragments of a large event are put together, and a place is never between them', async () => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log);
    // operator/aggregation/changeStreamSplitLargeEvent: each fragment has a token, and fields of the event.
    const { fullDocument, ...head } = updated(102, { ...alice, big: 'a'.repeat(100) });
    const fragments = [{ ...head, _id: token(102, 1, '2B042C01AA01'), splitEvent: { fragment: 1, of: 3 } }, { _id: token(102, 1, '2B042C01AA02'), splitEvent: { fragment: 2, of: 3 } }, { _id: token(102, 1, '2B042C01AA03'), splitEvent: { fragment: 3, of: 3 }, fullDocument }];
    server.replies = [{ events: [inserted(), fragments[0]!], token: fragments[0]!._id }, { events: fragments.slice(1, 2), token: fragments[1]!._id }, [fragments[2]!], []];
    const all = following(log, job(from));
    await all.until(() => all.place()?.changes === 0 && all.changes().length === 2);
    expect(told(all.messages).at(-1)).toEqual(['update', { ...alice, big: 'a'.repeat(100) }]);
    const positions = all.messages.flatMap((message) => ('place' in message ? [message.place.position] : []));
    for (const position of positions) expect(position).not.toMatch(/AA0[12]/);
    expect(positions.at(-1)).toMatch(/AA03/);
    expect(server.pipelines().at(-1)!.at(-1)).toEqual({ $changeStreamSplitLargeEvent: {} });
  });

  test('where the server can not split them, a large event comes without its document, which is read by its key', async () => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log), big = { ...alice, big: true };
    server.documents.push(big);
    const { fullDocument: _full, updateDescription: _description, ...bare } = updated(102, null);
    const { fullDocument: _none, ...bareOfGone } = inserted(103, 1, { _id: 'gone' });
    server.replies = [problem(40324, "Unrecognized pipeline stage name: '$changeStreamSplitLargeEvent'"), [inserted()], problem(10334, 'BSONObj size: 17701268 is invalid'), [], [bare], problem(10334), [bareOfGone], [replaced(104, alice)]];
    const all = following(log, job(from));
    await all.until(() => all.changes().length === 3);
    expect(told(all.messages)).toEqual([['insert', alice], ['update', big], ['update', alice]]);
    expect(server.asked.flatMap((command) => ('findOne' in command ? [command['how']] : []))).toEqual([expect.objectContaining({ readConcern: { level: 'majority' } }), expect.anything()]);
    const [, split, without, slim, whole] = server.pipelines();
    expect([split!.at(-1), without!.length, 'fullDocument' in slim![0]!['$changeStream'], slim![1]!['$project'] !== undefined, slim![0]!['$changeStream'].startAfter.list[0][1], whole![0]!['$changeStream'].startAfter.list[0][1]]).toEqual([
      { $changeStreamSplitLargeEvent: {} }, 1, false, true, token(101)._data, token(102)._data,
    ]);
    expect(server.asked.find((command) => 'aggregate' in command && command['cursor'].batchSize === 1)).toBeDefined();
  });

  test.each([
    ['a drop', [dropped(102)], [users]], ['a drop of another one', [dropped(102, 'others')], []], ['a rename', [renamed(102, 'users', 'people')], [users]],
    ['a rename onto it', [renamed(102, 'people', 'users')], [users]], ['a rename of two', [renamed(102, 'users', 'teams')], [users, teams]], ['the end of the database', [databaseDropped(102)], [users, teams]],
  ] as const)('%s is told as another shape, before which everything was told', async (_what, events, shapes) => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log, [users, teams]);
    server.replies = [[inserted(), ...events, inserted(103)], []];
    const all = following(log, job(from, 0, [users, teams]));
    await all.until(() => all.place()?.changes === 0 && all.changes().length === 2);
    const changed = all.messages.flatMap((message) => (message.kind === 'shape' && message.changed ? [message.shape] : []));
    expect(changed).toEqual(shapes);
    if (shapes.length > 0) expect(all.messages.map((message) => (message.kind === 'shape' ? message.changed : message.kind)).slice(0, 3)).toEqual([false, 'changes', true]);
  });

  test('of a collection that is further nothing is told up to there, neither changes nor its drop, and all is counted', async () => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log, [users, teams]), team = (t: number, _id: number, rest: Document = {}) => inserted(t, 1, { _id }, { ns: { db: 'engineering', coll: 'teams' }, ...rest });
    server.replies = [[inserted(101), team(102, 2), dropped(103, 'teams'), team(104, 4), team(110, 5, transaction), team(111, 6, transaction)]];
    const all = following(log, { ...job(from, 0, [users, teams]), since: new Map([[teams.namespace, '110.1']]) });
    await all.until(() => all.changes().length > 1);
    expect(told(all.messages)).toEqual([['insert', alice], ['insert', { _id: 6 }]]);
    expect(all.messages.flatMap((message) => (message.kind === 'shape' ? [[message.shape.name, message.changed]] : []))).toEqual([['users', false], ['teams', false]]);
    expect(all.messages.findLast((message) => message.kind === 'changes')).toMatchObject({ place: { position: expect.stringMatching(/^104\.1 /), changes: 2 } });
  });

  test('of a place of other collections its time is good, its token is not; what shares its moment is told again', async () => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log, [users]);
    const all = following(log, job(`${from.replace(/^[^ ]+/, '120.3')} ${JSON.stringify(token(120, 3))}`, 2, [users, teams]));
    server.replies = [[], [inserted(120, 3)]];
    await all.until(() => all.changes().length === 1);
    expect(server.pipelines().at(-1)![0]).toMatchObject({ $changeStream: { startAtOperationTime: at(120, 3) } });
    expect(server.asked.findLast((command) => 'aggregate' in command)).toMatchObject({ $on: 'engineering', aggregate: 1 });
  });

  test('a collection that has a stream of its own, and is further, is heard from there on', async () => {
    const server = new MadeUpServer(), log = server.log();
    server.replies = [problem(13, 'not authorized'), [], []];
    const from = await pinOf(log, [users, teams]);
    following(log, { ...job(from, 0, [users, teams]), since: new Map([[teams.namespace, '110.1']]) });
    await until(() => server.pipelines().length === 5);
    expect(server.asked.filter((command) => 'aggregate' in command).slice(3).map((command) => [command['aggregate'], command['pipeline'][0].$changeStream.startAtOperationTime])).toEqual([['users', at(100, 2)], ['teams', at(110, 2)]]);
  });

  test('an invalidated stream goes on after what ended it, and a collection that is gone is told of once', async () => {
    // change-events/invalidate: startAfter goes on after it, resumeAfter does not.
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log);
    server.replies = [[inserted()], [dropped(102), invalidated(103)], [], [inserted(110, 1, { _id: 'again' })], [dropped(111), invalidated(112)], []];
    const all = following(log, job(from));
    await all.until(() => all.messages.filter((message) => message.kind === 'shape').length >= 3 && all.place()!.position.startsWith('112.1 '));
    expect(all.messages.flatMap((message): unknown[] => (message.kind === 'shape' ? [[message.changed, message.other]] : message.kind === 'changes' ? [message.changes.length] : []))).toEqual([[false, undefined], 1, [true, 'was dropped'], 1, [true, 'was dropped']]);
    const starts = server.pipelines().slice(1).map(([stream]) => (stream!['$changeStream'] as Document)['startAfter']?.list[0][1]);
    expect(starts).toEqual([undefined, invalidated(103)['_id']._data, invalidated(112)['_id']._data]);
  });

  test('what became of a collection is said: dropped, renamed, replaced, or gone with its database', async () => {
    for (const [events, others] of [
      [[renamed(102, 'users', 'people')], ['users was renamed to engineering.people']], [[renamed(102, 'people', 'users')], ['users was replaced by a collection that was given its name']],
      [[renamed(102, 'users', 'teams')], ['users was renamed to engineering.teams', 'teams was replaced by a collection that was given its name']],
      [[dropped(102), dropped(103, 'teams'), databaseDropped(104), invalidated(105)], ['users was dropped', 'teams was dropped']], [[databaseDropped(104), invalidated(105)], ['users was dropped', 'teams was dropped']],
    ] as const) {
      const server = new MadeUpServer(), log = server.log(), from = await pinOf(log, [users, teams]);
      server.replies = [[inserted(), ...events], []];
      const all = following(log, job(from, 0, [users, teams]));
      await all.until(() => all.messages.filter((message) => message.kind === 'shape' && message.changed).length >= others.length && all.place() !== undefined);
      expect(all.messages.flatMap((message) => (message.kind === 'shape' && message.changed ? [`${message.shape.name} ${message.other}`] : []))).toEqual(others);
      // From each of its places the log is read again as far as it was not yet.
      const later = new MadeUpServer(), again = later.log(), { place } = all.messages.find((message) => message.kind === 'changes')!;
      later.replies = [[...events], []];
      const rest = following(again, job(place.position, place.changes, [users, teams]));
      await rest.until(() => rest.messages.filter((message) => message.kind === 'shape' && message.changed).length === others.length);
      await Promise.all([all.stop(), rest.stop()]);
    }
  });

  test('a silent collection gets on by the marks of how far the server has read, which say less than an event of the same time', async () => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log);
    server.replies = [{ events: [], token: mark(200) }, { events: [], token: mark(300, 4) }];
    const all = following(log, job(from));
    await all.until(() => all.messages.some((message) => message.kind === 'position' && log.reached(message.place.position, '300.3')));
    const { position } = all.place()!;
    expect(position).toBe(`300.3 collections ${/ ([0-9a-f]{16})/.exec(from)![1]} ${JSON.stringify(mark(300, 4))}`);
    expect([log.reached(position, '300.4'), log.reached(position, from), log.reached(from, position)]).toEqual([false, true, false]);
    const event = `300.4 collections 0011223344556677 ${JSON.stringify(token(300, 4))}`;
    expect([log.reached(event, position), log.reached(position, event), log.reached(event, '300.4'), log.reached(event, event)]).toEqual([true, false, true, true]);
    const before = `300.3 collections 0011223344556677 ${JSON.stringify(token(300, 3))}`;
    expect([log.reached(position, before), log.reached(before, position), log.reached(before, '300.3')]).toEqual([true, false, true]);
  });
});

describe('errors of a change stream', () => {
  test.each([286, 280, 260])('with %i there is no way on: history-lost, with the remedy', async (code) => {
    for (const replies of [[problem(code)], [[], problem(code)]]) {
      const server = new MadeUpServer(), log = server.log(), from = await pinOf(log);
      server.replies = replies;
      await expect(following(log, job(from)).ended).resolves.toMatchObject({ code: 'history-lost', remedy: expect.stringContaining('replSetResizeOplog') });
    }
  });

  test.each([['a lost connection', new MongoNetworkError('connection closed')], ['a forgotten cursor', problem(43)], ['an election', problem(189)], ['what the driver would go on after', problem(234)], ['an unknown error', problem(987_654)]])('%s ends the stream: source-lost, and nothing is asked again', async (_what, error) => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log);
    server.replies = [[inserted()], error];
    const all = following(log, job(from));
    expect(await all.ended).toMatchObject({ code: 'source-lost', retryable: true });
    expect(server.pipelines()).toHaveLength(2);
    expect(told(all.messages)).toEqual([['insert', alice]]);
  });

  test('a stream that the server ends is lost', async () => {
    const server = new MadeUpServer(), session = server.session(), log = changeLog({ ...session, client: { ...session.client, db: (on: string) => ({ ...session.client.db(on), databaseName: on, command: async (command: Document) => ('aggregate' in command ? { cursor: BSON.serialize({ id: Long.ZERO, ns: 'engineering.users', firstBatch: [] }) } : server.hello) }) } as never }, () => ({}) as never);
    await expect(following(log, job('100.1')).ended).resolves.toMatchObject({ code: 'source-lost' });
  });
});

test('the copy of a live run reads nothing older than where its log begins, nor what could be rolled back', async () => {
  const server = new MadeUpServer();
  server.others['find'] = () => ({ cursor: BSON.serialize({ id: Long.ZERO, ns: 'engineering.users', firstBatch: [alice] }) });
  const source = mongodbSource(server.session(), options), concerns: unknown[] = [];
  for (const snapshot of [await source.log!.pin('r', [users], () => undefined, never), await source.snapshot([users], never)]) {
    const [task] = await snapshot.plan(users, { taskBytes: 1 << 20 }, never);
    for await (const { count } of snapshot.read({ task: task!, shape: users, format: 'bson', sequence: 0 }, never)) expect(count).toBe(1);
    concerns.push(server.asked.at(-1)!['readConcern']);
    // A collection that is made equal anew is compared in it.
    for await (const rows of snapshot.scan({ shape: users, part: {} }, never)) expect(rows).toHaveLength(1);
    concerns.push(server.asked.at(-1)!['readConcern']);
  }
  const since = { level: 'majority', afterClusterTime: at(100) };
  expect(concerns).toEqual([since, since, undefined, undefined]);
});

describe('which stream is opened', () => {
  const elsewhere = shapeNamed('shop', 'orders');
  test.each([
    ['one collection', [users], 'engineering', 'users', undefined],
    ['several of a database', [users, teams], 'engineering', 1, { $or: [{ 'ns.db': 'engineering', 'ns.coll': { $in: ['users', 'teams'] } }, { 'to.db': 'engineering', 'to.coll': { $in: ['users', 'teams'] } }, { operationType: 'dropDatabase', 'ns.db': { $in: ['engineering'] } }, { operationType: 'invalidate' }] }],
    ['several databases', [users, elsewhere], 'admin', 1, { $or: expect.arrayContaining([{ 'ns.db': 'shop', 'ns.coll': { $in: ['orders'] } }]) }],
  ] as const)('%s: the widest that is needed, with a filter', async (_what, shapes, on, aggregate, match) => {
    const server = new MadeUpServer(), log = server.log(), from = await pinOf(log, shapes);
    following(log, job(from, 0, shapes));
    await until(() => server.pipelines().length === 2);
    const [first, second] = server.asked.filter((command) => 'aggregate' in command);
    for (const command of [first!, second!]) expect(command).toMatchObject({ $on: on, aggregate, pipeline: [{ $changeStream: { fullDocument: 'updateLookup', ...(on === 'admin' && { allChangesForCluster: true }) } }, ...(match ? [{ $match: match }] : []), { $changeStreamSplitLargeEvent: {} }] });
    expect(second!['pipeline'][0].$changeStream.startAtOperationTime).toEqual(at(100, 2));
  });

  test('who may not watch a database watches each collection; a place is the earliest of theirs', async () => {
    const server = new MadeUpServer(), log = server.log();
    server.replies = [problem(13, 'not authorized'), [], []];
    const from = await pinOf(log, [users, teams]);
    expect(from).toMatch(/^100\.1 collections /);
    server.replies = [{ events: [inserted(110)], token: mark(120) }, { events: [], token: mark(105) }, { events: [], token: mark(130) }, { events: [inserted(111, 1, { _id: 7 }, { ns: { db: 'engineering', coll: 'teams' } })], token: mark(125) }, [], []];
    const all = following(log, job(`${from} by another`, 3, [users, teams]));
    await all.until(() => all.place() !== undefined && log.reached(all.place()!.position, '125.0'));
    expect(told(all.messages)).toEqual([['insert', alice], ['insert', { _id: 7 }]]);
    expect(all.messages.flatMap((message) => (message.kind === 'changes' ? [[message.changes[0]!.namespace, message.place.changes, message.place.position.split(' ')[0]]] : []))).toEqual([['engineering.users', 1, '100.1'], ['engineering.teams', 1, '105.0']]);
  });

  test('two processes never call different places the same', async () => {
    const places = await Promise.all([1, 2].map(async () => {
      const server = new MadeUpServer(), log = server.log();
      server.replies = [problem(13), [], []];
      const from = await pinOf(log, [users, teams]);
      server.replies = [[inserted(110)], []];
      const all = following(log, job(from, 0, [users, teams]));
      await all.until(() => all.changes().length > 0);
      return all.place()!;
    }));
    expect(places[0]!.position).not.toBe(places[1]!.position);
  });
});

async function until(arrived: () => boolean): Promise<void> {
  while (!arrived()) await new Promise(setImmediate);
}

describe('the check', () => {
  test('names the stream, and how far the oplog reaches back', async () => {
    const server = new MadeUpServer();
    Object.assign(server.others, { oplog: (order: Document) => ({ ts: at(order['$natural'] === 1 ? 1000 : 4600) }), collStats: () => ({ size: 100, maxSize: 100 }) });
    const found = await server.log().check([users, teams], never);
    expect(found.map(({ level, code, message }) => [level, code, message])).toEqual([
      ['info', 'stream', 'changes come by one change stream of engineering'], ['warning', 'oplog', expect.stringContaining('1.0 h')], ['info', 'looked-up', expect.any(String)],
    ]);
    expect(server.asked.some((command) => 'killCursors' in command)).toBe(true);
  });

  test.each([
    ['a server alone', 40573, undefined, 'standalone', 'rs.initiate()'], ['a user without the right', 13, 'denied', 'stream-rights', '"resource":{"db":"engineering","collection":"users"},"actions":["find","changeStream"]'],
  ] as const)('%s is an error with its remedy', async (_what, code, error, finding, remedy) => {
    const server = new MadeUpServer();
    server.replies = [problem(code)];
    const [first] = await server.log().check([users], never);
    expect(first).toMatchObject({ level: 'error', code: finding, remedy: expect.stringContaining(remedy), ...(error && { error }) });
  });

  test('several mongos are refused: a cursor lives on one of them', async () => {
    const server = new MadeUpServer();
    Object.assign(server.hello, { msg: 'isdbgrid', setName: undefined });
    server.hosts.push('b:27017');
    expect(await server.log().check([users], never)).toEqual([expect.objectContaining({ level: 'error', code: 'several-routers', remedy: expect.stringContaining('single mongos') })]);
    server.hosts.pop();
    expect((await server.log().check([users], never)).map(({ level }) => level)).toEqual(['info', 'info', 'info']);
    expect(await server.log().head(never)).toBe('100.2');
  });

  test('what is kept of the oplog is estimated; a place before it is history-lost', async () => {
    const server = new MadeUpServer(), log = server.log();
    Object.assign(server.others, { oplog: (order: Document) => ({ ts: at(order['$natural'] === 1 ? 1000 : 3000) }), collStats: () => ({ size: 4000, maxSize: 8000 }) });
    expect(await log.retention('r', '2500.1', never)).toEqual({ bytes: 1000, secondsLeft: 3500 });
    await expect(log.retention('r', '999.9', never)).rejects.toMatchObject({ code: 'history-lost' });
    server.others['oplog'] = () => problem(13);
    expect(await log.retention('r', '999.9', never)).toEqual({});
  });
});
