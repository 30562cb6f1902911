import { describe, expect, it } from 'vitest';
import type { Batch, Change, ChangeLog, Column, LogicalType, LogMessage, Row, Shape, Snapshot, Source, TableObjects } from '../../src/contract.js';
import { typeOf } from '../../src/connectors/postgres/types.js';
import { ruling, type Rules } from '../../src/coordinator/rules.js';
import { ruled, ruledAgain } from '../../src/source/ruled.js';

const column = (name: string, native: string, type: LogicalType, nullable = true): Column => ({ name, native, type, nullable });
const text: LogicalType = { kind: 'text' }, int: LogicalType = { kind: 'int', bits: 32, signed: true };
const users: Shape = { namespace: 'users', name: 'users', engine: 'memory', key: [0], columns: [column('id', 'text', text, false), column('age', 'text', text), column('note', 'text', text), column('secret', 'text', text)] };
const signal = new AbortController().signal;

interface Asked { readonly plans: unknown[]; readonly shapes: Shape[] }

/** A source that gives these rows and messages, and remembers what it was asked. */
function sourceOf({ rows = [], rejected, messages = [], objects }: { readonly rows?: readonly Row[]; readonly rejected?: Batch['rejected']; readonly messages?: readonly LogMessage[]; readonly objects?: TableObjects }, asked: Asked = { plans: [], shapes: [] }): Source {
  const snapshot = {
    moment: { at: '', exact: true, how: '' },
    plan: async (shape: Shape, options: unknown) => { asked.plans.push(options); asked.shapes.push(shape); return [{ id: 'users#0', namespace: 'users' }]; },
    parts: async () => [{ to: '5' }, { from: '5' }],
    async *read() { yield { task: 'users#0', namespace: 'users', sequence: 0, rows: { format: 'values', rows }, count: rows.length, bytes: 1, cursor: 'a key', ...(rejected && { rejected }) } as Batch; },
    async *scan() { yield rows; },
    [Symbol.asyncDispose]: async () => {},
  } as Snapshot;
  const log = { check: async () => [], async *follow(job: { shapes: readonly Shape[] }) { asked.shapes.push(...job.shapes); yield* messages; } } as unknown as ChangeLog;
  return { engine: 'memory', version: '', formats: () => ['delimited', 'values'], snapshot: async () => snapshot, log, shapes: async () => [users], check: async () => [], ...(objects && { objects: async () => ({ tables: [objects], views: [] }) }) } as unknown as Source;
}

function wrapped(given: Parameters<typeof sourceOf>[0], rules: Partial<Rules>, asked?: Asked) {
  const rule = ruling({ acceptLoss: [], maskKey: 'k', ...rules }, { engine: 'postgres', typeOf }), nulled: string[] = [];
  return { shape: rule(users), nulled, source: ruled(sourceOf(given, asked), { rule, key: 'k', nulled: (...told) => nulled.push(told.join(' ')) }) };
}

async function read({ source, shape }: ReturnType<typeof wrapped>): Promise<Batch> {
  await using snapshot = await source.snapshot([shape], signal);
  for await (const batch of snapshot.read({ task: { id: 'users#0', namespace: 'users' }, shape, format: 'values', sequence: 0 }, signal)) return batch;
  throw new Error('there was no batch');
}

async function followed({ source, shape }: ReturnType<typeof wrapped>): Promise<readonly LogMessage[]> {
  const messages: LogMessage[] = [];
  for await (const message of source.log!.follow({ run: 'r', shapes: [shape], from: { position: '0', changes: 0 }, bytes: 1 }, signal)) messages.push(message);
  return messages;
}

const changes = (...all: Change[]): LogMessage => ({ kind: 'changes', changes: all, place: { position: '1', changes: 0 }, bytes: 1, at: 1 });
const announced = (shape: Shape, changed = false): LogMessage => ({ kind: 'shape', shape, changed });

