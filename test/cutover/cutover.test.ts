import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { describeWith } from '../servers/index.js';
import { Shop, type Sql } from './shop.js';

/* A live run is cut over by the real program, with a writer on the source until the fence stands. */

const pairs: readonly (readonly [Sql, Sql])[] = [['postgres18', 'mariadb'], ['mariadb', 'postgres18'], ['postgres18', 'postgres18'], ['mysql9', 'postgres18']];

for (const [from, to] of pairs) {
  describeWith([from, to], `A cutover from ${from} to ${to}`, () => {
    it('stops the writer, loses none of its rows, sets the sequences, and ends the run', async () => {
      await using shop = await Shop.open(from, to);
      const running = await shop.program.live(), writer = await shop.writer();
      await writer.more(50);
      const { by, report, stderr } = await shop.program.cutover('--fence', '--timeout', '60s');
      expect(by, stderr).toBe(0);
      const { written, refused } = await writer.stop();
      expect(written).toBeGreaterThan(50);
      expect(refused).toMatch(/fenced off/);
      expect((await running.ended).by).toBe(0);
      const contents = await shop.contents('source');
      expect(await shop.contents('destination')).toEqual(contents);
      expect(report).toMatchObject({ status: 'done', fence: { kind: 'enforced' } });
      expect(report.tables.map(({ result, sourceRows }) => [result, sourceRows])).toEqual((contents as unknown[][]).map((rows) => ['equal', rows.length]));
      expect(report.sequences.map(({ of, state }) => [of.replace(/^.*?\./, ''), state])).toEqual([['notes.id', 'set'], ['orders.id', 'set']]);
      expect(await shop.insert('destination', 'notes', 'new')).toBe('51');
      expect(Number(await shop.insert('destination', 'orders', 'new'))).toBeGreaterThan(50 + written - 1);
      expect(await shop.slots('source')).toEqual([]);
      expect(shop.program.runs()[0]).toMatchObject({ status: 'done' });
    });

    it('leaves a way back, on which nothing comes twice', async () => {
      await using shop = await Shop.open(from, to);
      const running = await shop.program.live();
      await shop.insert('source', 'orders', 'late');
      const { by, report, stderr } = await shop.program.cutover('--fence', '--reverse', '--timeout', '60s');
      expect(by, stderr).toBe(0);
      await running.ended;
      await shop.insert('destination', 'orders', 'new');
      await shop.destination.query("UPDATE notes SET body = 'changed' WHERE id = 1");
      await shop.destination.query('DELETE FROM notes WHERE id = 2');
      const back = shop.program.run('resume', report.wayBack!.run);
      const goal = JSON.stringify(await shop.contents('destination'));
      while (JSON.stringify(await shop.contents('source')) !== goal) await delay(100);
      await expect(shop.insert('source', 'orders', 'by hand')).rejects.toThrow(/fenced off/);
      await back.says(/applied \d+ changes?, nothing left/);
      back.kill('SIGINT');
      const { stderr: said, by: end } = await back.ended;
      expect(end, said).toBe(130);
      // Three changes, and no more: what dsync itself has written there is not among them.
      const applied = [...said.matchAll(/applied (\d+) change/g)].map(([, count]) => Number(count));
      expect(Math.max(...applied, 0)).toBeLessThanOrEqual(3);
      expect(JSON.stringify(await shop.contents('source'))).toBe(goal);
    });
  });
}

for (const [from, to] of [['postgres18', 'mariadb'], ['mariadb', 'postgres18']] as const) {
  describeWith([from, to], `Tables that dsync has made, from ${from} to ${to}`, () => {
    it('get their unique indexes and foreign keys once no change comes any more', async () => {
      await using shop = await Shop.open(from, to, { made: false });
      for (const statement of ['CREATE UNIQUE INDEX one_n ON orders (n)', 'ALTER TABLE orders ADD COLUMN about int', 'ALTER TABLE orders ADD CONSTRAINT about_note FOREIGN KEY (about) REFERENCES notes (id)']) await shop.source.query(statement);
      const running = await shop.program.live(), client = await shop.client('destination');
      await client.query("INSERT INTO orders (id, note, n, about) VALUES (1000001, 'twice', 7, 900), (1000002, 'twice', 7, 900)");
      await client.query('DELETE FROM orders WHERE id > 1000000');
      const { by, stderr } = await shop.program.cutover('--fence', '--timeout', '60s');
      expect(by, stderr).toBe(0);
      expect((await running.ended).by).toBe(0);
      await expect(client.query("INSERT INTO orders (id, note, n) VALUES (1000001, 'twice', 7), (1000002, 'twice', 7)")).rejects.toThrow(/duplicate/i);
      await expect(client.query("INSERT INTO orders (id, note, about) VALUES (1000001, 'of none', 900)")).rejects.toThrow(/foreign key/i);
    });
  });
}

