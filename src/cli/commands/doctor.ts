import type { Command } from '@commander-js/extra-typings';
import { DsyncError } from '../../errors.js';
import { documentFlags, logFlags, ruleFlags, selectionFlags, withFlags } from '../flags.js';
import type { Perform, Session, Work } from '../perform.js';
import { transferOf } from '../transfer.js';

const examples = `
Examples:
  dsync doctor postgres://ada@db1/shop
      is it a good source?
  dsync doctor postgres://ada@db1/shop mysql://ada@db2/shop
  dsync doctor postgres://ada@db1/shop mysql://ada@db2/shop --types --sample all
      which values would not come back equal? a table of its own in the destination takes them, and is dropped
  dsync doctor mysql://root@db1/shop --json
  dsync doctor postgres://ada@db1/shop mysql://ada@db2/shop --live
      can its changes be followed, and will its log last until the copy is done?
`;

export function addDoctor(program: Command, perform: Perform): void {
  const command = program.command('doctor').argument('[SOURCE]', 'URL of the database to read').argument('[DESTINATION]', 'URL of the database to write')
    .description('check one or both ends: rights, settings, versions, space; each finding with the statement that mends it')
    .addHelpText('after', examples);
  withFlags(command, [...selectionFlags, ...ruleFlags, ...documentFlags, 'acceptLoss', 'live', ...logFlags])
    .option('--types', 'send the extreme values of every column, and real rows, through a table of its own in the destination, and compare')
    .option('--sample <rows>', 'with --types: how many rows of each table, or all (default: 10000)')
    .action((source, destination, { types, sample, ...flags }) => perform({ source, destination, flags }, types ? roundtrip(sample) : refusing(sample)));
}

function roundtrip(sample: string | undefined): Work {
  return async (session) => {
    const rows = sampleOf(sample), { config, onlooker } = await transferOf(session);
    const { roundtrip } = await session.actions();
    const report = await roundtrip(config, onlooker, rows);
    const [{ roundtripText }, { isUnequal }] = await Promise.all([import('../report.js'), import('../../coordinator/roundtrip.js')]);
    const status = report.columns.some(isUnequal) ? 4 : report.columns.some(({ rows: { rejected } }) => rejected > 0) ? 6 : 0;
    return { exitStatus: status, document: report, text: roundtripText(report) };
  };
}

function sampleOf(text = '10000'): number {
  if (text === 'all') return Infinity;
  if (/^\d+$/.test(text)) return Number(text);
  throw new DsyncError('usage', `--sample: "${text}" is neither a number of rows nor all`);
}

function refusing(sample: string | undefined): Work {
  return async (session) => {
    if (sample !== undefined) throw new DsyncError('usage', '--sample goes with --types');
    return doctor(session);
  };
}

async function doctor(session: Session) {
  const { config, onlooker } = await transferOf(session, { destination: 'optional' });
  const { doctor } = await session.actions();
  const findings = await doctor({ ...config, destination: config.destination || undefined }, onlooker);
  const [{ findingsText }, { statusOfFindings }] = await Promise.all([import('../report.js'), import('../outcomes.js')]);
  const text = findings.length === 0 ? 'All is well: nothing to mend.\n' : findingsText(findings);
  return { exitStatus: statusOfFindings(findings), document: { findings }, text };
}
