import { createHash } from 'node:crypto';
import type { Mapping, Shape } from '../../contract.js';
import { alterationOf, isEmpty, type Alteration } from '../../destination/alter.js';
import { DsyncError } from '../../errors.js';
import { readTable } from './catalogue.js';
import { fit } from './fits.js';
import type { Hold } from './progress.js';
import { name as quoted } from './session.js';
import type { Offer } from './storage.js';
import { fenced, targetName } from './tables.js';
import { adapt } from './target.js';

/**
 * By one statement, which is done wholly or not at all and commits by itself: after a crash the catalogue tells which. New columns
 * may be null: rows stand without them.
 */
export async function alter(hold: Hold, mapping: Mapping, source: Shape, offer: Offer): Promise<Mapping> {
  const { session, signal, run } = hold, { target } = mapping, schema = target.schema ?? '';
  const table = await readTable(session, schema, target.name, signal);
  if (!table) throw new DsyncError('refused', `${target.namespace} is not there`, { namespace: source.namespace });
  // As it would be made under a name that nothing has.
  const wanted = await adapt(source, { name: `_dsync_w_${createHash('sha256').update(`${run} ${target.name}`).digest('hex').slice(0, 16)}` }, schema, offer, session, signal);
  const alteration = alterationOf(mapping, {
    wanted, standing: table.shape.columns, same: (a, b) => a.toLowerCase() === b.toLowerCase(),
    // Of a table that stood before, a default or a comment of the column's would be lost.
    widens: (from, to) => !mapping.existed && fit(from, to, offer.version.flavour)?.level === 'exact',
  });
  if (!isEmpty(alteration)) {
    await fenced(hold, async () => {});
    await session.run(`ALTER TABLE ${targetName(target)} ${clauses(alteration)}`, signal);
  }
  return { ...await adapt(source, { name: target.name }, schema, offer, session, signal), existed: mapping.existed };
}

function clauses({ add, drop, widen }: Alteration): string {
  return [
    ...drop.map((column) => `DROP COLUMN ${quoted(column)}`), ...add.map(({ name, native }) => `ADD COLUMN ${quoted(name)} ${native} NULL`),
    ...widen.map(({ name, native, nullable }) => `MODIFY COLUMN ${quoted(name)} ${native}${nullable ? ' NULL' : ' NOT NULL'}`),
  ].join(', ');
}
