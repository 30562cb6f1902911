import { setTimeout as delay } from 'node:timers/promises';
import { BSON, type Collection } from 'mongodb';
import { expect, it } from 'vitest';
import { describeWith, freshDatabase, freshMongo, serverFor, type FreshDatabase, type FreshMongoDatabase } from '../servers/index.js';
import { Program } from './program.js';
import { dropSlots } from './shop.js';

/* A live run from MongoDB is cut over by the real program, with a writer on the source until shortly before. */

type Order = { _id: number; note: string; n: number; at: Date };

/** A filled source, an empty destination, and what reads both by their drivers. */
class MongoShop implements AsyncDisposable {
  readonly source: FreshMongoDatabase;
  readonly destination: FreshMongoDatabase | FreshDatabase;
  readonly orders: Collection<Order>;
  readonly program: Program;

  private constructor(source: FreshMongoDatabase, destination: FreshMongoDatabase | FreshDatabase) {
    [this.source, this.destination, this.orders] = [source, destination, source.db.collection<Order>('orders')];
    this.program = new Program(source.url, destination.url);
  }

  static async open(to: 'mongodb' | 'postgres18'): Promise<MongoShop> {
    const source = await freshMongo(serverFor('mongodb')!.url), destination = to === 'mongodb' ? await freshMongo(serverFor('mongodb')!.url) : await freshDatabase(to);
    const shop = new MongoShop(source, destination);
    await shop.orders.insertMany(Array.from({ length: 200 }, (_, i) => ({ _id: i, note: `row ${i}`, n: 0, at: new Date() })));
    await shop.orders.createIndex({ at: 1 }, { name: 'old', expireAfterSeconds: 86_400 });
    await source.db.collection('notes').insertMany([{ body: 'one' }, { body: 'two' }]);
    return shop;
  }

  /** Inserts, updates, replaces and deletes, until it is stopped. */
  writer(): { more(count: number): Promise<void>; stop(): Promise<number> } {
    const { orders } = this;
    let written = 0, going = true;
    const writing = (async () => {
      for (; going; written++) {
        await orders.insertOne({ _id: 1000 + written, note: 'written', n: written, at: new Date() });
        await orders.updateOne({ _id: written % 200 }, { $inc: { n: 1 } });
        if (written % 3 === 0) await orders.replaceOne({ _id: (written * 7) % 200 }, { note: 'replaced', n: written, at: new Date() });
        if (written % 5 === 0) await orders.deleteOne({ _id: 1000 + written - 5 });
        await delay(2);
      }
    })();
    return { more: async (count) => { for (const goal = written + count; written < goal;) await delay(10); }, stop: async () => { going = false; await writing; return written; } };
  }

  /** Both collections, as canonical Extended JSON. */
  async contents(end: 'source' | 'destination'): Promise<readonly string[][]> {
    const place = this[end];
    return Promise.all(['notes', 'orders'].map(async (name) => {
      if ('db' in place) return (await place.db.collection(name).find({}, { promoteValues: false }).toArray()).map((one) => BSON.EJSON.stringify(one, { relaxed: false })).sort();
      return (await place.query(`SELECT document::text AS document FROM ${name}`)).map(({ document }) => document!).sort();
    }));
  }

  /** Names of the TTL indexes of the destination's orders. */
  async expiring(): Promise<readonly string[]> {
    if (!('db' in this.destination)) return [];
    return (await this.destination.db.collection('orders').listIndexes().toArray()).filter((index) => index['expireAfterSeconds'] !== undefined).map(({ name }) => name as string);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.program[Symbol.dispose]();
    await this.source[Symbol.asyncDispose]();
    if ('query' in this.destination) await dropSlots(this.destination);
    await this.destination[Symbol.asyncDispose]();
  }
}

