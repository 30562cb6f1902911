import { describe, expect, test } from 'vitest';
import type { Batch, OpenOptions, Row, Shape, Snapshot, Source } from '../../src/contract.js';
import { connectorFor } from '../../src/connectors/index.js';
import { decodeDelimited } from '../../src/values/delimited.js';
import { plainRow } from './samples.js';
import { collect } from './source-promises.js';

const signal = new AbortController().signal;
const options: OpenOptions = { signal, connections: 2, batchBytes: 20_000 };
const keys = ['int', 'uuid', 'text', 'composite', 'none'] as const;

interface Opened { readonly source: Source; readonly shapes: readonly Shape[]; readonly snapshot: Snapshot }

async function open(query: string): Promise<Opened> {
  const url = `generator:?${query}`, source = await (await connectorFor(url)).openSource!(url, options);
  const shapes = await source.shapes({ include: [], exclude: [] }, signal);
  return { source, shapes, snapshot: await source.snapshot(shapes, signal) };
}

const readAll = async ({ snapshot }: Opened, shape: Shape, format: 'values' | 'delimited', taskBytes = 1e9): Promise<Batch[]> => {
  const tasks = await snapshot.plan(shape, { taskBytes }, signal);
  return (await Promise.all(tasks.map((task) => collect(snapshot.read({ task, shape, format, sequence: 0 }, signal))))).flat();
};
/** One text for each row: fast to compare, and to show. */
const plain = (shape: Shape, rows: readonly Row[]): string[] => rows.map((row) => plainRow(shape.columns.map(({ name }) => name), row));
const rowsIn = (shape: Shape, batches: readonly Batch[]): Row[] => batches.flatMap(({ rows }) => {
  if (rows.format === 'delimited') return decodeDelimited(shape.columns)(rows.bytes);
  return rows.format === 'values' ? [...rows.rows] : [];
});

const told = (batches: readonly Batch[]) => batches.map(({ sequence, cursor, rows }) => ({ sequence, cursor, text: rows.format === 'delimited' && Buffer.from(rows.bytes).toString().slice(0, 500) }));

describe.each(keys)('generator with key=%s', (key) => {
  test.each(['basic', 'all'])('tells the same rows in every format, in every cut, at every time (%s types)', async (types) => {
    const query = `key=${key}&types=${types}&rows=500&namespaces=2&nulls=0.2&unicode=0.3&seed=7`, first = await open(query), later = await open(query);
    for (const shape of first.shapes) {
      const rows = plain(shape, rowsIn(shape, await readAll(first, shape, 'values')));
      expect(rows).toHaveLength(500);
      for (const format of ['values', 'delimited'] as const) {
        for (const taskBytes of [9_000, 1e9]) expect(plain(shape, rowsIn(shape, await readAll(later, shape, format, taskBytes)))).toEqual(rows);
      }
      const parts = await first.snapshot.parts(shape, 60, signal);
      expect(plain(shape, (await Promise.all(parts.map((part) => collect(first.snapshot.scan({ shape, part }, signal))))).flat(2))).toEqual(rows);
    }
    expect(first.snapshot.moment.fingerprint).toBe(later.snapshot.moment.fingerprint);
  });

  test('has a key that is one, or none', async () => {
    const opened = await open(`key=${key}&rows=5000&unicode=0.5`), [shape] = opened.shapes;
    const rows = rowsIn(shape, await readAll(opened, shape, 'values'));
    const distinct = new Set(rows.map((row) => JSON.stringify((key === 'none' ? row : shape.key.map((i) => row[i])).map(String))));
    if (key === 'none') expect(distinct.size).toBeLessThan(5000);
    else expect(distinct.size).toBe(5000);
  });

  test('goes on after any cursor with exactly the rest', async () => {
    const opened = await open(`key=${key}&rows=1000`), [shape] = opened.shapes;
    const [task] = await opened.snapshot.plan(shape, { taskBytes: 1e9 }, signal), batches = await readAll(opened, shape, 'delimited');
    for (const [i, { cursor }] of batches.entries()) {
      const rest = await collect(opened.snapshot.read({ task, shape, format: 'delimited', sequence: i + 1, after: cursor }, signal));
      expect(told(rest)).toEqual(told(batches.slice(i + 1)));
    }
  });
});

