import type { Format, Mapping, Rows } from '../contract.js';
import { DsyncError } from '../errors.js';
import { decodeDelimited, encodeDelimited, slicesOf } from './delimited.js';
import { decodeRows, encodeRows, toExtendedJson } from './bson.js';

export type Codec = (rows: Rows) => Rows;

/** What a source emits and what the destination is given; the same, where both speak it. */
export interface Agreement { readonly read: Format; readonly write: Format }

/**
 * Chooses the formats for a table: the first that both ends name, else the source's best that can be turned into the
 * destination's best. Undefined if there is no way between them.
 */
export function agree(source: readonly Format[], destination: readonly Format[]): Agreement | undefined {
  const common = source.find((format) => destination.includes(format));
  if (common) return { read: common, write: common };
  for (const write of destination) {
    const read = source.find((format) => canConvert(format, write));
    if (read) return { read, write };
  }
  return undefined;
}

/** Compiles the conversion of a table's rows, once per table. Same format: the rows pass untouched. */
export function codec({ read, write }: Agreement, mapping: Mapping): Codec {
  if (read === write) return (rows) => rows;
  const decode = decoder(read, mapping), encode = encoder(write, mapping);
  return (rows) => {
    const slices = [...slicedRows(rows)];
    return slices.length > 1 ? joined(slices.map((slice) => encode(decode(slice)))) : encode(decode(rows));
  };
}

type Values = Extract<Rows, { format: 'values' }>['rows'];

const sliceRows = 200;

/** The values between two formats cost many times their bytes: a few rows at a time, they are gone before anybody notices. */
function* slicedRows(rows: Rows): Iterable<Rows> {
  switch (rows.format) {
    case 'values': return yield* chunks(rows.rows, (slice) => ({ ...rows, rows: slice }));
    case 'bson': return yield* chunks(rows.documents, (slice) => ({ ...rows, documents: slice }));
    case 'delimited': {
      for (const bytes of slicesOf(rows.bytes)) yield { ...rows, bytes };
      return;
    }
    case 'pg-binary': return yield rows;
    default: return rows satisfies never;
  }
}

function* chunks<T>(all: readonly T[], rowsOf: (slice: readonly T[]) => Rows): Iterable<Rows> {
  for (let start = 0; start < all.length; start += sliceRows) yield rowsOf(all.slice(start, start + sliceRows));
}

function joined(slices: readonly Rows[]): Rows {
  const [first] = slices;
  switch (first.format) {
    case 'values': return { ...first, rows: (slices as typeof first[]).flatMap(({ rows }) => rows) };
    case 'bson': return { ...first, documents: (slices as typeof first[]).flatMap(({ documents }) => documents) };
    case 'delimited': case 'pg-binary': return { ...first, bytes: Buffer.concat((slices as typeof first[]).map(({ bytes }) => bytes)) };
    default: return first satisfies never;
  }
}

function canConvert(from: Format, to: Format): boolean {
  return from !== 'pg-binary' && to !== 'pg-binary';
}

function decoder(format: Format, mapping: Mapping): (rows: Rows) => Values {
  switch (format) {
    case 'values': return (rows) => (rows as Extract<Rows, { format: 'values' }>).rows;
    case 'delimited': {
      const decode = decodeDelimited(mapping.source.columns);
      return (rows) => decode((rows as Extract<Rows, { bytes: Uint8Array }>).bytes);
    }
    case 'bson': {
      const decode = decodeRows(mapping.source);
      return (rows) => decode((rows as Extract<Rows, { format: 'bson' }>).documents).map(([id, document]) => [id, toExtendedJson(document as Uint8Array)]);
    }
    case 'pg-binary': throw new DsyncError('internal', 'COPY BINARY is passed on as it is, never decoded');
    default: return format satisfies never;
  }
}

function encoder(format: Format, mapping: Mapping): (rows: Values) => Rows {
  switch (format) {
    case 'values': return (rows) => ({ format, rows });
    case 'delimited': {
      const encode = encodeDelimited(mapping.source.columns);
      return (rows) => ({ format, bytes: encode(rows) });
    }
    case 'bson': {
      const encode = encodeRows(mapping);
      return (rows) => ({ format, documents: encode(rows) });
    }
    case 'pg-binary': throw new DsyncError('internal', 'COPY BINARY is passed on as it is, never encoded');
    default: return format satisfies never;
  }
}
