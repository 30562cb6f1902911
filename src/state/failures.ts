import { DsyncError, messageOf } from '../errors.js';

/** Runs some work on the state's files; what fails becomes a `state` error that names the folder and the way out. */
export function guarded<T>(folder: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof DsyncError ? error : stateError(folder, error);
  }
}

function stateError(folder: string, error: unknown): DsyncError {
  const { what, remedy } = causeOf(String((error as { code?: unknown }).code ?? ''), messageOf(error));
  return new DsyncError('state', `${what} (state folder ${folder}): ${messageOf(error)}`, { cause: error, remedy });
}

function causeOf(code: string, message: string): { what: string; remedy: string } {
  if (/^(SQLITE_FULL|ENOSPC|EDQUOT|EFBIG)$|^SQLITE_IOERR/.test(code)) {
    return { what: "the state can't be written: the disk is full or fails", remedy: 'free some space there, then go on with dsync resume' };
  }
  if (/^SQLITE_(NOTADB|CORRUPT)/.test(code)) {
    return { what: 'the state is damaged', remedy: 'move state.db away, or name another folder with --state DIR; the destination still knows how far its runs came' };
  }
  if (/^SQLITE_BUSY/.test(code)) {
    return { what: 'the state is kept busy by another process', remedy: 'try again, or name another folder with --state DIR' };
  }
  if (/^(EACCES|EPERM|EROFS|ENOTDIR|EEXIST|SQLITE_READONLY\w*|SQLITE_CANTOPEN\w*)$/.test(code) || message.includes('Unable to open')) {
    return { what: "the state can't be opened", remedy: 'make the folder writable, or name another one with --state DIR' };
  }
  return { what: "the state can't be used", remedy: 'name another folder with --state DIR' };
}
