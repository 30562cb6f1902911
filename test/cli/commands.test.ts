import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RunState } from '../../src/contract.js';
import type { RunConfig } from '../../src/coordinator/config.js';
import type { ColumnTried } from '../../src/coordinator/roundtrip.js';
import { DsyncError, type ErrorCode } from '../../src/errors.js';
import { openStore } from '../../src/state/store.js';
import { begin, freshFolder, promised, report, state, type, well } from './terminal.js';

const ends = ['sqlite:/a.db', 'sqlite:/b.db'];
const failing = (error: unknown) => ({ sync: async () => { throw error; } });
const waiting = (signal: AbortSignal) => new Promise<never>((_, reject) => { signal.addEventListener('abort', () => reject(signal.reason)); });
const stored = (folder: string) => openStore(join(folder, 'state', 'dsync'));

describe('a sync that succeeds', () => {
  test('reports rows, agreement, verification and where it is remembered', async () => {
    const folder = freshFolder();
    const { status, stdout } = await type(['sync', ...ends], { folder });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Done and verified: both sides are equal\.\n {2}SQLite 3\.45 → SQLite 3\.45\n {2}1,234 rows, 56\.8 kB, 1 task in 1\.5 s/);
    expect(stdout).toContain('Agreed\n  orders → orders  values\n');
    expect(stdout).toMatch(new RegExp(`Run \\d{8}-[a-z0-9]{6}, remembered in ${join(folder, 'state', 'dsync')}\n$`));
  });

  test('prints one JSON document on stdout, whatever it logs', async () => {
    const { stdout, stderr } = await type(['sync', ...ends, '--json', '--log-level', 'debug']);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'done', exitStatus: 0, rows: 1234, verification: [] });
    expect(stderr).toMatch(/info {2}run \d{8}-/);
  });

  test('logs to a file what it logs to people, and more', async () => {
    const folder = freshFolder();
    await type(['sync', ...ends, '--log-file', 'logs/dsync.log', '--log-level', 'error'], { folder, actions: { sync: async (config, ports) => {
      ports.emit({ kind: 'planned', namespace: 'orders', tasks: 3, copiedRows: 0 });
      return well.sync(config, ports);
    } } });
    const records = readFileSync(join(folder, 'logs', 'dsync.log'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { msg: string });
    expect(records.map(({ msg }) => msg)).toEqual(['orders: 3 tasks', expect.stringMatching(/^run \d{8}/)]);
  });
});

describe('the exit status', () => {
  test.each<[ErrorCode, number]>([
    ['usage', 2], ['unreachable', 3], ['denied', 3], ['not-ready', 3], ['refused', 5], ['busy', 8],
    ['source-lost', 3], ['connection-lost', 3], ['conflict', 1], ['disk-full', 1], ['state', 1], ['data', 1], ['internal', 1],
  ])('of a sync that failed with %s is %i', async (code, status) => {
    expect(await type(['sync', ...ends], { actions: failing(new DsyncError(code, 'no')) })).toMatchObject({ status, stdout: '' });
  });

  test.each([
    [report(), 0], [report({ status: 'different', exitStatus: 4 }), 4], [report({ status: 'not-comparable', exitStatus: 4 }), 4],
    [report({ status: 'rejected', exitStatus: 6, rejected: { count: 2, path: '/x/r1.ndjson' } }), 6],
  ])('of a sync is that of its report (%#)', async (result, status) => {
    expect((await type(['sync', ...ends], { actions: { sync: async () => result } })).status).toBe(status);
    expect((await type(['verify', ...ends], { actions: { verifyOnly: async () => result } })).status).toBe(status);
  });

  test.each([
    [[], 0], [['warning', 'info'], 0], [['info', 'error'], 3],
  ] as const)('of a doctor that finds %j is %i', async (levels, status) => {
    const findings = levels.map((level) => ({ end: 'source' as const, finding: { level, code: 'x', message: 'wal_level is replica', remedy: 'ALTER SYSTEM SET wal_level = logical;' } }));
    expect((await type(['doctor', ends[0]], { actions: { doctor: async () => findings } })).status).toBe(status);
    expect((await type(['plan', ...ends], { actions: { plan: async () => ({ source: 'a', destination: 'b', namespaces: [], views: [], findings }) } })).status).toBe(status);
  });

  test('of a doctor is that of the error it found', async () => {
    const finding = { level: 'error', code: 'loss', message: 'no', error: 'refused' } as const;
    expect((await type(['doctor', ...ends], { actions: { doctor: async () => [{ end: 'destination', finding }] } })).status).toBe(5);
  });

  test('of an unknown command, of none, and of an unknown flag is 2; of help and version 0', async () => {
    const statuses = await Promise.all([['synk'], [], ['--nonsense'], ['sync', '--nonsense'], ['--help'], ['help', 'sync'], ['sync', '--help'], ['--version']].map((argv) => type(argv)));
    expect(statuses.map(({ status }) => status)).toEqual([2, 2, 2, 2, 0, 0, 0, 0]);
  });
});

