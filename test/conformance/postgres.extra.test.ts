import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Batch, Destination, Format, Mapping, OpenOptions, Row, Shape, Snapshot, Source, Target, Task } from '../../src/contract.js';
import { postgres } from '../../src/connectors/postgres/connector.js';
import { loginOf } from '../../src/connectors/postgres/login.js';
import { describeWith, freshDatabase, type FreshDatabase } from '../servers/index.js';
import { everyType } from './every-type.js';

const never = new AbortController().signal;
const options: OpenOptions = { signal: never, connections: 2, batchBytes: 64 << 10 };

async function database(name: 'postgres18' | 'postgres14' = 'postgres18'): Promise<FreshDatabase> {
  const made = await freshDatabase(name);
  onTestFinished(() => made[Symbol.asyncDispose]());
  return made;
}

async function sourceOf(url: string, changed: Partial<OpenOptions> = {}): Promise<Source> {
  const source = await postgres.openSource!(url, { ...options, ...changed });
  onTestFinished(() => source[Symbol.asyncDispose]());
  return source;
}

async function destinationOf(url: string, changed: Partial<OpenOptions> = {}): Promise<Destination> {
  const destination = await postgres.openDestination!(url, { ...options, ...changed });
  onTestFinished(() => destination[Symbol.asyncDispose]());
  return destination;
}

async function snapshotOf(source: Source, shapes: readonly Shape[] = []): Promise<Snapshot> {
  const snapshot = await source.snapshot(shapes, never);
  onTestFinished(() => snapshot[Symbol.asyncDispose]());
  return snapshot;
}

async function shapeOf(source: Source, namespace: string): Promise<Shape> {
  const [shape] = await source.shapes({ include: [namespace], exclude: [] }, never);
  return shape!;
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

function readAll(snapshot: Snapshot, shape: Shape, tasks: readonly Task[], format: Format, where?: string): Promise<Batch[]> {
  return Promise.all(tasks.map((task) => all(snapshot.read({ task, shape, format, where, sequence: 0 }, never)))).then((lists) => lists.flat());
}

function valuesIn(batches: readonly Batch[]): Row[] {
  return batches.flatMap(({ rows }) => (rows.format === 'values' ? rows.rows : []));
}

const byText = (rows: readonly Row[]): string[] => rows.map((row) => JSON.stringify(row, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : Object.is(value, -0) ? '-0' : typeof value === 'number' && !Number.isFinite(value) ? String(value) : value))).sort();

/** The whole copy of a table, as the coordinator makes it. */
async function copied(from: string, to: string, namespace: string, format: Format, target?: Target, taskBytes = 32 << 10): Promise<Mapping> {
  const source = await sourceOf(from), destination = await destinationOf(to);
  const shape = await shapeOf(source, namespace);
  const mapping = await destination.adapt(shape, target ?? { name: shape.name }, never);
  expect(source.formats(mapping)).toContain(format);
  expect(destination.formats(mapping)).toContain(format);
  await destination.begin('r', never);
  const snapshot = await snapshotOf(source);
  const tasks = await snapshot.plan(mapping.source, { taskBytes }, never);
  await destination.prepare('r', mapping, { empty: true, keyed: false, tasks }, never);
  for (const task of tasks) {
    let rows = 0, sequence = 0;
    for await (const batch of snapshot.read({ task, shape: mapping.source, format, sequence: 0 }, never)) {
      expect(await destination.write('r', batch, mapping, { overwrite: false, redo: false }, never)).toEqual({ written: batch.count, rejected: [] });
      rows += batch.count;
      sequence++;
    }
    await destination.taskDone('r', { kind: 'task-done', task: task.id, namespace: shape.namespace, sequence, rows }, never);
  }
  await destination.finish('r', mapping, { keepRows: false }, never);
  return mapping;
}

/** A destination that holds a bare table `t` for a table that never was, begun as run `r`. */
async function ready(ddl: string, changed: { readonly keyed?: boolean; readonly before?: string } = {}): Promise<{ database: FreshDatabase; watcher: FreshDatabase; destination: Destination; mapping: Mapping; batch: (rows: readonly Row[], sequence?: number) => Batch }> {
  const origin = await database(), there = await database();
  await origin.query(ddl);
  if (changed.before) await there.query(changed.before);
  const shape = await shapeOf(await sourceOf(origin.url), 'public.t');
  const destination = await destinationOf(there.url);
  const mapping = await destination.adapt(shape, { name: 't' }, never);
  await destination.begin('r', never);
  await destination.prepare('r', mapping, { empty: false, keyed: changed.keyed ?? false, tasks: [] }, never);
  const batch = (rows: readonly Row[], sequence = 0): Batch => ({ task: 'public.t#0', namespace: 'public.t', sequence, rows: { format: 'values', rows }, count: rows.length, bytes: 100 * rows.length });
  return { database: there, watcher: origin, destination, mapping, batch };
}

const append = { overwrite: false, redo: false }, upsert = { overwrite: true, redo: false };

/** Defaults that would change how values are spelled, or end a session in the middle, if dsync did not set its own. */
const hostileDefaults = [
  "TimeZone = 'Asia/Kolkata'", "DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", 'extra_float_digits = -15', "bytea_output = 'escape'", "client_encoding = 'LATIN1'", "xmloption = 'document'",
  'statement_timeout = 5000', 'idle_in_transaction_session_timeout = 1', "default_transaction_isolation = 'serializable'", 'standard_conforming_strings = off', 'synchronous_commit = off',
];
async function hostile({ name, query }: FreshDatabase): Promise<void> {
  for (const setting of hostileDefaults) await query(`ALTER DATABASE ${name} SET ${setting}`);
}

