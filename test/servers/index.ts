import { readFileSync } from 'node:fs';
import { MongoClient, type Db } from 'mongodb';
import { describe } from 'vitest';
import { kinds, type ServerName } from './kinds.js';
import { startServer, type OwnServer, type Program, type StartOptions } from './server.js';
import { connectText, textRows, type TextRow } from './sql.js';
import { statesVariable, type ServerState } from './states.js';

export { serverNames, type ServerName } from './kinds.js';
export type { OwnServer, StartOptions } from './server.js';
export { connectText, type TextConnection, type TextRow } from './sql.js';

const states: Partial<Record<ServerName, ServerState>> = process.env[statesVariable]
  ? JSON.parse(readFileSync(process.env[statesVariable], 'utf8')) : {};

function stateOf(name: ServerName): ServerState {
  return states[name] ?? { skipped: 'no servers were started: run the tests by vitest' };
}

/** The shared server: its administrator's URL. Work in databases of your own there, made by `freshDatabase`. */
export function serverFor(name: ServerName): { readonly url: string; readonly version: string } | undefined {
  const state = stateOf(name);
  return 'url' in state ? state : undefined;
}

/** Why the tests of a server are skipped; undefined if it is there. */
export function skipReason(name: ServerName): string | undefined {
  const state = stateOf(name);
  return 'skipped' in state ? state.skipped : undefined;
}

/** Why `ownServer` can't be had; undefined if it can. */
export function skipReasonOfOwn(name: ServerName): string | undefined {
  const state = stateOf(name);
  if ('skipped' in state) return state.skipped;
  return state.own ? undefined : `the server is given by the environment, so none of our own is started`;
}

/** `describe`, skipped with the reason in its title where one of the servers can't be had. `own`: each can be started anew. */
export function describeWith(names: ServerName | readonly ServerName[], title: string, tests: () => void, options: { readonly own?: boolean } = {}): void {
  const reason = [names].flat().map((name) => options.own ? skipReasonOfOwn(name) : skipReason(name)).find(Boolean);
  if (reason) describe.skip(`${title} (skipped: ${reason.split('\n')[0]})`, tests);
  else describe(title, tests);
}

const programs: Partial<Record<ServerName, Promise<Program>>> = {};

/** A server of the caller's own on a free port, which it may kill and restart. With mongo-java-server it comes back empty. */
export async function ownServer(name: ServerName, options: StartOptions = {}): Promise<OwnServer> {
  return startServer(name, await (programs[name] ??= kinds[name].obtain()), options);
}

/** A new database on the shared server, dropped when disposed. */
export interface FreshDatabase extends AsyncDisposable {
  readonly url: string;
  readonly name: string;
  /** By the plain driver, in UTC, with every value as the server's own text. SQL only. */
  query(sql: string, values?: readonly unknown[]): Promise<readonly TextRow[]>;
}

export interface FreshMongoDatabase extends AsyncDisposable {
  readonly url: string;
  readonly name: string;
  readonly db: Db;
}

let made = 0;
const freshName = (): string => `t_${process.pid}_${Date.now().toString(36)}_${made++}`;

export async function freshDatabase(name: 'mongodb'): Promise<FreshMongoDatabase>;
export async function freshDatabase(name: Exclude<ServerName, 'mongodb'>): Promise<FreshDatabase>;
export async function freshDatabase(name: ServerName): Promise<FreshDatabase | FreshMongoDatabase> {
  const server = serverFor(name);
  if (!server) throw new Error(`${name} is skipped: ${skipReason(name)}`);
  return name === 'mongodb' ? freshMongo(server.url) : freshSql(server.url);
}

/** On any server, an own one too. */
export async function freshSql(serverUrl: string): Promise<FreshDatabase> {
  const name = freshName();
  const isPostgres = serverUrl.startsWith('postgres');
  await textRows(serverUrl, isPostgres ? `CREATE DATABASE ${name}` : `CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
  const url = withDatabase(serverUrl, name);
  const connection = await connectText(url);
  return {
    url, name, query: connection.query,
    [Symbol.asyncDispose]: async () => {
      await connection.end();
      await textRows(serverUrl, `DROP DATABASE IF EXISTS ${name}${isPostgres ? ' WITH (FORCE)' : ''}`);
    },
  };
}

/** On any server, an own one too. */
export async function freshMongo(serverUrl: string): Promise<FreshMongoDatabase> {
  const name = freshName();
  const client = await MongoClient.connect(serverUrl);
  const db = client.db(name);
  return {
    url: withDatabase(serverUrl, name), name, db,
    [Symbol.asyncDispose]: async () => {
      await db.dropDatabase();
      await client.close();
    },
  };
}

/** The same server's URL, naming another database. */
export function withDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}
