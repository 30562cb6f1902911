import type { LogicalType } from '../contract.js';

/**
 * A type of an engine's own, as plain data. Every connector has one table of them (`connectors/…/natives.ts`): what a column's
 * values mean is looked up there, docs/types.md is made of it, and `dsync selftest` tries each of them on a server.
 */
export interface NativeType {
  /** As the server's catalogue names it. */
  readonly name: string;
  /** What the values mean. Where the column says more (`takes`), this is a column that says nothing. */
  readonly type: LogicalType;
  readonly takes?: readonly (keyof ColumnSizes)[];
  /** Which server has it, if not all: `mariadb`, `extension hstore`; `dsync` for a name that only dsync declares. */
  readonly only?: string;
  /** What a reader of docs/types.md should know. */
  readonly note?: string;
  /** Columns of this type with values at its edges; none where no user's table has such a column. */
  readonly trials: readonly Trial[];
}

export interface Trial {
  /** The type as it stands in a CREATE TABLE. */
  readonly declared: string;
  /** In the connector's own words: text in a literal (PostgreSQL), SQL expressions (MySQL, SQLite), Extended JSON (MongoDB). */
  readonly values: readonly string[];
  /** PostgreSQL: the values are SQL expressions. */
  readonly expressions?: true;
  /** Statements that make what `declared` names, in a schema of its own. */
  readonly before?: readonly string[];
}

/** What a column's declaration adds to its type. Absent: it says nothing of it. */
export interface ColumnSizes {
  readonly maxLength?: number;
  readonly length?: number;
  readonly precision?: number;
  readonly scale?: number;
  readonly fraction?: number;
  readonly signed?: boolean;
  readonly labels?: readonly string[];
}

/** The logical type of a column of this native type. */
export function sizedType({ type, takes = [] }: NativeType, sizes: ColumnSizes): LogicalType {
  const said = takes.filter((size) => sizes[size] !== undefined).map((size) => [size, sizes[size]]);
  return { ...type, ...Object.fromEntries(said) } as LogicalType;
}
