import { DsyncError, messageOf, type ErrorCode } from '../../errors.js';

/** What mysql2 throws. */
interface DriverError { readonly code?: string; readonly errno?: number; readonly sqlState?: string; readonly sqlMessage?: string; readonly fatal?: boolean }

const byNumber: ReadonlyMap<number, ErrorCode> = new Map([
  ...numbers('conflict', [1205, 1213, 3572, 1020]),
  ...numbers('denied', [1044, 1045, 1095, 1130, 1142, 1143, 1227, 1275, 1290, 1370, 1410, 1698, 1792, 1820, 1836, 1862, 3118, 3159, 4151]),
  ...numbers('disk-full', [3, 1021, 1026, 1114, 3675]),
  ...numbers('connection-lost', [1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 3169, 4031]),
  // A table that was altered is not in an older snapshot.
  ...numbers('source-lost', [1412]),
  ...numbers('unreachable', [1040, 1049, 1203, 1226, 1129]),
  ...numbers('data', [
    1048, 1062, 1136, 1153, 1261, 1262, 1263, 1264, 1265, 1292, 1300, 1301, 1364, 1366, 1367, 1406, 1411, 1416, 1441, 1451, 1452,
    1525, 1526, 1644, 1690, 3037, 3140, 3141, 3144, 3145, 3146, 3147, 3156, 3157, 3158, 3516, 3548, 3617, 3618, 3643, 3732, 3819,
    3854, 3903, 4025, 4078,
  ]),
]);

const networkCodes = new Set(['PROTOCOL_CONNECTION_LOST', 'ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT', 'PROTOCOL_SEQUENCE_TIMEOUT', 'ENOTCONN']);
const connectCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOENT', 'EACCES', 'HANDSHAKE_NO_SSL_SUPPORT', 'HANDSHAKE_SSL_ERROR']);

/** The driver's error in dsync's words. `where`: `root@127.0.0.1:3306`. A `DsyncError` passes as it is. */
export function classified(error: unknown, where: string): DsyncError {
  if (error instanceof DsyncError) return error;
  const { errno, sqlMessage } = error as DriverError;
  const code = codeOf(error as DriverError);
  const number = errno !== undefined && errno > 0 ? ` (${errno})` : '';
  return new DsyncError(code, `${where}: ${sqlMessage ?? messageOf(error)}${number}`, { cause: error, remedy: remedyOf(error as DriverError) });
}

/** An error while a connection was being made: what is lost then was never reached. */
export function whileConnecting(error: unknown, where: string): DsyncError {
  const known = classified(error, where);
  return known.code === 'denied' ? known : new DsyncError('unreachable', known.message, { cause: known.cause, remedy: known.remedy });
}

/** For connecting again: a server that was there before, and can't be reached now, is lost and may come back. */
export function lostAs(code: 'source-lost' | 'connection-lost'): (error: unknown) => never {
  return (error) => {
    const answered = (errnoOf(error) ?? 0) > 0;
    if (!(error instanceof DsyncError && error.code === 'unreachable') || answered) throw error;
    throw new DsyncError(code, error.message, { cause: error.cause, remedy: error.remedy });
  };
}

export function errnoOf(error: unknown): number | undefined {
  const cause = error instanceof DsyncError ? error.cause : error;
  return (cause as DriverError | undefined)?.errno;
}

function codeOf(error: DriverError): ErrorCode {
  if (error.code !== undefined && connectCodes.has(error.code)) return 'unreachable';
  if (error.code !== undefined && networkCodes.has(error.code)) return 'connection-lost';
  const known = byNumber.get(error.errno ?? 0);
  if (known) return known;
  if (/errno: 28|error 28\b|no space left|disk full/i.test(error.sqlMessage ?? '')) return 'disk-full';
  if (/^(22|23)/.test(error.sqlState ?? '')) return 'data';
  return error.fatal || /closed state/.test(messageOf(error)) ? 'connection-lost' : 'internal';
}

function remedyOf({ errno, code }: DriverError): string | undefined {
  switch (errno) {
    case 1040: case 1203: case 1226: return 'use fewer connections (--concurrency) or raise max_connections';
    case 1045: return 'check the user and the password; a password may also stand in MYSQL_PWD';
    case 1049: return 'create the database first: CREATE DATABASE … CHARACTER SET utf8mb4';
    case 1290: case 1836: return 'the server is read-only: use the primary, or SET GLOBAL read_only = OFF';
    case 3159: return 'add ?ssl-mode=REQUIRED to the URL';
    default: return code === 'HANDSHAKE_NO_SSL_SUPPORT' ? 'the server has no TLS: add ?ssl-mode=DISABLED to the URL, or turn TLS on' : undefined;
  }
}

function numbers(code: ErrorCode, list: readonly number[]): [number, ErrorCode][] {
  return list.map((number) => [number, code]);
}
