import type { Kind } from './table.js';

/** The one spelling in which cells are compared here. It knows nothing of dsync's own normal form. */
export function spell(kind: Kind, text: string | null): string | null {
  return text === null ? null : spellers[kind](text);
}

const same = (text: string): string => text;
const withoutZeros = (text: string): string => text.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');

/** `-1E-20` is MongoDB's way to print it. */
function withoutExponent(text: string): string {
  const [, sign, digits, exponent] = /^(-?)(\d+(?:\.\d+)?)E([+-]?\d+)$/.exec(text) ?? [];
  if (digits === undefined) return text;
  const [whole, fraction = ''] = digits.split('.');
  const point = whole!.length + Number(exponent);
  const all = (whole! + fraction).padStart(whole!.length + fraction.length + Math.max(0, 1 - point), '0').padEnd(point, '0');
  const at = Math.max(1, point);
  const value = `${all.slice(0, at)}.${all.slice(at)}`;
  return /^[0.]*$/.test(value) ? '0' : sign + value;
}

const spellers: Record<Kind, (text: string) => string> = {
  bool: (text) => ({ t: '1', true: '1', 1: '1', f: '0', false: '0', 0: '0' })[text] ?? `not a bool: ${text}`,
  int: same,
  decimal: (text) => withoutZeros(withoutExponent(text)),
  float32: (text) => spellNumber(Math.fround(Number(text))),
  float64: (text) => spellNumber(Number(text)),
  text: same,
  padded: (text) => text.replace(/ +$/, ''),
  bytes: (text) => text.toLowerCase(),
  date: same,
  time: withoutZeros,
  timestamp: (text) => withoutZeros(text.replace('T', ' ')),
  instant: (text) => withoutZeros(text.replace('T', ' ').replace(/Z$|\+00(:00)?$/, '')),
  uuid: (text) => text.toLowerCase(),
  json: spellJson,
  bits: (text) => text.replace(/^0+(?=.)/, ''),
};

const spellNumber = (number: number): string => (Object.is(number, -0) ? '-0' : String(number));

/** The value, with every digit of its numbers, and keys in order: engines that keep JSON as a value write it anew. */
export function spellJson(text: string): string {
  return JSON.stringify(inOrder(JSON.parse(numbersAsText(text))));
}

function numbersAsText(json: string): string {
  return json.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) => (token.startsWith('"') ? token : `"number ${plainNumber(token)}"`));
}

/** `1.0`, `1` and `10e-1` are one number. */
function plainNumber(text: string): string {
  return withoutZeros(withoutExponent(text.replace('e', 'E')));
}

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, inOrder(inner)]));
}
