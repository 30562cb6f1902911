import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { Binary, type Document } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectorFor } from '../../src/connectors/index.js';
import type { NamespaceVerification } from '../../src/contract.js';
import type { Ports, RunConfig } from '../../src/coordinator/config.js';
import { lookAtDestination } from '../../src/coordinator/ends.js';
import { sync } from '../../src/coordinator/sync.js';
import { openStore } from '../../src/state/store.js';
import { verify } from '../../src/verifier/verify.js';
import { describeWith, freshDatabase, type FreshDatabase, type FreshMongoDatabase, type ServerName } from '../servers/index.js';

type SqlServer = Exclude<ServerName, 'mongodb'>;

/** A database of either kind, and how its driver changes what is in it. */
interface End extends AsyncDisposable {
  readonly url: string;
  run(sql: string): Promise<unknown>;
  readonly mongo?: FreshMongoDatabase;
}

const folder = mkdtempSync(join(tmpdir(), 'dsync-spoil-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let made = 0;

async function end(kind: ServerName | 'sqlite'): Promise<End> {
  if (kind === 'sqlite') return sqlite();
  if (kind === 'mongodb') {
    const mongo = await freshDatabase('mongodb');
    return { url: mongo.url, mongo, run: async () => {}, [Symbol.asyncDispose]: () => mongo[Symbol.asyncDispose]() };
  }
  const database: FreshDatabase = await freshDatabase(kind);
  return { url: database.url, run: (sql) => database.query(sql), [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() };
}

function sqlite(): End {
  const path = join(folder, `${made++}.sqlite`);
  const run = async (sql: string) => {
    const database = new Database(path);
    database.exec(sql);
    database.close();
  };
  return { url: `sqlite:${path}`, run, [Symbol.asyncDispose]: async () => {} };
}

const config = (source: End, destination: End): RunConfig => ({
  source: source.url, destination: destination.url, namespaces: ['*:*'], exclude: [], where: {}, existing: 'refuse', acceptLoss: [], concurrency: 2, memoryBytes: 16 << 20, verify: true, live: false, onDdl: 'stop', schema: 'create', views: 'definition',
});

function portsFor(store: Ports['store']): Ports {
  return { store, emit: () => {}, signal: new AbortController().signal, newRunId: () => `r${made++}`, flow: `f${made}`, storedConfig: {} };
}

/** Copies everything, and verifies as a sync does. */
async function copied(source: End, destination: End): Promise<readonly NamespaceVerification[]> {
  const state = join(folder, `state${made++}`);
  await using store = openStore(state);
  return (await sync(config(source, destination), portsFor(store))).verification!;
}

/** Verifies alone, in parts of a few rows; `mends`: and makes equal what has a key. */
async function verified(from: End, to: End, { mends = false } = {}): Promise<readonly NamespaceVerification[]> {
  const ports = { signal: new AbortController().signal } as Ports, options = { signal: ports.signal, connections: 2, batchBytes: 1 << 20 };
  await using source = await (await connectorFor(from.url)).openSource!(from.url, options);
  await using destination = await (await connectorFor(to.url)).openDestination!(to.url, options);
  const shapes = await source.shapes({ include: ['*'], exclude: [] }, ports.signal);
  const mappings = await Promise.all(shapes.map((shape) => destination.adapt(shape, { name: shape.name }, ports.signal)));
  await using snapshot = await source.snapshot(shapes, ports.signal);
  if (mends) await destination.begin('mending', ports.signal);
  return await verify({
    source: snapshot, openDestination: () => lookAtDestination(config(from, to), ports, mappings.map((mapping) => mapping.target)),
    mappings, emit: () => {}, signal: ports.signal, concurrency: 2, partRows: 500,
    ...(mends && { mend: (mapping, changes) => destination.mend('mending', mapping, changes, ports.signal) }),
  });
}

/** 2,000 orders, 500 words by a text key, and 100 rows without a key. */
const tables = [
  'CREATE TABLE orders (id bigint NOT NULL PRIMARY KEY, customer varchar(100), amount decimal(12,2), note varchar(2000))',
  'CREATE TABLE words (word varchar(100) NOT NULL PRIMARY KEY, meaning varchar(100))',
  'CREATE TABLE log (line varchar(100), n int)',
];
const numbers = Array.from({ length: 2_000 }, (_, i) => i);
const rows = [
  `INSERT INTO orders VALUES ${numbers.map((i) => `(${i * 3}, ${i % 10 === 0 ? 'NULL' : `'größe ${i} 😀'`}, ${i % 7}.50, '${'lorem ipsum '.repeat(10)}${i}')`).join(',')}`,
  `INSERT INTO words VALUES ${numbers.slice(0, 500).map((i) => `('word ${(i * 7919) % 10_007}', '')`).join(',')}`,
  `INSERT INTO log VALUES ${numbers.slice(0, 100).map((i) => `('line', ${i % 50})`).join(',')}`,
];

async function filled(kind: ServerName | 'sqlite'): Promise<End> {
  const source = await end(kind);
  for (const statement of [...tables, ...rows]) await source.run(kind === 'sqlite' ? statement.replace('decimal(12,2)', 'DECIMAL_TEXT(12,2)') : statement);
  return source;
}

const byName = (results: readonly NamespaceVerification[], name: string) => results.find((one) => one.namespace.endsWith(name))!;

const pairs: readonly (readonly [SqlServer | 'sqlite', SqlServer | 'sqlite'])[] = [
  ['postgres18', 'postgres14'], ['postgres18', 'mariadb'], ['postgres18', 'mysql9'], ['postgres18', 'sqlite'],
  ['mariadb', 'postgres18'], ['mysql9', 'mariadb'], ['mysql9', 'postgres18'], ['sqlite', 'postgres18'], ['sqlite', 'mysql9'],
];

describe.each(pairs)('a copy from %s to %s', (from, to) => {
  const servers = [from, to].filter((name) => name !== 'sqlite');
  describeWith(servers, 'spoilt through the driver', () => {
    let source: End, destination: End;
    beforeAll(async () => {
      [source, destination] = [await filled(from), await end(to)];
      for (const one of await copied(source, destination)) expect(one).toMatchObject({ result: 'equal', differences: [] });
    });
    afterAll(async () => {
      await source?.[Symbol.asyncDispose]();
      await destination?.[Symbol.asyncDispose]();
    });

    test('is equal before', async () => {
      expect((await verified(source, destination)).map((one) => [one.result, one.sourceRows])).toEqual([['equal', 100], ['equal', 2000], ['equal', 500]]);
    });

    test('in one byte is found, with its key and column', async () => {
      await destination.run("UPDATE orders SET note = replace(note, 'ipsum 1999', 'ipsun 1999') WHERE id = 5997");
      const result = byName(await verified(source, destination), 'orders');
      expect(result).toMatchObject({ result: 'different', changed: 1, missing: 0, extra: 0, sourceRows: 2000, destinationRows: 2000 });
      expect(result.differences).toMatchObject([{ kind: 'changed', key: 'id=5997', columns: [{ name: 'note' }] }]);
      expect(result.differences[0].columns![0].source).toContain('ipsum 1999');
      expect(result.differences[0].columns![0].destination).toContain('ipsun 1999');
      await destination.run("UPDATE orders SET note = replace(note, 'ipsun 1999', 'ipsum 1999') WHERE id = 5997");
    });

    test('by a number, a null, a row that is gone, and rows beyond either end is found', async () => {
      for (const sql of [
        'UPDATE orders SET amount = amount + 0.01 WHERE id = 300', "UPDATE orders SET customer = '' WHERE id = 0", 'DELETE FROM orders WHERE id = 3000',
        'INSERT INTO orders (id) VALUES (-1)', 'INSERT INTO orders (id) VALUES (9000000000)',
      ]) await destination.run(sql);
      const result = byName(await verified(source, destination), 'orders');
      expect(result).toMatchObject({ result: 'different', changed: 2, missing: 1, extra: 2 });
      expect(result.differences).toMatchObject([
        { kind: 'extra', key: 'id=-1' }, { kind: 'changed', key: 'id=0', columns: [{ name: 'customer', source: 'NULL', destination: '""' }] },
        { kind: 'changed', key: 'id=300', columns: [{ name: 'amount' }] }, { kind: 'missing', key: 'id=3000' }, { kind: 'extra', key: 'id=9000000000' },
      ]);
    });

    test('in a table with a text key and one without a key is found', async () => {
      await destination.run("UPDATE words SET meaning = ' ' WHERE word = 'word 7919'");
      await destination.run("UPDATE log SET n = 51 WHERE n = 49");
      const results = await verified(source, destination);
      expect(byName(results, 'words')).toMatchObject({ result: 'different', changed: 1, differences: [{ key: 'word="word 7919"', columns: [{ name: 'meaning', source: '""', destination: '" "' }] }] });
      expect(byName(results, 'log')).toMatchObject({ result: 'different', missing: 2, extra: 2 });
    });

    test('is mended by key', async () => {
      for (const sql of ["UPDATE words SET word = 'w' WHERE word = 'word 0'", 'DELETE FROM orders WHERE id > 5000', 'UPDATE orders SET id = id + 100000 WHERE id < 2000']) await destination.run(sql);
      const results = await verified(source, destination, { mends: true });
      for (const name of ['orders', 'words']) expect(byName(results, name)).toMatchObject({ result: 'equal', differences: [] });
      for (const name of ['orders', 'words']) expect(byName(await verified(source, destination), name)).toMatchObject({ result: 'equal' });
    });
  });
});

describeWith('mongodb', 'documents copied to MongoDB', () => {
  test('of which one byte was spoilt, one lost and one added are found by their _id', async () => {
    await using source = await end('mongodb');
    await using destination = await end('mongodb');
    const documents: Document[] = numbers.map((i) => ({ _id: i as never, name: `name ${i}`, raw: new Binary(Buffer.from([i & 255])), at: new Date(i) }));
    await source.mongo!.db.collection('things').insertMany(documents);
    expect(await copied(source, destination)).toMatchObject([{ result: 'equal', sourceRows: 2000 }]);
    const things = destination.mongo!.db.collection('things');
    await things.updateOne({ _id: 1234 as never }, { $set: { name: 'nane 1234' } });
    await things.deleteOne({ _id: 5 as never });
    await things.insertOne({ _id: 'new' as never });
    const [result] = await verified(source, destination);
    expect(result).toMatchObject({ result: 'different', changed: 1, missing: 1, extra: 1 });
    expect(result.differences).toMatchObject([
      { kind: 'extra', key: '_id="new"' }, { kind: 'changed', key: '_id={"$numberInt":"1234"}', columns: [{ name: 'document' }] }, { kind: 'missing', key: '_id={"$numberInt":"5"}' },
    ]);
    expect(await verified(source, destination, { mends: true })).toMatchObject([{ result: 'equal' }]);
    expect(await verified(source, destination)).toMatchObject([{ result: 'equal', destinationRows: 2000 }]);
  });
});

describeWith(['postgres18', 'mongodb'], 'rows copied from PostgreSQL to MongoDB', () => {
  test('of which one field was spoilt is found by its key and column', async () => {
    await using source = await filled('postgres18');
    await using destination = await end('mongodb');
    for (const one of await copied(source, destination)) expect(one).toMatchObject({ result: 'equal' });
    await destination.mongo!.db.collection('orders').updateOne({ _id: 303 as never }, { $set: { customer: 'größe 101 😁' } });
    const result = byName(await verified(source, destination), 'orders');
    expect(result).toMatchObject({ result: 'different', changed: 1, differences: [{ key: 'id=303', columns: [{ name: 'customer', source: '"größe 101 😀"' }] }] });
  });
});
