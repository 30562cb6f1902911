import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';

/** The compiled project: child processes can't run TypeScript. `npm test` has made it. */
export const built = (path: string) => pathToFileURL(resolve('dist', path)).href;

export interface Child {
  readonly process: ChildProcessByStdio<null, Readable, Readable>;
  /** The next line of its output; undefined at the end. */
  readonly line: () => Promise<string | undefined>;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>;
}

/** Runs a module's text in a Node process of its own, with `openStore` at hand. `wrapper` stands before the command: `bash -c …`. */
export function child(module: string, wrapper?: (command: string) => readonly string[]): Child {
  const text = `import { openStore } from ${JSON.stringify(built('state/store.js'))}; const print = (value) => new Promise((done) => process.stdout.write(value + '\\n', done));\n${module}`;
  const args = ['--input-type=module', '--eval', text];
  const [command, ...rest] = wrapper ? [...wrapper('"$@"'), process.execPath, ...args] : [process.execPath, ...args];
  const spawned = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines = createInterface({ input: spawned.stdout })[Symbol.asyncIterator]();
  let stderr = '';
  spawned.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString(); });
  const ended = once(spawned, 'close').then(([code, signal]) => ({ code: code as number | null, signal: signal as NodeJS.Signals | null, stderr }));
  return { process: spawned, line: async () => (await lines.next()).value as string | undefined, ended };
}
