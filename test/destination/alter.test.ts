import { expect, test } from 'vitest';
import type { Column, LogicalType, Mapping, Shape } from '../../src/contract.js';
import { alterationOf } from '../../src/destination/alter.js';

const int = (bits: 32 | 64): LogicalType => ({ kind: 'int', bits, signed: true });
const column = (name: string, native = 'int'): Column => ({ name, native, type: native === 'text' ? { kind: 'text' } : int(native === 'bigint' ? 64 : 32), nullable: false });
const shape = (columns: readonly Column[], key: readonly number[] = [0]): Shape => ({ namespace: 't', name: 't', engine: 'x', columns, key });
const mappingOf = (source: Shape, target = source): Mapping => ({ source, target, fidelity: [], existed: false, staged: false });
const before = shape([column('id'), column('v'), column('gone')]);

const altered = (now: Shape, standing = before.columns) => alterationOf(mappingOf(before), {
  wanted: mappingOf(now), standing, same: (a, b) => a === b, widens: (from, to) => from.native === 'int' && to.native === 'bigint',
});

test('what is new is added, and may be null; what is gone is dropped; what is wider is widened, and null only where it was', () => {
  expect(altered(shape([column('id'), column('more'), column('v', 'bigint')]))).toEqual({ add: [{ ...column('more'), nullable: true }], drop: ['gone'], widen: [column('v', 'bigint')] });
});

test('what an earlier call has done is left', () => {
  const now = shape([column('id'), column('more'), column('v', 'bigint')]);
  expect(altered(now, now.columns)).toEqual({ add: [], drop: [], widen: [] });
});

test('columns are found by name, wherever they stand', () => {
  expect(altered(shape([column('gone'), column('v'), column('id')], [2]))).toEqual({ add: [], drop: [], widen: [] });
});

test.each([
  ['a retyped column', shape([column('id'), column('v', 'text'), column('gone')]), /v became text, and int can't simply be widened to text/],
  ['another key', shape(before.columns, [0, 1]), /its key is \(id, v\), not \(id\)/],
  ['a key that is gone', shape([column('v'), column('gone')], []), /its key is \(\), not \(id\)/],
])('%s is refused', (_, now, message) => {
  expect(() => altered(now)).toThrow(expect.objectContaining({ code: 'refused', message: expect.stringMatching(message) }));
});

test('a widened column that the destination lacks is refused', () => {
  expect(() => altered(shape([column('id'), column('v', 'bigint'), column('gone')]), [column('id'), column('gone')])).toThrow(/v is not in the destination/);
});
