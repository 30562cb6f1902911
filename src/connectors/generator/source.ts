import { setImmediate } from 'node:timers/promises';
import type { Batch, OpenOptions, Part, ReadJob, Row, Shape, Snapshot, Source, Task } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { bytesOfRow, gather } from '../../source/batches.js';
import { partsAt } from '../../source/parts.js';
import { selects } from '../../source/selection.js';
import type { Settings } from './settings.js';
import { table, type Table } from './table.js';

const scanRows = 1000;

export function source(settings: Settings, options: OpenOptions): Source {
  const identity = `generator:?${Object.entries(settings).map(([name, value]) => `${name}=${value}`).join('&')}`;
  const tables = Array.from({ length: settings.namespaces }, (_, index) => table(settings, index));
  return {
    engine: 'generator',
    version: 'generator',
    identity: async () => identity,
    check: async () => [],
    shapes: async (selection) => tables.map(({ shape }) => shape).filter(({ namespace }) => selects(selection)(namespace)).sort(byNamespace),
    formats: () => ['delimited', 'values'],
    snapshot: async () => snapshot(settings, identity, options),
    async [Symbol.asyncDispose]() {},
  };
}

function snapshot(settings: Settings, fingerprint: string, options: OpenOptions): Snapshot {
  const tableFor = (shape: Shape, where?: string): Table => {
    if (where !== undefined) throw new DsyncError('usage', 'generator: has no filter language', { namespace: shape.namespace });
    return table(settings, Number(/^fake_(\d+)$/.exec(shape.namespace)?.[1]) - 1);
  };
  return {
    moment: { at: new Date().toISOString(), exact: true, how: 'computed rows', fingerprint },
    plan: async (shape, { taskBytes, where }) => planned(tableFor(shape, where), settings, taskBytes),
    async *read(job, signal) {
      const made = tableFor(job.shape, job.where), [from, to] = numbersOf(job, settings);
      const batches = job.format === 'delimited' ? delimited(made, job, from, to, options) : values(made, job, from, to, options);
      for (const batch of batches) {
        // Making rows is pure computation: others must get their turn.
        await setImmediate();
        signal.throwIfAborted();
        yield batch;
      }
    },
    parts: async (shape, rows) => partsOf(tableFor(shape), settings, rows),
    async *scan({ shape, part, where }, signal) {
      const made = tableFor(shape, where);
      const [from, to] = made.numbersBetween(numberIn(part.from), numberIn(part.to));
      for (let start = from; start < to; start += scanRows) {
        await setImmediate();
        signal.throwIfAborted();
        yield rowsBetween(made, start, Math.min(to, start + scanRows));
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** A task's range is `FROM..TO` in row numbers; a cursor is the number of the next row. */
function planned({ shape: { namespace } }: Table, { rows, width, key }: Settings, taskBytes: number): Task[] {
  const size = key === 'none' ? Infinity : Math.max(1, Math.ceil(taskBytes / width));
  const starts = [0];
  for (let start = size; start < rows; start += size) starts.push(start);
  return starts.map((start, i) => ({
    id: `${namespace}#${i}`, namespace, estimatedRows: (starts[i + 1] ?? rows) - start,
    ...(starts.length > 1 && { range: `${start}..${starts[i + 1] ?? ''}` }),
  }));
}

function numbersOf({ task, after }: ReadJob, { rows }: Settings): readonly [number, number] {
  const [from, to] = (task.range ?? '0..').split('..');
  return [after === undefined ? Number(from) : Number(after), to === '' ? rows : Number(to)];
}

function* delimited(made: Table, job: ReadJob, from: number, to: number, { batchBytes, batchRows = Infinity }: OpenOptions): Iterable<Batch> {
  let text = '', size = 0, count = 0, { sequence } = job;
  const close = (next: number): Batch => {
    const bytes = Buffer.from(text);
    const batch: Batch = {
      task: job.task.id, namespace: job.task.namespace, sequence: sequence++,
      rows: { format: 'delimited', bytes }, count, bytes: bytes.length, cursor: String(next),
    };
    text = '';
    size = count = 0;
    return batch;
  };
  for (let number = from; number < to; number++) {
    const line = made.line(number), bytes = Buffer.byteLength(line);
    if (count > 0 && (count >= batchRows || size + bytes > batchBytes)) yield close(number);
    text += line;
    size += bytes;
    count++;
  }
  if (count > 0) yield close(to);
}

function* values(made: Table, job: ReadJob, from: number, to: number, options: OpenOptions): Iterable<Batch> {
  const open = gather(job, options);
  for (let number = from; number < to; number++) {
    const row = made.row(number), bytes = bytesOfRow(row);
    if (open.full(bytes)) yield open.take(String(number))!;
    open.add(row, bytes);
  }
  const rest = open.take(String(to));
  if (rest) yield rest;
}

function partsOf(made: Table, { rows }: Settings, size: number): Part[] {
  const { key, columns } = made.shape;
  if (key.length === 0 || columns[key[0]].type.kind !== 'int') return [{}];
  const edges: string[] = [];
  for (let number = size; number < rows; number += size) edges.push(String(made.keyAt(number)));
  return partsAt(edges);
}

function rowsBetween(made: Table, from: number, to: number): Row[] {
  return Array.from({ length: to - from }, (_, i) => made.row(from + i));
}

function numberIn(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits);
}

function byNamespace(a: Shape, b: Shape): number {
  return a.namespace < b.namespace ? -1 : 1;
}
