import { connectorFor } from '../connectors/index.js';
import type { Column, Destination, Mapping, Rejected, Row, Rows, Shape, Snapshot, Source, Target, Value } from '../contract.js';
import { DsyncError } from '../errors.js';
import { bytesOfRow } from '../source/batches.js';
import { originOf } from '../source/ruled.js';
import { codec } from '../values/codec.js';
import { extremesOf } from '../values/extremes.js';
import { misfits } from '../values/misfits.js';
import { spellAny } from '../values/normal.js';
import { decodeRows } from '../values/bson.js';
import { scratchName } from '../values/scratch-name.js';
import { hashers, type RowHasher } from '../verifier/rows.js';
import type { Onlooker, RunConfig } from './config.js';
import { openDestination, openOptions, openSource } from './ends.js';
import { filtersOf, targetsOf } from './route.js';
import { settled } from './rules.js';
import { selectedShapes, withEnds } from './sync.js';
import { agreementOf } from './tables.js';

/** What became of the values of a column that were sent to the destination and read again. */
export interface ColumnTried {
  readonly namespace: string;
  readonly column: string;
  readonly from: string;
  readonly to: string;
  readonly level: 'exact' | 'reshaped' | 'lossy';
  readonly note?: string;
  /** Values at the edges of the type, and those of real rows. */
  readonly extremes: Tried;
  readonly rows: Tried;
}

/** `unequal` came back as another value, `rejected` were refused with a reason. */
export interface Tried {
  tried: number;
  unequal: number;
  rejected: number;
  /** The first that was not equal, or else was rejected. */
  example?: { readonly sent: string; readonly back?: string; readonly reason?: string };
}

export interface RoundtripReport {
  readonly source: string;
  readonly destination: string;
  /** What was made in the destination, and dropped again. */
  readonly scratch: string;
  /** Rows that were tried, and how many of these were rejected. */
  readonly tables: readonly { readonly namespace: string; readonly rows: number; readonly rejected: number }[];
  /** Those that would not come back equal. */
  readonly columns: readonly ColumnTried[];
  /** Columns that were not tried, and why. */
  readonly untried: readonly { readonly namespace: string; readonly column: string; readonly reason: string }[];
}

const idName = '_dsync_row';
/** What is sent, read again and compared at once. */
const roundRows = 5000, roundBytes = 4 << 20;
/** So many refused rows are sent again at once, cell by cell, to see which cell it was. */
const dividedAtOnce = 500;

/** Sends extreme values and `sample` real rows of each table through a table of the destination's own making, and compares what comes back. */
export async function roundtrip(config: RunConfig, ports: Onlooker, sample: number): Promise<RoundtripReport> {
  const connector = await connectorFor(config.destination), name = scratchName('types'), { signal } = ports;
  if (!connector.openScratch) throw new DsyncError('usage', `${connector.name}: can't be read again, so nothing can be tried there`);
  return withEnds(config, ports, async (source, destination) => {
    const shapes = await selectedShapes(config, source, signal), where = filtersOf(config.where, shapes);
    await using scratch = await connector.openScratch!(config.destination, name, { ...openOptions(config, signal), empty: true });
    const inner = { ...config, destination: scratch.url };
    await using there = await openDestination(inner, ports);
    await using reader = await openSource(scratch.url, openOptions(inner, signal));
    await using snapshot = await source.snapshot(shapes, signal);
    for (const left of scratch.left) await there.forget(left, [], signal);
    await scratch.sweep(signal);
    await there.begin(name, signal);
    try {
      const tried: TableTried[] = [];
      for (const [shape, target] of targetsOf(shapes, config.namespaces, source, destination)) {
        const table = await trialTable(shape, target, { destination, there, schema: scratch.schema, name: `tried_${tried.length}`, signal });
        tried.push(await tryTable(table, { run: name, source, there, reader, snapshot, signal, sample, where: where(shape.namespace) }));
      }
      return {
        source: source.version, destination: destination.version, scratch: name,
        tables: tried.map(({ namespace, rows, rejected }) => ({ namespace, rows, rejected })), columns: tried.flatMap(({ columns }) => columns.filter(isFaulty)), untried: tried.flatMap(({ untried }) => untried),
      };
    } finally {
      await there.forget(name, [], new AbortController().signal);
    }
  });
}

/** A column without a fault that the user does not know of from the plan. */
export function isUnequal({ level, extremes, rows }: ColumnTried): boolean {
  return level !== 'lossy' && extremes.unequal + rows.unequal > 0;
}

