import { expect, onTestFinished, test } from 'vitest';
import { connectorFor } from '../../src/connectors/index.js';
import type { Column, Destination, Mapping, Shape } from '../../src/contract.js';
import { openEnd, type EndName, type SqlEnd } from '../crash/ends.js';
import { describeEnds } from '../crash/scene.js';
import { serverFor } from '../servers/index.js';

/* `Destination.alter`: what is made in the source is made in the target, by each engine, as often as it is asked for. */

const { signal } = new AbortController(), run = 'run-1';

const int = (name: string, bits: 32 | 64 = 32): Column => ({ name, type: { kind: 'int', bits, signed: true }, native: bits === 32 ? 'integer' : 'bigint', nullable: name !== 'id' });
const text = (name: string, maxLength: number): Column => ({ name, type: { kind: 'text', maxLength }, native: `character varying(${maxLength})`, nullable: true });
const shape = (...columns: readonly Column[]): Shape => ({ namespace: 'public.t', schema: 'public', name: 't', engine: 'postgres', columns, key: [0] });
const before = shape(int('id'), int('v'), text('word', 10), text('gone', 10));
const now = shape(int('id', 64), text('more', 30), text('word', 20), int('v', 64));

async function scene(name: EndName): Promise<{ readonly end: SqlEnd; readonly destination: Destination; readonly mapping: Mapping }> {
  const end = await openEnd(name, name === 'sqlite' ? undefined : serverFor(name)?.url) as SqlEnd;
  onTestFinished(() => end[Symbol.asyncDispose]());
  const destination = await (await connectorFor(end.url)).openDestination!(end.url, { signal, connections: 2, batchBytes: 20_000 });
  onTestFinished(() => destination[Symbol.asyncDispose]());
  const mapping = await destination.adapt(before, { name: 't' }, signal);
  await destination.begin(run, signal);
  await destination.prepare(run, mapping, { empty: false, keyed: true, tasks: [] }, signal);
  await put(destination, mapping, 1, [1, 7, 'a word', 'gone']);
  return { end, destination, mapping };
}

async function put(destination: Destination, mapping: Mapping, position: number, row: readonly (string | number | bigint | null)[]): Promise<void> {
  const { rejected } = await destination.apply!(run, { lane: 1, place: { position: String(position), changes: 0 }, tables: [{ mapping, changes: [{ kind: 'insert', namespace: mapping.source.namespace, row }] }] }, signal);
  expect(rejected).toEqual([]);
}

for (const name of ['postgres18', 'postgres14', 'mariadb', 'mysql9', 'sqlite'] as const) {
  describeEnds([name], `${name} alters`, () => {
    test('added, dropped and widened columns, and again what is done already; rows go by the new shape', async () => {
      const { end, destination, mapping } = await scene(name);
      const altered = await destination.alter!(run, mapping, now, signal);
      expect(await destination.alter!(run, mapping, now, signal)).toEqual(altered);
      expect([altered.existed, altered.target.columns.map((column) => column.name)]).toEqual([false, ['id', 'more', 'word', 'v']]);
      await put(destination, altered, 2, [5_000_000_000n, 'more than ten characters', 'longer than ten', 6_000_000_000n]);
      expect((await end.query('SELECT id, v, word, more FROM t ORDER BY id')).map((row) => Object.values(row).map((cell) => (cell === null ? null : String(cell))))).toEqual([
        ['1', '7', 'a word', null], ['5000000000', '6000000000', 'longer than ten', 'more than ten characters'],
      ]);
      expect(Object.keys((await end.query('SELECT * FROM t'))[0])).not.toContain('gone');
    });

    test('nothing where a part of it can not be done', async () => {
      const { end, destination, mapping } = await scene(name);
      const columns = Object.keys((await end.query('SELECT * FROM t'))[0]);
      const bad = { ...now, columns: [int('id'), text('more', 30), { ...text('word', 10), name: 'v' }] };
      await expect(destination.alter!(run, mapping, bad, signal)).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining('v became') });
      expect(Object.keys((await end.query('SELECT * FROM t'))[0])).toEqual(columns);
    });

    test('not for a run that another process has taken', async () => {
      const { end, destination, mapping } = await scene(name);
      const other = await (await connectorFor(end.url)).openDestination!(end.url, { signal, connections: 2, batchBytes: 20_000 });
      onTestFinished(() => other[Symbol.asyncDispose]());
      await other.begin(run, signal);
      await expect(destination.alter!(run, mapping, now, signal)).rejects.toMatchObject({ code: 'busy' });
    });
  });
}
