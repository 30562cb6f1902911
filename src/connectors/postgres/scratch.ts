import type { OpenOptions, Scratch, ScratchRefusal } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import type { Trial } from '../../values/native-type.js';
import { likeScratch } from '../../values/scratch-name.js';
import { absentTypes, nextValue, trialTables, type TrialForm, type TrialTable } from '../../values/trials.js';
import { serverError } from './failure.js';
import { loginOf } from './login.js';
import { natives } from './natives.js';
import { Session } from './session.js';
import { literal, quoted } from './sql.js';

interface Form extends TrialForm { readonly key: string; readonly identity: 'DEFAULT' | 'FULL' }
type Table = TrialTable<Form>;

const forms: readonly Form[] = [
  { suffix: '', note: '', key: ', PRIMARY KEY (id)', identity: 'DEFAULT' },
  { suffix: '_full', note: ', whole rows in the log', key: ', PRIMARY KEY (id)', identity: 'FULL', alike: true },
  { suffix: '_keyless', note: ', without a key', key: '', identity: 'FULL', alike: true },
  { suffix: '_key', note: ' in the key', key: ', PRIMARY KEY (v, id)', identity: 'DEFAULT', inKey: true },
];

/** A schema in the URL's database. Needs CREATE on it. */
export async function openScratch(url: string, name: string, { signal, empty }: OpenOptions & { readonly empty: boolean }): Promise<Scratch> {
  const session = await Session.open(loginOf(url), 'destination', signal);
  try {
    const [[database, schemas]] = await session.query("SELECT current_database(), array_to_json(array(SELECT DISTINCT extnamespace::regnamespace::text FROM pg_extension))", signal);
    await session.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', signal, [name]);
    const left = await leftHere(session, name, signal);
    await session.query(`CREATE SCHEMA ${quoted(name)}`, signal).catch((error: unknown) => { throw forbidden(error, database!); });
    try {
      await session.query(`SELECT set_config('search_path', $1, false)`, signal, [[quoted(name), ...JSON.parse(schemas!) as string[]].join(', ')]);
      const tables = empty ? [] : await session.transaction(signal, () => createTables(session, name, signal));
      return {
        name, schema: name, url, include: [`${name}.*`], tables, absent: absentTypes(natives, tables), left,
        sweep: async (inner) => { for (const one of left) await session.query(`DROP SCHEMA IF EXISTS ${quoted(one)} CASCADE`, inner); },
        fill: (inner) => writeAll(session, tables, insertsOf, inner),
        touch: async (inner) => { await session.query(tables.map((table) => `UPDATE ${quoted(table.name)} SET n = 1`).join('; '), inner); },
        change: (inner) => writeAll(session, tables, updatesOf, inner),
        clear: async (inner) => { await session.query(tables.map((table) => `DELETE FROM ${quoted(table.name)}`).join('; '), inner); },
        [Symbol.asyncDispose]: () => drop(session, url, name),
      };
    } catch (error) {
      await drop(session, url, name);
      throw error;
    }
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Whoever works in such a schema holds its lock; those of killed processes are held here from now on. */
async function leftHere(session: Session, name: string, signal: AbortSignal): Promise<readonly string[]> {
  const rows = await session.query("SELECT nspname FROM pg_namespace WHERE nspname ~ $1 AND pg_has_role(nspowner, 'USAGE')", signal, [likeScratch(name)]), left: string[] = [];
  for (const [schema] of rows) {
    const [[locked]] = await session.query('SELECT pg_try_advisory_lock(hashtextextended($1, 0))', signal, [schema]);
    if (locked === 't') left.push(schema!);
  }
  return left;
}

function forbidden(error: unknown, database: string): unknown {
  if (serverError(error)?.code !== '42501') return error;
  return new DsyncError('denied', `a schema to try types in can't be made: ${messageOf(error)}`, { cause: error, remedy: `GRANT CREATE ON DATABASE ${quoted(database)} TO CURRENT_USER` });
}

/** Tables of types that the server does not have, by name, by extension or of that size, are left out; keys of types without an order, too. */
async function createTables(session: Session, schema: string, signal: AbortSignal): Promise<readonly Table[]> {
  const made: Table[] = [];
  for (const table of trialTables(natives, schema, forms)) {
    const { trial, form: { key, identity, suffix } } = table, name = `${quoted(schema)}.${quoted(table.name)}`;
    await session.query(['SAVEPOINT type', ...(suffix === '' ? trial.before ?? [] : [])].join('; '), signal);
    try {
      await session.query(`CREATE TABLE ${name} (id integer NOT NULL, v ${trial.declared}, n integer${key}); ALTER TABLE ${name} REPLICA IDENTITY ${identity}`, signal);
      made.push(table);
    } catch (error) {
      if (!unknownType.has(serverError(error)?.code ?? '')) throw error;
      await session.query('ROLLBACK TO SAVEPOINT type', signal);
    }
  }
  return made;
}

/** No such type, or no order of its values; a modifier that a later version takes. */
const unknownType = new Set(['42704', '22023']);

/** A value by its place, and the statement that writes it. */
interface Writing { readonly value: string; readonly statement: string }

function insertsOf({ name, values, trial, form }: Table): readonly Writing[] {
  const into = `INSERT INTO ${quoted(name)} (id, v) VALUES`;
  return [...values.map((value, i) => ({ value, statement: `${into} (${i + 1}, ${written(value, trial)})` })), ...(form.inKey ? [] : [{ value: 'NULL', statement: `${into} (${values.length + 1}, NULL)` }])];
}

function written(value: string, { declared, expressions }: Trial): string {
  return expressions ? value : `${literal(value)}::${declared}`;
}

function updatesOf(table: Table): readonly Writing[] {
  return Array.from({ length: table.rows }, (_, i) => {
    const value = nextValue(table, i);
    return { value: value ?? 'NULL', statement: `UPDATE ${quoted(table.name)} SET v = ${value === undefined ? 'NULL' : written(value, table.trial)} WHERE id = ${i + 1}` };
  });
}

/** All of a table at once; one by one where the server does not take them. */
async function writeAll(session: Session, tables: readonly Table[], writingsOf: (table: Table) => readonly Writing[], signal: AbortSignal): Promise<readonly ScratchRefusal[]> {
  const refused: ScratchRefusal[] = [];
  for (const table of tables) {
    const writings = writingsOf(table);
    if (await refusalOf(session.query(writings.map(({ statement }) => statement).join('; '), signal)) === undefined) continue;
    for (const { value, statement } of writings) {
      const reason = await refusalOf(session.query(statement, signal));
      if (reason !== undefined) refused.push({ namespace: table.namespace, value, reason });
    }
  }
  return refused;
}

/** What the server says of the values, if it does not take them. */
async function refusalOf(writing: Promise<unknown>): Promise<string | undefined> {
  return writing.then(() => undefined, (error: unknown) => {
    if (!serverError(error)) throw error;
    return messageOf(error);
  });
}

/** On a new connection where the old one is gone. */
async function drop(session: Session, url: string, name: string): Promise<void> {
  const { signal } = new AbortController(), statement = `DROP SCHEMA IF EXISTS ${quoted(name)} CASCADE`;
  try {
    await session.query(`SET client_min_messages = warning; ${statement}`, signal);
  } catch {
    const again = await Session.open(loginOf(url), 'destination', signal);
    await again.query(statement, signal).finally(() => again.close());
  } finally {
    await session.close();
  }
}
