import { describe, expect, test } from 'vitest';
import type { Digests, LogicalType, Part, Row, ScanJob, Snapshot } from '../../src/contract.js';
import { DsyncError } from '../../src/errors.js';
import { formsOf } from '../../src/verifier/forms.js';
import { referenceDigest } from './reference.js';
import { compare, mappingOf, shapeOf, side, type FakeOptions } from './tables.js';

const int: LogicalType = { kind: 'int', bits: 32, signed: true }, text: LogicalType = { kind: 'text' };
const mapping = mappingOf(shapeOf({ id: int, note: text }, 1));
const parts: readonly Part[] = [{ to: '100' }, { from: '100', to: '200' }, { from: '200' }];
const rows: readonly Row[] = Array.from({ length: 300 }, (_, i) => [i, i % 7 === 0 ? null : `note ${i}`]);

/** A side whose server digests what it shows, and is so far away. */
function server(shown: () => readonly Row[], { away = 1, digest, ...options }: FakeOptions & { readonly away?: number; readonly digest?: Digests['digest'] } = {}) {
  const plain = side(shown, { parts, ...options });
  let asked = 0, measured = 0;
  const digests: Digests = {
    async digest(job, signal) {
      asked++;
      if (digest) return digest(job, signal);
      const all: Row[] = [];
      for await (const some of side(shown).scan(job, signal)) all.push(...some);
      return referenceDigest(all, job.forms);
    },
    async roundTrip() {
      measured++;
      return away;
    },
  };
  return { ...plain, digests, asked: () => asked, measured: () => measured } satisfies Snapshot & Record<string, unknown>;
}

const spoilt = () => rows.map((row) => (row[0] === 150 ? [150, 'spoilt'] : row)).filter((row) => row[0] !== 170);

describe('a comparison by digests of the servers', () => {
  test('reads no row of what is equal', async () => {
    const [left, right] = [server(() => rows), server(() => [...rows].reverse())];
    const { result, events } = await compare(mapping, left, right, { verifyWith: 'digests' });
    expect(result).toMatchObject({ result: 'equal', sourceRows: 300, destinationRows: 300, compared: { by: 'digests', reason: 'as asked', parts: 3, read: 0 } });
    expect(result.sourceDigest).toBe(result.destinationDigest);
    expect([left.scans(), right.scans(), left.asked(), right.asked()]).toEqual([0, 0, 3, 3]);
    expect(events.filter(({ kind }) => kind === 'compared').at(-1)).toMatchObject({ parts: 3, of: 3, rows: 300 });
  });

  test('reads the parts that differ, and tells the same of them as a comparison of all rows', async () => {
    const scanned: (Part | undefined)[] = [];
    const left = server(() => rows), right = server(spoilt), scan = left.scan;
    left.scan = (job: ScanJob, signal) => (scanned.push(job.part), scan(job, signal));
    const { result } = await compare(mapping, left, right, { verifyWith: 'digests' });
    const { result: byRows } = await compare(mapping, rows, spoilt(), { parts });
    expect(result).toMatchObject({ result: 'different', missing: 1, changed: 1, extra: 0, sourceRows: 300, destinationRows: 299, compared: { parts: 3, read: 1 } });
    expect(result.differences).toEqual(byRows.differences);
    expect(result.sourceDigest).not.toBe(result.destinationDigest);
    expect(new Set(scanned)).toEqual(new Set([parts[1]]));
  });

  test('finds rows that only one side has, even if their hashes add up to nothing', async () => {
    const left = server(() => rows, { digest: async () => ({ rows: 100, sum: 7n }) }), right = server(() => rows.slice(1), { digest: async () => ({ rows: 99, sum: 7n }) });
    expect((await compare(mapping, left, right, { verifyWith: 'digests' })).result).toMatchObject({ result: 'different', missing: 1 });
  });

  test('says equal where digests differ and the rows mean the same', async () => {
    const numbers = mappingOf(shapeOf({ id: int, f: { kind: 'float', bits: 64 } }, 1));
    const [left, right] = [server(() => [[1, 0.5]]), server(() => [[1, 0.5]], { digest: async () => ({ rows: 1, sum: 1n }) })];
    const { result } = await compare(numbers, left, right, { verifyWith: 'digests' });
    expect(result).toMatchObject({ result: 'equal', compared: { by: 'digests', parts: 3, read: 3 } });
  });

  test('mends the parts that differ, and looks at them by digests again', async () => {
    const there = new Map(spoilt().map((row) => [row[0], row]));
    const right = server(() => [...there.values()]), left = server(() => rows);
    const { result } = await compare(mapping, left, right, {
      verifyWith: 'digests',
      mend: async (_, { upserts }) => { for (const row of upserts) there.set(row[0], row); return { rejected: [] }; },
    });
    expect(result).toMatchObject({ result: 'equal', compared: { by: 'digests', parts: 3, read: 1 } });
    expect(right.asked()).toBe(4);
  });

  test('allows for rejected rows', async () => {
    const { result } = await compare(mapping, server(() => rows), server(() => rows.filter((row) => row[0] !== 170)), { verifyWith: 'digests', rejectedKeys: () => new Set(['id=170']) });
    expect(result).toMatchObject({ result: 'equal', rejected: 1, missing: 0, compared: { read: 1 } });
  });

  test('compares a table without a key, in which equal rows count', async () => {
    const keyless = mappingOf(shapeOf({ a: text }, 0)), twins: readonly Row[] = [['x'], ['x'], ['y'], ['y'], ['y'], ['y']];
    const whole = { parts: [{}], verifyWith: 'digests' as const };
    expect((await compare(keyless, server(() => twins), server(() => [...twins].reverse()), whole)).result).toMatchObject({ result: 'equal', compared: { read: 0 } });
    expect((await compare(keyless, server(() => twins), server(() => twins.slice(0, 4)), whole)).result).toMatchObject({ result: 'different', missing: 2, compared: { read: 1 } });
  });

  test('passes each side its own table and filter', async () => {
    const jobs: (string | undefined)[] = [], note = (which: string): Digests['digest'] => async ({ where, shape }) => { jobs.push(`${which} ${shape.engine} ${where}`); return { rows: 0, sum: 0n }; };
    const other = { ...mapping, target: { ...mapping.target, engine: 'other' } };
    await compare(other, server(() => [], { parts: [{}], digest: note('source') }), server(() => [], { digest: note('destination') }), { parts: [{}], verifyWith: 'digests', where: () => 'a', destinationWhere: () => 'b' });
    expect(jobs.sort()).toEqual(['destination other b', 'source memory a']);
  });
});

