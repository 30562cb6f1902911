import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failNth, gate, loseSnapshots } from '../../src/connectors/memory/faults.js';
import { createTable, dropStore, put, storeNamed, type Store } from '../../src/connectors/memory/store.js';
import type { Event, Row, Shape, StateStore } from '../../src/contract.js';
import type { Ports, RunConfig } from '../../src/coordinator/config.js';
import { resume, sync } from '../../src/coordinator/sync.js';
import { DsyncError, exitStatus } from '../../src/errors.js';
import { openStore } from '../../src/state/store.js';

const config: RunConfig = {
  source: 'memory:from', destination: 'memory:to', namespaces: [], exclude: [], where: {}, existing: 'refuse', acceptLoss: [],
  concurrency: 2, memoryBytes: 1 << 20, batchRows: 10, verify: true, live: false, onDdl: 'stop', schema: 'create', views: 'definition',
};

const shape = (name: string, key: readonly number[] = [0]): Shape => ({
  namespace: name, name, engine: 'memory', key,
  columns: [
    { name: 'id', type: { kind: 'int', bits: 32, signed: true }, native: 'int', nullable: false },
    { name: 'note', type: { kind: 'text' }, native: 'text', nullable: true },
  ],
});

const rowsTo = (count: number): Row[] => Array.from({ length: count }, (_, i) => [i, `row ${i}`]);

let folder: string, from: Store, to: Store, store: StateStore, events: Event[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dsync-coordinator-'));
  [from, to, store, events] = [storeNamed('from'), storeNamed('to'), openStore(folder), []];
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  dropStore('from');
  dropStore('to');
  rmSync(folder, { recursive: true });
});

const ports = (signal = new AbortController().signal): Ports => ({
  store, signal, flow: 'f', storedConfig: {}, newRunId: () => 'r1', emit: (event) => events.push(event),
});

const contents = (db: Store, name: string) => [...db.tables.get(name)!.rows.values()].map((row) => row.join('|')).sort();
const kinds = (kind: Event['kind']) => events.filter((event) => event.kind === kind);

