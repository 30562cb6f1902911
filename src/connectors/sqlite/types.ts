import type { Column, Fidelity, LogicalType, Value } from '../../contract.js';
import { toExtendedJson } from '../../values/bson.js';
import { sizedType } from '../../values/native-type.js';
import { natives } from './natives.js';
import type { Native } from './session.js';

/*
 * SQLite's typing is dynamic: every value has a storage class of its own, and a column's declared type has an affinity
 * that may turn a value into another (`DECIMAL(9,2)` makes the text 1.10 the number 1.1). So dsync, where it makes the
 * table, declares names whose affinity leaves the values alone, and which tell the logical type when they are read back:
 *
 *   INTEGER  SIGNED8_INT…SIGNED32_INT  UNSIGNED8_INT…UNSIGNED32_INT  BOOLEAN_INT      integers
 *   UNSIGNED64_BLOB     integers, and as text what is past 2^63-1
 *   FLOAT32_BLOB  FLOAT64_BLOB     REAL; an affinity of REAL would turn -0.0 into 0.0
 *   TEXT  VARCHAR_TEXT(n)  CHAR_TEXT(n)  DECIMAL_TEXT(p,s)  DATE_TEXT  TIME_TEXT(f)  TIMESTAMP_TEXT(f)  INSTANT_TEXT(f)
 *   UUID_TEXT  JSON_TEXT  BITS_TEXT(n)  VARBITS_TEXT(n)     text in normal form
 *   BLOB  BLOB(n)       bytes
 *
 * In a table that others made, a column is what its declared name promises (INTEGER, REAL, TEXT, BLOB and their kin), as
 * long as a sample of its values keeps that promise; else (DATETIME, NUMERIC, no type) what all of the sample are; else
 * `any`. A value of another class than its column's type is read as what it is: it is kept by SQLite, and rejected by an
 * engine whose column can't hold it.
 */

export type Affinity = 'INTEGER' | 'TEXT' | 'BLOB' | 'REAL' | 'NUMERIC';

/** SQLite's own rules (Datatypes In SQLite, 3.1), in their order. `ANY` is plain in STRICT tables only: there `native` is empty. */
export function affinityOf(native: string): Affinity {
  const name = native.toUpperCase();
  if (name.includes('INT')) return 'INTEGER';
  if (/CHAR|CLOB|TEXT/.test(name)) return 'TEXT';
  if (name.includes('BLOB') || name.trim() === '') return 'BLOB';
  return /REAL|FLOA|DOUB/.test(name) ? 'REAL' : 'NUMERIC';
}

const byName = new Map(natives.map((native) => [native.name, native]));

/** What a declared type says of its column's values, by the table of native types. */
export function logicalOf(native: string): LogicalType {
  const [, name, first, second] = /^([^(]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\))?$/.exec(native.toUpperCase().trim()) ?? [, native.toUpperCase()];
  const known = byName.get(name);
  if (!known) return affinityOf(native) === 'TEXT' ? { kind: 'text' } : { kind: 'any' };
  if (first === undefined) return known.type;
  const size = Number(first);
  return sizedType(known, { maxLength: size, length: size, precision: size, scale: Number(second ?? 0), fraction: size });
}

/** What values are, as `classOf` tells of them. */
export type StorageClass = 'null' | 'bit' | 'integer' | 'real' | 'text' | 'blob';

/** SQL for the storage class of a value; the integers 0 and 1 have one of their own. */
export function classOf(cell: string): string {
  return `CASE typeof(${cell}) WHEN 'integer' THEN iif(${cell} IN (0, 1), 'bit', 'integer') ELSE typeof(${cell}) END`;
}

