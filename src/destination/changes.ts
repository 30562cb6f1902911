import type { Change, Mapping, Rejected, Row } from '../contract.js';
import { DsyncError } from '../errors.js';
import { fold, type Step } from './fold.js';

/** How long a table's lock is waited for while changes are applied: those of the other tables wait, too. */
export const lockedSeconds = 30;

/** What others keep locked for longer is set apart, and the other tables go on. */
export function lockedOut({ source, target }: Mapping, cause: unknown): DsyncError {
  return new DsyncError('not-ready', `${target.namespace} was locked by others for ${lockedSeconds} s`, { cause, namespace: source.namespace, retryable: false, remedy: `let go of it, then dsync tables RUN resume ${source.namespace}` });
}

/** How a destination does the steps of a folded table, inside a savepoint that it can go back to. */
export interface Folded {
  readonly begin: () => void | Promise<void>;
  readonly keep: () => void | Promise<void>;
  readonly undo: () => void | Promise<void>;
  readonly step: (step: Step) => Promise<readonly Rejected[]>;
  /** Has the table a unique index besides its key? */
  readonly hasOtherUnique: () => boolean | Promise<boolean>;
}

/**
 * Changes of a table with a key. Where another unique index stands, a row may be in the way of one that comes before it in
 * no order of folded rows: halves of the changes are tried then, down to one change, which is what the source did.
 */
export async function applyFolded(changes: readonly Change[], key: readonly number[], way: Folded): Promise<readonly Rejected[]> {
  const rejected: Rejected[] = [];
  await way.begin();
  for (const step of fold(changes, key)) rejected.push(...await way.step(step));
  if (rejected.length === 0 || changes.length === 1 || !(await way.hasOtherUnique())) {
    await way.keep();
    return rejected;
  }
  await way.undo();
  const middle = changes.length >> 1;
  return [...await applyFolded(changes.slice(0, middle), key, way), ...await applyFolded(changes.slice(middle), key, way)];
}

/** How a destination does the changes of a table without a key. */
export interface InOrder {
  readonly insert: (rows: readonly Row[]) => Promise<readonly Rejected[]>;
  readonly truncate: () => void | Promise<void>;
  /** Of the rows that are equal to `before` one changes, or goes. */
  readonly one: (change: Extract<Change, { kind: 'update' | 'delete' }>) => Promise<readonly Rejected[]>;
}

/** Changes of a table without a key: runs of inserts at once, the others one by one. */
export async function applyInOrder(changes: readonly Change[], way: InOrder): Promise<readonly Rejected[]> {
  const rejected: Rejected[] = [], inserts: Row[] = [];
  const insert = async () => { if (inserts.length > 0) rejected.push(...await way.insert(inserts.splice(0))); };
  for (const change of changes) {
    if (change.kind !== 'insert') await insert();
    switch (change.kind) {
      case 'insert': inserts.push(change.row); break;
      case 'truncate': await way.truncate(); break;
      case 'update': case 'delete': rejected.push(...await way.one(change)); break;
      default: change satisfies never;
    }
  }
  await insert();
  return rejected;
}
