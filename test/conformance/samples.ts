import { BSON } from 'mongodb';
import { expect } from 'vitest';
import { DsyncError } from '../../src/errors.js';
import type { Batch, Column, LogicalType, Row, Rows, Shape, Value } from '../../src/contract.js';
import { toExtendedJson } from '../../src/values/bson.js';
import { decodeDelimited } from '../../src/values/delimited.js';
import { spellAny } from '../../src/values/normal.js';

export interface SampleColumn { readonly name: string; readonly kind: 'int64' | 'int32' | 'text' | 'key-text' | 'bytes'; readonly nullable?: boolean }

/** A table that every engine can hold, with rows as values. */
export interface Sample {
  readonly name: string;
  readonly columns: readonly SampleColumn[];
  /** Positions. */
  readonly key: readonly number[];
  readonly rows: readonly Row[];
}

/** Text that ends a cell, a line or a character where it should not. NUL is no text to some engines. */
export const hostileTexts: readonly (string | null)[] = [
  null, '', ' ', 'trailing ', '\t', '\n', '\r\n', '\\', '\\N', '\\.', '\\\\N', '\\t', '\b', '\f', '\v', '\u0001', '\u001a', '\u007f', '"', "'", '`', ',', ';--', '%s', 'NULL',
  'plain', 'é', 'e\u0301', 'ß', 'İı', '中文', 'שלום', '\u202eabc', '\ufeff', '\u00a0', '\u2028', '\ufffd', '😀', '👩‍👩‍👧', '𝔘𝔫𝔦', '\u{10fffd}', 'a\\', '\\\n', '\n\\.\n', 'x\ty\\tz',
];

const note = { name: 'note', kind: 'text', nullable: true } as const;
const ordinary: readonly SampleColumn[] = [{ name: 'id', kind: 'int64' }, note, { name: 'size', kind: 'int32', nullable: true }, { name: 'raw', kind: 'bytes', nullable: true }];

export const items: Sample = { name: 'items', columns: ordinary, key: [0], rows: Array.from({ length: 2000 }, (_, i) => ordinaryRow(i + 1)) };
export const empty: Sample = { name: 'empty', columns: ordinary, key: [0], rows: [] };

/** Equal first parts of the key, some of them more often than a part for comparing is long. */
export const pairs: Sample = {
  name: 'pairs', key: [0, 1],
  columns: [{ name: 'part', kind: 'int32' }, { name: 'code', kind: 'key-text' }, note],
  rows: Array.from({ length: 400 }, (_, i) => [i < 150 ? 0 : Math.floor(i / 10), `c${i % 150}`, hostileTexts[i % hostileTexts.length]]),
};

/** Without a key; every row stands there twice or more. */
export const heap: Sample = {
  name: 'heap', key: [],
  columns: [{ name: 'n', kind: 'int32', nullable: true }, note],
  rows: Array.from({ length: 90 }, (_, i) => [i % 30 === 0 ? null : i % 30, hostileTexts[i % 15]]),
};

/** One row is much larger than any batch. */
export const bulky: Sample = {
  name: 'bulky', columns: ordinary, key: [0],
  rows: Array.from({ length: 60 }, (_, i) => [BigInt(i), i === 30 ? '😀é\t\\'.repeat(60_000) : `row ${i}`, i, null]),
};

/** Names that SQL takes for something else. */
export const strange: Sample = {
  name: 'Order', key: [0],
  columns: [{ name: 'Select', kind: 'int64' }, { name: 'two words', kind: 'text', nullable: true }, { name: 'quo"te`d', kind: 'int32', nullable: true }],
  rows: [[1n, 'a', 1], [2n, null, null]],
};

/** dsync's own tables are never copied. */
export const own: Sample = { ...empty, name: '_dsync_own' };

export const samples: readonly Sample[] = [items, empty, pairs, heap, bulky, strange];

