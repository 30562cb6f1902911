import type { Collection } from 'mongodb';
import type { Batch, Destination, Mapping, Rejected, Row, Shape, Target, WriteOptions } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { decodeRows, encodeEachRow, encodeKey, type Encoded } from '../../values/bson.js';
import { checkDestination } from './check.js';
import { documentOfId } from './frames.js';
import { identityOf } from './identity.js';
import { progressIn } from './progress.js';
import type { Session } from './session.js';
import { createCollection, dropCollection, hasCollection, stagingOf, swapIn } from './staging.js';
import { collectionFor } from './target.js';
import { holdsDocuments } from './types.js';
import { durable, keepsEmptyTimestamps, withPlacedIds, writerFor, type Place, type Refusal } from './write.js';

/** Where the progress is kept if the URL names no database. */
const ownDatabase = '_dsync';

export function mongodbDestination(session: Session): Destination {
  const home = session.database ?? ownDatabase;
  let writer = writerFor(session, false);
  const progress = progressIn(session, home);
  const encoders = new WeakMap<Mapping, (rows: readonly Row[]) => Encoded>();

  const placeOf = (run: string, { target, staged }: Mapping): Place => ({ run, database: target.schema!, collection: staged ? stagingOf(run, target) : target.name });
  const targetOf = ({ schema, name }: Shape): Collection => session.client.db(schema).collection(name);

  function encode(rows: Batch['rows'], mapping: Mapping): Encoded {
    if (rows.format === 'bson') return { documents: rows.documents, bad: [] };
    if (rows.format !== 'values') throw new DsyncError('internal', `MongoDB takes no ${rows.format}`);
    const encoder = encoders.get(mapping) ?? encodeEachRow(mapping);
    encoders.set(mapping, encoder);
    return encoder(rows.rows);
  }

  /** Sends what there is, and gives refusals the places of all. */
  async function send(documents: readonly (Uint8Array | undefined)[], sender: (documents: readonly Uint8Array[]) => Promise<readonly Refusal[]>): Promise<readonly Refusal[]> {
    const present = documents.flatMap((document, index) => (document ? [index] : []));
    const refusals = await sender(present.map((index) => documents[index]!));
    return refusals.map((refusal) => ({ ...refusal, index: present[refusal.index]! }));
  }

  /** A duplicate is no refusal if it is this very document, sent by an earlier try. */
  async function insert(place: Place, documents: readonly Uint8Array[], again: boolean, signal: AbortSignal): Promise<readonly Refusal[]> {
    const refusals = await writer.insert(place, documents, signal);
    const duplicates = again ? refusals.filter(({ duplicate }) => duplicate) : [];
    if (duplicates.length === 0) return refusals;
    const standing = await writer.standing(place, duplicates.map(({ index }) => documents[index]!), signal);
    const ours = new Set(duplicates.filter((_, i) => standing[i]).map(({ index }) => index));
    return refusals.filter(({ index }) => !ours.has(index));
  }

  async function write(run: string, batch: Batch, mapping: Mapping, { overwrite, redo }: WriteOptions, signal: AbortSignal) {
    await progress.check(run, signal);
    const place = placeOf(run, mapping), encoded = encode(batch.rows, mapping);
    const documents = mapping.target.key.length > 0 ? encoded.documents : withPlacedIds(encoded.documents, run, batch.task, batch.sequence);
    const refusals = await send(documents, (present) => (overwrite && !mapping.staged ? writer.upsert(place, present, signal) : insert(place, present, redo, signal)));
    await progress.written(run, batch, signal);
    const rejected = [...encoded.bad, ...refusals].map(({ index, reason }) => ({ namespace: batch.namespace, row: rowAt(batch, index, mapping), reason }));
    return { written: batch.count - rejected.length, rejected };
  }

  return {
    engine: 'mongodb',
    version: `MongoDB ${session.version}`,
    ...(session.database !== undefined && { defaultSchema: session.database }),
    identity: (signal) => identityOf(session, signal),
    check: (mappings, signal) => checkDestination(session, mappings, signal),
    adapt: (source, target, signal) => collectionFor(session, source, target, signal),
    holdsRows: (target, signal) => session.attempt(`looking into ${target.namespace}`, signal, async () => (await targetOf(target).findOne({}, { projection: { _id: 1 }, signal })) !== null),
    formats: (mapping) => (holdsDocuments(mapping.source) ? ['bson', 'values'] : ['values']),
    async begin(run, signal) {
      await progress.begin(run, signal);
      writer = writerFor(session, await keepsEmptyTimestamps(session, home, signal));
    },
    progress: (run, signal) => progress.rows(run, signal),
    async prepare(run, mapping, { empty, tasks }, signal) {
      const { target, staged, existed } = mapping, place = placeOf(run, mapping);
      if (empty) {
        await progress.forgetTasks(run, tasks, signal);
        await progress.setSwapped(run, target.namespace, false, signal);
        if (staged || !existed) await dropCollection(session, place, signal);
        else await session.attempt(`emptying ${target.namespace}`, signal, () => targetOf(target).deleteMany({}, { writeConcern: durable }));
      } else if (staged && await progress.swapped(run, target.namespace, signal)) return;
      if (!await hasCollection(session, place, signal)) await createCollection(session, place, signal);
    },
    write,
    async taskDone(run, barrier, signal) {
      await progress.check(run, signal);
      await progress.taskDone(run, barrier, signal);
    },
    async finish(run, mapping, { keepRows }, signal) {
      if (!mapping.staged || !await hasCollection(session, placeOf(run, mapping), signal)) return [];
      await progress.setSwapped(run, mapping.target.namespace, true, signal);
      await swapIn(session, writer, placeOf(run, mapping), mapping.target, keepRows, signal);
      return [];
    },
    async mend(run, mapping, { upserts, deletes }, signal) {
      await progress.check(run, signal);
      const place: Place = { run, database: mapping.target.schema!, collection: mapping.target.name };
      const encoded = encode({ format: 'values', rows: upserts }, mapping);
      const refusals = await send(encoded.documents, (present) => writer.upsert(place, present, signal));
      await writer.remove(place, deletes.map(idDocument(mapping)), signal);
      return { rejected: [...encoded.bad, ...refusals].map(({ index, reason }): Rejected => ({ namespace: mapping.source.namespace, row: upserts[index]!, reason })) };
    },
    async forget(run, mappings, signal) {
      for (const mapping of mappings.filter(({ staged }) => staged)) await dropCollection(session, placeOf(run, mapping), signal);
      await progress.forget(run, signal);
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

function rowAt({ rows }: Batch, index: number, mapping: Mapping): Row {
  if (rows.format === 'values') return rows.rows[index]!;
  if (rows.format === 'bson') return decodeRows(mapping.source)([rows.documents[index]!])[0]!;
  throw new DsyncError('internal', `MongoDB takes no ${rows.format}`);
}

/** `{_id: …}` of a row's key cells. */
function idDocument(mapping: Mapping): (key: Row) => Buffer {
  return holdsDocuments(mapping.target) ? ([id]) => documentOfId(String(id)) : encodeKey(mapping);
}