describe('a failure', () => {
  const error = new DsyncError('disk-full', 'could not extend file', { namespace: 'public.orders', task: 'public.orders#3', remedy: 'free some space\nthen go on', cause: new Error('ENOSPC') });

  test('says what, where, and what to do; no stack', async () => {
    const { stderr } = await type(['sync', ...ends], { actions: failing(error) });
    expect(stderr).toBe('error: could not extend file\n  where: namespace public.orders, task public.orders#3\n  what to do: free some space\n  then go on\n');
  });

  test('shows its stack and causes if DSYNC_DEBUG is set', async () => {
    const { stderr } = await type(['sync', ...ends], { actions: failing(error), env: { DSYNC_DEBUG: '1' } });
    expect(stderr).toMatch(/\n {4}at [^]*caused by Error: ENOSPC/);
  });

  test('is one JSON document on stdout with --json', async () => {
    const { stdout, status } = await type(['sync', ...ends, '--json'], { actions: { sync: async (config, ports) => { await begin(config, ports); throw error; } } });
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toEqual({
      error: { code: 'disk-full', message: 'could not extend file', namespace: 'public.orders', task: 'public.orders#3', remedy: 'free some space\nthen go on' }, run: expect.stringMatching(/^\d{8}-/),
    });
  });

  test.each([[['sync', ...ends, '--json', '--nonsense']], [['--json']], [['sync', '--json']], [['sync', ...ends, '--json', '--memory', 'x']], [['resume', '--json']]])(
    'of the command line itself is one, too: %j', async (argv) => {
      expect(JSON.parse((await type(argv)).stdout)).toMatchObject({ error: { code: 'usage', message: expect.any(String) } });
    });

  test('that is not an error of dsync is its fault, and says so', async () => {
    const { stderr, status } = await type(['sync', ...ends], { actions: failing(new TypeError('x is undefined')) });
    expect([status, stderr]).toEqual([1, 'error: x is undefined\n  what to do: this is a fault of dsync: DSYNC_DEBUG=1 shows where it happened\n']);
  });

  test('of a run says how it goes on', async () => {
    const { stderr } = await type(['sync', ...ends, '--state', "it's here"], { actions: { sync: async (config, ports) => { await begin(config, ports); throw error; } } });
    expect(stderr).toMatch(/Go on with: dsync resume \d{8}-[a-z0-9]{6} --state 'it'\\''s here'\n$/);
  });
});

describe('Ctrl-C', () => {
  const interrupted = (run: { begun?: (signal: AbortSignal) => void } = {}) => ({
    sync: async (config: RunConfig, ports: Parameters<typeof well.sync>[1]) => {
      const id = await begin(config, ports);
      run.begun?.(ports.signal);
      try {
        return await waiting(ports.signal);
      } finally {
        ports.store.update(id, { status: 'interrupted' });
      }
    },
  });

  test.each([['SIGINT', 130], ['SIGTERM', 143]] as const)('or %s stops the run, prints how it goes on, and exits with %i', async (signal, status) => {
    const folder = freshFolder();
    const begun = promised<unknown>();
    const typed = type(['sync', ...ends, '--json'], { folder, actions: interrupted({ begun: begun.resolve }) });
    await begun.promise;
    typed.press(signal);
    const { stdout, stderr, ...ended } = await typed;
    const { run } = stored(folder).list()[0];
    expect(ended).toEqual({ status, exits: [] });
    expect(stderr).toMatch(new RegExp(`Stopping\\. Once more stops at once.*\nInterrupted\\.\nGo on with: dsync resume ${run}\n$`));
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'interrupted' }, run });
  });

  test('a second time exits at once', async () => {
    const begun = promised<unknown>();
    const stubborn = promised<never>();
    const typed = type(['sync', ...ends], { actions: { sync: async (config, ports) => { await begin(config, ports); begun.resolve(0); return stubborn.promise; } } });
    await begun.promise;
    typed.press('SIGINT');
    typed.press('SIGINT');
    stubborn.reject(new DsyncError('interrupted', 'stopped'));
    expect((await typed).exits).toEqual([130]);
  });

  test('tells which password is needed to go on, and that a URL is', async () => {
    const begun = promised<unknown>();
    const typed = type(['sync', 'postgres://ada:hunter22@db1/shop', 'mongodb://h1/shop?tlsCertificateKeyFilePassword=hunter23'], { actions: interrupted({ begun: begun.resolve }) });
    await begun.promise;
    typed.press('SIGINT');
    expect((await typed).stderr).toMatch(/Go on with: dsync resume \S+ --destination URL\nThe password of the source is not kept: you will be asked for it, or set DSYNC_SOURCE_PASSWORD\.\n$/);
  });

  test('before a run was begun says that nothing was', async () => {
    const begun = promised<unknown>();
    const typed = type(['plan', ...ends], { actions: { plan: async (_, ports) => { begun.resolve(0); return waiting(ports.signal); } } });
    await begun.promise;
    typed.press('SIGINT');
    expect(await typed).toMatchObject({ status: 130, stdout: '', stderr: expect.stringMatching(/Interrupted\. Nothing was begun\.\n$/) });
  });
});

