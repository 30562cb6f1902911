/**
 * The whole vocabulary of dsync: what a source says, what a destination hears, what a run remembers.
 * Every type that crosses a boundary is here. A connector implements `Connector`; nothing else is asked of it.
 */

// --- values and shapes --------------------------------------------------

/**
 * A value in normal form, never a lossy one (docs/normal-form.md):
 * integers up to 32 bits are `number`, 64-bit ones `bigint`; float32 and float64 are `number`;
 * decimals, dates, times, uuids, JSON and everything `native` are text; bytes are `Uint8Array`;
 * a MongoDB document is its BSON bytes, its `_id` canonical Extended JSON text.
 */
export type Value = null | boolean | number | bigint | string | Uint8Array;
export type Row = readonly Value[];

/** What a value means, whatever the engine calls it. Decides its spelling in normal form. */
export type LogicalType =
  | { readonly kind: 'bool' }
  | { readonly kind: 'int'; readonly bits: 8 | 16 | 24 | 32 | 64; readonly signed: boolean }
  /** `precision` absent: any number of digits. NaN and infinities are spelled `NaN`, `Infinity`, `-Infinity`. */
  | { readonly kind: 'decimal'; readonly precision?: number; readonly scale?: number }
  | { readonly kind: 'float'; readonly bits: 32 | 64 }
  /** `maxLength` in characters; `padded` for CHAR(n), whose trailing spaces mean nothing. */
  | { readonly kind: 'text'; readonly maxLength?: number; readonly padded?: boolean }
  | { readonly kind: 'bytes'; readonly maxLength?: number }
  /** `YYYY-MM-DD`. */
  | { readonly kind: 'date' }
  /** `HH:MM:SS[.ffffff]`, without trailing zeros in the fraction. `fraction` is the number of digits kept. */
  | { readonly kind: 'time'; readonly fraction: number }
  /** A wall-clock reading, `YYYY-MM-DD HH:MM:SS[.ffffff]`, without trailing zeros in the fraction. */
  | { readonly kind: 'timestamp'; readonly fraction: number }
  /** A moment, spelled as a timestamp in UTC, with no zone written. */
  | { readonly kind: 'instant'; readonly fraction: number }
  /** Lower-case, with hyphens. */
  | { readonly kind: 'uuid' }
  /** JSON whose text is kept as it was written. */
  | { readonly kind: 'json-text' }
  /** JSON kept as a value: the engine re-renders it, so two spellings of one value are equal. */
  | { readonly kind: 'json-value' }
  | { readonly kind: 'enum' | 'set'; readonly labels: readonly string[] }
  /** A string of `0` and `1`. `varying`: as many as there are, `length` at the most; else `length`, always. */
  | { readonly kind: 'bits'; readonly length?: number; readonly varying?: boolean }
  /** Text in the engine's own spelling (interval, arrays, ranges, network types, …): exact within the engine, text elsewhere. */
  | { readonly kind: 'native'; readonly engine: string }
  /** SQLite's dynamic typing: each value has a type of its own. */
  | { readonly kind: 'any' }
  /** A MongoDB document, and its `_id` as canonical Extended JSON. */
  | { readonly kind: 'document' } | { readonly kind: 'document-id' };

export interface Column {
  readonly name: string;
  readonly type: LogicalType;
  /** The engine's own spelling of the type, as it stands in a CREATE TABLE. */
  readonly native: string;
  readonly nullable: boolean;
  /** What the user chose for it. Only the wrapper of the run's source acts on it (source/ruled.ts); a destination heeds `cast`. */
  readonly rule?: ColumnRule;
}

/** `hash`: keyed and deterministic; `redact`: a fixed value of the type; `null`: NULL. */
export type Mask = 'hash' | 'redact' | 'null';
/** What becomes of a value that can't be kept: its row is rejected, the value becomes NULL, or the run ends. */
export type OnBadValue = 'reject' | 'null' | 'fail';

/** The user's choices for a column (docs/rules.md), as plain data that is kept with the mapping. */
export interface ColumnRule {
  /** The column's type is one that the user named: `native` is the destination's own spelling, whatever the source's engine is. */
  readonly cast?: true;
  /** What does not fit a cast exactly is rounded, or cut. */
  readonly rounds?: true;
  /** A cast takes only what is spelled as the new type spells it: different keys stay different. */
  readonly spelled?: true;
  readonly mask?: Mask;
  /** Absent: `reject`. */
  readonly bad?: Exclude<OnBadValue, 'reject'>;
  /** With `bad`, once it is known: the column that takes the values. */
  readonly taker?: Pick<Column, 'type' | 'native' | 'nullable'> & { readonly engine: string };
  /** Of the column `rest` of documents in columns: nothing is told of these fields, which are masked or left out; with `only`, of no others than those. */
  readonly forgets?: { readonly fields: readonly string[]; readonly only?: readonly string[] };
  /** Of a `document` column: fields by their paths. With `kept` only these stay, and `_id`. */
  readonly fields?: { readonly masks: readonly { readonly path: string; readonly mask: Mask }[]; readonly left: readonly string[]; readonly kept?: readonly string[] };
}

/** One table or collection, as it is at one moment. */
export interface Shape {
  /** As people and patterns name it: `public.orders`, `shop.orders`, `orders`. */
  readonly namespace: string;
  /** The schema or database; absent where the engine has none (SQLite). */
  readonly schema?: string;
  readonly name: string;
  readonly engine: string;
  /** It is a view (`Selection.views`), read like a table. */
  readonly view?: 'plain' | 'materialized';
  readonly columns: readonly Column[];
  /** Positions of the key columns in key order; empty for a table without a key. */
  readonly key: readonly number[];
  /** All columns as the source has them, where the user's choices leave some out or change them. */
  readonly origin?: readonly Column[];
  /** From the catalogue, never from a scan; absent if unknown. */
  readonly estimatedRows?: number;
  readonly estimatedBytes?: number;
  /** Of documents that are kept in a table: its columns and key. */
  readonly table?: Pick<Shape, 'columns' | 'key'>;
}

/** A namespace of the destination. An absent `schema` stands for the schema or database that the URL names. */
export interface Target { readonly schema?: string; readonly name: string }

/** How one column is kept by the destination. */
export interface Fidelity {
  readonly level: 'exact' | 'reshaped' | 'lossy';
  /** What changes, or is lost: `kept as text`, `microseconds are cut to milliseconds`. Absent when exact. */
  readonly note?: string;
}

/**
 * A source table beside the destination's table that takes its rows. `target.columns[i]` takes `source.columns[i]`,
 * whatever the order in the destination's own table, so a row has the same positions on both sides.
 */
export interface Mapping {
  readonly source: Shape;
  readonly target: Shape;
  readonly fidelity: readonly Fidelity[];
  /** The destination's table stood there before the run. */
  readonly existed: boolean;
  /** No key: the rows go to a staging table that is swapped in when the one task is done. */
  readonly staged: boolean;
  /** What the table is made with, besides columns and key; absent where nothing more is made. */
  readonly objects?: TableObjects;
  /** Columns that a table which is made computes by itself, as the source's of another engine does: not among those of the shapes. */
  readonly computed?: readonly ComputedColumn[];
}

