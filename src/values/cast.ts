import { isUtf8 } from 'node:buffer';
import type { LogicalType, Value } from '../contract.js';
import { fitFraction, spelledMoment } from './moments.js';
import { spellAny, spellCell } from './normal.js';
import { parsedNumber, roundedTo, spelledNumber, wholeOf, type Parsed } from './numerals.js';

/** Why a value can't become what is wanted of it. Stands in the value's place: throwing costs too much. */
export class BadValue {
  constructor(readonly reason: string) {}
}

export type Convert = (value: Exclude<Value, null>) => Value | BadValue;

/** The way from one type to another. Null is no concern of it. */
export interface Cast {
  readonly convert: Convert;
  /** The normal-form text of every value stays as it is, and none is bad. */
  readonly keepsText: boolean;
}

type Of<Kind extends LogicalType['kind']> = Extract<LogicalType, { kind: Kind }>;

/**
 * Compiles a cast between two types; undefined where nothing converts between them. A value that does not fit exactly is bad,
 * or, with `rounds`, is rounded (numbers) or cut (fractions of a second, text, the time of a day). A moment is taken as UTC.
 */
export function castBetween(from: LogicalType, to: LogicalType, rounds = false): Cast | undefined {
  if (JSON.stringify(from) === JSON.stringify(to)) return { convert: (value) => value, keepsText: true };
  if (from.kind === 'document' || from.kind === 'document-id' || to.kind === 'document' || to.kind === 'document-id') return undefined;
  const convert = conversion(from, to, rounds);
  return convert && { convert, keepsText: keepsText(from, to) };
}

/** The way for values that are none of their column's type: SQLite has them. By what each value is. */
export function castOfAny(to: LogicalType, rounds = false): Convert {
  const ways = { string: conversion({ kind: 'text' }, to, rounds), number: conversion({ kind: 'float', bits: 64 }, to, rounds), bigint: conversion({ kind: 'int', bits: 64, signed: true }, to, rounds), boolean: conversion({ kind: 'bool' }, to, rounds), object: conversion({ kind: 'bytes' }, to, rounds) };
  return (value) => {
    const way = ways[typeof value as keyof typeof ways];
    return way ? way(value) : bad(value, `a ${nameOf(to)}`);
  };
}

function conversion(from: LogicalType, to: LogicalType, rounds: boolean): Convert | undefined {
  if (from.kind === 'any') return castOfAny(to, rounds);
  switch (to.kind) {
    case 'bool': return toBool(from);
    case 'int': return toInt(from, to, rounds);
    case 'decimal': return toDecimal(from, to, rounds);
    case 'float': return toFloat(from, to, rounds);
    case 'text': return toText(from, to.maxLength, rounds);
    case 'bytes': return toBytes(from, to, rounds);
    case 'date': case 'timestamp': case 'instant': return toMoment(from, to, rounds);
    case 'time': return toTime(from, to, rounds);
    case 'uuid': return toUuid(from);
    case 'json-text': case 'json-value': return toJson(from);
    case 'enum': return isWords(from) ? (value) => (to.labels.includes(String(value)) ? value : bad(value, 'one of the labels')) : undefined;
    case 'set': return isWords(from) ? toSet(to.labels) : undefined;
    case 'bits': return toBits(from, to);
    case 'native': return toText(from, undefined, rounds);
    case 'any': return (value) => value;
    case 'document': case 'document-id': return undefined;
    default: return to satisfies never;
  }
}

/** What a reader of the reject file needs to see of a value. */
function bad(value: Exclude<Value, null>, wanted: string): BadValue {
  const text = spellAny(value), shown = text.length > 60 ? `${text.slice(0, 59)}…` : text;
  return new BadValue(`${typeof value === 'string' ? `'${shown}'` : shown} is not ${wanted}`);
}

function nameOf({ kind }: LogicalType): string {
  return kind.replace('-', ' ');
}

