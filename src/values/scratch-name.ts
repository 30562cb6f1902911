import { randomBytes } from 'node:crypto';

const hour = 3600;

/** A name for a place where types are tried: `dsync_selftest_` or `dsync_types_`, the second in which it was made, and a random number, in hexadecimal digits. */
export function scratchName(purpose: 'selftest' | 'types'): string {
  return `dsync_${purpose}_${seconds().toString(16).padStart(8, '0')}${randomBytes(2).toString('hex')}`;
}

/** Names like this one, but for the digits, as a regular expression that every server reads. */
export function likeScratch(name: string): string {
  return `^${name.replace(/[\da-f]{12}$/, '[0-9a-f]{12}')}$`;
}

/** Was the place of this name made so long ago that nobody works in it any more? For servers that know no locks. */
export function isLongGone(name: string): boolean {
  return seconds() - Number.parseInt(name.slice(-12, -4), 16) > 24 * hour;
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
