import type { Command } from '@commander-js/extra-typings';
import { withFlags } from '../flags.js';
import type { Perform, Session } from '../perform.js';
import { transferOf } from '../transfer.js';

const examples = `
Examples:
  dsync selftest postgres://ada@db1/shop
      makes a schema dsync_selftest_… there, and drops it again; nothing else is touched
  dsync selftest mysql://root@db1/ --json
`;

export function addSelftest(program: Command, perform: Perform): void {
  const command = program.command('selftest').argument('[SOURCE]', 'URL of a database on the server that is to be tried')
    .description('insert, update and delete rows of every type that a server has, and see whether the copy, the change log and the verifier read the same')
    .addHelpText('after', examples);
  withFlags(command, []).action((source, flags) => perform({ source, flags }, selftest));
}

async function selftest(session: Session) {
  const { config, onlooker } = await transferOf(session, { destination: 'optional' });
  const { selftest } = await session.actions();
  const report = await selftest(config.source, onlooker.signal);
  const { selftestText } = await import('../report.js');
  return { exitStatus: report.types.some(({ differences }) => differences.length > 0) ? 4 : 0, document: report, text: selftestText(report) };
}
