import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export type Side = 'source' | 'destination';
type Way = 'asked' | 'answered';

/** What is looked for in the bytes between dsync and a server. */
export interface Sign {
  readonly side: Side;
  /** `asked`: by dsync. `answered`: by the server. */
  readonly way: Way;
  /** Counts matches of this in the bytes read as Latin-1; without it, bytes count. */
  readonly text?: RegExp;
  /** At the nth match, or after so many bytes; 1 without it. */
  readonly nth?: number;
  /** Let it through, and stop at the answer to it: the server has done it, and dsync doesn't know. */
  readonly unanswered?: boolean;
}

interface Watch { readonly sign: Sign; readonly text?: RegExp; count: number; readonly stopped: () => void }

/** One connection through a wire. */
interface Pipe {
  readonly side: Side;
  readonly client: Socket;
  readonly server: Socket;
  readonly waiting: { readonly way: Way; readonly bytes: Buffer }[];
  tails: Record<Way, string>;
  /** The sign was let through here: its answer is withheld. */
  asked: boolean;
  /** Held back whatever the wires do. */
  stranded: boolean;
}

/**
 * TCP proxies between dsync and the servers of its two ends. They count what passes, stop at a sign (from then on no byte
 * passes, on any connection), go on, cut connections. A URL without a server, such as a file's, stays as it is.
 */
export class Wires implements AsyncDisposable {
  readonly source: string;
  readonly destination: string;
  readonly #servers: readonly Server[];
  readonly #pipes: Set<Pipe>;
  #held = false;
  #there: Pipe | undefined;
  #watch: Watch | undefined;

  private constructor(source: string, destination: string, servers: readonly Server[], pipes: Set<Pipe>) {
    this.source = source;
    this.destination = destination;
    this.#servers = servers;
    this.#pipes = pipes;
  }