export function ordinaryRow(id: number): Row {
  const text = hostileTexts[id % hostileTexts.length];
  const size = [0, 1, -1, 2147483647, -2147483648, null][id % 6];
  return [BigInt(id), text, size, id % 4 === 0 ? null : Buffer.from([0, 255, 92, 10, 9, 13, id & 255].slice(0, id % 8))];
}

/** The shape that a source would tell of. */
export function shapeOf({ name, columns, key }: Sample): Shape {
  return {
    namespace: `here.${name}`, schema: 'here', name, engine: 'elsewhere', key,
    columns: columns.map(({ name: column, kind, nullable = false }): Column => ({ name: column, type: types[kind], native: kind, nullable })),
  };
}

const types: Record<SampleColumn['kind'], LogicalType> = {
  int64: { kind: 'int', bits: 64, signed: true },
  int32: { kind: 'int', bits: 32, signed: true },
  text: { kind: 'text' },
  'key-text': { kind: 'text', maxLength: 40 },
  bytes: { kind: 'bytes' },
};

/** Rows as plain texts, by column name, so that rows and documents, numbers of all widths, can be compared. */
export type Plain = string;

export function plainRow(names: readonly string[], row: Row): Plain {
  return JSON.stringify(names.map((name, i) => [name, row[i] === null ? null : plainCell(row[i])]));
}

export function plainRows({ columns, rows }: Pick<Sample, 'columns' | 'rows'>): Plain[] {
  return rows.map((row) => plainRow(columns.map(({ name }) => name), row));
}

/** The same rows, as often as they should be there, in any order. */
export function expectSame(found: readonly Plain[], expected: readonly Plain[], what = ''): void {
  const counts = new Map<Plain, number>();
  for (const row of expected) counts.set(row, (counts.get(row) ?? 0) + 1);
  for (const row of found) counts.set(row, (counts.get(row) ?? 0) - 1);
  const shown = (wanted: (count: number) => boolean) => [...counts].filter(([, count]) => wanted(count)).slice(0, 5).map(([row]) => row.slice(0, 300));
  expect({ what, rows: found.length, missing: shown((count) => count > 0), surplus: shown((count) => count < 0) }).toEqual({ what, rows: expected.length, missing: [], surplus: [] });
}

/** The rows of a batch that came from a source, or of a scan. */
export function plainIn(shape: Shape, rows: Rows): Plain[] {
  switch (rows.format) {
    case 'values': return plainValues(shape, rows.rows);
    case 'delimited': return plainValues(shape, decodeDelimited(shape.columns)(rows.bytes));
    case 'bson': return rows.documents.map(plainDocument);
    default: throw new DsyncError('internal', `${rows.format} can't be looked into`);
  }
}

export function plainValues({ columns }: Shape, rows: readonly Row[]): Plain[] {
  if (columns[1]?.type.kind === 'document') return rows.map((row) => plainDocument(row[1] as Uint8Array));
  return rows.map((row) => plainRow(columns.map(({ name }) => name), row));
}

export function plainBatches(shape: Shape, batches: readonly Batch[]): Plain[] {
  return batches.flatMap(({ rows }) => plainIn(shape, rows));
}

/** A document's fields in their order; `_id` is left out where its parts are fields as well. */
function plainDocument(document: Uint8Array): Plain {
  const fields = Object.entries(BSON.deserialize(document, { promoteValues: false }) as Record<string, unknown>);
  const cells = fields.filter(([name]) => name !== '_id').map(([name, value]) => [name, value === null ? null : plainBson(value)]);
  return cells.length > 0 ? JSON.stringify(cells) : toExtendedJson(document);
}

function plainBson(value: unknown): string {
  if (value instanceof BSON.Binary) return plainCell(value.buffer.subarray(0, value.position));
  if (value instanceof BSON.Long || value instanceof BSON.Int32 || value instanceof BSON.Double) return value.toString();
  return String(value);
}

function plainCell(value: Exclude<Value, null>): string {
  return spellAny(value);
}
