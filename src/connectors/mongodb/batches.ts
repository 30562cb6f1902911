import type { Batch, Mapping, Rejected, Row, Rows, WriteOptions } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { decodeRows, encodeEachRow, encodeKey, type Encoded } from '../../values/bson.js';
import { documentOfId } from './frames.js';
import { seriesOf, wrapped } from './timeseries.js';
import { holdsDocuments } from './types.js';
import { withPlacedIds, type Place, type Refusal, type Writer } from './write.js';

/** Rows in, whatever their format; what could not be written comes back with its reason. Durable when it returns. */
export interface BatchWriter {
  write(place: Place, batch: Batch, mapping: Mapping, options: WriteOptions, signal: AbortSignal): Promise<readonly Rejected[]>;
  mend(place: Place, mapping: Mapping, changes: { readonly upserts: readonly Row[]; readonly deletes: readonly Row[] }, signal: AbortSignal): Promise<readonly Rejected[]>;
}

export function batchWriter(writer: Writer): BatchWriter {
  const encode = encoder();
  return {
    async write(place, batch, mapping, { overwrite, redo }, signal) {
      const encoded = encode(batch.rows, mapping);
      const documents = mapping.target.key.length > 0 ? encoded.documents : withPlacedIds(seriesOf(mapping.target) ? encoded.documents.map((document) => document && wrapped(document)) : encoded.documents, place.run, batch.task, batch.sequence);
      const refusals = await sendPresent(documents, (present) =>
        (overwrite && !mapping.staged ? writer.upsert(place, present, signal) : insert(writer, place, present, redo, signal)));
      return rejected([...encoded.bad, ...refusals], batch.rows, mapping);
    },
    async mend(place, mapping, { upserts, deletes }, signal) {
      const rows: Rows = { format: 'values', rows: upserts }, encoded = encode(rows, mapping);
      const refusals = await sendPresent(encoded.documents, (present) => writer.upsert(place, present, signal));
      await writer.remove(place, deletes.map(idDocument(mapping)), signal);
      return rejected([...encoded.bad, ...refusals], rows, mapping);
    },
  };
}

/** Encoders are compiled once per table. */
function encoder(): (rows: Rows, mapping: Mapping) => Encoded {
  const compiled = new WeakMap<Mapping, (rows: readonly Row[]) => Encoded>();
  return (rows, mapping) => {
    if (rows.format === 'bson') return { documents: rows.documents, bad: [] };
    if (rows.format !== 'values') throw unknownFormat(rows.format);
    const encode = compiled.get(mapping) ?? encodeEachRow(mapping);
    compiled.set(mapping, encode);
    return encode(rows.rows);
  };
}

/** Sends the documents that there are, and gives refusals the places of all. */
async function sendPresent(documents: readonly (Uint8Array | undefined)[], send: (present: readonly Uint8Array[]) => Promise<readonly Refusal[]>): Promise<readonly Refusal[]> {
  const places = documents.flatMap((document, index) => (document ? [index] : []));
  const refusals = await send(places.map((index) => documents[index]!));
  return refusals.map((refusal) => ({ ...refusal, index: places[refusal.index]! }));
}

/** `again`: a duplicate is no refusal if it is this very document, written by an earlier try. */
async function insert(writer: Writer, place: Place, documents: readonly Uint8Array[], again: boolean, signal: AbortSignal): Promise<readonly Refusal[]> {
  const refusals = await writer.insert(place, documents, signal);
  const duplicates = again ? refusals.filter(({ duplicate }) => duplicate) : [];
  if (duplicates.length === 0) return refusals;
  const standing = await writer.standing(place, duplicates.map(({ index }) => documents[index]!), signal);
  const ours = new Set(duplicates.filter((_, i) => standing[i]).map(({ index }) => index));
  return refusals.filter(({ index }) => !ours.has(index));
}

function rejected(faults: readonly { readonly index: number; readonly reason: string }[], rows: Rows, { source }: Mapping): readonly Rejected[] {
  return faults.map(({ index, reason }) => ({ namespace: source.namespace, row: rowAt(rows, index, source), reason }));
}

function rowAt(rows: Rows, index: number, source: Mapping['source']): Row {
  if (rows.format === 'values') return rows.rows[index]!;
  if (rows.format === 'bson') return decodeRows(source)([rows.documents[index]!])[0]!;
  throw unknownFormat(rows.format);
}

function unknownFormat(format: string): DsyncError {
  return new DsyncError('internal', `MongoDB takes no ${format}`);
}

/** `{_id: …}` of a row's key cells. */
function idDocument(mapping: Mapping): (key: Row) => Buffer {
  return holdsDocuments(mapping.target) ? ([id]) => documentOfId(String(id)) : encodeKey(mapping);
}
