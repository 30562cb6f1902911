import type { OpenOptions, Scratch, ScratchRefusal } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { likeScratch } from '../../values/scratch-name.js';
import { absentTypes, nextValue, trialTables, type TrialForm, type TrialTable } from '../../values/trials.js';
import { addressOf } from './address.js';
import { isDecodable } from './charsets.js';
import { errnoOf } from './faults.js';
import { natives } from './natives.js';
import { connect, name as quoted, quote, tableName, type Session } from './session.js';
import { destinationSettings } from './settings.js';

/** A syntax error, a character set or a type that the server does not know: such a server has no such type. */
const unknownType = new Set([1064, 1115, 4161]);
/** Types that can't be in a key, or only in part: blobs, JSON, geometries, vectors. */
const noKeyType = new Set([...unknownType, 1170, 3152, 3728, 1687, 1070, 6134, 1167]);

interface Form extends TrialForm { readonly key: string }
type Table = TrialTable<Form>;

const forms: readonly Form[] = [
  { suffix: '', note: '', key: ', PRIMARY KEY (id)' },
  { suffix: '_keyless', note: ', without a key', key: '', alike: true },
  { suffix: '_key', note: ' in the key', key: ', PRIMARY KEY (v, id)', inKey: true },
];

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
  let left: readonly string[] = [];
  try {
    await session.rows(`SELECT GET_LOCK(${quote(schema)}, 0)`, signal);
    left = await leftHere(session, schema, signal);
    await session.run(`CREATE DATABASE ${quoted(schema)} CHARACTER SET utf8mb4`, signal).catch((error: unknown) => { throw forbidden(error, schema); });
  } catch (error) {
    await session.close();
    throw error;
  }
  try {
    const tables = empty ? [] : await createTables(session, schema, signal), { flavour } = session.version;
    return {
      name: schema, schema, url: own.href, include: [`${schema}.*`], tables, absent: absentTypes(natives.filter(({ only }) => only === undefined || only === flavour), tables), left,
      async sweep(inner) {
        for (const one of left) await session.run(`DROP DATABASE IF EXISTS ${quoted(one)}`, inner);
      },
      fill: (inner) => writeAll(session, tables, (table) => insertsOf(schema, table), inner),
      async touch(inner) {
        for (const { name } of tables) await session.run(`UPDATE ${tableName(schema, name)} SET n = 1`, inner);
      },
      change: (inner) => writeAll(session, tables, (table) => updatesOf(schema, table), inner),
      async clear(inner) {
        for (const { name } of tables) await session.run(`DELETE FROM ${tableName(schema, name)}`, inner);
      },
      [Symbol.asyncDispose]: drop,
    };
  } catch (error) {
    await drop();
    throw error;
  }
}

/** Whoever works in such a database holds its lock; those of killed processes are held here from now on. */
async function leftHere(session: Session, name: string, signal: AbortSignal): Promise<readonly string[]> {
  const rows = await session.rows(`SELECT schema_name FROM information_schema.schemata WHERE schema_name REGEXP ${quote(likeScratch(name))} AND schema_name <> ${quote(name)}`, signal), left: string[] = [];
  for (const [schema] of rows) {
    const [[locked]] = await session.rows(`SELECT GET_LOCK(${quote(schema!)}, 0)`, signal);
    if (locked === '1') left.push(schema!);
  }
  return left;
}

function forbidden(error: unknown, schema: string): unknown {
  if (!(error instanceof DsyncError) || error.code !== 'denied') return error;
  return new DsyncError('denied', `a database to try types in can't be made: ${error.message}`, { cause: error.cause, remedy: `GRANT ALL ON ${quoted(schema.replace(/_[^_]*$/, '_%').replaceAll('_', '\\_'))}.* TO CURRENT_USER` });
}

async function createTables(session: Session, schema: string, signal: AbortSignal): Promise<readonly Table[]> {
  const made: Table[] = [];
  const own = natives.filter(({ only }) => only === undefined || only === session.version.flavour);
  for (const table of trialTables(own, schema, forms).filter(({ form, type, trial }) => form.suffix === '' || !isLookedUp(type, trial.declared, session))) {
    // A column of a key takes no NULL, whatever it says.
    const { form } = table, declared = form.inKey ? table.trial.declared.replace(/ NULL$/, '') : table.trial.declared;
    try {
      await session.run(`CREATE TABLE ${tableName(schema, table.name)} (id INT NOT NULL, v ${declared}, n INT${form.key}) CHARACTER SET utf8mb4`, signal);
      made.push(table);
    } catch (error) {
      if (!(form.inKey ? noKeyType : unknownType).has(errnoOf(error) ?? 0)) throw error;
    }
  }
  return made;
}

/** The log names the row, and its own column does not tell the value: such tables need another key. */
function isLookedUp(type: string, declared: string, { version }: Session): boolean {
  return (type === 'json' && version.flavour === 'mysql') || !isDecodable(declared);
}

/** A value, and the statement that writes it. */
interface Writing { readonly value: string; readonly statement: string }

function insertsOf(schema: string, { name, values, rows }: Table): readonly Writing[] {
  const all = Array.from({ length: rows }, (_, i) => ({ value: values[i] ?? 'NULL', i }));
  return all.map(({ value, i }) => ({ value, statement: `INSERT INTO ${tableName(schema, name)} (id, v) VALUES (${i + 1}, ${value})` }));
}

function updatesOf(schema: string, table: Table): readonly Writing[] {
  const all = Array.from({ length: table.rows }, (_, i) => ({ value: nextValue(table, i) ?? 'NULL', i }));
  return all.map(({ value, i }) => ({ value, statement: `UPDATE ${tableName(schema, table.name)} SET v = ${value} WHERE id = ${i + 1}` }));
}

/** Not strict: a label that an ENUM does not know, and dates of zeros, are values to be tried as well. */
async function writeAll(session: Session, tables: readonly Table[], writingsOf: (table: Table) => readonly Writing[], signal: AbortSignal): Promise<readonly ScratchRefusal[]> {
  const refused: ScratchRefusal[] = [];
  await session.run("SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', foreign_key_checks = 1", signal);
  await session.run('START TRANSACTION', signal);
  for (const table of tables) {
    for (const { value, statement } of writingsOf(table)) {
      try {
        await session.run(statement, signal);
      } catch (error) {
        if (!(error instanceof DsyncError) || session.lost || signal.aborted) throw error;
        refused.push({ namespace: table.namespace, value, reason: messageOf(error) });
      }
    }
  }
  await session.run('COMMIT', signal);
  return refused;
}
