import type { Destination, Selection, Shape, Source, Target } from '../contract.js';
import { DsyncError } from '../errors.js';
import { marked } from '../schema/names.js';
import { literally, meantAt, selects, unescaped } from '../source/selection.js';

/** `--namespace PATTERN` or `--namespace NAMESPACE:TARGET`, taken apart; both still have their backslashes. */
interface Rule { readonly pattern: string; readonly target?: string }

/** The selection that the flags mean. A pattern without a dot also means tables of the source's default schema. */
export function selectionOf(namespaces: readonly string[], exclude: readonly string[], source: Source, views = false): Selection {
  const qualified = (pattern: string) =>
    pattern.includes('.') || source.defaultSchema === undefined ? [pattern] : [pattern, `${source.defaultSchema}.${pattern}`];
  return { include: namespaces.map(ruleOf).flatMap((rule) => qualified(rule.pattern)), exclude: exclude.flatMap(qualified), ...(views && { views }) };
}

/**
 * Where each table goes: as a rule renames it, else to the same name; the source's default schema becomes the
 * destination's default. Fails with `usage` if two tables would share one target.
 */
export function targetsOf(shapes: readonly Shape[], namespaces: readonly string[], source: Source, destination: { readonly defaultSchema?: string }): ReadonlyMap<Shape, Target> {
  const rules = namespaces.map(ruleOf).filter((rule) => rule.target !== undefined);
  const targets = new Map(shapes.map((shape) => [shape, renamed(shape, rules, source) ?? sameName(shape, source, destination)]));
  refuseSharedTargets(targets, destination.defaultSchema);
  return targets;
}

/** The same, where the destination tells all of them apart: of names that differ in letter case only, all but the first get a hash if it does not. */
export function placesOf(shapes: readonly Shape[], namespaces: readonly string[], source: Source, destination: Pick<Destination, 'defaultSchema' | 'names'>): ReadonlyMap<Shape, Target> {
  const targets = targetsOf(shapes, namespaces, source, destination), { names, defaultSchema } = destination;
  if (!names || !(names.tablesIgnoreCase ?? names.ignoresCase)) return targets;
  const taken = new Set<string>();
  return new Map([...targets].map(([shape, target]) => {
    const place = JSON.stringify([target.schema ?? defaultSchema, target.name]).toLowerCase(), isTaken = taken.has(place);
    taken.add(place);
    return [shape, isTaken ? { ...target, name: marked(target.name, shape.namespace, names) } : target];
  }));
}

/** The filter of a namespace. Fails with `usage` where a filter names a table that is not selected. */
export function filtersOf(where: Readonly<Record<string, string>>, shapes: readonly Shape[]): (namespace: string) => string | undefined {
  const filters = new Map<string, string>();
  for (const [name, filter] of Object.entries(where)) {
    const named = shapes.filter((shape) => shape.namespace === name || shape.name === name);
    if (named.length === 0) throw new DsyncError('usage', `--where names '${name}', which is none of the selected tables`);
    for (const shape of named) filters.set(shape.namespace, filter);
  }
  return (namespace) => filters.get(namespace);
}

function ruleOf(text: string): Rule {
  const colon = meantAt(text, ':');
  return colon < 0 ? { pattern: text } : { pattern: text.slice(0, colon), target: text.slice(colon + 1) };
}

function renamed(shape: Shape, rules: readonly Rule[], source: Source): Target | undefined {
  for (const { pattern, target } of rules) {
    const named = selects({ include: [pattern], exclude: [] });
    if (named(shape.namespace) || (shape.schema === source.defaultSchema && named(shape.name))) return targetOf(target!, shape);
  }
  return undefined;
}

function targetOf(template: string, { name }: Shape): Target {
  const star = meantAt(template, '*'), text = star < 0 ? template : template.slice(0, star) + literally(name) + template.slice(star + 1);
  const dot = meantAt(text, '.');
  return dot < 0 ? { name: unescaped(text) } : { schema: unescaped(text.slice(0, dot)), name: unescaped(text.slice(dot + 1)) };
}

/** The rule that takes this very table there. */
export function ruleFor(from: Pick<Shape, 'namespace'>, to: Target): string {
  return `${literally(from.namespace)}:${[to.schema, to.name].flatMap((part) => (part === undefined ? [] : [literally(part)])).join('.')}`;
}

function sameName(shape: Shape, source: Source, destination: { readonly defaultSchema?: string }): Target {
  const inDefault = shape.schema === undefined || (shape.schema === source.defaultSchema && destination.defaultSchema !== undefined);
  return inDefault ? { name: shape.name } : { schema: shape.schema, name: shape.name };
}

function refuseSharedTargets(targets: ReadonlyMap<Shape, Target>, defaultSchema: string | undefined): void {
  const taken = new Map<string, string>();
  for (const [shape, target] of targets) {
    const name = JSON.stringify([target.schema ?? defaultSchema, target.name]);
    const other = taken.get(name);
    if (other) throw new DsyncError('usage', `${other} and ${shape.namespace} would both go to ${target.name}`, { remedy: 'rename one: --namespace NAMESPACE:TARGET' });
    taken.set(name, shape.namespace);
  }
}
