import type { Column, Fidelity, LogicalType } from '../../contract.js';
import { keptAs } from '../../values/bson.js';

/** Does a row of this shape hold a whole document? */
export { documentColumns, isCollection as holdsDocuments } from '../../source/collections.js';

/** The field that keeps a column, and what becomes of the values. Values are spelled as the column's own type on the way back. */
export function fieldOfColumn(column: Column, isSoleKey: boolean): { readonly column: Column; readonly fidelity: Fidelity } {
  const name = fieldName(column.name, isSoleKey), kept = keptAs(column.type);
  const notes = [reshaping(column.type), ...(name === column.name ? [] : [`the field is named ${name}`])].filter((note) => note !== undefined);
  return {
    column: { ...column, name, native: kept },
    fidelity: notes.length > 0 ? { level: 'reshaped', note: notes.join('; ') } : { level: 'exact' },
  };
}

/**
 * Names that queries would take for operators or paths get the full-width signs that MongoDB's manual advises.
 * A column `_id` keeps its name only if it is the whole key.
 */
function fieldName(name: string, isSoleKey: boolean): string {
  if (name === '_id') return isSoleKey ? name : '_id_';
  return name.replace(/^\$/, '＄').replaceAll('.', '．');
}

const byName: Readonly<Record<string, LogicalType>> = {
  string: { kind: 'text' }, int: { kind: 'int', bits: 32, signed: true }, long: { kind: 'int', bits: 64, signed: true }, double: { kind: 'float', bits: 64 }, decimal: { kind: 'decimal' },
  bool: { kind: 'bool' }, date: { kind: 'instant', fraction: 3 }, bindata: { kind: 'bytes' }, uuid: { kind: 'uuid' },
};

/** A BSON type by its name in the manual, for `--cast`. */
export function typeOf(spelling: string): Pick<Column, 'type' | 'native'> | undefined {
  const type = byName[spelling.trim().toLowerCase()];
  return type && { type, native: keptAs(type) };
}

function reshaping(type: LogicalType): string | undefined {
  const kept = keptAs(type);
  switch (type.kind) {
    case 'text': case 'bool': case 'float': case 'bytes': case 'uuid': case 'any': return undefined;
    case 'int': return kept === 'decimal' ? 'kept as Decimal128' : undefined;
    case 'decimal': return type.precision !== undefined && type.precision <= 34 ? undefined : 'kept as Decimal128, as text where it has more than 34 digits';
    case 'instant': return kept === 'date' ? undefined : 'kept as text: a date of MongoDB has milliseconds';
    default: return 'kept as text';
  }
}
