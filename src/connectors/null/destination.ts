import type { Destination, Mapping, ProgressRow, Shape, Target } from '../../contract.js';
import { appliedNowhere } from './apply.js';

/** Progress lives as long as the object: another process finds that nothing was ever here. */
export function destination(): Destination {
  const runs = new Map<string, Map<string, ProgressRow>>();
  const applied = appliedNowhere();
  const rowsOf = (run: string) => runs.get(run) ?? new Map<string, ProgressRow>();

  return {
    engine: 'null',
    version: 'null',
    identity: async () => 'null:',
    check: async () => [],
    adapt: async (source, target) => adapt(source, target),
    holdsRows: async () => false,
    formats: () => ['pg-binary', 'bson', 'delimited', 'values'],
    begin: async (run) => void runs.set(run, rowsOf(run)),
    progress: async (run) => runs.has(run) ? [...rowsOf(run).values()] : undefined,
    async prepare(run, _mapping, { empty, tasks }) {
      for (const [key, { task }] of rowsOf(run)) if (empty && tasks.some(({ id }) => id === task)) rowsOf(run).delete(key);
    },
    async write(run, { task, sequence, cursor, count }, _mapping, { redo }, signal) {
      signal.throwIfAborted();
      const known = redo ? rowsOf(run).get(`${task}\n${sequence}`) : undefined;
      if (!known) rowsOf(run).set(`${task}\n${sequence}`, { task, sequence, cursor, rows: count, done: false });
      return { written: known?.rows ?? count, rejected: [] };
    },
    async taskDone(run, { task, sequence, rows }) {
      for (const [key, row] of rowsOf(run)) if (row.task === task) rowsOf(run).delete(key);
      rowsOf(run).set(task, { task, sequence, rows, done: true });
    },
    finish: async () => [],
    mend: async () => ({ rejected: [] }),
    async apply(run, work, signal) {
      signal.throwIfAborted();
      applied.apply(run, work);
      return { rejected: [] };
    },
    lanes: async (run) => applied.lanes(run),
    async forget(run) {
      runs.delete(run);
      applied.forget(run);
    },
    async [Symbol.asyncDispose]() {},
  };
}

function adapt(source: Shape, { schema, name }: Target): Mapping {
  const namespace = schema === undefined ? name : `${schema}.${name}`;
  const target = { ...source, namespace, schema, name, engine: 'null' };
  return { source, target, fidelity: source.columns.map(() => ({ level: 'exact' })), existed: false, staged: false };
}
