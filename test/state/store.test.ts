import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { RejectLine, RunState } from '../../src/contract.js';
import { DsyncError } from '../../src/errors.js';
import { defaultFolder, openStore } from '../../src/state/store.js';
import { child } from './child.js';

let folder: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'dsync-state-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

const state = (run: string, more: Partial<RunState> = {}): RunState => ({
  run, flow: 'flow1', status: 'running', phase: 'copy', startedAt: '2025-01-31T10:00:00.000Z', updatedAt: '2025-01-31T10:00:00.000Z',
  config: { source: 'sqlite:a' }, sourceIdentity: 's', destinationIdentity: 'd', mappings: [], tasks: [{ id: 'orders#1', namespace: 'orders' }],
  moments: [{ at: '2025-01-31T10:00:00.000Z', exact: true, how: 'snapshot' }], ...more,
});

const rejectLine = (some: Partial<RejectLine>): RejectLine => ({ version: 2, namespace: 'orders', reason: 'no', key: 'id=1', digest: 'd', row: {}, ...some });

const codeOf = (action: () => unknown): string => {
  try {
    action();
    return 'nothing';
  } catch (error) {
    return error instanceof DsyncError ? error.code : String(error);
  }
};

describe('a run', () => {
  test('is loaded as it was saved, and by another process too', async () => {
    await using store = openStore(folder);
    store.save(state('r1', { summary: { rows: 5 } }));
    expect(store.load('r1')).toEqual(state('r1', { summary: { rows: 5 } }));
    const other = child(`print(JSON.stringify(openStore(${JSON.stringify(folder)}).load('r1')))`);
    expect(JSON.parse((await other.line())!)).toEqual(state('r1', { summary: { rows: 5 } }));
  });

  test('that is unknown is undefined', async () => {
    await using store = openStore(folder);
    expect(store.load('r1')).toBeUndefined();
  });

  test('keeps what an update does not name', async () => {
    await using store = openStore(folder);
    store.save(state('r1'));
    store.update('r1', { status: 'interrupted', phase: 'finish' });
    const { updatedAt, ...rest } = store.load('r1')!;
    const { updatedAt: before, ...expected } = state('r1', { status: 'interrupted', phase: 'finish' });
    expect(rest).toEqual(expected);
    expect(updatedAt > before).toBe(true);
  });

  test('that was removed meanwhile cannot be updated', async () => {
    await using store = openStore(folder);
    expect(codeOf(() => store.update('gone', { status: 'done' }))).toBe('state');
  });

  test('that is newer is listed first', async () => {
    await using store = openStore(folder);
    store.save(state('new', { startedAt: '2025-02-01T00:00:00.000Z' }));
    store.save(state('old', { startedAt: '2025-01-01T00:00:00.000Z' }));
    expect(store.list().map(({ run }) => run)).toEqual(['new', 'old']);
  });

  test('that is removed leaves nothing', async () => {
    await using store = openStore(folder);
    store.save(state('r1'));
    store.begun('r1', 'orders#1', 0);
    store.reject('r1', [rejectLine({ key: 'id=1', row: { id: 1 } })]);
    store.remove('r1');
    expect([store.list(), store.allBegun('r1').size, existsSync(store.rejects('r1').path)]).toEqual([[], 0, false]);
  });

  test('remembers the latest moment of each task that was begun', async () => {
    await using store = openStore(folder);
    store.begun('r1', 'a', 0);
    store.begun('r1', 'b', 0);
    store.begun('r1', 'a', 1);
    store.begun('r2', 'a', 7);
    expect(store.allBegun('r1')).toEqual(new Map([['a', 1], ['b', 0]]));
  });

  test('may have 64-bit numbers and bytes in its summary', async () => {
    await using store = openStore(folder);
    store.save(state('r1', { summary: { rows: 2n ** 63n, bytes: Buffer.from([1, 255]), ratio: NaN } }));
    expect(store.load('r1')!.summary).toEqual({ rows: '9223372036854775808', bytes: '\\x01ff', ratio: 'NaN' });
  });
});

