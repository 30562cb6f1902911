import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Change, Connector, Destination, LaneWork, LogicalType, LogRow, Mapping, Row, Shape, Value } from '../../src/contract.js';
import { randomBelow } from '../random.js';
import { textRows } from '../servers/sql.js';
import { expectSame, heap, hostileTexts, items, ordinaryRow, pairs, plainRow, plainValues, shapeOf, type Plain, type Sample } from './samples.js';
import { collect } from './source-promises.js';
import type { Place, Subject } from './subject.js';

const signal = new AbortController().signal;
const run = 'run-1';

/** Values that a comparison may take for others of their kind. */
const kinds: Readonly<Record<string, { readonly type: LogicalType; readonly values: readonly Value[] }>> = {
  double: { type: { kind: 'float', bits: 64 }, values: [0.1, 0.1 + Number.EPSILON / 8, 1e-7, 1e21, 1.7976931348623157e308, 5e-324, -2.5, 0] },
  single: { type: { kind: 'float', bits: 32 }, values: [Math.fround(0.1), Math.fround(0.1000001), Math.fround(3.4028235e38), Math.fround(1.4e-45), 16777216] },
  money: { type: { kind: 'decimal', precision: 40, scale: 10 }, values: ['0.1000000000', '123456789012345678901234567890.0000000001', '123456789012345678901234567890.0000000002', '-1.0000000000'] },
  loose: { type: { kind: 'decimal' }, values: ['1.0', '1.5', '12345678901234567890123', '12345678901234567890124'] },
  whole: { type: { kind: 'int', bits: 64, signed: false }, values: [18446744073709551615n, 18446744073709551614n, 0n] },
  truth: { type: { kind: 'bool' }, values: [true, false] },
  day: { type: { kind: 'date' }, values: ['2024-02-29', '2024-03-01'] },
  clock: { type: { kind: 'time', fraction: 6 }, values: ['23:59:59.999999', '23:59:59.999998', '00:00:00'] },
  at: { type: { kind: 'timestamp', fraction: 6 }, values: ['2024-02-29 12:00:00.000001', '2024-02-29 12:00:00'] },
  moment: { type: { kind: 'instant', fraction: 6 }, values: ['2024-02-29 12:00:00.5', '2024-02-29 12:00:00.500001'] },
  id: { type: { kind: 'uuid' }, values: ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] },
  json: { type: { kind: 'json-text' }, values: ['{"a": 1.0}', '{"a":1.0}', '{"a": 1}', '"x"', 'null'] },
  bits: { type: { kind: 'bits', length: 10 }, values: ['0000000001', '1000000001'] },
  word: { type: { kind: 'text', maxLength: 20 }, values: ['e\u0301', 'é', 'E', 'e', 'e ', '1', '1.0', ''] },
  fixed: { type: { kind: 'text', maxLength: 5, padded: true }, values: ['ab', 'Ab'] },
  raw: { type: { kind: 'bytes', maxLength: 20 }, values: [Buffer.from([0]), Buffer.from([0, 0]), Buffer.from([]), Buffer.from('a'), Buffer.from('A')] },
};

