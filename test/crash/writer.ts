import type { Document } from 'mongodb';
import { literal, type Dialect, type MongoEnd, type SqlEnd } from './ends.js';
import { randomFrom } from '../random.js';
import { noteOf } from './tables.js';

type Random = () => number;

/** One change of the source; it may hit nothing. */
interface Change { readonly name: string; readonly weight: number; readonly make: (pick: Pick) => readonly string[] }

/** Seeded choices, and what the writer remembers of its own doings. */
interface Pick {
  readonly id: () => number;
  readonly fresh: () => number;
  readonly upTo: (count: number) => number;
  readonly deleted: number[];
  readonly dialect: Dialect;
}

/**
 * A client that works on the source while dsync runs: it changes, moves, deletes and inserts rows, everywhere in the
 * tables, one statement after the other, until it is stopped.
 */
export interface Writer extends AsyncDisposable {
  /** How many statements have changed something, by kind. */
  readonly done: Readonly<Record<string, number>>;
  /** Resolves after so many more statements. */
  more(count: number): Promise<void>;
  /** No statement is under way when it resolves. */
  stop(): Promise<void>;
}

/** Keys move to places before and behind: to negative numbers, far ahead, to upper case (after lower case in no collation here). */
const changes: readonly Change[] = [
  { name: 'items: value', weight: 6, make: ({ id, upTo }) => [`UPDATE items SET n = n + 1, note = ${literal(noteOf(upTo(5_000)))} WHERE id = ${id()}`] },
  { name: 'items: many values', weight: 1, make: ({ upTo }) => [`UPDATE items SET n = n + 1000 WHERE n % 997 = ${upTo(997)}`] },
  { name: 'items: wider or narrower', weight: 3, make: ({ id, upTo }) => [`UPDATE items SET pad = ${literal('w'.repeat(upTo(1_500)))} WHERE id = ${id()}`] },
  { name: 'items: key to the front', weight: 3, make: ({ id }) => [`UPDATE items SET id = -id WHERE id = ${id()}`] },
  { name: 'items: key to the end', weight: 3, make: ({ id }) => [`UPDATE items SET id = id + 10000000 WHERE id = ${id()}`] },
  { name: 'items: key back', weight: 2, make: ({ id }) => { const key = id(); return [`UPDATE items SET id = ${key} WHERE id = ${-key}`]; } },
  { name: 'items: keys swapped', weight: 1, make: ({ id }) => { const [a, b] = [id(), id()]; return ['BEGIN', `UPDATE items SET id = 0 WHERE id = ${a}`, `UPDATE items SET id = ${a} WHERE id = ${b}`, `UPDATE items SET id = ${b} WHERE id = 0`, 'COMMIT']; } },
  { name: 'items: delete', weight: 4, make: ({ id, deleted }) => { const key = id(); deleted.push(key); return [`DELETE FROM items WHERE id = ${key}`]; } },
  { name: 'items: insert', weight: 3, make: ({ fresh, upTo }) => [`INSERT INTO items VALUES (${fresh()}, ${upTo(97)}, ${literal(noteOf(upTo(5_000)))}, 'new')`] },
  { name: 'items: insert again', weight: 3, make: ({ deleted, upTo }) => deleted.length === 0 ? [] : [`INSERT INTO items VALUES (${deleted.splice(upTo(deleted.length), 1)[0]}, ${upTo(97)}, 'back again', NULL)`] },
  { name: 'pairs: value', weight: 3, make: (pick) => [`UPDATE pairs SET v = v + 1 WHERE ${pairOf(pick)}`] },
  { name: 'pairs: key', weight: 3, make: (pick) => [`UPDATE pairs SET ${pick.upTo(2) ? `tenant = tenant + ${pick.upTo(3) - 1}` : 'name = upper(name)'} WHERE ${pairOf(pick)}`] },
  { name: 'pairs: delete', weight: 2, make: (pick) => [`DELETE FROM pairs WHERE ${pairOf(pick)}`] },
  { name: 'pairs: insert', weight: 2, make: ({ upTo }) => [`INSERT INTO pairs VALUES ('name ${upTo(1_100)}', ${upTo(7) - 1}, -1, NULL)`] },
  { name: 'words: value', weight: 2, make: (pick) => [`UPDATE words SET n = -n WHERE word = ${wordOf(pick)}`] },
  { name: 'words: key', weight: 3, make: (pick) => [pick.upTo(2) ? `UPDATE words SET word = upper(word) WHERE word = ${wordOf(pick)}` : `UPDATE words SET word = 'z moved ${pick.fresh()}' WHERE word = ${wordOf(pick)}`] },
  { name: 'words: delete', weight: 2, make: (pick) => [`DELETE FROM words WHERE word = ${wordOf(pick)}`] },
  { name: 'log: same again', weight: 2, make: ({ upTo }) => [`INSERT INTO log SELECT n, what FROM log WHERE n = ${upTo(500)}`] },
  { name: 'log: value', weight: 1, make: ({ upTo }) => [`UPDATE log SET what = 'later' WHERE n = ${upTo(500)}`] },
  { name: 'log: delete one of several', weight: 2, make: ({ dialect, upTo }) => [deleteOne[dialect](upTo(500))] },
  { name: 'fresh: insert', weight: 1, make: ({ fresh }) => [`INSERT INTO fresh VALUES (${fresh()}, 1)`] },
  { name: 'rolled back', weight: 1, make: ({ id }) => ['BEGIN', `DELETE FROM items WHERE id < ${id()}`, 'ROLLBACK'] },
];

const pairOf = ({ upTo }: Pick): string => `tenant = ${upTo(6)} AND name = 'name ${upTo(1_000)}'`;
const wordOf = ({ upTo }: Pick): string => { const n = upTo(6_000); return `'${String.fromCharCode(97 + (n % 26))}-word-${n}'`; };

