import { expect, test } from 'vitest';
import { faultsOf, writtenRows } from './compare.js';
import { spell, spellJson } from './spelling.js';
import type { FixtureTable } from './table.js';

const table: FixtureTable = {
  name: 't', key: ['id'],
  columns: [{ name: 'id', kind: 'int', types: {} }, { name: 'v', kind: 'text', types: {} }],
  rows: [['1', 'a'], ['2', ''], ['3', null]],
};
const rows = writtenRows(table);

test('equal rows in another order have no faults', () => {
  expect(faultsOf(table, [...rows].reverse())).toEqual([]);
});

test('a lost, a doubled, an unknown and a changed row are named by their keys, a changed one with both values', () => {
  expect(faultsOf(table, rows.slice(1))).toEqual(['id="1" is missing']);
  expect(faultsOf(table, [...rows, rows[0]!])).toEqual(['id="1" is there twice']);
  expect(faultsOf(table, [...rows, ['4', 'x']])).toEqual(['id="4" was never written']);
  expect(faultsOf(table, [rows[0]!, ['2', null], ['3', '']])).toEqual(['id="2", column v: written "", found null', 'id="3", column v: written null, found ""']);
});

test('rows without a key are counted', () => {
  const keyless = { ...table, key: [] };
  expect(faultsOf(keyless, [...rows, rows[0]!].reverse())).toEqual(['1 × ["1","a"] too many']);
  expect(faultsOf(keyless, rows.slice(1))).toEqual(['1 × ["1","a"] missing']);
});

test('JSON is compared with every digit, and without the order of its keys', () => {
  expect(spellJson('{"b": 12345678901234567890, "a": [1.50, "1.50"]}')).toBe(spellJson('{"a":[1.5,"1.50"],"b":12345678901234567890}'));
  expect(spellJson('12345678901234567890')).not.toBe(spellJson('12345678901234567891'));
  expect(spellJson('"1"')).not.toBe(spellJson('1'));
});

test.each([['-1E-20', '-0.00000000000000000001'], ['0E-20', '0'], ['1.5E+3', '1500'], ['12.5E-1', '1.25'], ['1.10', '1.1'], ['100', '100']])('the decimal %s is %s', (written, plain) => {
  expect(spell('decimal', written)).toBe(plain);
});
