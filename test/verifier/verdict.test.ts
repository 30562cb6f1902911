import { describe, expect, test } from 'vitest';
import type { ComparedPart, Event, Mapping, NamespaceVerification, Row, Snapshot } from '../../src/contract.js';
import { DsyncError } from '../../src/errors.js';
import { keyText } from '../../src/verifier/key.js';
import { verify, type VerifyRequest } from '../../src/verifier/verify.js';
import { compare, mappingOf, shapeOf, side } from './tables.js';

const keyed = mappingOf(shapeOf({ id: { kind: 'int', bits: 32, signed: true }, name: { kind: 'text' } }, 1));
const keyless = mappingOf(shapeOf({ id: { kind: 'int', bits: 32, signed: true }, name: { kind: 'text' } }, 0, 'shop.log'));
const rowsTo = (count: number, name = (id: number) => `name ${id}`): Row[] => Array.from({ length: count }, (_, id) => [id, name(id)]);
const fingers = [{ to: '250' }, { from: '250', to: '500' }, { from: '500' }];

/** A destination whose rows can be mended. */
function mendable(rows: readonly Row[], reject: (row: Row) => boolean = () => false) {
  let held = [...rows];
  const calls: { readonly upserts: readonly Row[]; readonly deletes: readonly Row[] }[] = [];
  const mend: VerifyRequest['mend'] = async (mapping, changes) => {
    calls.push(changes);
    const rejected = changes.upserts.filter(reject), upserts = changes.upserts.filter((row) => !reject(row));
    const touched = new Set([...upserts, ...changes.deletes].map((row) => row[0]));
    held = [...held.filter((row) => !touched.has(row[0])), ...upserts];
    return { rejected: rejected.map((row) => ({ namespace: mapping.source.namespace, row, reason: 'too long' })) };
  };
  return { rows: () => held, mend, calls, change: (next: readonly Row[]) => { held = [...next]; } };
}

const mendedIn = (events: readonly Event[]) => events.filter((event) => event.kind === 'mended');

describe('rows that the copy rejected', () => {
  const rows = rowsTo(1000), rejectedKeys = () => new Set([keyText(keyed.source, rows[3]), keyText(keyed.source, rows[700])]);

  test('are expected to be missing, and counted apart', async () => {
    const { result } = await compare(keyed, rows, rows.filter(([id]) => id !== 3 && id !== 700), { rejectedKeys, parts: fingers });
    expect(result).toMatchObject({ result: 'equal', rejected: 2, missing: 0, sourceRows: 1000, destinationRows: 998, differences: [] });
    expect(result.sourceDigest).toBe(result.destinationDigest);
  });

  test('hide no other missing row', async () => {
    const { result } = await compare(keyed, rows, rows.filter(([id]) => id !== 3 && id !== 700 && id !== 4), { rejectedKeys, parts: fingers });
    expect(result).toMatchObject({ result: 'different', rejected: 2, missing: 1, differences: [{ kind: 'missing', key: 'id=4' }] });
  });

  test('are a difference where an older row stands in their place', async () => {
    const { result } = await compare(keyed, rows, rows.map((row) => (row[0] === 3 ? [3, 'older'] : row)), { rejectedKeys });
    expect(result).toMatchObject({ result: 'different', rejected: 0, changed: 1 });
  });

  test('of equal rows without a key as many are rejected as are missing', async () => {
    const equalRows: Row[] = [[1, 'x'], [1, 'x'], [1, 'x'], [2, 'y']];
    const options = { rejectedKeys: () => new Set([keyText(keyless.source, [1, 'x'])]) };
    const { result } = await compare(keyless, equalRows, [[1, 'x'], [2, 'y']], options);
    expect(result).toMatchObject({ result: 'equal', rejected: 2, sourceRows: 4, destinationRows: 2 });
    expect((await compare(keyless, equalRows, [[1, 'x'], [1, 'x'], [1, 'x']], options)).result).toMatchObject({ result: 'different', missing: 1, rejected: 0 });
  });

  test('are not sent again when a table is mended', async () => {
    const there = mendable(rows.filter(([id]) => id !== 3 && id !== 4));
    const { result } = await compare(keyed, rows, side(there.rows), { rejectedKeys, mend: there.mend });
    expect(there.calls).toEqual([{ upserts: [rows[4]], deletes: [] }]);
    expect(result).toMatchObject({ result: 'equal', rejected: 1 });
  });
});