describe('a sync', () => {
  it('copies every table and proves it', async () => {
    createTable(from, shape('a'), rowsTo(95));
    createTable(from, shape('empty'));
    const report = await sync(config, ports());
    expect(report).toMatchObject({ status: 'done', exitStatus: 0, rows: 95 });
    expect(report.verification!.map(({ namespace, result, sourceRows }) => [namespace, result, sourceRows])).toEqual([['a', 'equal', 95], ['empty', 'equal', 0]]);
    expect(contents(to, 'a')).toEqual(contents(from, 'a'));
    expect(store.load('r1')).toMatchObject({ status: 'done', phase: 'done' });
  });

  it('copies a table without a key, duplicates and all', async () => {
    createTable(from, shape('log', []), [[1, 'x'], [1, 'x'], [2, 'y']]);
    expect(await sync(config, ports())).toMatchObject({ status: 'done', rows: 3 });
    expect(contents(to, 'log')).toEqual(['1|x', '1|x', '2|y']);
  });

  it('does not see rows that were written after it began', async () => {
    createTable(from, shape('a'), rowsTo(50));
    const held = gate();
    to.hooks = { beforeWrite: held.hook };
    const running = sync(config, ports());
    await held.held;
    put(from.tables.get('a')!, [7, 'changed later']);
    held.release();
    expect(await running).toMatchObject({ status: 'done' });
    expect(contents(to, 'a')).toContain('7|row 7');
  });

  it('refuses a destination that holds rows, and names the ways on', async () => {
    createTable(from, shape('a'), rowsTo(3));
    createTable(to, shape('a'), [[9, 'mine']]);
    const error = await sync(config, ports()).catch((error: unknown) => error as DsyncError);
    expect(exitStatus(error)).toBe(5);
    expect(error).toMatchObject({ code: 'refused', message: expect.stringContaining('a'), remedy: expect.stringContaining('--existing append') });
    expect(contents(to, 'a')).toEqual(['9|mine']);
  });

  it.each([['merge', ['0|row 0', '1|row 1', '2|row 2', '9|mine'], 0], ['replace', ['0|row 0', '1|row 1', '2|row 2'], 0]] as const)('with --existing %s leaves %j', async (existing, expected, status) => {
    createTable(from, shape('a'), rowsTo(3));
    createTable(to, shape('a'), [[9, 'mine'], [1, 'old']]);
    expect(await sync({ ...config, existing }, ports())).toMatchObject({ exitStatus: status });
    expect(contents(to, 'a')).toEqual(expected);
  });

  it('with --existing append never overwrites, and rejects the rows whose key is taken', async () => {
    createTable(from, shape('a'), rowsTo(3));
    createTable(to, shape('a'), [[9, 'mine'], [1, 'old']]);
    const report = await sync({ ...config, existing: 'append' }, ports());
    expect(report.rejected).toMatchObject({ count: 1 });
    expect(report.exitStatus).not.toBe(0);
    expect(contents(to, 'a')).toEqual(['0|row 0', '1|old', '2|row 2', '9|mine']);
  });

  it('fails with a list of what is there when nothing matches', async () => {
    createTable(from, shape('a'));
    const error = await sync({ ...config, namespaces: ['b*'] }, ports()).catch((error: unknown) => error as DsyncError);
    expect(exitStatus(error)).toBe(2);
    expect((error as DsyncError).message).toContain('a');
  });

  it('renames a table', async () => {
    createTable(from, shape('a'), rowsTo(3));
    await sync({ ...config, namespaces: ['a:b'] }, ports());
    expect(contents(to, 'b')).toHaveLength(3);
  });

  it('refuses two tables that would share a target', async () => {
    createTable(from, shape('a'));
    createTable(from, shape('b'));
    await expect(sync({ ...config, namespaces: ['a:c', 'b:c'] }, ports())).rejects.toMatchObject({ code: 'usage' });
  });

  it('writes a batch once although its fate was unknown', async () => {
    createTable(from, shape('a'), rowsTo(40));
    createTable(from, shape('log', []), Array.from({ length: 30 }, () => [1, 'same']));
    to.hooks = { afterWrite: failNth(3) };
    expect(await sync(config, ports())).toMatchObject({ status: 'done' });
    expect(contents(to, 'log')).toHaveLength(30);
    expect(kinds('retry')).toHaveLength(1);
  });

  it('goes on under a new moment when the source is lost, and mends what changed meanwhile', async () => {
    createTable(from, shape('a'), rowsTo(60));
    let reads = 0;
    to.hooks = {
      afterWrite: () => {
        if (++reads !== 2) return;
        loseSnapshots(from);
        put(from.tables.get('a')!, [0, 'changed behind the cursor']);
        from.tables.get('a')!.rows.delete([...from.tables.get('a')!.rows.keys()][3]);
      },
    };
    const report = await sync(config, ports());
    expect(report).toMatchObject({ status: 'done', exitStatus: 0 });
    expect(report.moments).toHaveLength(2);
    expect(contents(to, 'a')).toEqual(contents(from, 'a'));
  });

  it('holds its flow: a second process is told so', async () => {
    createTable(from, shape('a'), rowsTo(3));
    const held = gate();
    to.hooks = { beforeWrite: held.hook };
    const first = sync(config, ports());
    await held.held;
    await expect(sync(config, { ...ports(), newRunId: () => 'r2' })).rejects.toMatchObject({ code: 'busy' });
    held.release();
    await first;
  });
});

describe('rows of a source whose values are not of their columns\' types', () => {
  it('are rejected, and the rest is copied', async () => {
    createTable(from, { ...shape('a'), engine: 'sqlite' }, [[1, 'x'], [2, Buffer.from('x')], [3, 'y']]);
    expect(await sync(config, ports())).toMatchObject({ status: 'rejected', exitStatus: 6, rows: 2, rejected: { count: 1 } });
    expect(contents(to, 'a')).toEqual(['1|x', '3|y']);
  });
});

