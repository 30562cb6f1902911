import type { Finding, Mapping, Shape } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { name, quote, tableName, type Cell, type Session, type Version } from './session.js';
import { withoutTransactions } from './snapshot.js';

const oldest: Record<Version['flavour'], { readonly number: number; readonly text: string }> = {
  mysql: { number: 80_000, text: 'MySQL 8.0' }, mariadb: { number: 100_600, text: 'MariaDB 10.6' },
};
const megabyte = 1 << 20;

export async function checkSource(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Finding[]> {
  return [
    ...versionFindings(session.version),
    ...await proxyFindings(session, signal),
    ...await selectFindings(session, shapes, signal),
    ...await momentFindings(session, shapes, signal),
    ...await logFindings(session, signal),
  ];
}

export async function checkDestination(session: Session, mappings: readonly Mapping[], signal: AbortSignal): Promise<readonly Finding[]> {
  const settings = await variables(session, ['read_only', 'super_read_only', 'innodb_read_only', 'local_infile', 'max_allowed_packet', 'innodb_flush_log_at_trx_commit', 'sync_binlog', 'log_bin', 'lower_case_table_names', 'sql_require_primary_key', 'wsrep_load_data_splitting'], signal);
  return [
    ...versionFindings(session.version),
    ...await proxyFindings(session, signal),
    ...await writableFindings(session, settings, signal),
    ...settingFindings(settings, mappings),
    ...await rightFindings(session, mappings, signal),
    ...await tableFindings(session, mappings, signal),
    ...await spaceFindings(session, mappings, signal),
  ];
}

function versionFindings({ flavour, number, text }: Version): Finding[] {
  const { number: least, text: leastText } = oldest[flavour];
  return number >= least ? [] : [{ level: 'error', code: 'version', message: `${text} is too old: dsync needs ${leastText} or later` }];
}

/** A proxy that spreads one client's statements over several server sessions breaks snapshots, locks and LOAD DATA. */
async function proxyFindings(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const ids = new Set([session.id]);
  for (let i = 0; i < 2; i++) {
    const [[id]] = await session.rows('SELECT CONNECTION_ID()', signal);
    ids.add(Number(id));
  }
  return ids.size === 1 ? [] : [{
    level: 'warning', code: 'proxy', message: 'a proxy stands between dsync and the server and may share sessions: the readers can lose their common moment',
    remedy: 'connect to the server itself, or turn multiplexing off for this user',
  }];
}

async function selectFindings(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const shape of shapes) {
    const unreadable = shape.columns.find((column) => column.name in Object.prototype && column.name.startsWith('__'));
    if (unreadable) {
      findings.push({
        level: 'error', code: 'select', error: 'refused', namespace: shape.namespace, message: `${shape.namespace}.${unreadable.name} can't be read: the driver takes no column of that name`,
        remedy: `leave it out: --columns '${shape.namespace}=-${unreadable.name}'`,
      });
      continue;
    }
    const columns = shape.columns.map((column) => name(column.name)).join(', ');
    const failure = await session.rows(`SELECT ${columns} FROM ${tableName(shape.schema, shape.name)} LIMIT 0`, signal).then(() => undefined, (error: unknown) => error);
    if (!failure) continue;
    if (!(failure instanceof DsyncError && ['denied', 'internal', 'data'].includes(failure.code))) throw failure;
    findings.push({
      level: 'error', code: 'select', error: 'denied', namespace: shape.namespace, message: `${shape.namespace} can't be read: ${messageOf(failure)}`,
      remedy: `GRANT SELECT ON ${tableName(shape.schema, shape.name)} TO ${await currentUser(session, signal)}`,
    });
  }
  return findings;
}

