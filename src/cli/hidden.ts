import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

/** Reads a line from the terminal without showing it. */
export async function readHidden(question: string, signal: AbortSignal): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  // In raw mode Ctrl-C is a key: it becomes the signal that it would have been.
  terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  process.stderr.write(question);
  try {
    return await terminal.question('', { signal });
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    terminal.close();
    process.stderr.write('\n');
  }
}
