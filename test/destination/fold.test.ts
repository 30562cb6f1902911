import { expect, test } from 'vitest';
import type { Change, LogRow, Row, Value } from '../../src/contract.js';
import { fold, isFull, parseRejected, spellRejected, type Step } from '../../src/destination/fold.js';
import { randomBelow } from '../random.js';

const namespace = 'here.items';
const insert = (...row: Value[]): Change => ({ kind: 'insert', namespace, row });
const update = (...row: (Value | undefined)[]): Change => ({ kind: 'update', namespace, row });
const moved = (from: Value, ...row: (Value | undefined)[]): Change => ({ kind: 'update', namespace, before: [from, undefined, undefined], row });
const remove = (key: Value): Change => ({ kind: 'delete', namespace, before: [key, undefined, undefined] });
const truncate: Change = { kind: 'truncate', namespace };
const folded = (...changes: Change[]): readonly Step[] => fold(changes, [0]);
const step = (parts: Partial<Step>): Step => ({ truncate: false, deletes: [], upserts: [], updates: [], ...parts });

test('nothing folds into nothing', () => {
  expect(folded()).toEqual([]);
});

test('of several changes of a key the last row remains', () => {
  expect(folded(insert(1, 'a', 'x'), update(1, 'b', 'x'), update(1, 'c', 'x'))).toEqual([step({ upserts: [[1, 'c', 'x']] })]);
});

test('an insert after a delete is an upsert, a delete after an insert a delete', () => {
  expect(folded(remove(1), insert(1, 'a', 'x'), insert(2, 'b', 'y'), remove(2))).toEqual([step({ upserts: [[1, 'a', 'x']], deletes: [[2]] })]);
});

test('cells that the log does not repeat are taken from an earlier change, if there was one', () => {
  expect(folded(insert(1, 'a', 'large'), update(1, 'b', undefined))).toEqual([step({ upserts: [[1, 'b', 'large']] })]);
});

test('updates of some columns are grouped by their columns, and never make a row', () => {
  const [only, ...others] = folded(update(1, 'a', undefined), update(2, undefined, 'b'), update(3, 'c', undefined), update(4, 'd', undefined), update(4, undefined, 'e'));
  expect(others).toEqual([]);
  expect(only).toEqual(step({ updates: [
    { columns: [1], rows: [[1, 'a', undefined], [3, 'c', undefined]] }, { columns: [2], rows: [[2, undefined, 'b']] }, { columns: [1, 2], rows: [[4, 'd', 'e']] },
  ] }));
});

test('an update of some columns of a row that was deleted changes nothing', () => {
  expect(folded(remove(1), update(1, 'a', undefined))).toEqual([step({ deletes: [[1]] })]);
  expect(folded(truncate, update(1, 'a', undefined))).toEqual([step({ truncate: true })]);
});

test('null is a value, and undefined is none', () => {
  expect(folded(insert(1, 'a', 'b'), update(1, null, undefined))).toEqual([step({ upserts: [[1, null, 'b']] })]);
});

test('another key is a delete and an upsert where the row is known', () => {
  expect(folded(moved(1, 2, 'a', 'b'))).toEqual([step({ deletes: [[1]], upserts: [[2, 'a', 'b']] })]);
  expect(folded(insert(1, 'a', 'large'), moved(1, 2, 'b', undefined))).toEqual([step({ deletes: [[1]], upserts: [[2, 'b', 'large']] })]);
});

test('a row that moves with cells that only the destination has ends the step', () => {
  expect(folded(insert(3, 'c', 'x'), moved(1, 2, 'b', undefined), remove(2))).toEqual([
    step({ upserts: [[3, 'c', 'x']], move: { from: [1], row: [2, 'b', undefined] } }), step({ deletes: [[2]] }),
  ]);
});

test('nothing before a truncate matters', () => {
  expect(folded(insert(1, 'a', 'x'), moved(7, 8, 'b', undefined), truncate, insert(2, 'b', 'y'), insert(3, 'c', 'z'), remove(3))).toEqual([step({ truncate: true, upserts: [[2, 'b', 'y']] })]);
});

test('a value that is let go is let go before another row takes it', () => {
  expect(folded(update(1, 'x', 'a'), update(2, 'x', 'b'), update(1, 'y', 'a'))).toEqual([step({ upserts: [[2, 'x', 'b'], [1, 'y', 'a']] })]);
});

