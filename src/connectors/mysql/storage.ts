import type { Column, Fidelity, LogicalType, Shape } from '../../contract.js';
import { isBinaryNative } from './lines.js';
import type { Version } from './session.js';
import { collationOf, isPlainText } from './types.js';

/** What the destination server offers. */
export interface Offer {
  readonly version: Version;
  /** Tells all texts apart, trailing spaces too. */
  readonly exactCollation: string;
  readonly collations: ReadonlySet<string>;
  /** `lower_case_table_names = 1`: names of tables and databases are kept in small letters. */
  readonly lowersNames: boolean;
  /** `lower_case_table_names` above 0: such names are found in any letter case. */
  readonly ignoresTableCase: boolean;
}

export interface Stored { readonly column: Column; readonly fidelity: Fidelity }

interface Place {
  readonly offer: Offer;
  /** Longest text in characters that a key column may have; undefined outside the key. */
  readonly keyLength: number | undefined;
  /** May a VARCHAR of so many characters stand in the row? */
  readonly takesVarchar: (characters: number) => boolean;
}

const exact: Fidelity = { level: 'exact' };
const longestVarchar = 1000;
const keyBytes = 3072;
const rowBytes = 48_000;

/** The columns of the table that would take the rows of `source`; undefined where a type has no counterpart. */
export function storeColumns(source: Shape, offer: Offer): readonly (Stored | undefined)[] {
  const keyLength = keyLengthOf(source);
  let left = rowBytes;
  const takesVarchar = (characters: number) => {
    if (characters > longestVarchar || characters * 4 > left) return false;
    left -= characters * 4;
    return true;
  };
  return source.columns.map((column, position) =>
    store(column, source.engine, { offer, takesVarchar, keyLength: source.key.includes(position) ? keyLength : undefined }));
}

/** An index holds 3072 bytes; text columns share what the others leave, 255 characters each at the most by default. */
function keyLengthOf(source: Shape): number {
  const flexible = source.key.filter((position) => isFlexible(source.columns[position].type)).length;
  const left = keyBytes - 16 * (source.key.length - flexible);
  return Math.floor(left / 4 / Math.max(flexible, 1));
}

function isFlexible(type: LogicalType): boolean {
  return !['int', 'bool', 'float', 'date', 'time', 'timestamp', 'instant', 'uuid'].includes(type.kind) && !(type.kind === 'decimal' && type.precision !== undefined);
}

function store(column: Column, engine: string, place: Place): Stored | undefined {
  if (column.rule?.cast) return { column: isPlainText(column.native) ? { ...column, native: column.native + collated(place) } : column, fidelity: exact };
  const isOwn = engine === 'mysql' || engine === 'mariadb';
  const own = isOwn ? storeOwn(column, engine, place) : undefined;
  return own ?? storeOther(column, place, isOwn && isBinaryNative(column.native) ? 'kept as text: the hexadecimal digits of its bytes' : 'kept as text');
}

/** The same type on a server of the same family; undefined where it is stored as from any other engine. */
function storeOwn(column: Column, engine: string, { offer }: Place): Stored | undefined {
  const { type } = column, { flavour } = offer.version;
  if (engine === flavour) return asWritten(column, offer);
  if (type.kind === 'json-value' || type.kind === 'json-text' || type.kind === 'uuid') return undefined;
  if (type.kind !== 'native') return asWritten(column, offer);
  if (/^vector/i.test(column.native) || !isBinaryNative(column.native)) return undefined;
  const free = column.native.replace(/ SRID \d+$/, ''), native = flavour === 'mariadb' ? free.replace(/^geomcollection/i, 'geometrycollection') : free;
  return { column: { ...column, native, type: { kind: 'native', engine: flavour } }, fidelity: free === column.native ? exact : { level: 'reshaped', note: 'the column takes any SRID' } };
}

function asWritten(column: Column, offer: Offer): Stored {
  const collation = collationOf(column.native);
  if (collation === undefined || offer.collations.has(collation)) return { column, fidelity: exact };
  const charset = collation.split('_', 1)[0], plain = `${charset}_bin`;
  const other = charset !== 'utf8mb4' && offer.collations.has(plain) ? plain : offer.exactCollation, native = column.native.replace(/ COLLATE \S+/i, ` COLLATE ${other}`);
  const note = `the server has no ${collation}: compared as ${other}`;
  if (other === plain || charset === 'utf8mb4') return { column: { ...column, native }, fidelity: { level: 'reshaped', note } };
  return { column: { ...column, native: native.replace(/ CHARACTER SET \S+/i, ' CHARACTER SET utf8mb4') }, fidelity: { level: 'reshaped', note: `${note}, and kept in utf8mb4` } };
}

