import type { Finding, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { currentUser, grantsOf, isOn, variables } from './check.js';
import { isDecodable } from './charsets.js';
import { errnoOf } from './faults.js';
import { quote, tableName, type Session } from './session.js';
import { withoutTransactions } from './snapshot.js';

const settingNames = [
  'log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_value_options', 'binlog_transaction_compression', 'log_bin_compress',
  'binlog_expire_logs_seconds', 'expire_logs_days', 'gtid_mode',
];

/** MySQL's answer to `XA RECOVER` without XA_RECOVER_ADMIN. */
const notAllowed = 1401;

/** What following the binary log needs, and what it can't tell. */
export async function checkLog(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Finding[]> {
  const settings = await variables(session, settingNames, signal);
  return [
    ...settingFindings(settings),
    ...await rightFindings(session, signal),
    ...expiryFindings(settings),
    ...await cascadeFindings(session, shapes, signal),
    ...await storageFindings(session, shapes, signal),
    ...shapes.flatMap(keyFindings),
    ...await preparedFindings(session, signal),
  ];
}

function settingFindings(settings: ReadonlyMap<string, string>): Finding[] {
  const wrong = (code: string, message: string, remedy: string): Finding => ({ level: 'error', code, message, remedy });
  if (!isOn(settings.get('log_bin'))) return [wrong('binlog', 'the binary log is off: changes can\'t be followed', 'start the server with log_bin=binlog and a server_id (MariaDB: log_bin, server_id)')];
  const compression = isOn(settings.get('binlog_transaction_compression')) ? 'binlog_transaction_compression' : isOn(settings.get('log_bin_compress')) ? 'log_bin_compress' : undefined;
  const findings: (Finding | false)[] = [
    settings.get('binlog_format') !== undefined && settings.get('binlog_format') !== 'ROW' && wrong('binlog-format', `binlog_format is ${settings.get('binlog_format')}: the log does not tell each row`, 'SET GLOBAL binlog_format = ROW, and let all clients connect again'),
    settings.get('binlog_row_image') !== 'FULL' && wrong('row-image', `binlog_row_image is ${settings.get('binlog_row_image')}: the log does not tell whole rows`, 'SET GLOBAL binlog_row_image = FULL, and let all clients connect again'),
    /PARTIAL_JSON/i.test(settings.get('binlog_row_value_options') ?? '') && wrong('partial-json', 'binlog_row_value_options is PARTIAL_JSON: the log tells parts of JSON values', "SET GLOBAL binlog_row_value_options = '', and let all clients connect again"),
    compression !== undefined && wrong('compression', `${compression} is on: dsync does not read compressed transactions`, `SET GLOBAL ${compression} = OFF, and let all clients connect again`),
    { level: 'info', code: 'positions', message: settings.has('gtid_mode') && settings.get('gtid_mode') !== 'ON' ? 'the server counts no GTIDs: the log is followed by file and offset, on this very server' : 'the log is followed by GTID' },
  ];
  return findings.filter((finding) => finding !== false);
}

async function rightFindings(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const grants = await grantsOf(session, signal);
  const client = session.version.flavour === 'mariadb' ? ['BINLOG MONITOR', 'REPLICATION CLIENT'] : ['REPLICATION CLIENT'];
  const has = (rights: readonly string[]) => new RegExp(`\\b(ALL PRIVILEGES|SUPER|${rights.join('|')})\\b.* ON \\*\\.\\*`).test(grants);
  const missing = [...(has(['REPLICATION SLAVE', 'REPLICATION REPLICA']) ? [] : ['REPLICATION SLAVE']), ...(has(client) ? [] : [client[0]])];
  return missing.length === 0 ? [] : [{
    level: 'error', code: 'log-rights', error: 'denied', message: `the user lacks ${missing.join(' and ')}, without which the binary log can't be read`,
    remedy: `GRANT ${missing.join(', ')} ON *.* TO ${await currentUser(session, signal)}`,
  }];
}

function expiryFindings(settings: ReadonlyMap<string, string>): Finding[] {
  const seconds = Number(settings.get('binlog_expire_logs_seconds') ?? 0) || Number(settings.get('expire_logs_days') ?? 0) * 86_400;
  return seconds === 0 ? [] : [{
    level: seconds < 86_400 ? 'warning' : 'info', code: 'log-expiry', message: `the server removes its binary logs after ${Math.round(seconds / 360) / 10} h, whether dsync has read them or not`,
    remedy: 'SET GLOBAL binlog_expire_logs_seconds = 604800',
  }];
}

/** InnoDB deletes and updates rows by itself there, and the log does not tell. */
async function cascadeFindings(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<Finding[]> {
  if (shapes.length === 0) return [];
  const schemas = [...new Set(shapes.map((shape) => shape.schema ?? ''))].map(quote).join(', ');
  const rows = await session.rows(`SELECT constraint_schema, table_name, constraint_name, delete_rule, update_rule FROM information_schema.referential_constraints
    WHERE constraint_schema IN (${schemas}) AND (delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT')) ORDER BY 1, 2, 3`, signal);
  return rows.flatMap(([schema, table, constraint, onDelete, onUpdate]): Finding[] => {
    const shape = shapes.find((one) => one.schema === schema && one.name === table);
    return shape ? [{
      level: 'warning', code: 'cascade', namespace: shape.namespace, message: `${shape.namespace}: the foreign key ${constraint} changes rows by itself (ON DELETE ${onDelete}, ON UPDATE ${onUpdate}), and the binary log may not tell of it`,
      remedy: 'give the destination\'s table the same foreign key, or verify and mend after changes of the referenced keys',
    }] : [];
  });
}

async function storageFindings(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<Finding[]> {
  return (await withoutTransactions(shapes, session, signal)).map((namespace): Finding => ({
    level: 'error', code: 'no-transactions', namespace, message: `the storage engine of ${namespace} has no transactions: its log has no exact beginning`,
    remedy: `ALTER TABLE ${namespace.split('.').map((part) => `\`${part}\``).join('.')} ENGINE=InnoDB, or leave the table out (--exclude)`,
  }));
}

/** A JSON value, and text that only the server decodes, is looked up in the table, by its key. */
function keyFindings(shape: Shape): Finding[] {
  const looked = [...shape.columns.keys()].filter((i) => shape.columns[i].type.kind === 'json-value' || !isDecodable(shape.columns[i].native)), names = looked.map((i) => shape.columns[i].name).join(', ');
  return looked.length === 0 || (shape.key.length > 0 && !shape.key.some((i) => looked.includes(i))) ? [] : [{
    level: 'error', code: 'json-key', namespace: shape.namespace, message: `${shape.namespace} has columns that the log does not tell as the table does (${names}: JSON, or text in gb18030), and no key without them to look them up by`,
    remedy: `ALTER TABLE ${tableName(shape.schema, shape.name)} ADD PRIMARY KEY …, or leave the table out (--exclude)`,
  }];
}

/** Their rows are logged already, and come to be when they are committed. Who may not look is told by the log, if it happens. */
async function preparedFindings(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const prepared = await session.rows('XA RECOVER', signal).catch((error: unknown) => {
    if ((error instanceof DsyncError && error.code === 'denied') || errnoOf(error) === notAllowed) return [];
    throw error;
  });
  return prepared.length === 0 ? [] : [{
    level: 'error', code: 'prepared', message: `${prepared.length} XA transaction(s) are prepared: their rows are in the log already, and in no snapshot yet`, remedy: 'XA COMMIT or XA ROLLBACK them (XA RECOVER lists them)',
  }];
}