/** Leaves runs behind, oldest first, and a command line that resumes them. */
async function leftBehind(runs: readonly Partial<RunState>[], source = 'sqlite:/a.db') {
  const folder = freshFolder();
  const ids: string[] = [];
  for (const [i, run] of runs.entries()) {
    await type(['sync', source, `sqlite:/b${i}.db`], { folder, actions: { sync: async (config, ports) => {
      ids.push(await begin(config, ports, { startedAt: `2025-01-0${i + 1}T00:00:00.000Z`, ...run }));
      return report();
    } } });
  }
  const resumed: { run: string; config: RunConfig }[] = [];
  const actions = { resume: async (run: RunState, config: RunConfig, ports: Parameters<typeof well.resume>[2]) => {
    resumed.push({ run: run.run, config });
    return well.resume(run, config, ports);
  } };
  return { folder, ids, resumed, resume: (argv: readonly string[] = [], more: Parameters<typeof type>[1] = {}) => type(['resume', ...argv], { folder, actions, ...more }) };
}

describe('resume', () => {
  test('goes on with the latest run that did not end well, with its own configuration', async () => {
    const { ids, resumed, resume } = await leftBehind([{ status: 'failed' }, { status: 'interrupted' }, { status: 'done' }]);
    expect((await resume()).status).toBe(0);
    expect(resumed).toEqual([{ run: ids[1], config: expect.objectContaining({ source: 'sqlite:/a.db', destination: 'sqlite:/b1.db', concurrency: 4, memoryBytes: 128e6, verify: true }) }]);
  });

  test('takes a run that says it is running for killed when no process has its flow, and leaves one alone that is worked on', async () => {
    const { folder, ids, resumed, resume } = await leftBehind([{ status: 'running' }, { status: 'running' }]);
    await using store = stored(folder);
    await using _lock = await store.lock(store.load(ids[1])!.flow);
    expect((await resume()).status).toBe(0);
    expect(resumed.map(({ run }) => run)).toEqual([ids[0]]);
  });

  test('is busy when another process works on all there is', async () => {
    const { folder, ids, resume } = await leftBehind([{ status: 'running' }]);
    await using store = stored(folder);
    await using _lock = await store.lock(store.load(ids[0])!.flow);
    expect(await resume()).toMatchObject({ status: 8, stderr: expect.stringContaining(`run ${ids[0]} is under way in another process`) });
  });

  test('goes on with the run that is named, at the pace that is given', async () => {
    const { ids, resumed, resume } = await leftBehind([{ status: 'failed' }, { status: 'interrupted' }]);
    await resume([ids[0], '--concurrency', '2', '--rate-limit', '20MB/s', '--no-verify']);
    expect(resumed).toEqual([{ run: ids[0], config: expect.objectContaining({ concurrency: 2, memoryBytes: 128e6, rateLimit: { bytes: 20e6 }, verify: false }) }]);
  });

  test.each([['nothing', [{ status: 'done' }], [], /nothing to resume/], ['a run that is done', [{ status: 'done' }], 'it', /is done: there is nothing to resume/], ['an unknown run', [], ['nonsense'], /there is no run nonsense in /]] as const)(
    'of %s is a mistake', async (_, runs, argv, message) => {
      const { ids, resume } = await leftBehind(runs);
      expect(await resume(argv === 'it' ? [ids[0]] : argv)).toMatchObject({ status: 2, stderr: expect.stringMatching(message) });
    });

  test('does not heed what dsync.yaml says about another copy, but where the state is', async () => {
    const { folder, resumed, resume } = await leftBehind([{ status: 'interrupted' }]);
    writeFileSync(join(folder, 'dsync.yaml'), 'source: sqlite:/other.db\nconcurrency: 1\nstate: state/dsync\n');
    expect((await resume([], { folder, env: { XDG_STATE_HOME: '/nowhere' }, actions: { resume: async (run, config) => { resumed.push({ run: run.run, config }); return report(); } } })).status).toBe(0);
    expect(resumed[0].config).toMatchObject({ source: 'sqlite:/a.db', concurrency: 4 });
  });
});

