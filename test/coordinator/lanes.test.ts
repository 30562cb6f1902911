import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Change, Destination, LaneWork, LogChanges, LogPlace, Mapping, Shape } from '../../src/contract.js';
import { Lanes, type LanePorts } from '../../src/coordinator/lanes.js';
import { DsyncError } from '../../src/errors.js';

const columns: Shape['columns'] = [{ name: 'id', type: { kind: 'int', bits: 32, signed: true }, native: 'int', nullable: false }, { name: 'v', type: { kind: 'text' }, native: 'text', nullable: true }];
const mappingOf = (name: string, key: readonly number[] = [0], existed = false): Mapping => {
  const shape: Shape = { namespace: name, name, engine: 'memory', columns, key };
  return { source: shape, target: shape, fidelity: [], existed, staged: key.length === 0 };
};
const keyed = mappingOf('keyed'), keyless = mappingOf('keyless', []), standing = mappingOf('standing', [0], true);

const update = (id: number, v: string, namespace = 'keyed'): Change => ({ kind: 'update', namespace, row: [id, v] });
const at = (position: number, changes = 0): LogPlace => ({ position: String(position), changes });
const message = (place: LogPlace, ...changes: Change[]): LogChanges => ({ kind: 'changes', changes, place, bytes: 10 * changes.length, at: 0 });

/** Lanes over a destination that keeps what it is told, each call no sooner than `let` lets it. */
function scene({ places = new Map<number, LogPlace>(), gate = async (_work: LaneWork): Promise<void> => undefined, suspect, independent, mappings = [keyed, keyless, standing] }: { independent?: ReadonlySet<string>; mappings?: readonly Mapping[]; places?: ReadonlyMap<number, LogPlace>; gate?: (work: LaneWork) => Promise<void>; suspect?: LanePorts['suspect'] } = {}) {
  const works: LaneWork[] = [], failures: unknown[] = [], abort = new AbortController();
  let under = 0, most = 0;
  const destination = { apply: async (_run: string, work: LaneWork) => {
    most = Math.max(most, ++under);
    try {
      await setImmediate();
      await gate(work);
      works.push(work);
      return { rejected: [] };
    } finally {
      under--;
    }
  } } as unknown as Destination;
  const ports: LanePorts = {
    run: 'r', mappings, destination, independent, reached: (position, goal) => Number(position) >= Number(goal), bytes: 1000, signal: abort.signal,
    ...(suspect && { suspect }), applied: () => undefined, rejected: () => undefined, failed: (error) => { failures.push(error); abort.abort(error); },
  };
  const changesOf = (namespace: string) => works.flatMap(({ tables }) => tables.filter(({ mapping }) => mapping.source.namespace === namespace).flatMap(({ changes }) => changes));
  return { lanes: new Lanes(ports, places, at(0)), works, failures, changesOf, most: () => most };
}