describe('a resumed sync', () => {
  /** Stops a sync after so many durable batches, as a kill would: nothing of it is told to anybody. */
  async function stoppedAfter(batches: number, change: Partial<RunConfig> = {}): Promise<void> {
    const abort = new AbortController();
    let landed = 0;
    to.hooks = { afterWrite: () => { if (++landed === batches) abort.abort(new DsyncError('interrupted', 'stopped')); } };
    await expect(sync({ ...config, ...change }, ports(abort.signal))).rejects.toMatchObject({ code: 'interrupted' });
    to.hooks = {};
  }

  it('ends equal to the source as it is then: 0 missing, 0 twice, 0 stale', async () => {
    createTable(from, shape('a'), rowsTo(100));
    createTable(from, shape('b'), rowsTo(100));
    await stoppedAfter(4);
    expect(store.load('r1')).toMatchObject({ status: 'interrupted' });
    const a = from.tables.get('a')!;
    put(a, [0, 'changed']);
    put(a, [99, 'changed too']);
    put(a, [1000, 'new']);
    a.rows.delete([...a.rows.keys()][1]);
    const report = await resume(store.load('r1')!, config, ports());
    expect(report).toMatchObject({ status: 'done', exitStatus: 0 });
    expect(contents(to, 'a')).toEqual(contents(from, 'a'));
    expect(contents(to, 'b')).toEqual(contents(from, 'b'));
  });

  it('keeps the configuration that it was given, for the next time', async () => {
    createTable(from, shape('a'), rowsTo(100));
    await stoppedAfter(4);
    await resume(store.load('r1')!, config, { ...ports(), storedConfig: { moved: true } });
    expect(store.load('r1')).toMatchObject({ status: 'done', config: { moved: true } });
  });

  it('copies an interrupted table without a key anew', async () => {
    createTable(from, shape('log', []), Array.from({ length: 50 }, (_, i) => [i % 3, 'x']));
    await stoppedAfter(2);
    await resume(store.load('r1')!, config, ports());
    expect(contents(to, 'log')).toEqual(contents(from, 'log'));
  });

  it('copies a finished table without a key anew when it has changed since', async () => {
    createTable(from, shape('log', []), [[1, 'x'], [1, 'x']]);
    createTable(from, shape('z'), rowsTo(50));
    await stoppedAfter(3);
    put(from.tables.get('log')!, [1, 'x']);
    expect(await resume(store.load('r1')!, config, ports())).toMatchObject({ status: 'done' });
    expect(contents(to, 'log')).toEqual(['1|x', '1|x', '1|x']);
  });

  it('mends stale rows even without verification', async () => {
    createTable(from, shape('a'), rowsTo(60));
    await stoppedAfter(3, { verify: false });
    put(from.tables.get('a')!, [0, 'changed']);
    await resume(store.load('r1')!, { ...config, verify: false }, ports());
    expect(contents(to, 'a')).toEqual(contents(from, 'a'));
  });

  it('refuses a destination that was emptied or replaced behind its back', async () => {
    createTable(from, shape('a'), rowsTo(60));
    await stoppedAfter(3);
    dropStore('to');
    to = storeNamed('to');
    const error = await resume(store.load('r1')!, config, ports()).catch((error: unknown) => error);
    expect(exitStatus(error)).toBe(5);
  });

  it('refuses a source table that changed shape', async () => {
    createTable(from, shape('a'), rowsTo(60));
    await stoppedAfter(3);
    createTable(from, { ...shape('a'), columns: [...shape('a').columns, { name: 'more', type: { kind: 'text' }, native: 'text', nullable: true }] });
    await expect(resume(store.load('r1')!, config, ports())).rejects.toMatchObject({ code: 'refused' });
  });

  it('never overwrites the rows that were there before an append', async () => {
    createTable(from, shape('a'), rowsTo(60));
    createTable(to, shape('a'), [[55, 'mine']]);
    await stoppedAfter(2, { existing: 'append' });
    await resume(store.load('r1')!, { ...config, existing: 'append' }, ports());
    expect(contents(to, 'a')).toContain('55|mine');
    expect(contents(to, 'a')).toHaveLength(60);
  });
});
