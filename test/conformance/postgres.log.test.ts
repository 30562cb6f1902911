import { expect, onTestFinished, test } from 'vitest';
import type { Change, ChangeLog, FollowJob, LogPlace, LogRow, OpenOptions, Pin, Row, Shape, Snapshot, Source } from '../../src/contract.js';
import { postgres } from '../../src/connectors/postgres/connector.js';
import { openLog } from '../../src/connectors/postgres/log.js';
import { loginOf } from '../../src/connectors/postgres/login.js';
import { pinName } from '../../src/connectors/postgres/pin.js';
import { connectText, describeWith, freshDatabase, freshSql, ownServer, type FreshDatabase, type TextConnection } from '../servers/index.js';
import { everyType } from './every-type.js';
import { following, type Following } from './following.js';

const never = new AbortController().signal;
const options: OpenOptions = { signal: never, connections: 2, batchBytes: 256 << 10 };

async function database(name: 'postgres18' | 'postgres14'): Promise<FreshDatabase> {
  const made = await freshDatabase(name);
  onTestFinished(() => made[Symbol.asyncDispose]());
  return made;
}

async function sourceOf(url: string): Promise<Source & { readonly log: ChangeLog }> {
  const source = await postgres.openSource!(url, options);
  onTestFinished(() => source[Symbol.asyncDispose]());
  return source as Source & { readonly log: ChangeLog };
}

async function connection(url: string): Promise<TextConnection> {
  const made = await connectText(url);
  onTestFinished(() => made.end());
  return made;
}

const every = { include: ['**'], exclude: [] };
let runs = 0;

interface World { readonly database: FreshDatabase; readonly source: Source & { readonly log: ChangeLog }; readonly log: ChangeLog; readonly run: string; readonly shapes: readonly Shape[]; readonly pins: readonly Pin[]; readonly snapshot: Snapshot; readonly start: LogPlace }

/** A database with these tables, pinned for a run of its own. What was pinned goes with the test. */
async function pinned(made: FreshDatabase, ddl: string): Promise<World> {
  await made.query(ddl);
  const source = await sourceOf(made.url), run = `r${process.pid}_${runs++}`;
  const shapes = await source.shapes(every, never), pins: Pin[] = [];
  onTestFinished(async () => {
    await using remover = await postgres.openSource!(made.url, options);
    await remover.log!.unpin(run, never);
  });
  const snapshot = await source.log.pin(run, shapes, (pin) => { pins.push(pin); }, never);
  onTestFinished(() => snapshot[Symbol.asyncDispose]());
  return { database: made, source, log: source.log, run, shapes, pins, snapshot, start: { position: snapshot.moment.position!, changes: 0 } };
}

const jobOf = ({ run, shapes, start }: World, changed: Partial<FollowJob> = {}): FollowJob => ({ run, shapes, from: start, bytes: 1 << 20, ...changed });

/** Everything up to where the log ends now. */
async function followed(world: World, changed: Partial<FollowJob> = {}): Promise<Following> {
  const goal = await world.log.head(never), all = following(world.log, jobOf(world, changed));
  await all.until(() => all.place()?.changes === 0 && world.log.reached(all.place()!.position, goal));
  expect(await all.stop()).toBeUndefined();
  return all;
}

async function readAll(snapshot: Snapshot, shape: Shape): Promise<Row[]> {
  const rows: Row[] = [];
  for (const task of await snapshot.plan(shape, { taskBytes: 64 << 10 }, never)) {
    for await (const { rows: batch } of snapshot.read({ task, shape, format: 'values', sequence: 0 }, never)) if (batch.format === 'values') rows.push(...batch.rows);
  }
  return rows;
}

/** The rows that the table has now, in normal form, as the copy reads them. */
async function rowsNow({ source, shapes }: World, name: string): Promise<Row[]> {
  const snapshot = await source.snapshot(shapes, never);
  try {
    return await readAll(snapshot, shapes.find((shape) => shape.name === name)!);
  } finally {
    await snapshot[Symbol.asyncDispose]();
  }
}

const spelled = (row: LogRow): string => JSON.stringify(row, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : Object.is(value, -0) ? '-0' : typeof value === 'number' && !Number.isFinite(value) ? String(value) : value));
const byText = (rows: readonly LogRow[]): string[] => rows.map(spelled).sort();