/** `sql`: the expression in the destination's own SQL. `position`: where the column stands among all of the source's. */
export interface ComputedColumn { readonly name: string; readonly native: string; readonly sql: string; readonly stored: boolean; readonly position: number }

/**
 * How the rows of a batch are encoded. `values` is understood by every codec; the rest are bytes all the way.
 * - `delimited`: COPY text: a row a line, tabs between, `\N` for null, `\\ \t \n \r` (and from PostgreSQL also
 *   `\b \f \v`) escaped. Each cell is in the normal form of the *source* column's logical type; bool is `1`/`0`,
 *   bytes are `\x` and hex (the backslash escaped like any other).
 * - `pg-binary`: tuples of COPY BINARY, without the file's header and trailer. Only where source and target columns
 *   have the same PostgreSQL built-in types.
 * - `bson`: whole documents.
 */
export type Format = 'values' | 'delimited' | 'pg-binary' | 'bson';

export type Rows =
  | { readonly format: 'values'; readonly rows: readonly Row[] }
  | { readonly format: 'delimited' | 'pg-binary'; readonly bytes: Uint8Array }
  | { readonly format: 'bson'; readonly documents: readonly Uint8Array[] };

// --- schema objects ------------------------------------------------------

/**
 * What a source table has besides its columns, NOT NULL and key. Expressions and `native` are the source engine's own SQL: a
 * destination of the same engine takes them as they are, another one what it can translate (docs/schema.md). Plain data.
 */
export interface TableObjects {
  readonly namespace: string;
  readonly engine: string;
  readonly comment?: string;
  /** Only the columns that have something to tell. */
  readonly columns: readonly ColumnObjects[];
  /** Without the primary key. */
  readonly indexes: readonly IndexObject[];
  readonly foreignKeys: readonly ForeignKeyObject[];
  readonly checks: readonly CheckObject[];
  /** What only its own engine makes, and what it is called there: how the table is stored, its primary key's own name. */
  readonly native: Readonly<Record<string, string>>;
  /** Parts that the table is divided into, each after its parent. */
  readonly partitions: readonly PartitionObject[];
  /** What is made in its own engine, or only named: triggers, policies, … */
  readonly others: readonly OtherObject[];
  /** What its own engine makes before the table: types, domains, functions, … */
  readonly needs?: readonly NeededObject[];
}

/** `name`: as a statement says it, a function with the types of its arguments. */
export interface NeededObject { readonly kind: 'type' | 'collation' | 'function' | 'sequence'; readonly schema: string; readonly name: string; readonly native: string }

export interface ColumnObjects {
  readonly name: string;
  readonly comment?: string;
  /** The type as it was declared, where `Column.native` is what that stands for: a domain. */
  readonly declared?: string;
  /** NOT NULL with a name of its own. */
  readonly notNull?: string;
  readonly default?: string;
  /** MySQL's `ON UPDATE CURRENT_TIMESTAMP`. */
  readonly onUpdate?: string;
  readonly collation?: string;
  /** `position`: where the column stands among all of the table. */
  readonly generated?: { readonly expression: string; readonly stored: boolean; readonly native: string; readonly nullable: boolean; readonly position: number };
  readonly identity?: IdentityObject;
  /** The rest of the column's definition after its type, where the engine has more words than these. */
  readonly native?: string;
}

export interface IdentityObject {
  /** `serial`: a default that asks a sequence. */
  readonly kind: 'always' | 'by-default' | 'serial' | 'auto';
  /** The number that comes next, in digits, when the objects were read; absent where it can't be told. */
  readonly next?: string;
  readonly increment?: string;
  readonly sequence?: { readonly schema: string; readonly name: string; readonly definition: string; readonly owned: boolean };
}

export interface IndexPart {
  /** Absent for an expression. */
  readonly column?: string;
  readonly expression?: string;
  readonly descending?: boolean;
  /** Only so many characters, or bytes, of the column. */
  readonly length?: number;
}

export interface IndexObject {
  readonly name: string;
  readonly unique: boolean;
  /** A constraint of the table rather than an index of its own. */
  readonly constraint?: boolean;
  readonly parts: readonly IndexPart[];
  readonly where?: string;
  /** `btree`, `hash`, `gin`, `fulltext`, `spatial`, …, in small letters. */
  readonly method: string;
  readonly include?: readonly string[];
  /** What follows the name in its own engine. */
  readonly definition?: string;
  readonly native: string;
}

export type ReferenceAction = 'no action' | 'restrict' | 'cascade' | 'set null' | 'set default';

export interface ForeignKeyObject {
  readonly name: string;
  readonly columns: readonly string[];
  readonly references: { readonly namespace: string; readonly columns: readonly string[] };
  /** Where the table to which it refers has gone; absent if it is not copied. */
  readonly to?: Pick<Shape, 'schema' | 'name'> & { readonly columns: readonly string[] };
  readonly onUpdate: ReferenceAction;
  readonly onDelete: ReferenceAction;
  /** What follows the actions in its own engine: MATCH, DEFERRABLE, NOT VALID. */
  readonly suffix?: string;
  /** What follows the name in its own engine, where the table to which it refers has kept its name. */
  readonly definition?: string;
  readonly native: string;
}

export interface CheckObject { readonly name: string; readonly expression: string; /** What follows the name in its own engine. */ readonly definition?: string; readonly native: string }
export interface PartitionObject { readonly schema: string; readonly name: string; readonly parent?: string; readonly bound: string; readonly by?: string; readonly unlogged?: true; readonly options?: string }

export interface OtherObject {
  readonly kind: string;
  readonly name: string;
  readonly native: string;
  /** When its own engine makes it, by `native`; absent: it is only named. */
  readonly stage?: Exclude<ObjectStage, 'none' | 'view'>;
  /** The table, or partition, that `native` is about, and how it is spelled there: in another place it has another name. */
  readonly on?: { readonly schema: string; readonly name: string; readonly spelled: string };
  /** Settings of the session under which it was made, and is made again. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface ViewObject {
  /** What it is, if no view: `sequence`, `procedure`, … */
  readonly kind?: string;
  readonly namespace: string;
  readonly schema?: string;
  readonly name: string;
  readonly engine: string;
  readonly materialized: boolean;
  /** The query, with the names of the source. */
  readonly definition: string;
  readonly native: string;
}

export interface SchemaObjects { readonly tables: readonly TableObjects[]; readonly views: readonly ViewObject[] }

/**
 * `table`: stands from the start. Then, when all rows are there and mended: indexes, constraints, what closes (defaults,
 * comments), and last what fires, or forbids, and what is said of it.
 */
export type ObjectStage = 'table' | 'index' | 'unique' | 'check' | 'foreign-key' | 'end' | 'last' | 'view' | 'none';

