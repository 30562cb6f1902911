import type { Column, Fidelity, LogicalType, Mapping } from '../../contract.js';
import { columnNames } from '../../schema/portable.js';
import { integerNative } from './storage.js';

type Integer = LogicalType & { readonly kind: 'int' };

/** A column of a mapping, by their positions. */
interface Place { readonly mapping: number; readonly column: number }

/**
 * Columns of new tables that a foreign key ties together are given one type, where the source's own engine ties several: integers the
 * narrowest that holds both, texts and bytes without a limit the limit of the key to which they refer. MySQL ties equal types only.
 */
export function tieColumns(mappings: readonly Mapping[]): readonly Mapping[] {
  let tied = mappings;
  const ties = tiesOf(mappings);
  for (let before: readonly Mapping[] | undefined; before !== tied;) {
    before = tied;
    for (const [child, parent] of ties) tied = tie(tied, child, parent);
  }
  return tied;
}

function tiesOf(mappings: readonly Mapping[]): readonly (readonly [child: Place, parent: Place])[] {
  const among = new Map(mappings.map(({ source }, i) => [source.namespace, i]));
  const place = (mapping: number, name: string | undefined): Place => ({ mapping, column: mappings[mapping].target.columns.findIndex((column) => column.name === name) });
  return mappings.flatMap((mapping, i) => (mapping.objects?.foreignKeys ?? []).flatMap((key) => {
    const parent = among.get(key.references.namespace), nameOf = columnNames(mapping);
    if (!key.to || parent === undefined) return [];
    return key.columns.map((name, at) => [place(i, nameOf(name)), place(parent, key.to!.columns[at])] as const).filter((pair) => pair.every(({ column }) => column >= 0));
  }));
}

function tie(mappings: readonly Mapping[], child: Place, parent: Place): readonly Mapping[] {
  const from = columnAt(mappings, child), to = columnAt(mappings, parent);
  if (from.type.kind === 'int' && to.type.kind === 'int') {
    const type = common(from.type, to.type);
    return type ? retyped(retyped(mappings, child, type), parent, type) : mappings;
  }
  const isUnlimited = (from.type.kind === 'text' || from.type.kind === 'bytes') && from.type.kind === to.type.kind && from.type.maxLength === undefined;
  if (!isUnlimited || !('maxLength' in to.type) || to.type.maxLength === undefined) return mappings;
  const note = `${from.type.kind === 'text' ? `texts longer than ${to.type.maxLength} characters` : `values longer than ${to.type.maxLength} bytes`} are rejected, as in the key to which it refers`;
  return changed(mappings, child, { ...from, type: to.type, native: to.native }, note);
}

function columnAt(mappings: readonly Mapping[], { mapping, column }: Place): Column {
  return mappings[mapping].target.columns[column];
}

/** The narrowest integer that holds both; undefined where none does. */
function common(one: Integer, other: Integer): Integer | undefined {
  if (one.signed === other.signed) return one.bits >= other.bits ? one : other;
  const [signed, unsigned] = one.signed ? [one, other] : [other, one];
  const bits = ([8, 16, 24, 32, 64] as const).find((width) => width >= signed.bits && width > unsigned.bits);
  return bits && { kind: 'int', bits, signed: true };
}

function retyped(mappings: readonly Mapping[], place: Place, type: Integer): readonly Mapping[] {
  const column = columnAt(mappings, place), { type: now } = column;
  if (now.kind === 'int' && now.bits === type.bits && now.signed === type.signed) return mappings;
  return changed(mappings, place, { ...column, type, native: integerNative(type) });
}

function changed(mappings: readonly Mapping[], { mapping, column }: Place, to: Column, note?: string): readonly Mapping[] {
  const { existed, target, fidelity } = mappings[mapping];
  if (existed) return mappings;
  const noted = ({ level, note: before }: Fidelity): Fidelity => ({ level: level === 'exact' ? 'reshaped' : level, note: before ? `${before}; ${note}` : note });
  return mappings.with(mapping, {
    ...mappings[mapping],
    target: { ...target, columns: target.columns.with(column, to) },
    ...(note !== undefined && { fidelity: fidelity.with(column, noted(fidelity[column])) }),
  });
}
