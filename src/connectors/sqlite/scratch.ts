import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scratch } from '../../contract.js';
import { messageOf } from '../../errors.js';
import { absentTypes, trialTables, type TrialTable } from '../../values/trials.js';
import { natives } from './natives.js';
import { ConstraintFailure, openForWriting, quoted, type Session } from './session.js';

/** Ways to declare a table that change what SQLite keeps of a value. */
const kinds = [{ suffix: '', options: '' }, { suffix: '_without_rowid', options: ' WITHOUT ROWID' }, { suffix: '_strict', options: ' STRICT' }] as const;
const strictTypes = new Set(['INT', 'INTEGER', 'REAL', 'TEXT', 'BLOB', 'ANY']);

/** A file of its own, among the temporary ones: the library that reads the user's file is the same. */
export async function openScratch(name: string, { empty }: { readonly empty: boolean }): Promise<Scratch> {
  const folder = mkdtempSync(join(tmpdir(), `${name}-`)), path = join(folder, 'types.db');
  const session = openForWriting({ path, readOnly: false });
  session.exec('BEGIN');
  const tables = (empty ? [] : trialTables(natives, undefined)).flatMap((table) => kinds.flatMap(({ suffix, options }) => {
    if (options === ' STRICT' && !strictTypes.has(table.declared)) return [];
    session.exec(`CREATE TABLE ${quoted(table.name + suffix)} (id INTEGER PRIMARY KEY, v ${table.declared})${options}`);
    return [{ ...table, name: table.name + suffix, namespace: table.name + suffix, declared: table.declared + options }];
  }));
  session.exec('COMMIT');
  return {
    name, url: `sqlite:${path}`, include: ['*'], tables, absent: absentTypes(natives, tables),
    fill: async () => fill(session, tables),
    async [Symbol.asyncDispose]() {
      session[Symbol.dispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function fill(session: Session, tables: readonly TrialTable[]): Awaited<ReturnType<Scratch['fill']>> {
  const refused: { namespace: string; value: string; reason: string }[] = [];
  session.exec('BEGIN');
  for (const { namespace, name, values } of tables) {
    for (const [i, value] of [...values, 'NULL'].entries()) {
      try {
        session.insert(`INSERT INTO ${quoted(name)} VALUES (${i + 1}, ${value})`, []);
      } catch (error) {
        if (!(error instanceof ConstraintFailure)) throw error;
        refused.push({ namespace, value, reason: messageOf(error) });
      }
    }
  }
  session.exec('COMMIT');
  return refused;
}
