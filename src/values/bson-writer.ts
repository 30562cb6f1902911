/** BSON elements one after another in one growing buffer. Names come with their NUL. */
export class BsonWriter {
  #bytes: Buffer;
  #at = 0;

  constructor(size = 64 * 1024) {
    this.#bytes = Buffer.allocUnsafe(size);
  }

  get length(): number { return this.#at; }

  /** What was written, without a copy; the writer is done with. */
  bytes(): Buffer { return this.#bytes.subarray(0, this.#at); }

  truncate(length: number): void { this.#at = length; }

  /** Starts a document; the result goes to `close`. */
  open(): number {
    const start = this.#take(4);
    return start;
  }

  close(start: number): void {
    this.byte(0);
    this.#bytes.writeInt32LE(this.#at - start, start);
  }

  field(type: number, name: Buffer): void {
    const at = this.#take(1 + name.length);
    this.#bytes[at] = type;
    name.copy(this.#bytes, at + 1);
  }

  byte(value: number): void { const at = this.#take(1); this.#bytes[at] = value; }
  int(value: number): void { const at = this.#take(4); this.#bytes.writeInt32LE(value, at); }
  long(value: bigint): void { const at = this.#take(8); this.#bytes.writeBigInt64LE(value, at); }
  double(value: number): void { const at = this.#take(8); this.#bytes.writeDoubleLE(value, at); }

  string(text: string): void {
    const at = this.#take(5 + text.length * 3), size = this.#bytes.write(text, at + 4, 'utf8');
    this.#bytes.writeInt32LE(size + 1, at);
    this.#bytes[at + 4 + size] = 0;
    this.#at = at + 5 + size;
  }

  binary(subtype: number, bytes: Uint8Array): void {
    this.int(bytes.length);
    this.byte(subtype);
    this.raw(bytes);
  }

  raw(bytes: Uint8Array): void { const at = this.#take(bytes.length); this.#bytes.set(bytes, at); }

  /** Room for `size` bytes: where they start. */
  #take(size: number): number {
    const at = this.#at, needed = at + size;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    this.#at = needed;
    return at;
  }
}
