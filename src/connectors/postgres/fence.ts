import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Fence, FenceStep, Shape } from '../../contract.js';
import { serverError } from './failure.js';
import type { Session, TextRow } from './session.js';
import { literal, qualified } from './sql.js';

/** How long one attempt waits for a table's lock: writers that come meanwhile wait behind it. */
const lockMillis = 1000;

/**
 * Triggers that refuse, on every table and partition: for all roles, superusers too, and for replication; sessions with `dsync.writes`, a destination's, pass. Making one waits
 * for the transactions that wrote to the table, so that none is open behind the fence. Reading goes on.
 */
export function fenceOf(use: <Result>(signal: AbortSignal, action: (session: Session) => Promise<Result>) => Promise<Result>): Fence {
  return {
    raise: (run, shapes, how, signal) => use(signal, async (session) => {
      const tables = await leavesOf(session, shapes, signal), ended: string[] = [];
      const taking = async (what: string, before: string, take: () => Promise<unknown>) => {
        how.save({ what, before, state: 'intent' });
        await take();
        how.save({ what, before, state: 'done' });
      };
      const [[schema]] = await session.query("SELECT to_regnamespace('_dsync') IS NOT NULL", signal);
      await taking(schemaStep, schema === 't' ? standing : absent, () => session.query('CREATE SCHEMA IF NOT EXISTS _dsync', signal));
      await taking(`function ${functionOf(run)}`, absent, () => session.query(definition(run, 'refuse'), signal));
      for (const table of tables) {
        await taking(`triggers on ${table.schema}.${table.name}`, absent, async () => {
          const patience = { ...how, until: Date.now() + how.graceMillis, ended };
          while (!(await raised(session, run, table, signal))) await madeRoom(session, table, patience, signal);
        });
      }
      return { how: `triggers refuse every INSERT, UPDATE, DELETE and TRUNCATE on ${tables.length} table(s), for all roles`, ended };
    }),
    lift: (run, steps, signal) => use(signal, (session) => lift(session, run, steps, signal)),
  };
}

interface Leaf { readonly oid: string; readonly schema: string; readonly name: string }

const schemaStep = 'schema _dsync', absent = 'absent', standing = 'standing';

