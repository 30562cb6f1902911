import { expect, test } from 'vitest';
import type { NamespaceVerification } from '../../src/contract.js';
import { formatVerification } from '../../src/verifier/report.js';
import { compareKeys, keyText } from '../../src/verifier/key.js';
import { shapeOf } from './tables.js';

const equal: NamespaceVerification = {
  namespace: 'public.orders', target: 'shop.orders', result: 'equal', sourceRows: 1_234_567, destinationRows: 1_234_567, sourceDigest: 'ab', destinationDigest: 'ab',
  missing: 0, extra: 0, changed: 0, rejected: 0, differences: [], seconds: 1,
};

test('a report has a line per table, the differences below it, and how it was compared', () => {
  const different: NamespaceVerification = {
    ...equal, namespace: 'users', target: 'users', result: 'different', sourceRows: 3, destinationRows: 2, missing: 1, changed: 5, rejected: 1,
    differences: [{ kind: 'missing', key: 'id=1' }, { kind: 'changed', key: 'id=2', columns: [{ name: 'name', source: '"a"', destination: 'NULL' }] }],
  };
  const unclear: NamespaceVerification = { ...equal, namespace: 'log', target: 'log', result: 'not-comparable', reason: 'rows were still changing', sourceRows: 1, destinationRows: 1 };
  expect(formatVerification([equal, different, unclear])).toBe([
    'equal           public.orders → shop.orders  1,234,567 rows',
    'different       users                        3 rows in the source, 2 in the destination, 1 missing, 5 changed, 1 rejected',
    '  missing  id=1',
    '  changed  id=2',
    '             name: "a" in the source, NULL in the destination',
    '  … and 4 more',
    'not-comparable  log                          1 rows  (rows were still changing)',
    '',
    '3 tables: 1 equal, 1 different, 1 not comparable',
    'compared: both sides read and hashed here, every row and column',
  ].join('\n'));
});

test('a report says how tables were compared, and names them where there were several ways', () => {
  const digests = { ...equal, compared: { by: 'digests', reason: 'as asked', parts: 7, read: 0 } } as const;
  const some = { ...digests, namespace: 'b', compared: { ...digests.compared, parts: 1_200, read: 2 } }, rows = { ...digests, namespace: 'c', compared: { ...digests.compared, by: 'rows', reason: 'two spellings: doc' } } as const;
  const ways = (...results: readonly NamespaceVerification[]) => formatVerification(results).split('\n').filter((line) => line.startsWith('compared: '));
  expect(ways(digests)).toEqual(['compared: digests of every row and column, computed in both servers; no row was read here (as asked)']);
  expect(ways(digests, some)).toEqual(['compared: digests of every row and column, computed in both servers; of 1,207 parts, 2 differed and were read here (as asked)']);
  expect(ways(rows)).toEqual(['compared: both sides read and hashed here, every row and column (two spellings: doc)']);
  expect(ways(digests, rows, some)).toEqual([
    'compared: digests of every row and column, computed in both servers; of 1,207 parts, 2 differed and were read here (as asked): public.orders, b',
    'compared: both sides read and hashed here, every row and column (two spellings: doc): c',
  ]);
  expect(ways(...Array.from({ length: 12 }, (_, i) => ({ ...rows, namespace: `t${i}` })), equal)[0]).toMatch(/: t0, .*, t9 and 2 more$/);
});

test('a report of nothing says so', () => {
  expect(formatVerification([])).toContain('0 tables: nothing was compared');
});

test('keys are spelled for people: text in quotes, numbers plain, bytes as hex', () => {
  const shape = shapeOf({
    n: { kind: 'int', bits: 64, signed: true }, d: { kind: 'decimal' }, s: { kind: 'text' }, c: { kind: 'text', padded: true }, b: { kind: 'bytes' },
    f: { kind: 'float', bits: 32 }, t: { kind: 'timestamp', fraction: 6 }, e: { kind: 'enum', labels: ['x'] }, o: { kind: 'document-id' }, z: { kind: 'bool' }, a: { kind: 'any' },
  }, 11);
  expect(keyText(shape, [7n, '1.10', 'a"b', 'ab  ', Buffer.from('00ff', 'hex'), Math.fround(0.1), '2026-01-02 03:04:05.500', 'x', '{"$numberInt":"1"}', true, null]))
    .toBe('n=7, d=1.10, s="a\\"b", c="ab", b=\\x00ff, f=0.1, t=2026-01-02 03:04:05.5, e="x", o={"$numberInt":"1"}, z=1, a=NULL');
});

test('a key is spelled the same whether its integer is a number or a bigint', () => {
  const shape = shapeOf({ id: { kind: 'int', bits: 64, signed: true } }, 1);
  expect(keyText(shape, [5])).toBe(keyText(shape, [5n]));
});

test('keys are ordered by worth, nulls first', () => {
  const keys = [[null, 1], [-1, 'b'], [2, 'a'], [2n, 'b'], [10, 'a'], [9007199254740993n, ''], ['2', ''], [Buffer.from([1]), ''], [Buffer.from([1, 0]), '']] as const;
  for (const [i, a] of keys.entries()) for (const [j, b] of keys.entries()) expect(Math.sign(compareKeys(a, b)), `${i} ${j}`).toBe(Math.sign(i - j));
});
