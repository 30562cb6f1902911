import type { Change, Column, LaneWork, LogRow, Mapping, Rejected, Row, Value } from '../../contract.js';
import { applyFolded, applyInOrder, lockedOut, type Folded, type InOrder } from '../../destination/changes.js';
import { told, type Move, type Step, type Updates } from '../../destination/fold.js';
import { encodeDelimited } from '../../values/delimited.js';
import { spellCell } from '../../values/normal.js';
import { emptied } from './build.js';
import { isAboutRows, serverError } from './failure.js';
import { held, noteLane, noteLaneRejected, type Hold } from './progress.js';
import type { Session } from './session.js';
import { list, qualified, quoted } from './sql.js';
import { landing } from './target.js';
import { beginImpatient, place, wayOf, type Way } from './write.js';

const lockNotAvailable = '55P03';

/** A table whose changes are applied, with the way of whole rows into it. */
interface Table { readonly mapping: Mapping; readonly way: Way; readonly into: string }

/** One transaction: the run is still ours, the lane's place, the changes. A place that is there already is left as it is. */
export async function apply(session: Session, hold: Hold, work: LaneWork, signal: AbortSignal): Promise<readonly Rejected[]> {
  const tables: (Table & { readonly changes: readonly Change[] })[] = [];
  for (const { mapping, changes } of work.tables) tables.push({ ...await tableOf(session, hold, mapping, signal).catch(unlessLocked(mapping)), changes });
  return held(session, hold, signal, async () => {
    const known = await noteLane(session, hold, work, signal);
    if (known) return known;
    const rejected: Rejected[] = [];
    for (const { changes, ...table } of tables) {
      const { key } = table.mapping.target;
      rejected.push(...await (key.length > 0 ? applyFolded(changes, key, folding(session, table, signal)) : applyInOrder(changes, inOrder(session, table, signal))).catch(unlessLocked(table.mapping)));
    }
    if (rejected.length > 0) await noteLaneRejected(session, hold, work, rejected, signal);
    return rejected;
  }, beginImpatient);
}

function unlessLocked(mapping: Mapping): (error: unknown) => never {
  return (error) => { throw serverError(error)?.code === lockNotAvailable ? lockedOut(mapping, error) : error; };
}

/** Rows of a table without a key have left their staging table: the changes go to the target. */
async function tableOf(session: Session, hold: Hold, mapping: Mapping, signal: AbortSignal): Promise<Table> {
  const final = { ...mapping, staged: false };
  return { mapping: final, into: qualified(landing(hold.run, final)), way: await wayOf(session, hold, final, mapping.target.key.length > 0, false, signal) };
}

function folding(session: Session, table: Table, signal: AbortSignal): Folded {
  return {
    begin: async () => void await session.query('SAVEPOINT folded', signal),
    keep: async () => void await session.query('RELEASE SAVEPOINT folded', signal),
    undo: async () => void await session.query('ROLLBACK TO SAVEPOINT folded; RELEASE SAVEPOINT folded', signal),
    step: (step) => applyStep(session, table, step, signal),
    hasOtherUnique: () => hasOtherUnique(session, table, signal),
  };
}

function inOrder(session: Session, table: Table, signal: AbortSignal): InOrder {
  const { mapping, way } = table, all = [...mapping.target.columns.keys()];
  return {
    insert: (rows) => placeRows(session, mapping, rows, way, all, signal),
    truncate: () => clear(session, mapping, signal),
    one: (change) => changeOne(session, table, change, signal),
  };
}

function clear(session: Session, { target }: Mapping, signal: AbortSignal): Promise<void> {
  return emptied(session, { schema: target.schema!, name: target.name }, signal);
}

async function hasOtherUnique(session: Session, { into }: Table, signal: AbortSignal): Promise<boolean> {
  const [[count]] = await session.query('SELECT count(*) FROM pg_index WHERE indrelid = $1::regclass AND (indisunique OR indisexclusion)', signal, [into]);
  return Number(count) > 1;
}

async function applyStep(session: Session, table: Table, { truncate, deletes, upserts, updates, move }: Step, signal: AbortSignal): Promise<readonly Rejected[]> {
  const { mapping, way } = table, { key } = mapping.target, rejected: Rejected[] = [];
  const send = (rows: readonly LogRow[], by: Way, positions: readonly number[]) => placeRows(session, mapping, rows, by, positions, signal);
  if (truncate) await clear(session, mapping, signal);
  // A key that the target can't hold is not in it.
  if (deletes.length > 0) await place(session, deleting(table), encodeDelimited(key.map((i) => mapping.source.columns[i]))(deletes), signal);
  rejected.push(...await send(upserts, way, [...mapping.target.columns.keys()]));
  for (const some of updates) rejected.push(...await send(some.rows, updating(table, some), [...key, ...some.columns]));
  if (move) rejected.push(...await moveRow(session, table, move, signal));
  return rejected;
}

/** Sends these cells of rows; what the table can't hold comes back. */
async function placeRows(session: Session, { source }: Mapping, rows: readonly LogRow[], way: Way, positions: readonly number[], signal: AbortSignal): Promise<readonly Rejected[]> {
  if (rows.length === 0) return [];
  const whole = positions.length === source.columns.length;
  const cells = whole ? rows as readonly Row[] : rows.map((row) => positions.map((i) => row[i] as Value));
  const { rejected } = await place(session, way, encodeDelimited(whole ? source.columns : positions.map((i) => source.columns[i]))(cells), signal);
  return rejected.map(([index, reason]) => ({ namespace: source.namespace, ...told(rows[index]), reason }));
}

