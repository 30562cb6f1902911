import type { Finding, Mapping, NeededObject, Shape, Task } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { findTable } from './catalog.js';
import { serverError } from './failure.js';
import { held, type Hold } from './progress.js';
import type { Session } from './session.js';
import { keyStatement, tableStatements } from './objects.js';
import { list, literal, qualified, quoted } from './sql.js';
import { landing } from './target.js';

export interface PrepareOptions { readonly empty: boolean; readonly keyed: boolean; readonly tasks: readonly Task[] }

/** Makes the place for a mapping's rows: bare, unless upserts follow. What stands is kept, unless it is to start anew. */
export async function prepare(session: Session, hold: Hold, mapping: Mapping, { empty, keyed, tasks }: PrepareOptions, signal: AbortSignal): Promise<void> {
  const place = landing(hold.run, mapping), { target, existed, staged } = mapping;
  await held(session, hold, signal, async () => {
    if (!existed) await createSurroundings(session, mapping, signal);
    if (empty) await session.query('DELETE FROM _dsync.progress WHERE run = $1 AND task = ANY ($2)', signal, [hold.run, tasks.map(({ id }) => id)]);
    const isMissing = staged ? !(await isDone(session, hold, tasks, signal)) : !existed;
    if (isMissing) await created(session, mapping, place, signal);
    // Partitions would be those of the staging table: the rows of a divided table go there from the start.
    if (isMissing && staged && !existed && mapping.objects?.native.partition && mapping.objects.engine === 'postgres') await created(session, mapping, { schema: target.schema!, name: target.name }, signal);
    if (empty) await emptied(session, place, signal);
    if (keyed && !existed && !staged) await addKey(session, mapping, signal);
  });
}

/** A staging table whose rows are in the target is not made again: it would be swapped in, empty. */
async function isDone(session: Session, { run }: Hold, tasks: readonly Task[], signal: AbortSignal): Promise<boolean> {
  const done = await session.query('SELECT FROM _dsync.progress WHERE run = $1 AND task = ANY ($2) AND done', signal, [run, tasks.map(({ id }) => id)]);
  return done.length > 0;
}

/** What stands before the table: for people. */
export function surroundingStatements({ target, objects }: Mapping): readonly string[] {
  const own = objects?.engine === 'postgres' ? objects : undefined;
  const schemas = new Set([target.schema!, ...own?.partitions.map(({ schema }) => schema) ?? [], ...own?.needs?.map(({ schema }) => schema) ?? []]);
  schemas.delete('public');
  return [...[...schemas].map((schema) => `CREATE SCHEMA IF NOT EXISTS ${quoted(schema)}`), ...own?.needs?.map(({ native }) => native) ?? []];
}

/** The schemas, and what a source in PostgreSQL has and the destination lacks: enums, and whatever the table's definition needs. */
async function createSurroundings(session: Session, { target, objects }: Mapping, signal: AbortSignal): Promise<void> {
  const own = objects?.engine === 'postgres' ? objects : undefined, named = new Set(own?.needs?.map(({ name }) => name));
  for (const schema of new Set([target.schema!, ...own?.partitions.map((part) => part.schema) ?? []])) await createSchema(session, schema, signal);
  if (own?.needs && own.needs.length > 0) await createNeeds(session, own.needs, signal);
  for (const { native, type } of target.columns) {
    if (type.kind !== 'enum' || named.has(native)) continue;
    const [[known]] = await session.query('SELECT to_regtype($1) IS NOT NULL', signal, [native]);
    if (known === 't') continue;
    const schema = /^(?:"((?:[^"]|"")+)"|([^".]+))\./.exec(native);
    if (schema) await createSchema(session, schema[1]?.replaceAll('""', '"') ?? schema[2], signal);
    await session.query(`CREATE TYPE ${native} AS ENUM (${type.labels.map(literal).join(', ')})`, signal);
  }
}

/** Several tables may need the same: one after the other. What relies on another one is tried again when that stands. */
async function createNeeds(session: Session, needs: readonly NeededObject[], signal: AbortSignal): Promise<void> {
  await session.query("SELECT pg_advisory_xact_lock(hashtext('dsync'), hashtext('needs')); SET LOCAL check_function_bodies = off", signal);
  for (const schema of new Set(needs.map((need) => need.schema))) await createSchema(session, schema, signal);
  let left = needs, failure: DsyncError | undefined;
  for (let before = Infinity; left.length > 0 && left.length < before;) {
    before = left.length;
    const failed: NeededObject[] = [];
    for (const need of left) {
      if (await stands(session, need, signal)) continue;
      await session.query('SAVEPOINT need', signal);
      try {
        await session.query(need.native, signal);
      } catch (error) {
        if (!/^(42|0A|58)/.test(serverError(error)?.code ?? '')) throw error;
        await session.query('ROLLBACK TO SAVEPOINT need', signal);
        failure = new DsyncError('refused', `${need.kind} ${need.name} can't be made: ${serverError(error)!.message}`, { cause: error, remedy: `make it in the destination: ${need.native}` });
        failed.push(need);
      }
      await session.query('RELEASE SAVEPOINT need', signal);
    }
    left = failed;
  }
  if (left.length > 0) throw failure;
}

async function stands(session: Session, { kind, name }: NeededObject, signal: AbortSignal): Promise<boolean> {
  const to = { type: 'to_regtype', collation: 'to_regcollation', function: 'to_regprocedure', sequence: 'to_regclass' }[kind];
  const [[found]] = await session.query(`SELECT ${to}($1) IS NOT NULL`, signal, [name]);
  return found === 't';
}