describe('where a server can tell no digest', () => {
  const fails = (code: 'data' | 'source-lost'): Digests['digest'] => async () => { throw new DsyncError(code, 'the server says no'); };

  test('the rows are read, and the report says why', async () => {
    const { result } = await compare(mapping, server(() => rows), server(spoilt, { digest: fails('data') }), { verifyWith: 'digests' });
    expect(result).toMatchObject({ result: 'different', changed: 1, missing: 1, compared: { by: 'digests', parts: 3, read: 3 } });
    expect(result.compared?.reason).toContain('the server says no');
  });

  test('because it is lost, the comparison fails, and the other side is let go', async () => {
    let letGo = 0;
    const waits: Digests['digest'] = (_, signal) => new Promise((_resolve, reject) => { signal.addEventListener('abort', () => { letGo++; reject(signal.reason); }); });
    await expect(compare(mapping, server(() => rows, { digest: waits }), server(() => rows, { digest: fails('source-lost') }), { verifyWith: 'digests' })).rejects.toMatchObject({ code: 'connection-lost' });
    await expect(compare(mapping, server(() => rows, { digest: fails('source-lost') }), server(() => rows, { digest: waits }), { verifyWith: 'digests' })).rejects.toMatchObject({ code: 'source-lost' });
    expect(letGo).toBeGreaterThan(1);
  });

  test('because the run is stopped, the comparison ends by that', async () => {
    const stop = new AbortController(), reason = new DsyncError('interrupted', 'stopped');
    const waits: Digests['digest'] = (_, signal) => new Promise((_resolve, reject) => { signal.addEventListener('abort', () => reject(new DsyncError('data', 'cancelled'))); stop.abort(reason); });
    await expect(compare(mapping, server(() => rows, { digest: waits }), server(() => rows, { digest: waits }), { verifyWith: 'digests', signal: stop.signal })).rejects.toBe(reason);
  });
});

describe('the way to compare', () => {
  test.each([[0.3, 0.4, 'rows', 'near'], [0.3, 20, 'digests', 'far'], [5.5, 0.1, 'digests', 'far'], [4.5, 4.6, 'rows', 'near']] as const)('of ends that are %d and %d ms away is by %s', async (there, here, by, why) => {
    const { result } = await compare(mapping, server(() => rows, { away: there }), server(() => rows, { away: here }), { verifyWith: 'auto' });
    expect(result.compared).toMatchObject({ by, reason: expect.stringContaining(why) });
    expect(result.compared!.reason).toContain(`${there} ms`);
  });

  test('by rows, where that is asked, asks for no digest and measures nothing', async () => {
    const [left, right] = [server(() => rows, { away: 50 }), server(() => rows, { away: 50 })];
    const { result } = await compare(mapping, left, right, { verifyWith: 'rows' });
    expect(result).toMatchObject({ result: 'equal', compared: { by: 'rows', reason: 'as asked', parts: 3, read: 3 } });
    expect([left.asked(), right.asked(), left.measured(), right.measured()]).toEqual([0, 0, 0, 0]);
  });

  test.each([['source', () => side(() => rows, { parts }), () => server(() => rows)], ['destination', () => server(() => rows), () => side(() => rows)]] as const)('is by rows where the %s computes none', async (which, left, right) => {
    const { result } = await compare(mapping, left(), right(), { verifyWith: 'digests' });
    expect(result).toMatchObject({ result: 'equal', compared: { by: 'rows', reason: `the ${which} computes no digests` } });
  });

  test('is by rows where the destination may hold other rows', async () => {
    const { result } = await compare(mapping, server(() => rows.slice(10)), server(() => rows), { verifyWith: 'digests', extrasAllowed: () => true });
    expect(result).toMatchObject({ result: 'equal', compared: { by: 'rows', reason: 'the destination may hold other rows' } });
  });

  test('is by rows where a column may be spelled in two ways, and names it', async () => {
    const source = shapeOf({ id: int, doc: { kind: 'json-value' } }, 1), target = { ...shapeOf({ id: int, doc: { kind: 'json-value' } }, 1), engine: 'other' };
    const { result } = await compare(mappingOf(source, target), server(() => [[1, '{"a":1.0}']]), server(() => [[1, '{"a": 1}']]), { verifyWith: 'digests' });
    expect(result).toMatchObject({ result: 'equal', compared: { by: 'rows', reason: expect.stringContaining(': doc') } });
  });
});

