import { statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { OpenOptions, Part, Shape, Snapshot, Task } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { partsAt } from '../../source/parts.js';
import type { File } from './address.js';
import { edges, keptView, readTable, type Table } from './catalogue.js';
import { orderOf, userCondition } from './paging.js';
import { read } from './read.js';
import { scan } from './scan.js';
import { openExisting, quoted, type Session } from './session.js';
import { largestInteger } from './types.js';

/** One connection in one read transaction: all tasks see the same moment, and take turns page by page. */
export function snapshot(file: File, options: OpenOptions): Snapshot {
  const session = openExisting(file);
  const fingerprint = began(session);
  const tables = new Map<string, Table>();
  const tableOf = (shape: Shape, where?: string): Table => {
    const table = tables.get(shape.name) ?? (shape.view ? keptView(session, shape) : readTable(session, shape.name));
    if (!table) throw new DsyncError('data', `table ${shape.name} is not in ${file.path}`, { namespace: shape.namespace });
    tables.set(shape.name, table);
    if (where !== undefined) checkCondition(session, table, where);
    return table;
  };
  return {
    moment: { at: new Date().toISOString(), exact: true, how: 'one read transaction', ...(fingerprint !== undefined && { fingerprint }) },
    plan: async (shape, { taskBytes, where }) => plan(session, tableOf(shape, where), shape, taskBytes),
    read: (job, signal) => read(session, tableOf(job.shape, job.where), job, options, signal),
    parts: async (shape, rows, signal) => parts(session, tableOf(shape), shape, rows, signal),
    scan: (job, signal) => scan(session, tableOf(job.shape, job.where), job, signal),
    async [Symbol.asyncDispose]() {
      // The driver closes a connection only when its statements are collected; its lock must not wait for that.
      session.exec('ROLLBACK');
      session[Symbol.dispose]();
    },
  };
}

/** Begins the read transaction, and returns what the file's data can be recognized by, where that is sound. */
function began(session: Session): string | undefined {
  const before = traces(session.file);
  session.exec('BEGIN');
  const [header] = session.get('SELECT hex(substr(data, 25, 4)) FROM sqlite_dbpage WHERE pgno = 1') ?? ['empty'];
  // A write just before or after would leave the same time in a folder of coarse times.
  const settled = before.changed < Date.now() - 5000;
  return settled && before.text === traces(session.file).text ? `${before.text} ${header}` : undefined;
}

/** Inode, size and time of the file and its write-ahead log. Looked at, never opened: closing it would drop SQLite's locks. */
function traces({ path }: File): { readonly text: string; readonly changed: number } {
  const seen = [path, `${path}-wal`].map((name) => statSync(name, { bigint: true, throwIfNoEntry: false }));
  const text = seen.map((stat) => (stat && stat.size > 0n ? `${stat.ino}:${stat.size}:${stat.mtimeNs}` : '-')).join(' ');
  return { text, changed: Math.max(...seen.map((stat) => Number(stat?.mtimeMs ?? 0n))) };
}

/** Even ranges of the row number, or of an integer key where there is no row number. */
function plan(session: Session, table: Table, { namespace, columns, key, estimatedRows, estimatedBytes = 0 }: Shape, taskBytes: number): Task[] {
  const [first] = orderOf(table), count = key.length === 0 ? 1 : Math.max(1, Math.ceil(estimatedBytes / taskBytes));
  const divisible = count > 1 && (table.rowid !== undefined || columns[key[0]].type.kind === 'int');
  const [low, high] = divisible ? edges(session, table.name, first) : [];
  const inner = low === undefined || high === undefined ? [] : cuts(low, high, count);
  return [undefined, ...inner].map((from, i) => ({
    id: `${namespace}#${i}`, namespace,
    ...(inner.length > 0 && { range: `${from ?? ''}..${inner[i] ?? ''}` }),
    ...(estimatedRows !== undefined && { estimatedRows: Math.ceil(estimatedRows / (inner.length + 1)) }),
  }));
}

/** Where `count` even parts of the integers from `low` to `high` meet. */
function cuts(low: bigint, high: bigint, count: number): bigint[] {
  const span = high - low + 1n, parts = span < BigInt(count) ? span : BigInt(count);
  return Array.from({ length: Number(parts) - 1 }, (_, i) => low + (span * BigInt(i + 1)) / parts);
}

async function parts(session: Session, table: Table, { columns, key }: Shape, rows: number, signal: AbortSignal): Promise<Part[]> {
  const first = columns[key[0]];
  if (first?.type.kind !== 'int') return [{}];
  const name = quoted(first.name), meeting: string[] = [];
  let [at] = edges(session, table.name, name);
  while (at !== undefined) {
    await setImmediate();
    signal.throwIfAborted();
    const next: bigint | undefined = integerAfter(session, table, name, at, rows);
    // More rows than that may share their first key column.
    at = next === at ? integerAfter(session, table, name, at + 1n, 0) : next;
    if (at !== undefined) meeting.push(String(at));
  }
  return partsAt(meeting);
}

/** The integer that stands so many rows behind the first one that is not below `at`. */
function integerAfter(session: Session, table: Table, name: string, at: bigint, rows: number): bigint | undefined {
  if (at > largestInteger) return undefined;
  const sql = `SELECT ${name} FROM ${quoted(table.name)} WHERE ${name} >= ? ORDER BY ${name} LIMIT 1 OFFSET ?`;
  const value = session.get(sql, [at, BigInt(rows)])?.[0];
  return typeof value === 'bigint' ? value : undefined;
}

function checkCondition(session: Session, table: Table, where: string): void {
  try {
    session.get(`SELECT 1 FROM ${quoted(table.name)} WHERE (${userCondition(where)!.sql}\n) LIMIT 0`);
  } catch (error) {
    throw new DsyncError('usage', `the condition for ${table.name} can't be used: ${(error as Error).message}`, { cause: error, namespace: table.name });
  }
}
