import type { Column, DigestForm, DigestJob, Digests, PartDigest } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { roundTrip } from '../../source/roundtrip.js';
import { charsetOf } from './charsets.js';
import { isBinaryNative } from './lines.js';
import { withSession, type Pool } from './pool.js';
import { selectOf } from './scan.js';
import { name, type Session } from './session.js';
import { isYear, isZerofill } from './types.js';

/** In the place of a row without a hash: more than the hashes of all other rows can come to. */
const unhashed = 10n ** 30n;

/** Computed by the readers of a snapshot. */
export function digestsOf(readers: Pool): Digests {
  return {
    digest: (job, signal) => withSession(readers, signal, (session) => digest(session, job, signal)),
    roundTrip: (signal) => withSession(readers, signal, (session) => roundTrip(() => session.rows('SELECT 1', signal))),
  };
}

async function digest(session: Session, job: DigestJob, signal: AbortSignal): Promise<PartDigest> {
  const row = `CONCAT(${job.shape.columns.map((column, i) => cellOf(column, job.forms[i], job.shape.engine)).join(', ')})`;
  const hash = `CAST(CONV(LEFT(SHA2(${row}, 256), 16), 16, 10) AS UNSIGNED)`;
  // A function whose result exceeds max_allowed_packet gives NULL and a mere warning.
  const [[rows, text]] = await session.rows(selectOf(job, `COUNT(*), COALESCE(SUM(COALESCE(${hash}, ${unhashed})), 0)`), signal);
  const sum = BigInt(text!), { namespace } = job.shape;
  if (sum >= unhashed) throw new DsyncError('data', `${namespace} has a row that exceeds the server's max_allowed_packet`, { namespace });
  return { rows: Number(rows), sum: BigInt.asUintN(64, sum) };
}

/** A cell as it stands in the row's bytes: where it ends can be told from itself. Of a cell that is not null, NULL is made only by a failure. */
function cellOf(column: Column, { as, long }: DigestForm, engine: string): string {
  const own = name(column.name), spelled = spellingOf(column, as, engine);
  if (as === 'number' || as === 'float' || as === 'plain') return `IF(${own} IS NULL, _binary',', CONCAT(${spelled}, _binary','))`;
  return `IF(${own} IS NULL, _binary'-', ${long ? `SHA2(${spelled}, 256)` : `CONCAT(LENGTH(${spelled}), _binary':', ${spelled})`})`;
}

/** The cell in its form: text as UTF-8, or for bytes themselves. */
function spellingOf(column: Column, as: DigestForm['as'], engine: string): string {
  const own = name(column.name);
  switch (as) {
    case 'number': return numberOf(column, own);
    case 'float': return floatOf(`CAST(${own} AS DOUBLE)`, engine);
    case 'bytes': return own;
    case 'padded': return `TRIM(TRAILING ' ' FROM ${normalOf(column, own)})`;
    case 'plain': case 'text': return normalOf(column, own);
    default: return as satisfies never;
  }
}

function numberOf({ type, native }: Column, own: string): string {
  const plain = isZerofill(native) || isYear(native) ? `(${own} + 0)` : own;
  return type.kind === 'decimal' && type.scale ? withoutZeros(plain) : plain;
}

/** MySQL's text of a double ends after 22 characters, which may cost it digits; in JSON it has all, and a point even if it is whole. */
function floatOf(double: string, engine: string): string {
  return engine === 'mysql' ? `TRIM(TRAILING '.0' FROM CAST(CAST(${double} AS JSON) AS CHAR))` : double;
}

/** Of a text that has a point. */
function withoutZeros(text: string): string {
  return `TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM ${text}))`;
}

function normalOf({ type, native }: Column, own: string): string {
  switch (type.kind) {
    case 'time': case 'timestamp': case 'instant': return type.fraction > 0 ? withoutZeros(own) : own;
    case 'bits': return `LPAD(BIN(${own} + 0), ${type.length ?? 64}, '0')`;
    case 'date': case 'uuid': return own;
    case 'native': return isBinaryNative(native) ? `HEX(${own})` : `CAST(${own} AS CHAR)`;
    case 'json-value': return `CAST(${own} AS CHAR)`;
    default: return sameInUtf8.has(charsetOf(native) ?? '') ? own : `CONVERT(${own} USING utf8mb4)`;
  }
}

const sameInUtf8: ReadonlySet<string> = new Set(['utf8mb4', 'utf8mb3', 'utf8', 'ascii']);
