import type { Column, Fidelity, LogicalType } from '../../contract.js';
import { sizedType, type ColumnSizes, type NativeType } from '../../values/native-type.js';
import { natives } from './natives.js';

/** A column's type as the catalogue has it; a domain is taken for its base type. */
export interface CatalogType {
  readonly name: string;
  /** PostgreSQL's own, not an extension's or a user's. */
  readonly builtIn: boolean;
  /** The type modifier; -1 if there is none. */
  readonly modifier: number;
  /** Of an enum. */
  readonly labels?: readonly string[];
}

const byName = new Map(natives.map((native) => [native.name, native]));
const byLabels = byName.get('enum')!;

/** What a column's values mean, by the table of native types. */
export function logicalType({ name, builtIn, modifier, labels }: CatalogType): LogicalType {
  if (labels) return sizedType(byLabels, { labels });
  const native = byName.get(name);
  const known = native && (builtIn ? native.only === undefined : native.only !== undefined);
  return known ? sizedType(native, sizesOf(native, modifier)) : { kind: 'native', engine: 'postgres' };
}

/** What a type modifier says of a column of this type. */
function sizesOf({ takes = [] }: NativeType, modifier: number): ColumnSizes {
  if (modifier < 0) return {};
  if (takes.includes('precision')) return modifier < 4 ? {} : { precision: ((modifier - 4) >> 16) & 0xffff, scale: (((modifier - 4) & 0x7ff) ^ 1024) - 1024 };
  if (takes.includes('maxLength')) return modifier < 4 ? {} : { maxLength: modifier - 4 };
  if (takes.includes('length')) return modifier > 0 ? { length: modifier } : {};
  return { fraction: modifier };
}

/** What a new column becomes. `refused`: there is no type for it here. */
export type Place = { readonly native: string; readonly type: LogicalType; readonly fidelity: Fidelity } | { readonly refused: string };

const exact: Fidelity = { level: 'exact' };
const text: LogicalType = { kind: 'text' };
const longestVarchar = 10_485_760;
const mostDigits = 1000;

/** The type that takes a column of any engine, spelled as the catalogue spells it. Types of PostgreSQL's own are looked up elsewhere. */
export function placeFor({ type, native: wanted, rule }: Pick<Column, 'type'> & Partial<Pick<Column, 'native' | 'rule'>>): Place {
  if (rule?.cast && wanted !== undefined) return { native: wanted, type, fidelity: exact };
  const as = (native: string, to: LogicalType = type, fidelity: Fidelity = exact): Place => ({ native, type: to, fidelity });
  const asText = (note = 'kept as text') => as('text', text, { level: 'reshaped', note });
  switch (type.kind) {
    case 'bool': return as('boolean');
    case 'int': return intPlace(type);
    case 'decimal': return decimalPlace(type);
    case 'float': return as(type.bits === 32 ? 'real' : 'double precision');
    case 'text': return textPlace(type);
    case 'bytes': return as('bytea', { kind: 'bytes' });
    case 'date': return as('date');
    case 'time': return timePlace('time', 'without', type);
    case 'timestamp': return timePlace('timestamp', 'without', type);
    case 'instant': return timePlace('timestamp', 'with', type);
    case 'uuid': return as('uuid');
    case 'json-text': return as('json');
    case 'json-value': return as('jsonb');
    case 'enum': case 'set': return asText();
    case 'bits': return bitsPlace(type);
    case 'native': return type.engine === 'postgres' ? { refused: 'the destination has no such type' } : asText();
    case 'any': return as('text', text, { level: 'lossy', note: 'kept as text: which type each value had is lost' });
    case 'document': return as('json', { kind: 'json-text' }, { level: 'reshaped', note: 'kept as canonical Extended JSON' });
    case 'document-id': return as('text', text, { level: 'reshaped', note: 'kept as canonical Extended JSON text' });
    default: return type satisfies never;
  }
}

function bitsPlace(type: Extract<LogicalType, { kind: 'bits' }>): Place {
  const { length } = type, varying = type.varying ?? length === undefined;
  const kept: LogicalType = { kind: 'bits', ...(length !== undefined && { length }), ...(varying && { varying }) };
  return { native: `bit${varying ? ' varying' : ''}${length === undefined ? '' : `(${length})`}`, type: kept, fidelity: exact };
}

function intPlace({ bits, signed }: Extract<LogicalType, { kind: 'int' }>): Place {
  const wider = signed ? bits : bits + 1;
  if (wider > 64) return { native: 'numeric(20,0)', type: { kind: 'decimal', precision: 20, scale: 0 }, fidelity: { level: 'reshaped', note: 'kept as numeric(20)' } };
  const own = wider <= 16 ? 16 : wider <= 32 ? 32 : 64;
  return { native: { 16: 'smallint', 32: 'integer', 64: 'bigint' }[own], type: { kind: 'int', bits: own, signed: true }, fidelity: exact };
}

