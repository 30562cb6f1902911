import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import Database from 'libsql';
import type { ComparedPart, Holder, Moment, Mapping, Part, Phase, RejectLine, ReplayOutcome, ReplayPlan, RunLog, RunRequest, RunState, StateStore, Task } from '../contract.js';
import { DsyncError } from '../errors.js';
import { guarded } from './failures.js';
import { holderOf, takeLock } from './lock.js';
import { RejectFile } from './rejectfile.js';
import { readRejects } from './rejects.js';
import { toJson } from './json.js';

const format = 3;

/** What format 3 brought: requests of other processes, and what a run tells of itself. */
const correspondence = `
  CREATE TABLE requests (number INTEGER PRIMARY KEY, run TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, answer TEXT);
  CREATE TABLE vitals (run TEXT PRIMARY KEY, at TEXT NOT NULL, told TEXT NOT NULL);
`;

const schema = `
  CREATE TABLE runs (
    run TEXT PRIMARY KEY, flow TEXT NOT NULL, status TEXT NOT NULL, phase TEXT NOT NULL,
    started_at TEXT NOT NULL, updated_at TEXT NOT NULL, config TEXT NOT NULL,
    source_identity TEXT NOT NULL, destination_identity TEXT NOT NULL,
    mappings TEXT NOT NULL, tasks TEXT NOT NULL, moments TEXT NOT NULL, log TEXT, summary TEXT
  );
  CREATE TABLE begun (run TEXT NOT NULL, task TEXT NOT NULL, moment INTEGER NOT NULL, PRIMARY KEY (run, task)) WITHOUT ROWID;
  CREATE TABLE compared (run TEXT NOT NULL, fingerprint TEXT NOT NULL, namespace TEXT NOT NULL, part TEXT NOT NULL, found TEXT NOT NULL, PRIMARY KEY (run, fingerprint, namespace, part)) WITHOUT ROWID;
  ${correspondence}
  PRAGMA user_version = ${format};
`;

/** `$XDG_STATE_HOME/dsync`, or `~/.local/state/dsync`. A relative XDG_STATE_HOME is invalid and ignored, as its standard says. */
export function defaultFolder(env: Readonly<Record<string, string | undefined>>): string {
  const base = env.XDG_STATE_HOME?.startsWith('/') ? env.XDG_STATE_HOME : join(env.HOME || homedir(), '.local', 'state');
  return join(base, 'dsync');
}

/**
 * Opens the state in a folder, which is made (for its owner only) if it isn't there. Several processes may have it open.
 * Fails with `state`; the message names the folder. What `scrub` blots out is not stored in a run's summary, which may repeat
 * what a driver said.
 */
export function openStore(folder: string, scrub: (text: string) => string = (text) => text): StateStore & { readonly folder: string } {
  return new SqliteStore(resolve(folder), scrub);
}

class SqliteStore implements StateStore {
  readonly folder: string;
  readonly #db: Database.Database;
  readonly #scrub: (text: string) => string;
  readonly #held = new Set<AsyncDisposable>();
  readonly #rejectFiles = new Map<string, RejectFile>();

  constructor(folder: string, scrub: (text: string) => string) {
    this.folder = folder;
    this.#scrub = scrub;
    this.#db = guarded(folder, () => openDatabase(folder));
  }

