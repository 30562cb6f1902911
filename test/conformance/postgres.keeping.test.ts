import { expect, onTestFinished, test } from 'vitest';
import { postgres } from '../../src/connectors/postgres/connector.js';
import { openLog } from '../../src/connectors/postgres/log.js';
import { loginOf } from '../../src/connectors/postgres/login.js';
import type { ChangeLog, Finding, LogKeeping, LogPlace, LogRow, OpenOptions, Pin, Shape, Source } from '../../src/contract.js';
import { describeWith, freshDatabase, freshSql, ownServer, withDatabase, type FreshDatabase, type OwnServer } from '../servers/index.js';
import { textRows } from '../servers/sql.js';
import { standbyOf } from '../servers/standby.js';

/* What keeps PostgreSQL's log for a run: slots and publications that are given, standbys, failover, and how long it lasts. */

const never = new AbortController().signal;
const every = { include: ['**'], exclude: [] };
const options: OpenOptions = { signal: never, connections: 2, batchBytes: 256 << 10 };
let count = 0;
const unique = (word: string): string => `${word}_${process.pid}_${count++}`;

type Follows = Source & { readonly log: ChangeLog };

async function database(name: 'postgres18' | 'postgres14'): Promise<FreshDatabase> {
  const made = await freshDatabase(name);
  onTestFinished(() => made[Symbol.asyncDispose]());
  return made;
}

async function sourceOf(url: string, keeping?: LogKeeping): Promise<Follows> {
  const source = await postgres.openSource!(url, { ...options, ...(keeping && { keeping }) });
  onTestFinished(() => source[Symbol.asyncDispose]());
  return source as Follows;
}