describe('what was acknowledged', () => {
  test('is there after the process was killed with SIGKILL', async () => {
    const writer = child(`
      const store = openStore(${JSON.stringify(folder)});
      for (let i = 0; ; i++) {
        store.begun('r1', 'task' + i, i);
        store.reject('r1', [{ version: 2, digest: 'd', namespace: 'orders', reason: 'x'.repeat(3000), key: 'id=' + i, row: { id: i } }]);
        await print(i);
      }`);
    let last = -1;
    while (last < 50) last = Number(await writer.line());
    writer.process.kill('SIGKILL');
    for (let line = await writer.line(); line !== undefined; line = await writer.line()) last = Number(line);
    expect((await writer.ended).signal).toBe('SIGKILL');
    await using store = openStore(folder);
    expect([...store.allBegun('r1').keys()]).toEqual(expect.arrayContaining(Array.from({ length: last + 1 }, (_, i) => `task${i}`)));
    expect([...store.rejects('r1').keys.get('orders')!]).toEqual(expect.arrayContaining(Array.from({ length: last + 1 }, (_, i) => `id=${i}`)));
  });

  test('by many processes at once, in a folder that none of them found, is all there', async () => {
    const writers = Array.from({ length: 4 }, (_, writer) => child(`
      const store = openStore(${JSON.stringify(join(folder, 'fresh'))});
      for (let i = 0; i < 50; i++) store.begun('r${writer}', 'task' + i, 0);
      print('done')`));
    expect(await Promise.all(writers.map(({ ended }) => ended))).toEqual(writers.map(() => ({ code: 0, signal: null, stderr: '' })));
    await using store = openStore(join(folder, 'fresh'));
    expect([0, 1, 2, 3].map((writer) => store.allBegun(`r${writer}`).size)).toEqual([50, 50, 50, 50]);
  });
});

test('a folder that another process is just making is waited for, and not made twice', async () => {
  await openStore(folder)[Symbol.asyncDispose]();
  const made = new Database(join(folder, 'state.db'));
  const sql = (made.prepare("SELECT sql FROM sqlite_master WHERE type = 'table'").all() as { sql: string }[]).map((row) => row.sql).join(';');
  made.close();
  const making = new Database(join(mkdirSync(join(folder, 'fresh'), { recursive: true })!, 'state.db'));
  making.exec('PRAGMA journal_mode = WAL; BEGIN IMMEDIATE');
  const other = child(`await print('opening'); openStore(${JSON.stringify(join(folder, 'fresh'))}).begun('r1', 'a', 0); await print('open')`);
  await other.line();
  making.exec(`${sql}; PRAGMA user_version = 3; COMMIT`);
  making.close();
  expect([await other.line(), await other.ended]).toEqual(['open', { code: 0, signal: null, stderr: '' }]);
});

test('what another process asks is answered once, and both survive whoever asked', async () => {
  await using store = openStore(folder);
  for (const run of ['r1', 'r2']) store.save(state(run));
  const first = store.ask('r1', 'pause', { namespace: 'public.a' }), second = store.ask('r1', 'pause', { namespace: 'public.b' }), other = store.ask('r2', 'stop', null);
  await using running = openStore(folder);
  expect(running.asked('r1')).toEqual([{ number: first, kind: 'pause', detail: { namespace: 'public.a' } }, { number: second, kind: 'pause', detail: { namespace: 'public.b' } }]);
  running.answer('r1', first, { result: { paused: true } });
  running.answer('r2', second, { result: 'of another run' });
  expect(store.asked('r1').map(({ number }) => number)).toEqual([second]);
  expect(store.request('r1', first)?.answer).toEqual({ result: { paused: true } });
  store.remove('r1');
  expect([store.request('r1', second), store.request('r2', other)?.kind]).toEqual([undefined, 'stop']);
});

test('what a run tells of itself last is seen by others', async () => {
  await using store = openStore(folder);
  store.save(state('r1'));
  expect(store.told('r1')).toBeUndefined();
  store.tell('r1', { changes: 1 });
  store.tell('r1', { changes: 2n ** 60n });
  await using other = openStore(folder);
  expect(other.told('r1')).toEqual({ at: expect.stringMatching(/^\d{4}-.*Z$/), vitals: { changes: String(2n ** 60n) } });
});

