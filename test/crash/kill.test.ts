import { expect, it } from 'vitest';
import type { EndName } from './ends.js';
import { expectEqual } from './equal.js';
import { finished, mending, read, uncommitted, unacknowledged, verifying } from './points.js';
import { describeEnds, Scene, type Point } from './scene.js';

const megabyte = 1_000_000;

interface Chain { readonly from: EndName; readonly to: EndName; readonly kills: Readonly<Record<string, Point>> }

/** The first kill is of `dsync sync`, each further one of a `dsync resume`. */
const chains: readonly Chain[] = [
  { from: 'postgres18', to: 'postgres14', kills: {
    'mid-batch': read(6 * megabyte), 'between write and state': unacknowledged('postgres14', 5), 'while keys are built': finished('postgres14'), 'while verifying': verifying(megabyte), 'while mending': mending('postgres14'),
  } },
  { from: 'postgres18', to: 'mariadb', kills: {
    'before the commit': uncommitted('mariadb', 4), 'mid-batch': read(4 * megabyte), 'between write and state': unacknowledged('mariadb', 5), 'while tables are finished': finished('mariadb'), 'while mending': mending('mariadb'),
  } },
  { from: 'mariadb', to: 'postgres18', kills: {
    'between write and state': unacknowledged('postgres18', 5), 'mid-batch': read(4 * megabyte), 'while keys are built': finished('postgres18'), 'while verifying': verifying(megabyte), 'while mending': mending('postgres18'),
  } },
];

for (const { from, to, kills } of chains) {
  describeEnds([from, to], `${from} to ${to}, killed again and again while another client writes`, () => {
    it(`ends equal after kills ${Object.keys(kills).join(', ')}`, async () => {
      await using scene = await Scene.set(from, to);
      const writer = await scene.write();
      for (const [i, [name, point]] of Object.entries(kills).entries()) {
        const before = total(writer.done);
        await scene.killAt(i === 0 ? scene.command.sync() : scene.command.resume(), point);
        expect(total(writer.done) - before, `changes while dsync ran, until it was killed ${name}`).toBeGreaterThan(10);
        await writer.more(20);
      }
      await writer.stop();
      const last = await scene.command.resume().ended;
      expect(last.by, last.stderr).toBe(0);
      await expectEqual(scene.source, scene.destination, scene.tables);
    });
  });
}

const total = (done: Readonly<Record<string, number>>): number => Object.values(done).reduce((sum, n) => sum + n, 0);
