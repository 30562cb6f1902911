import type { Finding, Shape } from '../../contract.js';
import type { Session, TextRow } from './session.js';
import { list, qualified, quoted } from './sql.js';

/** May the changes of these tables be followed, all of them? */
export async function checkLog(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Finding[]> {
  return [...await serverFindings(session, signal), ...await rightFindings(session, signal), ...await tableFindings(session, shapes, signal)];
}

const error = { level: 'error' } as const;

async function serverFindings(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const [[level, standby, slots, senders]] = await session.query(`
    SELECT current_setting('wal_level'), pg_is_in_recovery(), current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),
      current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender')`, signal);
  const findings: Finding[] = [];
  if (level !== 'logical') findings.push({ ...error, code: 'wal-level', message: `the source's log does not tell rows apart (wal_level = ${level})`, remedy: 'ALTER SYSTEM SET wal_level = logical, then restart the server' });
  if (standby === 't') findings.push({ ...error, code: 'log-on-standby', message: 'the source is a standby, where no publication can be made', remedy: 'connect to the primary' });
  if (Number(slots) < 1) findings.push({ ...error, code: 'no-slot', message: 'the source has no replication slot left', remedy: 'ALTER SYSTEM SET max_replication_slots to a higher number, then restart the server; or drop a slot that nobody uses: SELECT slot_name FROM pg_replication_slots WHERE NOT active' });
  if (Number(senders) < 1) findings.push({ ...error, code: 'no-wal-sender', message: 'the source has no connection for replication left', remedy: 'ALTER SYSTEM SET max_wal_senders to a higher number, then restart the server' });
  return findings;
}

/** Of managed servers, the role that stands for REPLICATION. */
const standIns = ['rds_replication', 'rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin'];

async function rightFindings(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const [[role, database, replicates, creates]] = await session.query(`
    SELECT quote_ident(current_user), quote_ident(current_database()),
      (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user) OR EXISTS (SELECT FROM pg_roles WHERE rolname = ANY ($1) AND pg_has_role(current_user, oid, 'MEMBER')),
      has_database_privilege(current_database(), 'CREATE')`, signal, [standIns]);
  const denied = { ...error, error: 'denied' } as const, findings: Finding[] = [];
  if (replicates === 'f') findings.push({ ...denied, code: 'no-replication', message: `${role} may not read the source's log`, remedy: `ALTER ROLE ${role} REPLICATION` });
  if (creates === 'f') findings.push({ ...denied, code: 'no-publication', message: `${role} may not make a publication in the database ${database}`, remedy: `GRANT CREATE ON DATABASE ${database} TO ${role}` });
  return findings;
}

/** Of a partitioned table its partitions count: they hold the rows, and their own identity is what is logged. */
const tablesQuery = `
  SELECT n.nspname, c.relname, ln.nspname, l.relname, l.relkind, l.relpersistence, l.relreplident, c.relkind = 'p', pg_has_role(c.relowner, 'USAGE'), quote_ident(current_user),
    (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_index i JOIN pg_attribute a ON a.attrelid = l.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
     WHERE i.indrelid = l.oid AND i.indisvalid AND CASE l.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END),
    (SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
     WHERE i.indrelid = l.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
       AND (SELECT array_agg(a.attname ORDER BY a.attname) FROM pg_attribute a WHERE a.attrelid = l.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND a.attnotnull)
         = (SELECT array_agg(k::name ORDER BY k::name) FROM json_array_elements_text(t.key) k)
     ORDER BY i.indisprimary DESC LIMIT 1)
  FROM json_to_recordset($1::json) t (schema text, name text, key json)
  JOIN pg_namespace n ON n.nspname = t.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
  CROSS JOIN LATERAL (SELECT c.oid WHERE c.relkind <> 'p' UNION ALL SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf AND c.relkind = 'p' AND relid <> c.oid) p (oid)
  JOIN pg_class l ON l.oid = p.oid JOIN pg_namespace ln ON ln.oid = l.relnamespace
  ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", ln.nspname COLLATE "C", l.relname COLLATE "C"`;

async function tableFindings(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<Finding[]> {
  const keys = new Map(shapes.map(({ namespace, columns, key }) => [namespace, key.map((place) => columns[place].name)]));
  const tables = await session.query(tablesQuery, signal, [JSON.stringify(shapes.map(({ schema, name, namespace }) => ({ schema, name, key: keys.get(namespace) })))]);
  const findings = tables.flatMap((table) => tableFinding(table, keys.get(`${table[0]}.${table[1]}`)!));
  const seen = new Set<string>();
  // What is true of a whole table is said once, not for each of its partitions.
  return findings.filter(({ message }) => !seen.has(message) && seen.add(message));
}

function tableFinding([schema, name, leafSchema, leafName, kind, persistence, identity, partitioned, owned, role, columns, index]: TextRow, key: readonly string[]): Finding[] {
  const namespace = `${schema}.${name}`, leaf = `${leafSchema}.${leafName}`;
  const table = qualified({ schema: schema!, name: name! }), part = qualified({ schema: leafSchema!, name: leafName! });
  const findings: Finding[] = [];
  if (owned === 'f') findings.push({ ...error, error: 'denied', namespace, code: 'not-owner', message: `${role} may not publish ${namespace}: it is not its owner`, remedy: `ALTER TABLE ${table} OWNER TO a role that ${role} is a member of` });
  if (persistence === 'u') findings.push({ ...error, namespace, code: 'unlogged', message: `${leaf} is unlogged: its changes are not in the log`, remedy: `ALTER TABLE ${part} SET LOGGED` });
  if (kind === 'f') findings.push({ ...error, namespace, code: 'foreign-partition', message: `the partition ${leaf} is a foreign table: its changes are not in the log`, remedy: `leave ${namespace} out, or copy it without --live` });
  else if (!identified(identity!, columns === null ? [] : JSON.parse(columns) as string[], key)) findings.push(unidentified(identity!, { namespace, leaf, part, key, index }));
  if (partitioned === 't') findings.push({ level: 'warning', namespace, code: 'partitions', message: `TRUNCATE, DETACH and DROP of a single partition of ${namespace} are not in the log: the rows would stay in the destination`, remedy: `while the run is live, take rows out by DELETE, or by TRUNCATE of ${namespace} as a whole` });
  return findings;
}

/** Does the log name the row that an UPDATE or DELETE means? */
function identified(identity: string, columns: readonly string[], key: readonly string[]): boolean {
  return identity === 'f' || (key.length > 0 && key.every((name) => columns.includes(name)));
}

function unidentified(identity: string, { namespace, leaf, part, key, index }: { namespace: string; leaf: string; part: string; key: readonly string[]; index: string | null }): Finding {
  const found = { ...error, namespace, code: 'replica-identity' };
  if (key.length === 0) return { ...found, message: `${leaf} has no key: the log does not say which row an UPDATE or DELETE means`, remedy: `ALTER TABLE ${part} REPLICA IDENTITY FULL` };
  const way = index === null ? 'FULL' : `USING INDEX ${quoted(index)}`;
  const now = identity === 'n' ? 'has REPLICA IDENTITY NOTHING' : `has a replica identity without the key (${list(key)})`;
  return { ...found, message: `${leaf} ${now}: the log does not say which row an UPDATE or DELETE means`, remedy: `ALTER TABLE ${part} REPLICA IDENTITY ${way}` };
}
