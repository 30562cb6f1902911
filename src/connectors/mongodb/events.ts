import type { Change, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { bsonType, eachField, fieldOf, textAt, type Element } from '../../values/bson-bytes.js';
import { decodeRows, idText, toExtendedJson } from '../../values/bson.js';
import { compareTimes, type Time } from './places.js';

/** An event of a change stream (manual: reference/change-events); documents are the bytes that the server sent. */
export interface ChangeEvent {
  /** `insert`, `update`, `replace`, `delete`, `drop`, `rename`, `dropDatabase`, `invalidate`, … */
  readonly kind: string;
  /** A server that watches one collection may leave it out. */
  readonly on?: Named;
  /** Where a collection was renamed to. */
  readonly to?: Named;
  /** `{_id: …}`, with the shard key where there is one. */
  readonly key?: Buffer;
  /** The whole document: as inserted, or as it is now. Absent where it is gone meanwhile. */
  readonly document?: Buffer;
  /** Extended JSON. */
  readonly token: string;
  readonly time: Time;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Session and number, the same for all events of one transaction. */
  readonly transaction?: string;
  readonly bytes: number;
}

export interface Named { readonly database: string; readonly collection?: string }

type Fields = ReadonlyMap<string, Element & { readonly in: Buffer }>;

/** Puts the fragments of large events together (manual: $changeStreamSplitLargeEvent): each has some of the event's fields, whole. */
export class Fragments {
  #held: Map<string, Element & { readonly in: Buffer }> | undefined;
  #next = 1;
  #bytes = 0;

  /** Part of an event was read, and the rest was not. */
  get isOpen(): boolean {
    return this.#held !== undefined;
  }

  /** Undefined before the last fragment. */
  add(raw: Buffer): ChangeEvent | undefined {
    const fields = fieldsOf(raw), split = fields.get('splitEvent');
    if (!split) return eventOf(fields, raw.length);
    const [fragment, of] = [numberIn(split, 'fragment'), numberIn(split, 'of')];
    if (fragment !== this.#next) throw new DsyncError('data', `fragment ${fragment} of ${of} of a large event came where fragment ${this.#next} was due`);
    const held = this.#held ??= new Map();
    for (const [name, field] of fields) held.set(name, field);
    this.#bytes += raw.length;
    this.#next = fragment + 1;
    if (fragment < of) return undefined;
    const bytes = this.#bytes;
    this.forget();
    return eventOf(held, bytes);
  }

  forget(): void {
    this.#held = undefined;
    [this.#next, this.#bytes] = [1, 0];
  }
}

function fieldsOf(raw: Buffer): Fields {
  const fields = new Map<string, Element & { readonly in: Buffer }>();
  eachField(raw, 0, raw.length, (type, nameStart, nameEnd, start, end) => fields.set(raw.toString('latin1', nameStart, nameEnd), { in: raw, type, start, end }));
  return fields;
}

function eventOf(fields: Fields, bytes: number): ChangeEvent {
  const token = documentAt(fields.get('_id')), kind = textOf(fields.get('operationType')), clock = fields.get('clusterTime'), wall = fields.get('wallTime');
  if (!token || kind === undefined || clock?.type !== bsonType.timestamp) throw new DsyncError('data', 'an event of the change stream has no token, no kind or no time');
  const time = { i: clock.in.readUInt32LE(clock.start), t: clock.in.readUInt32LE(clock.start + 4) };
  const [on, to, key, document, transaction] = [namedBy(fields.get('ns')), namedBy(fields.get('to')), documentAt(fields.get('documentKey')), wholeDocument(fields.get('fullDocument')), transactionOf(fields)];
  return {
    kind, time, bytes, token: toExtendedJson(token), at: wall?.type === bsonType.date ? Number(wall.in.readBigInt64LE(wall.start)) : time.t * 1000,
    ...(on && { on }), ...(to && { to }), ...(key && { key }), ...(document && { document }), ...(transaction !== undefined && { transaction }),
  };
}

type Field = (Element & { readonly in: Buffer }) | undefined;

function documentAt(field: Field): Buffer | undefined {
  return field?.type === bsonType.document ? field.in.subarray(field.start, field.end) : undefined;
}

/** One without an `_id` is none of a collection: some servers make such a thing up where they find nothing. */
function wholeDocument(field: Field): Buffer | undefined {
  const document = documentAt(field);
  return document && fieldOf(document, '_id') ? document : undefined;
}

function textOf(field: Field): string | undefined {
  return field?.type === bsonType.string ? textAt(field.in, field.start + 4, field.end - 1) : undefined;
}

function namedBy(field: Field): Named | undefined {
  const bytes = documentAt(field);
  if (!bytes) return undefined;
  const textIn = (name: string) => {
    const found = fieldOf(bytes, name);
    return found && textOf({ in: bytes, ...found });
  };
  const database = textIn('db'), collection = textIn('coll');
  return database === undefined ? undefined : { database, ...(collection !== undefined && { collection }) };
}

function transactionOf(fields: Fields): string | undefined {
  const session = fields.get('lsid'), number = fields.get('txnNumber');
  return session && number && `${session.in.toString('base64', session.start, session.end)} ${number.in.toString('hex', number.start, number.end)}`;
}

function numberIn(field: NonNullable<Field>, name: string): number {
  const bytes = documentAt(field), found = bytes && fieldOf(bytes, name);
  return found?.type === bsonType.int ? bytes!.readInt32LE(found.start) : Number.NaN;
}

/** Do both belong to one transaction, as far as can be told? Then no place lies between them. */
export function together(a: ChangeEvent, b: ChangeEvent): boolean {
  return compareTimes(a.time, b.time) === 0 || (a.transaction !== undefined && a.transaction === b.transaction);
}

/** Of kinds that are changes of a document. */
export function isOfDocument({ kind }: ChangeEvent): boolean {
  return kind === 'insert' || kind === 'update' || kind === 'replace' || kind === 'delete';
}

/** Undefined where the document was gone when the server looked for it: its delete is among the events that follow. */
export function changeOf({ kind, key, document }: ChangeEvent, shape: Shape): Change | undefined {
  const { namespace } = shape;
  if (kind === 'delete') {
    if (!key) throw new DsyncError('data', `a delete in ${namespace} does not tell of which document`, { namespace });
    return { kind, namespace, before: shape.columns.map((column) => (column.type.kind === 'document-id' ? idText(key) : undefined)) };
  }
  if (!document) return undefined;
  const [row] = decodeRows(shape)([document]);
  return { kind: kind === 'insert' ? 'insert' : 'update', namespace, row: row! };
}
