import type { Exchange, Wire } from './session.js';
import { serverTime, timeAt } from './pgoutput.js';

/**
 * What a walsender says: a message of the output plugin, or how far the log has been read for us (PostgreSQL manual,
 * "Streaming Replication Protocol": XLogData, Primary keepalive message).
 */
export type Arrival =
  | { readonly kind: 'message'; readonly bytes: Buffer }
  | { readonly kind: 'end'; readonly position: bigint; readonly at: number };

const letter = { data: 0x77, keepalive: 0x6b, status: 0x72 } as const;
/** The letter, where the data starts (8), where the log ends (8), the time (8). */
const dataHeadBytes = 25;
const statusMillis = 1000;
/** What an arrival takes beside its bytes. */
const arrivalBytes = 200;

/**
 * START_REPLICATION, as an exchange of a session. What arrives is queued, and the socket is paused while the queue holds
 * more than `bytes`. The server hears every second that we are there, and at once if it asks; that its log was received,
 * as soon as it was; that it may go, only as far as `confirmed` says.
 */
export class WalStream implements Exchange<void> {
  readonly result: Promise<void>;
  readonly #sql: string;
  readonly #bytes: number;
  readonly #confirmed: () => bigint;
  #queue: Arrival[] = [];
  #next = 0;
  #queued = 0;
  #received = 0n;
  #wire?: Wire;
  #timer?: NodeJS.Timeout;
  #wake?: () => void;
  #ended = false;
  #leaving = false;
  #settle!: { resolve: () => void; reject: (error: unknown) => void };

  constructor(sql: string, options: { readonly bytes: number; readonly confirmed: () => bigint }) {
    this.#sql = sql;
    this.#bytes = options.bytes;
    this.#confirmed = options.confirmed;
    this.result = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
  }

  submit(wire: Wire): void {
    this.#wire = wire;
    this.#timer = setInterval(() => this.#report(), statusMillis);
    wire.query(this.#sql);
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    if (this.#leaving) return;
    const position = chunk.readBigUInt64BE(chunk[0] === letter.data ? 9 : 1);
    if (chunk[0] === letter.data) this.#take(chunk);
    else if (chunk[0] === letter.keepalive) this.#hear(chunk, position);
    if (position > this.#received) this.#received = position;
    if (chunk[0] === letter.keepalive && chunk[17] === 1) this.#report();
    this.stir();
  }

  handleRowDescription(): void {}
  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.#end(undefined);
  }

  handleError(error: unknown): void {
    this.#end(error);
  }

  /** The stream is over: nothing more will arrive. */
  get ended(): boolean {
    return this.#ended;
  }

  /** What arrived next, if anything has. */
  shift(): Arrival | undefined {
    if (this.#next === this.#queue.length) return undefined;
    const arrival = this.#queue[this.#next++];
    if (arrival.kind === 'message') this.#queued -= arrival.bytes.length + arrivalBytes;
    if (this.#next === this.#queue.length) [this.#queue, this.#next] = [[], 0];
    if (this.#queued < this.#bytes / 2) this.#wire?.stream.resume();
    return arrival;
  }

  /** Resolves when something has arrived, or the stream is over, or so many milliseconds have passed, or `stir` is called. */
  async more(patience: number): Promise<void> {
    if (this.#next < this.#queue.length || this.#ended) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, patience);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  readonly stir = (): void => this.#wake?.();

  /** Tells the server the latest, and that we go. Resolves when it has gone too, within a second. */
  async leave(): Promise<void> {
    const stream = this.#wire?.stream;
    if (this.#ended || !stream) return;
    this.#leaving = true;
    this.#report();
    clearInterval(this.#timer);
    const gone = new Promise<void>((resolve) => { stream.once('close', () => resolve()); });
    stream.end(terminate);
    // A socket that is paused would never see the other side close.
    stream.resume();
    const patience = setTimeout(() => stream.destroy(), 1000);
    await gone;
    clearTimeout(patience);
  }

  #take(chunk: Buffer): void {
    // The driver's own buffer is written again.
    this.#queue.push({ kind: 'message', bytes: Buffer.from(chunk.subarray(dataHeadBytes)) });
    this.#queued += chunk.length - dataHeadBytes + arrivalBytes;
    if (this.#queued >= this.#bytes) this.#wire!.stream.pause();
  }

  #hear(chunk: Buffer, position: bigint): void {
    const arrival: Arrival = { kind: 'end', position, at: timeAt(chunk, 9) };
    if (this.#next < this.#queue.length && this.#queue.at(-1)!.kind === 'end') this.#queue[this.#queue.length - 1] = arrival;
    else this.#queue.push(arrival);
  }

  /** Standby status update: written (8), flushed (8), applied (8), the time (8), and that no reply is wanted. */
  #report(): void {
    const status = Buffer.alloc(34), confirmed = this.#confirmed();
    status[0] = letter.status;
    status.writeBigUInt64BE(this.#received, 1);
    status.writeBigUInt64BE(confirmed, 9);
    status.writeBigUInt64BE(confirmed, 17);
    status.writeBigInt64BE(serverTime(), 25);
    this.#wire?.sendCopyFromChunk(status);
  }

  #end(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#timer);
    if (error === undefined) this.#settle.resolve();
    else this.#settle.reject(error);
    this.stir();
  }
}

const terminate = Buffer.from([0x58, 0, 0, 0, 4]);
