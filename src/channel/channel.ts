import { DsyncError } from '../errors.js';

/**
 * A queue between readers and writers, bounded by the bytes that are on their way: sent and not yet released. A message
 * larger than the bound passes alone. Many may send and receive; messages leave in the order in which they entered.
 */
export class Channel<Message> {
  readonly #limit: number;
  readonly #queue: Message[] = [];
  readonly #senders: { readonly bytes: number; readonly enter: () => void }[] = [];
  readonly #receivers: ((message: Message | undefined) => void)[] = [];
  #inFlight = 0;
  #closed = false;
  #failure: unknown;

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  /** Bytes sent and not yet released. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Resolves once the message is in the queue. Rejects with the reason given to `fail`. */
  async send(message: Message, bytes: number): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#fits(bytes) || this.#senders.length > 0) await new Promise<void>((enter) => this.#senders.push({ bytes, enter }));
    else this.#inFlight += bytes;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new DsyncError('internal', 'a message was sent into a closed channel');
    const receiver = this.#receivers.shift();
    if (receiver) receiver(message);
    else this.#queue.push(message);
  }

  /** The next message; undefined once the channel is closed and empty. Rejects with the reason given to `fail`. */
  async receive(): Promise<Message | undefined> {
    if (this.#failure !== undefined) throw this.#failure;
    const message = this.#queue.shift();
    if (message !== undefined || this.#closed) return message;
    const received = await new Promise<Message | undefined>((resolve) => this.#receivers.push(resolve));
    if (this.#failure !== undefined) throw this.#failure;
    return received;
  }

  /** The bytes of a received message are no longer held. */
  release(bytes: number): void {
    this.#inFlight -= bytes;
    while (this.#senders.length > 0 && this.#fits(this.#senders[0].bytes)) this.#enter();
  }

  /** Nothing more will be sent; what is in the queue is still received. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Ends every wait, now and later, with this reason. The first reason stands. */
  fail(reason: unknown): void {
    this.#failure ??= reason;
    this.#queue.length = 0;
    while (this.#senders.length > 0) this.#enter();
    this.#wake();
  }

  #fits(bytes: number): boolean {
    return this.#inFlight === 0 || this.#inFlight + bytes <= this.#limit;
  }

  #enter(): void {
    const sender = this.#senders.shift()!;
    this.#inFlight += sender.bytes;
    sender.enter();
  }

  #wake(): void {
    for (const receiver of this.#receivers.splice(0)) receiver(undefined);
  }
}
