import type { Cells } from './cells.js';

const decimalText = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,8}))?$/i;
const wholeDigits = /^-?\d{1,20}$/;
const words = new Map([['nan', 'NaN'], ['infinity', 'Infinity'], ['+infinity', 'Infinity'], ['inf', 'Infinity'], ['-infinity', '-Infinity'], ['-inf', '-Infinity']]);
/** So many digits fit a double with any exponent of ten kept beside it. */
const exactDigits = 15;

/** A number by what it is worth, whatever it is made of: `1.10` is `1.1`, `5` is `5n`. -0 is 0. */
export function spellNumber(value: number | bigint, cells: Cells): void {
  if (Number.isSafeInteger(value)) cells.integer(value as number);
  else if (typeof value === 'bigint' && value >= -9007199254740991n && value <= 9007199254740991n) cells.integer(Number(value));
  else spellDecimal(String(value), cells);
}

/** The same for digits of any length; false, and nothing spelled, if the text is no number. */
export function spellDecimal(text: string, cells: Cells): boolean {
  return spellShort(text, cells) || spellLong(text, cells);
}

/** One text per number of any length, for numbers inside of JSON; undefined if the text is no number. */
export function canonicalNumber(text: string): string | undefined {
  const parts = taken(text);
  return parts && `${parts.digits}e${parts.exponent}`;
}

/** The same for an engine that keeps 64-bit integers, and all other numbers as doubles. */
export function canonicalDouble(text: string): string | undefined {
  const isKept = wholeDigits.test(text) && BigInt(text) >= -(2n ** 63n) && BigInt(text) < 2n ** 64n;
  return canonicalNumber(isKept ? text : String(Number(text)));
}

/** Plain digits with a point: most decimals there are. */
function spellShort(text: string, cells: Cells): boolean {
  const start = text.charCodeAt(0) === 45 ? 1 : 0;
  if (text.length - start > exactDigits || text.length === start) return false;
  let worth = 0, scale = 0, seenPoint = false, digits = 0;
  for (let i = start; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9) {
      worth = worth * 10 + digit;
      digits++;
      if (seenPoint) scale++;
    } else if (digit === -2 && !seenPoint) seenPoint = true;
    else return false;
  }
  if (digits === 0) return false;
  while (scale > 0 && worth % 10 === 0) {
    worth /= 10;
    scale--;
  }
  const signed = start === 1 ? -worth : worth;
  if (scale === 0) cells.integer(signed);
  else cells.fraction(signed, -scale);
  return true;
}

function spellLong(text: string, cells: Cells): boolean {
  const parts = taken(text);
  if (!parts) return false;
  const { digits, exponent } = parts;
  if (exponent >= 0 && digits.length + exponent <= 17) {
    const whole = Number(`${digits}e${exponent}`);
    if (Number.isSafeInteger(whole)) {
      cells.integer(whole);
      return true;
    }
  }
  const isShort = digits.length - (digits[0] === '-' ? 1 : 0) <= exactDigits && Number.isFinite(Number(digits));
  if (isShort) cells.fraction(Number(digits), exponent);
  else cells.decimal(digits, exponent);
  return true;
}

/** Signed digits without zeros at either end, and the exponent of ten that they are to be taken by. */
function taken(text: string): { readonly digits: string; readonly exponent: number } | undefined {
  const match = decimalText.exec(text);
  if (!match) {
    const word = words.get(text.toLowerCase());
    return word === undefined ? undefined : { digits: word, exponent: 0 };
  }
  const [, sign, whole, fraction = '', exponent = '0'] = match;
  const all = whole + fraction;
  if (all === '') return undefined;
  const start = firstDigit(all), end = lastDigit(all);
  if (start >= end) return { digits: '0', exponent: 0 };
  return { digits: (sign === '-' ? '-' : '') + all.slice(start, end), exponent: Number(exponent) - fraction.length + (all.length - end) };
}

function firstDigit(digits: string): number {
  let at = 0;
  while (digits.charCodeAt(at) === 48) at++;
  return at;
}

function lastDigit(digits: string): number {
  let at = digits.length;
  while (at > 0 && digits.charCodeAt(at - 1) === 48) at--;
  return at;
}
