import { DsyncError, exitStatus, messageOf } from '../errors.js';
import type { StopSignal } from './surroundings.js';

/** What `--json` prints when a command fails. */
export interface FailureDocument {
  readonly error: { readonly code: string; readonly message: string; readonly namespace?: string; readonly task?: string; readonly remedy?: string };
  readonly run?: string;
}

export function failureDocument(error: unknown, run: string | undefined): FailureDocument {
  const { code, message, namespace, task, remedy } = known(error);
  return { error: { code, message, ...(namespace && { namespace }), ...(task && { task }), ...(remedy && { remedy }) }, ...(run && { run }) };
}

/** What failed, where, why, and what to do next. */
export function failureText(error: unknown): string {
  const { message, namespace, task, remedy } = known(error);
  const place = [namespace && `namespace ${namespace}`, task && `task ${task}`].filter(Boolean).join(', ');
  return `error: ${indented(message)}\n${place && `  where: ${place}\n`}${remedy ? `  what to do: ${indented(remedy)}\n` : ''}`;
}

/** Why and where in the code, for `DSYNC_DEBUG=1`. */
export function traceText(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? `caused by ${traceText(error.cause)}` : '';
  return `${error instanceof Error ? error.stack ?? error.message : String(error)}\n${cause}`;
}

export function statusOf(error: unknown, stopped: StopSignal | undefined): number {
  return known(error).code === 'interrupted' && stopped === 'SIGTERM' ? 143 : exitStatus(error);
}

function known(error: unknown): DsyncError {
  if (error instanceof DsyncError) return error.code === 'disk-full' && error.remedy === undefined ? withSpace(error) : error;
  return new DsyncError('internal', messageOf(error), { cause: error, remedy: 'this is a fault of dsync: DSYNC_DEBUG=1 shows where it happened' });
}

function withSpace(error: DsyncError): DsyncError {
  const { code, message, cause, namespace, task } = error;
  return new DsyncError(code, message, { cause, namespace, task, remedy: 'free some space there, then go on: what was written before is kept' });
}

function indented(text: string): string {
  return text.trimEnd().replaceAll('\n', '\n  ');
}
