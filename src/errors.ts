/**
 * Why something failed, in one word that code can act on.
 *
 * - `usage`: the command line or the configuration is wrong (exit 2)
 * - `unreachable`, `denied`, `not-ready`: an end can't be used as it is (exit 3)
 * - `refused`: going on would lose or overwrite something (exit 5)
 * - `busy`: another process works on this flow (exit 8)
 * - `interrupted`: the user asked to stop (exit 130 or 143)
 * - `source-lost`: the source's snapshot is gone (connection or server lost); the rest is read under a new one
 * - `connection-lost`: the destination went away; the same write may be tried again on a new connection
 * - `conflict`: a deadlock or serialization failure; the same write may be tried again at once
 * - `history-lost`: the change log no longer reaches back to the checkpoint (exit 5)
 * - `waiting`: the run has stopped where the user must act before it can go on (exit 7)
 * - `disk-full`, `state`, `data`, `internal`: what the name says (exit 1)
 */
export type ErrorCode =
  | 'usage' | 'unreachable' | 'denied' | 'not-ready' | 'refused' | 'busy' | 'interrupted'
  | 'source-lost' | 'connection-lost' | 'conflict' | 'history-lost' | 'waiting' | 'disk-full' | 'state' | 'data' | 'internal';

export interface ErrorDetails {
  readonly cause?: unknown;
  /** The same call may succeed if it is made again. */
  readonly retryable?: boolean;
  readonly namespace?: string;
  readonly task?: string;
  /** What the user can do now: a statement or a command. */
  readonly remedy?: string;
}

/** The only error that crosses a boundary. `message` says what failed and where, without any password. */
export class DsyncError extends Error {
  override readonly name = 'DsyncError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly namespace?: string;
  readonly task?: string;
  readonly remedy?: string;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.code = code;
    this.retryable = details.retryable ?? (code === 'source-lost' || code === 'connection-lost' || code === 'conflict');
    this.namespace = details.namespace;
    this.task = details.task;
    this.remedy = details.remedy;
  }
}

/** The same error, with the namespace and task that it befell, unless it names them already. */
export function located(error: unknown, where: { readonly namespace?: string; readonly task?: string }): DsyncError {
  const known = error instanceof DsyncError ? error : undefined;
  return new DsyncError(known?.code ?? 'internal', known?.message ?? messageOf(error), {
    cause: known?.cause ?? error,
    retryable: known?.retryable,
    namespace: known?.namespace ?? where.namespace,
    task: known?.task ?? where.task,
    remedy: known?.remedy,
  });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const exitStatuses: Record<ErrorCode, number> = {
  usage: 2, unreachable: 3, denied: 3, 'not-ready': 3, refused: 5, busy: 8, interrupted: 130,
  'source-lost': 3, 'connection-lost': 3, conflict: 1, 'history-lost': 5, waiting: 7, 'disk-full': 1, state: 1, data: 1, internal: 1,
};

/** The exit status of a command that ended with this error (docs/exit-status.md). */
export function exitStatus(error: unknown): number {
  return error instanceof DsyncError ? exitStatuses[error.code] : 1;
}
