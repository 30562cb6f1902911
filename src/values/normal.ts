import type { LogicalType, Value } from '../contract.js';
import { toExtendedJson } from './extended-json.js';

/** Turns normal-form text into a value. The caller has taken out nulls. */
export function parseCell(type: LogicalType): (text: string) => Value {
  switch (type.kind) {
    case 'bool': return (text) => text === '1' || text === 't' || text === 'true';
    case 'int': return type.bits === 64 ? BigInt : Number;
    case 'float': return type.bits === 64 ? Number : (text) => Math.fround(Number(text));
    case 'bytes': return (text) => Buffer.from(text.slice(2), 'hex');
    case 'time': case 'timestamp': case 'instant': return trimFraction;
    case 'decimal': case 'text': case 'date': case 'uuid': case 'json-text': case 'json-value': case 'enum': case 'set':
    case 'bits': case 'native': case 'any': case 'document': case 'document-id': return (text) => text;
    default: return type satisfies never;
  }
}

/** Turns a value into normal-form text: what `parseCell` of the same type reads. A document becomes Extended JSON, and stays it. */
export function spellCell(type: LogicalType): (value: Exclude<Value, null>) => string {
  if (type.kind === 'document') return (value) => (value instanceof Uint8Array ? toExtendedJson(value) : spellAny(value));
  if (type.kind === 'float' && type.bits === 32) return (value) => (typeof value === 'number' ? spellFloat32(value) : spellAny(value));
  if (type.kind === 'time' || type.kind === 'timestamp' || type.kind === 'instant') return (value) => trimFraction(spellAny(value));
  return spellAny;
}

/** Spells a value by what it is; exact for every type but float32, which has a shorter spelling. */
export function spellAny(value: Exclude<Value, null>): string {
  switch (typeof value) {
    case 'string': return value;
    case 'number': return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint': return value.toString();
    case 'boolean': return value ? '1' : '0';
    case 'object': return `\\x${hex(value)}`;
    default: return value satisfies never;
  }
}

/** `12:00:00.500000` → `12:00:00.5`, `12:00:00.000000` → `12:00:00`. A suffix such as ` BC` stays. */
export function trimFraction(text: string): string {
  const dot = text.indexOf('.');
  if (dot < 0) return text;
  let stop = dot + 1;
  while (stop < text.length && isDigit(text.charCodeAt(stop))) stop++;
  let end = stop;
  while (text.charCodeAt(end - 1) === 48) end--;
  return text.slice(0, end - 1 === dot ? dot : end) + text.slice(stop);
}

/** The shortest decimal that rounds to the same 32 bits, as PostgreSQL's float4 prints it. */
export function spellFloat32(value: number): string {
  if (!Number.isFinite(value) || value === 0) return spellAny(value);
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return spellAny(short);
  }
  return spellAny(Number(value.toPrecision(9)));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}
