import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { guard } from './guard.js';

/** A kind of server, and what it takes to have one on this machine. */
export interface Kind {
  readonly name: string;
  /** Environment variables, any of which may hold the URL of a server to use in place of one of our own. */
  readonly variables: readonly string[];
  /** Finds the program, or installs it. Fails with the reason why it can't be had. */
  obtain(): Promise<Program>;
  /** `PostgreSQL 18.4`; fails if nothing answers at the URL. */
  version(url: string): Promise<string>;
}

/** A server program that can be started any number of times, each with a data folder of its own. */
export interface Program {
  /** Where it came from, for people. */
  readonly from: string;
  /** The user that it must run as, when the tests run as root. */
  readonly user?: User;
  /** Fills a new, empty folder. */
  initialise(folder: string): Promise<void>;
  command(folder: string, port: number, flags: readonly string[]): readonly string[];
  /** Flags without which it keeps no log of changes. */
  readonly logFlags?: readonly string[];
  /** What it prints once it takes connections. */
  readonly ready: RegExp;
  /** Ends it at once, leaving nothing behind in the system. */
  readonly stopSignal: NodeJS.Signals;
  url(port: number): string;
  /** What is left to do once it takes connections, after the first start only. */
  settle?(url: string): Promise<void>;
}

export interface User { readonly uid: number; readonly gid: number }

export interface StartOptions {
  /** More flags for the server; may put files (certificates) into its folder first. */
  readonly flags?: (folder: string) => Promise<readonly string[]>;
  /** It keeps a log of changes. Of those that do so only if they are told, as this takes much memory. */
  readonly log?: boolean;
}

/** A server that the caller may kill and start again. Its data goes when it is stopped. */
export interface OwnServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly folder: string;
  /** SIGKILL to the server and all its processes; resolves when they are gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data, after `kill` if it still runs. */
  restart(): Promise<void>;
  /** Ends it for good and removes its data. */
  stop(): Promise<void>;
}

/** Starts a server of this program on a free loopback port; resolves when it takes connections. */
export async function startServer(name: string, program: Program, options: StartOptions = {}): Promise<OwnServer> {
  const folder = await mkdtemp(join(tmpdir(), `dsync-test-${name}-`));
  const guarded = guard(folder, program.stopSignal);
  let child: ChildProcess | undefined;

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    for (const pid of signal === 'SIGKILL' ? await childrenOf(child.pid!) : []) killQuietly(pid);
    child.kill(signal);
    await gone;
    guarded.ended();
  }
  async function stop(): Promise<void> {
    await end(program.stopSignal);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    guarded.release();
  }

  try {
    await give(folder, program.user);
    await program.initialise(folder);
    const flags = [...(options.log ? program.logFlags ?? [] : []), ...await options.flags?.(folder) ?? []];
    await give(folder, program.user);
    const port = await freePort();
    const start = async (): Promise<void> => {
      child = await launch(program, folder, port, flags);
      guarded.runs(child.pid!);
    };
    await start();
    const url = program.url(port);
    await program.settle?.(url);
    const kill = (): Promise<void> => end('SIGKILL');
    const restart = async (): Promise<void> => { await kill(); await start(); };
    return { url, port, folder, kill, restart, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A killed server's memory may be held for a moment longer by its dying children: then it is tried again. */
async function launch(program: Program, folder: string, port: number, flags: readonly string[]): Promise<ChildProcess> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await launchOnce(program, folder, port, flags);
    } catch (error) {
      if (attempt === 20 || !/still in use|already exists|Unable to lock/i.test(String(error))) throw error;
      await delay(100);
    }
  }
}

function launchOnce(program: Program, folder: string, port: number, flags: readonly string[]): Promise<ChildProcess> {
  const [command, ...args] = program.command(folder, port, flags);
  const child = spawn(command!, args, { ...program.user, cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let output = '';
    const hear = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-16_384);
      if (program.ready.test(output)) resolve(child);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`${command} ended (${code ?? signal}) before it was ready:\n${output.slice(-2_000)}`)));
  });
}

/** Runs a command to its end; fails with what it printed. */
export async function run(command: readonly string[], options: { readonly user?: User; readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly seconds?: number } = {}): Promise<string> {
  const [program, ...args] = command;
  const child = spawn(program!, args, {
    ...options.user, cwd: options.cwd, env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'], timeout: options.seconds ? options.seconds * 1_000 : undefined,
  });
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
  const [code, signal] = await once(child, 'close') as [number | null, string | null];
  const text = Buffer.concat(output).toString();
  if (code === 0) return text;
  throw new Error(`\`${command.join(' ')}\` ended with ${code ?? signal}: ${text.slice(-2_000).trim()}`);
}

/** Below the range from which the system takes ports for outgoing connections, so that a server can come back to its port. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/** Hands a folder and all in it to the server's user. */
async function give(folder: string, user: User | undefined): Promise<void> {
  if (!user) return;
  const inside = await readdir(folder, { recursive: true });
  for (const path of [folder, ...inside.map((name) => join(folder, name))]) await chown(path, user.uid, user.gid);
  await chmod(folder, 0o700);
}

/** Linux only; elsewhere a killed server's children notice by themselves. */
async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

function killQuietly(pid: number): void {
  try { process.kill(pid, 'SIGKILL'); } catch { /* it went by itself */ }
}