describe('a password that resume needs again', () => {
  const source = 'postgres://ada:p%40ss@db1/shop';

  test.each([['DSYNC_SOURCE_PASSWORD'], ['PGPASSWORD']])('comes from %s', async (variable) => {
    const { resumed, resume } = await leftBehind([{ status: 'interrupted' }], source);
    await resume([], { env: { [variable]: 'p@ss' } as Record<string, string>, ...actionsOf(resumed) });
    expect(resumed[0].config.source).toBe(source);
  });

  test('is asked for where somebody sits', async () => {
    const { resumed, resume } = await leftBehind([{ status: 'interrupted' }], source);
    const questions: string[] = [];
    await resume([], { ask: async (question) => { questions.push(question); return 'p@ss'; }, ...actionsOf(resumed) });
    expect([questions, resumed[0].config.source]).toEqual([['Password for the source postgres://ada@db1/shop: '], source]);
  });

  test('is asked for before any bar stands in the way', async () => {
    const { resume } = await leftBehind([{ status: 'interrupted' }], source);
    const { stderr } = await resume([], { terminal: true, ask: async () => { throw new DsyncError('interrupted', 'stopped by SIGINT'); } });
    expect(stderr).toBe('Interrupted. Nothing was begun.\n');
  });

  test('is a mistake without it, which says what to set', async () => {
    const { ids, resume } = await leftBehind([{ status: 'interrupted' }], source);
    expect(await resume()).toMatchObject({ status: 2, stderr: `error: run ${ids[0]} needs the password of its source again: dsync keeps none\n  what to do: set DSYNC_SOURCE_PASSWORD and run it again, or give the URL again with --source URL\n` });
  });

  test('comes with the URL that is given anew', async () => {
    const { resumed, resume } = await leftBehind([{ status: 'interrupted' }], source);
    await resume(['--source', 'postgres://ada:new@db1/shop'], actionsOf(resumed));
    expect(resumed[0].config.source).toBe('postgres://ada:new@db1/shop');
  });

  test('is not needed again for a URL that was moved: the run keeps the new one, without its password', async () => {
    const { folder } = await leftBehind([{ status: 'interrupted' }], source);
    let kept: unknown;
    await type(['resume', '--source', 'postgres://ada:new@db2/shop'], { folder, actions: { resume: async (_, __, ports) => { kept = ports.storedConfig; return report(); } } });
    expect(kept).toMatchObject({ source: 'postgres://ada@db2/shop', secrets: { source: 'password', destination: 'none' } });
  });

  test('comes from the variable that the URL named', async () => {
    const folder = freshFolder();
    await type(['sync', 'postgres://ada:${PW}@db1/shop', 'null:'], { folder, env: { PW: 'one' }, actions: { sync: async (config, ports) => { await begin(config, ports, { status: 'interrupted' }); return report(); } } });
    let seen = '';
    await type(['resume'], { folder, env: { PW: 'two' }, actions: { resume: async (_, config) => { seen = config.source; return report(); } } });
    expect(seen).toBe('postgres://ada:two@db1/shop');
  });

  test('is none where the URL never had one', async () => {
    const { resumed, resume } = await leftBehind([{ status: 'interrupted' }], 'postgres://ada@db1/shop');
    await resume([], actionsOf(resumed));
    expect(resumed[0].config.source).toBe('postgres://ada@db1/shop');
  });
});

