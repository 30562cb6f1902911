import { BSON } from 'mongodb';
import { expect, test } from 'vitest';
import { Command } from '../crash/command.js';
import { dsync, syncJson } from '../pairs/command.js';
import { openEnd, type EndName } from '../pairs/ends/index.js';
import { describePair } from '../pairs/skip.js';
import { freshDatabase, type FreshMongoDatabase } from '../servers/index.js';

const { Int32, Long, Double } = BSON;

async function shop(): Promise<FreshMongoDatabase> {
  const database = await freshDatabase('mongodb');
  await database.db.collection<{ _id: unknown }>('orders').insertMany(Array.from({ length: 2_000 }, (_, i) => new Map<string, unknown>([['_id', new Int32(i)], ['name', `n${i}`], ['total', new Double(i / 8)], ['tags', ['a', i]]])) as never);
  return database;
}

for (const name of ['postgres18', 'mysql9', 'sqlite'] satisfies EndName[]) {
  describePair(['mongodb', name], `a live run from MongoDB to columns of ${name}`, () => {
    test('is killed while it copies and while it follows: no change is lost, and the table keeps its columns', async () => {
      await using source = await shop();
      await using table = await openEnd[name]();
      using command = new Command({ source: source.url, destination: table.url }, ['--document', 'columns']);
      const orders = source.db.collection<{ _id: unknown }>('orders');
      const change = async (round: number) => {
        await orders.insertMany([new Map<string, unknown>([['_id', new Int32(10_000 + round)], ['total', Long.fromNumber(round)], [`new${round}`, { at: new Date(round) }]]), { _id: new Int32(20_000 + round), name: null }] as never);
        await orders.updateOne({ _id: round as never }, { $set: { name: round, 'extra.deep': [round] } });
        await orders.replaceOne({ _id: (100 + round) as never }, { tags: 'text', name: 'later' });
        await orders.deleteOne({ _id: (200 + round) as never });
      };
      const first = command.sync('--live', '--batch-size', '50 rows');
      await first.says(/copy/);
      await change(1);
      first.kill('SIGKILL');
      await first.ended;
      for (const round of [2, 3]) {
        const running = command.resume();
        await running.says(/follow/);
        await change(round);
        running.kill('SIGKILL');
        await running.ended;
      }
      await change(4);
      const last = command.resume();
      await last.says(/follow/);
      await expect.poll(async () => (await dsync('verify', source.url, table.url, '--document', 'columns', '--json')).status, { timeout: 60_000, interval: 1_000 }).toBe(0);
      last.kill('SIGINT');
      expect((await last.ended).by).toBe(130);
      await using back = await freshDatabase('mongodb');
      expect(await syncJson(table.url, back.url)).toMatchObject({ status: 0 });
      expect(await bytesOf(back)).toEqual(await bytesOf(source));
    });
  });
}

