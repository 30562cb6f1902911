import { BSON, type Document } from 'mongodb';
import type { Row, Value } from '../../src/contract.js';
import { connectorFor } from '../../src/connectors/index.js';
import { describeWith, freshDatabase } from '../servers/index.js';
import type { Sample } from './samples.js';
import { describeConnector } from './suite.js';

describeWith('mongodb', 'mongodb', () => {
  describeConnector({
    name: 'mongodb',
    connector: () => connectorFor('mongodb://x'),
    exceptions: { documents: 'it has collections of documents', takesNull: 'a field may always be null' },
    where: '{"id": {"$lt": {"$numberLong": "101"}}}',
    async fresh() {
      const { url, db, [Symbol.asyncDispose]: dispose } = await freshDatabase('mongodb');
      return {
        url,
        async create(sample) {
          const collection = await db.createCollection(sample.name);
          if (sample.rows.length > 0) await collection.insertMany(sample.rows.map((row) => documentOf(sample, row)));
        },
        insert: async (sample, row) => void await db.collection(sample.name).insertOne(documentOf(sample, row)),
        update: async (sample, row) => void await db.collection(sample.name).replaceOne({ _id: idOf(sample, row) }, documentOf(sample, row)),
        remove: async (sample, row) => void await db.collection(sample.name).deleteOne({ _id: idOf(sample, row) }),
        names: async () => (await db.listCollections().toArray()).map(({ name }) => name),
        [Symbol.asyncDispose]: dispose,
      };
    },
  });
});

function documentOf(sample: Sample, row: Row): Document {
  const fields = Object.fromEntries(sample.columns.map(({ name }, i) => [name, bsonOf(sample, row, i)]));
  return sample.key.length > 0 ? { _id: idOf(sample, row), ...fields } : fields;
}

/** As dsync makes it of a key: its value, or the values of a key of several columns. */
function idOf(sample: Sample, row: Row): never {
  const [first] = sample.key;
  const id = sample.key.length === 1 ? bsonOf(sample, row, first) : Object.fromEntries(sample.key.map((i) => [sample.columns[i].name, bsonOf(sample, row, i)]));
  return id as never;
}

function bsonOf({ columns }: Sample, row: Row, i: number): unknown {
  const value: Value = row[i];
  if (typeof value === 'bigint') return BSON.Long.fromBigInt(value);
  if (value instanceof Uint8Array) return new BSON.Binary(value);
  return typeof value === 'number' && columns[i].kind === 'int32' ? new BSON.Int32(value) : value;
}
