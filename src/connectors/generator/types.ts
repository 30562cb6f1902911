import type { LogicalType } from '../../contract.js';
import { spellAny, spellFloat32 } from '../../values/normal.js';
import type { Draw } from './random.js';

/** Makes up a cell, in normal form. */
export type Speller = (draw: Draw, unicode: number) => string;

/** One column per logical type, each with its limits among the values. */
export const everyType: readonly { readonly name: string; readonly type: LogicalType; readonly spell: Speller }[] = [
  ...([8, 16, 24, 32, 64] as const).flatMap((bits) => [true, false].map((signed) => integer(bits, signed))),
  { name: 'exact', type: { kind: 'decimal', precision: 38, scale: 10 }, spell: bigDecimal },
  { name: 'real4', type: { kind: 'float', bits: 32 }, spell: (draw) => spellFloat32(Math.fround(spread(draw, 30))) },
  { name: 'real8', type: { kind: 'float', bits: 64 }, spell: (draw) => spellAny(spread(draw, 300)) },
  { name: 'flag', type: { kind: 'bool' }, spell: flag },
  { name: 'words', type: { kind: 'text' }, spell: (draw, unicode) => (draw.chance(unicode) ? hostile(draw) : word(draw)) },
  { name: 'short', type: { kind: 'text', maxLength: 40 }, spell: word },
  { name: 'raw', type: { kind: 'bytes' }, spell: rawBytes },
  { name: 'day', type: { kind: 'date' }, spell: date },
  { name: 'clock', type: { kind: 'time', fraction: 6 }, spell: time },
  { name: 'reading', type: { kind: 'timestamp', fraction: 6 }, spell: timestamp },
  { name: 'moment', type: { kind: 'instant', fraction: 6 }, spell: timestamp },
  { name: 'ident', type: { kind: 'uuid' }, spell: (draw) => uuid(draw, draw.next() * 0x8000 + draw.below(0x8000)) },
  { name: 'doc', type: { kind: 'json-text' }, spell: json },
  { name: 'state', type: { kind: 'enum', labels: ['new', 'paid', 'sent back', "it's", 'größe'] }, spell: (draw) => pick(draw, ['new', 'paid', 'sent back', "it's", 'größe']) },
];

export function integerBelow(limit: number): Speller {
  return (draw) => String(draw.below(limit));
}

export function money(draw: Draw): string {
  return `${draw.below(100_000)}.${padded2[draw.below(100)]}`;
}

export function flag(draw: Draw): string {
  return draw.next() < 0x80000000 ? '0' : '1';
}

export function word(draw: Draw): string {
  return words[draw.below(words.length)];
}

/** `length` characters of ASCII. */
export function filler(draw: Draw, length: number): string {
  if (length > prose.length) return prose.repeat(Math.ceil(length / prose.length)).slice(0, length);
  const start = draw.below(prose.length - length + 1);
  return prose.slice(start, start + length);
}

/** Text that careless software spoils. */
export function hostile(draw: Draw): string {
  let text = pieces[draw.below(pieces.length)];
  for (let more = draw.below(4); more > 0 && text !== ''; more--) text += pieces[draw.below(pieces.length)];
  return text;
}

/** Between 1971 and 2037, so that every engine has it. */
export function timestamp(draw: Draw): string {
  return `${date(draw)} ${time(draw)}`;
}

/** Lower-case; its last twelve digits are `number`, so equal ones never come from different numbers below 2^48. */
export function uuid(draw: Draw, number: number): string {
  const a = hex(draw.next(), 8), b = hex(draw.next(), 8);
  return `${a}-${b.slice(0, 4)}-4${b.slice(4, 7)}-8${hex(draw.below(4096), 3)}-${hex(number, 12)}`;
}

const padded2 = Array.from({ length: 100 }, (_, i) => String(i).padStart(2, '0'));
const words = 'amber birch cedar delta ember fjord grove haven ivory jade karst lumen maple north ochre pine quartz river slate tundra'.split(' ');
const prose = Array.from({ length: 400 }, (_, i) => words[(i * 7 + (i >> 3)) % words.length]).join(' ');
const pieces = [
  '', ' ', '\t', '\n', '\r\n', '\\', '\\N', '\\.', '\\t', '\b', '\f', '\v', '\u0001', '"', "'", '`', ';--', '%s', '${x}', 'NULL', ',',
  '😀', '👩‍👩‍👧', '𝔘𝔫𝔦', 'e\u0301', 'é', 'ß', 'İı', 'שלום', '\u202eabc', '\ufeff', '\u00a0', '\u2028', '中文', '\u{10fffd}', 'x',
];
const dates = Array.from({ length: 66 * 365 }, (_, i) => new Date(Date.UTC(1971, 0, 2 + i)).toISOString().slice(0, 10));

function date(draw: Draw): string {
  return dates[draw.below(dates.length)];
}

function time(draw: Draw): string {
  const seconds = draw.below(86_400), fraction = draw.below(1_000_000);
  const clock = `${padded2[(seconds / 3600) | 0]}:${padded2[((seconds / 60) | 0) % 60]}:${padded2[seconds % 60]}`;
  return fraction === 0 ? clock : `${clock}.${microseconds(fraction)}`;
}

/** Six digits without their trailing zeros. */
function microseconds(fraction: number): string {
  const digits = String(1_000_000 + fraction).slice(1);
  return fraction % 10 === 0 ? digits.replace(/0+$/, '') : digits;
}

function integer(bits: 8 | 16 | 24 | 32 | 64, signed: boolean) {
  const span = 1n << BigInt(bits), low = signed ? -(span >> 1n) : 0n;
  const limits = [low, low + span - 1n, 0n, 1n].map(String);
  const spell: Speller = (draw) => (draw.below(8) === 0 ? pick(draw, limits) : String(low + BigInt.asUintN(bits, (BigInt(draw.next()) << 32n) | BigInt(draw.next()))));
  return { name: `${signed ? 'int' : 'uint'}${bits}`, type: { kind: 'int', bits, signed } as const, spell };
}

const decimalLimits = [`${'9'.repeat(28)}.${'9'.repeat(10)}`, `-${'9'.repeat(28)}.${'9'.repeat(10)}`, '0.0000000001', '-0.0000000001', '0.0000000000', '1.1000000000'];

function bigDecimal(draw: Draw): string {
  if (draw.below(8) === 0) return pick(draw, decimalLimits);
  const fraction = String(draw.next()).padStart(10, '0');
  return `${draw.chance(0.5) ? '-' : ''}${draw.next() + 1}${draw.next()}.${fraction}`;
}

/** A number of any size up to ten to the power of `exponent`, either way. */
function spread(draw: Draw, exponent: number): number {
  if (draw.below(8) === 0) return pick(draw, [0, 1, -1, 0.1, 1.5, 16777216, -123456.789]);
  return (draw.next() / 0x80000000 - 1) * 10 ** (draw.below(2 * exponent) - exponent);
}

function rawBytes(draw: Draw): string {
  let text = '\\x';
  for (let length = draw.below(5); length > 0; length--) text += hex(draw.next(), 8);
  return draw.below(8) === 0 ? '\\x00ff5c0a0d09' : text;
}

function json(draw: Draw, unicode: number): string {
  const text = draw.chance(unicode) ? hostile(draw) : word(draw);
  return `{"b": 1.0,  "a":${draw.next()}${draw.next()}, "t": ${JSON.stringify(text)}, "n":null}`;
}

function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, '0');
}

function pick<T>(draw: Draw, values: readonly T[]): T {
  return values[draw.below(values.length)];
}
