import type { Batch, Destination, Mapping, OpenOptions, Rejected, Row, WriteOptions } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { cellsOfLine, decodeDelimited, encodeDelimited } from '../../values/delimited.js';
import type { Address } from './address.js';
import { readTable, type Table } from './catalogue.js';
import { checkDestination } from './check.js';
import { withoutPostgresEscapes } from './escapes.js';
import { errnoOf } from './faults.js';
import { identityOf } from './identity.js';
import { infileLoad, insertLoad, linesOf, place, type Lines, type Load } from './load.js';
import { pool, withSession } from './pool.js';
import { begin, fence, forget, ledgerIn, progress, record, recordDone, recorded } from './progress.js';
import { connect, name, type Session } from './session.js';
import { destinationSettings } from './settings.js';
import { dropStaging, fenced, prepareTable, stagingName, swapIn, targetName, type Hold } from './tables.js';
import { adapt, readOffer } from './target.js';
import { upserts, type Upserts } from './upsert.js';

/** The database that holds dsync's progress where the URL names none. */
const ownSchema = '_dsync';
const missingTable = 1146;
const localInfileRefused = new Set([1148, 3948, 4166]);

/** How a table's rows are written, compiled once per table and process. */
interface Writer {
  readonly plain: Load;
  readonly upserts?: Upserts;
  /** The storage engine has no transactions: only upserts can be made again. */
  readonly alwaysUpsert: boolean;
  readonly decode: (bytes: Uint8Array) => Row[];
  readonly encode: (rows: readonly Row[]) => Buffer;
}

