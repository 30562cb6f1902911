import type { Moment, Shape, Snapshot } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { readTable, type Table } from './catalogue.js';
import { digestsOf } from './digest.js';
import { divide, partsOf } from './ranges.js';
import { fixedPool, withSession } from './pool.js';
import { checkFilter, read } from './read.js';
import { scan } from './scan.js';
import { tableName, type Session } from './session.js';
import type { LineLimits } from './lines.js';

export interface SnapshotPorts {
  readonly readers: readonly Session[];
  /** Holds the lock while the readers start. */
  readonly control: Session;
  readonly limits: LineLimits;
  /** Identifies the server for `Moment.fingerprint`. */
  readonly server: string;
}

const start = 'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY';
const lockSeconds = 5;

/** Brings all readers to one moment, by the cheapest way that the server allows, and serves reads in it. */
export async function openSnapshot(shapes: readonly Shape[], ports: SnapshotPorts, signal: AbortSignal): Promise<Snapshot> {
  const frozen = await freeze(shapes, ports, signal);
  const moment = await momentOf(frozen, shapes, ports, signal);
  const readers = fixedPool(ports.readers);
  const tables = new Map<string, Promise<Table | undefined>>();
  const tableOf = (shape: Shape, session: Session) => {
    const known = tables.get(shape.namespace) ?? readTable(session, shape.schema ?? '', shape.name, signal, shape.view !== undefined);
    tables.set(shape.namespace, known);
    known.catch(() => tables.delete(shape.namespace));
    return known;
  };
  return {
    moment,
    plan: (shape, options, inner) => withSession(readers, inner, async (session) => {
      if (options.where !== undefined) await checkFilter(shape, options.where, session, inner);
      return divide(shape, options, session, inner);
    }),
    parts: (shape, rows, inner) => withSession(readers, inner, (session) => partsOf(shape, rows, session, inner)),
    async *read(job, inner) {
      const session = await readers.take(inner);
      try {
        yield* read(job, await tableOf(job.shape, session), session, ports.limits, inner);
      } finally {
        readers.give(session);
      }
    },
    async *scan(job, inner) {
      const session = await readers.take(inner);
      try {
        yield* scan(job, session, inner);
      } finally {
        readers.give(session);
      }
    },
    digests: digestsOf(readers),
    async [Symbol.asyncDispose]() {
      await readers[Symbol.asyncDispose]();
      await ports.control.close();
    },
  };
}

interface Frozen { readonly how: string; readonly exact: boolean; readonly position?: string }

/**
 * The lock ladder: the whole server, the tables, and at last none. That MariaDB tells each snapshot's place in the binlog
 * saves no lock: once in two hundred times, snapshots at one place differ by a transaction (10.11.19, with one busy writer).
 */
async function freeze(shapes: readonly Shape[], ports: SnapshotPorts, signal: AbortSignal): Promise<Frozen> {
  const { control } = ports;
  const refusals: string[] = [];
  const attempt = async (how: string, lock: string, unlock: string): Promise<Frozen | undefined> => {
    try {
      await control.run(`SET SESSION lock_wait_timeout = ${lockSeconds}`, signal);
      await control.run(lock, signal);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refusals.push(`${how}: ${messageOf(error)}`);
      return undefined;
    }
    try {
      await startAll(ports.readers, signal);
      return { how, exact: true, position: await positionOf(ports.readers[0], control, signal) };
    } finally {
      await control.run(unlock, signal);
    }
  };
  const wholeServer = await attempt('FLUSH TABLES WITH READ LOCK', 'FLUSH TABLES WITH READ LOCK', 'UNLOCK TABLES');
  if (wholeServer) return wholeServer;
  const locks = shapes.map((shape) => `${tableName(shape.schema, shape.name)} READ`).join(', ');
  const theTables = shapes.length === 0 ? undefined : await attempt('LOCK TABLES … READ', `LOCK TABLES ${locks}`, 'UNLOCK TABLES');
  if (theTables) return theTables;
  await startAll(ports.readers, signal);
  const alone = ports.readers.length === 1;
  return {
    exact: alone, how: alone ? 'one reader: its own snapshot' : `fuzzy: no lock was to be had (${refusals.join('; ')})`,
  };
}

