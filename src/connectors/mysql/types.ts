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

const otherNames: Readonly<Record<string, string>> = { integer: 'int', int1: 'tinyint', int2: 'smallint', int4: 'int', int8: 'bigint', numeric: 'decimal', dec: 'decimal', fixed: 'decimal', real: 'double', 'double precision': 'double', bool: 'tinyint', boolean: 'tinyint', character: 'char', 'character varying': 'varchar' };
const textTypes = /^(char|varchar|tinytext|text|mediumtext|longtext|enum|set)$/;

/** A type as one writes it, for `--cast`. Text without a character set gets the one of new tables. */
export function typeOf(spelling: string, engine: string): Pick<Column, 'type' | 'native'> | undefined {
  const match = /^([a-z][a-z0-9]*(?: precision| varying)?)\s*(?:\((.*)\))?\s*(unsigned)?(?:\s+character set (\S+)(?: collate (\S+))?)?$/i.exec(spelling.trim());
  if (!match) return undefined;
  const [, given, inside, unsigned, charset, collation] = match, dataType = otherNames[given.toLowerCase()] ?? given.toLowerCase();
  const native = natives.find((one) => one.name === dataType && (one.only === undefined || one.only === engine)), takes = native?.takes ?? [], isLabelled = takes.includes('labels');
  const isBool = /^bool/i.test(given), [first, second] = isLabelled || inside === undefined ? [] : inside.split(',').map((size) => Number(size.trim()));
  if (!native || [first, second].some((size) => Number.isNaN(size)) || (isLabelled && inside === undefined) || (/^var/.test(dataType) && first === undefined)) return undefined;
  const sizes = dataType === 'decimal' ? `(${first ?? 10},${second ?? 0})` : isBool ? '(1)' : inside === undefined || (dataType === 'float' && second === undefined) ? '' : `(${isLabelled ? inside : inside.replace(/\s/g, '')})`;
  const columnType = `${dataType}${sizes}${unsigned ? ' unsigned' : ''}`, length = first ?? (/^(char|binary|bit)$/.test(dataType) ? 1 : undefined);
  const column: CatalogueColumn = {
    name: '', dataType, columnType, nullable: true, isJson: dataType === 'json',
    ...(length !== undefined && takes.includes('maxLength') && { maxLength: length }),
    ...(dataType === 'decimal' ? { precision: first ?? 10, scale: second ?? 0 } : takes.includes('length') && length !== undefined ? { precision: length } : {}),
    ...(takes.includes('fraction') && { fraction: first ?? 0 }),
    ...(textTypes.test(dataType) && charset !== undefined && { charset, collation: collation ?? `${charset}_bin` }),
  };
  return { type: logicalOf(column, engine), native: nativeOf(column) };
}

/** Does a type of text say nothing of its character set? */
export function isPlainText(native: string): boolean {
  return textTypes.test(/^[a-z]*/i.exec(native)![0].toLowerCase()) && collationOf(native) === undefined;
}