function decimalPlace(type: Extract<LogicalType, { kind: 'decimal' }>): Place {
  const { precision, scale = 0 } = type;
  if (precision === undefined || precision > mostDigits || Math.abs(scale) > mostDigits) return { native: 'numeric', type: { kind: 'decimal' }, fidelity: exact };
  return { native: `numeric(${precision},${scale})`, type: { kind: 'decimal', precision, scale }, fidelity: exact };
}

function textPlace(type: Extract<LogicalType, { kind: 'text' }>): Place {
  const { maxLength, padded } = type;
  if (maxLength === undefined || maxLength < 1 || maxLength > longestVarchar) return { native: 'text', type: text, fidelity: exact };
  if (padded) return { native: `character(${maxLength})`, type: { kind: 'text', maxLength, padded }, fidelity: exact };
  return { native: `character varying(${maxLength})`, type: { kind: 'text', maxLength }, fidelity: exact };
}

function timePlace(name: 'time' | 'timestamp', zone: 'with' | 'without', type: Extract<LogicalType, { fraction: number }>): Place {
  const digits = Math.min(type.fraction, 6);
  const fidelity: Fidelity = type.fraction > 6 ? { level: 'lossy', note: 'fractions of a second are rounded to microseconds' } : exact;
  return { native: `${name}${digits === 6 ? '' : `(${digits})`} ${zone} time zone`, type: { ...type, fraction: digits }, fidelity };
}

/**
 * May values of this type pass in COPY BINARY between two servers? Only where both have the very same type and its bytes
 * mean the same everywhere: no object ids of one server in them.
 */
export function isBinarySafe({ native, type }: Column): boolean {
  return type.kind === 'enum' || binarySafe.test(native);
}

const binarySafe = /^(smallint|integer|bigint|oid|numeric|real|double precision|boolean|text|character|character varying|name|bytea|date|time|timestamp|uuid|json|jsonb|interval|bit|bit varying|inet|cidr|macaddr|macaddr8)(\([\d,-]+\))?( with(out)? time zone)?(\[\])*$/;

/** Names that the catalogue spells otherwise. */
const otherNames: Readonly<Record<string, string>> = {
  int2: 'smallint', int4: 'integer', int: 'integer', int8: 'bigint', float4: 'real', float8: 'double precision', float: 'double precision', bool: 'boolean', decimal: 'numeric',
  varchar: 'character varying', char: 'character', bpchar: 'character', varbit: 'bit varying', timestamptz: 'timestamp with time zone', timestamp: 'timestamp without time zone', time: 'time without time zone', timetz: 'time with time zone',
};

/** The catalogue's names, and those of pg_type that natives.ts has. */
const typeNames: Readonly<Record<string, string>> = {
  smallint: 'int2', integer: 'int4', bigint: 'int8', real: 'float4', 'double precision': 'float8', boolean: 'bool', 'character varying': 'varchar', character: 'bpchar', 'bit varying': 'varbit',
  'timestamp with time zone': 'timestamptz', 'timestamp without time zone': 'timestamp', 'time without time zone': 'time', 'time with time zone': 'timetz',
};

/** A built-in type as one writes it, or an array of it, for `--cast`. */
export function typeOf(spelling: string): Pick<Column, 'type' | 'native'> | undefined {
  const element = /^(.+?)\s*(?:\[\s*\]\s*)+$/.exec(spelling.trim())?.[1];
  if (element === undefined) return scalarOf(spelling);
  const of = scalarOf(element);
  return of && { type: { kind: 'native', engine: 'postgres' }, native: `${of.native}[]` };
}

function scalarOf(spelling: string): Pick<Column, 'type' | 'native'> | undefined {
  const match = /^([a-z][a-z0-9_ ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\))?\s*((?:with|without) time zone)?$/.exec(spelling.trim().toLowerCase().replace(/\s+/g, ' '));
  if (!match) return undefined;
  const [, given, first, second, zone] = match, bare = zone ? `${given} ${zone}` : otherNames[given] ?? given;
  const native = byName.get(typeNames[bare] ?? bare), takes = native?.takes ?? [];
  if (!native || native.only !== undefined || (first !== undefined && takes.length === 0) || (second !== undefined && !takes.includes('scale'))) return undefined;
  const size = Number(first ?? (bare === 'character' || bare === 'bit' ? 1 : NaN)), isSized = !Number.isNaN(size);
  const sizes = isSized ? { precision: size, scale: Number(second ?? 0), maxLength: size, length: size, fraction: size } : {};
  const type = sizedType(native, sizes);
  return { type, native: isSized && !(bare === 'character' && given === 'bpchar') ? sized(bare, takes.includes('scale') ? `${size},${Number(second ?? 0)}` : `${size}`) : bare };
}

/** `timestamp(3) with time zone`: the size stands after the first word there. */
function sized(name: string, size: string): string {
  const [, first, zone] = /^(time|timestamp) (.*)$/.exec(name) ?? [];
  return first === undefined ? `${name}(${size})` : `${first}(${size}) ${zone}`;
}