  static async between(source: string, destination: string): Promise<Wires> {
    const servers: Server[] = [], pipes = new Set<Pipe>();
    const listen = async (url: string, side: Side): Promise<string> => {
      const address = serverOf(url);
      if (!address) return url;
      const server = createServer({ allowHalfOpen: false }, (client) => wires.#join(side, client, connect(address)));
      servers.push(server);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return through(url, (server.address() as AddressInfo).port);
    };
    const wires: Wires = new Wires(await listen(source, 'source'), await listen(destination, 'destination'), servers, pipes);
    return wires;
  }

  /** Resolves at the sign. From that very byte on nothing passes until `release`. To be called after it, not before. */
  stopAt(sign: Sign): Promise<void> {
    for (const pipe of this.#pipes) Object.assign(pipe, { asked: false, tails: { asked: '', answered: '' } });
    const text = sign.text && new RegExp(sign.text.source, [...new Set(`${sign.text.flags}g`)].join(''));
    return new Promise((stopped) => { this.#watch = { sign, text, count: 0, stopped }; });
  }

  /** Nothing passes any more, without a sign. */
  hold(): void {
    this.#held = true;
    this.#watch = undefined;
  }

  /** What was held back passes now. */
  release(): void {
    this.#held = false;
    for (const pipe of this.#pipes) if (!pipe.stranded) this.#flush(pipe);
  }

  /** What is held back now stays so, and its connections stand although dsync is gone, until it is delivered. */
  strand(): void {
    for (const pipe of this.#pipes) pipe.stranded = pipe.waiting.some(({ way }) => way === 'asked');
    this.release();
  }

  /** What was stranded reaches the server now. */
  deliver(): void {
    for (const pipe of this.#pipes) {
      if (!pipe.stranded) continue;
      for (const { way, bytes } of pipe.waiting.splice(0)) if (way === 'asked') pipe.server.write(bytes);
      pipe.server.end();
    }
  }

  /** Cuts all connections; new ones may be made. */
  cut(side: Side): void {
    for (const pipe of this.#pipes) if (pipe.side === side) this.#end(pipe);
  }

  /** Cuts the connection at which the sign was seen. */
  cutThere(): void {
    if (this.#there) this.#end(this.#there);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
    for (const pipe of this.#pipes) this.#end(pipe);
  }

  #join(side: Side, client: Socket, server: Socket): void {
    const pipe: Pipe = { side, client, server, waiting: [], tails: { asked: '', answered: '' }, asked: false, stranded: false };
    this.#pipes.add(pipe);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => { /* it is closed next */ });
    }
    client.on('data', (bytes) => this.#take(pipe, 'asked', bytes));
    server.on('data', (bytes) => this.#take(pipe, 'answered', bytes));
    client.on('close', () => { if (!pipe.stranded) this.#end(pipe); });
    server.on('close', () => client.destroySoon());
  }

  #end(pipe: Pipe): void {
    this.#pipes.delete(pipe);
    pipe.client.destroy();
    pipe.server.destroy();
  }

  #take(pipe: Pipe, way: Way, bytes: Buffer): void {
    if (!this.#held) this.#look(pipe, way, bytes);
    if (!this.#held && !pipe.stranded) return this.#pass(pipe, way, bytes);
    pipe.waiting.push({ way, bytes });
    from(pipe, way).pause();
  }

  #look(pipe: Pipe, way: Way, bytes: Buffer): void {
    const watch = this.#watch;
    if (!watch || !this.#isReached(watch, pipe, way, bytes)) return;
    this.hold();
    this.#there = pipe;
    watch.stopped();
  }

  #isReached(watch: Watch, pipe: Pipe, way: Way, bytes: Buffer): boolean {
    const { sign, text } = watch;
    if (pipe.asked && way === 'answered') return true;
    if (pipe.side !== sign.side || way !== sign.way) return false;
    watch.count += text ? this.#matches(text, pipe, way, bytes) : bytes.length;
    if (watch.count < (sign.nth ?? 1)) return false;
    if (sign.unanswered) pipe.asked = true;
    return !sign.unanswered;
  }

  /** Matches that end in these bytes, whichever packet they began in. */
  #matches(text: RegExp, pipe: Pipe, way: Way, bytes: Buffer): number {
    const tail = pipe.tails[way], whole = tail + bytes.toString('latin1');
    pipe.tails[way] = whole.slice(-200);
    return [...whole.matchAll(text)].filter((match) => match.index + match[0].length > tail.length).length;
  }

  #flush(pipe: Pipe): void {
    for (const { way, bytes } of pipe.waiting.splice(0)) this.#take(pipe, way, bytes);
    if (pipe.waiting.length > 0) return;
    pipe.client.resume();
    pipe.server.resume();
  }

  #pass(pipe: Pipe, way: Way, bytes: Buffer): void {
    const [giver, taker] = way === 'asked' ? [pipe.client, pipe.server] : [pipe.server, pipe.client];
    if (taker.write(bytes)) return;
    giver.pause();
    taker.once('drain', () => { if (!this.#held) giver.resume(); });
  }
}

function from(pipe: Pipe, way: Way): Socket {
  return way === 'asked' ? pipe.client : pipe.server;
}

function serverOf(url: string): { readonly host: string; readonly port: number } | undefined {
  if (!/^\w+:\/\//.test(url)) return undefined;
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

/** The same database through a wire, which reads plain bytes only. */
function through(url: string, port: number): string {
  const wired = new URL(url);
  wired.host = `127.0.0.1:${port}`;
  if (wired.protocol.startsWith('postgres')) wired.searchParams.set('sslmode', 'disable');
  if (wired.protocol.startsWith('m') && !wired.protocol.startsWith('mongodb')) wired.searchParams.set('ssl-mode', 'DISABLED');
  if (wired.protocol.startsWith('mongodb')) wired.searchParams.set('directConnection', 'true');
  return wired.href;
}