describeWith(['postgres18', 'postgres14'], 'PostgreSQL to PostgreSQL', () => {
  const everything = (from: FreshDatabase, table = 't') => from.query(`SELECT t::text AS r FROM ${table} t ORDER BY id`);

  for (const [from, to] of [['postgres18', 'postgres14'], ['postgres14', 'postgres18']] as const) {
    for (const format of ['delimited', 'values'] as const) {
      test(`every type arrives as it was, from ${from} to ${to} by ${format}`, async () => {
        const source = await database(from), destination = await database(to);
        await source.query(everyType);
        await destination.query('CREATE EXTENSION citext; CREATE EXTENSION hstore');
        await Promise.all([hostile(source), hostile(destination)]);
        const mapping = await copied(source.url, destination.url, 'public.t', format);
        expect(await everything(destination)).toEqual(await everything(source));
        expect(new Set(mapping.fidelity.map(({ level }) => level))).toEqual(new Set(['exact']));
      });
    }
  }

  test('built-in scalar types arrive as they were by COPY BINARY, and the new table is what was announced', async () => {
    const source = await database('postgres14'), destination = await database('postgres18');
    await source.query(everyType);
    await source.query('ALTER TABLE t DROP ct, DROP hs, DROP mo, DROP xm, DROP pt, DROP rg, DROP ts_v, DROP ea');
    await Promise.all([hostile(source), hostile(destination)]);
    const mapping = await copied(source.url, destination.url, 'public.t', 'pg-binary');
    expect(await everything(destination)).toEqual(await everything(source));
    const made = await shapeOf(await sourceOf(destination.url), 'public.t');
    expect(made).toMatchObject({ columns: mapping.target.columns, key: mapping.target.key });
  });

  test('a scan gives the same values as a read, and a part only its keys', async () => {
    const made = await database(), { url, query } = made;
    await query(everyType);
    await hostile(made);
    const source = await sourceOf(url), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
    const tasks = await snapshot.plan(shape, { taskBytes: 1 << 20 }, never);
    const read = valuesIn(await readAll(snapshot, shape, tasks, 'values'));
    const scanned = (await all(snapshot.scan({ shape, part: {} }, never))).flat();
    expect(byText(scanned)).toEqual(byText(read));
    const part = (await all(snapshot.scan({ shape, part: { from: '2', to: '4' }, where: 'i2 IS NULL' }, never))).flat();
    expect(part.map((row) => row[0])).toEqual([3]);
  });

  test('normal form: UTC moments, trimmed padding and fractions, exact numbers', async () => {
    const made = await database(), { url, query } = made;
    await query(everyType);
    await hostile(made);
    const source = await sourceOf(url), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
    const rows = valuesIn(await readAll(snapshot, shape, await snapshot.plan(shape, { taskBytes: 1 << 20 }, never), 'values'));
    const cell = (id: number, name: string) => rows.find((row) => row[0] === id)![shape.columns.findIndex((column) => column.name === name)];
    expect(['tz', 'ts3', 'ch', 'i8', 'n', 'f4', 'f8', 'tm'].map((name) => cell(4, name))).toEqual(['2024-01-01 21:34:05.123456', '1970-01-01 00:00:00', 'a  b', 9007199254740993n, cell(4, 'n'), Math.fround(3.4028235e38), 5e-324, '23:59:59.9']);
    expect(['Mixed "name', 'd', 'ts', 'tz', 'by', 'n', 'bi', 'tm'].map((name) => cell(1, name))).toEqual([true, 'infinity', '-infinity', 'infinity', Buffer.from('00ff5c', 'hex'), 'NaN', '1010', '24:00:00']);
    expect(['tz', 'd', 'f8', 'ch', 'tx'].map((name) => cell(2, name))).toEqual(['0001-01-01 00:00:00.5 BC', '0044-03-15 BC', -0, '', '\\N']);
  });
});

