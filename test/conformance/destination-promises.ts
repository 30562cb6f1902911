import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Batch, Connector, Destination, Existing, Format, Mapping, ProgressRow, Row, Rows, Shape, Task, WriteOptions } from '../../src/contract.js';
import { agree, codec } from '../../src/values/codec.js';
import { empty, expectSame, hostileTexts, heap, items, ordinaryRow, pairs, plainRow, plainRows, plainValues, shapeOf, strange, type Plain, type Sample } from './samples.js';
import { collect } from './source-promises.js';
import type { Place, Subject } from './subject.js';

const signal = new AbortController().signal;
const run = 'run-1';
const task: Task = { id: 'here.items#0', namespace: 'here.items' };
const newly: WriteOptions = { overwrite: false, redo: false }, again: WriteOptions = { overwrite: false, redo: true }, over: WriteOptions = { overwrite: true, redo: false };

/** Every promise that contract.ts makes for a destination. */
export function destinationPromises(subject: Subject): void {
  const { documents, takesNull, keepsNothing } = subject.exceptions ?? {};
  let place: Place, connector: Connector, destination: Destination;

  const open = (): Promise<Destination> => connector.openDestination!(place.url, { signal, connections: 3, batchBytes: 20_000 });
  /** Adapts, begins and prepares, as every run does. */
  const ready = async (sample: Sample, to: Destination = destination, options: { empty?: boolean; keyed?: boolean } = {}): Promise<Mapping> => {
    const mapping = await to.adapt(shapeOf(sample), { name: sample.name }, signal);
    await to.begin(run, signal);
    await to.prepare(run, mapping, { empty: mapping.staged, keyed: false, ...options, tasks: [taskOf(mapping)] }, signal);
    return mapping;
  };
  const write = (mapping: Mapping, batch: Batch, options = newly, to = destination) => to.write(run, batch, mapping, options, signal);
  const done = (mapping: Mapping, rows: number, to = destination): Promise<void> =>
    to.taskDone(run, { kind: 'task-done', task: taskOf(mapping).id, namespace: mapping.source.namespace, sequence: 9, rows }, signal);
  const finish = (mapping: Mapping, existing: Existing = 'refuse') => destination.finish(run, mapping, { keepRows: existing === 'append' }, signal);
  const batch = (mapping: Mapping, rows: readonly Row[], sequence = 0, as?: Format): Batch => {
    const encoded = encode(mapping, destination, rows, as);
    return { task: taskOf(mapping).id, namespace: mapping.source.namespace, sequence, rows: encoded, count: rows.length, bytes: 1000, cursor: `after ${sequence}` };
  };
  const found = async ({ target, source }: Mapping): Promise<Plain[]> => {
    const reader = await connector.openSource!(place.url, { signal, connections: 2, batchBytes: 20_000 });
    try {
      const snapshot = await reader.snapshot([target], signal);
      const rows = (await collect(snapshot.scan({ shape: target, part: {} }, signal))).flat();
      await snapshot[Symbol.asyncDispose]();
      return plainValues({ ...target, columns: documents ? target.columns : named(target, source) }, rows);
    } finally {
      await reader[Symbol.asyncDispose]();
    }
  };
  const expectRows = async (mapping: Mapping, rows: readonly Row[]): Promise<void> => {
    if (keepsNothing) return;
    expectSame(await found(mapping), rows.map((row) => plainRow(mapping.source.columns.map(({ name }) => name), row)));
  };
  const progress = async (of = destination): Promise<ProgressRow[] | undefined> => {
    const rows = await of.progress(run, signal);
    return rows && [...rows].sort((a, b) => (a.task < b.task ? -1 : a.task > b.task ? 1 : a.sequence - b.sequence));
  };

  describe('as a destination', () => {
    beforeEach(async () => {
      connector = await subject.connector();
      place = await subject.fresh();
      destination = await open();
    });
    afterEach(async () => {
      await destination?.[Symbol.asyncDispose]();
      await place?.[Symbol.asyncDispose]();
    });

    test('knows nothing of a run before it begins, and all of it after', async () => {
      expect(await destination.progress(run, signal)).toBeUndefined();
      await destination.begin(run, signal);
      expect(await destination.progress(run, signal)).toEqual([]);
      expect(await destination.progress('another run', signal)).toBeUndefined();
    });

    test('says who it is, and changes nothing by looking', async () => {
      const mapping = await destination.adapt(shapeOf(items), { name: 'items' }, signal);
      const findings = await destination.check([mapping], signal);
      expect(findings.filter(({ level }) => level === 'error')).toEqual([]);
      expect(await destination.holdsRows(mapping.target, signal)).toBe(false);
      expect(mapping).toMatchObject({ existed: false, staged: false });
      expect(mapping.target.columns).toHaveLength(documents ? mapping.target.columns.length : mapping.source.columns.length);
      const { length } = await place.names();
      await using other = await open();
      expect(await other.identity(signal)).toBe(await destination.identity(signal));
      expect(await place.names()).toHaveLength(length);
    });

    test('plain text carries a mapping from process to process', async () => {
      const mapping = await ready(items);
      expect(JSON.parse(JSON.stringify(mapping))).toEqual(JSON.parse(JSON.stringify({ ...mapping })));
      const carried: Mapping = JSON.parse(JSON.stringify(mapping));
      await write(carried, batch(carried, items.rows.slice(0, 10)));
      await expectRows(carried, items.rows.slice(0, 10));
    });

    test('prepares an empty table, twice as well as once', async () => {
      const mapping = await ready(empty);
      await destination.prepare(run, mapping, { empty: false, keyed: false, tasks: [taskOf(mapping)] }, signal);
      expect(await destination.holdsRows(mapping.target, signal)).toBe(false);
      await done(mapping, 0);
      await finish(mapping);
      await expectRows(mapping, []);
    });

    test('holds the rows of a batch and its progress once the write has returned', async () => {
      const mapping = await ready(items), rows = items.rows.slice(0, 50);
      expect(await write(mapping, batch(mapping, rows))).toEqual({ written: 50, rejected: [] });
      await using other = await open();
      if (!keepsNothing) expect(await progress(other)).toEqual([{ task: task.id, sequence: 0, cursor: 'after 0', rows: 50, done: false }]);
      expect(await progress()).toEqual([{ task: task.id, sequence: 0, cursor: 'after 0', rows: 50, done: false }]);
      if (!keepsNothing) expect(await destination.holdsRows(mapping.target, signal)).toBe(true);
      await expectRows(mapping, rows);
    });

    test('keeps every cell as it was, in every format that it takes', async () => {
      const probe = await ready(items);
      for (const [i, format] of destination.formats(probe).filter((each) => each !== 'pg-binary').entries()) {
        const sample = { ...items, name: `items_${i}` }, mapping = await ready(sample);
        expect((await write(mapping, batch(mapping, sample.rows, 0, format))).rejected, format).toEqual([]);
        await finish(mapping);
        if (!keepsNothing) expectSame(await found(mapping), plainRows(sample), format);
      }
    });

    test('keeps composite keys, strange names and null keys of no table', async () => {
      for (const sample of [pairs, strange]) {
        const mapping = await ready(sample);
        expect((await write(mapping, batch(mapping, sample.rows))).rejected).toEqual([]);
        await done(mapping, sample.rows.length);
        await finish(mapping);
        await expectRows(mapping, sample.rows);
      }
    });

    test('takes batches in any order, several at a time', async () => {
      const mapping = await ready(items);
      const batches = [7, 2, 5, 0, 6, 1, 4, 3].map((sequence) => batch(mapping, items.rows.slice(sequence * 100, sequence * 100 + 100), sequence));
      await Promise.all(batches.map((each) => write(mapping, each)));
      expect((await progress())!.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      await expectRows(mapping, items.rows.slice(0, 800));
    });

    test('does not write a batch twice that is sent again', async () => {
      for (const sample of [items, heap]) {
        const mapping = await ready(sample), rows = sample.rows.slice(0, 40);
        await write(mapping, batch(mapping, rows));
        expect(await write(mapping, batch(mapping, rows), again)).toEqual({ written: 40, rejected: [] });
        expect((await progress())!.filter((row) => row.task === taskOf(mapping).id)).toHaveLength(1);
        await done(mapping, 40);
        await finish(mapping);
        await expectRows(mapping, rows);
      }
    });

    test('writes a batch that is sent again and never came', async () => {
      const mapping = await ready(items);
      expect(await write(mapping, batch(mapping, items.rows.slice(0, 40)), again)).toEqual({ written: 40, rejected: [] });
      await expectRows(mapping, items.rows.slice(0, 40));
    });

    test('overwrites by key where it is told to', async () => {
      for (const sample of [items, pairs]) {
        const mapping = await ready(sample, destination, { keyed: true });
        const changed = sample.rows.slice(0, 60).map((row, i) => (i % 2 === 0 ? row : row.map((cell, at) => (sample.columns[at].name === 'note' ? `changed ${i}` : cell))));
        await write(mapping, batch(mapping, sample.rows.slice(0, 40)), over);
        expect(await write(mapping, batch(mapping, changed, 1), over)).toEqual({ written: 60, rejected: [] });
        await finish(mapping);
        await expectRows(mapping, changed);
      }
    });

    test('upserts into a table that was loaded bare', async () => {
      const mapping = await ready(items);
      await write(mapping, batch(mapping, items.rows.slice(0, 40)));
      await destination.prepare(run, mapping, { empty: false, keyed: true, tasks: [task] }, signal);
      const changed = items.rows.slice(20, 60).map((row) => [row[0], 'changed', row[2], row[3]]);
      await write(mapping, batch(mapping, changed, 1), over);
      await expectRows(mapping, [...items.rows.slice(0, 20), ...changed]);
    });

    test('keeps one row of a task that is done', async () => {
      const mapping = await ready(items);
      for (const sequence of [0, 1, 2]) await write(mapping, batch(mapping, items.rows.slice(sequence * 10, sequence * 10 + 10), sequence));
      await done(mapping, 30);
      await done(mapping, 30);
      expect(await progress()).toEqual([{ task: task.id, sequence: 9, rows: 30, done: true }]);
    });

    test('finishes twice as well as once', async () => {
      const mapping = await ready(items);
      await write(mapping, batch(mapping, items.rows));
      await done(mapping, items.rows.length);
      await finish(mapping);
      await finish(mapping);
      await expectRows(mapping, items.rows);
    });

    test('empties the target, and forgets its tasks\' progress, where it is told to', async () => {
      const mapping = await ready(items);
      await write(mapping, batch(mapping, items.rows.slice(0, 20)));
      await destination.prepare(run, mapping, { empty: true, keyed: false, tasks: [task] }, signal);
      expect(await progress()).toEqual([]);
      expect(await destination.holdsRows(mapping.target, signal)).toBe(false);
      await write(mapping, batch(mapping, items.rows.slice(0, 10)));
      await finish(mapping);
      await expectRows(mapping, items.rows.slice(0, 10));
    });

    test.skipIf(keepsNothing)('stages a table without a key: nobody sees its rows before all are there', async () => {
      const mapping = await ready(heap);
      expect(mapping.staged).toBe(true);
      await write(mapping, batch(mapping, heap.rows));
      expect(await destination.holdsRows(mapping.target, signal)).toBe(false);
      await done(mapping, heap.rows.length);
      await finish(mapping);
      await expectRows(mapping, heap.rows);
    });

    test.skipIf(keepsNothing)('begins a staged table again from nothing', async () => {
      const mapping = await ready(heap);
      await write(mapping, batch(mapping, heap.rows.slice(0, 40)));
      await destination.prepare(run, mapping, { empty: true, keyed: false, tasks: [taskOf(mapping)] }, signal);
      expect(await progress()).toEqual([]);
      await write(mapping, batch(mapping, heap.rows));
      await done(mapping, heap.rows.length);
      await finish(mapping);
      await expectRows(mapping, heap.rows);
    });

    test.skipIf(keepsNothing)('leaves a staged table alone that is done, however often it is prepared and finished', async () => {
      const mapping = await ready(heap);
      await write(mapping, batch(mapping, heap.rows));
      await done(mapping, heap.rows.length);
      await finish(mapping);
      // As a later process does that finds the task done.
      await destination.begin(run, signal);
      await finish(mapping);
      await destination.prepare(run, mapping, { empty: false, keyed: false, tasks: [taskOf(mapping)] }, signal);
      await finish(mapping);
      await expectRows(mapping, heap.rows);
    });

    test.skipIf(keepsNothing)('keeps the rows that stood in a table without a key, or replaces them, as it is told to', async () => {
      for (const existing of ['append', 'replace'] as const) {
        const sample = { ...heap, name: `heap_${existing}` };
        await place.create({ ...sample, rows: heap.rows.slice(0, 7) });
        const mapping = await ready(sample);
        expect(mapping).toMatchObject({ existed: true, staged: true });
        await write(mapping, batch(mapping, heap.rows.slice(0, 30)));
        await destination.prepare(run, mapping, { empty: true, keyed: false, tasks: [taskOf(mapping)] }, signal);
        await expectRows(mapping, heap.rows.slice(0, 7));
        await write(mapping, batch(mapping, heap.rows));
        await done(mapping, heap.rows.length);
        await finish(mapping, existing);
        await expectRows(mapping, existing === 'append' ? [...heap.rows.slice(0, 7), ...heap.rows] : heap.rows);
      }
    });

    test.skipIf(keepsNothing)('mends by key: what is there changes, what is missing comes, what is too much goes', async () => {
      for (const sample of [items, pairs]) {
        const mapping = await ready(sample), names = sample.columns.map(({ name }) => name);
        await write(mapping, batch(mapping, sample.rows.slice(0, 50)));
        await finish(mapping);
        const upserts = sample.rows.slice(40, 60).map((row) => row.map((cell, i) => (names[i] === 'note' ? 'mended' : cell)));
        const deletes = sample.rows.slice(0, 10).map((row) => sample.key.map((position) => row[position]));
        expect(await destination.mend(run, mapping, { upserts: documentRows(mapping, upserts), deletes }, signal)).toEqual({ rejected: [] });
        await expectRows(mapping, [...sample.rows.slice(10, 40), ...upserts]);
      }
    });

    test.skipIf(takesNull)('rejects the rows that it can\'t hold, with their reasons, keeps the rest, and does so again', async () => {
      for (const overwrite of [false, true]) {
        const sample: Sample = { name: `strict_${overwrite}`, columns: [{ name: 'id', kind: 'int64' }, { name: 'must', kind: 'text' }], key: [0], rows: hostileTexts.map((text, i) => [BigInt(i), text]).filter(([, text]) => text !== null) as Row[] };
        const mapping = await ready(sample, destination, { keyed: overwrite });
        const bad: Row[] = [[1000n, null], [1001n, null]], rows = [...sample.rows.slice(0, 20), bad[0], ...sample.rows.slice(20), bad[1]];
        const outcome = await write(mapping, batch(mapping, rows), { overwrite, redo: false });
        expect(outcome.written).toBe(sample.rows.length);
        expect(outcome.rejected.map(({ namespace, row }) => [namespace, row])).toEqual(bad.map((row) => [mapping.source.namespace, row]));
        for (const { reason } of outcome.rejected) expect(reason).toMatch(/null/i);
        expect((await write(mapping, batch(mapping, rows), { overwrite, redo: true })).written).toBe(sample.rows.length);
        await finish(mapping);
        await expectRows(mapping, sample.rows);
        const mended = await destination.mend(run, mapping, { upserts: [[5n, 'mended'], [2000n, null]], deletes: [] }, signal);
        expect(mended.rejected.map(({ row }) => row)).toEqual([[2000n, null]]);
      }
    });

    test.skipIf(keepsNothing)('belongs to the process that began last: an earlier one can\'t write any more', async () => {
      const mapping = await ready(items);
      await write(mapping, batch(mapping, items.rows.slice(0, 10)));
      await using later = await open();
      await later.begin(run, signal);
      for (const late of [() => write(mapping, batch(mapping, items.rows.slice(10, 20), 1)), () => write(mapping, batch(mapping, items.rows.slice(10, 20), 1), again), () => done(mapping, 20)]) {
        await expect(late()).rejects.toMatchObject({ name: 'DsyncError', code: 'busy' });
      }
      expect((await progress(later))!.map(({ sequence }) => sequence)).toEqual([0]);
      await write(mapping, batch(mapping, items.rows.slice(20, 30), 2), newly, later);
      await expectRows(mapping, [...items.rows.slice(0, 10), ...items.rows.slice(20, 30)]);
    });

    test('leaves two runs alone with each other', async () => {
      const mapping = await ready(items);
      await write(mapping, batch(mapping, items.rows.slice(0, 10)));
      await destination.begin('run-2', signal);
      await destination.forget('run-2', [], signal);
      expect(await destination.progress('run-2', signal)).toBeUndefined();
      expect(await progress()).toHaveLength(1);
      await write(mapping, batch(mapping, items.rows.slice(10, 20), 1));
      await expectRows(mapping, items.rows.slice(0, 20));
    });

    test('forgets a run without a trace, whatever it was doing, and does not take its writes any more', async () => {
      const before = await place.names();
      const mapping = await ready(items), staged = documents || keepsNothing ? undefined : await ready(heap);
      await write(mapping, batch(mapping, items.rows.slice(0, 10)));
      if (staged) await write(staged, batch(staged, heap.rows));
      await destination.forget(run, staged ? [mapping, staged] : [mapping], signal);
      expect(await destination.progress(run, signal)).toBeUndefined();
      const left = (await place.names()).filter((name) => !before.includes(name));
      expect(left.filter((name) => name.includes('dsync'))).toEqual([]);
      if (!keepsNothing) await expect(write(mapping, batch(mapping, items.rows.slice(10, 20), 1))).rejects.toMatchObject({ name: 'DsyncError' });
      await destination.forget(run, [mapping], signal);
    });

    test('writes nothing when it was told to stop, and the same batch later', async () => {
      const mapping = await ready(items), rows = items.rows.slice(0, 30);
      await expect(destination.write(run, batch(mapping, rows), mapping, newly, AbortSignal.abort())).rejects.toThrow();
      expect(await progress()).toEqual([]);
      await write(mapping, batch(mapping, rows), again);
      await expectRows(mapping, rows);
    });

    test('stops a write that is under way; sent again, its rows are there once', async () => {
      const mapping = await ready(items), stop = new AbortController();
      const writing = destination.write(run, batch(mapping, items.rows), mapping, newly, stop.signal).then(() => 'written', () => 'stopped');
      setImmediate(() => stop.abort());
      await writing;
      await write(mapping, batch(mapping, items.rows), again);
      await finish(mapping);
      await expectRows(mapping, items.rows);
    });

    test.skipIf(documents || keepsNothing)('uses a table that stands and fits, whatever the order of its columns', async () => {
      const standing: Sample = { ...items, columns: [items.columns[1], items.columns[3], items.columns[0], items.columns[2]], key: [2], rows: [] };
      await place.create(standing);
      const mapping = await ready(items);
      expect(mapping).toMatchObject({ existed: true, staged: false });
      expect(mapping.target.columns.map(({ name }) => name)).toEqual(mapping.source.columns.map(({ name }) => name));
      for (const options of [newly, over]) {
        const rows = options.overwrite ? items.rows.slice(50, 150) : items.rows.slice(0, 100);
        await write(mapping, batch(mapping, rows, options.overwrite ? 1 : 0), options);
      }
      await finish(mapping);
      await expectRows(mapping, items.rows.slice(0, 150));
    });

    test.skipIf(documents || keepsNothing)('refuses a table that stands and does not fit, and names its columns', async () => {
      const refusal = (name: string) => expect(destination.adapt({ ...shapeOf(items), name }, { name }, signal)).rejects;
      await place.create({ ...items, name: 'lacking', columns: items.columns.slice(0, 3), rows: [] });
      await refusal('lacking').toMatchObject({ name: 'DsyncError', code: 'refused', message: expect.stringContaining('raw') });
      await place.create({ ...items, name: 'demanding', columns: [...items.columns, { name: 'surplus', kind: 'int32' }], rows: [] });
      await refusal('demanding').toMatchObject({ name: 'DsyncError', code: 'refused', message: expect.stringContaining('surplus') });
      await place.create({ ...items, name: 'other', columns: items.columns.map((column) => (column.name === 'note' ? { ...column, kind: 'int32' } : column)), rows: [] });
      await refusal('other').toMatchObject({ name: 'DsyncError', code: 'refused', message: expect.stringContaining('note') });
    });

    test.skipIf(keepsNothing)('sees rows that stood before', async () => {
      await place.create({ ...items, rows: [ordinaryRow(1)] });
      const mapping = await destination.adapt(shapeOf(items), { name: 'items' }, signal);
      expect(mapping.existed).toBe(true);
      expect(await destination.holdsRows(mapping.target, signal)).toBe(true);
    });
  });

  /** What the verifier gives: rows of the target's own shape where that is documents. */
  function documentRows(_mapping: Mapping, rows: readonly Row[]): readonly Row[] {
    return rows;
  }
}

function taskOf({ source }: Mapping): Task {
  return { id: `${source.namespace}#0`, namespace: source.namespace };
}

function encode(mapping: Mapping, destination: Destination, rows: readonly Row[], as?: Format): Rows {
  const formats = as ? [as] : destination.formats(mapping);
  return codec(agree(['values'], formats)!, mapping)({ format: 'values', rows });
}

/** The target's columns under the source's names, in whose order they are. */
function named(target: Shape, source: Shape): Shape['columns'] {
  return target.columns.map((column, i) => ({ ...column, name: source.columns[i].name }));
}
