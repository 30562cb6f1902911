import type { LogicalType, Value } from '../contract.js';
import { toExtendedJson } from '../values/bson.js';
import { spellAny, spellFloat32, trimFraction } from '../values/normal.js';
import type { Cells } from './cells.js';
import { canonicalJson } from './json.js';
import { canonicalDouble, canonicalNumber, spellDecimal, spellNumber } from './numbers.js';

type Cell = Exclude<Value, null>;

/** Writes a cell by what it means. Total: what does not look like its type is written as it is, and equals only itself. */
export type Spell = (value: Cell, cells: Cells) => void;

/** What the destination is known to make of values. */
export interface Conversions {
  /** It keeps a float's -0. */
  readonly signedZero?: boolean;
  /** It keeps the numbers inside of JSON as doubles (MySQL). */
  readonly doubles?: boolean;
}

/** Spells the cells of a column on either side: the same bytes if and only if they mean the same. */
export interface Comparer { readonly source: Spell; readonly destination: Spell }

/**
 * What counts as the same, by the types of the two sides (either way round, unless an arrow says otherwise):
 *
 * | one side | the other | are the same if |
 * |---|---|---|
 * | bool, int, decimal | bool, int, decimal, any, text, enum, set, native, json-text | they are the same number: true = 1, `1.10` = 1.1 = `11e-1`; also NaN and the infinities; `true` and `t` are 1 where a side is bool |
 * | float | float | all bits are the same; any NaN is any NaN; -0 is 0 unless the destination keeps it (`signedZero`) |
 * | float32 | float64 | the double is the float widened, or read from the float's shortest text |
 * | number → | float | the double (or float32) nearest to it was stored |
 * | float → | bool, int, decimal, any, text, … | its shortest decimal is the same number |
 * | bits | bits; number | the same digits, left zeros aside where the lengths differ; the number that they spell |
 * | text, enum, set, native | text, enum, set, native, json-text, document-id, any | the same characters; trailing spaces aside where a side is CHAR(n); set against set: the same labels |
 * | date, timestamp, instant | one of them, or text, any | the same reading: zeros that end a fraction aside, `T` = space, `Z` = no zone; midnight = the date; the source's fraction cut to what the destination keeps |
 * | time | time, text, any | the same reading, zeros that end the fraction aside |
 * | uuid | uuid, text, any; bytes | the same 32 hex digits, whatever their case; the same 16 bytes |
 * | bytes | bytes, any; text, … | the same bytes; the text is `\x` and their hex |
 * | json-text | json-text, text, any | the same characters |
 * | json-value | json-value, json-text, text, native, any, document-id, document | the same value: members in any order, the last of equal names, numbers by their worth, strings without escapes; `doubles`: numbers that are no 64-bit integers as doubles |
 * | document | document, bytes | the same BSON bytes |
 * | document | text, json-text, native, any | the text is its canonical Extended JSON |
 * | any | any | the same number, characters or bytes: text is never a number |
 * | any | text | its normal form is the same characters |
 *
 * Pairs that are not named are compared as normal-form text. A null equals a null only: never ''.
 */
export function comparer(source: LogicalType, target: LogicalType, conversions: Conversions = {}): Comparer {
  const spell = meaning(source, target, conversions);
  return { source: spell(source, true), destination: spell(target, false) };
}

/** A way of spelling, made for one of the two sides. */
type ForSide = (own: LogicalType, isSource: boolean) => Spell;