describe('a destination that held other rows before', () => {
  const rows = rowsTo(1000), others: Row[] = Array.from({ length: 400 }, (_, i) => [5_000 + i, 'another']);
  const extrasAllowed = () => true;

  test('is equal if it has all of the source', async () => {
    for (const parts of [fingers, [{}]]) {
      const { result } = await compare(keyed, rows, [...others, ...rows], { extrasAllowed, parts, keysInMemory: 100 });
      expect(result).toMatchObject({ result: 'equal', reason: '400 other rows of the destination were there before', sourceRows: 1000, destinationRows: 1000, extra: 0 });
      expect(result.sourceDigest).toBe(result.destinationDigest);
    }
  });

  test('is different if a row is changed, missing or there twice', async () => {
    const spoilt: Row[] = [...others, ...rows.filter(([id]) => id !== 8).map((row) => (row[0] === 9 ? [9, 'spoilt'] : row)), rows[10]];
    const { result } = await compare(keyed, rows, spoilt, { extrasAllowed, parts: fingers });
    expect(result).toMatchObject({ result: 'different', missing: 1, changed: 1, extra: 1 });
    expect(result.differences.map((one) => `${one.kind} ${one.key}`)).toEqual(['missing id=8', 'changed id=9', 'extra id=10']);
  });

  test('keeps its other rows when it is mended', async () => {
    const there = mendable([...others, ...rows.slice(10)]);
    const { result } = await compare(keyed, rows, side(there.rows), { extrasAllowed, mend: there.mend });
    expect(result.result).toBe('equal');
    expect(there.calls.flatMap((call) => call.deletes)).toEqual([]);
    expect(there.rows()).toHaveLength(1400);
  });

  test('keeps what stood under a key of the source, and differs there, unless it may be overwritten', async () => {
    const standing: Row[] = [...others, [0, 'mine'], ...rows.slice(500)];
    for (const mayOverwrite of [undefined, () => true]) {
      const there = mendable(standing);
      const { result } = await compare(keyed, rows, side(there.rows), { extrasAllowed, mend: there.mend, mayOverwrite });
      expect(there.rows().find((row) => row[0] === 0)).toEqual([0, mayOverwrite ? 'name 0' : 'mine']);
      expect(there.rows()).toHaveLength(1400);
      if (mayOverwrite) expect(result.result).toBe('equal');
      else expect(result).toMatchObject({ result: 'different', changed: 1, missing: 0, differences: [{ kind: 'changed', key: 'id=0' }] });
    }
    const doubled = mendable([...rows, [0, 'mine']]);
    expect((await compare(keyed, rows, side(doubled.rows), { extrasAllowed, mend: doubled.mend })).result).toMatchObject({ result: 'different', extra: 1 });
    expect(doubled.calls).toEqual([]);
    const alone = await compare(keyed, rows, [[0, 'mine'], ...rows.slice(1)], { extrasAllowed, mend: async () => { throw new Error('mended'); } });
    expect(alone.result).toMatchObject({ result: 'different', changed: 1, differences: [{ kind: 'changed', key: 'id=0' }] });
  });

  test('is equal where a rejected row would have taken the place of what stood there', async () => {
    const rejectedKeys = () => new Set([keyText(keyed.source, rows[0])]);
    const { result } = await compare(keyed, [...rows].reverse(), [[0, 'mine'], ...others, ...rows.slice(1)], { extrasAllowed, rejectedKeys });
    expect(result).toMatchObject({ result: 'equal', rejected: 1, changed: 0, missing: 0, sourceRows: 1000, destinationRows: 999, reason: '401 other rows of the destination were there before' });
    expect(result.sourceDigest).toBe(result.destinationDigest);
    const spoilt = await compare(keyed, rows, [...others, [0, 'mine'], [1, 'spoilt'], ...rows.slice(2)], { extrasAllowed, rejectedKeys });
    expect(spoilt.result).toMatchObject({ result: 'different', rejected: 1, changed: 1, differences: [{ key: 'id=1' }] });
  });

  test('without a key holds each row at least as often', async () => {
    const [one, other] = [[1, 'x'], [2, 'y']];
    expect((await compare(keyless, [one, one, other], [other, one, one, one, [3, 'z']], { extrasAllowed })).result).toMatchObject({ result: 'equal', destinationRows: 3 });
    expect((await compare(keyless, [one, one, other], [other, one, [3, 'z']], { extrasAllowed })).result).toMatchObject({ result: 'different', missing: 1, extra: 0 });
  });

  test('without a key is never copied anew: that would take the other rows away', async () => {
    const recopy = async () => { throw new Error('copied anew'); };
    expect((await compare(keyless, [[1, 'x']], [[2, 'y']], { extrasAllowed, recopy })).result.result).toBe('different');
  });
});

