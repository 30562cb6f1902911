import { chmodSync, existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectorFor } from '../../src/connectors/index.js';
import type { Batch, Destination, OpenOptions, Row, Shape, Value } from '../../src/contract.js';
import { copyPlainly, lookAt } from './copying.js';
import { items, shapeOf } from './samples.js';
import { collect } from './source-promises.js';

const signal = new AbortController().signal;
const options: OpenOptions = { signal, connections: 2, batchBytes: 100_000 };
const all = { include: [], exclude: [] };
let folder: string;

beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'dsync-test-')); });
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string): string => join(folder, `${name}.db`);
const url = (name: string): string => `sqlite:${file(name)}`;
const opened = (name: string): Database.Database => new Database(file(name));
/** Everything about every cell, as SQLite tells it; only the driver tells the sign of zero. */
const cells = (name: string, table: string, columns: readonly string[]): unknown[] => {
  const exact = columns.flatMap((column) => [`typeof("${column}") || ' ' || hex(CAST("${column}" AS BLOB))`, `iif(typeof("${column}") = 'real', "${column}", NULL)`]);
  const rows = opened(name).prepare(`SELECT ${exact.join(', ')} FROM "${table}" ORDER BY 1`).raw().all() as unknown[][];
  return rows.map((row) => row.map((cell) => (Object.is(cell, -0) ? '-0' : String(cell))).join(';'));
};
const make = (name: string, ...statements: string[]): void => {
  const database = opened(name);
  for (const statement of statements) database.exec(statement);
  database.close();
};
const connect = async (to: string): Promise<Destination> => (await connectorFor(to)).openDestination!(to, options);
const failure = (promise: Promise<unknown>) => expect(promise).rejects;

/** Values of every storage class, which may stand in any column of a table that is not STRICT. */
const anything = [
  'NULL', '0', '1', '-1', '9223372036854775807', '-9223372036854775808', '9007199254740993', '1.5', '-0.0', '0.1', '1e308', '5e-324', '9e999', '-9e999', '0.1 + 0.2', '1.0', '123456789012345678.0',
  "''", "'text'", "'12'", "'1.10'", "'9223372036854775808'", "' 1 '", "'a' || char(0) || 'b'", "char(0)", "char(0x1f600)", "'é'", "x''", "x'00ff'", "x'31'", "CAST(x'610062' AS TEXT)",
];

