import type { Command } from '@commander-js/extra-typings';
import { logFlags, selectionFlags, withFlags } from '../flags.js';
import type { Perform, Session } from '../perform.js';
import { transferOf } from '../transfer.js';

const examples = `
Examples:
  dsync doctor postgres://ada@db1/shop
      is it a good source?
  dsync doctor postgres://ada@db1/shop mysql://ada@db2/shop
  dsync doctor mysql://root@db1/shop --json
  dsync doctor postgres://ada@db1/shop mysql://ada@db2/shop --live
      can its changes be followed, and will its log last until the copy is done?
`;

export function addDoctor(program: Command, perform: Perform): void {
  const command = program.command('doctor').argument('[SOURCE]', 'URL of the database to read').argument('[DESTINATION]', 'URL of the database to write')
    .description('check one or both ends: rights, settings, versions, space; each finding with the statement that mends it')
    .addHelpText('after', examples);
  withFlags(command, [...selectionFlags, 'live', ...logFlags])
    .action((source, destination, flags) => perform({ source, destination, flags }, doctor));
}

async function doctor(session: Session) {
  const { config, ports } = await transferOf(session, { destination: 'optional' });
  const { doctor } = await session.actions();
  const findings = await doctor({ ...config, destination: config.destination || undefined }, ports);
  const [{ findingsText }, { statusOfFindings }] = await Promise.all([import('../report.js'), import('../outcomes.js')]);
  const text = findings.length === 0 ? 'All is well: nothing to mend.\n' : findingsText(findings);
  return { exitStatus: statusOfFindings(findings), document: { findings }, text };
}