function isWords({ kind }: LogicalType): boolean {
  return kind === 'text' || kind === 'enum' || kind === 'set' || kind === 'native';
}

// --- numbers ---------------------------------------------------------------

/** How a value of this type is read as a number; undefined for types that are none. */
function numberOf(from: LogicalType): ((value: Exclude<Value, null>) => Parsed | undefined) | undefined {
  switch (from.kind) {
    case 'bool': case 'int': case 'decimal': return (value) => parsedNumber(spellAny(value));
    case 'float': {
      const spell = spellCell(from);
      return (value) => parsedNumber(spell(value));
    }
    case 'text': case 'enum': case 'native': return (value) => parsedNumber(String(value).trim());
    case 'bits': return (value) => (/^[01]+$/.test(String(value)) ? parsedNumber(BigInt(`0b${String(value)}`).toString()) : undefined);
    default: return undefined;
  }
}

function toInt(from: LogicalType, { bits, signed }: Of<'int'>, rounds: boolean): Convert | undefined {
  const read = numberOf(from), least = signed ? -(2n ** BigInt(bits - 1)) : 0n, most = 2n ** BigInt(signed ? bits - 1 : bits) - 1n;
  return read && ((value) => {
    const number = read(value), whole = number && wholeOf(number, rounds);
    if (whole === undefined) return bad(value, 'a whole number');
    if (whole < least || whole > most) return bad(value, `between ${least} and ${most}`);
    return bits === 64 ? whole : Number(whole);
  });
}

function toDecimal(from: LogicalType, { precision, scale = 0 }: Of<'decimal'>, rounds: boolean): Convert | undefined {
  const read = numberOf(from);
  if (!read || scale < 0) return undefined;
  return (value) => {
    const special = precision === undefined || from.kind === 'decimal' ? specialOf(value) : undefined;
    if (special !== undefined) return special;
    const number = read(value);
    if (!number) return bad(value, 'a number');
    if (precision === undefined) return typeof value === 'string' && plainDecimal.test(value) ? value : spelledNumber(number);
    const fitted = number.fraction.length <= scale ? number : rounds ? roundedTo(number, scale) : undefined;
    if (!fitted) return bad(value, `a number of at most ${scale} decimals`);
    return fitted.whole.length <= precision - scale ? spelledNumber(fitted) : bad(value, `a number of at most ${precision - scale} digits before the point`);
  };
}

/** As a decimal of any number of digits is spelled: zeros at the end are digits, too. */
const plainDecimal = /^(?!-[0.]+$)-?(0|[1-9]\d*)(\.\d+)?$/;

function specialOf(value: Exclude<Value, null>): string | undefined {
  const text = spellAny(value);
  return text === 'NaN' || text === 'Infinity' || text === '-Infinity' ? text : undefined;
}

/** A decimal is kept by the float whose shortest spelling is that very number. */
function toFloat(from: LogicalType, to: Of<'float'>, rounds: boolean): Convert | undefined {
  const read = numberOf(from), spell = spellCell(to);
  return read && ((value) => {
    const special = specialOf(value);
    if (special !== undefined) return Number(special);
    if (from.kind === 'float' && typeof value === 'number' && to.bits === 64) return value;
    const number = read(value);
    if (!number) return bad(value, 'a number');
    const text = spelledNumber(number), float = to.bits === 64 ? Number(text) : Math.fround(Number(text));
    if (!Number.isFinite(float)) return bad(value, `a number that ${to.bits} bits reach`);
    const back = parsedNumber(spell(float));
    return rounds || (back && spelledNumber(back) === text) ? float : bad(value, `kept exactly by a float of ${to.bits} bits`);
  });
}

const truths: Readonly<Record<string, boolean>> = { true: true, t: true, yes: true, y: true, on: true, 1: true, false: false, f: false, no: false, n: false, off: false, 0: false };

