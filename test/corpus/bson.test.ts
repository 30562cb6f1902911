import { BSON, MongoClient, type Document } from 'mongodb';
import { afterAll, describe, expect, test } from 'vitest';
import { mongodbDestination } from '../../src/connectors/mongodb/destination.js';
import { findSequence } from '../../src/connectors/mongodb/sequence.js';
import type { Hello, Session } from '../../src/connectors/mongodb/session.js';
import { mongodbSource } from '../../src/connectors/mongodb/source.js';
import { documentColumns } from '../../src/connectors/mongodb/types.js';
import type { Mapping, OpenOptions, Shape } from '../../src/contract.js';
import { bsonType, fieldOf } from '../../src/values/bson-bytes.js';
import { documentOfJson } from '../../src/values/extended-json-bytes.js';
import { toExtendedJson } from '../../src/values/bson.js';
import { syncJson } from '../pairs/command.js';
import { openEnd, sqlNames } from '../pairs/ends/index.js';
import { describePair } from '../pairs/skip.js';
import { freshDatabase, type FreshMongoDatabase } from '../servers/index.js';
import { corpus, documentOf, others, withId } from './bson.js';

/* The public BSON corpus, and what it has not: byte by byte from MongoDB to MongoDB, and as Extended JSON in the tables of other engines. */

const all = [...corpus, ...others];

/**
 * The same JSON whatever its white space, its objects' members in their order: names like numbers, and twice, are kept. A double
 * may be spelled in several ways, says the corpus.
 */
