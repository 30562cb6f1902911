import type { Batch, Column, Cursor, ReadJob } from '../../contract.js';
import { unescape } from '../../values/delimited.js';
import type { Collector, RowPacket } from './rows.js';

const [copied, escaped, hex, nativeHex, bits] = [0, 1, 2, 3, 4];
const backslash = 0x5c, tab = 9, newline = 10, letterN = 0x4e;

/** What stands after a backslash for each byte that must not stand for itself; 0 for all others. */
const escapes = new Uint8Array(256);
escapes[tab] = 0x74;
escapes[newline] = 0x6e;
escapes[13] = 0x72;
escapes[backslash] = backslash;

const lowerHex = digits('0123456789abcdef');
const upperHex = digits('0123456789ABCDEF');

/** A packet below this size is encoded into the open batch without being measured first. */
const smallPacket = 64 << 10;

export interface LineLimits { readonly batchBytes: number; readonly batchRows: number }

/** Gathers text-protocol rows into batches of COPY text. `cursorOf`: the key's positions, if a batch can tell where it ends. */
export function lineCollector(job: ReadJob, limits: LineLimits, cursorOf: readonly number[] | undefined): Collector<Batch> {
  const kinds = Uint8Array.from(job.shape.columns, encodingOf);
  const widths = job.shape.columns.map((column) => (column.type.kind === 'bits' ? column.type.length ?? 64 : 0));
  const slack = kinds.length * 5 + widths.reduce((sum, width) => sum + width, 0) + 1;
  const isKey = new Uint8Array(kinds.length);
  cursorOf?.forEach((position) => { isKey[position] = 1; });
  const keyStarts = new Float64Array(kinds.length), keyEnds = new Float64Array(kinds.length);
  let out = Buffer.alloc(0), at = 0, count = 0, sequence = job.sequence;

  function cursor(): Cursor | undefined {
    if (!cursorOf) return undefined;
    return JSON.stringify(cursorOf.map((position) => unescape(out.toString('utf8', keyStarts[position], keyEnds[position]))));
  }

  function take(): Batch | undefined {
    if (count === 0) return undefined;
    const after = cursor();
    // A batch that is much smaller than its buffer must not keep all of it.
    const bytes = at * 2 < out.length ? Buffer.from(out.subarray(0, at)) : out.subarray(0, at);
    const batch: Batch = {
      task: job.task.id, namespace: job.task.namespace, sequence: sequence++, rows: { format: 'delimited', bytes },
      count, bytes: at, ...(after !== undefined && { cursor: after }),
    };
    out = Buffer.alloc(0);
    at = 0;
    count = 0;
    return batch;
  }

  function makeRoom(packet: RowPacket, emit: (batch: Batch) => void): void {
    const length = packet.end - packet.offset;
    const need = length < smallPacket ? length * 2 + slack : measured(packet, kinds) + slack;
    if (count > 0 && at + need > out.length) emit(take()!);
    if (out.length === 0) out = Buffer.allocUnsafe(Math.max(need, length < smallPacket ? limits.batchBytes + 2 * smallPacket + slack : 0));
  }

  function row(packet: RowPacket, emit: (batch: Batch) => void): void {
    makeRoom(packet, emit);
    const { buffer, end } = packet;
    const target = out;
    let from = packet.offset, to = at;
    for (let i = 0; from < end; i++) {
      if (i > 0) target[to++] = tab;
      let length = buffer[from++];
      if (length === 251) {
        target[to++] = backslash;
        target[to++] = letterN;
        continue;
      }
      if (length > 251) {
        const width = lengthWidth(length);
        length = buffer.readUIntLE(from, Math.min(width, 6));
        from += width;
      }
      const start = to, stop = from + length;
      switch (kinds[i]) {
        case copied:
          for (; from < stop; from++) target[to++] = buffer[from];
          break;
        case escaped:
          for (; from < stop; from++) {
            const byte = buffer[from], letter = escapes[byte];
            if (letter === 0) target[to++] = byte;
            else {
              target[to++] = backslash;
              target[to++] = letter;
            }
          }
          break;
        case bits:
          for (let bit = widths[i] - 1; bit >= 0; bit--) target[to++] = 48 + ((buffer[stop - 1 - (bit >> 3)] >> (bit & 7)) & 1);
          break;
        default: {
          const table = kinds[i] === hex ? lowerHex : upperHex;
          if (kinds[i] === hex) {
            target[to++] = backslash;
            target[to++] = backslash;
            target[to++] = 0x78;
          }
          for (; from < stop; from++) {
            const pair = table[buffer[from]];
            target[to++] = pair >> 8;
            target[to++] = pair & 255;
          }
        }
      }
      from = stop;
      if (isKey[i] === 1) {
        keyStarts[i] = start;
        keyEnds[i] = to;
      }
    }
    target[to++] = newline;
    at = to;
    count++;
    if (at >= limits.batchBytes || count >= limits.batchRows) emit(take()!);
  }

  return { row, rest: take };
}

/** How many bytes the row's cells take as COPY text, without tabs and nulls. */
function measured({ buffer, offset, end }: RowPacket, kinds: Uint8Array): number {
  let total = 0;
  for (let i = 0, from = offset; from < end; i++) {
    let length = buffer[from++];
    if (length === 251) continue;
    if (length > 251) {
      const width = lengthWidth(length);
      length = buffer.readUIntLE(from, Math.min(width, 6));
      from += width;
    }
    total += kinds[i] === hex || kinds[i] === nativeHex ? length * 2 : length;
    if (kinds[i] === escaped) for (let at = from; at < from + length; at++) if (escapes[buffer[at]] !== 0) total++;
    from += length;
  }
  return total;
}

/** Bytes of a length that does not fit the first byte of a cell. */
export function lengthWidth(first: number): number {
  return first === 252 ? 2 : first === 253 ? 3 : 8;
}

function encodingOf(column: Column): number {
  switch (column.type.kind) {
    case 'bool': case 'int': case 'decimal': case 'float': case 'date': case 'time': case 'timestamp': case 'instant': case 'uuid': return copied;
    case 'bytes': return hex;
    case 'bits': return bits;
    case 'native': return isBinaryNative(column.native) ? nativeHex : escaped;
    case 'text': case 'json-text': case 'json-value': case 'enum': case 'set': case 'any': case 'document': case 'document-id': return escaped;
    default: return column.type satisfies never;
  }
}

/** Types whose text would lose something (a geometry its SRID, a vector its last digits): their normal form is the hex of the stored bytes. */
export function isBinaryNative(native: string): boolean {
  return /^(geometry|point|linestring|polygon|multipoint|multilinestring|multipolygon|geometrycollection|geomcollection|vector)\b/i.test(native);
}

function digits(alphabet: string): Uint16Array {
  return Uint16Array.from({ length: 256 }, (_, byte) => (alphabet.charCodeAt(byte >> 4) << 8) | alphabet.charCodeAt(byte & 15));
}
