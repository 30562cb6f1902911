import { readFileSync } from 'node:fs';
import { bsonType } from '../../src/values/bson-bytes.js';

/** A document of the public BSON corpus, or of the table below; `lossy`: canonical Extended JSON has no spelling of its own for it. */
export interface CorpusCase { readonly name: string; readonly bytes: Buffer; readonly json?: string; readonly lossy: boolean }

type Written = readonly [name: string, hex: string, json: string, lossy?: true];

/** The valid cases of the corpus (bson.json says whose they are). */
export const corpus: readonly CorpusCase[] = (JSON.parse(readFileSync(new URL('bson.json', import.meta.url), 'utf8')) as { readonly valid: readonly Written[] }).valid
  .map(([name, hex, json, lossy]) => ({ name, bytes: Buffer.from(hex, 'hex'), json, lossy: lossy === true }));

/** A document of elements: type, name, value. */
export function documentOf(...elements: readonly (readonly [type: number, name: string, value: Buffer])[]): Buffer {
  const body = Buffer.concat(elements.map(([type, name, value]) => Buffer.concat([Buffer.from([type]), Buffer.from(`${name}\0`), value]))), length = Buffer.alloc(4);
  length.writeInt32LE(body.length + 5);
  return Buffer.concat([length, body, Buffer.from([0])]);
}

const int = (value: number) => { const bytes = Buffer.alloc(4); bytes.writeInt32LE(value); return bytes; };
const long = (value: bigint) => { const bytes = Buffer.alloc(8); bytes.writeBigInt64LE(value); return bytes; };
const text = (value: string) => Buffer.concat([int(Buffer.byteLength(value) + 1), Buffer.from(`${value}\0`)]);
const binary = (subtype: number, bytes: Buffer) => Buffer.concat([int(bytes.length), Buffer.from([subtype]), bytes]);
const { int: int32, long: int64, date, string, document, array, binary: bytes } = bsonType;

/** What the corpus has not. */
export const others: readonly CorpusCase[] = ([
  ['dates beyond JavaScript’s range', documentOf([date, 'least', long(-(2n ** 63n))], [date, 'most', long(2n ** 63n - 1n)], [date, 'first', long(8_640_000_000_000_001n)])],
  ['names twice', documentOf([int32, 'a', int(1)], [string, 'a', text('x')], [int32, 'b', int(2)], [int32, 'a', int(3)])],
  ['names twice, within', documentOf([document, 'in', documentOf([int32, '1', int(1)], [int32, '1', int(2)])])],
  ['names like numbers, in no order', documentOf([int32, '10', int(1)], [int32, '9', int(2)], [int32, 'a', int(3)], [document, '1', documentOf([int32, '2', int(1)], [int32, '01', int(2)], [int32, '-1', int(3)])])],
  ['names of the prototype', documentOf([int32, '__proto__', int(1)], [int32, 'constructor', int(2)], [int32, 'toString', int(3)])],
  ['all user-defined subtypes of binaries', documentOf(...Array.from({ length: 128 }, (_, i): readonly [number, string, Buffer] => [bytes, `b${i}`, binary(128 + i, Buffer.from([i]))]))],
  ['16 MB', documentOf([string, 'text', text('é'.repeat(4_000_000))], [bytes, 'bytes', binary(0, Buffer.alloc(16 * 1024 * 1024 - 8_000_000 - 100, 0xff))])],
  ['deep', Array.from({ length: 90 }).reduce<Buffer>((inner, _, i) => (i % 2 ? documentOf([document, 'd', inner]) : documentOf([array, 'a', documentOf([document, '0', inner])])), documentOf([int64, 'n', long(1n)]))],
] as const).map(([name, found]) => ({ name, bytes: found, lossy: false }));

/** With this `_id` before all other fields, in place of one that it has. */
export function withId(id: number, { bytes: found }: CorpusCase): Buffer {
  const element = Buffer.concat([Buffer.from([int32]), Buffer.from('_id\0'), int(id)]);
  return Buffer.concat([int(found.length + element.length), element, found.subarray(4)]);
}
