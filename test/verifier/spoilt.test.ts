import { describe, expect, test } from 'vitest';
import type { LogicalType, Part, Row, Value } from '../../src/contract.js';
import { compare, draws, mappingOf, shapeOf } from './tables.js';

const columns: Readonly<Record<string, LogicalType>> = {
  id: { kind: 'int', bits: 64, signed: true }, a: { kind: 'text' }, b: { kind: 'text' }, amount: { kind: 'decimal' },
  raw: { kind: 'bytes' }, flag: { kind: 'bool' }, at: { kind: 'timestamp', fraction: 6 }, weight: { kind: 'float', bits: 64 },
};
const textual: Readonly<Record<string, LogicalType>> = { ...columns, id: { kind: 'text' } };

type Draw = ReturnType<typeof draws>;
interface Table { readonly name: string; readonly mapping: ReturnType<typeof mappingOf>; readonly key: (i: number) => Value; readonly parts: readonly Part[]; readonly text: (key: Value) => string }

const tables: readonly Table[] = [
  { name: 'an integer key in parts', mapping: mappingOf(shapeOf(columns, 1)), key: (i) => BigInt(i * 3), parts: [{ to: '300' }, { from: '300', to: '1200' }, { from: '1200' }], text: (key) => `id=${key}` },
  { name: 'a text key', mapping: mappingOf(shapeOf(textual, 1)), key: (i) => `k${(i * 7919) % 10_007}`, parts: [{}], text: (key) => `id="${key}"` },
];

function rowOf(key: Value, draw: Draw): Value[] {
  const text = () => draw.pick(['', 'a', 'ab', 'b', 'größe', '😀', null, `text ${draw.below(1000)}`]);
  return [
    key, text(), text(), draw.pick(['0', '1.10', `${draw.below(10_000)}.${draw.below(100)}`, null]), draw.pick([Buffer.from([draw.below(256)]), Buffer.alloc(0), null]),
    draw.below(2) === 0, `2026-01-02 03:04:05.${draw.below(1_000_000)}`, draw.below(1000) / 7,
  ];
}

/** Text with one byte of it changed. */
function otherByte(value: Value): Value {
  if (value === null) return '';
  if (typeof value !== 'string' || value === '') return 'x';
  const at = Math.floor(value.length / 2);
  return value.slice(0, at) + (value[at] === 'x' ? 'y' : 'x') + value.slice(at + 1);
}