describe('lanes', () => {
  it('apply the changes of one key in their order, and those of others at the same time', async () => {
    const { lanes, changesOf, most } = scene();
    for (let i = 1; i <= 20; i++) await lanes.take(message(at(i), ...Array.from({ length: 30 }, (_, id) => update(id, `${i}`))));
    await lanes.drain();
    const last = new Map<unknown, number>();
    for (const change of changesOf('keyed')) {
      const [id, v] = (change as Extract<Change, { kind: 'update' }>).row;
      expect(Number(v)).toBe((last.get(id) ?? 0) + 1);
      last.set(id, Number(v));
    }
    expect([last.size, most()]).toEqual([30, 4]);
    expect(lanes.place).toEqual(at(20));
  });

  it('reach a place up to which nothing happened once what was taken before it is durable, and not after a failure', async () => {
    for (const fails of [false, true]) {
      let open = () => {};
      const { lanes } = scene({ gate: () => new Promise((resolve, reject) => { open = () => (fails ? reject(new Error('no')) : resolve()); }) });
      await lanes.take(message(at(1), update(1, 'x')));
      lanes.pass(at(5));
      expect(lanes.place).toEqual(at(0));
      await setImmediate();
      await setImmediate();
      open();
      await lanes.drain().catch(() => undefined);
      expect(lanes.place).toEqual(at(fails ? 0 : 5));
    }
  });

  it.each([
    ['a key that changes', { kind: 'update', namespace: 'keyed', before: [1, undefined], row: [2, 'x'] }],
    ['a truncate', { kind: 'truncate', namespace: 'keyed' }],
    ['a table without a key', { kind: 'insert', namespace: 'keyless', row: [1, 'x'] }],
    ['a table that stood before', { kind: 'insert', namespace: 'standing', row: [1, 'x'] }],
  ] as const)('let %s neither overtake nor be overtaken', async (_, alone) => {
    const { lanes, works } = scene();
    await lanes.take(message(at(1), ...Array.from({ length: 20 }, (_, id) => update(id, 'before'))));
    await lanes.take(message(at(2), alone as Change));
    await lanes.take(message(at(3), ...Array.from({ length: 20 }, (_, id) => update(id, 'after'))));
    await lanes.drain();
    const where = works.findIndex(({ lane }) => lane === 0);
    const values = (some: readonly LaneWork[]) => new Set(some.flatMap(({ tables }) => tables.flatMap(({ changes }) => changes.map((change) => (change as unknown as { row: unknown[] }).row[1]))));
    expect([values(works.slice(0, where)), values(works.slice(where + 1))]).toEqual([new Set(['before']), new Set(['after'])]);
    expect(works[where].place).toEqual(at(2));
  });

  it('share a table that stood before where its rows have nothing to do with each other, and its keys are exact', async () => {
    const text = { ...standing, target: { ...standing.target, columns: [{ ...columns[0]!, type: { kind: 'text' } as const }, columns[1]!] } };
    for (const [mapping, independent, isShared] of [[standing, new Set(['standing']), true], [standing, new Set(['other']), false], [standing, undefined, false], [text, new Set(['standing']), false]] as const) {
      const { lanes, works } = scene({ mappings: [mapping], ...(independent && { independent }) });
      await lanes.take(message(at(1), ...Array.from({ length: 40 }, (_, id) => update(id, 'x', 'standing'))));
      await lanes.drain();
      expect(works.map(({ lane }) => lane).sort()).toEqual(isShared ? [1, 2, 3, 4] : [0]);
    }
  });

  it('are only as far as the slowest of them', async () => {
    let open = () => {};
    const closed = new Promise<void>((resolve) => { open = resolve; });
    const { lanes } = scene({ gate: async ({ lane }) => { if (lane === 2) await closed; } });
    await lanes.take(message(at(1), ...Array.from({ length: 40 }, (_, id) => update(id, 'x'))));
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    expect([lanes.place, lanes.isIdle]).toEqual([at(0), false]);
    open();
    await lanes.drain();
    expect([lanes.place, lanes.isIdle]).toEqual([at(1), true]);
  });

  it('go on from the earliest of their places; that of lane 0 counts for all', () => {
    const found = (entries: readonly [number, LogPlace][]) => scene({ places: new Map(entries) }).lanes.place;
    expect(found([])).toEqual(at(0));
    expect(found([[1, at(5)], [2, at(5)], [3, at(4, 7)], [4, at(6)]])).toEqual(at(4, 7));
    expect(found([[1, at(5)], [2, at(9)]])).toEqual(at(0));
    expect(found([[0, at(3)], [1, at(1)], [2, at(9)]])).toEqual(at(3));
    expect(found([[0, at(3, 2)], [1, at(3, 1)], [2, at(3, 4)], [3, at(3, 4)], [4, at(3, 4)]])).toEqual(at(3, 2));
  });

  it('fail with the first failure, and take no more', async () => {
    const { lanes, failures } = scene({ gate: async () => { throw new Error('no'); } });
    await lanes.take(message(at(1), update(1, 'x')));
    await expect(lanes.drain()).rejects.toThrow('no');
    await expect(lanes.take(message(at(2), update(1, 'y')))).rejects.toThrow('no');
    expect([failures.length, lanes.place]).toEqual([1, at(0)]);
  });

  it('set one bad table apart, on disk before the rest is applied, and go on with the others', async () => {
    const told: string[] = [];
    const { lanes, works, failures, changesOf } = scene({
      gate: async ({ tables }) => { if (tables.some(({ mapping }) => mapping === standing)) throw new DsyncError('data', 'standing is gone'); told.push('applied'); },
      suspect: ({ source }) => {
        told.push(`suspected ${source.name}`);
        return { confirm: () => { told.push(`apart ${source.name}`); lanes.drop(source.name); }, clear: () => { told.push(`cleared ${source.name}`); } };
      },
    });
    await lanes.take(message(at(1), update(1, 'x'), update(2, 'x', 'standing')));
    await lanes.take(message(at(2), update(3, 'y'), update(2, 'y', 'standing')));
    await lanes.drain();
    expect(told.slice(0, 6)).toEqual(['suspected keyed', 'cleared keyed', 'suspected standing', 'applied', 'apart standing', 'applied']);
    expect([failures, changesOf('standing'), lanes.place]).toEqual([[], [], at(2)]);
    expect(changesOf('keyed')).toEqual([update(1, 'x'), update(3, 'y')]);
    expect(works[0].place).toEqual(at(1));
  });

  it.each([['that is no table\'s', 'internal'], ['of the connection', 'connection-lost'], ['of the disk', 'disk-full']] as const)('fail with an error %s, and leave no table apart', async (_, code) => {
    let suspected = 0;
    const { lanes, failures } = scene({
      gate: async () => { throw new DsyncError(code, 'no'); },
      suspect: () => { suspected++; return { confirm: () => { throw new Error('not this one'); }, clear: () => { suspected--; } }; },
    });
    await expect(lanes.take(message(at(1), update(1, 'x'), update(2, 'x', 'standing')))).rejects.toThrow('no');
    expect([failures.length, suspected]).toEqual([1, 0]);
  });

  it('pass over a table that was dropped, its waiting changes too, and take it up again with another mapping', async () => {
    let open = () => {};
    const closed = new Promise<void>((resolve) => { open = resolve; });
    const { lanes, changesOf } = scene({ gate: () => closed });
    await lanes.take(message(at(1), update(1, 'under way')));
    for (let turn = 0; turn < 5; turn++) await setImmediate();
    await lanes.take(message(at(2), update(1, 'waiting')));
    lanes.drop('keyed');
    await lanes.take(message(at(3), update(1, 'later')));
    open();
    await lanes.drain();
    expect([changesOf('keyed'), lanes.place]).toEqual([[update(1, 'under way')], at(3)]);
    lanes.put(mappingOf('keyed'));
    await lanes.take(message(at(4), update(1, 'again')));
    await lanes.drain();
    expect(changesOf('keyed')).toEqual([update(1, 'under way'), update(1, 'again')]);
  });
});
