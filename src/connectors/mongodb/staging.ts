import { createHash } from 'node:crypto';
import type { Document, IndexSpecification } from 'mongodb';
import type { Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import type { Session } from './session.js';
import { durable, type Place, type Writer } from './write.js';

/** The collection that takes the rows of a table without a key until they are all there. */
export function stagingOf(run: string, { schema, name }: Pick<Shape, 'schema' | 'name'>): string {
  return `_dsync_${createHash('sha256').update(JSON.stringify([run, schema, name])).digest('hex').slice(0, 16)}`;
}

export async function hasCollection({ client, attempt }: Session, { database, collection }: Place, signal: AbortSignal): Promise<boolean> {
  // Not every server heeds the filter.
  const found = await attempt(`looking for ${database}.${collection}`, signal, () => client.db(database).listCollections({ name: collection }, { nameOnly: true, signal }).toArray());
  return found.some(({ name }) => name === collection);
}

export async function createCollection({ client, attempt }: Session, { database, collection }: Place, options: Document, signal: AbortSignal): Promise<void> {
  await attempt(`creating ${database}.${collection}`, signal, () => client.db(database).command({ create: collection, ...options, writeConcern: durable }, { signal }).catch((error: { code?: number }) => {
    if (error.code !== alreadyThere) throw error;
  }));
}

const alreadyThere = 48;

export async function dropCollection(session: Session, place: Place, signal: AbortSignal): Promise<void> {
  const { database, collection } = place;
  if (!await hasCollection(session, place, signal)) return;
  await session.attempt(`dropping ${database}.${collection}`, signal, () => session.client.db(database).dropCollection(collection, { writeConcern: durable }));
}

/** Puts the staged rows in the place of the target's, whose indexes stay; or, with `keepRows`, beside them. */
export async function swapIn(session: Session, writer: Writer, staging: Place, target: Shape, keepRows: boolean, signal: AbortSignal): Promise<void> {
  const place: Place = { ...staging, collection: target.name };
  if (keepRows && await hasCollection(session, place, signal)) {
    await moveRows(session, writer, staging, place, signal);
    return dropCollection(session, staging, signal);
  }
  await copyIndexes(session, place, staging, signal);
  const rename = { renameCollection: `${staging.database}.${staging.collection}`, to: `${place.database}.${place.collection}`, dropTarget: true };
  await session.attempt(`renaming the staged rows to ${target.namespace}`, signal, () => session.client.db('admin').command(rename, { signal }));
}

/** The rows have `_id`s of their run's own, so that a duplicate is a row that came over before. */
async function moveRows({ client, attempt }: Session, writer: Writer, from: Place, to: Place, signal: AbortSignal): Promise<void> {
  const cursor = client.db(from.database).collection(from.collection).find({}, { raw: true, batchSize: 1000, signal });
  try {
    while (await attempt(`reading ${from.database}.${from.collection}`, signal, () => cursor.hasNext())) {
      const [refusal] = (await writer.insert(to, cursor.readBufferedDocuments() as unknown as Uint8Array[], signal)).filter(({ reason, duplicate }) => !duplicate || !reason.includes('_id_'));
      if (refusal) throw new DsyncError('data', `${to.database}.${to.collection} does not take a row: ${refusal.reason}`);
    }
  } finally {
    await cursor.close().catch(() => {});
  }
}

async function copyIndexes({ client, attempt }: Session, from: Place, to: Place, signal: AbortSignal): Promise<void> {
  await attempt(`copying the indexes of ${from.database}.${from.collection}`, signal, async () => {
    const indexes = await client.db(from.database).collection(from.collection).indexes().catch((error: { code?: number }) => {
      if (error.code === noNamespace) return [];
      throw error;
    });
    const wanted = indexes.filter(({ name }) => name !== '_id_').map(({ key, v, ns, ...rest }) => ({ key: key as IndexSpecification, ...rest }));
    if (wanted.length > 0) await client.db(to.database).command({ createIndexes: to.collection, indexes: wanted }, { signal });
  });
}

const noNamespace = 26;
