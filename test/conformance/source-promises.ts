import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Batch, Format, OpenOptions, Part, ReadJob, Shape, Snapshot, Source } from '../../src/contract.js';
import { bulky, empty, expectSame, heap, items, own, pairs, plainBatches, plainRow, plainRows, plainValues, samples, strange, type Plain, type Sample } from './samples.js';
import type { Place, Subject } from './subject.js';

const everything = { include: [], exclude: [] };
const signal = new AbortController().signal;
const batchBytes = 20_000, batchRows = 70;

/** Every promise that contract.ts makes for a source. */
export function sourcePromises(subject: Subject): void {
  const { documents, noCondition } = subject.exceptions ?? {};
  const tables = samples.filter(({ key }) => key.length > 0 || documents === undefined);
  let place: Place, source: Source;

  const open = async (url = place.url, options: Partial<OpenOptions> = {}): Promise<Source> =>
    (await subject.connector()).openSource!(url, { signal, connections: 3, batchBytes, batchRows, ...options });
  const shapeOf = async (sample: Sample): Promise<Shape> => {
    const shape = (await source.shapes(everything, signal)).find(({ name }) => name === sample.name);
    if (!shape) throw new Error(`${sample.name} is not among the shapes`);
    return shape;
  };
  const withSnapshot = async <T>(act: (snapshot: Snapshot) => Promise<T>): Promise<T> => {
    const snapshot = await source.snapshot(await source.shapes(everything, signal), signal);
    try {
      return await act(snapshot);
    } finally {
      await snapshot[Symbol.asyncDispose]();
    }
  };
  const readAll = async (snapshot: Snapshot, shape: Shape, format: Format, job: Partial<ReadJob> & { taskBytes?: number } = {}): Promise<Plain[]> => {
    const tasks = await snapshot.plan(shape, { taskBytes: job.taskBytes ?? 16_000, where: job.where }, signal);
    const read = await Promise.all(tasks.map((task) => collect(snapshot.read({ task, shape, format, sequence: 0, ...job }, signal))));
    return read.flatMap((batches) => plainBatches(shape, batches));
  };
  const scanAll = async (snapshot: Snapshot, shape: Shape, parts: readonly Part[], where?: string): Promise<Plain[]> => {
    const pages = await Promise.all(parts.map((part) => collect(snapshot.scan({ shape, part, where }, signal))));
    return pages.flat().flatMap((rows) => plainValues(shape, rows));
  };
  const legible = (shape: Shape): Format[] => formatsOf(source, shape).filter((format) => format !== 'pg-binary');

  describe('as a source', () => {
    beforeAll(async () => {
      place = await subject.fresh();
      for (const sample of [...tables, own]) {
        await place.create(sample);
        await place.settle?.(sample);
      }
      source = await open();
    });
    afterAll(async () => {
      await source?.[Symbol.asyncDispose]();
      await place?.[Symbol.asyncDispose]();
    });

    test('names its tables in order, and none of dsync\'s own', async () => {
      const shapes = await source.shapes(everything, signal);
      expect(shapes.map(({ name }) => name).sort()).toEqual(tables.map(({ name }) => name).sort());
      expect(shapes.map(({ namespace }) => namespace)).toEqual(shapes.map(({ namespace }) => namespace).sort());
    });

    test('selects by globs, and leaves out what is excluded', async () => {
      const names = async (include: string[], exclude: string[] = []) => (await source.shapes({ include, exclude }, signal)).map(({ name }) => name);
      expect(await names(['*items'])).toEqual(['items']);
      expect((await names(['*items', '*?airs'])).sort()).toEqual(['items', 'pairs']);
      expect(await names(['*s'], ['*pairs'])).toEqual(['items']);
      expect(await names(['no such table'])).toEqual([]);
    });

    test.skipIf(documents)('tells a table\'s columns, its key, and what may be null', async () => {
      const { columns, key } = await shapeOf(pairs);
      expect(columns.map(({ name, nullable }) => [name, nullable])).toEqual([['part', false], ['code', false], ['note', true]]);
      expect(key).toEqual([0, 1]);
      expect((await shapeOf(heap)).key).toEqual([]);
      expect((await shapeOf(strange)).columns.map(({ name }) => name)).toEqual(strange.columns.map(({ name }) => name));
    });

    test('says of what is there who it is, and finds nothing wrong with it', async () => {
      await using again = await open();
      expect(await again.identity(signal)).toBe(await source.identity(signal));
      const findings = await source.check(await source.shapes(everything, signal), signal);
      expect(findings.filter(({ level }) => level === 'error')).toEqual([]);
      expect(source.version).not.toBe('');
    });

    test.each(tables.map((sample) => [sample.name, sample] as const))('reads each row of %s once, in every format, whatever the tasks', async (_, sample) => {
      const shape = await shapeOf(sample), expected = plainRows(sample);
      await withSnapshot(async (snapshot) => {
        for (const format of legible(shape)) {
          expectSame(await readAll(snapshot, shape, format), expected, `${format}, small tasks`);
          expectSame(await readAll(snapshot, shape, format, { taskBytes: 1e9 }), expected, `${format}, one task`);
        }
      });
    });

    test('offers a format that all can read', async () => {
      expect(formatsOf(source, await shapeOf(items)).at(-1)).toBe(documents ? 'bson' : 'values');
    });

    test('has several tasks for a large table, one for a table without a key, and their numbers are their own', async () => {
      await withSnapshot(async (snapshot) => {
        const tasks = await snapshot.plan(await shapeOf(items), { taskBytes: 16_000 }, signal);
        expect(new Set(tasks.map(({ id }) => id)).size).toBe(tasks.length);
        expect(tasks.length).toBeGreaterThan(1);
        expect(await snapshot.plan(await shapeOf(empty), { taskBytes: 16_000 }, signal)).not.toEqual([]);
        if (!documents) expect(await snapshot.plan(await shapeOf(heap), { taskBytes: 1 }, signal)).toHaveLength(1);
      });
    });

    test('keeps batches within their limits, numbers them, and passes a huge row alone', async () => {
      await withSnapshot(async (snapshot) => {
        for (const format of formatsOf(source, await shapeOf(bulky))) {
          const batches = await readTasks(snapshot, await shapeOf(bulky), format);
          expect(batches.reduce((sum, { count }) => sum + count, 0)).toBe(bulky.rows.length);
          const huge = batches.filter(({ bytes }) => bytes > 2 * batchBytes);
          expect(huge.map(({ count }) => count), `${format}: batches above the limit`).toEqual([1]);
        }
        for (const batch of await readTasks(snapshot, await shapeOf(items), formatsOf(source, await shapeOf(items))[0])) expect(batch.count).toBeLessThanOrEqual(batchRows);
      });
    });

    const readTasks = async (snapshot: Snapshot, shape: Shape, format: Format): Promise<Batch[]> => {
      const tasks = await snapshot.plan(shape, { taskBytes: 1e9 }, signal);
      const read = await Promise.all(tasks.map((task) => collect(snapshot.read({ task, shape, format, sequence: 5 }, signal))));
      for (const [i, batches] of read.entries()) {
        expect(batches.map(({ sequence }) => sequence)).toEqual(batches.map((_, at) => 5 + at));
        expect(batches.every(({ task, namespace }) => task === tasks[i].id && namespace === shape.namespace)).toBe(true);
      }
      return read.flat();
    };

    test.each([items, pairs].map((sample) => [sample.name, sample] as const))('goes on in %s after any cursor with exactly the rest', async (_, sample) => {
      const shape = await shapeOf(sample);
      await withSnapshot(async (snapshot) => {
        const [task] = await snapshot.plan(shape, { taskBytes: 1e9 }, signal);
        for (const format of legible(shape)) {
          const batches = await collect(snapshot.read({ task, shape, format, sequence: 0 }, signal));
          for (const [i, batch] of batches.entries()) {
            if (i % 5 !== 0 && i < batches.length - 2) continue;
            expect(batch.cursor).toBeTypeOf('string');
            const rest = await collect(snapshot.read({ task, shape, format, sequence: i + 1, after: batch.cursor }, signal));
            expect(plainBatches(shape, rest), `${format} after batch ${i}`).toEqual(plainBatches(shape, batches.slice(i + 1)));
            if (rest[0]) expect(rest[0].sequence).toBe(i + 1);
          }
        }
      });
    });

    test('takes a job that has been plain text in between', async () => {
      const shape = await shapeOf(items), format = legible(shape)[0];
      await withSnapshot(async (snapshot) => {
        expect(JSON.parse(JSON.stringify(snapshot.moment))).toEqual(snapshot.moment);
        const tasks = await snapshot.plan(shape, { taskBytes: 16_000 }, signal);
        const jobs = tasks.map((task): ReadJob => JSON.parse(JSON.stringify({ task, shape, format, sequence: 0 })));
        const read = await Promise.all(jobs.map((job) => collect(snapshot.read(job, signal))));
        expectSame(plainBatches(shape, read.flat()), plainRows(items));
      });
    });

    test('stops at once when it is told to, and can be read again', async () => {
      const shape = await shapeOf(items), format = formatsOf(source, shape)[0];
      await withSnapshot(async (snapshot) => {
        const [task] = await snapshot.plan(shape, { taskBytes: 1e9 }, signal);
        const stop = new AbortController();
        const batches = snapshot.read({ task, shape, format, sequence: 0 }, stop.signal)[Symbol.asyncIterator]();
        expect((await batches.next()).done).toBe(false);
        const since = performance.now();
        stop.abort();
        await expect((async () => { while (!(await batches.next()).done); })()).rejects.toThrow();
        expect(performance.now() - since).toBeLessThan(2000);
        const pages = snapshot.scan({ shape, part: {} }, stop.signal)[Symbol.asyncIterator]();
        await expect(pages.next()).rejects.toThrow();
      });
      await withSnapshot(async (snapshot) => expect(await readAll(snapshot, shape, legible(shape)[0])).toHaveLength(items.rows.length));
    });

    test('gives a reader back when nobody wants the rest', async () => {
      const shape = await shapeOf(items), format = legible(shape)[0];
      await withSnapshot(async (snapshot) => {
        const [task] = await snapshot.plan(shape, { taskBytes: 1e9 }, signal);
        for (let i = 0; i < 5; i++) {
          for await (const batch of snapshot.read({ task, shape, format, sequence: 0 }, signal)) {
            expect(batch.count).toBeGreaterThan(0);
            break;
          }
        }
        expect(await readAll(snapshot, shape, format)).toHaveLength(items.rows.length);
      });
    });

    test.each(tables.map((sample) => [sample.name, sample] as const))('scans %s row for row as it was written, in parts that share none and leave none out', async (_, sample) => {
      const shape = await shapeOf(sample), expected = plainRows(sample);
      await withSnapshot(async (snapshot) => {
        expectSame(await scanAll(snapshot, shape, [{}]), expected, 'whole');
        const parts = await snapshot.parts(shape, 100, signal);
        expectSame(await scanAll(snapshot, shape, parts), expected, `${parts.length} parts`);
        if (sample === items && !documents) expect(parts.length).toBeGreaterThan(5);
      });
    });

    test.skipIf(documents)('scans parts that others have cut, wherever they meet', async () => {
      const shape = await shapeOf(pairs), parts = [{ to: '-5' }, { from: '-5', to: '0' }, { from: '0', to: '1' }, { from: '1', to: '22' }, { from: '22', to: '18446744073709551615' }, { from: '18446744073709551615' }];
      await withSnapshot(async (snapshot) => {
        const found = await Promise.all(parts.map((part) => scanAll(snapshot, shape, [part])));
        expect(found.map(({ length }) => length)).toEqual(parts.map(({ from = '-9', to = '99999999999999999999' }) => pairs.rows.filter(([part]) => BigInt(part as number) >= BigInt(from) && BigInt(part as number) < BigInt(to)).length));
        expectSame(found.flat(), plainRows(pairs));
      });
    });

    test.skipIf(noCondition)('reads and scans what a condition selects, and no more', async () => {
      const shape = await shapeOf(items), where = subject.where!, expected = plainRows({ ...items, rows: items.rows.slice(0, 100) });
      await withSnapshot(async (snapshot) => {
        for (const format of legible(shape)) expectSame(await readAll(snapshot, shape, format, { where }), expected, format);
        expectSame(await scanAll(snapshot, shape, await snapshot.parts(shape, 100, signal), where), expected, 'scan');
      });
    });

    test.skipIf(noCondition)('says of a condition that makes no sense that it is the user\'s', async () => {
      const shape = await shapeOf(items), where = 'no ( sense';
      const tried = withSnapshot((snapshot) => readAll(snapshot, shape, legible(shape)[0], { where }));
      await expect(tried).rejects.toMatchObject({ name: 'DsyncError', code: 'usage' });
    });

    test('shows one moment to all readers, whatever is written meanwhile, and the next snapshot shows that', async () => {
      const changed = [items.rows[4][0], 'changed', 7, null], added = [1_000_000n, 'added', null, null], removed = items.rows[1500];
      const shape = await shapeOf(items), format = legible(shape)[0], before = plainRows(items);
      await withSnapshot(async (snapshot) => {
        const tasks = await snapshot.plan(shape, { taskBytes: 16_000 }, signal);
        const first = await collect(snapshot.read({ task: tasks[0], shape, format, sequence: 0 }, signal));
        await place.update(items, changed);
        await place.insert(items, added);
        await place.remove(items, removed);
        const rest = await Promise.all(tasks.slice(1).map((task) => collect(snapshot.read({ task, shape, format, sequence: 0 }, signal))));
        if (!snapshot.moment.exact) return;
        expectSame(plainBatches(shape, [...first, ...rest.flat()]), before, 'read');
        expectSame(await scanAll(snapshot, shape, await snapshot.parts(shape, 300, signal)), before, 'scan');
      });
      const names = items.columns.map(({ name }) => name), now = items.rows.filter((row) => row !== items.rows[4] && row !== removed);
      await withSnapshot(async (snapshot) => {
        expectSame(await readAll(snapshot, shape, format), [...now, changed, added].map((row) => plainRow(names, row)), 'after');
      });
      await place.update(items, items.rows[4]);
      await place.remove(items, added);
      await place.insert(items, removed);
    });

    test('knows its own data by a fingerprint, if it gives one', async () => {
      const moments = [await withSnapshot(async ({ moment }) => moment)];
      await place.update(items, items.rows[4]);
      await place.insert(items, [2_000_000n, 'more', null, null]);
      moments.push(await withSnapshot(async ({ moment }) => moment));
      await place.remove(items, [2_000_000n, 'more', null, null]);
      if (moments[0].fingerprint !== undefined) expect(moments[1].fingerprint).not.toBe(moments[0].fingerprint);
    });
  });
}

export async function collect<T>(all: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const each of all) collected.push(each);
  return collected;
}

function formatsOf(source: Source, shape: Shape): readonly Format[] {
  // What it emits is the source's to say; the destination here is its own kind.
  return source.formats({ source: shape, target: shape, fidelity: shape.columns.map(() => ({ level: 'exact' })), existed: false, staged: false });
}
