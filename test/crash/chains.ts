import { expect, it } from 'vitest';
import type { EndName } from './ends.js';
import { describeEnds, Scene, type Point } from './scene.js';

/** The first kill is of `dsync sync`, each further one of a `dsync resume`. */
export interface Chain { readonly from: EndName; readonly to: EndName; readonly kills: Readonly<Record<string, Point>>; readonly rows?: number }

/** Half a dozen processes, one after the other, on a machine that may be busy. */
const patience = 300_000;

/** Killed again and again while another client writes, then resumed once more when it has stopped. */
export function testChain({ from, to, kills, rows = 10_000 }: Chain): void {
  describeEnds([from, to], `${from} to ${to}, killed again and again while another client writes`, () => {
    it(`ends equal after kills ${Object.keys(kills).join(', ')}`, async () => {
      await using scene = await Scene.set(from, to, { rows });
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
      await scene.expectEqual();
    }, patience);
  });
}

const total = (done: Readonly<Record<string, number>>): number => Object.values(done).reduce((sum, n) => sum + n, 0);
