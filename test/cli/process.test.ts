import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { built } from '../state/child.js';
import { freshFolder } from './terminal.js';

const bin = resolve('bin/dsync.js');

/** A process of its own: the real command, the real coordinator. `seen` waits until its output matches. */
function dsync(argv: readonly string[], { folder = freshFolder(), env = {}, module }: { folder?: string; env?: Record<string, string>; module?: string } = {}) {
  const command = module === undefined ? [bin, ...argv] : ['--input-type=module', '--eval', module, '--', ...argv];
  const spawned = spawn(process.execPath, command, { cwd: folder, env: { PATH: process.env.PATH, HOME: folder, XDG_STATE_HOME: join(folder, 'state'), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '', stderr = '';
  const waiting = new Set<() => void>();
  spawned.stdout.on('data', (chunk: Buffer) => { stdout += chunk.toString(); waiting.forEach((look) => look()); });
  spawned.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString(); waiting.forEach((look) => look()); });
  const ended = once(spawned, 'close').then(([status, signal]) => ({ status: status as number | null, signal: signal as string | null, stdout, stderr }));
  const seen = (pattern: RegExp) => new Promise<void>((yes, no) => {
    const look = () => { if (pattern.test(stdout + stderr)) yes(); };
    waiting.add(look);
    look();
    void ended.then(() => no(new Error(`ended before ${pattern}: ${stdout}${stderr}`)));
  });
  return { ended, seen, process: spawned };
}

/** All files below a folder, as text. */
function everythingIn(folder: string): string {
  return readdirSync(folder, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile()).map((entry) => `${entry.name}\n${readFileSync(join(entry.parentPath, entry.name), 'latin1')}`).join('\n');
}

/** A command line with another coordinator, or another terminal. */
const changed = (changes: string) => `
  import { mainAndExit } from ${JSON.stringify(built('cli/main.js'))};
  import { ofThisProcess } from ${JSON.stringify(built('cli/surroundings.js'))};
  void mainAndExit({ ...ofThisProcess(), argv: process.argv.slice(1), ${changes} });`;
const withActions = (actions: string) => changed(`actions: async () => (${actions})`);

describe('the real thing', () => {
  test('copies generated rows, and its report is one document', async () => {
    const { status, stdout, stderr } = await dsync(['sync', 'generator:?rows=1000', 'null:', '--json']).ended;
    expect({ status, stderr }).toMatchObject({ status: 0, stderr: expect.stringContaining('info  copy') });
    expect(JSON.parse(stdout)).toMatchObject({ rows: 1000, exitStatus: 0, agreed: [{ namespace: 'fake_1' }] });
  });

  test('copies and verifies into a file, and verifies again alone', async () => {
    const folder = freshFolder();
    const copied = await dsync(['sync', 'generator:?rows=1000&namespaces=2', 'sqlite:copy.db'], { folder }).ended;
    expect(copied).toMatchObject({ status: 0, stdout: expect.stringMatching(/^Done and verified[^]*2 tables: 2 equal/) });
    expect((await dsync(['verify', 'generator:?rows=1000&namespaces=2', 'sqlite:copy.db'], { folder }).ended).status).toBe(0);
    const other = await dsync(['verify', 'generator:?rows=1001&namespaces=2', 'sqlite:copy.db', '--json'], { folder }).ended;
    expect([other.status, JSON.parse(other.stdout)]).toEqual([4, expect.objectContaining({ status: 'different' })]);
  });

  test.each([['plan', 'null:'], ['doctor', 'null:'], ['verify', 'sqlite:copy.db']])('remembers nothing of a %s', async (command, destination) => {
    const folder = freshFolder();
    writeFileSync(join(folder, 'copy.db'), '');
    expect(await dsync([command, 'generator:?rows=10', destination], { folder }).ended).toMatchObject({ status: command === 'verify' ? 4 : 0 });
    expect(readdirSync(folder)).toEqual(['copy.db']);
  });

  test('refuses a destination that holds rows, with 5 and the ways on', async () => {
    const folder = freshFolder();
    await dsync(['sync', 'generator:?rows=10', 'sqlite:copy.db'], { folder }).ended;
    expect(await dsync(['sync', 'generator:?rows=10', 'sqlite:copy.db'], { folder }).ended).toMatchObject({ status: 5, stderr: expect.stringMatching(/append[^]*merge[^]*replace/) });
  });

  test('plans, and makes nothing', async () => {
    const folder = freshFolder();
    const { status, stdout } = await dsync(['plan', 'generator:?rows=10', 'sqlite:copy.db'], { folder }).ended;
    expect([status, stdout]).toEqual([0, expect.stringMatching(/fake_1 → fake_1 \(will be created\)[^]*exact/)]);
    expect(readdirSync(folder)).not.toContain('copy.db');
  });

  test('knows which schemes there are', async () => {
    expect(await dsync(['sync', 'oracle://ada:hunter22@db1/shop', 'null:']).ended).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(/oracle:[^]*known schemes: postgres:/) });
  });
});

