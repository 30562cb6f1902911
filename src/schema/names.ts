import { createHash } from 'node:crypto';
import type { Mapping, NameRules, TableObjects } from '../contract.js';

/** `name`, or as much of it as fits with a hash of the whole: the same text always gets the same name. */
export function fitting(name: string, { longest, unit }: Pick<NameRules, 'longest' | 'unit'>): string {
  return measure(name, unit) <= longest ? name : marked(name, name, { longest, unit });
}

/** The name with a hash of `of` at its end, cut to fit. */
export function marked(name: string, of: string, { longest, unit }: Pick<NameRules, 'longest' | 'unit'>): string {
  const mark = `_${createHash('sha256').update(of).digest('hex').slice(0, 8)}`;
  let kept = [...name];
  while (measure(kept.join(''), unit) + mark.length > longest) kept = kept.slice(0, -1);
  return kept.join('') + mark;
}

/** Each name as it fits, and no two the same: of those that would be, all but the first get a hash of their place. */
export function distinct(names: readonly string[], rules: Pick<NameRules, 'longest' | 'unit' | 'ignoresCase'>): readonly string[] {
  const taken = new Set<string>();
  const fold = (name: string) => (rules.ignoresCase ? name.toLowerCase() : name);
  return names.map((name) => {
    let fit = fitting(name, rules);
    for (let nth = 2; taken.has(fold(fit)); nth++) fit = marked(name, `${name}#${nth}`, rules);
    taken.add(fold(fit));
    return fit;
  });
}

function measure(name: string, unit: NameRules['unit']): number {
  return unit === 'bytes' ? Buffer.byteLength(name) : [...name].length;
}

/** A name that had to change. */
export interface Renamed { readonly namespace: string; readonly from: string; readonly to: string }

/**
 * Gives every index and constraint of these tables a name that the destination can take, once in a run: too long ones are cut,
 * and where several would share a name (MySQL counts them per table, PostgreSQL per schema) each gets a hash of its own table.
 */
export function nameObjects(mappings: readonly Mapping[], rules: NameRules): { readonly mappings: readonly Mapping[]; readonly renamed: readonly Renamed[] } {
  const renamed: Renamed[] = [];
  const uses = counted(mappings, rules);
  const named = (mapping: Mapping, name: string, scope: 'schema' | 'table') => {
    const shared = scope === 'schema' && (uses.get(scoped(mapping, name, rules)) ?? 0) > 1;
    const to = shared ? marked(name, `${mapping.source.namespace}.${name}`, rules) : fitting(name, rules);
    if (to !== name) renamed.push({ namespace: mapping.source.namespace, from: name, to });
    return to;
  };
  const given = mappings.map((mapping) => {
    const { objects } = mapping;
    if (!objects || mapping.existed) return mapping;
    return { ...mapping, objects: renameAll(objects, (name, kind) => named(mapping, name, rules[kind])) };
  });
  return { mappings: given, renamed };
}

function renameAll(objects: TableObjects, rename: (name: string, kind: 'indexes' | 'constraints') => string): TableObjects {
  return {
    ...objects,
    indexes: objects.indexes.map((index) => ({ ...index, name: rename(index.name, 'indexes') })),
    foreignKeys: objects.foreignKeys.map((key) => ({ ...key, name: rename(key.name, 'constraints') })),
    checks: objects.checks.map((check) => ({ ...check, name: rename(check.name, 'constraints') })),
  };
}

/** How often a name is used in a schema: tables and indexes share the names where indexes are counted per schema. */
function counted(mappings: readonly Mapping[], rules: NameRules): ReadonlyMap<string, number> {
  const uses = new Map<string, number>();
  const add = (mapping: Mapping, name: string) => uses.set(scoped(mapping, name, rules), (uses.get(scoped(mapping, name, rules)) ?? 0) + 1);
  for (const mapping of mappings) {
    if (rules.indexes === 'schema') add(mapping, mapping.target.name);
    const { indexes = [], foreignKeys = [], checks = [] } = mapping.objects ?? {};
    if (rules.indexes === 'schema') for (const { name } of indexes) add(mapping, name);
    if (rules.constraints === 'schema') for (const { name } of [...foreignKeys, ...checks]) add(mapping, name);
  }
  return uses;
}

function scoped({ target }: Mapping, name: string, { ignoresCase }: NameRules): string {
  return JSON.stringify([target.schema, ignoresCase ? name.toLowerCase() : name]);
}