describe.each(tables)('with $name', ({ mapping, key, parts, text }) => {
  const made = (seed: number, count = 1000) => {
    const draw = draws(seed), rows = Array.from({ length: count }, (_, i) => rowOf(key(i), draw));
    return { draw, rows, copy: rows.map((row) => [...row]).sort(() => draw.below(3) - 1) };
  };
  const find = (rows: readonly Value[][], wanted: Value) => rows.findIndex((row) => row[0] === wanted);

  test('equal rows in another order are equal, with one digest', async () => {
    const { rows, copy } = made(1);
    const { result } = await compare(mapping, rows, copy, { parts });
    expect(result).toMatchObject({ result: 'equal', sourceRows: 1000, destinationRows: 1000, missing: 0, extra: 0, changed: 0, differences: [] });
    expect(result.sourceDigest).toBe(result.destinationDigest);
    expect(result.sourceDigest).toMatch(/^[0-9a-f]{32}$/);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('one byte of one cell is found, with its key and column (seed %i)', async (seed) => {
    const { rows, copy, draw } = made(seed), at = draw.below(copy.length), column = 1 + draw.below(2);
    const before = copy[at][column];
    copy[at][column] = otherByte(before);
    const { result } = await compare(mapping, rows, copy, { parts });
    expect(result).toMatchObject({ result: 'different', missing: 0, extra: 0, changed: 1 });
    expect(result.differences).toEqual([{
      kind: 'changed', key: text(copy[at][0]),
      columns: [{ name: column === 1 ? 'a' : 'b', source: before === null ? 'NULL' : JSON.stringify(before), destination: JSON.stringify(copy[at][column]) }],
    }]);
    expect(result.sourceDigest).not.toBe(result.destinationDigest);
  });

  test.each([1, 2, 3])('a dropped, a doubled and an invented row are found (seed %i)', async (seed) => {
    const { rows, copy, draw } = made(seed);
    const gone = copy.splice(draw.below(copy.length), 1)[0], twice = copy[draw.below(copy.length)], invented = rowOf(typeof key(0) === 'bigint' ? 1n : 'nobody', draw);
    copy.push([...twice], invented);
    const { result } = await compare(mapping, rows, copy, { parts });
    expect(result).toMatchObject({ result: 'different', missing: 1, extra: 2, changed: 0, sourceRows: 1000, destinationRows: 1001 });
    expect(new Set(result.differences.map((one) => `${one.kind} ${one.key}`))).toEqual(new Set([`missing ${text(gone[0])}`, `extra ${text(twice[0])}`, `extra ${text(invented[0])}`]));
  });

  test('a row that is there twice on one side is not cancelled by its equal', async () => {
    const { rows, copy } = made(9);
    const { result } = await compare(mapping, rows, [...copy, copy[0], copy[0]], { parts });
    expect(result).toMatchObject({ result: 'different', extra: 2, missing: 0 });
  });

  test('rows are not taken for their neighbours: two rows that exchanged a cell, or all cells', async () => {
    for (const columnsSwapped of [[1], [3], [1, 2, 3, 4, 5, 6, 7]]) {
      const { rows, copy } = made(4);
      const one = find(copy, rows[10][0]), other = find(copy, rows[11][0]);
      for (const column of columnsSwapped) {
        copy[one][column] = `one ${column}`;
        copy[other][column] = `other ${column}`;
      }
      const source = copy.map((row) => [...row]);
      for (const column of columnsSwapped) [copy[one][column], copy[other][column]] = [copy[other][column], copy[one][column]];
      const { result } = await compare(mapping, source, copy, { parts });
      expect(result).toMatchObject({ result: 'different', changed: 2, missing: 0, extra: 0 });
      expect(new Set(result.differences.map((difference) => difference.key))).toEqual(new Set([text(rows[10][0]), text(rows[11][0])]));
    }
  });

  test.each([['ab', 'c', 'a', 'bc'], ['ab', '', 'a', 'b'], ['', null, null, ''], ['a', 'b', 'b', 'a'], ['a\u0000', 'b', 'a', '\u0000b']])(
    'characters that moved to the next cell are found: %j %j is not %j %j', async (a, b, c, d) => {
      const { rows, copy } = made(5);
      const at = find(copy, rows[20][0]);
      [rows[20][1], rows[20][2], copy[at][1], copy[at][2]] = [a, b, c, d];
      const { result } = await compare(mapping, rows, copy, { parts });
      expect(result.differences).toMatchObject([{ kind: 'changed', key: text(rows[20][0]), columns: [{ name: 'a' }, { name: 'b' }] }]);
    });

  test('each column that differs is named, and no other', async () => {
    const { rows, copy } = made(6);
    const at = find(copy, rows[0][0]);
    copy[at][4] = Buffer.from('00ff', 'hex');
    copy[at][5] = !copy[at][5];
    const { result } = await compare(mapping, rows, copy, { parts });
    expect(result.differences[0].columns?.map((column) => column.name)).toEqual(['raw', 'flag']);
    expect(result.differences[0].columns?.[0].destination).toBe('\\x00ff');
  });

  test('an empty destination lacks every row, and the first are listed in key order', async () => {
    const { rows } = made(7);
    const { result } = await compare(mapping, rows, [], { parts, listed: 10 });
    expect(result).toMatchObject({ result: 'different', missing: 1000, destinationRows: 0, destinationDigest: '0'.repeat(32) });
    const inOrder = rows.map((row) => row[0]).sort((a, b) => (a! < b! ? -1 : 1)).slice(0, 10);
    expect(result.differences.map((one) => one.key)).toEqual(inOrder.map(text));
  });

  test('many differences are counted exactly, however few keys fit into memory', async () => {
    const { rows, copy, draw } = made(8, 3000);
    const changed = new Set<Value>();
    for (let i = 0; i < 700; i++) {
      const row = copy[draw.below(2000)];
      row[1] = 'spoilt';
      row[2] = `spoilt ${String(row[0])}`;
      changed.add(row[0]);
    }
    const missing = copy.splice(2500, 100).length;
    for (const keysInMemory of [700_000, 200, 1]) {
      const { result } = await compare(mapping, rows, copy, { parts, keysInMemory, listed: 5, ...(keysInMemory === 1 && { mend: undefined, looks: 1 }) });
      expect(result.result).toBe('different');
      if (keysInMemory > 1) expect(result).toMatchObject({ changed: changed.size, missing, extra: 0 });
      else expect(result.reason).toContain('lower bounds');
      expect(result.differences).toHaveLength(5);
    }
  });
});

test('two sides that have no key in common are counted exactly, though twice as many keys as either has are to be told apart', async () => {
  const mapping = mappingOf(shapeOf({ id: { kind: 'int', bits: 32, signed: true } }, 1)), rows = Array.from({ length: 86_000 }, (_, i) => [i]);
  const { result } = await compare(mapping, rows, rows.map(([i]) => [i + 1_000_000]));
  expect(result).toMatchObject({ result: 'different', missing: 86_000, extra: 86_000, changed: 0 });
});

describe('with a composite key', () => {
  const mapping = mappingOf(shapeOf({ region: { kind: 'text' }, number: { kind: 'int', bits: 32, signed: true }, note: { kind: 'text' } }, 2));
  const rows: Row[] = ['a', 'ab', 'b'].flatMap((region) => [1, 2, 11].map((number) => [region, number, `note ${region} ${number}`]));

  test('the whole key tells rows apart', async () => {
    const copy = rows.map((row) => (row[0] === 'ab' && row[1] === 11 ? ['ab', 11, 'other'] : row));
    const { result } = await compare(mapping, rows, copy);
    expect(result.differences).toEqual([{ kind: 'changed', key: 'region="ab", number=11', columns: [{ name: 'note', source: '"note ab 11"', destination: '"other"' }] }]);
  });

  test('a changed key is one row missing and one extra', async () => {
    const copy = rows.map((row) => (row[0] === 'ab' && row[1] === 1 ? ['a', 1111, row[2]] : row));
    const { result } = await compare(mapping, rows, copy);
    expect(result.differences).toEqual([{ kind: 'extra', key: 'region="a", number=1111' }, { kind: 'missing', key: 'region="ab", number=1' }]);
  });
});

describe('without a key', () => {
  const mapping = mappingOf(shapeOf({ a: { kind: 'text' }, b: { kind: 'int', bits: 32, signed: true } }, 0));
  const rows: Row[] = [['x', 1], ['x', 1], ['x', 1], ['y', 2], [null, 3], ['', 3]];

  test('equal rows are counted', async () => {
    expect((await compare(mapping, rows, [...rows].reverse())).result.result).toBe('equal');
    const { result } = await compare(mapping, rows, rows.slice(2));
    expect(result).toMatchObject({ result: 'different', missing: 2, extra: 0, changed: 0 });
    expect(result.differences).toEqual(Array(2).fill({ kind: 'missing', key: 'a="x", b=1' }));
  });

  test('two rows more of one and two less of another are four differences', async () => {
    const { result } = await compare(mapping, rows, [['x', 1], ['y', 2], ['y', 2], ['y', 2], [null, 3], ['', 3]]);
    expect(result).toMatchObject({ missing: 2, extra: 2, changed: 0, sourceRows: 6, destinationRows: 6 });
  });

  test('a changed cell is one row missing and one extra', async () => {
    const { result } = await compare(mapping, rows, [...rows.slice(0, 5), [null, 3]]);
    expect(result.differences).toEqual([{ kind: 'extra', key: 'a=NULL, b=3' }, { kind: 'missing', key: 'a="", b=3' }]);
  });
});

describe('between types of two engines', () => {
  const source = shapeOf({ id: { kind: 'int', bits: 32, signed: true }, flag: { kind: 'bool' }, amount: { kind: 'decimal' }, doc: { kind: 'json-value' } }, 1);
  const target = shapeOf({ id: { kind: 'int', bits: 64, signed: true }, flag: { kind: 'int', bits: 8, signed: true }, amount: { kind: 'text' }, doc: { kind: 'json-text' } }, 1, 'main.orders');
  const mapping = mappingOf(source, target);

  test('declared conversions are no differences, and all else is', async () => {
    const rows: Row[] = [[1, true, '1.10', '{"a": 1.0, "b": 2}'], [2, false, null, null]];
    const { result } = await compare(mapping, rows, [[1n, 1, '1.1', '{"b":2,"a":1}'], [2n, 0, null, null]]);
    expect(result).toMatchObject({ result: 'equal', namespace: 'shop.orders', target: 'main.orders' });
    const spoilt = await compare(mapping, rows, [[1n, 1, '1.1', '{"b":2,"a":2}'], [2n, 0, '', null]]);
    expect(spoilt.result.differences).toEqual([
      { kind: 'changed', key: 'id=1', columns: [{ name: 'doc', source: '{"a": 1.0, "b": 2}', destination: '{"b":2,"a":2}' }] },
      { kind: 'changed', key: 'id=2', columns: [{ name: 'amount', source: 'NULL', destination: '""' }] },
    ]);
  });
});

describe('long values', () => {
  const mapping = mappingOf(shapeOf({ id: { kind: 'int', bits: 32, signed: true }, doc: { kind: 'text' }, raw: { kind: 'bytes' } }, 1));

  test.each([0, 300, 2_500, 4_999])('of 5,000 characters the stretch around character %i is shown where it differs', async (at) => {
    const long = 'abcdefghij'.repeat(500), spoilt = `${long.slice(0, at)}#${long.slice(at + 1)}`;
    const { result } = await compare(mapping, [[1, long, null]], [[1, spoilt, null]]);
    const [{ source, destination }] = result.differences[0].columns!;
    expect(source.length).toBeLessThanOrEqual(240);
    expect(destination.length).toBeLessThanOrEqual(240);
    if (at === 2_500) expect(source).toContain('they differ where they are cut');
    else expect(destination).toContain('#');
  });

  test('bytes are shown as hex, and cut', async () => {
    const { result } = await compare(mapping, [[1, 'a', Buffer.alloc(100_000, 1)]], [[1, 'a', Buffer.alloc(99_999, 1)]]);
    expect(result.differences[0].columns![0].source).toMatch(/^…?(\\x)?01/);
    expect(JSON.stringify(result.differences).length).toBeLessThan(700);
  });

  test('long keys are cut, and still told apart', async () => {
    const keyed = mappingOf(shapeOf({ id: { kind: 'text' } }, 1)), long = 'k'.repeat(2_000);
    const { result } = await compare(keyed, [[`${long}1${long}`], [`${long}2${long}`]], []);
    const keys = result.differences.map((one) => one.key);
    expect(new Set(keys).size).toBe(2);
    expect(Math.max(...keys.map((one) => one.length))).toBeLessThan(450);
  });
});
