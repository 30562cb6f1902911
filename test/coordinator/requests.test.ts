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