function meaning(source: LogicalType, target: LogicalType, { signedZero = false, doubles = false }: Conversions): ForSide {
  const either = (test: (type: LogicalType) => boolean) => test(source) || test(target);
  const both = (kind: LogicalType['kind']) => source.kind === kind && target.kind === kind;
  const pair = (first: (type: LogicalType) => boolean, second: (type: LogicalType) => boolean) =>
    (first(source) && second(target)) || (first(target) && second(source));

  if (pair(is('json-value'), is('json-value', 'json-text', 'text', 'native', 'any', 'document-id', 'document'))) return jsonValues(doubles ? canonicalDouble : canonicalNumber);
  if (pair(is('document'), is('document', 'bytes'))) return always(spellBinary);
  if (pair(is('document'), is('text', 'json-text', 'native', 'any'))) return documentTexts;
  if (source.kind === 'float' && target.kind === 'float') return floats(source.bits, target.bits, signedZero);
  if (target.kind === 'float' && isNumber(source)) return () => nearestFloat(target.bits);
  if (pair(isNumber, (type) => isNumber(type) || isLoose(type) || type.kind === 'json-text')) return numbers(either(is('bool')));
  if (pair(is('bits'), isNumber)) return (own) => (own.kind === 'bits' ? spellBitsAsNumber : spellNumeric);
  if (source.kind === 'bits' && target.kind === 'bits') return always(source.varying || target.varying || source.length === target.length ? spellText : spellBits);
  if (pair(isMoment, (type) => isMoment(type) || isLoose(type))) return moments(target, either(is('date')));
  if (pair(is('time'), (type) => type.kind === 'time' || isLoose(type))) return moments(target, false);
  if (pair(is('uuid'), is('bytes'))) return always(spellUuidBytes);
  if (pair(is('uuid'), (type) => type.kind === 'uuid' || isLoose(type))) return always(spellUuid);
  if (both('set')) return always(spellSet);
  if (both('any') || both('bytes') || pair(is('bytes'), is('any'))) return always(spellByValue);
  return either((type) => type.kind === 'text' && type.padded === true) ? always(spellPadded) : always(isSpelled(source) || isSpelled(target) ? spellPlain : spellText);
}

function is(...kinds: readonly LogicalType['kind'][]): (type: LogicalType) => boolean {
  return (type) => kinds.includes(type.kind);
}

const isNumber = is('bool', 'int', 'decimal', 'float');
const isMoment = is('date', 'timestamp', 'instant');
/** Its bytes are `\x` and hex where the other side is text. */
const isSpelled = is('bytes', 'any');
/** Takes a value of any type in some spelling. */
const isLoose = is('text', 'enum', 'set', 'native', 'any');

/** float32 cells have a shorter text than the double that holds them. */
function always(spell: Spell): ForSide {
  return (own) => (own.kind === 'float' && own.bits === 32 ? (value, cells) => spell(shortest(value), cells) : spell);
}

function shortest(value: Cell): Cell {
  return typeof value === 'number' ? spellFloat32(Math.fround(value)) : value;
}

// --- numbers ---------------------------------------------------------------

function numbers(withBool: boolean): ForSide {
  return always(withBool ? spellTruth : spellNumeric);
}

const spellNumeric: Spell = (value, cells) => {
  if (typeof value === 'number' || typeof value === 'bigint') spellNumber(value, cells);
  else if (typeof value === 'boolean') cells.integer(value ? 1 : 0);
  else if (typeof value !== 'string') cells.bytes(value);
  else if (!spellDecimal(value, cells)) cells.text(value);
};

const truths = new Map([['true', true], ['t', true], ['false', false], ['f', false]]);

const spellTruth: Spell = (value, cells) => spellNumeric(typeof value === 'string' ? truths.get(value) ?? value : value, cells);

function floats(source: 32 | 64, target: 32 | 64, signedZero: boolean): ForSide {
  const stored = (value: number) => (signedZero || value !== 0 ? value : 0);
  if (source === target) return () => onNumber((value) => stored(source === 32 ? Math.fround(value) : value));
  if (target === 32) return () => onNumber((value) => stored(Math.fround(value)));
  return () => onNumber((value) => stored(Math.fround(value) === value ? Number(spellFloat32(value)) : value));
}

function nearestFloat(bits: 32 | 64): Spell {
  return onNumber((value) => (bits === 32 ? Math.fround(value) : value) + 0);
}

/** Spells what is a number, or the text of one, as the float that `stored` makes of it. */
function onNumber(stored: (value: number) => number): Spell {
  return (value, cells) => {
    const number = typeof value === 'object' || value === '' ? NaN : Number(value);
    if (!Number.isNaN(number)) cells.float(stored(number));
    else if (typeof value === 'number' || value === 'NaN') cells.decimal('NaN', 0);
    else spellPlain(value, cells);
  };
}

const zerosOnTheLeft = /^0+(?=[01])/;
const bitString = /^[01]+$/;

const spellBits: Spell = (value, cells) => cells.text(spellAny(value).replace(zerosOnTheLeft, ''));

const spellBitsAsNumber: Spell = (value, cells) => spellNumeric(typeof value === 'string' && bitString.test(value) ? BigInt(`0b${value}`) : value, cells);