describeWith('postgres18', 'PostgreSQL as a source', () => {
  const wide = 'CREATE TABLE t (id int PRIMARY KEY, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL';

  for (const format of ['pg-binary', 'delimited', 'values'] as const) {
    test(`a task can go on after any of its batches, by ${format}`, async () => {
      const { url, query } = await database();
      await query("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, repeat('x', g % 300) FROM generate_series(1, 5000) g; DELETE FROM t WHERE id % 7 = 0; UPDATE t SET v = v || 'y' WHERE id % 5 = 0");
      const source = await sourceOf(url), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
      const tasks = await snapshot.plan(shape, { taskBytes: 200 << 10 }, never);
      expect(tasks.length).toBeGreaterThan(3);
      let total = 0;
      for (const task of tasks) {
        const batches = await readAll(snapshot, shape, [task], format);
        const count = batches.reduce((sum, batch) => sum + batch.count, 0);
        total += count;
        let before = 0;
        for (const batch of batches) {
          before += batch.count;
          const rest = await all(snapshot.read({ task, shape, format, after: batch.cursor, sequence: batch.sequence + 1 }, never));
          expect(rest.reduce((sum, one) => sum + one.count, 0)).toBe(count - before);
          if (rest[0]) expect(rest[0].sequence).toBe(batch.sequence + 1);
        }
      }
      expect(total).toBe(5000 - 714);
    });
  }

  test('batches keep to their limits; a larger row is a batch of its own', async () => {
    const { url, query } = await database();
    await query(`${wide}; INSERT INTO t SELECT g, repeat('x', CASE WHEN g % 10 = 0 THEN 300000 ELSE 1000 END) FROM generate_series(1, 200) g`);
    const source = await sourceOf(url, { batchRows: 30 }), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
    for (const format of ['pg-binary', 'delimited'] as const) {
      const batches = await readAll(snapshot, shape, await snapshot.plan(shape, { taskBytes: 1 << 30 }, never), format);
      expect(batches.every(({ bytes, count }) => (count === 1 || bytes <= options.batchBytes) && count <= 30)).toBe(true);
      expect(batches.filter(({ bytes }) => bytes > 300_000)).toHaveLength(20);
      expect(batches.reduce((sum, { count }) => sum + count, 0)).toBe(200);
      expect(batches.map(({ sequence }) => sequence)).toEqual(batches.map((_, i) => i));
    }
  });

  test('an empty table is one task without batches', async () => {
    const { url, query } = await database();
    await query(wide);
    const source = await sourceOf(url), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
    const tasks = await snapshot.plan(shape, { taskBytes: 1 }, never);
    expect(tasks).toHaveLength(1);
    for (const format of ['pg-binary', 'delimited', 'values'] as const) expect(await readAll(snapshot, shape, tasks, format)).toEqual([]);
    expect(await snapshot.parts(shape, 10, never)).toEqual([{}]);
  });

  test('rows beyond the last planned page belong to the last task', async () => {
    const { url, query } = await database();
    await query(`${wide}; INSERT INTO t SELECT g, 'x' FROM generate_series(1, 1000) g`);
    const source = await sourceOf(url), shape = await shapeOf(source, 'public.t');
    const tasks = await (await snapshotOf(source)).plan(shape, { taskBytes: 16 << 10 }, never);
    await query("INSERT INTO t SELECT g, 'x' FROM generate_series(1001, 9000) g");
    const rows = valuesIn(await readAll(await snapshotOf(source), shape, tasks, 'values'));
    expect(new Set(rows.map((row) => row[0])).size).toBe(9000);
    expect(rows).toHaveLength(9000);
  });

  test('a partitioned table is one namespace, whose partitions are tasks; its children by inheritance are not its rows', async () => {
    const { url, query } = await database();
    await query(`CREATE TABLE t (id int, k text, v text, PRIMARY KEY (id, k)) PARTITION BY RANGE (id);
      CREATE TABLE t_a PARTITION OF t FOR VALUES FROM (0) TO (1000) PARTITION BY LIST (k); CREATE TABLE t_a1 PARTITION OF t_a FOR VALUES IN ('a'); CREATE TABLE t_a2 PARTITION OF t_a DEFAULT;
      CREATE TABLE t_b (v text, gone int, k text NOT NULL, id int NOT NULL); ALTER TABLE t_b DROP gone; ALTER TABLE t ATTACH PARTITION t_b FOR VALUES FROM (1000) TO (3000);
      INSERT INTO t SELECT g, CASE WHEN g % 2 = 0 THEN 'a' ELSE 'b' END, 'v' || g FROM generate_series(0, 2999) g;
      CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (x int) INHERITS (p); INSERT INTO p VALUES (1); INSERT INTO c VALUES (2, 2); CREATE TABLE no_key (a int) PARTITION BY LIST (a); CREATE TABLE no_key_1 PARTITION OF no_key DEFAULT; INSERT INTO no_key VALUES (1), (1)`);
    const source = await sourceOf(url), shapes = await source.shapes({ include: ['*'], exclude: [] }, never), snapshot = await snapshotOf(source);
    expect(shapes.map(({ namespace }) => namespace)).toEqual(['public.c', 'public.no_key', 'public.p', 'public.t']);
    expect((await snapshot.plan(shapes[3]!, { taskBytes: 1 << 30 }, never)).map(({ range }) => JSON.parse(range!) as object)).toMatchObject([{ name: 't_a1' }, { name: 't_a2' }, { name: 't_b' }]);
    const read = async (shape: Shape, taskBytes: number) => valuesIn(await readAll(snapshot, shape, await snapshot.plan(shape, { taskBytes }, never), 'values'));
    const rows = await read(shapes[3]!, 32 << 10);
    expect(rows).toHaveLength(3000);
    expect(rows.every(([id, k, v]) => v === `v${id}` && k === (Number(id) % 2 === 0 ? 'a' : 'b'))).toBe(true);
    expect(new Set(rows.map((row) => row[0])).size).toBe(3000);
    expect(await read(shapes[2]!, 1 << 20)).toEqual([[1]]);
    expect(await read(shapes[1]!, 1 << 20)).toEqual([[1], [1]]);
    expect((await all(snapshot.scan({ shape: shapes[3]!, part: {} }, never))).flat()).toHaveLength(3000);
    expect((await all(snapshot.scan({ shape: shapes[2]!, part: {} }, never))).flat()).toEqual([[1]]);
  });

  test('all readers see the moment of the snapshot while others write', async () => {
    const { url, query } = await database();
    await query(`${wide}; INSERT INTO t SELECT g, 'x' FROM generate_series(1, 5000) g`);
    const source = await sourceOf(url), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
    const tasks = await snapshot.plan(shape, { taskBytes: 32 << 10 }, never);
    await query("DELETE FROM t WHERE id % 2 = 0; UPDATE t SET v = 'changed'; INSERT INTO t SELECT g, 'new' FROM generate_series(5001, 6000) g");
    const rows = valuesIn(await readAll(snapshot, shape, tasks, 'values'));
    expect(rows).toHaveLength(5000);
    expect(rows.every((row) => row[1] === 'x')).toBe(true);
    expect((await all(snapshot.scan({ shape, part: {} }, never))).flat()).toHaveLength(5000);
  });

  test('two moments have one fingerprint as long as nothing changes', async () => {
    const { url, query } = await database();
    await query(wide);
    const source = await sourceOf(url);
    const first = await snapshotOf(source), second = await snapshotOf(source);
    expect(first.moment).toMatchObject({ exact: true, position: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) });
    expect(second.moment.fingerprint).toBe(first.moment.fingerprint);
    await query("INSERT INTO t VALUES (1, 'x')");
    expect((await snapshotOf(source)).moment.fingerprint).not.toBe(first.moment.fingerprint);
  });

  test('a filter is used by read and scan, in the order of places even where an index could serve it', async () => {
    const { url, query, name } = await database();
    await query(`ALTER DATABASE ${name} SET enable_bitmapscan = off; ${wide}; INSERT INTO t SELECT (g * 7919) % 20011, repeat('x', 100) FROM generate_series(1, 20000) g; ANALYZE t`);
    const source = await sourceOf(url, { batchRows: 5 }), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
    const where = 'id BETWEEN 100 AND 150 -- a comment';
    const tasks = await snapshot.plan(shape, { taskBytes: 1 << 30, where }, never);
    const batches = await readAll(snapshot, shape, tasks, 'delimited', where);
    const places = batches.map(({ cursor }) => /^\((\d+),(\d+)\)$/.exec(cursor!)!.slice(1).map(Number)).map(([page, row]) => page! * 1000 + row!);
    expect(places.length).toBeGreaterThan(5);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    const [{ n }] = await query('SELECT count(*) AS n FROM t WHERE id BETWEEN 100 AND 150') as [{ n: string }];
    expect(batches.reduce((sum, { count }) => sum + count, 0)).toBe(Number(n));
    expect((await all(snapshot.scan({ shape, part: {}, where }, never))).flat()).toHaveLength(Number(n));
    await expect(snapshot.plan(shape, { taskBytes: 1 << 30, where: 'nonsense = 1' }, never)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('nonsense') });
    expect(await readAll(snapshot, shape, tasks, 'delimited', 'id = 1')).toHaveLength(1);
  });

  test('parts cover all keys, once, and about evenly', async () => {
    const { url, query } = await database();
    await query(`CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t SELECT CASE WHEN g % 2 = 0 THEN g - 9223372036854775807 ELSE g END FROM generate_series(1, 20000) g; ANALYZE t`);
    const source = await sourceOf(url), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
    const parts = await snapshot.parts(shape, 2000, never);
    expect(parts.length).toBeGreaterThan(5);
    const sizes = await Promise.all(parts.map(async (part) => (await all(snapshot.scan({ shape, part }, never))).flat().length));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(20000);
    expect(Math.max(...sizes)).toBeLessThan(4500);
    expect([parts[0]!.from, parts.at(-1)!.to]).toEqual([undefined, undefined]);
    expect(parts.slice(1).every((part, i) => part.from === parts[i]!.to)).toBe(true);
  });

  test('keys: the primary one, else a unique one that names each row', async () => {
    const { url, query } = await database();
    await query(`CREATE TABLE a (x int NOT NULL, y text, z int NOT NULL, gone int, PRIMARY KEY (z, x) INCLUDE (y)); ALTER TABLE a DROP gone; CREATE TABLE b (x int UNIQUE, y int NOT NULL); CREATE UNIQUE INDEX ON b (y) WHERE y > 0; CREATE UNIQUE INDEX ON b ((y + 1));
      CREATE TABLE c (x int, y int NOT NULL UNIQUE, z int NOT NULL); CREATE UNIQUE INDEX ON c (z, y); CREATE TABLE d (x int NOT NULL UNIQUE DEFERRABLE)`);
    const shapes = await (await sourceOf(url)).shapes({ include: ['*'], exclude: [] }, never);
    expect(shapes.map(({ name, key, columns }) => [name, ...key.map((i) => columns[i]!.name)])).toEqual([['a', 'z', 'x'], ['b'], ['c', 'y'], ['d']]);
  });

  test('tables of extensions, of dsync and temporary ones are not among the shapes', async () => {
    const { url, query } = await database();
    await query('CREATE SCHEMA _dsync; CREATE TABLE _dsync.run (a int); CREATE TABLE _dsync_1 (a int); CREATE TABLE keep (a int); CREATE TEMP TABLE gone (a int); CREATE VIEW v AS SELECT 1; CREATE TABLE "Odd.Na""me" (a int)');
    const source = await sourceOf(url);
    expect((await source.shapes({ include: ['*'], exclude: [] }, never)).map(({ namespace }) => namespace)).toEqual(['public.Odd.Na"me', 'public.keep']);
    expect((await source.shapes({ include: ['public.*'], exclude: ['*.keep'] }, never)).map(({ name }) => name)).toEqual(['Odd.Na"me']);
  });

  test('a lost reader is a lost source, and the other readers say so too once the snapshot is gone', async () => {
    const { url, query } = await database();
    await query(`${wide}; INSERT INTO t SELECT g, repeat('x', 10000) FROM generate_series(1, 3000) g`);
    const source = await sourceOf(url), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
    const [task] = await snapshot.plan(shape, { taskBytes: 1 << 30 }, never);
    const reading = async () => {
      for await (const batch of snapshot.read({ task: task!, shape, format: 'pg-binary', sequence: 0 }, never)) {
        if (batch.sequence === 0) await query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dsync' AND datname = current_database()");
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'source-lost', retryable: true });
    await expect(all(snapshot.read({ task: task!, shape, format: 'pg-binary', sequence: 0 }, never))).rejects.toMatchObject({ code: 'source-lost' });
    await expect(all(snapshot.scan({ shape, part: {} }, never))).rejects.toMatchObject({ code: 'source-lost' });
  });

  test('a reader that stops early is replaced within the same snapshot', async () => {
    const { url, query } = await database();
    await query(`${wide}; INSERT INTO t SELECT g, repeat('x', 10000) FROM generate_series(1, 1000) g`);
    const source = await sourceOf(url, { connections: 1 }), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
    const [task] = await snapshot.plan(shape, { taskBytes: 1 << 30 }, never);
    await query('DELETE FROM t');
    for await (const batch of snapshot.read({ task: task!, shape, format: 'delimited', sequence: 0 }, never)) if (batch.count > 0) break;
    for await (const rows of snapshot.scan({ shape, part: {} }, never)) if (rows.length > 0) break;
    expect((await readAll(snapshot, shape, [task!], 'delimited')).reduce((sum, { count }) => sum + count, 0)).toBe(1000);
  });

  for (const way of ['read', 'scan'] as const) {
    test(`who takes no more rows of a ${way} holds the server back`, async () => {
      const { url, query, name } = await database();
      await query(`${wide}; INSERT INTO t SELECT g, repeat('x', 10000) FROM generate_series(1, 4000) g`);
      const source = await sourceOf(url), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
      const [task] = await snapshot.plan(shape, { taskBytes: 1 << 30 }, never);
      const rows: AsyncIterable<unknown> = way === 'read' ? snapshot.read({ task: task!, shape, format: 'pg-binary', sequence: 0 }, never) : snapshot.scan({ shape, part: {} }, never);
      let taken = 0;
      for await (const _ of rows) {
        if (taken++ > 0) continue;
        const waits = () => query("SELECT wait_event FROM pg_stat_activity WHERE datname = $1 AND application_name = 'dsync' AND state = 'active'", [name]);
        await expect.poll(waits).toEqual([{ wait_event: 'ClientWrite' }]);
        // As much work as would have sent all rows by now, if somebody took them.
        for (let i = 0; i < 5; i++) await query('SELECT sum(length(v)), sum(hashtext(v)) FROM t');
        expect(await waits()).toEqual([{ wait_event: 'ClientWrite' }]);
      }
      expect(taken).toBeGreaterThan(100);
    });
  }

  test('an abort ends a read at once', async () => {
    const { url, query } = await database();
    await query(`${wide}; INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100) g`);
    const source = await sourceOf(url), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
    const [task] = await snapshot.plan(shape, { taskBytes: 1 << 30 }, never);
    const stop = new AbortController();
    const reading = all(snapshot.read({ task: task!, shape, format: 'delimited', where: 'id > 0 AND pg_sleep(1) IS NOT NULL', sequence: 0 }, stop.signal));
    await expect.poll(() => query("SELECT FROM pg_stat_activity WHERE query LIKE '%COPY%pg_sleep%' AND pid <> pg_backend_pid() AND state = 'active'").then((rows) => rows.length)).toBe(1);
    const start = performance.now();
    stop.abort();
    await expect(reading).rejects.toMatchObject({ code: 'interrupted' });
    expect(performance.now() - start).toBeLessThan(1000);
    await expect.poll(() => query("SELECT FROM pg_stat_activity WHERE query LIKE '%COPY%pg_sleep%' AND pid <> pg_backend_pid() AND state = 'active'").then((rows) => rows.length)).toBe(0);
  });

  test('row-level security never makes a copy of some rows only', async () => {
    const { url, query, name } = await database();
    const role = `r_${name}`;
    onTestFinished(async () => { await query(`DROP OWNED BY ${role}; DROP ROLE ${role}`); });
    await query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (id = 1); GRANT SELECT ON t TO ${role}`);
    const own = new URL(url);
    own.username = role;
    const source = await sourceOf(own.href), shape = await shapeOf(source, 'public.t'), snapshot = await snapshotOf(source);
    const tasks = await snapshot.plan(shape, { taskBytes: 1 }, never);
    await expect(readAll(snapshot, shape, tasks, 'delimited')).rejects.toMatchObject({ code: 'denied', remedy: expect.stringContaining('BYPASSRLS') });
    await expect(all(snapshot.scan({ shape, part: {} }, never))).rejects.toMatchObject({ code: 'denied' });
  });

  test('the check names what may not be read, with the statement that mends it', async () => {
    const { url, query, name } = await database();
    const role = `r_${name}`;
    onTestFinished(async () => { await query(`DROP OWNED BY ${role}; DROP ROLE ${role}`); });
    await query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'; CREATE SCHEMA s; CREATE TABLE s.a (id int); CREATE TABLE b (id int); CREATE TABLE c (id int); ALTER TABLE c ENABLE ROW LEVEL SECURITY; GRANT SELECT ON c TO ${role}`);
    const own = new URL(url);
    own.username = role;
    const source = await sourceOf(own.href), shapes = await source.shapes({ include: ['*'], exclude: [] }, never);
    const findings = await source.check(shapes, never);
    expect(findings.map(({ level, code, namespace }) => [level, code, namespace]).sort()).toEqual([['error', 'no-select', 'public.b'], ['error', 'no-usage', 's.a'], ['error', 'row-security', 'public.c']]);
    for (const { remedy } of findings) await query(remedy!);
    for (const { remedy } of await source.check(shapes, never)) await query(remedy!);
    expect(await source.check(shapes, never)).toEqual([]);
  });
});

