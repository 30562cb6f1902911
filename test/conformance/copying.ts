import type { Mapping, OpenOptions, Rejected, Row, Shape } from '../../src/contract.js';
import { connectorFor } from '../../src/connectors/index.js';
import { agree, codec } from '../../src/values/codec.js';
import { collect } from './source-promises.js';

const signal = new AbortController().signal;
const options: OpenOptions = { signal, connections: 2, batchBytes: 100_000 };
const all = { include: [], exclude: [] };

export interface Copied { readonly mappings: readonly Mapping[]; readonly rejected: readonly Rejected[] }

/** The least that a copy is, without the coordinator: every table, from its plan to its finish. */
export async function copyPlainly(from: string, to: string): Promise<Copied> {
  await using source = await (await connectorFor(from)).openSource!(from, options);
  await using destination = await (await connectorFor(to)).openDestination!(to, options);
  const shapes = await source.shapes(all, signal), mappings: Mapping[] = [], rejected: Rejected[] = [];
  const snapshot = await source.snapshot(shapes, signal);
  await destination.begin('copy', signal);
  for (const shape of shapes) {
    const mapping = await destination.adapt(shape, { name: shape.name }, signal), agreement = agree(source.formats(mapping), destination.formats(mapping))!;
    const tasks = await snapshot.plan(shape, { taskBytes: 50_000 }, signal), convert = codec(agreement, mapping);
    await destination.prepare('copy', mapping, { empty: mapping.staged, keyed: false, tasks }, signal);
    for (const task of tasks) {
      for await (const batch of snapshot.read({ task, shape, format: agreement.read, sequence: 0 }, signal)) {
        const outcome = await destination.write('copy', { ...batch, rows: convert(batch.rows) }, mapping, { overwrite: false, redo: false }, signal);
        rejected.push(...batch.rejected ?? [], ...outcome.rejected);
      }
      await destination.taskDone('copy', { kind: 'task-done', task: task.id, namespace: task.namespace, sequence: 0, rows: 0 }, signal);
    }
    await destination.finish('copy', mapping, { keepRows: false }, signal);
    mappings.push(mapping);
  }
  await destination.forget('copy', mappings, signal);
  await snapshot[Symbol.asyncDispose]();
  return { mappings, rejected };
}

export interface Seen { readonly shape: Shape; readonly read: readonly Row[]; readonly scanned: readonly Row[] }

/** The tables of a source, as values: as the copy reads them, and as the verifier does. */
export async function lookAt(url: string): Promise<ReadonlyMap<string, Seen>> {
  await using source = await (await connectorFor(url)).openSource!(url, options);
  const shapes = await source.shapes(all, signal), snapshot = await source.snapshot(shapes, signal), seen = new Map<string, Seen>();
  for (const shape of shapes) {
    const tasks = await snapshot.plan(shape, { taskBytes: 50_000 }, signal);
    const batches = await Promise.all(tasks.map((task) => collect(snapshot.read({ task, shape, format: 'values', sequence: 0 }, signal))));
    const read = batches.flat().flatMap(({ rows }) => (rows.format === 'values' ? rows.rows : []));
    seen.set(shape.name, { shape, read, scanned: (await collect(snapshot.scan({ shape, part: {} }, signal))).flat() });
  }
  await snapshot[Symbol.asyncDispose]();
  return seen;
}
