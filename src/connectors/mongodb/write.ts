import { createHash } from 'node:crypto';
import { MongoServerError, type Document } from 'mongodb';
import { DsyncError } from '../../errors.js';
import { bufferOf } from '../../values/bson-bytes.js';
import { deleteStatement, exactIdText, topLevelTraps, upsertStatement, withObjectId } from './frames.js';
import { Fields, parseExtendedJson } from './json.js';
import { findSequence } from './sequence.js';
import { codeOf, type Session } from './session.js';

/** A collection, and the run that works on it: its commands carry the run's name. */
export interface Place { readonly database: string; readonly collection: string; readonly run: string }

/** Why a document was not written, by its place. */
export interface Refusal { readonly index: number; readonly reason: string; readonly duplicate: boolean }

/** Writes documents as bytes. Each resolves once what it wrote survives a crash, and tells what the server refused. */
export interface Writer {
  insert(place: Place, documents: readonly Uint8Array[], signal: AbortSignal): Promise<readonly Refusal[]>;
  /** In place of the documents with the same `_id`s. */
  upsert(place: Place, documents: readonly Uint8Array[], signal: AbortSignal): Promise<readonly Refusal[]>;
  /** Deletes what has the `_id`s of these. */
  remove(place: Place, documents: readonly Uint8Array[], signal: AbortSignal): Promise<void>;
  /** Which of these stand there already, byte for byte? */
  standing(place: Place, documents: readonly Uint8Array[], signal: AbortSignal): Promise<readonly boolean[]>;
}

/** Durable on most members of a replica set, or in the journal of a single server. */
export const durable = { w: 'majority', j: true } as const;

/** Room for what a command says besides its documents. */
const commandBytes = 16 * 1024;
const duplicateKey = 11000;

/** `keepsEmptyTimestamps`: the server knows the flag that leaves Timestamp(0, 0) alone. */
export function writerFor(session: Session, keepsEmptyTimestamps: boolean): Writer {
  const sequence = findSequence();
  const flags = keepsEmptyTimestamps ? { bypassEmptyTsReplacement: true } : {};

  async function send(place: Place, verb: Verb, statements: readonly Uint8Array[], signal: AbortSignal): Promise<Refusal[]> {
    const refusals: Refusal[] = [];
    for (const { start, end } of messages(statements, session.hello)) {
      const command = { [verb.name]: place.collection, [verb.field]: sequence(verb.field, statements.slice(start, end)), ordered: false, writeConcern: durable, ...verb.flags, ...commentOf(session, place.run) };
      const reply = await session.attempt(`${verb.what} ${place.database}.${place.collection}`, signal, () => session.client.db(place.database).command(command, { signal }));
      refusals.push(...refusalsOf(reply, start, place));
    }
    return refusals;
  }
  const inserts: Verb = { name: 'insert', field: 'documents', what: 'inserting into', flags };
  const updates: Verb = { name: 'update', field: 'updates', what: 'writing to', flags };
  const deletes: Verb = { name: 'delete', field: 'deletes', what: 'deleting from', flags: {} };

  /** Sends those that `sendable` finds no fault with; refusals keep the places of all. */
  async function sendSome(documents: readonly Uint8Array[], all: (documents: readonly Uint8Array[]) => Promise<readonly Refusal[]>): Promise<readonly Refusal[]> {
    const faults = documents.map((document) => faultOf(document, session.hello.maxBsonObjectSize, keepsEmptyTimestamps));
    if (!faults.some(Boolean)) return all(documents);
    const good = documents.flatMap((_, index) => (faults[index] ? [] : [index]));
    const refusals = await all(good.map((index) => documents[index]!));
    return [
      ...refusals.map((refusal) => ({ ...refusal, index: good[refusal.index]! })),
      ...faults.flatMap((reason, index) => (reason ? [{ index, reason, duplicate: false }] : [])),
    ];
  }

  /** The server takes names with `$` at the top for operators of an update, so such a document is deleted and inserted. */
  async function replace(place: Place, documents: readonly Uint8Array[], signal: AbortSignal): Promise<readonly Refusal[]> {
    const awkward = documents.flatMap((document, index) => (bufferOf(document).includes('$') && topLevelTraps(document).operators ? [index] : []));
    if (awkward.length === 0) return send(place, updates, documents.map(upsertStatement), signal);
    const plain = [...documents.keys()].filter((index) => !awkward.includes(index));
    const some = (indexes: readonly number[]) => indexes.map((index) => documents[index]!);
    const replaced = await send(place, updates, some(plain).map(upsertStatement), signal);
    await send(place, deletes, some(awkward).map(deleteStatement), signal);
    const inserted = await send(place, inserts, some(awkward), signal);
    return [...replaced.map((refusal) => ({ ...refusal, index: plain[refusal.index]! })), ...inserted.map((refusal) => ({ ...refusal, index: awkward[refusal.index]! }))];
  }

  return {
    insert: (place, documents, signal) => sendSome(documents, (good) => send(place, inserts, good, signal)),
    upsert: (place, documents, signal) => sendSome(documents, (good) => replace(place, good, signal)),
    async remove(place, documents, signal) {
      const [refusal] = await send(place, deletes, documents.map(deleteStatement), signal);
      if (refusal) throw new DsyncError('data', `deleting from ${place.database}.${place.collection}: ${refusal.reason}`);
    },
    async standing({ database, collection }, documents, signal) {
      const ids = documents.map(exactIdText);
      const filter = new Fields([['_id', new Fields([['$in', ids.filter((id) => id !== undefined).map(parseExtendedJson)]])]]);
      const found = await session.attempt(`looking into ${database}.${collection}`, signal, () =>
        session.client.db(database).collection(collection).find(filter, { raw: true, signal }).toArray()) as unknown as Uint8Array[];
      const known = new Set(found.map((document) => bufferOf(document).toString('latin1')));
      return documents.map((document) => known.has(bufferOf(document).toString('latin1')));
    },
  };
}

