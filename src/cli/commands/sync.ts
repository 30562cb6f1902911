import type { Command } from '@commander-js/extra-typings';
import { documentFlags, logFlags, paceFlags, ruleFlags, schemaFlags, selectionFlags, withFlags } from '../flags.js';
import type { Perform, Session } from '../perform.js';
import { transferOf } from '../transfer.js';

const examples = `
Examples:
  dsync sync postgres://ada@db1/shop mysql://ada@db2/shop
      every table, verified at the end; passwords from DSYNC_SOURCE_PASSWORD and DSYNC_DESTINATION_PASSWORD
  dsync sync 'postgres://ada:\${SHOP_PASSWORD}@db1/shop' sqlite:shop.db --namespace 'public.*' --exclude 'public.log_*'
  dsync sync sqlite:shop.db mongodb://db3/shop --namespace orders:orders_copy --where 'orders: status = 1'
  dsync sync mysql://root@db1/shop postgres://ada@db2/shop --existing merge --rate-limit 20MB/s
  dsync sync postgres://ada@db1/shop mysql://ada@db2/shop --live
      then applies what changes, until Ctrl-C; dsync resume goes on from there
  dsync sync postgres://ada@db1/shop mysql://ada@db2/shop --columns users=-password --mask users.email=redact --cast 'orders.total=decimal(12,2)'
      docs/rules.md tells what rules do
  dsync sync postgres://ada@db1/shop mysql://ada@db2/shop --mode changes --from 16/B374D848
      the tables were copied by other means, as of that place in the log
  dsync sync
      all from ./dsync.yaml
`;

export function addSync(program: Command, perform: Perform): void {
  const command = program.command('sync').argument('[SOURCE]', 'URL of the database to read').argument('[DESTINATION]', 'URL of the database to write')
    .description('copy a database to another one, verify it, and resume where it was interrupted')
    .addHelpText('after', examples);
  withFlags(command, [...selectionFlags, ...ruleFlags, ...documentFlags, 'existing', 'acceptLoss', ...schemaFlags, ...paceFlags, 'verify', 'verifyWith', 'live', 'mode', 'from', 'onDdl', 'maxRejects', ...logFlags])
    .action((source, destination, flags) => perform({ source, destination, flags }, sync));
}

async function sync(session: Session) {
  const { config, ports: open } = await transferOf(session), ports = await open();
  const { sync } = await session.actions();
  const { runOutcome } = await import('../outcomes.js');
  return runOutcome(await sync(config, ports), ports.store);
}
