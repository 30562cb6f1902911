import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { NumberedReject, RejectLine } from '../contract.js';
import { DsyncError, messageOf } from '../errors.js';
import { toJson } from './json.js';

const chunkBytes = 1 << 20;
const linesAtOnce = 1000;
const newline = 0x0a;

/** Appends rows as NDJSON, on disk when it returns. A line that a crash cut short was never acknowledged: it is dropped first, but not one that only lacks its end of line. */
export function appendLines(path: string, rows: readonly unknown[]): void {
  if (rows.length === 0) return;
  const file = openSync(path, 'a+', 0o600);
  try {
    const before = fstatSync(file).size;
    const whole = endOfLastLine(file, before);
    const tail = whole < before ? textAt(file, whole, before) : '';
    if (tail !== '' && !isLine(tail)) ftruncateSync(file, whole);
    writeAll(file, Buffer.from((isLine(tail) ? '\n' : '') + rows.map((row) => `${toJson(row)}\n`).join('')));
    fsyncSync(file);
    if (before === 0) syncFolder(dirname(path));
  } finally {
    closeSync(file);
  }
}

/** The lines of a file, the last of each key, with their numbers in it; none if there is no file. Fails with `usage` where one is no reject's. */
export function readRejects(path: string): readonly NumberedReject[] {
  const lines = new Map<string, NumberedReject>();
  let number = 0;
  for (const text of linesOf(path)) {
    number++;
    if (text.trim() === '') continue;
    const line = parsed(text, path, number), name = line.keyless ? String(number) : nameOf(line);
    lines.delete(name);
    lines.set(name, { number, line });
  }
  return [...lines.values()];
}

/** What tells a row with a key from all others of a run. */
export function nameOf({ namespace, key }: Pick<RejectLine, 'namespace' | 'key'>): string {
  return `${namespace}\n${key}`;
}

/** Puts these lines in the file's place, whole or not at all. */
export function replaceRejects(path: string, lines: readonly unknown[]): void {
  const next = `${path}.next`;
  writeNew(next, lines);
  renameSync(next, path);
  syncFolder(dirname(path));
}

/** Lines of JSON in a new file, on disk when it returns. */
export function writeNew(path: string, lines: readonly unknown[]): void {
  const file = openSync(path, 'w', 0o600);
  try {
    for (let start = 0; start < lines.length; start += linesAtOnce) writeAll(file, Buffer.from(lines.slice(start, start + linesAtOnce).map((line) => `${toJson(line)}\n`).join('')));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function parsed(text: string, path: string, number: number): RejectLine {
  const at = `${path}:${number}`;
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch (error) {
    throw new DsyncError('usage', `${at} is no JSON: ${messageOf(error)}`, { cause: error });
  }
  const { version, namespace, key, row } = (line ?? {}) as { readonly [name: string]: unknown };
  if (version !== 2) throw new DsyncError('usage', `${at}: ${version === undefined ? 'an earlier dsync wrote this line' : `this dsync does not know version ${JSON.stringify(version)} of a reject file`}`, { remedy: 'start over with dsync sync, or update dsync' });
  if (typeof namespace !== 'string' || typeof key !== 'string' || typeof row !== 'object' || row === null) throw new DsyncError('usage', `${at}: a reject has a namespace, a key and a row`);
  return line as RejectLine;
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

/** What a crash cut short is no JSON. */
function isLine(text: string): boolean {
  if (text.trim() === '') return false;
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}

function textAt(file: number, start: number, end: number): string {
  const bytes = Buffer.alloc(end - start);
  readSync(file, bytes, 0, bytes.length, start);
  return bytes.toString();
}

function writeAll(file: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
}

export function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Whole lines only, the last one with or without its end of line; a chunk of the file in memory at a time. */
export function* linesOf(path: string): Generator<string> {
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
    const last = rest.toString();
    if (isLine(last)) yield last;
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
