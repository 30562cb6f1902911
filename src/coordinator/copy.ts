import pLimit from 'p-limit';
import { Channel } from '../channel/channel.js';
import { Ledger } from '../channel/ledger.js';
import type { Barrier, Batch, Destination, Emit, Mapping, ReadJob, Rejected, Rows, Snapshot } from '../contract.js';
import { DsyncError, located } from '../errors.js';
import { bytesOfRow } from '../source/batches.js';
import { codec, type Agreement, type Codec } from '../values/codec.js';
import { misfitsBetween } from '../values/misfits.js';

/** One task that is to be read now. */
export interface CopyJob { readonly read: ReadJob; readonly table: CopyTable }

/** What a table's batches are written with. */
export interface CopyTable { readonly mapping: Mapping; readonly agreement: Agreement; readonly overwrite: boolean }

export interface CopyPorts {
  readonly run: string;
  readonly destination: Destination;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Called before a task's first batch can reach the destination. */
  readonly begun: (task: string) => void;
  readonly rejected: (mapping: Mapping, rows: readonly Rejected[]) => void;
}

type Message =
  | { readonly kind: 'batch'; readonly batch: Batch; readonly table: CopyTable }
  | Barrier;

/**
 * Reads the jobs in parallel into a channel of `memoryBytes` and writes them with as many writers. Resolves when every
 * task is done in the destination. If the source is lost, what it gave before is still written, then `source-lost` is thrown.
 */
export async function copy(jobs: readonly CopyJob[], snapshot: Snapshot, limits: { readonly memoryBytes: number; readonly concurrency: number }, ports: CopyPorts): Promise<void> {
  const channel = new Channel<Message>(limits.memoryBytes);
  const stop = new AbortController();
  const signal = AbortSignal.any([ports.signal, stop.signal]);
  const fail = (error: unknown) => { channel.fail(error); stop.abort(error); };
  const onAbort = () => channel.fail(ports.signal.reason);
  ports.signal.addEventListener('abort', onAbort, { once: true });
  try {
    const codecs = codecsOf(jobs.map((job) => job.table));
    const ledger = new Ledger();
    for (const job of jobs) ledger.startAt(job.read.task.id, job.read.sequence);
    const writers = Array.from({ length: limits.concurrency }, () => write(channel, ledger, codecs, { ...ports, signal }).catch((error: unknown) => { fail(error); throw error; }));
    // Settled from the start: a writer may fail while the readers are still on their way out, and nobody would hear of it.
    const written = Promise.allSettled(writers);
    const reading = readAll(jobs, snapshot, channel, codecs, limits.concurrency, { ...ports, signal });
    const lost = await reading.then(() => undefined, (error: unknown) => {
      if (!(error instanceof DsyncError && error.code === 'source-lost')) fail(error);
      return { error };
    });
    channel.close();
    await throwFirst(await written, ports.signal);
    if (lost) throw lost.error;
  } finally {
    ports.signal.removeEventListener('abort', onAbort);
  }
}

async function readAll(jobs: readonly CopyJob[], snapshot: Snapshot, channel: Channel<Message>, codecs: Codecs, concurrency: number, ports: CopyPorts): Promise<void> {
  const stop = new AbortController();
  const limit = pLimit(concurrency);
  const signal = AbortSignal.any([ports.signal, stop.signal]);
  const reading = jobs.map((job) => limit(() => signal.aborted ? Promise.reject(signal.reason) : read(job, snapshot, channel, codecs.get(job.table)!.before, { ...ports, signal })).catch((error: unknown) => {
    const failure = signal.aborted ? error : located(error, { namespace: job.read.task.namespace, task: job.read.task.id });
    stop.abort(failure);
    throw failure;
  }));
  await Promise.allSettled(reading);
  if (stop.signal.aborted) throw stop.signal.reason;
}

