import { resolve } from 'node:path';
import type { Command } from '@commander-js/extra-typings';
import type { ReplayOptions } from '../../coordinator/replay.js';
import { DsyncError } from '../../errors.js';
import { withFlags } from '../flags.js';
import type { Perform, Session } from '../perform.js';

const examples = `
Examples:
  dsync replay 20250131-k3f9xq
      after a mend of the destination (a wider column), or of the lines of the reject file
  dsync replay 20250131-k3f9xq --dry-run
      which rows would be written, which are there already, whose key has other values there
  dsync replay 20250131-k3f9xq --file mended.ndjson --overwrite
`;

export function addReplay(program: Command, perform: Perform): void {
  const command = program.command('replay').argument('<RUN>', 'the run')
    .description('write the rows that were rejected again; what fits now leaves the reject file')
    .option('--file <file>', "take the lines of this file, a mended copy of the run's own")
    .option('--dry-run', 'say what would be done, and write nothing')
    .option('--overwrite', 'put rows in the place of those that have their keys, but other values')
    .option('--source <url>', 'the same source, written anew')
    .option('--destination <url>', 'the same destination, written anew')
    .addHelpText('after', examples);
  withFlags(command, ['verify']).action((run, { source, destination, file, dryRun, overwrite, ...flags }) => {
    const how = { ...(file !== undefined && { file }), dryRun: dryRun === true, overwrite: overwrite === true };
    return perform({ source, destination, flags, fromFile: ['state', 'logLevel', 'logFile', 'json'] }, (session) => replay(session, run, how));
  });
}

async function replay(session: Session, run: string, { file, ...how }: ReplayOptions) {
  const store = await session.store(), state = store.load(run);
  if (!state) throw new DsyncError('usage', `there is no run ${run} in ${store.folder}`, { remedy: 'dsync runs lists them' });
  const { recalledRun } = await import('../recalled.js');
  const { config, ports } = await recalledRun(session, state);
  const { replay } = await session.actions();
  const report = await replay(state, config, ports, { ...how, ...(file !== undefined && { file: resolve(session.around.folder, file) }) });
  const [{ replayText }, { formatVerification }] = await Promise.all([import('../report.js'), import('../../verifier/report.js')]);
  return { exitStatus: report.exitStatus, document: report, text: replayText(report, report.verification ? formatVerification(report.verification).replace(/^(?=.)/gm, '  ') : '') };
}