describe('a flow', () => {
  const holding = (flow: string) => child(`
    const store = openStore(${JSON.stringify(folder)});
    globalThis.held = await store.lock('${flow}');
    await print(process.pid);
    setInterval(() => {}, 1000);`);

  test('is refused to a second process, which learns who has it', async () => {
    const holder = holding('f1');
    const pid = await holder.line();
    await using store = openStore(folder);
    const error = await store.lock('f1').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'busy', message: expect.stringMatching(new RegExp(`process ${pid} on \\S+, since 20`)) });
    holder.process.kill();
    await holder.ended;
  });

  test('is free again when its process is killed with SIGKILL', async () => {
    const holder = holding('f1');
    await holder.line();
    holder.process.kill('SIGKILL');
    await holder.ended;
    await using store = openStore(folder);
    await using lock = await store.lock('f1');
    expect(lock).toBeDefined();
  });

  test('can be asked for its holder by anyone, at any time, and is no less free for it', async () => {
    await using store = openStore(folder);
    expect(store.holder('f1')).toBeUndefined();
    const asking = child(`
      const store = openStore(${JSON.stringify(folder)});
      await print('asking');
      for (;;) store.holder('f1');
    `);
    onTestFinished(() => { asking.process.kill('SIGKILL'); });
    await asking.line();
    for (let turn = 0; turn < 400; turn++) {
      await using lock = await store.lock('f1');
      expect(lock).toBeDefined();
      expect(store.holder('f1')).toMatchObject({ pid: process.pid, host: hostname() });
    }
    expect(store.holder('f1')).toBeUndefined();
  });

  test('is refused to a second lock of the same process, and free once it is released', async () => {
    await using store = openStore(folder);
    await using other = openStore(folder);
    const lock = await store.lock('f1');
    await expect(other.lock('f1')).rejects.toMatchObject({ code: 'busy' });
    await lock[Symbol.asyncDispose]();
    await (await other.lock('f1'))[Symbol.asyncDispose]();
  });

  test('does not keep another flow from being worked on', async () => {
    const holder = holding('f1');
    await holder.line();
    await using store = openStore(folder);
    await using lock = await store.lock('f2');
    store.save(state('r2'));
    expect(lock).toBeDefined();
    holder.process.kill();
    await holder.ended;
  });

  test('is given up with the store', async () => {
    {
      await using store = openStore(folder);
      await store.lock('f1');
    }
    await using store = openStore(folder);
    await using lock = await store.lock('f1');
    expect(lock).toBeDefined();
  });
});

