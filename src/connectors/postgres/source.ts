import type { Mapping, OpenOptions, Source } from '../../contract.js';
import { selects } from '../../source/selection.js';
import { describe, tableNames } from './catalog.js';
import { checkSource } from './check.js';
import { fenceOf } from './fence.js';
import { identity } from './identity.js';
import { openLog } from './log.js';
import type { Login } from './login.js';
import { Pool } from './pool.js';
import { readObjects } from './schema.js';
import { sequences } from './sequences.js';
import { Session } from './session.js';
import { freeze, openSnapshot } from './snapshot.js';
import { isBinarySafe } from './types.js';

export async function openSource(login: Login, options: OpenOptions): Promise<Source> {
  const session = await Session.open(login, 'source', options.signal);
  const fencing = new Pool(1, (signal) => Session.open(login, 'source', signal));
  const log = openLog(login, (begin, signal) => openSnapshot(session, login, options, begin, signal), { keeping: options.keeping });
  return {
    engine: 'postgres',
    version: `PostgreSQL ${session.version}`,
    defaultSchema: session.defaultSchema ?? 'public',
    identity: (signal) => identity(session, signal),
    check: (shapes, signal) => checkSource(session, shapes, signal),
    async shapes(selection, signal) {
      const selected = selects(selection);
      const names = (await tableNames(session, selection.views === true, signal)).filter(({ schema, name }) => selected(`${schema}.${name}`));
      return (await describe(session, names, signal)).map(({ shape }) => shape);
    },
    objects: (shapes, signal) => readObjects(session, shapes, signal),
    formats: (mapping) => (session.serverEncoding === 'UTF8' && isBinary(mapping) ? ['pg-binary', 'delimited', 'values'] : ['delimited', 'values']),
    log,
    fence: fenceOf((signal, action) => fencing.use(signal, action)),
    sequences: (shapes, signal) => sequences(session, shapes, signal),
    snapshot: (_shapes, signal) => openSnapshot(session, login, options, freeze, signal),
    async [Symbol.asyncDispose]() {
      await log[Symbol.asyncDispose]();
      await fencing.close();
      await session.close();
    },
  };
}

/** The same built-in types on both sides, and no more than that: bytes that pass untouched can't be turned into another column. */
export function isBinary({ source, target }: Mapping): boolean {
  return source.engine === 'postgres' && target.engine === 'postgres' && source.columns.length > 0
    && source.columns.every((column, i) => column.native === target.columns[i].native && isBinarySafe(column));
}
