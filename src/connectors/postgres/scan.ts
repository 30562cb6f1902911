import type { Column, LogicalType, Part, Row, ScanJob, Shape, Value } from '../../contract.js';
import { trimFraction } from '../../values/normal.js';
import { RowFrames, type Piece } from './frames.js';
import type { Pool } from './pool.js';
import type { Session } from './session.js';
import { qualified, quoted, spelledChar } from './sql.js';

const pieceBytes = 256 << 10;

/** Rows of the part as the server prints them, decoded here: neither SQL nor decoder of the copy. */
export async function* scan(readers: Pool, job: ScanJob, signal: AbortSignal): AsyncGenerator<readonly Row[]> {
  const session = await readers.take(signal);
  let whole = false;
  try {
    const frames = new RowFrames(await sqlOf(session, job, signal), { as: 'select', placed: false, pieceBytes });
    const decode = decoderOf(job.shape.columns);
    const done = session.run(frames, signal);
    done.catch(() => undefined);
    for await (const piece of frames) yield decode(piece);
    await done;
    whole = true;
  } finally {
    if (!whole) session.destroy();
    readers.give(session);
  }
}

/** Ranges of about so many rows of the first key column, by the planner's histogram where there is one. */
export async function parts(session: Session, shape: Shape, rows: number, signal: AbortSignal): Promise<readonly Part[]> {
  const column = shape.columns[shape.key[0]];
  if (column?.type.kind !== 'int') return [{}];
  const [facts] = await session.query(factsQuery, signal, [shape.schema, shape.name]);
  if (!facts) return [{}];
  const count = Math.ceil(Number(facts[1]) / rows);
  if (count < 2) return [{}];
  const key = quoted(column.name);
  const [[least, greatest]] = await session.query(`SELECT min(${key}), max(${key}) FROM ${facts[0] === 'p' ? '' : 'ONLY '}${qualified(shape)}`, signal);
  if (least === null || greatest === null) return [{}];
  const [histogram] = await session.query(histogramQuery, signal, [shape.schema, shape.name, column.name, facts[0] === 'p']);
  return partsBetween([least, ...(JSON.parse(histogram?.[0] ?? '[]') as string[]), greatest].map(BigInt), count);
}

/** Rows by the last ANALYZE; without one, by the size, as if a row took 100 bytes. */
const factsQuery = `
  SELECT c.relkind, coalesce(sum(CASE WHEN l.reltuples < 0 THEN pg_relation_size(l.oid) / 100 ELSE l.reltuples END), 0)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf) p (oid)
  JOIN pg_class l ON l.oid = p.oid AND l.relkind <> 'p'
  WHERE n.nspname = $1 AND c.relname = $2 GROUP BY c.relkind`;

const histogramQuery = `
  SELECT array_to_json(histogram_bounds::text::text[]) FROM pg_stats
  WHERE schemaname = $1 AND tablename = $2 AND attname = $3 AND inherited = $4 AND histogram_bounds IS NOT NULL`;

/** Edges that divide the rows evenly, if they lie evenly between one point and the next. */
function partsBetween(points: readonly bigint[], count: number): Part[] {
  const edges = new Set<bigint>();
  for (let i = 1; i < count; i++) {
    const place = (i / count) * (points.length - 1), below = Math.floor(place);
    const span = points[below + 1] - points[below];
    edges.add(points[below] + (span * BigInt(Math.round((place - below) * 1e6))) / 1_000_000n);
  }
  const sorted = [...edges].sort((a, b) => (a < b ? -1 : 1)).map(String);
  return [undefined, ...sorted].map((from, i) => ({ ...(from !== undefined && { from }), ...(i < sorted.length && { to: sorted[i] }) }));
}

async function sqlOf(session: Session, job: ScanJob, signal: AbortSignal): Promise<string> {
  return selectOf(session, job, job.shape.columns.map(({ name, native }) => (native === '"char"' ? spelledChar(quoted(name)) : quoted(name))).join(', '), signal);
}

/** A query that gives `what` of the part's rows. */
export async function selectOf(session: Session, { shape, part, where }: ScanJob, what: string, signal: AbortSignal): Promise<string> {
  const [kind] = await session.query('SELECT c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2', signal, [shape.schema, shape.name]);
  const key = shape.key.length > 0 ? quoted(shape.columns[shape.key[0]].name) : '';
  const conditions = [
    ...(part.from === undefined ? [] : [`${key} >= ${BigInt(part.from)}`]), ...(part.to === undefined ? [] : [`${key} < ${BigInt(part.to)}`]),
    ...(where === undefined ? [] : [`(${where}\n)`]),
  ];
  return `SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on; SELECT ${what} FROM ${kind?.[0] === 'p' ? '' : 'ONLY '}${qualified(shape)}${conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : ''}`;
}

/**
 * One string is made of a piece, and cells are cut out of it: much quicker than a string from each cell's bytes. Only
 * text that is not ASCII is decoded by itself.
 */
function decoderOf(columns: readonly Column[]): (piece: Piece) => readonly Row[] {
  const cells = columns.map(cellDecoder), texts = columns.map(({ type }) => mayBeWide(type));
  return ({ bytes, count }) => {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), latin = buffer.toString('latin1');
    const rows = new Array<Row>(count);
    for (let i = 0, at = 0; i < count; i++) {
      const row = new Array<Value>(cells.length);
      at += 2;
      for (let c = 0; c < cells.length; c++) {
        const length = buffer.readInt32BE(at), start = at + 4;
        at = length < 0 ? start : start + length;
        if (length < 0) row[c] = null;
        else {
          const text = latin.slice(start, at);
          row[c] = cells[c](texts[c] && wide.test(text) ? buffer.toString('utf8', start, at) : text);
        }
      }
      rows[i] = row;
    }
    return rows;
  };
}

const wide = /[\x80-\xff]/;

function mayBeWide({ kind }: LogicalType): boolean {
  return !['bool', 'int', 'decimal', 'float', 'bytes', 'date', 'time', 'timestamp', 'instant', 'uuid', 'bits'].includes(kind);
}

function cellDecoder({ type }: Column): (text: string) => Value {
  switch (type.kind) {
    case 'bool': return (text) => text === 't';
    case 'int': return type.bits === 64 ? BigInt : Number;
    case 'float': return type.bits === 32 ? (text) => Math.fround(Number(text)) : Number;
    case 'bytes': return (text) => Buffer.from(text.slice(2), 'hex');
    case 'instant': return (text) => trimFraction(text.replace(/\+00(?= BC$|$)/, ''));
    case 'time': case 'timestamp': return trimFraction;
    case 'text': return type.padded ? (text) => text.replace(/ +$/, '') : (text) => text;
    default: return (text) => text;
  }
}