describeWith('postgres18', 'PostgreSQL as a destination', () => {
  const keyed = 'CREATE TABLE t (id int PRIMARY KEY, v varchar(5), n int)';
  const rowsOf = ({ query }: FreshDatabase) => query('SELECT * FROM t ORDER BY t');
  const many = (count: number, bad: (i: number) => boolean): Row[] => Array.from({ length: count }, (_, i) => [i, bad(i) ? 'far too long' : `v${i % 100}`, i]);

  test('a batch that is sent again is written once', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed);
    const first = batch([[1, 'a', 1]]);
    expect(await destination.write('r', first, mapping, append, never)).toEqual({ written: 1, rejected: [] });
    expect(await destination.write('r', first, mapping, { overwrite: false, redo: true }, never)).toEqual({ written: 1, rejected: [] });
    expect(await rowsOf(there)).toHaveLength(1);
    expect(await destination.progress('r', never)).toEqual([{ task: 'public.t#0', sequence: 0, rows: 1, done: false }]);
  });

  test('done tasks keep one row; unknown runs have no progress; the last run takes _dsync with it', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed);
    for (const sequence of [0, 1, 2]) await destination.write('r', { ...batch([[sequence, 'a', 1]], sequence), cursor: `(0,${sequence})` }, mapping, append, never);
    expect((await destination.progress('r', never))!.map(({ cursor }) => cursor)).toEqual(['(0,0)', '(0,1)', '(0,2)']);
    for (let again = 0; again < 2; again++) await destination.taskDone('r', { kind: 'task-done', task: 'public.t#0', namespace: 'public.t', sequence: 3, rows: 3 }, never);
    expect(await destination.progress('r', never)).toEqual([{ task: 'public.t#0', sequence: 3, rows: 3, done: true }]);
    expect(await destination.progress('other', never)).toBeUndefined();
    await destination.forget('r', [mapping], never);
    expect(await destination.progress('r', never)).toBeUndefined();
    expect(await there.query("SELECT FROM pg_namespace WHERE nspname = '_dsync'")).toEqual([]);
  });

  test('a second process takes the run: it waits for writes under way, and later ones fail', async () => {
    const { database: there, watcher, destination, mapping, batch } = await ready(keyed);
    await there.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
    const writing = destination.write('r', batch([[1, 'a', 1]]), mapping, append, never);
    const waiting = (what: string) => expect.poll(async () => (await watcher.query("SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = $2 AND a.query LIKE $1", [what, there.name])).length).toBeGreaterThan(0);
    await waiting('%COPY%');
    const second = await destinationOf(there.url);
    let taken = false;
    const taking = second.begin('r', never).then(() => { taken = true; });
    await waiting('%_dsync.run%ON CONFLICT%');
    expect(taken).toBe(false);
    await there.query('COMMIT');
    await Promise.all([writing, taking]);
    await expect(destination.write('r', batch([[2, 'b', 1]], 1), mapping, append, never)).rejects.toMatchObject({ code: 'busy' });
    await expect(destination.taskDone('r', { kind: 'task-done', task: 'public.t#0', namespace: 'public.t', sequence: 1, rows: 1 }, never)).rejects.toMatchObject({ code: 'busy' });
    expect(await second.progress('r', never)).toHaveLength(1);
    expect(await rowsOf(there)).toHaveLength(1);
  });

  test('a lost connection is said to be one, and the write succeeds on the next', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed);
    await there.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    const writing = destination.write('r', batch([[1, 'a', 1]]), mapping, append, never);
    const failure = expect(writing).rejects.toMatchObject({ code: 'connection-lost', retryable: true });
    await expect.poll(async () => (await there.query("SELECT FROM pg_locks WHERE NOT granted")).length).toBeGreaterThan(0);
    await there.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dsync' AND datname = current_database()");
    await failure;
    await there.query('COMMIT');
    expect(await destination.write('r', batch([[1, 'a', 1]]), mapping, { overwrite: false, redo: true }, never)).toEqual({ written: 1, rejected: [] });
  });

  test('an abort ends a write that waits for a lock at once', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed);
    await there.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
    const stop = new AbortController();
    const writing = destination.write('r', batch([[1, 'a', 1]]), mapping, append, stop.signal);
    const failure = expect(writing).rejects.toMatchObject({ code: 'interrupted' });
    await expect.poll(async () => (await there.query('SELECT FROM pg_locks WHERE NOT granted')).length).toBeGreaterThan(0);
    stop.abort();
    await failure;
    await expect.poll(async () => (await there.query('SELECT FROM pg_locks WHERE NOT granted')).length).toBe(0);
    await there.query('COMMIT');
    expect(await rowsOf(there)).toEqual([]);
  });

  test('rows that the table can\'t hold are rejected with their reason, all others are written', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed, { before: `${keyed.replace('n int', 'n int CHECK (n <> 777)')}; INSERT INTO t VALUES (5, 'there', 0)` });
    const rows = many(3000, (i) => i % 500 === 17 || i === 18 || i === 2999);
    const result = await destination.write('r', batch(rows), mapping, append, never);
    expect(result.rejected.map(({ row }) => row[0])).toEqual([5, 17, 18, 517, 777, 1017, 1517, 2017, 2517, 2999]);
    expect(result.rejected[0]!.reason).toContain('duplicate key');
    expect(result.rejected[1]).toMatchObject({ namespace: 'public.t', reason: expect.stringContaining('too long'), row: [17, 'far too long', 17] });
    expect(result.written).toBe(2990);
    expect(await there.query('SELECT FROM t')).toHaveLength(2991);
    expect(await destination.write('r', batch(rows), mapping, { overwrite: false, redo: true }, never)).toEqual(result);
    expect(await destination.progress('r', never)).toMatchObject([{ rows: 2990 }]);
  });

  test('a batch of nothing but bad rows ends too', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed);
    const result = await destination.write('r', batch(many(2000, () => true)), mapping, append, never);
    expect(result).toMatchObject({ written: 0, rejected: { length: 2000 } });
    expect(await rowsOf(there)).toEqual([]);
  });

  test('a NUL in a text is rejected, in its own spelling', async () => {
    const { destination, mapping, batch } = await ready('CREATE TABLE t (id int PRIMARY KEY, v text)');
    const bytes = Buffer.from('1\tfine\n2\tnul\0here\\t\n3\tfine\n');
    const result = await destination.write('r', { ...batch([]), count: 3, rows: { format: 'delimited', bytes } }, mapping, append, never);
    expect(result).toMatchObject({ written: 2, rejected: [{ row: [2, 'nul\0here\t'], reason: expect.stringContaining('0x00') }] });
  });

  test('upserts overwrite by key, also rows that come twice in one batch, and reject what breaks another constraint', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed, { before: `${keyed}; CREATE UNIQUE INDEX ON t (n); INSERT INTO t VALUES (1, 'old', 1), (2, 'old', 2)` });
    expect(await destination.write('r', batch([[1, 'new', 10], [3, 'new', 30], [3, 'last', 31]]), mapping, upsert, never)).toEqual({ written: 3, rejected: [] });
    const result = await destination.write('r', batch([[4, 'new', 40], [5, 'new', 2], [6, 'new', 60]], 1), mapping, upsert, never);
    expect(result).toMatchObject({ written: 2, rejected: [{ row: [5, 'new', 2] }] });
    expect((await rowsOf(there)).map(({ id, v, n }) => `${id} ${v} ${n}`)).toEqual(['1 new 10', '2 old 2', '3 last 31', '4 new 40', '6 new 60']);
  });

  test('a fresh table gets its key before upserts, and only once', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed, { keyed: true });
    await destination.write('r', batch([[1, 'a', 1]]), mapping, upsert, never);
    await destination.write('r', batch([[1, 'b', 1]], 1), mapping, upsert, never);
    for (let again = 0; again < 2; again++) await destination.finish('r', mapping, { keepRows: false }, never);
    expect(await rowsOf(there)).toEqual([{ id: '1', v: 'b', n: '1' }]);
    expect(await there.query("SELECT FROM pg_index WHERE indrelid = 't'::regclass AND indisprimary")).toHaveLength(1);
  });

  test('rows that share a key keep the key from being built, and are named', async () => {
    const { destination, mapping, batch } = await ready(keyed);
    await destination.write('r', batch([[7, 'a', 1], [7, 'b', 1]]), mapping, append, never);
    await expect(destination.finish('r', mapping, { keepRows: false }, never)).rejects.toMatchObject({ code: 'data', message: expect.stringContaining('7') });
  });

  test('mending deletes and upserts by a key of several columns', async () => {
    const { database: there, destination, mapping, batch } = await ready('CREATE TABLE t (v text, b varchar(9), a bigint, PRIMARY KEY (a, b))', { keyed: true });
    await destination.write('r', batch([['1', 'x', 1n], ['2', 'y', 1n], ['3', 'x', 2n]]), mapping, append, never);
    const { rejected } = await destination.mend('r', mapping, { deletes: [[1n, 'x']], upserts: [['two', 'y', 1n], ['4', 'z\t', 4n], ['5', 'far too long', 5n]] }, never);
    expect(rejected).toMatchObject([{ row: ['5', 'far too long', 5n] }]);
    expect((await there.query('SELECT * FROM t ORDER BY a, b')).map(({ v, b, a }) => [v, b, a])).toEqual([['two', 'y', '1'], ['3', 'x', '2'], ['4', 'z\t', '4']]);
  });

  test('a table without a key is staged: swapped in whole, once, with or without the rows that were there', async () => {
    for (const keepRows of [true, false]) {
      const { database: there, destination, mapping, batch } = await ready('CREATE TABLE t (v int)', { before: 'CREATE TABLE t (v int); INSERT INTO t VALUES (0)' });
      expect(mapping).toMatchObject({ staged: true, existed: true });
      await destination.write('r', batch([[1], [1]]), mapping, append, never);
      expect(await rowsOf(there)).toEqual([{ v: '0' }]);
      for (let again = 0; again < 2; again++) await destination.finish('r', mapping, { keepRows }, never);
      expect(await rowsOf(there)).toEqual([...(keepRows ? [{ v: '0' }] : []), { v: '1' }, { v: '1' }]);
      expect(await there.query("SELECT FROM pg_class WHERE relname LIKE '\\_dsync%'")).toEqual([]);
    }
  });

  test('an interrupted staged table starts anew, and a new one becomes the table', async () => {
    const { database: there, destination, mapping, batch } = await ready('CREATE TABLE t (v int)');
    await destination.write('r', batch([[1], [1]]), mapping, append, never);
    const tasks = [{ id: 'public.t#0', namespace: 'public.t' }];
    await destination.prepare('r', mapping, { empty: true, keyed: false, tasks }, never);
    expect(await destination.progress('r', never)).toEqual([]);
    await destination.write('r', batch([[2], [2]]), mapping, append, never);
    await destination.finish('r', mapping, { keepRows: false }, never);
    expect(await rowsOf(there)).toEqual([{ v: '2' }, { v: '2' }]);
    await destination.prepare('r', mapping, { empty: true, keyed: false, tasks }, never);
    await destination.write('r', batch([[3], [3]]), mapping, append, never);
    await destination.finish('r', mapping, { keepRows: false }, never);
    expect(await rowsOf(there)).toEqual([{ v: '3' }, { v: '3' }]);
    await destination.prepare('r', mapping, { empty: true, keyed: false, tasks }, never);
    await destination.forget('r', [mapping], never);
    expect(await there.query("SELECT FROM pg_class WHERE relname LIKE '\\_dsync%'")).toEqual([]);
  });

  test('emptying a table that others refer to', async () => {
    const { database: there, destination, mapping } = await ready(keyed, { before: `${keyed}; CREATE TABLE child (id int REFERENCES t); INSERT INTO t VALUES (1, 'a', 1); INSERT INTO child VALUES (1)` });
    expect(await destination.holdsRows(mapping.target, never)).toBe(true);
    await destination.prepare('r', mapping, { empty: true, keyed: false, tasks: [] }, never);
    expect(await destination.holdsRows(mapping.target, never)).toBe(false);
    expect(await there.query('SELECT FROM child')).toHaveLength(1);
  });

  test('triggers and foreign keys of a standing table do not fire', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed, { before: `CREATE TABLE parent (id int PRIMARY KEY); ${keyed.replace('n int', 'n int REFERENCES parent')}; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()` });
    expect(await destination.write('r', batch([[1, 'a', 1]]), mapping, append, never)).toEqual({ written: 1, rejected: [] });
    expect(await rowsOf(there)).toHaveLength(1);
  });

  test('a trigger that drops rows all the same is noticed', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed, { before: `${keyed}; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE t ENABLE ALWAYS TRIGGER g` });
    await expect(destination.write('r', batch([[1, 'a', 1]]), mapping, append, never)).rejects.toMatchObject({ message: expect.stringContaining('trigger') });
    expect(await rowsOf(there)).toEqual([]);
  });

  test('what does not fit is refused with every column named', async () => {
    const origin = await database(), there = await database();
    await origin.query("CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE pair AS (a int, b int); CREATE TABLE t (id bigint PRIMARY KEY, v text, h hstore, m mood, p pair, g int)");
    await there.query("CREATE TYPE mood AS ENUM ('a'); CREATE TABLE narrow (id date PRIMARY KEY, v varchar(3), m text, extra int NOT NULL, g int); CREATE TABLE keyless (id bigint, v text)");
    const source = await sourceOf(origin.url), destination = await destinationOf(there.url), shape = await shapeOf(source, 'public.t');
    const refusal = (name: string, of: Shape = shape) => destination.adapt(of, { name }, never).then(() => '', (error: { code: string; message: string }) => `${error.code}: ${error.message}`);
    expect(await refusal('fresh')).toMatch(/^refused: .*h \(public\.hstore\): .*CREATE EXTENSION hstore.*m \(public\.mood\).*lacks b: ALTER TYPE public\.mood ADD VALUE 'b'.*p \(public\.pair\)/);
    expect(await refusal('narrow')).toMatch(/^refused: .*id: date does not hold bigint; h is missing; p is missing; extra is NOT NULL/);
    expect(await refusal('keyless', { ...shape, columns: shape.columns.slice(0, 2) })).toMatch(/no primary key or unique constraint on \(id\)/);
  });

  test('a narrower column takes what it holds; one that rounds is a loss', async () => {
    const { database: there, destination, mapping, batch } = await ready('CREATE TABLE t (id bigint PRIMARY KEY, v text, n numeric(10,4), at timestamp, j json, f double precision, b int)', {
      before: "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (id int PRIMARY KEY, v mood, n numeric(6,2) NOT NULL, at timestamp(0), j jsonb, f real, b boolean)",
    });
    expect(mapping.fidelity.map(({ level }) => level)).toEqual(['reshaped', 'reshaped', 'lossy', 'lossy', 'lossy', 'lossy', 'reshaped']);
    const good: Row = [1n, 'sad', '1.00', '2024-01-01 00:00:00', '{}', 0.5, 1];
    const bad: Row[] = [[2n ** 40n, ...good.slice(1)], [2n, 'merry', ...good.slice(2)], [3n, 'sad', null, ...good.slice(3)], [4n, 'sad', '99999', ...good.slice(3)], [5n, ...good.slice(1, 6), 2]];
    const result = await destination.write('r', batch([good, ...bad]), mapping, append, never);
    expect(result).toMatchObject({ written: 1, rejected: bad.map((row) => ({ row })) });
    expect(await there.query('SELECT id FROM t')).toEqual([{ id: '1' }]);
  });

  test('columns that the standing table computes are left out; wider types and other orders fit', async () => {
    const origin = await database(), there = await database();
    await origin.query('CREATE TABLE t (id int PRIMARY KEY, v varchar(10), twice int GENERATED ALWAYS AS (id * 2) STORED, at timestamp(3), b boolean); INSERT INTO t (id, v, at, b) VALUES (1, \'x\', \'2024-01-01 00:00:00.123\', true)');
    await there.query('CREATE TABLE t (at timestamp, b smallint, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, filled int DEFAULT 7, twice bigint GENERATED ALWAYS AS (id * 2) STORED, v text)');
    const mapping = await copied(origin.url, there.url, 'public.t', 'delimited');
    expect(mapping.source.columns.map(({ name }) => name)).toEqual(['id', 'v', 'at', 'b']);
    expect(mapping.target.columns.map(({ native }) => native)).toEqual(['bigint', 'text', 'timestamp without time zone', 'smallint']);
    expect(await rowsOf(there)).toEqual([{ at: '2024-01-01 00:00:00.123', b: '1', id: '1', filled: '7', twice: '2', v: 'x' }]);
    await copied(origin.url, there.url, 'public.t', 'delimited', { schema: 'New "schema"', name: 'T' });
    expect(await there.query('SELECT id, twice FROM "New ""schema"""."T"')).toEqual([{ id: '1', twice: '2' }]);
  });

  test('a type of an extension is found in whatever schema it is installed', async () => {
    const origin = await database(), there = await database();
    await origin.query(`CREATE EXTENSION hstore; CREATE TABLE t (id int PRIMARY KEY, h hstore, a hstore[]); INSERT INTO t VALUES (1, 'a=>1', ARRAY['b=>2'::hstore])`);
    await there.query('CREATE SCHEMA "more ext"; CREATE EXTENSION hstore SCHEMA "more ext"');
    const { target } = await copied(origin.url, there.url, 'public.t', 'delimited');
    expect(target.columns.map(({ native }) => native)).toEqual(['integer', '"more ext".hstore', '"more ext".hstore[]']);
    expect(await rowsOf(there)).toEqual([{ id: '1', h: '"a"=>"1"', a: '{"\\"b\\"=>\\"2\\""}' }]);
  });

  test('a sequence that would give out taken numbers is told of, with the statement that moves it', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed, { before: 'CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v varchar(5), n int)' });
    await destination.write('r', batch([[1, 'a', 1], [7, 'b', 1]]), mapping, append, never);
    const [finding] = await destination.finish('r', mapping, { keepRows: false }, never);
    expect(finding).toMatchObject({ level: 'warning', code: 'sequence-behind', namespace: 'public.t' });
    await there.query(finding!.remedy!);
    expect(await there.query("INSERT INTO t (v) VALUES ('c') RETURNING id")).toEqual([{ id: '8' }]);
    expect(await destination.finish('r', mapping, { keepRows: false }, never)).toEqual([]);
  });

  test('the check names what stands in the way, with the statement that mends it', async () => {
    const { url, query, name } = await database(), origin = await database();
    const role = `r_${name}`;
    onTestFinished(async () => { await query(`DROP OWNED BY ${role}; DROP ROLE ${role}`); });
    await origin.query('CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)');
    await query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'; REVOKE TEMPORARY ON DATABASE ${name} FROM PUBLIC; CREATE TABLE t (id int PRIMARY KEY); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    const own = new URL(url);
    own.username = role;
    const shapes = await (await sourceOf(origin.url)).shapes({ include: ['*'], exclude: [] }, never);
    const check = async () => {
      const destination = await destinationOf(own.href);
      return destination.check(await Promise.all(shapes.map((shape) => destination.adapt(shape, { name: shape.name }, never))), never).then((findings) => findings.filter(({ code }) => !['fsync-off', 'few-connections'].includes(code)));
    };
    const first = await check();
    expect(first).toMatchObject([{ level: 'error', code: 'read-only', error: 'denied' }]);
    await query(`SET default_transaction_read_only = off; ${first[0]!.remedy!}`);
    const findings = await check();
    expect(findings.map(({ level, code }) => `${level} ${code}`).sort()).toEqual(['error no-create', 'error no-create-schema', 'error no-temporary', 'error no-write', 'warning triggers-fire']);
    for (const { remedy } of findings) await query(remedy!);
    expect(await check()).toEqual([]);
    await query(`REVOKE SET ON PARAMETER session_replication_role FROM ${role}`);
  });

  test('a destination that forbids writing says so', async () => {
    const { database: there, destination, mapping, batch } = await ready(keyed);
    await there.query(`ALTER DATABASE ${there.name} SET default_transaction_read_only = on`);
    const late = await destinationOf(there.url);
    await expect(late.begin('r', never)).rejects.toMatchObject({ code: 'denied' });
    expect(await destination.write('r', batch([[1, 'a', 1]]), mapping, append, never)).toMatchObject({ written: 1 });
  });
});