/** MongoDB 4.4 and later show it among the operations under way. */
export function commentOf({ hello }: Session, run: string): { readonly comment?: string } {
  return hello.maxWireVersion >= 9 ? { comment: `dsync ${run}` } : {};
}

interface Verb { readonly name: 'insert' | 'update' | 'delete'; readonly field: string; readonly what: string; readonly flags: object }

/** Runs of statements that one message of the server's can carry. */
export function* messages(statements: readonly Uint8Array[], limits: { readonly maxMessageSizeBytes: number; readonly maxWriteBatchSize: number }): Generator<{ readonly start: number; readonly end: number }> {
  let start = 0, bytes = commandBytes;
  for (let i = 0; i < statements.length; i++) {
    const size = statements[i]!.length;
    if (i > start && (i - start >= limits.maxWriteBatchSize || bytes + size > limits.maxMessageSizeBytes)) {
      yield { start, end: i };
      start = i;
      bytes = commandBytes;
    }
    bytes += size;
  }
  if (start < statements.length) yield { start, end: statements.length };
}

const eightZeros = Buffer.alloc(8);

function faultOf(document: Uint8Array, largest: number, keepsEmptyTimestamps: boolean): string | undefined {
  if (document.length > largest) return `the document has ${document.length} bytes; the server takes ${largest}`;
  if (keepsEmptyTimestamps || !bufferOf(document).includes(eightZeros) || !topLevelTraps(document).empty) return undefined;
  return 'the server would put the present time in place of the empty timestamp';
}

/** What the server refused for the document's own sake; fails for any other reason, when nothing can be said of the rest. */
function refusalsOf(reply: Document, start: number, { database, collection }: Place): Refusal[] {
  const errors = (reply['writeErrors'] ?? []) as readonly { readonly index: number; readonly code: number; readonly errmsg: string }[];
  const fail = (code: number, message: string) => new DsyncError(codeOf(code, 'connection-lost'), `writing to ${database}.${collection}: ${message}`);
  const serious = errors.find(({ code }) => codeOf(code, 'connection-lost') !== 'internal');
  if (serious) throw fail(serious.code, serious.errmsg);
  const weak = reply['writeConcernError'] as { readonly code: number; readonly errmsg: string } | undefined;
  if (weak) throw fail(weak.code, weak.errmsg);
  return errors.map(({ index, code, errmsg }) => ({ index: start + index, reason: errmsg, duplicate: code === duplicateKey }));
}

/** Documents without an `_id` get one that depends on their place in the run only: written again they are the same. */
export function withPlacedIds(documents: readonly (Uint8Array | undefined)[], run: string, task: string, sequence: number): (Uint8Array | undefined)[] {
  const id = createHash('sha256').update(JSON.stringify([run, task, sequence])).digest().subarray(0, 12);
  return documents.map((document, index) => {
    id.writeUInt32BE(index, 8);
    return document && withObjectId(document, id);
  });
}

/**
 * Does the server know the flag that keeps it from replacing empty timestamps? An insert of nothing changes nothing; a
 * server that fails it alike with and without the flag knows the flag.
 */
export async function keepsEmptyTimestamps(session: Session, database: string, signal: AbortSignal): Promise<boolean> {
  const answer = (flags: object) => session.attempt('probing', signal, () =>
    session.client.db(database).command({ insert: '_dsync_progress', documents: [], ...flags }, { signal }).then(() => undefined, codeOfRefusal));
  const plain = await answer({});
  return plain !== unauthorized && plain === await answer({ bypassEmptyTsReplacement: true });
}

const unauthorized = 13;

function codeOfRefusal(error: unknown): unknown {
  if (error instanceof MongoServerError) return error.code;
  throw error;
}