/** Only dsync declares columns like this, and it keeps to that. */
export function isOurs(native: string): boolean {
  return byName.get(native.toUpperCase().replace(/\(.*/s, ''))?.only === 'dsync';
}

/** The type of a column in which values of these classes were found. */
export function seenAs(native: string, found: ReadonlySet<StorageClass>): LogicalType {
  const declared = logicalOf(native), only = (...classes: StorageClass[]) => [...found].every((each) => each === 'null' || classes.includes(each));
  if (only()) return declared.kind === 'any' ? { kind: 'text' } : declared;
  if (declared.kind === 'bool' && only('bit')) return declared;
  if (only('bit', 'integer')) return { kind: 'int', bits: 64, signed: true };
  // An affinity for numbers makes 1 of 1.0, here as in the next column of the same type: nothing is lost if both are floats.
  if (only('real') || (only('real', 'bit', 'integer') && affinityOf(native) !== 'BLOB')) return { kind: 'float', bits: 64 };
  if (only('text')) return declared.kind === 'text' ? declared : { kind: 'text' };
  return only('blob') ? (declared.kind === 'bytes' ? declared : { kind: 'bytes' }) : { kind: 'any' };
}

/** How dsync declares a column for the values of a source column, and what they become there. */
export interface Declared { readonly native: string; readonly type: LogicalType; readonly fidelity: Fidelity }

/** `rowid`: the column is the table's whole key, so it may be SQLite's own row number. */
export function declaredFor(column: Column, engine: string, rowid: boolean): Declared {
  const { type } = column;
  const exact = (native: string): Declared => ({ native, type: logicalOf(native), fidelity: { level: 'exact' } });
  const reshaped = (note: string): Declared => ({ native: 'TEXT', type: { kind: 'text' }, fidelity: { level: 'reshaped', note } });
  // The same affinity is a matter of course to values that have passed it once.
  if (engine === 'sqlite' || column.rule?.cast) return { native: column.native, type, fidelity: { level: 'exact' } };
  switch (type.kind) {
    case 'int': return exact(integerName(type.bits, type.signed, rowid));
    case 'bool': return exact('BOOLEAN_INT');
    case 'float': return exact(`FLOAT${type.bits}_BLOB`);
    case 'decimal': return exact(type.precision === undefined ? 'DECIMAL_TEXT' : `DECIMAL_TEXT(${type.precision},${type.scale ?? 0})`);
    case 'text': return exact(type.maxLength === undefined ? 'TEXT' : `${type.padded ? '' : 'VAR'}CHAR_TEXT(${type.maxLength})`);
    case 'bytes': return exact(type.maxLength === undefined ? 'BLOB' : `BLOB(${type.maxLength})`);
    case 'date': return exact('DATE_TEXT');
    case 'time': case 'timestamp': case 'instant': return exact(`${type.kind.toUpperCase()}_TEXT(${type.fraction})`);
    case 'uuid': return exact('UUID_TEXT');
    case 'json-text': case 'json-value': return exact('JSON_TEXT');
    case 'bits': return exact(`${type.varying ? 'VAR' : ''}BITS_TEXT${type.length === undefined ? '' : `(${type.length})`}`);
    case 'any': return exact('');
    case 'enum': case 'set': case 'native': return reshaped('kept as text');
    case 'document': case 'document-id': return reshaped('kept as canonical Extended JSON');
    default: return type satisfies never;
  }
}

function integerName(bits: number, signed: boolean, rowid: boolean): string {
  if (bits === 64) return signed ? 'INTEGER' : 'UNSIGNED64_BLOB';
  return rowid ? 'INTEGER' : `${signed ? '' : 'UN'}SIGNED${bits}_INT`;
}

/** Would a column of this affinity keep every value of the type as it is bound? */
export function keeps(affinity: Affinity, type: LogicalType): boolean {
  if (affinity === 'BLOB') return true;
  switch (type.kind) {
    case 'bytes': return true;
    case 'bool': return affinity === 'INTEGER' || affinity === 'NUMERIC';
    case 'int': return (affinity === 'INTEGER' || affinity === 'NUMERIC') && (type.signed || type.bits < 64);
    case 'float': return affinity === 'REAL';
    // These never look like a number, so no affinity touches them.
    case 'date': case 'time': case 'timestamp': case 'instant': case 'uuid': return true;
    case 'any': return false;
    default: return affinity === 'TEXT';
  }
}

/** Turns what SQLite holds into a value of the column's type; what is of another class stays what it is. */
export function valueReader({ type, native }: Pick<Column, 'type' | 'native'>): (raw: Native) => Value {
  switch (type.kind) {
    case 'bool': return (raw) => (raw === 1n ? true : raw === 0n ? false : raw);
    case 'int':
      if (type.bits < 64) return (raw) => (typeof raw === 'bigint' && BigInt.asIntN(53, raw) === raw ? Number(raw) : raw);
      return type.signed ? (raw) => raw : (raw) => (typeof raw === 'string' && /^\d{19,20}$/.test(raw) && BigInt(raw) > largestInteger ? BigInt(raw) : raw);
    case 'float': {
      // A column of numbers that has an affinity for integers holds the whole ones as such.
      const isWhole = affinityOf(native) === 'BLOB' ? () => false : (raw: Native) => typeof raw === 'bigint' && BigInt.asIntN(54, raw) === raw;
      return (raw) => (isWhole(raw) ? Number(raw) : raw);
    }
    default: return (raw) => raw;
  }
}

/** Why SQLite can't hold a value as it is. */
export class Unfit extends Error {}

/** Turns a value of the source column's type into what is bound in a column; throws `Unfit` where that would change it. */
export function valueBinder(type: LogicalType, native: string): (value: Value) => Native {
  const signless = affinityOf(native) === 'REAL';
  return (value) => {
    switch (typeof value) {
      case 'string': return value;
      case 'number':
        if (type.kind === 'int' && type.bits < 64 && Number.isSafeInteger(value)) return BigInt(value);
        if (Number.isNaN(value)) throw new Unfit('SQLite has no NaN');
        if (signless && Object.is(value, -0)) throw new Unfit(`a column of type ${native} makes 0.0 of -0.0`);
        return value;
      case 'bigint': return value > largestInteger ? String(value) : value;
      case 'boolean': return value ? 1n : 0n;
      case 'object': return value !== null && type.kind === 'document' ? toExtendedJson(value) : value;
      default: return value satisfies never;
    }
  };
}

export const largestInteger = 2n ** 63n - 1n;

/** A declared type as one writes it, for `--cast`; not one whose affinity would change the values. */
export function typeOf(spelling: string): Pick<Column, 'type' | 'native'> | undefined {
  const native = spelling.trim().toUpperCase(), name = native.replace(/\s*\(.*/s, '');
  if (!byName.has(name) || !/^[A-Z0-9_ ]+(\s*\(\s*\d+\s*(,\s*-?\d+\s*)?\))?$/.test(native)) return undefined;
  const type = logicalOf(native);
  return type.kind !== 'any' && keeps(affinityOf(native), type) ? { type, native } : undefined;
}