describe('rejected rows', () => {
  const row = (key: string) => rejectLine({ reason: 'zero date', key, row: { id: 1, ts: 'x\ny' } });

  test('are lines of JSON, values and all, and are found by their keys', async () => {
    await using store = openStore(folder);
    store.reject('r1', [row('id=1'), row('id=2')]);
    store.reject('r1', [{ ...row('id=1'), namespace: 'lines' }]);
    const { path, keys } = store.rejects('r1');
    expect(keys).toEqual(new Map([['orders', new Set(['id=1', 'id=2'])], ['lines', new Set(['id=1'])]]));
    expect(JSON.parse(readFileSync(path, 'utf8').split('\n')[0])).toEqual({ namespace: 'orders', reason: 'zero date', key: 'id=1', row: { id: 1, ts: 'x\ny' }, version: 2, digest: 'd' });
  });

  test('that a crash cut short make no second line unreadable', async () => {
    await using store = openStore(folder);
    store.reject('r1', [row('id=1')]);
    appendFileSync(store.rejects('r1').path, '{"namespace":"orders","key":"id=2","rea');
    expect(store.rejects('r1').keys).toEqual(new Map([['orders', new Set(['id=1'])]]));
    store.reject('r1', [row('id=3')]);
    expect(store.rejects('r1').keys).toEqual(new Map([['orders', new Set(['id=1', 'id=3'])]]));
  });

  test('stand once for each key, the last of them; those without a key as often as they are told', async () => {
    await using store = openStore(folder);
    expect(store.reject('r1', [row('id=1'), row('id=2')])).toBe(2);
    expect(store.reject('r1', [{ ...row('id=1'), reason: 'too long' }])).toBe(2);
    expect(store.rejectLines('r1').map(({ line: { key, reason } }) => [key, reason])).toEqual([['id=2', 'zero date'], ['id=1', 'too long']]);
    const equal = rejectLine({ namespace: 'log', key: 'v=1', keyless: true });
    expect(store.reject('r1', [equal, equal])).toBe(4);
    await using later = openStore(folder);
    expect([later.rejects('r1').count, later.rejectLines('r1').length]).toEqual([4, 4]);
    later.unreject('r1', 'log');
    expect([later.rejects('r1').count, [...later.rejects('r1').keys.keys()]]).toEqual([2, ['orders']]);
  });

  test('of a later line of each key do not make the file grow for ever', async () => {
    await using store = openStore(folder);
    for (let i = 0; i < 1500; i++) store.reject('r1', [row('id=1')]);
    expect(readFileSync(store.rejects('r1').path, 'utf8').split('\n').length).toBeLessThan(1100);
  });

  test('that an editor has left without an end of line are lines all the same', async () => {
    await using store = openStore(folder);
    const { path } = store.rejects('r1');
    writeFileSync(path, JSON.stringify(row('id=1')));
    expect(store.rejectLines('r1')).toHaveLength(1);
    store.reject('r1', [row('id=2')]);
    expect(store.rejectLines('r1').map(({ line }) => line.key)).toEqual(['id=1', 'id=2']);
  });

  test('that are no lines of this version are named with their place', async () => {
    await using store = openStore(folder);
    const { path } = store.rejects('r1'), lines = (...texts: string[]) => writeFileSync(path, `${[JSON.stringify(row('id=1')), ...texts].join('\n')}\n`);
    for (const [text, what] of [['{', /is no JSON/], ['{"namespace":"orders","key":"id=1","row":{}}', /an earlier dsync/], ['{"version":3}', /version 3/], ['{"version":2}', /a namespace, a key and a row/]] as const) {
      lines(text);
      expect(() => store.rejectLines('r1')).toThrow(expect.objectContaining({ code: 'usage', message: expect.stringMatching(new RegExp(`${path}:2.*${what.source}`)) }));
    }
  });

  test('that a replay has written go once, however often it ends, and the others get their reasons', async () => {
    await using store = openStore(folder);
    const equal = rejectLine({ namespace: 'log', key: 'v=1', keyless: true }), lines = [row('id=1'), row('id=2'), equal, equal];
    store.reject('r1', lines);
    store.keepReplay('r1', { id: 'a', lines: [equal] });
    expect(store.keptReplay('r1')).toEqual({ id: 'a', lines: [equal] });
    const { path } = store.rejects('r1'), outcomes = [{ line: lines[0], done: 'written' as const }, { line: lines[1], reason: 'still too long' }, { line: equal, done: 'written' as const }];
    const replayed = path.replace('.ndjson', '.replayed.ndjson');
    // Killed when the first of what is done was told.
    writeFileSync(replayed, `${JSON.stringify({ ...lines[0], replay: 'a', done: 'written' })}\n`);
    store.endReplay('r1', 'a', outcomes);
    expect(store.rejectLines('r1').map(({ line: { key, reason } }) => [key, reason])).toEqual([['id=2', 'still too long'], ['v=1', 'no']]);
    expect(readFileSync(replayed, 'utf8').trim().split('\n')).toHaveLength(2);
    expect([store.keptReplay('r1'), store.rejects('r1').count]).toEqual([undefined, 2]);
    // Killed when the plan was renamed, before what is left has taken the file's place.
    store.keepReplay('r1', { id: 'b', lines: [equal] });
    const [plan, ended, left] = ['replaying', 'replaying.ended', 'replaying.left'].map((what) => path.replace('.ndjson', `.${what}.ndjson`));
    renameSync(plan!, ended!);
    writeFileSync(left!, `${JSON.stringify(row('id=2'))}\n`);
    await using later = openStore(folder);
    expect([later.rejects('r1').count, later.keptReplay('r1'), existsSync(ended!)]).toEqual([1, undefined, false]);
    later.remove('r1');
    expect(readdirSync(join(folder, 'rejects'))).toEqual([]);
  });

  test('that the destination has kept for a dead process are told once', async () => {
    await using store = openStore(folder);
    const at = (key: string, position: string) => ({ ...row(key), position });
    store.reject('r1', [at('id=1', '0/1'), at('id=2', '0/2')]);
    expect(store.untoldRejects('r1', [at('id=1', '0/1'), at('id=1', '0/3')])).toEqual([at('id=1', '0/3')]);
    store.endReplay('r1', 'a', [{ line: at('id=1', '0/1'), done: 'written' }]);
    store.unreject('r1', 'orders');
    expect(store.untoldRejects('r1', [at('id=1', '0/1'), at('id=2', '0/2'), at('id=3', '0/2')])).toEqual([at('id=3', '0/2')]);
  });

  test('of a run without any are none', async () => {
    await using store = openStore(folder);
    store.reject('r1', []);
    expect(store.rejects('r1').keys.size).toBe(0);
    expect(existsSync(store.rejects('r1').path)).toBe(false);
  });
});