describePair(['mongodb', 'postgres18'], 'columns that are looked at by a sample, and tables that stand', () => {
  test('fields that the sample has not seen are in the rest; indexes over columns are made, the others named; plan tells all', async () => {
    await using source = await shop();
    await using table = await freshDatabase('postgres18');
    const orders = source.db.collection<{ _id: unknown }>('orders');
    await orders.insertOne({ _id: new Int32(90_000), seldom: 'x', name: 5 } as never);
    await orders.createIndexes([{ key: { name: 1, total: -1 }, name: 'by_name' }, { key: { total: 1 }, name: 'once', unique: true, sparse: true }, { key: { 'tags.a': 1 }, name: 'inside' }, { key: { tags: 1 }, name: 'many' }]);
    const plan = await dsync('plan', source.url, table.url, '--document', 'columns', '--document-sample', '100');
    expect(plan.stdout).toMatch(/a sample of 100 documents/);
    const whole = await dsync('plan', source.url, table.url, '--document', 'columns');
    expect(whole.stdout).toMatch(/all 2001 documents were looked at/);
    expect(whole.stdout).toMatch(/name \(2000 string, 1 int\) → json/);
    const outcome = await syncJson(source.url, table.url, '--document', 'columns', '--document-sample', '100');
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    expect(outcome.stderr).toMatch(/index over fields that are no columns inside/);
    expect(outcome.stderr).toMatch(/index over fields that are no columns many/);
    const indexes = await table.query(`SELECT indexdef FROM pg_indexes WHERE tablename = 'orders' ORDER BY indexname`);
    expect(indexes.map(({ indexdef }) => indexdef!.replace(/^.* ON /, '')).sort()).toEqual(['public.orders USING btree (_id)', 'public.orders USING btree (name, total DESC)', 'public.orders USING btree (total)']);
    expect(await table.query(`SELECT name, _rest::text AS rest FROM orders WHERE _id = 90000`)).toEqual([{ name: null, rest: '{"v":1,"fields":{"seldom":"x","name":{"$numberInt":"5"}},"order":["_id","seldom","name"]}' }]);
  });

  test('a spoilt cell is a difference; a merge makes it right; what SQL has changed goes back', async () => {
    await using source = await shop();
    await using table = await freshDatabase('postgres18');
    expect(await syncJson(source.url, table.url, '--document', 'columns')).toMatchObject({ status: 0 });
    await table.query(`UPDATE orders SET total = 7 WHERE _id = 5`);
    expect(await dsync('verify', source.url, table.url, '--document', 'columns')).toMatchObject({ status: 4 });
    await using back = await freshDatabase('mongodb');
    expect(await syncJson(table.url, back.url)).toMatchObject({ status: 0 });
    expect(await back.db.collection<{ _id: unknown }>('orders').findOne({ _id: 5 as never })).toEqual({ _id: 5, name: 'n5', total: 7, tags: ['a', 5] });
    expect(await syncJson(source.url, table.url, '--document', 'columns', '--existing', 'merge')).toMatchObject({ status: 0 });
    expect(await dsync('verify', source.url, table.url, '--document', 'columns')).toMatchObject({ status: 0 });
  });

  test('--document columns is refused where no end, or each, has documents', async () => {
    await using source = await freshDatabase('mongodb');
    expect(await dsync('plan', 'sqlite:none.db', 'sqlite:other.db', '--document', 'columns')).toMatchObject({ status: 2, stderr: expect.stringMatching(/neither end is MongoDB/) });
    expect(await dsync('plan', source.url, source.url, '--document', 'columns')).toMatchObject({ status: 2, stderr: expect.stringMatching(/the destination keeps documents/) });
    expect(await dsync('plan', source.url, 'sqlite:other.db', '--document-sample', '5')).toMatchObject({ status: 2, stderr: expect.stringMatching(/goes with --document columns/) });
  });
});

/** In hex, sorted. */
async function bytesOf({ db }: FreshMongoDatabase): Promise<readonly string[]> {
  const found = await db.collection('orders').find({}, { raw: true }).toArray() as unknown as Buffer[];
  return found.map((bytes) => bytes.toString('hex')).sort();
}

describePair(['mongodb', 'sqlite'], 'columns that are left out or masked', () => {
  test('are not in the rest either, while the run copies, and both ends compare equal', async () => {
    await using source = await freshDatabase('mongodb');
    await using table = await openEnd.sqlite();
    await source.db.collection<{ _id: unknown }>('users').insertMany([
      { _id: 1, email: 'ada@x', token: 's3cret', name: 'Ada' }, { _id: 2, token: 5, email: 'bob@x', name: 'Bob' }, { _id: 3, email: null, token: null, name: 'Cy' }, { _id: 4, email: 'nul\0@x', token: ['s3cret'], name: null },
    ] as never);
    const rules = ['--document', 'columns', '--columns', 'users=-token', '--mask', 'users.email=redact'];
    const outcome = await syncJson(source.url, table.url, ...rules);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    const rows = await table.read('users', ['_id', 'name', 'email', '_rest'].map((name) => ({ name, kind: 'text', types: {} })));
    expect(JSON.stringify(rows)).not.toMatch(/s3cret|token|ada@|bob@|@x/);
    expect([...rows].sort().map(([id, name, , rest]) => [id, name, rest])).toEqual([
      ['1', 'Ada', null], ['2', 'Bob', null], ['3', 'Cy', null], ['4', null, '{"v":1,"fields":{"name":null}}'],
    ]);
  });
});

