import type { Finding, OpenOptions, Source } from '../../contract.js';
import { selects } from '../../source/selection.js';
import { readTable, shapeOf, tableNames } from './catalogue.js';
import { checkSource } from './check.js';
import { identityOf, type Session } from './session.js';
import { snapshot } from './snapshot.js';

/** Rows that are values wait as objects, and large batches of them outlive the cheap garbage collection: the process would take twice the memory. */
const mostBatchBytes = 1 << 20;

export function source(session: Session, options: OpenOptions): Source {
  return {
    engine: 'sqlite',
    version: session.version,
    identity: async () => identityOf(session.file),
    check: async (): Promise<readonly Finding[]> => checkSource(session),
    shapes: async (selection) => tableNames(session).filter(selects(selection)).sort().map((name) => shapeOf(session, readTable(session, name)!)),
    formats: () => ['values'],
    snapshot: async () => snapshot(session.file, { ...options, batchBytes: Math.min(options.batchBytes, mostBatchBytes) }),
    async [Symbol.asyncDispose]() {
      session[Symbol.dispose]();
    },
  };
}