/** A table as the log makes it, strict: a row that is there already, or that is not there, is a gap or an overlap. */
function replay(shape: Shape, before: readonly Row[], changes: readonly Change[]): Row[] {
  const keyed = shape.key.length > 0, keyOf = (row: LogRow) => spelled(keyed ? shape.key.map((place) => row[place]) as LogRow : row);
  const rows = new Map<string, Row[]>();
  const put = (row: LogRow) => {
    const there = rows.get(keyOf(row)) ?? [];
    if (keyed && there.length > 0) throw new Error(`${shape.namespace} has ${keyOf(row)} already`);
    rows.set(keyOf(row), [...there, row as Row]);
  };
  const take = (row: LogRow): Row => {
    const there = rows.get(keyOf(row)) ?? [];
    if (there.length === 0) throw new Error(`${shape.namespace} has no ${keyOf(row)}`);
    rows.set(keyOf(row), there.slice(1));
    return there[0]!;
  };
  before.forEach(put);
  for (const change of changes.filter(({ namespace }) => namespace === shape.namespace)) {
    if (change.kind === 'truncate') rows.clear();
    else if (change.kind === 'insert') put(change.row);
    else if (change.kind === 'delete') take(change.before);
    else {
      const old = take(change.before ?? change.row);
      put(change.row.map((cell, i) => (cell === undefined ? old[i]! : cell)));
    }
  }
  return [...rows.values()].flat();
}

const hostileDefaults = ["TimeZone = 'Asia/Kolkata'", "DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", 'extra_float_digits = -15', "bytea_output = 'escape'", "client_encoding = 'LATIN1'", "xmloption = 'document'"];