describe('mending', () => {
  const rows = rowsTo(2000), parts = fingers;
  const spoilt = () => [...rows.filter(([id]) => Number(id) % 500 !== 7).map((row): Row => (Number(row[0]) % 3 === 0 ? [row[0], 'stale'] : row)), [9_999, 'deleted since'] as Row, rows[11], rows[11]];

  test('upserts what is missing or changed, deletes what is too much, and looks again', async () => {
    const there = mendable(spoilt());
    const { result, events } = await compare(keyed, rows, side(there.rows), { parts, mend: there.mend });
    expect(result).toMatchObject({ result: 'equal', missing: 0, extra: 0, changed: 0, sourceRows: 2000, destinationRows: 2000 });
    expect(there.calls.flatMap((call) => call.deletes)).toEqual(expect.arrayContaining([[11], [9_999]]));
    expect(there.calls.flatMap((call) => call.deletes)).toHaveLength(2);
    expect(Math.max(...there.calls.map((call) => call.upserts.length))).toBeLessThanOrEqual(500);
    expect(mendedIn(events)).toEqual([{ kind: 'mended', namespace: 'shop.orders', upserted: 667 + 4 + 1 - 1, deleted: 2, recopied: false }]);
    expect([...there.rows()].sort((a, b) => Number(a[0]) - Number(b[0]))).toEqual(rows);
  });

  test('a fresh look at the destination is opened for the second comparison, and both are closed', async () => {
    const there = mendable(spoilt());
    let opened = 0, closed = 0;
    const openDestination = async (): Promise<Snapshot> => {
      opened++;
      return { ...side(there.rows), [Symbol.asyncDispose]: async () => { closed++; } };
    };
    await compare(keyed, rows, [], { parts, mend: there.mend, openDestination });
    expect([opened, closed]).toEqual([2, 2]);
  });

  test('only the parts that were mended are read again', async () => {
    const there = mendable(rows.map((row): Row => (row[0] === 300 ? [300, 'stale'] : row))), source = side(() => rows, { parts });
    await compare(keyed, source, side(there.rows), { mend: there.mend });
    expect(source.scans()).toBe(3 + 2 + 1);
  });

  test('of one moment is tried once: what still differs then is different', async () => {
    const there = mendable(spoilt());
    const mend: VerifyRequest['mend'] = async () => ({ rejected: [] });
    let pauses = 0;
    const { result } = await compare(keyed, rows, side(there.rows), { parts, mend, pause: async () => { pauses++; } });
    expect(result.result).toBe('different');
    expect(result.differences.length).toBe(100);
    expect(pauses).toBe(0);
  });

  test('rows that it rejects are counted as rejected', async () => {
    const there = mendable(rows.slice(5), (row) => row[0] === 3);
    const { result } = await compare(keyed, rows, side(there.rows), { mend: there.mend });
    expect(result).toMatchObject({ result: 'equal', rejected: 1, destinationRows: 1999 });
  });

  test('a table without a key is copied anew, while no look at it is open', async () => {
    const there = mendable([[1, 'x']]);
    let open = 0;
    const { result, events } = await compare(keyless, rows, [], {
      openDestination: async () => {
        open++;
        return { ...side(there.rows), [Symbol.asyncDispose]: async () => { open--; } };
      },
      mend: async () => { throw new Error('mended by key'); },
      recopy: async (mapping) => {
        expect([mapping, open]).toEqual([keyless, 0]);
        there.change(rows);
      },
    });
    expect(result.result).toBe('equal');
    expect(mendedIn(events)).toEqual([{ kind: 'mended', namespace: 'shop.log', upserted: 0, deleted: 0, recopied: true }]);
  });

  test('a table that was copied anew in vain is different', async () => {
    let copied = 0;
    const { result } = await compare(keyless, rows, rows.slice(1), { recopy: async () => { copied++; } });
    expect([result.result, copied]).toEqual(['different', 1]);
  });
});

