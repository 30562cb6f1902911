import { expect, test } from 'vitest';
import type { Row, Snapshot } from '../../src/contract.js';
import { compare, mappingOf, shapeOf, side } from './tables.js';

const mapping = mappingOf(shapeOf({ id: { kind: 'text' }, body: { kind: 'text' } }, 1));
const megabyte = 1 << 20;

/** Rows that are made while they are read, and the most memory that was in use meanwhile. */
function streamed(count: number, rowAt: (i: number) => Row, batch: number): Snapshot & { readonly most: () => number } {
  let most = 0;
  return {
    ...side(() => []),
    most: () => most,
    async *scan() {
      for (let at = 0; at < count; at += batch) {
        yield Array.from({ length: Math.min(batch, count - at) }, (_, i) => rowAt(at + i));
        most = Math.max(most, process.memoryUsage().rss);
        await new Promise(setImmediate);
      }
    },
  };
}

test('rows of five megabytes, all of them different, are compared in little memory', async () => {
  const body = (letter: string) => (i: number): Row => [`key ${i}`, `${i}`.padEnd(2 * megabyte, 'é') + letter.repeat(megabyte)];
  const before = process.memoryUsage().rss, destination = streamed(50, body('b'), 1);
  const { result } = await compare(mapping, streamed(50, body('a'), 1), destination);
  expect(result).toMatchObject({ result: 'different', changed: 50 });
  expect((destination.most() - before) / megabyte).toBeLessThan(200);
});

test('150,000 keys that all differ are told apart in little memory, in several passes', async () => {
  const before = process.memoryUsage().rss, destination = streamed(150_000, (i) => [`key ${i}`, 'b'], 5_000);
  const { result } = await compare(mapping, streamed(150_000, (i) => [`key ${i}`, 'a'], 5_000), destination, { keysInMemory: 40_000 });
  expect(result).toMatchObject({ result: 'different', changed: 150_000, missing: 0, extra: 0, sourceRows: 150_000 });
  expect(result.differences).toHaveLength(100);
  expect((destination.most() - before) / megabyte).toBeLessThan(200);
});
