import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Event } from '../../src/contract.js';
import { telling } from '../../src/coordinator/vitals.js';
import { openStore } from '../../src/state/store.js';
import { begin, freshFolder, report, type } from './terminal.js';

const ends = ['sqlite:/a.db', 'sqlite:/b.db'];
const stored = (folder: string) => openStore(join(folder, 'state', 'dsync'));

/** A live run that has told of itself, and goes on until `end` is called. */
function liveRun(folder: string, events: readonly Event[]) {
  let end = () => {}, begun = () => {};
  const ended = new Promise<void>((resolve) => { end = resolve; }), there = new Promise<void>((resolve) => { begun = resolve; });
  const done = type(['sync', ...ends], { folder, actions: { sync: async (config, ports) => {
    await using _lock = await ports.store.lock(ports.flow);
    const run = await begin(config, ports, { phase: 'follow' });
    {
      using vitals = telling(ports.store);
      for (const event of [{ kind: 'run', run, flow: ports.flow, resumed: false }, ...events] satisfies Event[]) vitals.take(event);
    }
    begun();
    await ended;
    ports.store.update(run, { status: 'failed', summary: { error: 'the network is gone' } });
    return report();
  } } });
  return { there, end: async () => { end(); await done; } };
}

const written = (namespace: string, rows: number): Event => ({ kind: 'written', namespace, task: `${namespace}#1`, rows, bytes: rows, seconds: 0 });
const place = { position: '0/1', changes: 0 };
const events: readonly Event[] = [
  { kind: 'planned', namespace: 'orders', tasks: 2, copiedRows: 0, estimatedRows: 1000 }, { kind: 'planned', namespace: 'items', tasks: 1, copiedRows: 0, estimatedRows: 10 },
  { kind: 'phase', phase: 'copy' }, written('orders', 400), written('items', 5),
];
const following: readonly Event[] = [
  ...events, { kind: 'phase', phase: 'follow' }, { kind: 'retry', end: 'source', attempt: 1, waitSeconds: 1, error: 'the wire was cut' },
  { kind: 'table', namespace: 'items', table: { state: 'paused', why: 'by hand' } },
];

test('status says what the process that has the run told last, and which process that is', async () => {
  const folder = freshFolder(), run = liveRun(folder, [...following, { kind: 'followed', changes: 1200, place, behindSeconds: 0.5, behindBytes: 2048 }]);
  await run.there;
  const { status, stdout } = await type(['status', '--json'], { folder });
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    status: 'running', phase: 'follow', process: { pid: process.pid }, source: ends[0], destination: ends[1], rows: 405, estimatedRows: 1010,
    changes: 1200, behindSeconds: 0.5, behindBytes: 2048, lastError: { message: 'source: the wire was cut' },
    tables: [{ namespace: 'orders', state: 'following', rows: 400, estimatedRows: 1000 }, { namespace: 'items', state: 'paused', why: 'by hand', rows: 5 }],
  });
  const text = (await type(['status'], { folder })).stdout;
  expect(text).toMatch(new RegExp(`follow\n  sqlite:/a.db → sqlite:/b.db\n  process ${process.pid} on `));
  expect(text).toContain('applied 1,200 changes, lag 0.50 s, 2.0 kB');
  expect(text).toMatch(/last error, 20.* UTC: source: the wire was cut/);
  expect(text).toMatch(/ {2}orders {2}following {2}400 of ~1,000 rows\n {2}items {3}paused {5}5 of ~10 rows {7}by hand\n/);
  await run.end();
});

test('what is not known is absent from the document, and said to be unknown', async () => {
  const folder = freshFolder(), run = liveRun(folder, [...following, { kind: 'followed', changes: 3, place }]);
  await run.there;
  const document = JSON.parse((await type(['status', '--json'], { folder })).stdout) as object;
  expect(document).not.toHaveProperty('behindSeconds');
  expect(document).not.toHaveProperty('behindBytes');
  expect((await type(['status'], { folder })).stdout).toContain('applied 3 changes, lag unknown');
  await run.end();
});

test('of a run that nobody works on the lag is unknown, and its last end is told', async () => {
  const folder = freshFolder(), run = liveRun(folder, [...following, { kind: 'followed', changes: 3, place, behindSeconds: 0 }]);
  await run.there;
  await run.end();
  const document = JSON.parse((await type(['status', '--json'], { folder })).stdout) as object;
  expect(document).toMatchObject({ status: 'failed', phase: 'follow', rows: 405, lastError: { message: 'the network is gone' } });
  for (const name of ['process', 'behindSeconds', 'changes']) expect(document).not.toHaveProperty(name);
  expect((await type(['status'], { folder })).stdout).toContain('no process works on it');
});

test('a process that goes on following remembers how much was copied', async () => {
  const folder = freshFolder(), run = liveRun(folder, following);
  await run.there;
  await run.end();
  await using store = stored(folder);
  const [{ run: id, flow }] = store.list();
  {
    using vitals = telling(store);
    const again: Event[] = [{ kind: 'run', run: id, flow, resumed: true }, { kind: 'agreed', namespace: 'orders', target: 'orders', format: 'values', sent: 'values', staged: false, losses: [] }, { kind: 'phase', phase: 'follow' }];
    for (const event of again) vitals.take(event);
  }
  expect(store.told(id)!.vitals).toMatchObject({ phase: 'follow', rows: 405, estimatedRows: 1010, tables: [{ namespace: 'orders', state: 'following', rows: 400 }] });
});

test('--watch tells a change in a line, and ends with the run or with Ctrl-C', async () => {
  const folder = freshFolder(), run = liveRun(folder, events);
  await run.there;
  const stopped = type(['status', '--watch'], { folder }), watching = type(['status', '--watch'], { folder });
  await expect.poll(() => stopped.printed(), { timeout: 5000 }).toMatch(/^copy; copied 405 of ~1,010 rows, an estimated .* left\n$/);
  stopped.press('SIGINT');
  expect((await stopped).status).toBe(130);
  await run.end();
  const { status, stdout } = await watching;
  expect(status).toBe(0);
  expect(stdout).toMatch(/^copy; copied 405 .*\nRun .*: failed, in phase follow\n/);
});

test('status of no run, and of one that is not there, is a mistake', async () => {
  expect(await type(['status'])).toMatchObject({ status: 2, stderr: expect.stringContaining('there are no runs') });
  expect(await type(['status', 'r7'])).toMatchObject({ status: 2, stderr: expect.stringContaining('there is no run r7') });
  expect(await type(['status', '--json', '--watch'])).toMatchObject({ status: 2 });
});
