import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { EndName } from './ends.js';
import { describeEnds, Scene, type Point } from './scene.js';

/*
 * A live run is killed while it copies and while it follows, with a writer on the source all the time. When the writer has
 * stopped, both databases become equal, as their own drivers see them.
 */

const pairs: readonly (readonly [EndName, EndName])[] = [
  ['postgres18', 'postgres14'], ['postgres18', 'mariadb'], ['postgres14', 'sqlite'], ['mariadb', 'postgres18'], ['mysql9', 'mariadb'], ['mariadb', 'sqlite'],
  ['mongodb', 'mongodb'], ['mongodb', 'postgres18'],
];

/** After so many bytes from the source, or to the destination. */
const bytes = (side: 'source' | 'destination', nth: number): Point => [{ side, way: side === 'source' ? 'answered' : 'asked', nth }];

for (const [from, to] of pairs) {
  describeEnds([from, to], `${from} to ${to}, live, killed again and again`, () => {
    it('loses no change and applies none twice', async () => {
      await using scene = await liveScene(from, to);
      const writer = await scene.write(), far = to === 'sqlite' ? 'source' : 'destination';
      await scene.killAt(scene.command.sync('--live'), bytes('source', 400_000));
      await writer.more(50);
      for (const nth of [3_000, 20_000, 1_000, 60_000]) {
        const running = scene.command.resume();
        await running.says(/follow/);
        await scene.killAt(running, bytes(far, nth));
        await writer.more(50);
      }
      await writer.more(500);
      await writer.stop();
      const last = scene.command.resume();
      await becomesEqual(scene);
      last.kill('SIGINT');
      const { by, stderr } = await last.ended;
      expect(by, stderr).toBe(130);
      expect(stderr).toMatch(/Go on with: dsync resume/);
    });
  });
}

describeEnds(['postgres18'], 'SQLite', () => {
  it('keeps no log: --live says so before anything is done', async () => {
    await using scene = await Scene.set('sqlite', 'postgres18', { rows: 10 });
    const { by, stderr } = await scene.command.sync('--live').ended;
    expect([by, stderr]).toEqual([2, expect.stringContaining('keeps no log of its changes')]);
  });
});

describeEnds(['postgres18', 'mongodb'], 'A table without a key, on its way to MongoDB', () => {
  it('is refused before anything is done, for its changes could come twice', async () => {
    await using scene = await liveScene('postgres18', 'mongodb', 10);
    const { by, stderr } = await scene.command.sync('--live').ended;
    expect([by, stderr]).toEqual([5, expect.stringMatching(/log has no key[^]*--exclude 'public.log'/)]);
  });
});

async function liveScene(from: EndName, to: EndName, rows = 2_000): Promise<Scene> {
  const scene = await Scene.set(from, to, { rows, width: 200 });
  // Without a key the log must tell whole rows.
  if (from.startsWith('postgres')) await (scene.source as Extract<Scene['source'], { dialect: string }>).query('ALTER TABLE log REPLICA IDENTITY FULL');
  return scene;
}

/** What is on its way takes a moment. */
async function becomesEqual(scene: Scene): Promise<void> {
  for (let tries = 0; tries < 150; tries++) {
    if (await scene.expectEqual().then(() => true, () => false)) return;
    await delay(200);
  }
  await scene.expectEqual();
}