  async lock(flow: string): Promise<AsyncDisposable> {
    const taken = guarded(this.folder, () => takeLock(join(this.folder, 'locks'), flow));
    const held = { [Symbol.asyncDispose]: async () => { if (this.#held.delete(held)) taken.release(); } };
    this.#held.add(held);
    return held;
  }

  holder(flow: string): Holder | undefined {
    return guarded(this.folder, () => holderOf(join(this.folder, 'locks'), flow));
  }

  save(state: RunState): void {
    this.#run(
      `INSERT OR REPLACE INTO runs (run, flow, status, phase, started_at, updated_at, config, source_identity, destination_identity,
         mappings, tasks, moments, log, summary) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      state.run, state.flow, state.status, state.phase, state.startedAt, state.updatedAt, toJson(state.config ?? null),
      state.sourceIdentity, state.destinationIdentity, toJson(state.mappings), toJson(state.tasks), toJson(state.moments), optional(state.log), this.#summary(state.summary),
    );
  }

  update(run: string, change: Parameters<StateStore['update']>[1]): void {
    const { changes } = this.#run(
      `UPDATE runs SET updated_at = ?, status = coalesce(?, status), phase = coalesce(?, phase), config = coalesce(?, config), mappings = coalesce(?, mappings),
         tasks = coalesce(?, tasks), moments = coalesce(?, moments), log = coalesce(json_patch(coalesce(log, '{}'), ?), log), summary = coalesce(?, summary) WHERE run = ?`,
      new Date().toISOString(), change.status ?? null, change.phase ?? null, optional(change.config), optional(change.mappings),
      optional(change.tasks), optional(change.moments), optional(change.log), this.#summary(change.summary), run,
    );
    if (changes === 0) throw new DsyncError('state', `the run ${run} is no longer in the state folder ${this.folder}`);
  }

  load(run: string): RunState | undefined {
    return this.#rows<StoredRun>('SELECT * FROM runs WHERE run = ?', run).map(restored)[0];
  }

  list(): readonly RunState[] {
    return this.#rows<StoredRun>('SELECT * FROM runs ORDER BY started_at DESC, rowid DESC').map(restored);
  }

  remove(run: string): void {
    guarded(this.folder, () => {
      this.#db.transaction(() => {
        for (const table of ['begun', 'compared', 'requests', 'vitals', 'runs']) this.#db.prepare(`DELETE FROM ${table} WHERE run = ?`).run(run);
      }).immediate();
    });
    this.#rejectsOf(run, (file) => file.remove());
    this.#rejectFiles.delete(run);
  }

  begun(run: string, task: string, moment: number): void {
    this.#run('INSERT OR REPLACE INTO begun (run, task, moment) VALUES (?, ?, ?)', run, task, moment);
  }

  allBegun(run: string): ReadonlyMap<string, number> {
    return new Map(this.#rows<{ task: string; moment: number }>('SELECT task, moment FROM begun WHERE run = ?', run).map(({ task, moment }) => [task, moment]));
  }

  compared(run: string, fingerprint: string, namespace: string, part: Part, found: ComparedPart): void {
    this.#run('INSERT OR REPLACE INTO compared (run, fingerprint, namespace, part, found) VALUES (?, ?, ?, ?, ?)', run, fingerprint, namespace, partText(part), toJson(found));
  }

  allCompared(run: string, fingerprint: string): ReturnType<StateStore['allCompared']> {
    const rows = this.#rows<{ namespace: string; part: string; found: string }>('SELECT namespace, part, found FROM compared WHERE run = ? AND fingerprint = ?', run, fingerprint);
    const found = new Map(rows.map((row) => [`${row.namespace}\n${row.part}`, JSON.parse(row.found) as ComparedPart]));
    return (namespace, part) => found.get(`${namespace}\n${partText(part)}`);
  }

  ask(run: string, kind: string, detail: unknown): number {
    return Number(this.#run('INSERT INTO requests (run, kind, detail) VALUES (?, ?, ?)', run, kind, toJson(detail ?? null)).lastInsertRowid);
  }

  asked(run: string): readonly RunRequest[] {
    return this.#rows<StoredRequest>('SELECT * FROM requests WHERE run = ? AND answer IS NULL ORDER BY number', run).map(requestOf);
  }

  answer(run: string, number: number, answer: NonNullable<RunRequest['answer']>): void {
    this.#run('UPDATE requests SET answer = ? WHERE run = ? AND number = ?', this.#scrub(toJson(answer)), run, number);
  }

  request(run: string, number: number): RunRequest | undefined {
    return this.#rows<StoredRequest>('SELECT * FROM requests WHERE run = ? AND number = ?', run, number).map(requestOf)[0];
  }

  tell(run: string, vitals: unknown): void {
    this.#run('INSERT OR REPLACE INTO vitals (run, at, told) VALUES (?, ?, ?)', run, new Date().toISOString(), this.#scrub(toJson(vitals)));
  }

  told(run: string): ReturnType<StateStore['told']> {
    return this.#rows<{ at: string; told: string }>('SELECT at, told FROM vitals WHERE run = ?', run).map(({ at, told }) => ({ at, vitals: JSON.parse(told) as unknown }))[0];
  }

  reject(run: string, rejected: readonly RejectLine[]): number {
    return this.#rejectsOf(run, (file) => {
      file.append(rejected);
      return file.count;
    });
  }

  rejects(run: string): ReturnType<StateStore['rejects']> {
    return this.#rejectsOf(run, ({ path, count, keys }) => ({ path, count, keys }));
  }

  rejectLines(run: string, file?: string): ReturnType<StateStore['rejectLines']> {
    if (file !== undefined && !existsSync(file)) throw new DsyncError('usage', `there is no file ${file}`);
    return this.#rejectsOf(run, ({ path }) => readRejects(file ?? path));
  }

  untoldRejects(run: string, lines: readonly RejectLine[]): readonly RejectLine[] {
    return this.#rejectsOf(run, (file) => file.untold(lines));
  }

  unreject(run: string, namespace: string): void {
    this.#rejectsOf(run, (file) => file.drop(namespace));
  }

  endReplay(run: string, id: string, outcomes: readonly ReplayOutcome[]): void {
    this.#rejectsOf(run, (file) => file.endReplay(id, outcomes));
  }

  replayed(run: string): readonly RejectLine[] {
    return this.#rejectsOf(run, (file) => file.replayed());
  }

  keepReplay(run: string, plan: ReplayPlan): void {
    this.#rejectsOf(run, (file) => file.keepPlan(plan));
  }

  keptReplay(run: string): ReplayPlan | undefined {
    return this.#rejectsOf(run, (file) => file.keptPlan());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const lock of this.#held) await lock[Symbol.asyncDispose]();
    if (this.#db.open) this.#db.close();
  }

  #summary(summary: unknown): string | null {
    return summary === undefined ? null : this.#scrub(toJson(summary));
  }

  /** What is known of a run's file holds as long as this process has its flow. */
  #rejectsOf<T>(run: string, action: (file: RejectFile) => T): T {
    const file = this.#rejectFiles.get(run) ?? new RejectFile(join(this.folder, 'rejects', `${run}.ndjson`));
    this.#rejectFiles.set(run, file);
    return guarded(this.folder, () => action(file));
  }

  #run(sql: string, ...values: (string | number | null)[]): Database.RunResult {
    return guarded(this.folder, () => this.#db.prepare(sql).run(...values));
  }

  #rows<T>(sql: string, ...values: (string | number)[]): T[] {
    return guarded(this.folder, () => this.#db.prepare(sql).all(...values) as T[]);
  }
}

interface StoredRun {
  run: string; flow: string; status: string; phase: string; started_at: string; updated_at: string; config: string;
  source_identity: string; destination_identity: string; mappings: string; tasks: string; moments: string; log: string | null; summary: string | null;
}

interface StoredRequest { number: number; kind: string; detail: string; answer: string | null }

function requestOf({ number, kind, detail, answer }: StoredRequest): RunRequest {
  return { number, kind, detail: JSON.parse(detail) as unknown, ...(answer !== null && { answer: JSON.parse(answer) as RunRequest['answer'] }) };
}

function restored(row: StoredRun): RunState {
  return {
    run: row.run, flow: row.flow, status: row.status as RunState['status'], phase: row.phase as Phase,
    startedAt: row.started_at, updatedAt: row.updated_at, config: JSON.parse(row.config),
    sourceIdentity: row.source_identity, destinationIdentity: row.destination_identity,
    mappings: JSON.parse(row.mappings) as Mapping[], tasks: JSON.parse(row.tasks) as Task[], moments: JSON.parse(row.moments) as Moment[],
    ...(row.log === null ? {} : { log: JSON.parse(row.log) as RunLog }),
    ...(row.summary === null ? {} : { summary: JSON.parse(row.summary) as unknown }),
  };
}

function partText({ from, to }: Part): string {
  return JSON.stringify([from ?? null, to ?? null]);
}

function optional(value: unknown): string | null {
  return value === undefined ? null : toJson(value);
}

function openDatabase(folder: string): Database.Database {
  for (const path of [folder, join(folder, 'locks'), join(folder, 'rejects')]) mkdirSync(path, { recursive: true, mode: 0o700 });
  const path = join(folder, 'state.db');
  const fresh = !existsSync(path);
  const db = new Database(path);
  // The write-ahead log gets the mode of the database's file.
  if (fresh) chmodSync(path, 0o600);
  try {
    prepareDatabase(db, folder);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function prepareDatabase(db: Database.Database, folder: string): void {
  db.exec('PRAGMA busy_timeout = 10000');
  const found = formatOf(db);
  if (found > format) throw newer(folder, found);
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  if (found < format) db.transaction(() => upgrade(db)).immediate();
}

/** From nothing, or from an earlier format, unless another process did it meanwhile: with format 2 came runs that follow a log. */
function upgrade(db: Database.Database): void {
  const found = formatOf(db);
  if (found >= format) return;
  if (found === 0) return void db.exec(schema);
  if (found === 1) db.exec('ALTER TABLE runs ADD COLUMN log TEXT');
  db.exec(`${correspondence}; PRAGMA user_version = ${format}`);
}

function formatOf(db: Database.Database): number {
  return (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
}

function newer(folder: string, found: number): DsyncError {
  return new DsyncError('state', `the state in ${folder} was made by a newer dsync (format ${found}; this one knows ${format})`, {
    remedy: 'update dsync, or name another folder with --state DIR',
  });
}
