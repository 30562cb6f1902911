import type { ComputedColumn, Mapping, Shape, TableObjects } from '../contract.js';
import { dialectOf, parseExpression, renderExpression, type Dialect, type Expression } from './expression.js';

/**
 * The mapping without those columns that the destination computes as another engine's source does: sums, differences and
 * products of whole numbers and decimals, which come out alike everywhere. All else that is generated stays a plain column, with
 * its values; so does a key, and every generated column of a table whose columns the user has rules for.
 */
export function withComputed(mapping: Mapping, objects: TableObjects): Mapping {
  const from = dialectOf(objects.engine), to = dialectOf(mapping.target.engine);
  if (!from || !to || mapping.source.columns.some(({ rule }) => rule)) return mapping;
  const computed = objects.columns.flatMap(({ name, generated }): ComputedColumn[] => {
    const at = mapping.source.columns.findIndex((column) => column.name === name);
    if (!generated || at < 0 || mapping.source.key.includes(at) || mapping.target.columns[at].name !== name || !isExact(mapping, at, to)) return [];
    const expression = parseExpression(generated.expression, from), isPlain = (column: string) => !objects.columns.some((other) => other.generated && other.name.toLowerCase() === column.toLowerCase());
    if (!expression || !isArithmetic(expression, to, (column) => isPlain(column) && isExact(mapping, placeOf(mapping, column), to))) return [];
    const sql = renderExpression(expression, to, (column) => mapping.target.columns[placeOf(mapping, column)].name, to === 'postgres' ? (column) => `${column}::numeric` : undefined);
    return sql === undefined ? [] : [{ name, native: mapping.target.columns[at].native, sql, stored: generated.stored, position: at }];
  });
  if (computed.length === 0) return mapping;
  return { ...narrowed(mapping, new Set(computed.map(({ name }) => name))), computed };
}

function placeOf({ source }: Mapping, name: string): number {
  return source.columns.findIndex((column) => column.name.toLowerCase() === name.toLowerCase());
}

/** SQLite keeps decimals as texts, and computes with doubles. */
function isExact({ source, target }: Mapping, at: number, to: Dialect): boolean {
  const kinds = to === 'sqlite' ? ['int'] : ['int', 'decimal'];
  return at >= 0 && kinds.includes(source.columns[at].type.kind) && kinds.includes(target.columns[at].type.kind) && !/^(DECIMAL_TEXT|UNSIGNED64_BLOB)/.test(target.columns[at].native);
}

function isArithmetic(expression: Expression, to: Dialect, isExactColumn: (name: string) => boolean): boolean {
  switch (expression.kind) {
    case 'number': return to === 'sqlite' ? /^-?\d+$/.test(expression.value) : /^-?\d+(\.\d+)?$/.test(expression.value);
    case 'column': return isExactColumn(expression.name);
    case 'operation': return ['+', '-', '*'].includes(expression.operator) && expression.args.every((arg) => isArithmetic(arg, to, isExactColumn));
    default: return false;
  }
}

function narrowed(mapping: Mapping, left: ReadonlySet<string>): Mapping {
  const { source, target, fidelity } = mapping, kept = source.columns.flatMap(({ name }, i) => (left.has(name) ? [] : [i]));
  const narrow = (shape: Shape): Shape => ({ ...shape, columns: kept.map((i) => shape.columns[i]), key: shape.key.map((i) => kept.indexOf(i)) });
  return { ...mapping, source: narrow(source), target: narrow(target), fidelity: kept.map((i) => fidelity[i]) };
}

/** Column clauses, with those of the computed columns where they stand in the source. */
export function withComputedClauses(clauses: readonly string[], computed: readonly ComputedColumn[] = [], nameOf: (name: string) => string): readonly string[] {
  const all = [...clauses];
  for (const { name, native, sql, stored, position } of computed) all.splice(position, 0, `${nameOf(name)} ${native} GENERATED ALWAYS AS (${sql}) ${stored ? 'STORED' : 'VIRTUAL'}`);
  return all;
}