describe('the forms of columns', () => {
  const short: LogicalType = { kind: 'text', maxLength: 40 }, char: LogicalType = { kind: 'text', maxLength: 8, padded: true };
  const time = (fraction: number): LogicalType => ({ kind: 'time', fraction }), stamp = (fraction: number): LogicalType => ({ kind: 'timestamp', fraction }), instant = (fraction: number): LogicalType => ({ kind: 'instant', fraction });
  const bool: LogicalType = { kind: 'bool' }, decimal: LogicalType = { kind: 'decimal' }, bytes: LogicalType = { kind: 'bytes' }, uuid: LogicalType = { kind: 'uuid' }, date: LogicalType = { kind: 'date' };
  const float = (bits: 32 | 64): LogicalType => ({ kind: 'float', bits }), bits = (length: number): LogicalType => ({ kind: 'bits', length });
  const jsonText: LogicalType = { kind: 'json-text' }, jsonValue: LogicalType = { kind: 'json-value' }, native: LogicalType = { kind: 'native', engine: 'postgres' }, enumeration: LogicalType = { kind: 'enum', labels: ['a'] };

  const formOf = (source: LogicalType, target: LogicalType) => {
    const found = formsOf(mappingOf(shapeOf({ c: source }, 0), { ...shapeOf({ c: target }, 0), engine: 'other' }));
    return 'forms' in found ? `${found.forms[0].as}${found.forms[0].long ? ', long' : ''}` : undefined;
  };

  test.each([
    [int, decimal, 'number'], [bool, int, 'number'], [decimal, bool, 'number'], [float(64), float(64), 'float'], [float(32), float(32), 'float'],
    [bytes, bytes, 'bytes, long'], [date, date, 'plain'], [uuid, uuid, 'plain'], [time(3), time(6), 'plain'], [stamp(6), stamp(6), 'plain'], [stamp(0), instant(6), 'plain'], [instant(6), stamp(6), 'plain'],
    [short, short, 'text'], [short, text, 'text, long'], [text, short, 'text, long'], [short, char, 'padded'], [char, text, 'padded, long'], [enumeration, short, 'text'], [enumeration, char, 'padded'],
    [jsonText, jsonText, 'text, long'], [jsonText, text, 'text, long'], [jsonValue, text, 'text, long'], [jsonValue, jsonText, 'text, long'], [native, text, 'text, long'], [native, native, 'text, long'],
    [uuid, char, 'padded'], [date, short, 'text'], [bits(4), bits(4), 'text'],
  ])('%j beside %j are spelled as %s', (source, target, as) => {
    expect(formOf(source, target)).toBe(as);
  });

  test.each([
    [int, text], [text, int], [float(64), decimal], [int, float(64)], [float(32), float(64)], [bytes, text], [text, bytes], [uuid, bytes], [date, stamp(6)], [stamp(6), date], [stamp(6), stamp(3)], [time(6), time(0)],
    [time(6), stamp(6)], [jsonValue, jsonValue], [jsonText, jsonValue], [text, jsonValue], [text, uuid], [text, native], [bits(4), bits(8)], [bits(4), int], [bool, text],
    [{ kind: 'any' }, { kind: 'any' }], [{ kind: 'document' }, { kind: 'document' }],
  ] satisfies [LogicalType, LogicalType][])('%j beside %j have none', (source, target) => {
    expect(formOf(source, target)).toBeUndefined();
  });

  test('within one engine are its own text for JSON and bits of any length; for types of its own only where they are the same', () => {
    const itself = (type: LogicalType, other = type) => formsOf(mappingOf(shapeOf({ c: type }, 0), shapeOf({ c: other }, 0)));
    for (const type of [jsonValue, { kind: 'bits' } as const]) expect(itself(type)).toMatchObject({ forms: [{ as: 'text' }] });
    const inet = shapeOf({ c: native }, 0), interval = { ...inet, columns: [{ ...inet.columns[0], native: 'interval' }] };
    expect(formsOf(mappingOf(inet, interval))).toEqual({ unspelled: ['c'] });
  });
});
