import type { Column, DigestForm, DigestJob, Digests, PartDigest } from '../../contract.js';
import { roundTrip } from '../../source/roundtrip.js';
import type { Pool } from './pool.js';
import { selectOf } from './scan.js';
import type { Session } from './session.js';
import { quoted, spelledChar } from './sql.js';

/** How many operands stand side by side: a single chain over a wide table would copy its row again and again. */
const chainLength = 32;

/** Computed by the readers of a snapshot, in a database whose text is UTF-8. */
export function digestsOf(readers: Pool): Digests {
  return {
    digest: (job, signal) => readers.use(signal, (session) => digest(session, job, signal)),
    roundTrip: (signal) => readers.use(signal, (session) => roundTrip(() => session.query('SELECT 1', signal))),
  };
}

async function digest(session: Session, job: DigestJob, signal: AbortSignal): Promise<PartDigest> {
  const row = chained(job.shape.columns.map((column, i) => cellOf(column, job.forms[i])));
  const hash = `('x' || encode(substr(sha256(convert_to(${row}, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint`;
  try {
    const [[rows, sum]] = await session.query(await selectOf(session, job, `count(*), coalesce(sum(${hash}), 0)`, signal), signal);
    return { rows: Number(rows), sum: BigInt.asUintN(64, BigInt(sum!)) };
  } catch (error) {
    // Its transaction is aborted; another reader joins the snapshot in its place.
    session.destroy();
    throw error;
  }
}

function chained(operands: readonly string[]): string {
  if (operands.length <= chainLength) return operands.join(' || ');
  const groups = Array.from({ length: Math.ceil(operands.length / chainLength) }, (_, i) => operands.slice(i * chainLength, (i + 1) * chainLength));
  return chained(groups.map((group) => `(${group.join(' || ')})`));
}

/** A cell as it stands in the text of its row: where it ends can be told from itself. */
function cellOf(column: Column, { as, long }: DigestForm): string {
  const spelled = spellingOf(column, as);
  if (as === 'number' || as === 'float' || as === 'plain') return `coalesce(${spelled} || ',', ',')`;
  if (!long) return `coalesce(octet_length(${spelled}) || ':' || ${spelled}, '-')`;
  return `coalesce(encode(sha256(${as === 'bytes' ? spelled : `convert_to(${spelled}, 'UTF8')`}), 'hex'), '-')`;
}

/** The cell in its form: text, or for bytes themselves. */
function spellingOf(column: Column, as: DigestForm['as']): string {
  const own = quoted(column.name);
  switch (as) {
    case 'number': return numberOf(column, own);
    case 'float': return floatOf(`${own}::float8`);
    case 'bytes': return own;
    case 'padded': return `rtrim(${normalOf(column, own)}, ' ')`;
    case 'plain': case 'text': return normalOf(column, own);
    default: return as satisfies never;
  }
}

function numberOf({ type }: Column, own: string): string {
  if (type.kind === 'bool') return `${own}::int::text`;
  return type.kind === 'decimal' ? `trim_scale(${own})::text` : `${own}::text`;
}

/**
 * As MySQL prints a double: whole ones from 1e15 on and all below 1e-15 with an exponent, in which PostgreSQL writes a plus.
 * PostgreSQL gives some whole ones above 2^53 a digit more than they need: parts that have such are read.
 */
function floatOf(own: string): string {
  return `CASE WHEN abs(${own}) >= 1e-15 AND (abs(${own}) < 1e15 OR ${own} <> trunc(${own})) THEN trim_scale(${own}::text::numeric)::text ELSE replace(${own}::text, 'e+', 'e') END`;
}

function normalOf({ type, native }: Column, own: string): string {
  if (native === '"char"') return spelledChar(own);
  if (type.kind === 'instant') return `(${own} AT TIME ZONE 'UTC')::text`;
  // A cast to text has rules of its own for some types; this prints them as the server does.
  return type.kind === 'native' ? `CASE WHEN ${own} IS NOT NULL THEN concat(${own}) END` : `${own}::text`;
}
