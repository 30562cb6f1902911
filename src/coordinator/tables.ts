import type { Destination, Mapping, Shape, Source, TableObjects, Target } from '../contract.js';
import { DsyncError } from '../errors.js';
import { agree, type Agreement } from '../values/codec.js';
import type { Agreed, RunConfig } from './config.js';
import { settled } from './rules.js';

/** The destination's table for each source table; every table that does not fit is named in one `refused` error. */
export async function adaptAll(targets: ReadonlyMap<Shape, Target>, destination: Destination, signal: AbortSignal, objects?: ReadonlyMap<string, TableObjects>): Promise<readonly Mapping[]> {
  const mappings: Mapping[] = [], misfits: DsyncError[] = [];
  for (const [shape, target] of targets) {
    try {
      mappings.push(settled(await destination.adapt(shape, target, signal, objects?.get(shape.namespace))));
    } catch (error) {
      if (!(error instanceof DsyncError && error.code === 'refused')) throw error;
      misfits.push(error);
    }
  }
  if (misfits.length > 0) throw joined(misfits);
  return mappings;
}

/** The mapping beside its table as that stands now: the user may have widened a column. What does not fit at all is left as it was. */
export async function refitted(mapping: Mapping, destination: Destination, signal: AbortSignal): Promise<Mapping> {
  const { schema, name, columns } = mapping.target;
  const found = await destination.adapt(mapping.source, { ...(schema !== undefined && { schema }), name }, signal).catch((error: unknown) => {
    if (error instanceof DsyncError && error.code === 'refused') return undefined;
    throw error;
  });
  const same = found?.existed && found.target.columns.length === columns.length && found.target.columns.every((column, i) => column.name === columns[i].name);
  return same ? { ...mapping, target: { ...mapping.target, columns: found.target.columns } } : mapping;
}

/** The formats of a table. Fails with `refused` where there is no way between the two ends. */
export function agreementOf(mapping: Mapping, source: Source, destination: Destination): Agreement {
  const offered = source.formats(mapping), taken = destination.formats(mapping);
  const agreement = agree(offered, taken);
  if (agreement) return agreement;
  throw new DsyncError('refused', `${mapping.source.namespace}: ${source.engine} gives ${offered.join(', ')}, ${destination.engine} takes ${taken.join(', ')}, and nothing converts between them`);
}

export function agreedOf(mapping: Mapping, agreement: Agreement): Agreed {
  return {
    namespace: mapping.source.namespace, target: mapping.target.namespace,
    format: agreement.read, sent: agreement.write, staged: mapping.staged, losses: lossesOf(mapping).map((loss) => loss.text),
  };
}

/** Stops a run that would change values: fails with `refused` unless the user accepted each such column by name. */
export function refuseLosses(mappings: readonly Mapping[], accepted: readonly string[]): void {
  const losses = mappings.flatMap(lossesOf).filter((loss) => !loss.names.some((name) => accepted.includes(name)));
  if (losses.length === 0) return;
  throw new DsyncError('refused', `values would be changed:\n${losses.map((loss) => `  ${loss.text}`).join('\n')}`, {
    remedy: `leave the table out (--exclude), or accept each column: ${losses.map((loss) => `--accept-loss ${loss.names[0]}`).join(' ')}`,
  });
}

/** Fails with `refused` where a target holds rows and the user has not said what becomes of them. */
export async function refuseRows(mappings: readonly Mapping[], config: RunConfig, destination: Destination, signal: AbortSignal): Promise<void> {
  if (config.existing !== 'refuse') return;
  const full: string[] = [];
  for (const mapping of mappings) {
    if (mapping.existed && (await destination.holdsRows(mapping.target, signal))) full.push(mapping.target.namespace);
  }
  if (full.length === 0) return;
  throw new DsyncError('refused', `the destination already holds rows in ${full.join(', ')}`, {
    remedy: 'say what becomes of them: --existing append (add to them), merge (overwrite by key) or replace (empty the tables first); or copy elsewhere: --namespace NAMESPACE:TARGET',
  });
}

/** `merge` overwrites by key, so it needs one. */
export function refuseKeylessMerge(mappings: readonly Mapping[], config: RunConfig): void {
  const keyless = mappings.filter((mapping) => mapping.staged && mapping.existed);
  if (config.existing !== 'merge' || keyless.length === 0) return;
  throw new DsyncError('refused', `--existing merge overwrites by key, and there is no key in ${keyless.map((mapping) => mapping.source.namespace).join(', ')}`, {
    remedy: 'use --existing append or replace for these tables, or leave them out: --exclude',
  });
}

function lossesOf(mapping: Mapping): { readonly names: readonly string[]; readonly text: string }[] {
  return mapping.fidelity.flatMap(({ level, note }, i) => {
    if (level !== 'lossy') return [];
    const { name, native } = mapping.source.columns[i];
    const names = [`${mapping.source.name}.${name}`, `${mapping.source.namespace}.${name}`];
    return [{ names, text: `${mapping.source.namespace}.${name} (${native} → ${mapping.target.columns[i].native}): ${note ?? 'lossy'}` }];
  });
}

function joined(errors: readonly DsyncError[]): DsyncError {
  if (errors.length === 1) return errors[0];
  const remedies = [...new Set(errors.flatMap((error) => error.remedy ?? []))];
  return new DsyncError('refused', errors.map((error) => error.message).join('\n'), { remedy: remedies.join('\n') || undefined });
}
