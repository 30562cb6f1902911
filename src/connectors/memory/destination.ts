import type { Batch, Destination, Mapping, ProgressRow, Rejected, Row, Shape, Target, WriteOptions } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { spellKey } from '../../source/keys.js';
import { apply, lanesOf } from './apply.js';
import { createTable, dropProgress, keyOf, progressKey, projection, put, stagingKey, tableOf, type Run, type Store } from './store.js';

export function destination(store: Store): Destination {
  const epochs = new Map<string, number>();
  const owned = (run: string): Run => {
    const mark = store.runs.get(run);
    if (!mark || mark.epoch !== epochs.get(run)) throw new DsyncError('busy', `another process works on run ${run}`);
    return mark;
  };

  return {
    engine: 'memory',
    version: 'memory',
    identity: async () => `memory:${store.name}`,
    check: async () => [],
    adapt: async (source, target) => adapt(store, source, target),
    holdsRows: async (target) => (store.tables.get(target.namespace)?.rows.size ?? 0) > 0,
    formats: () => ['values'],
    async begin(run) {
      const mark = store.runs.get(run) ?? { epoch: 0, progress: new Map() };
      store.runs.set(run, mark);
      epochs.set(run, ++mark.epoch);
    },
    async progress(run) {
      const mark = store.runs.get(run);
      return mark && [...mark.progress.values()];
    },
    async prepare(run, mapping, { empty, tasks }) {
      const mark = owned(run), { target } = mapping;
      if (!store.tables.has(target.namespace)) createTable(store, target);
      if (empty) {
        store.staging.delete(stagingKey(run, mapping));
        dropProgress(mark, tasks);
        if (!mapping.staged) tableOf(store, target).rows.clear();
      }
      // Once the task is done, its rows are in staging or in the target: a new staging table would take their place.
      const isDone = tasks.some(({ id }) => mark.progress.has(progressKey(id, 'done')));
      if (mapping.staged && !isDone && !store.staging.has(stagingKey(run, mapping))) store.staging.set(stagingKey(run, mapping), []);
    },
    async write(run, batch, mapping, options, signal) {
      await store.hooks.beforeWrite?.(batch);
      signal.throwIfAborted();
      const written = land(store, owned(run), run, batch, mapping, options);
      await store.hooks.afterWrite?.(batch);
      return written;
    },
    async taskDone(run, barrier) {
      const { progress } = owned(run), { task, sequence, rows } = barrier;
      for (const [key, row] of progress) if (row.task === task) progress.delete(key);
      progress.set(progressKey(task, 'done'), { task, sequence, rows, done: true });
    },
    async finish(run, mapping, { keepRows }) {
      owned(run);
      const staged = store.staging.get(stagingKey(run, mapping)), table = tableOf(store, mapping.target);
      if (staged && !keepRows) table.rows.clear();
      for (const row of staged ?? []) put(table, row);
      store.staging.delete(stagingKey(run, mapping));
      return [];
    },
    async mend(run, { target }, { upserts, deletes }) {
      owned(run);
      const table = tableOf(store, target), own = projection(target, table.shape);
      for (const key of deletes) table.rows.delete(spellKey(key));
      for (const row of upserts) put(table, own(row));
      return { rejected: [] };
    },
    async apply(run, work, signal) {
      signal.throwIfAborted();
      return { rejected: apply(store, owned(run), work) };
    },
    lanes: async (run) => lanesOf(store.runs.get(run)),
    async forget(run, mappings) {
      store.runs.delete(run);
      for (const mapping of mappings) store.staging.delete(stagingKey(run, mapping));
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** The batch and its progress, in one synchronous step: nobody sees one without the other. */
function land(store: Store, mark: Run, run: string, batch: Batch, mapping: Mapping, options: WriteOptions): { written: number; rejected: Rejected[] } {
  const known = options.redo ? mark.progress.get(progressKey(batch.task, batch.sequence)) : undefined;
  if (known) return { written: known.rows, rejected: [] };
  const rejected = placed(store, run, valuesIn(batch), mapping, options);
  const { task, sequence, cursor } = batch;
  const progress: ProgressRow = { task, sequence, rows: batch.count - rejected.length, done: false, ...(cursor !== undefined && { cursor }) };
  mark.progress.set(progressKey(task, sequence), progress);
  return { written: progress.rows, rejected };
}

/** Puts the rows where they belong, and returns those whose key was taken. */
function placed(store: Store, run: string, rows: readonly Row[], mapping: Mapping, options: WriteOptions): Rejected[] {
  const { source, target, staged } = mapping;
  const table = tableOf(store, target), own = projection(target, table.shape);
  if (staged) {
    store.staging.get(stagingKey(run, mapping))!.push(...rows.map(own));
    return [];
  }
  const rejected: Rejected[] = [];
  for (const row of rows) {
    const taken = !options.overwrite && table.rows.has(spellKey(keyOf(target, row)));
    if (taken) rejected.push({ namespace: source.namespace, row, reason: 'its key is there already' });
    else put(table, own(row));
  }
  return rejected;
}

function valuesIn(batch: Batch): readonly Row[] {
  if (batch.rows.format !== 'values') throw new DsyncError('internal', `memory: was sent ${batch.rows.format}`, { namespace: batch.namespace });
  return batch.rows.rows;
}

function adapt(store: Store, source: Shape, { schema, name }: Target): Mapping {
  const namespace = schema === undefined ? name : `${schema}.${name}`;
  const standing = store.tables.get(namespace)?.shape;
  const target = standing ? fitted(source, standing) : { ...source, namespace, name, schema, engine: 'memory' };
  return { source, target, fidelity: source.columns.map(() => ({ level: 'exact' })), existed: standing !== undefined, staged: source.key.length === 0 };
}

/** The standing table's columns in the order of the source's. */
function fitted(source: Shape, standing: Shape): Shape {
  const columns = source.columns.map(({ name }) => standing.columns.find((column) => column.name === name));
  const misfits = source.columns.filter(({ type }, i) => JSON.stringify(columns[i]?.type) !== JSON.stringify(type)).map(({ name }) => name);
  const unfilled = standing.columns.filter(({ name, nullable }) => !nullable && !source.columns.some((column) => column.name === name)).map(({ name }) => name);
  if (misfits.length + unfilled.length > 0) {
    throw new DsyncError('refused', `table ${standing.namespace} does not fit ${source.namespace}: ${[...misfits, ...unfilled].join(', ')}`, { namespace: source.namespace });
  }
  return { ...standing, columns: columns.map((column) => column!), key: source.key };
}
