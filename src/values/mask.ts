import { createHmac } from 'node:crypto';
import type { LogicalType, Mask, Value } from '../contract.js';
import { spellCell } from './normal.js';

export type Masker = (value: Exclude<Value, null>) => Value;

/** 32 bytes that nobody can tell without the key: HMAC-SHA256 of a value's normal form. */
export function digestOf(key: string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** Tells two keys apart, and hardly anything of either. */
export function keyCheck(key: string): string {
  return digestOf(key, 'dsync mask key check').toString('hex', 0, 4);
}

/**
 * Compiles a mask: from values of the source's type to values of the column's. Undefined where there is none of the type
 * (engines' own types, whole documents). The same value has the same hash wherever it stands, in columns of equal types.
 */
export function maskerOf(mask: Mask, from: LogicalType, to: LogicalType, key: string | undefined): Masker | undefined {
  if (mask === 'null') return () => null;
  const make = mask === 'hash' ? hashedAs(to) : undefined, fixed = mask === 'redact' ? redactedAs(to) : undefined;
  if (fixed) return fixed;
  if (!make || key === undefined) return undefined;
  const spell = spellCell(from), isPadded = from.kind === 'text' && from.padded === true;
  return (value) => {
    const text = spell(value);
    return make(digestOf(key, isPadded ? text.replace(/ +$/, '') : text), value);
  };
}

/** Can values of this type be masked so? */
export function isMaskable(mask: Mask, type: LogicalType): boolean {
  return mask === 'null' || (mask === 'hash' ? hashedAs(type) : redactedAs(type)) !== undefined;
}

/** Has a hash of this type room enough that two keys won't become one? */
export function isRoomy(type: LogicalType): boolean {
  switch (type.kind) {
    case 'int': return type.bits === 64;
    case 'decimal': return (type.precision ?? 18) >= 18;
    case 'text': return (type.maxLength ?? 64) >= 16;
    case 'bytes': return (type.maxLength ?? 32) >= 8;
    case 'uuid': case 'any': return true;
    default: return false;
  }
}

type Make = (digest: Buffer, value: Exclude<Value, null>) => Value;
type Of<Kind extends LogicalType['kind']> = Extract<LogicalType, { kind: Kind }>;

const day = 86_400, days = 18_262;

/** Numbers are not negative; dates and times are between 1970 and 2019. */
function hashedAs(type: LogicalType): Make | undefined {
  switch (type.kind) {
    case 'bool': return (digest) => (digest[0]! & 1) === 1;
    case 'int': return hashedInt(type);
    case 'decimal': return hashedDecimal(type);
    case 'float': return (digest) => (type.bits === 32 ? digest.readUIntBE(0, 3) : digest.readUIntBE(0, 6));
    case 'text': return (digest) => digest.toString('hex').slice(0, type.maxLength);
    case 'bytes': return (digest, value) => widened(digest, lengthFor(type, value, digest.length));
    case 'date': return (digest) => spelledSecond((digest.readUInt32BE(0) % days) * day).slice(0, 10);
    case 'time': return (digest) => spelledSecond(digest.readUInt32BE(0) % day).slice(11);
    case 'timestamp': case 'instant': return (digest) => spelledSecond(day + (digest.readUIntBE(0, 6) % ((days - 1) * day)));
    case 'uuid': return hashedUuid;
    case 'json-text': case 'json-value': return (digest) => `"${digest.toString('hex')}"`;
    case 'enum': case 'set': return type.labels.length === 0 ? undefined : (digest) => type.labels[digest.readUInt32BE(0) % type.labels.length]!;
    case 'bits': return (digest) => bitsOf(widened(digest, Math.ceil((type.length ?? 64) / 8))).slice(0, type.length ?? 64);
    case 'any': return (digest) => digest.toString('hex');
    case 'native': case 'document': case 'document-id': return undefined;
    default: return type satisfies never;
  }
}

function hashedInt({ bits, signed }: Of<'int'>): Make {
  const width = signed ? bits - 1 : bits;
  return (digest) => {
    const number = BigInt.asUintN(width, digest.readBigUInt64BE(0));
    return bits === 64 ? number : Number(number);
  };
}

/** As many digits as the column has, 30 at the most. */
function hashedDecimal({ precision, scale = 0 }: Of<'decimal'>): Make | undefined {
  const count = Math.min(precision ?? 18, 30);
  if (scale < 0 || scale > count) return undefined;
  return (digest) => {
    const digits = (BigInt(`0x${digest.toString('hex', 0, 16)}`) % 10n ** BigInt(count)).toString().padStart(scale + 1, '0'), point = digits.length - scale;
    return scale === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
  };
}

/** Of version 4, as far as it says: some servers take no others. */
function hashedUuid(digest: Buffer): string {
  const bytes = Buffer.from(digest.subarray(0, 16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A column that fills values up (BINARY) shows it by values that are as long as they may be: they stay so. */
function lengthFor({ maxLength }: Of<'bytes'>, value: Exclude<Value, null>, usual: number): number {
  const isFull = value instanceof Uint8Array && value.length === maxLength;
  return isFull ? maxLength : Math.min(usual, maxLength ?? usual);
}

/** The digest again and again, up to this length. */
export function widened(digest: Buffer, length: number): Buffer {
  return Buffer.alloc(length, digest);
}

function bitsOf(bytes: Buffer): string {
  return [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
}

function spelledSecond(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
}

export const redactedText = '***';

/** A moment is a second late: MySQL's TIMESTAMP has no midnight of 1970. */
function redactedAs(type: LogicalType): Masker | undefined {
  switch (type.kind) {
    case 'bool': return () => false;
    case 'int': return () => (type.bits === 64 ? 0n : 0);
    case 'decimal': return () => '0';
    case 'float': return () => 0;
    case 'text': return () => redactedText.slice(0, type.maxLength);
    case 'bytes': return (value) => Buffer.alloc(lengthFor(type, value, 0));
    case 'date': return () => '1970-01-01';
    case 'time': return () => '00:00:00';
    case 'timestamp': case 'instant': return () => '1970-01-01 00:00:01';
    case 'uuid': return () => '00000000-0000-4000-8000-000000000000';
    case 'json-text': case 'json-value': return () => `"${redactedText}"`;
    case 'enum': return type.labels.length === 0 ? undefined : () => type.labels[0]!;
    case 'set': return () => '';
    case 'bits': return () => '0'.repeat(type.varying ? 0 : type.length ?? 1);
    case 'any': return () => redactedText;
    case 'native': case 'document': case 'document-id': return undefined;
    default: return type satisfies never;
  }
}