for (const server of ['postgres18', 'postgres14'] as const) describeWith(server, `the log of ${server}`, () => {
  test('the snapshot and the log together are the source, while a writer works: no gap, no overlap', async () => {
    const made = await database(server);
    await made.query(`CREATE TABLE t (id int PRIMARY KEY, n int, note text); INSERT INTO t SELECT g, 0, repeat('x', 200) FROM generate_series(1, 3000) g;
      CREATE TABLE h (n int, note text); ALTER TABLE h REPLICA IDENTITY FULL; INSERT INTO h SELECT g % 50, 'x' FROM generate_series(1, 500) g`);
    const writers = await Promise.all([connection(made.url), connection(made.url)]);
    let writing = true, written = 0;
    const work = writers.map(async (writer, w) => {
      for (let i = 0; writing; i++, written++) {
        const id = 1 + ((i * 7919 + w * 31) % 3000), fresh = 10_000 + 2 * i + w;
        await writer.query(`BEGIN; UPDATE t SET n = n + 1 WHERE id = ${id}; INSERT INTO t VALUES (${fresh}, ${i}, 'é'); DELETE FROM t WHERE id = ${fresh - 40};
          ${i % 5 === 0 ? `UPDATE t SET id = -id WHERE id = ${fresh};` : ''} INSERT INTO h VALUES (${i % 7}, 'w'); DELETE FROM h WHERE ctid IN (SELECT ctid FROM h WHERE n = ${i % 7} AND note = 'w' LIMIT 1 FOR UPDATE SKIP LOCKED); COMMIT`);
      }
    });
    const world = await pinned(made, 'SELECT');
    const byName = (name: string) => world.shapes.find((shape) => shape.name === name)!;
    const before = { t: await readAll(world.snapshot, byName('t')), h: await readAll(world.snapshot, byName('h')) };
    const since = written;
    while (written < since + 400) await new Promise(setImmediate);
    writing = false;
    await Promise.all(work);
    const changes = (await followed(world, { bytes: 32 << 10 })).changes();
    expect(changes.length).toBeGreaterThan(1000);
    for (const name of ['t', 'h'] as const) expect(byText(replay(byName(name), before[name], changes))).toEqual(byText(await rowsNow(world, name)));
  });

  test('every kind of change is told, with the key that it had before', async () => {
    const world = await pinned(await database(server), "CREATE TABLE t (id int, part text, note text, PRIMARY KEY (part, id)); INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'z')");
    await world.database.query("INSERT INTO t VALUES (4, 'é', NULL)");
    await world.database.query("UPDATE t SET note = 'é' WHERE id = 1; UPDATE t SET id = 20, note = '' WHERE id = 2; DELETE FROM t WHERE id = 3");
    await world.database.query('TRUNCATE t');
    const all = await followed(world);
    expect(all.messages[0]).toEqual({ kind: 'shape', shape: world.shapes[0], changed: false });
    const namespace = 'public.t';
    expect(all.changes()).toEqual([
      { kind: 'insert', namespace, row: [4, 'é', null] }, { kind: 'update', namespace, row: [1, 'a', 'é'] },
      { kind: 'update', namespace, before: [2, 'b', undefined], row: [20, 'b', ''] }, { kind: 'delete', namespace, before: [3, 'c', undefined] },
      { kind: 'truncate', namespace },
    ]);
  });

  test('a full replica identity gives the key alone, or all cells where there is no key', async () => {
    const world = await pinned(await database(server), "CREATE TABLE k (id int PRIMARY KEY, note text); CREATE TABLE h (id int, note text); ALTER TABLE k REPLICA IDENTITY FULL; ALTER TABLE h REPLICA IDENTITY FULL; INSERT INTO k VALUES (1, 'a'), (2, 'b'); INSERT INTO h VALUES (1, 'a'), (1, 'a')");
    await world.database.query("UPDATE k SET note = 'c' WHERE id = 1; UPDATE k SET id = 5 WHERE id = 2; DELETE FROM k WHERE id = 5; UPDATE h SET note = NULL WHERE ctid = '(0,1)'; DELETE FROM h WHERE ctid = '(0,2)'");
    expect((await followed(world)).changes()).toEqual([
      { kind: 'update', namespace: 'public.k', row: [1, 'c'] }, { kind: 'update', namespace: 'public.k', before: [2, undefined], row: [5, 'b'] },
      { kind: 'delete', namespace: 'public.k', before: [5, undefined] },
      { kind: 'update', namespace: 'public.h', before: [1, 'a'], row: [1, null] }, { kind: 'delete', namespace: 'public.h', before: [1, 'a'] },
    ]);
  });

  test('an index as replica identity names the rows by its columns', async () => {
    const world = await pinned(await database(server), "CREATE TABLE t (note text, b int NOT NULL, a int NOT NULL, CONSTRAINT named UNIQUE (a, b)); ALTER TABLE t REPLICA IDENTITY USING INDEX named; INSERT INTO t VALUES ('x', 1, 1), ('y', 2, 2)");
    expect(world.shapes[0]!.key).toEqual([2, 1]);
    expect((await world.log.check(world.shapes, never)).filter(({ level }) => level === 'error')).toEqual([]);
    await world.database.query("UPDATE t SET note = 'z' WHERE a = 1; UPDATE t SET a = 9 WHERE a = 1; DELETE FROM t WHERE a = 2");
    const all = await followed(world);
    expect(all.messages[0]).toMatchObject({ kind: 'shape', changed: false });
    expect(all.changes()).toEqual([
      { kind: 'update', namespace: 'public.t', row: ['z', 1, 1] }, { kind: 'update', namespace: 'public.t', before: [undefined, 1, 1], row: ['z', 1, 9] },
      { kind: 'delete', namespace: 'public.t', before: [undefined, 2, 2] },
    ]);
  });

  test('an unchanged TOASTed value is undefined, never null; a full identity fills it in', async () => {
    const world = await pinned(await database(server), `CREATE TABLE d (id int PRIMARY KEY, big text, note text); ALTER TABLE d ALTER big SET STORAGE EXTERNAL; CREATE TABLE f (LIKE d INCLUDING ALL); ALTER TABLE f REPLICA IDENTITY FULL;
      CREATE TABLE k (big text PRIMARY KEY, note text); ALTER TABLE k ALTER big SET STORAGE EXTERNAL;
      INSERT INTO d VALUES (1, repeat('é', 9000), 'a'), (2, NULL, 'b'); INSERT INTO f TABLE d; INSERT INTO k VALUES (repeat('k', 2500), 'a')`);
    await world.database.query("UPDATE d SET note = 'c'; UPDATE d SET id = 3 WHERE id = 1; UPDATE f SET note = 'c' WHERE id = 1; UPDATE k SET note = 'c'");
    const big = 'é'.repeat(9000);
    expect((await followed(world)).changes()).toEqual([
      { kind: 'update', namespace: 'public.d', row: [1, undefined, 'c'] }, { kind: 'update', namespace: 'public.d', row: [2, null, 'c'] },
      { kind: 'update', namespace: 'public.d', before: [1, undefined, undefined], row: [3, undefined, 'c'] },
      { kind: 'update', namespace: 'public.f', row: [1, big, 'c'] }, { kind: 'update', namespace: 'public.k', row: ['k'.repeat(2500), 'c'] },
    ]);
  });

  test('every type is spelled as the copy and the scan spell it, whatever the defaults', async () => {
    const made = await database(server);
    await made.query(everyType);
    for (const setting of hostileDefaults) await made.query(`ALTER DATABASE ${made.name} SET ${setting}`);
    const world = await pinned(made, 'CREATE TABLE kept (LIKE t INCLUDING ALL); INSERT INTO kept TABLE t');
    await made.query('DELETE FROM t; INSERT INTO t TABLE kept');
    const inserted = (await followed(world)).changes().flatMap((change) => (change.kind === 'insert' ? [change.row] : []));
    expect(byText(inserted)).toEqual(byText(await rowsNow(world, 't')));
    const snapshot = await world.source.snapshot(world.shapes, never), scanned: Row[] = [];
    for await (const rows of snapshot.scan({ shape: world.shapes.find(({ name }) => name === 't')!, part: {} }, never)) scanned.push(...rows);
    await snapshot[Symbol.asyncDispose]();
    expect(byText(inserted)).toEqual(byText(scanned));
    expect(inserted).toHaveLength(4);
  });

  test('generated columns have the values that the copy reads, also where the log does not have them', async () => {
    const virtual = server === 'postgres18' ? ", v text GENERATED ALWAYS AS (upper(note) || id || coalesce(length(big), 0)) VIRTUAL" : '';
    const world = await pinned(await database(server), `CREATE TABLE t (s bigint GENERATED ALWAYS AS (id * 2) STORED, id int PRIMARY KEY, note text${virtual}, w numeric GENERATED ALWAYS AS (id / 3.0) STORED, big text, l int GENERATED ALWAYS AS (length(big) + length(note)) STORED);
      ALTER TABLE t ALTER big SET STORAGE EXTERNAL; INSERT INTO t (id, note, big) VALUES (1, 'a', repeat('x', 9000))`);
    await world.database.query("INSERT INTO t (id, note) VALUES (2, 'b'''), (3, NULL); UPDATE t SET id = 30 WHERE id = 3; UPDATE t SET note = 'zz' WHERE id = 1");
    const all = await followed(world);
    expect(all.messages.filter(({ kind }) => kind === 'shape')).toEqual([{ kind: 'shape', shape: world.shapes[0], changed: false }]);
    const before = [[2n, 1, 'a', ...(virtual ? ['A19000'] : []), '0.33333333333333333333', 'x'.repeat(9000), 9001] as Row];
    expect(byText(replay(world.shapes[0]!, before, all.changes()))).toEqual(byText(await rowsNow(world, 't')));
  });

  test('the changes of partitions are those of their table, a row that moves between them too', async () => {
    const world = await pinned(await database(server), `CREATE TABLE p (id int, k int, note text, PRIMARY KEY (id, k)) PARTITION BY RANGE (k); CREATE TABLE p1 (note text, k int NOT NULL, id int NOT NULL); ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10);
      CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (1, 1, 'a')`);
    await world.database.query("INSERT INTO p VALUES (2, 2, 'b'); INSERT INTO p1 (id, k, note) VALUES (3, 3, 'c'); UPDATE p SET k = 12 WHERE id = 2; UPDATE p SET note = 'd' WHERE id = 1");
    await world.database.query("CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30); INSERT INTO p VALUES (4, 25, 'e')");
    const changes = (await followed(world)).changes();
    expect(new Set(changes.map(({ namespace }) => namespace))).toEqual(new Set(['public.p']));
    expect(byText(replay(world.shapes[0]!, [[1, 1, 'a']], changes))).toEqual(byText(await rowsNow(world, 'p')));
    await world.database.query('TRUNCATE p');
    expect((await followed(world)).changes().at(-1)).toEqual({ kind: 'truncate', namespace: 'public.p' });
  });

  test('a large transaction comes in pieces within the limit, and is gone on with in its middle', async () => {
    const world = await pinned(await database(server), 'CREATE TABLE t (id int PRIMARY KEY, note text); CREATE TABLE other (id int)');
    await world.database.query("INSERT INTO t VALUES (0, 'before')");
    await world.database.query("INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 200000) g");
    await world.database.query("INSERT INTO t VALUES (-1, 'after')");
    const bytes = 1 << 20, all = await followed(world, { bytes });
    const ids = (following: Following) => following.changes().map((change) => ('row' in change ? change.row[0] : undefined));
    const pieces = all.messages.filter((message) => message.kind === 'changes');
    expect(pieces.length).toBeGreaterThan(20);
    for (const piece of pieces) expect(piece.bytes).toBeLessThanOrEqual(bytes);
    expect(ids(all)).toEqual([...Array(200_001).keys(), -1]);
    let count = 0;
    for (const { changes, place } of pieces.slice(1, 10)) expect(place).toEqual({ position: pieces[1]!.place.position, changes: count += changes.length });
    const middle = pieces[10]!.place;
    expect(middle.changes).toBeGreaterThan(10_000);
    const rest = await followed(world, { bytes, from: middle });
    expect(ids(rest)).toEqual(ids(all).slice(1 + middle.changes));
  });

  test('what was not confirmed comes again to another process, and what was is let go', async () => {
    const world = await pinned(await database(server), 'CREATE TABLE t (id int PRIMARY KEY)');
    await world.database.query('INSERT INTO t VALUES (1)');
    const first = await followed(world), place = first.place()!;
    await world.source[Symbol.asyncDispose]();
    const second = await sourceOf(world.database.url), again = { ...world, log: second.log };
    const kept = await followed(again);
    expect(kept.changes()).toEqual(first.changes());
    await world.database.query('INSERT INTO t VALUES (2)');
    second.log.confirm(place.position);
    const rest = await followed(again, { from: place });
    expect(rest.changes()).toEqual([{ kind: 'insert', namespace: 'public.t', row: [2] }]);
    const [slot] = await world.database.query('SELECT confirmed_flush_lsn::text AS confirmed FROM pg_replication_slots WHERE slot_name = $1', [`dsync_${world.run}`]);
    expect(slot!.confirmed).toBe(place.position);
    await expect(following(second.log, jobOf(world)).ended).resolves.toMatchObject({ code: 'history-lost', message: expect.stringContaining(place.position) });
  });

  test('an idle run lets the log go beside a busy other database', async () => {
    const world = await pinned(await database(server), 'CREATE TABLE t (id int PRIMARY KEY)'), busy = await database(server);
    const idle = following(world.log, jobOf(world), (message) => { if ('place' in message) world.log.confirm(message.place.position); });
    await busy.query("CREATE TABLE b AS SELECT g, repeat('x', 300) FROM generate_series(1, 20000) g");
    const goal = await world.log.head(never);
    await idle.until(() => idle.place() !== undefined && world.log.reached(idle.place()!.position, goal));
    expect(idle.changes()).toEqual([]);
    for (let confirmed = world.start.position; !world.log.reached(confirmed, goal);) {
      [{ confirmed }] = await world.database.query('SELECT confirmed_flush_lsn::text AS confirmed FROM pg_replication_slots WHERE slot_name = $1 AND active', [`dsync_${world.run}`]) as [{ confirmed: string }];
    }
    expect((await world.log.retention(world.run, goal, never)).bytes).toBeGreaterThanOrEqual(0);
    expect(await idle.stop()).toBeUndefined();
  });

  test('a silent database is written to now and then, so that its log is read on', async () => {
    const world = await pinned(await database(server), 'CREATE TABLE t (id int PRIMARY KEY)');
    const watch = `w${process.pid}_${runs++}`;
    await world.database.query(`SELECT pg_create_logical_replication_slot('${watch}', 'pgoutput')`);
    onTestFinished(async () => { await world.database.query(`SELECT pg_drop_replication_slot('${watch}')`); });
    const log = openLog(loginOf(world.database.url), () => { throw new Error('unused'); }, { heartbeatMillis: 100 });
    onTestFinished(() => log[Symbol.asyncDispose]());
    const idle = following(log, jobOf(world));
    for (let beats = 0; beats < 3;) {
      [{ beats }] = (await world.database.query(`SELECT count(*) AS beats FROM pg_logical_slot_peek_binary_changes('${watch}', NULL, NULL, 'proto_version', '1', 'publication_names', 'dsync_${world.run}', 'messages', 'true') WHERE position('dsync'::bytea IN data) > 0`)).map(({ beats: found }) => ({ beats: Number(found) })) as [{ beats: number }];
    }
    expect(await idle.stop()).toBeUndefined();
  });

  test('a changed table is announced before the first row of its new shape, also to a run that comes later', async () => {
    const world = await pinned(await database(server), "CREATE TABLE t (id int PRIMARY KEY, a text, b int); CREATE TYPE mood AS ENUM ('sad')");
    const live = following(world.log, jobOf(world));
    await world.database.query("INSERT INTO t VALUES (1, 'a', 1)");
    await live.until(() => live.changes().length === 1);
    await world.database.query("ALTER TABLE t ADD m mood; INSERT INTO t VALUES (2, 'a', 1, 'sad')");
    await world.database.query("ALTER TABLE t RENAME a TO c; UPDATE t SET c = 'x' WHERE id = 1");
    await world.database.query('ALTER TABLE t ALTER b TYPE bigint; ALTER TABLE t ADD UNIQUE (id); INSERT INTO t VALUES (3, NULL, 7, NULL)');
    await world.database.query('ALTER TABLE t DROP c; INSERT INTO t VALUES (4, 8, NULL)');
    await world.database.query('ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (5, 9, NULL)');
    const goal = await world.log.head(never);
    await live.until(() => live.place() !== undefined && world.log.reached(live.place()!.position, goal));
    const told = live.messages.flatMap((message) => message.kind === 'shape' ? [[message.changed, message.shape.name, ...message.shape.columns.map(({ name, native }) => `${name} ${native}`)]] : message.kind === 'changes' ? message.changes.map((change) => ('row' in change ? change.row : [])) : []);
    expect(told).toEqual([
      [false, 't', 'id integer', 'a text', 'b integer'], [1, 'a', 1],
      [true, 't', 'id integer', 'a text', 'b integer', 'm mood'], [2, 'a', 1, 'sad'],
      [true, 't', 'id integer', 'c text', 'b integer', 'm mood'], [1, 'x', 1, null],
      [true, 't', 'id integer', 'c text', 'b bigint', 'm mood'], [3, null, 7n, null],
      [true, 't', 'id integer', 'b bigint', 'm mood'], [4, 8n, null],
      [true, 'u', 'id integer', 'b bigint', 'm mood'], [5, 9n, null],
    ].map((line) => line.map((cell) => (typeof cell === 'string' ? cell.replace(/ mood$/, ' public.mood') : cell))));
    expect(live.messages.find((message) => message.kind === 'shape' && message.changed)).toMatchObject({ shape: { key: [0], columns: [{ nullable: false }, {}, {}, { type: { kind: 'enum', labels: ['sad'] } }] } });
    const last = live.place()!;
    await live.stop();
    await world.database.query('INSERT INTO u VALUES (6, 9, NULL)');
    await expect(following(world.log, jobOf(world, { from: last })).ended).resolves.toMatchObject({ code: 'refused', message: expect.stringContaining('public.u') });
    await world.database.query('ALTER TABLE u RENAME TO t; INSERT INTO t VALUES (7, 9, NULL)');
    const later = following(world.log, jobOf(world, { from: { position: await world.log.head(never), changes: 0 } }));
    await world.database.query('DELETE FROM t WHERE id = 7');
    await later.until(() => later.changes().length > 0);
    expect(later.messages.find(({ kind }) => kind === 'shape')).toMatchObject({ changed: true, shape: { name: 't' } });
    expect(later.changes()).toEqual([{ kind: 'delete', namespace: 'public.t', before: [7, undefined, undefined] }]);
  });

  test('a prepared transaction comes when it is committed, after those that were committed before; a rolled-back one never', async () => {
    const world = await pinned(await database(server), 'CREATE TABLE t (id int PRIMARY KEY)'), gid = (name: string) => `'${name}_${world.run}'`;
    await world.database.query(`BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION ${gid('a')}`);
    await world.database.query(`BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION ${gid('b')}`);
    await world.database.query('INSERT INTO t VALUES (3)');
    const live = following(world.log, jobOf(world)), early = await world.log.head(never);
    await live.until(() => live.place() !== undefined && world.log.reached(live.place()!.position, early));
    const ids = () => live.changes().map((change) => ('row' in change ? change.row[0] : undefined));
    expect(ids()).toEqual([3]);
    await world.database.query(`ROLLBACK PREPARED ${gid('b')}`);
    await world.database.query(`COMMIT PREPARED ${gid('a')}`);
    await live.until(() => ids().length > 1);
    expect(ids()).toEqual([3, 1]);
  });

  test('a slow caller holds the server back without losing the connection, and misses nothing', async () => {
    const made = await database(server);
    await made.query(`ALTER DATABASE ${made.name} SET wal_sender_timeout = '2s'`);
    const world = await pinned(made, 'CREATE TABLE t (id int PRIMARY KEY, note text)');
    let go = () => {};
    const held = new Promise<void>((resolve) => { go = resolve; });
    const slow = following(world.log, jobOf(world, { bytes: 64 << 10 }), async (message) => { if (message.kind === 'changes') await held; });
    onTestFinished(() => go());
    for (let i = 0; i < 60; i++) await made.query(`INSERT INTO t SELECT g, repeat(md5(g::text), 10) FROM generate_series(${i * 1000}, ${i * 1000 + 999}) g`);
    const goal = await world.log.head(never);
    await slow.until(() => slow.changes().length > 0);
    const sender = `FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE s.slot_name = 'dsync_${world.run}'`;
    for (let waited = false; !waited;) waited = (await made.query(`SELECT pg_sleep(0.1), clock_timestamp() > backend_start + interval '5 s' AS waited ${sender}`))[0]!.waited === 't';
    expect((await made.query(`SELECT pg_wal_lsn_diff($1, sent_lsn) > 1000000 AS behind ${sender}`, [goal]))[0]!.behind).toBe('t');
    const received = slow.changes().length;
    go();
    await slow.until(() => slow.changes().length === 60_000);
    expect(received).toBeLessThan(5000);
    expect(slow.changes().map((change) => ('row' in change ? change.row[0] : undefined))).toEqual([...Array(60_000).keys()]);
  });

  test('a lost connection is source-lost, and the log goes on from the checkpoint', async () => {
    const world = await pinned(await database(server), 'CREATE TABLE t (id int PRIMARY KEY)');
    await world.database.query('INSERT INTO t VALUES (1)');
    const live = following(world.log, jobOf(world));
    await live.until(() => live.changes().length === 1);
    await world.database.query(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'dsync_${world.run}'`);
    expect(await live.ended).toMatchObject({ code: 'source-lost', retryable: true });
    await world.database.query('INSERT INTO t VALUES (2)');
    expect((await followed(world, { from: live.place()! })).changes()).toEqual([{ kind: 'insert', namespace: 'public.t', row: [2] }]);
  });

  test('an abort ends at once, while nothing comes and while the caller is slow', async () => {
    const world = await pinned(await database(server), 'CREATE TABLE t (id int PRIMARY KEY)');
    for (const busy of [false, true]) {
      const stopping = new AbortController(), reason = new Error('stop'), messages = world.log.follow(jobOf(world), stopping.signal)[Symbol.asyncIterator]();
      if (busy) {
        await world.database.query('INSERT INTO t SELECT generate_series(1, 50000)');
        await messages.next();
      }
      const next = messages.next(), since = performance.now();
      stopping.abort(reason);
      await expect(busy ? next.then(() => messages.next()) : next).rejects.toBe(reason);
      expect(performance.now() - since).toBeLessThan(1000);
    }
  });

  test('pinned again, a later moment is exact as well, and the slot keeps its place', async () => {
    const world = await pinned(await database(server), 'CREATE TABLE t (id int PRIMARY KEY)'), names = [`publication dsync_${world.run}`, `replication slot dsync_${world.run}`];
    expect(world.pins).toEqual([{ names }, { names, position: world.start.position }]);
    await world.database.query('INSERT INTO t VALUES (1)');
    const pins: Pin[] = [], later = await world.log.pin(world.run, world.shapes, (pin) => { pins.push(pin); }, never);
    await world.database.query('INSERT INTO t VALUES (2)');
    expect(await readAll(later, world.shapes[0]!)).toEqual([[1]]);
    expect(await readAll(world.snapshot, world.shapes[0]!)).toEqual([]);
    await later[Symbol.asyncDispose]();
    expect(later.moment).toMatchObject({ exact: true, position: expect.any(String) });
    expect(pins.map(({ position }) => position)).toEqual([world.start.position]);
    expect((await followed(world)).changes()).toHaveLength(2);
    expect((await followed(world, { from: { position: later.moment.position!, changes: 0 } })).changes()).toEqual([{ kind: 'insert', namespace: 'public.t', row: [2] }]);
  });

  test('unpin removes slot and publication, twice without complaint, and a run without them is history-lost', async () => {
    const world = await pinned(await database(server), 'CREATE TABLE t (id int PRIMARY KEY)');
    await world.log.unpin(world.run, never);
    await world.log.unpin(world.run, never);
    const left = await world.database.query("SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE $1 UNION ALL SELECT pubname FROM pg_publication", [`dsync_${world.run}%`]);
    expect(left).toEqual([]);
    await expect(following(world.log, jobOf(world)).ended).resolves.toMatchObject({ code: 'history-lost', remedy: expect.stringContaining(world.run) });
    await expect(world.log.retention(world.run, world.start.position, never)).rejects.toMatchObject({ code: 'history-lost' });
  });

  test('a slot that waits for an open transaction says which session has it', async () => {
    const made = await database(server), open = await connection(made.url);
    await made.query('CREATE TABLE t (id int PRIMARY KEY)');
    await open.query('BEGIN; INSERT INTO t VALUES (1)');
    const [{ pid }] = await open.query('SELECT pg_backend_pid() AS pid') as [{ pid: string }];
    const log = openLog(loginOf(made.url), () => { throw new Error('unused'); }, { slotSeconds: 1 }), run = `r${process.pid}_${runs++}`;
    onTestFinished(() => log[Symbol.asyncDispose]());
    onTestFinished(() => log.unpin(run, never));
    const shapes = await (await sourceOf(made.url)).shapes(every, never), pins: Pin[] = [];
    await expect(log.pin(run, shapes, (pin) => { pins.push(pin); }, never)).rejects.toMatchObject({ code: 'not-ready', message: expect.stringContaining(`process ${pid}`), remedy: expect.stringContaining(`pg_terminate_backend(${pid})`) });
    expect(pins).toHaveLength(1);
    await open.query('COMMIT');
  });

  test('the check names what is missing, with the statement that mends it', async () => {
    const made = await database(server), role = `dsync_poor_${process.pid}_${runs++}`;
    await made.query(`CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE keyless (id int); CREATE TABLE "by index" (id int NOT NULL CONSTRAINT "the index" UNIQUE); CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
      CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING; CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9); ALTER TABLE p1 REPLICA IDENTITY NOTHING`);
    const source = await sourceOf(made.url), shapes = await source.shapes(every, never);
    const found = await source.log.check(shapes, never);
    expect(found.map(({ level, code, namespace }) => `${level} ${code} ${namespace}`).sort()).toEqual([
      'error replica-identity public.by index', 'error replica-identity public.keyless', 'error replica-identity public.nothing', 'error replica-identity public.p', 'error unlogged public.unlogged', 'warning partitions public.p',
    ]);
    for (const { level, remedy } of found) if (level === 'error') await made.query(remedy!);
    expect((await source.log.check(shapes, never)).map(({ code }) => code)).toEqual(['partitions']);
    await made.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role}; ALTER DATABASE ${made.name} OWNER TO postgres`);
    onTestFinished(async () => { await made.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`); });
    const url = new URL(made.url);
    url.username = role;
    const poor = await sourceOf(url.href), lacks = await poor.log.check(shapes.filter(({ name }) => name === 'good'), never);
    expect(lacks.map(({ level, code, error }) => [level, code, error])).toEqual([['error', 'no-replication', 'denied'], ['error', 'no-publication', 'denied'], ['error', 'not-owner', 'denied']]);
    await made.query(`${lacks[0]!.remedy}; ${lacks[1]!.remedy}; ALTER TABLE good OWNER TO ${role}`);
    expect(await poor.log.check(shapes.filter(({ name }) => name === 'good'), never)).toEqual([]);
  });
});

test('slot and publication are named after the run, whatever its id is', () => {
  expect(pinName('amber_owl_42')).toBe('dsync_amber_owl_42');
  const odd = ['Amber-Owl', 'amber-owl', 'é"; DROP', 'x'.repeat(100), `${'x'.repeat(100)}y`].map(pinName);
  for (const name of odd) expect(name).toMatch(/^dsync_[a-z0-9_]{1,57}$/);
  expect(new Set(odd).size).toBe(odd.length);
});

describeWith('postgres18', 'a slot that the server gave up', () => {
  test('is history-lost, with what to do', async () => {
    await using own = await ownServer('postgres18', { flags: async () => ['-c', 'max_slot_wal_keep_size=1MB', '-c', 'min_wal_size=32MB', '-c', 'max_wal_size=32MB'] });
    const made = await freshSql(own.url), source = await postgres.openSource!(made.url, options) as Source & { log: ChangeLog };
    await made.query('CREATE TABLE t (id int PRIMARY KEY, note text)');
    const shapes = await source.shapes(every, never), snapshot = await source.log.pin('gone', shapes, () => undefined, never);
    await snapshot[Symbol.asyncDispose]();
    for (let status = ''; status !== 'lost';) {
      await made.query("INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g ON CONFLICT (id) DO UPDATE SET note = excluded.note || 'y'; SELECT pg_switch_wal(); CHECKPOINT");
      [{ status }] = await made.query("SELECT wal_status AS status FROM pg_replication_slots WHERE slot_name = 'dsync_gone'") as [{ status: string }];
    }
    const lost = { code: 'history-lost', remedy: expect.stringContaining('max_slot_wal_keep_size') };
    await expect(following(source.log, { run: 'gone', shapes, from: { position: snapshot.moment.position!, changes: 0 }, bytes: 1 << 20 }).ended).resolves.toMatchObject(lost);
    await expect(source.log.retention('gone', snapshot.moment.position!, never)).rejects.toMatchObject(lost);
    await expect(source.log.pin('gone', shapes, () => undefined, never)).rejects.toMatchObject(lost);
    await source.log.unpin('gone', never);
    await source[Symbol.asyncDispose]();
    await made[Symbol.asyncDispose]();
  }, 120_000);
});