describe('SQLite to SQLite', () => {
  const declared = ['INTEGER', 'INT', 'TEXT', 'VARCHAR(3)', 'BLOB', 'REAL', 'DOUBLE PRECISION', 'NUMERIC', 'DECIMAL(10,2)', 'DATETIME', 'BOOLEAN', 'UUID', '', 'FLOATING POINT', '"odd type (with) words"', 'SIGNED8_INT', 'FLOAT64_BLOB', 'UNSIGNED64_BLOB', 'DECIMAL_TEXT(5,2)'];
  const columns = declared.map((_, i) => `c${i}`);

  test('keeps the storage class and each bit of any value in a column of any type', async () => {
    const definitions = declared.map((type, i) => `c${i} ${type}`).join(', ');
    make('from', `CREATE TABLE mixed (id INTEGER PRIMARY KEY, ${definitions})`, `CREATE TABLE keyless (${definitions})`,
      ...anything.flatMap((value) => ['mixed', 'keyless'].map((table) => `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => value).join(', ')})`)));
    expect((await copyPlainly(url('from'), url('to'))).rejected).toEqual([]);
    for (const table of ['mixed', 'keyless']) expect(cells('to', table, columns)).toEqual(cells('from', table, columns));
    for (const { read, scanned } of (await lookAt(url('from'))).values()) expect(scanned).toEqual(read);
  });

  test('keeps text that is not UTF-8 as its bytes, and does not fall over it', async () => {
    make('from', 'CREATE TABLE broken (id INTEGER PRIMARY KEY, t TEXT, n NUMERIC)', "INSERT INTO broken VALUES (1, CAST(x'ff41' AS TEXT), CAST(x'c3' AS TEXT)), (2, CAST(x'a9' AS TEXT), 5), (3, 'é', 'fine')");
    await copyPlainly(url('from'), url('to'));
    expect(cells('to', 'broken', ['id', 't', 'n'])).toEqual(cells('from', 'broken', ['id', 't', 'n']).map((cell) => (cell as string).replace(/text (FF41|C3|A9)(?=;)/g, 'blob $1')));
    for (const { read, scanned } of (await lookAt(url('from'))).values()) expect(read).toEqual(scanned);
  });

  test('keeps text with NUL to its end', async () => {
    make('from', 'CREATE TABLE t (id INTEGER PRIMARY KEY, t TEXT, n NUMERIC)', "INSERT INTO t VALUES (1, 'a' || char(0) || 'b', 'c' || char(0)), (2, char(0), 5)", 'CREATE TABLE k (k TEXT PRIMARY KEY) WITHOUT ROWID', "INSERT INTO k VALUES (char(0)), (char(0, 0)), ('a' || char(0)), ('a')");
    await copyPlainly(url('from'), url('to'));
    for (const at of [url('from'), url('to')]) {
      for (const { read, scanned } of (await lookAt(at)).values()) expect(scanned).toEqual(read);
      expect((await lookAt(at)).get('t')!.read).toEqual([[1n, 'a\0b', 'c\0'], [2n, '\0', 5n]]);
      expect((await lookAt(at)).get('k')!.read).toEqual([['\0'], ['\0\0'], ['a'], ['a\0']]);
    }
  });

  test('copies STRICT, WITHOUT ROWID and generated, keys of text, blobs and several columns, names of all kinds', async () => {
    make('from',
      'CREATE TABLE strict (a INTEGER PRIMARY KEY, b ANY, c TEXT) STRICT', "INSERT INTO strict VALUES (1, '1', 'x'), (2, 1, 'y'), (3, 1.5, NULL), (4, x'00', '')",
      'CREATE TABLE compact (a TEXT, b BLOB, c INT, PRIMARY KEY (b DESC, a COLLATE NOCASE)) WITHOUT ROWID', "INSERT INTO compact SELECT 'k' || value, CAST(value % 7 AS BLOB), value FROM generate_series(1, 3000)".replace('generate_series(1, 3000)', '(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 3000) SELECT * FROM n)'),
      'CREATE TABLE made (a INTEGER PRIMARY KEY, b AS (a * 2), c TEXT AS (a || \'!\') STORED)', 'INSERT INTO made (a) VALUES (1), (2)',
      'CREATE TABLE "Select * FROM ""x""" (rowid TEXT, _rowid_ TEXT, "a b" TEXT)', 'INSERT INTO "Select * FROM ""x""" VALUES (1, 2, 3), (1, 2, 3)',
      'CREATE TABLE "INT" (id INT PRIMARY KEY, v)', 'INSERT INTO "INT" VALUES (5, 1), (3, \'3\')',
      'CREATE TABLE nullable_key (id TEXT PRIMARY KEY, v INT)', "INSERT INTO nullable_key VALUES (NULL, 1), (NULL, 1), ('a', 2)",
      'CREATE VIEW seen AS SELECT * FROM strict', 'CREATE VIRTUAL TABLE words USING fts5(t)');
    const { mappings, rejected } = await copyPlainly(url('from'), url('to'));
    expect(rejected).toEqual([]);
    expect(mappings.map(({ source }) => source.namespace)).toEqual(['INT', 'Select * FROM "x"', 'compact', 'made', 'nullable_key', 'strict']);
    for (const { source } of mappings) {
      const names = source.columns.map(({ name }) => name);
      expect(cells('to', source.name.replaceAll('"', '""'), names), source.name).toEqual(cells('from', source.name.replaceAll('"', '""'), names));
    }
    expect(mappings.find(({ source }) => source.name === 'nullable_key')).toMatchObject({ staged: true });
  });

  test('reads each row of a compact table once, whatever the pages and batches', async () => {
    make('from', 'CREATE TABLE t (a INT, b TEXT, pad TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID', "INSERT INTO t SELECT value / 10, value || '', hex(zeroblob(value % 997)) FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 5000) SELECT * FROM n)");
    const { read, scanned, shape } = (await lookAt(url('from'))).get('t')!;
    expect(read).toHaveLength(5000);
    expect(scanned).toEqual(read);
    expect(shape.columns.map(({ type }) => type.kind)).toEqual(['int', 'text', 'text']);
  });
});

