import { expect, it } from 'vitest';
import type { EndName } from './ends.js';
import { read, unacknowledged } from './points.js';
import { describeEnds, Scene } from './scene.js';

const pairs: readonly (readonly [EndName, EndName])[] = [['postgres18', 'mariadb'], ['mariadb', 'postgres14'], ['mongodb', 'mongodb'], ['sqlite', 'postgres18'], ['postgres18', 'sqlite']];

for (const [from, to] of pairs) {
  describeEnds([from, to], `${from} to ${to}, stopped by its user`, () => {
    it('ends with 130 at Ctrl-C, says how to go on, and goes on', async () => {
      await using scene = await Scene.set(from, to, { rows: 10_000 });
      const writer = await scene.write();
      const running = scene.command.sync();
      await scene.stopAt(running, to === 'sqlite' ? read(3_000_000) : unacknowledged(to, 5));
      running.kill('SIGINT');
      scene.wires.release();
      const stopped = await running.ended;
      expect(stopped.by, stopped.stderr).toBe(130);
      expect(stopped.stderr).toMatch(/dsync resume \d{8}-\w+/);
      await writer.more(50);
      await writer.stop();
      const { by, stderr } = await scene.command.resume().ended;
      expect(by, stderr).toBe(0);
      await scene.expectEqual();
    });
  });
}

describeEnds(['postgres18', 'mariadb'], 'A server that answers no more', () => {
  it('does not keep dsync from ending at Ctrl-C, nor is anything lost', async () => {
    await using scene = await Scene.set('postgres18', 'mariadb', { rows: 10_000 });
    const running = scene.command.sync();
    await scene.stopAt(running, unacknowledged('mariadb', 5));
    running.kill('SIGINT');
    expect((await running.ended).by).toBe(130);
    scene.wires.release();
    const { by, stderr } = await scene.command.resume().ended;
    expect(by, stderr).toBe(0);
    await scene.expectEqual();
  });

  it('a second Ctrl-C ends it at once, and loses nothing either', async () => {
    await using scene = await Scene.set('postgres18', 'mariadb', { rows: 10_000 });
    const running = scene.command.sync();
    await scene.stopAt(running, unacknowledged('mariadb', 5));
    running.kill('SIGINT');
    await running.says(/Stopping/);
    running.kill('SIGINT');
    expect((await running.ended).by).toBe(130);
    scene.wires.release();
    const { by, stderr } = await scene.command.resume().ended;
    expect(by, stderr).toBe(0);
    await scene.expectEqual();
  });

  it('holds the flow all the while: a second process is told so, and the first one ends well', async () => {
    await using scene = await Scene.set('postgres18', 'mariadb', { rows: 4_000 });
    const first = scene.command.sync();
    await scene.stopAt(first, unacknowledged('mariadb', 2));
    const [again, resumed] = await Promise.all([scene.command.sync().ended, scene.command.resume().ended]);
    expect(again.by, again.stderr).toBe(8);
    expect(resumed.by, resumed.stderr).toBe(8);
    scene.wires.release();
    const { by, stderr } = await first.ended;
    expect(by, stderr).toBe(0);
    await scene.expectEqual();
  });
});

for (const [from, to] of [['mariadb', 'postgres18'], ['postgres18', 'mariadb'], ['postgres18', 'mongodb'], ['postgres18', 'sqlite']] as const) {
  describeEnds([from, to], `${from} to ${to}, and the destination is emptied between two runs`, () => {
    it('refuses with 5, and starts over when it is told to', async () => {
      await using scene = await Scene.set(from, to, { rows: 4_000 });
      await scene.killAt(scene.command.sync(), to === 'sqlite' ? read(1_000_000) : unacknowledged(to, 3));
      await scene.destination.empty();
      const refused = await scene.command.resume().ended;
      expect(refused.by, refused.stderr).toBe(5);
      expect(refused.stderr).toMatch(/cleanup/);
      expect((await scene.command.forget().ended).by).toBe(0);
      const { by, stderr } = await scene.command.sync().ended;
      expect(by, stderr).toBe(0);
      await scene.expectEqual();
    });
  });
}
