import type { EndFinding, RunReport } from '../coordinator/config.js';
import { exitStatus, DsyncError } from '../errors.js';
import type { Outcome, Store } from './perform.js';
import { runText } from './report.js';

/** `store`: where the run is remembered, if it is. */
export async function runOutcome(report: RunReport, store?: Store): Promise<Outcome> {
  const { formatVerification } = await import('../verifier/report.js');
  const verification = report.verification ? formatVerification(report.verification).replace(/^(?=.)/gm, '  ') : '';
  return { exitStatus: report.exitStatus, document: report, text: runText(report, verification && `${verification}\n`, store?.folder) };
}

/** What a command exits with that only looked: that of the first finding that would keep a sync from starting. */
export function statusOfFindings(findings: readonly EndFinding[]): number {
  const [first] = findings.filter(({ finding }) => finding.level === 'error');
  return first ? exitStatus(new DsyncError(first.finding.error ?? 'not-ready', first.finding.message)) : 0;
}
