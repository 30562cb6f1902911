import type { Difference, LogicalType, Mapping, Row, Value } from '../contract.js';
import { compareKeys, cutInTheMiddle, detached, keyPositions, keyText, spelledCell } from './key.js';
import type { Entry } from './keytable.js';
import { destination, source, type RowHasher, type Side } from './rows.js';

/** A difference that may be shown, with what tells whether a later look found the very same. */
export interface Listed { readonly key: readonly Value[]; readonly difference: Difference; readonly fingerprint: string }

const shownLength = 200;
const keptLength = 1024;
const orderedLength = 256;
const mostCopies = 100;

interface KeptCell { readonly hash: bigint; readonly text: string }
interface Kept { readonly key: readonly Value[]; readonly text: string; readonly cells: readonly KeptCell[] }
interface Item { readonly entry: Entry; readonly sides: [Kept?, Kept?] }

/** Collects the rows that differ, the first `limit` of them by key: no more are kept, and of long cells only a part. */
export class Listing {
  readonly #mapping: Mapping;
  readonly #limit: number;
  #items = new Map<bigint, Item>();
  #last: readonly Value[] | undefined;

  constructor(mapping: Mapping, limit: number) {
    this.#mapping = mapping;
    this.#limit = limit;
  }

  add(entry: Entry, side: Side, row: Row, hasher: RowHasher): void {
    const key = keyPositions(this.#mapping.source).map((position) => beginningOf(row[position]));
    if (this.#last && compareKeys(key, this.#last) > 0) return;
    const item = this.#items.get(entry.key) ?? { entry, sides: [] };
    item.sides[side] ??= kept(this.#mapping, key, side, row, hasher);
    this.#items.set(entry.key, item);
    if (this.#items.size > 2 * this.#limit) this.#keepFirst();
  }

  /** In key order. */
  first(): readonly Listed[] {
    this.#keepFirst();
    return [...this.#items.values()].flatMap((item) => listed(this.#mapping, item)).slice(0, this.#limit);
  }

  #keepFirst(): void {
    const inOrder = [...this.#items].sort(([, a], [, b]) => compareKeys(keyOf(a), keyOf(b)));
    this.#items = new Map(inOrder.slice(0, this.#limit));
    if (inOrder.length > this.#limit) this.#last = keyOf(inOrder[this.#limit - 1][1]);
  }
}

function keyOf({ sides }: Item): readonly Value[] {
  return (sides[source] ?? sides[destination])!.key;
}

function kept({ source: shape, target }: Mapping, key: readonly Value[], side: Side, row: Row, hasher: RowHasher): Kept {
  const { columns } = side === source ? shape : target;
  const cells = columns.map(({ type }, i) => ({ hash: hasher.cell(row, i), text: keptText(type, row[i]) }));
  return { key: key.map(ownCell), text: side === source ? keyText(shape, row) : keyText({ ...target, key: shape.key }, row), cells };
}

function keptText(type: LogicalType, value: Value): string {
  return cutInTheMiddle(spelledCell(type, typeof value === 'string' ? cutInTheMiddle(value, keptLength) : value), keptLength);
}

/** As much of a key cell as puts it in order. */
function beginningOf(cell: Value): Value {
  return typeof cell === 'string' ? cell.slice(0, orderedLength) : cell instanceof Uint8Array ? cell.subarray(0, orderedLength) : cell;
}

/** A cell in memory of its own, apart from the row or batch that it may be a part of. */
function ownCell(cell: Value): Value {
  return typeof cell === 'string' ? detached(cell) : cell instanceof Uint8Array ? Buffer.from(cell) : cell;
}

function listed(mapping: Mapping, { entry, sides }: Item): readonly Listed[] {
  const [before, after] = entry.counts, [own, other] = sides;
  const fingerprint = [entry.key, ...entry.counts, ...entry.sums].map(String).join(' ');
  const once = (kind: Difference['kind'], { key, text }: Kept, columns?: Difference['columns']): Listed => ({ key, fingerprint, difference: { kind, key: text, ...(columns && { columns }) } });
  if (before > after) return own ? copies(before - after, once('missing', own)) : [];
  if (after > before) return other ? copies(after - before, once('extra', other)) : [];
  if (!own || !other) return own || other ? [once('changed', (own ?? other)!)] : [];
  const columns = own.cells.flatMap((cell, i) => (cell.hash === other.cells[i].hash ? [] : [shownPair(mapping.source.columns[i].name, cell.text, other.cells[i].text)]));
  return columns.length > 0 ? [once('changed', own, columns)] : [];
}

/** A row that is there more often than on the other side is listed as often. */
function copies(count: number, one: Listed): readonly Listed[] {
  return Array<Listed>(Math.min(count, mostCopies)).fill(one);
}

/** Two values as they are shown: of long ones the stretch around the first character that differs. */
export function shownPair(name: string, left: string, right: string): { readonly name: string; readonly source: string; readonly destination: string } {
  let at = 0;
  while (at < left.length && left[at] === right[at]) at++;
  const start = Math.max(0, at - shownLength / 2);
  const shown = (text: string) => {
    if (text.length <= shownLength) return text;
    const from = Math.min(start, text.length - shownLength + 2), to = from + shownLength - 2;
    return `${from > 0 ? '…' : ''}${text.slice(Math.max(0, from), to)}${to < text.length ? '…' : ''}`;
  };
  const cut = left === right ? ' (they differ where they are cut)' : '';
  return { name, source: shown(left) + cut, destination: shown(right) + cut };
}
