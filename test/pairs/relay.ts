import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Relay extends AsyncDisposable {
  readonly port: number;
  /** What has come from the server so far, in bytes. */
  received(): number;
}

/** A network: how many milliseconds later all arrives, each way, and how much at most in a second. */
export interface Distance { readonly delay?: number; readonly bytesPerSecond?: number }

/** Listens on another loopback address and passes everything on to a port of 127.0.0.1. */
export async function relayFrom(address: string, port: number, distance?: Distance): Promise<Relay> {
  const sockets = new Set<Socket>();
  let received = 0;
  const relay = createServer((client) => {
    const server = connect(port, '127.0.0.1').setNoDelay(true).on('data', ({ length }) => { received += length; });
    for (const [socket, other] of [[client.setNoDelay(true), server], [server, client]] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      (distance ? socket.pipe(later(distance)) : socket).pipe(other);
    }
  });
  relay.listen(0, address);
  await once(relay, 'listening');
  return {
    port: (relay.address() as AddressInfo).port,
    received: () => received,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      relay.close();
      await once(relay, 'close');
    },
  };
}

/** Sends a piece after the other as fast as the wire goes; each arrives its delay later. */
function later({ delay = 0, bytesPerSecond = Infinity }: Distance): Transform {
  let sent = 0, last: Promise<void> = Promise.resolve();
  return new Transform({
    transform(chunk: Buffer, _, done) {
      const now = performance.now();
      sent = Math.max(now, sent) + (chunk.length / bytesPerSecond) * 1000;
      const due = sleep(sent - now + delay);
      last = last.then(() => due).then(() => void this.push(chunk));
      if (sent > now) setTimeout(done, sent - now);
      else done();
    },
    flush(done) {
      void last.then(() => done());
    },
  });
}