describe('SQLite as a home for other engines', () => {
  test('keeps each logical type, and its values, until they are read again', async () => {
    const from = 'generator:?rows=400&types=all&nulls=0.1&unicode=0.3';
    expect((await copyPlainly(from, url('to'))).rejected).toEqual([]);
    const made = (await lookAt(from)).get('fake_1')!, kept = (await lookAt(url('to'))).get('fake_1')!;
    const expected = made.shape.columns.map(({ name, type }) => [name, type.kind === 'enum' ? { kind: 'text' } : type]);
    expect(kept.shape.columns.map(({ name, type }) => [name, type])).toEqual(expected);
    expect(kept.shape.key).toEqual(made.shape.key);
    expect(kept.read).toEqual(made.read);
    expect(kept.scanned).toEqual(made.read);
  });

  const shapeWith = (...columns: [string, Shape['columns'][number]['type']][]): Shape => ({
    namespace: 'elsewhere.t', schema: 'elsewhere', name: 't', engine: 'elsewhere', key: [0],
    columns: [['id', { kind: 'int', bits: 64, signed: false } as const] as const, ...columns].map(([name, type]) => ({ name, type, native: type.kind, nullable: name !== 'id' })),
  });
  const written = async (shape: Shape, rows: readonly Row[]) => {
    const destination = await connect(url('to')), mapping = await destination.adapt(shape, { name: 't' }, signal);
    await destination.begin('r', signal);
    await destination.prepare('r', mapping, { empty: false, keyed: false, tasks: [] }, signal);
    const outcome = await destination.write('r', batchOf(rows), mapping, { overwrite: false, redo: false }, signal);
    await destination[Symbol.asyncDispose]();
    return { ...outcome, kept: (await lookAt(url('to'))).get('t')! };
  };

  test('holds unsigned 64-bit keys and floats to the last bit, rejects only NaN', async () => {
    const shape = shapeWith(['f', { kind: 'float', bits: 64 }], ['g', { kind: 'float', bits: 32 }]);
    const good: Row[] = [[0n, -0, 0.5], [5n, Infinity, null], [2n ** 63n - 1n, 5e-324, -0], [2n ** 63n, 1.7976931348623157e308, 1], [2n ** 64n - 1n, 5, Math.fround(0.1)]];
    const { rejected, kept } = await written(shape, [...good, [7n, NaN, 1], [8n, 1, NaN]]);
    expect(rejected.map(({ row, reason }) => [row[0], reason])).toEqual([[7n, 'SQLite has no NaN'], [8n, 'SQLite has no NaN']]);
    expect(kept.read).toEqual(good);
    expect([...kept.scanned].sort((a, b) => Number((a[0] as bigint) - (b[0] as bigint)))).toEqual(good);
  });

  test('cuts unsigned keys into parts and finds them again', async () => {
    const edge = 2n ** 63n, ids = [0n, 1n, edge - 2n, edge - 1n, edge, edge + 1n, 10n ** 19n, 2n ** 64n - 1n];
    await written(shapeWith(), ids.map((id) => [id]));
    await using source = await (await connectorFor(url('to'))).openSource!(url('to'), options);
    const [shape] = await source.shapes(all, signal), snapshot = await source.snapshot([shape], signal);
    const edges = ['1', String(edge - 1n), String(edge), String(edge + 1n), String(10n ** 19n), String(2n ** 64n - 1n)];
    const parts = [{ to: edges[0] }, ...edges.map((from, i) => ({ from, to: edges[i + 1] }))];
    const found = [];
    for (const part of parts) for await (const rows of snapshot.scan({ shape, part }, signal)) found.push(rows.map(([id]) => id));
    expect(found).toEqual([[0n], [1n, edge - 2n], [edge - 1n], [edge], [edge + 1n], [10n ** 19n], [2n ** 64n - 1n]]);
    await snapshot[Symbol.asyncDispose]();
  });

  test.each([
    ['NUMERIC', { kind: 'decimal', precision: 9, scale: 2 }], ['INTEGER', { kind: 'text' }], ['TEXT', { kind: 'int', bits: 32, signed: true }], ['INTEGER', { kind: 'int', bits: 64, signed: false }],
    ['NUMERIC', { kind: 'float', bits: 64 }], ['REAL', { kind: 'int', bits: 32, signed: true }], ['JSON', { kind: 'json-text' }],
  ] as const)('refuses a standing column of type %s for values that it would change', async (type, logical) => {
    make('to', `CREATE TABLE t (id PRIMARY KEY, v ${type})`);
    await using destination = await connect(url('to'));
    await failure(destination.adapt(shapeWith(['v', logical]), { name: 't' }, signal)).toMatchObject({ code: 'refused', message: expect.stringContaining('v is') });
  });

  test('uses a standing table whose columns leave the values alone, and says of -0.0 that a REAL column does not', async () => {
    make('to', 'CREATE TABLE t (d DATETIME, f REAL, ID PRIMARY KEY, extra INT DEFAULT 5, b BOOLEAN)');
    const { rejected, kept } = await written(shapeWith(['f', { kind: 'float', bits: 64 }], ['d', { kind: 'timestamp', fraction: 6 }], ['b', { kind: 'bool' }]), [[1n, 1, '2020-01-01 00:00:00.5', true], [2n, -0, null, null]]);
    expect(rejected).toMatchObject([{ row: [2n, -0, null, null], reason: expect.stringContaining('-0.0') }]);
    expect(kept.read).toEqual([['2020-01-01 00:00:00.5', 1, 1n, 5n, true]]);
  });

  test('tells columns that differ by case only apart, and refuses such tables and names that SQLite keeps', async () => {
    await using destination = await connect(url('to'));
    const { target } = await destination.adapt(shapeWith(['v', { kind: 'text' }], ['V', { kind: 'text' }]), { name: 't' }, signal);
    expect(new Set(target.columns.map(({ name }) => name.toLowerCase())).size).toBe(target.columns.length);
    await failure(destination.adapt(shapeWith(), { name: 'sqlite_x' }, signal)).toMatchObject({ code: 'refused' });
    const twins = await Promise.all(['Orders', 'orders'].map((name) => destination.adapt({ ...shapeWith(), name, namespace: name }, { name }, signal)));
    expect(await destination.check(twins, signal)).toMatchObject([{ level: 'error', code: 'same-name', namespace: 'orders' }]);
    expect((await destination.adapt(shapeWith(), { schema: 'sales', name: 't' }, signal)).target.namespace).toBe('sales.t');
  });
});

