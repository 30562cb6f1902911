import { accessSync, constants, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Finding, Mapping } from '../../contract.js';
import { readTable } from './catalogue.js';
import type { Session } from './session.js';

export function checkSource(session: Session): Finding[] {
  const { path } = session.file;
  if (journalMode(session) === 'wal') return [];
  return [{
    level: 'warning', code: 'writers-wait', message: `${path} is not in WAL mode: nobody can write to it while it is being read`,
    remedy: 'PRAGMA journal_mode = WAL;',
  }];
}

export function checkDestination(session: Session, mappings: readonly Mapping[]): Finding[] {
  return [...writable(session), ...journal(session), ...space(session, mappings), ...namesakes(mappings), ...triggers(session, mappings)];
}

function journal(session: Session): Finding[] {
  if (journalMode(session) === 'wal' || session.get('PRAGMA page_count')![0] === 0n) return [];
  return [{ level: 'info', code: 'journal', message: `${session.file.path} will be put in WAL mode, and stay in it`, remedy: 'afterwards: PRAGMA journal_mode = DELETE;' }];
}

function journalMode(session: Session): unknown {
  return session.get('PRAGMA journal_mode')![0];
}

/** SQLite keeps its journal beside the file, so the folder must be writable too. */
function writable({ file: { path } }: Session): Finding[] {
  const denied = [path, dirname(path)].filter((name) => !isWritable(name));
  return denied.map((name) => ({ level: 'error', error: 'denied', code: 'read-only', message: `${name} can't be written to`, remedy: `chmod u+w '${name}'` }));
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function space({ file: { path } }: Session, mappings: readonly Mapping[]): Finding[] {
  const { bavail, bsize } = statfsSync(dirname(path)), free = bavail * bsize;
  const needed = mappings.reduce((sum, { source }) => sum + (source.estimatedBytes ?? 0), 0);
  if (free > needed * 1.2) return [];
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
  return [{ level: 'warning', code: 'free-space', message: `the disk of ${path} has ${megabytes(free)} left; the data is estimated at ${megabytes(needed)}` }];
}

/** SQLite takes `Orders` and `orders` for one table. */
function namesakes(mappings: readonly Mapping[]): Finding[] {
  const first = new Map<string, Mapping>();
  const clashes = mappings.filter((mapping) => {
    const name = mapping.target.name.toLowerCase(), earlier = first.get(name);
    if (!earlier) first.set(name, mapping);
    return earlier !== undefined;
  });
  return clashes.map(({ source: { namespace }, target }) => ({
    level: 'error', error: 'usage', code: 'same-name', namespace, message: `SQLite takes ${target.name} for the same table as ${first.get(target.name.toLowerCase())!.target.name}`,
    remedy: `give it another name: --namespace '${namespace}:${target.name}_2'`,
  }));
}

function triggers(session: Session, mappings: readonly Mapping[]): Finding[] {
  return mappings.filter(({ existed }) => existed).flatMap(({ source: { namespace }, target }) => {
    const name = readTable(session, target.name)?.name ?? target.name;
    const found = session.all("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?", [name]).map(([trigger]) => trigger);
    if (found.length === 0) return [];
    return [{
      level: 'warning' as const, code: 'triggers', namespace, message: `the triggers of ${name} will run for every row: ${found.join(', ')}`,
      remedy: found.map((trigger) => `DROP TRIGGER "${trigger}";`).join(' '),
    }];
  });
}
