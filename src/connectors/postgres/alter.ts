import type { Mapping, Shape } from '../../contract.js';
import { alterationOf, isEmpty, type Alteration } from '../../destination/alter.js';
import { DsyncError } from '../../errors.js';
import { findTable } from './catalog.js';
import { fit } from './fit.js';
import { held, type Hold } from './progress.js';
import type { Session } from './session.js';
import { qualified, quoted } from './sql.js';
import { adapt, hash } from './target.js';

/** In one transaction with the run's mark: what can't be done in the end is undone. New columns may be null: rows stand without them. */
export async function alter(session: Session, hold: Hold, mapping: Mapping, source: Shape, signal: AbortSignal): Promise<Mapping> {
  const { schema, name } = mapping.target, place = { schema: schema!, name };
  return held(session, hold, signal, async () => {
    const table = await findTable(session, place, signal);
    if (!table) throw new DsyncError('refused', `${mapping.target.namespace} is not there`, { namespace: source.namespace });
    // As it would be made under a name that nothing has.
    const wanted = await adapt(session, source, { schema: place.schema, name: `_dsync_${hash(hold.run, name, 'wanted')}` }, signal);
    const alteration = alterationOf(mapping, { wanted, standing: table.shape.columns, same: (a, b) => a === b, widens: (from, to) => fit(from, to)?.level === 'exact' });
    if (!isEmpty(alteration)) await session.query(`ALTER TABLE ${qualified(place)} ${clauses(alteration)}`, signal);
    return { ...await adapt(session, source, place, signal), existed: mapping.existed };
  });
}

function clauses({ add, drop, widen }: Alteration): string {
  return [
    ...drop.map((name) => `DROP COLUMN ${quoted(name)}`), ...add.map(({ name, native }) => `ADD COLUMN ${quoted(name)} ${native}`),
    ...widen.map(({ name, native }) => `ALTER COLUMN ${quoted(name)} TYPE ${native}`),
  ].join(', ');
}
