import type { Batch, Change, ChangeLog, Column, ColumnObjects, FollowJob, LogChanges, LogMessage, LogRow, OtherObject, ReadJob, Rejected, Row, Rows, SchemaObjects, Shape, Snapshot, Source, TableObjects, Value } from '../contract.js';
import { DsyncError } from '../errors.js';
import { fieldsRewriter } from '../values/bson-fields.js';
import { BadValue, castBetween, castOfAny, type Convert } from '../values/cast.js';
import { spellAny } from '../values/normal.js';
import { maskerOf } from '../values/mask.js';
import { isOfType } from '../values/misfits.js';
import { forgetting } from '../values/rest.js';
import { refusalOf } from '../values/taking.js';
import { keyText } from '../verifier/key.js';

/*
 * The user's choices as a part of the source: whoever reads from it, the copy, the log or the verifier, gets the rows as they
 * are wanted. A shape carries its rules (`Column.rule`, `Shape.origin`); the source within is given the shape as it has it.
 */

export interface RuledPorts {
  /** Puts the rules on a shape of the source. The very shape where it has none. */
  readonly rule: (plain: Shape) => Shape;
  /** For hashes. */
  readonly key?: string;
  readonly nulled: (namespace: string, column: string, count: number) => void;
}

/** A source whose tables are as the user wants them. */
export function ruled(inner: Source, ports: RuledPorts): Source {
  const { log, fence } = inner;
  return {
    engine: inner.engine,
    version: inner.version,
    ...(inner.defaultSchema !== undefined && { defaultSchema: inner.defaultSchema }),
    identity: (signal) => inner.identity(signal),
    async check(shapes, signal) {
      return [...await inner.check(shapes.map(narrow), signal), ...shapes.flatMap(leftFinding)];
    },
    shapes: async (selection, signal) => (await inner.shapes(selection, signal)).map(ports.rule),
    ...(inner.objects && { objects: async (shapes: readonly Shape[], signal: AbortSignal) => wanted(await inner.objects!(shapes.map(whole), signal), shapes) }),
    formats(mapping) {
      const formats = inner.formats({ ...mapping, source: narrow(mapping.source) });
      return changesValues(mapping.source) ? formats.filter((format) => format === 'values' || format === 'bson') : formats;
    },
    ...(log && { log: ruledLog(log, ports) }),
    ...(fence && { fence: { raise: (run, shapes, how, signal) => fence.raise(run, shapes.map(whole), how, signal), lift: (run, steps, signal) => fence.lift(run, steps, signal) } }),
    ...(inner.sequences && { sequences: async (shapes: readonly Shape[], signal: AbortSignal) => (await inner.sequences!(shapes.map(whole), signal)).filter((one) => isStillFed(one, shapes)) }),
    snapshot: async (shapes, signal) => ruledSnapshot(await inner.snapshot(shapes.map(whole), signal), ports),
    [Symbol.asyncDispose]: async () => inner[Symbol.asyncDispose](),
  };
}

// --- shapes ----------------------------------------------------------------

/** Does anything else than the selection of columns happen to the table's rows? */
export function changesValues({ columns }: Shape): boolean {
  return columns.some(changesCell);
}

function changesCell({ rule }: Column): boolean {
  return rule !== undefined && (rule.mask !== undefined || rule.fields !== undefined || rule.forgets !== undefined || rule.bad !== undefined || rule.cast !== undefined);
}

/** The source's own shape, with all its columns. */
export function whole(shape: Shape): Shape {
  const { origin, ...rest } = shape;
  return origin ? { ...rest, columns: origin, key: shape.key.map((i) => origin.findIndex(({ name }) => name === shape.columns[i].name)) } : shape;
}

/** The source's own shape, with the wanted columns; `origin` tells which others there are. */
export function narrow(shape: Shape): Shape {
  return shape.origin ? { ...shape, columns: shape.columns.map((column) => originOf(shape, column)) } : shape;
}

export function originOf({ origin }: Shape, column: Column): Column {
  return origin?.find(({ name }) => name === column.name) ?? column;
}