describeWith(['postgres18', 'mariadb'], 'A way back of tables whose names are patterns', () => {
  it('is of these very tables: they are followed, and made equal anew, whatever their names match', async () => {
    await using shop = await Shop.open('postgres18', 'mariadb');
    const odd = 'a?b*c:d', near = 'a!bxc:d';
    for (const name of [odd, near]) await shop.source.query(`CREATE TABLE "${name}" (id int PRIMARY KEY, v int); INSERT INTO "${name}" VALUES (1, 1), (2, 2)`);
    await shop.destination.query(`CREATE TABLE \`${near}\` (id int PRIMARY KEY, v int, w int)`);
    const running = await shop.program.live('--exclude', 'public.a!*');
    const { by, report, stderr } = await shop.program.cutover('--fence', '--reverse', '--timeout', '60s');
    expect(by, stderr).toBe(0);
    await running.ended;
    await shop.destination.query(`UPDATE \`${odd}\` SET v = 10 WHERE id = 1; INSERT INTO \`${near}\` VALUES (7, 7, 7)`);
    const back = shop.program.run('resume', report.wayBack!.run), rows = () => shop.source.query(`SELECT id, v FROM "${odd}" ORDER BY id`);
    while ((await rows())[0]!.v !== '10') await delay(50);
    await shop.source.query(`SET dsync.writes = on; UPDATE "${odd}" SET v = 99; RESET dsync.writes`);
    const resync = await shop.program.run('tables', report.wayBack!.run, 'resync', odd).ended;
    expect(resync.by, resync.stderr).toBe(0);
    while ((await rows())[1]!.v !== '2') await delay(50);
    expect(await rows()).toEqual([{ id: '1', v: '10' }, { id: '2', v: '2' }]);
    expect(await shop.source.query(`SELECT id, v FROM "${near}" ORDER BY id`)).toEqual([{ id: '1', v: '1' }, { id: '2', v: '2' }]);
    back.kill('SIGINT');
    expect((await back.ended).by).toBe(130);
  });
});

describeWith(['postgres18', 'mariadb'], 'A way back of types that the new database has not', () => {
  it('makes of its texts what they were', async () => {
    await using shop = await Shop.open('postgres18', 'mariadb');
    await shop.source.query('CREATE TABLE odd (id uuid PRIMARY KEY, j jsonb, tags text[], n numeric, at interval, ok boolean)');
    await shop.source.query(`INSERT INTO odd VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": 1}', '{x}', 1.50, '1 day', true), ('b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', NULL, NULL, NULL, NULL, NULL)`);
    const running = await shop.program.live();
    const { by, report, stderr } = await shop.program.cutover('--fence', '--reverse', '--timeout', '60s');
    expect(by, stderr).toBe(0);
    await running.ended;
    // A key that the old database would take for another one.
    await shop.destination.query(`INSERT INTO odd (id) VALUES ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11')`);
    await shop.destination.query(`UPDATE odd SET j = '{"a": [2.50, null]}', tags = '{"y z",NULL}', n = '-0.010', at = '02:03:04.5', ok = 0 WHERE n IS NOT NULL`);
    await shop.destination.query(`INSERT INTO odd VALUES ('c0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'null', '{}', '7', NULL, 1)`);
    await shop.destination.query(`DELETE FROM odd WHERE id = 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`);
    const back = shop.program.run('resume', report.wayBack!.run), rows = () => shop.source.query('SELECT left(id::text, 1) AS id, j, tags, n, at, ok FROM odd ORDER BY id');
    const goal = [{ id: 'a', j: '{"a": [2.50, null]}', tags: '{"y z",NULL}', n: '-0.010', at: '02:03:04.5', ok: 'f' }, { id: 'c', j: 'null', tags: '{}', n: '7', at: null, ok: 't' }];
    await expect.poll(rows, { timeout: 30_000 }).toEqual(goal);
    back.kill('SIGINT');
    expect(await back.ended).toMatchObject({ by: 130, stderr: expect.stringContaining('is a key that is spelled') as string });
  });
});

