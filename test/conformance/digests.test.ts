import { expect, test } from 'vitest';
import { connectorFor } from '../../src/connectors/index.js';
import type { Column, DigestForm, Row, Shape, Snapshot, Source } from '../../src/contract.js';
import { formsOf } from '../../src/verifier/forms.js';
import { draws } from '../verifier/tables.js';
import { referenceDigest } from '../verifier/reference.js';
import { describeWith, freshDatabase, type FreshDatabase } from '../servers/index.js';
import { everyType, hostile, hostileMariadb, hostileMysql } from './every-type.js';

const { signal } = new AbortController();
const tables = { postgres18: everyType, postgres14: everyType, mariadb: `${hostile} ${hostileMariadb}`, mysql9: `${hostile} ${hostileMysql}` } as const;
const isPostgres = (name: keyof typeof tables) => name.startsWith('postgres');

for (const name of Object.keys(tables) as (keyof typeof tables)[]) {
  describeWith(name, `digests that ${name} computes itself`, () => {
    test('spell every type as the normal form of what the scan reads', async () => {
      await using database = await freshDatabase(name);
      await database.query(tables[name]);
      await using from = await opened(database);
      for (const shape of from.shapes) await expectReference(from.snapshot, shape, () => formsOfItself(shape));
    });

    test('spell columns as text, numbers or padded text as well, where the other side has such a type', async () => {
      await using database = await freshDatabase(name);
      await database.query(tables[name]);
      await using from = await opened(database);
      for (const shape of from.shapes) {
        for (const column of shape.columns.filter(({ type }) => !['bool', 'int', 'decimal', 'float', 'bytes'].includes(type.kind))) {
          for (const as of ['text', 'padded'] as const) for (const long of [true, false]) await expectReference(from.snapshot, only(shape, column), () => [{ as, long }]);
        }
      }
    });

    test('leave out the spaces at the end of padded text, and nothing else', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE spaced (id int PRIMARY KEY, v varchar(20))');
      await database.query("INSERT INTO spaced VALUES (1, 'a  '), (2, ' '), (3, ''), (4, '  é '), (5, 'tab\t'), (6, 'tab\t '), (7, NULL)");
      await using from = await opened(database);
      for (const long of [true, false]) for (const as of ['text', 'padded'] as const) await expectReference(from.snapshot, from.shapes[0], () => [{ as: 'number', long: false }, { as, long }]);
    });

    test('spell floats as JavaScript reads them, whatever their size', async () => {
      await using database = await freshDatabase(name);
      const type = isPostgres(name) ? 'double precision' : 'double', single = isPostgres(name) ? 'real' : 'float';
      await database.query(`CREATE TABLE floats (id int PRIMARY KEY, f ${type}, s ${single})`);
      // PostgreSQL gives some of these a digit more than they need.
      const rows = floats().filter((value) => !isPostgres(name) || Math.abs(value) < 2 ** 53).map((value, i) => `(${i}, ${value}, ${Math.abs(Math.fround(value)) > 3.4e38 || Math.abs(value) < 1.2e-38 ? 'NULL' : `${Math.fround(value)}`})`);
      for (let i = 0; i < rows.length; i += 2000) await database.query(`INSERT INTO floats VALUES ${rows.slice(i, i + 2000).join(', ')}`);
      await using from = await opened(database);
      await expectReference(from.snapshot, from.shapes[0], () => formsOfItself(from.shapes[0]));
    });

    test('take the rows of a part and of a filter, tell how far the server is, and add equal rows up', async () => {
      await using database = await freshDatabase(name);
      await database.query(`CREATE TABLE items (id int PRIMARY KEY, v varchar(20)); CREATE TABLE twins (v varchar(20));
        INSERT INTO items VALUES (1, 'a'), (2, ''), (3, NULL), (4, 'd'); INSERT INTO twins VALUES ('x'), ('x'), ('y'), ('y')`);
      await using from = await opened(database);
      const [items, twins] = ['items', 'twins'].map((table) => from.shapes.find((shape) => shape.name === table)!);
      const forms = formsOfItself(items), ask = (job: object) => from.snapshot.digests!.digest({ shape: items, part: {}, forms, ...job }, signal);
      const all = await ask({}), parts = [await ask({ part: { to: '2' } }), await ask({ part: { from: '2', to: '4' } }), await ask({ part: { from: '4' } })];
      expect(parts.map(({ rows }) => rows)).toEqual([1, 2, 1]);
      expect(BigInt.asUintN(64, parts.reduce((sum, part) => sum + part.sum, 0n))).toBe(all.sum);
      expect(await ask({ where: 'id = 1 OR id = 4' })).toEqual(referenceDigest([[1, 'a'], [4, 'd']], forms));
      expect(await ask({ part: { from: '9' } })).toEqual({ rows: 0, sum: 0n });
      expect(await ask({ shape: twins, forms: formsOfItself(twins) })).toEqual(referenceDigest([['x'], ['x'], ['y'], ['y']], formsOfItself(twins)));
      const away = await from.snapshot.digests!.roundTrip(signal);
      expect(away).toBeGreaterThan(0);
      expect(away).toBeLessThan(1000);
    });

    test('end soon when they are stopped', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE items (id int PRIMARY KEY)');
      await database.query('INSERT INTO items VALUES (1)');
      await using from = await opened(database);
      const [shape] = from.shapes, stop = new AbortController();
      const slow = from.snapshot.digests!.digest({ shape, part: {}, where: isPostgres(name) ? 'pg_sleep(30) IS NOT NULL' : 'SLEEP(30) = 0', forms: formsOfItself(shape) }, stop.signal);
      setTimeout(() => stop.abort(new Error('enough')), 100);
      const since = performance.now();
      await expect(slow).rejects.toThrow();
      expect(performance.now() - since).toBeLessThan(1_100);
    });
  });
}