for (const to of ['mongodb', 'postgres18'] as const) {
  describeWith(['mongodb', to], `A cutover from mongodb to ${to}`, () => {
    it('waits until no write comes, loses none, arms what expires only then, and ends the run', async () => {
      await using shop = await MongoShop.open(to);
      const writer = shop.writer(), running = await shop.program.live();
      await writer.more(100);
      const cutover = shop.program.cutover('--timeout', '60s');
      await running.says(/writes still come/);
      expect(await shop.expiring()).toEqual([]);
      const written = await writer.stop(), { by, report, stderr } = await cutover;
      expect(by, stderr).toBe(0);
      expect(written).toBeGreaterThan(100);
      expect(report).toMatchObject({ status: 'done', fence: { kind: 'observed', endedSessions: [] }, position: expect.stringMatching(/^\d+\.\d+/) });
      const contents = await shop.contents('source');
      expect(await shop.contents('destination')).toEqual(contents);
      expect(report.tables.map(({ result, sourceRows }) => [result, sourceRows])).toEqual(contents.map((rows) => ['equal', rows.length]));
      expect((await running.ended).by).toBe(0);
      expect(await shop.expiring()).toEqual(to === 'mongodb' ? ['old'] : []);
      expect(shop.program.runs()[0]).toMatchObject({ status: 'done' });
    });

    it('with --fence is refused with the reason and the way, and the run goes on', async () => {
      await using shop = await MongoShop.open(to);
      const running = await shop.program.live(), { by, stderr } = await shop.program.cutover('--fence');
      expect(by).toBe(2);
      expect(stderr).toMatch(/MongoDB can't refuse writers/);
      expect(stderr).toMatch(/revokeRolesFromUser/);
      await shop.orders.insertOne({ _id: -1, note: 'goes on', n: 1, at: new Date() });
      expect((await shop.program.cutover('--timeout', '60s')).by).toBe(0);
      expect((await running.ended).by).toBe(0);
      expect(await shop.contents('destination')).toEqual(await shop.contents('source'));
    });

    it('is given up while writes come, and by SIGKILL in the middle: all is as before, and the next one succeeds', async () => {
      await using shop = await MongoShop.open(to);
      const writer = shop.writer(), running = await shop.program.live(), first = shop.program.cutover('--timeout', '60s');
      await running.says(/writes still come/);
      const aborted = await shop.program.cutover('--abort');
      expect(aborted.by, aborted.stderr).toBe(0);
      expect((await first).by).toBe(7);
      expect((await shop.program.cutover('--timeout', '4s')).by).toBe(7);
      const second = shop.program.cutover('--timeout', '60s');
      await running.says(/writes still come/, 3);
      running.kill('SIGKILL');
      await running.ended;
      expect((await second).by).toBe(7);
      expect((await shop.program.cutover('--abort')).by).toBe(0);
      await writer.stop();
      // No process has the run: the cutover takes it up itself.
      const last = await shop.program.cutover('--timeout', '60s');
      expect(last.by, last.stderr).toBe(0);
      expect(await shop.contents('destination')).toEqual(await shop.contents('source'));
      expect(await shop.expiring()).toEqual(to === 'mongodb' ? ['old'] : []);
    });

    it('leaves a way back, on which the very documents come, and nothing comes twice', async () => {
      await using shop = await MongoShop.open(to);
      const running = await shop.program.live(), { destination, orders } = shop;
      await orders.insertOne({ _id: -1, note: 'late', n: 1, at: new Date(0) });
      const { by, report, stderr } = await shop.program.cutover('--reverse', '--timeout', '60s');
      expect(by, stderr).toBe(0);
      await running.ended;
      if ('db' in destination) {
        const there = destination.db.collection<Order>('orders');
        await there.insertOne({ _id: 5000, note: 'new', n: 2, at: new Date(0) });
        await there.updateOne({ _id: 3 }, { $set: { note: 'changed' } });
        await there.deleteOne({ _id: 4 });
      } else {
        await destination.query(`INSERT INTO orders VALUES ('{"$numberInt":"5000"}', '{"_id":{"$numberInt":"5000"},"note":"new","n":{"$numberInt":"2"},"at":{"$date":{"$numberLong":"0"}}}')`);
        await destination.query(`UPDATE orders SET document = replace(document::text, 'row 3', 'changed')::json WHERE _id = '{"$numberInt":"3"}'`);
        await destination.query(`DELETE FROM orders WHERE _id = '{"$numberInt":"4"}'`);
      }
      const back = shop.program.run('resume', report.wayBack!.run);
      const goal = await shop.contents('destination');
      for (let tries = 0; tries < 300 && JSON.stringify(await shop.contents('source')) !== JSON.stringify(goal); tries++) await delay(100);
      expect(await shop.contents('source')).toEqual(goal);
      expect(await orders.findOne({ _id: 5000 })).toEqual({ _id: 5000, note: 'new', n: 2, at: new Date(0) });
      back.kill('SIGINT');
      const { stderr: said, by: end } = await back.ended;
      expect(end, said).toBe(130);
      expect(Math.max(...[...said.matchAll(/applied (\d+) change/g)].map(([, count]) => Number(count)), 0), said).toBeLessThanOrEqual(3);
    });

    it('finds a difference: 4, and the run goes on', async () => {
      await using shop = await MongoShop.open(to);
      const running = await shop.program.live(), { destination } = shop;
      if ('db' in destination) await destination.db.collection<Order>('orders').deleteOne({ _id: 7 });
      else await destination.query(`DELETE FROM orders WHERE document::text LIKE '%"row 7"%'`);
      const { by, report } = await shop.program.cutover('--timeout', '60s');
      expect(by).toBe(4);
      expect(report.tables.find(({ result }) => result === 'different')!.differences).toMatchObject([{ kind: 'missing' }]);
      await shop.orders.updateOne({ _id: 7 }, { $set: { note: 'row 7 again' } });
      expect((await shop.program.cutover('--timeout', '60s')).by).toBe(0);
      expect((await running.ended).by).toBe(0);
    });
  });
}