describe('what stands in a SQLite file', () => {
  const kinds = async (...statements: string[]) => {
    make('from', ...statements);
    return Object.fromEntries((await lookAt(url('from'))).get('t')!.shape.columns.map(({ name, type }) => [name, type.kind]));
  };

  test('is what its columns are declared to be, where the values bear it out, and what the values are elsewhere', async () => {
    expect(await kinds('CREATE TABLE t (id INTEGER PRIMARY KEY, n VARCHAR(9), price DECIMAL(9,2), at DATETIME, ok BOOLEAN, nok BOOLEAN, x BLOB, y, z, w NUMERIC, v INT, u, f, e DATE)',
      "INSERT INTO t VALUES (1, 'a', 1.5, '2020-01-01', 1, 2, 'text', 1, x'00', 1, 'x', 1, 1.5, NULL), (2, NULL, 2, NULL, 0, 0, 'more', 2, NULL, 'a', 'y', 1.5, 2.5, NULL)")).toEqual({
      id: 'int', n: 'text', price: 'float', at: 'text', ok: 'bool', nok: 'int', x: 'text', y: 'int', z: 'bytes', w: 'any', v: 'text', u: 'any', f: 'float', e: 'text',
    });
  });

  test('goes to other engines as far as it fits; the rest is rejected, each row with its reason', async () => {
    make('from', 'CREATE TABLE t (id INTEGER PRIMARY KEY, note TEXT, n INT, x BLOB)',
      "INSERT INTO t VALUES (1, 'a', 5, x'01'), (2, x'41', 5, NULL), (3, CAST(x'80ff41' AS TEXT), 5, NULL), (4, 'a', 'five', NULL), (5, 'a', 5, 'text'), (6, NULL, NULL, NULL)");
    await using source = await (await connectorFor(url('from'))).openSource!(url('from'), options);
    const declared = { note: { kind: 'text' }, n: { kind: 'int', bits: 64, signed: true }, x: { kind: 'bytes' } } as const;
    const [found] = await source.shapes(all, signal), shape: Shape = { ...found, columns: found.columns.map((column) => ({ ...column, type: declared[column.name as keyof typeof declared] ?? column.type })) };
    await using snapshot = await source.snapshot([shape], signal);
    const batches = await collect(snapshot.read({ task: { id: 't#0', namespace: 't' }, shape, format: 'delimited', sequence: 0 }, signal));
    expect(batches.map(({ rows, count }) => [Buffer.from((rows as { bytes: Uint8Array }).bytes).toString(), count])).toEqual([['1\ta\t5\t\\\\x01\n6\t\\N\t\\N\t\\N\n', 2]]);
    expect(batches[0].rejected!.map(({ row, reason }) => [row[0], reason])).toEqual([
      [2n, 'the value of note is no TEXT but a blob, or text that is not UTF-8'], [3n, 'the value of note is no TEXT but a blob, or text that is not UTF-8'],
      [4n, 'the value of n is no INT but text'], [5n, 'the value of x is no BLOB but text'],
    ]);
  });
});

