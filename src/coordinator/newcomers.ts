import { setTimeout as delay } from 'node:timers/promises';
import { DsyncError, messageOf } from '../errors.js';
import type { Apart } from './apart.js';
import { add } from './resync.js';
import { selectionOf } from './route.js';
import type { Run } from './run.js';

/** How often the source is asked for tables that it did not have. */
const lookMillis = 10_000;

/** With `--on-ddl apply`: tables that come to the chosen namespaces while the run follows become part of it. What can't be taken is told of, once. */
export function lookForTables(run: Run, apart: Apart, found: { ask(): void }, failed: (error: unknown) => void): { stop(): void } {
  const stopped = new AbortController(), told = new Set<string>();
  const look = async () => {
    while (!stopped.signal.aborted) {
      await delay(lookMillis, undefined, { signal: stopped.signal }).catch(() => undefined);
      if (!stopped.signal.aborted && (await takeNew(run, apart, told))) found.ask();
    }
  };
  if (run.config.onDdl === 'apply') look().catch((error: unknown) => { if (!stopped.signal.aborted) failed(error); });
  return { stop: () => stopped.abort() };
}

async function takeNew(run: Run, apart: Apart, told: Set<string>): Promise<boolean> {
  const { namespaces, exclude } = run.config, known = new Set(run.mappings.map(({ source }) => source.namespace));
  const shapes = await run.source.shapes(selectionOf(namespaces, exclude, run.source), run.signal);
  let any = false;
  for (const { namespace } of shapes.filter((shape) => !known.has(shape.namespace) && !told.has(shape.namespace))) {
    try {
      await add(run, apart, namespace);
      any = true;
    } catch (error) {
      if (run.signal.aborted || (error instanceof DsyncError && error.retryable)) throw error;
      told.add(namespace);
      run.emit({ kind: 'finding', end: 'source', finding: { level: 'warning', code: 'new-table', namespace, message: `the new table ${namespace} is not taken: ${messageOf(error)}`, remedy: error instanceof DsyncError ? error.remedy : undefined } });
    }
  }
  return any;
}