for (const [name, way] of [['postgres18', 'columns'], ['postgres18', 'json'], ['mysql9', 'columns']] as const) {
  describePair(['mongodb', name], `a live run from a table of documents in ${name} (${way}) to MongoDB`, () => {
    test('restores the documents of rows that are changed, added and deleted', async () => {
      await using source = await shop();
      await using table = await freshDatabase(name);
      await using back = await freshDatabase('mongodb');
      expect(await syncJson(source.url, table.url, '--document', way)).toMatchObject({ status: 0 });
      using command = new Command({ source: table.url, destination: back.url }, []);
      const running = command.sync('--live');
      await running.says(/follow/);
      if (way === 'json') {
        await table.query(`UPDATE orders SET document = '{"_id":{"$numberInt":"5"},"total":{"$numberDouble":"7.5"}}' WHERE _id = '{"$numberInt":"5"}'`);
        await table.query(`DELETE FROM orders WHERE _id = '{"$numberInt":"6"}'`);
      } else {
        await table.query(`UPDATE orders SET total = 7.5, tags = NULL, name = NULL WHERE _id = 5`);
        await table.query(`DELETE FROM orders WHERE _id = 6`);
        await table.query(`INSERT INTO orders (_id, name, tags) VALUES (99999, 'new', '[1,{"a":2.0}]')`);
      }
      const orders = back.db.collection<{ _id: unknown }>('orders');
      await expect.poll(async () => orders.findOne({ _id: 5 as never }), { timeout: 30_000 }).toEqual({ _id: 5, total: 7.5 });
      await expect.poll(async () => orders.findOne({ _id: 6 as never }), { timeout: 30_000 }).toBeNull();
      if (way === 'columns') await expect.poll(async () => orders.findOne({ _id: 99999 as never }), { timeout: 30_000 }).toEqual({ _id: 99999, name: 'new', tags: [1, { a: 2 }] });
      await expect.poll(async () => (await dsync('verify', table.url, back.url, '--json')).status, { timeout: 30_000, interval: 1_000 }).toBe(0);
      running.kill('SIGINT');
      expect((await running.ended).by).toBe(130);
      expect((await command.cleanup().ended).by).toBe(0);
    });
  });
}

for (const name of ['postgres18', 'mariadb', 'mysql9'] as const) {
  describePair(['mongodb', name], `documents of 1,500 fields in ${name}`, () => {
    test('are rows whatever is in them, and come back to the byte', async () => {
      await using source = await freshDatabase('mongodb');
      await using table = await freshDatabase(name);
      await using back = await freshDatabase('mongodb');
      const wide = (id: number, value: unknown) => new Map<string, unknown>([['_id', new Int32(id)], ...Array.from({ length: 1500 }, (_, i) => [`f${i}`, value] as const)]);
      // What a row of PostgreSQL (up to 24 bytes), or of InnoDB (40), keeps in itself; what is compressed to that.
      await source.db.collection('orders').insertMany([17, 22, 23, 40, 41, 0, 1000].map((length, i) => wide(i, Array.from({ length }, (_, j) => String.fromCharCode(97 + ((j * j * 7 + i) % 26))).join('').concat(i === 5 ? 'x'.repeat(1000) : ''))) as never);
      expect(await syncJson(source.url, table.url, '--document', 'columns')).toMatchObject({ status: 0 });
      expect(await syncJson(table.url, back.url)).toMatchObject({ status: 0 });
      expect(await bytesOf(back)).toEqual(await bytesOf(source));
    });
  });
}