describe('a SQLite URL', () => {
  const source = async (to: string) => (await connectorFor(to)).openSource!(to, options);

  test.each(['sqlite:', 'sqlite://', 'sqlite::memory:', 'sqlite:x.db?mode=rx', 'sqlite:x.db?cache=shared', 'sqlite://%zz'])('%s is a usage error', async (to) => {
    await failure(source(to)).toMatchObject({ name: 'DsyncError', code: 'usage' });
    await failure(connect(to)).toMatchObject({ name: 'DsyncError', code: 'usage' });
  });

  test('names a file in each of its forms, with any name', async () => {
    for (const name of ['plain', 'with space', '100%', 'a#b', 'é']) {
      make(name, 'CREATE TABLE t (a)');
      for (const to of [`sqlite:${file(name)}`, `sqlite:${file(name)}?mode=ro`, `sqlite://${encodeURI(file(name)).replace('#', '%23')}`]) {
        await using opened = await source(to);
        expect(await opened.shapes(all, signal), to).toHaveLength(1);
      }
    }
  });

  test('of a missing file, a missing folder or no database says so, and makes nothing', async () => {
    await failure(source(url('missing'))).toMatchObject({ code: 'unreachable', message: expect.stringContaining('missing.db') });
    expect(existsSync(file('missing'))).toBe(false);
    await failure(connect(`sqlite:${folder}/no/such/file.db`)).toMatchObject({ code: 'unreachable' });
    writeFileSync(file('junk'), 'this is no database, it only looks long enough to be one '.repeat(100));
    await failure(source(url('junk'))).toMatchObject({ code: 'not-ready', message: expect.stringContaining('not a database') });
    await failure(connect(url('junk'))).toMatchObject({ code: 'not-ready' });
    make('utf16', "PRAGMA encoding = 'UTF-16'", 'CREATE TABLE t (a)');
    await failure(source(url('utf16'))).toMatchObject({ code: 'not-ready', message: expect.stringContaining('UTF-16') });
    await failure(connect(`${url('plain')}?mode=ro`)).toMatchObject({ code: 'usage' });
  });

  test('that was only looked at as a destination leaves no file', async () => {
    const destination = await connect(url('new'));
    await destination.adapt(shapeOf(items), { name: 'items' }, signal);
    expect(await destination.progress('r', signal)).toBeUndefined();
    await destination[Symbol.asyncDispose]();
    expect(existsSync(file('new'))).toBe(false);
  });

  test('a source is never written to', async () => {
    make('from', 'CREATE TABLE t (a)', 'INSERT INTO t VALUES (1)');
    await using opened = await source(`${url('from')}?mode=ro`);
    chmodSync(file('from'), 0o444);
    expect((await opened.check([], signal)).map(({ code }) => code)).toEqual(['writers-wait']);
    expect((await lookAt(`${url('from')}?mode=ro`)).get('t')!.read).toEqual([[1n]]);
  });
});

