import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Fence, FenceStep, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { errnoOf } from './faults.js';
import { name, quote, tableName, type Session } from './session.js';

/** How long one attempt waits for a table's lock, in seconds: whoever comes meanwhile waits behind it. */
const lockSeconds = 2;
const triggerStands = 1359, noSuchThread = 1094;
const events = ['INSERT', 'UPDATE', 'DELETE'] as const;

/**
 * Triggers that refuse, on every table: for all users, administrators too; sessions with `@dsync_writes`, a destination's,
 * pass. Making one waits for every transaction that uses the table, so that none is open behind the fence. TRUNCATE and
 * what a foreign key does by itself fire no triggers here.
 */
export function fenceOf(open: (signal: AbortSignal) => Promise<Session>): Fence {
  return {
    raise: (run, shapes, how, signal) => using(open, signal, async (session) => {
      const ended: string[] = [];
      for (const shape of shapes) {
        const what = `triggers on ${shape.namespace}`, patience = { ...how, until: Date.now() + how.graceMillis, ended };
        how.save({ what, before: 'absent', state: 'intent' });
        for (const event of events) {
          while (!(await unlessHeld(session, definition(run, shape, event), signal))) await madeRoom(session, shape, patience, signal);
        }
        how.save({ what, before: 'absent', state: 'done' });
      }
      return { how: `triggers refuse every INSERT, UPDATE and DELETE on ${shapes.length} table(s), for all users`, ended };
    }),
    lift: (run, steps, signal) => using(open, signal, (session) => lift(session, run, steps, signal)),
  };
}

async function using<T>(open: (signal: AbortSignal) => Promise<Session>, signal: AbortSignal, action: (session: Session) => Promise<T>): Promise<T> {
  const session = await open(signal);
  try {
    await session.run(`SET SESSION lock_wait_timeout = ${lockSeconds}`, signal);
    return await action(session);
  } finally {
    await session.close();
  }
}

/** False where somebody uses the table. A trigger that stands is one of ours. */
async function unlessHeld(session: Session, statement: string, signal: AbortSignal): Promise<boolean> {
  try {
    await session.run(statement, signal);
    return true;
  } catch (error) {
    if (errnoOf(error) === triggerStands) return true;
    if (error instanceof DsyncError && error.code === 'conflict') return false;
    if (errnoOf(error) === 1419) throw new DsyncError('denied', `the fence's triggers can't be made: ${error instanceof Error ? error.message : ''}`, { cause: error, remedy: 'SET GLOBAL log_bin_trust_function_creators = ON, or stop the writers yourself and cut over without --fence' });
    throw error;
  }
}

function definition(run: string, shape: Shape, event: typeof events[number]): string {
  const refusal = quote(`writes to ${shape.namespace} are fenced off by dsync (cutover of run ${run})`.slice(0, 128));
  return `CREATE TRIGGER ${tableName(shape.schema, `${prefixOf(run)}${digest(shape.name, 8)}_${event.toLowerCase()}`)} BEFORE ${event} ON ${tableName(shape.schema, shape.name)} FOR EACH ROW IF @dsync_writes IS NULL THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = ${refusal}; END IF`;
}

interface Patience { readonly until: number; readonly ended: string[]; readonly told: (sessions: readonly string[]) => void }
interface Holder { readonly id: string; readonly described: string }

/** Tells who is in the way, and after the grace ends them. */
async function madeRoom(session: Session, shape: Shape, { until, ended, told }: Patience, signal: AbortSignal): Promise<void> {
  const holders = await holdersOf(session, shape, signal);
  told(holders.map(({ described }) => described));
  for (const { id, described } of Date.now() < until ? [] : holders) {
    if (await session.run(`KILL ${id}`, signal).then(() => true, onlyRefused)) ended.push(described);
  }
}

function onlyRefused(error: unknown): false {
  if ((error instanceof DsyncError && error.code === 'denied') || errnoOf(error) === noSuchThread) return false;
  throw error;
}

/** The sessions with a lock on the table; where the server does not tell, those with an open transaction in its database. */
async function holdersOf(session: Session, shape: Shape, signal: AbortSignal): Promise<readonly Holder[]> {
  const described = "CONCAT('session ', p.id, ' (', p.user, '@', p.host, ', ', p.command, ', ', p.time, ' s)')", own = 'p.id <> CONNECTION_ID()';
  const rows = await session.rows(session.version.flavour === 'mysql' ? `
    SELECT DISTINCT p.id, ${described} FROM performance_schema.metadata_locks l JOIN performance_schema.threads t ON t.thread_id = l.owner_thread_id
    JOIN information_schema.processlist p ON p.id = t.processlist_id
    WHERE l.object_type = 'TABLE' AND l.object_schema = ${quote(shape.schema ?? '')} AND l.object_name = ${quote(shape.name)} AND l.lock_status = 'GRANTED' AND ${own}` : `
    SELECT DISTINCT p.id, ${described} FROM information_schema.innodb_trx x JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id
    WHERE p.db = ${quote(shape.schema ?? '')} AND ${own}`, signal);
  return rows.map(([id, text]) => ({ id: id!, described: text ?? `session ${id}` }));
}

/** By name: a fence that was only intended may stand in part. */
async function lift(session: Session, run: string, steps: readonly FenceStep[], signal: AbortSignal): Promise<void> {
  if (steps.length === 0) return;
  const rows = await session.rows(`SELECT trigger_schema, trigger_name FROM information_schema.triggers WHERE LEFT(trigger_name, ${prefixOf(run).length}) = ${quote(prefixOf(run))} ORDER BY 1, 2`, signal);
  for (const [schema, trigger] of rows) {
    while (!(await unlessHeld(session, `DROP TRIGGER IF EXISTS ${name(schema!)}.${name(trigger!)}`, signal))) await delay(100, undefined, { signal });
  }
}

function prefixOf(run: string): string {
  return `_dsync_${digest(run, 12)}_`;
}

function digest(text: string, length: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}
