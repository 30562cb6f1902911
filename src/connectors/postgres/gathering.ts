import type { Change, LogChanges, LogMessage, LogPlace, Shape } from '../../contract.js';
import { positionOf } from './lsn.js';

/** No oftener than this is the caller told that nothing of ours happened. */
const positionMillis = 50;

/**
 * Makes messages of what is decoded. Whole transactions are given out together as soon as the caller waits for some; a
 * message is closed at about `bytes`, inside of a transaction too. `from.changes` changes are left out at the start.
 */
export class Gathering {
  readonly #bytes: number;
  readonly #closed: LogMessage[] = [];
  #changes: Change[] = [];
  #size = 0;
  /** Among the changes: those of whole transactions, their size, and the place after them. */
  #settled = 0;
  #settledSize = 0;
  #settledAt = 0;
  #position: bigint;
  #at = 0;
  #inside = false;
  /** Changes of the transaction under way. */
  #count = 0;
  #skip: number;
  #told: bigint;
  #toldAt = 0;

  constructor(from: { readonly lsn: bigint; readonly changes: number }, bytes: number) {
    this.#bytes = bytes;
    this.#position = this.#told = from.lsn;
    this.#skip = from.changes;
  }

  begin(at: number): void {
    this.#inside = true;
    this.#count = 0;
    this.#at = at;
  }

  /** Is the next change one that was given out before? Counts it. */
  skips(): boolean {
    return ++this.#count <= this.#skip;
  }

  add(change: Change, bytes: number): void {
    if (this.#changes.length > 0 && this.#size + bytes > this.#bytes) this.#close(this.#count - 1);
    this.#changes.push(change);
    this.#size += bytes;
  }

  /** A shape goes before the change that `skips` has just counted. */
  announce(shape: Shape, changed: boolean): void {
    this.#close(this.#count - 1);
    this.#closed.push({ kind: 'shape', shape, changed });
  }

  /** Returns false if fewer changes came than were to be left out: it is not the transaction that was meant. */
  commit(end: bigint, at: number): boolean {
    const meant = this.#skip === 0 || this.#count === 0 || this.#count >= this.#skip;
    if (this.#count > 0) this.#skip = 0;
    this.#inside = false;
    this.#count = 0;
    this.#moved(end, at);
    [this.#settled, this.#settledSize, this.#settledAt] = [this.#changes.length, this.#size, at];
    return meant;
  }

  /** The log was read up to here. Inside of a transaction that says nothing; and while changes are to be left out, where they begin must stay. */
  reached(end: bigint, at: number): void {
    if (!this.#inside && end > this.#position) this.#moved(end, at);
  }

  /** What is complete. */
  take(): LogMessage | undefined {
    return this.#closed.shift();
  }

  /** What can be given out to a caller that waits: whole transactions, or that nothing happened. */
  settled(): LogMessage | undefined {
    if (this.#settled > 0) return this.#cut();
    if (!this.#tells() || performance.now() - this.#toldAt < positionMillis) return undefined;
    this.#tell();
    return { kind: 'position', place: { position: positionOf(this.#position), changes: 0 }, at: this.#at };
  }

  /** For how long `settled` has nothing to say, unless something arrives. */
  get patience(): number {
    return this.#tells() ? Math.max(1, positionMillis - (performance.now() - this.#toldAt)) : 60_000;
  }

  #tells(): boolean {
    return !this.#inside && this.#changes.length === 0 && this.#position > this.#told;
  }

  #moved(end: bigint, at: number): void {
    if (this.#skip > 0) return;
    this.#position = end;
    this.#at = at;
  }

  #tell(): void {
    this.#told = this.#position;
    this.#toldAt = performance.now();
  }

  /** Gives out the whole transactions, and keeps what there is of the one under way. */
  #cut(): LogChanges {
    const message: LogChanges = { kind: 'changes', changes: this.#changes.splice(0, this.#settled), place: { position: positionOf(this.#position), changes: 0 }, bytes: this.#settledSize, at: this.#settledAt };
    this.#size -= this.#settledSize;
    this.#settled = this.#settledSize = 0;
    this.#tell();
    return message;
  }

  /** Closes what is gathered, `count` changes into the transaction under way. */
  #close(count: number): void {
    if (this.#changes.length === 0) return;
    const place: LogPlace = { position: positionOf(this.#position), changes: this.#inside ? count : 0 };
    this.#closed.push({ kind: 'changes', changes: this.#changes, place, bytes: this.#size, at: this.#at });
    this.#changes = [];
    this.#size = this.#settled = this.#settledSize = 0;
    this.#tell();
  }
}
