import type { Finding, Shape } from '../../contract.js';
import { givenFindings, publicationSql } from './given.js';
import type { Keeping } from './pin.js';
import type { Session, TextRow } from './session.js';
import { list, qualified, quoted } from './sql.js';

/** May the changes of these tables be followed, all of them? */
export async function checkLog(session: Session, shapes: readonly Shape[], keeping: Keeping, signal: AbortSignal): Promise<readonly Finding[]> {
  const [[standby]] = await session.query('SELECT pg_is_in_recovery()', signal), onStandby = standby === 't';
  return [
    ...await serverFindings(session, signal), ...(onStandby ? await standbyFindings(session, shapes, keeping, signal) : await primaryFindings(session, keeping, signal)),
    ...await rightFindings(session, { publishes: keeping.ownPublication && !onStandby, beats: !onStandby }, signal),
    ...await givenFindings(session, shapes, keeping, signal), ...await tableFindings(session, shapes, keeping.ownPublication, signal),
  ];
}

const error = { level: 'error' } as const;

async function serverFindings(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const [[level, slots, senders]] = await session.query(`
    SELECT current_setting('wal_level'), current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),
      current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender')`, signal);
  const findings: Finding[] = [];
  if (level !== 'logical') findings.push({ ...error, code: 'wal-level', message: `the source's log does not tell rows apart (wal_level = ${level})`, remedy: 'ALTER SYSTEM SET wal_level = logical, then restart the server' });
  if (Number(slots) < 1) findings.push({ ...error, code: 'no-slot', message: 'the source has no replication slot left', remedy: 'ALTER SYSTEM SET max_replication_slots to a higher number, then restart the server; or drop a slot that nobody uses: SELECT slot_name FROM pg_replication_slots WHERE NOT active' });
  if (Number(senders) < 1) findings.push({ ...error, code: 'no-wal-sender', message: 'the source has no connection for replication left', remedy: 'ALTER SYSTEM SET max_wal_senders to a higher number, then restart the server' });
  return findings;
}

/** Before 16 a standby decodes nothing. What is made must be made on its primary, where dsync has no connection. */
async function standbyFindings(session: Session, shapes: readonly Shape[], { ownPublication, failover }: Keeping, signal: AbortSignal): Promise<Finding[]> {
  if (session.versionNumber < 160000) return [{ ...error, code: 'log-on-standby', message: `the source is a standby, and PostgreSQL ${session.version} tells its changes on the primary only`, remedy: 'connect to the primary, or to a standby of 16 or later' }];
  const [[feedback, slot]] = await session.query("SELECT current_setting('hot_standby_feedback'), current_setting('primary_slot_name')", signal), findings: Finding[] = [];
  if (ownPublication) findings.push({ ...error, code: 'publication-on-standby', message: 'the source is a standby, where no publication can be made: one of its primary must be given', remedy: `on the primary: ${publicationSql('dsync', shapes)}; then --publication dsync` });
  else findings.push({ level: 'info', code: 'standby', message: 'the log is read from a standby: its slot is made when the primary next logs which transactions are under way, and moves as the primary writes', remedy: 'if dsync waits for its slot, on the primary: SELECT pg_log_standby_snapshot()' });
  if (failover) findings.push({ ...error, error: 'usage', code: 'failover-slot', message: 'the slot of a standby is not taken over by another one', remedy: 'leave out --failover-slot, or connect to the primary' });
  if (feedback === 'off' || slot === '') findings.push({ level: 'warning', code: 'standby-feedback', message: 'the primary does not know what this standby still needs: its vacuum may invalidate the slot', remedy: 'ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf(); and set primary_slot_name to a physical slot of the primary' });
  return findings;
}