/** Asked first: CREATE … IF NOT EXISTS needs the right to create even where nothing is to be done. */
async function createSchema(session: Session, name: string, signal: AbortSignal): Promise<void> {
  const standing = await session.query('SELECT FROM pg_namespace WHERE nspname = $1', signal, [name]);
  if (standing.length === 0) await session.query(`CREATE SCHEMA IF NOT EXISTS ${quoted(name)}`, signal);
}

async function created(session: Session, mapping: Mapping, place: { readonly schema: string; readonly name: string }, signal: AbortSignal): Promise<void> {
  for (const statement of tableStatements(mapping, place)) await session.query(statement, signal);
}

/** TRUNCATE is quick, but foreign keys or a missing right may forbid it. */
export async function emptied(session: Session, place: { readonly schema: string; readonly name: string }, signal: AbortSignal): Promise<void> {
  const [[holds]] = await session.query(`SELECT EXISTS (SELECT FROM ${qualified(place)})`, signal);
  if (holds === 'f') return;
  await session.query('SAVEPOINT emptying', signal);
  try {
    await session.query(`TRUNCATE ONLY ${qualified(place)}`, signal);
  } catch (error) {
    if (!['0A000', '42501', '42809'].includes(serverError(error)?.code ?? '')) throw error;
    await session.query('ROLLBACK TO SAVEPOINT emptying', signal);
    await session.query(`DELETE FROM ${qualified(place)}`, signal);
  }
}

/** Builds the key of a new table, unless it stands. */
async function addKey(session: Session, mapping: Mapping, signal: AbortSignal): Promise<void> {
  const { target } = mapping;
  const table = await findTable(session, { schema: target.schema!, name: target.name }, signal);
  if (!table || table.hasPrimaryKey || table.keys.some((key) => sameColumns(key, target, table.shape)) || target.key.length === 0) return;
  const [[bytes]] = await session.query('SELECT pg_relation_size($1)', signal, [table.oid]);
  const megabytes = Math.min(512, Math.ceil(Number(bytes) / 2 ** 20));
  await session.query(`SELECT set_config('maintenance_work_mem', ${literal(`${megabytes}MB`)}, true) FROM pg_settings WHERE name = 'maintenance_work_mem' AND setting::bigint < ${megabytes * 1024}`, signal);
  const columns = list(target.key.map((i) => target.columns[i].name));
  await session.query(keyStatement(mapping), signal).catch((error) => {
    if (serverError(error)?.code !== '23505') throw error;
    throw new DsyncError('data', `the key (${columns}) of ${target.namespace} can't be built, rows share it: ${serverError(error)!.detail}`, { cause: error, namespace: target.namespace });
  });
}

function sameColumns(key: readonly number[], target: Shape, table: Shape): boolean {
  const wanted = target.key.map((i) => target.columns[i].name);
  return key.length === wanted.length && key.every((i) => wanted.includes(table.columns[i].name));
}

/** Swaps staging in, or builds the key; then analyses. */
export async function finish(session: Session, hold: Hold, mapping: Mapping, keepRows: boolean, signal: AbortSignal): Promise<readonly Finding[]> {
  const { target, staged, existed } = mapping;
  await held(session, hold, signal, async () => {
    if (staged) await swap(session, hold, mapping, keepRows, signal);
    else if (!existed) await addKey(session, mapping, signal);
    await session.query(`ANALYZE ${qualified(target)}`, signal);
  });
  return existed ? sequenceFindings(session, target, signal) : [];
}

/** Rows that came with their numbers have not moved the sequence which gives out the next one. */
async function sequenceFindings(session: Session, target: Shape, signal: AbortSignal): Promise<Finding[]> {
  const table = qualified(target), findings: Finding[] = [];
  for (const { name } of target.columns.filter((column) => column.type.kind === 'int')) {
    const [[sequence]] = await session.query('SELECT pg_get_serial_sequence($1, $2)', signal, [table, name]);
    if (sequence === null) continue;
    const [[behind]] = await session.query(`SELECT (SELECT max(${quoted(name)}) FROM ${table}) >= (SELECT last_value::numeric + is_called::int FROM ${sequence})`, signal);
    if (behind === 't') findings.push({
      level: 'warning', code: 'sequence-behind', namespace: target.namespace, message: `the sequence of ${target.namespace}.${name} would give out numbers that are taken`,
      remedy: `SELECT setval('${sequence.replaceAll("'", "''")}', (SELECT max(${quoted(name)}) FROM ${table}))`,
    });
  }
  return findings;
}

/** One transaction: once the staging table is gone, its rows are in the target, and never go there twice. */
async function swap(session: Session, { run }: Hold, mapping: Mapping, keepRows: boolean, signal: AbortSignal): Promise<void> {
  const { target } = mapping, place = landing(run, mapping);
  if (!(await findTable(session, place, signal))) return;
  if (!(await findTable(session, { schema: target.schema!, name: target.name }, signal))) {
    await session.query(`ALTER TABLE ${qualified(place)} RENAME TO ${quoted(target.name)}`, signal);
    return;
  }
  const columns = list(target.columns.map(({ name }) => name));
  await session.query(`LOCK TABLE ${qualified(target)} IN SHARE ROW EXCLUSIVE MODE`, signal);
  if (!keepRows) await session.query(`DELETE FROM ${qualified(target)}`, signal);
  await session.query(`INSERT INTO ${qualified(target)} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${qualified(place)}`, signal);
  await session.query(`DROP TABLE ${qualified(place)}`, signal);
}
