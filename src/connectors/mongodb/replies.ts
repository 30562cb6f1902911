import { Long, Timestamp, type ClientSession, type Document } from 'mongodb';
import type { OpenOptions, Shape } from '../../contract.js';
import { bsonType, bufferOf, eachField, textAt } from '../../values/bson-bytes.js';
import type { Time } from './places.js';
import { hasSessions, type Hello, type Session } from './session.js';

export interface Find {
  readonly filter: object;
  /** In the order of `_id`. */
  readonly sorted: boolean;
  /** For errors. */
  readonly what: string;
  /** The state of this moment at least, as a majority of the replica set has it. */
  readonly from?: Time;
}

/** Rows of a reply where the size of documents is not known. */
const usualRows = 1000;

/**
 * The documents of a find as the server's replies bring them, never decoded: slices of the replies. A reply holds about
 * a batch. The next one is on its way while one is worked on.
 */
export async function* replies(session: Session, shape: Shape, find: Find, options: OpenOptions, signal: AbortSignal): AsyncGenerator<readonly Uint8Array[]> {
  const batchSize = rowsOfReply(shape, options);
  const cursor = staysWithPrimary(session) ? ownCursor(session, shape, find, batchSize, signal) : driversCursor(session, shape, find, batchSize, signal);
  const more = () => session.attempt(find.what, signal, () => cursor.next());
  try {
    let waiting = more();
    for (;;) {
      const documents = await waiting;
      if (!documents) return;
      waiting = more();
      waiting.catch(() => {});
      if (documents.length > 0) yield documents;
    }
  } finally {
    cursor.close();
  }
}

function rowsOfReply({ estimatedBytes, estimatedRows }: Shape, { batchBytes, batchRows = Infinity }: OpenOptions): number {
  const fitting = estimatedBytes && estimatedRows ? Math.ceil(batchBytes / (estimatedBytes / estimatedRows)) : usualRows;
  return Math.max(1, Math.min(fitting, batchRows));
}

/** Replies one by one; undefined after the last. `close` neither fails nor waits: the server may be gone. */
interface Replies {
  next(): Promise<readonly Uint8Array[] | undefined>;
  close(): void;
}

/** Whatever else the URL asks for, only the driver knows which server has a cursor. */
function staysWithPrimary({ client }: Session): boolean {
  return client.readPreference.mode === 'primary' && !client.options.loadBalanced;
}

function driversCursor({ client, hello }: Session, { schema, name }: Shape, { filter, sorted, from }: Find, batchSize: number, signal: AbortSignal): Replies {
  const session = from && hasSessions(hello) ? client.startSession({ causalConsistency: true }) : undefined;
  session?.advanceOperationTime(new Timestamp(from!));
  const found = client.db(schema).collection(name).find(filter, { raw: true, batchSize, signal, ...(session && { session, readConcern: { level: 'majority' as const } }) });
  const cursor = sorted ? found.sort({ _id: 1 }) : found;
  return {
    next: async () => (await cursor.hasNext() ? cursor.readBufferedDocuments() as unknown as Uint8Array[] : undefined),
    close: () => void cursor.close().then(() => session?.endSession()).catch(() => {}),
  };
}

/** The commands themselves: the driver's cursor takes every document apart, which costs more than all the rest of a copy. */
function ownCursor({ client, hello }: Session, { schema, name }: Shape, { filter, sorted, from }: Find, batchSize: number, signal: AbortSignal): Replies {
  const db = client.db(schema), readConcern = from && hasSessions(hello) ? { level: 'majority', afterClusterTime: new Timestamp(from) } : client.readConcern && { level: client.readConcern.level };
  const session: ClientSession | undefined = !hasSessions(hello) ? undefined : client.startSession({ causalConsistency: false });
  const ask = async (command: Document) => replyOf(await db.command(command, { raw: true, signal, ...(session && { session }) }));
  let id: bigint | undefined;
  return {
    async next() {
      if (id === 0n) return undefined;
      const reply = await ask(id === undefined
        ? { find: name, filter, batchSize, ...(sorted && sortById(hello)), ...(readConcern && { readConcern }) }
        : { getMore: Long.fromBigInt(id), collection: name, batchSize });
      id = reply.id;
      return reply.documents;
    },
    close() {
      const killed = id ? db.command({ killCursors: name, cursors: [Long.fromBigInt(id)] }, session && { session }) : Promise.resolve();
      void killed.then(() => session?.endSession(), () => session?.endSession()).catch(() => {});
    },
  };
}

/** The index of `_id` gives the order, unless a filter of the user's makes the server prefer another index and sort. */
function sortById({ maxWireVersion }: Hello): Document {
  return { sort: { _id: 1 }, ...(maxWireVersion >= 9 && { allowDiskUse: true }) };
}

/** The cursor's id, 0 after the last reply, what it is over, and the documents, by place; of a change stream how far the server has read. */
export function replyOf(reply: Document): { readonly id: bigint; readonly documents: readonly Buffer[]; readonly name: string; readonly token?: Buffer } {
  const bytes = bufferOf(reply['cursor'] as Uint8Array), documents: Buffer[] = [];
  let id = 0n, name = '', token: Buffer | undefined;
  eachField(bytes, 0, bytes.length, (type, nameStart, nameEnd, start, end) => {
    const field = bytes.toString('latin1', nameStart, nameEnd);
    if (field === 'id' && type === bsonType.long) id = bytes.readBigInt64LE(start);
    if (field === 'ns' && type === bsonType.string) name = textAt(bytes, start + 4, end - 1);
    if (field === 'postBatchResumeToken' && type === bsonType.document) token = bytes.subarray(start, end);
    if (type !== bsonType.array) return;
    eachField(bytes, start, end, (_type, _nameStart, _nameEnd, from, to) => documents.push(bytes.subarray(from, to)));
  });
  return { id, documents, name, ...(token && { token }) };
}
