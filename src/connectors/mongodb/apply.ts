import type { Collection, Document } from 'mongodb';
import type { LaneWork, LogRow, Mapping, Rejected, Row, Value } from '../../contract.js';
import { fold, told, type Move, type Step, type Updates } from '../../destination/fold.js';
import { DsyncError } from '../../errors.js';
import { bsonType, bufferOf } from '../../values/bson-bytes.js';
import { decodeRows, encodeEachRow, encodeKey, toExtendedJson } from '../../values/bson.js';
import { BsonWriter } from '../../values/bson-writer.js';
import type { BatchWriter } from './batches.js';
import { parseExtendedJson } from './json.js';
import { findSequence } from './sequence.js';
import { codeOf, type Session } from './session.js';
import { commentOf, durable, messages, type Place } from './write.js';

/** How changes get into a collection. */
interface Way { readonly session: Session; readonly batches: BatchWriter; readonly place: Place; readonly mapping: Mapping; readonly signal: AbortSignal }

/**
 * The changes of tables with a key, which may be applied again; the caller keeps the place after them. Fails with `refused`
 * for a table without one, before anything is changed: nothing here is done together with the place.
 */
export async function apply(session: Session, batches: BatchWriter, run: string, { tables }: LaneWork, signal: AbortSignal): Promise<readonly Rejected[]> {
  for (const { mapping: { source, target } } of tables) if (target.key.length === 0) throw keyless(source.namespace);
  const rejected: Rejected[] = [];
  for (const { mapping, changes } of tables) {
    const way: Way = { session, batches, mapping, signal, place: { run, database: mapping.target.schema!, collection: mapping.target.name } };
    for (const step of fold(changes, mapping.target.key)) rejected.push(...await applyStep(way, step));
  }
  return rejected;
}

function keyless(namespace: string): DsyncError {
  return new DsyncError('refused', `${namespace} has no key: without transactions its changes could be applied to MongoDB twice`, { namespace, remedy: `leave it out: --exclude '${namespace}'; or give it a key` });
}

async function applyStep(way: Way, { truncate, deletes, upserts, updates, move }: Step): Promise<readonly Rejected[]> {
  const { batches, place, mapping, signal } = way, rejected: Rejected[] = [];
  if (truncate) await attempt(way, 'emptying', (collection) => collection.deleteMany({}, { writeConcern: durable }));
  // A value that is unique in another index is let go before it is taken.
  if (deletes.length > 0) await batches.mend(place, mapping, { upserts: [], deletes }, signal);
  if (upserts.length > 0) rejected.push(...await upsert(way, upserts));
  for (const some of updates) rejected.push(...await update(way, some));
  if (move) rejected.push(...await moveRow(way, move));
  return rejected;
}

/** What was refused is tried once more after the others: another row may have been in its way. */
async function upsert({ batches, place, mapping, signal }: Way, upserts: readonly Row[]): Promise<readonly Rejected[]> {
  const refused = await batches.mend(place, mapping, { upserts, deletes: [] }, signal);
  return refused.length === 0 ? [] : batches.mend(place, mapping, { upserts: refused.map(({ row }) => row), deletes: [] }, signal);
}

const names = { q: Buffer.from('q\0'), u: Buffer.from('u\0'), set: Buffer.from('$set\0') };
const sequence = findSequence();

/** Sets these fields of the documents that are there. */
async function update(way: Way, { columns, rows }: Updates): Promise<readonly Rejected[]> {
  const { session, place, mapping, signal } = way, { source, target } = mapping;
  const some: Mapping = { ...mapping, source: { ...source, columns: columns.map((i) => source.columns[i]!) }, target: { ...target, columns: columns.map((i) => target.columns[i]!), key: [] } };
  const { documents, bad } = encodeEachRow(some)(rows.map((row) => columns.map((i) => row[i] as Value)));
  const idOf = encodeKey(mapping), present = [...rows.keys()].filter((i) => documents[i]);
  const statements = present.map((i) => setStatement(idOf(target.key.map((at) => rows[i]![at] as Value)), documents[i]!));
  const refused: (readonly [index: number, reason: string])[] = bad.map(({ index, reason }) => [index, reason]);
  for (const { start, end } of messages(statements, session.hello)) {
    const command = { update: place.collection, updates: sequence('updates', statements.slice(start, end)), ordered: false, writeConcern: durable, ...commentOf(session, place.run) };
    const reply = await session.attempt(`writing to ${target.namespace}`, signal, () => session.client.db(place.database).command(command, { signal }));
    refused.push(...refusalsOf(reply, target.namespace).map(([index, reason]) => [present[start + index]!, reason] as const));
  }
  return refused.map(([index, reason]) => ({ namespace: source.namespace, ...told(rows[index]!), reason }));
}

/** A statement of an update command: `{q: {_id: …}, u: {$set: …}}`. */
function setStatement(id: Uint8Array, fields: Uint8Array): Buffer {
  const writer = new BsonWriter(id.length + fields.length + 64), open = writer.open();
  writer.field(bsonType.document, names.q);
  writer.raw(id);
  writer.field(bsonType.document, names.u);
  const inner = writer.open();
  writer.field(bsonType.document, names.set);
  writer.raw(fields);
  writer.close(inner);
  writer.close(open);
  return writer.bytes();
}

/** What the server refused for the document's own sake; fails for any other reason. */
function refusalsOf(reply: Document, namespace: string): (readonly [index: number, reason: string])[] {
  const errors = (reply['writeErrors'] ?? []) as readonly { readonly index: number; readonly code: number; readonly errmsg: string }[];
  const weak = reply['writeConcernError'] as { readonly code: number; readonly errmsg: string } | undefined;
  const serious = errors.find(({ code }) => codeOf(code, 'connection-lost') !== 'internal') ?? weak;
  if (serious) throw new DsyncError(codeOf(serious.code, 'connection-lost'), `writing to ${namespace}: ${serious.errmsg}`);
  return errors.map(({ index, errmsg }) => [index, errmsg]);
}

/** An `_id` can't change: the document is read, and written under the other one. */
async function moveRow(way: Way, { from, row }: Move): Promise<readonly Rejected[]> {
  const { batches, place, mapping, signal } = way;
  const id = parseExtendedJson(toExtendedJson(encodeKey(mapping)(from))) as Document;
  const found = await attempt(way, 'looking into', (collection) => collection.findOne(id, { raw: true, signal })) as unknown as Uint8Array | null;
  if (!found) return [];
  const [old] = decodeRows(mapping.target)([bufferOf(found)]) as [LogRow];
  const refused = await upsert(way, [row.map((cell, i) => (cell === undefined ? old[i] : cell) as Value)]);
  if (refused.length === 0) await batches.mend(place, mapping, { upserts: [], deletes: [from] }, signal);
  return refused;
}

function attempt<T>({ session, place: { database, collection }, signal }: Way, what: string, action: (collection: Collection) => Promise<T>): Promise<T> {
  return session.attempt(`${what} ${database}.${collection}`, signal, () => action(session.client.db(database).collection(collection)));
}