describe('a source with rules', () => {
  it('rejects the row whose value is bad, with column and reason, and counts what became NULL', async () => {
    const rows = [['a', '1', 'x', 's'], ['b', 'two', 'y', 's']];
    expect(await read(wrapped({ rows }, { cast: { 'users.age': 'int' } }))).toMatchObject({ count: 1, rows: { rows: [['a', 1, 'x', 's']] }, rejected: [{ row: ['b', 'two', 'y', 's'], column: 'age', reason: "age: 'two' is not a whole number" }] });
    const nulling = wrapped({ rows }, { cast: { 'users.age': 'int' }, onBadValue: { 'users.age': 'null' } });
    expect((await read(nulling)).rows).toMatchObject({ rows: [['a', 1, 'x', 's'], ['b', null, 'y', 's']] });
    expect(nulling.nulled).toEqual(['users age 1']);
    await expect(read(wrapped({ rows }, { cast: { 'users.age': 'int' }, onBadValue: { '*': 'fail' } }))).rejects.toThrow(/users, row id="b": age: 'two' is not a whole number/);
  });

  it('rejects the row where NULL may not stand', async () => {
    const strict: Shape = { ...users, columns: users.columns.map((one) => ({ ...one, nullable: false })) };
    const rule = ruling({ acceptLoss: [], cast: { 'users.age': 'int' }, onBadValue: { '*': 'null' } }, { engine: 'postgres', typeOf });
    expect(await read({ source: ruled(sourceOf({ rows: [['b', 'two', 'y', 's']] }), { rule, nulled: () => {} }), shape: rule(strict), nulled: [] })).toMatchObject({ count: 0, rejected: [{ column: 'age' }] });
  });

  it('takes what is of another type than its SQLite column for bad, where the destination would', async () => {
    const loose: Shape = { ...users, engine: 'sqlite' }, rule = ruling({ acceptLoss: [], onBadValue: { 'users.note': 'null' } }, { engine: 'postgres', typeOf });
    const shapeOf = (engine: string): Shape => ({ ...rule(loose), columns: rule(loose).columns.map((one) => (one.rule ? { ...one, rule: { ...one.rule, taker: { type: text, native: 'text', nullable: true, engine } } } : one)) });
    const noteIn = async (engine: string) => ((await read({ source: ruled(sourceOf({ rows: [['b', '2', 5, 's']] }), { rule, nulled: () => {} }), shape: shapeOf(engine), nulled: [] })).rows as { rows: readonly Row[] }).rows[0]![2];
    expect([await noteIn('postgres'), await noteIn('sqlite')]).toEqual([null, 5]);
  });

  it('gives the verifier the same rows, bad ones as they are rejected', async () => {
    const { source, shape } = wrapped({ rows: [['a', '1', 'x', 's'], ['b', 'two', 'y', 's']] }, { cast: { 'users.age': 'int' }, mask: { 'users.note': 'redact' }, onBadValue: { '*': 'fail' } });
    await using snapshot = await source.snapshot([shape], signal);
    for await (const page of snapshot.scan({ shape, part: {} }, signal)) expect(page).toEqual([['a', 1, '***', 's'], ['b', 'two', '***', 's']]);
  });

  it('masks rows that were rejected within, too', async () => {
    expect(await read(wrapped({ rows: [], rejected: [{ namespace: 'users', row: ['c', '3', 'Original', 's'], reason: 'why' }] }, { mask: { 'users.note': 'redact' } }))).toMatchObject({ rejected: [{ row: ['c', '3', '***', 's'], reason: 'why' }] });
  });

  it('tells no places and no parts where the key is masked', async () => {
    const asked: Asked = { plans: [], shapes: [] }, one = wrapped({ rows: [['a', '1', 'x', 's']] }, { mask: { 'users.id': 'hash' } }, asked);
    expect(await read(one)).not.toHaveProperty('cursor');
    await using snapshot = await one.source.snapshot([one.shape], signal);
    await snapshot.plan(one.shape, { taskBytes: 5 }, signal);
    expect(asked.plans).toEqual([{ taskBytes: Number.MAX_SAFE_INTEGER }]);
    expect(await snapshot.parts(one.shape, 1, signal)).toEqual([{}]);
    expect(await read(wrapped({ rows: [['a', '1', 'x', 's']] }, { mask: { 'users.note': 'hash' } }))).toHaveProperty('cursor');
  });

  it('keeps the formats where only columns are left out, and gives values else', () => {
    const formats = (rules: Partial<Rules>) => { const { source, shape } = wrapped({}, rules); return source.formats({ source: shape, target: shape, fidelity: [], existed: false, staged: false }); };
    expect([formats({ columns: { users: ['-secret'] } }), formats({ mask: { 'users.note': 'null' } }), formats({ onBadValue: { '*': 'null' } })]).toEqual([['delimited', 'values'], ['values'], ['values']]);
  });

  it('asks for the source\'s own shape, whole in the log and with the wanted columns else', async () => {
    const asked: Asked = { plans: [], shapes: [] }, one = wrapped({}, { columns: { users: ['-secret'] }, cast: { 'users.age': 'int' } }, asked);
    await using snapshot = await one.source.snapshot([one.shape], signal);
    await snapshot.plan(one.shape, { taskBytes: 5 }, signal);
    await followed(one);
    expect(asked.shapes.map(({ columns }) => columns)).toEqual([users.columns.slice(0, 3), users.columns]);
  });

  const rules: Partial<Rules> = { cast: { 'users.age': 'int' }, mask: { 'users.note': 'redact' }, columns: { users: ['-secret'] } };
  const insert = (...row: Row): Change => ({ kind: 'insert', namespace: 'users', row });
  const update = (row: readonly (string | undefined | null)[], before?: readonly (string | undefined)[]): Change => ({ kind: 'update', namespace: 'users', row, ...(before && { before }) });

  it('obeys them in the log: what is not repeated stays so', async () => {
    const [shape, message] = await followed(wrapped({ messages: [announced(users), changes(insert('a', '1', 'x', 's'), update(['a', undefined, undefined, 't']), update(['b', '2', null, 's'], ['a', undefined, undefined, undefined]), { kind: 'delete', namespace: 'users', before: ['b', undefined, undefined, undefined] }, { kind: 'truncate', namespace: 'users' })] }, rules));
    expect(shape).toMatchObject({ kind: 'shape', changed: false, shape: { columns: [{ name: 'id' }, { name: 'age', native: 'integer' }, { name: 'note' }] } });
    expect(message).toMatchObject({ changes: [
      { kind: 'insert', row: ['a', 1, '***'] }, { kind: 'update', row: ['a', undefined, undefined] }, { kind: 'update', row: ['b', 2, null], before: ['a', undefined, undefined] },
      { kind: 'delete', before: ['b', undefined, undefined] }, { kind: 'truncate' },
    ] });
    expect(message).not.toHaveProperty('rejected');
  });

  it('takes a row that turns bad from the destination, and gives back one that is mended', async () => {
    const [, message] = await followed(wrapped({ messages: [announced(users), changes(insert('a', 'x', 'n', 's'), update(['b', 'x', undefined, 's']), update(['d', 'x', 'n', 's'], ['c', undefined, undefined, undefined]), update(['a', '1', 'n', 's']))] }, rules));
    expect(message).toMatchObject({
      changes: [{ kind: 'delete', before: ['b', undefined, undefined] }, { kind: 'delete', before: ['c', undefined, undefined] }, { kind: 'update', row: ['a', 1, '***'] }],
      rejected: [{ row: ['a', 'x', '***'] }, { row: ['b', 'x', null], partial: true }, { row: ['d', 'x', '***'] }],
    });
  });

  it('goes from a bad key to a good one by an insert, and forgets the delete of a bad one', async () => {
    const shape: Shape = { ...users, columns: [column('id', 'numeric', { kind: 'decimal' }, false), ...users.columns.slice(1)] };
    const rule = ruling({ acceptLoss: [], cast: { 'users.id': 'int' } }, { engine: 'postgres', typeOf });
    const messages = [announced(shape), changes(update(['1', 'a', 'b', 'c'], ['1.5', undefined, undefined, undefined]), { kind: 'delete', namespace: 'users', before: ['2.5', undefined, undefined, undefined] })];
    const source = ruled(sourceOf({ messages }), { rule, nulled: () => {} });
    const [, message] = await followed({ source, shape: rule(shape), nulled: [] });
    expect(message).toMatchObject({ changes: [{ kind: 'insert', row: [1, 'a', 'b', 'c'] }] });
  });

  it('does not tell of a column that is left out and altered, and of all others it does', async () => {
    const altered = (name: string, native: string): Shape => ({ ...users, columns: users.columns.map((one) => (one.name === name ? { ...one, native } : one)) });
    const dropped: Shape = { ...users, columns: users.columns.slice(0, 3) }, wider: Shape = { ...users, columns: [...users.columns, column('more', 'int', int)] };
    const messages = await followed(wrapped({ messages: [announced(altered('secret', 'int'), true), announced(dropped, true), announced(wider, true), announced(altered('note', 'varchar'), true)] }, rules));
    expect(messages.map((message) => message.kind === 'shape' && message.changed)).toEqual([false, false, true, true]);
  });

  it('leaves out what its columns can\'t have, and names it', async () => {
    const objects: TableObjects = {
      namespace: 'users', engine: 'memory', native: {}, partitions: [], others: [],
      columns: [{ name: 'age', default: "'x'", comment: 'years' }, { name: 'secret', default: "''" }, { name: 'note', generated: { expression: 'upper(secret)', stored: true, native: '', nullable: true, position: 2 } }],
      indexes: [{ name: 'by_age', unique: false, parts: [{ column: 'age' }], method: 'btree', native: 'CREATE by_age' }, { name: 'by_secret', unique: false, parts: [{ column: 'secret' }], method: 'btree', native: 'CREATE by_secret' }, { name: 'lower', unique: false, parts: [{ expression: 'lower("secret")' }], method: 'btree', native: 'CREATE lower' }],
      foreignKeys: [{ name: 'fk', columns: ['secret'], references: { namespace: 'x', columns: ['id'] }, onUpdate: 'no action', onDelete: 'no action', native: 'FK' }],
      checks: [{ name: 'c', expression: "secret <> ''", native: 'CHECK' }, { name: 'd', expression: "note <> 'secrets'", native: 'CHECK' }],
    };
    const { source, shape } = wrapped({ objects }, { columns: { users: ['-secret'] }, cast: { 'users.age': 'int' } });
    const [table] = (await source.objects!([shape], signal)).tables;
    expect(table).toMatchObject({ columns: [{ name: 'age', comment: 'years' }, { name: 'note' }], indexes: [{ name: 'by_age' }], foreignKeys: [], checks: [{ name: 'd' }] });
    expect(JSON.stringify(table!.columns)).not.toMatch(/default|generated/);
    expect(table!.others.map(({ kind, name }) => `${kind} ${name}`).sort()).toEqual(['check c', 'default age', 'foreign key fk', 'generated column note', 'index by_secret', 'index lower']);
  });
});

