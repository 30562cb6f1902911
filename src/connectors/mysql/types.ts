import type { Column, LogicalType } from '../../contract.js';

/** A column as information_schema tells of it. */
export interface CatalogueColumn {
  readonly name: string;
  /** `varchar` */
  readonly dataType: string;
  /** `varchar(20)`, `int(10) unsigned zerofill` */
  readonly columnType: string;
  readonly maxLength?: number;
  readonly precision?: number;
  readonly scale?: number;
  readonly fraction?: number;
  readonly charset?: string;
  readonly collation?: string;
  readonly nullable: boolean;
  readonly srid?: string;
  /** MariaDB's JSON: a LONGTEXT with a check. */
  readonly isJson: boolean;
}

export function columnOf(column: CatalogueColumn, engine: string): Column {
  return { name: column.name, type: logicalOf(column, engine), native: nativeOf(column), nullable: column.nullable };
}

/** What a column's values mean. TINYINT(1) is a number: nothing says that it is a boolean. */
export function logicalOf(column: CatalogueColumn, engine: string): LogicalType {
  const signed = !column.columnType.includes('unsigned');
  switch (column.dataType) {
    case 'tinyint': return { kind: 'int', bits: 8, signed };
    case 'smallint': return { kind: 'int', bits: 16, signed };
    case 'mediumint': return { kind: 'int', bits: 24, signed };
    case 'int': return { kind: 'int', bits: 32, signed };
    case 'bigint': return { kind: 'int', bits: 64, signed };
    case 'year': return { kind: 'int', bits: 16, signed: true };
    case 'decimal': return { kind: 'decimal', precision: column.precision, scale: column.scale };
    case 'float': return { kind: 'float', bits: 32 };
    case 'double': return { kind: 'float', bits: 64 };
    case 'bit': return { kind: 'bits', length: column.precision };
    case 'date': return { kind: 'date' };
    case 'time': return { kind: 'time', fraction: column.fraction ?? 0 };
    case 'datetime': return { kind: 'timestamp', fraction: column.fraction ?? 0 };
    case 'timestamp': return { kind: 'instant', fraction: column.fraction ?? 0 };
    case 'char': return { kind: 'text', maxLength: column.maxLength, padded: true };
    case 'varchar': case 'tinytext': case 'text': case 'mediumtext': return { kind: 'text', maxLength: column.maxLength };
    case 'longtext': return column.isJson ? { kind: 'json-text' } : { kind: 'text' };
    case 'json': return { kind: 'json-value' };
    case 'binary': case 'varbinary': case 'tinyblob': case 'blob': case 'mediumblob': return { kind: 'bytes', maxLength: column.maxLength };
    case 'longblob': return { kind: 'bytes' };
    case 'enum': case 'set': return { kind: column.dataType, labels: labelsOf(column.columnType) };
    case 'uuid': return { kind: 'uuid' };
    default: return { kind: 'native', engine };
  }
}

/** The type as it stands in a CREATE TABLE, with the character set that its values depend on. */
export function nativeOf(column: CatalogueColumn): string {
  if (column.isJson) return 'json';
  const srid = column.srid === undefined ? '' : ` SRID ${column.srid}`;
  const text = column.charset === undefined || column.dataType === 'json' ? '' : ` CHARACTER SET ${column.charset} COLLATE ${column.collation}`;
  return column.columnType + text + srid;
}

/** `enum('a','it''s','b\\\\c')` → `a`, `it's`, `b\\c`. */
export function labelsOf(columnType: string): readonly string[] {
  const labels = [...columnType.matchAll(/'((?:[^'\\]|''|\\.)*)'/gs)].map((match) => match[1]);
  return labels.map((label) => label.replace(/''|\\(.)/gs, (pair: string, char: string | undefined) => (char === undefined ? "'" : escapes[char] ?? char)));
}

const escapes: Readonly<Record<string, string>> = { 0: '\0', n: '\n', r: '\r', t: '\t' };

/** The collation that a native text type names. */
export function collationOf(native: string): string | undefined {
  return / COLLATE (\S+)/i.exec(native)?.[1];
}

/** Does the collation tell apart all that differs: letter case, accents, trailing spaces? */
export function tellsAllApart(collation: string | undefined): boolean {
  return collation === undefined || collation === 'binary' || /_nopad_bin$|_0900_bin$/.test(collation);
}

export function isYear(native: string): boolean {
  return /^year\b/i.test(native);
}

export function isZerofill(native: string): boolean {
  return /\bzerofill\b/i.test(native);
}