function leftFinding(shape: Shape): { readonly level: 'info'; readonly code: string; readonly message: string; readonly namespace: string }[] {
  const left = namesOfLeft(shape);
  return left.length === 0 ? [] : [{ level: 'info', code: 'columns-left-out', namespace: shape.namespace, message: `${shape.namespace}: ${left.join(', ')} ${left.length === 1 ? 'is' : 'are'} left out, as asked` }];
}

function namesOfLeft({ origin, columns }: Shape): readonly string[] {
  return origin?.map(({ name }) => name).filter((name) => !columns.some((column) => column.name === name)) ?? [];
}

// --- rows ------------------------------------------------------------------

type Cell = Value | undefined;
/** Undefined where the column stays as it is. */
type Way = ((value: Exclude<Value, null>) => Value | BadValue) | undefined;

/** The rows of a table, compiled once for each use. */
interface Table {
  readonly shape: Shape;
  readonly ways: readonly Way[];
  /** Positions of the columns that have a way. */
  readonly changed: readonly number[];
}

interface Made { readonly row: Cell[]; readonly bad?: { readonly column: Column; readonly reason: string } }

function tableOf(shape: Shape, key: string | undefined): Table {
  const ways = shape.columns.map((column) => wayOf(column, shape, key));
  return { shape, ways, changed: [...ways.keys()].filter((i) => ways[i] !== undefined) };
}

function wayOf(column: Column, shape: Shape, key: string | undefined): Way {
  const { rule, type } = column, from = originOf(shape, column).type;
  if (!rule) return undefined;
  if (rule.fields) {
    const rewrite = fieldsRewriter(rule.fields, key);
    return (value) => (value instanceof Uint8Array ? rewrite(value) : value);
  }
  if (rule.forgets) {
    const { fields, only } = rule.forgets, forget = forgetting((field) => fields.includes(field) || (only !== undefined && !only.includes(field)));
    return (value) => (typeof value === 'string' ? forget(value) : value);
  }
  if (rule.mask) {
    const mask = maskerOf(rule.mask, from, type, key);
    if (!mask) throw new DsyncError('internal', `${shape.namespace}.${column.name} can't be masked`, { namespace: shape.namespace });
    return mask;
  }
  const cast = rule.cast && wayOfCast(column, shape), refusal = rule.bad && rule.taker && refusalOf(rule.taker);
  if (!refusal) return cast;
  const isOwn = shape.engine === 'sqlite' && rule.taker?.engine !== 'sqlite' && !cast ? isOfType(from) : () => true;
  return (value) => {
    if (!isOwn(value)) return new BadValue(`a value that is no ${column.native}`);
    const made = cast ? cast(value) : value, reason = made === null || made instanceof BadValue ? undefined : refusal(made);
    return reason === undefined ? made : new BadValue(reason);
  };
}

/** SQLite lets any value stand in any column. */
function wayOfCast({ type, rule, name }: Column, shape: Shape): Convert {
  const from = shape.origin!.find((column) => column.name === name)!.type, cast = castBetween(from, type, rule!.rounds);
  if (!cast) throw new DsyncError('internal', `${shape.namespace}.${name} can't be cast`, { namespace: shape.namespace });
  const convert = rule!.spelled ? asSpelled(cast.convert) : cast.convert;
  if (shape.engine !== 'sqlite') return convert;
  const isOwn = isOfType(from), other = castOfAny(type, rule!.rounds);
  return (value) => (isOwn(value) ? convert(value) : other(value));
}

function asSpelled(convert: Convert): Convert {
  return (value) => {
    const made = convert(value);
    return made === value || made instanceof BadValue ? made : new BadValue(`'${spellAny(value)}' is a key that is spelled '${spellAny(made!)}'`);
  };
}

/** Counts what became NULL until it is told. */
class Nulls {
  readonly #counts = new Map<string, number>();

  add(column: string): void {
    this.#counts.set(column, (this.#counts.get(column) ?? 0) + 1);
  }