describe('a source that shows no single moment', () => {
  const exact = false, rows = rowsTo(500);

  test('is looked at again until it settles', async () => {
    let now = rows, writes = 0;
    const there = mendable(rows.slice(9));
    const pause = async () => { if (++writes < 4) now = now.map((row): Row => (row[0] === writes ? [writes, `written ${writes}`] : row)); };
    const { result } = await compare(keyed, side(() => now, { exact }), side(there.rows), { mend: there.mend, pause });
    expect(result).toMatchObject({ result: 'equal', sourceRows: 500 });
    expect(there.rows().find((row) => row[0] === 3)).toEqual([3, 'written 3']);
  });

  test('that never settles is not comparable, and pauses grow no further than the looks', async () => {
    let write = 0;
    const there = mendable(rows), pauses: number[] = [];
    const source = side(() => rows.map((row): Row => (row[0] === 7 ? [7, `written ${write++}`] : row)), { exact });
    const { result } = await compare(keyed, source, side(there.rows), { mend: there.mend, pause: async (look) => { pauses.push(look); } });
    expect(result).toMatchObject({ result: 'not-comparable' });
    expect(result.reason).toContain('still changing');
    expect(pauses).toEqual([1, 2, 3, 4, 5]);
  });

  test('differs if a second look finds the very same, and is not looked at a third time', async () => {
    const pauses: number[] = [];
    const { result } = await compare(keyed, side(() => rows, { exact }), rows.map((row): Row => (row[0] === 7 ? [7, 'spoilt'] : row)), { pause: async (look) => { pauses.push(look); } });
    expect(result).toMatchObject({ result: 'different', changed: 1, differences: [{ key: 'id=7' }] });
    expect(pauses).toEqual([1]);
  });

  test('is equal if the second look finds no difference any more', async () => {
    const there = mendable(rows.slice(3));
    const { result } = await compare(keyed, side(() => rows, { exact }), side(there.rows), { pause: async () => there.change(rows) });
    expect(result).toMatchObject({ result: 'equal', missing: 0 });
  });

  test('still differs in the rows that stayed the same while others change', async () => {
    let write = 0;
    const source = side(() => rows.map((row): Row => (row[0] === 300 ? [300, `written ${write++}`] : row)), { exact });
    const { result } = await compare(keyed, source, rows.filter((row) => row[0] !== 7));
    expect(result.result).toBe('different');
    expect(result.reason).toContain('still changing');
    expect(result.differences).toEqual([{ kind: 'missing', key: 'id=7' }]);
  });

  test('a row that can not be mended is different, not a reason to go on for ever', async () => {
    let calls = 0;
    const mend: VerifyRequest['mend'] = async () => { calls++; return { rejected: [] }; };
    const { result } = await compare(keyed, side(() => rows, { exact }), rows.slice(1), { mend });
    expect(result).toMatchObject({ result: 'different', missing: 1, differences: [{ kind: 'missing', key: 'id=0' }] });
    expect(calls).toBe(2);
  });

  test('a source of one moment beside a destination that shows none is settled too', async () => {
    const { result } = await compare(keyed, rows, side(() => rows.slice(1), { exact }), {});
    expect(result.result).toBe('different');
  });

  test('a difference that vanishes while it is looked for is no verdict', async () => {
    const shown = (scan: number) => (scan === 0 ? rows.slice(1) : rows);
    let scan = 0;
    const { result } = await compare(keyed, side(() => rows, { exact }), side(() => shown(scan++), { exact }));
    expect(result.result).toBe('equal');
    let flicker = 0;
    const flickering = side(() => (flicker++ % 2 === 0 ? rows.slice(1) : rows));
    expect((await compare(keyed, rows, flickering)).result.result).toBe('not-comparable');
  });
});