function toBool(from: LogicalType): Convert | undefined {
  if (from.kind === 'text' || from.kind === 'enum') return (value) => truths[String(value).trim().toLowerCase()] ?? bad(value, 'true or false');
  const read = numberOf(from);
  return read && ((value) => {
    const number = read(value), text = number && spelledNumber(number);
    return text === '1' ? true : text === '0' ? false : bad(value, '0 or 1');
  });
}

function toBits(from: LogicalType, { length, varying }: Of<'bits'>): Convert | undefined {
  const fixed = length !== undefined && !varying;
  const fitted = (text: string, value: Exclude<Value, null>) => (length === undefined || text.length <= length ? text : bad(value, `${length} bits`));
  switch (from.kind) {
    case 'bool': return (value) => fitted((value ? '1' : '0').padStart(fixed ? length : 1, '0'), value);
    case 'int': return (value) => (BigInt(value as number) < 0n ? bad(value, 'a number of bits') : fitted(BigInt(value as number).toString(2).padStart(fixed ? length : 1, '0'), value));
    case 'text': case 'bits': return (value) => (!/^[01]*$/.test(String(value)) || (fixed && String(value).length !== length) ? bad(value, `${length ?? 'a row of'} bits`) : fitted(String(value), value));
    default: return undefined;
  }
}

// --- text and bytes --------------------------------------------------------

function toText(from: LogicalType, maxLength: number | undefined, rounds: boolean): Convert | undefined {
  const spell = spelling(from);
  return (value) => {
    const text = spell(value);
    if (typeof text !== 'string' || maxLength === undefined || text.length <= maxLength) return text;
    const characters = [...text];
    if (characters.length <= maxLength) return text;
    return rounds ? characters.slice(0, maxLength).join('') : bad(value, `a text of at most ${maxLength} characters`);
  };
}

/** As people read it: bytes are taken for UTF-8. */
function spelling(from: LogicalType): (value: Exclude<Value, null>) => string | BadValue {
  if (from.kind === 'bool') return (value) => (value ? 'true' : 'false');
  if (from.kind === 'bytes') return (value) => (value instanceof Uint8Array && isUtf8(value) ? Buffer.from(value).toString('utf8') : bad(value, 'UTF-8'));
  return spellCell(from);
}

function toBytes(from: LogicalType, { maxLength }: Of<'bytes'>, rounds: boolean): Convert | undefined {
  if (!isWords(from) && from.kind !== 'bytes' && from.kind !== 'uuid' && from.kind !== 'json-text' && from.kind !== 'json-value') return undefined;
  return (value) => {
    const bytes = value instanceof Uint8Array ? value : from.kind === 'uuid' ? Buffer.from(String(value).replaceAll('-', ''), 'hex') : Buffer.from(String(value));
    if (maxLength === undefined || bytes.length <= maxLength) return bytes;
    return rounds ? bytes.subarray(0, maxLength) : bad(value, `at most ${maxLength} bytes`);
  };
}

function toUuid(from: LogicalType): Convert | undefined {
  if (from.kind !== 'bytes' && !isWords(from)) return undefined;
  return (value) => {
    const hex = value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value).trim().replace(/^\{(.*)\}$/, '$1').replaceAll('-', '').toLowerCase();
    return /^[0-9a-f]{32}$/.test(hex) ? `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}` : bad(value, 'a UUID');
  };
}

