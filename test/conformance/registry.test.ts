import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { connectorFor, connectors } from '../../src/connectors/index.js';
import type { Shape, Source } from '../../src/contract.js';
import { ruleFor, targetsOf } from '../../src/coordinator/route.js';
import { literally, selects } from '../../src/source/selection.js';
import { partsAt } from '../../src/source/parts.js';
import { parseKey, spellKey } from '../../src/source/keys.js';

test('every line of the registry loads the connector that it names', async () => {
  for (const { name, schemes, load } of connectors) {
    expect(await load()).toMatchObject({ name, schemes });
    for (const scheme of schemes) expect((await connectorFor(`${scheme}:whatever`)).name).toBe(name);
  }
});

test('a scheme may be written in capitals', async () => {
  expect((await connectorFor('POSTGRES://host/db')).name).toBe('postgres');
});

test.each(['mongo://h', 'http://user:secret@h/db', 'shop', '', ':', '/tmp/x'])('an unknown scheme is a usage error that names the known ones: %s', async (url) => {
  const error = await connectorFor(url).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'DsyncError', code: 'usage', remedy: expect.stringContaining('mongodb+srv:') });
  expect((error as Error).message).not.toContain('secret');
});

test.each(['shop.db', './data/shop.sqlite', '/var/shop.SQLITE3'])('a file without a scheme is told how it is written: %s', async (path) => {
  await expect(connectorFor(path)).rejects.toMatchObject({ code: 'usage', remedy: `did you mean sqlite:${path}` });
});

test('a driver is loaded when a URL first names its connector', () => {
  const registry = new URL('../../dist/connectors/index.js', import.meta.url).href;
  const script = `
    import { createRequire } from 'node:module';
    import { connectorFor } from ${JSON.stringify(registry)};
    const drivers = () => Object.keys(createRequire(import.meta.url).cache).filter((file) => file.includes('node_modules')).length;
    await connectorFor('null:'); await connectorFor('generator:'); await connectorFor('memory:x');
    const before = drivers();
    await connectorFor('sqlite:x');
    console.log(before, drivers() > 0);`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8', cwd: fileURLToPath(new URL('../..', import.meta.url)) });
  expect({ stdout, stderr }).toEqual({ stdout: '0 true\n', stderr: '' });
});

test('a selection takes what its globs take, and all without any', () => {
  const taken = (include: string[], exclude: string[] = []) => ['public.orders', 'public.order_items', 'audit.log', 'a+b', 'a.b\nc'].filter(selects({ include, exclude }));
  expect(taken([])).toHaveLength(5);
  expect(taken(['public.*'])).toEqual(['public.orders', 'public.order_items']);
  expect(taken(['*'], ['public.*', 'a*'])).toEqual([]);
  expect(taken(['public.order?'])).toEqual(['public.orders']);
  expect(taken(['PUBLIC.orders'])).toEqual([]);
  expect(taken(['a+b', 'a.b*'])).toEqual(['a+b', 'a.b\nc']);
  expect(taken(['publicXorders', '.*', '[a-z]+'])).toEqual([]);
});

test('a backslash takes what would mean more as itself, in patterns and in targets', () => {
  const names = ['s.a*b', 's.aXb', 's.a?b:c', 's.a!b:c', 's.x\\y', String.raw`s.x\*y`];
  for (const name of names) expect(names.filter(selects({ include: [literally(name)], exclude: [] }))).toEqual([name]);
  expect(names.filter(selects({ include: [String.raw`s.a\*b`, 's.x\\y'], exclude: [] }))).toEqual(['s.a*b', 's.x\\y']);
  const shape = (name: string): Shape => ({ namespace: `s.${name}`, schema: 's', name, engine: 'memory', columns: [], key: [] });
  const to = (rule: string, name: string) => [...targetsOf([shape(name)], [rule], { defaultSchema: 's' } as Source, {}).values()];
  for (const name of ['a*b', 'a?b:c', 'a.b', 'x\\y']) expect(to(ruleFor(shape(name), { schema: 't.u', name }), name)).toEqual([{ schema: 't.u', name }]);
  expect(to('*:old_*', 'a.b:c*')).toEqual([{ name: 'old_a.b:c*' }]);
  expect(to(String.raw`a:kept\*.b`, 'a')).toEqual([{ schema: 'kept*', name: 'b' }]);
});

test('parts meet at their edges, each edge once', () => {
  expect(partsAt([])).toEqual([{}]);
  expect(partsAt(['5', '5', '9'])).toEqual([{ to: '5' }, { from: '5', to: '9' }, { from: '9' }]);
});

test('a key is the same after it was a cursor', () => {
  const key = [1n, -(2n ** 63n), 'a"\n😀', '1', null, true, false, 1.5, Infinity, -Infinity, Buffer.from([0, 255])];
  expect(parseKey(spellKey(key))).toEqual(key);
  expect(spellKey(['1'])).not.toBe(spellKey([1n]));
});