async function slotOf(made: FreshDatabase, more = ''): Promise<string> {
  const slot = unique('given');
  await made.query(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput'${more})`);
  onTestFinished(async () => { await made.query(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '${slot}'`); });
  return slot;
}

const codesOf = (findings: readonly Finding[]): string[] => findings.map(({ level, code }) => `${level} ${code}`);

/** The rows of the moment, and the inserted ones that the log has after it, up to its present end. */
async function copiedAndFollowed(source: Follows, run: string, shapes: readonly Shape[], meanwhile: () => Promise<unknown>): Promise<{ copied: LogRow[]; followed: LogRow[]; pins: Pin[]; place: LogPlace }> {
  const pins: Pin[] = [], copied: LogRow[] = [];
  const snapshot = await source.log.pin(run, shapes, (pin) => { pins.push(pin); }, never);
  const start: LogPlace = { position: snapshot.moment.position!, changes: 0 };
  await meanwhile();
  for (const shape of shapes) for (const task of await snapshot.plan(shape, { taskBytes: 1 << 20 }, never)) {
    for await (const { rows } of snapshot.read({ task, shape, format: 'values', sequence: 0 }, never)) if (rows.format === 'values') copied.push(...rows.rows);
  }
  await snapshot[Symbol.asyncDispose]();
  const { rows: followed, place } = await followedFrom(source, run, shapes, start);
  return { copied, followed, pins, place };
}

async function followedFrom(source: Follows, run: string, shapes: readonly Shape[], from: LogPlace): Promise<{ rows: LogRow[]; place: LogPlace }> {
  const goal = await source.log.head(never), stopping = new AbortController(), reason = new Error('enough'), rows: LogRow[] = [];
  let place = from;
  try {
    for await (const message of source.log.follow({ run, shapes, from, bytes: 1 << 20 }, stopping.signal)) {
      if (message.kind === 'changes') rows.push(...message.changes.flatMap((change) => ('row' in change ? [change.row] : [])));
      if ('place' in message) ({ place } = message);
      if ('place' in message && place.changes === 0 && source.log.reached(place.position, goal)) stopping.abort(reason);
    }
  } catch (error) {
    if (error !== reason) throw error;
  }
  return { rows, place };
}

for (const server of ['postgres18', 'postgres14'] as const) describeWith(server, `a slot and a publication that are given to ${server}`, () => {
  test('what the slot held back before the moment is not applied twice, also to a table without a key', async () => {
    const made = await database(server), publication = unique('p');
    await made.query(`CREATE TABLE t (id int); ALTER TABLE t REPLICA IDENTITY FULL; CREATE PUBLICATION ${publication} FOR ALL TABLES; INSERT INTO t VALUES (1)`);
    const slot = await slotOf(made);
    await made.query('INSERT INTO t VALUES (2), (3)');
    const source = await sourceOf(made.url, { slot, publication }), shapes = await source.shapes(every, never), run = unique('r');
    expect(await source.log.check(shapes, never)).toEqual([]);
    const { copied, followed, pins, place } = await copiedAndFollowed(source, run, shapes, () => made.query('INSERT INTO t VALUES (4)'));
    expect([copied.flat(), followed.flat()]).toEqual([[1, 2, 3], [4]]);
    expect(pins.map(({ names }) => names)).toEqual([[], []]);
    source.log.confirm(place.position);
    await made.query('INSERT INTO t VALUES (5)');
    expect((await followedFrom(source, run, shapes, place)).rows.flat()).toEqual([5]);
    await source.log.unpin(run, never);
    const left = await made.query(`SELECT slot_name, confirmed_flush_lsn::text AS confirmed FROM pg_replication_slots WHERE database = current_database() UNION ALL SELECT pubname, NULL FROM pg_publication`);
    expect(left).toEqual([{ slot_name: slot, confirmed: place.position }, { slot_name: publication, confirmed: null }]);
  });

  test('one of the two may be given: the other is made, and dropped', async () => {
    const made = await database(server), publication = unique('p');
    await made.query(`CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION ${publication} FOR TABLE t; INSERT INTO t VALUES (1)`);
    const slot = await slotOf(made);
    for (const keeping of [{ slot }, { publication }]) {
      const source = await sourceOf(made.url, keeping), shapes = await source.shapes(every, never), run = unique('r'), id = count + 10;
      const { followed, pins } = await copiedAndFollowed(source, run, shapes, () => made.query(`INSERT INTO t VALUES (${id})`));
      expect(followed.flat()).toEqual([id]);
      expect(pins[0]!.names).toEqual([`${'slot' in keeping ? 'publication' : 'replication slot'} dsync_${run}`]);
      // Pinned again, the publication stays as it is: the log would not know a new one.
      await (await source.log.pin(run, shapes, () => undefined, never))[Symbol.asyncDispose]();
      await source.log.unpin(run, never);
      expect(await made.query('SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database() UNION ALL SELECT pubname FROM pg_publication ORDER BY 1')).toEqual([slot, publication].sort().map((name) => ({ name })));
    }
  });

  test('the check says what is wrong with them, with the statement that mends it', async () => {
    const made = await database(server), publication = unique('p'), pooler = await database(server);
    await made.query(`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
      CREATE TABLE b (id int PRIMARY KEY, x int, y int); CREATE PUBLICATION ${publication} FOR TABLE p ${server === 'postgres18' ? ', b (id, x)' : ''} WITH (publish = 'insert, update')`);
    const slot = await slotOf(made), shapes = await (await sourceOf(made.url)).shapes(every, never);
    const findings = async (keeping: LogKeeping) => (await (await sourceOf(made.url, keeping)).log.check(shapes, never)).filter(({ code }) => code !== 'partitions');
    const wrong = await findings({ slot, publication });
    expect(codesOf(wrong)).toEqual(['error publication-operations', 'error publication-table', server === 'postgres18' ? 'error publication-part' : 'error publication-table', 'error publication-root']);
    for (const { remedy } of wrong) await made.query(remedy!);
    expect(await findings({ slot, publication })).toEqual([]);
    expect(codesOf(await findings({ slot: 'nowhere', publication: 'nowhere' }))).toEqual(['error slot-missing', 'error publication-missing']);
    await made.query((await findings({ publication: 'nowhere' }))[0]!.remedy!);
    expect(await findings({ publication: 'nowhere' })).toEqual([]);
    const others = [await slotOf(pooler), unique('text'), unique('physical'), await slotOf(made, ', false, true')];
    await made.query(`SELECT pg_create_logical_replication_slot('${others[1]}', 'test_decoding')`).catch(() => undefined);
    await made.query(`SELECT pg_create_physical_replication_slot('${others[2]}')`);
    onTestFinished(async () => { await made.query(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name IN ('${others[1]}', '${others[2]}')`); });
    expect(codesOf(await findings({ slot: others[0] }))).toEqual(['error slot-database']);
    expect(codesOf(await findings({ slot: others[2] }))).toEqual(['error slot-plugin']);
    expect(codesOf(await findings({ slot: others[3] }))).toEqual(['error slot-two-phase']);
  });

  test('a table that leaves the publication later ends following, in place of losing its changes', async () => {
    const made = await database(server), publication = unique('p');
    await made.query(`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE PUBLICATION ${publication} FOR TABLE a, b`);
    const source = await sourceOf(made.url, { publication }), shapes = await source.shapes(every, never), run = unique('r');
    onTestFinished(async () => { await using remover = await postgres.openSource!(made.url, options); await remover.log!.unpin(run, never); });
    const { place } = await copiedAndFollowed(source, run, shapes, () => made.query('INSERT INTO a VALUES (1)'));
    await made.query(`ALTER PUBLICATION ${publication} DROP TABLE b`);
    await expect(followedFrom(source, run, shapes, place)).rejects.toMatchObject({ code: 'not-ready', message: expect.stringContaining('public.b'), remedy: `ALTER PUBLICATION "${publication}" ADD TABLE "public"."b"` });
  });

  test('who may not write marks into the log is told so', async () => {
    const made = await database(server), role = unique('mute');
    await made.query(`CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'pw'; GRANT CREATE ON DATABASE ${made.name} TO ${role}; ALTER TABLE t OWNER TO ${role}`);
    onTestFinished(async () => { await made.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`); });
    const url = new URL(made.url);
    url.username = role;
    const source = await sourceOf(url.href), shapes = await source.shapes(every, never), check = () => source.log.check(shapes, never);
    expect(await check()).toEqual([]);
    const marks = (await made.query("SELECT oid::regprocedure::text AS f FROM pg_proc WHERE proname = 'pg_logical_emit_message'")).map(({ f }) => f);
    await made.query(marks.map((f) => `REVOKE EXECUTE ON FUNCTION ${f} FROM PUBLIC`).join('; '));
    const [found, ...more] = await check();
    expect([found, more]).toMatchObject([{ level: 'warning', code: 'no-heartbeat' }, []]);
    await made.query(found!.remedy!);
    expect(await check()).toEqual([]);
  });
});

describeWith('postgres18', 'a standby of postgres18', () => {
  test('is followed by a slot of its own, beside a publication of its primary, without a gap', async () => {
    await using primary = await ownServer('postgres18');
    await using made = await freshSql(primary.url);
    await made.query('CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t SELECT g FROM generate_series(1, 100) g');
    await using standby = await standbyOf(primary, 'postgres18');
    const url = withDatabase(standby.url, made.name), shapes = await (await sourceOf(made.url)).shapes(every, never);
    const bare = await (await sourceOf(url)).log.check(shapes, never);
    expect(codesOf(bare)).toEqual(['error publication-on-standby']);
    await made.query(/on the primary: (.*); then/.exec(bare[0]!.remedy!)![1]!);
    await replayed(primary.url, standby.url);
    const source = await sourceOf(url, { publication: 'dsync' }), run = unique('r');
    expect(codesOf(await source.log.check(shapes, never))).toEqual(['info standby']);
    await expectUnheard(url, shapes);
    const telling = setInterval(() => void textRows(primary.url, 'SELECT pg_log_standby_snapshot()').catch(() => undefined), 300);
    const { copied, followed, place } = await copiedAndFollowed(source, run, shapes, async () => {
      clearInterval(telling);
      await made.query("INSERT INTO t VALUES (101, 'later')");
      await replayed(primary.url, standby.url);
    }).finally(() => clearInterval(telling));
    expect(copied).toHaveLength(100);
    expect(followed).toEqual([[101, 'later']]);
    source.log.confirm(place.position);
    await made.query("INSERT INTO t VALUES (102, 'last')");
    await replayed(primary.url, standby.url);
    expect((await followedFrom(source, run, shapes, place)).rows).toEqual([[102, 'last']]);
    expect((await source.log.retention(run, place.position, never)).bytes).toBeGreaterThanOrEqual(0);
    await source.log.unpin(run, never);
    expect(await textRows(standby.url, 'SELECT slot_name FROM pg_replication_slots')).toEqual([]);
  }, 120_000);
});

describeWith('postgres18', 'how long postgres18 keeps the log', () => {
  test('is told as an estimate from the pace between two calls, where the server has a limit', async () => {
    await using own = await ownServer('postgres18', { flags: async () => ['-c', 'max_slot_wal_keep_size=200MB', '-c', 'idle_replication_slot_timeout=60min'] });
    await using made = await freshSql(own.url);
    await made.query('CREATE TABLE t (id int PRIMARY KEY)');
    await using source = await postgres.openSource!(made.url, options) as Follows;
    const shapes = await source.shapes(every, never), run = unique('r');
    expect(codesOf(await source.log.check(shapes, never))).toEqual(['info wal-keep', 'warning idle-slot']);
    await (await source.log.pin(run, shapes, () => undefined, never))[Symbol.asyncDispose]();
    const filler = "SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000)) FROM generate_series(1, 5)";
    const position = await source.log.head(never);
    expect(await source.log.retention(run, position, never)).toEqual({ bytes: expect.any(Number) });
    for (let found = {}; !('secondsLeft' in found);) {
      await made.query(filler);
      found = await source.log.retention(run, position, never);
      if ('secondsLeft' in found) expect(found).toEqual({ bytes: expect.any(Number), secondsLeft: expect.any(Number), estimated: true });
    }
    const look = await source.log.look!(never);
    expect(look).toMatchObject({ mostBytes: 200 * 2 ** 20, written: expect.any(Number) });
    // Nobody reads the run's slot now.
    expect(look.heldBack.map(({ code }) => code)).toEqual(['unread-slot']);
  });
});

describeWith('postgres18', 'a failover of postgres18', () => {
  test('loses nothing where standbys take the slot over: the run goes on from the promoted one', async () => {
    await using primary = await ownServer('postgres18');
    await using made = await freshSql(primary.url);
    await made.query('CREATE TABLE t (id int PRIMARY KEY)');
    await using standby = await standbyOf(primary, 'postgres18', ['-c', 'sync_replication_slots=on']);
    const source = await sourceOf(made.url, { failover: true }), shapes = await source.shapes(every, never), run = unique('r');
    expect(await source.log.check(shapes, never)).toEqual([]);
    const identity = await source.identity(never), { followed, place: first } = await copiedAndFollowed(source, run, shapes, () => made.query('INSERT INTO t VALUES (1)'));
    expect(followed.flat()).toEqual([1]);
    const place = await takenOver(source, run, shapes, first, { primary, standby });
    await made.query('INSERT INTO t VALUES (2)');
    await replayed(primary.url, standby.url);
    await primary.kill();
    await textRows(standby.url, 'SELECT pg_promote(true)');
    await textRows(withDatabase(standby.url, made.name), 'INSERT INTO t VALUES (3)');
    const after = await sourceOf(withDatabase(standby.url, made.name));
    expect(await after.identity(never)).toBe(identity);
    expect((await followedFrom(after, run, shapes, place)).rows.flat()).toEqual([2, 3]);
    await primary.restart();
  }, 120_000);

  test('is refused where the promoted server lacks what was applied already', async () => {
    await using primary = await ownServer('postgres18');
    await using made = await freshSql(primary.url);
    await made.query('CREATE TABLE t (id int PRIMARY KEY)');
    await using standby = await standbyOf(primary, 'postgres18', ['-c', 'sync_replication_slots=on']);
    const source = await sourceOf(made.url, { failover: true }), shapes = await source.shapes(every, never), run = unique('r');
    let { place } = await copiedAndFollowed(source, run, shapes, () => made.query('INSERT INTO t VALUES (1)'));
    place = await takenOver(source, run, shapes, place, { primary, standby });
    await replayed(primary.url, standby.url);
    const kept = place;
    await standby.kill();
    await made.query('INSERT INTO t VALUES (2)');
    ({ place } = await followedFrom(source, run, shapes, place));
    await primary.kill();
    await standby.restart();
    await textRows(standby.url, 'SELECT pg_promote(true)');
    const after = await sourceOf(withDatabase(standby.url, made.name));
    await textRows(withDatabase(standby.url, made.name), 'INSERT INTO t VALUES (3)');
    await expect(followedFrom(after, run, shapes, place)).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining(place.position) });
    expect((await followedFrom(after, run, shapes, kept)).rows.flat()).toEqual([3]);
    await primary.restart();
  }, 120_000);

  test('is not asked of a server that has none', async () => {
    const made = await database('postgres18');
    await made.query('CREATE TABLE t (id int PRIMARY KEY)');
    const slot = await slotOf(made), source = await sourceOf(made.url, { slot, failover: true });
    expect(await source.log.check(await source.shapes(every, never), never)).toMatchObject([{ code: 'failover-slot', error: 'usage' }]);
  });
});

/** A primary that has just told of its transactions by itself is asked again. */
async function expectUnheard(url: string, shapes: readonly Shape[]): Promise<void> {
  const hasty = openLog(loginOf(url), () => { throw new Error('unused'); }, { slotSeconds: 0.5, keeping: { publication: 'dsync' } }), run = unique('r');
  onTestFinished(() => hasty[Symbol.asyncDispose]());
  for (let failure: { code?: string; remedy?: string } = {}; failure.code !== 'not-ready';) {
    failure = await hasty.pin(run, shapes, () => undefined, never).then(() => expect.fail('a snapshot out of nothing'), (error: { code?: string; remedy?: string }) => error);
    if (failure.code === 'not-ready') expect(failure.remedy).toContain('SELECT pg_log_standby_snapshot()');
    await hasty.unpin(run, never);
  }
}

/** All that the primary has committed can be read on the standby. */
async function replayed(primary: string, standby: string): Promise<void> {
  const [{ end }] = await textRows(primary, 'SELECT pg_current_wal_flush_lsn()::text AS end') as [{ end: string }];
  for (let there = 'f'; there !== 't';) [{ there }] = await textRows(standby, `SELECT (pg_last_wal_replay_lsn() >= '${end}'::pg_lsn)::text::char AS there`) as [{ there: string }];
}

/** Follows until the standby has the slot: it takes it over once that has come to where the standby began. */
async function takenOver(source: Follows, run: string, shapes: readonly Shape[], start: LogPlace, { primary, standby }: { readonly primary: OwnServer; readonly standby: OwnServer }): Promise<LogPlace> {
  for (let place = start;;) {
    ({ place } = await followedFrom(source, run, shapes, place));
    source.log.confirm(place.position);
    await textRows(primary.url, 'SELECT pg_log_standby_snapshot()');
    if ((await textRows(standby.url, 'SELECT 1 FROM pg_replication_slots WHERE synced AND NOT temporary AND failover')).length > 0) return place;
  }
}
