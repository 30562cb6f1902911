import type { Row } from '../contract.js';
import { Sum, type Digest } from './digest.js';
import type { Entry } from './keytable.js';
import { destination, type RowHasher } from './rows.js';
import type { Table } from './scan.js';

/** Source rows that the destination lacks because the copy rejected them. */
export class Rejects {
  readonly #table: Table;
  readonly #sum = new Sum();
  readonly #taken = new Map<bigint, number>();

  constructor(table: Table) {
    this.#table = table;
  }

  get total(): Digest {
    return this.#sum.total;
  }

  /** Is the row that the hasher has taken one of them? Of n equal rows, only as many as the destination lacks. */
  takes(entry: Entry, row: Row, hasher: RowHasher): boolean {
    const taken = this.#taken.get(entry.key) ?? 0;
    if (taken >= this.#lacking(entry) || !this.#table.isRejected(row)) return false;
    this.#taken.set(entry.key, taken + 1);
    this.#sum.add(hasher);
    return true;
  }

  /** Does a row that was there before stand in the place of a rejected one? */
  isOther(entry: Entry): boolean {
    return entry.counts[destination] > 0 && this.#table.mapping.source.key.length > 0 && this.#taken.has(entry.key);
  }

  #lacking({ counts: [before, after] }: Entry): number {
    const { extrasAllowed, mapping } = this.#table;
    if (mapping.source.key.length === 0 || after === 0) return before - after;
    return extrasAllowed && before === 1 && after === 1 ? 1 : 0;
  }
}
