import { expect, test } from 'vitest';
import { canonicalJson } from '../../src/verifier/json.js';
import { canonicalNumber } from '../../src/verifier/numbers.js';
import { draws } from './tables.js';

const canonical = (text: string) => canonicalJson(text, canonicalNumber);

test('numbers written in any way have one spelling, and different numbers have two', () => {
  const draw = draws(7);
  const seen = new Map<string, string>();
  for (let i = 0; i < 20_000; i++) {
    const digits = BigInt(draw.below(200)) * 10n ** BigInt(draw.below(40)) + BigInt(draw.below(3)), scale = draw.below(45) - 5;
    const worth = `${digits}/${scale}`, reduced = reducedOf(digits, scale);
    const text = writtenSomehow(digits, scale, draw.below(4));
    const spelled = canonicalNumber(text)!;
    expect(spelled, `${worth} as ${text}`).toBeDefined();
    expect(seen.get(spelled) ?? reduced, text).toBe(reduced);
    seen.set(spelled, reduced);
  }
  expect(new Set(seen.values()).size).toBe(seen.size);
});

/** digits × 10^-scale in lowest terms. */
function reducedOf(digits: bigint, scale: number): string {
  if (digits === 0n) return '0';
  while (digits % 10n === 0n) {
    digits /= 10n;
    scale--;
  }
  return `${digits}e${-scale}`;
}

function writtenSomehow(digits: bigint, scale: number, way: number): string {
  if (way === 0) return `${digits}e${-scale}`;
  if (scale <= 0) return `${digits}${'0'.repeat(-scale)}${way === 1 ? '.000' : ''}`;
  const padded = String(digits).padStart(scale + 1, '0');
  const plain = `${padded.slice(0, -scale)}.${padded.slice(-scale)}`;
  return way === 1 ? plain : way === 2 ? `00${plain}00` : `${plain}E+0`;
}

test('JSON values are the same exactly where their parsed values are', () => {
  const draw = draws(11);
  const samples = Array.from({ length: 300 }, () => made(draw, 3));
  const spelled = samples.map((value) => [canonical(render(value, draw)), canonical(render(value, draw)), JSON.stringify(sorted(value))]);
  for (const [one, other] of spelled) expect(one).toBe(other);
  for (const [a, , parsedA] of spelled) for (const [b, , parsedB] of spelled) expect(a === b).toBe(parsedA === parsedB);
});

test.each(['', ' ', '{', '[1,]', '{"a"}', '{"a":}', '{"a":1,}', '{a:1}', '01', '1.', '.5', '+1', 'tru', 'nulll', '"a', '"\n"', '"\\x"', '"\\u12"', '1 2', '[1 2]', '{"a":1}}', ']', ',', "'a'"])('%j is not JSON', (text) => {
  expect(canonical(text)).toBeUndefined();
  expect(() => JSON.parse(text)).toThrow();
});

test('JSON nests as deep as it likes', () => {
  const depth = 200_000;
  expect(canonical(`${'['.repeat(depth)}1.0${']'.repeat(depth)}`)).toBe(`${'['.repeat(depth)}1e0${']'.repeat(depth)}`);
  expect(canonical('['.repeat(depth))).toBeUndefined();
});

test('a member named __proto__ is a member', () => {
  expect(canonical('{"__proto__":1}')).not.toBe(canonical('{}'));
});

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

function made(draw: ReturnType<typeof draws>, depth: number): Json {
  switch (draw.below(depth > 0 ? 7 : 5)) {
    case 0: return null;
    case 1: return draw.below(2) === 0;
    case 2: return draw.below(4);
    case 3: return draw.below(4) / 4;
    case 4: return draw.pick(['', 'a', '"', '\\', 'é', '😀', '1', ',', 'null', '1:a']);
    case 5: return Array.from({ length: draw.below(3) }, () => made(draw, depth - 1));
    default: return Object.fromEntries(Array.from({ length: draw.below(3) }, () => [draw.pick(['a', 'b', 'a"', '']), made(draw, depth - 1)]));
  }
}

/** The same value in one of its many spellings. */
function render(value: Json, draw: ReturnType<typeof draws>): string {
  const gap = () => draw.pick(['', ' ', '\n\t']);
  if (Array.isArray(value)) return `[${gap()}${value.map((item) => render(item, draw)).join(`${gap()},${gap()}`)}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value);
    if (draw.below(2) === 0) members.reverse();
    return `{${gap()}${members.map(([name, item]) => `${escaped(name, draw)}${gap()}:${gap()}${render(item, draw)}`).join(',')}}`;
  }
  if (typeof value === 'string') return escaped(value, draw);
  return typeof value === 'number' && draw.below(2) === 0 ? `${value * 100}e-2` : JSON.stringify(value);
}

function escaped(text: string, draw: ReturnType<typeof draws>): string {
  if (draw.below(2) === 0) return JSON.stringify(text);
  return `"${[...Array(text.length).keys()].map((i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`;
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, item]) => [name, sorted(item)]));
}
