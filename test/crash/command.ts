import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Wires } from './wires.js';

const program = fileURLToPath(new URL('../../bin/dsync.js', import.meta.url));

/** What a run's `--json` says, as far as these tests read it. */
export interface Report {
  readonly run: string;
  readonly status: string;
  readonly rows: number;
  readonly rejected?: { readonly count: number; readonly path?: string };
  readonly moments: readonly { readonly exact: boolean; readonly fingerprint?: string }[];
  readonly mended: { readonly upserted: number; readonly deleted: number; readonly recopied: readonly string[] };
  readonly verification?: readonly { readonly namespace: string; readonly result: string; readonly sourceRows: number }[];
}

/** What `status --json` says, as far as these tests read it. */
export interface Status {
  readonly run: string;
  readonly status: string;
  readonly phase: string;
  readonly process?: { readonly pid: number };
  readonly changes?: number;
  readonly rejected?: number;
  readonly behindSeconds?: number;
  readonly behindBytes?: number;
  readonly tables: readonly { readonly namespace: string; readonly state: string; readonly why?: string }[];
}

/** How a process ended. */
export interface Ended {
  /** `SIGKILL`, or the exit status. */
  readonly by: number | NodeJS.Signals;
  readonly stderr: string;
  readonly report: Report;
}

/** A dsync process that is under way. */
export interface Running {
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it has said this on stderr. */
  says(words: RegExp): Promise<void>;
}

/** The real command between two ends, with a state folder of its own. */
export class Command implements Disposable {
  readonly #wires: Pick<Wires, 'source' | 'destination'>;
  readonly #flags: readonly string[];
  /** The folder. */
  readonly state = mkdtempSync(join(tmpdir(), 'dsync-crash-state-'));
  readonly #children: ChildProcess[] = [];

  constructor(wires: Pick<Wires, 'source' | 'destination'>, flags: readonly string[]) {
    this.#wires = wires;
    this.#flags = flags;
  }

  sync(...more: readonly string[]): Running {
    return this.#run('sync', this.#wires.source, this.#wires.destination, ...this.#flags, ...more);
  }

  /** The latest run that was interrupted. */
  resume(...more: readonly string[]): Running {
    return this.#run('resume', ...more);
  }

  /** Writes what was rejected again. */
  replay(run: string, ...more: readonly string[]): Running {
    return this.#run('replay', run, ...more);
  }

  /** Checks both ends. */
  doctor(...more: readonly string[]): Running {
    return this.#run('doctor', this.#wires.source, this.#wires.destination, ...more);
  }

  /** Removes all that the runs have left, at both ends. */
  cleanup(): Running {
    return this.#run('cleanup', '--all');
  }

  /** Asks for one table of the run to be treated otherwise, by a process of its own. */
  tables(run: string, action: 'pause' | 'resume' | 'resync' | 'add', name: string): Running {
    return this.#run('tables', run, action, name);
  }

  /** Cuts over to the destination once no write comes any more. */
  cutover(run: string): Running {
    return this.#run('cutover', run);
  }

  /** What `dsync status --json` says of the latest run. */
  async status(): Promise<Status> {
    return (await this.#run('status').ended).report as unknown as Status;
  }

  /** Forgets all runs, in the state only. */
  forget(): Running {
    return this.#run('cleanup', '--all', '--local');
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.state, { recursive: true, force: true, maxRetries: 5 });
  }

  #run(...args: readonly string[]): Running {
    const env = { ...process.env, DSYNC_SOURCE_PASSWORD: passwordOf(this.#wires.source), DSYNC_DESTINATION_PASSWORD: passwordOf(this.#wires.destination) };
    const child = spawn(process.execPath, [program, ...args, '--json', '--state', this.state], { stdio: ['ignore', 'pipe', 'pipe'], env });
    this.#children.push(child);
    let stdout = '', stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text; });
    child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text; });
    const ended = once(child, 'close').then(([status, signal]): Ended => ({
      by: (status ?? signal) as number | NodeJS.Signals, stderr, get report() { return JSON.parse(stdout) as Report; },
    }));
    const says = async (words: RegExp): Promise<void> => {
      while (!words.test(stderr)) await Promise.race([once(child.stderr, 'data'), ended.then(() => { throw new Error(`dsync ended without saying ${String(words)}:\n${stderr}`); })]);
    };
    return { ended, says, kill: (signal) => child.kill(signal) };
  }
}

function passwordOf(url: string): string | undefined {
  return /^\w+:\/\//.test(url) ? decodeURIComponent(new URL(url).password) || undefined : undefined;
}
