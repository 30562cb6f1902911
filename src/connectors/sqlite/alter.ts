import type { Mapping, Shape } from '../../contract.js';
import { alterationOf } from '../../destination/alter.js';
import { DsyncError } from '../../errors.js';
import { readTable } from './catalogue.js';
import { quoted, type Session } from './session.js';
import { typeIn } from './objects.js';
import { adapt } from './target.js';
import { affinityOf } from './types.js';

/** In the open transaction: what can't be done in the end is undone with it. A declared type is not changed: one of the same affinity keeps the same values. */
export function alter(session: Session, run: string, mapping: Mapping, source: Shape): Mapping {
  const { target } = mapping, table = readTable(session, target.name);
  if (!table) throw new DsyncError('refused', `${target.name} is not there`, { namespace: source.namespace });
  const wanted = adapt(session, source, { name: `_dsync_${run}_wanted` });
  const { add, drop } = alterationOf(mapping, {
    wanted, standing: table.columns, same: (a, b) => a.toLowerCase() === b.toLowerCase(), widens: (from, to) => affinityOf(from.native) === affinityOf(to.native),
  });
  for (const name of drop) session.exec(`ALTER TABLE ${quoted(target.name)} DROP COLUMN ${quoted(name)}`);
  for (const { name, native } of add) session.exec(`ALTER TABLE ${quoted(target.name)} ADD COLUMN ${quoted(name)} ${typeIn(native)}`);
  return { ...adapt(session, source, { name: target.name }), existed: mapping.existed };
}
