import type { Event, LogicalType, Mapping, NamespaceVerification, Part, Row, Shape, Snapshot, Value } from '../../src/contract.js';
import { verify, type VerifyRequest } from '../../src/verifier/verify.js';

/** A table whose columns are given as `name: type`; the first `keys` of them are the key. */
export function shapeOf(columns: Readonly<Record<string, LogicalType>>, keys: number, namespace = 'shop.orders'): Shape {
  const [schema, name] = namespace.split('.');
  return {
    namespace, schema, name, engine: 'memory',
    columns: Object.entries(columns).map(([column, type], i) => ({ name: column, type, native: type.kind, nullable: i >= keys })),
    key: [...Array(keys).keys()],
  };
}

export function mappingOf(source: Shape, target: Shape = source): Mapping {
  return { source, target, fidelity: source.columns.map(() => ({ level: 'exact' })), existed: false, staged: source.key.length === 0 };
}

export interface FakeOptions {
  readonly exact?: boolean;
  readonly parts?: readonly Part[];
  /** Rows of a batch. */
  readonly batch?: number;
  /** Steps in before each batch. */
  readonly onBatch?: (scan: number, at: number) => void | Promise<void>;
}

/** One side: shows what `rows` gives when a scan of it begins. */
export function side(rows: () => readonly Row[], options: FakeOptions = {}): Snapshot & { readonly scans: () => number } {
  let scans = 0;
  const { exact = true, batch = 100 } = options;
  const unused = () => { throw new Error('the verifier never calls this'); };
  return {
    scans: () => scans,
    moment: { at: '2026-01-01T00:00:00Z', exact, how: 'test' },
    plan: unused, read: unused,
    parts: async () => options.parts ?? [{}],
    async *scan({ part, shape }, signal) {
      const scan = scans++, shown = rows().filter((row) => isIn(part, row[shape.key[0]]));
      for (let at = 0; at < shown.length; at += batch) {
        await options.onBatch?.(scan, at);
        signal.throwIfAborted();
        yield shown.slice(at, at + batch);
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}

function isIn({ from, to }: Part, key: Value): boolean {
  if (from === undefined && to === undefined) return true;
  const value = BigInt(key as number | bigint | string);
  return (from === undefined || value >= BigInt(from)) && (to === undefined || value < BigInt(to));
}

export interface Compared { readonly result: NamespaceVerification; readonly events: readonly Event[] }

/** Verifies one table of which each side is a list of rows, or a side of its own. */
export async function compare(mapping: Mapping, left: readonly Row[] | Snapshot, right: readonly Row[] | Snapshot, more: Partial<VerifyRequest> & FakeOptions = {}): Promise<Compared> {
  const events: Event[] = [];
  const [source, destination] = [left, right].map((one) => ('moment' in one ? one : side(() => one, more)));
  const [result] = await verify({
    source, openDestination: async () => destination, mappings: [mapping], emit: (event) => events.push(event),
    signal: new AbortController().signal, concurrency: 2, pause: async () => {}, ...more,
  });
  return { result, events };
}

/** The same numbers for the same seed, everywhere. */
export function draws(seed: number): { below(limit: number): number; pick<T>(from: readonly T[]): T } {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return { below, pick: (from) => from[below(from.length)] };
}
