import type { Finding, OpenOptions, Source } from '../../contract.js';
import { selects } from '../../source/selection.js';
import { readTable, shapeOf, tableNames, viewNames, viewShape } from './catalogue.js';
import { checkSource } from './check.js';
import { readObjects } from './schema.js';
import { sequences } from './sequences.js';
import { identityOf, type Session } from './session.js';
import { snapshot } from './snapshot.js';

export function source(session: Session, options: OpenOptions): Source {
  return {
    engine: 'sqlite',
    version: session.version,
    identity: async () => identityOf(session.file),
    check: async (): Promise<readonly Finding[]> => checkSource(session),
    async shapes(selection) {
      const tables = tableNames(session).filter(selects(selection)), views = selection.views ? viewNames(session).filter(selects(selection)) : [];
      return [...tables, ...views].sort().map((name) => (views.includes(name) ? viewShape(session, name) : shapeOf(session, readTable(session, name)!)));
    },
    objects: async (shapes) => readObjects(session, shapes),
    sequences: async (shapes) => sequences(session, shapes),
    // SQLite and MongoDB keep the type of each value, which lines of text don't.
    formats: ({ target }) => (target.engine === 'sqlite' || target.engine === 'mongodb' ? ['values'] : ['delimited', 'values']),
    snapshot: async () => snapshot(session.file, options),
    async [Symbol.asyncDispose]() {
      session[Symbol.dispose]();
    },
  };
}
