import { setTimeout as delay } from 'node:timers/promises';
import { DsyncError, messageOf } from '../errors.js';
import type { Apart } from './apart.js';
import { add } from './resync.js';
import { selectionOf } from './route.js';
import type { Run } from './run.js';

/** How often the source is asked for tables that it did not have. */
const lookMillis = 10_000;

/** Finds tables that come to the chosen namespaces while a run follows. */
export interface Looking {
  /** Now, and not a while later. */
  now(): void;
  /** Looks once; the tables that are part of the run from then on, and that are to be copied. */
  look(): Promise<readonly string[]>;
  stop(): void;
}

/** With `--on-ddl apply` such tables become part of the run. What can't be taken is told of, once. */
export function lookForTables(run: Run, apart: Apart, found: { ask(): void }, failed: (error: unknown) => void): Looking {
  if (run.config.onDdl !== 'apply') return { now: () => {}, look: async () => [], stop: () => {} };
  const stopped = new AbortController(), told = new Set<string>();
  let wake = () => {}, looking: Promise<readonly string[]> = Promise.resolve([]);
  const look = () => {
    looking = looking.then(() => takeNew(run, apart, told));
    return looking.then((taken) => { if (taken.length > 0) found.ask(); return taken; });
  };
  const watch = async () => {
    while (!stopped.signal.aborted) {
      const woken = new Promise<void>((resolve) => { wake = resolve; }), waited = new AbortController();
      await Promise.race([woken, delay(lookMillis, undefined, { signal: AbortSignal.any([stopped.signal, waited.signal]) }).catch(() => undefined)]);
      waited.abort();
      if (!stopped.signal.aborted) await look();
    }
  };
  watch().catch((error: unknown) => { if (!stopped.signal.aborted) failed(error); });
  return { now: () => wake(), look, stop: () => stopped.abort() };
}

async function takeNew(run: Run, apart: Apart, told: Set<string>): Promise<readonly string[]> {
  const { namespaces, exclude } = run.config, known = new Set(run.mappings.map(({ source }) => source.namespace));
  const shapes = await run.source.shapes(selectionOf(namespaces, exclude, run.source), run.signal);
  const taken: string[] = [];
  for (const { namespace } of shapes.filter((shape) => !known.has(shape.namespace) && !told.has(shape.namespace))) {
    try {
      taken.push(await add(run, apart, namespace));
    } catch (error) {
      if (run.signal.aborted || (error instanceof DsyncError && error.retryable)) throw error;
      told.add(namespace);
      run.emit({ kind: 'finding', end: 'source', finding: { level: 'warning', code: 'new-table', namespace, message: `the new table ${namespace} is not taken: ${messageOf(error)}`, remedy: error instanceof DsyncError ? error.remedy : undefined } });
    }
  }
  return taken;
}
