import { connectorFor } from '../connectors/index.js';
import type { ChangeLog, Destination, OpenOptions, Shape, Snapshot, Source } from '../contract.js';
import { withRateLimit } from '../destination/limit.js';
import { retrying, withRetry } from '../destination/retry.js';
import { DsyncError } from '../errors.js';
import { whole } from '../source/ruled.js';
import { literally } from '../source/selection.js';
import type { Onlooker, RunConfig } from './config.js';
import { targetsOf } from './route.js';

const megabyte = 1 << 20;

/** Batches of a few megabytes: large enough that a commit costs nothing, small enough for many to be on their way. */
export function batchBytesOf(config: RunConfig): number {
  return config.batchBytes ?? Math.min(2 * megabyte, Math.max(64 << 10, Math.floor(config.memoryBytes / (4 * config.concurrency))));
}

export function openOptions(config: RunConfig, signal: AbortSignal): OpenOptions {
  const { slot, publication, failoverSlot: failover } = config;
  return { signal, connections: config.concurrency, batchBytes: batchBytesOf(config), batchRows: config.batchRows, keeping: { slot, publication, failover } };
}

export async function openSource(url: string, options: OpenOptions): Promise<Source> {
  const connector = await connectorFor(url);
  if (!connector.openSource) throw new DsyncError('usage', `${connector.name} can't be a source`);
  return connector.openSource(url, options);
}

/** What a run reads: its source, with collections as tables, or tables of documents as collections, where the other end is of the other kind. */
export async function openSourceOf(config: RunConfig, options: OpenOptions, known: readonly Shape[] = []): Promise<Source> {
  const [from, to] = await Promise.all([config.source, config.destination].map(async (url) => (url === '' ? undefined : (await connectorFor(url)).name)));
  if (config.document === 'columns') refuseColumns(from, to);
  const source = await openSource(config.source, options);
  if (from === 'mongodb' && config.document === 'columns') {
    const [{ inColumns }, { tableIn }] = await Promise.all([import('../source/columns.js'), import('../source/look.js')]);
    return inColumns(source, { table: tableIn(to, !config.live), sample: config.documentSample, known: known.map(whole), options, masked: (shape) => maskedIn(config, shape), standing: (shapes, signal) => standingTables(config, source, shapes, options, signal) });
  }
  if (from !== 'mongodb' && to === 'mongodb') return (await import('../source/documents.js')).asDocuments(source);
  return source;
}

/** Left out, too: a table that stands without the column would have its values in the rest. */
function maskedIn({ mask = {}, columns = {} }: RunConfig, { namespace, name }: Shape): readonly string[] {
  const rules = Object.keys(mask), left = (columns[namespace] ?? columns[name] ?? []).flatMap((field) => (field.startsWith('-') ? [field.slice(1)] : []));
  return [...left, ...[name, namespace].flatMap((table) => rules.flatMap((rule) => (rule.startsWith(`${table}.`) ? [rule.slice(table.length + 1)] : [])))];
}

/** The tables that stand where these collections go. None where the destination can't be read: opening it will tell. */
async function standingTables(config: RunConfig, source: Source, shapes: readonly Shape[], options: OpenOptions, signal: AbortSignal): Promise<ReadonlyMap<string, Shape>> {
  const { name: connector, openSource: open } = await connectorFor(config.destination);
  const reader = await open?.(config.destination, options).catch(() => undefined);
  if (!reader) return new Map();
  try {
    // SQLite's tables are named without their schema.
    const { defaultSchema } = reader, targets = targetsOf(shapes, config.namespaces, source, { defaultSchema: connector === 'sqlite' ? 'main' : defaultSchema });
    const places = [...targets].map(([shape, { schema = defaultSchema, name }]) => ({ shape, namespace: schema === undefined ? name : `${schema}.${name}` }));
    const there = await reader.shapes({ include: places.map(({ namespace }) => literally(namespace)), exclude: [] }, signal);
    return new Map(places.flatMap(({ shape, namespace }) => there.filter((table) => table.namespace === namespace).map((table) => [shape.namespace, table] as const)));
  } finally {
    await reader[Symbol.asyncDispose]();
  }
}

function refuseColumns(from: string | undefined, to: string | undefined): void {
  if (to === undefined || (from === 'mongodb') !== (to === 'mongodb')) return;
  throw new DsyncError('usage', from === 'mongodb' ? '--document columns makes tables of documents, and the destination keeps documents' : '--document is about documents, and neither end is MongoDB', { remedy: 'leave out --document' });
}

/** The destination, its calls retried and no faster than the rate limit. */
export async function openDestination(config: RunConfig, ports: Onlooker): Promise<Destination> {
  const connector = await connectorFor(config.destination);
  if (!connector.openDestination) throw new DsyncError('usage', `${connector.name} can't be a destination`);
  const bare = await connector.openDestination(config.destination, openOptions(config, ports.signal));
  const retried = withRetry(bare, ports.emit);
  return config.rateLimit ? withRateLimit(retried, config.rateLimit) : retried;
}

/** Can what was written be read again? Not from `null:`. */
export async function isReadable(url: string): Promise<boolean> {
  return (await connectorFor(url)).openSource !== undefined;
}

/** A lost source, opened again: waits for its server to come back. */
export function reopenSource(config: RunConfig, ports: Onlooker, known: readonly Shape[]): Promise<Source> {
  const open = () => openSourceOf(config, openOptions(config, ports.signal), known).catch((error: unknown) => {
    if (error instanceof DsyncError && error.code === 'unreachable') throw new DsyncError('source-lost', error.message, { cause: error.cause, remedy: error.remedy });
    throw error;
  });
  return retrying(open, 'source', ports.emit, ports.signal);
}

/** A fresh look at the destination, for comparing; it closes its own connections. Fails with `connection-lost` where it can't be reached now. */
export async function lookAtDestination(config: RunConfig, ports: Onlooker, shapes: Parameters<Source['snapshot']>[0]): Promise<Snapshot> {
  try {
    return await readerOf(config, ports, shapes);
  } catch (error) {
    if (!(error instanceof DsyncError && (error.code === 'unreachable' || error.code === 'source-lost'))) throw error;
    throw new DsyncError('connection-lost', error.message, { cause: error.cause, remedy: error.remedy });
  }
}

async function readerOf(config: RunConfig, ports: Onlooker, shapes: Parameters<Source['snapshot']>[0]): Promise<Snapshot> {
  const reader = await openSource(config.destination, openOptions(config, ports.signal));
  try {
    const snapshot = await reader.snapshot(shapes, ports.signal);
    return {
      moment: snapshot.moment,
      plan: (shape, options, signal) => snapshot.plan(shape, options, signal),
      read: (job, signal) => snapshot.read(job, signal),
      parts: (shape, rows, signal) => snapshot.parts(shape, rows, signal),
      scan: (job, signal) => snapshot.scan(job, signal),
      ...(snapshot.digests && { digests: snapshot.digests }),
      async [Symbol.asyncDispose]() {
        await snapshot[Symbol.asyncDispose]();
        await reader[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await reader[Symbol.asyncDispose]();
    throw error;
  }
}

export function logOf(source: Source): ChangeLog {
  if (source.log) return source.log;
  throw new DsyncError('usage', `${source.engine} keeps no log of its changes that dsync can follow`, { remedy: 'leave out --live: the copy is as of one moment' });
}
