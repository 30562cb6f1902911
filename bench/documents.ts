import { setTimeout as delay } from 'node:timers/promises';
import { BSON, MongoClient, type Collection, type Document } from 'mongodb';
import { randomFrom } from '../test/random.js';
import { textRows } from '../test/servers/sql.js';
import type { Prepared } from './loads.js';

/* A client that works on MongoDB while dsync follows it: it inserts, updates, replaces and deletes; and what both sides hold then. */

/** mongo-java-server looks through its whole oplog, and the whole collection, for each event: more would only wait for it. */
const perScale = 4000;

/** Fills two collections of the database that the URL names. */
export async function prepareDocuments(url: string, scale: number): Promise<Prepared> {
  const client = await MongoClient.connect(url), db = client.db(), rows = scale * perScale;
  const items = db.collection<Document & { _id: number }>('items'), words = db.collection<Document & { _id: string }>('words');
  for (let from = 0; from < rows; from += 5000) await items.insertMany(Array.from({ length: Math.min(5000, rows - from) }, (_, i) => ({ _id: from + i, ...item(0, 'x'.repeat(100)), tags: [i, `t${i}`], at: new Date(from + i) })));
  await words.insertMany(Array.from({ length: rows / 10 }, (_, i) => ({ _id: `word ${i}`, n: i, in: { 2: 'b', 1: 'a' } })));
  let going = false, working: readonly Promise<void>[] = [];
  const stop = async () => {
    going = false;
    await Promise.all(working);
  };
  return {
    tables: [{ name: 'items', columns: [] }, { name: 'words', columns: [] }],
    load: {
      start(rate, clients = 2) {
        going = true;
        working = Array.from({ length: clients }, (_, i) => work({ items, words, rows, client: i, clients }, (1000 * clients) / rate, () => going));
      },
      stop,
      [Symbol.asyncDispose]: async () => {
        await stop();
        await client.close();
      },
    },
  };
}

/** All of them with the same fields in the same order: mongo-java-server leaves the fields of a document that is replaced where they were. */
function item(n: unknown, pad: string): Document {
  return { n, pad, tags: [] as unknown[], at: null, price: BSON.Decimal128.fromString('1.10'), f0: null, f1: null, f2: null, f3: null, f4: null };
}

interface Work { readonly items: Collection<Document & { _id: number }>; readonly words: Collection<Document & { _id: string }>; readonly rows: number; readonly client: number; readonly clients: number }

async function work({ items, words, rows, client, clients }: Work, pauseMillis: number, going: () => boolean): Promise<void> {
  const random = randomFrom(client + 1), id = () => Math.floor(random() * rows), fresh: number[] = [];
  for (let n = 0; going(); n++) {
    const pause = delay(pauseMillis);
    const key = rows + n * clients + client;
    switch (n % 8) {
      case 0: case 1: await items.insertOne({ _id: key, ...item(n, 'new') }); fresh.push(key); break;
      case 2: case 3: await items.updateOne({ _id: id() }, { $inc: { n: 1 }, $set: { [`f${n % 5}`]: new BSON.ObjectId() }, $push: { tags: n } }); break;
      case 4: await items.replaceOne({ _id: id() }, item(BSON.Long.fromNumber(n), 'r'.repeat(n % 300))); break;
      case 5: await items.deleteOne({ _id: fresh.shift() ?? id() }); break;
      case 6: await items.deleteOne({ _id: id() }); break;
      default: await words.updateOne({ _id: `word ${id() % (rows / 10)}` }, { $inc: { n: 1 }, $unset: { [`in.${1 + (n % 2)}`]: 1 } });
    }
    await pause;
  }
}

/** Each document of a collection, or of the table that it became, as canonical Extended JSON. */
export async function documentsOf(url: string, name: string): Promise<readonly string[]> {
  const plain = (text: string) => JSON.stringify(JSON.parse(text));
  if (!url.startsWith('mongodb')) return (await textRows(url, `SELECT document FROM ${name}`)).map(({ document }) => plain(document!));
  const client = await MongoClient.connect(url, { serverSelectionTimeoutMS: 2000 });
  try {
    const found = await client.db().collection(name).find({}, { promoteValues: false, promoteLongs: false, promoteBuffers: false }).toArray();
    return found.map((document) => plain(BSON.EJSON.stringify(document, { relaxed: false })));
  } finally {
    await client.close();
  }
}
