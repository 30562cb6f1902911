import type { Shape } from '../../contract.js';
import type { Session } from './session.js';

/** Plain tables with nothing but their primary key. */
export async function independent(session: Session, targets: readonly Shape[], signal: AbortSignal): Promise<readonly string[]> {
  const rows = await session.query(`
    SELECT t.namespace FROM json_to_recordset($1::json) t (namespace text, schema text, name text)
    JOIN pg_namespace n ON n.nspname = t.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
    WHERE c.relkind = 'r' AND NOT c.relhasrules AND NOT c.relrowsecurity
      AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary)
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.contype = 'f' AND c.oid IN (k.conrelid, k.confrelid))
      AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)
      AND NOT EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhparent, h.inhrelid))`, signal, [JSON.stringify(targets.map(({ namespace, schema, name }) => ({ namespace, schema, name })))]);
  return rows.map(([namespace]) => namespace!);
}