describe('a scan that ends too early', () => {
  const rows = rowsTo(1000), broken = new DsyncError('source-lost', 'the server closed the connection');
  const failingAt = (at: number, error: unknown = broken) => side(() => rows, { onBatch: (_, now) => { if (now >= at) throw error; } });

  test('on the source is a lost source, with the namespace', async () => {
    await expect(compare(keyed, failingAt(500), rows)).rejects.toMatchObject({ code: 'source-lost', namespace: 'shop.orders' });
  });

  test('on the destination is a lost connection: never equal, never different', async () => {
    await expect(compare(keyed, rows, failingAt(500))).rejects.toMatchObject({ code: 'connection-lost', retryable: true, namespace: 'shop.orders' });
    await expect(compare(keyed, rows, failingAt(0, new Error('broken')))).rejects.toMatchObject({ code: 'internal', message: 'broken' });
  });

  test('because it was cancelled is not taken for the end', async () => {
    const stop = new AbortController(), reason = new DsyncError('interrupted', 'stopped');
    const quiet: Snapshot = {
      ...side(() => rows),
      async *scan(_, signal) {
        for (let at = 0; at < 1000 && !signal.aborted; at += 100) {
          yield rows.slice(at, at + 100);
          if (at === 300) stop.abort(reason);
        }
      },
    };
    await expect(compare(keyed, rows, quiet, { signal: stop.signal })).rejects.toBe(reason);
  });

  test('ends the other side, too', async () => {
    let told: AbortSignal | undefined;
    const waiting: Snapshot = {
      ...side(() => rows),
      async *scan(_, signal) {
        told = signal;
        yield rows.slice(0, 100);
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      },
    };
    await expect(compare(keyed, failingAt(0), waiting)).rejects.toMatchObject({ code: 'source-lost' });
    expect(told?.aborted).toBe(true);
  });

  test.each([['a cell too few', [1]], ['a cell too many', [1, 'x', 'y']], ['nothing in a cell', [1, undefined]]])('%s is an error of the scan, not a difference', async (_, row) => {
    await expect(compare(keyed, [[1, null]], [row as Row])).rejects.toMatchObject({ code: 'internal', namespace: 'shop.orders', message: expect.stringMatching(/^the scan of shop.orders gave/) });
  });
});

test('a signal ends the comparison in the middle of a scan', async () => {
  const stop = new AbortController(), reason = new DsyncError('interrupted', 'stopped');
  const source = side(() => rowsTo(1000), { onBatch: (_, at) => { if (at === 500) stop.abort(reason); } });
  await expect(compare(keyed, source, rowsTo(1000), { signal: stop.signal })).rejects.toBe(reason);
});

test('a signal ends a pause', async () => {
  const stop = new AbortController(), reason = new DsyncError('interrupted', 'stopped');
  const events: Event[] = [];
  const running = verify({
    source: side(() => rowsTo(10), { exact: false }), openDestination: async () => side(() => {
      queueMicrotask(() => setImmediate(() => stop.abort(reason)));
      return [];
    }),
    mappings: [keyed], emit: (event) => events.push(event), signal: stop.signal, concurrency: 1,
  });
  await expect(running).rejects.toBe(reason);
});