const isFaulty = ({ extremes, rows }: ColumnTried): boolean => extremes.unequal + extremes.rejected + rows.unequal + rows.rejected > 0;

interface Trial {
  /** As a sync would map the table. */
  readonly real: Mapping;
  /** The table that takes the values: a number for each row, and the columns that are tried. Documents are told apart by their `_id`. */
  readonly mapping: Mapping;
  /** Where its columns stand in the real one. */
  readonly places: readonly number[];
  readonly numbered: boolean;
  readonly untried: RoundtripReport['untried'];
}

interface Places { readonly destination: Destination; readonly there: Destination; readonly schema: string | undefined; readonly name: string; readonly signal: AbortSignal }

async function trialTable(shape: Shape, target: Target, { destination, there, schema, name, signal }: Places): Promise<Trial> {
  const real = settled(await destination.adapt(shape, target, signal)), numbered = !shape.columns.some(({ type }) => type.kind === 'document');
  const toMake = (i: number) => !real.existed && shape.engine === 'postgres' && real.target.engine === 'postgres' && real.source.columns[i].type.kind === 'enum';
  const places = [...real.source.columns.keys()].filter((i) => !toMake(i));
  const free = (column: Column): Column => ({ ...column, nullable: numbered });
  const number: Column = { name: idName, type: { kind: 'int', bits: 32, signed: true }, native: shape.engine === 'postgres' ? 'integer' : 'int', nullable: false };
  const columns = [...(numbered ? [number] : []), ...places.map((i) => free(real.source.columns[i]))];
  const own = await there.adapt({ ...shape, columns, key: [0] }, { ...(schema !== undefined && { schema }), name }, signal);
  const kept = numbered ? [own.target.columns[0], ...places.map((i) => free(real.target.columns[i]))] : own.target.columns;
  return {
    real, places, numbered, mapping: { ...own, target: { ...own.target, columns: kept }, fidelity: columns.map(() => ({ level: 'exact' })) },
    untried: real.source.columns.flatMap(({ name }, i) => (places.includes(i) ? [] : [{ namespace: shape.namespace, column: name, reason: 'its type is made together with the table' }])),
  };
}

interface Ends { readonly run: string; readonly source: Source; readonly there: Destination; readonly reader: Source; readonly snapshot: Snapshot; readonly signal: AbortSignal; readonly sample: number; readonly where: string | undefined }
interface TableTried { readonly namespace: string; readonly rows: number; readonly rejected: number; readonly columns: readonly ColumnTried[]; readonly untried: RoundtripReport['untried'] }

async function tryTable(trial: Trial, ends: Ends): Promise<TableTried> {
  const { real, places, numbered, untried } = trial;
  const fresh = (): Tried => ({ tried: 0, unequal: 0, rejected: 0 });
  const columns = places.map((i): ColumnTried => ({
    namespace: real.source.namespace, column: real.source.columns[i].name, from: originOf(real.source, real.source.columns[i]).native, to: real.target.columns[i].native, ...real.fidelity[i], extremes: fresh(), rows: fresh(),
  }));
  const extremes = numbered ? columns.flatMap((_, i) => extremesOf(real.source.columns[places[i]], real.source.engine).map((value) => alone(columns.length, i, value))) : [];
  await round(trial, ends, extremes, columns.map((column) => column.extremes));
  let rows = 0, rejected = 0;
  const setAside = ({ column, row, reason }: Rejected) => {
    const at = places.findIndex((i) => real.source.columns[i].name === column);
    rejected++;
    if (at < 0) return;
    const tally = columns[at].rows;
    tally.tried++;
    tally.rejected++;
    tally.example ??= { sent: spelled(row[places[at]]), reason };
  };
  for await (const some of sampleOf(trial, ends, setAside)) {
    rows += some.length;
    const refused = await round(trial, ends, some, columns.map((column) => column.rows));
    rejected += refused.length;
    for (let at = 0; numbered && at < refused.length; at += dividedAtOnce) {
      const cells = refused.slice(at, at + dividedAtOnce).flatMap((row) => row.flatMap((value, i) => (value === null ? [] : [alone(columns.length, i, value)])));
      await round(trial, ends, cells, columns.map((column) => column.rows));
    }
  }
  return { namespace: real.source.namespace, rows, rejected, columns, untried };
}

/** A row of nothing but this value. */
function alone(width: number, place: number, value: Value): Row {
  return Array.from({ length: width }, (_, i) => (i === place ? value : null));
}

