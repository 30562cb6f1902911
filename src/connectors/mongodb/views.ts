import type { Mapping, PlannedObject, Target, ViewObject } from '../../contract.js';
import { notMade } from '../../schema/portable.js';
import { exact, Fields, parseExtendedJson } from './json.js';

/** A view with the names that its collections have in the destination; not made where one of them goes to another database. */
export function planView(view: ViewObject, { schema = view.schema, name }: Target, mappings: readonly Mapping[]): PlannedObject {
  const refused = (note: string) => notMade('view', view.namespace, view.native, note);
  if (view.engine !== 'mongodb') return refused('a view goes to its own engine only');
  const elsewhere = new Set<string>();
  const named = (collection: string) => {
    const target = mappings.find(({ source }) => source.schema === view.schema && source.name === collection)?.target;
    if (target && target.schema !== schema) elsewhere.add(target.namespace);
    return target?.name ?? collection;
  };
  const definition = parseExtendedJson(view.definition) as Fields;
  const fields = definition.list.map(([field, value]): readonly [string, unknown] => {
    switch (field) {
      case 'create': return [field, name];
      case 'viewOn': return [field, named(String(value))];
      case 'pipeline': return [field, renamed(value, named)];
      default: return [field, value];
    }
  });
  const [first] = elsewhere;
  if (first !== undefined) return refused(`it reads ${first}, which is in another database`);
  return { stage: 'view', kind: 'view', name: `${schema}.${name}`, native: view.native, sql: exact(new Fields(fields)) };
}

/** A pipeline in which each collection has the name that `named` gives it (manual: $lookup, $graphLookup, $unionWith, $facet). */
function renamed(pipeline: unknown, named: (collection: string) => string): unknown {
  return Array.isArray(pipeline) ? pipeline.map((stage) => (stage instanceof Fields ? new Fields(stage.list.map(([operator, value]) => [operator, stageOf(operator, value, named)])) : stage)) : pipeline;
}

function stageOf(operator: string, value: unknown, named: (collection: string) => string): unknown {
  const collection = operator === '$unionWith' ? 'coll' : operator === '$lookup' || operator === '$graphLookup' ? 'from' : undefined;
  if (collection === 'coll' && typeof value === 'string') return named(value);
  if (!(value instanceof Fields)) return value;
  if (operator === '$facet') return new Fields(value.list.map(([name, inner]) => [name, renamed(inner, named)]));
  if (collection === undefined) return value;
  return new Fields(value.list.map(([name, inner]) => [name, name === collection && typeof inner === 'string' ? named(inner) : name === 'pipeline' ? renamed(inner, named) : inner]));
}
