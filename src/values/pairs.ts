import type { Column, Row, Shape } from '../contract.js';
import { bufferOf, eachField, fieldOf } from './bson-bytes.js';
import { BsonWriter } from './bson-writer.js';
import { encodeRows, idText } from './bson.js';
import { documentOfJson, isObject, parseJson, valueOfJson } from './extended-json-bytes.js';

/** Is it a table of `_id` and `document`, as dsync makes it of a collection (`--document json`)? */
export function isPairs({ columns, key }: Pick<Shape, 'columns' | 'key'>): boolean {
  const [id, document] = columns;
  return columns.length === 2 && id!.name === '_id' && document!.name === 'document' && key.length === 1 && key[0] === 0
    && id!.type.kind === 'text' && isJson(document!);
}

function isJson({ type }: Column): boolean {
  return type.kind === 'json-text' || type.kind === 'json-value' || type.kind === 'text';
}

const idName = Buffer.from('_id\0');

/**
 * Compiles the way from rows of such a table to documents: those that were made into it, to the byte; an `_id` that was changed
 * since wins. A row that holds no Extended JSON becomes a document as any other table's does. Without a document (a log tells of a delete
 * by the key alone) it is the `_id`.
 */
export function documentOfPair(shape: Shape): (row: Row) => Buffer {
  const asRow = encodeRows({ source: shape, target: shape, fidelity: [], existed: true, staged: false });
  return (row) => restored(String(row[0]), row[1] === null ? '{}' : String(row[1])) ?? bufferOf(asRow([row])[0]!);
}

function restored(id: string, json: string): Buffer | undefined {
  try {
    if (!isObject(parseJson(json))) return undefined;
    const document = withId(documentOfJson(json), valueOfJson(parseJson(id)));
    return idText(document) === id ? document : undefined;
  } catch {
    return undefined;
  }
}

/** The document of the `_id` alone that a row with this key has; of one that holds no Extended JSON, as of any other table. */
export function keyOfPair(shape: Shape): (row: Row) => Buffer {
  const document = documentOfPair(shape);
  return ([id]) => restored(String(id), '{}') ?? document([id!, null]);
}

/** `id`: `[type][bytes]`. */
function withId(document: Buffer, id: Buffer): Buffer {
  const found = fieldOf(document, '_id'), [type, value] = [id[0]!, id.subarray(1)];
  if (found && found.type === type && document.subarray(found.start, found.end).equals(value)) return document;
  const writer = new BsonWriter(document.length + id.length + 16), open = writer.open();
  writer.field(type, idName);
  writer.raw(value);
  eachField(document, 0, document.length, (other, nameStart, nameEnd, start, end) => {
    if (document.toString('utf8', nameStart, nameEnd) === '_id') return;
    writer.field(other, document.subarray(nameStart, nameEnd + 1));
    writer.raw(document.subarray(start, end));
  });
  writer.close(open);
  return writer.bytes();
}
