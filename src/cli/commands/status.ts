import type { Command } from '@commander-js/extra-typings';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunState } from '../../contract.js';
import type { Vitals } from '../../coordinator/vitals.js';
import { DsyncError } from '../../errors.js';
import { withFlags } from '../flags.js';
import type { Outcome, Perform, Session, Store } from '../perform.js';
import type { StatusDocument } from '../report.js';

const examples = `
Examples:
  dsync status
      the latest run: its phase, rows, lag, tables, and which process works on it
  dsync status 20250131-k3f9xq --watch
      again each second, until Ctrl-C or the run ends
  dsync status --json
`;

export function addStatus(program: Command, perform: Perform): void {
  const command = program.command('status').argument('[RUN]', 'the run (default: the latest one)')
    .description('say how far a run is, from another terminal too')
    .option('--watch', 'look again each second, until Ctrl-C or until no process works on the run')
    .addHelpText('after', examples);
  withFlags(command, []).action((run, { watch, ...flags }) => {
    return perform({ flags, fromFile: ['state', 'logLevel', 'logFile', 'json'] }, (session) => (watch ? watched(session, run) : looked(session, run)));
  });
}

const lookMillis = 1000;

async function looked(session: Session, named: string | undefined): Promise<Outcome> {
  const store = await session.store(), { statusText } = await import('../report.js');
  const document = await statusOf(store, chosen(store, named));
  return { exitStatus: 0, document, text: statusText(document) };
}

/** A terminal gets each look in the place of the last one, anything else a line whenever something changed. */
async function watched(session: Session, named: string | undefined): Promise<Outcome> {
  if (session.settings.json) throw new DsyncError('usage', '--json prints one document: it does not go with --watch', { remedy: 'leave out one of the two' });
  const store = await session.store(), { run } = chosen(store, named), { stdout } = session.around;
  const { statusLine, statusText } = await import('../report.js');
  let last = '';
  for (;;) {
    const document = await statusOf(store, chosen(store, run));
    if (!document.process) return { exitStatus: 0, document, text: `${stdout.isTTY ? erased(last) : ''}${statusText(document)}` };
    const text = stdout.isTTY ? statusText(document) : `${statusLine(document)}\n`;
    if (text !== last) stdout.write(`${stdout.isTTY ? erased(last) : ''}${text}`);
    last = text;
    await delay(lookMillis, undefined, { signal: session.signal }).catch(() => { throw session.signal.reason; });
  }
}

function erased(text: string): string {
  const lines = text.split('\n').length - 1;
  return lines === 0 ? '' : `\x1b[${lines}A\x1b[0J`;
}

function chosen(store: Store, named: string | undefined): RunState {
  const state = named === undefined ? store.list()[0] : store.load(named);
  if (state) return state;
  throw new DsyncError('usage', named === undefined ? `there are no runs in ${store.folder}` : `there is no run ${named} in ${store.folder}`, { remedy: 'dsync runs lists them; --state DIR names another folder' });
}

/** What a process that is gone has told last of its speed and its lag is no longer so. */
async function statusOf(store: Store, state: RunState): Promise<StatusDocument> {
  const { restoredConfig } = await import('../config.js');
  const process = store.holder(state.flow), told = store.told(state.run);
  const { source, destination } = restoredConfig(state.run, state.config);
  const { estimatedSecondsLeft, behindSeconds, behindBytes, changes, rejected: toldRejected, ...lasting } = (told?.vitals ?? {}) as Partial<Vitals>;
  const rejected = (state.summary as { readonly rejected?: { readonly count: number } } | undefined)?.rejected?.count ?? toldRejected;
  const now = process ? { estimatedSecondsLeft, behindSeconds, behindBytes, changes } : { phase: state.phase, lastError: endOf(state) ?? lasting.lastError };
  return {
    run: state.run, status: state.status === 'running' && !process ? 'killed' : state.status, phase: state.phase,
    ...(process && { process }), source, destination, startedAt: state.startedAt, updatedAt: told?.at ?? state.updatedAt, ...lasting, ...now, ...(rejected && { rejected }),
  };
}

function endOf({ summary, updatedAt, status }: RunState): Vitals['lastError'] {
  const error = (summary as { readonly error?: unknown } | undefined)?.error;
  return status !== 'done' && typeof error === 'string' ? { at: updatedAt, message: error } : undefined;
}