/** Every promise that contract.ts makes for applying changes. */
export function applyingPromises(subject: Subject): void {
  const { documents, takesNull, keepsNothing } = subject.exceptions ?? {};
  let place: Place, connector: Connector, destination: Destination;

  const open = (): Promise<Destination> => connector.openDestination!(place.url, { signal, connections: 4, batchBytes: 20_000 });
  /** A table that a copy has filled with these rows, ready for changes. */
  const copied = async (sample: Sample, rows: readonly Row[] = sample.rows): Promise<Mapping> => {
    const mapping = await destination.adapt(shapeOf(sample), { name: sample.name }, signal), task = { id: `${mapping.source.namespace}#0`, namespace: mapping.source.namespace };
    await destination.begin(run, signal);
    await destination.prepare(run, mapping, { empty: mapping.staged, keyed: true, tasks: [task] }, signal);
    if (mapping.target.key.length === 0) {
      await destination.taskDone(run, { kind: 'task-done', task: task.id, namespace: task.namespace, sequence: 0, rows: 0 }, signal);
      await destination.finish(run, mapping, { keepRows: false }, signal);
    }
    if (rows.length > 0) await apply([[mapping, rows.map((row) => inserted(mapping, row))]], `copied ${sample.name}`, 99);
    return mapping;
  };
  const apply = async (tables: readonly (readonly [Mapping, readonly Change[]])[], position: string, lane = 0, to = destination, changes = 0) =>
    (await to.apply!(run, work(tables, position, lane, changes), signal)).rejected;
  const found = async ({ target, source }: Mapping): Promise<Plain[]> => {
    const reader = await connector.openSource!(place.url, { signal, connections: 2, batchBytes: 20_000 });
    try {
      const snapshot = await reader.snapshot([target], signal);
      const rows = (await collect(snapshot.scan({ shape: target, part: {} }, signal))).flat();
      await snapshot[Symbol.asyncDispose]();
      return plainValues({ ...target, columns: documents ? target.columns : target.columns.map((column, i) => ({ ...column, name: source.columns[i].name })) }, rows);
    } finally {
      await reader[Symbol.asyncDispose]();
    }
  };
  const expectRows = async (mapping: Mapping, rows: readonly Row[], what = ''): Promise<void> => {
    if (keepsNothing) return;
    expectSame(await found(mapping), rows.map((row) => plainRow(mapping.source.columns.map(({ name }) => name), row)), what);
  };
  const lanes = async (of = destination) => [...await of.lanes!(run, signal)].sort(([a], [b]) => a - b);

  describe('as a destination of changes', () => {
    beforeEach(async () => {
      connector = await subject.connector();
      place = await subject.fresh();
      destination = await open();
    });
    afterEach(async () => {
      await destination?.[Symbol.asyncDispose]();
      await place?.[Symbol.asyncDispose]();
    });

    test('has no places before the first changes, and the lane\'s own after them', async () => {
      expect(await lanes()).toEqual([]);
      const mapping = await copied(items, []);
      expect(await lanes()).toEqual([]);
      await apply([[mapping, [inserted(mapping, items.rows[0])]]], '0/16B3748', 2, destination, 7);
      await apply([], 'later', 0);
      expect(await lanes()).toEqual([[0, { position: 'later', changes: 0 }], [2, { position: '0/16B3748', changes: 7 }]]);
      await using other = await open();
      if (!keepsNothing) expect(await lanes(other)).toEqual(await lanes());
      expect(await destination.progress(run, signal)).toEqual([]);
    });

    test('inserts, updates and deletes by key', async () => {
      for (const sample of [items, pairs]) {
        const mapping = await copied(sample, sample.rows.slice(0, 60));
        const updated = sample.rows.slice(20, 40).map((row) => noted(sample, row, 'updated'));
        const changes = [
          ...sample.rows.slice(0, 20).map((row) => removed(mapping, row)), ...updated.map((row) => ({ kind: 'update', namespace: mapping.source.namespace, row }) as const),
          ...sample.rows.slice(100, 110).map((row) => inserted(mapping, row)),
        ];
        expect(await apply([[mapping, changes]], sample.name)).toEqual([]);
        await expectRows(mapping, [...updated, ...sample.rows.slice(40, 60), ...sample.rows.slice(100, 110)], sample.name);
      }
    });

    test('leaves what the changes would leave one by one, whatever they are', async () => {
      const mapping = await copied(items, items.rows.slice(0, 20)), random = randomBelow(7), rows = new Map(items.rows.slice(0, 20).map((row) => [row[0], row]));
      for (let call = 0; call < 15; call++) {
        const changes = Array.from({ length: 1 + random(60) }, () => randomChange(mapping, rows, random));
        expect(await apply([[mapping, changes]], `call ${call}`)).toEqual([]);
        await expectRows(mapping, [...rows.values()], `call ${call}`);
      }
    });

    test('keeps cells that the log does not repeat, and sets those to null that are null', async () => {
      for (const sample of [items, pairs]) {
        const mapping = await copied(sample, sample.rows.slice(0, 40)), at = sample.columns.findIndex(({ name }) => name === 'note');
        const some = (row: Row, text: Value): Change => ({ kind: 'update', namespace: mapping.source.namespace, row: row.map((cell, i) => (i === at ? text : sample.key.includes(i) ? cell : undefined)) });
        expect(await apply([[mapping, [...sample.rows.slice(0, 30).map((row, i) => some(row, hostileTexts[i])), ...(sample === items ? [some(sample.rows[200], 'never there')] : [])]]], sample.name)).toEqual([]);
        await expectRows(mapping, [...sample.rows.slice(0, 30).map((row, i) => noted(sample, row, hostileTexts[i])), ...sample.rows.slice(30, 40)], sample.name);
      }
    });

    test('moves rows to other keys, with cells that only it has', async () => {
      const mapping = await copied(items, items.rows.slice(0, 4)), { namespace } = mapping.source;
      const [first, second, third, fourth] = items.rows;
      const move = (from: Row, row: LogRow): Change => ({ kind: 'update', namespace, before: [from[0], undefined, undefined, undefined], row });
      const changes = [move(first, [101n, 'whole', 1, null]), move(second, [102n, 'some', undefined, undefined]), removed(mapping, third), move(third, [103n, 'gone', undefined, undefined]), move(second, [104n, 'gone', undefined, undefined])];
      expect(await apply([[mapping, changes]], 'moved')).toEqual([]);
      await expectRows(mapping, [[101n, 'whole', 1, null], [102n, 'some', second[2], second[3]], fourth]);
    });

    test('empties a table between other changes', async () => {
      const mapping = await copied(items, items.rows.slice(0, 30)), truncate: Change = { kind: 'truncate', namespace: mapping.source.namespace };
      await apply([[mapping, [inserted(mapping, items.rows[50]), truncate, inserted(mapping, items.rows[51])]]], 'a');
      await expectRows(mapping, [items.rows[51]]);
      await apply([[mapping, [truncate]]], 'b');
      await expectRows(mapping, []);
    });

    test('does nothing twice that is sent again', async () => {
      const mapping = await copied(items, []), rows = items.rows.slice(0, 3);
      await apply([[mapping, rows.map((row) => inserted(mapping, row))]], 'a');
      await apply([[mapping, [removed(mapping, rows[0])]]], 'b');
      // The same place tells that it was applied: whatever it holds, it is left out.
      await apply([[mapping, [removed(mapping, rows[1])]]], 'b');
      await expectRows(mapping, rows.slice(1));
      await apply([[mapping, [removed(mapping, rows[1])]]], 'b', 0, destination, 1);
      await expectRows(mapping, rows.slice(2));
    });

    test('takes changes of several lanes at once, over and over', async () => {
      const mapping = await copied(items, []), rows = items.rows.slice(0, 800);
      await Promise.all([0, 1, 2, 3].map(async (lane) => {
        const own = rows.filter((_, i) => i % 4 === lane);
        for (let round = 0; round < 3; round++) {
          await again(() => apply([[mapping, own.map((row) => inserted(mapping, row))]], `in ${round}`, lane));
          await again(() => apply([[mapping, own.slice(round * 20).map((row) => removed(mapping, row))]], `out ${round}`, lane));
        }
      }));
      expect(await lanes()).toEqual([0, 1, 2, 3].map((lane) => [lane, { position: 'out 2', changes: 0 }]));
      await expectRows(mapping, rows.filter((_, i) => Math.floor(i / 4) < 40));
    });

    test.skipIf(takesNull)('rejects the rows that it can\'t hold, applies the others, and tells so again', async () => {
      const sample: Sample = { name: 'strict', columns: [{ name: 'id', kind: 'int64' }, { name: 'must', kind: 'text' }, { name: 'note', kind: 'text', nullable: true }], key: [0], rows: [1n, 2n, 3n].map((id) => [id, 'was', 'large']) };
      const mapping = await copied(sample), { namespace } = mapping.source;
      const changes: Change[] = [
        { kind: 'insert', namespace, row: [10n, null, 'a'] }, { kind: 'insert', namespace, row: [11n, 'new', 'b'] }, { kind: 'update', namespace, row: [1n, null, undefined] },
        { kind: 'update', namespace, row: [2n, 'some', undefined] }, { kind: 'delete', namespace, before: [3n, undefined, undefined] },
      ];
      for (const position of ['a', 'a']) {
        const rejected = await apply([[mapping, changes]], position);
        expect(rejected.map((each) => [each.namespace, each.row])).toEqual([[namespace, [10n, null, 'a']], [namespace, [1n, null, null]]]);
        for (const { reason } of rejected) expect(reason).toMatch(/null/i);
      }
      expect((await lanes()).filter(([lane]) => lane === 0)).toEqual([[0, { position: 'a', changes: 0, rejected: [
        { namespace, row: [10n, null, 'a'], reason: expect.stringMatching(/null/i) }, { namespace, row: [1n, null, null], partial: true, reason: expect.stringMatching(/null/i) },
      ] }]]);
      await expectRows(mapping, [[1n, 'was', 'large'], [2n, 'some', 'large'], [11n, 'new', 'b']]);
    });

    test.skipIf(keepsNothing)('belongs to the process that began last: an earlier one can\'t apply any more', async () => {
      const mapping = await copied(items, items.rows.slice(0, 2));
      await using later = await open();
      await later.begin(run, signal);
      for (const position of ['copied', 'late']) await expect(apply([[mapping, [removed(mapping, items.rows[0])]]], position)).rejects.toMatchObject({ name: 'DsyncError', code: 'busy' });
      await apply([[mapping, [removed(mapping, items.rows[1])]]], 'now', 0, later);
      await expectRows(mapping, items.rows.slice(0, 1));
    });

    test('applies nothing when it was told to stop, and the same changes later', async () => {
      const mapping = await copied(items, []), all = work([[mapping, items.rows.map((row) => inserted(mapping, row))]], 'a', 0, 0);
      await expect(destination.apply!(run, all, AbortSignal.abort())).rejects.toThrow();
      expect(await lanes()).toEqual([]);
      const stop = new AbortController(), applying = destination.apply!(run, all, stop.signal).catch(() => undefined);
      setImmediate(() => stop.abort());
      await applying;
      await destination.apply!(run, all, signal);
      await expectRows(mapping, items.rows);
    });

    test.skipIf(documents || keepsNothing || subject.name === 'memory')('applies all tables of a call, or none', async () => {
      const mapping = await copied(items, items.rows.slice(0, 5)), second = await copied(pairs, []), missing: Mapping = { ...second, target: { ...second.target, name: 'missing', namespace: 'missing' } };
      const changes: Change[] = [removed(mapping, items.rows[0]), { kind: 'truncate', namespace: mapping.source.namespace }];
      await expect(apply([[mapping, changes], [missing, pairs.rows.slice(0, 5).map((row) => inserted(missing, row))]], 'both')).rejects.toMatchObject({ name: 'DsyncError' });
      expect((await lanes()).filter(([lane]) => lane === 0)).toEqual([]);
      await expectRows(mapping, items.rows.slice(0, 5));
      await apply([[mapping, changes], [second, pairs.rows.slice(0, 5).map((row) => inserted(second, row))]], 'both');
      await expectRows(mapping, []);
      await expectRows(second, pairs.rows.slice(0, 5));
    });

    test.skipIf(documents)('changes exactly one of equal rows in a table without a key', async () => {
      const sample: Sample = { ...heap, name: 'equal', columns: [...heap.columns, { name: 'raw', kind: 'bytes', nullable: true }, { name: 'big', kind: 'int64', nullable: true }] };
      const kinds: Row[] = [[1, 'a', null, null], [null, null, null, null], [2, 'trailing ', Buffer.from([0, 255, 92]), 9007199254740993n], [2, 'trailing', Buffer.from([0, 255, 92]), 9007199254740993n], [2, 'Trailing', Buffer.from([]), 9007199254740992n]];
      const rows = kinds.flatMap((row) => [row, row, row]), mapping = await copied(sample, rows), { namespace } = mapping.source;
      expect(mapping.staged || keepsNothing !== undefined).toBe(true);
      const changes: Change[] = [
        ...kinds.map((row) => ({ kind: 'delete', namespace, before: row }) as const), ...kinds.map((row) => ({ kind: 'update', namespace, before: row, row: [7, undefined, row[2], undefined] }) as const),
        { kind: 'delete', namespace, before: [2, 'TRAILING', Buffer.from([]), 9007199254740992n] }, { kind: 'insert', namespace, row: kinds[0] },
      ];
      for (const position of ['a', 'a']) expect(await apply([[mapping, changes]], position)).toEqual([]);
      await expectRows(mapping, [...kinds, ...kinds.map((row) => [7, ...row.slice(1)]), kinds[0]]);
      await apply([[mapping, [{ kind: 'insert', namespace, row: kinds[1] }, { kind: 'truncate', namespace }, { kind: 'insert', namespace, row: kinds[2] }, { kind: 'insert', namespace, row: kinds[2] }]]], 'b');
      await expectRows(mapping, [kinds[2], kinds[2]]);
    });

    test.skipIf(documents)('finds every text again in a table without a key', async () => {
      const mapping = await copied(heap, []), { namespace } = mapping.source, rows = hostileTexts.map((text, i): Row => [i, text]);
      await apply([[mapping, rows.flatMap((row) => [inserted(mapping, row), inserted(mapping, row)])]], 'in');
      await apply([[mapping, rows.map((row) => ({ kind: 'delete', namespace, before: row }))]], 'out');
      await expectRows(mapping, rows);
    });

    test.skipIf(documents)('finds every kind of value again in a table without a key, and no other', async () => {
      const shape: Shape = { namespace: 'here.kinds', schema: 'here', name: 'kinds', engine: 'elsewhere', key: [], columns: Object.entries(kinds).map(([name, { type }]) => ({ name, type, native: name, nullable: true })) };
      const mapping = await destination.adapt(shape, { name: 'kinds' }, signal), { namespace } = mapping.source, tasks = [{ id: 'here.kinds#0', namespace }];
      await destination.begin(run, signal);
      await destination.prepare(run, mapping, { empty: true, keyed: false, tasks }, signal);
      await destination.finish(run, mapping, { keepRows: false }, signal);
      const rows = Object.values(kinds).flatMap(({ values }, at) => values.map((value): Row => shape.columns.map((_, i) => (i === at ? value : null))));
      expect(await apply([[mapping, rows.map((row) => inserted(mapping, row))]], 'in')).toEqual([]);
      // One by one, the last first: had a delete taken another row, its own would be left.
      const order = [...rows.keys()].reverse();
      for (const i of order) {
        expect(await apply([[mapping, [{ kind: 'update', namespace, before: rows[i], row: rows[i] }, { kind: 'delete', namespace, before: rows[i] }]]], `out ${i}`)).toEqual([]);
        if (keepsNothing) continue;
        expect(await found(mapping), `after ${JSON.stringify(rows[i], (_, cell: unknown) => (typeof cell === 'bigint' ? String(cell) : cell))}`).toHaveLength(i);
      }
    });

    test.skipIf(!documents)('refuses a table without a key: its changes could come twice', async () => {
      const mapping = await copied(heap, []), keyed = await copied(items, []);
      await expect(apply([[keyed, [inserted(keyed, items.rows[0])]], [mapping, [inserted(mapping, heap.rows[1])]]], 'a')).rejects.toMatchObject({ name: 'DsyncError', code: 'refused' });
      expect(await lanes()).toEqual([]);
      await expectRows(keyed, []);
    });

    test.skipIf(documents || keepsNothing || subject.name === 'memory')('passes values of another unique index from row to row, and rejects only what the source had not either', async () => {
      const mapping = await copied(items, [[1n, 'a', 1, null], [2n, 'b', 2, null], [3n, 'c', 3, null]]), { namespace } = mapping.source;
      await execute(place.url, 'CREATE UNIQUE INDEX one_size ON items (size)');
      const size = (id: bigint, value: number | null): Change => ({ kind: 'update', namespace, row: [id, 'moved', value, null] });
      expect(await apply([[mapping, [size(1n, null), size(2n, 1), size(1n, 2), { kind: 'delete', namespace, before: [3n, undefined, undefined, undefined] }, size(4n, 3)]]], 'a')).toEqual([]);
      await expectRows(mapping, [[1n, 'moved', 2, null], [2n, 'moved', 1, null], [4n, 'moved', 3, null]]);
      const rejected = await apply([[mapping, [size(5n, 5), size(6n, 3), size(7n, 7)]]], 'b');
      expect(rejected.map(({ row }) => row)).toEqual([[6n, 'moved', 3, null]]);
      await expectRows(mapping, [[1n, 'moved', 2, null], [2n, 'moved', 1, null], [4n, 'moved', 3, null], [5n, 'moved', 5, null], [7n, 'moved', 7, null]]);
    });

    test.skipIf(documents || keepsNothing || subject.name === 'memory')('takes no heed of foreign keys', async () => {
      const mapping = await copied(items, items.rows.slice(0, 3));
      await execute(place.url, 'CREATE TABLE parents (size int NOT NULL PRIMARY KEY)');
      if (!place.url.startsWith('sqlite')) await execute(place.url, 'DELETE FROM items; ALTER TABLE items ADD FOREIGN KEY (size) REFERENCES parents (size)');
      await apply([[mapping, items.rows.slice(0, 10).map((row) => inserted(mapping, row))]], 'a');
      await expectRows(mapping, items.rows.slice(0, 10));
      await apply([[mapping, [{ kind: 'truncate', namespace: mapping.source.namespace }]]], 'b');
      await expectRows(mapping, []);
    });

    test.skipIf(!/^(mariadb|mysql9)$/.test(subject.name))('rejects an update without a key that would round a value', async () => {
      await execute(place.url, 'CREATE TABLE tenths (v decimal(5,1) NULL)');
      const shape: Shape = { namespace: 'here.tenths', schema: 'here', name: 'tenths', engine: 'elsewhere', key: [], columns: [{ name: 'v', type: { kind: 'decimal' }, native: 'numeric', nullable: true }] };
      const mapping = await destination.adapt(shape, { name: 'tenths' }, signal), { namespace } = mapping.source;
      await destination.begin(run, signal);
      await apply([[mapping, [inserted(mapping, ['1.5'])]]], 'in');
      const rejected = await apply([[mapping, [{ kind: 'update', namespace, before: ['1.5'], row: ['1.55'] }]]], 'a');
      expect(rejected.map(({ row }) => row)).toEqual([['1.55']]);
      await expectRows(mapping, [['1.5']]);
    });

    test.skipIf(!subject.name.startsWith('postgres'))('fires no triggers', async () => {
      const mapping = await copied(items, items.rows.slice(0, 5));
      await execute(place.url, "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''fired''; END'");
      await execute(place.url, 'CREATE TRIGGER fails BEFORE INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION fail()');
      expect(await apply([[mapping, [removed(mapping, items.rows[0]), inserted(mapping, items.rows[9]), { kind: 'update', namespace: mapping.source.namespace, row: [items.rows[1][0], 'some', undefined, undefined] }]]], 'a')).toEqual([]);
      await expectRows(mapping, [noted(items, items.rows[1], 'some'), ...items.rows.slice(2, 5), items.rows[9]]);
    });

    test('forgets the lanes with their run, without a trace', async () => {
      const before = await place.names(), mapping = await copied(items, items.rows.slice(0, 3));
      await destination.begin('run-2', signal);
      await destination.apply!('run-2', work([], 'here', 5, 0), signal);
      await destination.forget(run, [mapping], signal);
      expect(await lanes()).toEqual([]);
      await destination.begin(run, signal);
      expect(await lanes()).toEqual([]);
      await destination.forget(run, [mapping], signal);
      expect([...await destination.lanes!('run-2', signal)]).toEqual([[5, { position: 'here', changes: 0 }]]);
      await destination.forget('run-2', [], signal);
      expect([...await destination.lanes!('run-2', signal)]).toEqual([]);
      expect((await place.names()).filter((name) => !before.includes(name) && name.includes('dsync'))).toEqual([]);
    });
  });
}

