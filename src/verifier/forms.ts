import type { Column, DigestForm, LogicalType, Mapping } from '../contract.js';

/** Up to so many characters a text stands itself in its row. */
const shortText = 255;

/**
 * The forms of a table's columns, in which a digest spells both sides; or the columns for which there is none. Cells that
 * are spelled alike mean the same (compare.ts); the other way round it holds for what a copy makes of values, so that
 * a digest that differs only says: read the rows.
 */
export function formsOf({ source, target }: Mapping): { readonly forms: readonly DigestForm[] } | { readonly unspelled: readonly string[] } {
  const found = source.columns.map((column, i) => formOf(column, target.columns[i], source.engine === target.engine));
  const forms = found.flatMap((form) => form ?? []);
  return forms.length === found.length ? { forms } : { unspelled: source.columns.filter((_, i) => !found[i]).map(({ name }) => name) };
}

function formOf(source: Column, target: Column, sameEngine: boolean): DigestForm | undefined {
  const as = kindOf(source, target, sameEngine);
  return as && { as, long: as === 'bytes' || ((as === 'text' || as === 'padded') && (isLong(source.type) || isLong(target.type))) };
}

/** A column whose values the user changes is digested by nobody: the source's server knows the old ones only. */
function kindOf({ type: source, native, rule }: Column, { type: target, native: targetNative }: Column, sameEngine: boolean): DigestForm['as'] | undefined {
  const both = (test: Test) => test(source) && test(target);
  if (rule?.cast || rule?.mask || rule?.bad || rule?.fields || rule?.forgets) return undefined;
  if (both(isNumber)) return 'number';
  if (source.kind === 'float' && target.kind === 'float') return source.bits === target.bits ? 'float' : undefined;
  if (both(is('bytes'))) return 'bytes';
  if (both(is('date')) || both(is('uuid'))) return 'plain';
  if (both(is('time')) || both(isMoment)) return keepsFraction(source, target) ? 'plain' : undefined;
  if (source.kind === 'bits' && target.kind === 'bits') return sameEngine || source.length === target.length ? 'text' : undefined;
  if (both(is('native'))) return native === targetNative ? 'text' : undefined;
  if (both(is('json-value'))) return sameEngine ? 'text' : undefined;
  if (!isText(target) || !(isText(source) || isKeptAsText(source))) return undefined;
  return isPadded(source) || isPadded(target) ? 'padded' : 'text';
}

type Test = (type: LogicalType) => boolean;

function is(...kinds: readonly LogicalType['kind'][]): Test {
  return (type) => kinds.includes(type.kind);
}

const isNumber = is('bool', 'int', 'decimal');
const isMoment = is('timestamp', 'instant');
const isText = is('text', 'enum', 'set', 'json-text');
const isKeptAsText = is('json-value', 'native', 'uuid', 'date', 'time', 'timestamp', 'instant', 'bits');

function keepsFraction(source: LogicalType, target: LogicalType): boolean {
  return 'fraction' in source && 'fraction' in target && source.fraction <= target.fraction;
}

function isPadded(type: LogicalType): boolean {
  return type.kind === 'text' && type.padded === true;
}

function isLong(type: LogicalType): boolean {
  return type.kind === 'text' ? (type.maxLength ?? Infinity) > shortText : type.kind.startsWith('json') || type.kind === 'native';
}
