import { BSON, type Document } from 'mongodb';
import { freshDatabase } from '../../servers/index.js';
import { spell } from '../spelling.js';
import type { End } from './end.js';

/** Takes rows of other engines. What it gives is in documents.test.ts. */
export async function mongodbEnd(): Promise<End> {
  const database = await freshDatabase('mongodb');
  return {
    name: 'mongodb', url: database.url, prefix: `${database.name}.`,
    make: () => { throw new Error('MongoDB has no tables to make'); },
    execute: () => { throw new Error('MongoDB has no SQL'); },
    read: async (table, columns) => {
      const documents = await database.db.collection(table).find({}, { promoteValues: false, promoteLongs: false, promoteBuffers: false }).toArray();
      return documents.map((document) => columns.map((column) => spell(column.kind, textOf(cellOf(document, column.name)))));
    },
    tables: async () => (await database.db.listCollections().toArray()).map(({ name }) => name),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

/** A key column stands in `_id`: as it is, or as a field of it where the key has several columns. */
function cellOf(document: Document, column: string): unknown {
  if (Object.hasOwn(document, column)) return document[column];
  const id = document._id as unknown;
  if (id !== null && typeof id === 'object' && !('_bsontype' in id)) return (id as Document)[column];
  return id;
}

function textOf(value: unknown): string | null {
  if (value === null) return null;
  if (value === undefined) return 'no such field';
  if (value instanceof Date) return value.toISOString();
  if (value instanceof BSON.Binary) return value.sub_type === BSON.Binary.SUBTYPE_UUID ? value.toUUID().toString() : value.toString('hex');
  if (value instanceof BSON.Double) return Object.is(value.value, -0) ? '-0' : String(value.value);
  if (typeof value === 'object' && !('_bsontype' in value)) return BSON.EJSON.stringify(value);
  return String(value);
}
