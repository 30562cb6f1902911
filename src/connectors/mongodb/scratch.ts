import { BSON } from 'mongodb';
import type { OpenOptions, Scratch } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { bsonType } from '../../values/bson-bytes.js';
import { absentTypes, trialTables, type TrialTable } from '../../values/trials.js';
import { Fields, parseExtendedJson } from './json.js';
import { natives } from './natives.js';
import { connect, type Session } from './session.js';
import { writerFor } from './write.js';

/** A database on the URL's server. Needs readWrite and dropDatabase on it. */
export async function openScratch(url: string, name: string, options: OpenOptions & { readonly empty: boolean }): Promise<Scratch> {
  const session = await connect(url, options, 'connection-lost');
  const tables = options.empty ? [] : trialTables(natives, name);
  const scratch: Scratch = {
    name, schema: name, url: within(url, name, session.database), include: [`${name}.*`], tables, absent: absentTypes(natives, tables),
    fill: (signal) => fill(session, name, tables, signal),
    async [Symbol.asyncDispose]() {
      const { signal } = new AbortController();
      await session.attempt(`dropping ${name}`, signal, () => session.client.db(name).dropDatabase()).finally(() => session[Symbol.asyncDispose]());
    },
  };
  try {
    // Only what is there can be followed.
    for (const { name: collection } of tables) await session.attempt(`making ${name}.${collection}`, options.signal, () => session.client.db(name).createCollection(collection));
    return scratch;
  } catch (error) {
    await scratch[Symbol.asyncDispose]();
    throw error;
  }
}

/** The same servers and user, with another database: who the user is, the one that the URL names still knows. */
function within(url: string, name: string, database: string | undefined): string {
  const [, servers, search = ''] = /^([^:]+:\/\/[^/?]*)(?:\/[^?]*)?(?:\?(.*))?$/s.exec(url)!;
  const known = database === undefined || /(^|&)authSource=/i.test(search) || !servers.includes('@') ? search : `${search}${search && '&'}authSource=${encodeURIComponent(database)}`;
  return `${servers}/${name}${known && `?${known}`}`;
}

/** One by one where the server does not take all: some close the connection at a type that they don't know. */
async function fill(session: Session, name: string, tables: readonly TrialTable[], signal: AbortSignal): ReturnType<Scratch['fill']> {
  const writer = writerFor(session, false), refused: { namespace: string; value: string; reason: string }[] = [];
  for (const { namespace, name: collection, values } of tables) {
    const documents = [...values, 'null'].map((value, i) => documentOf(i + 1, value));
    const refusalOf = async (some: readonly Uint8Array[]) => writer.upsert({ database: name, collection, run: name }, some, signal).then((found) => found[0]?.reason, (error: unknown) => {
      if (signal.aborted || !(error instanceof DsyncError)) throw error;
      return error.message;
    });
    if (await refusalOf(documents) === undefined) continue;
    for (const [i, document] of documents.entries()) {
      const reason = await refusalOf([document]);
      if (reason !== undefined) refused.push({ namespace, value: values[i], reason });
    }
  }
  return refused;
}

function documentOf(id: number, value: string): Uint8Array {
  const [, milliseconds] = /^\{"\$date":(\{"\$numberLong":"-?\d+"\})\}$/.exec(value) ?? [];
  const bytes = BSON.serialize(new Fields([['_id', id], ['v', parseExtendedJson(milliseconds ?? value)]]));
  // JavaScript has not all dates of BSON: a date is a long with another type, which stands behind the length and `_id`.
  if (milliseconds !== undefined) bytes[13] = bsonType.date;
  return bytes;
}