function actionsOf(resumed: { run: string; config: RunConfig }[]) {
  return { actions: { resume: async (run: RunState, config: RunConfig) => { resumed.push({ run: run.run, config }); return report(); } } };
}

describe('runs', () => {
  test('are listed newest first, and one whose process is gone was killed', async () => {
    const { folder, ids } = await leftBehind([{ status: 'done', summary: { rows: 1234, rejected: { count: 2 } } }, { status: 'running' }]);
    const { stdout } = await type(['runs'], { folder });
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['RUN', 'STATUS', 'PHASE', 'STARTED (UTC)', 'ROWS', 'REJECTED', 'ENDS'],
      [ids[1], 'killed', 'copy', '2025-01-02 00:00:00', 'sqlite:/a.db → sqlite:/b1.db'],
      [ids[0], 'done', 'copy', '2025-01-01 00:00:00', '1,234', '2', 'sqlite:/a.db → sqlite:/b0.db'],
      [''],
    ]);
    const { runs } = JSON.parse((await type(['runs', '--json'], { folder })).stdout) as { runs: unknown[] };
    expect(runs[1]).toEqual({ run: ids[0], flow: expect.stringMatching(/^[0-9a-f]{16}$/), status: 'done', phase: 'copy', startedAt: '2025-01-01T00:00:00.000Z', updatedAt: expect.any(String), rows: 1234, rejected: 2, source: 'sqlite:/a.db', destination: 'sqlite:/b0.db' });
  });

  test('may be none', async () => {
    expect(await type(['runs'])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^No runs in /) });
  });
});

describe('doctor --types', () => {
  const none = { tried: 4, unequal: 0, rejected: 0 }, column = { namespace: 'orders', column: 'at', from: 'timestamptz', to: 'datetime(6)', level: 'reshaped', note: 'UTC kept in DATETIME' } as const;
  const answering = (columns: readonly ColumnTried[]) => ({ roundtrip: async (...given: Parameters<typeof well.roundtrip>) => ({ ...await well.roundtrip(...given), columns }) });
  const typed = (...columns: readonly ColumnTried[]) => type(['doctor', ...ends, '--types'], { actions: answering(columns) });

  test('says that all came back, how much was tried, and where', async () => {
    expect(await typed()).toMatchObject({ status: 0, stdout: 'All values came back equal.\n  SQLite 3.45 → SQLite 3.45: 1 table, 5 rows. dsync_types_1 was made for it and is dropped.\n' });
  });

  test('names each column with counts and an example', async () => {
    const { status, stdout } = await typed({ ...column, extremes: { ...none, rejected: 2, example: { sent: 'infinity', reason: 'no such date' } }, rows: { ...none, unequal: 1, example: { sent: '0.5', back: '0' } } });
    expect(status).toBe(4);
    expect(stdout).toContain('  orders.at (timestamptz → datetime(6); the plan says reshaped: UTC kept in DATETIME)\n      of 4 values at the edges of its type: 2 would be rejected; "infinity: no such date"\n      of 4 values of real rows: 1 came back changed; "0.5 became 0"\n');
  });

  test('exits with 6 for real rows that would be rejected, and with 0 for extreme values alone, or for a declared loss', async () => {
    const rejected = { ...none, rejected: 1, example: { sent: 'NaN', reason: 'no' } }, changed = { ...none, unequal: 1, example: { sent: '1.15', back: '1.2' } };
    expect((await typed({ ...column, extremes: rejected, rows: rejected })).status).toBe(6);
    expect((await typed({ ...column, extremes: rejected, rows: none })).status).toBe(0);
    expect((await typed({ ...column, level: 'lossy', extremes: changed, rows: changed })).status).toBe(0);
    expect((await typed({ ...column, extremes: changed, rows: none })).status).toBe(4);
  });

  test('gives the sample as a number', async () => {
    const asked: number[] = [], actions = { roundtrip: async (...given: Parameters<typeof well.roundtrip>) => { asked.push(given[2]); return well.roundtrip(...given); } };
    for (const flags of [[], ['--sample', '7'], ['--sample', 'all']]) await type(['doctor', ...ends, '--types', ...flags], { actions });
    expect(asked).toEqual([10_000, 7, Infinity]);
  });
});

