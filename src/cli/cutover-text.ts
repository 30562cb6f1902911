import type { CutoverReport } from '../coordinator/cutover.js';
import { formatVerification } from '../verifier/report.js';
import { duration, table } from './text.js';

/** What a cutover has proved. */
export function cutoverText({ run, status, position, fence, stoppedAt, seconds, tables, sequences, wayBack }: CutoverReport): string {
  const digests = table(tables.map((one) => [one.namespace, `${one.sourceRows} rows`, one.sourceDigest, one.result === 'equal' ? '' : `and ${one.destinationRows} rows, ${one.destinationDigest}`]), '  ');
  return [
    status === 'different' ? 'DIFFERENT: the destination is not equal to the source. All is as before, and the run goes on.\n' : 'Cut over: the destination has all that was written to the source.\n',
    `  writes stopped at ${stoppedAt}, ${fence.kind}: ${fence.how}\n`,
    ...fence.endedSessions.map((session) => `  ended: ${session}\n`),
    `  position ${position}; ${duration(seconds)} from then on\n`,
    `\nVerification\n${formatVerification(tables).replace(/^(?=.)/gm, '  ')}\n`,
    `\nRows and digests\n${digests}`,
    sequences.length > 0 ? `\nSequences\n${sequencesText(sequences)}` : '',
    wayBack ? `\nThe way back: run ${wayBack.run} follows the new database from ${wayBack.position} on. Start it before the first write: dsync resume ${wayBack.run}\n` : '',
    status === 'different' ? '' : `\nRun ${run} is done.\n`,
  ].join('');
}

function sequencesText(sequences: CutoverReport['sequences']): string {
  return table(sequences.map(({ of, state, next, remedy }) => [of, state, next === undefined ? '' : `next ${next}`, remedy ?? '']), '  ');
}
