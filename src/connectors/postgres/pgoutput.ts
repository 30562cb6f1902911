/*
 * The messages of PostgreSQL's logical decoding plugin pgoutput, protocol version 1 (PostgreSQL manual, "Logical
 * Replication Message Formats"). Times are milliseconds since 1970.
 */

/** Cells as the server prints them; undefined: an unchanged TOASTed value, which the log does not repeat. */
export type Cells = readonly (string | null | undefined)[];

export interface RelationColumn {
  /** Part of the replica identity; with a full one every column is. */
  readonly identity: boolean;
  readonly name: string;
  readonly type: number;
  readonly modifier: number;
}

/** A table as it was when the changes that follow were made. */
export interface Relation {
  readonly id: number;
  readonly schema: string;
  readonly name: string;
  /** `d`efault, `n`othing, `f`ull, `i`ndex. */
  readonly identity: string;
  readonly columns: readonly RelationColumn[];
}

export type Message =
  /** `commits`: where its commit begins. */
  | { readonly tag: 'begin'; readonly commits: bigint; readonly at: number }
  /** `end`: where the next transaction may begin. */
  | { readonly tag: 'commit'; readonly end: bigint; readonly at: number }
  | { readonly tag: 'relation'; readonly relation: Relation }
  /** `before` of an update is there if its identity changed, or is full: cells outside of the identity are null then. */
  | { readonly tag: 'insert'; readonly relation: number; readonly row: Cells }
  | { readonly tag: 'update'; readonly relation: number; readonly before?: Cells; readonly row: Cells }
  | { readonly tag: 'delete'; readonly relation: number; readonly before: Cells }
  | { readonly tag: 'truncate'; readonly relations: readonly number[] }
  /** Origins, names of types, messages of other programs. */
  | { readonly tag: 'other' };

/** Milliseconds between 1970 and 2000, from which PostgreSQL counts microseconds. */
const year2000 = 946_684_800_000;

export function timeAt(bytes: Buffer, at: number): number {
  return year2000 + Number(bytes.readBigInt64BE(at) / 1000n);
}

/** Now, as the server counts: microseconds since 2000. */
export function serverTime(): bigint {
  return BigInt(Date.now() - year2000) * 1000n;
}

const letter = { begin: 0x42, commit: 0x43, relation: 0x52, insert: 0x49, update: 0x55, delete: 0x44, truncate: 0x54, new: 0x4e, null: 0x6e, unchanged: 0x75 } as const;

/** Decodes one whole message. The result keeps nothing of `bytes`. */
export function decode(bytes: Buffer): Message {
  switch (bytes[0]) {
    case letter.begin: return { tag: 'begin', commits: bytes.readBigUInt64BE(1), at: timeAt(bytes, 9) };
    case letter.commit: return { tag: 'commit', end: bytes.readBigUInt64BE(10), at: timeAt(bytes, 18) };
    case letter.relation: return { tag: 'relation', relation: relationIn(bytes) };
    case letter.insert: return { tag: 'insert', relation: bytes.readUInt32BE(1), row: cellsIn(bytes, 6).cells };
    case letter.update: return updateIn(bytes);
    case letter.delete: return { tag: 'delete', relation: bytes.readUInt32BE(1), before: cellsIn(bytes, 6).cells };
    case letter.truncate: return { tag: 'truncate', relations: Array.from({ length: bytes.readUInt32BE(1) }, (_, i) => bytes.readUInt32BE(6 + 4 * i)) };
    default: return { tag: 'other' };
  }
}

function updateIn(bytes: Buffer): Message {
  const relation = bytes.readUInt32BE(1);
  if (bytes[5] === letter.new) return { tag: 'update', relation, row: cellsIn(bytes, 6).cells };
  const { cells: before, end } = cellsIn(bytes, 6);
  return { tag: 'update', relation, before, row: cellsIn(bytes, end + 1).cells };
}

/**
 * A tuple: the number of its cells (2), and for each a letter, and the length (4) and the text of those that have one.
 * One string is made of the message, and cells are cut out of it; only text that is not ASCII is decoded by itself.
 */
function cellsIn(bytes: Buffer, start: number): { readonly cells: Cells; readonly end: number } {
  const latin = bytes.toString('latin1', start), cells = new Array<string | null | undefined>(bytes.readInt16BE(start));
  let at = start + 2;
  for (let i = 0; i < cells.length; i++) {
    const kind = bytes[at++];
    if (kind === letter.null) cells[i] = null;
    else if (kind === letter.unchanged) cells[i] = undefined;
    else {
      const from = at + 4, to = from + bytes.readInt32BE(at), text = latin.slice(from - start, to - start);
      cells[i] = !wide.test(text) ? text : to - from > 1 ? bytes.toString('utf8', from, to) : octal(bytes[from]);
      at = to;
    }
  }
  return { cells, end: at };
}

const wide = /[\x80-\xff]/;

/** A byte that is no text by itself can only be a "char" of PostgreSQL before 16; later ones spell it so. */
function octal(byte: number): string {
  return `\\${byte.toString(8)}`;
}

function relationIn(bytes: Buffer): Relation {
  let at = 5;
  const text = (): string => {
    const end = bytes.indexOf(0, at), found = bytes.toString('utf8', at, end);
    at = end + 1;
    return found;
  };
  const schema = text() || 'pg_catalog', name = text(), identity = String.fromCharCode(bytes[at]);
  const count = bytes.readInt16BE(at + 1);
  at += 3;
  const columns = Array.from({ length: count }, (): RelationColumn => {
    const inIdentity = (bytes[at++] & 1) === 1, column = text();
    at += 8;
    return { identity: inIdentity, name: column, type: bytes.readUInt32BE(at - 8), modifier: bytes.readInt32BE(at - 4) };
  });
  return { id: bytes.readUInt32BE(1), schema, name, identity, columns };
}
