import { BSON } from 'mongodb';
import { expect, test } from 'vitest';
import { dsync, syncJson } from '../pairs/command.js';
import { collections, rareTypes } from '../pairs/documents.js';
import { openEnd, sqlNames } from '../pairs/ends/index.js';
import { describePair } from '../pairs/skip.js';
import { freshDatabase, type FreshMongoDatabase } from '../servers/index.js';

const { Decimal128, Double, Int32, Long, ObjectId, UUID, Binary } = BSON;

type Fields = readonly (readonly [string, unknown])[];

/** Documents as programs keep them: some fields absent, null or of another type now and then, names that SQL would change. */
const shop: readonly Map<string, unknown>[] = Array.from({ length: 300 }, (_, i) => new Map<string, unknown>([
  ['_id', new ObjectId(i.toString(16).padStart(24, '0'))], ['name', i % 7 === 0 ? '' : `näme ${i}`],
  ...(i % 3 === 0 ? [] : [['age', i % 11 === 0 ? Long.fromNumber(i) : new Int32(i)]] as Fields),
  ['price', i % 5 === 0 ? Decimal128.fromString(`${i}.50`) : i % 13 === 0 ? Decimal128.fromString('-0') : Decimal128.fromString(`${i}.125`)],
  ['rate', i % 4 === 0 ? new Int32(i) : i % 17 === 0 ? new Double(NaN) : new Double(i / 7)],
  ['at', i % 19 === 0 ? new Date('0001-02-03T04:05:06.007Z') : new Date(1.6e12 + i)], ['ok', i % 2 === 0], ['key', new UUID(Buffer.from(i.toString(16).padStart(32, '0'), 'hex'))],
  ['raw', new Binary(Buffer.from([0, i % 256, 255]))], ['note', i % 6 === 0 ? null : i % 9 === 0 ? '{"no":"json' : i % 10 === 0 ? 'true' : 'nul\0'.slice(0, (i % 4) + 1)],
  ['mixed', [i, String(i), [i], { a: i, b: [null, 'x'] }, true, new Double(i), new Date(i)][i % 7]], ['in', { z: i, a: { 1: 'one', b: [new Int32(i), Long.fromNumber(i)] } }], ['tags', Array.from({ length: i % 4 }, (__, j) => `t${j}`)],
  ['$cost', i], ['a.b', i], ['', 'empty'], ['Name', 'other'], ['x'.repeat(70), 'long'], ['10', 'ten'], ['9', 'nine'], ...(i % 20 === 0 ? [[`seldom${i}`, i]] as Fields : []),
]));

const counted = Array.from({ length: 20 }, (_, i) => new Map<string, unknown>([['_id', new Int32(i - 5)], ['v', new Int32(i)]]));
const counts: Readonly<Record<string, readonly Map<string, unknown>[]>> = {
  ...collections, shop, ints: counted, longs: counted.map((document, i) => new Map([...document, ['_id', Long.fromNumber(i)]])), uuids: counted.map((document, i) => new Map([...document, ['_id', new UUID(Buffer.alloc(16, i))]])),
  texts: ['a', '{"$oid":"65a1b2c3d4e5f60718293a4b"}', '[', 'true', '"', '5'].map((id) => new Map<string, unknown>([['_id', id], ['v', id]])),
};

for (const name of sqlNames) {
  describePair(['mongodb', name], `mongodb → ${name} → mongodb`, () => {
    for (const way of ['json', 'columns']) {
      test(`--document ${way}: every document comes back to the byte, and both ends compare equal`, async () => {
        await using source = await filled();
        await using table = await openEnd[name]();
        await using back = await freshDatabase('mongodb');
        const there = await syncJson(source.url, table.url, '--document', way);
        expect.soft(there, there.stderr + there.stdout).toMatchObject({ status: 0 });
        const home = await syncJson(table.url, back.url);
        expect.soft(home, home.stderr).toMatchObject({ status: 0 });
        for (const collection of Object.keys(counts)) expect(await bytesOf(back, collection), collection).toEqual(await bytesOf(source, collection));
        const compared = await dsync('verify', source.url, table.url, '--document', way, '--json');
        expect(compared, compared.stderr).toMatchObject({ status: 0 });
      });
    }
  });
}

async function filled(): Promise<FreshMongoDatabase> {
  const database = await freshDatabase('mongodb');
  for (const [name, documents] of Object.entries(counts)) {
    await database.db.createCollection(name);
    if (documents.length > 0) await database.db.collection(name).insertMany(documents as never);
  }
  // A member of a replica set is a real server.
  if ('setName' in await database.db.admin().command({ isMaster: 1 })) await database.db.collection('every_type').insertMany(rareTypes as never);
  return database;
}

/** In hex, sorted. */
async function bytesOf(database: FreshMongoDatabase, name: string): Promise<readonly string[]> {
  const found = await database.db.collection(name).find({}, { raw: true }).toArray() as unknown as Buffer[];
  return found.map((bytes) => bytes.toString('hex')).sort();
}
