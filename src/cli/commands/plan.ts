import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from '@commander-js/extra-typings';
import type { PlanReport } from '../../coordinator/config.js';
import { DsyncError, messageOf } from '../../errors.js';
import { documentFlags, paceFlags, ruleFlags, schemaFlags, selectionFlags, withFlags } from '../flags.js';
import type { Perform, Session } from '../perform.js';
import { transferOf } from '../transfer.js';

const examples = `
Examples:
  dsync plan postgres://ada@db1/shop mysql://ada@db2/shop
  dsync plan mysql://root@db1/shop sqlite:shop.db --namespace 'shop.*' --json
  dsync plan postgres://ada@db1/shop mysql://ada@db2/shop --ddl shop.sql
  dsync plan
      all from ./dsync.yaml
`;

export function addPlan(program: Command, perform: Perform): void {
  const command = program.command('plan').argument('[SOURCE]', 'URL of the database to read').argument('[DESTINATION]', 'URL of the database to write')
    .description('say all that sync would do, and what would be lost; change nothing')
    .addHelpText('after', examples);
  withFlags(command.option('--ddl <file>', 'write all statements that make the tables and their objects to this file, what has no counterpart as comments'), [...selectionFlags, ...ruleFlags, ...documentFlags, 'existing', 'acceptLoss', ...schemaFlags, ...paceFlags, 'verify'])
    .action((source, destination, { ddl, ...flags }) => perform({ source, destination, flags }, (session) => plan(session, ddl)));
}

async function plan(session: Session, ddl: string | undefined) {
  const { config, onlooker } = await transferOf(session);
  const { plan } = await session.actions();
  const report = await plan(config, onlooker);
  if (ddl !== undefined) await writeDdl(resolve(session.around.folder, ddl), report);
  const [{ planText }, { statusOfFindings }] = await Promise.all([import('../report.js'), import('../outcomes.js')]);
  return { exitStatus: statusOfFindings(report.findings), document: report, text: planText(report) };
}

async function writeDdl(file: string, report: PlanReport): Promise<void> {
  const { ddlText } = await import('../ddl.js');
  await writeFile(file, ddlText(report)).catch((error: unknown) => {
    throw new DsyncError('usage', `--ddl: ${file} can't be written: ${messageOf(error)}`, { cause: error });
  });
}
