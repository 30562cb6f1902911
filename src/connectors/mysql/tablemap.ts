/** A column of a row event, as its table map tells of it: the type's code and the bytes that describe it further. */
export interface LoggedColumn {
  readonly type: number;
  readonly meta: readonly number[];
  /** Absent where the log does not tell (`binlog_row_metadata`). */
  readonly unsigned?: boolean;
  readonly name?: string;
}

export interface TableMap { readonly id: number; readonly schema: string; readonly table: string; readonly body: Buffer }

/** Codes of MySQL's `enum_field_types`, as they stand in table maps. */
export const codes = {
  tiny: 1, short: 2, long: 3, float: 4, double: 5, longlong: 8, int24: 9, date: 10, year: 13, varchar: 15, bit: 16,
  timestamp: 17, datetime: 18, time: 19, vector: 242, json: 245, decimal: 246, enum: 247, set: 248, blob: 252, string: 254, geometry: 255,
} as const;

const numeric = new Set<number>([codes.tiny, codes.short, codes.long, codes.float, codes.double, codes.longlong, codes.int24, codes.year, codes.decimal]);
/** Bytes of description by type; all others have none. `TABLE_MAP_EVENT` in the servers' documentation. */
const metaBytes = new Map<number, number>([
  [codes.float, 1], [codes.double, 1], [codes.blob, 1], [codes.json, 1], [codes.geometry, 1], [codes.vector, 1], [140, 1],
  [codes.timestamp, 1], [codes.datetime, 1], [codes.time, 1],
  [codes.varchar, 2], [141, 2], [codes.bit, 2], [codes.decimal, 2], [codes.string, 2], [253, 2], [codes.enum, 2], [codes.set, 2],
]);
const [signedness, columnNames] = [1, 4];

/** `body` is the event without its header and checksum. */
export function tableMapOf(body: Buffer): TableMap {
  const schemaEnd = 9 + body[8];
  const tableStart = schemaEnd + 2;
  return { id: body.readUIntLE(0, 6), schema: body.toString('utf8', 9, schemaEnd), table: body.toString('utf8', tableStart, tableStart + body[schemaEnd + 1]), body };
}

export function loggedColumns({ body }: TableMap): readonly LoggedColumn[] {
  const names = 9 + body[8] + 1;
  const reader = { buffer: body, at: names + 1 + body[names] + 1 };
  const count = lengthCoded(reader);
  const types = [...body.subarray(reader.at, reader.at += count)];
  const metaEnd = lengthCoded(reader) + reader.at;
  const columns = types.map((type) => ({ type, meta: [...body.subarray(reader.at, reader.at += metaBytes.get(type) ?? 0)] }));
  reader.at = metaEnd + ((count + 7) >> 3);
  const optional = optionalOf(reader);
  const bits = optional.get(signedness), named = optional.get(columnNames);
  const list = named && namesIn(named);
  let seen = 0;
  return columns.map((column, i) => {
    const bit = numeric.has(column.type) ? seen++ : undefined;
    return {
      ...column,
      ...(bits && bit !== undefined && { unsigned: (bits[bit >> 3] & (0x80 >> (bit & 7))) !== 0 }),
      ...(list && { name: list[i] }),
    };
  });
}

function optionalOf(reader: Place): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  while (reader.at < reader.buffer.length) {
    const kind = reader.buffer[reader.at++];
    const length = lengthCoded(reader);
    found.set(kind, reader.buffer.subarray(reader.at, reader.at += length));
  }
  return found;
}

function namesIn(buffer: Buffer): string[] {
  const reader = { buffer, at: 0 }, names: string[] = [];
  while (reader.at < buffer.length) {
    const length = lengthCoded(reader);
    names.push(buffer.toString('utf8', reader.at, reader.at += length));
  }
  return names;
}

interface Place { readonly buffer: Buffer; at: number }

export function lengthCoded(reader: Place): number {
  const first = reader.buffer[reader.at++];
  if (first < 251) return first;
  const width = first === 252 ? 2 : first === 253 ? 3 : 6;
  const value = reader.buffer.readUIntLE(reader.at, width);
  reader.at += first === 254 ? 8 : width;
  return value;
}
