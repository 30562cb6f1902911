import type { Column, Mapping, Shape } from '../../contract.js';
import { bsonType, bufferOf, eachField } from '../../values/bson-bytes.js';
import { BsonWriter } from '../../values/bson-writer.js';
import { Fields, parseExtendedJson } from './json.js';
import type { Session } from './session.js';
import { dropCollection } from './staging.js';
import { durable, type Place } from './write.js';

/*
 * Time series: the server keeps measurements in buckets, column by column. No `_id` is unique there, and their fields have no
 * order of their own. They are read through the collection, and written by `$out`, which takes one's place as a whole (manual:
 * core/timeseries/timeseries-limitations, reference/operator/aggregation/out; since 7.0.3).
 */

const mark = 'measurement ';

/** A measurement as a row: the document alone. `options`, Extended JSON: what the collection is made with. */
export function measurementColumns(options: string): readonly Column[] {
  return [{ name: 'document', type: { kind: 'document' }, native: `${mark}${options}`, nullable: false }];
}

/** The options of the time series that this shape is one of. */
export function seriesOf({ columns: [first] }: Shape): Fields | undefined {
  return first?.native.startsWith(mark) ? parseExtendedJson(first.native.slice(mark.length)) as Fields : undefined;
}

/** With the fields in the order of their names: the same measurement is the same bytes, whatever bucket it comes from. */
export function inOrderOfNames(document: Uint8Array): Buffer {
  const bytes = bufferOf(document), fields: { readonly name: Buffer; readonly type: number; readonly value: Buffer }[] = [];
  eachField(bytes, 0, bytes.length, (type, nameStart, nameEnd, start, end) => fields.push({ name: bytes.subarray(nameStart, nameEnd + 1), type, value: bytes.subarray(start, end) }));
  const writer = new BsonWriter(bytes.length), open = writer.open();
  for (const { name, type, value } of fields.sort((a, b) => Buffer.compare(a.name, b.name))) {
    writer.field(type, name);
    writer.raw(value);
  }
  writer.close(open);
  return writer.bytes();
}

const field = Buffer.from('document\0');

/** As it is staged: beside the `_id` that its place in the run gives it. */
export function wrapped(document: Uint8Array): Buffer {
  const writer = new BsonWriter(document.length + 32), open = writer.open();
  writer.field(bsonType.document, field);
  writer.raw(document);
  writer.close(open);
  return writer.bytes();
}

/** Makes the time series of what is staged, in the place of one that an earlier try has made. */
export async function fillSeries(session: Session, staging: Place, { target }: Mapping, signal: AbortSignal): Promise<void> {
  const out = new Fields([['db', staging.database], ['coll', target.name], ['timeseries', seriesOf(target)]]);
  const command = { aggregate: staging.collection, pipeline: [{ $replaceRoot: { newRoot: '$document' } }, { $out: out }], cursor: {}, writeConcern: durable };
  await session.attempt(`making the time series ${target.namespace}`, signal, () => session.client.db(staging.database).command(command, { signal }));
  await dropCollection(session, staging, signal);
}

/** `$out` makes time series since 7.0.3. */
export function makesSeries({ version }: Session): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major > 7 || (major === 7 && (minor > 0 || patch >= 3));
}
