import type { Column, Destination, Mapping, Rejected, Row, Value } from '../contract.js';

/**
 * A destination that is never sent a value of another type than its column's: SQLite lets any value stand in any column,
 * where other engines would take its spelling for what it is not. Such rows are rejected, the rest of the batch is written.
 */
export function withoutMisfits(destination: Destination): Destination {
  return {
    ...destination,
    async write(run, batch, mapping, options, signal) {
      if (batch.rows.format !== 'values' || !mayMisfit(mapping)) return destination.write(run, batch, mapping, options, signal);
      const { fit, rejected } = divided(mapping, batch.rows.rows);
      const outcome = await destination.write(run, { ...batch, rows: { format: 'values', rows: fit }, count: fit.length }, mapping, options, signal);
      return { written: outcome.written, rejected: [...rejected, ...outcome.rejected] };
    },
    async mend(run, mapping, changes, signal) {
      if (!mayMisfit(mapping)) return destination.mend(run, mapping, changes, signal);
      const { fit, rejected } = divided(mapping, changes.upserts);
      const outcome = await destination.mend(run, mapping, { ...changes, upserts: fit }, signal);
      return { rejected: [...rejected, ...outcome.rejected] };
    },
  };
}

function mayMisfit({ source, target }: Mapping): boolean {
  return source.engine === 'sqlite' && target.engine !== 'sqlite';
}

function divided({ source }: Mapping, rows: readonly Row[]): { readonly fit: readonly Row[]; readonly rejected: readonly Rejected[] } {
  const tests = source.columns.map(({ type }) => testOf(type));
  const misfit = (row: Row): Column | undefined => source.columns[row.findIndex((value, i) => value !== null && !tests[i](value))];
  const rejected: Rejected[] = [];
  const fit = rows.filter((row) => {
    const column = misfit(row);
    if (column) rejected.push({ namespace: source.namespace, row, reason: `the value of ${column.name} is no ${column.native || 'value'} but ${named(row[source.columns.indexOf(column)])}` });
    return column === undefined;
  });
  return { fit, rejected };
}

type Test = (value: Exclude<Value, null>) => boolean;

/** Is the value one of the type, as `Value` says? */
function testOf(type: Column['type']): Test {
  switch (type.kind) {
    case 'any': return () => true;
    case 'bool': return (value) => typeof value === 'boolean';
    case 'int': return type.bits === 64 ? (value) => typeof value === 'bigint' : (value) => typeof value === 'number' && Number.isInteger(value);
    case 'float': return (value) => typeof value === 'number';
    case 'bytes': case 'document': return (value) => value instanceof Uint8Array;
    default: return (value) => typeof value === 'string';
  }
}

function named(value: Value): string {
  if (value instanceof Uint8Array) return 'a blob';
  return typeof value === 'string' ? 'text' : typeof value === 'bigint' ? 'an integer' : 'a number';
}
