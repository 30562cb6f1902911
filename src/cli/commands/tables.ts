import { Argument, type Command } from '@commander-js/extra-typings';
import { DsyncError } from '../../errors.js';
import { withFlags } from '../flags.js';
import type { Outcome, Perform, Session } from '../perform.js';

const examples = `
Examples:
  dsync tables 20250131-k3f9xq pause public.orders
      its changes are passed over, those of the others are applied
  dsync tables 20250131-k3f9xq resume public.orders
      it is made equal to the source again, and followed from there
  dsync tables 20250131-k3f9xq resync public.orders
  dsync tables 20250131-k3f9xq add public.invoices
`;

const actions = ['pause', 'resume', 'resync', 'add'] as const;

export function addTables(program: Command, perform: Perform): void {
  const command = program.command('tables').argument('<RUN>', 'the live run')
    .addArgument(new Argument('<ACTION>', 'pause, resume, resync or add').choices(actions))
    .argument('<NAME>', 'the table, as dsync status names it')
    .description('change one table of a live run, while the others are followed')
    .addHelpText('after', examples);
  withFlags(command, []).action((run, action, name, flags) => {
    return perform({ flags, fromFile: ['state', 'logLevel', 'logFile', 'json'] }, (session) => tables(session, run, action, name));
  });
}

async function tables(session: Session, run: string, action: (typeof actions)[number], name: string): Promise<Outcome> {
  const store = await session.store(), state = store.load(run);
  if (!state) throw new DsyncError('usage', `there is no run ${run} in ${store.folder}`, { remedy: 'dsync runs lists them' });
  const { askRun } = await import('../../coordinator/requests.js');
  const answer = await askRun(store, state, 'tables', { action, name }, session.signal) as { readonly namespace: string; readonly state: 'paused' | 'resync' };
  const said = answer.state === 'paused' ? `its changes are passed over, until: dsync tables ${run} resume ${answer.namespace}` : 'it is made equal to the source next, and then followed';
  return { exitStatus: 0, document: { run, ...answer }, text: `${answer.namespace}: ${said}.\n` };
}