describeWith('postgres18', 'PostgreSQL that can\'t be reached', () => {
  test('says which end, where, and what to do, and never the password', async () => {
    const { url, name } = await database();
    const failure = (change: (made: URL) => void) => {
      const made = new URL(url);
      change(made);
      return postgres.openSource!(made.href, options).then(() => undefined, (error: { code: string; message: string; remedy?: string }) => error);
    };
    expect(await failure((made) => { made.password = 'wrong-secret'; })).toMatchObject({ code: 'denied', message: expect.not.stringContaining('wrong-secret') });
    expect(await failure((made) => { made.pathname = `/no_${name}`; })).toMatchObject({ code: 'not-ready', remedy: `CREATE DATABASE "no_${name}"` });
    expect(await failure((made) => { made.port = '1'; })).toMatchObject({ code: 'unreachable', message: expect.stringContaining(':1 ') });
    expect(await failure((made) => { made.searchParams.set('sslmode', 'require'); })).toMatchObject({ code: 'unreachable', message: expect.stringContaining('SSL') });
    expect(await failure((made) => { made.searchParams.set('sslmode', 'maybe'); })).toMatchObject({ code: 'usage' });
    expect(await failure((made) => { made.searchParams.set('ssl_mode', 'require'); })).toMatchObject({ code: 'usage', message: expect.stringContaining('ssl_mode') });
  });
});