describe('a password', () => {
  const secret = 'hunter22-never-seen';

  test.each([
    ['postgres', `postgres://ada:${secret}@127.0.0.1:1/shop`], ['mysql', `mysql://ada:${secret}@127.0.0.1:1/shop`],
    ['mongodb', `mongodb://ada:${secret}@127.0.0.1:1/shop?serverSelectionTimeoutMS=300`], ['an unknown scheme', `oracle://ada:${secret}@127.0.0.1:1/shop`],
    ['a broken URL', `postgres://ada:${secret}/x@127.0.0.1:1/shop`], ['no URL', `ada:${secret}@127.0.0.1`],
  ])('of %s is nowhere after a failure: not printed, not logged, not stored', async (_, url) => {
    for (const argv of [['sync', url, 'null:'], ['plan', 'generator:?rows=1', url], ['doctor', url], [url]]) {
      const folder = freshFolder();
      const { status, stdout, stderr } = await dsync([...argv, ...(argv.length > 1 ? ['--json', '--log-level', 'debug', '--log-file', 'dsync.log'] : [])], { folder, env: { DSYNC_DEBUG: '1' } }).ended;
      expect(status, stderr).toBeGreaterThan(1);
      expect(`${stdout}${stderr}${everythingIn(folder)}`).not.toContain(secret);
    }
  });

  test('of a run that has begun is nowhere either', async () => {
    const folder = freshFolder();
    const failing = withActions(`{ sync: async (config, ports) => {
      const run = ports.newRunId();
      ports.store.save({ run, flow: ports.flow, status: 'running', phase: 'copy', startedAt: 'a', updatedAt: 'b', config: ports.storedConfig, sourceIdentity: '', destinationIdentity: '', mappings: [], tasks: [], moments: [] });
      ports.emit({ kind: 'run', run, flow: ports.flow, resumed: false });
      ports.store.update(run, { status: 'failed', summary: { error: 'no login with ' + new URL(config.source).password } });
      ports.emit({ kind: 'retry', end: 'source', attempt: 1, waitSeconds: 1, error: 'no answer from ' + config.source });
      throw new Error('lost ' + config.source + ' and ' + config.destination + ': ' + new URL(config.source).password + ' is wrong');
    } }`);
    const { status, stdout, stderr } = await dsync(['sync', `postgres://ada:${secret}@h/a`, 'mysql://ada:${PW}@h/b', '--json', '--log-file', 'dsync.log'], { folder, module: failing, env: { PW: secret, DSYNC_DEBUG: '1' } }).ended;
    expect([status, JSON.parse(stdout)]).toEqual([1, { error: expect.objectContaining({ message: 'lost postgres://ada:***@h/a and mysql://ada:***@h/b: *** is wrong' }), run: expect.any(String) }]);
    expect(`${stdout}${stderr}${everythingIn(folder)}`).not.toContain(secret);
    expect(everythingIn(folder)).toContain('mysql://ada:${PW}@h/b');
  });
});

