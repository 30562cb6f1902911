import type { Batch, LogRow, Mapping, Rejected, Row, Value, WriteOptions } from '../../contract.js';
import { told } from '../../destination/fold.js';
import { DsyncError } from '../../errors.js';
import { decodeDelimited, encodeDelimited } from '../../values/delimited.js';
import { readTable } from './catalogue.js';
import { withoutPostgresEscapes } from './escapes.js';
import { errnoOf } from './faults.js';
import { infileLoad, insertLoad, linesOf, place, type Find, type Lines, type Load, type PacketLimit } from './load.js';
import { record, recorded, type Hold } from './progress.js';
import type { Session } from './session.js';
import { fenced, stagingName, targetName } from './tables.js';
import { upserts, type Upserts } from './upsert.js';

const localInfileRefused = new Set([1148, 3948, 4166]);

/** Writes batches, each in one transaction with its progress. One per destination: it knows what its sessions have ready. */
export interface Writing {
  write(hold: Hold, batch: Batch, mapping: Mapping, options: WriteOptions): Promise<{ readonly written: number; readonly rejected: readonly Rejected[] }>;
  mend(hold: Hold, mapping: Mapping, changes: Changes): Promise<{ readonly rejected: readonly Rejected[] }>;
  /** Does the table's storage engine have transactions? */
  isTransactional(hold: Hold, mapping: Mapping): Promise<boolean>;
  /** What `mend` does, in the open transaction. */
  change(hold: Hold, mapping: Mapping, changes: Changes): Promise<readonly Rejected[]>;
  /** Updates these columns of rows by their keys, in the open transaction. */
  update(hold: Hold, mapping: Mapping, columns: readonly number[], rows: readonly LogRow[]): Promise<readonly Rejected[]>;
  /** Inserts rows of a table without a key, in the open transaction. */
  insert(hold: Hold, mapping: Mapping, rows: readonly Row[]): Promise<readonly Rejected[]>;
}

export interface Changes { readonly upserts: readonly Row[]; readonly deletes: readonly Row[] }

/** Where a table has shown bad rows, its batches are brought in by so many pieces: only those with a bad row are done again. */
const pieces = 16, worthPieces = 2000;

/** Temporary tables that a session keeps. */
const mostTemporary = 20;

/** How a table's rows are written, compiled once per table and process. */
interface Road {
  readonly plain: Load;
  /** Absent without a key. */
  readonly upserts?: Upserts;
  /** The storage engine has no transactions: only upserts can be made again. */
  readonly alwaysUpsert: boolean;
  readonly decode: (bytes: Uint8Array) => Row[];
  readonly encode: (rows: readonly Row[]) => Buffer;
}

