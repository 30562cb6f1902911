import type { Column, LogicalType } from '../../contract.js';
import { sizedType } from '../../values/native-type.js';
import { natives } from './natives.js';

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

/** What a column's values mean, by the table of native types. TINYINT(1) is a number: nothing says that it is a boolean. */
export function logicalOf(column: CatalogueColumn, engine: string): LogicalType {
  const name = column.isJson ? 'json' : column.dataType;
  const native = natives.find((one) => one.name === name && (one.only === undefined || one.only === engine));
  if (!native || native.type.kind === 'native') return { kind: 'native', engine };
  return sizedType(native, {
    maxLength: column.maxLength, length: column.precision, precision: column.precision, scale: column.scale, fraction: column.fraction,
    signed: !column.columnType.includes('unsigned'), ...(native.takes?.includes('labels') && { labels: labelsOf(column.columnType) }),
  });
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
