import type { Table } from './ends.js';

export const noteOf = (n: number): string | null => (n % 11 === 0 ? null : `it's note ${n} é😀 ${'n'.repeat(n % 60)}`);

/** Large rows, so that a few thousand of them are several tasks with many batches. */
const items = (count: number, width: number): Table => ({
  name: 'items', key: [0], count,
  columns: [{ name: 'id', type: 'int' }, { name: 'n', type: 'int' }, { name: 'note', type: 'text' }, { name: 'pad', type: 'text' }],
  row: (i) => [String(i + 1), String(i % 97), noteOf(i), `${i}-`.repeat(width / 2).slice(0, width)],
});

const pairs = (count: number): Table => ({
  name: 'pairs', key: [1, 0], count,
  columns: [{ name: 'name', type: 'text', length: 60 }, { name: 'tenant', type: 'int' }, { name: 'v', type: 'int' }, { name: 'note', type: 'text' }],
  row: (i) => [`name ${i % 1_000}`, String(Math.floor(i / 1_000)), String(i), noteOf(i)],
});

const words = (count: number): Table => ({
  name: 'words', key: [0], count,
  columns: [{ name: 'word', type: 'text', length: 60 }, { name: 'n', type: 'int' }],
  row: (i) => [`${String.fromCharCode(97 + (i % 26))}-word-${i}`, String(i)],
});

/** No key, and every row several times. */
const log = (count: number): Table => ({
  name: 'log', key: [], count,
  columns: [{ name: 'n', type: 'int' }, { name: 'what', type: 'text' }],
  row: (i) => [String(i % 500), i % 7 === 0 ? null : `event ${i % 40}`],
});

const fresh: Table = { name: 'fresh', key: [0], count: 0, columns: [{ name: 'id', type: 'int' }, { name: 'n', type: 'int' }], row: () => [] };

/** What is copied: `rows` items of about `width` bytes, and smaller tables of other kinds. Collections have one key column, all of them. */
export function tablesOf(size: { readonly rows: number; readonly width: number }, documents = false): readonly Table[] {
  const { rows, width } = size, few = Math.ceil(Math.min(rows / 4, 100_000));
  return documents ? [items(rows, width), words(few)] : [items(rows, width), pairs(few), words(few), log(few), fresh];
}
