import type { Command } from '@commander-js/extra-typings';
import { documentFlags, paceFlags, ruleFlags, selectionFlags, withFlags } from '../flags.js';
import type { Perform, Session } from '../perform.js';
import { transferOf } from '../transfer.js';

const examples = `
Examples:
  dsync verify postgres://ada@db1/shop mysql://ada@db2/shop
  dsync verify mysql://root@db1/shop sqlite:shop.db --namespace shop.orders --where 'shop.orders: status = 1'
  dsync verify postgres://ada@db1/shop sqlite:shop.db --json
  dsync verify postgres://ada@db1/shop mysql://ada@far.example.com/shop --verify-with digests
      each server digests its own rows; only those of parts that differ are read
`;

export function addVerify(program: Command, perform: Perform): void {
  const command = program.command('verify').argument('[SOURCE]', 'URL of the one database').argument('[DESTINATION]', 'URL of the other')
    .description('compare two databases down to the row and the column, whoever filled the second one; change nothing')
    .addHelpText('after', examples);
  withFlags(command, [...selectionFlags, ...ruleFlags, ...documentFlags, 'views', 'acceptLoss', ...paceFlags, 'verifyWith'])
    .action((source, destination, flags) => perform({ source, destination, flags }, verify));
}

async function verify(session: Session) {
  const { config, onlooker } = await transferOf(session);
  const { verifyOnly } = await session.actions();
  const { runOutcome } = await import('../outcomes.js');
  return runOutcome(await verifyOnly(config, onlooker));
}
