import type { Exchange, Wire } from './session.js';

/** Some rows, in one piece of memory, as the server has framed them. */
export interface Piece {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** The place (`ctid`) of the last row, where the rows have one. */
  readonly last?: string;
}

export interface RowFramesOptions {
  /** `select`: each row as COPY BINARY has it, but with the text of its values. */
  readonly as: 'copy-text' | 'copy-binary' | 'select';
  /** The last column is the row's `ctid`: it is taken off, and names where to go on. In a COPY only. */
  readonly placed: boolean;
  /** A piece is closed at about so many bytes, or at so many rows. */
  readonly pieceBytes: number;
  readonly pieceRows?: number;
}

const rowMessages = { 'copy-text': 0x64, 'copy-binary': 0x64, select: 0x44 };
const headBytes = 5;
/** The file header of COPY BINARY: signature, flags, and an empty extension. */
const fileHeadBytes = 19;
/** A `tid` in COPY BINARY: its length (4), block (4), offset (2). */
const placeBytes = 10;
/** The file's end: -1 in place of a row's number of columns. */
const fileEndBytes = 2;
const nothing = Buffer.alloc(0);

/**
 * The rows of a COPY … TO STDOUT, or of a SELECT, as pieces. The driver would make an object of every row; here the
 * messages are cut out of the socket's own chunks and gathered with one copy, and all that is not a row is handed on to
 * the driver as it came. The socket is paused while a closed piece waits, so that at most two pieces are in memory.
 */
export class RowFrames implements Exchange<void>, AsyncIterable<Piece> {
  readonly result: Promise<void>;
  readonly #sql: string;
  readonly #options: RowFramesOptions;
  readonly #rowMessage: number;
  readonly #binary: boolean;
  readonly #closed: Piece[] = [];
  #wire?: Wire;
  #theirs?: (chunk: Buffer) => void;
  #settle!: { resolve: () => void; reject: (error: unknown) => void };
  #wake?: () => void;
  #ended = false;

  // The message that is arriving: its head, what of its payload is missing, and whether it is a row's.
  readonly #head = Buffer.alloc(headBytes);
  #headHas = 0;
  #missing = 0;
  #inRow = false;

  // The piece that is being filled, and the row at its end.
  #bytes: Buffer = nothing;
  #used = 0;
  #count = 0;
  #rowStart = 0;
  #beforeFileHead: boolean;

  constructor(sql: string, options: RowFramesOptions) {
    this.#sql = sql;
    this.#options = options;
    this.#rowMessage = rowMessages[options.as];
    this.#binary = this.#beforeFileHead = options.as === 'copy-binary';
    this.result = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
  }

  submit(wire: Wire): void {
    const { stream } = wire;
    this.#wire = wire;
    [this.#theirs] = stream.listeners('data') as [(chunk: Buffer) => void];
    stream.on('data', this.#take);
    stream.off('data', this.#theirs);
    wire.query(this.#sql);
  }

  handleCommandComplete(): void {
    this.#close();
  }

  /** Only the end of a COPY BINARY comes this way. */
  handleCopyData(): void {}
  handleRowDescription(): void {}

  handleReadyForQuery(): void {
    this.#end(undefined);
  }

  handleError(error: unknown): void {
    this.#end(error);
  }

  /** Pieces in order; `result` says whether they were all. Leaving early makes the session useless: destroy it. */
  async *[Symbol.asyncIterator](): AsyncIterator<Piece> {
    for (;;) {
      const piece = this.#closed.shift();
      if (piece) yield piece;
      else if (this.#ended) break;
      else await this.#more();
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#wire?.stream.resume();
    });
  }

  #end(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    const stream = this.#wire?.stream;
    stream?.off('data', this.#take);
    if (this.#theirs) stream?.on('data', this.#theirs);
    stream?.resume();
    if (error === undefined) this.#settle.resolve();
    else this.#settle.reject(error);
    this.#wake?.();
  }

  readonly #take = (chunk: Buffer): void => {
    for (let at = 0; at < chunk.length;) {
      if (this.#ended) return this.#theirs!(chunk.subarray(at));
      if (this.#missing === 0) at = this.#takeHead(chunk, at);
      const end = Math.min(chunk.length, at + this.#missing);
      if (this.#missing > 0 && end > at) {
        if (this.#inRow) this.#used += chunk.copy(this.#bytes, this.#used, at, end);
        this.#missing -= end - at;
        if (!this.#inRow) this.#theirs!(chunk.subarray(at, end));
        else if (this.#missing === 0) this.#endRow();
        at = end;
      }
    }
  };

  /** Returns where the payload starts; `#missing` is then its length, or still 0 if the head goes on in the next chunk. */
  #takeHead(chunk: Buffer, at: number): number {
    let head: Buffer = chunk, start = at;
    if (this.#headHas > 0 || chunk.length - at < headBytes) {
      const copied = chunk.copy(this.#head, this.#headHas, at, Math.min(chunk.length, at + headBytes - this.#headHas));
      this.#headHas += copied;
      if (this.#headHas < headBytes) return at + copied;
      [head, start, at] = [this.#head, 0, at + copied - headBytes];
      this.#headHas = 0;
    }
    this.#missing = head.readUInt32BE(start + 1) - 4;
    const isFileEnd = this.#binary && this.#missing === fileEndBytes;
    this.#inRow = head[start] === this.#rowMessage && !isFileEnd;
    if (this.#inRow) this.#beginRow();
    else this.#theirs!(Buffer.from(head.subarray(start, start + headBytes)));
    return at + headBytes;
  }

  #beginRow(): void {
    const { pieceBytes, pieceRows = Infinity } = this.#options;
    if (this.#count > 0 && (this.#used + this.#missing > pieceBytes || this.#count >= pieceRows)) this.#close();
    if (this.#used + this.#missing > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(Math.max(pieceBytes, this.#used + this.#missing));
    this.#rowStart = this.#used;
  }

  #endRow(): void {
    if (this.#beforeFileHead) {
      this.#bytes.copyWithin(0, fileHeadBytes, this.#used);
      this.#used -= fileHeadBytes;
      this.#beforeFileHead = false;
      if (this.#used === fileEndBytes) return void (this.#used = 0);
    }
    if (this.#options.placed) this.#takePlaceOff();
    this.#count++;
  }

  /** What is taken off stays behind the rows until the next one comes: `#close` reads it there. */
  #takePlaceOff(): void {
    const bytes = this.#bytes;
    if (this.#binary) {
      bytes.writeInt16BE(bytes.readInt16BE(this.#rowStart) - 1, this.#rowStart);
      this.#used -= placeBytes;
    } else {
      const tab = bytes.lastIndexOf(9, this.#used - 1);
      bytes[tab] = 10;
      this.#used = tab + 1;
    }
  }

  #place(): string {
    if (!this.#binary) return this.#bytes.toString('latin1', this.#used, this.#bytes.indexOf(41, this.#used) + 1);
    return `(${this.#bytes.readUInt32BE(this.#used + 4)},${this.#bytes.readUInt16BE(this.#used + 8)})`;
  }

  #close(): void {
    if (this.#count === 0) return;
    const used = this.#bytes.subarray(0, this.#used);
    const bytes = this.#used < this.#bytes.length / 2 ? Buffer.from(used) : used;
    this.#closed.push({ bytes, count: this.#count, ...(this.#options.placed && { last: this.#place() }) });
    this.#bytes = nothing;
    this.#used = this.#count = 0;
    if (!this.#ended) this.#wire!.stream.pause();
    this.#wake?.();
  }
}
