import type { ServerName } from '../../servers/index.js';
import type { FixtureColumn, FixtureTable } from '../table.js';

export type EndName = ServerName | 'sqlite';

/** A database of its own on one engine, filled and read by the plain driver, never by dsync. */
export interface End extends AsyncDisposable {
  readonly name: EndName;
  readonly url: string;
  /** What namespaces of this database begin with: `public.`, `shop.`, or nothing. */
  readonly prefix: string;
  /** Makes those of the tables that this engine can have, and returns them as it has them. */
  make(tables: readonly FixtureTable[]): Promise<readonly FixtureTable[]>;
  /** Statements in the engine's own SQL. */
  execute(...statements: readonly string[]): Promise<void>;
  /** Every row of a table, its cells in the order of `columns`, in the spelling of spelling.ts, in any order. */
  read(table: string, columns: readonly FixtureColumn[]): Promise<readonly Cells[]>;
  /** Tables or collections that there are, without dsync's own. */
  tables(): Promise<readonly string[]>;
}

export type Cells = readonly (string | null)[];
