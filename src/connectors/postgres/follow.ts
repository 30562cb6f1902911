import type { Change, FollowJob, LogMessage, LogRow, Shape, Value } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { bytesOfRow } from '../../source/batches.js';
import { publicationOf } from './adopt.js';
import { serverError } from './failure.js';
import { Gathering } from './gathering.js';
import { lsnOf } from './lsn.js';
import type { Login } from './login.js';
import { decode, type Cells, type Message, type Relation } from './pgoutput.js';
import { findSlot, historyLost, inUse, pinName, type Slot } from './pin.js';
import { changeOf, compute, filled, follow as followed, refuseRenamed, type Followed } from './relations.js';
import { Session } from './session.js';
import { literal, quoted } from './sql.js';
import { WalStream } from './walsender.js';

export interface FollowOptions {
  /** How far the log may go: what was confirmed, as a number. */
  readonly confirmed: () => bigint;
  /** After so long without a change of ours something is written to the log, so that it is read on. */
  readonly heartbeatMillis: number;
}

const neverAborted = new AbortController().signal;

/** An abort ends it by the signal's own reason, whatever was under way. */
export async function* follow(login: Login, job: FollowJob, options: FollowOptions, signal: AbortSignal): AsyncGenerator<LogMessage> {
  try {
    yield* connected(login, job, options, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

/** One walsender for the changes, and a session beside it for what the log does not tell. */
async function* connected(login: Login, job: FollowJob, options: FollowOptions, signal: AbortSignal): AsyncGenerator<LogMessage> {
  const aside = await Session.open(login, 'source', signal);
  let sender: Session | undefined, stream: WalStream | undefined, beating: NodeJS.Timeout | undefined;
  const stir = () => stream?.stir();
  signal.addEventListener('abort', stir);
  try {
    const slot = await freeSlot(aside, job, signal);
    sender = await Session.open({ ...login, replication: 'database' }, 'source', signal);
    stream = new WalStream(startSql(job, await publicationOf(aside, job, signal)), { bytes: job.bytes, confirmed: () => greater(options.confirmed(), lsnOf(slot.confirmed!)) });
    // The connection outlives an abort for as long as the last confirmation takes.
    const over = sender.run(stream, neverAborted).then(() => undefined, (error: unknown) => error);
    const reader = new Reader(aside, job);
    beating = heartbeat(aside, reader, options.heartbeatMillis);
    yield* messages(stream, reader, over, job, signal);
  } finally {
    clearInterval(beating);
    signal.removeEventListener('abort', stir);
    await stream?.leave();
    sender?.destroy();
    await aside.close();
  }
}

async function* messages(stream: WalStream, reader: Reader, over: Promise<unknown>, { run }: FollowJob, signal: AbortSignal): AsyncGenerator<LogMessage> {
  const { gathering } = reader;
  for (;;) {
    signal.throwIfAborted();
    const arrival = stream.shift();
    const asked = arrival?.kind === 'message' ? reader.read(decode(arrival.bytes), signal) : undefined;
    if (asked) await asked;
    if (arrival?.kind === 'end') gathering.reached(arrival.position, arrival.at);
    const message = gathering.take() ?? (arrival ? undefined : gathering.settled());
    if (message) {
      await reader.complete(signal);
      yield message;
    } else if (!arrival && stream.ended) throw lost(run, await over);
    else if (!arrival) await stream.more(gathering.patience);
  }
}

/** Makes changes of messages. */
class Reader {
  readonly gathering: Gathering;
  /** When a change of ours came last, by `performance.now()`. */
  changedAt = performance.now();
  readonly #aside: Session;
  readonly #job: FollowJob;
  readonly #tables = new Map<number, Followed | undefined>();
  readonly #shapes: Map<string, Shape>;
  readonly #announced = new Map<string, Shape>();
  /** Rows that wait for cells that the server computes. */
  #waiting = new Map<Followed, { readonly rows: (Value | undefined)[][]; readonly texts: Cells[] }>();

  constructor(aside: Session, job: FollowJob) {
    this.#aside = aside;
    this.#job = job;
    this.#shapes = new Map(job.shapes.map((shape) => [shape.namespace, shape]));
    this.gathering = new Gathering({ lsn: lsnOf(job.from.position), changes: job.from.changes }, job.bytes);
  }

  /** Takes up one message. Returns a promise only where something must be asked of the server. */
  read(message: Message, signal: AbortSignal): Promise<void> | undefined {
    switch (message.tag) {
      case 'begin': return void this.gathering.begin(message.at);
      case 'commit': return void this.#commit(message.end, message.at);
      case 'relation': return this.#relation(message.relation, signal);
      case 'truncate': return void message.relations.forEach((id) => this.#truncate(id));
      case 'insert': case 'update': case 'delete': return void this.#change(message);
      case 'other': return undefined;
      default: return message satisfies never;
    }
  }

  /** Fills in the cells that the log does not have, before their rows are given out. */
  async complete(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size === 0) return;
    const waiting = this.#waiting;
    this.#waiting = new Map();
    for (const [table, { rows, texts }] of waiting) await compute(this.#aside, table, rows, texts, signal);
  }

  async #relation(relation: Relation, signal: AbortSignal): Promise<void> {
    const earlier = this.#tables.get(relation.id);
    const namespace = earlier?.shape.namespace ?? `${relation.schema}.${relation.name}`;
    const known = this.#shapes.get(namespace);
    if (!known) {
      await refuseRenamed(this.#aside, relation, this.#job.shapes, signal);
      return void this.#tables.set(relation.id, undefined);
    }
    await this.complete(signal);
    const table = await followed(this.#aside, relation, known, signal);
    this.#tables.set(relation.id, table);
    if (this.#announced.get(namespace) === table.shape) return;
    this.gathering.announce(table.shape, table.shape !== known);
    this.#announced.set(namespace, table.shape);
    this.#shapes.set(namespace, table.shape);
  }

  #change(arrived: Extract<Message, { tag: 'insert' | 'update' | 'delete' }>): void {
    const table = this.#tables.get(arrived.relation);
    if (!table || this.gathering.skips()) return;
    const message = filled(arrived), change = changeOf(message, table);
    if (table.computed.length > 0) this.#await(table, message, change);
    this.gathering.add(change, bytesOf(change));
    this.changedAt = performance.now();
  }

  #await(table: Followed, message: Extract<Message, { tag: 'insert' | 'update' | 'delete' }>, change: Change): void {
    const waiting = this.#waiting.get(table) ?? { rows: [], texts: [] };
    this.#waiting.set(table, waiting);
    if ('row' in message && 'row' in change) {
      waiting.rows.push(change.row as (Value | undefined)[]);
      waiting.texts.push(message.row);
    }
  }

  #truncate(id: number): void {
    const table = this.#tables.get(id);
    if (!table || this.gathering.skips()) return;
    this.gathering.add({ kind: 'truncate', namespace: table.shape.namespace }, 64);
  }

  #commit(end: bigint, at: number): void {
    if (this.gathering.commit(end, at)) return;
    const { position, changes } = this.#job.from;
    throw new DsyncError('refused', `the transaction after ${position} has less than the ${changes} changes that were applied of it: the tables of the run are not those of the checkpoint`, { remedy: `go on with the same tables, or start the run ${this.#job.run} anew` });
  }
}

function bytesOf(change: Change): number {
  const of = (row: LogRow) => bytesOfRow(row as readonly Value[]);
  return 64 + ('row' in change ? of(change.row) : 0) + ('before' in change && change.before ? of(change.before) : 0);
}

function startSql({ run, from }: FollowJob, publication: string): string {
  return `START_REPLICATION SLOT ${quoted(pinName(run))} LOGICAL ${from.position} (proto_version '1', publication_names ${literal(publication)})`;
}

/** The slot, if it reaches back so far. An earlier connection of ours may hold it for a moment. */
async function freeSlot(aside: Session, { run, from }: FollowJob, signal: AbortSignal): Promise<Slot> {
  const start = lsnOf(from.position), name = pinName(run);
  for (let attempt = 1;; attempt++) {
    const slot = await findSlot(aside, run, signal);
    if (!slot) throw historyLost(run, `the replication slot ${name} is not there`);
    if (slot.lost || slot.confirmed === undefined) throw historyLost(run, `the replication slot ${name} was invalidated`);
    if (lsnOf(slot.confirmed) > start) throw historyLost(run, `the replication slot ${name} was confirmed up to ${slot.confirmed}, and ${from.position} is asked for`);
    if (slot.activePid === undefined) return slot;
    if (attempt === 50) throw inUse(name, undefined, slot.activePid);
    await aside.query('SELECT pg_sleep(0.1)', signal);
  }
}

/** Where the user may not, the log is read on as other programs write it. */
function heartbeat(aside: Session, reader: Reader, millis: number): NodeJS.Timeout {
  const timer = setInterval(() => {
    if (performance.now() - reader.changedAt < millis) return;
    aside.query("SELECT pg_logical_emit_message(true, 'dsync', '')", neverAborted).catch(() => clearInterval(timer));
  }, millis);
  return timer;
}

function lost(run: string, error: unknown): DsyncError {
  const said = serverError(error);
  if (said?.code === '55006') return inUse(pinName(run), error);
  if (said && /^(42704|55000|58P01)$/.test(said.code)) return historyLost(run, said.message, error);
  if (error instanceof DsyncError && error.code !== 'source-lost') return error;
  return new DsyncError('source-lost', `the connection for the source's log was lost${error === undefined ? ': the server ended it' : ` (${said?.message ?? messageOf((error as DsyncError).cause ?? error)})`}`, { cause: error });
}

function greater(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
