import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { askRun, serveRequests } from '../../src/coordinator/requests.js';
import { DsyncError } from '../../src/errors.js';
import { openStore } from '../../src/state/store.js';

const { signal } = new AbortController();
const run = { run: 'r1', flow: 'f1' };

function stores() {
  const folder = mkdtempSync(join(tmpdir(), 'dsync-requests-'));
  const [running, asking] = [openStore(folder), openStore(folder)];
  onTestFinished(async () => {
    await running[Symbol.asyncDispose]();
    await asking[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });
  return { running, asking };
}

test('who has the run does what is asked, in order, and its results and failures arrive', async () => {
  const { running, asking } = stores(), done: unknown[] = [];
  await using _held = await running.lock(run.flow);
  const serving = serveRequests({ id: run.run, store: running }, {
    pause: (detail) => { done.push(detail); return done.length; },
    fail: () => { throw new DsyncError('refused', 'not today', { remedy: 'tomorrow' }); },
  }, (error) => { throw error; });
  expect(await Promise.all([askRun(asking, run, 'pause', 'a', signal), askRun(asking, run, 'pause', 'b', signal)])).toEqual([1, 2]);
  expect(done).toEqual(['a', 'b']);
  await expect(askRun(asking, run, 'fail', null, signal)).rejects.toMatchObject({ code: 'refused', message: 'not today', remedy: 'tomorrow' });
  await expect(askRun(asking, run, 'dance', null, signal)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('dance') });
  await serving.stop();
});

test('where no process has the run, the request waits for the next one', async () => {
  const { running, asking } = stores();
  await expect(askRun(asking, run, 'pause', 'a', signal)).rejects.toMatchObject({ code: 'waiting', remedy: 'dsync resume r1' });
  expect(asking.holder(run.flow)).toBeUndefined();
  await using _held = await running.lock(run.flow);
  expect(asking.holder(run.flow)).toMatchObject({ pid: process.pid });
  const heard = new Promise((resolve) => {
    const serving = serveRequests({ id: run.run, store: running }, { pause: (detail) => { resolve(detail); void serving.stop(); } }, resolve);
  });
  expect(await heard).toBe('a');
});

test('a slow request is done once, others of its kind wait for it, and those of another kind do not', async () => {
  const { running, asking } = stores(), begun: unknown[] = [];
  await using _held = await running.lock(run.flow);
  let finish = () => {};
  const finished = new Promise<void>((resolve) => { finish = resolve; });
  const serving = serveRequests({ id: run.run, store: running }, { slow: async (detail) => { begun.push(detail); await finished; }, quick: () => 'done' }, (error) => { throw error; });
  const slow = [askRun(asking, run, 'slow', 1, signal), askRun(asking, run, 'slow', 2, signal)];
  for (const _ of [1, 2, 3]) expect(await askRun(asking, run, 'quick', null, signal)).toBe('done');
  expect(begun).toEqual([1]);
  finish();
  await Promise.all(slow);
  expect(begun).toEqual([1, 2]);
  await serving.stop();
});

test('what a stop cuts short is asked of the next process again', async () => {
  const { running, asking } = stores();
  let heard = () => {};
  const begun = new Promise<void>((resolve) => { heard = resolve; });
  const serving = serveRequests({ id: run.run, store: running }, {
    slow: (_, stopped) => new Promise((_resolve, reject) => { heard(); stopped.addEventListener('abort', () => reject(stopped.reason)); }),
  }, (error) => { throw error; });
  const number = asking.ask(run.run, 'slow', null);
  await begun;
  await serving.stop();
  expect(asking.request(run.run, number)).not.toHaveProperty('answer');
  expect(asking.asked(run.run)).toHaveLength(1);
});