test.each(['int', 'composite'])('generated parts hold the keys between their edges, and no others (key=%s)', async (key) => {
  const { snapshot, shapes: [shape] } = await open(`key=${key}&rows=5000`), parts = await snapshot.parts(shape, 1500, signal);
  expect(parts.length).toBeGreaterThan(2);
  for (const part of [...parts, { from: '2', to: '4' }]) {
    const keys = (await collect(snapshot.scan({ shape, part }, signal))).flat().map(([first]) => BigInt(first as number));
    expect(keys.length).toBeGreaterThan(0);
    expect(keys.every((first) => (part.from === undefined || first >= BigInt(part.from)) && (part.to === undefined || first < BigInt(part.to)))).toBe(true);
  }
});

test('batches of the generator keep their limits, and a huge row passes alone', async () => {
  const { snapshot, shapes: [shape] } = await open('rows=20&width=30000');
  for (const format of ['values', 'delimited'] as const) {
    const [task] = await snapshot.plan(shape, { taskBytes: 1e9 }, signal);
    expect((await collect(snapshot.read({ task, shape, format, sequence: 3 }, signal))).map(({ count, sequence }) => [count, sequence])).toEqual(Array.from({ length: 20 }, (_, i) => [1, 3 + i]));
  }
  const small = await open('rows=2000');
  for (const { bytes } of await readAll(small, small.shapes[0], 'delimited')) expect(bytes).toBeLessThanOrEqual(20_000);
});

test('generated columns reach the limits of their types, nulls and hostile text', async () => {
  const opened = await open('rows=3000&types=all&nulls=0.1&unicode=0.2'), [shape] = opened.shapes, rows = rowsIn(shape, await readAll(opened, shape, 'values'));
  const column = (name: string) => rows.map((row) => row[shape.columns.findIndex((each) => each.name === name)]);
  expect(column('int64')).toEqual(expect.arrayContaining([2n ** 63n - 1n, -(2n ** 63n), null]));
  expect(column('uint64')).toEqual(expect.arrayContaining([2n ** 64n - 1n, 0n]));
  expect(column('exact')).toEqual(expect.arrayContaining([`${'9'.repeat(28)}.${'9'.repeat(10)}`, '1.1000000000']));
  expect(column('words')).toEqual(expect.arrayContaining(['', null]));
  expect(column('words').join('')).toMatch(/[\u{10000}-\u{10ffff}]/u);
  expect(column('words').join('')).toMatch(/\f/);
  expect(new Set(shape.columns.map(({ type }) => type.kind)).size).toBeGreaterThanOrEqual(13);
});

test('other seeds and tables are other rows', async () => {
  const a = await open('rows=100&namespaces=2'), b = await open('rows=100&seed=2');
  const texts = await Promise.all([[a, a.shapes[0]], [a, a.shapes[1]], [b, b.shapes[0]]].map(async ([opened, shape]) => JSON.stringify(rowsIn(shape as Shape, await readAll(opened as Opened, shape as Shape, 'values')), (_, value) => String(value))));
  expect(new Set(texts).size).toBe(texts.length);
});

test.each(['rows=-1', 'rows=many', 'nulls=1.5', 'key=serial', 'colour=red', 'types=', 'namespaces=0', 'constructor=1'])('generator:?%s is a usage error', async (query) => {
  await expect(open(query)).rejects.toMatchObject({ name: 'DsyncError', code: 'usage' });
});

test('the generator stops at once when it is told to', async () => {
  const { snapshot, shapes: [shape] } = await open('rows=1000000'), stop = new AbortController();
  const [task] = await snapshot.plan(shape, { taskBytes: 1e12 }, signal), batches = snapshot.read({ task, shape, format: 'delimited', sequence: 0 }, stop.signal)[Symbol.asyncIterator]();
  await batches.next();
  stop.abort();
  await expect(batches.next()).rejects.toThrow();
});