describe('a SQLite file that others use', () => {
  const prepared = async () => {
    const destination = await connect(url('to')), mapping = await destination.adapt(shapeOf(items), { name: 'items' }, signal);
    await destination.begin('r', signal);
    await destination.prepare('r', mapping, { empty: false, keyed: false, tasks: [] }, signal);
    const write = (stop = signal) => destination.write('r', batchOf(items.rows.slice(0, 10)), mapping, { overwrite: false, redo: true }, stop);
    return { destination, write };
  };

  test('is written to when they let go of it, and meanwhile others are served', async () => {
    const { destination, write } = await prepared(), other = opened('to');
    other.exec('BEGIN IMMEDIATE');
    let served = 0;
    const writing = write(), serving = setInterval(() => { if (++served === 5) other.exec('COMMIT'); }, 1);
    expect(await writing).toEqual({ written: 10, rejected: [] });
    clearInterval(serving);
    expect(served).toBeGreaterThanOrEqual(5);
    await destination[Symbol.asyncDispose]();
  });

  test('is given up at once when the user stops', async () => {
    const { destination, write } = await prepared(), other = opened('to'), stop = new AbortController();
    other.exec('BEGIN IMMEDIATE');
    const writing = write(stop.signal), since = performance.now();
    setImmediate(() => stop.abort());
    await failure(writing).toThrow();
    expect(performance.now() - since).toBeLessThan(1000);
    other.exec('COMMIT');
    expect(await write()).toEqual({ written: 10, rejected: [] });
    await destination[Symbol.asyncDispose]();
  });

  test('is written to while it is read, whatever journal it had', async () => {
    make('to', 'CREATE TABLE before (a)');
    const { destination, write } = await prepared();
    await using source = await (await connectorFor(url('to'))).openSource!(url('to'), options);
    const shapes = await source.shapes(all, signal), snapshot = await source.snapshot(shapes, signal);
    expect(await write()).toEqual({ written: 10, rejected: [] });
    const found = [];
    for await (const rows of snapshot.scan({ shape: shapes[1], part: {} }, signal)) found.push(...rows);
    expect(found).toEqual([]);
    await snapshot[Symbol.asyncDispose]();
    await destination[Symbol.asyncDispose]();
  });

  test('that is removed or replaced under the writer is noticed before the next write', async () => {
    const { destination, write } = await prepared();
    rmSync(file('to'));
    await failure(write()).toMatchObject({ code: 'refused', message: expect.stringContaining('removed or replaced') });
    make('to', 'CREATE TABLE items (a)');
    await failure(write()).toMatchObject({ code: 'refused' });
    await destination[Symbol.asyncDispose]();
  });

  test('that was emptied of dsync\'s marks is noticed before the next write', async () => {
    const { destination, write } = await prepared();
    make('to', 'DROP TABLE _dsync_run', 'DROP TABLE _dsync_progress');
    await failure(write()).toMatchObject({ code: 'refused', message: expect.stringContaining('emptied') });
    expect(await destination.progress('r', signal)).toBeUndefined();
    await destination[Symbol.asyncDispose]();
  });

  test('tells of its rejected rows again when a batch is sent again', async () => {
    const { destination } = await prepared(), bad: Row = [7n, 'twice', null, null], rows = [...items.rows.slice(0, 10), bad, ...items.rows.slice(10, 20)];
    const mapping = await destination.adapt(shapeOf(items), { name: 'items' }, signal);
    const first = await destination.write('r', batchOf(rows), mapping, { overwrite: false, redo: false }, signal);
    expect(first).toMatchObject({ written: 20, rejected: [{ row: bad, reason: expect.stringContaining('UNIQUE') }] });
    expect(await destination.write('r', batchOf(rows), mapping, { overwrite: false, redo: true }, signal)).toEqual(first);
    await destination[Symbol.asyncDispose]();
  });

  test('is known again by a fingerprint once it has rested, and not when it has changed', async () => {
    make('from', 'CREATE TABLE t (a)', 'INSERT INTO t VALUES (1)');
    const fingerprint = async () => {
      await using source = await (await connectorFor(url('from'))).openSource!(url('from'), options);
      const snapshot = await source.snapshot([], signal);
      await snapshot[Symbol.asyncDispose]();
      return snapshot.moment.fingerprint;
    };
    expect(await fingerprint()).toBeUndefined();
    utimesSync(file('from'), 1_600_000_000, 1_600_000_000);
    const rested = await fingerprint();
    expect(rested).toBeTypeOf('string');
    expect(await fingerprint()).toBe(rested);
    make('from', 'INSERT INTO t VALUES (2)');
    utimesSync(file('from'), 1_600_000_000, 1_600_000_000);
    expect(await fingerprint()).not.toBe(rested);
  });
});

function batchOf(rows: readonly Row[]): Batch {
  return { task: 't#0', namespace: 'elsewhere.t', sequence: 0, rows: { format: 'values', rows: rows as readonly (readonly Value[])[] }, count: rows.length, bytes: 1000 };
}
