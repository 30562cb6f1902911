import type { Column, Row, Value } from '../contract.js';
import { parseCell, spellCell } from './normal.js';

/*
 * Delimited rows are COPY text (PostgreSQL manual, COPY, "Text Format"): a row a line, tabs between the cells, `\N` for
 * null. Readers of the same bytes are COPY FROM, LOAD DATA (without `\f` and `\v`) and `decodeDelimited`.
 */

/** Compiles the decoder of a table's rows: whole lines in, rows in normal form out. Invalid UTF-8 is replaced, as drivers do. */
export function decodeDelimited(columns: readonly Column[]): (bytes: Uint8Array) => Row[] {
  const parsers = columns.map((column) => parseCell(column.type));
  const row = (line: string): Row => {
    const cells = line.split('\t');
    const values = new Array<Value>(parsers.length);
    for (let i = 0; i < parsers.length; i++) {
      const cell = cells[i];
      values[i] = cell === '\\N' ? null : parsers[i](cell.includes('\\') ? unescape(cell) : cell);
    }
    return values;
  };
  return (bytes) => {
    const lines = textOf(bytes).split('\n');
    lines.pop();
    return lines.map(row);
  };
}

/** Compiles the encoder of a table's rows: the reverse of `decodeDelimited`. */
export function encodeDelimited(columns: readonly Column[]): (rows: readonly Row[]) => Buffer {
  const spellers = columns.map((column) => spellCell(column.type));
  return (rows) => {
    let text = '';
    for (const row of rows) {
      for (let i = 0; i < spellers.length; i++) {
        const value = row[i];
        if (i > 0) text += '\t';
        if (value === null) text += '\\N';
        else if (typeof value === 'number' || typeof value === 'bigint') text += spellers[i](value);
        else text += escape(spellers[i](value));
      }
      text += '\n';
    }
    return Buffer.from(text);
  };
}

/** The unescaped cells of the line in [start, end), without its newline. */
export function cellsOfLine(bytes: Uint8Array, start: number, end: number): (string | null)[] {
  return textOf(bytes.subarray(start, end)).split('\t').map((cell) => (cell === '\\N' ? null : unescape(cell)));
}

/** Offsets at which lines start; every line ends with a newline. */
export function lineStarts(bytes: Uint8Array): number[] {
  const starts: number[] = [];
  for (let at = 0; at < bytes.length; at = bytes.indexOf(10, at) + 1) starts.push(at);
  return starts;
}

/** Whole lines, about so many bytes at a time: rows that are made of a little and dropped again cost hardly any memory. */
export function* slicesOf(bytes: Uint8Array, size = 64 << 10): Iterable<Uint8Array> {
  for (let start = 0, end = 0; start < bytes.length; start = end) {
    end = bytes.indexOf(10, start + size) + 1 || bytes.length;
    yield bytes.subarray(start, end);
  }
}

export function lineCount(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}

export function escape(text: string): string {
  return special.test(text) ? text.replace(specials, (char) => escapes[char]) : text;
}

export function unescape(cell: string): string {
  return cell.replace(/\\([\s\S])/g, (_, char: string) => unescapes[char] ?? char);
}

const special = /[\\\t\n\r]/;
const specials = /[\\\t\n\r]/g;
const escapes: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
const unescapes: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
