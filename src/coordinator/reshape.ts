import type { Change, Column, LogRow, Mapping, Row, Shape } from '../contract.js';
import { DsyncError, type ErrorCode } from '../errors.js';
import { settled } from './rules.js';
import type { Run } from './run.js';
import { refuseLosses } from './tables.js';

/** Errors that the user can mend in the destination: a column that others depend on, a right that is missing. */
const ofTheTable: readonly ErrorCode[] = ['refused', 'denied', 'data', 'not-ready', 'internal'];

/** How a table goes on whose shape has changed in the source. */
export interface Reshaped {
  readonly mapping: Mapping;
  /** Its shape in the log, where only a part of its columns is taken. */
  readonly logged?: Shape;
  /** Rows that stand already may have values that the log does not tell: the table must be compared. */
  readonly stale: boolean;
}

/**
 * The table with its new shape, as `--on-ddl` has it. Fails with `waiting` where the user must act: that is remembered, and the
 * next process goes on as soon as the destination fits.
 */
export async function reshaped(run: Run, mapping: Mapping, shape: Shape): Promise<Reshaped> {
  const { namespace } = shape, { onDdl } = run.config;
  const known = { ...mapping, source: run.store.load(run.id)?.log?.shapes?.[namespace] ?? mapping.source };
  // Rows that stood before the column may have its default, whatever that was then.
  const stale = added(known.source, shape).length > 0;
  try {
    if (onDdl === 'ignore') return { ...ignored(mapping, shape), stale: false };
    if (onDdl === 'apply' && run.destination.alter) return { mapping: accepted(run, await run.destination.alter(run.id, mapping, shape, run.signal)), stale };
    if (onDdl === 'apply' || run.store.load(run.id)?.log?.stops?.[namespace] === spelled(shape)) return { mapping: accepted(run, await fitting(run, mapping, shape)), stale };
  } catch (error) {
    if (!(error instanceof DsyncError && ofTheTable.includes(error.code))) throw error;
    throw waiting(run, known.source, shape, error);
  }
  throw waiting(run, known.source, shape);
}

/**
 * The table as it is in the source now, whatever of that was ignored so far: what is new is made, and what is gone stays in the
 * destination, and is no part of the run any more. Fails where that can't be.
 */
export async function retaken(run: Run, mapping: Mapping, shape: Shape): Promise<Mapping> {
  const kept = without(mapping, mapping.source.columns.filter(({ name }) => !shape.columns.some((column) => column.name === name)));
  return accepted(run, run.destination.alter ? await run.destination.alter(run.id, kept, shape, run.signal) : await fitting(run, kept, shape));
}

function without(mapping: Mapping, gone: readonly Column[]): Mapping {
  const kept = [...mapping.source.columns.keys()].filter((i) => !gone.includes(mapping.source.columns[i]));
  const narrowed = (shape: Shape): Shape => ({ ...shape, columns: kept.map((i) => shape.columns[i]), key: shape.key.flatMap((i) => (kept.includes(i) ? [kept.indexOf(i)] : [])) });
  return { ...mapping, source: narrowed(mapping.source), target: narrowed(mapping.target), fidelity: kept.map((i) => mapping.fidelity[i]) };
}

/**
 * A table that is another one under its name. Fails with `waiting` the first time, for the user to know; then it is made equal to what
 * the source has under this name, unless such things are ignored.
 */
export function replaced(run: Run, mapping: Mapping, shape: Shape, what: string): Reshaped {
  const { namespace } = shape, { onDdl } = run.config, known = run.store.load(run.id)?.log?.stops?.[namespace];
  if (onDdl === 'ignore') return { mapping, stale: false };
  if (onDdl === 'apply' || known === what) return { mapping, stale: true };
  run.store.update(run.id, { log: { stops: { [namespace]: what } } });
  throw new DsyncError('waiting', `${namespace} ${what} in the source; everything before that is applied`, {
    namespace, remedy: `dsync resume ${run.id} makes the table equal to what the source has under this name by then, or sets it apart where that is nothing`,
  });
}

