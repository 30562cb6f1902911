declare global {
  // Node 20 has it, TypeScript's ES2023 does not say so yet.
  interface String { isWellFormed(): boolean }
}

const tags = { null: 0, text: 1, integer: 2, bytes: 3, illFormed: 4, decimal: 5, float: 6, fraction: 7 } as const;
const firstSize = 4 << 10;
/** Up to here a loop beats a call into the engine. */
const shortText = 32;
/** From here on it pays to count the bytes beforehand. */
const largeText = 64 << 10;

/**
 * The cells of one row, one after another in one reusable buffer. Each says what it is and how long, so that no two
 * different rows share a spelling, and a null is no empty text.
 */
export class Cells {
  #bytes = Buffer.allocUnsafe(firstSize);
  #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
  #end = 0;

  /** Where the next cell begins. */
  get end(): number {
    return this.#end;
  }

  clear(): void {
    this.#end = 0;
  }

  /** The bytes from `start` on, good until the next cell is written. */
  from(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#end);
  }

  null(): void {
    this.#room(1);
    this.#bytes[this.#end++] = tags.null;
  }

  text(text: string): void {
    this.#room(5 + (text.length < largeText ? 3 * text.length : Math.max(2 * text.length, Buffer.byteLength(text))));
    const start = this.#end + 5;
    let at = start;
    for (let i = 0; i < text.length && i < shortText; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) break;
      this.#bytes[at++] = code;
    }
    if (at - start === text.length) this.#close(tags.text, text.length);
    else this.#longText(text);
  }

  bytes(bytes: Uint8Array): void {
    this.#room(5 + bytes.length);
    this.#bytes.set(bytes, this.#end + 5);
    this.#close(tags.bytes, bytes.length);
  }

  /** A whole number of at most 2^53 - 1, either sign. */
  integer(value: number): void {
    this.#room(9);
    this.#bytes[this.#end] = tags.integer;
    this.#view.setFloat64(this.#end + 1, value === 0 ? 0 : value);
    this.#end += 9;
  }

  /** `digits` times ten to the `exponent`: at most 15 digits, the last of them no zero. */
  fraction(digits: number, exponent: number): void {
    this.#room(13);
    this.#bytes[this.#end] = tags.fraction;
    this.#view.setInt32(this.#end + 1, exponent);
    this.#view.setFloat64(this.#end + 5, digits);
    this.#end += 13;
  }

  /** `digits` times ten to the `exponent`, of more digits, without zeros at either end; or a word such as `NaN`. */
  decimal(digits: string, exponent: number): void {
    this.#room(9 + digits.length);
    this.#view.setInt32(this.#end + 5, exponent);
    this.#bytes.write(digits, this.#end + 9, 'latin1');
    this.#close(tags.decimal, 4 + digits.length);
  }

  /** The 64 bits of a float. All that are no number are one. */
  float(value: number): void {
    this.#room(9);
    this.#bytes[this.#end] = tags.float;
    this.#view.setFloat64(this.#end + 1, value);
    this.#end += 9;
  }

  #longText(text: string): void {
    if (text.isWellFormed()) this.#close(tags.text, this.#bytes.write(text, this.#end + 5));
    else this.#close(tags.illFormed, this.#bytes.write(text, this.#end + 5, 'utf16le'));
  }

  #close(tag: number, length: number): void {
    this.#bytes[this.#end] = tag;
    this.#view.setUint32(this.#end + 1, length);
    this.#end += 5 + length;
  }

  #room(length: number): void {
    if (this.#end + length <= this.#bytes.length) return;
    const needed = this.#end + length;
    const wider = Buffer.allocUnsafeSlow(needed + Math.min(needed, 1 << 20));
    this.#bytes.copy(wider, 0, 0, this.#end);
    this.#bytes = wider;
    this.#view = new DataView(wider.buffer, wider.byteOffset);
  }
}
