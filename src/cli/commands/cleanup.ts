import type { Command } from '@commander-js/extra-typings';
import type { RunState } from '../../contract.js';
import { DsyncError, exitStatus } from '../../errors.js';
import { failureDocument, failureText } from '../failure.js';
import { withFlags } from '../flags.js';
import type { Outcome, Perform, Session, Store } from '../perform.js';

const examples = `
Examples:
  dsync cleanup 20250131-k3f9xq
      its progress and staging tables in the destination, then its state here; copied rows stay
  dsync cleanup --all
  dsync cleanup 20250131-k3f9xq --local
      only its state here: the destination is gone for good
`;

export function addCleanup(program: Command, perform: Perform): void {
  const command = program.command('cleanup').argument('[RUN]', 'the run')
    .description('remove what a run has left: _dsync and staging tables in the destination, and its state here')
    .option('--all', 'every run that is remembered here')
    .option('--local', "only the state here; don't touch the destination")
    .option('--source <url>', 'the same source, written anew')
    .option('--destination <url>', 'the same destination, written anew')
    .addHelpText('after', examples);
  withFlags(command, []).action((run, { source, destination, all, local, ...flags }) => {
    const which = { run, all: all === true, local: local === true };
    return perform({ source, destination, flags, fromFile: ['state', 'logLevel', 'logFile', 'json'] }, (session) => cleanup(session, which));
  });
}

interface Which { readonly run: string | undefined; readonly all: boolean; readonly local: boolean }
interface Failed { readonly run: string; readonly error: unknown }

/** Cleans up one run after the other; one that fails doesn't keep the next from its turn. */
async function cleanup(session: Session, which: Which): Promise<Outcome> {
  const store = await session.store();
  const removed: string[] = [], failed: Failed[] = [];
  for (const state of chosen(store, which)) {
    session.signal.throwIfAborted();
    try {
      await (which.local ? forgetHere(store, state) : removeEverywhere(session, state));
      removed.push(state.run);
    } catch (error) {
      if (!which.all || session.signal.aborted) throw error;
      failed.push({ run: state.run, error });
    }
  }
  const document = { removed, failed: failed.map(({ run, error }) => ({ ...failureDocument(error, run) })) };
  const text = `${removed.map((run) => `Removed ${run}.\n`).join('')}${failed.map(({ run, error }) => `${run}: ${failureText(error)}`).join('')}`;
  return { exitStatus: failed.length > 0 ? exitStatus(failed[0].error) : 0, document, text: text || `No runs in ${store.folder}.\n` };
}

function chosen(store: Store, { run, all }: Which): readonly RunState[] {
  if ((run === undefined) !== all) throw new DsyncError('usage', 'name one run, or say --all', { remedy: 'dsync runs lists them' });
  if (run === undefined) return store.list();
  const state = store.load(run);
  if (!state) throw new DsyncError('usage', `there is no run ${run} in ${store.folder}`, { remedy: 'dsync runs lists them' });
  return [state];
}

async function forgetHere(store: Store, { run, flow }: RunState): Promise<void> {
  await using _lock = await store.lock(flow);
  store.remove(run);
}

async function removeEverywhere(session: Session, state: RunState): Promise<void> {
  const { recalledRun } = await import('../recalled.js');
  const { config, ports } = await recalledRun(session, state, { reads: false });
  const { cleanup } = await session.actions();
  await cleanup(state, config, ports);
}
