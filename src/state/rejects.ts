import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { StateStore } from '../contract.js';
import { toJson } from './json.js';

export type RejectedRow = Parameters<StateStore['reject']>[1][number];

const chunkBytes = 1 << 20;
const newline = 0x0a;

/** Appends rows as NDJSON, on disk when it returns. A line that a crash cut short was never acknowledged: it is dropped first. */
export function appendRejects(path: string, rows: readonly RejectedRow[]): void {
  if (rows.length === 0) return;
  const file = openSync(path, 'a+', 0o600);
  try {
    const before = fstatSync(file).size;
    const whole = endOfLastLine(file, before);
    if (whole < before) ftruncateSync(file, whole);
    writeAll(file, Buffer.from(rows.map((row) => `${toJson(row)}\n`).join('')));
    fsyncSync(file);
    if (before === 0) syncFolder(dirname(path));
  } finally {
    closeSync(file);
  }
}

/** Namespace → keys of its rejected rows; empty if there is no file. */
export function readRejects(path: string): ReadonlyMap<string, ReadonlySet<string>> {
  const keys = new Map<string, Set<string>>();
  for (const line of linesOf(path)) {
    const { namespace, key } = JSON.parse(line) as RejectedRow;
    const known = keys.get(namespace) ?? new Set();
    keys.set(namespace, known.add(key));
  }
  return keys;
}

function endOfLastLine(file: number, size: number): number {
  const chunk = Buffer.alloc(chunkBytes);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunkBytes);
    const read = readSync(file, chunk, 0, end - start, start);
    const at = chunk.subarray(0, read).lastIndexOf(newline);
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return 0;
}

function writeAll(file: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Whole lines only, a chunk of the file in memory at a time. */
function* linesOf(path: string): Generator<string> {
  const file = openIfThere(path);
  if (file === undefined) return;
  try {
    const chunk = Buffer.alloc(chunkBytes);
    let rest = Buffer.alloc(0);
    for (let read = readSync(file, chunk); read > 0; read = readSync(file, chunk)) {
      rest = Buffer.concat([rest, chunk.subarray(0, read)]);
      let start = 0;
      for (let at = rest.indexOf(newline); at >= 0; at = rest.indexOf(newline, start)) {
        yield rest.toString('utf8', start, at);
        start = at + 1;
      }
      rest = rest.subarray(start);
    }
  } finally {
    closeSync(file);
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  }
}
