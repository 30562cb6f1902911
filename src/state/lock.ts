import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { DsyncError } from '../errors.js';

interface Holder { readonly pid: number; readonly host: string; readonly since: string }

/**
 * Takes a flow for this process, or fails with `busy` and says who has it. The lock is SQLite's own lock on an empty file:
 * the kernel holds it, and lets go of it when the process is gone, however it went.
 */
export function takeLock(folder: string, flow: string): { release(): void } {
  const holderFile = join(folder, `${flow}.json`);
  const db = new Database(join(folder, `${flow}.db`));
  try {
    db.exec('BEGIN EXCLUSIVE');
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
  const who = holder ? `process ${holder.pid} on ${holder.host}, since ${holder.since}` : 'it has only just begun';
  return new DsyncError('busy', `another process works on this flow: ${who}`, {
    remedy: holder ? `wait for it, or stop it with: kill -INT ${holder.pid}` : 'wait for it',
  });
}