async function read(job: CopyJob, snapshot: Snapshot, channel: Channel<Message>, convert: Convert, ports: CopyPorts): Promise<void> {
  const { task } = job.read;
  let sequence = job.read.sequence, count = 0;
  for await (const batch of snapshot.read(job.read, ports.signal)) {
    if (sequence === job.read.sequence) ports.begun(task.id);
    sequence = batch.sequence + 1;
    const converted = convert(batch);
    count += converted.count;
    await channel.send({ kind: 'batch', batch: converted, table: job.table }, converted.bytes);
  }
  await channel.send({ kind: 'task-done', task: task.id, namespace: task.namespace, sequence, rows: count }, 0);
}

async function write(channel: Channel<Message>, ledger: Ledger, codecs: Codecs, ports: CopyPorts): Promise<void> {
  for (let message = await channel.receive(); message; message = await channel.receive()) {
    const { task, namespace } = message.kind === 'batch' ? message.batch : message;
    try {
      const complete = message.kind === 'batch' ? await writeBatch(message, channel, ledger, codecs, ports) : ledger.barrier(message);
      if (complete) await finishTask(complete, ports);
    } catch (error) {
      throw ports.signal.aborted ? ports.signal.reason : located(error, { namespace, task });
    }
  }
}

async function writeBatch(message: Extract<Message, { kind: 'batch' }>, channel: Channel<Message>, ledger: Ledger, codecs: Codecs, ports: CopyPorts): Promise<Barrier | undefined> {
  const { batch, table } = message;
  const start = performance.now();
  const result = await ports.destination.write(ports.run, codecs.get(table)!.after(batch), table.mapping, { overwrite: table.overwrite, redo: false }, ports.signal);
  channel.release(batch.bytes);
  const rejected = [...batch.rejected ?? [], ...result.rejected];
  if (rejected.length > 0) ports.rejected(table.mapping, rejected);
  const seconds = (performance.now() - start) / 1000;
  ports.emit({ kind: 'written', namespace: batch.namespace, task: batch.task, rows: result.written, bytes: batch.bytes, seconds });
  return ledger.landed(batch.task, batch.sequence);
}

async function finishTask(barrier: Barrier, ports: CopyPorts): Promise<void> {
  await ports.destination.taskDone(ports.run, barrier, ports.signal);
  ports.emit({ kind: 'task-done', namespace: barrier.namespace, task: barrier.task, rows: barrier.rows });
}

type Convert = (batch: Batch) => Batch;

/** A table's conversion, on the side of the channel where rows are JavaScript values: they wait in it as bytes, which take less memory. */
type Codecs = ReadonlyMap<CopyTable, { readonly before: Convert; readonly after: Convert }>;

function codecsOf(tables: readonly CopyTable[]): Codecs {
  return new Map([...new Set(tables)].map((table) => {
    const convert = codec(table.agreement, table.mapping);
    if (table.agreement.read === 'values') return [table, { before: fromValues(table.mapping, convert), after: (batch) => batch }];
    return [table, { before: (batch) => batch, after: (batch) => ({ ...batch, rows: convert(batch.rows) }) }];
  }));
}

function fromValues(mapping: Mapping, convert: Codec): Convert {
  const divide = misfitsBetween(mapping);
  return (batch) => {
    const { fit, rejected } = divide((batch.rows as Extract<Rows, { format: 'values' }>).rows);
    const rows = convert({ format: 'values', rows: fit });
    return { ...batch, rows, count: fit.length, bytes: sizeOf(rows), ...(rejected.length > 0 && { rejected }) };
  };
}

function sizeOf(rows: Rows): number {
  switch (rows.format) {
    case 'values': return rows.rows.reduce((sum, row) => sum + bytesOfRow(row), 0);
    case 'bson': return rows.documents.reduce((sum, document) => sum + document.length, 0);
    default: return rows.bytes.length;
  }
}

async function throwFirst(results: readonly PromiseSettledResult<void>[], signal: AbortSignal): Promise<void> {
  const failed = results.filter((result) => result.status === 'rejected');
  if (failed.length === 0) return;
  throw signal.aborted ? signal.reason : (failed.find((result) => result.reason instanceof DsyncError) ?? failed[0]).reason;
}
