/** Decimal128 as its 16 bytes and as text. Both ways are exact: scale and sign are kept. */

const bias = 6176n;
const coefficientBits = 113n;
const coefficientMask = (1n << coefficientBits) - 1n;
const largest = 10n ** 34n - 1n;
const infinity = 0x7800_0000_0000_0000n, nan = 0x7c00_0000_0000_0000n, sign = 0x8000_0000_0000_0000n;

interface Parts { readonly negative: boolean; readonly digits: string; readonly exponent: number }

/** Writes a number such as `-12.50`, `1E+3`, `NaN`. False where it has more digits than Decimal128 holds; nothing is written then. */
export function writeDecimal(text: string, bytes: Buffer, at: number): boolean {
  const high = special(text);
  if (high !== undefined) return write(bytes, at, 0n, high);
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (!match) return false;
  const [, minus, whole, fraction = '', power = '0'] = match;
  const digits = (whole! + fraction).replace(/^0+/, '');
  const exponent = Number(power) - fraction.length;
  if (digits.length > 34 || exponent < -6176 || exponent > 6111) return false;
  const bits = (BigInt(exponent) + bias) << coefficientBits | BigInt(digits || '0');
  return write(bytes, at, bits & 0xffff_ffff_ffff_ffffn, bits >> 64n | (minus ? sign : 0n));
}

/** The digits as they are meant, without an exponent: `1250.00`, `0.00000001`. For columns of decimals. */
export function plainDecimal(bytes: Buffer, at: number): string {
  const parts = read(bytes, at);
  if (typeof parts === 'string') return parts;
  const { negative, digits, exponent } = parts;
  return (negative ? '-' : '') + (exponent >= 0 ? digits === '0' ? '0' : digits + '0'.repeat(exponent) : pointed(digits, -exponent));
}

/** The spelling of the Decimal128 specification, as Extended JSON has it: `1E+3`, `1.0E-8`. */
export function scientificDecimal(bytes: Buffer, at: number): string {
  const parts = read(bytes, at);
  if (typeof parts === 'string') return parts;
  const { negative, digits, exponent } = parts, minus = negative ? '-' : '';
  const power = exponent + digits.length - 1;
  if (exponent > 0 || power < -6) {
    const mantissa = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
    return `${minus}${mantissa}E${power < 0 ? '' : '+'}${power}`;
  }
  return minus + (exponent === 0 ? digits : pointed(digits, -exponent));
}

function pointed(digits: string, scale: number): string {
  const padded = digits.padStart(scale + 1, '0');
  return `${padded.slice(0, -scale)}.${padded.slice(-scale)}`;
}

function special(text: string): bigint | undefined {
  switch (text) {
    case 'NaN': return nan;
    case 'Infinity': return infinity;
    case '-Infinity': return infinity | sign;
    default: return undefined;
  }
}

function write(bytes: Buffer, at: number, low: bigint, high: bigint): true {
  bytes.writeBigUInt64LE(low, at);
  bytes.writeBigUInt64LE(high, at + 8);
  return true;
}

function read(bytes: Buffer, at: number): Parts | 'NaN' | 'Infinity' | '-Infinity' {
  const low = bytes.readBigUInt64LE(at), high = bytes.readBigUInt64LE(at + 8);
  const negative = (high & sign) !== 0n;
  if ((high & nan) === nan) return 'NaN';
  if ((high & infinity) === infinity) return negative ? '-Infinity' : 'Infinity';
  const long = (high >> 61n & 3n) === 3n;
  const exponent = Number((high >> (long ? 47n : 49n) & 0x3fffn) - bias);
  const coefficient = (high << 64n | low) & coefficientMask;
  return { negative, exponent, digits: long || coefficient > largest ? '0' : coefficient.toString() };
}
