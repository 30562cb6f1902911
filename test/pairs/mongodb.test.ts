import { BSON } from 'mongodb';
import { expect, test } from 'vitest';
import { freshDatabase, type FreshMongoDatabase } from '../servers/index.js';
import { syncJson } from './command.js';
import { collections, rareTypes } from './documents.js';
import { openEnd, sqlNames, type End } from './ends/index.js';
import { describePair } from './skip.js';
import { spellJson } from './spelling.js';

describePair(['mongodb'], 'mongodb → mongodb', () => {
  test('moves every document to the last byte', async () => {
    await using source = await filled();
    await using destination = await freshDatabase('mongodb');
    const outcome = await syncJson(source.url, destination.url);
    expect.soft(outcome, outcome.stderr).toMatchObject({ status: 0 });
    const faults: string[] = [];
    for (const name of Object.keys(collections)) faults.push(...differences(name, await bytesById(source, name), await bytesById(destination, name)));
    expect(faults).toEqual([]);
  });
});

for (const to of sqlNames) {
  describePair(['mongodb', to], `mongodb → ${to}`, () => {
    test('makes a table of _id and document out of every collection', async () => {
      await using source = await filled();
      await using destination = await openEnd[to]();
      const outcome = await syncJson(source.url, destination.url);
      expect.soft(outcome, outcome.stderr).toMatchObject({ status: 0 });
      const faults: string[] = [];
      for (const name of Object.keys(collections)) faults.push(...differences(name, await jsonById(source, name), await storedJson(destination, name).catch((error: unknown) => String(error))));
      expect(faults).toEqual([]);
    });
  });
}

async function filled(): Promise<FreshMongoDatabase> {
  const database = await freshDatabase('mongodb');
  for (const [name, documents] of Object.entries(collections)) {
    await database.db.createCollection(name);
    if (documents.length > 0) await database.db.collection(name).insertMany(documents as never);
  }
  // A member of a replica set is a real server.
  if ('setName' in await database.db.admin().command({ isMaster: 1 })) await database.db.collection('every_type').insertMany(rareTypes as never);
  return database;
}

/** Hex of each document, by the hex of its `_id`. */
async function bytesById(database: FreshMongoDatabase, name: string): Promise<ReadonlyMap<string, string>> {
  const found = await database.db.collection(name).find({}, { raw: true }).toArray() as unknown as Buffer[];
  return new Map(found.map((bytes) => [JSON.stringify(idOf(bytes)), bytes.toString('hex')]));
}

async function jsonById(database: FreshMongoDatabase, name: string): Promise<ReadonlyMap<string, string>> {
  const found = await database.db.collection(name).find({}, { raw: true }).toArray() as unknown as Buffer[];
  return new Map(found.map((bytes) => [JSON.stringify(idOf(bytes)), spellJson(BSON.EJSON.stringify(parsed(bytes), { relaxed: false }))]));
}

const parsed = (bytes: Buffer): BSON.Document => BSON.deserialize(bytes, { promoteValues: false, promoteBuffers: false, promoteLongs: false, bsonRegExp: true });
const idOf = (bytes: Buffer): unknown => BSON.EJSON.serialize(parsed(bytes), { relaxed: false })._id;

async function storedJson(end: End, name: string): Promise<ReadonlyMap<string, string>> {
  const rows = await end.read(name, ['_id', 'document'].map((column) => ({ name: column, kind: 'text', types: {} })));
  return new Map(rows.map(([id, document]) => [id!, spellJson(document!)]));
}

function differences(name: string, expected: ReadonlyMap<string, string>, found: ReadonlyMap<string, string> | string): readonly string[] {
  if (typeof found === 'string') return [`${name}: ${found}`];
  const missing = [...expected].filter(([id]) => !found.has(id)).map(([id]) => `${name}, _id ${id} is missing`);
  const extra = [...found.keys()].filter((id) => !expected.has(id)).map((id) => `${name}, _id ${id} was never there`);
  const changed = [...expected].filter(([id, document]) => found.has(id) && found.get(id) !== document).map(([id, document]) => `${name}, _id ${id}: ${around(document, found.get(id)!)}`);
  return [...missing, ...extra, ...changed].slice(0, 20);
}

/** Both texts, from a little before the place where they part. */
function around(a: string, b: string): string {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  const from = Math.max(0, at - 30);
  return `expected …${a.slice(from, at + 50)}…, found …${b.slice(from, at + 50)}…`;
}