describe('a PostgreSQL URL', () => {
  const env = { PGUSER: 'env-user', PGPASSFILE: '/nowhere' };

  test('means what it means to libpq', () => {
    expect(loginOf('postgres://u%40x:p%2F%3A@h:6000/d%20b', env)).toMatchObject({ host: 'h', port: 6000, user: 'u@x', password: 'p/:', database: 'd b' });
    expect(loginOf('postgresql://[::1]/d', env)).toMatchObject({ host: '::1', port: 5432, user: 'env-user', database: 'd', password: undefined });
    expect(loginOf('postgres://u@/d?host=/run/pg&port=6001', env)).toMatchObject({ host: '/run/pg', port: 6001, tls: [false] });
    expect(loginOf('postgres://u@%2Frun%2Fpg/d', env)).toMatchObject({ host: '/run/pg', tls: [false] });
    expect(loginOf('postgres:///', { ...env, PGHOST: 'there', PGPORT: '7', PGDATABASE: 'base', PGPASSWORD: 'secret' })).toMatchObject({ host: 'there', port: 7, database: 'base', password: 'secret' });
    expect(() => loginOf('postgres://a:secret@h1:1,h2:2/d', env)).toThrow(expect.objectContaining({ code: 'usage', message: expect.not.stringContaining('secret') }));
  });

  test('asks for TLS as sslmode says', () => {
    const ways = (mode: string) => loginOf(`postgres://h/d?sslmode=${mode}`, env).tls.map((way) => (way === false ? 'plain' : way.rejectUnauthorized === false ? 'any' : way.checkServerIdentity ? 'issuer' : 'full'));
    expect(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'].map(ways)).toEqual([['plain'], ['plain', 'any'], ['any', 'plain'], ['any'], ['issuer'], ['full']]);
    expect(() => loginOf('postgres://h/d?sslrootcert=/no/such.pem', env)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  test('finds its password in a password file that only its owner reads', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dsync-pgpass-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, 'pgpass');
    await writeFile(path, '# h:5432:d:u:comment\nother:*:*:*:no\nh:5432:d:u\\:v:a\\:b\\\\c\n*:*:*:*:rest\n', { mode: 0o600 });
    const password = (url: string) => loginOf(url, { PGPASSFILE: path }).password;
    expect([password('postgres://u%3Av@h/d'), password('postgres://u@h/d'), password('postgres://u:own@h/d')]).toEqual(['a:b\\c', 'rest', 'own']);
    await chmod(path, 0o644);
    expect(password('postgres://u@h/d')).toBeUndefined();
  });
});
