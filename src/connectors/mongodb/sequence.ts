import { createRequire } from 'node:module';
import { BSON } from 'mongodb';
import { bufferOf } from '../../values/bson-bytes.js';
import { toExtendedJson } from '../../values/bson.js';
import { DsyncError } from '../../errors.js';
import { parseExtendedJson } from './json.js';

/** Makes the value of a command's field from documents that are bytes already. */
export type Sequence = (field: string, documents: readonly Uint8Array[]) => unknown;

interface DriversSequence { push(document: object, bytes: Uint8Array): number; toBin(): Uint8Array }

/**
 * The driver's own class for the documents of a bulk write takes bytes as they are. It is no public interface: it is
 * looked at before it is trusted, and without it documents go through Extended JSON, which is exact too, but slow.
 */
export function findSequence(load: () => unknown = loadFromDriver): Sequence {
  const Class = classOf(load);
  return Class && frames(Class) ? (field, documents) => sequenceOf(Class, field, documents) : (_field, documents) => documents.map(decoded);
}

type SequenceClass = new (field: string) => DriversSequence;

function loadFromDriver(): unknown {
  return createRequire(import.meta.url)('mongodb/lib/cmap/commands.js');
}

function classOf(load: () => unknown): SequenceClass | undefined {
  try {
    return (load() as { DocumentSequence?: SequenceClass }).DocumentSequence;
  } catch {
    return undefined;
  }
}

const nothing = {};

function sequenceOf(Class: SequenceClass, field: string, documents: readonly Uint8Array[]): DriversSequence {
  const sequence = new Class(field);
  for (const document of documents) sequence.push(nothing, document);
  return sequence;
}

/** Does it frame two documents as the wire protocol says: kind 1, length, name, documents? */
function frames(Class: SequenceClass): boolean {
  const document = Buffer.from(BSON.serialize({ a: 1 }));
  const expected = Buffer.concat([Buffer.from([1, 30, 0, 0, 0]), Buffer.from('x\0'), document, document]);
  try {
    return expected.equals(sequenceOf(Class, 'x', [document, document]).toBin());
  } catch {
    return false;
  }
}

/** A document as values that serialize to the very same bytes; fails with `data` where there are none. */
function decoded(document: Uint8Array): object {
  const value = parseExtendedJson(toExtendedJson(document)) as object;
  if (!bufferOf(BSON.serialize(value)).equals(document)) throw new DsyncError('data', 'this version of the MongoDB driver can\'t send a document unchanged', { remedy: 'install the driver\'s version that package.json names' });
  return value;
}