describe('the folder', () => {
  test('is XDG_STATE_HOME/dsync, or below the home folder; a relative XDG_STATE_HOME does not count', () => {
    expect(defaultFolder({ XDG_STATE_HOME: '/x', HOME: '/home/ada' })).toBe('/x/dsync');
    expect(defaultFolder({ HOME: '/home/ada' })).toBe('/home/ada/.local/state/dsync');
    expect(defaultFolder({ XDG_STATE_HOME: 'x', HOME: '/home/ada' })).toBe('/home/ada/.local/state/dsync');
  });

  test('and what is in it are for their owner only', async () => {
    await using store = openStore(join(folder, 'new'));
    store.save(state('r1'));
    store.reject('r1', [rejectLine({ key: 'id=1' })]);
    const mode = (path: string) => (statSync(join(folder, 'new', path)).mode & 0o777).toString(8);
    expect([mode('.'), mode('locks'), mode('state.db'), mode('state.db-wal'), mode('rejects/r1.ndjson')]).toEqual(['700', '700', '600', '600', '600']);
  });

  test('that cannot be made is named', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(() => openStore(join(folder, 'file'))).toThrow(expect.objectContaining({ code: 'state', message: expect.stringContaining(join(folder, 'file')) }));
  });

  test('of a newer dsync is left alone', async () => {
    await openStore(folder)[Symbol.asyncDispose]();
    const db = new Database(join(folder, 'state.db'));
    db.exec('PRAGMA user_version = 4');
    db.close();
    expect(() => openStore(folder)).toThrow(expect.objectContaining({ code: 'state', message: expect.stringMatching(`${folder} was made by a newer dsync \\(format 4`), remedy: expect.stringContaining('update dsync') }));
  });

  test('of an older dsync keeps its runs, which can be live from then on', async () => {
    const saved = state('r1');
    const store = openStore(folder);
    store.save(saved);
    await store[Symbol.asyncDispose]();
    const db = new Database(join(folder, 'state.db'));
    db.exec('ALTER TABLE runs DROP COLUMN log; DROP TABLE requests; DROP TABLE vitals; PRAGMA user_version = 1');
    db.close();
    await using newer = openStore(folder);
    expect(newer.load('r1')).toMatchObject({ run: 'r1', flow: saved.flow });
    newer.update('r1', { log: { pin: { names: ['slot'] } } });
    newer.update('r1', { log: { place: { position: '0/1', changes: 3 } } });
    expect(newer.load('r1')!.log).toEqual({ pin: { names: ['slot'] }, place: { position: '0/1', changes: 3 } });
    expect(newer.asked('r1')).toEqual([]);
  });

  test('that is damaged is named', () => {
    writeFileSync(join(folder, 'state.db'), 'this is no database'.repeat(1000));
    expect(() => openStore(folder)).toThrow(expect.objectContaining({ code: 'state', message: expect.stringMatching(`state is damaged \\(state folder ${folder}\\)`) }));
  });

  test.each([
    ['the database', "for (let i = 0; ; i++) store.begun('r1', 'task' + i + 'x'.repeat(2000), i);"],
    ['the reject file', "for (let i = 0; ; i++) store.reject('r1', [{ version: 2, digest: 'd', namespace: 'orders', reason: 'x'.repeat(2000), key: 'id=' + i, row: {} }]);"],
  ])('that is full while %s grows is named, and what was acknowledged stays', async (_, grow) => {
    const writer = child(`
      const store = openStore(${JSON.stringify(folder)});
      store.begun('r1', 'first', 0);
      store.reject('r1', [{ version: 2, digest: 'd', namespace: 'orders', reason: 'no', key: 'first', row: {} }]);
      try { ${grow} } catch (error) { await print(JSON.stringify({ ...error, message: error.message, cause: undefined })); }`,
    (command) => ['bash', '-c', `ulimit -f 400; exec ${command}`, 'bash']);
    expect(JSON.parse((await writer.line())!)).toMatchObject({ code: 'state', message: expect.stringMatching(`disk is full or fails \\(state folder ${folder}\\)`), remedy: expect.stringContaining('free some space') });
    expect((await writer.ended).code).toBe(0);
    await using store = openStore(folder);
    expect(store.allBegun('r1').get('first')).toBe(0);
    expect(store.rejects('r1').keys.get('orders')!.has('first')).toBe(true);
  });
});
