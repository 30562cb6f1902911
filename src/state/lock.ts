import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import type { Holder } from '../contract.js';
import { DsyncError } from '../errors.js';

/** A process that only looks whether a lock is held is in the way for far less. */
const patienceMillis = 500;

/**
 * Takes a flow for this process, or fails with `busy` and says who has it. The lock is SQLite's own lock on an empty file:
 * the kernel holds it, and lets go of it when the process is gone, however it went.
 */
export function takeLock(folder: string, flow: string): { release(): void } {
  const holderFile = join(folder, `${flow}.json`);
  const db = new Database(join(folder, `${flow}.db`));
  try {
    db.exec(`PRAGMA busy_timeout = ${patienceMillis}; BEGIN EXCLUSIVE`);
    writeHolder(holderFile);
  } catch (error) {
    db.close();
    throw (error as { code?: string }).code === 'SQLITE_BUSY' ? busy(readHolder(holderFile)) : error;
  }
  return {
    release() {
      rmSync(holderFile, { force: true });
      db.close();
    },
  };
}

/** Who has the flow, or undefined; takes nothing that would keep another process from taking it. */
export function holderOf(folder: string, flow: string): Holder | undefined {
  const path = join(folder, `${flow}.db`);
  if (!existsSync(path)) return undefined;
  const db = new Database(path);
  try {
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    return undefined;
  } catch (error) {
    if ((error as { code?: string }).code === 'SQLITE_BUSY') return readHolder(join(folder, `${flow}.json`)) ?? {};
    throw error;
  } finally {
    db.close();
  }
}

function writeHolder(path: string): void {
  const holder: Holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  writeFileSync(`${path}.new`, JSON.stringify(holder), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Nothing in the moment between taking the lock and writing this. */
function readHolder(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch {
    return undefined;
  }
}

function busy(holder: Holder | undefined): DsyncError {
  const who = holder?.pid ? `process ${holder.pid} on ${holder.host}, since ${holder.since}` : 'it has only just begun';
  return new DsyncError('busy', `another process works on this flow: ${who}`, {
    remedy: holder?.pid ? `wait for it, or stop it with: kill -INT ${holder.pid}` : 'wait for it',
  });
}