function toJson(from: LogicalType): Convert | undefined {
  if (from.kind === 'json-text' || from.kind === 'json-value') return (value) => value;
  if (from.kind === 'bool') return (value) => (value ? 'true' : 'false');
  if (from.kind === 'int' || from.kind === 'decimal' || from.kind === 'float') {
    const read = numberOf(from)!;
    return (value) => {
      const number = read(value);
      return number ? spelledNumber(number) : bad(value, 'a number of JSON');
    };
  }
  return isWords(from) ? (value) => (isJson(String(value)) ? value : bad(value, 'JSON')) : undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function toSet(labels: readonly string[]): Convert {
  return (value) => (String(value).split(',').every((label) => label === '' || labels.includes(label)) ? value : bad(value, 'made of the labels'));
}

// --- dates and times -------------------------------------------------------

function toMoment(from: LogicalType, to: Of<'date'> | Of<'timestamp'> | Of<'instant'>, rounds: boolean): Convert | undefined {
  if (from.kind === 'date') return to.kind === 'date' ? (value) => value : (value) => (isPlainDay(String(value)) ? `${String(value)} 00:00:00` : value);
  if (from.kind === 'timestamp' || from.kind === 'instant') return to.kind === 'date' ? toDay(rounds) : (value) => fitFraction(String(value), to.fraction, rounds) ?? badFraction(value, to.fraction);
  if (from.kind !== 'text' && from.kind !== 'native') return undefined;
  const toDate = toDay(rounds);
  return (value) => {
    const moment = spelledMoment(String(value));
    if (moment === undefined) return bad(value, to.kind === 'date' ? 'a date' : 'a date and a time');
    return to.kind === 'date' ? toDate(moment) : fitFraction(moment, to.fraction, rounds) ?? badFraction(value, to.fraction);
  };
}

function isPlainDay(text: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(text);
}

function toDay(rounds: boolean): Convert {
  return (value) => {
    const [, day, clock] = /^(\d{4}-\d\d-\d\d) (.*)$/.exec(String(value)) ?? [];
    return day !== undefined && (rounds || clock === '00:00:00') ? day : bad(value, 'a date alone');
  };
}

function badFraction(value: Exclude<Value, null>, digits: number): BadValue {
  return bad(value, `a time of ${digits} decimals`);
}

function toTime(from: LogicalType, to: Of<'time'>, rounds: boolean): Convert | undefined {
  if (from.kind !== 'time' && from.kind !== 'text') return undefined;
  return (value) => {
    const text = String(value).trim(), [, hours, minutes, seconds] = /^-?(\d{2,3}):([0-5]\d)(?::([0-5]\d)(?:\.\d+)?)?$/.exec(text) ?? [];
    if (hours === undefined || minutes === undefined) return bad(value, 'a time');
    return fitFraction(seconds === undefined ? `${text}:00` : text, to.fraction, rounds) ?? badFraction(value, to.fraction);
  };
}

// --- what stays as it is ---------------------------------------------------

function keepsText(from: LogicalType, to: LogicalType): boolean {
  switch (to.kind) {
    case 'int': return from.kind === 'bool' || (from.kind === 'int' && holdsInt(from, to));
    case 'decimal': return from.kind === 'int' && (to.precision === undefined || to.precision - (to.scale ?? 0) >= digitsOf(from));
    case 'text': return keepsWords(from, to.maxLength);
    case 'timestamp': case 'instant': return (from.kind === 'timestamp' || from.kind === 'instant') && from.fraction <= to.fraction;
    case 'time': return from.kind === 'time' && from.fraction <= to.fraction;
    default: return false;
  }
}

function keepsWords(from: LogicalType, maxLength: number | undefined): boolean {
  switch (from.kind) {
    case 'text': return maxLength === undefined || (from.maxLength !== undefined && from.maxLength <= maxLength);
    case 'int': return maxLength === undefined || digitsOf(from) < maxLength;
    case 'uuid': return maxLength === undefined || maxLength >= 36;
    case 'decimal': case 'date': case 'time': case 'timestamp': case 'instant': case 'enum': case 'set': case 'native': case 'json-text': case 'json-value': return maxLength === undefined;
    default: return false;
  }
}

function holdsInt(from: Of<'int'>, to: Of<'int'>): boolean {
  return from.signed === to.signed ? to.bits >= from.bits : to.signed && to.bits > from.bits;
}

function digitsOf({ bits, signed }: Of<'int'>): number {
  return String(2n ** BigInt(signed ? bits - 1 : bits)).length;
}

