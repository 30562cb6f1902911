import { expect, it } from 'vitest';
import { ownServer } from '../servers/index.js';
import type { Ended } from './command.js';
import type { EndName } from './ends.js';
import { read, unacknowledged, verifying } from './points.js';
import { describeEnds, Scene, type Point } from './scene.js';
import type { Side } from './wires.js';

const nothingMended = { upserted: 0, deleted: 0, recopied: [] };

describeEnds(['postgres18', 'mariadb'], 'A server that is restarted in the middle', () => {
  for (const name of ['postgres18', 'mariadb'] as const) {
    it(`as the source, ${name}: dsync goes on under a new moment, and mends what has changed since the first`, async () => {
      await using server = await ownServer(name);
      await using scene = await Scene.set(name, 'postgres14', { rows: 10_000, sourceServer: server.url });
      const writer = await scene.write();
      const running = scene.command.sync();
      await scene.stopAt(running, read(3_000_000));
      await writer.more(200);
      await writer.stop();
      await server.restart();
      scene.wires.release();
      const { report } = await endedWell(running.ended);
      expect(report.moments.length).toBeGreaterThan(1);
      expect(report.mended.upserted + report.mended.deleted).toBeGreaterThan(0);
      await scene.expectEqual();
    });

    it(`as the destination, ${name}: dsync goes on in the same moment, and writes nothing twice`, async () => {
      await using server = await ownServer(name);
      await using scene = await Scene.set('postgres14', name, { rows: 10_000, destinationServer: server.url });
      const running = scene.command.sync();
      await scene.stopAt(running, unacknowledged(name, 6));
      await server.restart();
      scene.wires.release();
      const { report } = await endedWell(running.ended);
      expect(report.moments).toHaveLength(1);
      expect(report.mended).toEqual(nothingMended);
      await scene.expectEqual();
    });
  }
}, { own: true });

/** `all`: every connection to that side at once; else the one that is at work. */
interface Cut { readonly from: EndName; readonly to: EndName; readonly side: Side; readonly when: string; readonly point: Point; readonly all: boolean }

const cuts: readonly Cut[] = [
  { from: 'mysql9', to: 'postgres18', side: 'source', when: 'in the copy', point: read(3_000_000), all: true },
  { from: 'mongodb', to: 'mongodb', side: 'source', when: 'in the copy', point: read(3_000_000), all: false },
  { from: 'mongodb', to: 'mongodb', side: 'destination', when: 'in the copy', point: unacknowledged('mongodb', 4), all: false },
  { from: 'postgres18', to: 'mysql9', side: 'destination', when: 'in the copy', point: unacknowledged('mysql9', 6), all: true },
  { from: 'postgres18', to: 'mariadb', side: 'source', when: 'in the verification', point: verifying(1_000_000), all: true },
  { from: 'postgres18', to: 'mariadb', side: 'destination', when: 'in the verification', point: verifying(1_000_000), all: true },
];

for (const { from, to, side, when, point, all } of cuts) {
  describeEnds([from, to], `${from} to ${to}, ${all ? 'all connections' : 'a connection'} to the ${side} cut ${when}`, () => {
    it('goes on by itself', async () => {
      await using scene = await Scene.set(from, to, { rows: 10_000 });
      const writer = side === 'source' ? await scene.write() : undefined;
      const running = scene.command.sync();
      await scene.stopAt(running, point);
      await writer?.more(50);
      await writer?.stop();
      if (all) scene.wires.cut(side);
      else scene.wires.cutThere();
      scene.wires.release();
      await endedWell(running.ended);
      await scene.expectEqual();
    });
  });
}

async function endedWell(ended: Promise<Ended>): Promise<Ended> {
  const outcome = await ended;
  expect(outcome.by, outcome.stderr).toBe(0);
  return outcome;
}
