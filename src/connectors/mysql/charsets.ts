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
    const decode = known[charset] ?? (maxBytes === '1' ? await singleByte(charset, session, signal) : charset in leads ? await multiByte(charset, session, signal) : undefined);
    learned.set(charset, { maxBytes: Number(maxBytes), ...(decode && { decode }) });
  }
}

/** The character set of a text column's native type. */
export function charsetOf(native: string): string | undefined {
  return / CHARACTER SET (\S+)/.exec(native)?.[1];
}

/** A table of all 256 bytes, made by the server itself. */
async function singleByte(charset: string, session: Session, signal: AbortSignal): Promise<(bytes: Buffer) => string> {
  const cells = Array.from({ length: 256 }, (_, byte) => `HEX(CONVERT(CONVERT(x'${byte.toString(16).padStart(2, '0')}' USING ${charset}) USING utf8mb4))`);
  const [row] = await session.rows(`SELECT ${cells.join(', ')}`, signal);
  const table = row.map((cell) => Buffer.from(cell ?? '', 'hex').toString('utf8'));
  return (bytes) => {
    let text = '';
    for (const byte of bytes) text += table[byte];
    return text;
  };
}

/** Can text of this type be decoded here? Of the others (gb18030) rows are looked up by their key. */
export function isDecodable(native: string): boolean {
  const charset = charsetOf(native);
  return charset !== 'gb18030';
}

interface Leads { readonly isLead: (byte: number) => boolean; readonly three?: number }

const above = (first: number): Leads => ({ isLead: (byte) => byte >= first });
/** Half-width katakana are single bytes. */
const japanese: Leads = { isLead: (byte) => byte > 0x80 && !(byte >= 0xa0 && byte < 0xe0) };
/** Which bytes begin a character of two bytes, and which one of three, in the character sets that have no more than 65,536 of them. */
const leads: Readonly<Record<string, Leads>> = {
  sjis: japanese, cp932: japanese, big5: above(0x81), gbk: above(0x81), gb2312: above(0x81), euckr: above(0x81), ujis: { ...above(0x8e), three: 0x8f }, eucjpms: { ...above(0x8e), three: 0x8f },
};

const hexDigits = `(${Array.from({ length: 16 }, (_, digit) => `SELECT '${digit.toString(16)}' d`).join(' UNION ALL ')})`;

/** Tables of all characters of two and three bytes, made by the server itself. What is none is `?` or nothing there, and in no column. */
async function multiByte(charset: string, session: Session, signal: AbortSignal): Promise<(bytes: Buffer) => string> {
  const textsOf = async (prefix: string) => {
    const rows = await session.rows(`SELECT CONCAT(a.d, b.d, c.d, e.d), HEX(CONVERT(CONVERT(UNHEX(CONCAT('${prefix}', a.d, b.d, c.d, e.d)) USING ${charset}) USING utf8mb4)) FROM ${hexDigits} a JOIN ${hexDigits} b JOIN ${hexDigits} c JOIN ${hexDigits} e WHERE a.d >= '8'`, signal);
    return new Map(rows.map(([code, text]) => [Number.parseInt(code!, 16), Buffer.from(text ?? '', 'hex').toString('utf8')]));
  };
  const { isLead, three } = leads[charset], single = await singleByte(charset, session, signal), pairs = await textsOf(''), triples = three === undefined ? pairs : await textsOf(three.toString(16));
  return (bytes) => {
    let text = '';
    for (let at = 0; at < bytes.length;) {
      const byte = bytes[at], length = byte === three ? 3 : isLead(byte) ? 2 : 1;
      text += length === 1 ? single(bytes.subarray(at, at + 1)) : (length === 2 ? pairs : triples).get(bytes.readUInt16BE(at + length - 2)) ?? '';
      at += length;
    }
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
