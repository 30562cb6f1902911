import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** What the reaper knows of one server. */
export interface Guarded {
  runs(pid: number): void;
  ended(): void;
  /** The folder is gone already. */
  release(): void;
}

let reaper: Writable | undefined;

/** Sees to it that a server and its folder go when this process ends, however it ends. */
export function guard(folder: string, signal: NodeJS.Signals): Guarded {
  const tell = (entry: object): void => { reaperInput().write(`${JSON.stringify({ folder, signal, ...entry })}\n`); };
  tell({});
  return { runs: (pid) => tell({ pid }), ended: () => tell({}), release: () => tell({ released: true }) };
}

/** It lives in a process group of its own, where Ctrl-C does not reach it, until our end of its pipe is closed. */
function reaperInput(): Writable {
  if (reaper) return reaper;
  const script = fileURLToPath(new URL('reaper.mjs', import.meta.url));
  const child = spawn(process.execPath, [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  child.unref();
  (child.stdin as unknown as { unref(): void }).unref();
  return reaper = child.stdin;
}
