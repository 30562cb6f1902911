import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guard } from './servers/guard.js';
import { kinds, serverNames, type ServerName } from './servers/kinds.js';
import { startServer, type Kind, type OwnServer } from './servers/server.js';
import { statesVariable, type ServerState } from './servers/states.js';

/**
 * Brings up every server that the tests use, says which it got, and takes down those that it started.
 * `DSYNC_TEST_ONLY=postgres18,mariadb` leaves out the others; empty, all.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const started: OwnServer[] = [];
  const states = await Promise.all(serverNames.map(async (name) => [name, await bringUp(name, kinds[name], started)] as const));
  const folder = await mkdtemp(join(tmpdir(), 'dsync-test-run-'));
  guard(folder, 'SIGKILL');
  const file = join(folder, 'servers.json');
  await writeFile(file, JSON.stringify(Object.fromEntries(states)));
  process.env[statesVariable] = file;
  return async () => {
    await Promise.all(started.map((server) => server.stop()));
    await rm(folder, { recursive: true, force: true });
  };
}

async function bringUp(name: ServerName, kind: Kind, started: OwnServer[]): Promise<ServerState> {
  const since = performance.now();
  const state = await givenOrStarted(kind, started).catch((error: unknown) => ({ skipped: error instanceof Error ? error.message : String(error) }));
  const seconds = ((performance.now() - since) / 1_000).toFixed(1);
  console.log(`test server ${name}: ${'skipped' in state ? `skipped, ${state.skipped}` : `${state.version} (${state.from}), ${seconds} s`}`);
  return state;
}

async function givenOrStarted(kind: Kind, started: OwnServer[]): Promise<ServerState> {
  const only = process.env.DSYNC_TEST_ONLY;
  if (only !== undefined && !only.split(',').includes(kind.name)) return { skipped: `DSYNC_TEST_ONLY=${only} leaves it out` };
  const variable = kind.variables.find((name) => process.env[name]);
  if (variable) return { url: process.env[variable]!, version: await kind.version(process.env[variable]!), from: variable, own: false };
  const program = await kind.obtain();
  const server = await startServer(kind.name, program, { log: true });
  started.push(server);
  return { url: server.url, version: await kind.version(server.url), from: program.from, own: true };
}
