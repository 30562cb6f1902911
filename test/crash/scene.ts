import { BSON, type Document } from 'mongodb';
import { describe, expect } from 'vitest';
import { serverFor, skipReason, skipReasonOfOwn, type ServerName } from '../servers/index.js';
import { Command, type Running } from './command.js';
import { cellsOfDocuments, openEnd, type Cells, type EndName, type MongoEnd, type SqlEnd, type Table } from './ends.js';
import { faultsOf } from './equal.js';
import { tablesOf } from './tables.js';
import { Wires, type Sign } from './wires.js';
import { startWriter, type Writer } from './writer.js';

/** Where a run is stopped: these signs one after the other; `says` is a word of dsync's own log. */
export type Point = readonly (Sign | { readonly says: RegExp })[];

export interface SceneOptions {
  readonly rows?: number;
  /** Bytes of an item. */
  readonly width?: number;
  readonly flags?: readonly string[];
  /** Servers other than the shared ones. */
  readonly sourceServer?: string;
  readonly destinationServer?: string;
}

/** Small batches and little memory: there is something to interrupt. */
const usualFlags = ['--batch-size', '300 rows,256KB', '--memory', '4MB', '--concurrency', '3'];

/** A filled source, an empty destination, wires between them and dsync, and the command that knows both. */
export class Scene implements AsyncDisposable {
  readonly source: SqlEnd | MongoEnd;
  readonly destination: SqlEnd | MongoEnd;
  readonly wires: Wires;
  readonly command: Command;
  readonly tables: readonly Table[];
  readonly rows: number;
  readonly #open: AsyncDisposable[];

  private constructor(source: SqlEnd | MongoEnd, destination: SqlEnd | MongoEnd, wires: Wires, flags: readonly string[], tables: readonly Table[], open: AsyncDisposable[]) {
    [this.source, this.destination, this.wires, this.tables, this.#open] = [source, destination, wires, tables, open];
    this.command = new Command(wires, flags);
    this.rows = tables[0]!.count;
  }

  static async set(from: EndName, to: EndName, { rows = 16_000, width = 1_000, flags = usualFlags, sourceServer, destinationServer }: SceneOptions = {}): Promise<Scene> {
    const open: AsyncDisposable[] = [];
    const opened = <T extends AsyncDisposable>(one: T): T => { open.unshift(one); return one; };
    try {
      const source = opened(await openEnd(from, sourceServer ?? urlOf(from))), destination = opened(await openEnd(to, destinationServer ?? urlOf(to)));
      const tables = tablesOf({ rows, width }, from === 'mongodb');
      await source.fill(tables);
      return new Scene(source, destination, opened(await Wires.between(source.url, destination.url)), flags, tables, open);
    } catch (error) {
      await disposeAll(open);
      throw error;
    }
  }

  /** A client that works on the source from now on. */
  async write(seed = 1): Promise<Writer> {
    const writer = await startWriter(this.source, this.rows, seed);
    this.#open.unshift(writer);
    return writer;
  }

  /** Stops the wires there; what follows is up to the caller. Fails if dsync ends before. */
  async stopAt(running: Running, point: Point): Promise<void> {
    const tooEarly = running.ended.then(({ by, stderr }) => { throw new Error(`dsync ended (${by}) before it came to ${JSON.stringify(point.map(String))}:\n${stderr}`); });
    tooEarly.catch(() => { /* it ends later, as it should */ });
    for (const [i, sign] of point.entries()) {
      const reached = 'says' in sign ? running.says(sign.says) : this.wires.stopAt(sign);
      if (i > 0 && !('says' in point[i - 1]!)) this.wires.release();
      await Promise.race([reached, tooEarly]);
    }
  }

  /** SIGKILL at this very point, not a byte later. */
  async killAt(running: Running, point: Point): Promise<void> {
    await this.stopAt(running, point);
    running.kill('SIGKILL');
    expect((await running.ended).by).toBe('SIGKILL');
    this.wires.release();
  }

  /** Asks both databases by their drivers: 0 missing, 0 twice, 0 stale, and nothing that the source hasn't. */
  async expectEqual(tables = this.tables): Promise<void> {
    for (const table of tables) {
      const [from, to] = [await this.source.contents(table), await this.#arrived(table)];
      expect(faultsOf(table, from, to), `${table.name}: ${from.length} rows in the source, ${to.length} in the destination`).toEqual({ missing: [], twice: [], stale: [], extra: [] });
    }
  }

  /** A collection becomes a table of documents as Extended JSON. */
  async #arrived(table: Table): Promise<readonly Cells[]> {
    const { source, destination } = this;
    if (source.name !== 'mongodb' || destination.name === 'mongodb') return destination.contents(table);
    const rows = await (destination as SqlEnd).query(`SELECT document FROM ${table.name}`);
    return cellsOfDocuments(table, rows.map(({ document }) => BSON.EJSON.parse(document!) as Document));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.command[Symbol.dispose]();
    await disposeAll(this.#open);
  }
}

const urlOf = (name: EndName): string | undefined => (name === 'sqlite' ? undefined : serverFor(name)?.url);

async function disposeAll(open: readonly AsyncDisposable[]): Promise<void> {
  for (const one of open) await one[Symbol.asyncDispose]();
}

/** `describe`, skipped with the reason in its title where one of the ends can't be had. */
export function describeEnds(names: readonly EndName[], title: string, tests: () => void, options: { readonly own?: boolean } = {}): void {
  const servers = names.filter((name): name is ServerName => name !== 'sqlite');
  const reason = servers.map((name) => (options.own ? skipReasonOfOwn(name) : skipReason(name))).find(Boolean);
  if (reason) describe.skip(`${title} (skipped: ${reason.split('\n')[0]})`, tests);
  else describe(title, tests);
}
