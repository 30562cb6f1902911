import type { Command } from '@commander-js/extra-typings';
import { paceFlags, selectionFlags, withFlags } from '../flags.js';
import type { Perform, Session } from '../perform.js';
import { transferOf } from '../transfer.js';

const examples = `
Examples:
  dsync plan postgres://ada@db1/shop mysql://ada@db2/shop
  dsync plan mysql://root@db1/shop sqlite:shop.db --namespace 'shop.*' --json
  dsync plan
      all from ./dsync.yaml
`;

export function addPlan(program: Command, perform: Perform): void {
  const command = program.command('plan').argument('[SOURCE]', 'URL of the database to read').argument('[DESTINATION]', 'URL of the database to write')
    .description('say all that sync would do, and what would be lost; change nothing')
    .addHelpText('after', examples);
  withFlags(command, [...selectionFlags, 'existing', 'acceptLoss', ...paceFlags, 'verify'])
    .action((source, destination, flags) => perform({ source, destination, flags }, plan));
}

async function plan(session: Session) {
  const { config, ports } = await transferOf(session);
  const { plan } = await session.actions();
  const report = await plan(config, ports);
  const [{ planText }, { statusOfFindings }] = await Promise.all([import('../report.js'), import('../outcomes.js')]);
  return { exitStatus: statusOfFindings(report.findings), document: report, text: planText(report) };
}
