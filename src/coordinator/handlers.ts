import type { ChangeLog, Position } from '../contract.js';
import type { Apart } from './apart.js';
import { cutoverHandlers } from './cutover.js';
import type { Lanes } from './lanes.js';
import type { Handlers } from './requests.js';
import type { Run } from './run.js';
import { changeTable, type TableRequest } from './tablerequest.js';

/** How following came to its end, because a handler said so. */
export interface Ending { readonly kind: string; readonly result?: unknown }

/** What a request's handler may use of a run that is followed, for as long as its source is not lost. */
export interface Following {
  readonly run: Run;
  readonly log: ChangeLog;
  /** `place`: what is durable; `drain()`: resolves when what was taken is. */
  readonly lanes: Lanes;
  /** Tables that are not followed as the others are. */
  readonly apart: Apart;
  /** Resolves when all that happened up to this position is durable in the destination. */
  readonly applied: (goal: Position, signal: AbortSignal) => Promise<void>;
  /** Looks for tables that were made in the chosen namespaces; those that are part of the run from now on, and are still to be copied. */
  readonly newTables: () => Promise<readonly string[]>;
  /** How many changes this process has applied. */
  readonly changes: () => number;
  /** Has the lanes' place on disk here when it returns, and lets the log before it go. */
  readonly save: () => void;
  /** Tables that wait for a resync get it soon. */
  readonly resync: () => void;
  /** Ends following, wherever it is; `follow` resolves with this, and the run is concluded. Await `applied` before. */
  readonly end: (ending: Ending) => void;
}

/** What other processes may ask of a run that follows, by the request's kind. */
export function handlersOf(following: Following): Handlers {
  return { tables: (detail) => changeTable(following, detail as TableRequest), ...cutoverHandlers(following) };
}
