import type { Column, Fidelity, LogicalType } from '../../contract.js';

const exact: Fidelity = { level: 'exact' };
const reshaped = (note: string): Fidelity => ({ level: 'reshaped', note });
const lossy = (note: string): Fidelity => ({ level: 'lossy', note });
const outOfRange = reshaped('numbers out of range are rejected');

type Of<Kind extends LogicalType['kind']> = Extract<LogicalType, { kind: Kind }>;

/**
 * How a column of a standing table keeps the source's values; undefined if it can't. What the server refuses is rejected
 * row by row; what it would silently round or reword is lossy.
 */
export function fit(source: Column, target: Column): Fidelity | undefined {
  const kept = source.native === target.native && (isOwn(source.type) || target.native === 'name') ? exact : target.native === 'name' ? lossy('cut after 63 bytes') : fitType(source.type, target.type) ?? fitString(source, target.type);
  if (!kept || kept.level === 'lossy' || !source.nullable || target.nullable) return kept;
  return reshaped([kept.note, 'rows with NULL are rejected'].filter(Boolean).join('; '));
}

/** MongoDB keeps as text what it has no type for: the server reads it again. */
function fitString({ native }: Column, { kind }: LogicalType): Fidelity | undefined {
  return native === 'string' && readable.has(kind) ? reshaped('texts that are none are rejected') : undefined;
}

const readable: ReadonlySet<LogicalType['kind']> = new Set<LogicalType['kind']>(['date', 'time', 'timestamp', 'instant', 'uuid', 'json-text', 'json-value', 'bits', 'native']);

function isOwn(type: LogicalType): boolean {
  return type.kind === 'native' && type.engine === 'postgres';
}

function fitType(from: LogicalType, to: LogicalType): Fidelity | undefined {
  switch (to.kind) {
    case 'bool': return from.kind === 'bool' ? exact : from.kind === 'int' ? reshaped('numbers other than 0 and 1 are rejected') : undefined;
    case 'int': return from.kind === 'bool' ? reshaped('kept as 0 and 1') : from.kind === 'int' ? fitInt(from, to) : undefined;
    case 'decimal': return fitDecimal(from, to);
    case 'float': return fitFloat(from, to);
    case 'text': return fitText(from, to);
    case 'bytes': case 'date': case 'uuid': return from.kind === to.kind ? exact : undefined;
    case 'time': return from.kind === 'time' ? fraction(from.fraction, to.fraction, exact) : undefined;
    case 'timestamp': case 'instant': return fitTimestamp(from, to);
    case 'json-text': return from.kind === 'json-text' ? exact : from.kind === 'json-value' || from.kind === 'document' ? reshaped('kept as text') : undefined;
    case 'json-value': return from.kind === 'json-value' ? exact : from.kind === 'json-text' ? lossy('jsonb keeps the value, not its spelling') : undefined;
    case 'enum': case 'set': return fitLabels(from, to.labels);
    case 'bits': return from.kind === 'bits' ? fitBits(from, to) : undefined;
    default: return undefined;
  }
}

function fitInt(from: Of<'int'>, to: Of<'int'>): Fidelity {
  const holds = from.signed === to.signed ? to.bits >= from.bits : to.signed && to.bits > from.bits;
  return holds ? exact : outOfRange;
}

function fitDecimal(from: LogicalType, { precision, scale = 0 }: Of<'decimal'>): Fidelity | undefined {
  if (from.kind === 'bool') return reshaped('kept as 0 and 1');
  if (from.kind === 'int') return precision === undefined || precision - scale >= digitsOf(from) ? exact : outOfRange;
  if (from.kind !== 'decimal') return undefined;
  if (precision === undefined) return exact;
  if (from.precision === undefined || (from.scale ?? 0) > scale) return lossy(`rounded to ${scale} decimals`);
  return from.precision - (from.scale ?? 0) <= precision - scale ? exact : outOfRange;
}

function digitsOf({ bits, signed }: Of<'int'>): number {
  return String(2n ** BigInt(signed ? bits - 1 : bits)).length;
}

function fitFloat(from: LogicalType, to: Of<'float'>): Fidelity | undefined {
  if (from.kind === 'float') return from.bits <= to.bits ? exact : lossy('rounded to 32 bits');
  if (from.kind === 'int') return from.bits <= to.bits / 2 ? reshaped('kept as a binary fraction') : lossy('rounded to a binary fraction');
  return from.kind === 'decimal' ? lossy('rounded to a binary fraction') : undefined;
}

function fitText(from: LogicalType, { maxLength, padded }: Of<'text'>): Fidelity {
  const longer = maxLength === undefined ? undefined : `more than ${maxLength} characters are rejected, spaces beyond them cut`;
  if (from.kind === 'any') return lossy('kept as text: which type each value had is lost');
  if (from.kind !== 'text') return reshaped(['kept as text', longer].filter(Boolean).join('; '));
  if (padded && !from.padded) return lossy('spaces at the end are lost');
  return longer === undefined || (from.maxLength !== undefined && from.maxLength <= maxLength!) ? exact : reshaped(longer);
}

function fitTimestamp(from: LogicalType, to: Of<'timestamp'> | Of<'instant'>): Fidelity | undefined {
  if (from.kind === 'date' && to.kind === 'timestamp') return reshaped('kept as midnight');
  if (from.kind !== 'timestamp' && from.kind !== 'instant') return undefined;
  const otherKind = to.kind === 'timestamp' ? 'kept in UTC, without a zone' : 'taken as UTC';
  return fraction(from.fraction, to.fraction, from.kind === to.kind ? exact : reshaped(otherKind));
}

function fraction(from: number, to: number, otherwise: Fidelity): Fidelity {
  return from <= to ? otherwise : lossy(`fractions of a second are rounded to ${to} digits`);
}

function fitBits(from: Of<'bits'>, to: Of<'bits'>): Fidelity | undefined {
  if (!to.varying && to.length !== undefined) return from.varying || from.length !== to.length ? undefined : exact;
  return to.length === undefined || (from.length !== undefined && from.length <= to.length) ? exact : reshaped(`more than ${to.length} bits are rejected`);
}

function fitLabels(from: LogicalType, known: readonly string[]): Fidelity | undefined {
  if (from.kind === 'text') return reshaped('other labels are rejected');
  if (from.kind !== 'enum') return undefined;
  return from.labels.every((label) => known.includes(label)) ? exact : reshaped('other labels are rejected');
}
