import type { Finding, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import type { Keeping } from './pin.js';
import type { Session } from './session.js';
import { literal, qualified, quoted } from './sql.js';

/*
 * A slot and a publication that the user gives. Nothing of what the slot held back before the run's moment is applied: the
 * snapshot has it, and the log is followed from the snapshot's own place (START_REPLICATION skips what was committed before).
 */

const error = { level: 'error' } as const;

/** Can what was given be followed, for these tables? */
export async function givenFindings(session: Session, shapes: readonly Shape[], { slot, publication, ownSlot, ownPublication }: Keeping, signal: AbortSignal): Promise<Finding[]> {
  return [...(ownSlot ? [] : await slotFindings(session, slot, signal)), ...(ownPublication ? [] : await publicationFindings(session, shapes, publication, signal))];
}

/** A publication may lose a table while nobody looks: its changes would be missing without a word. */
export async function refuseGiven(session: Session, shapes: readonly Shape[], keeping: Keeping, signal: AbortSignal): Promise<void> {
  if (keeping.ownPublication) return;
  const found = await publicationFindings(session, shapes, keeping.publication, signal);
  if (found.length > 0) throw new DsyncError('not-ready', found.map(({ message }) => message).join('; '), { remedy: found.map(({ remedy }) => remedy).join('\n') });
}

async function slotFindings(session: Session, name: string, signal: AbortSignal): Promise<Finding[]> {
  const [found] = await session.query(`
    SELECT coalesce(plugin, 'none'), coalesce(database, 'none'), database IS DISTINCT FROM current_database(), coalesce(to_jsonb(s)->>'two_phase', 'false'), temporary, active_pid, wal_status IS NOT DISTINCT FROM 'lost'
    FROM pg_replication_slots s WHERE slot_name = $1`, signal, [name]);
  const make = `SELECT pg_create_logical_replication_slot(${literal(name)}, 'pgoutput')`, anew = `SELECT pg_drop_replication_slot(${literal(name)}); ${make}`;
  const wrong = (code: string, message: string, remedy: string): Finding => ({ ...error, code, message: `the replication slot ${name} ${message}`, remedy });
  if (!found) return [wrong('slot-missing', 'is not there', `${make}, or leave out --slot: dsync makes one`)];
  const [plugin, database, foreign, twoPhase, temporary, pid, lost] = found;
  if (plugin !== 'pgoutput') return [wrong('slot-plugin', `is one of the plugin ${plugin}, and dsync reads pgoutput`, `name another slot; or, if nobody uses it, ${anew}`)];
  if (foreign === 't') return [wrong('slot-database', `is one of the database ${database}`, 'name a slot of the database that is copied')];
  if (lost === 't') return [wrong('slot-lost', 'was invalidated: the server has removed its log', anew)];
  return [
    ...(twoPhase === 'true' ? [wrong('slot-two-phase', 'tells of transactions when they are prepared: dsync applies them when they are committed', anew)] : []),
    ...(temporary === 't' ? [wrong('slot-temporary', 'is temporary: it goes with the session that made it', make)] : []),
    ...(pid === null ? [] : [wrong('slot-active', `is in use by the server process ${pid}`, `stop what reads it, or SELECT pg_terminate_backend(${pid})`)]),
  ];
}

async function publicationFindings(session: Session, shapes: readonly Shape[], name: string, signal: AbortSignal): Promise<Finding[]> {
  const [found] = await session.query('SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot FROM pg_publication WHERE pubname = $1', signal, [name]);
  if (!found) return [{ ...error, code: 'publication-missing', message: `the publication ${name} is not there`, remedy: publicationSql(name, shapes) }];
  const [whole, viaRoot] = found;
  return [
    ...(whole === 't' ? [] : [{ ...error, code: 'publication-operations', message: `the publication ${name} leaves out some kinds of changes`, remedy: `ALTER PUBLICATION ${quoted(name)} SET (publish = 'insert, update, delete, truncate')` }]),
    ...await coverageFindings(session, shapes, { name, viaRoot: viaRoot === 't' }, signal),
  ];
}

/** Of a partitioned table the view has the root, or its partitions, as the changes will name them. */
async function coverageFindings(session: Session, shapes: readonly Shape[], { name, viaRoot }: { readonly name: string; readonly viaRoot: boolean }, signal: AbortSignal): Promise<Finding[]> {
  const tables = await session.query(`
    SELECT t.namespace, p.tablename IS NOT NULL, c.relkind = 'p', to_jsonb(p)->>'rowfilter',
      (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
       WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND NOT to_jsonb(p)->'attnames' ? a.attname)
    FROM json_to_recordset($1::json) t (namespace text, schema text, name text)
    JOIN pg_namespace n ON n.nspname = t.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
    LEFT JOIN pg_publication_tables p ON p.pubname = $2 AND p.schemaname = t.schema AND p.tablename = t.name ORDER BY 1`,
  signal, [JSON.stringify(shapes.map(({ namespace, schema, name: table }) => ({ namespace, schema, name: table }))), name]);
  return tables.flatMap(([namespace, covered, partitioned, filter, hidden]): Finding[] => {
    const table = qualified(shapes.find((shape) => shape.namespace === namespace)!), found = { ...error, namespace: namespace! };
    if (partitioned === 't' && !viaRoot) return [{ ...found, code: 'publication-root', message: `the publication ${name} names the partitions of ${namespace} in place of the table`, remedy: `ALTER PUBLICATION ${quoted(name)} SET (publish_via_partition_root = true)` }];
    if (covered === 'f') return [{ ...found, code: 'publication-table', message: `the publication ${name} does not have ${namespace}`, remedy: `ALTER PUBLICATION ${quoted(name)} ADD TABLE ${table}` }];
    const part = filter !== null ? `only has rows of ${namespace} that match ${filter}` : hidden !== null ? `lacks the columns ${hidden} of ${namespace}` : undefined;
    return part === undefined ? [] : [{ ...found, code: 'publication-part', message: `the publication ${name} ${part}`, remedy: `ALTER PUBLICATION ${quoted(name)} DROP TABLE ${table}; ALTER PUBLICATION ${quoted(name)} ADD TABLE ${table}` }];
  });
}

/** As dsync would make it. */
export function publicationSql(name: string, shapes: readonly Shape[]): string {
  return `CREATE PUBLICATION ${quoted(name)} FOR TABLE ${shapes.map((shape) => `ONLY ${qualified(shape)}`).join(', ')} WITH (publish_via_partition_root = true)`;
}
