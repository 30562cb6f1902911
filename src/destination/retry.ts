import { setTimeout as delay } from 'node:timers/promises';
import type { Destination, Emit } from '../contract.js';
import { DsyncError, messageOf } from '../errors.js';

/** How long a lost end is waited for. Waits grow from `firstSeconds` to `longestSeconds`. */
export interface Patience { readonly attempts: number; readonly firstSeconds: number; readonly longestSeconds: number }

export const patient: Patience = { attempts: 12, firstSeconds: 0.25, longestSeconds: 15 };

/**
 * Runs an action again while it fails in a way that may pass. `again` tells the action that an earlier try may have
 * taken effect. The connector has classified the failure; this only waits and tries.
 */
export async function retrying<T>(
  action: (again: boolean) => Promise<T>, end: 'source' | 'destination', emit: Emit, signal: AbortSignal, patience = patient,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action(attempt > 1);
    } catch (error) {
      if (signal.aborted || attempt >= patience.attempts || !(error instanceof DsyncError && error.retryable)) throw error;
      const waitSeconds = wait(attempt, patience);
      emit({ kind: 'retry', end, attempt, waitSeconds, error: messageOf(error) });
      await delay(waitSeconds * 1000, undefined, { signal }).catch(() => { throw error; });
    }
  }
}

/** A destination whose calls survive its server's restart, a lost connection and deadlocks. All of them may be made again. */
export function withRetry(destination: Destination, emit: Emit, patience = patient): Destination {
  const again = <T>(action: (again: boolean) => Promise<T>, signal: AbortSignal) => retrying((redo) => action(redo).catch(unreachableAsLost), 'destination', emit, signal, patience);
  return {
    engine: destination.engine,
    version: destination.version,
    defaultSchema: destination.defaultSchema,
    identity: (signal) => again(() => destination.identity(signal), signal),
    check: (mappings, signal) => again(() => destination.check(mappings, signal), signal),
    adapt: (source, target, signal, objects) => again(() => destination.adapt(source, target, signal, objects), signal),
    ...(destination.typeOf && { typeOf: (spelling) => destination.typeOf!(spelling) }),
    names: destination.names, ...(destination.tied && { tied: destination.tied }), objects: destination.objects, view: destination.view, createStatements: destination.createStatements,
    ...(destination.build && { build: (run, mapping, objects, signal) => again(() => destination.build!(run, mapping, objects, signal), signal) }),
    ...(destination.release && { release: (run, mapping, objects, signal) => again(() => destination.release!(run, mapping, objects, signal), signal) }),
    ...(destination.standing && { standing: (shapes, signal) => again(() => destination.standing!(shapes, signal), signal) }),
    holdsRows: (target, signal) => again(() => destination.holdsRows(target, signal), signal),
    formats: (mapping) => destination.formats(mapping),
    begin: (run, signal) => again(() => destination.begin(run, signal), signal),
    progress: (run, signal) => again(() => destination.progress(run, signal), signal),
    prepare: (run, mapping, options, signal) => again(() => destination.prepare(run, mapping, options, signal), signal),
    write: (run, batch, mapping, options, signal) =>
      again((redo) => destination.write(run, batch, mapping, { ...options, redo: options.redo || redo }, signal), signal),
    taskDone: (run, barrier, signal) => again(() => destination.taskDone(run, barrier, signal), signal),
    finish: (run, mapping, options, signal) => again(() => destination.finish(run, mapping, options, signal), signal),
    mend: (run, mapping, changes, signal) => again(() => destination.mend(run, mapping, changes, signal), signal),
    ...(destination.apply && { apply: (run, work, signal) => again(() => destination.apply!(run, work, signal), signal) }),
    ...(destination.independent && { independent: (targets, signal) => again(() => destination.independent!(targets, signal), signal) }),
    ...(destination.appliesByKey !== undefined && { appliesByKey: destination.appliesByKey }),
    ...(destination.lanes && { lanes: (run, signal) => again(() => destination.lanes!(run, signal), signal) }),
    ...(destination.alter && { alter: (run, mapping, source, signal) => again(() => destination.alter!(run, mapping, source, signal), signal) }),
    ...(destination.setSequences && { setSequences: (mappings, sequences, signal) => again(() => destination.setSequences!(mappings, sequences, signal), signal) }),
    forget: (run, mappings, signal) => again(() => destination.forget(run, mappings, signal), signal),
    [Symbol.asyncDispose]: () => destination[Symbol.asyncDispose](),
  };
}

/** It was reached before: its server is being restarted, perhaps. */
function unreachableAsLost(error: unknown): never {
  if (!(error instanceof DsyncError && error.code === 'unreachable')) throw error;
  throw new DsyncError('connection-lost', error.message, { cause: error.cause, namespace: error.namespace, task: error.task, remedy: error.remedy });
}

function wait(attempt: number, patience: Patience): number {
  return Math.min(patience.firstSeconds * 2 ** (attempt - 1), patience.longestSeconds);
}
