import { DsyncError, messageOf, type ErrorCode } from '../../errors.js';
import type { Login } from './login.js';

export type Role = 'source' | 'destination';

/** What the server says of an error, as `pg` hands it on. */
export interface ServerError { readonly code: string; readonly message: string; readonly detail?: string; readonly where?: string; readonly schema?: string; readonly table?: string }

/** The server's own error behind a DsyncError, if there is one. */
export function serverError(error: unknown): ServerError | undefined {
  const cause = error instanceof DsyncError ? error.cause : error;
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && 'severity' in (cause as object) ? cause as ServerError : undefined;
}

/** A value or a row that the table can't hold, whatever the batch it came in: 54000 is an index entry that is too large. */
export function isAboutRows(error: unknown): boolean {
  const { code = '', schema } = serverError(error) ?? {};
  return schema !== '_dsync' && (/^2[23]/.test(code) || code === '21000' || code === '54000' || code === '44000');
}

/** The driver's error as the core understands it. With `login` it befell a connection that was being opened. */
export function classified(error: unknown, role: Role, signal: AbortSignal, login?: Login): DsyncError {
  if (error instanceof DsyncError) return error;
  if (signal.aborted) return new DsyncError('interrupted', 'stopped on request', { cause: error, retryable: false });
  if (login) return notConnected(error, role, login);
  const said = serverError(error);
  if (!said) return lost(error, role, /[Cc]onnection|ECONN|EPIPE|ETIMEDOUT|socket/.test(`${messageOf(error)} ${(error as { code?: string }).code}`));
  const code = codeOf(said, role);
  return new DsyncError(code, told(said, role), { cause: error, remedy: remedyFor(said, role) });
}

function codeOf({ code, message }: ServerError, role: Role): ErrorCode {
  const gone = role === 'source' ? 'source-lost' : 'connection-lost';
  if (/^(08|57P0[1-5]$)/.test(code)) return gone;
  if (code === '53100' || /No space left/.test(message)) return 'disk-full';
  if (code === '42501' || code === '25006' || /^28/.test(code)) return 'denied';
  if (role === 'source' && (/^40/.test(code) || code === '57014' || /snapshot/.test(message))) return 'source-lost';
  if (/^40/.test(code) || code === '55P03') return 'conflict';
  if (/^(2[23]|44)/.test(code) || code === '54000' || code === '21000') return 'data';
  return 'internal';
}

function remedyFor({ code, message }: ServerError, role: Role): string | undefined {
  if (role === 'source' && /conflict with recovery/.test(message)) return 'set max_standby_streaming_delay = -1 or hot_standby_feedback = on on the standby, or read from the primary';
  if (role === 'source' && /row-level security/.test(message)) return 'connect as the tables\' owner or as a role with BYPASSRLS: row-level security would hide rows';
  if (code === '53100') return 'make room on the destination\'s disk, then go on with dsync resume';
  return undefined;
}

function told({ code, message, detail, where }: ServerError, role: Role): string {
  const place = where?.split('\n').at(-1);
  return `the ${role} says: ${message}${detail ? ` (${detail})` : ''}${place ? `; ${place.slice(0, 200)}` : ''} [${code}]`;
}

function lost(error: unknown, role: Role, isConnection: boolean): DsyncError {
  if (!isConnection) return new DsyncError('internal', messageOf(error), { cause: error });
  const what = role === 'source' ? 'the source\'s snapshot is gone: its connection was lost' : 'the connection to the destination was lost';
  return new DsyncError(role === 'source' ? 'source-lost' : 'connection-lost', `${what} (${messageOf(error)})`, { cause: error });
}

function notConnected(error: unknown, role: Role, { host, port, user, database }: Login): DsyncError {
  const said = serverError(error);
  const place = host.startsWith('/') ? `${host}, port ${port}` : `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const failed = (code: ErrorCode, remedy?: string, retryable?: boolean) =>
    new DsyncError(code, `can't connect to the ${role} at ${place} as ${user}, database ${database}: ${messageOf(error)}`, { cause: error, remedy, retryable });
  if (said?.code === '28P01' || (!said && /password/.test(messageOf(error)))) return failed('denied', 'check user and password, or write the password as ${NAME} and set that variable');
  if (said && /^(28|42501)/.test(said.code)) return failed('denied', 'check user, database and the server\'s pg_hba.conf');
  if (said?.code === '3D000') return failed('not-ready', `CREATE DATABASE "${database.replaceAll('"', '""')}"`);
  if (said?.code === '53300') return failed('unreachable', 'lower --concurrency, or raise max_connections', true);
  if (/certificate|self.signed|altname|SSL/i.test(`${messageOf(error)} ${(error as { code?: string }).code}`)) return failed('unreachable', 'check sslmode, sslrootcert, sslcert and sslkey in the URL');
  return failed('unreachable', 'check host and port, and that the server runs', true);
}
