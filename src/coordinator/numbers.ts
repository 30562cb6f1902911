import type { Sequence } from '../contract.js';
import type { Run } from './run.js';

/** What gives values in the source, as it stands now. A schema that is the source's default one goes to the destination's, as its tables do. */
export async function sourceSequences({ source, mappings }: Pick<Run, 'source' | 'mappings'>, signal: AbortSignal): Promise<readonly Sequence[]> {
  const all = await source.sequences?.(mappings.map((mapping) => mapping.source), signal) ?? [];
  return all.map(({ schema, ...one }) => (schema === undefined || schema === source.defaultSchema ? one : { ...one, schema }));
}
