import type { OpenOptions, Scratch } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { absentTypes, trialTables, type TrialTable } from '../../values/trials.js';
import { addressOf } from './address.js';
import { natives } from './natives.js';
import { connect, name as quoted, tableName, type Session } from './session.js';
import { destinationSettings } from './settings.js';

/** A syntax error, and a type that MariaDB does not know: such a server has no such type. */
const unknownType = new Set([1064, 4161]);

/** A database on the URL's server. Needs CREATE and DROP on it. */
export async function openScratch(url: string, schema: string, { signal, empty }: OpenOptions & { readonly empty: boolean }): Promise<Scratch> {
  const own = new URL(url);
  own.pathname = `/${schema}`;
  const open = (inner: AbortSignal) => connect({ address: { ...addressOf(url), database: undefined }, settings: destinationSettings, lostAs: 'connection-lost' }, inner);
  const session = await open(signal);
  const drop = async () => {
    const there = session.lost ? await open(new AbortController().signal) : session;
    await there.run(`DROP DATABASE IF EXISTS ${quoted(schema)}`).finally(() => there.close());
  };
  try {
    await session.run(`CREATE DATABASE ${quoted(schema)} CHARACTER SET utf8mb4`, signal).catch((error: unknown) => { throw forbidden(error, schema); });
  } catch (error) {
    await session.close();
    throw error;
  }
  try {
    const tables = empty ? [] : await createTables(session, schema, signal), { flavour } = session.version;
    return {
      name: schema, schema, url: own.href, include: [`${schema}.*`], tables, absent: absentTypes(natives.filter(({ only }) => only === undefined || only === flavour), tables),
      fill: (inner) => fill(session, schema, tables, inner), [Symbol.asyncDispose]: drop,
    };
  } catch (error) {
    await drop();
    throw error;
  }
}

function forbidden(error: unknown, schema: string): unknown {
  if (!(error instanceof DsyncError) || error.code !== 'denied') return error;
  return new DsyncError('denied', `a database to try types in can't be made: ${error.message}`, { cause: error.cause, remedy: `GRANT ALL ON ${quoted(schema.replace(/_[^_]*$/, '_%').replaceAll('_', '\\_'))}.* TO CURRENT_USER` });
}

async function createTables(session: Session, schema: string, signal: AbortSignal): Promise<readonly TrialTable[]> {
  const made: TrialTable[] = [];
  for (const table of trialTables(natives.filter(({ only }) => only === undefined || only === session.version.flavour), schema)) {
    try {
      await session.run(`CREATE TABLE ${tableName(schema, table.name)} (id INT PRIMARY KEY, v ${table.declared}) CHARACTER SET utf8mb4`, signal);
      made.push(table);
    } catch (error) {
      const { errno } = (error as { cause?: { errno?: number } }).cause ?? {};
      if (!unknownType.has(errno ?? 0)) throw error;
    }
  }
  return made;
}

/** Not strict: a label that an ENUM does not know, and dates of zeros, are values to be tried as well. */
async function fill(session: Session, schema: string, tables: readonly TrialTable[], signal: AbortSignal): ReturnType<Scratch['fill']> {
  const refused: { namespace: string; value: string; reason: string }[] = [];
  await session.run("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', foreign_key_checks = 1", signal);
  await session.run('START TRANSACTION', signal);
  for (const { namespace, name, values } of tables) {
    const rows = [...values.map((value, i) => `(${i + 1}, ${value})`), `(${values.length + 1}, NULL)`];
    const insert = (some: readonly string[]) => session.run(`INSERT INTO ${tableName(schema, name)} VALUES ${some.join(', ')}`, signal);
    const refusalOf = (some: readonly string[]) => insert(some).then(() => undefined, (error: unknown) => {
      if (!(error instanceof DsyncError) || session.lost || signal.aborted) throw error;
      return messageOf(error);
    });
    if (await refusalOf(rows) === undefined) continue;
    for (const [i, row] of rows.entries()) {
      const reason = await refusalOf([row]);
      if (reason !== undefined) refused.push({ namespace, value: values[i], reason });
    }
  }
  await session.run('COMMIT', signal);
  return refused;
}
