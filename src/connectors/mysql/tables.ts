import { createHash } from 'node:crypto';
import type { Mapping, Shape, Task } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { dropTasks, fence, noteSwap, swapOf, type Hold, type Swap } from './progress.js';
import { createStatement, neededStatements } from './objects.js';
import { name, quote, tableName, type Session } from './session.js';
import type { Offer } from './storage.js';

const truncateFrom = 100_000;

export function targetName(target: Shape): string {
  return tableName(target.schema, target.name);
}

/** The staging table of a run's keyless table, in the target's own database so that it can be renamed. */
export function stagingName(run: string, { target }: Mapping): string {
  const hash = createHash('sha256').update(JSON.stringify([run, target.namespace])).digest('hex').slice(0, 16);
  return tableName(target.schema, `_dsync_s_${hash}`);
}

/** In one transaction, with the run's mark shared. */
export async function fenced<T>({ ledger, run, epoch, session, signal }: Hold, action: () => Promise<T>): Promise<T> {
  await session.run('START TRANSACTION', signal);
  try {
    await fence(ledger, run, epoch, session, signal);
    const result = await action();
    await session.run('COMMIT', signal);
    return result;
  } catch (error) {
    if (!session.lost && !signal.aborted) await session.run('ROLLBACK').catch(() => session.destroy());
    throw error;
  }
}

export async function prepareTable(hold: Hold, mapping: Mapping, options: { readonly empty: boolean; readonly tasks: readonly Task[] }, offer: Offer): Promise<void> {
  const { session, signal } = hold;
  if (mapping.target.schema !== undefined && !(await schemaExists(mapping.target.schema, hold))) {
    await session.run(`CREATE DATABASE IF NOT EXISTS ${name(mapping.target.schema)} CHARACTER SET utf8mb4`, signal);
  }
  if (!mapping.existed) for (const statement of neededStatements(mapping)) await session.run(statement, signal);
  if (mapping.staged) return prepareStaging(hold, mapping, options, offer);
  if (!mapping.existed) await session.run(createStatement(targetName(mapping.target), mapping, offer), signal);
  if (options.empty) await emptyTarget(hold, mapping, options.tasks);
}

/** Progress goes first: a crash between the two leaves rows that are upserted and compared, never progress without its rows. */
async function emptyTarget(hold: Hold, mapping: Mapping, tasks: readonly Task[]): Promise<void> {
  const { ledger, run, session, signal } = hold, table = targetName(mapping.target);
  const few = (await session.rows(`SELECT 1 FROM ${table} LIMIT ${truncateFrom}, 1`, signal)).length === 0;
  await fenced(hold, async () => {
    await dropTasks(ledger, run, tasks.map((task) => task.id), session, signal);
    if (few) await session.run(`DELETE FROM ${table}`, signal);
  });
  if (few) return;
  await session.run(`TRUNCATE TABLE ${table}`, signal).catch((error: unknown) => {
    if (!(error instanceof DsyncError) || ['connection-lost', 'interrupted'].includes(error.code)) throw error;
    return session.run(`DELETE FROM ${table}`, signal);
  });
}

async function prepareStaging(hold: Hold, mapping: Mapping, { empty, tasks }: { readonly empty: boolean; readonly tasks: readonly Task[] }, offer: Offer): Promise<void> {
  const { ledger, run, session, signal } = hold, staging = stagingName(run, mapping), { namespace } = mapping.target;
  const swap = await settledSwap(hold, mapping);
  if (!empty && swap.state === 'done') return;
  if (empty) {
    await fenced(hold, async () => {
      await dropTasks(ledger, run, tasks.map((task) => task.id), session, signal);
      await noteSwap(ledger, run, namespace, { state: 'none', ours: swap.ours }, session, signal);
    });
    await session.run(`DROP TABLE IF EXISTS ${staging}`, signal);
  }
  const create = mapping.existed ? `CREATE TABLE IF NOT EXISTS ${staging} LIKE ${targetName(mapping.target)}` : createStatement(staging, mapping, offer);
  await session.run(create, signal);
}

