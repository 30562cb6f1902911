import { BSON } from 'mongodb';
import { bsonType, bufferOf, eachField, fieldOf } from '../../values/bson-bytes.js';
import { BsonWriter } from '../../values/bson-writer.js';
import { DsyncError } from '../../errors.js';
import { idText } from '../../values/bson.js';
import { Fields, parseExtendedJson } from './json.js';

const names = { id: Buffer.from('_id\0'), q: Buffer.from('q\0'), u: Buffer.from('u\0'), upsert: Buffer.from('upsert\0'), limit: Buffer.from('limit\0'), eq: Buffer.from('$eq\0') };

/** A statement of an update command: this document in place of the one with its `_id`, or beside the others. */
export function upsertStatement(document: Uint8Array): Buffer {
  const writer = new BsonWriter(document.length + 128), open = writer.open();
  writer.field(bsonType.document, names.q);
  writer.raw(queryOf(bufferOf(document)));
  writer.field(bsonType.document, names.u);
  writer.raw(document);
  writer.field(bsonType.bool, names.upsert);
  writer.byte(1);
  writer.close(open);
  return writer.bytes();
}

/** A statement of a delete command: the document with the `_id` of this one. */
export function deleteStatement(document: Uint8Array): Buffer {
  const writer = new BsonWriter(256), open = writer.open();
  writer.field(bsonType.document, names.q);
  writer.raw(queryOf(bufferOf(document)));
  writer.field(bsonType.int, names.limit);
  writer.int(1);
  writer.close(open);
  return writer.bytes();
}

/** `{_id: …}` as bytes; `$eq` before an embedded document, whose names could be taken for operators. */
function queryOf(document: Buffer): Buffer {
  const id = fieldOf(document, '_id');
  if (!id) throw new DsyncError('data', 'a document has no _id');
  const writer = new BsonWriter(id.end - id.start + 64), open = writer.open();
  if (id.type === bsonType.document) {
    writer.field(bsonType.document, names.id);
    const inner = writer.open();
    writer.field(id.type, names.eq);
    writer.raw(document.subarray(id.start, id.end));
    writer.close(inner);
  } else {
    writer.field(id.type, names.id);
    writer.raw(document.subarray(id.start, id.end));
  }
  writer.close(open);
  return writer.bytes();
}

/** The document with this ObjectId as its `_id`, which it has not yet. */
export function withObjectId(document: Uint8Array, id: Uint8Array): Buffer {
  const writer = new BsonWriter(document.length + 17), open = writer.open();
  writer.field(bsonType.objectId, names.id);
  writer.raw(id);
  writer.raw(document.subarray(4, document.length - 1));
  writer.close(open);
  return writer.bytes();
}

/** `{_id: …}` of an `_id` in Extended JSON. */
export function documentOfId(text: string): Buffer {
  return bufferOf(BSON.serialize(new Fields([['_id', parseExtendedJson(text)]])));
}

/** The `_id` as Extended JSON, if what is read from it again is the same to the bit: few old types and far dates are not. */
export function exactIdText(document: Uint8Array): string | undefined {
  const bytes = bufferOf(document), id = fieldOf(bytes, '_id');
  if (!id) return undefined;
  const text = idText(bytes);
  try {
    const again = documentOfId(text), same = fieldOf(again, '_id')!;
    return same.type === id.type && again.subarray(same.start, same.end).equals(bytes.subarray(id.start, id.end)) ? text : undefined;
  } catch {
    return undefined;
  }
}

const emptyTimestamp = Buffer.alloc(8);

/** Would servers change or misread this document? `operators`: a name begins with `$`. `empty`: a Timestamp(0, 0), which an insert replaces by the time. */
export function topLevelTraps(document: Uint8Array): { readonly operators: boolean; readonly empty: boolean } {
  const bytes = bufferOf(document);
  let operators = false, empty = false;
  eachField(bytes, 0, bytes.length, (type, nameStart, _nameEnd, start, end) => {
    if (bytes[nameStart] === 0x24) operators = true;
    if (type === bsonType.timestamp && emptyTimestamp.equals(bytes.subarray(start, end))) empty = true;
  });
  return { operators, empty };
}