export function writing(server: { readonly infile: boolean; readonly packet: PacketLimit }): Writing {
  let { infile } = server;
  const roads = new WeakMap<Mapping, Promise<Road>>(), troubled = new WeakSet<Road>();
  /** Whose the temporary tables are that a session has, the one that was made last at the end. */
  const temporary = new WeakMap<Session, Map<string, Mapping>>();

  /** LOAD DATA where the server lets us, INSERT from its first refusal on. */
  function loadInto(mapping: Mapping, table: string): Load {
    const byFile = infileLoad(mapping, table), byInsert = insertLoad(mapping, table, server.packet);
    return async (session, lines, signal) => {
      if (!infile) return byInsert(session, lines, signal);
      try {
        return await byFile(session, lines, signal);
      } catch (error) {
        if (!localInfileRefused.has(errnoOf(error) ?? 0)) throw error;
        infile = false;
        return byInsert(session, lines, signal);
      }
    };
  }

  async function compile({ run, session, signal }: Hold, mapping: Mapping): Promise<Road> {
    const { target, source, existed, staged } = mapping;
    const table = existed ? await readTable(session, target.schema ?? '', target.name, signal) : undefined;
    return {
      plain: loadInto(mapping, staged ? stagingName(run, mapping) : targetName(target)),
      alwaysUpsert: table !== undefined && !table.transactional && !staged,
      decode: decodeDelimited(source.columns), encode: encodeDelimited(source.columns),
      ...(target.key.length > 0 && !staged && { upserts: upserts(mapping, table) }),
    };
  }

  function roadOf(hold: Hold, mapping: Mapping): Promise<Road> {
    const known = roads.get(mapping) ?? compile(hold, mapping);
    roads.set(mapping, known);
    known.catch(() => roads.delete(mapping));
    return known;
  }

  /** The upserts of this mapping, with its temporary table in this session. */
  async function ready(session: Session, mapping: Mapping, road: Road, signal: AbortSignal): Promise<Upserts> {
    if (!road.upserts) throw new DsyncError('internal', `${mapping.source.namespace} has no key to upsert by`, { namespace: mapping.source.namespace });
    const made = temporary.get(session) ?? new Map<string, Mapping>(), name = road.upserts.temporary;
    temporary.set(session, made);
    if (made.get(name) === mapping) return road.upserts;
    const [oldest] = made.keys();
    if (made.size >= mostTemporary && oldest !== undefined) {
      made.delete(oldest);
      await session.run(`DROP TEMPORARY TABLE IF EXISTS ${oldest}`, signal);
    }
    made.delete(name);
    await road.upserts.prepare(session, signal);
    made.set(name, mapping);
    return road.upserts;
  }

  async function upsertLoad({ session, signal }: Hold, mapping: Mapping, road: Road, apart?: boolean): Promise<Load> {
    const by = await ready(session, mapping, road, signal);
    return by.load(loadInto(mapping, by.temporary), apart);
  }

  /** Looks for lines whose key is taken, unless the user may not make temporary tables. */
  function finder(mapping: Mapping, road: Road): Find | undefined {
    return road.upserts && (async (session, lines, signal) => {
      try {
        const by = await ready(session, mapping, road, signal);
        return await by.taken(loadInto(mapping, by.temporary))(session, lines, signal);
      } catch (error) {
        if (error instanceof DsyncError && error.code === 'denied') return new Map();
        throw error;
      }
    });
  }

  async function removeRows({ session, signal }: Hold, mapping: Mapping, road: Road, keys: readonly Row[]): Promise<void> {
    if (keys.length === 0) return;
    const narrow = narrowed(mapping, mapping.target.key);
    const by = await ready(session, mapping, road, signal);
    await by.clear(session, signal);
    // A key that the target can't hold is not in it.
    await place(loadInto(narrow, by.temporary), undefined, session, linesOf(encodeDelimited(narrow.source.columns)(keys), keys.length), signal);
    await by.remove(session, signal);
  }

  async function change(hold: Hold, mapping: Mapping, { upserts, deletes }: Changes): Promise<readonly Rejected[]> {
    const { session, signal } = hold, road = await roadOf(hold, mapping), lines = linesOf(road.encode(upserts), upserts.length);
    await removeRows(hold, mapping, road, deletes);
    const rejects = await place(await upsertLoad(hold, mapping, road, true), undefined, session, lines, signal);
    return rejectedRows(mapping, lines, rejects, road.decode);
  }

  return {
    async write(hold, batch, mapping, { overwrite, redo }) {
      const { ledger, run, session, signal } = hold;
      const road = await roadOf(hold, mapping);
      const lines = linesIn(batch, mapping, road.encode);
      const upserting = overwrite || road.alwaysUpsert;
      const load = upserting ? await upsertLoad(hold, mapping, road) : road.plain;
      const rejects = await fenced(hold, async () => {
        const known = redo ? await recorded(ledger, run, batch, session, signal) : undefined;
        if (known) return known;
        const fresh = await place(load, upserting ? undefined : finder(mapping, road), session, lines, signal, troubled.has(road) && lines.count >= worthPieces ? pieces : 1);
        if (fresh.size > 0) troubled.add(road);
        await record(ledger, run, batch, fresh, session, signal);
        return fresh;
      });
      return { written: batch.count - rejects.size, rejected: rejectedRows(mapping, lines, rejects, road.decode) };
    },
    async mend(hold, mapping, changes) {
      await ready(hold.session, mapping, await roadOf(hold, mapping), hold.signal);
      return { rejected: await fenced(hold, () => change(hold, mapping, changes)) };
    },
    isTransactional: async (hold, mapping) => !(await roadOf(hold, mapping)).alwaysUpsert,
    change,
    async update(hold, mapping, columns, rows) {
      const { session, signal } = hold, positions = [...mapping.target.key, ...columns], narrow = narrowed(mapping, positions);
      const by = await ready(session, mapping, await roadOf(hold, mapping), signal);
      const cells = rows.map((row) => positions.map((position) => row[position] as Value));
      const lines = linesOf(encodeDelimited(narrow.source.columns)(cells), rows.length);
      const rejects = await place(by.update(columns, loadInto(narrow, by.temporary)), undefined, session, lines, signal);
      return [...rejects].sort(([a], [b]) => a - b).map(([i, reason]) => ({ namespace: mapping.source.namespace, reason, ...told(rows[i]) }));
    },
    async insert(hold, mapping, rows) {
      const road = await roadOf(hold, mapping), lines = linesOf(road.encode(rows), rows.length);
      return rejectedRows(mapping, lines, await place(road.plain, undefined, hold.session, lines, hold.signal), road.decode);
    },
  };
}

/** Only these columns. The key stays that of the whole mapping. */
function narrowed(mapping: Mapping, positions: readonly number[]): Mapping {
  const { source, target } = mapping;
  return { ...mapping, source: { ...source, columns: positions.map((i) => source.columns[i]) }, target: { ...target, columns: positions.map((i) => target.columns[i]) } };
}

function linesIn(batch: Batch, { source }: Mapping, encode: (rows: readonly Row[]) => Buffer): Lines {
  const { rows } = batch;
  switch (rows.format) {
    case 'values': return linesOf(encode(rows.rows), rows.rows.length);
    case 'delimited': return linesOf(source.engine === 'postgres' ? withoutPostgresEscapes(rows.bytes) : rows.bytes, batch.count);
    case 'pg-binary': case 'bson': throw new DsyncError('internal', `MySQL was sent ${rows.format}`, { namespace: batch.namespace });
    default: return rows satisfies never;
  }
}

function rejectedRows({ source }: Mapping, lines: Lines, rejects: ReadonlyMap<number, string>, decode: (bytes: Uint8Array) => Row[]): Rejected[] {
  return [...rejects].sort(([a], [b]) => a - b).map(([i, reason]) => ({
    namespace: source.namespace, reason, row: decode(lines.bytes.subarray(lines.starts[i], lines.starts[i + 1]))[0],
  }));
}