describeWith('postgres18', 'A cutover', () => {
  it('without a fence waits until no write comes, and says that it only saw so', async () => {
    await using shop = await Shop.open('postgres18', 'postgres18');
    const running = await shop.program.live(), writer = await shop.writer();
    await writer.more(20);
    const cutover = shop.program.cutover('--timeout', '60s');
    await running.says(/writes still come/);
    await writer.stop();
    const { by, report } = await cutover;
    expect(by).toBe(0);
    expect(report.fence.kind).toBe('observed');
    expect(await shop.contents('destination')).toEqual(await shop.contents('source'));
    await shop.insert('source', 'orders', 'still allowed');
  });

  it('of a run that no process has takes the run up itself', async () => {
    await using shop = await Shop.open('postgres18', 'postgres18');
    const running = await shop.program.live();
    running.kill('SIGKILL');
    await running.ended;
    await shop.insert('source', 'orders', 'meanwhile');
    const { by, report, stderr } = await shop.program.cutover('--fence');
    expect(by, stderr).toBe(0);
    expect(report.status).toBe('done');
    expect(await shop.contents('destination')).toEqual(await shop.contents('source'));
    expect(await shop.slots('source')).toEqual([]);
  });

  it('finds a difference: 4, the fence is lifted, and the run goes on', async () => {
    await using shop = await Shop.open('postgres18', 'postgres18');
    const before = await shop.settings(), running = await shop.program.live();
    await shop.destination.query("UPDATE orders SET note = 'by another hand' WHERE id = 7");
    const { by, report } = await shop.program.cutover('--fence');
    expect(by).toBe(4);
    expect(report.tables.find(({ result }) => result === 'different')!.differences).toMatchObject([{ kind: 'changed', key: 'id=7' }]);
    expect(await shop.settings()).toEqual(before);
    await shop.destination.query("UPDATE orders SET note = 'row 6' WHERE id = 7");
    expect((await shop.program.cutover('--fence')).by).toBe(0);
    expect((await running.ended).by).toBe(0);
  });

  it('ends the session that holds a table after a grace, and tells of it', async () => {
    await using shop = await Shop.open('postgres18', 'postgres18');
    const running = await shop.program.live();
    await shop.client('source', 'BEGIN', "INSERT INTO orders (note) VALUES ('never committed')");
    const { by, report } = await shop.program.cutover('--fence', '--timeout', '30s');
    expect(by).toBe(0);
    expect(report.fence.endedSessions).toEqual([expect.stringMatching(/process \d+ \(postgres/)]);
    expect(await shop.contents('destination')).toEqual(await shop.contents('source'));
    await running.ended;
  });

  it('keeps cleanup from forgetting a fence that stands', async () => {
    await using shop = await Shop.open('postgres18', 'postgres18');
    const before = await shop.settings(), running = await shop.program.live();
    await shop.program.cutover('--fence');
    await running.ended;
    expect((await shop.program.run('cleanup', shop.program.id).ended).by).toBe(5);
    const aborted = await shop.program.cutover('--abort');
    expect([aborted.by, await shop.settings()]).toEqual([0, before]);
    expect((await shop.program.run('cleanup', shop.program.id).ended).by).toBe(0);
  });
});

/** Something that holds the cutover where it is: a client's open transaction. */
interface Point { readonly name: string; readonly at: RegExp; readonly end: 'source' | 'destination'; readonly hold: readonly string[]; readonly flags?: readonly string[] }

const points: readonly Point[] = [
  { name: 'the fence stands in part', at: /cutover: the fence waits for/, end: 'source', hold: ['BEGIN', "INSERT INTO orders (note) VALUES ('open')"] },
  { name: 'the log is drained', at: /cutover: the rest of the log/, end: 'destination', hold: ['BEGIN', 'LOCK TABLE _dsync.run IN ACCESS EXCLUSIVE MODE'] },
  { name: 'both sides are compared', at: /cutover: both sides are compared/, end: 'destination', hold: ['BEGIN', 'LOCK TABLE orders IN ACCESS EXCLUSIVE MODE'] },
  { name: 'sequences are set', at: /cutover: sequences are set/, end: 'destination', hold: ['BEGIN', 'ALTER SEQUENCE orders_id_seq CACHE 1'] },
  { name: 'the way back is made', at: /cutover: the way back/, end: 'destination', hold: ['CREATE TABLE other (id int)', 'BEGIN', 'INSERT INTO other VALUES (1)'], flags: ['--reverse'] },
];

describeWith('postgres18', 'A cutover that is held where', () => {
  for (const { name, at, end, hold, flags = [] } of points) {
    it(`${name}, killed: --abort restores all, and the next one succeeds`, async () => {
      await using shop = await Shop.open('postgres18', 'postgres18');
      const before = await shop.settings(), running = await shop.program.live();
      const holder = await shop.client(end, ...hold);
      if (name === 'the log is drained') await shop.insert('source', 'orders', 'on its way');
      const cutover = shop.program.cutover('--fence', ...flags, '--timeout', '60s');
      await running.says(at);
      // The publication is made before the slot, which waits for the holder.
      while (flags.length > 0 && (await shop.slots('destination')).length === 0) await delay(20);
      running.kill('SIGKILL');
      await running.ended;
      expect((await cutover).by).toBe(7);
      await holder.end();
      expect(await shop.settings()).not.toEqual(before);
      const aborted = await shop.program.cutover('--abort');
      expect(aborted.by, aborted.stderr).toBe(0);
      expect(await shop.settings()).toEqual(before);
      expect(await shop.slots('destination')).toEqual([]);
      expect(shop.program.runs()).toHaveLength(1);
      await shop.insert('source', 'orders', 'goes on');
      const next = await shop.program.cutover('--fence', '--timeout', '60s');
      expect(next.by, next.stderr).toBe(0);
      expect(await shop.contents('destination')).toEqual(await shop.contents('source'));
    });

    // There the holder is ended in time.
    if (end === 'destination') it(`${name}, longer than its time: 7, all is as before, and the run goes on`, async () => {
      await using shop = await Shop.open('postgres18', 'postgres18');
      const before = await shop.settings(), running = await shop.program.live();
      const holder = await shop.client(end, ...hold);
      if (name === 'the log is drained') await shop.insert('source', 'orders', 'on its way');
      const late = await shop.program.cutover('--fence', ...flags, '--timeout', '6s');
      expect([late.by, late.stderr]).toEqual([7, expect.stringMatching(/not done within 6 s/)]);
      await holder.end();
      expect(await shop.settings()).toEqual(before);
      expect(await shop.slots('destination')).toEqual([]);
      await shop.insert('source', 'orders', 'goes on');
      const next = await shop.program.cutover('--fence', '--timeout', '60s');
      expect(next.by, next.stderr).toBe(0);
      expect((await running.ended).by).toBe(0);
      expect(await shop.contents('destination')).toEqual(await shop.contents('source'));
    });
  }

  it('its process is killed, and resumed: the fence is lifted, and nothing is cut over by itself', async () => {
    await using shop = await Shop.open('postgres18', 'postgres18');
    const before = await shop.settings(), running = await shop.program.live(), { at, end, hold } = points[2]!;
    const holder = await shop.client(end, ...hold), cutover = shop.program.cutover('--fence');
    await running.says(at);
    running.kill('SIGKILL');
    await cutover;
    await holder.end();
    const resumed = shop.program.run('resume', shop.program.id);
    await resumed.says(/follow/);
    await resumed.says(/nothing left to apply/);
    expect(await shop.settings()).toEqual(before);
    await shop.insert('source', 'orders', 'goes on');
    expect((await shop.program.cutover('--fence')).by).toBe(0);
    expect((await resumed.ended).by).toBe(0);
  });
});
