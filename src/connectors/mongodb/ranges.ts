import type { Shape, Task } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { Fields, parseExtendedJson } from './json.js';

/**
 * The types that have an order of their own among each other, in the order of `_id` indexes, by the first characters of
 * their canonical Extended JSON. Comparisons in filters see one bracket only: `{$lt: 5}` finds no text.
 */
const brackets = [
  { name: 'minKey', starts: ['{"$minKey"'] },
  { name: 'null', starts: ['null'] },
  { name: 'number', starts: ['{"$numberInt"', '{"$numberLong"', '{"$numberDouble"', '{"$numberDecimal"'] },
  { name: 'string', starts: ['"', '{"$symbol"'] },
  { name: 'binData', starts: ['{"$binary"'] },
  { name: 'objectId', starts: ['{"$oid"'] },
  { name: 'bool', starts: ['true', 'false'] },
  { name: 'date', starts: ['{"$date"'] },
  { name: 'timestamp', starts: ['{"$timestamp"'] },
  { name: 'javascript', starts: ['{"$code"'] },
  { name: 'maxKey', starts: ['{"$maxKey"'] },
] as const;

type Bracket = (typeof brackets)[number]['name'] | 'object';

/** Where embedded documents stand: after strings. */
const order: readonly Bracket[] = ['minKey', 'null', 'number', 'string', 'object', 'binData', 'objectId', 'bool', 'date', 'timestamp', 'javascript', 'maxKey'];

/** Types with enough values to be divided. The others, and NaN, which no comparison finds, are left to the remainder. */
const divisible: ReadonlySet<Bracket> = new Set<Bracket>(['number', 'string', 'object', 'binData', 'objectId', 'date', 'timestamp']);

const nan = '{"$numberDouble":"NaN"}';

export function bracketOf(id: string): Bracket {
  return brackets.find(({ starts }) => starts.some((start) => id.startsWith(start)))?.name ?? 'object';
}

/**
 * Tasks that meet at these `_id`s (Extended JSON, in the index's order): ranges within each type, open at both ends,
 * and one remainder, whatever is in none of them. Disjoint and complete by construction, whatever types come later.
 */
export function tasksAt(shape: Shape, edges: readonly string[]): Task[] {
  const groups = [...divisible].map((bracket) => edges.filter((edge, i) => edge !== nan && bracketOf(edge) === bracket && edge !== edges[i - 1]));
  const split = groups.filter((group) => group.length > 0);
  const ranges = split.length === 0 ? [undefined] : [...split.flatMap(rangesWithin), remainder(split)];
  const estimatedRows = shape.estimatedRows !== undefined && Math.ceil(shape.estimatedRows / Math.max(1, ranges.length - 1));
  return ranges.map((range, i) => ({
    id: `${shape.namespace}#${i}`, namespace: shape.namespace,
    ...(range !== undefined && { range }),
    ...(estimatedRows !== false && { estimatedRows: i > 0 && i === ranges.length - 1 ? 0 : estimatedRows }),
  }));
}

function rangesWithin(edges: readonly string[]): string[] {
  return [undefined, ...edges].map((from, i) => {
    const bounds = [from !== undefined && `"$gte":${from}`, i < edges.length && `"$lt":${edges[i]}`];
    return `{"_id":{${bounds.filter(Boolean).join(',')}}}`;
  });
}

function remainder(groups: readonly (readonly string[])[]): string {
  return `{"$nor":[${groups.map(([edge]) => `{"_id":{"$lt":${edge}}},{"_id":{"$gte":${edge}}}`).join(',')}]}`;
}

/** The filter of a task's rows that come after the `_id` `after` in the index's order, AND the user's own. */
export function filterOf(task: Pick<Task, 'range'>, after?: string, where?: string): Fields {
  const filters = [
    ...(task.range !== undefined ? [parseExtendedJson(task.range) as Fields] : []),
    ...(after !== undefined ? [parseExtendedJson(afterFilter(task.range, after)) as Fields] : []),
    ...(where !== undefined ? [usersFilter(where)] : []),
  ];
  return filters.length === 0 ? new Fields([]) : filters.length === 1 ? filters[0]! : new Fields([['$and', filters]]);
}

function usersFilter(where: string): Fields {
  try {
    const filter = parseExtendedJson(where);
    if (filter instanceof Fields) return filter;
  } catch (error) {
    throw new DsyncError('usage', `--where: ${messageOf(error)}`, { remedy: whereRemedy });
  }
  throw new DsyncError('usage', `--where: ${where} is no document`, { remedy: whereRemedy });
}

const whereRemedy = `write a filter of MongoDB as Extended JSON: --where 'orders: {"total": {"$gt": 100}}'`;

/** Within one type a comparison will do. Else all is excluded that stands before: what it does not know of is read again rather than lost. */
function afterFilter(range: string | undefined, after: string): string {
  if (range?.startsWith('{"_id":')) return `{"_id":{"$gt":${after}}}`;
  const bracket = bracketOf(after);
  const earlier = order.slice(0, order.indexOf(bracket)).filter((type) => type !== 'javascript').map(ofType);
  const nans = bracket === 'number' ? [`{"_id":${nan}}`] : [];
  const upTo = after === nan ? [] : [`{"_id":{"$lte":${after}}}`];
  return `{"$nor":[${[...earlier, ...nans, ...upTo].join(',')}]}`;
}

function ofType(bracket: Bracket): string {
  return bracket === 'null' ? '{"_id":null}' : `{"_id":{"$type":"${bracket}"}}`;
}