test('keys of bytes, of large numbers and of several cells are told apart by what they are', () => {
  const keyed = fold([insert(Buffer.from('a'), 1n, 'x'), insert(Buffer.from('a'), 2n, 'x'), insert(Buffer.from('a'), 1n, 'y')], [0, 1]);
  expect(keyed).toEqual([step({ upserts: [[Buffer.from('a'), 2n, 'x'], [Buffer.from('a'), 1n, 'y']] })]);
  expect(folded(insert(Buffer.from('a'), 'x', 1), insert(Buffer.from('a'), 'y', 1))[0].upserts).toHaveLength(1);
  expect(folded(insert(9007199254740993n, 'x', 1), insert(9007199254740992n, 'y', 1))[0].upserts).toHaveLength(2);
});

test('folding equals applying one by one, whatever the changes are', () => {
  for (let seed = 1; seed <= 3000; seed++) {
    const random = randomBelow(seed), changes = Array.from({ length: 1 + random(30) }, () => randomChange(random));
    const rows: Row[] = Array.from({ length: random(6) }, (_, i) => [i, `was ${i}`, `large ${i}`]);
    const one = tableOf(rows), many = tableOf(rows);
    for (const change of changes) applyOne(one, change);
    for (const each of fold(changes, [0])) applyStep(many, each);
    expect(sorted(many), `seed ${seed}: ${JSON.stringify(changes)}`).toEqual(sorted(one));
  }
});

test('rejected rows are kept as text, and are the same again', () => {
  const rejected = [{ namespace, row: [1n, null, Buffer.from([0, 255]), -1.5, NaN, 'é\0\n', true], reason: 'said "no"' }];
  expect(parseRejected(spellRejected(rejected))).toEqual(rejected);
  expect(parseRejected(null)).toEqual([]);
});

type Table = Map<Value, LogRow>;

function tableOf(rows: readonly Row[]): Table {
  return new Map(rows.map((row) => [row[0], row]));
}

function sorted(table: Table): LogRow[] {
  return [...table.values()].sort((a, b) => Number(a[0]) - Number(b[0]));
}

/** As the change says, with no regard to any other. */
function applyOne(table: Table, change: Change): void {
  switch (change.kind) {
    case 'truncate': return table.clear();
    case 'insert': return void table.set(change.row[0], change.row);
    case 'delete': return void table.delete(change.before[0]!);
    case 'update': return updateOne(table, change.before?.[0] ?? change.row[0]!, change.row);
    default: change satisfies never;
  }
}

function updateOne(table: Table, from: Value, row: LogRow): void {
  const old = table.get(from);
  if (!old && !isFull(row)) return;
  table.delete(from);
  table.set(row[0]!, row.map((cell, i) => (cell === undefined ? old![i] : cell)));
}

/** As a destination does. */
function applyStep(table: Table, { truncate: empty, deletes, upserts, updates, move }: Step): void {
  if (empty) table.clear();
  for (const [key] of deletes) table.delete(key);
  for (const row of upserts) table.set(row[0], row);
  for (const { columns, rows } of updates) {
    for (const row of rows) {
      const old = table.get(row[0]!);
      if (old) table.set(row[0]!, old.map((cell, i) => (columns.includes(i) ? row[i] : cell)));
    }
  }
  if (move && table.has(move.from[0])) updateOne(table, move.from[0], move.row);
}

function randomChange(random: (below: number) => number): Change {
  const key = random(6), cell = (i: number) => (random(3) === 0 ? undefined : random(9) === 0 ? null : `${i}:${random(100)}`);
  const whole = (id: number): Row => [id, `a${random(100)}`, random(4) === 0 ? null : `b${random(100)}`];
  switch (random(12)) {
    case 0: case 1: case 2: return { kind: 'insert', namespace, row: whole(key) };
    case 3: case 4: return { kind: 'delete', namespace, before: [key, undefined, undefined] };
    case 5: return random(4) === 0 ? truncate : moved(key, random(6), cell(1), cell(2));
    case 6: return moved(key, ...whole(random(6)));
    case 7: return { kind: 'update', namespace, row: whole(key) };
    default: return { kind: 'update', namespace, row: [key, cell(1), cell(2)] };
  }
}
