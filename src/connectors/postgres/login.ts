import { readFileSync, statSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { DsyncError, messageOf } from '../../errors.js';

/** Where and as whom to connect: what libpq's users write in a URL, with its defaults from the environment. */
export interface Login {
  /** A name or address; a folder where the server's Unix socket is. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password?: string;
  /** The ways to try, in order: `false` is without TLS. */
  readonly tls: readonly (ConnectionOptions | false)[];
  readonly connectSeconds: number;
  readonly applicationName: string;
  /** Settings for the session, as in `-c search_path=app`. */
  readonly options?: string;
  readonly channelBinding: boolean;
  /** The server process is a walsender: it takes replication commands, and plain SQL by the simple protocol only. */
  readonly replication?: 'database';
}

type Environment = Readonly<Record<string, string | undefined>>;
type Read = (option: string, variable: string) => string | undefined;

const options = [
  'host', 'port', 'user', 'password', 'dbname', 'passfile', 'connect_timeout', 'application_name', 'options', 'channel_binding',
  'sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'sslpassword',
];
/** libpq's options that change nothing for dsync, or that it sets by itself. */
const idle = /^(gss|krb|keepalives|tcp_user_timeout$|target_session_attrs$|client_encoding$|fallback_application_name$|sslnegotiation$|sslcompression$|sslsni$|pgbouncer$)/;

/** Reads `postgres://user:password@host:port/database?sslmode=…`. Fails with `usage`, without repeating the URL. */
export function loginOf(url: string, env: Environment = process.env): Login {
  const parsed = parse(url);
  const unknown = [...parsed.searchParams.keys()].find((name) => !options.includes(name) && !idle.test(name));
  if (unknown !== undefined) throw new DsyncError('usage', `the PostgreSQL URL has an unknown option '${unknown}'`, { remedy: `known options: ${options.join(', ')}` });
  const read: Read = (option, variable) => parsed.searchParams.get(option) ?? (env[variable] || undefined);
  const host = parsed.searchParams.get('host') ?? (decoded(parsed.hostname).replace(/^\[|\]$/g, '') || env.PGHOST || 'localhost');
  const port = Number(parsed.port || (read('port', 'PGPORT') ?? '5432'));
  const user = decoded(parsed.username) || (read('user', 'PGUSER') ?? userInfo().username);
  const database = decoded(parsed.pathname.slice(1)) || (read('dbname', 'PGDATABASE') ?? user);
  const passfile = read('passfile', 'PGPASSFILE') ?? join(homedir(), '.pgpass');
  return {
    host, port, user, database,
    password: decoded(parsed.password) || (read('password', 'PGPASSWORD') ?? passwordIn(passfile, { host, port, user, database })),
    tls: host.startsWith('/') ? [false] : tlsOf(read),
    connectSeconds: Number(read('connect_timeout', 'PGCONNECT_TIMEOUT')) || 15,
    applicationName: read('application_name', 'PGAPPNAME') ?? 'dsync',
    options: read('options', 'PGOPTIONS'),
    channelBinding: ['prefer', 'require'].includes(read('channel_binding', 'PGCHANNELBINDING') ?? ''),
  };
}

function parse(url: string): URL {
  try {
    // An empty host after a user is libpq's way to the default host; the WHATWG parser refuses it.
    return new URL(url.replace(/^(postgres(?:ql)?:\/\/[^/?#]*@)(?=[/?#]|$)/i, '$1localhost'));
  } catch {
    throw new DsyncError('usage', 'the PostgreSQL URL can\'t be read', {
      remedy: 'write postgres://USER:PASSWORD@HOST:PORT/DATABASE with one host, and special characters percent-encoded',
    });
  }
}

/** The meaning of libpq's `sslmode`: `require` proves nothing about the server unless a root certificate is given. */
function tlsOf(read: Read): Login['tls'] {
  const mode = read('sslmode', 'PGSSLMODE') ?? 'prefer';
  const folder = join(homedir(), '.postgresql');
  const root = read('sslrootcert', 'PGSSLROOTCERT') ?? present(join(folder, 'root.crt'));
  const cert = read('sslcert', 'PGSSLCERT') ?? present(join(folder, 'postgresql.crt'));
  const key = read('sslkey', 'PGSSLKEY') ?? (cert === undefined ? undefined : present(join(folder, 'postgresql.key')));
  if (mode === 'disable') return [false];
  const client: ConnectionOptions = {
    ...(cert !== undefined && { cert: contents(cert, 'sslcert') }), ...(key !== undefined && { key: contents(key, 'sslkey') }),
    passphrase: read('sslpassword', 'PGSSLPASSWORD'),
    ...(root !== undefined && root !== 'system' && { ca: contents(root, 'sslrootcert') }),
  };
  const unproven = { ...client, rejectUnauthorized: false };
  const issuerOnly = { ...client, checkServerIdentity: () => undefined };
  switch (mode) {
    case 'allow': return [false, unproven];
    case 'prefer': return [unproven, false];
    case 'require': return [root === undefined ? unproven : issuerOnly];
    case 'verify-ca': return [issuerOnly];
    case 'verify-full': return [client];
    default: throw new DsyncError('usage', `sslmode=${mode} is not known`, { remedy: 'use disable, allow, prefer, require, verify-ca or verify-full' });
  }
}

function present(path: string): string | undefined {
  return statSync(path, { throwIfNoEntry: false }) ? path : undefined;
}

function contents(path: string, option: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new DsyncError('usage', `${option} can't be read: ${messageOf(error)}`, { cause: error });
  }
}

type Place = Pick<Login, 'host' | 'port' | 'user' | 'database'>;

/** The first line of a password file (`host:port:database:user:password`) that matches; others may not read the file. */
function passwordIn(path: string, place: Place): string | undefined {
  const file = statSync(path, { throwIfNoEntry: false });
  if (!file?.isFile() || (process.platform !== 'win32' && (file.mode & 0o077) !== 0)) return undefined;
  const wanted = [place.host, String(place.port), place.database, place.user];
  for (const line of readFileSync(path, 'utf8').split(/\r?\n/)) {
    const fields = fieldsOf(line);
    if (!line.startsWith('#') && fields.length >= 5 && wanted.every((text, i) => fields[i] === '*' || fields[i] === text)) return fields.slice(4).join(':');
  }
  return undefined;
}

/** Colons part the fields; a backslash takes the next character as it is. */
function fieldsOf(line: string): string[] {
  return line.replace(/\\(.)/g, (_, char: string) => (char === ':' ? '\0' : char)).split(':').map((field) => field.replaceAll('\0', ':'));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
