import type { Batch, Cursor, OpenOptions, Part, ReadJob, Row, ScanJob, Shape, Snapshot, Source, Task } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { bytesOfRow, gather } from '../../source/batches.js';
import { parseKey, spellKey } from '../../source/keys.js';
import { partsAt } from '../../source/parts.js';
import { isOwn, selects } from '../../source/selection.js';
import { compareKeys, keyOf, projection, type Store, type Table } from './store.js';

export function source(store: Store, options: OpenOptions): Source {
  return {
    engine: 'memory',
    version: 'memory',
    identity: async () => `memory:${store.name}`,
    check: async () => [],
    async shapes(selection) {
      const selected = selects(selection);
      const shapes = [...store.tables.values()].map(({ shape, rows }) => ({ ...shape, estimatedRows: rows.size }));
      return shapes.filter(({ name, namespace }) => !isOwn(name) && selected(namespace)).sort(byNamespace);
    },
    formats: () => ['values'],
    snapshot: async () => snapshot(store, options),
    async [Symbol.asyncDispose]() {},
  };
}

/** Rows never change in place, so a copy of the lists shows this moment for ever. */
function snapshot(store: Store, options: OpenOptions): Snapshot {
  const frozen = new Map([...store.tables].map(([namespace, table]) => [namespace, { shape: table.shape, rows: inKeyOrder(table) }]));
  const { generation } = store;
  const stillThere = (namespace: string) => {
    if (store.generation !== generation) throw new DsyncError('source-lost', `the snapshot of memory:${store.name} is gone`, { namespace });
  };
  const rowsOf = (shape: Shape, where?: string): readonly Row[] => {
    const { namespace } = shape, table = frozen.get(namespace);
    if (where !== undefined) throw new DsyncError('usage', 'memory: has no filter language', { namespace });
    stillThere(namespace);
    if (!table) throw new DsyncError('data', `table ${namespace} is not in memory:${store.name}`, { namespace });
    return table.rows.map(projection(table.shape, shape));
  };

  return {
    moment: { at: new Date().toISOString(), exact: true, how: 'copy of the row lists' },
    async plan(shape, { taskBytes, where }) {
      return planned(shape, rowsOf(shape, where), taskBytes);
    },
    async *read(job, signal) {
      await store.hooks.beforeRead?.(job);
      for (const batch of batches(job, rowsOf(job.shape, job.where), options)) {
        signal.throwIfAborted();
        stillThere(job.task.namespace);
        yield batch;
      }
    },
    async parts(shape, rows) {
      return partsOf(shape, rowsOf(shape), rows);
    },
    async *scan(job, signal) {
      signal.throwIfAborted();
      yield rowsOf(job.shape, job.where).filter((row) => inPart(job, row));
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** A task's range is `[from, to)` in key texts, as JSON. */
interface Range { readonly from?: string; readonly to?: string }

function planned(shape: Shape, rows: readonly Row[], taskBytes: number): Task[] {
  const starts = [0];
  let bytes = 0;
  for (let i = 0; shape.key.length > 0 && i < rows.length; i++) {
    if (bytes >= taskBytes) {
      starts.push(i);
      bytes = 0;
    }
    bytes += bytesOfRow(rows[i]);
  }
  return starts.map((start, i) => {
    const end = starts[i + 1];
    const range: Range = { from: i === 0 ? undefined : keyAt(shape, rows, start), to: end === undefined ? undefined : keyAt(shape, rows, end) };
    return {
      id: `${shape.namespace}#${i}`, namespace: shape.namespace, estimatedRows: (end ?? rows.length) - start,
      ...(starts.length > 1 && { range: JSON.stringify(range) }),
    };
  });
}

function* batches(job: ReadJob, rows: readonly Row[], options: OpenOptions): Iterable<Batch> {
  const { shape } = job, keyed = shape.key.length > 0;
  const wanted = keyed ? inRange(shape, rows, job.task.range, job.after) : rows;
  const open = gather(job, options);
  let last: Row | undefined;
  const close = () => open.take(keyed && last ? spellKey(keyOf(shape, last)) : undefined);
  for (const row of wanted) {
    const bytes = bytesOfRow(row);
    if (open.full(bytes)) yield close()!;
    open.add(row, bytes);
    last = row;
  }
  const rest = close();
  if (rest) yield rest;
}

function inRange(shape: Shape, rows: readonly Row[], range: string | undefined, after: Cursor | undefined): Row[] {
  const { from, to }: Range = range === undefined ? {} : JSON.parse(range);
  const low = from === undefined ? undefined : parseKey(from), high = to === undefined ? undefined : parseKey(to);
  const passed = after === undefined ? undefined : parseKey(after);
  return rows.filter((row) => {
    const key = keyOf(shape, row);
    return (!low || compareKeys(key, low) >= 0) && (!high || compareKeys(key, high) < 0) && (!passed || compareKeys(key, passed) > 0);
  });
}

function partsOf(shape: Shape, rows: readonly Row[], size: number): Part[] {
  if (!hasIntegerKey(shape)) return [{}];
  const edges: string[] = [];
  for (let i = size; i < rows.length; i += size) edges.push(String(rows[i][shape.key[0]]));
  return partsAt(edges);
}

function inPart({ shape, part }: ScanJob, row: Row): boolean {
  if (part.from === undefined && part.to === undefined) return true;
  const value = BigInt(row[shape.key[0]] as bigint | number);
  return (part.from === undefined || value >= BigInt(part.from)) && (part.to === undefined || value < BigInt(part.to));
}

function hasIntegerKey(shape: Shape): boolean {
  return shape.key.length > 0 && shape.columns[shape.key[0]].type.kind === 'int';
}

function inKeyOrder({ shape, rows }: Table): readonly Row[] {
  const sorted = [...rows.values()];
  return shape.key.length > 0 ? sorted.sort((a, b) => compareKeys(keyOf(shape, a), keyOf(shape, b))) : sorted;
}

function keyAt(shape: Shape, rows: readonly Row[], index: number): string {
  return spellKey(keyOf(shape, rows[index]));
}

function byNamespace(a: Shape, b: Shape): number {
  return a.namespace < b.namespace ? -1 : 1;
}