// --- text --------------------------------------------------------------------

const spellPlain: Spell = (value, cells) => cells.text(typeof value === 'string' ? value : spellAny(value));

/** Bytes among text (SQLite's columns take both) are never equal to text. */
const spellText: Spell = (value, cells) => (typeof value === 'object' ? cells.bytes(value) : spellPlain(value, cells));

const spellPadded: Spell = (value, cells) => cells.text(withoutPadding(spellAny(value)));

/** Without the spaces at its end, which mean nothing in a CHAR(n). */
export function withoutPadding(text: string): string {
  let end = text.length;
  while (text.charCodeAt(end - 1) === 32) end--;
  return end === text.length ? text : text.slice(0, end);
}

const spellSet: Spell = (value, cells) => cells.text(spellAny(value).split(',').sort().join(','));

// --- dates and times -----------------------------------------------------------

const foreignReading = /^(\d{4,}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)(?:Z|[+-]00(?::?00)?)?$/;
const midnight = /^(\S+) 00:00:00( BC)?$/;

/** `target` tells how many digits of a fraction are kept; `withDate`: midnight and the date itself are one. */
function moments(target: LogicalType, withDate: boolean): ForSide {
  return (own, isSource) => {
    const read = isMoment(own) || own.kind === 'time' ? trimmed : ownReading;
    const digits = isSource && 'fraction' in target && !('fraction' in own && own.fraction <= target.fraction) ? target.fraction : undefined;
    const cut = digits === undefined ? read : (text: string) => cutFraction(read(text), digits);
    const spelled = withDate ? (text: string) => cut(text).replace(midnight, '$1$2') : cut;
    return (value, cells) => cells.text(spelled(spellAny(value)));
  };
}

/** Nothing is to be trimmed where the last character is a digit above 0. */
function trimmed(text: string): string {
  const last = text.charCodeAt(text.length - 1);
  return last > 48 && last < 58 ? text : trimFraction(text);
}

/** Text that reads as a moment in UTC, in whatever spelling, in ours. */
function ownReading(text: string): string {
  const parts = foreignReading.exec(text);
  return trimFraction(parts ? `${parts[1]} ${parts[2]}` : text);
}

function cutFraction(text: string, digits: number): string {
  const dot = text.indexOf('.');
  if (dot < 0) return text;
  const [fraction] = /^\d*/.exec(text.slice(dot + 1))!;
  if (fraction.length <= digits) return text;
  return trimFraction(`${text.slice(0, dot + 1 + digits)}${text.slice(dot + 1 + fraction.length)}`);
}

// --- bytes, uuids, JSON, documents -----------------------------------------------

const spellBinary: Spell = (value, cells) => (value instanceof Uint8Array ? cells.bytes(value) : spellPlain(value, cells));

/** By the type that the value itself has. */
const spellByValue: Spell = (value, cells) => (typeof value === 'string' ? cells.text(value) : spellNumeric(value, cells));

const hyphenated = /^\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$/i;

const spellUuid: Spell = (value, cells) => {
  const text = spellAny(value);
  cells.text(hyphenated.test(text) ? digitsOf(text) : text);
};

const spellUuidBytes: Spell = (value, cells) =>
  spellBinary(typeof value === 'string' && hyphenated.test(value) ? Buffer.from(digitsOf(value), 'hex') : value, cells);

function digitsOf(uuid: string): string {
  return uuid.replace(/[-{}]/g, '').toLowerCase();
}

/** Canonical Extended JSON beside its text. Damaged bytes are no document: they equal no text. */
const documentTexts: ForSide = (own) => (own.kind === 'document' ? (value, cells) => spellText(extendedJson(value), cells) : spellText);

function extendedJson(value: Cell): Cell {
  if (typeof value !== 'object') return value;
  try {
    return toExtendedJson(value);
  } catch {
    return value;
  }
}

/** What is no JSON is kept apart by a sign that no canonical text begins with. */
function jsonValues(spellNumber: (text: string) => string | undefined): ForSide {
  return (own) => {
    const read = own.kind === 'document' ? extendedJson : (value: Cell) => value;
    return (value, cells) => {
      const text = read(value);
      if (typeof text === 'object') cells.bytes(text);
      else cells.text(canonicalJson(spellAny(text), spellNumber) ?? `!${spellAny(text)}`);
    };
  };
}
