import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scratch, ScratchRefusal } from '../../contract.js';
import { messageOf } from '../../errors.js';
import { likeScratch } from '../../values/scratch-name.js';
import { absentTypes, nextValue, trialTables, type TrialForm, type TrialTable } from '../../values/trials.js';
import { natives } from './natives.js';
import { ConstraintFailure, openForWriting, quoted, type Session } from './session.js';

/** Ways to declare a table that change what SQLite keeps of a value. */
interface Form extends TrialForm { readonly body: (declared: string) => string; readonly strict?: boolean }
type Table = TrialTable<Form>;

const body = (declared: string): string => `(id INTEGER PRIMARY KEY, v ${declared}, n INTEGER)`, keyed = (declared: string): string => `(id INTEGER, v ${declared}, n INTEGER, PRIMARY KEY (v, id))`;
const forms: readonly Form[] = [
  { suffix: '', note: '', body }, { suffix: '_without_rowid', note: ' WITHOUT ROWID', body: (declared) => `${body(declared)} WITHOUT ROWID` }, { suffix: '_strict', note: ' STRICT', body: (declared) => `${body(declared)} STRICT`, strict: true },
  { suffix: '_key', note: ' in the key', body: keyed, inKey: true }, { suffix: '_key_without_rowid', note: ' in the key, WITHOUT ROWID', body: (declared) => `${keyed(declared)} WITHOUT ROWID`, inKey: true },
];
const strictTypes = new Set(['INT', 'INTEGER', 'REAL', 'TEXT', 'BLOB', 'ANY']);

const place = `${hostname()}-${process.pid}-`;

/** A file of its own, among the temporary ones: the library that reads the user's file is the same. */
export async function openScratch(name: string, { empty }: { readonly empty: boolean }): Promise<Scratch> {
  const folder = mkdtempSync(join(tmpdir(), `${name}-${place}`)), path = join(folder, 'types.db');
  const left = leftHere(name);
  const session = openForWriting({ path, readOnly: false });
  session.exec('BEGIN');
  const tables = (empty ? [] : trialTables(natives, undefined, forms)).filter(({ form, trial }) => !form.strict || strictTypes.has(trial.declared));
  for (const { name: table, form, trial } of tables) session.exec(`CREATE TABLE ${quoted(table)} ${form.body(trial.declared)}`);
  session.exec('COMMIT');
  return {
    name, url: `sqlite:${path}`, include: ['*'], tables, absent: absentTypes(natives, tables), left,
    async sweep() {
      for (const one of left) rmSync(join(tmpdir(), one), { recursive: true, force: true });
    },
    fill: async () => write(session, tables.flatMap(insertsOf)),
    async touch() {
      for (const { name: table } of tables) session.exec(`UPDATE ${quoted(table)} SET n = 1`);
    },
    change: async () => write(session, tables.flatMap(updatesOf)),
    async clear() {
      for (const { name: table } of tables) session.exec(`DELETE FROM ${quoted(table)}`);
    },
    async [Symbol.asyncDispose]() {
      session[Symbol.dispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Folders of processes of this machine that are no more. */
function leftHere(name: string): readonly string[] {
  const like = new RegExp(`${likeScratch(name).slice(0, -1)}-(.*)-(\\d+)-[^-]*$`);
  return readdirSync(tmpdir()).filter((folder) => {
    const [, host, pid] = like.exec(folder) ?? [];
    return host === hostname() && !isAlive(Number(pid));
  });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** A value, and the statement that writes it. */
interface Writing { readonly namespace: string; readonly value: string; readonly statement: string }

function insertsOf({ name, namespace, values, rows }: Table): readonly Writing[] {
  const all = Array.from({ length: rows }, (_, i) => ({ value: values[i] ?? 'NULL', i }));
  return all.map(({ value, i }) => ({ namespace, value, statement: `INSERT INTO ${quoted(name)} (id, v) VALUES (${i + 1}, ${value})` }));
}

function updatesOf(table: Table): readonly Writing[] {
  const all = Array.from({ length: table.rows }, (_, i) => ({ value: nextValue(table, i) ?? 'NULL', i }));
  return all.map(({ value, i }) => ({ namespace: table.namespace, value, statement: `UPDATE ${quoted(table.name)} SET v = ${value} WHERE id = ${i + 1}` }));
}

function write(session: Session, writings: readonly Writing[]): readonly ScratchRefusal[] {
  const refused: ScratchRefusal[] = [];
  session.exec('BEGIN');
  for (const { namespace, value, statement } of writings) {
    try {
      session.insert(statement, []);
    } catch (error) {
      if (!(error instanceof ConstraintFailure)) throw error;
      refused.push({ namespace, value, reason: messageOf(error) });
    }
  }
  session.exec('COMMIT');
  return refused;
}
