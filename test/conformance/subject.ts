import type { Connector, Row } from '../../src/contract.js';
import type { Sample } from './samples.js';

/** A connector as the suite meets it. */
export interface Subject {
  readonly name: string;
  connector(): Promise<Connector>;
  /** A database of its own, with nothing in it. */
  fresh(): Promise<Place>;
  /** What the connector does not promise, each with the reason why. */
  readonly exceptions?: {
    /** It takes everything and keeps no row, nor progress for another process. */
    readonly keepsNothing?: string;
    /** It has collections of documents: no columns, no tables without a key. */
    readonly documents?: string;
    /** It takes rows with null in a column that may not be null. */
    readonly takesNull?: string;
    readonly noCondition?: string;
  };
  /** In the source's own language: items whose id is below 101. */
  readonly where?: string;
}

/** One database, looked at and changed by its plain driver. */
export interface Place extends AsyncDisposable {
  readonly url: string;
  /** Makes the table, with its rows. */
  create(sample: Sample): Promise<void>;
  /** By key. */
  insert(sample: Sample, row: Row): Promise<void>;
  update(sample: Sample, row: Row): Promise<void>;
  remove(sample: Sample, row: Row): Promise<void>;
  /** Brings the engine's estimates up to date, where they come late. */
  settle?(sample: Sample): Promise<void>;
  /** Of all tables, schemas and databases in it, dsync's too. */
  names(): Promise<readonly string[]>;
}