/** Key cells are copied into the temporary table of the upserts, and their rows go. */
function deleting(table: Table): Way {
  const { target } = table.mapping, names = target.key.map((i) => target.columns[i].name);
  return by(table, names, (temporary) => `DELETE FROM ${table.into} held USING ${temporary} gone WHERE ${names.map((name) => `held.${quoted(name)} = gone.${quoted(name)}`).join(' AND ')}`);
}

function updating(table: Table, { columns }: Updates): Way {
  const { target } = table.mapping, keys = target.key.map((i) => target.columns[i].name), changed = columns.map((i) => target.columns[i].name);
  return by(table, [...keys, ...changed], (temporary) => `UPDATE ${table.into} held SET ${changed.map((name) => `${quoted(name)} = come.${quoted(name)}`).join(', ')}
    FROM ${temporary} come WHERE ${keys.map((name) => `held.${quoted(name)} = come.${quoted(name)}`).join(' AND ')}`);
}

/** The temporary table is never analysed: for a few rows the planner would read all of a table of middling size. */
const byIndex = 'SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off';

function by({ way }: Table, names: readonly string[], statement: (temporary: string) => string): Way {
  const temporary = `pg_temp.${quoted(way.table)}`;
  return { table: way.table, copy: `COPY ${temporary} (${list(names)}) FROM STDIN`, upsert: `${byIndex}; ${statement(temporary)}`, clear: way.clear };
}

async function moveRow(session: Session, table: Table, { from, row }: Move, signal: AbortSignal): Promise<readonly Rejected[]> {
  const { source, target } = table.mapping, statement = parameters(source.columns);
  const sql = `UPDATE ${table.into} SET ${assignments(target.columns, row, statement.add)} WHERE ${target.key.map((i, at) => `${quoted(target.columns[i].name)} = ${statement.add(i, from[at])}`).join(' AND ')}`;
  return alone(session, source.namespace, sql, statement.values, row, signal);
}

/** Of the rows that are equal to `before` one changes, or goes. */
async function changeOne(session: Session, { mapping: { source, target }, into }: Table, change: Extract<Change, { kind: 'update' | 'delete' }>, signal: AbortSignal): Promise<readonly Rejected[]> {
  const statement = parameters(source.columns), row = change.kind === 'delete' ? change.before : change.row, before = change.before ?? row;
  const equal = target.columns.flatMap((column, i) => (before[i] === undefined ? [] : [isSame(column, before[i] === null ? null : statement.add(i, before[i]))])).join(' AND ');
  // In a partitioned table rows of several partitions have the same place.
  const one = `WITH one AS MATERIALIZED (SELECT tableoid AS part, ctid AS place FROM ${into} WHERE ${equal} LIMIT 1)`, isOne = 'held.ctid = one.place AND held.tableoid = one.part';
  const sql = change.kind === 'delete' ? `${one} DELETE FROM ${into} held USING one WHERE ${isOne}`
    : `${one} UPDATE ${into} held SET ${assignments(target.columns, row, statement.add)} FROM one WHERE ${isOne}`;
  return alone(session, source.namespace, sql, statement.values, row, signal);
}

/** Values of a statement, spelled as the source's types; `add` gives the parameter's name. */
function parameters(columns: readonly Column[]) {
  const values: (string | null)[] = [];
  const add = (i: number, value: Value): string => `$${values.push(value === null ? null : spellCell(columns[i].type)(value))}`;
  return { values, add };
}

function assignments(columns: readonly Column[], row: LogRow, add: (i: number, value: Value) => string): string {
  return columns.flatMap(({ name }, i) => (row[i] === undefined ? [] : [`${quoted(name)} = ${add(i, row[i])}`])).join(', ');
}

/**
 * Holds the column the very value, as the server spells it? So every type can be compared, json too, and -0 is not 0. Where
 * `=` is known as well it is asked first: an index may answer. An explicit cast to varchar(n) would cut off what is too long.
 */
function isSame({ name, native, type }: Column, value: string | null): string {
  const cell = quoted(name);
  if (value === null) return `${cell} IS NULL`;
  switch (type.kind) {
    case 'text': return `${cell} = ${value} AND ${cell}::text COLLATE "C" = ${value}::text COLLATE "C"`;
    case 'native': case 'json-text': case 'json-value': return `${cell}::text = ${value}::${native}::text`;
    default: return `${cell} = ${value}::${native} AND ${cell}::text = ${value}::${native}::text`;
  }
}

/** One statement, which its row alone may fail. */
async function alone(session: Session, namespace: string, sql: string, values: readonly (string | null)[], row: LogRow, signal: AbortSignal): Promise<readonly Rejected[]> {
  await session.query('SAVEPOINT alone', signal);
  try {
    await session.query(sql, signal, values);
    await session.query('RELEASE SAVEPOINT alone', signal);
    return [];
  } catch (error) {
    if (!isAboutRows(error)) throw error;
    await session.query('ROLLBACK TO SAVEPOINT alone; RELEASE SAVEPOINT alone', signal);
    const { message, detail } = serverError(error)!;
    return [{ namespace, ...told(row), reason: detail ? `${message} (${detail})` : message }];
  }
}
