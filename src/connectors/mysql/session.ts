import mysql, { type Connection, type QueryOptions, type ResultSetHeader } from 'mysql2';
import { connect as netConnect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { DsyncError } from '../../errors.js';
import { placeOf, type Address, type Tls } from './address.js';
import { classified, whileConnecting } from './faults.js';

export type Cell = string | null;

export interface Version {
  readonly flavour: 'mysql' | 'mariadb';
  /** 10.11.19 is 101119. */
  readonly number: number;
  /** `MariaDB 10.11.19`, for people. */
  readonly text: string;
}

/** What a statement did. `warnings` counts notes too. */
export interface Done { readonly affected: number; readonly warnings: number; readonly info: string }

export interface SessionOptions {
  readonly address: Address;
  /** Statements run before the first use; the first group must succeed, the second is a wish. */
  readonly settings: (version: Version) => { readonly needed: readonly string[]; readonly wished: readonly string[] };
  /** What a lost connection is called: a source's means that its snapshot is gone. */
  readonly lostAs: 'source-lost' | 'connection-lost';
}

const killSeconds = 1;
const closeSeconds = 1;
const serverPlace = "CONCAT_WS(' ', @@server_id, @@hostname, @@port)";

/** Connects, trying TLS and plain as the address says, and pins the session's settings. */
export async function connect(options: SessionOptions, signal: AbortSignal): Promise<Session> {
  const connection = await dial(options.address, signal);
  const session = new Session(connection, options);
  try {
    const [[version, id, place]] = await session.rows(`SELECT version(), connection_id(), ${serverPlace}`, signal);
    session.version = versionOf(version ?? '');
    session.ownServer = Number(id) === session.id ? place ?? undefined : undefined;
    const { needed, wished } = options.settings(session.version);
    for (const statement of needed) await session.run(statement, signal);
    for (const statement of wished) await session.run(statement, signal).catch(() => undefined);
    return session;
  } catch (error) {
    session.destroy();
    signal.throwIfAborted();
    throw whileConnecting(error, placeOf(options.address));
  }
}

/** One connection with pinned settings. Its methods fail with a classified `DsyncError`, or with the signal's reason. */
export class Session {
  version: Version = { flavour: 'mysql', number: 0, text: '' };
  /** Where KILL with this session's id ends this session and no other; undefined behind a proxy that numbers sessions itself. */
  ownServer: string | undefined;
  readonly connection: Connection;
  readonly #options: SessionOptions;
  #lost: DsyncError | undefined;
  readonly #onLost: ((error: DsyncError) => void)[] = [];

  constructor(connection: Connection, options: SessionOptions) {
    this.connection = connection;
    this.#options = options;
    ownEmptyPackets(connection);
    connection.on('error', (error) => this.#lose(error));
    connection.on('end', () => this.#lose(new Error('the server closed the connection')));
  }

  /** Set once the connection is gone. */
  get lost(): DsyncError | undefined { return this.#lost; }

  get id(): number { return this.connection.threadId ?? 0; }

  /** Calls back once, when the connection is lost. */
  onLost(listener: (error: DsyncError) => void): () => void {
    this.#onLost.push(listener);
    return () => { this.#onLost.splice(this.#onLost.indexOf(listener), 1); };
  }

  /** All rows, every cell as the server's text. For small results. */
  rows(sql: string, signal?: AbortSignal): Promise<Cell[][]> {
    return this.#perform<Cell[][]>({ sql, rowsAsArray: true, typeCast: (field) => field.string('utf8') }, signal);
  }

  async run(sql: string, signal?: AbortSignal): Promise<Done> {
    return doneOf(await this.#perform<ResultSetHeader>({ sql }, signal));
  }

  /** Runs LOAD DATA LOCAL INFILE with these bytes as the file. */
  async load(sql: string, chunks: Iterable<Uint8Array>, signal?: AbortSignal): Promise<Done> {
    return doneOf(await this.#perform<ResultSetHeader>({ sql, infileStreamFactory: () => Readable.from(chunks) }, signal));
  }

  /** Ends the running statement, not the connection, from a second connection. */
  async cancel(): Promise<void> {
    await this.#kill('KILL QUERY');
  }

  /** Closes at once; what the server still does for this session is ended there too. */
  destroy(): void {
    const working = this.#lost === undefined && isWorking(this.connection);
    this.#lose(new Error('the connection was closed'));
    if (working) this.#kill('KILL').catch(() => undefined);
    (this.connection as unknown as { stream: { destroy(): void } }).stream.destroy();
    this.connection.destroy();
  }

  /** Says goodbye, so that the server logs no broken connection. */
  async close(): Promise<void> {
    if (this.#lost || isWorking(this.connection)) return this.destroy();
    this.#lose(new Error('the connection was closed'));
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, closeSeconds * 1000);
      this.connection.end(() => { clearTimeout(timer); resolve(); });
    });
    this.connection.destroy();
  }

  fault(error: unknown): DsyncError {
    const known = classified(error, placeOf(this.#options.address));
    return known.code === 'connection-lost' && this.#options.lostAs !== 'connection-lost'
      ? new DsyncError(this.#options.lostAs, known.message, { cause: known.cause, remedy: known.remedy }) : known;
  }

  #perform<T>(query: QueryOptions, signal: AbortSignal | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (this.#lost) return reject(this.#lost);
      const onAbort = () => { this.destroy(); reject(signal!.reason); };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.connection.query(query, (error, result) => {
        signal?.removeEventListener('abort', onAbort);
        if (!error) return resolve(result as T);
        const fault = this.fault(error);
        if (fault.code === this.#options.lostAs) this.#lose(error);
        reject(fault);
      });
    });
  }

  /** From a second connection, if that reaches the same server. */
  async #kill(how: 'KILL' | 'KILL QUERY'): Promise<void> {
    if (this.ownServer === undefined) return;
    const signal = AbortSignal.timeout(killSeconds * 1000);
    const second = new Session(await dial(this.#options.address, signal), this.#options);
    try {
      const [[place]] = await second.rows(`SELECT ${serverPlace}`, signal);
      if (place === this.ownServer) await second.run(`${how} ${this.id}`, signal);
    } finally {
      second.connection.destroy();
    }
  }

  #lose(error: unknown): void {
    if (this.#lost) return;
    const fault = this.fault(error);
    this.#lost = fault.code === this.#options.lostAs ? fault : new DsyncError(this.#options.lostAs, fault.message, { cause: error });
    for (const listener of [...this.#onLost]) listener(this.#lost);
  }
}

/** A string literal; backslash escapes are on in every session. */
export function quote(text: string): string {
  return `'${text.replace(/[\\'\0\n\r\x1a]/g, (char) => escapes[char])}'`;
}

export function name(identifier: string): string {
  return `\`${identifier.replaceAll('`', '``')}\``;
}

export function tableName(schema: string | undefined, table: string): string {
  return schema === undefined ? name(table) : `${name(schema)}.${name(table)}`;
}

const escapes: Record<string, string> = { '\\': '\\\\', "'": "\\'", '\0': '\\0', '\n': '\\n', '\r': '\\r', '\x1a': '\\Z' };

async function dial(address: Address, signal: AbortSignal): Promise<Connection> {
  let failure: unknown;
  for (const tls of address.tls) {
    try {
      return await dialOnce(address, tls, signal, address.connectSeconds);
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
      if (!['HANDSHAKE_NO_SSL_SUPPORT', 'HANDSHAKE_SSL_ERROR'].includes((error as { code?: string }).code ?? '')) break;
    }
  }
  throw whileConnecting(failure, placeOf(address));
}

function dialOnce(address: Address, tls: Tls | undefined, signal: AbortSignal, seconds: number): Promise<Connection> {
  const { host, port, user, password, database, socketPath } = address;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const connection = mysql.createConnection({
      host, port, user, password, database, ...(socketPath ? { socketPath } : { stream: () => socketTo(host, port) }), ...(tls && { ssl: { ...tls } }),
      connectTimeout: seconds * 1000, charset: 'utf8mb4',
    });
    const onAbort = () => { connection.destroy(); reject(signal.reason); };
    signal.addEventListener('abort', onAbort, { once: true });
    connection.on('error', reject);
    connection.connect((error) => {
      signal.removeEventListener('abort', onAbort);
      if (error) reject(error);
      else resolve(connection);
    });
  });
}

/** mysql2 tells TLS no name where the host is an address, and its certificate would be compared with `localhost`: Node then takes `_host`. */
function socketTo(host: string, port: number): Socket {
  const socket = netConnect({ host, port, noDelay: true, keepAlive: true });
  return Object.assign(socket, { _host: host });
}

function isWorking(connection: Connection): boolean {
  return (connection as unknown as { _command?: unknown })._command !== undefined;
}

function versionOf(text: string): Version {
  const flavour = /mariadb/i.test(text) ? 'mariadb' : 'mysql';
  const [, major, minor, patch] = /(\d+)\.(\d+)\.(\d+)/.exec(text.replace(/^5\.5\.5-/, '')) ?? ['', '0', '0', '0'];
  return {
    flavour, number: Number(major) * 10_000 + Number(minor) * 100 + Number(patch),
    text: `${flavour === 'mariadb' ? 'MariaDB' : 'MySQL'} ${major}.${minor}.${patch}`,
  };
}

function doneOf(header: ResultSetHeader): Done {
  return { affected: header.affectedRows, warnings: header.warningStatus, info: header.info ?? '' };
}

/**
 * The driver ends every LOAD DATA LOCAL with one and the same buffer, whichever connection it is for. While it waits to be
 * sent, another connection writes its own packet number into it, and the server waits for ever: each write gets a copy.
 */
function ownEmptyPackets(connection: Connection): void {
  const wire = connection as unknown as { writePacket(packet: Packet): void };
  const write = wire.writePacket.bind(connection);
  wire.writePacket = (packet) => write(packet.buffer.length === headBytes ? new packet.constructor(0, Buffer.alloc(headBytes), 0, headBytes) : packet);
}

interface Packet {
  readonly buffer: Buffer;
  readonly constructor: new (id: number, buffer: Buffer, start: number, end: number) => Packet;
}

const headBytes = 4;
