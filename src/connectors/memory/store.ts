import type { Batch, Mapping, ProgressRow, ReadJob, Row, Shape, Task, Value } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { spellKey } from '../../source/keys.js';

/** Rows by key text, or by a number of their own where there is no key, in the order of `shape.columns`. */
export interface Table { readonly shape: Shape; readonly rows: Map<string, Row> }

/** What one run has left in a store, as `_dsync` does in a database. */
export interface Run { epoch: number; readonly progress: Map<string, ProgressRow> }

/** Where tests step in (faults.ts). What a hook throws is what the call fails with; what it waits for, the call waits for. */
export interface Hooks {
  /** Before a batch and its progress take effect. */
  beforeWrite?(batch: Batch): void | Promise<void>;
  /** After they have: a failure here is a write whose fate is unknown. */
  afterWrite?(batch: Batch): void | Promise<void>;
  beforeRead?(job: ReadJob): void | Promise<void>;
}

/** A database in this process's memory. */
export interface Store {
  readonly name: string;
  readonly tables: Map<string, Table>;
  /** Staging tables of keyless targets, by run and target. */
  readonly staging: Map<string, Row[]>;
  readonly runs: Map<string, Run>;
  hooks: Hooks;
  /** Grows whenever open snapshots are to be lost. */
  generation: number;
}

const stores = new Map<string, Store>();
let keyless = 0;

/** The store that `memory:NAME` names, for as long as the process lives. */
export function storeNamed(name: string): Store {
  const known = stores.get(name);
  if (known) return known;
  const store: Store = { name, tables: new Map(), staging: new Map(), runs: new Map(), hooks: {}, generation: 0 };
  stores.set(name, store);
  return store;
}

/** Takes a store's name away; whoever holds the store keeps it. */
export function dropStore(name: string): void {
  stores.delete(name);
}

export function createTable(store: Store, shape: Shape, rows: readonly Row[] = []): Table {
  const table: Table = { shape, rows: new Map() };
  for (const row of rows) put(table, row);
  store.tables.set(shape.namespace, table);
  return table;
}

/** Adds a row, or takes the place of the one with its key. */
export function put({ shape, rows }: Table, row: Row): void {
  rows.set(shape.key.length > 0 ? spellKey(keyOf(shape, row)) : `${keyless++}`, row);
}

export function tableOf(store: Store, shape: Shape): Table {
  const table = store.tables.get(shape.namespace);
  if (!table) throw new DsyncError('data', `table ${shape.namespace} is not in memory:${store.name}`, { namespace: shape.namespace });
  return table;
}

export function keyOf(shape: Shape, row: Row): readonly Value[] {
  return shape.key.map((position) => row[position]);
}

export function compareKeys(a: readonly Value[], b: readonly Value[]): number {
  for (let i = 0; i < a.length; i++) {
    const order = compare(a[i], b[i]);
    if (order !== 0) return order;
  }
  return 0;
}

/** Turns rows of one shape into rows of another that has the same column names; what the first lacks is null. */
export function projection(from: Shape, to: Shape): (row: Row) => Row {
  const positions = to.columns.map(({ name }) => from.columns.findIndex((column) => column.name === name));
  const same = positions.length === from.columns.length && positions.every((position, i) => position === i);
  return same ? (row) => row : (row) => positions.map((position) => (position < 0 ? null : row[position]));
}

/** Where a run's progress row of this task and batch stands. */
export function progressKey(task: string, sequence: number | 'done'): string {
  return `${task}\n${sequence}`;
}

export function stagingKey(run: string, mapping: Mapping): string {
  return `${run}\n${mapping.target.namespace}`;
}

export function dropProgress(run: Run, tasks: readonly Task[]): void {
  const ids = new Set(tasks.map(({ id }) => id));
  for (const [key, { task }] of run.progress) if (ids.has(task)) run.progress.delete(key);
}

function compare(a: Value, b: Value): number {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}
