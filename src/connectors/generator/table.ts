import type { Column, Row, Shape, Value } from '../../contract.js';
import { escape } from '../../values/delimited.js';
import { parseCell } from '../../values/normal.js';
import type { Settings } from './settings.js';
import { drawing, type Draw } from './random.js';
import { everyType, filler, flag, hostile, integerBelow, money, timestamp, uuid, word, type Speller } from './types.js';

/** One made-up table. A row is a function of the settings and its number, which counts from 0. */
export interface Table {
  readonly shape: Shape;
  /** The row as a line of COPY text, with its newline. */
  line(number: number): string;
  row(number: number): Row;
  /** The numbers of the rows whose first key column, an integer, is in [from, to). */
  numbersBetween(from: number | undefined, to: number | undefined): readonly [number, number];
  /** The value of the first key column, an integer, in this row. */
  keyAt(number: number): number;
}

/** How many rows of a composite key share its first column. */
const tenantRows = 1000;

export function table(settings: Settings, index: number): Table {
  const columns = [...keyColumns(settings), ...dataColumns(settings)];
  const cells = cellsOf(settings, index, columns);
  const parsers = columns.map(({ column }) => parseCell(column.type));
  const plain = columns.map((column) => column.plain === true);
  const perKey = settings.key === 'composite' ? tenantRows : 1, first = settings.key === 'int' ? 1 : 0;
  return {
    shape: shapeOf(settings, index, columns.map(({ column }) => column)),
    line(number) {
      const row = cells(number);
      let line = '';
      for (let i = 0; i < row.length; i++) {
        const cell = row[i];
        line += (i > 0 ? '\t' : '') + (cell === null ? '\\N' : plain[i] ? cell : escape(cell));
      }
      return `${line}\n`;
    },
    row: (number) => cells(number).map((cell, i): Value => (cell === null ? null : parsers[i](cell))),
    numbersBetween(from, to) {
      const numberOf = (key: number) => Math.min(settings.rows, Math.max(0, (key - first) * perKey));
      return [from === undefined ? 0 : numberOf(from), to === undefined ? settings.rows : numberOf(to)];
    },
    keyAt: (number) => Math.floor(number / perKey) + first,
  };
}

interface MadeColumn {
  readonly column: Column;
  /** Its text never needs escaping. */
  readonly plain?: boolean;
  readonly spell: (draw: Draw, number: number) => string;
}

function keyColumns({ key, unicode }: Settings): MadeColumn[] {
  const text = (draw: Draw) => (draw.chance(unicode) ? hostile(draw) : word(draw));
  switch (key) {
    case 'int': return [made('id', { kind: 'int', bits: 64, signed: true }, (_, number) => String(number + 1), true)];
    case 'uuid': return [made('id', { kind: 'uuid' }, uuid, true)];
    // The number at the end keeps keys apart where a collation takes different texts for equal.
    case 'text': return [made('id', { kind: 'text', maxLength: 100 }, (draw, number) => `${text(draw)}-${number}`)];
    case 'composite': return [
      made('tenant', { kind: 'int', bits: 32, signed: true }, (_, number) => String(Math.floor(number / tenantRows)), true),
      made('code', { kind: 'text', maxLength: 100 }, (draw, number) => `${text(draw)}-${number % tenantRows}`),
    ];
    case 'none': return [made('id', { kind: 'int', bits: 64, signed: true }, (_, number) => String(number + 1), true)];
    default: return key satisfies never;
  }
}

function dataColumns({ types, width, unicode }: Settings): MadeColumn[] {
  const common = [
    made('account', { kind: 'int', bits: 32, signed: true }, integerBelow(1_000_000), true),
    made('amount', { kind: 'decimal', precision: 12, scale: 2 }, money, true),
    made('active', { kind: 'bool' }, flag, true),
    made('status', { kind: 'text', maxLength: 20 }, word, true, true),
    made('created_at', { kind: 'timestamp', fraction: 6 }, timestamp, true),
  ];
  const every = types === 'all' ? everyType.map(({ name, type, spell }) => made(name, type, withUnicode(spell, unicode), false, true)) : [];
  // The columns above take about 60 bytes, those of every type about 420 more; the note takes the rest.
  const rest = Math.max(1, width - (types === 'all' ? 480 : 60));
  const note = (draw: Draw) => (draw.chance(unicode) ? hostile(draw) : filler(draw, Math.ceil(rest * 0.75) + draw.below(Math.ceil(rest * 0.5))));
  return [...common, ...every, made('note', { kind: 'text' }, note, unicode === 0, true)];
}

function cellsOf(settings: Settings, index: number, columns: readonly MadeColumn[]): (number: number) => (string | null)[] {
  const draw = drawing(settings.seed, index), keyless = settings.key === 'none', { nulls } = settings;
  return (number) => {
    // Without a key, every tenth row is the same as the one before it.
    const content = keyless && number % 10 === 9 ? number - 1 : number;
    const cells = new Array<string | null>(columns.length);
    draw.at(content);
    for (let i = 0; i < columns.length; i++) {
      const { column, spell } = columns[i];
      cells[i] = column.nullable && draw.chance(nulls) ? null : spell(draw, content);
    }
    return cells;
  };
}

function shapeOf({ rows, width, key }: Settings, index: number, columns: readonly Column[]): Shape {
  const name = `fake_${index + 1}`;
  const keys = { int: [0], uuid: [0], text: [0], composite: [0, 1], none: [] };
  return { namespace: name, name, engine: 'generator', columns, key: keys[key], estimatedRows: rows, estimatedBytes: rows * width };
}

function made(name: string, type: Column['type'], spell: MadeColumn['spell'], plain = false, nullable = false): MadeColumn {
  return { column: { name, type, native: type.kind, nullable }, plain, spell };
}

function withUnicode(spell: Speller, unicode: number): MadeColumn['spell'] {
  return (draw) => spell(draw, unicode);
}