/** What a destination makes of one object; with `stage: 'none'` nothing, `note` says why, and `sql` is absent. */
export interface PlannedObject {
  readonly stage: ObjectStage;
  /** `index`, `unique`, `foreign key`, `check`, `default`, `trigger`, … */
  readonly kind: string;
  /** As it is called at the destination. */
  readonly name: string;
  readonly sql?: string;
  /** A query that finds a row where the object can't be made: asked first. */
  readonly proof?: string;
  /** What is not the same, or why it is not made. */
  readonly note?: string;
  /** The object in the source's own words. */
  readonly native: string;
  readonly settings?: OtherObject['settings'];
}

/** How many letters a name may have, and among which others an index's, or a constraint's, must be the only one. */
export interface NameRules {
  readonly longest: number;
  readonly unit: 'bytes' | 'characters';
  readonly indexes: 'schema' | 'table';
  readonly constraints: 'schema' | 'table';
  /** Names that differ in letter case only are the same. */
  readonly ignoresCase: boolean;
  /** Absent: of tables and schemas too. */
  readonly tablesIgnoreCase?: boolean;
}

// --- selection and plan --------------------------------------------------

/** What is to be read: the same selection for copy, follow and verify. Patterns are globs on `Shape.namespace`. */
export interface Selection {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Views are tables, too, by what they show. */
  readonly views?: boolean;
}

/** A place inside a task, valid in its snapshot only. Opaque to all but its connector, yet plain text: people read state files. */
export type Cursor = string;
/** A place in the change log between two transactions: an LSN, a GTID set, a resume token. */
export type Position = string;

/** A part of one namespace that can be read alone, and read again, by any process that can open the snapshot. */
export interface Task {
  /** Unique in the run: `public.orders#3`. */
  readonly id: string;
  readonly namespace: string;
  /** The part, in the connector's own words; absent for the whole namespace. Edge tasks are open-ended. */
  readonly range?: string;
  readonly estimatedRows?: number;
}

/**
 * A part of one table for comparing, the same set of keys on both sides: rows whose first key column, an integer,
 * is in [from, to). Digits; an absent edge is open. Both absent: the whole table.
 */
export interface Part { readonly from?: string; readonly to?: string }

/** Some rows of one task, in the task's order (`sequence` counts from 0). Once durable, the task may go on after `cursor`. */
export interface Batch {
  readonly task: string;
  readonly namespace: string;
  readonly sequence: number;
  readonly rows: Rows;
  readonly count: number;
  /** Memory that the rows take, in bytes: what the channel counts. */
  readonly bytes: number;
  /** Absent where the source can't go on inside a task: then it is read again from its start. */
  readonly cursor?: Cursor;
  /** Rows among these that no destination is sent, because a value is none of its column's type; `count` leaves them out. */
  readonly rejected?: readonly Rejected[];
}

/** In band after a task's last batch: everything sent before it with the same task belongs together. */
export interface Barrier { readonly kind: 'task-done'; readonly task: string; readonly namespace: string; readonly sequence: number; readonly rows: number }

// --- connectors ----------------------------------------------------------

/** A kind of database. A role that it cannot play is a method that it does not have. */
export interface Connector {
  readonly name: string;
  /** URL schemes, without the colon. */
  readonly schemes: readonly string[];
  /** Connects, pins the session's settings, and fails with `unreachable`, `denied` or `usage`. */
  openSource?(url: string, options: OpenOptions): Promise<Source>;
  openDestination?(url: string, options: OpenOptions): Promise<Destination>;
  /** Makes a schema or database of that name with a table for each type that this server has, or `empty`. Fails with `denied` where it may not. */
  openScratch?(url: string, name: string, options: OpenOptions & { readonly empty: boolean }): Promise<Scratch>;
}

/** A place of dsync's own on a user's server, where types are tried; nothing else is touched. Disposing drops it with all that is in it. */
export interface Scratch extends AsyncDisposable {
  readonly name: string;
  /** Of its tables. */
  readonly schema?: string;
  /** Opens a source in which `include` selects these tables. */
  readonly url: string;
  readonly include: readonly string[];
  /** Tables or collections of one value, the column or field `v`, and of `n`, which is NULL: `id` (`_id`) counts from 1. */
  readonly tables: readonly ScratchTable[];
  /** Types of dsync's table that this server does not have. */
  readonly absent: readonly string[];
  /** Places named like this one, but for the digits, that killed processes have left here. */
  readonly left: readonly string[];
  /** Drops these. */
  sweep(signal: AbortSignal): Promise<void>;
  /** Writes the rows of all tables; what the server does not take is told. */
  fill(signal: AbortSignal): Promise<readonly ScratchRefusal[]>;
  /** Updates every row: `n` becomes 1, and the value stays. */
  touch(signal: AbortSignal): Promise<void>;
  /** Updates every row: its value becomes that of the next row, which the last one takes from the first. */
  change(signal: AbortSignal): Promise<readonly ScratchRefusal[]>;
  /** Deletes every row. */
  clear(signal: AbortSignal): Promise<void>;
}

/** What a server did not take of the values. */
export interface ScratchRefusal { readonly namespace: string; readonly value: string; readonly reason: string }

export interface ScratchTable {
  readonly namespace: string;
  /** In dsync's table of the engine's types. */
  readonly type: string;
  /** As people read it: `numeric(10,2)`, `numeric(10,2) in the key`. */
  readonly declared: string;
  /** The values of its rows in the order of their numbers, as they are written; where the column takes NULL, another row with it follows. */
  readonly values: readonly string[];
  readonly rows: number;
  /** A copy reads its rows as those of another table: only the log tells them otherwise. */
  readonly alike?: true;
}

export interface OpenOptions {
  readonly signal: AbortSignal;
  /** How many connections may be used at once for reading or writing (one more for control is fine). */
  readonly connections: number;
  /** Close a batch at about so many bytes; a single larger row is a batch of its own. */
  readonly batchBytes: number;
  /** Close a batch at so many rows at the latest. */
  readonly batchRows?: number;
  /** Heeded by a source whose log is `held` for a run. */
  readonly keeping?: LogKeeping;
}

/** What keeps a source's log for a run, where the user says so. */
export interface LogKeeping {
  /** A replication slot, and a publication, that stand already: used, never made or dropped. */
  readonly slot?: string;
  readonly publication?: string;
  /** Standbys take the slot over. Absent: where the server waits for standbys that do. */
  readonly failover?: boolean;
}

/** What the check found, with the statement that mends it. An `error` keeps the run from starting. */
export interface Finding {
  readonly level: 'info' | 'warning' | 'error';
  readonly code: string;
  readonly message: string;
  readonly remedy?: string;
  readonly namespace?: string;
  /** For an `error`: what the command exits with. Default `not-ready`. */
  readonly error?: 'not-ready' | 'refused' | 'usage' | 'denied';
}

