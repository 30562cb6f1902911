import { BSON } from 'mongodb';
import { describe, expect, it } from 'vitest';
import type { LogicalType, Mask, Value } from '../../src/contract.js';
import { fieldsRewriter } from '../../src/values/bson-fields.js';
import { extremesOf } from '../../src/values/extremes.js';
import { logicalKinds } from '../../src/values/logical.js';
import { isMaskable, keyCheck, maskerOf } from '../../src/values/mask.js';
import { isOfType } from '../../src/values/misfits.js';
import { refusalOf } from '../../src/values/taking.js';

const key = 'a key', text: LogicalType = { kind: 'text' };
const hash = (type: LogicalType, value: Exclude<Value, null>, other = key, to = type) => maskerOf('hash', type, to, other)!(value);
const variants = Object.values(logicalKinds).flatMap(({ variants: all }) => all);
const samples: readonly Exclude<Value, null>[] = ['x', 7, 7n, true, Buffer.from('x')];

describe('a mask', () => {
  it.each(variants.filter((type) => isMaskable('hash', type)))('makes values of %o that its column holds', (type) => {
    const values = [...extremesOf({ type, native: '' }, 'mysql'), ...samples].filter((value): value is Exclude<Value, null> => value !== null && isOfType(type)(value));
    for (const mask of ['hash', 'redact'] as Mask[]) for (const value of values) {
      const masked = maskerOf(mask, type, type, key)!(value) as Exclude<Value, null>;
      expect(isOfType(type)(masked)).toBe(true);
      for (const engine of ['postgres', 'mysql', 'sqlite', 'mongodb']) expect(refusalOf({ type, native: 'x', engine })(masked), `${engine} ${JSON.stringify(type)} ${String(masked)}`).toBeUndefined();
    }
  });

  it('is the same for the same value and key, and for no other', () => {
    expect(hash(text, 'ada')).toBe(hash(text, 'ada'));
    expect(hash(text, 'ada')).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set([hash(text, 'ada'), hash(text, 'Ada'), hash(text, 'ada', 'another key')]).size).toBe(3);
    expect(hash({ kind: 'int', bits: 64, signed: true }, 5n)).toBe(hash({ kind: 'text' }, '5', key, { kind: 'int', bits: 64, signed: true }));
    expect(hash({ kind: 'text', padded: true, maxLength: 5 }, 'ada  ', key, text)).toBe(hash(text, 'ada'));
  });

  it('is HMAC-SHA256 of the normal form', () => {
    // RFC 4231, test case 2.
    expect(hash(text, 'what do ya want for nothing?', 'Jefe')).toBe('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
  });

  it('is cut to the column, and of the length of a column that is filled up', () => {
    expect(hash({ kind: 'text', maxLength: 10 }, 'ada')).toHaveLength(10);
    expect(hash({ kind: 'bytes', maxLength: 40 }, Buffer.alloc(40))).toHaveLength(40);
    expect(hash({ kind: 'bytes', maxLength: 40 }, Buffer.alloc(3))).toHaveLength(32);
  });

  it('is a UUID of version 4, as servers want it', () => {
    expect(hash({ kind: 'uuid' }, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('needs a key for hashes, and has none of engines\' own types', () => {
    expect(maskerOf('hash', text, text, undefined)).toBeUndefined();
    expect(isMaskable('redact', { kind: 'native', engine: 'postgres' })).toBe(false);
    expect(isMaskable('null', { kind: 'native', engine: 'postgres' })).toBe(true);
    expect(keyCheck('a')).not.toBe(keyCheck('b'));
    expect(keyCheck('a')).toHaveLength(8);
  });
});

describe('fields of documents', () => {
  const bytesOf = (document: BSON.Document) => BSON.serialize(document);
  const back = (bytes: Uint8Array) => BSON.deserialize(bytes, { promoteValues: false, promoteLongs: false });
  const ada = bytesOf({ _id: 1, name: 'Ada', ssn: '123-45', address: { street: 'Main', city: 'Linz' }, jobs: [{ street: 'Side', pay: 5 }, 'none', [{ street: 'Deep' }]], at: new Date(5) });
  const rewritten = (rule: Partial<Parameters<typeof fieldsRewriter>[0]>, document = ada) => fieldsRewriter({ masks: [], left: [], ...rule }, key)(document);

  it('that nothing names stay as they are, to the last byte', () => {
    expect(Buffer.compare(rewritten({ left: ['nothing', 'address.zip'], masks: [{ path: 'jobs.boss', mask: 'hash' }] }), ada)).toBe(0);
  });

  it('are left out by their paths, through arrays', () => {
    expect(rewritten({ left: ['ssn', 'address.street', 'jobs.street'] })).toEqual(bytesOf({ _id: 1, name: 'Ada', address: { city: 'Linz' }, jobs: [{ pay: 5 }, 'none', [{}]], at: new Date(5) }));
  });

  it('are all that is kept, and _id', () => {
    expect(rewritten({ kept: ['name', 'address.city', 'jobs.pay'] })).toEqual(bytesOf({ _id: 1, name: 'Ada', address: { city: 'Linz' }, jobs: [{ pay: 5 }, [{}]] }));
    expect(rewritten({ kept: ['address.city', 'address'] })).toEqual(bytesOf({ _id: 1, address: { street: 'Main', city: 'Linz' } }));
  });

  it('are masked by their own types', () => {
    const every = { _id: 1, v: { s: 'x', i: 5, l: BSON.Long.fromNumber(5), d: 1.5, dec: BSON.Decimal128.fromString('1.5'), at: new Date(1), o: new BSON.ObjectId(), b: new BSON.Binary(Buffer.from('secret')), u: new BSON.UUID(), t: true, n: null, r: /secret/, a: ['secret', { x: 'secret' }] } };
    for (const mask of ['hash', 'redact'] as const) {
      const bytes = rewritten({ masks: [{ path: 'v', mask }] }, bytesOf(every)), found = back(bytes);
      expect(Buffer.from(bytes).includes('secret')).toBe(false);
      const typeOf = (value: unknown) => (value as { _bsontype?: string })?._bsontype ?? (value === null ? 'null' : value!.constructor.name);
      const expected = back(bytesOf(every));
      for (const name of Object.keys(every.v)) if (name !== 'r') expect([name, typeOf((found.v as BSON.Document)[name])]).toEqual([name, typeOf((expected.v as BSON.Document)[name])]);
    }
    expect(back(rewritten({ masks: [{ path: 'address.street', mask: 'redact' }, { path: 'ssn', mask: 'null' }] }))).toMatchObject({ ssn: null, address: { street: '***', city: 'Linz' } });
  });

  it('have the hashes that columns have', () => {
    expect(back(rewritten({ masks: [{ path: 'name', mask: 'hash' }] })).name).toBe(hash(text, 'Ada'));
  });

  it('that are not kept are not brought back by a mask', () => {
    expect(rewritten({ kept: ['name'], masks: [{ path: 'ssn', mask: 'hash' }] })).toEqual(bytesOf({ _id: 1, name: 'Ada' }));
  });
});
