import type { Exchange, Wire } from './session.js';

const dataMessage = 0x64;
const headBytes = 5;

/** What is to be written, and what the statements before the COPY must have answered. */
export interface CopyInOptions {
  /** Statements, of which the last is the COPY … FROM STDIN. */
  readonly sql: string;
  readonly chunks: readonly Uint8Array[];
  /** Seen the command tags of the statements before it, may the COPY begin? */
  readonly allows?: (tags: readonly string[]) => boolean;
}

const frameBytes = 128 << 10;

/** COPY … FROM STDIN of bytes that are in memory already. The result is the number of rows; undefined if it was not allowed. */
export class CopyIn implements Exchange<number | undefined> {
  readonly result: Promise<number | undefined>;
  readonly #options: CopyInOptions;
  readonly #tags: string[] = [];
  #settle!: { resolve: (rows: number | undefined) => void; reject: (error: unknown) => void };
  #stopped = false;

  constructor(options: CopyInOptions) {
    this.#options = options;
    this.result = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
  }

  submit(wire: Wire): void {
    wire.query(this.#options.sql);
  }

  handleCopyInResponse(wire: Wire): void {
    if (this.#options.allows?.(this.#tags) === false) {
      this.#stopped = true;
      return wire.sendCopyFail('not allowed');
    }
    const { stream } = wire;
    stream.cork();
    for (const bytes of this.#options.chunks) writeFrames(stream, bytes);
    wire.endCopyFrom();
    stream.uncork();
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#tags.push(text);
  }

  handleReadyForQuery(): void {
    this.#settle.resolve(Number(/^COPY (\d+)$/.exec(this.#tags.at(-1) ?? '')?.[1]));
  }

  handleError(error: unknown): void {
    if (this.#stopped) this.#settle.resolve(undefined);
    else this.#settle.reject(error);
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleEmptyQuery(): void {}
}

/** Corked, the socket takes the pieces as they are: none is copied. */
function writeFrames(stream: Wire['stream'], bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += frameBytes) {
    const frame = bytes.subarray(at, at + frameBytes);
    const head = Buffer.allocUnsafe(headBytes);
    head[0] = dataMessage;
    head.writeUInt32BE(frame.length + 4, 1);
    stream.write(head);
    stream.write(frame);
  }
}
