import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { Running } from './command.js';
import type { EndName, MongoEnd, SqlEnd, Table } from './ends.js';
import { describeEnds, Scene } from './scene.js';

/* One collection at a time in a live run from MongoDB, whose copies show no single moment. */

for (const to of ['mongodb', 'postgres18'] as const satisfies readonly EndName[]) {
  describeEnds(['mongodb', to], `mongodb to ${to}, one collection of a live run`, () => {
    it('is paused, resumed, resynced and added while the others are followed and a writer works, through kills', async () => {
      await using scene = await Scene.set('mongodb', to, { rows: 2_000, width: 200 });
      const source = scene.source as MongoEnd;
      let running = await following(scene, '--live');
      const { run } = await scene.command.status();
      const ask = async (action: 'pause' | 'resume' | 'resync' | 'add', name: string) => {
        const { by, stderr } = await scene.command.tables(run, action, `${source.prefix}${name}`).ended;
        expect(by, stderr).toBe(0);
      };
      const again = async () => {
        running.kill('SIGKILL');
        await running.ended;
        running = await following(scene);
      };
      const isApart = async (name: string) => (await scene.command.status()).tables.find(({ namespace }) => namespace === `${source.prefix}${name}`)?.state;
      const writer = await scene.write();
      await ask('pause', 'words');
      await writer.more(200);
      await again();
      expect(await isApart('words')).toBe('paused');
      await ask('resume', 'words');
      await writer.more(50);
      await again();
      await writer.more(100);
      const later: Table = { name: 'later', key: [0], count: 0, columns: [{ name: 'id', type: 'int' }, { name: 'v', type: 'int' }], row: () => [] }, v = source.db.collection<{ _id: number; v: number }>('later');
      await v.insertMany([{ _id: 1, v: 1 }, { _id: 2, v: 2 }, { _id: 3, v: 3 }]);
      await ask('add', 'later');
      await again();
      await v.updateOne({ _id: 2 }, { $set: { v: 20 } });
      await v.deleteOne({ _id: 3 });
      await spoil(scene);
      await ask('resync', 'items');
      await writer.more(200);
      await writer.stop();
      await eventually(() => scene.expectEqual([...scene.tables, later]));
      await eventually(async () => expect(await Promise.all(['words', 'items', 'later'].map(isApart))).toEqual(['following', 'following', 'following']));
      running.kill('SIGINT');
      const { by, stderr } = await running.ended;
      expect(by, stderr).toBe(130);
    }, 240_000);
  });
}

describeEnds(['mongodb'], 'mongodb to mongodb, a collection that is dropped while it is followed', () => {
  it('stops the run with 7, and is what the source has under its name when that is resumed', async () => {
    await using scene = await Scene.set('mongodb', 'mongodb', { rows: 400, width: 200 });
    const items = (scene.source as MongoEnd).db.collection<{ _id: number; n: number }>('items'), running = await following(scene, '--live');
    await items.updateOne({ _id: 7 }, { $set: { n: 70 } });
    await items.drop();
    await items.insertMany([{ _id: 7, n: 1 }, { _id: 9999, n: 2 }]);
    const { by, stderr } = await running.ended;
    expect([by, stderr]).toEqual([7, expect.stringMatching(/items was dropped in the source; everything before that is applied[^]*dsync resume/)]);
    // The test server tells every collection of a database that one of them was dropped.
    for (let last = await scene.command.resume(); ; last = await scene.command.resume()) {
      const ended = await Promise.race([last.ended, eventually(() => scene.expectEqual()).then(() => undefined)]);
      if (ended) {
        expect([ended.by, ended.stderr]).toEqual([7, expect.stringMatching(/was dropped/)]);
        continue;
      }
      last.kill('SIGINT');
      expect((await last.ended).by).toBe(130);
      break;
    }
  });
});

/** What another hand does to the destination: rows that are gone, and one that is nobody's. */
async function spoil({ destination }: Scene): Promise<void> {
  if ('db' in destination) {
    await destination.db.collection<{ _id: number }>('items').deleteMany({ _id: { $gte: 100, $lt: 200 } });
    await destination.db.collection<{ _id: string }>('items').insertOne({ _id: 'nobody' });
    return;
  }
  await (destination as SqlEnd).query("DELETE FROM items WHERE document::text LIKE '%\"n\":{\"$numberInt\":\"5\"}%'");
  await (destination as SqlEnd).query(`INSERT INTO items (_id, document) VALUES ('"nobody"', '{"_id":"nobody"}')`);
}

async function following(scene: Scene, ...flags: readonly string[]): Promise<Running> {
  const running = flags.length > 0 ? scene.command.sync(...flags) : scene.command.resume();
  await running.says(/\bfollow\b/);
  return running;
}

/** What is on its way takes a moment. */
async function eventually<T>(look: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await look();
    } catch (error) {
      if (tries === 200) throw error;
      await delay(200);
    }
  }
}
