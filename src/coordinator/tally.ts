import type { Emit, Event, NamespaceVerification, Phase } from '../contract.js';
import type { Agreed, EndFinding } from './config.js';

/** What a run has done so far, read off its own events: the report and the progress lines can't disagree. */
export interface Tally {
  readonly emit: Emit;
  readonly agreed: Agreed[];
  readonly findings: EndFinding[];
  readonly verification: NamespaceVerification[];
  readonly recopied: string[];
  /** By `namespace.column`. */
  readonly nulled: Record<string, number>;
  rows: number; bytes: number; tasks: number; upserted: number; deleted: number; rejected: number;
  /** Seconds in each phase that has ended or is under way. */
  phases(): Record<string, number>;
  seconds(): number;
}

export function tallying(emit: Emit): Tally {
  const start = performance.now();
  const spent: Record<string, number> = {};
  let phase: Phase | undefined, since = start;
  const turn = (next: Phase) => {
    if (phase) spent[phase] = (spent[phase] ?? 0) + (performance.now() - since) / 1000;
    [phase, since] = [next, performance.now()];
  };
  const tally: Tally = {
    agreed: [], findings: [], verification: [], recopied: [], nulled: {},
    rows: 0, bytes: 0, tasks: 0, upserted: 0, deleted: 0, rejected: 0,
    phases: () => ({ ...spent }),
    seconds: () => (performance.now() - start) / 1000,
    emit(event) {
      if (event.kind === 'phase') turn(event.phase);
      count(tally, event);
      emit(event);
    },
  };
  return tally;
}

function count(tally: Tally, event: Event): void {
  switch (event.kind) {
    case 'agreed': tally.agreed.push({ namespace: event.namespace, target: event.target, format: event.format, sent: event.sent, staged: event.staged, losses: event.losses }); break;
    case 'finding': tally.findings.push({ end: event.end, finding: event.finding }); break;
    case 'planned': tally.tasks += event.tasks; break;
    case 'written': tally.rows += event.rows; tally.bytes += event.bytes; break;
    case 'rejected': tally.rejected++; break;
    case 'nulled': {
      const column = `${event.namespace}.${event.column}`;
      tally.nulled[column] = (tally.nulled[column] ?? 0) + event.count;
      break;
    }
    case 'mended':
      tally.upserted += event.upserted;
      tally.deleted += event.deleted;
      if (event.recopied) tally.recopied.push(event.namespace);
      break;
    case 'verified': tally.verification.push(event.verification); break;
  }
}
