import { resolve } from 'node:path';
import { DsyncError } from '../../errors.js';

export interface File {
  /** Absolute. */
  readonly path: string;
  readonly readOnly: boolean;
}

/** The file of a `sqlite:` URL. Fails with `usage`. */
export function fileIn(url: string): File {
  const [, slashes, rest, query] = /^sqlite:(\/\/)?([^?]*)(?:\?(.*))?$/i.exec(url) ?? [];
  const path = slashes ? decoded(rest) : rest;
  if (!path) throw new DsyncError('usage', `'${url}' names no file`, { remedy: 'write sqlite:PATH' });
  if (path === ':memory:') throw new DsyncError('usage', 'sqlite::memory: would be gone with this process', { remedy: 'write sqlite:PATH' });
  return { path: resolve(path), readOnly: isReadOnly(query) };
}

function isReadOnly(query = ''): boolean {
  let readOnly = false;
  for (const [name, value] of new URLSearchParams(query)) {
    if (name !== 'mode' || !['ro', 'rw'].includes(value)) throw new DsyncError('usage', `sqlite: has no option '${name}=${value}'`, { remedy: 'options: mode=ro mode=rw' });
    readOnly = value === 'ro';
  }
  return readOnly;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new DsyncError('usage', `'${path}' is not percent-encoded as a URL's path is`, { remedy: 'write sqlite:PATH, without slashes before the path' });
  }
}
