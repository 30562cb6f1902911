import type { Column, Fidelity, LogicalType } from '../../contract.js';
import { isYear } from './types.js';

const exact: Fidelity = { level: 'exact' };
const reshaped = (note: string): Fidelity => ({ level: 'reshaped', note });
const lossy = (note: string): Fidelity => ({ level: 'lossy', note });

/** How a standing column keeps the values of a source column; undefined if it can't. What it can't hold is rejected, never changed. */
export function fit(source: Column, target: Column, engine: string): Fidelity | undefined {
  const kept = sameNative(source, target, engine) ? exact : fitType(source.type, target.type, target.native) ?? fitString(source, target.type);
  if (!kept || kept.level === 'lossy' || !source.nullable || target.nullable) return kept;
  return reshaped([kept.note, 'rows with NULL are rejected'].filter(Boolean).join('; '));
}

/** MongoDB keeps as text, or in a wider type, what it has no type for: the server reads it again. */
function fitString({ native, type }: Column, { kind }: LogicalType): Fidelity | undefined {
  if (kind === 'int' && (native === 'int' || (native.startsWith('decimal') && type.kind === 'decimal' && type.scale === 0))) return reshaped('numbers out of range are rejected');
  return native === 'string' && readable.has(kind) ? reshaped('texts that are none are rejected') : undefined;
}

const readable: ReadonlySet<LogicalType['kind']> = new Set<LogicalType['kind']>(['date', 'time', 'timestamp', 'instant', 'json-text', 'json-value']);

function sameNative(source: Column, target: Column, engine: string): boolean {
  return (source.type.kind === 'native' || source.type.kind === 'uuid') && source.type.kind === target.type.kind
    && bare(source.native) === bare(target.native) && (engine === 'mysql' || engine === 'mariadb');
}

function bare(native: string): string {
  return native.replace(/ SRID \d+$/, '').toLowerCase();
}

function fitType(from: LogicalType, to: LogicalType, native: string): Fidelity | undefined {
  switch (to.kind) {
    case 'int': return isYear(native) ? fitYear(from) : fitInt(from, to);
    case 'decimal': return fitDecimal(from, to);
    case 'float': return fitFloat(from, to);
    case 'text': return fitText(from, to);
    case 'bytes': return from.kind === 'bytes' ? limited(from.maxLength, to.maxLength, 'bytes') : undefined;
    case 'date': return from.kind === 'date' ? exact : undefined;
    case 'time': return from.kind === 'time' ? fraction(from.fraction, to.fraction, exact) : undefined;
    case 'timestamp': return from.kind === 'timestamp' ? fraction(from.fraction, to.fraction, exact)
      : from.kind === 'instant' ? fraction(from.fraction, to.fraction, reshaped('UTC kept in DATETIME')) : undefined;
    case 'instant': return from.kind === 'instant' ? fraction(from.fraction, to.fraction, exact)
      : from.kind === 'timestamp' ? fraction(from.fraction, to.fraction, reshaped('taken as UTC; before 1970 and after 2038 rejected')) : undefined;
    case 'uuid': return from.kind === 'uuid' ? reshaped('UUIDs of no known version are rejected') : undefined;
    case 'json-text': return from.kind === 'json-text' ? exact : from.kind === 'json-value' || from.kind === 'document' ? reshaped('kept as text') : undefined;
    case 'json-value': return from.kind === 'json-value' || from.kind === 'json-text' ? lossy('MySQL\'s JSON changes numbers and the order of keys') : undefined;
    case 'enum': case 'set': return fitLabels(from, to);
    case 'bits': return from.kind === 'bits' && !from.varying && from.length !== undefined && from.length === to.length ? exact
      : from.kind === 'bool' && to.length === 1 ? reshaped('kept as a bit') : undefined;
    default: return undefined;
  }
}

type Of<K extends LogicalType['kind']> = Extract<LogicalType, { kind: K }>;

function fitInt(from: LogicalType, to: Of<'int'>): Fidelity | undefined {
  if (from.kind === 'bool') return reshaped('kept as 0 and 1');
  if (from.kind !== 'int') return undefined;
  const holds = from.signed === to.signed ? to.bits >= from.bits : to.signed && to.bits > from.bits;
  return holds ? exact : reshaped('numbers out of range are rejected');
}

function fitYear(from: LogicalType): Fidelity | undefined {
  return from.kind === 'int' && from.bits === 16 ? exact : undefined;
}

function fitDecimal(from: LogicalType, to: Of<'decimal'>): Fidelity | undefined {
  const scale = to.scale ?? 0, whole = (to.precision ?? 65) - scale;
  if (from.kind === 'int') return scale === 0 ? (whole >= 20 ? exact : reshaped('numbers out of range are rejected')) : undefined;
  if (from.kind !== 'decimal') return undefined;
  if (from.precision === undefined) return reshaped('numbers with more digits are rejected');
  const fromScale = from.scale ?? 0;
  if (fromScale === scale && from.precision - fromScale <= whole) return exact;
  return fromScale === scale ? reshaped('numbers out of range are rejected') : reshaped(`written with ${scale} decimals; what does not fit is rejected`);
}

function fitFloat(from: LogicalType, to: Of<'float'>): Fidelity | undefined {
  if (from.kind === 'float') return from.bits <= to.bits ? exact : lossy('rounded to 32 bits');
  return from.kind === 'decimal' ? lossy('rounded to a binary fraction') : undefined;
}

function fitText(from: LogicalType, to: Of<'text'>): Fidelity | undefined {
  switch (from.kind) {
    case 'text': return limited(from.maxLength, to.maxLength, 'characters');
    case 'bytes': return undefined;
    case 'any': return lossy('all values become text');
    default: return reshaped('kept as text');
  }
}

function fitLabels(from: LogicalType, to: Of<'enum' | 'set'>): Fidelity | undefined {
  if (from.kind === 'text' || (from.kind === 'enum' && to.kind === 'enum')) {
    const known = from.kind === 'enum' && from.labels.every((label) => to.labels.includes(label));
    return known ? exact : reshaped('other labels are rejected');
  }
  return from.kind === 'set' && to.kind === 'set' && from.labels.every((label, i) => to.labels[i] === label) ? exact : undefined;
}

function limited(from: number | undefined, to: number | undefined, unit: string): Fidelity {
  return to === undefined || (from !== undefined && from <= to) ? exact : reshaped(`more than ${to} ${unit} are rejected`);
}

function fraction(from: number, to: number, otherwise: Fidelity): Fidelity {
  return from <= to ? otherwise : lossy(`fractions are cut to ${to} digits`);
}
