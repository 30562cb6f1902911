import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

const program = fileURLToPath(new URL('../../bin/dsync.js', import.meta.url));
/** Of this test file. */
export const stateFolder = mkdtempSync(join(tmpdir(), 'dsync-test-state-'));
afterAll(() => rmSync(stateFolder, { recursive: true, force: true }));

/** What a finished command left. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output, parsed; empty without `--json`. */
  readonly report: Report;
}

/** What these tests read of `--json`. */
export interface Report {
  readonly status?: string;
  readonly rows?: number;
  readonly agreed?: readonly { readonly namespace: string; readonly format: string; readonly sent: string; readonly losses: readonly string[] }[];
  readonly rejected?: { readonly count: number; readonly path?: string };
  readonly nulled?: Readonly<Record<string, number>>;
  readonly verification?: readonly { readonly namespace: string; readonly result: string; readonly sourceRows: number; readonly destinationRows: number; readonly changed: number; readonly compared?: { readonly by: string } }[];
  readonly error?: { readonly code: string; readonly message: string; readonly remedy?: string };
}

/** Runs the real command to its end, with a state folder of this test file. One that hangs is killed, so that its log is seen. */
export async function dsync(...args: readonly string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [program, ...args, '--state', stateFolder], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' }, timeout: 90_000, killSignal: 'SIGKILL' });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text; });
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text; });
  const [status] = await once(child, 'close') as [number | null];
  return { status, stdout, stderr, report: parsed(stdout) };
}

function parsed(text: string): Report {
  try { return JSON.parse(text) as Report; } catch { return {}; }
}

export const syncJson = (source: string, destination: string, ...args: readonly string[]): Promise<Outcome> => dsync('sync', source, destination, '--json', ...args);