function plain(json: string): string {
  return json.replace(/"(?:[^"\\]|\\.)*"|\s+/g, (part) => (part.startsWith('"') ? JSON.stringify(JSON.parse(part)) : ''))
    .replace(/(?<="\$numberDouble":")-?[\d.]+(?:[eE][+-]?\d+)?/g, (number) => (Object.is(Number(number), -0) ? '-0' : String(Number(number))));
}

describe('the BSON corpus', () => {
  test('is there', () => {
    expect([corpus.length, corpus.filter(({ lossy }) => lossy).length]).toEqual([728, 10]);
  });

  test('comes back from its Extended JSON byte for byte, what canonical Extended JSON can not say too', () => {
    expect(all.flatMap(({ name, bytes }) => (documentOfJson(toExtendedJson(bytes)).equals(bytes) ? [] : [name]))).toEqual([]);
    const canonical = corpus.filter(({ lossy }) => !lossy).flatMap(({ name, bytes, json }) => (documentOfJson(json!).equals(bytes) ? [] : [name]));
    expect(canonical).toEqual([]);
  });

  test('is spelled in canonical Extended JSON as it says', () => {
    const wrong = corpus.filter(({ lossy }) => !lossy).flatMap(({ name, bytes, json }) => (plain(toExtendedJson(bytes)) === plain(json!) ? [] : [`${name}: ${toExtendedJson(bytes)}`]));
    expect(wrong).toEqual([]);
  });
});

function isSame(found: string | undefined, expected: string): boolean {
  return found !== undefined && (found === expected || (found.length < 1_000_000 && plain(found) === plain(expected)));
}

describe('a document of the BSON corpus, between two servers that are made up', () => {
  test('passes byte for byte, read and written, put in the place of another, and read for the comparison', async () => {
    const documents = all.map((one, i) => withId(i, one)), sent: { readonly verb: string; readonly bytes: Buffer }[] = [];
    const source = mongodbSource(sessionOf((command) => ({ cursor: replyOf(documents, String(command['find'])) })), options), destination = mongodbDestination(sessionOf((command) => {
      const [verb, field] = 'insert' in command ? ['insert', 'documents'] : ['update', 'updates'];
      const list = command[field] as { toBin(): Uint8Array } | readonly unknown[] | undefined;
      if (list && 'toBin' in list) sent.push(...sectionOf(list.toBin(), field).map((bytes) => ({ verb, bytes })));
      return { ok: 1 };
    }));
    const shape: Shape = { namespace: 'db.corpus', schema: 'db', name: 'corpus', engine: 'mongodb', columns: documentColumns, key: [0] }, mapping: Mapping = { source: shape, target: shape, fidelity: [], existed: true, staged: false };
    await destination.begin('r', never);
    const snapshot = await source.snapshot([shape], never);
    for await (const batch of snapshot.read({ task: { id: 't', namespace: 'db.corpus' }, shape, format: 'bson', sequence: 0 }, never)) {
      expect((await destination.write('r', batch, mapping, { overwrite: false, redo: false }, never)).rejected).toEqual([]);
    }
    const inserted = sent.splice(0);
    for await (const batch of snapshot.read({ task: { id: 't', namespace: 'db.corpus' }, shape, format: 'bson', sequence: 0 }, never)) {
      expect((await destination.write('r', batch, mapping, { overwrite: true, redo: false }, never)).rejected).toEqual([]);
    }
    // Names with $ at the top would be operators of an update: such a document is deleted and inserted.
    for (const round of [inserted, sent]) {
      const arrived = new Set(round.map(({ verb, bytes }) => (verb === 'insert' ? bytes : embedded(bytes, 'u')).toString('latin1')));
      expect(all.flatMap(({ name }, i) => (arrived.has(documents[i]!.toString('latin1')) ? [] : [name]))).toEqual([]);
    }
    const scanned: Uint8Array[] = [];
    for await (const rows of snapshot.scan({ shape, part: {} }, never)) scanned.push(...rows.map(([, document]) => document as Uint8Array));
    expect(scanned.every((bytes, i) => documents[i]!.equals(bytes))).toBe(true);
  });
});

const never = new AbortController().signal;
const options: OpenOptions = { signal: never, connections: 1, batchBytes: 1 << 30 };

/** A server that answers each command so, and remembers nothing. */
function sessionOf(answer: (command: Document) => Document): Session {
  const collection = () => ({ findOne: async () => ({ epoch: 1 }), findOneAndUpdate: async () => ({ epoch: 1 }), replaceOne: async () => ({}) });
  const client = { db: () => ({ collection, command: async (command: Document) => answer(command) }), options: { hosts: [] }, readPreference: { mode: 'primary' } };
  const hello = { isWritablePrimary: true, maxWireVersion: 0, maxBsonObjectSize: 1 << 24, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000 } as Hello;
  return { client: client as never, hello, version: '8.0.0', hosts: 'a', database: 'db', [Symbol.asyncDispose]: async () => undefined, attempt: (_what, _signal, action) => action() };
}

function replyOf(documents: readonly Buffer[], name: string): Buffer {
  const ns = Buffer.from(`db.${name}\0`), length = Buffer.alloc(4);
  length.writeInt32LE(ns.length);
  return documentOf([bsonType.long, 'id', Buffer.alloc(8)], [bsonType.string, 'ns', Buffer.concat([length, ns])], [bsonType.array, 'firstBatch', documentOf(...documents.map((document, i): readonly [number, string, Buffer] => [bsonType.document, String(i), document]))]);
}

/** The documents of a message's section of kind 1: kind, length, name, documents. */
function sectionOf(section: Uint8Array, field: string): Buffer[] {
  const bytes = Buffer.from(section), documents: Buffer[] = [];
  for (let at = 6 + field.length; at < bytes.length; at += bytes.readInt32LE(at)) documents.push(bytes.subarray(at, at + bytes.readInt32LE(at)));
  return documents;
}

function embedded(document: Buffer, name: string): Buffer {
  const { start, end } = fieldOf(document, name)!;
  return document.subarray(start, end);
}

interface Filled { readonly database: FreshMongoDatabase; readonly stored: ReadonlyMap<number, Buffer>; readonly altered: readonly string[]; readonly refused: readonly string[] }

let filling: Promise<Filled> | undefined;
afterAll(async () => (await filling)?.database[Symbol.asyncDispose]());

/** Each document by itself, on a connection of its own if it must be: some servers hang up on a type that they don't know. */
const filled = (): Promise<Filled> => filling ??= fill();

async function fill(): Promise<Filled> {
  const database = await freshDatabase('mongodb'), sequence = findSequence(), refused: string[] = [];
  let client = await MongoClient.connect(database.url);
  for (const [i, one] of all.entries()) {
    try {
      await client.db().command({ insert: 'corpus', documents: sequence('documents', [withId(i, one)]), writeConcern: { w: 1 } }).then(({ writeErrors }) => { if (writeErrors) throw new Error(JSON.stringify(writeErrors)); });
      await client.db().collection('corpus').find({ _id: i as never }, { raw: true }).toArray();
    } catch {
      refused.push(one.name);
      await client.close(true);
      client = await MongoClient.connect(database.url);
      await client.db().collection('corpus').deleteOne({ _id: i as never });
    }
  }
  await client.close();
  const stored = await bytesById(database), altered = all.flatMap((one, i) => (stored.get(i)?.equals(withId(i, one)) ?? true ? [] : [one.name]));
  return { database, stored, altered, refused };
}

async function bytesById({ db }: FreshMongoDatabase): Promise<ReadonlyMap<number, Buffer>> {
  const found = await db.collection('corpus').find({}, { raw: true }).toArray() as unknown as Buffer[];
  return new Map(found.map((bytes) => [BSON.deserialize(bytes, { fieldsAsRaw: {} })['_id'] as number, Buffer.from(bytes)]));
}

/** What mongo-java-server makes something else of (subtype 0x80 becomes 0x00, undefined null), and what it hangs up on. */
const lackingInJava = {
  altered: ['binary: subtype 0x80', 'undefined: Undefined'],
  refused: ['binary', 'code_w_scope', 'dbpointer', 'multi-type-deprecated', 'multi-type', 'symbol', 'names twice', 'names twice, within', 'all user-defined subtypes of binaries'],
};

const families = (names: readonly string[]): string[] => [...new Set(names.map((name) => name.replace(/: .*/s, '')))];

describePair(['mongodb'], 'the BSON corpus, mongodb → mongodb', () => {
  test('arrives byte for byte as the source has it', async () => {
    const { database: source, stored, altered, refused } = await filled();
    await using destination = await freshDatabase('mongodb');
    // A member of a replica set is a real server.
    const isReal = 'setName' in await source.db.admin().command({ isMaster: 1 });
    expect({ altered, refused: families(refused) }).toEqual(isReal ? { altered: [], refused: [] } : lackingInJava);
    const outcome = await syncJson(source.url, destination.url);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    const arrived = await bytesById(destination);
    expect([...stored].flatMap(([id, bytes]) => (arrived.get(id)?.equals(bytes) ? [] : [all[id]!.name]))).toEqual([]);
    expect(arrived.size).toBe(stored.size);
  }, 300_000);
});

for (const to of sqlNames) {
  describePair(['mongodb', to], `the BSON corpus, mongodb → ${to} → mongodb`, () => {
    test('becomes canonical Extended JSON, and the very same documents again', async () => {
      const { database: source, stored } = await filled();
      await using destination = await openEnd[to]();
      const outcome = await syncJson(source.url, destination.url);
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      const rows = new Map((await destination.read('corpus', ['_id', 'document'].map((column) => ({ name: column, kind: 'text', types: {} })))).map(([id, document]) => [Number(/-?\d+/.exec(id!)![0]), document!]));
      expect([...stored].flatMap(([id, bytes]) => (isSame(rows.get(id), toExtendedJson(bytes)) ? [] : [`${all[id]!.name}: ${rows.get(id)?.slice(0, 200)}`]))).toEqual([]);
      expect(rows.size).toBe(stored.size);
      await using back = await freshDatabase('mongodb');
      const second = await syncJson(destination.url, back.url);
      expect(second, second.stderr).toMatchObject({ status: 0 });
      const arrived = await bytesById(back);
      expect([...stored].flatMap(([id, bytes]) => (arrived.get(id)?.equals(bytes) ? [] : [all[id]!.name]))).toEqual([]);
      expect(arrived.size).toBe(stored.size);
    }, 300_000);
  });
}
