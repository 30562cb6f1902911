import type { Change, LogRow, Shape, Value } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { errnoOf } from './faults.js';
import { scan } from './scan.js';
import { name, quote, type Session } from './session.js';

/** A change some of whose cells the log did not tell. */
export interface Incomplete { readonly shape: Shape; readonly inexact: readonly number[]; readonly change: Extract<Change, { row: LogRow }> }

const rowsAtOnce = 200;
const [noSuchTable, noSuchColumn] = [1146, 1054];

/**
 * Fills such cells from the table as it is now. Of a row that is gone by now the change becomes the removal of what it
 * changed: the log tells of that removal later, or of the row's other key. One change stays one change.
 */
export async function complete(incomplete: ReadonlyMap<number, Incomplete>, changes: Change[], session: Session, signal: AbortSignal): Promise<void> {
  const byShape = new Map<Shape, [number, Incomplete][]>();
  for (const entry of incomplete) byShape.set(entry[1].shape, [...(byShape.get(entry[1].shape) ?? []), entry]);
  for (const [shape, all] of byShape) {
    for (let from = 0; from < all.length; from += rowsAtOnce) {
      const some = all.slice(from, from + rowsAtOnce);
      const { inexact } = some[0][1];
      const found = await read(shape, inexact, some.map(([, { change }]) => change.row), session, signal);
      for (const [at, { change }] of some) {
        const cells = found.get(identity(shape.key.map((position) => change.row[position])));
        changes[at] = cells === undefined ? removal(change, shape) : { ...change, row: change.row.map((cell, i) => (inexact.includes(i) ? cells[inexact.indexOf(i)] : cell)) } as Change;
      }
    }
  }
}

function removal(change: Incomplete['change'], shape: Shape): Change {
  const before = change.kind === 'update' && change.before || change.row.map((cell, i) => (shape.key.includes(i) ? cell : undefined));
  return { kind: 'delete', namespace: change.namespace, before };
}

/** The cells of the inexact columns, by the key. */
async function read(shape: Shape, inexact: readonly number[], rows: readonly LogRow[], session: Session, signal: AbortSignal): Promise<ReadonlyMap<string, readonly Value[]>> {
  const columns = [...shape.key, ...inexact].map((position) => shape.columns[position]);
  const keys = new Map(rows.map((row) => {
    const key = shape.key.map((position) => row[position]);
    return [identity(key), `(${key.map(literal).join(', ')})`];
  }));
  const where = `(${shape.key.map((position) => name(shape.columns[position].name)).join(', ')}) IN (${[...keys.values()].join(', ')})`;
  const found = new Map<string, readonly Value[]>();
  try {
    for await (const chunk of scan({ shape: { ...shape, columns, key: [] }, part: {}, where }, session, signal)) {
      for (const row of chunk) found.set(identity(row.slice(0, shape.key.length)), row.slice(shape.key.length));
    }
  } catch (error) {
    if (errnoOf(error) === noSuchTable) return new Map();
    if (errnoOf(error) !== noSuchColumn) throw error;
    throw new DsyncError('refused', `${shape.namespace} lost a column whose values the log does not tell, before they could be read`, { namespace: shape.namespace, cause: error, remedy: 'start over with a new run' });
  }
  return found;
}

function identity(key: LogRow): string {
  return JSON.stringify(key.map((cell) => (cell instanceof Uint8Array ? Buffer.from(cell).toString('hex') : typeof cell === 'bigint' ? `${cell}` : cell)));
}

function literal(cell: Value | undefined): string {
  if (cell instanceof Uint8Array) return `x'${Buffer.from(cell).toString('hex')}'`;
  return typeof cell === 'string' ? quote(cell) : String(cell);
}
