import type { Shape } from '../../contract.js';
import { grantsOf } from './check.js';
import { quote, type Session } from './session.js';

/** Tables of InnoDB with nothing but their primary key. Triggers are shown to those only who may make them: to others no table is such a one. */
export async function independent(session: Session, targets: readonly Shape[], signal: AbortSignal): Promise<readonly string[]> {
  const grants = await grantsOf(session, signal), found: string[] = [];
  for (const { namespace, schema = '', name } of targets) {
    if (!maySeeTriggers(grants, schema)) continue;
    const [place, table] = [quote(schema), quote(name)];
    const [[engine, rules]] = await session.rows(`SELECT engine,
      (SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = ${place} AND table_name = ${table} AND non_unique = 0 AND index_name <> 'PRIMARY')
      + (SELECT COUNT(*) FROM information_schema.referential_constraints WHERE (constraint_schema = ${place} AND table_name = ${table}) OR (unique_constraint_schema = ${place} AND referenced_table_name = ${table}))
      + (SELECT COUNT(*) FROM information_schema.triggers WHERE event_object_schema = ${place} AND event_object_table = ${table})
      FROM information_schema.tables WHERE table_schema = ${place} AND table_name = ${table}`, signal).then((rows) => (rows.length > 0 ? rows : [[null, null]]));
    if (engine === 'InnoDB' && rules === '0') found.push(namespace);
  }
  return found;
}

function maySeeTriggers(grants: string, schema: string): boolean {
  return grants.split('\n').some((line) => /\b(ALL PRIVILEGES|TRIGGER)\b/.test(line) && (line.includes(' ON *.* ') || line.replace(/\\([_%])/g, '$1').includes(` ON \`${schema}\`.* `)));
}
