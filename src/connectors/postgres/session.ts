import { setMaxListeners } from 'node:events';
import { Socket, connect as connectSocket } from 'node:net';
import pg from 'pg';
import { DsyncError } from '../../errors.js';
import { classified, type Role } from './failure.js';
import type { Login } from './login.js';

/** Cells as the server prints them under the pinned settings. */
export type TextRow = readonly (string | null)[];

/** What `pg` asks of a query object, and the part of its connection that COPY and replication need. */
export interface Wire {
  readonly stream: Socket;
  query(text: string): void;
  endCopyFrom(): void;
  sendCopyFail(reason: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
}
export interface Exchange<Result> {
  /** Settles when the server is ready for the next query, or the connection is gone. */
  readonly result: Promise<Result>;
  submit(wire: Wire): void;
}

/**
 * What a session must not inherit: everything that changes how values are spelled, and every limit that would end a long
 * read or load. Names are always qualified, so the search path is empty.
 */
const pinned = [
  "SET client_encoding = 'UTF8'", "SET TimeZone = 'UTC'", "SET DateStyle = 'ISO, YMD'", "SET IntervalStyle = 'postgres'",
  'SET extra_float_digits = 1', "SET bytea_output = 'hex'", "SET lc_monetary = 'C'", "SET xmloption = 'content'", 'SET standard_conforming_strings = on',
  'SET statement_timeout = 0', 'SET lock_timeout = 0', 'SET idle_in_transaction_session_timeout = 0', 'SET idle_session_timeout = 0',
  "SET search_path = ''", 'SET row_security = off',
];
/** Not to be had on every version or platform. They let the server notice soon that we are gone, and let go of its locks. */
const wished = [
  `SELECT set_config(name, value, false) FROM (VALUES ('transaction_timeout', '0'), ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3')) wish (name, value) JOIN pg_settings USING (name)`,
  'SET client_connection_check_interval = 1000',
];
const pinnedByRole: Record<Role, readonly string[]> = {
  // Rows must come in the order of their places: a parallel or synchronized scan would not give them so.
  source: ['SET synchronize_seqscans = off', 'SET max_parallel_workers_per_gather = 0'],
  // A fence of dsync's lets these sessions pass, and so does a database that is read-only by default (fence.ts).
  destination: ["SET dsync.writes = 'on'", 'SET synchronous_commit = on', "SET default_transaction_isolation = 'read committed'"],
};

const asText = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig;

/** One connection with pinned settings. Every failure is a DsyncError; an abort ends the connection, for good. */
export class Session {
  readonly #client: pg.Client;
  readonly #login: Login;
  readonly role: Role;
  /** The schema that the user's own search path names first, if there is one. */
  readonly defaultSchema: string | undefined;
  /** `18.4`, and 180004. */
  readonly version: string;
  readonly versionNumber: number;
  readonly serverEncoding: string;
  /** Triggers and foreign keys of the tables don't fire. */
  readonly replicaRole: boolean;
  /** What the session itself has made, such as its temporary tables. */
  readonly made = new Set<string>();
  #lost = false;
  #last: Promise<void> = Promise.resolve();