function work(tables: readonly (readonly [Mapping, readonly Change[]])[], position: string, lane: number, changes: number): LaneWork {
  return { lane, place: { position, changes }, tables: tables.map(([mapping, changes]) => ({ mapping, changes })) };
}

function inserted({ source: { namespace } }: Mapping, row: Row): Change {
  return { kind: 'insert', namespace, row };
}

function removed({ source: { namespace }, target: { key } }: Mapping, row: Row): Change {
  return { kind: 'delete', namespace, before: row.map((cell, i) => (key.includes(i) ? cell : undefined)) };
}

function noted({ columns }: Sample, row: Row, note: Value): Row {
  return row.map((cell, i) => (columns[i].name === 'note' ? note : cell));
}

/** As the caller does: lanes may be in each other's way. */
async function again(action: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return void await action();
    } catch (error) {
      if (attempt === 10 || (error as { code?: string }).code !== 'conflict') throw error;
    }
  }
}

/** A change of `items`, which `rows` has made already when this returns. */
function randomChange({ source: { namespace } }: Mapping, rows: Map<Value, Row>, random: (below: number) => number): Change {
  const key = BigInt(1 + random(30)), old = rows.get(key), row: Row = [key, ...ordinaryRow(1 + random(2000)).slice(1)];
  const become = (next: Row) => void rows.set(next[0], next);
  switch (old ? random(5) : 0) {
    case 0: become(row); return { kind: 'insert', namespace, row };
    case 1: rows.delete(key); return { kind: 'delete', namespace, before: [key, undefined, undefined, undefined] };
    case 2: become(row); return { kind: 'update', namespace, row };
    case 3: {
      const some = row.map((cell, i) => (i === 0 || random(2) === 0 ? cell : undefined));
      become(old!.map((cell, i) => (some[i] === undefined ? cell : some[i])));
      return { kind: 'update', namespace, row: some };
    }
    default: {
      const to = BigInt(1 + random(30)), some = row.map((cell, i) => (i === 0 ? to : random(2) === 0 ? cell : undefined));
      if (rows.has(to)) return { kind: 'update', namespace, row: old! };
      rows.delete(key);
      become(some.map((cell, i) => (cell === undefined ? old![i] : cell)));
      return { kind: 'update', namespace, before: [key, undefined, undefined, undefined], row: some };
    }
  }
}

/** By the plain driver. */
async function execute(url: string, sql: string): Promise<void> {
  for (const statement of url.startsWith('postgres') ? [sql] : sql.split('; ')) {
    if (url.startsWith('sqlite:')) {
      const database = new Database(url.slice('sqlite:'.length));
      database.exec(statement);
      database.close();
    } else await textRows(url, statement);
  }
}
