// The MongoDB driver's own way, as a peer: find → insertMany with decoded documents, one insert under way while the next batch is read.
import { MongoClient } from 'mongodb';

const [from, to, name] = process.argv.slice(2);
const [source, target] = await Promise.all([MongoClient.connect(from), MongoClient.connect(to)]);
const cursor = source.db().collection(name).find({}, { batchSize: 5000 });
let batch = [], writing;
for await (const document of cursor) {
  if (batch.push(document) < 5000) continue;
  await writing;
  writing = target.db().collection(name).insertMany(batch, { ordered: false });
  batch = [];
}
await writing;
if (batch.length > 0) await target.db().collection(name).insertMany(batch, { ordered: false });
await source.close();
await target.close();
