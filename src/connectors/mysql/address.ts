import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { DsyncError, messageOf } from '../../errors.js';

/** Where and as whom to connect. */
export interface Address {
  readonly host: string;
  readonly port: number;
  /** A Unix socket's path; `host` and `port` mean nothing then. */
  readonly socketPath?: string;
  readonly user: string;
  readonly password?: string;
  readonly database?: string;
  /** The ways to try, in order; undefined is a plain connection. */
  readonly tls: readonly (Tls | undefined)[];
  readonly connectSeconds: number;
}

export interface Tls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized: boolean;
  readonly verifyIdentity: boolean;
}

const modes = ['DISABLED', 'PREFERRED', 'REQUIRED', 'VERIFY_CA', 'VERIFY_IDENTITY'] as const;
const options = ['ssl-mode', 'ssl-ca', 'ssl-cert', 'ssl-key', 'socket', 'connect-timeout'];

/** Parses `mysql://user:password@host:port/database?ssl-mode=…`; fails with `usage`, without repeating the URL. */
export function addressOf(url: string, env: Readonly<Record<string, string | undefined>> = process.env): Address {
  const parsed = parse(url);
  const option = (name: string) => parsed.searchParams.get(name) ?? undefined;
  const unknown = [...parsed.searchParams.keys()].find((name) => !options.includes(name));
  if (unknown !== undefined) throw new DsyncError('usage', `unknown option '${unknown}' in a MySQL URL`, { remedy: `known options: ${options.join(', ')}` });
  const socketPath = option('socket');
  const database = decoded(parsed.pathname.slice(1));
  return {
    host: decoded(parsed.hostname).replace(/^\[|\]$/g, '') || 'localhost',
    port: Number(parsed.port || '3306'),
    user: decoded(parsed.username) || userInfo().username,
    password: decoded(parsed.password) || env.MYSQL_PWD || undefined,
    connectSeconds: Number(option('connect-timeout')) || 15,
    tls: socketPath ? [undefined] : tlsOf(option),
    ...(socketPath && { socketPath }),
    ...(database && { database }),
  };
}

/** `user@host:port`, for messages. */
export function placeOf(address: Address): string {
  return `${address.user}@${address.socketPath ?? `${address.host}:${address.port}`}`;
}

function parse(url: string): URL {
  try {
    return new URL(url);
  } catch {
    throw new DsyncError('usage', 'the MySQL URL can\'t be read', {
      remedy: 'write mysql://USER:PASSWORD@HOST:PORT/DATABASE with special characters percent-encoded',
    });
  }
}

function tlsOf(option: (name: string) => string | undefined): readonly (Tls | undefined)[] {
  const ca = option('ssl-ca');
  const mode = (option('ssl-mode') ?? (ca ? 'VERIFY_CA' : 'PREFERRED')).toUpperCase().replace('-', '_');
  const files = { ca: contents(ca, 'ssl-ca'), cert: contents(option('ssl-cert'), 'ssl-cert'), key: contents(option('ssl-key'), 'ssl-key') };
  const unproven = { ...files, rejectUnauthorized: false, verifyIdentity: false };
  switch (mode as typeof modes[number]) {
    case 'DISABLED': return [undefined];
    case 'PREFERRED': return [unproven, undefined];
    case 'REQUIRED': return [unproven];
    case 'VERIFY_CA': return [{ ...unproven, rejectUnauthorized: true }];
    case 'VERIFY_IDENTITY': return [{ ...unproven, rejectUnauthorized: true, verifyIdentity: true }];
    default: throw new DsyncError('usage', `unknown ssl-mode '${mode}'`, { remedy: `known modes: ${modes.join(', ')}` });
  }
}

function contents(path: string | undefined, option: string): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new DsyncError('usage', `${option} can't be read: ${messageOf(error)}`, { cause: error });
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
