import { expect } from 'vitest';
import type { Cells, End } from './ends/index.js';
import { spell } from './spelling.js';
import type { FixtureCell, FixtureTable } from './table.js';

/** Every cell of the tables, as each was written, must stand in the end; each that does not is named with both values. */
export async function expectTables(end: End, tables: readonly FixtureTable[], nameThere = (name: string): string => name): Promise<void> {
  const faults: string[] = [];
  for (const table of tables) {
    const found = await end.read(nameThere(table.name), table.columns).catch((error: unknown) => String(error));
    const located = (fault: string): string => `${end.name} ${nameThere(table.name)}: ${fault}`;
    if (typeof found === 'string') faults.push(located(found));
    else faults.push(...faultsOf(table, found).slice(0, 8).map(located));
  }
  expect(faults, `${faults.length} cells or rows are not as they were written`).toEqual([]);
}

/** In the columns' order, as the fixture wrote them. */
export function writtenRows(table: FixtureTable): readonly Cells[] {
  return table.rows.map((row) => row.map((cell, i) => spell(table.columns[i]!.kind, textOf(cell))));
}

const textOf = (cell: FixtureCell): string | null => (Buffer.isBuffer(cell) ? cell.toString('hex') : cell);

export function faultsOf(table: FixtureTable, found: readonly Cells[]): readonly string[] {
  const expected = writtenRows(table);
  if (found.length === 0 && expected.length > 3) return [`all ${expected.length} rows are missing`];
  return table.key.length > 0 ? faultsByKey(table, expected, found) : faultsByCount(expected, found);
}

function faultsByKey(table: FixtureTable, expected: readonly Cells[], found: readonly Cells[]): readonly string[] {
  const keyAt = table.key.map((name) => table.columns.findIndex((column) => column.name === name));
  const keyOf = (row: Cells): string => keyAt.map((at) => `${table.columns[at]!.name}=${JSON.stringify(row[at])}`).join(', ');
  const left = new Map<string, Cells>();
  const faults: string[] = [];
  for (const row of found) {
    if (left.has(keyOf(row))) faults.push(`${keyOf(row)} is there twice`);
    left.set(keyOf(row), row);
  }
  for (const row of expected) {
    const there = left.get(keyOf(row));
    left.delete(keyOf(row));
    if (!there) faults.push(`${shorten(keyOf(row))} is missing`);
    else faults.push(...row.flatMap((cell, i) => (cell === there[i] ? [] : [`${shorten(keyOf(row))}, column ${table.columns[i]!.name}: written ${show(cell)}, found ${show(there[i]!)}`])));
  }
  return [...faults, ...[...left.keys()].map((key) => `${shorten(key)} was never written`)];
}

function faultsByCount(expected: readonly Cells[], found: readonly Cells[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const row of expected) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) + 1);
  for (const row of found) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) - 1);
  return [...counts].filter(([, n]) => n !== 0).map(([row, n]) => `${Math.abs(n)} × ${shorten(row)} ${n > 0 ? 'missing' : 'too many'}`);
}

const shorten = (text: string): string => (text.length > 160 ? `${text.slice(0, 150)}… (${text.length} characters)` : text);
const show = (cell: string | null): string => (cell === null ? 'null' : shorten(JSON.stringify(cell)));
