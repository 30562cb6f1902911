import { expect, test } from 'vitest';
import { describeWith, freshDatabase, ownServer, serverFor, serverNames, connectText, type ServerName } from './index.js';
import { access } from 'node:fs/promises';

const sqlServers = serverNames.filter((name): name is Exclude<ServerName, 'mongodb'> => name !== 'mongodb');

for (const name of sqlServers) {
  describeWith(name, name, () => {
    test('makes databases that go when they are disposed', async () => {
      const fresh = await freshDatabase(name);
      await fresh.query('CREATE TABLE t (a bigint, b text)');
      await fresh.query("INSERT INTO t VALUES (9223372036854775807, 'é😀'), (NULL, '')");
      expect(await fresh.query('SELECT a, b FROM t ORDER BY a IS NULL')).toEqual([{ a: '9223372036854775807', b: 'é😀' }, { a: null, b: '' }]);
      await fresh[Symbol.asyncDispose]();
      await expect(connectText(fresh.url)).rejects.toThrow(/exist|Unknown database/);
    });

    test('keeps its data when it is killed and started again', async () => {
      await using server = await ownServer(name);
      const before = await connectText(server.url);
      await before.query('CREATE DATABASE kept');
      const lost = before.query('SELECT 1 FROM pg_sleep(60)').catch(() => 'lost');
      await server.kill();
      await expect(connectText(server.url)).rejects.toThrow();
      expect(await lost).toBe('lost');
      await server.restart();
      const after = await connectText(server.url.replace(/\/[a-z]*$/, '/kept'));
      await after.end();
      await server.stop();
      await expect(access(server.folder)).rejects.toThrow();
    });
  });
}

describeWith('mongodb', 'mongodb', () => {
  test('makes databases that go when they are disposed', async () => {
    await using fresh = await freshDatabase('mongodb');
    await fresh.db.collection('c').insertOne({ a: 1 });
    expect(await fresh.db.collection('c').countDocuments()).toBe(1);
  });

  test('can be killed and started again', async () => {
    await using server = await ownServer('mongodb');
    await server.kill();
    await server.restart();
    expect(server.url).not.toBe(serverFor('mongodb')!.url);
  });
});
