import { Long, type ClientSession, type Document } from 'mongodb';
import type { OpenOptions, Shape } from '../../contract.js';
import { bsonType, bufferOf, eachField } from '../../values/bson-bytes.js';
import type { Hello, Session } from './session.js';

export interface Find {
  readonly filter: object;
  /** In the order of `_id`. */
  readonly sorted: boolean;
  /** For errors. */
  readonly what: string;
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

function driversCursor({ client }: Session, { schema, name }: Shape, { filter, sorted }: Find, batchSize: number, signal: AbortSignal): Replies {
  const found = client.db(schema).collection(name).find(filter, { raw: true, batchSize, signal });
  const cursor = sorted ? found.sort({ _id: 1 }) : found;
  return {
    next: async () => (await cursor.hasNext() ? cursor.readBufferedDocuments() as unknown as Uint8Array[] : undefined),
    close: () => void cursor.close().catch(() => {}),
  };
}

/** The commands themselves: the driver's cursor takes every document apart, which costs more than all the rest of a copy. */
function ownCursor({ client, hello }: Session, { schema, name }: Shape, { filter, sorted }: Find, batchSize: number, signal: AbortSignal): Replies {
  const db = client.db(schema), readConcern = client.readConcern && { level: client.readConcern.level };
  const session: ClientSession | undefined = hello.logicalSessionTimeoutMinutes == null ? undefined : client.startSession({ causalConsistency: false });
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

/** The cursor's id, 0 after the last reply, and the documents, by place. */
function replyOf(reply: Document): { readonly id: bigint; readonly documents: readonly Uint8Array[] } {
  const bytes = bufferOf(reply['cursor'] as Uint8Array), documents: Uint8Array[] = [];
  let id = 0n;
  eachField(bytes, 0, bytes.length, (type, nameStart, nameEnd, start, end) => {
    if (type === bsonType.long && bytes.toString('latin1', nameStart, nameEnd) === 'id') id = bytes.readBigInt64LE(start);
    if (type !== bsonType.array) return;
    eachField(bytes, start, end, (_type, _nameStart, _nameEnd, from, to) => documents.push(bytes.subarray(from, to)));
  });
  return { id, documents };
}