const deleteOne: Record<Dialect, (n: number) => string> = {
  postgres: (n) => `DELETE FROM log WHERE ctid IN (SELECT ctid FROM log WHERE n = ${n} LIMIT 1)`,
  mysql: (n) => `DELETE FROM log WHERE n = ${n} LIMIT 1`,
  sqlite: (n) => `DELETE FROM log WHERE rowid IN (SELECT rowid FROM log WHERE n = ${n} LIMIT 1)`,
};

/** Starts to write at once. `rows`: how many items there are. */
export async function startWriter(end: SqlEnd | MongoEnd, rows: number, seed: number): Promise<Writer> {
  const random = randomFrom(seed);
  return 'db' in end ? writing(mongoStep(end, rows, random), async () => undefined) : sqlWriter(end, rows, random);
}

async function sqlWriter(end: SqlEnd, rows: number, random: Random): Promise<Writer> {
  const connection = await end.connect();
  const pick = { ...pickFrom(rows, random), dialect: end.dialect };
  const step = async (): Promise<string | undefined> => {
    const change = weighted(changes, random);
    const statements = change.make(pick);
    try {
      for (const sql of statements) await connection.query(sql);
      return statements.length > 0 ? change.name : undefined;
    } catch (error) {
      if (statements[0] === 'BEGIN') await connection.query('ROLLBACK').catch(() => undefined);
      if (!isTaken(error)) throw error;
      return undefined;
    }
  };
  return writing(step, () => connection.end());
}

/** The key is there already: as with any client, the statement did nothing. A lock that was waited for too long does the same. */
function isTaken(error: unknown): boolean {
  return /duplicate|UNIQUE constraint|Lock wait timeout|Deadlock|E11000/i.test(String(error));
}

function pickFrom(rows: number, random: Random) {
  const upTo = (count: number): number => Math.floor(random() * count);
  let last = rows * 2;
  return { upTo, id: () => 1 + upTo(rows), fresh: () => ++last, deleted: [] as number[] };
}

function weighted(all: readonly Change[], random: Random): Change {
  let left = random() * all.reduce((sum, { weight }) => sum + weight, 0);
  return all.find(({ weight }) => (left -= weight) < 0)!;
}

/** An `_id` moves as a delete and an insert. */
function mongoStep({ db }: MongoEnd, rows: number, random: Random): () => Promise<string | undefined> {
  const items = db.collection<Document & { _id: number }>('items'), words = db.collection<Document & { _id: string }>('words');
  const { upTo, id, fresh, deleted } = pickFrom(rows, random);
  const word = (): string => wordOf({ upTo } as Pick).slice(1, -1);
  // mongo-java-server logs an insert that it refuses, and no findAndModify.
  const insert = async (document: Document & { _id: number }): Promise<void> => {
    if (!await items.findOne({ _id: document._id })) await items.insertOne(document);
  };
  const move = async (from: number, to: number): Promise<void> => {
    const value = await items.findOne({ _id: from });
    if (value && (await items.deleteOne({ _id: from })).deletedCount > 0) await insert({ ...value, _id: to });
  };
  const steps: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['items: value', () => items.updateOne({ _id: id() }, { $inc: { n: 1 }, $set: { note: noteOf(upTo(5_000)) } })],
    ['items: value', () => items.updateOne({ _id: id() }, { $inc: { n: 1 } })],
    ['items: replaced', () => items.replaceOne({ _id: id() }, { n: upTo(97), note: 'replaced', pad: 'r'.repeat(upTo(1_500)) })],
    ['items: key to the front', () => { const key = id(); return move(key, -key); }],
    ['items: key to the end', () => { const key = id(); return move(key, key + 10_000_000); }],
    ['items: delete', () => { const key = id(); deleted.push(key); return items.deleteOne({ _id: key }); }],
    ['items: insert', () => items.insertOne({ _id: fresh(), n: 1, note: null, pad: 'new' })],
    ['items: insert again', async () => { if (deleted.length > 0) await insert({ _id: deleted.splice(upTo(deleted.length), 1)[0]!, n: -1, note: 'back again', pad: null }); }],
    ['words: value', () => words.updateOne({ _id: word() }, { $inc: { n: 1 } })],
    ['words: delete', () => words.deleteOne({ _id: word() })],
    ['words: insert', () => words.insertOne({ _id: `z new ${fresh()}`, n: 1 })],
  ];
  return async () => {
    const [name, make] = steps[upTo(steps.length)]!;
    return make().then(() => name, (error: unknown) => { if (!isTaken(error)) throw error; return undefined; });
  };
}

/** Takes steps one after the other, and lets everybody else have a turn between them. */
function writing(step: () => Promise<string | undefined>, close: () => Promise<void>): Writer {
  const done: Record<string, number> = {};
  let stopped = false, total = 0;
  let waiting: { readonly at: number; readonly resolve: () => void }[] = [];
  const work = (async () => {
    while (!stopped) {
      const name = await step();
      if (name) done[name] = (done[name] ?? 0) + 1;
      total++;
      for (const { at, resolve } of waiting) if (at <= total) resolve();
      waiting = waiting.filter(({ at }) => at > total);
      await new Promise(setImmediate);
    }
  })();
  work.catch(() => { /* whoever waits for it is told */ });
  const stop = async (): Promise<void> => { stopped = true; await work; };
  return {
    done, stop,
    more: (count) => Promise.race([work, new Promise<void>((resolve) => waiting.push({ at: total + count, resolve }))]),
    [Symbol.asyncDispose]: async () => { await stop().finally(close); },
  };
}