describe('parts', () => {
  const rows = rowsTo(1000);

  test.each([
    ['a gap', [{ to: '100' }, { from: '101' }]], ['an end that is closed', [{ to: '100' }, { from: '100', to: '900' }]], ['a beginning that is closed', [{ from: '0' }]], ['no parts', []],
  ])('%s is an error: rows in none of them would never be compared', async (_, parts) => {
    await expect(compare(keyed, side(() => rows, { parts }), rows)).rejects.toMatchObject({ code: 'internal', namespace: 'shop.orders' });
  });

  test('are not used where the destination keeps the key as text, in another order, or with nulls', async () => {
    const columns = { id: { kind: 'int', bits: 32, signed: true }, name: { kind: 'text' } } as const;
    const targets = [shapeOf({ ...columns, id: { kind: 'text' } }, 1), { ...shapeOf(columns, 1), key: [1] }, { ...shapeOf(columns, 1), key: [] }, shapeOf(columns, 0)];
    for (const target of targets) {
      const source = side(() => rows, { parts: fingers }), texts = rows.map(([id, name]) => [target.columns[0].type.kind === 'text' ? String(id) : id, name]);
      expect((await compare(mappingOf(keyed.source, target), source, texts)).result.result).toBe('equal');
      expect(source.scans()).toBe(1);
    }
  });

  test('beyond either end of the source are compared too', async () => {
    const { result } = await compare(keyed, rows, [...rows, [-5, 'below'], [99_999, 'above']], { parts: fingers });
    expect(result.differences).toEqual([{ kind: 'extra', key: 'id=-5' }, { kind: 'extra', key: 'id=99999' }]);
  });

  test('that an earlier process has finished are not read again, and count', async () => {
    const known = new Map<string, ComparedPart>();
    const hooks = { finished: (_: string, part: object) => known.get(JSON.stringify(part)), finish: (_: string, part: object, found: ComparedPart) => known.set(JSON.stringify(part), found) };
    const whole = await compare(keyed, rows, rows, { parts: fingers, ...hooks });
    expect(known.size).toBe(3);
    const kept = JSON.parse(JSON.stringify(known.get('{"to":"250"}'))) as ComparedPart;
    known.clear();
    known.set('{"to":"250"}', kept);
    const source = side(() => rows, { parts: fingers });
    const again = await compare(keyed, source, rows, hooks);
    expect(source.scans()).toBe(2);
    expect(again.result).toEqual({ ...whole.result, seconds: expect.any(Number) });
  });

  test('that differ are not remembered as finished', async () => {
    const finished: object[] = [];
    await compare(keyed, rows, rows.slice(1), { parts: fingers, finish: (_, part) => finished.push(part) });
    expect(finished).toEqual(fingers.slice(1));
  });
});

test('filters are passed on, each to its side', async () => {
  const seen: Record<string, string | undefined> = {};
  const spying = (name: string): Snapshot => ({ ...side(() => []), async *scan({ where }) { seen[name] = where; yield []; } });
  await compare(keyed, spying('source'), spying('destination'), { where: (namespace) => `${namespace} here`, destinationWhere: () => 'there' });
  expect(seen).toEqual({ source: 'shop.orders here', destination: 'there' });
});

test('several tables are told in the order they were given, whichever is done first', async () => {
  const mappings = Array.from({ length: 20 }, (_, i) => mappingOf(shapeOf({ id: { kind: 'int', bits: 32, signed: true } }, 1, `shop.t${i}`)));
  let reading = 0, most = 0;
  const snapshot: Snapshot = {
    ...side(() => []),
    async *scan({ shape }) {
      most = Math.max(most, ++reading);
      const number = Number(shape.name.slice(1));
      for (let turns = number === 0 ? 50 : 1; turns > 0; turns--) await new Promise(setImmediate);
      yield Array.from({ length: number }, (_, id) => [id]);
      reading--;
    },
  };
  const events: Event[] = [];
  const results: readonly NamespaceVerification[] = await verify({
    source: snapshot, openDestination: async () => snapshot, mappings, emit: (event) => events.push(event), signal: new AbortController().signal, concurrency: 3,
  });
  expect(results.map((one) => one.namespace)).toEqual(mappings.map((mapping: Mapping) => mapping.source.namespace));
  expect(results.map((one) => one.sourceRows)).toEqual(mappings.map((_, i) => i));
  expect(most).toBe(6);
  expect(events.filter((event) => event.kind === 'verified')).toHaveLength(20);
});

test('progress is told with every part, and never beyond their number', async () => {
  const { events } = await compare(keyed, rowsTo(1000), rowsTo(999), { parts: fingers });
  const told = events.filter((event) => event.kind === 'compared');
  expect(told.map(({ parts, of }) => [parts, of])).toEqual([[1, 3], [2, 3], [3, 3]]);
  expect(told.at(-1)!.rows).toBe(1000);
});
