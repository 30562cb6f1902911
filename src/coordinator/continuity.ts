import type { ChangeLog, LogPlace, RunState, Source } from '../contract.js';
import { DsyncError } from '../errors.js';

/** Is it the database that the run began with, or another one that provably goes on where that left off? */
export async function isSameSource(state: RunState, source: Source, signal: AbortSignal): Promise<boolean> {
  if ((await source.identity(signal)) === state.sourceIdentity) return true;
  const position = state.log?.place?.position ?? state.moments.at(-1)?.position;
  const committed = state.log?.committed, at = committed?.position === position ? committed?.at : undefined;
  return position !== undefined && (await source.log?.succeeds?.(state.sourceIdentity, position, at, signal) ?? false);
}

/** What was applied must be in the source's log: a server that was promoted or set back may lack the end of it. */
export async function refuseAhead(run: string, log: ChangeLog, places: Iterable<LogPlace>, signal: AbortSignal): Promise<void> {
  const head = await log.head(signal), ahead = [...places].find(({ position }) => !log.reached(head, position));
  if (!ahead) return;
  throw new DsyncError('refused', `the source lacks changes that this run has applied: its log ends at ${head}, before ${ahead.position}; it was promoted or set back without them`, {
    remedy: `bring the old server back, or start over: dsync cleanup ${run}, then dsync sync --live`,
  });
}