describe('selftest', () => {
  const one = { type: 'float4', declared: 'real', rows: 3, differences: [{ after: 'insert' as const, key: '2', value: '-0', spelled: { 'copy, delimited': '2, 0', verifier: '2, -0' } }] };

  test('says that all is equal, and where it was tried', async () => {
    expect(await type(['selftest', ends[0]])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^All equal: .*\n.*dsync_selftest_1 was made for it and is dropped\.\n$/) });
  });

  test('names each type that is not read alike, with what each way has read, and exits with 4', async () => {
    const types = [one, { ...one, declared: 'bigint', differences: [] }];
    const actions = { selftest: async (...given: Parameters<typeof well.selftest>) => ({ ...await well.selftest(...given), types, unfollowed: 'no log', absent: ['citext'] }) };
    const { status, stdout } = await type(['selftest', ends[0]], { actions });
    expect(status).toBe(4);
    expect(stdout).toMatch(/^DIFFERENT: 1 column of 2 /);
    expect(stdout).toMatch(/ {2}real: -0\n {6}copy, delimited {2}2, 0\n {6}verifier {9}2, -0\n/);
    expect(stdout).toMatch(/not read\n {2}no log\n[^]*not have\n {2}citext\n$/);
    expect(stdout).not.toContain('bigint');
    expect(JSON.parse((await type(['selftest', ends[0], '--json'], { actions })).stdout)).toMatchObject({ types: [one, {}], absent: ['citext'] });
  });

  test('without a server is a mistake', async () => {
    expect((await type(['selftest'])).status).toBe(2);
  });
});

describe('cleanup', () => {
  test('removes one run, or all', async () => {
    const { folder, ids } = await leftBehind([{}, {}, {}]);
    expect(await type(['cleanup', ids[1]], { folder })).toMatchObject({ status: 0, stdout: `Removed ${ids[1]}.\n` });
    expect(stored(folder).list().map(({ run }) => run)).toEqual([ids[2], ids[0]]);
    expect(await type(['cleanup', '--all'], { folder })).toMatchObject({ status: 0, stdout: `Removed ${ids[2]}.\nRemoved ${ids[0]}.\n` });
    expect(stored(folder).list()).toEqual([]);
  });

  test.each([[[]], [['x', '--all']], [['nonsense']]])('of %j is a mistake', async (argv) => {
    expect((await type(['cleanup', ...argv])).status).toBe(2);
  });

  test('of all goes on after a run that fails, and exits as that one', async () => {
    const { folder, ids } = await leftBehind([{}, {}]);
    const actions = { cleanup: async (run: RunState, config: RunConfig, ports: Parameters<typeof well.cleanup>[2]) => {
      if (run.run === ids[1]) throw new DsyncError('unreachable', 'no route');
      return well.cleanup(run, config, ports);
    } };
    const { status, stdout } = await type(['cleanup', '--all', '--json'], { folder, actions });
    expect([status, JSON.parse(stdout)]).toEqual([3, { removed: [ids[0]], failed: [{ error: { code: 'unreachable', message: 'no route' }, run: ids[1] }] }]);
  });

  test('--local forgets a run whose destination is gone', async () => {
    const { folder, ids } = await leftBehind([{}]);
    const actions = { cleanup: async () => { throw new DsyncError('unreachable', 'no route'); } };
    expect((await type(['cleanup', ids[0]], { folder, actions })).status).toBe(3);
    expect((await type(['cleanup', ids[0], '--local'], { folder, actions })).status).toBe(0);
    expect(stored(folder).list()).toEqual([]);
  });
});

