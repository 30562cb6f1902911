import type { ChangeLog, Mapping, Position, RunState } from '../contract.js';
import { DsyncError } from '../errors.js';
import type { Run } from './run.js';

/** Runs that only follow: their tables were copied by other means. */

/** The state of a run that has nothing to copy. */
export function fromPosition(state: RunState, from: Position): RunState {
  return { ...state, phase: 'follow', log: { place: { position: from, changes: 0 } } };
}

/** Fails where the tables are not all there, or the position is none. */
export function refuseToBegin(mappings: readonly Mapping[], from: Position, log: ChangeLog): void {
  if (!log.adopt) throw new DsyncError('usage', 'this source can only be followed from a copy of dsync\'s own on', { remedy: 'use --mode live' });
  refuseNoPosition(from, log);
  const missing = mappings.filter(({ existed }) => !existed).map(({ target }) => target.namespace);
  if (missing.length > 0) throw new DsyncError('refused', `the destination has no ${missing.join(', ')}: --mode changes goes on from a copy that is there`, { remedy: 'copy the tables first, leave them out (--exclude), or use --mode live' });
}

function refuseNoPosition(from: Position, log: ChangeLog): void {
  try {
    log.reached(from, from);
  } catch (error) {
    throw error instanceof DsyncError ? error : new DsyncError('usage', `'${from}' is no position in the source's log`, { cause: error });
  }
}

/** Has the source keep its log, unless an earlier process of the run did, and says what is not proved. */
export async function adoptFrom(run: Run, log: ChangeLog): Promise<void> {
  const { from } = run.config;
  if (from === undefined || run.store.load(run.id)!.log?.pin?.position !== undefined) return;
  run.emit({ kind: 'finding', end: 'destination', finding: { level: 'warning', code: 'not-compared', message: `nothing that was written before ${from} is copied or compared: the run relies on the copy that stands there`, remedy: 'dsync verify compares both ends, and so does dsync cutover' } });
  await log.adopt!(run.id, run.mappings.map(({ source }) => source), from, (pin) => run.store.update(run.id, { log: { pin } }), run.signal);
}