export interface Source extends AsyncDisposable {
  readonly engine: string;
  /** `PostgreSQL 18.0`, for people. */
  readonly version: string;
  /** The schema or database that the URL names, whose tables go to the destination's default one. */
  readonly defaultSchema?: string;
  /** Which database this is, for ever: system id and database, server UUID, replica set id, path and inode. */
  identity(signal: AbortSignal): Promise<string>;
  /** Reads rights, settings, versions; changes nothing. */
  check(shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Finding[]>;
  /** All tables or collections that the selection matches, sorted by namespace; dsync's own (`_dsync…`) are never among them. */
  shapes(selection: Selection, signal: AbortSignal): Promise<readonly Shape[]>;
  /** What these tables have besides columns and keys, and the views beside them. Absent where there is nothing of the kind. */
  objects?(shapes: readonly Shape[], signal: AbortSignal): Promise<SchemaObjects>;
  /** Formats that it can emit for this mapping, best first; always ends with `values`, or `bson` for documents. */
  formats(mapping: Mapping): readonly Format[];
  /** Absent where the database keeps no log of its changes. */
  readonly log?: ChangeLog;
  /** Keeps others from writing. Absent where the database can't refuse them. */
  readonly fence?: Fence;
  /** Why there is no fence, and how the user keeps others from writing instead. */
  readonly unfenced?: { readonly why: string; readonly remedy: string };
  /** What gives values to these tables' columns by itself, and the sequences that no table uses, as they stand now. Absent where there are none. */
  sequences?(shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Sequence[]>;
  /** Freezes one moment for as many readers as `OpenOptions.connections`. `shapes` are what will be read (some engines must lock them). */
  snapshot(shapes: readonly Shape[], signal: AbortSignal): Promise<Snapshot>;
}

/** What a snapshot shows, and how long it is good: a plain object that is kept in the run's state. */
export interface Moment {
  /** Wall clock, ISO 8601. */
  readonly at: string;
  /** All readers see one moment. False where they can't (MongoDB, a MySQL that forbids the lock): only a mending verification makes the copy exact. */
  readonly exact: boolean;
  /** How that was had, for people: `exported snapshot`, `FLUSH TABLES WITH READ LOCK`, `fuzzy: …`. */
  readonly how: string;
  /** Where the change log stands at this moment, if there is one. */
  readonly position?: Position;
  /** Two moments of one source with equal fingerprints show the same data; absent where that can't be told. */
  readonly fingerprint?: string;
}

/** One moment of a source. Tasks, cursors and digests are valid in it, and nowhere else. Reads wait for a free reader. */
export interface Snapshot extends AsyncDisposable {
  readonly moment: Moment;
  /** Divides a namespace into tasks of about `taskBytes`, one at least. Reads no rows. A table without a key is one task. */
  plan(shape: Shape, options: { readonly taskBytes: number; readonly where?: string }, signal: AbortSignal): Promise<readonly Task[]>;
  /** Batches in order. Fails with `source-lost` when the snapshot is gone: never reopens it. */
  read(job: ReadJob, signal: AbortSignal): AsyncIterable<Batch>;
  /** Divides a table into parts for comparing: ranges of about `rows` rows if its first key column is an integer, else one part. Apart from the copy's tasks. */
  parts(shape: Shape, rows: number, signal: AbortSignal): Promise<readonly Part[]>;
  /**
   * The rows of a part, in any order, in normal form: cells in the order of `shape.columns`, spelled for their types.
   * The verifier's own way in: it shares no SQL and no decoder with `read`. On a destination `shape` is a `Mapping.target`.
   */
  scan(job: ScanJob, signal: AbortSignal): AsyncIterable<readonly Row[]>;
  /** Absent where the engine can't compute them. */
  readonly digests?: Digests;
}

/**
 * Digests of rows that the server computes itself, in the same moment and over the same rows as `scan`: no row leaves it.
 * Two servers come to the same digest if all cells have the same spelling (docs/normal-form.md, Digests in the servers).
 */
export interface Digests {
  /** Fails with `data` where the server can't digest some row: that part is to be scanned. */
  digest(job: DigestJob, signal: AbortSignal): Promise<PartDigest>;
  /** Milliseconds from a request that reads nothing to its answer: the median of several. */
  roundTrip(signal: AbortSignal): Promise<number>;
}

/** `forms[i]` is of `shape.columns[i]`. */
export interface DigestJob extends ScanJob { readonly forms: readonly DigestForm[] }

/** `sum`: of the first 64 bits of each row's hash, modulo 2^64. */
export interface PartDigest { readonly rows: number; readonly sum: bigint }

/** How the cells of a column are spelled in a digest: the same on both sides, whatever their types. */
export interface DigestForm {
  /**
   * - `number` (bool, int, decimal): digits, without zeros that mean nothing; true is 1
   * - `float`: the shortest decimal of the value as a double; below 1e-15, and if it is whole from 1e15 on, as `1.5e-20`
   * - `plain`: the normal form of a type that is never spelled empty or with a comma
   * - `text`: the normal form; `padded`: without the spaces at its end
   * - `bytes`: themselves
   */
  readonly as: 'number' | 'float' | 'plain' | 'text' | 'padded' | 'bytes';
  /** A text that may be long, or bytes: its own hash takes its place in the row. */
  readonly long: boolean;
}

// --- cutting over ----------------------------------------------------------

/** Refuses writes to tables of a source, by whomever, until it is lifted; dsync's own sessions of a destination pass. */
export interface Fence {
  /**
   * Returns when the server refuses every further write, and no transaction that wrote before is open. `save` has a step on
   * disk when it returns: it is called before the step is taken, and once more when it is done. Sessions that stand in the
   * way are `told`, and ended after the grace. Until the signal aborts it waits; what was done by then is for `lift`.
   */
  raise(run: string, shapes: readonly Shape[], how: { readonly graceMillis: number; readonly save: (step: FenceStep) => void; readonly told: (sessions: readonly string[]) => void }, signal: AbortSignal): Promise<FenceProof>;
  /** Undoes these steps, done or only intended; what is not there is no error. May be called again. */
  lift(run: string, steps: readonly FenceStep[], signal: AbortSignal): Promise<void>;
}

export interface FenceStep {
  /** Unique among the steps of a fence: `triggers on public.orders`. */
  readonly what: string;
  /** How it was before. */
  readonly before: string;
  readonly state: 'intent' | 'done';
}

/** `how`: what refuses the writes, for people. */
export interface FenceProof { readonly how: string; readonly ended: readonly string[] }

/** What gives values by itself: a sequence, an identity column, AUTO_INCREMENT. */
export interface Sequence {
  /** The column that takes its values; both are absent where it stands alone. */
  readonly namespace?: string;
  readonly column?: string;
  /** Its own name, where it has one. */
  readonly schema?: string;
  readonly name?: string;
  /** The value that it gives next, and what it adds for the one after that (negative: it counts down), in digits. */
  readonly next: string;
  readonly step: string;
}

/** What a destination's sequence was set to. */
export interface SequenceSet {
  /** `public.orders.id`, or a sequence's own name. */
  readonly of: string;
  /** `automatic`: the database takes the largest key and one by itself. `missing`: there is nothing to set. `exhausted`: its last value is taken. */
  readonly state: 'set' | 'automatic' | 'missing' | 'exhausted';
  /** What it gives next, in digits. */
  readonly next?: string;
  /** The statement that makes what is missing. */
  readonly remedy?: string;
}

// --- the change log --------------------------------------------------------

/**
 * What is made in the source so that it keeps its log for a run (a replication slot and a publication), named before it is
 * made: nothing is orphaned by a crash in between. Plain data, kept in the run's state.
 */
export interface Pin {
  readonly names: readonly string[];
  /** T0: where the log is followed from. Absent until it is made. */
  readonly position?: Position;
}

/**
 * The change log of a source. Positions are those of one source (`Source.identity`), and never inside a transaction.
 * A method fails with `history-lost` where the log no longer reaches back so far: never a silent gap.
 */
export interface ChangeLog {
  /** The server keeps its log for a run until that confirms it, at the price of disk space. Absent: for as long as its own settings say. */
  readonly held?: true;
  /**
   * Every change is a whole row, or a delete, by key: applied again, or to rows read at any time after it, they end the same.
   * A copy of no single moment then becomes the source when what follows its moment's position is applied. `pin` may give
   * such a moment (`exact: false`), which every reader sees, or a later state. Absent: a moment is exact, or refused.
   */
  readonly byKey?: boolean;
  /** Rights, settings and replica identities that following these tables needs, with the statements that mend them; changes nothing. */
  check(shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Finding[]>;
  /**
   * Makes the source keep its log for this run, and freezes the very moment at which it begins: `moment.position` is exactly
   * what the snapshot shows. `save` has the pin on disk when it returns: it is called before anything is made, and once more
   * with the position. Called again for a run whose pin stands, it freezes a later moment, whose position is exact as well;
   * tables among `shapes` that are new to the run are in the log from then on.
   */
  pin(run: string, shapes: readonly Shape[], save: (pin: Pin) => void, signal: AbortSignal): Promise<Snapshot>;
  /**
   * Makes the source keep its log from this position on, for a run whose tables were copied by other means; `save` as in
   * `pin`. Fails with `usage` where that is no position of this log. Absent where a run can only begin with its own copy.
   */
  adopt?(run: string, shapes: readonly Shape[], from: Position, save: (pin: Pin) => void, signal: AbortSignal): Promise<void>;
  /**
   * Yields what happens to these tables after `from`, in the order of commits, until aborted (then it ends by throwing the
   * signal's reason). A table's shape comes before its first row and whenever it changes; rows are as wide as the latest
   * shape. The caller's slowness holds the server back, or is buffered within `bytes`, and never ends the stream.
   */
  follow(job: FollowJob, signal: AbortSignal): AsyncIterable<LogMessage>;
  /** Where the log ends now. */
  head(signal: AbortSignal): Promise<Position>;
  /** Is `position` at or after `goal`? */
  reached(position: Position, goal: Position): boolean;
  /**
   * Is this server, which is not the one that `identity` names, its successor: with all that the other had in its log up to
   * `position`, and what follows? Absent where that can't be proven. `at`: when the last transaction before it was committed.
   */
  succeeds?(identity: string, position: Position, at: number | undefined, signal: AbortSignal): Promise<boolean>;
  /** Bytes of log between a position and its end, other programs' included; undefined where it can't be told. */
  distance?(position: Position, signal: AbortSignal): Promise<number | undefined>;
  /** The log before `position` may go: called only when the state store has it on disk. Takes effect soon, not at once. */
  confirm(position: Position): void;
  /** How much of the log is kept from `position` on (where it is held, because of this run), and for how long that stays; what is unknown is absent. */
  retention(run: string, position: Position, signal: AbortSignal): Promise<Retention>;
  /** The log as it is now: two looks tell how fast it grows. Absent where nothing can be told. */
  look?(signal: AbortSignal): Promise<LogLook>;
  /** Removes what `pin` made. May be called again; what is not there is no error. */
  unpin(run: string, signal: AbortSignal): Promise<void>;
}

export interface Retention {
  readonly bytes?: number;
  readonly secondsLeft?: number;
  /** `secondsLeft` supposes that the log grows as it did between the last two calls, or that what can't be seen is as bad as it may be. */
  readonly estimated?: boolean;
}

/** What a server tells of its log, apart from any run. */
export interface LogLook {
  /** All that was ever written to it, in bytes, from a beginning that stays the same for a while. */
  readonly written: number;
  /** The most that is kept for a run that lags; absent: no limit but the disk. */
  readonly mostBytes?: number;
  /** How long it is kept, whether it was read or not. */
  readonly keptSeconds?: number;
  /** What open transactions hold back already, as people read it, with what ends them. */
  readonly heldBack: readonly Finding[];
  /** What dsync's own snapshot will hold back as long as it is open. */
  readonly snapshotHolds: string;
  /** The statement that lets the server keep more of it. */
  readonly lengthen?: string;
}

export interface FollowJob {
  readonly run: string;
  /** The chosen tables, as the checkpoint knows them: a table that has another shape by now is announced with the new one. */
  readonly shapes: readonly Shape[];
  readonly from: LogPlace;
  /** About the size at which a message of changes is closed. */
  readonly bytes: number;
  /** Tables that are made meanwhile are to be told of, where the log tells of them. */
  readonly newTables?: boolean;
  /** Tables, by namespace, that are further than `from`: what happened to them up to this position, their shapes too, is left out (and counted in places). */
  readonly since?: ReadonlyMap<string, Position>;
}

/**
 * A place in the log that may be inside a large transaction: after the transaction that ends at `position`, and after the
 * first `changes` changes of the next one, counted over the chosen tables. The log is read again from `position`.
 */
export interface LogPlace { readonly position: Position; readonly changes: number }

export type LogMessage =
  /**
   * The rows of this table that follow are so. `changed`: it is not the shape that the job named, or the last one announced.
   * `other`: it is another table under this name from here on, and this is what became of the old one (`was dropped`).
   */
  | { readonly kind: 'shape'; readonly shape: Shape; readonly changed: boolean; readonly other?: string }
  | LogChanges
  /** Nothing of ours happened up to here. `created`: a table is made next, which may be chosen (where the job asks for it). */
  | { readonly kind: 'position'; readonly place: LogPlace; readonly at: number; readonly created?: true };

/** Changes of one or more transactions, or a piece of a large one, in order. */
export interface LogChanges {
  readonly kind: 'changes';
  readonly changes: readonly Change[];
  /** After the last of them. */
  readonly place: LogPlace;
  /** Memory that they take, in bytes. */
  readonly bytes: number;
  /** When the last transaction was committed, by the source's clock: milliseconds since 1970. */
  readonly at: number;
  /** Rows that no destination is sent, because a value can't become what the user wants of its column. */
  readonly rejected?: readonly Rejected[];
}

/**
 * One change. `row` is as wide as the shape that was announced last; a cell is `undefined` where the log does not repeat it
 * (an unchanged TOASTed value): the destination keeps what it has. `before` has the key's cells, or all where the table
 * has no key; all other cells are undefined. An update whose key did not change may come without it.
 */
export type Change =
  | { readonly kind: 'insert'; readonly namespace: string; readonly row: Row }
  | { readonly kind: 'update'; readonly namespace: string; readonly before?: LogRow; readonly row: LogRow }
  | { readonly kind: 'delete'; readonly namespace: string; readonly before: LogRow }
  | { readonly kind: 'truncate'; readonly namespace: string };

export type LogRow = readonly (Value | undefined)[];

/** All that a reader needs: plain data, so that any process may run it. */
export interface ReadJob {
  readonly task: Task;
  readonly shape: Shape;
  readonly format: Format;
  /** The source's own filter language: an SQL condition, or a MongoDB filter as Extended JSON. */
  readonly where?: string;
  /** Go on after this place (of an earlier snapshot, too: the caller upserts then). */
  readonly after?: Cursor;
  /** The first batch's number. */
  readonly sequence: number;
}

export interface ScanJob { readonly shape: Shape; readonly part: Part; readonly where?: string }

/** What the destination itself remembers of one batch, or of a task's end, written in the same transaction as the rows. */
export interface ProgressRow {
  readonly task: string;
  readonly sequence: number;
  readonly cursor?: Cursor;
  readonly rows: number;
  readonly done: boolean;
}

export interface Rejected {
  readonly namespace: string;
  /** In normal form of `Mapping.source`. */
  readonly row: Row;
  /** The log did not tell all of its cells: those are null here. */
  readonly partial?: true;
  readonly reason: string;
  /** Whose value it is, where that is known. */
  readonly column?: string;
}

/** What becomes of rows that the destination already holds. `reconcile` and `mirror` are reserved. */
export type Existing = 'refuse' | 'append' | 'merge' | 'replace';

/** `rejected`: on the last way to the place; absent where nothing was. */
export interface LanePlace extends LogPlace { readonly rejected?: readonly Rejected[] }

/** What one lane is to apply next. */
export interface LaneWork {
  readonly lane: number;
  /** The lane has applied everything of its own up to here, once this is done. */
  readonly place: LogPlace;
  readonly tables: readonly { readonly mapping: Mapping; readonly changes: readonly Change[] }[];
}

export interface WriteOptions {
  /** Some rows may be there already: upsert by key (a new snapshot, or `merge`). */
  readonly overwrite: boolean;
  /** This very batch was sent before and its fate is unknown: look for its progress row first. */
  readonly redo: boolean;
}

export interface Destination extends AsyncDisposable {
  readonly engine: string;
  readonly version: string;
  readonly defaultSchema?: string;
  identity(signal: AbortSignal): Promise<string>;
  /** Rights, settings, free space, limits; changes nothing. */
  check(mappings: readonly Mapping[], signal: AbortSignal): Promise<readonly Finding[]>;
  /**
   * The table that will take the rows of `source`: the one that stands there, if it fits, or the one that `prepare` would make.
   * Fails with `refused` where an existing table does not fit or a type has no counterpart; the message names each column.
   * `objects`: what a table that is made gets besides; columns that it computes by itself are then left out of the mapping.
   */
  adapt(source: Shape, target: Target, signal: AbortSignal, objects?: TableObjects): Promise<Mapping>;
  /** What a column of this type, in the engine's own spelling, holds, and how the catalogue spells it; undefined for one that is not known. Asks nobody. */
  typeOf?(spelling: string): Pick<Column, 'type' | 'native'> | undefined;
  /** The mappings with columns whose types its foreign keys can tie together; absent where those of any types can be. Looks at nothing. */
  tied?(mappings: readonly Mapping[]): readonly Mapping[];
  /** Does the target hold any row? */
  holdsRows(target: Shape, signal: AbortSignal): Promise<boolean>;
  /** Formats that `write` takes for this mapping, best first. */
  formats(mapping: Mapping): readonly Format[];
  /**
   * Makes the place for progress (`_dsync`) and the run's own mark in it, and takes the run for this process: the mark's
   * epoch grows, writes of an earlier process that are still under way are waited for, and later ones of it fail with `busy`.
   */
  begin(run: string, signal: AbortSignal): Promise<void>;
  /** All progress of a run; undefined if the run's mark is not there: the destination was emptied or replaced, or never began. */
  progress(run: string, signal: AbortSignal): Promise<readonly ProgressRow[] | undefined>;
  /**
   * Creates the bare table, or the staging table of a keyless one, unless it stands. May be called again.
   * `empty`: this namespace starts anew: the progress of `tasks` goes, and so do the rows of the staging table or, where
   * the mapping is not staged, of the target. `keyed`: upserts will follow, so the key must stand before the first of them.
   */
  prepare(run: string, mapping: Mapping, options: { readonly empty: boolean; readonly keyed: boolean; readonly tasks: readonly Task[] }, signal: AbortSignal): Promise<void>;
  /** Resolves once the batch and its progress row are durable, whole. */
  write(run: string, batch: Batch, mapping: Mapping, options: WriteOptions, signal: AbortSignal): Promise<{ readonly written: number; readonly rejected: readonly Rejected[] }>;
  /** Every batch before the barrier is durable: keeps one `done` row in place of the batches' rows. */
  taskDone(run: string, barrier: Barrier, signal: AbortSignal): Promise<void>;
  /**
   * Builds the key, analyses; swaps a staging table in, if one stands. May be called again; what stands is kept.
   * `keepRows`: a swap adds to the rows of the target (`append`) instead of taking their place.
   */
  finish(run: string, mapping: Mapping, options: { readonly keepRows: boolean }, signal: AbortSignal): Promise<readonly Finding[]>;
  /** Makes the target's rows equal to these: upserts by key, deletes by key (key cells only, in key order). For mending after the copy. */
  mend(run: string, mapping: Mapping, changes: { readonly upserts: readonly Row[]; readonly deletes: readonly Row[] }, signal: AbortSignal): Promise<{ readonly rejected: readonly Rejected[] }>;
  /**
   * Applies changes of one lane in order, and keeps the lane's place, in one transaction; resolves once that is durable.
   * `changes` of tables with a key may be folded by key (`folded`); rows that can't be held are rejected, the others applied.
   * Absent where changes can't be applied.
   */
  apply?(run: string, work: LaneWork, signal: AbortSignal): Promise<{ readonly rejected: readonly Rejected[] }>;
  /**
   * Those of these standing tables whose rows have nothing to do with each other, by namespace: no unique index besides the key, no
   * foreign key from or to them, no trigger, no rule. Changes of different keys may be applied to them in any order. Absent where that
   * can't be told.
   */
  independent?(targets: readonly Shape[], signal: AbortSignal): Promise<readonly string[]>;
  /** `apply` takes tables with a key only: without transactions the changes of others could come twice. */
  readonly appliesByKey?: boolean;
  /** The place of each lane, as it was committed, with what was rejected on the last way to it; empty before the first. */
  lanes?(run: string, signal: AbortSignal): Promise<ReadonlyMap<number, LanePlace>>;
  /**
   * Makes in the target what was made in the source: its mapping's columns become those of `source`. Adds, drops and widens columns, and
   * returns the new mapping. What is so already is left: it may be called again, whatever became of an earlier call. Fails with
   * `refused`, before anything is changed, naming what it can't do. Absent where a table has no columns to alter.
   */
  alter?(run: string, mapping: Mapping, source: Shape, signal: AbortSignal): Promise<Mapping>;
  /**
   * Sets what gives values to the columns of these tables to the larger of the source's next value and what follows the
   * largest key, and the sequences that stand alone. Absent where the database has nothing of the kind.
   */
  setSequences?(mappings: readonly Mapping[], sequences: readonly Sequence[], signal: AbortSignal): Promise<readonly SequenceSet[]>;
  /** Names that tables, indexes and constraints may have; absent with `objects`. */
  readonly names?: NameRules;
  /**
   * What becomes of the objects of a mapping's table, in the order in which they are made. Looks at nothing. Absent where
   * only tables are made.
   */
  objects?(mapping: Mapping): readonly PlannedObject[];
  /** What becomes of a view; the run's mappings tell where its tables went. */
  view?(view: ViewObject, target: Target, mappings: readonly Mapping[]): PlannedObject;
  /** The statements that make the bare table, for people. */
  createStatements?(mapping: Mapping): readonly string[];
  /**
   * Makes what does not stand yet of these, one after the other. What the server refuses is told as a finding with the
   * statement, and the others are made. `mapping` is absent for views.
   */
  build?(run: string, mapping: Mapping | undefined, objects: readonly PlannedObject[], signal: AbortSignal): Promise<readonly Finding[]>;
  /** Takes away those of these constraints that an interrupted process has made: rows are to be mended first. */
  release?(run: string, mapping: Mapping, objects: readonly PlannedObject[], signal: AbortSignal): Promise<void>;
  /** The objects of tables that stand here, as `Source.objects` tells them. */
  standing?(shapes: readonly Shape[], signal: AbortSignal): Promise<readonly TableObjects[]>;
  /** Removes all that dsync keeps here for a run, staging tables of `mappings` included, and `_dsync` with the last one. */
  forget(run: string, mappings: readonly Mapping[], signal: AbortSignal): Promise<void>;
}

// --- events --------------------------------------------------------------

export type Phase = 'check' | 'plan' | 'copy' | 'finish' | 'verify' | 'follow' | 'done';

/** What happens in a run, in order. Progress, logs and JSON all render this one stream. */
export type Event =
  | { readonly kind: 'run'; readonly run: string; readonly flow: string; readonly resumed: boolean }
  | { readonly kind: 'phase'; readonly phase: Phase }
  | { readonly kind: 'finding'; readonly end: 'source' | 'destination'; readonly finding: Finding }
  /** What the ends agreed on for a namespace. */
  | { readonly kind: 'agreed'; readonly namespace: string; readonly target: string; readonly format: Format; readonly sent: Format; readonly staged: boolean; readonly losses: readonly string[] }
  | { readonly kind: 'moment'; readonly moment: Moment; readonly number: number }
  /** `tasks` are those that are left; `copiedRows` are there already, from an earlier process; the estimates are of the whole table. */
  | { readonly kind: 'planned'; readonly namespace: string; readonly tasks: number; readonly copiedRows: number; readonly estimatedRows?: number; readonly estimatedBytes?: number }
  /** More rows are durable in the destination. `seconds` is what the write took. */
  | { readonly kind: 'written'; readonly namespace: string; readonly task: string; readonly rows: number; readonly bytes: number; readonly seconds: number }
  | { readonly kind: 'task-done'; readonly namespace: string; readonly task: string; readonly rows: number }
  /** `count`: of all processes of the run. */
  | { readonly kind: 'rejected'; readonly rejected: Rejected; readonly count: number }
  /** So many values of a column that can't be kept became NULL (`--on-bad-value`). */
  | { readonly kind: 'nulled'; readonly namespace: string; readonly column: string; readonly count: number }
  | { readonly kind: 'retry'; readonly end: 'source' | 'destination'; readonly attempt: number; readonly waitSeconds: number; readonly error: string }
  | { readonly kind: 'finished'; readonly namespace: string }
  | { readonly kind: 'compared'; readonly namespace: string; readonly parts: number; readonly of: number; readonly rows: number }
  | { readonly kind: 'mended'; readonly namespace: string; readonly upserted: number; readonly deleted: number; readonly recopied: boolean }
  | { readonly kind: 'verified'; readonly verification: NamespaceVerification }
  /** The log is applied up to here, by so many changes in this process. `behindSeconds` is absent while it is unknown. */
  | { readonly kind: 'followed'; readonly changes: number; readonly place: LogPlace; readonly behindSeconds?: number; readonly behindBytes?: number }
  /** This table is no longer followed as the others are, and why; without `table`: it is again. */
  | { readonly kind: 'table'; readonly namespace: string; readonly table?: TableState }
  /** What a cutover does now, for people. */
  | { readonly kind: 'cutover'; readonly doing: string };

export type Emit = (event: Event) => void;

// --- verification ----------------------------------------------------------

/** One row that is not the same on both sides. */
export interface Difference {
  readonly kind: 'missing' | 'extra' | 'changed';
  /** The key as text, `id=7` or `a=1, b="x"`; for a table without a key the whole row. */
  readonly key: string;
  /** Only the columns that differ, for `changed`. */
  readonly columns?: readonly { readonly name: string; readonly source: string; readonly destination: string }[];
}

export interface NamespaceVerification {
  readonly namespace: string;
  readonly target: string;
  /** `not-comparable`: one moment could not be had, or the destination can't be read. Never "equal", never "different". */
  readonly result: 'equal' | 'different' | 'not-comparable';
  readonly reason?: string;
  readonly sourceRows: number;
  readonly destinationRows: number;
  /** Hex, the additive digest of each side; equal when `result` is. */
  readonly sourceDigest: string;
  readonly destinationDigest: string;
  readonly missing: number;
  readonly extra: number;
  readonly changed: number;
  /** Rows that were rejected by the copy: expected to be missing. */
  readonly rejected: number;
  /** The first of them, in key order where there is one. */
  readonly differences: readonly Difference[];
  /** How it was compared; absent where nothing was. */
  readonly compared?: Compared;
  readonly seconds: number;
}

/**
 * `digests`: by digests that both servers computed themselves; of the `parts`, the `read` ones differed (or a server could
 * not digest them) and were read. `rows`: every row of both sides was read. `reason`: why so.
 */
export interface Compared { readonly by: 'digests' | 'rows'; readonly reason: string; readonly parts: number; readonly read: number }

/** How tables are to be compared; `auto`: by digests where an end is far, by rows where both are near. */
export type VerifyWith = 'auto' | 'rows' | 'digests';

/** What is kept of a part that was found equal. */
export interface ComparedPart { readonly rows: number; readonly digest: string; readonly rejected: number }

// --- state -----------------------------------------------------------------

/** What a run remembers on this machine. The destination's progress outranks it. */
export interface RunState {
  readonly run: string;
  /** Identifies (source, destination, selection, filters); one process at a time works on a flow. */
  readonly flow: string;
  readonly status: 'running' | 'interrupted' | 'failed' | 'done';
  readonly phase: Phase;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly updatedAt: string;
  /** The parsed configuration with URLs without passwords (`${NAME}` kept as written): what `resume` goes on with. */
  readonly config: unknown;
  readonly sourceIdentity: string;
  readonly destinationIdentity: string;
  readonly mappings: readonly Mapping[];
  readonly tasks: readonly Task[];
  /** T0 and, after an interruption, the later moments at which the rest was read. */
  readonly moments: readonly Moment[];
  /** Of a live run: what keeps the source's log, and how far it is applied. The destination's own lanes outrank the place. */
  readonly log?: RunLog;
  /** The report of the last end, for `dsync runs`. */
  readonly summary?: unknown;
}

/** By namespace, where there is something to say; in an update null takes one out. */
export interface RunLog {
  readonly pin?: Pin;
  readonly place?: LogPlace;
  /** When the last transaction before this position was committed, by the source's clock: milliseconds since 1970. */
  readonly committed?: { readonly position: Position; readonly at: number };
  /** Tables that are not followed as the others are. */
  readonly tables?: Readonly<Record<string, TableState | null>>;
  /** Shapes before whose first row the run has stopped: it goes on with them once the destination fits. */
  readonly stops?: Readonly<Record<string, string | null>>;
  /** The shape of a table in the log, where it is not its mapping's: some of its columns are not taken. */
  readonly shapes?: Readonly<Record<string, Shape | null>>;
  readonly cutover?: Cutover;
}

/**
 * - `paused`: its changes are passed over, by the user's wish or because they can't be applied (`failed`)
 * - `resync`: its changes are passed over until it is made equal to the source anew
 *   (`fresh`, of both: it was never copied)
 * - `since`: it is equal to the source as of this position: what happened before is passed over
 */
export type TableState =
  | { readonly state: 'paused'; readonly why?: string; readonly failed?: boolean; readonly fresh?: boolean }
  | { readonly state: 'resync'; readonly why?: string; readonly fresh?: boolean }
  | { readonly state: 'since'; readonly position: Position };

/** What a cutover has done so far: what is undone if it does not come to its end. */
export interface Cutover {
  /** Of the request that it answers. */
  readonly token: string;
  readonly stage: 'begun' | 'undone' | 'done';
  /** Of the fence that stands, or may stand in part. */
  readonly steps: readonly FenceStep[];
  /** The run that follows the new database into the old one, from the moment in which it is made. */
  readonly wayBack?: string;
  /** Once it is done. */
  readonly report?: unknown;
}

/** What a process asks of the one that has the run, and what came of it. `answer` is absent until then. */
export interface RunRequest {
  readonly number: number;
  readonly kind: string;
  readonly detail: unknown;
  readonly answer?: { readonly error?: { readonly code: string; readonly message: string; readonly remedy?: string }; readonly result?: unknown };
}

/** The process that works on a flow; empty in the moment in which it has only just begun. */
export interface Holder { readonly pid?: number; readonly host?: string; readonly since?: string }

/** A method that returns has its data on disk. Fails with `state` (disk full, damaged, made by a newer dsync). */
export interface StateStore extends AsyncDisposable {
  /** Takes the flow for this process, or fails with `busy` and says which process has it; a dead process holds nothing. */
  lock(flow: string): Promise<AsyncDisposable>;
  /** Which process has the flow, or undefined if none has; never in the way of one that takes it. */
  holder(flow: string): Holder | undefined;
  save(state: RunState): void;
  update(run: string, change: Partial<Pick<RunState, 'status' | 'phase' | 'config' | 'mappings' | 'tasks' | 'moments' | 'log' | 'summary'>>): void;
  load(run: string): RunState | undefined;
  /** Newest first. */
  list(): readonly RunState[];
  remove(run: string): void;
  /** Remembers that a task's first batch was sent in a moment (its number), before it is. */
  begun(run: string, task: string, moment: number): void;
  /** The tasks that were begun, with the number of the latest moment. */
  allBegun(run: string): ReadonlyMap<string, number>;
  /** Remembers a part that was found equal in a moment with this fingerprint: while the source is the same it need not be compared again. */
  compared(run: string, fingerprint: string, namespace: string, part: Part, found: ComparedPart): void;
  /** What was remembered of the parts under this fingerprint. */
  allCompared(run: string, fingerprint: string): (namespace: string, part: Part) => ComparedPart | undefined;
  /** Leaves a request for the process that has the run; returns its number. */
  ask(run: string, kind: string, detail: unknown): number;
  /** The requests that wait for an answer, oldest first. */
  asked(run: string): readonly RunRequest[];
  answer(run: string, number: number, answer: NonNullable<RunRequest['answer']>): void;
  /** The request with its answer, if there is one; undefined once the run is removed. */
  request(run: string, number: number): RunRequest | undefined;
  /** Keeps what the process that has the run last told of itself, for those who look on (JSON). */
  tell(run: string, vitals: unknown): void;
  /** What was told last, and when (ISO 8601). */
  told(run: string): { readonly at: string; readonly vitals: unknown } | undefined;
  /**
   * Keeps rejected rows in the run's reject file (NDJSON, docs/rejects.md), on disk when it returns; a row with a key takes the
   * place of the line that its key has there. Returns how many rows the file has then.
   */
  reject(run: string, rejected: readonly RejectLine[]): number;
  /** Keys (as in `Difference.key`) of a namespace's rejected rows, how many rows that are, and the file's path. */
  rejects(run: string): { readonly path: string; readonly count: number; readonly keys: ReadonlyMap<string, ReadonlySet<string>> };
  /** The lines of the run's reject file, or of another one: the last of each key, with its number in the file. Fails with `usage` where one can't be read. */
  rejectLines(run: string, file?: string): readonly NumberedReject[];
  /** Those of these lines, all with a position, that the run's file never had. */
  untoldRejects(run: string, lines: readonly RejectLine[]): readonly RejectLine[];
  /** The rows of this namespace are rejected anew, if at all: its lines go. */
  unreject(run: string, namespace: string): void;
  /** Ends a replay: done lines go from the run's file to `RUN.replayed.ndjson` beside it, the others get their new reasons. Once, however often it is called. */
  endReplay(run: string, id: string, outcomes: readonly ReplayOutcome[]): void;
  /** The lines that replays have taken out of the run's file. */
  replayed(run: string): readonly RejectLine[];
  /** Remembers, on disk, rows without a key that are about to be written again, until `endReplay`: nothing tells afterwards which of them were. */
  keepReplay(run: string, plan: ReplayPlan): void;
  keptReplay(run: string): ReplayPlan | undefined;
}

/** A rejected row as a line of the reject file. */
export interface RejectLine {
  readonly version: 2;
  readonly namespace: string;
  readonly key: string;
  /** The table has no key: every line is a row of its own. */
  readonly keyless?: true;
  /** The log did not tell all of its cells: those are null. */
  readonly partial?: true;
  readonly reason: string;
  /** Where in the log the change stands that was rejected. */
  readonly position?: string;
  /** Of the row as it was rejected: tells whether it was edited since. */
  readonly digest: string;
  /** As `tellRow` spells it. */
  readonly row: Readonly<Record<string, unknown>>;
}

export interface NumberedReject { readonly number: number; readonly line: RejectLine }

/** `written`, `there` already, or `gone` from the source; else the reason why the row is still rejected. */
export interface ReplayOutcome { readonly line: RejectLine; readonly done?: 'written' | 'there' | 'gone'; readonly reason?: string }

/** The batches of rows without a key that a replay writes, in their order. */
export interface ReplayPlan { readonly id: string; readonly lines: readonly RejectLine[] }