/** The new shape beside the table as it stands in the destination now. */
async function fitting(run: Run, mapping: Mapping, shape: Shape): Promise<Mapping> {
  const { schema, name } = mapping.target;
  const found = await run.destination.adapt(shape, { ...(schema !== undefined && { schema }), name }, run.signal);
  return { ...found, existed: mapping.existed };
}

function accepted(run: Run, altered: Mapping): Mapping {
  const mapping = settled(altered);
  refuseLosses([mapping], run.config.acceptLoss);
  return mapping;
}

function waiting(run: Run, from: Shape, to: Shape, cause?: DsyncError): DsyncError {
  const { namespace } = to;
  run.store.update(run.id, { log: { stops: { [namespace]: spelled(to) } } });
  const what = differences(from, to);
  return new DsyncError('waiting', `${namespace} changed its shape in the source (${what})${cause ? `, and the destination does not fit: ${cause.message}` : ''}; everything before that is applied`, {
    namespace, cause, remedy: `change the table in the destination in the same way, then: dsync resume ${run.id}`,
  });
}

/** Columns are found again by name; new ones are not taken, and those that are gone stay as they are. */
function ignored(mapping: Mapping, shape: Shape): Pick<Reshaped, 'mapping' | 'logged'> {
  const { source, target } = mapping, found = (name: string) => shape.columns.find((column) => column.name === name);
  const problems = source.columns.flatMap((column, i) => {
    const now = found(column.name);
    if (!now) return source.key.includes(i) ? [`${column.name} is part of the key, and gone`] : target.columns[i].nullable ? [] : [`${column.name} is gone, and NOT NULL in the destination`];
    return sameType(column, now) ? [] : [`${column.name} is ${now.native}, not ${column.native}`];
  });
  const keyOf = ({ columns, key }: Shape) => key.map((i) => columns[i].name).join(', ');
  if (keyOf(source) !== keyOf(shape)) problems.push(`its key is (${keyOf(shape)}), not (${keyOf(source)})`);
  if (problems.length > 0) throw new DsyncError('refused', `this can't be ignored: ${problems.join('; ')}`, { namespace: shape.namespace });
  return { mapping, logged: shape };
}

/** Turns changes of the logged shape into those of the mapping's; a column that is gone is null in new rows and stays in others. */
export function projecting({ source }: Mapping, logged: Shape): (change: Change) => Change {
  const from = source.columns.map(({ name }) => logged.columns.findIndex((column) => column.name === name));
  const row = (cells: LogRow) => from.map((i) => (i < 0 ? undefined : cells[i]));
  return (change) => {
    switch (change.kind) {
      case 'insert': return { ...change, row: row(change.row).map((cell) => cell ?? null) as Row };
      case 'update': return { ...change, row: row(change.row), ...(change.before && { before: row(change.before) }) };
      case 'delete': return { ...change, before: row(change.before) };
      case 'truncate': return change;
      default: return change satisfies never;
    }
  };
}

/** `added more; dropped note; v is bigint, not int` */
export function differences(from: Shape, to: Shape): string {
  const gone = added(to, from);
  return [
    ...added(from, to).map(({ name, native }) => `added ${name} ${native}`), ...gone.map(({ name }) => `dropped ${name}`),
    ...to.columns.flatMap((column) => {
      const before = from.columns.find(({ name }) => name === column.name);
      return before && !sameType(before, column) ? [`${column.name} is ${column.native}, not ${before.native}`] : [];
    }),
  ].join('; ') || 'its columns stand in another order, or its key is another one';
}

function added(from: Shape, to: Shape): readonly Column[] {
  return to.columns.filter(({ name }) => !from.columns.some((column) => column.name === name));
}

function sameType(a: Column, b: Column): boolean {
  return a.native === b.native && JSON.stringify(a.type) === JSON.stringify(b.type);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return spelled(a) === spelled(b);
}

function spelled({ columns, key }: Shape): string {
  return JSON.stringify([columns.map(({ name, native }) => [name, native]), key]);
}