/** Puts the staging table in the target's place. May be called again at any point. */
export async function swapIn(hold: Hold, mapping: Mapping, keepRows: boolean): Promise<void> {
  const { session, signal, run } = hold, staging = stagingName(run, mapping);
  const swap = await settledSwap(hold, mapping);
  if (swap.state !== 'done' && (await exists(staging, hold))) await (mapping.existed ? moveRows(hold, mapping, keepRows) : renameIn(hold, mapping, swap));
  await session.run(`DROP TABLE IF EXISTS ${staging}`, signal);
}

/** A table that stood before keeps its definition, triggers and grants: only the rows move. */
async function moveRows(hold: Hold, mapping: Mapping, keepRows: boolean): Promise<void> {
  const { ledger, run, session, signal } = hold, table = targetName(mapping.target);
  const columns = mapping.target.columns.map((column) => name(column.name)).join(', ');
  await fenced(hold, async () => {
    if (!keepRows) await session.run(`DELETE FROM ${table}`, signal);
    await session.run(`INSERT INTO ${table} (${columns}) SELECT ${columns} FROM ${stagingName(run, mapping)}`, signal);
    await noteSwap(ledger, run, mapping.target.namespace, { state: 'done', ours: false }, session, signal);
  });
}

async function renameIn(hold: Hold, mapping: Mapping, swap: Swap): Promise<void> {
  const { ledger, run, session, signal } = hold, table = targetName(mapping.target), staging = stagingName(run, mapping), old = oldName(staging);
  const stands = await exists(table, hold);
  if (stands && !swap.ours) {
    throw new DsyncError('refused', `${mapping.target.namespace} was made by someone else since the run began`, { namespace: mapping.source.namespace, remedy: `drop or rename ${mapping.target.namespace}, then resume` });
  }
  await fenced(hold, () => noteSwap(ledger, run, mapping.target.namespace, { state: 'announced', ours: swap.ours }, session, signal));
  if (stands) await session.run(`DROP TABLE IF EXISTS ${old}`, signal);
  await session.run(stands ? `RENAME TABLE ${table} TO ${old}, ${staging} TO ${table}` : `RENAME TABLE ${staging} TO ${table}`, signal);
  await fenced(hold, () => noteSwap(ledger, run, mapping.target.namespace, { state: 'done', ours: true }, session, signal));
  if (stands) await session.run(`DROP TABLE IF EXISTS ${old}`, signal);
}

/** An announced swap whose staging table is gone has happened. */
async function settledSwap(hold: Hold, mapping: Mapping): Promise<Swap> {
  const { ledger, run, session, signal } = hold;
  const swap = await swapOf(ledger, run, mapping.target.namespace, session, signal);
  if (swap.state !== 'announced' || (await exists(stagingName(run, mapping), hold))) return swap;
  const done: Swap = { state: 'done', ours: true };
  await fenced(hold, () => noteSwap(ledger, run, mapping.target.namespace, done, session, signal));
  await session.run(`DROP TABLE IF EXISTS ${oldName(stagingName(run, mapping))}`, signal);
  return done;
}

export async function dropStaging(run: string, mapping: Mapping, session: Session, signal: AbortSignal): Promise<void> {
  const staging = stagingName(run, mapping);
  await session.run(`DROP TABLE IF EXISTS ${staging}, ${oldName(staging)}`, signal);
}

function oldName(staging: string): string {
  return staging.replace(/_dsync_s_/, '_dsync_o_');
}

async function exists(table: string, { session, signal }: Pick<Hold, 'session' | 'signal'>): Promise<boolean> {
  const [schema, bare] = table.slice(1, -1).split('`.`').map((part) => part.replaceAll('``', '`'));
  return (await session.rows(`SELECT 1 FROM information_schema.tables WHERE table_schema = ${quote(schema)} AND table_name = ${quote(bare)}`, signal)).length > 0;
}

async function schemaExists(schema: string, { session, signal }: Pick<Hold, 'session' | 'signal'>): Promise<boolean> {
  return (await session.rows(`SELECT 1 FROM information_schema.schemata WHERE schema_name = ${quote(schema)}`, signal)).length > 0;
}