async function startAll(readers: readonly Session[], signal: AbortSignal): Promise<void> {
  await Promise.all(readers.map((reader) => reader.run(start, signal)));
}

/** MariaDB tells it to anybody. */
async function binlogSnapshot(reader: Session, signal: AbortSignal): Promise<string | undefined> {
  const rows = await reader.rows("SHOW STATUS LIKE 'Binlog_snapshot_%'", signal);
  const value = (variable: string) => rows.find(([key]) => key?.toLowerCase() === variable)?.[1];
  const file = value('binlog_snapshot_file'), at = value('binlog_snapshot_position');
  return file && at ? `${file}:${at}` : undefined;
}

/** A GTID set where the server has them, else `file:position`, while `control` holds the lock. */
async function positionOf(reader: Session, control: Session, signal: AbortSignal): Promise<string | undefined> {
  const mariadb = control.version.flavour === 'mariadb';
  const [[logged, gtids]] = await control.rows(`SELECT @@log_bin, ${mariadb ? '@@global.gtid_binlog_pos' : "IF(@@gtid_mode = 'ON', @@global.gtid_executed, '')"}`, signal);
  if (logged !== '1') return undefined;
  if (gtids) return gtids.replaceAll('\n', '');
  return await binlogPlace(control, signal) ?? (mariadb ? binlogSnapshot(reader, signal) : undefined);
}

export async function binlogPlace(control: Session, signal: AbortSignal): Promise<string | undefined> {
  const statements = [
    "SELECT local->>'$.binary_log_file', local->>'$.binary_log_position' FROM performance_schema.log_status",
    control.version.flavour === 'mysql' && control.version.number >= 80_200 ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS',
  ];
  for (const statement of statements) {
    const [row] = await control.rows(statement, signal).catch((error: unknown) => {
      if (!isRefusal(error)) throw error;
      return [];
    });
    if (row) return `${row[0]}:${row[1]}`;
  }
  return undefined;
}

async function momentOf(frozen: Frozen, shapes: readonly Shape[], { control, server }: SnapshotPorts, signal: AbortSignal): Promise<Moment> {
  const unsafe = await withoutTransactions(shapes, control, signal);
  const exact = frozen.exact && unsafe.length === 0;
  const trace = exact && frozen.position !== undefined ? await traceOf(control, signal) : undefined;
  return {
    at: new Date().toISOString(), exact,
    how: unsafe.length === 0 ? frozen.how : `${frozen.how}; fuzzy for ${unsafe.join(', ')}, whose storage engine has no snapshots`,
    ...(frozen.position !== undefined && { position: frozen.position }),
    ...(trace !== undefined && { fingerprint: [server, frozen.position, trace].filter(Boolean).join(' ') }),
  };
}

/** What the position leaves out: changes that a replica applied without logging them. Undefined if that can't be told. */
async function traceOf(session: Session, signal: AbortSignal): Promise<string | undefined> {
  const mariadb = session.version.flavour === 'mariadb';
  const [[trace]] = await session.rows(mariadb ? 'SELECT @@gtid_slave_pos' : "SELECT IF(@@log_replica_updates OR @@gtid_mode = 'ON', '', NULL)", signal).catch(() => [[null]]);
  return trace ?? undefined;
}

/** Those of the tables whose storage engine has no transactions, and so no snapshot. */
export async function withoutTransactions(shapes: readonly Shape[], session: Session, signal: AbortSignal): Promise<readonly string[]> {
  const rows = await session.rows(`SELECT t.table_schema, t.table_name FROM information_schema.tables t
    LEFT JOIN information_schema.engines e ON e.engine = t.engine
    WHERE t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND COALESCE(e.transactions, 'NO') <> 'YES'
    AND t.table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')`, signal);
  const names = new Set(rows.map(([schema, table]) => tableName(schema!, table!)));
  return shapes.filter((shape) => names.has(tableName(shape.schema, shape.name))).map((shape) => shape.namespace);
}

/** The server said no, or others held it too long: the next rung of the ladder may do. */
function isRefusal(error: unknown): boolean {
  return error instanceof DsyncError && ['denied', 'conflict', 'internal', 'data'].includes(error.code);
}

