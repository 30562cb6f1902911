import type { Command } from '@commander-js/extra-typings';
import type { RunState } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { paceFlags, withFlags } from '../flags.js';
import type { Perform, Session, Store } from '../perform.js';

const examples = `
Examples:
  dsync resume
      go on with the latest run that was interrupted
  dsync resume 20250131-k3f9xq --rate-limit '5000 rows/s'
  dsync resume 20250131-k3f9xq --source 'postgres://ada:\${SHOP_PASSWORD}@db1/shop'
      the state keeps no passwords: give the URL anew, or set DSYNC_SOURCE_PASSWORD, or be asked
`;

export function addResume(program: Command, perform: Perform): void {
  const command = program.command('resume').argument('[RUN]', 'the run (default: the latest one that was interrupted)')
    .description('go on with an interrupted run; no row is lost, and none is there twice')
    .option('--source <url>', 'the same source, written anew')
    .option('--destination <url>', 'the same destination, written anew')
    .addHelpText('after', examples);
  withFlags(command, [...paceFlags, 'verify', 'maxRetained', 'maxRejects', 'maskKey']).action((run, { source, destination, ...flags }) => {
    return perform({ source, destination, flags, fromFile: ['state', 'logLevel', 'logFile', 'json'] }, (session) => resume(session, run));
  });
}

async function resume(session: Session, named: string | undefined) {
  const store = await session.store();
  const state = named === undefined ? latest(store) : unfinished(store, named);
  const { recalledRun } = await import('../recalled.js');
  const { config, ports } = await recalledRun(session, state);
  const { resume } = await session.actions();
  const { runOutcome } = await import('../outcomes.js');
  return runOutcome(await resume(state, config, ports), store);
}

function unfinished(store: Store, run: string): RunState {
  const state = store.load(run);
  if (!state) throw new DsyncError('usage', `there is no run ${run} in ${store.folder}`, { remedy: 'dsync runs lists them' });
  if (state.status === 'done') throw new DsyncError('usage', `run ${run} is done: there is nothing to resume`, { remedy: 'dsync verify compares both ends again' });
  return state;
}

/** The newest run that did not end well and that no living process works on. */
function latest(store: Store): RunState {
  const open = store.list().filter((state) => state.status !== 'done');
  const free = open.find((state) => !store.holder(state.flow));
  if (free) return free;
  if (open.length === 0) throw new DsyncError('usage', `nothing to resume: no run in ${store.folder} was interrupted`, { remedy: 'dsync runs lists all runs; --state DIR names another folder' });
  throw new DsyncError('busy', `run ${open[0].run} is under way in another process`, { remedy: 'wait for it, or stop it; dsync runs lists all runs' });
}