/** What holds rows: a partitioned table's triggers are those of its partitions. */
async function leavesOf(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Leaf[]> {
  const rows = await session.query(`
    SELECT DISTINCT l.oid, n.nspname, l.relname FROM json_to_recordset($1::json) t (schema text, name text)
    JOIN pg_namespace tn ON tn.nspname = t.schema JOIN pg_class c ON c.relnamespace = tn.oid AND c.relname = t.name
    CROSS JOIN LATERAL (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid)) p (oid)
    JOIN pg_class l ON l.oid = p.oid AND l.relkind = 'r' JOIN pg_namespace n ON n.oid = l.relnamespace
    ORDER BY 2, 3`, signal, [JSON.stringify(shapes.map(({ schema, name }) => ({ schema, name })))]);
  return rows.map(([oid, schema, name]) => ({ oid: oid!, schema: schema!, name: name! }));
}

/** False where somebody holds the table. */
async function raised(session: Session, run: string, table: Leaf, signal: AbortSignal): Promise<boolean> {
  const name = nameOf(run), on = qualified(table), call = `EXECUTE FUNCTION ${functionOf(run)}()`;
  return unlessHeld(session, signal, [
    `CREATE OR REPLACE TRIGGER ${name} BEFORE INSERT OR UPDATE OR DELETE ON ${on} FOR EACH ROW ${call}`,
    `CREATE OR REPLACE TRIGGER ${name}_t BEFORE TRUNCATE ON ${on} FOR EACH STATEMENT ${call}`,
    // Not only in sessions of the usual replication role.
    `ALTER TABLE ${on} ENABLE ALWAYS TRIGGER ${name}, ENABLE ALWAYS TRIGGER ${name}_t`,
  ]);
}

async function unlessHeld(session: Session, signal: AbortSignal, statements: readonly string[]): Promise<boolean> {
  try {
    await session.transaction(signal, async () => {
      await session.query(`SET LOCAL lock_timeout = ${lockMillis}; SET LOCAL default_transaction_read_only = off`, signal);
      for (const statement of statements) await session.query(statement, signal);
    });
    return true;
  } catch (error) {
    if (['55P03', '40P01'].includes(serverError(error)?.code ?? '')) return false;
    throw error;
  }
}

interface Patience { readonly until: number; readonly ended: string[]; readonly told: (sessions: readonly string[]) => void }

/** Tells who holds the table, and after the grace ends them. */
async function madeRoom(session: Session, table: Leaf, { until, ended, told }: Patience, signal: AbortSignal): Promise<void> {
  const holders = await holdersOf(session, table, signal);
  told(holders.map(({ described }) => described));
  for (const { pid, described } of Date.now() < until ? [] : holders) {
    if (pid === undefined) continue;
    const gone = await session.query('SELECT pg_terminate_backend($1)', signal, [pid]).then(([[answer]]) => answer === 't', onlyDenied);
    if (gone) ended.push(described);
  }
  await delay(100, undefined, { signal });
}

function onlyDenied(error: unknown): false {
  if (serverError(error)?.code === '42501') return false;
  throw error;
}

/** Whoever has written to it and not ended its transaction; a prepared one has no process. */
async function holdersOf(session: Session, { oid }: Leaf, signal: AbortSignal): Promise<readonly { readonly pid?: string; readonly described: string }[]> {
  const rows = await session.query(`
    SELECT DISTINCT l.pid, CASE WHEN l.pid IS NULL THEN 'a prepared transaction (' || (SELECT string_agg(gid, ', ') FROM pg_prepared_xacts WHERE database = current_database()) || ')'
      ELSE format('process %s (%s%s, %s), in a transaction since %s', a.pid, a.usename, ' ' || nullif(a.application_name, ''), a.state, to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS')) END
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.relation = $1 AND l.granted
      AND l.mode NOT IN ('AccessShareLock', 'RowShareLock') AND l.pid IS DISTINCT FROM pg_backend_pid()`, signal, [oid]);
  return rows.map(([pid, described]: TextRow) => ({ ...(pid !== null && { pid }), described: described ?? `process ${pid}` }));
}

/** Writes pass as soon as the function lets them; the triggers go when nobody reads their table for a moment. */
async function lift(session: Session, run: string, steps: readonly FenceStep[], signal: AbortSignal): Promise<void> {
  await session.query('SET default_transaction_read_only = off', signal);
  const [[stands]] = await session.query('SELECT to_regprocedure($1) IS NOT NULL', signal, [`${functionOf(run)}()`]);
  if (stands === 't') {
    await session.query(definition(run, 'pass'), signal);
    const triggers = await session.query('SELECT quote_ident(n.nspname) || \'.\' || quote_ident(c.relname), quote_ident(t.tgname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgfoid = to_regprocedure($1) ORDER BY 1, 2', signal, [`${functionOf(run)}()`]);
    for (const [table, trigger] of triggers) {
      while (!(await unlessHeld(session, signal, [`DROP TRIGGER IF EXISTS ${trigger} ON ${table}`]))) await delay(200, undefined, { signal });
    }
    await session.query(`DROP FUNCTION IF EXISTS ${functionOf(run)}()`, signal);
  }
  if (steps.some(({ what, before }) => what === schemaStep && before === absent)) await session.query('DROP SCHEMA IF EXISTS _dsync', signal).catch(onlyInUse);
}

/** Something else of dsync's is there by now. */
function onlyInUse(error: unknown): void {
  if (serverError(error)?.code !== '2BP01') throw error;
}

function nameOf(run: string): string {
  return `_dsync_fence_${createHash('sha256').update(run).digest('hex').slice(0, 12)}`;
}

function functionOf(run: string): string {
  return `_dsync.${nameOf(run).slice(1)}`;
}

function definition(run: string, way: 'refuse' | 'pass'): string {
  const refusal = `
    IF current_setting('dsync.writes', true) IS DISTINCT FROM 'on' THEN
      RAISE EXCEPTION ${literal(`writes to %.% are fenced off: run ${run.replaceAll('%', '%%')} of dsync has moved its rows elsewhere`)}, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'read_only_sql_transaction', HINT = ${literal(`dsync cutover ${run} --abort lifts the fence`)};
    END IF;`;
  return `CREATE OR REPLACE FUNCTION ${functionOf(run)}() RETURNS trigger LANGUAGE plpgsql AS ${literal(`
  BEGIN${way === 'refuse' ? refusal : ''}
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
  END`)}`;
}
