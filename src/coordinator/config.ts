import type { Emit, Existing, Finding, Format, Mask, Moment, NamespaceVerification, OnBadValue, PlannedObject, Position, StateStore, VerifyWith } from '../contract.js';
import type { RateLimit } from '../destination/limit.js';
import type { CutoverReport } from './cutover.js';

/** What a run needs to know, all parsed. URLs hold their passwords: this object is never printed, logged or stored. */
export interface RunConfig {
  readonly source: string;
  readonly destination: string;
  /** `pattern` or `namespace:target`. Empty: everything. */
  readonly namespaces: readonly string[];
  readonly exclude: readonly string[];
  /** Namespace → the source's own filter. */
  readonly where: Readonly<Record<string, string>>;
  readonly existing: Existing;
  /** `table.column` or `namespace.column`, whose loss the user accepts. */
  readonly acceptLoss: readonly string[];
  /** What the user chose for columns (docs/rules.md); by `table.column`, or by a type of the source: `mysql.tinyint(1)`. Absent: nothing. */
  readonly cast?: Readonly<Record<string, string>>;
  readonly mask?: Readonly<Record<string, Mask>>;
  /** `*`: all columns. */
  readonly onBadValue?: Readonly<Record<string, OnBadValue>>;
  /** By table: the columns that are taken, or, with a minus, those that are not. */
  readonly columns?: Readonly<Record<string, readonly string[]>>;
  /** Of hashes: as secret as a password. */
  readonly maskKey?: string;
  readonly concurrency: number;
  /** What may be on its way between the two ends, in bytes. */
  readonly memoryBytes: number;
  readonly batchBytes?: number;
  readonly batchRows?: number;
  readonly rateLimit?: RateLimit;
  readonly verify: boolean;
  /** Absent: `auto`. */
  readonly verifyWith?: VerifyWith;
  /** Go on after the copy: apply what changes in the source until the run is stopped. */
  readonly live: boolean;
  /** What keeps the source's log, where that is not left to dsync. */
  readonly slot?: string;
  readonly publication?: string;
  readonly failoverSlot?: boolean;
  /** A live run stops before the source keeps more of its log than this for it. */
  readonly maxRetainedBytes?: number;
  /** The run stops when more rows than this are rejected; absent: never. */
  readonly maxRejects?: number;
  /** What becomes of a table whose shape changes while it is followed. */
  readonly onDdl: OnDdl;
  /** The tables were copied by other means: nothing is copied or compared, and what happened from here on is applied. With `live`. */
  readonly from?: Position;
  /** What becomes of indexes, constraints, defaults and comments: made, compared with what stands, or left. */
  readonly schema: 'create' | 'check' | 'none';
  readonly views: 'definition' | 'as-tables' | 'skip';
  /** What becomes of documents in tables. Absent: `json`. */
  readonly document?: 'json' | 'columns';
  /** With `columns`: look at so many documents of each collection only. Absent: at all. */
  readonly documentSample?: number;
}

export type OnDdl = 'stop' | 'apply' | 'ignore';

/** What a command is given besides its configuration. */
export interface Ports extends Onlooker {
  readonly store: StateStore;
  readonly newRunId: () => string;
  /** The configuration as it may be stored. */
  readonly storedConfig: unknown;
}

/** What is enough for a command that remembers nothing. */
export interface Onlooker {
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Identifies source, destination, selection and filters. */
  readonly flow: string;
}

export interface Agreed {
  readonly namespace: string;
  readonly target: string;
  /** What the source emits, and what the destination is given. */
  readonly format: Format;
  readonly sent: Format;
  readonly staged: boolean;
  readonly losses: readonly string[];
}

/** How a run ended: what `--json` prints. */
export interface RunReport {
  readonly run: string;
  readonly flow: string;
  readonly status: 'done' | 'different' | 'not-comparable' | 'rejected';
  readonly exitStatus: 0 | 4 | 6;
  readonly source: string;
  readonly destination: string;
  readonly agreed: readonly Agreed[];
  readonly tasks: number;
  /** Rows and bytes that this process wrote; an earlier, interrupted one is not counted. */
  readonly rows: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly phases: Readonly<Record<string, number>>;
  readonly moments: readonly Moment[];
  readonly mended: { readonly upserted: number; readonly deleted: number; readonly recopied: readonly string[] };
  readonly rejected: { readonly count: number; readonly path?: string };
  /** Values that can't be kept and became NULL in this process, by column. Absent where there are none. */
  readonly nulled?: Readonly<Record<string, number>>;
  /** Absent with `--no-verify`. */
  readonly verification?: readonly NamespaceVerification[];
  readonly findings: readonly EndFinding[];
  /** Of a live run that was cut over. */
  readonly cutover?: CutoverReport;
}

export interface EndFinding { readonly end: 'source' | 'destination'; readonly finding: Finding }

/** What `dsync plan` prints. */
export interface PlanReport {
  readonly source: string;
  readonly destination: string;
  readonly findings: readonly EndFinding[];
  readonly namespaces: readonly PlannedNamespace[];
  readonly views: readonly PlannedObject[];
}

export interface PlannedNamespace extends Agreed {
  readonly existed: boolean;
  readonly tasks: number;
  readonly estimatedRows?: number;
  readonly estimatedBytes?: number;
  readonly columns: readonly {
    readonly name: string; readonly from: string; readonly to: string; readonly level: 'exact' | 'reshaped' | 'lossy'; readonly note?: string;
  }[];
  /** What makes the bare table, and what is made besides. */
  readonly statements: readonly string[];
  readonly objects: readonly PlannedObject[];
}