export async function openDestination(address: Address, options: OpenOptions): Promise<Destination> {
  const sessions = pool({ size: options.connections, open: (signal) => connect({ address, settings: destinationSettings, lostAs: 'connection-lost' }, signal) });
  const using = <T>(signal: AbortSignal, action: (session: Session) => Promise<T>) => withSession(sessions, signal, action);
  const ledger = ledgerIn(address.database ?? ownSchema);
  const epochs = new Map<string, number>();
  const writers = new WeakMap<Mapping, Promise<Writer>>();
  const temporary = new WeakMap<Session, Mapping>();
  const facts = await using(options.signal, async (session) => {
    const offer = await readOffer(session, options.signal);
    const [[infile, packet]] = await session.rows('SELECT @@local_infile, @@max_allowed_packet', options.signal);
    return { offer, infile: infile === '1', packet: { bytes: Number(packet) - 65_536 } };
  });
  let infile = facts.infile;

  const holdOf = (run: string, session: Session, signal: AbortSignal): Hold => ({ ledger, run, epoch: epochs.get(run), session, signal });
  const schemaOf = (schema: string | undefined) => {
    const found = schema ?? address.database;
    if (found === undefined) throw new DsyncError('usage', 'the destination URL names no database', { remedy: 'write mysql://HOST/DATABASE, or name it in the target: --namespace NAMESPACE:DATABASE.TABLE' });
    return found;
  };

  /** LOAD DATA where the server lets us, INSERT from its first refusal on. */
  function loadInto(mapping: Mapping, table: string): Load {
    const byFile = infileLoad(mapping, table), byInsert = insertLoad(mapping, table, facts.packet);
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

  async function compileWriter(run: string, mapping: Mapping, session: Session, signal: AbortSignal): Promise<Writer> {
    const { target, source } = mapping;
    const table: Table | undefined = mapping.existed ? await readTable(session, target.schema ?? '', target.name, signal) : undefined;
    return {
      plain: loadInto(mapping, mapping.staged ? stagingName(run, mapping) : targetName(mapping)),
      alwaysUpsert: table !== undefined && !table.transactional && !mapping.staged,
      decode: decodeDelimited(source.columns), encode: encodeDelimited(source.columns),
      ...(target.key.length > 0 && { upserts: upserts(mapping, table) }),
    };
  }

  function writerOf(run: string, mapping: Mapping, session: Session, signal: AbortSignal): Promise<Writer> {
    const known = writers.get(mapping) ?? compileWriter(run, mapping, session, signal);
    writers.set(mapping, known);
    known.catch(() => writers.delete(mapping));
    return known;
  }

  /** The temporary table of this mapping, in this session. */
  async function readyUpserts(mapping: Mapping, writer: Writer, session: Session, signal: AbortSignal): Promise<Upserts> {
    if (!writer.upserts) throw new DsyncError('internal', `${mapping.source.namespace} has no key to upsert by`, { namespace: mapping.source.namespace });
    if (temporary.get(session) !== mapping) {
      temporary.delete(session);
      await writer.upserts.prepare(session, signal);
      temporary.set(session, mapping);
    }
    return writer.upserts;
  }

  async function loadOf(run: string, mapping: Mapping, overwrite: boolean, session: Session, signal: AbortSignal): Promise<Load> {
    const writer = await writerOf(run, mapping, session, signal);
    if (!overwrite && !writer.alwaysUpsert) return writer.plain;
    const ready = await readyUpserts(mapping, writer, session, signal);
    return ready.load(loadInto(mapping, ready.temporary));
  }

  async function write(run: string, batch: Batch, mapping: Mapping, { overwrite, redo }: WriteOptions, session: Session, signal: AbortSignal) {
    const writer = await writerOf(run, mapping, session, signal);
    const lines = linesIn(batch, mapping, writer.encode);
    const load = await loadOf(run, mapping, overwrite, session, signal);
    const rejects = await fenced(holdOf(run, session, signal), async () => {
      const known = redo ? await recorded(ledger, run, batch, session, signal) : undefined;
      if (known) return known;
      const fresh = await place(load, session, lines, signal);
      await record(ledger, run, batch, fresh, session, signal);
      return fresh;
    });
    return { written: batch.count - rejects.size, rejected: rejectedRows(mapping, lines, rejects, writer.decode) };
  }

  async function mend(run: string, mapping: Mapping, { upserts: rows, deletes }: { readonly upserts: readonly Row[]; readonly deletes: readonly Row[] }, session: Session, signal: AbortSignal) {
    const writer = await writerOf(run, mapping, session, signal);
    const load = await loadOf(run, mapping, true, session, signal);
    const lines = linesOf(writer.encode(rows), rows.length);
    const rejects = await fenced(holdOf(run, session, signal), async () => {
      if (deletes.length > 0) await deleteRows(mapping, writer.upserts!, deletes, session, signal);
      return rows.length > 0 ? place(load, session, lines, signal) : new Map<number, string>();
    });
    return { rejected: rejectedRows(mapping, lines, rejects, writer.decode) };
  }

  async function deleteRows(mapping: Mapping, by: Upserts, keys: readonly Row[], session: Session, signal: AbortSignal): Promise<void> {
    const { source, target } = mapping;
    const columns = target.key.map((position) => source.columns[position]);
    const narrow: Mapping = { ...mapping, source: { ...source, columns }, target: { ...target, columns: target.key.map((position) => target.columns[position]) } };
    await session.run(`DELETE FROM ${by.temporary}`, signal);
    const lines = linesOf(encodeDelimited(columns)(keys), keys.length);
    const unfit = await place(loadInto(narrow, by.temporary), session, lines, signal);
    if (unfit.size < keys.length) await by.remove(session, signal);
  }

  return {
    engine: facts.offer.version.flavour,
    version: facts.offer.version.text,
    ...(address.database !== undefined && { defaultSchema: address.database }),
    identity: (signal) => using(signal, (session) => identityOf(session, address.database, signal)),
    check: (mappings, signal) => using(signal, (session) => checkDestination(session, mappings, signal)),
    adapt: (source, target, signal) => using(signal, (session) => adapt(source, target, schemaOf(target.schema), facts.offer, session, signal)),
    holdsRows: (target, signal) => using(signal, async (session) => {
      const rows = await session.rows(`SELECT 1 FROM ${targetName({ target } as Mapping)} LIMIT 1`, signal).catch((error: unknown) => {
        if (errnoOf(error) === missingTable) return [];
        throw error;
      });
      return rows.length > 0;
    }),
    formats: () => ['delimited', 'values'],
    begin: (run, signal) => using(signal, async (session) => {
      if (address.database === undefined) await session.run(`CREATE DATABASE IF NOT EXISTS ${name(ownSchema)} CHARACTER SET utf8mb4`, signal);
      epochs.set(run, await begin(ledger, run, session, signal));
    }),
    progress: (run, signal) => using(signal, (session) => progress(ledger, run, session, signal)),
    prepare: (run, mapping, how, signal) => using(signal, (session) => prepareTable(holdOf(run, session, signal), mapping, how, facts.offer)),
    write: (run, batch, mapping, how, signal) => using(signal, (session) => write(run, batch, mapping, how, session, signal)),
    taskDone: (run, barrier, signal) => using(signal, (session) => fenced(holdOf(run, session, signal), () => recordDone(ledger, run, barrier, session, signal))),
    finish: (run, mapping, { keepRows }, signal) => using(signal, async (session) => {
      const hold = holdOf(run, session, signal);
      await fenced(hold, async () => {});
      if (mapping.staged) await swapIn(hold, mapping, keepRows);
      await session.run(`ANALYZE NO_WRITE_TO_BINLOG TABLE ${targetName(mapping)}`, signal);
      return [];
    }),
    mend: (run, mapping, changes, signal) => using(signal, (session) => mend(run, mapping, changes, session, signal)),
    forget: (run, mappings, signal) => using(signal, async (session) => {
      for (const mapping of mappings) if (mapping.staged) await dropStaging(run, mapping, session, signal);
      await forget(ledger, run, session, signal);
      epochs.delete(run);
    }),
    [Symbol.asyncDispose]: () => sessions[Symbol.asyncDispose](),
  };
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
