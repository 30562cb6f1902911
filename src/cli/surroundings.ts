import { readHidden } from './hidden.js';
import { loadActions, type Actions } from './actions.js';

export type StopSignal = 'SIGINT' | 'SIGTERM';

/** What the command line touches of its process: tests give others. */
export interface Surroundings {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly folder: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Asks for a line that isn't shown; undefined where nobody can answer. */
  readonly ask: ((question: string, signal: AbortSignal) => Promise<string>) | undefined;
  /** Calls back at each signal until the returned function is called. */
  readonly onSignal: (stop: (signal: StopSignal) => void) => () => void;
  /** Ends the process now. */
  readonly exit: (status: number) => void;
  readonly actions: () => Promise<Actions>;
}

export type Output = Pick<NodeJS.WritableStream, 'write'> & { readonly isTTY?: boolean; readonly rows?: number };

export function ofThisProcess(): Surroundings {
  return {
    argv: process.argv.slice(2), env: process.env, folder: process.cwd(),
    stdout: process.stdout, stderr: process.stderr,
    ask: process.stdin.isTTY && process.stderr.isTTY ? readHidden : undefined,
    onSignal: watchSignals, exit: (status) => process.exit(status), actions: loadActions,
  };
}

function watchSignals(stop: (signal: StopSignal) => void): () => void {
  const interrupt = () => stop('SIGINT'), terminate = () => stop('SIGTERM');
  process.on('SIGINT', interrupt).on('SIGTERM', terminate);
  return () => process.off('SIGINT', interrupt).off('SIGTERM', terminate);
}
