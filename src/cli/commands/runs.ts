import type { Command } from '@commander-js/extra-typings';
import type { RunState } from '../../contract.js';
import type { Vitals } from '../../coordinator/vitals.js';
import { withFlags } from '../flags.js';
import type { Perform, Session, Store } from '../perform.js';

const examples = `
Examples:
  dsync runs
  dsync runs --json --state /var/lib/dsync
`;

export function addRuns(program: Command, perform: Perform): void {
  const command = program.command('runs')
    .description('list the runs that are remembered here, newest first')
    .addHelpText('after', examples);
  withFlags(command, []).action((flags) => perform({ flags, fromFile: ['state', 'logLevel', 'logFile', 'json'] }, runs));
}

async function runs(session: Session) {
  const store = await session.store();
  const listed = await Promise.all(store.list().map((state) => summaryOf(state, store)));
  const { runsText } = await import('../report.js');
  return { exitStatus: 0, document: { runs: listed }, text: runsText(listed, store.folder) };
}

async function summaryOf(state: RunState, store: Store) {
  const { restoredConfig } = await import('../config.js');
  const { run, flow, phase, startedAt, updatedAt } = state;
  const { source, destination } = restoredConfig(run, state.config);
  // Of a run that has not come to its end, what its process told last.
  const end = state.summary as { readonly rows?: number; readonly rejected?: { readonly count: number } } | undefined, told = store.told(run)?.vitals as Vitals | undefined;
  const rows = end?.rows ?? told?.rows, rejected = end?.rejected?.count ?? told?.rejected;
  return { run, flow, status: trueStatus(state, store), phase, startedAt, updatedAt, ...(rows !== undefined && { rows }), ...(rejected && { rejected }), source, destination };
}

/** A run that says it is running, while no process works on it, was killed. */
function trueStatus({ status, flow }: RunState, store: Store): RunState['status'] | 'killed' {
  return status === 'running' && !store.holder(flow) ? 'killed' : status;
}
