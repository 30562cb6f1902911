import { expect, it } from 'vitest';
import type { EndName } from './ends.js';
import { read, unacknowledged, uncommitted } from './points.js';
import { describeEnds, Scene } from './scene.js';

/** The source rests here, so a resume that has anything to mend has lost or doubled it first. */
const nothingMended = { upserted: 0, deleted: 0, recopied: [] };

const pairs: readonly (readonly [EndName, EndName])[] = [['postgres18', 'postgres14'], ['mariadb', 'postgres18'], ['postgres18', 'mariadb'], ['mysql9', 'mariadb'], ['mongodb', 'mongodb'], ['sqlite', 'postgres18'], ['postgres18', 'sqlite']];

for (const [from, to] of pairs) {
  describeEnds([from, to], `${from} to ${to}, killed while nobody writes`, () => {
    it('goes on from where it was, and has nothing to mend', async () => {
      await using scene = await Scene.set(from, to, { rows: 10_000 });
      await scene.killAt(scene.command.sync('--exclude', '*log'), to === 'sqlite' ? read(4_000_000) : unacknowledged(to, 8));
      const [all, left] = await rowsLeft(scene);
      const { by, report, stderr } = await scene.command.resume().ended;
      expect(by, stderr).toBe(0);
      expect(report.mended).toEqual(nothingMended);
      // Batches that had landed after one that had not are written again.
      expect(report.rows).toBeGreaterThanOrEqual(left);
      // What was read says nothing of what has landed in a file: there it may be nothing yet.
      if (to !== 'sqlite') expect(report.rows).toBeLessThan(all);
      await scene.expectEqual(keyedTables(scene));
    });
  });
}

describeEnds(['mongodb'], 'mongodb to mongodb, killed between the first documents and their progress', () => {
  it('takes them for its own', async () => {
    await using scene = await Scene.set('mongodb', 'mongodb', { rows: 2_000 });
    await scene.killAt(scene.command.sync('--concurrency', '1'), uncommitted('mongodb', 1));
    const { by, report, stderr } = await scene.command.resume().ended;
    expect(by, stderr).toBe(0);
    expect(report.mended).toEqual(nothingMended);
    await scene.expectEqual();
  });
});

for (const [from, to] of [['postgres18', 'postgres14'], ['postgres18', 'mariadb'], ['postgres18', 'mongodb'], ['mariadb', 'sqlite']] as const) {
  describeEnds([from, to], `${from} to ${to}, killed between the batches of a table without a key`, () => {
    it('copies it anew: no row is there more often than in the source', async () => {
      await using scene = await Scene.set(from, to, { rows: 10_000, width: 10 });
      const only = `${scene.source.prefix}log`;
      await scene.killAt(scene.command.sync('--namespace', only, '--batch-size', '100 rows'), to === 'sqlite' ? read(60_000) : unacknowledged(to, 8));
      const { by, report, stderr } = await scene.command.resume().ended;
      expect(by, stderr).toBe(0);
      expect(report.mended).toEqual(nothingMended);
      await scene.expectEqual(scene.tables.filter(({ name }) => name === 'log'));
    });
  });
}

for (const [from, to] of [['postgres18', 'postgres14'], ['postgres18', 'mariadb'], ['mongodb', 'mongodb']] as const) {
  describeEnds([from, to], `${from} to ${to}, killed with a gap between the batches that landed`, () => {
    it('fills the gap', async () => {
      await using scene = await Scene.set(from, to, { rows: 10_000 });
      const running = scene.command.sync('--exclude', '*log');
      await scene.stopAt(running, uncommitted(to, 2));
      scene.wires.strand();
      // All that can land without the batch that is held back: its task's barrier has long been seen.
      await scene.killAt(running, unacknowledged(to, to === 'mongodb' ? 30 : 40));
      scene.wires.cut('destination');
      const { by, report, stderr } = await scene.command.resume().ended;
      expect(by, stderr).toBe(0);
      expect(report.mended).toEqual(nothingMended);
      await scene.expectEqual(keyedTables(scene));
    });
  });
}

for (const [from, to] of [['postgres18', 'postgres14'], ['postgres18', 'mariadb'], ['postgres18', 'mysql9']] as const) {
  describeEnds([from, to], `${from} to ${to}, resumed while the last write of the killed process is still on its way`, () => {
    it('waits for it: it is neither lost nor there twice', async () => {
      await using scene = await Scene.set(from, to, { rows: 10_000 });
      const running = scene.command.sync();
      await scene.stopAt(running, uncommitted(to, 5));
      scene.wires.strand();
      running.kill('SIGKILL');
      await running.ended;
      const resumed = scene.command.resume();
      expect(await Promise.race([resumed.ended, scene.destination.someoneWaits()]), 'the resumed process did not wait').toBeUndefined();
      scene.wires.deliver();
      const { by, report, stderr } = await resumed.ended;
      expect(by, stderr).toBe(0);
      expect(report.mended).toEqual(nothingMended);
      await scene.expectEqual();
    });
  });
}

const keyedTables = ({ tables }: Pick<Scene, 'tables'>) => tables.filter((table) => table.name !== 'log');

/** All rows of the source, and those of them that the destination lacks. */
async function rowsLeft({ source, destination, tables }: Scene): Promise<readonly [all: number, left: number]> {
  let all = 0, there = 0;
  for (const table of keyedTables({ tables })) {
    all += (await source.contents(table)).length;
    there += (await destination.contents(table).catch(() => [])).length;
  }
  return [all, all - there];
}
