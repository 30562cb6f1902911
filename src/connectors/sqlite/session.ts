import { closeSync, existsSync, openSync, statSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import Database from 'libsql';
import { DsyncError, messageOf, type ErrorCode } from '../../errors.js';
import type { File } from './address.js';

/** What a bound or fetched value is: integers are `bigint`, REAL is `number`. A boolean must never be bound: the driver aborts the process. */
export type Native = null | bigint | number | string | Uint8Array;

/** One connection. Calls are synchronous and fail with `DsyncError`. */
export interface Session extends Disposable {
  readonly file: File;
  readonly version: string;
  exec(sql: string): void;
  /** Rows as arrays. */
  all(sql: string, values?: readonly Native[]): Native[][];
  get(sql: string, values?: readonly Native[]): Native[] | undefined;
  /** How many rows changed. */
  run(sql: string, values?: readonly Native[]): number;
  /** As `run`, but what SQLite says of a row (`ConstraintFailure`) is thrown as such. */
  insert(sql: string, values: readonly Native[]): void;
}

/** SQLite says no to a row: a constraint, or a value that the column or the engine does not take. */
export class ConstraintFailure extends Error {}

/** Opens a file that must be there, and never changes what is in it. */
export function openExisting(file: File): Session {
  if (!existsSync(file.path)) throw new DsyncError('unreachable', `there is no file ${file.path}`);
  const session = open(file);
  session.exec('PRAGMA query_only = ON');
  return session;
}

/** Opens a file to write to, made empty if it is not there and removed again if it stays empty. */
export function openForWriting(file: File): Session {
  if (file.readOnly) throw new DsyncError('usage', `sqlite:${file.path}?mode=ro can't be a destination`);
  const made = touch(file.path);
  try {
    const session = open(file);
    session.exec('PRAGMA foreign_keys = OFF; PRAGMA synchronous = FULL');
    return made ? removedIfEmpty(session) : session;
  } catch (error) {
    if (made) unlinkSync(file.path);
    throw error;
  }
}

/** `"name"`, as an identifier in SQL. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Which database a file is: the same file at the same place. */
export function identityOf({ path }: File): string {
  const { dev, ino } = statSync(path, { bigint: true });
  return `sqlite:${path}#${dev}:${ino}`;
}

/** How long another process may hold the file's lock before a write gives up. */
const patience = 10_000;

/**
 * Makes the call again while another process holds the lock, without blocking this one; fails with `conflict` when that
 * takes too long.
 */
export async function waitingForLock(act: () => void, signal: AbortSignal): Promise<void> {
  const until = Date.now() + patience;
  for (let pause = 2; ; pause = Math.min(100, pause * 2)) {
    signal.throwIfAborted();
    try {
      return act();
    } catch (error) {
      if (!(error instanceof DsyncError && error.code === 'conflict') || Date.now() > until) throw error;
    }
    await setTimeout(pause, undefined, { signal });
  }
}

function open(file: File): Session {
  const database = connected(file);
  const prepared = new Map<string, Statement>();
  const attempt = <T>(act: () => T): T => {
    try {
      return act();
    } catch (error) {
      throw classified(error, file);
    }
  };
  const statement = (sql: string): Statement => {
    const known = prepared.get(sql);
    if (known) return known;
    const made = database.prepare(sql) as unknown as Statement;
    if (prepared.size > 200) prepared.clear();
    prepared.set(sql, made.safeIntegers(true));
    return made;
  };
  const session: Session = {
    file,
    version: '',
    exec: (sql) => attempt(() => database.exec(sql)),
    all: (sql, values = []) => attempt(() => statement(sql).raw(true).all(values) as Native[][]),
    get: (sql, values = []) => attempt(() => statement(sql).raw(true).get(values) as Native[] | undefined),
    run: (sql, values = []) => attempt(() => statement(sql).run(values).changes),
    insert(sql, values) {
      try {
        statement(sql).run(values);
      } catch (error) {
        if (rowFaults.has(baseCode(error))) throw new ConstraintFailure(messageOf(error), { cause: error });
        throw classified(error, file);
      }
    },
    [Symbol.dispose]() {
      prepared.clear();
      if (database.open) database.close();
    },
  };
  return greeted(session);
}

interface Statement {
  raw(on: boolean): Statement;
  safeIntegers(on: boolean): Statement;
  all(values: readonly Native[]): unknown[];
  get(values: readonly Native[]): unknown;
  run(values: readonly Native[]): { readonly changes: number };
}

function connected(file: File): Database.Database {
  try {
    // A plain path is absolute, so the driver never takes it for a URL.
    return new Database(file.readOnly ? `file:${encodeURI(file.path).replace(/[?#]/g, encodeURIComponent)}?mode=ro` : file.path);
  } catch (error) {
    throw classified(error, file);
  }
}

/** The first look into the file tells whether it is a database at all. */
function greeted(session: Session): Session {
  try {
    const [version] = session.get('SELECT sqlite_version() FROM (SELECT count(*) FROM sqlite_schema)')!;
    const [encoding] = session.get('PRAGMA encoding')!;
    if (encoding !== 'UTF-8') {
      throw new DsyncError('not-ready', `${session.file.path} keeps its text as ${encoding}, which dsync does not read`, {
        remedy: `convert it: sqlite3 new.db 'PRAGMA encoding = "UTF-8"'; sqlite3 ${session.file.path} .dump | sqlite3 new.db`,
      });
    }
    return { ...session, version: `SQLite ${version}` };
  } catch (error) {
    session[Symbol.dispose]();
    throw error;
  }
}

function touch(path: string): boolean {
  if (existsSync(path)) return false;
  try {
    closeSync(openSync(path, 'wx'));
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const denied = code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    throw new DsyncError(denied ? 'denied' : full ? 'disk-full' : 'unreachable', `can't make ${path} in ${dirname(path)}: ${messageOf(error)}`, { cause: error });
  }
}

function removedIfEmpty(session: Session): Session {
  const { path } = session.file;
  return {
    ...session,
    [Symbol.dispose]() {
      session[Symbol.dispose]();
      if (existsSync(path) && statSync(path).size === 0) unlinkSync(path);
    },
  };
}

const rowFaults = new Set(['SQLITE_CONSTRAINT', 'SQLITE_MISMATCH', 'SQLITE_TOOBIG']);

const codes: Record<string, ErrorCode> = {
  SQLITE_BUSY: 'conflict', SQLITE_LOCKED: 'conflict',
  SQLITE_FULL: 'disk-full',
  SQLITE_READONLY: 'denied', SQLITE_PERM: 'denied', SQLITE_AUTH: 'denied',
  SQLITE_NOTADB: 'not-ready', SQLITE_CANTOPEN: 'unreachable',
  SQLITE_IOERR: 'connection-lost',
  SQLITE_CORRUPT: 'data', SQLITE_CONSTRAINT: 'data', SQLITE_MISMATCH: 'data', SQLITE_TOOBIG: 'data',
};

function classified(error: unknown, { path }: File): DsyncError {
  if (error instanceof DsyncError) return error;
  const failedToOpen = messageOf(error).startsWith('ConnectionFailed');
  const code = codes[baseCode(error)] ?? (failedToOpen ? 'unreachable' : 'internal');
  return new DsyncError(code, failedToOpen ? `can't open ${path}` : `${path}: ${messageOf(error)}`, { cause: error });
}

/** `SQLITE_CONSTRAINT_NOTNULL` → `SQLITE_CONSTRAINT`. */
function baseCode(error: unknown): string {
  const code = (error as { readonly code?: unknown }).code;
  return typeof code === 'string' ? code.split('_', 2).join('_') : '';
}
