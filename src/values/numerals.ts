/** A number in digits, without zeros that mean nothing: `whole` has none on the left (0 is ''), `fraction` none on the right. */
export interface Parsed { readonly negative: boolean; readonly whole: string; readonly fraction: string }

/** Past it a number would only be zeros. */
const largestExponent = 5000;

/** Reads `-12.50`, `+3`, `.5`, `1e-7`; undefined for all that is no number in digits. */
export function parsedNumber(text: string): Parsed | undefined {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const [, sign, whole = '', fraction = '', power = '0'] = match, exponent = Number(power);
  if (whole + fraction === '' || Math.abs(exponent) > largestExponent) return undefined;
  const digits = whole + fraction, point = whole.length + exponent;
  const left = point <= 0 ? '' : digits.slice(0, point).padEnd(point, '0'), right = point >= digits.length ? '' : point < 0 ? '0'.repeat(-point) + digits : digits.slice(point);
  return signed(sign === '-', left.replace(/^0+/, ''), right.replace(/0+$/, ''));
}

function signed(negative: boolean, whole: string, fraction: string): Parsed {
  return { negative: negative && whole + fraction !== '', whole, fraction };
}

export function spelledNumber({ negative, whole, fraction }: Parsed): string {
  return `${negative ? '-' : ''}${whole || '0'}${fraction && `.${fraction}`}`;
}

/** Half away from zero, as SQL servers round. */
export function roundedTo({ negative, whole, fraction }: Parsed, scale: number): Parsed {
  const kept = BigInt(`${whole}${fraction.slice(0, scale).padEnd(scale, '0')}` || '0') + (fraction.charAt(scale) >= '5' ? 1n : 0n);
  const digits = kept.toString().padStart(scale + 1, '0'), point = digits.length - scale;
  return signed(negative, digits.slice(0, point).replace(/^0+/, ''), digits.slice(point).replace(/0+$/, ''));
}

/** Undefined where it has decimals, unless it may be rounded. */
export function wholeOf(number: Parsed, rounds: boolean): bigint | undefined {
  if (number.fraction !== '' && !rounds) return undefined;
  const { negative, whole } = number.fraction === '' ? number : roundedTo(number, 0);
  return negative ? -BigInt(whole || '0') : BigInt(whole || '0');
}