  tell({ namespace }: Shape, { nulled }: RuledPorts): void {
    for (const [column, count] of this.#counts) nulled(namespace, column, count);
    this.#counts.clear();
  }
}

/** The row as it is wanted, in its own place. A value that makes it bad stays what it was, for those who read of it. */
function made({ shape, ways, changed }: Table, row: Cell[], nulls: Nulls | undefined, fails: boolean): Made {
  let bad: Made['bad'];
  for (const i of changed) {
    const value = row[i];
    if (value === null || value === undefined) continue;
    const cell = ways[i]!(value);
    if (!(cell instanceof BadValue)) {
      row[i] = cell;
      continue;
    }
    const column = shape.columns[i];
    if (column.rule!.bad === 'null' && column.nullable && column.rule!.taker?.nullable !== false) {
      row[i] = null;
      nulls?.add(column.name);
    } else if (!bad || column.rule!.bad === 'fail') bad = { column, reason: cell.reason };
  }
  if (bad && fails && bad.column.rule!.bad === 'fail') throw failure(shape, bad, row);
  return bad ? { row, bad } : { row };
}

function failure(shape: Shape, { column, reason }: NonNullable<Made['bad']>, row: readonly Cell[]): DsyncError {
  return new DsyncError('data', `${shape.namespace}, row ${keyText(shape, told(row))}: ${column.name}: ${reason}`, {
    namespace: shape.namespace, remedy: `mend the value, or let the row be rejected, or the value become NULL: --on-bad-value '${shape.name}.${column.name}=reject' or null`,
  });
}

function told(row: readonly Cell[]): Row {
  return row.map((cell) => cell ?? null);
}

function rejectedOf(shape: Shape, { row, bad }: Made): Rejected {
  return { namespace: shape.namespace, row: told(row), ...(row.includes(undefined) && { partial: true as const }), reason: `${bad!.column.name}: ${bad!.reason}`, column: bad!.column.name };
}

/**
 * Compiles the way for rows that have been through the rules: those that were rejected, as they are told or were edited, and those
 * that the verifier has read. What is still bad has a reason.
 */
export function ruledAgain(shape: Shape): (row: Row) => { readonly row: Row; readonly reason?: string; readonly column?: string } {
  const ways = shape.columns.map((column) => wayAgain(column, shape));
  if (ways.every((way) => !way)) return (row) => ({ row });
  return (given) => {
    let bad: { readonly reason: string; readonly column: string } | undefined;
    const row = given.map((value, i) => {
      const cell = value === null ? null : ways[i]?.(value) ?? value;
      if (!(cell instanceof BadValue)) return cell;
      bad ??= { column: shape.columns[i].name, reason: `${shape.columns[i].name}: ${cell.reason}` };
      return value;
    });
    return bad ? { row, ...bad } : { row };
  };
}

/** A value that was converted already stays so; what was not is what it was in the source, or what someone made of it. */
function wayAgain(column: Column, shape: Shape): Convert | undefined {
  const { rule, type } = column;
  if (!rule?.cast || rule.mask) return undefined;
  const from = originOf(shape, column).type, isOwn = isOfType(from), again = castOfAny(type, rule.rounds), forward = castBetween(from, type, rule.rounds);
  return (value) => {
    const cell = again(value), first = cell instanceof BadValue && forward && isOwn(value) ? forward.convert(value) : cell;
    return first instanceof BadValue ? cell : first;
  };
}

// --- the copy and the verifier ---------------------------------------------

function ruledSnapshot(inner: Snapshot, ports: RuledPorts): Snapshot {
  const { digests } = inner;
  return {
    moment: inner.moment,
    // Where tasks meet stands in the state: not the keys that are to be masked.
    plan: (shape, options, signal) => inner.plan(narrow(shape), hidesKey(shape) ? { ...options, taskBytes: Number.MAX_SAFE_INTEGER } : options, signal),
    parts: (shape, rows, signal) => (changesFirstKey(shape) ? Promise.resolve([{}]) : inner.parts(narrow(shape), rows, signal)),
    read: (job, signal) => read(inner, job, ports, signal),
    scan: (job, signal) => (changesValues(job.shape) ? scan(inner.scan({ ...job, shape: narrow(job.shape) }, signal), tableOf(job.shape, ports.key)) : inner.scan({ ...job, shape: narrow(job.shape) }, signal)),
    ...(digests && { digests: { digest: (job, signal) => digests.digest({ ...job, shape: narrow(job.shape) }, signal), roundTrip: (signal) => digests.roundTrip(signal) } }),
    [Symbol.asyncDispose]: async () => inner[Symbol.asyncDispose](),
  };
}

function hidesKey({ columns, key }: Shape): boolean {
  return key.some((i) => columns[i].rule?.mask !== undefined);
}

function changesFirstKey({ columns, key }: Shape): boolean {
  return key.length > 0 && changesCell(columns[key[0]]);
}

async function* read(inner: Snapshot, job: ReadJob, ports: RuledPorts, signal: AbortSignal): AsyncGenerator<Batch> {
  const { shape, format } = job, batches = inner.read({ ...job, shape: narrow(shape) }, signal);
  if (!changesValues(shape) || (format !== 'values' && format !== 'bson')) return yield* batches;
  const convert = converter(tableOf(shape, ports.key), ports), hides = hidesKey(shape);
  for await (const batch of batches) {
    const converted = convert(batch);
    if (!hides) yield converted;
    else {
      const { cursor: _, ...placeless } = converted;
      yield placeless;
    }
  }
}

function converter(table: Table, ports: RuledPorts): (batch: Batch) => Batch {
  const nulls = new Nulls(), { shape } = table;
  return (batch) => {
    if (batch.rows.format === 'bson') return { ...batch, rows: { format: 'bson', documents: batch.rows.documents.map(documentsOf(table)) } };
    const rows: Row[] = [], rejected: Rejected[] = [];
    for (const row of (batch.rows as Extract<Rows, { format: 'values' }>).rows) {
      const one = made(table, [...row], nulls, true);
      if (one.bad) rejected.push(rejectedOf(shape, one));
      else rows.push(one.row as Row);
    }
    nulls.tell(shape, ports);
    // What is rejected within is told with the values from before.
    const all = [...(batch.rejected ?? []).map((one) => ({ ...one, row: told(made(table, [...one.row], undefined, false).row) })), ...rejected];
    return { ...batch, rows: { format: 'values', rows }, count: rows.length, ...(all.length > 0 && { rejected: all }) };
  };
}

function documentsOf({ shape, ways }: Table): (document: Uint8Array) => Uint8Array {
  const way = ways[shape.columns.findIndex(({ type }) => type.kind === 'document')];
  return way ? (document) => way(document) as Uint8Array : (document) => document;
}

async function* scan(pages: AsyncIterable<readonly Row[]>, table: Table): AsyncGenerator<readonly Row[]> {
  for await (const page of pages) yield page.map((row) => made(table, [...row], undefined, false).row as Row);
}

// --- the log ---------------------------------------------------------------

function ruledLog(log: ChangeLog, ports: RuledPorts): ChangeLog {
  return {
    ...(log.held && { held: log.held }),
    ...(log.byKey !== undefined && { byKey: log.byKey }),
    check: (shapes, signal) => log.check(shapes.map(whole), signal),
    pin: async (run, shapes, save, signal) => ruledSnapshot(await log.pin(run, shapes.map(whole), save, signal), ports),
    ...(log.adopt && { adopt: (run: string, shapes: readonly Shape[], from: string, save: Parameters<NonNullable<ChangeLog['adopt']>>[3], signal: AbortSignal) => log.adopt!(run, shapes.map(whole), from, save, signal) }),
    follow: (job, signal) => follow(log, job, ports, signal),
    head: (signal) => log.head(signal),
    reached: (position, goal) => log.reached(position, goal),
    ...(log.succeeds && { succeeds: (...asked: Parameters<NonNullable<ChangeLog['succeeds']>>) => log.succeeds!(...asked) }),
    ...(log.distance && { distance: (position: string, signal: AbortSignal) => log.distance!(position, signal) }),
    confirm: (position) => log.confirm(position),
    retention: (run, position, signal) => log.retention(run, position, signal),
    ...(log.look && { look: (signal: AbortSignal) => log.look!(signal) }),
    unpin: (run, signal) => log.unpin(run, signal),
  };
}

/** A table in the log: rows come as wide as the source's own shape. */
interface Followed { readonly table: Table; readonly places: readonly number[] }

async function* follow(log: ChangeLog, job: FollowJob, ports: RuledPorts, signal: AbortSignal): AsyncGenerator<LogMessage> {
  const known = new Map(job.shapes.map((shape) => [shape.namespace, shape])), followed = new Map<string, Followed>(), nulls = new Nulls();
  for await (const message of log.follow({ ...job, shapes: job.shapes.map(whole) }, signal)) {
    if (message.kind === 'position') yield message;
    else if (message.kind === 'changes') yield followed.size === 0 ? message : changesOf(message, followed, nulls, ports);
    else {
      const { namespace } = message.shape, before = known.get(namespace), shape = before && !message.changed ? before : announced(ports.rule(message.shape), before);
      known.set(namespace, shape);
      if (shape.origin || shape.columns.some(({ rule }) => rule)) followed.set(namespace, { table: tableOf(shape, ports.key), places: placesIn(message.shape, shape) });
      else followed.delete(namespace);
      yield { ...message, shape, changed: message.changed && (before === undefined || !isSame(before, shape)) };
    }
  }
}

/** The takers of columns that are still there are known already. */
function announced(shape: Shape, before: Shape | undefined): Shape {
  const takerOf = (name: string) => before?.columns.find((column) => column.name === name)?.rule?.taker;
  return { ...shape, columns: shape.columns.map((column) => (column.rule?.bad && takerOf(column.name) ? { ...column, rule: { ...column.rule, taker: takerOf(column.name)! } } : column)) };
}

function isSame(a: Shape, b: Shape): boolean {
  const spelled = ({ columns, key }: Shape) => JSON.stringify([columns.map(({ name, native, type }) => [name, native, type]), key]);
  // What goes without being said to others is not told: a column that is left out anyway was altered.
  return a.origin !== undefined && spelled(a) === spelled(b);
}

function placesIn(logged: Shape, { columns }: Shape): readonly number[] {
  return columns.map(({ name }) => logged.columns.findIndex((column) => column.name === name));
}

function changesOf(message: LogChanges, followed: ReadonlyMap<string, Followed>, nulls: Nulls, ports: RuledPorts): LogChanges {
  const rejected: Rejected[] = [], reject = (one: Rejected) => rejected.push(one);
  const changes = message.changes.flatMap((change) => {
    const one = followed.get(change.namespace);
    return one ? changed(change, one, nulls, reject) : [change];
  });
  for (const { table } of followed.values()) nulls.tell(table.shape, ports);
  return { ...message, changes, ...(rejected.length > 0 && { rejected }) };
}

/** A row that turned bad goes from the destination, as if it had never been copied; one that is mended comes to it. */
function changed(change: Change, { table, places }: Followed, nulls: Nulls, reject: (one: Rejected) => void): readonly Change[] {
  if (change.kind === 'truncate') return [change];
  const { namespace } = change, { shape } = table, cellsOf = (row: LogRow) => places.map((place) => row[place]);
  const before = 'before' in change && change.before ? made(table, cellsOf(change.before), undefined, false) : undefined;
  const gone = before && !before.bad ? [{ kind: 'delete' as const, namespace, before: before.row }] : [];
  if (change.kind === 'delete') return gone;
  const after = made(table, cellsOf(change.row), nulls, true);
  if (after.bad) {
    reject(rejectedOf(shape, after));
    if (change.kind === 'insert' || before) return gone;
    return hasGoodKey(table, after) ? [{ kind: 'delete', namespace, before: after.row.map((cell, i) => (shape.key.includes(i) ? cell : undefined)) }] : [];
  }
  if (change.kind === 'insert') return [{ ...change, row: after.row as Row }];
  if (!before?.bad) return [{ ...change, row: after.row, ...(before && { before: before.row }) }];
  if (!after.row.includes(undefined)) return [{ kind: 'insert', namespace, row: after.row as Row }];
  reject({ namespace, row: told(after.row), partial: true, reason: 'its key is good now, but the log does not repeat all of its values: dsync tables RUN resync brings it' });
  return [];
}

/** Is it not the key itself that is bad? */
function hasGoodKey({ shape }: Table, { bad }: Made): boolean {
  return !shape.key.some((i) => shape.columns[i].name === bad!.column.name);
}

// --- schema objects --------------------------------------------------------

function wanted({ tables, views }: SchemaObjects, shapes: readonly Shape[]): SchemaObjects {
  const byNamespace = new Map(shapes.map((shape) => [shape.namespace, shape]));
  return { views, tables: tables.map((table) => wantedOf(table, byNamespace.get(table.namespace))) };
}

/** Without what names a column that is left out, and what a cast or masked column can't have. What goes is named. */
function wantedOf(table: TableObjects, shape: Shape | undefined): TableObjects {
  if (!shape?.origin) return table;
  const left = namesOfLeft(shape), others: OtherObject[] = [];
  const names = (text: string | undefined) => text !== undefined && left.some((name) => mentions(text, name));
  const keep = <T extends { readonly name: string; readonly native: string }>(kind: string, all: readonly T[], isGone: (one: T) => boolean): readonly T[] => all.filter((one) => {
    if (isGone(one)) others.push({ kind, name: one.name, native: one.native });
    return !isGone(one);
  });
  const indexes = keep('index', table.indexes, (one) => one.parts.some(({ column, expression }) => (column !== undefined && left.includes(column)) || names(expression)) || names(one.where) || (one.include ?? []).some((name) => left.includes(name)));
  const foreignKeys = keep('foreign key', table.foreignKeys, (one) => one.columns.some((name) => left.includes(name)));
  const checks = keep('check', table.checks, (one) => names(one.expression));
  const columns = table.columns.filter(({ name }) => !left.includes(name)).map((column) => columnOf(column, shape.columns.find(({ name }) => name === column.name), names, others));
  const changed = shape.columns.filter(({ rule }) => rule?.cast || rule?.mask).map(({ name }) => name);
  const isDivided = table.partitions.length > 0 && [...left, ...changed].some((name) => [...table.partitions.map(({ by }) => by), ...Object.values(table.native)].some((text) => text !== undefined && mentions(text, name)));
  if (isDivided) others.push({ kind: 'partitions', name: shape.name, native: table.partitions.map(({ name, bound }) => `${name} ${bound}`).join('\n') });
  return { ...table, columns, indexes, foreignKeys, checks, partitions: isDivided ? [] : table.partitions, ...(isDivided && { native: {} }), others: [...table.others, ...others] };
}

function columnOf(column: ColumnObjects, wantedColumn: Column | undefined, namesLeft: (text: string | undefined) => boolean, others: OtherObject[]): ColumnObjects {
  const { generated, default: given, identity, name } = column, rule = wantedColumn?.rule, isOther = rule?.cast !== undefined || rule?.mask !== undefined;
  const plain = { name, ...(column.comment !== undefined && { comment: column.comment }) };
  if (isOther) {
    if (given !== undefined) others.push({ kind: 'default', name, native: given });
    if (generated) others.push({ kind: 'generated column', name, native: generated.expression });
    if (identity) others.push({ kind: 'identity', name, native: identity.sequence?.definition ?? identity.kind });
    return plain;
  }
  if (!generated || !namesLeft(generated.expression)) return column;
  others.push({ kind: 'generated column', name, native: generated.expression });
  return plain;
}

/** As a word of its own: too often is better than a statement that the server refuses. */
function mentions(text: string, name: string): boolean {
  return text.split(/[^\p{L}\p{N}_$]+/u).includes(name) || (/[^\p{L}\p{N}_$]/u.test(name) && text.includes(name));
}

/** A column that is left out, cast or masked takes no values of a sequence. */
function isStillFed({ namespace, column }: { readonly namespace?: string; readonly column?: string }, shapes: readonly Shape[]): boolean {
  const shape = shapes.find((one) => one.namespace === namespace);
  if (!shape || column === undefined) return true;
  const found = shape.columns.find(({ name }) => name === column);
  return found !== undefined && found.rule?.mask === undefined && (found.rule?.cast === undefined || found.type.kind === 'int');
}