describe('rows that have been through the rules', () => {
  const rule = ruling({ acceptLoss: [], cast: { 'users.age': 'int', 'users.note': 'date' } }, { engine: 'postgres', typeOf }), again = ruledAgain(rule(users));

  it('stay as they are where they are good, and have a reason where they are not', () => {
    expect(again(['a', 5, '2024-02-29', 's'])).toEqual({ row: ['a', 5, '2024-02-29', 's'] });
    expect(again(['a', '5', null, 's'])).toEqual({ row: ['a', 5, null, 's'] });
    expect(again(['a', 'five', 'x', 's'])).toEqual({ row: ['a', 'five', 'x', 's'], column: 'age', reason: "age: 'five' is not a whole number" });
  });

  it('keep readings that have no text of their own', () => {
    const times: Shape = { ...users, columns: [column('id', 'text', text, false), column('at', 'timestamp', { kind: 'timestamp', fraction: 6 })] };
    const ofTimes = ruledAgain(ruling({ acceptLoss: [], cast: { 'users.at': 'timestamptz(3)' } }, { engine: 'postgres', typeOf })(times));
    expect(ofTimes(['a', 'infinity'])).toEqual({ row: ['a', 'infinity'] });
    expect(ofTimes(['a', '2024-01-01 00:00:00.123456'])).toMatchObject({ column: 'at' });
  });
});
