import type { Finding, Mapping, Shape } from '../../contract.js';
import type { Session, TextRow } from './session.js';
import { qualified, quoted } from './sql.js';

/** May every table be read, whole? */
export async function checkSource(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Finding[]> {
  const [[role]] = await session.query('SELECT quote_ident(current_user)', signal);
  const tables = await session.query(`
    SELECT n.nspname, c.relname, has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'), row_security_active(c.oid), c.relispopulated
    FROM json_to_recordset($1::json) t (schema text, name text) JOIN pg_namespace n ON n.nspname = t.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name`,
  signal, [JSON.stringify(shapes.map(({ schema, name }) => ({ schema, name })))]);
  return [...await poolerFindings(session, signal), ...await recoveryFindings(session, signal), ...tables.flatMap((table) => unreadable(table, role!))];
}

function unreadable([schema, name, enters, selects, filtered, filled]: TextRow, role: string): Finding[] {
  const namespace = `${schema}.${name}`, error = { level: 'error', error: 'denied', namespace } as const;
  if (enters === 'f') return [{ ...error, code: 'no-usage', message: `${role} may not use the schema ${schema}`, remedy: `GRANT USAGE ON SCHEMA ${quoted(schema!)} TO ${role}` }];
  if (selects === 'f') return [{ ...error, code: 'no-select', message: `${role} may not read ${namespace}`, remedy: `GRANT SELECT ON ${qualified({ schema: schema!, name: name! })} TO ${role}` }];
  if (filled === 'f') return [{ level: 'error', code: 'not-filled', namespace, message: `the materialized view ${namespace} was never filled`, remedy: `REFRESH MATERIALIZED VIEW ${qualified({ schema: schema!, name: name! })}` }];
  if (filtered === 't') return [{ ...error, code: 'row-security', message: `row-level security hides rows of ${namespace} from ${role}`, remedy: `ALTER ROLE ${role} BYPASSRLS` }];
  return [];
}

async function poolerFindings(session: Session, signal: AbortSignal): Promise<Finding[]> {
  if (await session.isDirect(signal)) return [];
  return [{
    level: 'warning', code: 'pooler', message: 'a connection pooler stands in front of the server: one that shares sessions between clients breaks snapshots and settings',
    remedy: 'connect to the server itself (often another port), or use the pooler\'s session mode',
  }];
}

/** On a standby, replayed changes cancel reads that take long. */
async function recoveryFindings(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const [[standby, delay, feedback]] = await session.query("SELECT pg_is_in_recovery(), current_setting('max_standby_streaming_delay'), current_setting('hot_standby_feedback')", signal);
  if (standby === 'f' || delay === '-1' || feedback === 'on') return [];
  return [{
    level: 'warning', code: 'standby-conflicts', message: `the source is a standby that cancels reads which hold back replay for more than ${delay}`,
    remedy: 'ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf()',
  }];
}

/** May the tables be made and written, durably, and what would other clients' triggers do? */
export async function checkDestination(session: Session, mappings: readonly Mapping[], connections: number, signal: AbortSignal): Promise<readonly Finding[]> {
  const readOnly = await readOnlyFindings(session, signal);
  if (readOnly.length > 0) return readOnly;
  return [
    ...await poolerFindings(session, signal), ...await settingFindings(session, connections, signal),
    ...await databaseFindings(session, mappings, signal), ...await tableFindings(session, mappings, signal),
  ];
}

async function readOnlyFindings(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const [[standby, readOnly, database]] = await session.query("SELECT pg_is_in_recovery(), current_setting('transaction_read_only'), quote_ident(current_database())", signal);
  const error = { level: 'error', code: 'read-only', error: 'denied' } as const;
  if (standby === 't') return [{ ...error, message: 'the destination is a standby: it takes no writes', remedy: 'connect to the primary, or SELECT pg_promote()' }];
  if (readOnly === 'on') return [{ ...error, message: 'the destination is read-only (default_transaction_read_only = on)', remedy: `ALTER DATABASE ${database} SET default_transaction_read_only = off` }];
  return [];
}

async function settingFindings(session: Session, connections: number, signal: AbortSignal): Promise<Finding[]> {
  const [[fsync, fullPages, free]] = await session.query(`
    SELECT current_setting('fsync'), current_setting('full_page_writes'),
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')`, signal);
  const findings: Finding[] = [];
  if (fsync === 'off') findings.push({ level: 'warning', code: 'fsync-off', message: 'fsync is off: what dsync calls durable does not survive a crash of the machine', remedy: 'ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf()' });
  if (fullPages === 'off') findings.push({ level: 'warning', code: 'full-page-writes-off', message: 'full_page_writes is off: a crash of the machine can tear pages', remedy: 'ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf()' });
  if (Number(free) < connections) findings.push({ level: 'warning', code: 'few-connections', message: `only ${free} more connections are free, and dsync wants up to ${connections}`, remedy: `ALTER SYSTEM SET max_connections = ${Number(free) + connections + 100} and restart the server, or lower --concurrency` });
  return findings;
}

async function databaseFindings(session: Session, mappings: readonly Mapping[], signal: AbortSignal): Promise<Finding[]> {
  const [[role, database, creates, temporary, own]] = await session.query(`
    SELECT quote_ident(current_user), quote_ident(current_database()), has_database_privilege(current_database(), 'CREATE'), has_database_privilege(current_database(), 'TEMPORARY'),
      coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = '_dsync'), false)`, signal);
  const wanted = [...new Set(mappings.filter(({ existed, staged }) => !existed || staged).map(({ target }) => target.schema!))];
  const schemas = await session.query(`SELECT n.nspname, has_schema_privilege(n.oid, 'CREATE') FROM pg_namespace n WHERE n.nspname = ANY ($1)`, signal, [wanted]);
  const error = { level: 'error', error: 'denied' } as const;
  const missing = wanted.filter((name) => !schemas.some(([schema]) => schema === name));
  const findings: Finding[] = schemas.filter(([, may]) => may === 'f').map(([schema]) => ({ ...error, code: 'no-create', message: `${role} may not create tables in the schema ${schema}`, remedy: `GRANT USAGE, CREATE ON SCHEMA ${quoted(schema!)} TO ${role}` }));
  if (creates === 'f' && (own === 'f' || missing.length > 0)) findings.push({ ...error, code: 'no-create-schema', message: `${role} may not create schemas (${[...(own === 'f' ? ['_dsync'] : []), ...missing].join(', ')})`, remedy: `GRANT CREATE ON DATABASE ${database} TO ${role}` });
  if (temporary === 'f') findings.push({ ...error, code: 'no-temporary', message: `${role} may not create temporary tables, which resuming needs`, remedy: `GRANT TEMPORARY ON DATABASE ${database} TO ${role}` });
  return findings;
}

async function tableFindings(session: Session, mappings: readonly Mapping[], signal: AbortSignal): Promise<Finding[]> {
  const targets = mappings.filter(({ existed }) => existed).map(({ target: { schema, name } }) => ({ schema, name }));
  const tables = await session.query(`
    SELECT n.nspname, c.relname, quote_ident(current_user), (SELECT string_agg(p, ', ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p WHERE NOT has_table_privilege(c.oid, p)),
      EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgenabled <> 'D'), row_security_active(c.oid),
      (SELECT string_agg(quote_ident(k.conname), ', ') FROM pg_constraint k WHERE k.conrelid = c.oid AND k.condeferrable AND k.contype IN ('u', 'x'))
    FROM json_to_recordset($1::json) t (schema text, name text) JOIN pg_namespace n ON n.nspname = t.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name`,
  signal, [JSON.stringify(targets)]);
  return tables.flatMap((table) => tableFinding(table, session.replicaRole));
}

function tableFinding([schema, name, role, lacking, triggers, filtered, deferred]: TextRow, replicaRole: boolean): Finding[] {
  const namespace = `${schema}.${name}`, table = qualified({ schema: schema!, name: name! });
  const findings: Finding[] = [];
  if (lacking !== null) findings.push({ level: 'error', error: 'denied', code: 'no-write', namespace, message: `${role} lacks ${lacking} on ${namespace}`, remedy: `GRANT ${lacking} ON ${table} TO ${role}` });
  if (filtered === 't') findings.push({ level: 'error', error: 'denied', code: 'row-security', namespace, message: `row-level security of ${namespace} stands in the way of COPY`, remedy: `ALTER ROLE ${role} BYPASSRLS` });
  if (triggers === 't' && !replicaRole) findings.push({ level: 'warning', code: 'triggers-fire', namespace, message: `triggers and foreign keys of ${namespace} act on every row that dsync writes`, remedy: `GRANT SET ON PARAMETER session_replication_role TO ${role}` });
  if (deferred !== null && replicaRole) findings.push({ level: 'warning', code: 'deferred-unique', namespace, message: `the deferrable constraints ${deferred} of ${namespace} are not checked while dsync writes`, remedy: `after the copy: ALTER TABLE ${table} DROP CONSTRAINT …, ADD CONSTRAINT … UNIQUE (…)` });
  return findings;
}