  private constructor(client: pg.Client, login: Login, role: Role, facts: TextRow, replicaRole: boolean) {
    this.#client = client;
    this.#login = login;
    this.role = role;
    this.defaultSchema = facts[0] ?? undefined;
    this.version = facts[1]!.split(' ')[0];
    this.versionNumber = Number(facts[2]);
    this.serverEncoding = facts[3]!;
    this.replicaRole = replicaRole;
    client.on('error', () => { this.#lost = true; });
    client.on('end', () => { this.#lost = true; });
  }

  /** Fails with `unreachable`, `denied` or `not-ready`. */
  static async open(login: Login, role: Role, signal: AbortSignal): Promise<Session> {
    const client = await connected(login, role, signal);
    const query = async (text: string): Promise<TextRow[]> => (await client.query({ text, rowMode: 'array' })).rows;
    try {
      const [facts] = await query(`SELECT current_schema(), current_setting('server_version'), current_setting('server_version_num'), current_setting('server_encoding')`);
      if (Number(facts[2]) < 140000) throw new DsyncError('not-ready', `the server is PostgreSQL ${facts[1]}; dsync needs 14 or newer`, { remedy: 'upgrade the server' });
      await client.query([...pinned, ...pinnedByRole[role]].join('; '));
      for (const setting of wished) await client.query(setting).catch(() => undefined);
      const replicaRole = role === 'destination' && (await query('SET session_replication_role = replica').then(() => true, () => false));
      return new Session(client, login, role, facts, replicaRole);
    } catch (error) {
      client.connection.stream.destroy();
      throw classified(error, role, signal);
    }
  }

  /** No further query will succeed. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Of the server's process. */
  get processId(): number {
    return (this.#client as unknown as { processID: number }).processID;
  }

  /** True if the server process that answers is the one that was connected to: not so behind a pooler. */
  async isDirect(signal: AbortSignal): Promise<boolean> {
    const [[pid]] = await this.query('SELECT pg_backend_pid()', signal);
    return Number(pid) === this.processId;
  }

  /** One statement; without `values` also several, of which the last one's rows are returned. */
  async query(text: string, signal: AbortSignal, values?: readonly unknown[]): Promise<readonly TextRow[]> {
    return this.#guarded(signal, async () => {
      const result = await this.#client.query<(string | null)[]>({ text, rowMode: 'array' }, values as unknown[] | undefined);
      return [result].flat().at(-1)!.rows;
    });
  }

  /** Runs a query object of dsync's own. */
  async run<Result>(exchange: Exchange<Result>, signal: AbortSignal): Promise<Result> {
    return this.#guarded(signal, () => {
      this.#client.query(exchange as unknown as pg.Submittable);
      return exchange.result;
    });
  }

  /** Commits if the action returns, rolls back if it throws. */
  async transaction<Result>(signal: AbortSignal, action: () => Promise<Result>, begin = 'BEGIN'): Promise<Result> {
    try {
      await this.query(begin, signal);
      const result = await action();
      await this.query('COMMIT', signal);
      return result;
    } catch (error) {
      await this.rollback(signal);
      throw error;
    }
  }

  /** Leaves the session without a transaction, or lost. */
  async rollback(signal: AbortSignal): Promise<void> {
    if (!this.#lost) await this.query('ROLLBACK', signal).catch(() => this.destroy());
  }

  /** Ends the connection at once, and asks the server to stop what it is doing for it. */
  destroy(): void {
    if (this.#lost) return;
    this.#lost = true;
    requestCancel(this.#client, this.#login);
    this.#client.connection.stream.destroy();
  }

  async close(): Promise<void> {
    if (this.#lost) return;
    this.#lost = true;
    const patience = setTimeout(() => this.#client.connection.stream.destroy(), 1000);
    await this.#client.end().catch(() => undefined);
    clearTimeout(patience);
  }

  /** One at a time, in the order of the calls: the driver is going to refuse a query while another one is under way. */
  async #guarded<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last;
    let done = () => {};
    this.#last = new Promise((resolve) => { done = resolve; });
    await before;
    try {
      return await this.#listening(signal, work);
    } finally {
      done();
    }
  }

  async #listening<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    const stop = () => this.destroy();
    // Every query under way listens, and there may be more than the ten at which Node warns.
    setMaxListeners(0, signal);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await work();
    } catch (error) {
      throw classified(error, this.role, signal);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
}

/** Tries the login's ways in turn: with `prefer`, a server without TLS is taken as it is. */
async function connected(login: Login, role: Role, signal: AbortSignal): Promise<pg.Client> {
  for (const [i, ssl] of login.tls.entries()) {
    try {
      return await connectOnce(login, ssl, signal);
    } catch (error) {
      if (signal.aborted || i === login.tls.length - 1 || !isAboutTls(error)) throw classified(error, role, signal, login);
    }
  }
  throw new DsyncError('internal', 'a login without any way to connect');
}

async function connectOnce(login: Login, ssl: Login['tls'][number], signal: AbortSignal): Promise<pg.Client> {
  const client = new pg.Client({
    host: login.host, port: login.port, user: login.user, database: login.database, password: () => login.password ?? '', ssl: ssl && { ...ssl },
    application_name: login.applicationName, options: login.options, enableChannelBinding: login.channelBinding, types: asText,
    keepAlive: true, keepAliveInitialDelayMillis: 30_000, connectionTimeoutMillis: login.connectSeconds * 1000,
    ...(login.replication && { replication: login.replication }),
  });
  client.on('error', () => undefined);
  const stop = () => client.connection.stream.destroy(signal.reason instanceof Error ? signal.reason : undefined);
  signal.throwIfAborted();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await client.connect();
    return client;
  } catch (error) {
    stop();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** The other way is worth a try: the server has no TLS, or its rules ask for it (28000: no pg_hba.conf entry, SSL off). */
function isAboutTls(error: unknown): boolean {
  const { code, message = '' } = error as { code?: string; message?: string };
  return /SSL|TLS/.test(message) || code === '28000' || (code?.startsWith('ERR_SSL') ?? false);
}

/** A CancelRequest on a connection of its own, as the protocol wants it. Whether it arrives makes no difference to us. */
function requestCancel(client: pg.Client, { host, port }: Login): void {
  const { processID, secretKey } = client as unknown as { processID: number | null; secretKey: number | null };
  if (processID === null || secretKey === null) return;
  const message = Buffer.alloc(16);
  [16, 80877102, processID, secretKey].forEach((word, i) => message.writeInt32BE(word | 0, 4 * i));
  const socket = host.startsWith('/') ? connectSocket(`${host}/.s.PGSQL.${port}`) : connectSocket(port, host);
  socket.on('error', () => undefined);
  socket.setTimeout(5000, () => socket.destroy());
  socket.unref();
  socket.end(message);
}
