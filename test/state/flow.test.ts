import { describe, expect, test } from 'vitest';
import { flowId } from '../../src/state/flow.js';

const parts = { source: 'postgres://ada:secret@db1/shop', destination: 'mysql://db2/shop', namespaces: ['a', 'b'], exclude: ['c', 'd'], where: { a: 'x = 1', b: 'y = 2' } };

describe('the id of a flow', () => {
  test.each([
    ['another password', { source: 'postgres://ada:other@db1/shop' }],
    ['no password', { source: 'postgres://ada@db1/shop' }],
    ['another order of the selection', { namespaces: ['b', 'a'], exclude: ['d', 'c'] }],
    ['another order of the filters', { where: { b: 'y = 2', a: 'x = 1' } }],
  ])('stays the same with %s', (_, change) => {
    expect(flowId({ ...parts, ...change })).toBe(flowId(parts));
  });

  test.each([
    ['source', { source: 'postgres://ada:secret@db1/shop2' }],
    ['user', { source: 'postgres://eve:secret@db1/shop' }],
    ['destination', { destination: 'mysql://db3/shop' }],
    ['selection', { namespaces: ['a'] }],
    ['filter', { where: { a: 'x = 1', b: 'y = 3' } }],
    ['role of a pattern', { namespaces: ['c', 'd'], exclude: ['a', 'b'] }],
  ])('is another one with another %s', (_, change) => {
    expect(flowId({ ...parts, ...change })).not.toBe(flowId(parts));
  });

  test('is good as a file name', () => {
    expect(flowId(parts)).toMatch(/^[0-9a-f]{16}$/);
  });
});