/** Real rows, with the columns that are tried, some at a time. Those that the source's rules reject are told apart. */
async function* sampleOf({ real, places }: Trial, { source, snapshot, sample, where, signal }: Ends, setAside: (rejected: Rejected) => void): AsyncIterable<readonly Row[]> {
  const shape = real.source, isBson = source.formats(real).includes('bson'), decode = decodeRows(shape);
  let left = sample, some: Row[] = [], size = 0;
  for (const task of await snapshot.plan(shape, { taskBytes: 64 << 20, where }, signal)) {
    if (left <= 0) break;
    for await (const { rows, rejected = [] } of snapshot.read({ task, shape, format: isBson ? 'bson' : 'values', where, sequence: 0 }, signal)) {
      const read = (rows.format === 'bson' ? decode(rows.documents) : (rows as Extract<Rows, { format: 'values' }>).rows).slice(0, left);
      left -= read.length;
      rejected.forEach(setAside);
      for (const row of read) {
        some.push(places.map((place) => row[place]));
        size += bytesOfRow(row);
        if (some.length < roundRows && size < roundBytes) continue;
        yield some;
        [some, size] = [[], 0];
      }
      if (left <= 0) break;
    }
  }
  if (some.length > 0) yield some;
}

/** Writes these rows, reads them again, compares them cell by cell, and empties the table. Returns the rows that were refused; the only cell of one is noted as such. */
async function round({ mapping, numbered }: Trial, { run, source, there, reader, signal }: Ends, rows: readonly Row[], tallies: readonly Tried[]): Promise<readonly Row[]> {
  if (rows.length === 0) return [];
  const { namespace } = mapping.source, task = { id: `${namespace}#0`, namespace }, refused: Row[] = [];
  const sent = numbered ? rows.map((row, i): Row => [i + 1, ...row]) : rows, { fit, rejected } = misfitsOf(mapping, sent);
  await there.prepare(run, mapping, { empty: true, keyed: true, tasks: [task] }, signal);
  const result = await there.write(run, { task: task.id, namespace, sequence: 0, rows: encoded(mapping, fit, source, there), count: fit.length, bytes: 0 }, mapping, { overwrite: false, redo: false }, signal);
  const reasons = new Map([...rejected, ...result.rejected].map(({ row, reason }) => [idOf(row[0]), reason]));
  const back = new Map<string, Row>();
  await using snapshot = await reader.snapshot([mapping.target], signal);
  for await (const found of snapshot.scan({ shape: mapping.target, part: {} }, signal)) for (const row of found) back.set(idOf(row[0]), row);
  const [before, after] = await hashers(mapping), shift = numbered ? 1 : 0;
  for (const row of sent) {
    const reason = reasons.get(idOf(row[0])), found = back.get(idOf(row[0]));
    if (reason !== undefined) refused.push(row.slice(shift));
    note(tallies, row, found, reason, { before, after, shift });
  }
  return refused;
}

/** As the copy sets them aside. */
function misfitsOf(mapping: Mapping, rows: readonly Row[]): ReturnType<ReturnType<typeof misfits>> {
  return mapping.source.engine === 'sqlite' && mapping.target.engine !== 'sqlite' ? misfits(mapping.source)(rows) : { fit: rows, rejected: [] };
}

function encoded(mapping: Mapping, rows: readonly Row[], source: Source, there: Destination): Rows {
  const document = mapping.source.columns.findIndex(({ type }) => type.kind === 'document');
  if (document < 0) return { format: 'values', rows };
  return codec({ ...agreementOf(mapping, source, there), read: 'bson' }, mapping)({ format: 'bson', documents: rows.map((row) => row[document] as Uint8Array) });
}

function idOf(value: Value): string {
  return value === null ? '' : spellAny(value);
}

function note(tallies: readonly Tried[], row: Row, found: Row | undefined, reason: string | undefined, { before, after, shift }: { readonly before: RowHasher; readonly after: RowHasher; readonly shift: number }): void {
  const cells = row.flatMap((value, i) => (i < shift || value === null ? [] : [i]));
  for (const i of cells) {
    const tally = tallies[i - shift], sent = spelled(row[i]);
    // Which cell of a row was refused is not known, unless it is the only one.
    if (reason !== undefined && cells.length > 1) continue;
    tally.tried++;
    if (reason !== undefined) {
      tally.rejected++;
      tally.example ??= { sent, reason };
    } else if (!found || before.cell(row, i) !== after.cell(found, i)) {
      if (tally.unequal++ === 0) tally.example = { sent, ...(found && { back: spelled(found[i]) }) };
    }
  }
}

function spelled(value: Value): string {
  const text = value === null ? 'NULL' : spellAny(value);
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length} characters)` : text;
}
