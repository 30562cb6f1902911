import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CutoverReport } from '../../src/coordinator/cutover.js';
import { openStore } from '../../src/state/store.js';

const program = fileURLToPath(new URL('../../bin/dsync.js', import.meta.url));

export interface Ended { readonly by: number | NodeJS.Signals; readonly stdout: string; readonly stderr: string }

/** A dsync process that is under way. */
export interface Running {
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it has said this on stderr `times` times. */
  says(words: RegExp, times?: number): Promise<void>;
}

/** The real program between two databases, with a state folder of its own. */
export class Program implements Disposable {
  readonly #state = mkdtempSync(join(tmpdir(), 'dsync-cutover-'));
  readonly #children: ChildProcess[] = [];
  readonly #env: NodeJS.ProcessEnv;
  readonly #ends: readonly [string, string];

  constructor(source: string, destination: string) {
    this.#ends = [source, destination];
    this.#env = { ...process.env };
  }

  /** Copies, and follows; resolves when it follows. */
  async live(...more: readonly string[]): Promise<Running> {
    const running = this.run('sync', ...this.#ends, '--live', '--concurrency', '2', ...more);
    await running.says(/\bfollow\b/);
    return running;
  }

  run(...args: readonly string[]): Running {
    const child = spawn(process.execPath, [program, ...args, '--json', '--state', this.#state], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...this.#env, ...this.#passwords(args) } });
    this.#children.push(child);
    let stdout = '', stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text; });
    child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text; });
    const ended = once(child, 'close').then(([status, signal]): Ended => ({ by: (status ?? signal) as number | NodeJS.Signals, stdout, stderr }));
    const says = async (words: RegExp, times = 1): Promise<void> => {
      const all = new RegExp(words.source, 'g');
      while ((stderr.match(all) ?? []).length < times) await Promise.race([once(child.stderr, 'data'), ended.then(() => { throw new Error(`dsync ended without saying ${String(words)}:\n${stderr}${stdout}`); })]);
    };
    return { ended, says, kill: (signal) => child.kill(signal) };
  }

  /** `dsync cutover RUN …` and what it printed. */
  async cutover(...more: readonly string[]): Promise<Ended & { readonly report: CutoverReport }> {
    const ended = await this.run('cutover', this.id, ...more).ended;
    return { ...ended, get report() { return JSON.parse(ended.stdout) as CutoverReport; } };
  }

  /** The oldest run's id. */
  get id(): string {
    return this.runs().at(-1)!.run;
  }

  runs() {
    const store = openStore(this.#state);
    try {
      return store.list();
    } finally {
      void store[Symbol.asyncDispose]();
    }
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.#state, { recursive: true, force: true, maxRetries: 5 });
  }

  /** The state keeps no passwords: a run that goes on the other way needs them exchanged. */
  #passwords(args: readonly string[]): NodeJS.ProcessEnv {
    const known = args[1] === undefined || args[0] === 'sync' ? undefined : this.runs().find(({ run }) => run === args[1]);
    const isBack = known !== undefined && known.run !== this.id;
    const [source, destination] = isBack ? [...this.#ends].reverse() : this.#ends;
    return { DSYNC_SOURCE_PASSWORD: passwordOf(source!), DSYNC_DESTINATION_PASSWORD: passwordOf(destination!) };
  }
}

function passwordOf(url: string): string | undefined {
  return decodeURIComponent(new URL(url).password) || undefined;
}
