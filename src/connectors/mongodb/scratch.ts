import type { OpenOptions, Scratch, ScratchRefusal } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { documentOfJson } from '../../values/extended-json-bytes.js';
import { isLongGone, likeScratch } from '../../values/scratch-name.js';
import { absentTypes, nextValue, trialTables, type TrialForm, type TrialTable } from '../../values/trials.js';
import { natives } from './natives.js';
import { connect, type Session } from './session.js';
import { writerFor } from './write.js';

const forms: readonly TrialForm[] = [{ suffix: '', note: '' }, { suffix: '_key', note: ' as _id', inKey: true }];
/** What no `_id` may be. */
const noIds = new Set(['array', 'regex', 'undefined']);

/** Of values that an index takes for equal, numbers of one size, an `_id` can have one only. */
function keyTable(table: TrialTable): TrialTable {
  const sizes = table.values.map((value) => String(Number(/^\{"\$number\w+":"([^"]*)"\}$/.exec(value)?.[1] ?? NaN)));
  const values = table.values.filter((value, i) => !value.startsWith('{"$ref"') && (sizes[i] === 'NaN' || sizes.indexOf(sizes[i]) === i));
  return { ...table, values, rows: values.length };
}

/** A database on the URL's server. Needs readWrite and dropDatabase on it. */
export async function openScratch(url: string, name: string, options: OpenOptions & { readonly empty: boolean }): Promise<Scratch> {
  const session = await connect(url, options, 'connection-lost');
  const tables = options.empty ? [] : trialTables(natives, name, forms).filter(({ form, type }) => !form.inKey || !noIds.has(type)).map((table) => (table.form.inKey ? keyTable(table) : table));
  const left = await leftHere(session, name, options.signal);
  const scratch: Scratch = {
    name, schema: name, url: within(url, name, session.database), include: [`${name}.*`], tables, absent: absentTypes(natives, tables), left,
    async sweep(signal) {
      for (const one of left) await session.attempt(`dropping ${one}`, signal, () => session.client.db(one).dropDatabase());
    },
    fill: (signal) => writeAll(session, name, tables, documentsOf, signal),
    async touch(signal) {
      for (const { name: collection } of tables) await session.attempt(`writing to ${name}.${collection}`, signal, () => session.client.db(name).collection(collection).updateMany({}, { $set: { n: 1 } }));
    },
    change: (signal) => writeAll(session, name, tables.filter(({ form }) => !form.inKey), changedOf, signal),
    async clear(signal) {
      for (const { name: collection } of tables) await session.attempt(`deleting from ${name}.${collection}`, signal, () => session.client.db(name).collection(collection).deleteMany({}));
    },
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

/** The server has no locks: what is a day old is taken for left. Who may not list databases sees none. */
async function leftHere(session: Session, name: string, signal: AbortSignal): Promise<readonly string[]> {
  const like = new RegExp(likeScratch(name));
  try {
    const { databases } = await session.attempt('listing databases', signal, () => session.client.db('admin').admin().listDatabases({ nameOnly: true }));
    return databases.map((database) => database.name).filter((one) => like.test(one) && isLongGone(one));
  } catch (error) {
    if (error instanceof DsyncError && error.code === 'denied') return [];
    throw error;
  }
}

/** The same servers and user, with another database: who the user is, the one that the URL names still knows. */
function within(url: string, name: string, database: string | undefined): string {
  const [, servers, search = ''] = /^([^:]+:\/\/[^/?]*)(?:\/[^?]*)?(?:\?(.*))?$/s.exec(url)!;
  const known = database === undefined || /(^|&)authSource=/i.test(search) || !servers.includes('@') ? search : `${search}${search && '&'}authSource=${encodeURIComponent(database)}`;
  return `${servers}/${name}${known && `?${known}`}`;
}

type Documents = (table: TrialTable) => readonly { readonly value: string; readonly document: Uint8Array }[];

/** One by one where the server does not take all: some close the connection at a type that they don't know. */
async function writeAll(session: Session, name: string, tables: readonly TrialTable[], documentsFor: Documents, signal: AbortSignal): Promise<readonly ScratchRefusal[]> {
  const writer = writerFor(session, false), refused: ScratchRefusal[] = [];
  for (const table of tables) {
    const { namespace, name: collection } = table, documents = documentsFor(table);
    const refusalOf = async (some: typeof documents) => writer.upsert({ database: name, collection, run: name }, some.map(({ document }) => document), signal).then((found) => found[0]?.reason, (error: unknown) => {
      if (signal.aborted || !(error instanceof DsyncError)) throw error;
      return error.message;
    });
    if (await refusalOf(documents) === undefined) continue;
    for (const one of documents) {
      const reason = await refusalOf([one]);
      if (reason !== undefined) refused.push({ namespace, value: one.value, reason });
    }
  }
  return refused;
}

const documentsOf: Documents = ({ values, rows, form }) => Array.from({ length: rows }, (_, i) => values[i] ?? 'null').map((value, i) => ({ value, document: form.inKey ? documentOf(['_id', value], ['v', '1']) : documentOf(['_id', numbered(i)], ['v', value]) }));

/** As they are after a change of `n`. */
const changedOf: Documents = (table) => Array.from({ length: table.rows }, (_, i) => nextValue(table, i) ?? 'null').map((value, i) => ({ value, document: documentOf(['_id', numbered(i)], ['v', value], ['n', numbered(0)]) }));

const numbered = (place: number): string => `{"$numberInt":"${place + 1}"}`;

/** Of values in canonical Extended JSON. */
function documentOf(...fields: readonly (readonly [string, string])[]): Uint8Array {
  return documentOfJson(`{${fields.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`);
}