describe('plan', () => {
  test('says how each column is kept, losses first, and how to accept them', async () => {
    const { stdout } = await type(['plan', ...ends], { actions: { plan: async () => ({
      source: 'PostgreSQL 18.0', destination: 'MySQL 9.7', findings: [{ end: 'destination', finding: { level: 'warning', code: 'x', message: 'local_infile is off', remedy: 'SET GLOBAL local_infile = ON;' } }],
      namespaces: [{ namespace: 'public.orders', target: 'shop.orders', format: 'delimited', sent: 'delimited', staged: false, losses: ['ts: cut'], existed: false, tasks: 3, estimatedRows: 5000, estimatedBytes: 1e6,
        columns: [{ name: 'id', from: 'bigint', to: 'bigint', level: 'exact' }, { name: 'mood', from: 'mood', to: 'text', level: 'reshaped', note: 'kept as text' }, { name: 'ts', from: 'timestamptz', to: 'datetime(3)', level: 'lossy', note: 'cut' }], statements: [], objects: [] }], views: [],
    }) } });
    expect(stdout).toBe(`PostgreSQL 18.0 → MySQL 9.7
  1 namespace, 3 tasks. Nothing was changed.

public.orders → shop.orders (will be created)
  delimited, 3 tasks, ~5,000 rows, ~1.0 MB
    lossy     ts    timestamptz → datetime(3)  cut
    reshaped  mood  mood → text                kept as text
    exact     id    bigint

Losses
  public.orders.ts: sync refuses, unless it is accepted with --accept-loss public.orders.ts

Findings
  warning  destination: local_infile is off
             SET GLOBAL local_infile = ON;
`);
  });
});

test('a source alone is examined', async () => {
  let seen: unknown;
  expect(await type(['doctor', 'sqlite:/a.db'], { actions: { doctor: async (config) => { seen = config; return []; } } })).toMatchObject({ status: 0, stdout: 'All is well: nothing to mend.\n' });
  expect(seen).toMatchObject({ source: 'sqlite:/a.db', destination: undefined });
});

test('in a terminal, what is logged stands above the bars and nothing is lost at the end', async () => {
  const { stderr, status } = await type(['sync', ...ends], { terminal: true, actions: { sync: async (config, ports) => {
    ports.emit({ kind: 'planned', namespace: 'orders', tasks: 1, copiedRows: 0, estimatedRows: 100 });
    ports.emit({ kind: 'phase', phase: 'copy' });
    ports.emit({ kind: 'written', namespace: 'orders', task: 'orders#1', rows: 42, bytes: 4200, seconds: 0.1 });
    ports.emit({ kind: 'retry', end: 'destination', attempt: 1, waitSeconds: 1, error: 'deadlock' });
    return well.sync(config, ports);
  } } });
  expect(status).toBe(0);
  expect(stderr).toContain('warn  destination: attempt 1 failed (deadlock)');
  expect(stderr).toMatch(/orders +\[=+-+\] 42 of ~100 rows \(42 %\)/);
  expect(stderr).not.toContain('\x1b[?25l');
});

test('a run keeps its URLs as they were written, without passwords', async () => {
  const folder = freshFolder();
  await type(['sync', 'postgres://ada:hunter22@db1/shop', 'mysql://ada:${PW}@db2/shop'], { folder, env: { PW: 'hunter23' } });
  expect(stored(folder).list()[0].config).toMatchObject({ source: 'postgres://ada@db1/shop', destination: 'mysql://ada:${PW}@db2/shop', secrets: { source: 'password', destination: 'none' } });
});

test('a state that cannot be read back is named', async () => {
  const folder = freshFolder();
  await using store = stored(folder);
  store.save(state({} as RunConfig, { flow: 'f', storedConfig: { source: 7 } } as Parameters<typeof state>[1], 'r1', { status: 'failed' }));
  expect(await type(['resume'], { folder })).toMatchObject({ status: 1, stderr: expect.stringMatching(/the state of run r1 can't be read: source: /) });
});
