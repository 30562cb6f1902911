import { expect, it } from 'vitest';
import { connectorFor } from '../../src/connectors/index.js';
import type { FenceStep, Shape, Source } from '../../src/contract.js';
import { connectText, describeWith, freshDatabase, withDatabase } from '../servers/index.js';

const { signal } = new AbortController();

/** A fence with its steps as a cutover keeps them, and what was told of those who held the tables. */
async function fenced(source: Source, shapes: readonly Shape[], { graceMillis = 5000, until = signal } = {}) {
  const saved: FenceStep[] = [], told: string[] = [];
  const raised = source.fence!.raise('r1', shapes, { graceMillis, save: (step) => saved.push(step), told: (sessions) => told.push(...sessions) }, until);
  return { saved, told, proof: await raised.catch((error: unknown) => error as Error) };
}

const open = async (url: string): Promise<[Source, readonly Shape[]]> => {
  const source = await (await connectorFor(url)).openSource!(url, { signal, connections: 1, batchBytes: 1 << 20 });
  return [source, await source.shapes({ include: ['*'], exclude: [] }, signal)];
};

describeWith('postgres18', "PostgreSQL's fence", () => {
  const tables = ['CREATE TABLE a (id int PRIMARY KEY)', 'INSERT INTO a VALUES (1)', 'CREATE TABLE "Ü b" (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)', 'CREATE TABLE b1 PARTITION OF "Ü b" FOR VALUES FROM (0) TO (10)', 'INSERT INTO "Ü b" VALUES (1)'];
  const triggers = 'SELECT tgname FROM pg_trigger UNION ALL SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = \'_dsync\' UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = \'_dsync\'';

  it('refuses every write, by superusers and replication too, in partitions too; reading and other tables go on', async () => {
    await using database = await freshDatabase('postgres18');
    for (const sql of [...tables, 'CREATE TABLE other (id int)']) await database.query(sql);
    const [source, shapes] = await open(database.url);
    await using _ = source;
    const { saved, proof } = await fenced(source, shapes.filter(({ name }) => name !== 'other'));
    expect(proof).toMatchObject({ ended: [] });
    const refused = /fenced off: run r1/;
    for (const role of ['origin', 'replica']) {
      for (const sql of ['INSERT INTO a VALUES (2)', 'UPDATE "Ü b" SET v = 1', 'DELETE FROM b1', 'TRUNCATE a', 'TRUNCATE "Ü b"', 'INSERT INTO b1 VALUES (3)']) {
        await expect(database.query(`SET session_replication_role = ${role}; ${sql}`), sql).rejects.toThrow(refused);
      }
    }
    await database.query('INSERT INTO other VALUES (1)');
    expect(await database.query('SELECT count(*) AS n FROM "Ü b"')).toEqual([{ n: '1' }]);
    await database.query("SET dsync.writes = 'on'; DELETE FROM a WHERE id = 1; INSERT INTO \"Ü b\" VALUES (4)");
    expect(await database.query('SELECT (SELECT count(*) FROM a) AS a, (SELECT count(*) FROM "Ü b") AS b')).toEqual([{ a: '0', b: '2' }]);
    await database.query('RESET dsync.writes');
    expect(saved.map(({ state }) => state)).toEqual(Array.from({ length: 4 }, () => ['intent', 'done']).flat());
    await source.fence!.lift('r1', saved, signal);
    expect(await database.query(triggers)).toEqual([]);
    await database.query('INSERT INTO a VALUES (2)');
  });

  it('stands in part where its time is over, and is lifted by its intents alone', async () => {
    await using database = await freshDatabase('postgres18');
    for (const sql of tables) await database.query(sql);
    const [source, shapes] = await open(database.url), holder = await connectText(database.url);
    await using _ = source;
    await holder.query('BEGIN; INSERT INTO b1 VALUES (5)');
    const { saved, told, proof } = await fenced(source, shapes, { graceMillis: 60_000, until: AbortSignal.timeout(2500) });
    expect(proof).toBeInstanceOf(Error);
    expect(told[0]).toMatch(/process \d+ \(postgres.*idle in transaction/);
    expect(saved.at(-1)).toEqual({ what: 'triggers on public.b1', before: 'absent', state: 'intent' });
    await expect(database.query('INSERT INTO a VALUES (2)')).rejects.toThrow(/fenced off/);
    await source.fence!.lift('r1', saved.filter(({ state }) => state === 'intent'), signal);
    expect(await database.query(triggers)).toEqual([]);
    await holder.query('COMMIT');
    await holder.end();
  });

  it('leaves a schema that stood before', async () => {
    await using database = await freshDatabase('postgres18');
    for (const sql of ['CREATE SCHEMA _dsync', ...tables]) await database.query(sql);
    const [source, shapes] = await open(database.url);
    await using _ = source;
    const { saved } = await fenced(source, shapes);
    await source.fence!.lift('r1', saved, signal);
    expect(await database.query(triggers)).toEqual([{ tgname: '_dsync' }]);
  });
});

for (const name of ['mariadb', 'mysql9'] as const) {
  describeWith(name, `${name}'s fence`, () => {
    const tables = ['CREATE TABLE a (id int PRIMARY KEY)', 'INSERT INTO a VALUES (1)', 'CREATE TABLE `b ü` (id int PRIMARY KEY)', 'INSERT INTO `b ü` VALUES (1)'];
    const triggers = 'SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = database()';

    it('refuses every row, by administrators too; dsync passes; and it is lifted', async () => {
      await using database = await freshDatabase(name);
      for (const sql of tables) await database.query(sql);
      const [source, shapes] = await open(database.url);
      await using _ = source;
      const { saved, proof } = await fenced(source, shapes);
      expect(proof).toMatchObject({ ended: [] });
      for (const sql of ['INSERT INTO a VALUES (2)', 'REPLACE INTO a VALUES (1)', 'UPDATE `b ü` SET id = 2', 'DELETE FROM `b ü`']) await expect(database.query(sql), sql).rejects.toThrow(/fenced off/);
      await database.query('SET @dsync_writes = 1; DELETE FROM a; SET @dsync_writes = NULL');
      expect(await database.query('SELECT count(*) AS n FROM a')).toEqual([{ n: '0' }]);
      await source.fence!.lift('r1', saved, signal);
      expect(await database.query(triggers)).toEqual([]);
      await database.query('INSERT INTO a VALUES (2)');
    });

    it('waits for a transaction that has written, tells of it, and ends it after the grace', async () => {
      await using database = await freshDatabase(name);
      for (const sql of tables) await database.query(sql);
      const [source, shapes] = await open(database.url), holder = await connectText(withDatabase(database.url, database.name));
      await using _ = source;
      await holder.query('BEGIN; INSERT INTO `b ü` VALUES (7)');
      const { saved, told, proof } = await fenced(source, shapes, { graceMillis: 1000 });
      expect(told[0]).toMatch(/^session \d+ \(\w+@/);
      expect(proof).toMatchObject({ ended: [told[0]!.replace(/\d+ s\)$/, '')].map((start) => expect.stringContaining(start.slice(0, 12))) });
      await expect(holder.query('COMMIT')).rejects.toThrow();
      expect(await database.query('SELECT id FROM `b ü`')).toEqual([{ id: '1' }]);
      await source.fence!.lift('r1', saved, signal);
      expect(await database.query(triggers)).toEqual([]);
      await holder.end().catch(() => undefined);
    });
  });
}
