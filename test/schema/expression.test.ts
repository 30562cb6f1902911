import { expect, test } from 'vitest';
import { translateDefault } from '../../src/schema/defaults.js';
import { parseExpression, renderExpression, type Dialect } from '../../src/schema/expression.js';
import { distinct, fitting } from '../../src/schema/names.js';

const moved = (text: string, from: Dialect, to: Dialect): string | undefined => {
  const expression = parseExpression(text, from);
  return expression && renderExpression(expression, to, (name) => (name === 'gone' ? undefined : name));
};

test.each([
  [`((price > (0)::numeric) AND (status = ANY (ARRAY['new'::text, 'it''s'::text])))`, 'postgres', 'mysql', "((`price` > 0) AND (`status` IN ('new', 'it''s')))"],
  [`((status)::text <> ALL ((ARRAY['a'::character varying, 'b'::character varying])::text[]))`, 'postgres', 'sqlite', `("status" NOT IN ('a', 'b'))`],
  [`(day >= '2020-01-01'::date)`, 'postgres', 'mysql', "(`day` >= '2020-01-01')"],
  ['(((`n` > 0) and (`e` in (_utf8mb4\'x\',_utf8mb4\'a\\\\b\'))))', 'mysql', 'postgres', `(("n" > 0) AND ("e" IN ('x', 'a\\b')))`],
  ['`a` is not null or not (`b` between 1 and -5)', 'mysql', 'sqlite', '(("a" IS NOT NULL) OR (NOT ("b" BETWEEN 1 AND -5)))'],
  ['lower([E Mail]) = name', 'sqlite', 'postgres', '(lower("E Mail") = "name")'],
] as const)('%s means the same in %s and %s', (text, from, to, spelled) => {
  expect(moved(text, from, to)).toBe(spelled);
});

test.each([
  ["(name ~ 'x'::text)", 'postgres'], ['(a / 2 > 1)', 'postgres'], ["(name < 'm'::text)", 'postgres'], ['((a)::integer = 1)', 'postgres'], ["nextval('s'::regclass)", 'postgres'],
  ['gone = 1', 'sqlite'], ['regexp_like(`a`, 1)', 'mysql'], ['a =', 'mysql'], ['a = 1 b', 'sqlite'], ["a LIKE 'x'", 'sqlite'], ['public.f(a) > 1', 'postgres'],
] as const)('%s (%s) is not the same everywhere', (text, from) => {
  expect(moved(text, from, from === 'mysql' ? 'postgres' : 'mysql')).toBeUndefined();
});

const column = (kind: string, native: string, more = {}) => ({ name: 'c', native, nullable: true, type: { kind, ...more } as never });

test.each([
  ["'new'::shop.status", 'postgres', 'mysql', column('text', 'longtext'), "('new')"], ["'x'::character varying", 'postgres', 'mysql', column('text', 'varchar(5)'), "'x'"],
  ['now()', 'postgres', 'mysql', column('timestamp', 'datetime(6)', { fraction: 6 }), 'CURRENT_TIMESTAMP(6)'], ['current_timestamp()', 'mysql', 'postgres', column('instant', 'timestamptz', { fraction: 0 }), 'CURRENT_TIMESTAMP'],
  ["'4.99'", 'mysql', 'postgres', column('decimal', 'numeric(4,2)'), '4.99'], ["b'101'", 'mysql', 'postgres', column('bits', 'bit(3)'), "b'101'"], ['true', 'postgres', 'sqlite', column('bool', 'BOOLEAN_INT'), '1'],
  ['gen_random_uuid()', 'postgres', 'mysql', column('text', 'char(36)'), '(uuid())'], ['public.uuid_generate_v4()', 'postgres', 'mysql', column('text', 'char(36)'), '(uuid())'], ['-1', 'postgres', 'mysql', column('int', 'int'), '-1'],
] as const)('the default %s goes from %s to %s', (text, from, to, target, sql) => {
  expect(translateDefault(text, from, to, target)).toEqual({ kept: true, sql });
});

test.each([
  ["'0000-00-00'", 'mysql', 'postgres', column('date', 'date')], ['now()', 'postgres', 'mysql', column('text', 'longtext')], ['gen_random_uuid()', 'postgres', 'sqlite', column('uuid', 'UUID_TEXT')],
  ['public.now()', 'postgres', 'mysql', column('timestamp', 'datetime(6)', { fraction: 6 })], ["'-23:45:56.7'", 'mysql', 'postgres', column('time', 'time(1) without time zone', { fraction: 1 })], ["'24:00:01'", 'mysql', 'postgres', column('time', 'time(0) without time zone', { fraction: 0 })],
  ["(1 + 1)", 'postgres', 'mysql', column('int', 'int')], ["'abc'", 'mysql', 'postgres', column('int', 'integer')],
] as const)('the default %s has no counterpart (%s to %s)', (text, from, to, target) => {
  expect(translateDefault(text, from, to, target)).toMatchObject({ kept: false });
});

test('names that are too long are cut to fit, always to the same name, and never two to one', () => {
  const bytes = { longest: 63, unit: 'bytes', ignoresCase: false } as const, long = 'ä'.repeat(60);
  expect(Buffer.byteLength(fitting(long, bytes))).toBeLessThanOrEqual(63);
  expect(fitting(long, bytes)).toBe(fitting(long, bytes));
  expect(fitting(long, bytes)).not.toBe(fitting(`${long}b`, bytes));
  expect(fitting('short', bytes)).toBe('short');
  const [first, second, third] = distinct(['Name', 'name', 'NAME'], { longest: 64, unit: 'characters', ignoresCase: true });
  expect(first).toBe('Name');
  expect(new Set([first, second, third].map((name) => name!.toLowerCase())).size).toBe(3);
});