function storeOther(column: Column, place: Place, nativeNote: string): Stored | undefined {
  const { type } = column;
  const as = (native: string, stored: LogicalType, note?: string, level: Fidelity['level'] = 'reshaped'): Stored =>
    ({ column: { ...column, native, type: stored }, fidelity: note === undefined ? exact : { level, note } });
  const text = (maxLength: number | undefined, note?: string, level?: Fidelity['level']) => {
    const { native, stored, limit } = textColumn(maxLength, place);
    const notes = [note, limit].filter((part) => part !== undefined);
    return as(native, stored, notes.length > 0 ? notes.join('; ') : undefined, level);
  };
  switch (type.kind) {
    case 'bool': return as('tinyint(1)', { kind: 'int', bits: 8, signed: true }, 'kept as 0 and 1');
    case 'int': return as(integerNative(type), type);
    case 'float': return as(type.bits === 32 ? 'float' : 'double', type);
    case 'decimal': {
      const { precision, scale = 0 } = type;
      if (precision === undefined || precision > 65 || scale > 30 || scale < 0 || scale > precision) return text(undefined, 'kept as text: it may have more digits than DECIMAL');
      return as(`decimal(${precision},${scale})`, { kind: 'decimal', precision, scale });
    }
    case 'text': return type.padded && type.maxLength !== undefined && type.maxLength <= 255
      ? as(`char(${type.maxLength})${collated(place)}`, type) : text(type.maxLength);
    case 'bytes': return bytesColumn(type.maxLength, place, as);
    case 'date': return as('date', type);
    case 'time': return as(`time(${digits(type.fraction)})`, { kind: 'time', fraction: digits(type.fraction) }, cut(type.fraction), 'lossy');
    case 'timestamp': return as(`datetime(${digits(type.fraction)})`, { kind: 'timestamp', fraction: digits(type.fraction) }, cut(type.fraction), 'lossy');
    // TIMESTAMP ends in 2038.
    case 'instant': return as(`datetime(${digits(type.fraction)})`, { kind: 'timestamp', fraction: digits(type.fraction) }, cut(type.fraction) ?? 'UTC kept in DATETIME', type.fraction > 6 ? 'lossy' : 'reshaped');
    // MariaDB's UUID refuses those that no version of the standard makes: a quarter of all hashes that are kept as uuids.
    case 'uuid': return as('char(36) CHARACTER SET ascii COLLATE ascii_bin', { kind: 'text', maxLength: 36, padded: true }, 'kept as text');
    case 'json-text': return place.offer.version.flavour === 'mariadb' ? as('json', type) : text(undefined, 'kept as text: MySQL\'s JSON changes numbers');
    case 'json-value': return text(undefined, 'kept as text: MySQL\'s JSON changes numbers');
    case 'enum': return text(Math.max(1, ...type.labels.map((label) => [...label].length)), 'kept as text');
    case 'set': return text(undefined, 'kept as text');
    case 'native': return text(undefined, nativeNote);
    case 'bits': return !type.varying && type.length !== undefined && type.length <= 64 ? as(`bit(${type.length})`, type) : text(undefined, 'kept as text');
    case 'document': return text(undefined, 'kept as canonical Extended JSON');
    case 'document-id': return text(undefined, 'kept as canonical Extended JSON');
    case 'any': return text(undefined, 'all values become text', 'lossy');
    default: return type satisfies never;
  }
}

const integers: Record<8 | 16 | 24 | 32 | 64, string> = { 8: 'tinyint', 16: 'smallint', 24: 'mediumint', 32: 'int', 64: 'bigint' };

export function integerNative({ bits, signed }: LogicalType & { readonly kind: 'int' }): string {
  return `${integers[bits]}${signed ? '' : ' unsigned'}`;
}

function textColumn(maxLength: number | undefined, place: Place): { readonly native: string; readonly stored: LogicalType; readonly limit?: string } {
  const varchar = (length: number) => ({ native: `varchar(${length})${collated(place)}`, stored: { kind: 'text', maxLength: length } as const });
  if (place.keyLength !== undefined) {
    if (maxLength !== undefined && maxLength <= place.keyLength) return varchar(maxLength);
    const length = Math.min(255, place.keyLength);
    return { ...varchar(length), limit: `keys longer than ${length} characters are rejected` };
  }
  if (maxLength !== undefined && maxLength > 0 && place.takesVarchar(maxLength)) return varchar(maxLength);
  return { native: `longtext${collated(place)}`, stored: { kind: 'text' } };
}

function bytesColumn(maxLength: number | undefined, place: Place, as: (native: string, stored: LogicalType, note?: string) => Stored): Stored {
  const varbinary = (length: number, note?: string) => as(`varbinary(${length})`, { kind: 'bytes', maxLength: length }, note);
  if (place.keyLength !== undefined) {
    const most = place.keyLength * 4;
    if (maxLength !== undefined && maxLength <= most) return varbinary(maxLength);
    const length = Math.min(255, most);
    return varbinary(length, `keys longer than ${length} bytes are rejected`);
  }
  return maxLength !== undefined && maxLength > 0 && place.takesVarchar(Math.ceil(maxLength / 4)) ? varbinary(maxLength) : as('longblob', { kind: 'bytes' });
}

function collated({ offer }: Place): string {
  return ` CHARACTER SET utf8mb4 COLLATE ${offer.exactCollation}`;
}

function digits(fraction: number): number {
  return Math.min(fraction, 6);
}

function cut(fraction: number): string | undefined {
  return fraction > 6 ? 'fractions are cut to microseconds' : undefined;
}
