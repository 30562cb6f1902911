import { EventEmitter } from 'node:events';
import type { Session } from './session.js';

/** A row as the server sent it: bytes [offset, end) of `buffer`, which is only good during the call. */
export interface RowPacket { readonly buffer: Buffer; readonly offset: number; readonly end: number }

/** What mysql2 says about a result's column. */
export interface Field { readonly columnType: number; readonly flags: number }

/** Turns row packets into chunks. `row` may give a chunk or more to `emit`; `rest` returns the last, unfinished one. */
export interface Collector<T> {
  fields?(fields: readonly Field[]): void;
  row(packet: RowPacket, emit: (chunk: T) => void): void;
  rest(): T | undefined;
}

/**
 * Streams a query's rows through a collector, without the driver's own row decoder. The connection is paused while two
 * chunks wait for the consumer. `prepared` uses the binary protocol. A consumer that leaves early has the query ended
 * and the session kept; an aborted signal ends the session.
 */
export async function* stream<T>(session: Session, sql: string, how: 'text' | 'prepared', collector: Collector<T>, signal: AbortSignal): AsyncGenerator<T, void, undefined> {
  signal.throwIfAborted();
  if (session.lost) throw session.lost;
  const { connection } = session;
  const ready: T[] = [];
  let ended = false, failure: unknown, wake = () => {};
  const emit = (chunk: T) => { ready.push(chunk); wake(); };
  const fail = (error: unknown) => { failure ??= error; wake(); };
  const command = (how === 'text' ? connection.query({ sql, rowsAsArray: true }) : connection.execute({ sql, rowsAsArray: true })) as unknown as EventEmitter;
  replaceRowParser(command, (packet) => {
    if (failure) return;
    try {
      collector.row(packet, emit);
      if (ready.length > 1) connection.pause();
    } catch (error) {
      fail(error);
    }
  });
  command.on('fields', (fields: readonly Field[]) => collector.fields?.(fields));
  command.on('error', (error) => fail(session.fault(error)));
  command.on('end', () => { ended = true; wake(); });
  const offLost = session.onLost(fail);
  const onAbort = () => { fail(signal.reason); session.destroy(); };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (;;) {
      while (ready.length > 0 && !signal.aborted) {
        const chunk = ready.shift()!;
        if (ready.length < 2) connection.resume();
        yield chunk;
      }
      if (failure) throw failure;
      if (ended) break;
      await new Promise<void>((resolve) => { wake = resolve; });
    }
    const rest = collector.rest();
    if (rest !== undefined) yield rest;
  } finally {
    signal.removeEventListener('abort', onAbort);
    offLost();
    if (how === 'prepared' && !session.lost) connection.unprepare(sql);
    if (!ended && !session.lost) await drained(session, command, () => ended);
  }
}

/** Ends a query whose rows nobody wants, so that the session can be used again. */
async function drained(session: Session, command: EventEmitter, ended: () => boolean): Promise<void> {
  replaceRowParser(command, () => {});
  const end = new Promise<void>((resolve) => {
    command.once('end', resolve);
    session.onLost(() => resolve());
  });
  session.connection.resume();
  if (ended()) return;
  await session.cancel().catch(() => session.destroy());
  await end;
}

/**
 * mysql2 hands each row's packet to `_rowParser.next` of its command (3.24.5, commands/query.js and execute.js), which
 * would make a JavaScript value of every cell. The conformance tests notice if that changes.
 */
function replaceRowParser(command: object, row: (packet: RowPacket) => void): void {
  Object.defineProperty(command, '_rowParser', { configurable: true, get: () => ({ next: row }), set: () => {} });
}
