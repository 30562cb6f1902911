import { access, cp, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MongoClient } from 'mongodb';
import { cacheFolder, findProgram } from './programs.js';
import { run, type Kind, type Program } from './server.js';

/** The first that can be had: `mongod` on the PATH, the package mongodb-memory-server if it is there, mongo-java-server by Maven. */
export const mongodb: Kind = {
  name: 'mongodb',
  variables: ['DSYNC_TEST_MONGODB_URL', 'MONGODB_URL'],
  obtain,
  version: (url) => withClient(url, async (client) => `MongoDB ${(await client.db('admin').command({ buildInfo: 1 })).version as string}`),
};

async function obtain(): Promise<Program> {
  const program = await findProgram('mongod');
  if (program) return mongod(program, program);
  const downloaded = await fromMemoryServer();
  if (downloaded) return mongod(downloaded, 'mongodb-memory-server');
  return mongoJavaServer();
}

function mongod(program: string, from: string): Program {
  return {
    from,
    initialise: async (folder) => { await mkdir(join(folder, 'data')); },
    command: (folder, port, flags) => [
      program, '--dbpath', join(folder, 'data'), '--port', String(port), '--bind_ip', '127.0.0.1',
      '--replSet', 'rs0', '--wiredTigerCacheSizeGB', '0.5', '--unixSocketPrefix', folder, ...flags,
    ],
    ready: /Waiting for connections/,
    stopSignal: 'SIGKILL',
    url: (port) => `mongodb://127.0.0.1:${port}/?directConnection=true`,
    settle: becomePrimary,
  };
}

async function becomePrimary(url: string): Promise<void> {
  await withClient(url, async (client) => {
    const admin = client.db('admin');
    await admin.command({ replSetInitiate: {} });
    while (!(await admin.command({ hello: 1 })).isWritablePrimary) await delay(50);
  });
}

/** Not a dependency: its program is a download that not every machine may make. `npm install --no-save mongodb-memory-server` adds it. */
async function fromMemoryServer(): Promise<string | undefined> {
  const name = 'mongodb-memory-server-core';
  const found = await import(name).catch(() => undefined) as { MongoBinary: { getPath(options: object): Promise<string> } } | undefined;
  if (!found) return undefined;
  return Promise.race([
    found.MongoBinary.getPath({ downloadDir: join(cacheFolder(), 'mongod') }).catch(() => undefined),
    delay(120_000, undefined, { ref: false }),
  ]);
}

/** A server in Java that keeps all in memory: a killed one comes back empty. It has neither transactions nor a replica set. */
async function mongoJavaServer(): Promise<Program> {
  const java = await findProgram('java');
  const maven = await findProgram('mvn');
  if (!java || !maven || !await findProgram('javac')) throw new Error('no mongod on the PATH, and no java, javac and mvn to run mongo-java-server');
  const built = join(cacheFolder(), 'mongo-java-server-1.47.0-oplog');
  await access(built).catch(() => build(maven, built));
  return {
    from: 'mongo-java-server 1.47.0',
    initialise: async () => {},
    logFlags: ['oplog'],
    command: (_folder, port, flags) => [java, '-Xmx2g', '-XX:+UseSerialGC', '-cp', `${join(built, 'classes')}:${join(built, 'lib')}/*`, 'MongoJavaServer', String(port), ...flags],
    ready: /ready on port/,
    stopSignal: 'SIGKILL',
    url: (port) => `mongodb://127.0.0.1:${port}/`,
  };
}

/** In a folder beside it first, so that two runs at once do not meet. */
async function build(maven: string, folder: string): Promise<void> {
  const making = `${folder}.${process.pid}`;
  await cp(fileURLToPath(new URL('mongo-java-server', import.meta.url)), making, { recursive: true });
  await run([maven, '-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=lib'], { cwd: making, seconds: 300 });
  await run(['javac', '-d', 'classes', '-cp', 'lib/*', 'MongoJavaServer.java'], { cwd: making });
  await rename(making, folder);
}

async function withClient<T>(url: string, use: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = await MongoClient.connect(url, { serverSelectionTimeoutMS: 10_000 });
  try { return await use(client); } finally { await client.close(); }
}
