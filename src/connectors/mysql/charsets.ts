import type { Column } from '../../contract.js';
import { quote, type Session } from './session.js';

/** How the bytes of a character set become text, exactly as the server turns them into UTF-8. */
export interface Charset {
  readonly maxBytes: number;
  /** Absent where only the server can tell: the row is read again. */
  readonly decode?: (bytes: Buffer) => string;
}

const utf8 = (bytes: Buffer): string => bytes.toString('utf8');
const known: Readonly<Partial<Record<string, (bytes: Buffer) => string>>> = {
  utf8mb4: utf8, utf8mb3: utf8, utf8: utf8, ascii: utf8,
  ucs2: bigEndian, utf16: bigEndian, utf16le: (bytes) => bytes.toString('utf16le'), utf32,
};

/** Asks the server for the character sets of these columns that are not in `learned` yet. */
export async function learnCharsets(learned: Map<string, Charset>, columns: readonly Column[], session: Session, signal: AbortSignal): Promise<void> {
  const wanted = new Set(columns.map(({ native }) => charsetOf(native)).filter((charset) => charset !== undefined && !learned.has(charset)));
  for (const charset of wanted as Set<string>) {
    const [[maxBytes]] = await session.rows(`SELECT maxlen FROM information_schema.character_sets WHERE character_set_name = ${quote(charset)}`, signal);
    const decode = known[charset] ?? (maxBytes === '1' ? await singleByte(charset, session, signal) : undefined);
    learned.set(charset, { maxBytes: Number(maxBytes), ...(decode && { decode }) });
  }
}

/** The character set of a text column's native type. */
export function charsetOf(native: string): string | undefined {
  return / CHARACTER SET (\S+)/.exec(native)?.[1];
}

/** A table of all 256 bytes, made by the server itself. */
async function singleByte(charset: string, session: Session, signal: AbortSignal): Promise<((bytes: Buffer) => string) | undefined> {
  const cells = Array.from({ length: 256 }, (_, byte) => `HEX(CONVERT(_${charset} x'${byte.toString(16).padStart(2, '0')}' USING utf8mb4))`);
  const [row] = await session.rows(`SELECT ${cells.join(', ')}`, signal);
  const table = row.map((cell) => Buffer.from(cell ?? '', 'hex').toString('utf8'));
  return (bytes) => {
    let text = '';
    for (const byte of bytes) text += table[byte];
    return text;
  };
}

function bigEndian(bytes: Buffer): string {
  return Buffer.from(bytes).swap16().toString('utf16le');
}

function utf32(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 4) text += String.fromCodePoint(bytes.readUInt32BE(at));
  return text;
}
