import { expect, it } from 'vitest';
import { connectText } from '../servers/index.js';
import { describeEnds, Scene } from './scene.js';
import type { SqlEnd } from './ends.js';

/* A live run that can't keep up must not fill its source's disk, and doctor says beforehand what the log will come to. */

async function liveScene(rows: number): Promise<{ scene: Scene; source: SqlEnd; destination: SqlEnd } & AsyncDisposable> {
  const scene = await Scene.set('postgres18', 'postgres18', { rows, width: 200 }), [source, destination] = [scene.source, scene.destination] as [SqlEnd, SqlEnd];
  await source.query('ALTER TABLE log REPLICA IDENTITY FULL');
  return { scene, source, destination, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
}

/** More log than these tests allow to be kept. */
const muchLog = "DO $$ BEGIN FOR i IN 1..40 LOOP PERFORM pg_logical_emit_message(false, 'filler', repeat('x', 1000000)); END LOOP; END $$";

describeEnds(['postgres18'], 'A run with --max-retained', () => {
  it('stops with 7 while it follows, keeps its slot, and catches up when it is allowed more', async () => {
    await using world = await liveScene(200);
    const { scene, source, destination } = world;
    const running = scene.command.sync('--live', '--max-retained', '20MB');
    await running.says(/\bfollow\b/);
    const holder = await connectText(destination.url);
    try {
      await holder.query('BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE');
      await source.query("UPDATE items SET note = 'kept' WHERE id <= 100");
      await source.query(muchLog);
      const { by, stderr } = await running.ended;
      expect(by, stderr).toBe(7);
      expect(stderr).toMatch(/the source keeps [4-9]\d\.\d MB of its log for this run, and --max-retained allows 20\.0 MB[^]*dsync resume \S+ --max-retained[^]*dsync cleanup/);
    } finally {
      await holder.end();
    }
    const again = scene.command.resume();
    expect((await again.ended).by).toBe(7);
    const last = scene.command.resume('--max-retained', '2GB');
    await last.says(/\bfollow\b/);
    while ((await destination.query("SELECT 1 FROM items WHERE note = 'kept'")).length < 100);
    last.kill('SIGINT');
    expect((await last.ended).by).toBe(130);
    await scene.expectEqual();
    expect((await scene.command.cleanup().ended).by).toBe(0);
  });

  it('stops with 7 while it copies, too', async () => {
    await using world = await liveScene(4000);
    const running = world.scene.command.sync('--live', '--max-retained', '20MB', '--rate-limit', '20KB/s');
    await running.says(/\bcopy\b/);
    await world.source.query(muchLog);
    const { by, stderr } = await running.ended;
    expect(by, stderr).toBe(7);
    expect(stderr).not.toMatch(/\bfollow\b/);
    expect((await world.scene.command.cleanup().ended).by).toBe(0);
    expect(await world.source.query('SELECT slot_name FROM pg_replication_slots WHERE database = current_database()')).toEqual([]);
  });

});

describeEnds(['mariadb'], 'A source that keeps no log for a run', () => {
  it('is not asked for a limit or a slot', async () => {
    await using scene = await Scene.set('mariadb', 'sqlite', { rows: 10 });
    const { by, stderr } = await scene.command.sync('--live', '--max-retained', '20MB', '--slot', 'x').ended;
    expect([by, stderr]).toEqual([2, expect.stringContaining('--slot, --max-retained can\'t be heeded')]);
  });
});

interface Findings { readonly findings: readonly { readonly end: string; readonly finding: { readonly level: string; readonly code: string; readonly message: string; readonly remedy?: string } }[] }

for (const from of ['postgres18', 'mariadb', 'mysql9'] as const) describeEnds([from], `dsync doctor --live of ${from}`, () => {
  it('says how fast the log grows, how long it is kept, what is held back, and whether the copy is done in time', async () => {
    await using scene = await Scene.set(from, 'sqlite', { rows: 200, width: 200 });
    const source = scene.source as SqlEnd;
    if (from === 'postgres18') await source.query('ALTER TABLE log REPLICA IDENTITY FULL');
    const filler = setInterval(() => void source.query(from === 'postgres18' ? muchLog.replace('40', '2') : "UPDATE items SET note = CONCAT('n', RAND())").catch(() => undefined), 500);
    const { by, stderr, report } = await scene.command.doctor('--live').ended.finally(() => clearInterval(filler));
    expect(by, stderr).toBe(0);
    const found = new Map((report as unknown as Findings).findings.map(({ end, finding }) => [`${end} ${finding.code}`, finding]));
    expect(found.get('source log-growth')!.message).toMatch(/^the log grows by (?!0\.0)\d+\.\d [kM]B a second \(measured over [5-9] s: an estimate\)$/);
    expect(found.get('source copy-time')!.message).toMatch(/about \d+ s: an estimate, of .* at a supposed 20\.0 MB a second$/);
    expect(found.get('source snapshot-open')!.message).toMatch(from === 'postgres18' ? /VACUUM/ : /undo/);
    expect(found.get('source log-kept')).toMatchObject(from === 'postgres18' ? { message: expect.stringContaining('no limit but the disk'), remedy: expect.stringContaining('--max-retained') } : from === 'mysql9' ? { message: expect.stringContaining('720.0 h') } : {});
  });
});