describe('a process', () => {
  test('that is interrupted prints the command that goes on, and that command does', async () => {
    const folder = freshFolder();
    const run = dsync(['sync', 'generator:?rows=20000', 'sqlite:copy.db', '--rate-limit', '2000 rows/s', '--batch-size', '500 rows', '--log-level', 'debug'], { folder });
    await run.seen(/info {2}copy\n/);
    run.process.kill('SIGINT');
    const { status, stderr } = await run.ended;
    expect({ status, stderr }).toEqual({ status: 130, stderr: expect.stringMatching(/\nInterrupted\.\nGo on with: dsync resume \S+\n$/) });
    const [, ...resume] = /dsync resume \S+/.exec(stderr)![0].split(' ');
    expect((await dsync(['runs'], { folder }).ended).stdout).toMatch(/interrupted/);
    expect(await dsync([...resume, '--rate-limit', '1GB/s'], { folder }).ended).toMatchObject({ status: 0, stdout: expect.stringMatching(/^Done and verified/) });
  });

  test('that is killed was killed for `runs`, and is resumed', async () => {
    const folder = freshFolder();
    const run = dsync(['sync', 'generator:?rows=20000', 'sqlite:copy.db', '--rate-limit', '2000 rows/s', '--batch-size', '500 rows'], { folder });
    await run.seen(/info {2}copy\n/);
    expect((await dsync(['runs'], { folder }).ended).stdout).toMatch(/running/);
    expect((await dsync(['resume'], { folder }).ended).status).toBe(8);
    run.process.kill('SIGKILL');
    await run.ended;
    expect((await dsync(['runs'], { folder }).ended).stdout).toMatch(/killed/);
    expect((await dsync(['resume', '--rate-limit', '1GB/s'], { folder }).ended).status).toBe(0);
  });

  test.each([['SIGINT', 130], ['SIGTERM', 143]] as const)('that does not stop at the first %s exits at the second with %i', async (signal, expected) => {
    const stubborn = dsync(['sync', 'sqlite:a', 'sqlite:b'], { module: withActions("{ sync: () => { console.error('begun'); setInterval(() => {}, 1000); return new Promise(() => {}); } }") });
    await stubborn.seen(/begun/);
    stubborn.process.kill(signal);
    await stubborn.seen(/Stopping/);
    stubborn.process.kill(signal);
    expect(await stubborn.ended).toMatchObject({ status: expected, signal: null });
  });

  test('that comes to a standstill says so, and fails', async () => {
    const { status, stderr } = await dsync(['sync', 'sqlite:a', 'sqlite:b'], { module: withActions('{ sync: () => new Promise(() => {}) }') }).ended;
    expect([status, stderr]).toEqual([1, expect.stringContaining('error: dsync came to a standstill')]);
  });

  test('whose code throws where nobody listens fails without a stack', async () => {
    const { status, stderr } = await dsync(['sync', 'sqlite:a', 'sqlite:b'], { module: withActions("{ sync: () => new Promise(() => setTimeout(() => { throw new Error('lost in a callback'); }, 1)) }") }).ended;
    expect([status, stderr]).toEqual([1, 'error: lost in a callback\n  what to do: this is a fault of dsync: DSYNC_DEBUG=1 shows where it happened\n']);
  });

  test('with a terminal shows bars there, and its report on stdout', async () => {
    const inTerminal = changed('stderr: Object.assign(process.stderr, { isTTY: true, columns: 100, rows: 30 })');
    const { status, stdout, stderr } = await dsync(['sync', 'generator:?rows=2000', 'null:', '--rate-limit', '4000 rows/s', '--batch-size', '200 rows'], { module: inTerminal }).ended;
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^Done/)]);
    expect(stderr).toMatch(/fake_1 +\[=+-+\] [\d,]+ of ~[\d,]+ rows \(\d\d? %\)/);
  });

  test('whose reader leaves early ends quietly', async () => {
    const run = dsync(['--help']);
    run.process.stdout.destroy();
    expect(await run.ended).toMatchObject({ status: 0, stderr: '' });
  });

  test('that prints help starts within 300 ms of Node itself', async () => {
    const fastest = async (run: () => Promise<unknown>) => {
      let best = Infinity;
      for (let i = 0; i < 5; i++) {
        const start = performance.now();
        await run();
        best = Math.min(best, performance.now() - start);
      }
      return best;
    };
    const bare = await fastest(() => dsync([], { module: '' }).ended);
    expect(await fastest(() => dsync(['--help']).ended) - bare).toBeLessThan(300);
  });
});