/** Which rung of the lock ladder will do, and what has no snapshot at all. */
async function momentFindings(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<Finding[]> {
  const grants = await grantsOf(session, signal);
  const how = /\b(RELOAD|FLUSH_TABLES|ALL PRIVILEGES)\b.* ON \*\.\*/.test(grants) ? 'FLUSH TABLES WITH READ LOCK, for a moment'
    : /\b(LOCK TABLES|ALL PRIVILEGES)\b/.test(grants) ? 'LOCK TABLES … READ, for a moment' : undefined;
  const unsafe = await withoutTransactions(shapes, session, signal);
  return [
    how ? { level: 'info', code: 'moment', message: `all readers share one moment by ${how}` } : {
      level: 'warning', code: 'moment', message: 'several readers can\'t share one moment: only the closing verification makes the copy exact',
      remedy: `GRANT RELOAD ON *.* TO ${await currentUser(session, signal)}`,
    },
    ...unsafe.map((namespace): Finding => ({
      level: 'warning', code: 'no-snapshot', namespace, message: `the storage engine of ${namespace} has no snapshots: it is only exact if nobody writes to it`,
      remedy: `ALTER TABLE ${namespace.split('.').map(name).join('.')} ENGINE=InnoDB`,
    })),
  ];
}

async function logFindings(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const settings = await variables(session, ['log_bin', 'binlog_format', 'binlog_row_image', 'gtid_mode'], signal);
  if (!isOn(settings.get('log_bin'))) return [{ level: 'info', code: 'binlog', message: 'the binary log is off: changes during the copy could not be followed' }];
  const format = [...settings].filter(([key]) => key !== 'log_bin').map(([key, value]) => `${key} ${value}`).join(', ');
  return [{ level: 'info', code: 'binlog', message: `the binary log is on (${format})` }];
}

async function writableFindings(session: Session, settings: ReadonlyMap<string, string>, signal: AbortSignal): Promise<Finding[]> {
  const grants = await grantsOf(session, signal);
  const exempt = /\b(SUPER|READ_ONLY ADMIN|READ ONLY ADMIN|CONNECTION_ADMIN|ALL PRIVILEGES)\b.* ON \*\.\*/.test(grants) && !isOn(settings.get('super_read_only'));
  const forbidden = isOn(settings.get('innodb_read_only')) || (isOn(settings.get('read_only')) && !exempt);
  return forbidden ? [{ level: 'error', code: 'read-only', error: 'denied', message: 'the server is read-only', remedy: 'use the primary, or SET GLOBAL read_only = OFF' }] : [];
}

function settingFindings(settings: ReadonlyMap<string, string>, mappings: readonly Mapping[]): Finding[] {
  const packet = Number(settings.get('max_allowed_packet'));
  const findings: (Finding | false)[] = [
    !isOn(settings.get('local_infile')) && { level: 'warning', code: 'local-infile', message: 'LOAD DATA LOCAL is off: rows go in by INSERT, which takes about twice as long', remedy: 'SET GLOBAL local_infile = ON' },
    packet < 16 * megabyte && { level: 'warning', code: 'packet', message: `max_allowed_packet is ${packet} bytes: larger values are rejected`, remedy: 'SET GLOBAL max_allowed_packet = 67108864' },
    settings.get('innodb_flush_log_at_trx_commit') !== '1' && { level: 'warning', code: 'durability', message: `innodb_flush_log_at_trx_commit is ${settings.get('innodb_flush_log_at_trx_commit')}: a crash of the server's machine can lose rows that dsync counts as written`, remedy: 'SET GLOBAL innodb_flush_log_at_trx_commit = 1' },
    isOn(settings.get('sql_require_primary_key')) && mappings.some((mapping) => mapping.staged) && {
      level: 'error', code: 'key-required', message: `the server wants a primary key in every table, and there is none in ${mappings.filter((mapping) => mapping.staged).map((mapping) => mapping.source.namespace).join(', ')}`,
      remedy: 'SET GLOBAL sql_require_primary_key = OFF, or leave the tables out (--exclude)',
    },
    isOn(settings.get('wsrep_load_data_splitting')) && {
      level: 'error', code: 'load-splitting', message: 'the cluster commits parts of a LOAD DATA: an interrupted batch could come in halves', remedy: 'SET GLOBAL wsrep_load_data_splitting = OFF',
    },
    settings.get('lower_case_table_names') !== '0' && nameClash(mappings),
  ];
  return findings.filter((finding) => finding !== false);
}

function nameClash(mappings: readonly Mapping[]): Finding | false {
  const seen = new Set<string>();
  const twice = mappings.find(({ target }) => seen.has(target.namespace.toLowerCase()) || !seen.add(target.namespace.toLowerCase()));
  return twice !== undefined && {
    level: 'error', code: 'names', error: 'usage', namespace: twice.source.namespace,
    message: `the server does not tell table names apart by letter case, and ${twice.target.namespace} would be there twice`, remedy: 'rename one: --namespace NAMESPACE:TARGET',
  };
}

const needed = ['CREATE', 'INSERT', 'UPDATE', 'DELETE', 'SELECT', 'DROP', 'ALTER', 'CREATE TEMPORARY TABLES'];

/** Grants by roles or patterns can't all be told: only a user with no such grant at all is warned. */
async function rightFindings(session: Session, mappings: readonly Mapping[], signal: AbortSignal): Promise<Finding[]> {
  const grants = await grantsOf(session, signal);
  const missing = /ALL PRIVILEGES|GRANT (?!USAGE)`/.test(grants) ? [] : needed.filter((right) => !new RegExp(`\\b${right}\\b`).test(grants));
  const schema = mappings[0]?.target.schema;
  return missing.length === 0 ? [] : [{
    level: 'warning', code: 'rights', message: `the user seems to lack ${missing.join(', ')}`,
    remedy: `GRANT ${missing.join(', ')} ON ${schema === undefined ? '*' : name(schema)}.* TO ${await currentUser(session, signal)}`,
  }];
}

async function tableFindings(session: Session, mappings: readonly Mapping[], signal: AbortSignal): Promise<Finding[]> {
  const existing = mappings.filter((mapping) => mapping.existed);
  if (existing.length === 0) return [];
  const schemas = [...new Set(existing.map((mapping) => mapping.target.schema ?? ''))].map(quote).join(', ');
  const triggers = await session.rows(`SELECT event_object_schema, event_object_table, GROUP_CONCAT(trigger_name) FROM information_schema.triggers WHERE event_object_schema IN (${schemas}) GROUP BY 1, 2`, signal);
  const unsafe = await withoutTransactions(existing.map((mapping) => mapping.target), session, signal);
  return existing.flatMap(({ source, target }): Finding[] => {
    const own = triggers.find(([schema, table]: readonly Cell[]) => schema === target.schema && table === target.name);
    return [
      ...(own ? [{ level: 'warning', code: 'triggers', namespace: source.namespace, message: `${target.namespace} has triggers that will run for each row: ${own[2]}` } as const] : []),
      ...(unsafe.includes(target.namespace) ? [{ level: 'warning', code: 'no-transactions', namespace: source.namespace, message: `the storage engine of ${target.namespace} has no transactions: rows are upserted by key`, remedy: `ALTER TABLE ${tableName(target.schema, target.name)} ENGINE=InnoDB` } as const] : []),
    ];
  });
}

/** Only MariaDB's DISKS plugin tells of free space. */
async function spaceFindings(session: Session, mappings: readonly Mapping[], signal: AbortSignal): Promise<Finding[]> {
  const wanted = mappings.reduce((sum, { source }) => sum + (source.estimatedBytes ?? 0), 0);
  const rows = await session.rows('SELECT Available * 1024 FROM information_schema.DISKS WHERE @@datadir LIKE CONCAT(Path, \'%\') ORDER BY LENGTH(Path) DESC LIMIT 1', signal).catch((error: unknown) => {
    if (error instanceof DsyncError && error.code === 'connection-lost') throw error;
    return [];
  });
  const free = rows[0]?.[0];
  return free && Number(free) < wanted * 1.5 ? [{
    level: 'warning', code: 'space', message: `the server has ${Math.round(Number(free) / megabyte)} MB of free space, and the source holds about ${Math.round(wanted / megabyte)} MB`,
  }] : [];
}

export async function variables(session: Session, names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const rows = await session.rows(`SHOW VARIABLES WHERE Variable_name IN (${names.map(quote).join(', ')})`, signal);
  return new Map(rows.map(([key, value]) => [key!, value!]));
}

export function isOn(value: string | undefined): boolean {
  return value === 'ON' || value === '1';
}

export async function grantsOf(session: Session, signal: AbortSignal): Promise<string> {
  return (await session.rows('SHOW GRANTS', signal)).map(([grant]) => grant).join('\n');
}

export async function currentUser(session: Session, signal: AbortSignal): Promise<string> {
  const [[user]] = await session.rows('SELECT CURRENT_USER()', signal);
  return user!.split('@').map(quote).join('@');
}
