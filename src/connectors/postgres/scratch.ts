import type { OpenOptions, Scratch } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { absentTypes, trialTables, type TrialTable } from '../../values/trials.js';
import { serverError } from './failure.js';
import { loginOf } from './login.js';
import { natives } from './natives.js';
import { Session } from './session.js';
import { literal, quoted } from './sql.js';

/** A schema in the URL's database. Needs CREATE on it. */
export async function openScratch(url: string, name: string, { signal, empty }: OpenOptions & { readonly empty: boolean }): Promise<Scratch> {
  const session = await Session.open(loginOf(url), 'destination', signal);
  try {
    const [[database, schemas]] = await session.query("SELECT current_database(), array_to_json(array(SELECT DISTINCT extnamespace::regnamespace::text FROM pg_extension))", signal);
    await session.query(`CREATE SCHEMA ${quoted(name)}`, signal).catch((error: unknown) => { throw forbidden(error, database!); });
    try {
      await session.query(`SELECT set_config('search_path', $1, false)`, signal, [[quoted(name), ...JSON.parse(schemas!) as string[]].join(', ')]);
      const tables = empty ? [] : await session.transaction(signal, () => createTables(session, name, signal));
      return {
        name, schema: name, url, include: [`${name}.*`], tables, absent: absentTypes(natives, tables),
        fill: (inner) => fill(session, tables, inner),
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

function forbidden(error: unknown, database: string): unknown {
  if (serverError(error)?.code !== '42501') return error;
  return new DsyncError('denied', `a schema to try types in can't be made: ${messageOf(error)}`, { cause: error, remedy: `GRANT CREATE ON DATABASE ${quoted(database)} TO CURRENT_USER` });
}

/** Tables of types that the server does not have, by name, by extension or of that size, are left out. */
async function createTables(session: Session, schema: string, signal: AbortSignal): Promise<readonly TrialTable[]> {
  const made: TrialTable[] = [];
  for (const table of trialTables(natives, schema)) {
    await session.query(['SAVEPOINT type', ...table.trial.before ?? []].join('; '), signal);
    try {
      await session.query(`CREATE TABLE ${quoted(schema)}.${quoted(table.name)} (id integer PRIMARY KEY, v ${table.declared})`, signal);
      made.push(table);
    } catch (error) {
      if (!unknownType.has(serverError(error)?.code ?? '')) throw error;
      await session.query('ROLLBACK TO SAVEPOINT type', signal);
    }
  }
  return made;
}

/** No such type; a modifier that a later version takes. */
const unknownType = new Set(['42704', '22023']);

async function fill(session: Session, tables: readonly TrialTable[], signal: AbortSignal): ReturnType<Scratch['fill']> {
  const refused: { namespace: string; value: string; reason: string }[] = [];
  for (const { namespace, name, declared, values } of tables) {
    const rows = [...values.map((value, i) => `(${i + 1}, ${literal(value)}::${declared})`), `(${values.length + 1}, NULL)`];
    const insert = (some: readonly string[]) => session.query(`INSERT INTO ${quoted(name)} VALUES ${some.join(', ')}`, signal);
    const refusal = await refusalOf(insert(rows));
    if (refusal === undefined) continue;
    for (const [i, row] of rows.entries()) {
      const reason = await refusalOf(insert([row]));
      if (reason !== undefined) refused.push({ namespace, value: values[i], reason });
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