async function primaryFindings(session: Session, { ownSlot, failover }: Keeping, signal: AbortSignal): Promise<Finding[]> {
  const [[keep, idle, standbys]] = await session.query("SELECT current_setting('max_slot_wal_keep_size'), coalesce(current_setting('idle_replication_slot_timeout', true), '0'), coalesce(current_setting('synchronized_standby_slots', true), '')", signal), findings: Finding[] = [];
  if (keep !== '-1') findings.push({ level: 'info', code: 'wal-keep', message: `the server gives a run's slot up once it holds back more than ${keep} of its log (max_slot_wal_keep_size)`, remedy: 'ALTER SYSTEM SET max_slot_wal_keep_size to what the disk can bear; SELECT pg_reload_conf()' });
  if (!/^0/.test(idle!)) findings.push({ level: 'warning', code: 'idle-slot', message: `the server gives a run's slot up when the run is stopped for longer than ${idle} (idle_replication_slot_timeout)`, remedy: 'ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf()' });
  if (failover && session.versionNumber < 170000) findings.push({ ...error, error: 'usage', code: 'failover-slot', message: `PostgreSQL ${session.version} has no slots that standbys take over: 17 and later do`, remedy: 'leave out --failover-slot' });
  if (failover && !ownSlot) findings.push({ ...error, error: 'usage', code: 'failover-slot', message: '--failover-slot is for the slot that dsync makes, not for one that is given', remedy: 'leave out one of --slot and --failover-slot' });
  if (ownSlot && standbys !== '') findings.push({ level: 'info', code: 'failover', message: `standbys take the slot over: the server names some that it waits for (synchronized_standby_slots = ${standbys})` });
  return findings;
}

/** Of managed servers, the role that stands for REPLICATION. */
const standIns = ['rds_replication', 'rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin'];

async function rightFindings(session: Session, { publishes, beats }: { readonly publishes: boolean; readonly beats: boolean }, signal: AbortSignal): Promise<Finding[]> {
  const [[role, database, replicates, creates, emits, emitter]] = await session.query(`
    SELECT quote_ident(current_user), quote_ident(current_database()),
      (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user) OR EXISTS (SELECT FROM pg_roles WHERE rolname = ANY ($1) AND pg_has_role(current_user, oid, 'MEMBER')),
      has_database_privilege(current_database(), 'CREATE'), has_function_privilege(f.oid, 'EXECUTE'), f.oid::regprocedure
    FROM pg_proc f WHERE f.pronamespace = 'pg_catalog'::regnamespace AND f.proname = 'pg_logical_emit_message' AND f.proargtypes[2] = 'text'::regtype`, signal, [standIns]);
  const denied = { ...error, error: 'denied' } as const, findings: Finding[] = [];
  if (replicates === 'f') findings.push({ ...denied, code: 'no-replication', message: `${role} may not read the source's log`, remedy: `ALTER ROLE ${role} REPLICATION` });
  if (publishes && creates === 'f') findings.push({ ...denied, code: 'no-publication', message: `${role} may not make a publication in the database ${database}`, remedy: `GRANT CREATE ON DATABASE ${database} TO ${role}` });
  if (beats && emits === 'f') findings.push({ level: 'warning', code: 'no-heartbeat', message: `${role} may not write marks into the log: while no other client commits anything in ${database}, the slot may hold back what other databases write`, remedy: `GRANT EXECUTE ON FUNCTION ${emitter} TO ${role}` });
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

async function tableFindings(session: Session, shapes: readonly Shape[], publishes: boolean, signal: AbortSignal): Promise<Finding[]> {
  const keys = new Map(shapes.map(({ namespace, columns, key }) => [namespace, key.map((place) => columns[place].name)]));
  const tables = await session.query(tablesQuery, signal, [JSON.stringify(shapes.map(({ schema, name, namespace }) => ({ schema, name, key: keys.get(namespace) })))]);
  const findings = tables.flatMap((table) => tableFinding(table, keys.get(`${table[0]}.${table[1]}`)!, publishes));
  const seen = new Set<string>();
  // What is true of a whole table is said once, not for each of its partitions.
  return findings.filter(({ message }) => !seen.has(message) && seen.add(message));
}

function tableFinding([schema, name, leafSchema, leafName, kind, persistence, identity, partitioned, owned, role, columns, index]: TextRow, key: readonly string[], publishes: boolean): Finding[] {
  const namespace = `${schema}.${name}`, leaf = `${leafSchema}.${leafName}`;
  const table = qualified({ schema: schema!, name: name! }), part = qualified({ schema: leafSchema!, name: leafName! });
  const findings: Finding[] = [];
  if (publishes && owned === 'f') findings.push({ ...error, error: 'denied', namespace, code: 'not-owner', message: `${role} may not publish ${namespace}: it is not its owner`, remedy: `ALTER TABLE ${table} OWNER TO a role that ${role} is a member of` });
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