describeWith('mariadb', 'rows that MariaDB can not digest', () => {
  test('fail with `data`: they are never taken for rows without a hash', async () => {
    await using database = await freshDatabase('mariadb');
    await database.query('CREATE TABLE items (id int PRIMARY KEY, v longtext)');
    await database.query("INSERT INTO items VALUES (1, REPEAT('x', 1000000)), (2, 'short')");
    const [{ most }] = await database.query('SELECT @@global.max_allowed_packet AS most');
    await using from = await opened(database);
    const [shape] = from.shapes, wide: Shape = { ...shape, columns: Array.from({ length: Math.ceil(Number(most) / 1e6) }, () => shape.columns[1]) };
    const forms: readonly DigestForm[] = wide.columns.map(() => ({ as: 'text', long: false }));
    await expect(from.snapshot.digests!.digest({ shape: wide, part: {}, forms }, signal)).rejects.toMatchObject({ code: 'data', message: expect.stringContaining('max_allowed_packet') });
    expect(await from.snapshot.digests!.digest({ shape: wide, part: {}, where: 'id = 2', forms }, signal)).toMatchObject({ rows: 1 });
    expect(await from.snapshot.digests!.digest({ shape, part: {}, forms: formsOfItself(shape) }, signal)).toMatchObject({ rows: 2 });
  });
});

describeWith('postgres18', 'rows that PostgreSQL can not digest', () => {
  test('leave the snapshot as it was', async () => {
    await using database = await freshDatabase('postgres18');
    await database.query('CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (1)');
    await using from = await opened(database);
    const [shape] = from.shapes, forms = formsOfItself(shape);
    await expect(from.snapshot.digests!.digest({ shape, part: {}, where: '1 / (id - 1) > 0', forms }, signal)).rejects.toMatchObject({ retryable: false });
    await database.query('INSERT INTO items VALUES (2)');
    expect(await from.snapshot.digests!.digest({ shape, part: {}, forms }, signal)).toMatchObject({ rows: 1 });
  });
});

interface Opened extends AsyncDisposable { readonly shapes: readonly Shape[]; readonly snapshot: Snapshot }

async function opened(database: FreshDatabase): Promise<Opened> {
  const connector = await connectorFor(database.url);
  const source: Source = await connector.openSource!(database.url, { signal, connections: 1, batchBytes: 1 << 20 });
  const shapes = await source.shapes({ include: ['**'], exclude: [] }, signal), snapshot = await source.snapshot(shapes, signal);
  return { shapes, snapshot, [Symbol.asyncDispose]: async () => { await snapshot[Symbol.asyncDispose](); await source[Symbol.asyncDispose](); } };
}

const only = (shape: Shape, column: Column): Shape => ({ ...shape, columns: [column], key: [] });

/** The forms of a table beside its like. */
function formsOfItself(shape: Shape): readonly DigestForm[] {
  const found = formsOf({ source: shape, target: shape, fidelity: [], existed: true, staged: false });
  expect(found).toHaveProperty('forms');
  return 'forms' in found ? found.forms : [];
}

/** The whole table, then column by column, so that a fault names its column. */
async function expectReference(snapshot: Snapshot, shape: Shape, formsFor: () => readonly DigestForm[]): Promise<void> {
  const forms = formsFor(), rows: Row[] = [];
  for await (const some of snapshot.scan({ shape, part: {} }, signal)) rows.push(...some);
  expect(rows.length).toBeGreaterThan(1);
  const wrong: string[] = [];
  for (const [i, column] of shape.columns.entries()) {
    const found = await snapshot.digests!.digest({ shape: only(shape, column), part: {}, forms: [forms[i]] }, signal).catch((error: Error) => error.message);
    const expected = referenceDigest(rows.map((row) => [row[i]]), [forms[i]]);
    if (typeof found === 'string' || found.sum !== expected.sum) wrong.push(`${column.name} (${column.native}) as ${forms[i].as}${forms[i].long ? ', long' : ''}: ${typeof found === 'string' ? found : 'another digest'}`);
  }
  expect(wrong).toEqual([]);
  expect(await snapshot.digests!.digest({ shape, part: {}, forms }, signal)).toEqual(referenceDigest(rows, forms));
}

/** Doubles of every size, and those at the edges of exponents and of what digits can tell. */
function floats(): readonly number[] {
  const draw = draws(7), view = new DataView(new ArrayBuffer(8)), found: number[] = [];
  while (found.length < 6000) {
    view.setUint32(0, draw.below(2 ** 32));
    view.setUint32(4, draw.below(2 ** 32));
    const value = view.getFloat64(0);
    if (Number.isFinite(value)) found.push(value);
  }
  for (let power = -1074; power < 1024; power++) found.push(2 ** power, -(2 ** power) * 1.5);
  for (let power = -20; power < 23; power++) found.push(Number(`1e${power}`), Number(`9.999999999999999e${power}`), Number(`-1.2345e${power}`));
  for (let i = 0; i < 4000; i++) found.push(draw.below(2 ** 31) / 10 ** draw.below(9));
  return found.filter((value) => Number.isFinite(value) && value !== 0);
}
