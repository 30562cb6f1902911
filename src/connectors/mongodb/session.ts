import { setMaxListeners } from 'node:events';
import { MongoClient, MongoError, MongoNetworkError, MongoServerError, MongoServerSelectionError, type Document } from 'mongodb';
import type { OpenOptions } from '../../contract.js';
import { DsyncError, messageOf, type ErrorCode } from '../../errors.js';

/** What a server says of itself; the fields of `hello` that matter here. */
export interface Hello {
  readonly isWritablePrimary?: boolean;
  readonly ismaster?: boolean;
  readonly setName?: string;
  readonly hosts?: readonly string[];
  /** `isdbgrid`: a mongos, the router of a sharded cluster. */
  readonly msg?: string;
  /** Absent where the server has no sessions. */
  readonly logicalSessionTimeoutMinutes?: number | null;
  readonly maxWireVersion: number;
  readonly maxBsonObjectSize: number;
  readonly maxMessageSizeBytes: number;
  readonly maxWriteBatchSize: number;
}

export function hasSessions({ logicalSessionTimeoutMinutes }: Hello): boolean {
  return logicalSessionTimeoutMinutes != null;
}

/** A client that is connected, and what was learned when it was. */
export interface Session extends AsyncDisposable {
  readonly client: MongoClient;
  readonly hello: Hello;
  /** `5.0.0`. */
  readonly version: string;
  /** The database that the URL names. */
  readonly database?: string;
  /** For people: `db1:27017,db2:27017`. */
  readonly hosts: string;
  /** Runs an action; its failures become `DsyncError`s that name `what`. An abort rejects with the signal's reason. */
  attempt<T>(what: string, signal: AbortSignal, action: () => Promise<T>): Promise<T>;
}

/** What a lost connection means to this end. */
export type Lost = Extract<ErrorCode, 'source-lost' | 'connection-lost'>;

/** Connects; fails with `usage`, `unreachable` or `denied`. */
export async function connect(url: string, options: OpenOptions, lost: Lost): Promise<Session> {
  const client = clientOf(url, options, lost);
  const hosts = client.options.srvHost ?? client.options.hosts.map(String).join(',');
  const opening = (error: unknown) => failure(error, `can't connect to MongoDB at ${hosts}`, 'unreachable');
  const onAbort = () => void client.close(true).catch(() => {});
  options.signal.addEventListener('abort', onAbort, { once: true });
  try {
    options.signal.throwIfAborted();
    await client.connect();
    const admin = client.db('admin');
    const hello = await helloOf(client);
    const { version } = await admin.command({ buildInfo: 1 }) as { version: string };
    const database = databaseOf(url);
    return {
      client, hello, version, hosts, ...(database !== undefined && { database }),
      attempt: (what, signal, action) => attempt(`${what} on MongoDB at ${hosts}`, signal, lost, action),
      [Symbol.asyncDispose]: () => client.close(true),
    };
  } catch (error) {
    await client.close(true).catch(() => {});
    if (options.signal.aborted) throw options.signal.reason;
    throw opening(error);
  } finally {
    options.signal.removeEventListener('abort', onAbort);
  }
}

/** `hello`, or what it was called before MongoDB 5. */
export async function helloOf(client: MongoClient): Promise<Hello> {
  const admin = client.db('admin');
  return await admin.command({ hello: 1 }).catch((error: unknown) => {
    if (error instanceof MongoServerError && error.code === unknownCommand) return admin.command({ isMaster: 1 });
    throw error;
  }) as Document as Hello;
}

/** Undefined where the server refuses: it lacks the command, or the user the right. */
export async function ifSupported<T>(reply: Promise<T>): Promise<T | undefined> {
  return reply.catch((error: unknown) => {
    if (error instanceof MongoServerError) return undefined;
    throw error;
  });
}

async function attempt<T>(what: string, signal: AbortSignal, lost: Lost, action: () => Promise<T>): Promise<T> {
  try {
    signal.throwIfAborted();
    // Commands of many tasks listen to one signal at once, the driver's own among them: no leak to warn of.
    setMaxListeners(0, signal);
    return await untilAborted(action(), signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw failure(error, what, lost);
  }
}

/** Not all methods of the driver take a signal: what they do then goes on unheard until the client is closed. */
function untilAborted<T>(action: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    action.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function clientOf(url: string, { connections }: OpenOptions, lost: Lost): MongoClient {
  const patience = /[?&]serverSelectionTimeoutMS=/i.test(url) ? {} : { serverSelectionTimeoutMS: 10_000 };
  // What a destination remembers is read where it was written.
  const reading = lost === 'connection-lost' ? { readPreference: 'primary' as const } : {};
  try {
    return new MongoClient(url, { appName: 'dsync', maxPoolSize: connections + 1, ...patience, ...reading });
  } catch (error) {
    throw new DsyncError('usage', `not a MongoDB URL: ${withoutPassword(messageOf(error))}`, {
      cause: error, remedy: 'write it as mongodb://USER:PASSWORD@HOST:PORT/DATABASE, special characters as %XX',
    });
  }
}

/** The path of the URL; the driver would say `test` where there is none. */
function databaseOf(url: string): string | undefined {
  const path = /^mongodb(?:\+srv)?:\/\/[^/?]*\/([^?]*)/i.exec(url)?.[1];
  return path ? decodeURIComponent(path) : undefined;
}

export const unknownCommand = 59;
const denied = new Set([11, 13, 18, 31, 33, 8000]);
/** The server is going, changing its role, or has forgotten the cursor; the same call may succeed later. */
const passing = new Set([6, 7, 43, 50, 64, 89, 91, 134, 136, 175, 189, 237, 262, 290, 317, 384, 9001, 10058, 10107, 11600, 11602, 13388, 13435, 13436, 91331, 279]);
const diskFull = new Set([14031]);
/** Only a filter of the user's can be wrong in these ways. */
const badFilter = new Set([2, 9, 168]);

/** The errors of the driver, in our words. `lost` is what a connection's end means here. */
export function failure(error: unknown, what: string, lost: Lost | 'unreachable'): DsyncError {
  if (error instanceof DsyncError) return error;
  const details = { cause: error };
  const message = `${what}: ${withoutPassword(messageOf(error))}`;
  if (error instanceof MongoServerError) return new DsyncError(codeOf(error.code, lost), message, details);
  if (error instanceof MongoServerSelectionError || error instanceof MongoNetworkError) return new DsyncError(lost, message, details);
  if (error instanceof MongoError && /^Mongo(PoolCleared|PoolClosed|NotConnected|TopologyClosed|ServerClosed|ClientClosed|CursorExhausted|OperationTimeout)/.test(error.name)) return new DsyncError(lost, message, details);
  if (lost === 'unreachable' && error instanceof MongoError) return new DsyncError('usage', message, details);
  return new DsyncError('internal', message, details);
}

/** What the code of a server's error means. */
export function codeOf(code: number | string | undefined, lost: Lost | 'unreachable'): ErrorCode {
  const number = Number(code);
  if (denied.has(number)) return 'denied';
  if (passing.has(number)) return lost;
  if (diskFull.has(number)) return 'disk-full';
  if (lost === 'source-lost' && badFilter.has(number)) return 'usage';
  return number === 112 ? 'conflict' : 'internal';
}

function withoutPassword(message: string): string {
  return message.replace(/(mongodb(?:\+srv)?:\/\/[^:@/\s]*:)[^@\s]*@/gi, '$1***@');
}
