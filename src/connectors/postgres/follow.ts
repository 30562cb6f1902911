import type { Change, FollowJob, LogMessage, Shape, Value } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { bytesOfChange } from '../../source/batches.js';
import { publicationOf } from './adopt.js';
import { serverError } from './failure.js';
import { Gathering } from './gathering.js';
import { lsnOf } from './lsn.js';
import type { Login } from './login.js';
import { decode, type Cells, type Message, type Relation } from './pgoutput.js';
import { refuseGiven } from './given.js';
import { findSlot, historyLost, inUse, type Keeping, type Slot } from './pin.js';
import { changeOf, compute, filled, follow as followed, refuseRenamed, type Followed } from './relations.js';
import { Session } from './session.js';
import { literal, quoted } from './sql.js';
import { WalStream } from './walsender.js';

export interface FollowOptions {
  readonly keeping: Keeping;
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
    await refuseGiven(aside, job.shapes, options.keeping, signal);
    const slot = await freeSlot(aside, job, options.keeping.slot, signal);
    sender = await Session.open({ ...login, replication: 'database' }, 'source', signal);
    await refuseForked(sender, job, lsnOf(slot.confirmed!), signal);
    const publication = options.keeping.ownPublication ? await publicationOf(aside, job, signal) : options.keeping.publication;
    stream = new WalStream(startSql(job, options.keeping.slot, publication), { bytes: job.bytes, confirmed: () => greater(options.confirmed(), lsnOf(slot.confirmed!)) });
    // The connection outlives an abort for as long as the last confirmation takes.
    const over = sender.run(stream, neverAborted).then(() => undefined, (error: unknown) => error);
    const reader = new Reader(aside, job);
    beating = heartbeat(aside, reader, options.heartbeatMillis);
    yield* messages(stream, reader, over, (error) => lost(job.run, options.keeping.slot, error), signal);
  } finally {
    clearInterval(beating);
    signal.removeEventListener('abort', stir);
    await stream?.leave();
    sender?.destroy();
    await aside.close();
  }
}

async function* messages(stream: WalStream, reader: Reader, over: Promise<unknown>, lostBy: (error: unknown) => DsyncError, signal: AbortSignal): AsyncGenerator<LogMessage> {
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
    } else if (!arrival && stream.ended) throw lostBy(await over);
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
  /** Tables that are further than the log, and where the transaction under way commits. */
  readonly #since: ReadonlyMap<string, bigint>;
  #commits = 0n;
  /** Rows that wait for cells that the server computes. */
  #waiting = new Map<Followed, { readonly rows: (Value | undefined)[][]; readonly texts: Cells[] }>();

  constructor(aside: Session, job: FollowJob) {
    this.#aside = aside;
    this.#job = job;
    this.#shapes = new Map(job.shapes.map((shape) => [shape.namespace, shape]));
    this.#since = new Map([...job.since ?? []].map(([namespace, position]) => [namespace, lsnOf(position)]));
    this.gathering = new Gathering({ lsn: lsnOf(job.from.position), changes: job.from.changes }, job.bytes);
  }

  /** Takes up one message. Returns a promise only where something must be asked of the server. */
  read(message: Message, signal: AbortSignal): Promise<void> | undefined {
    switch (message.tag) {
      case 'begin':
        this.#commits = message.commits;
        return void this.gathering.begin(message.at);
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
  }

  /** The table of a change that is to be given out; its shape goes before it. */
  #given(id: number): Followed | undefined {
    const table = this.#tables.get(id);
    if (!table || this.gathering.skips()) return undefined;
    const { shape } = table, since = this.#since.get(shape.namespace);
    if (since !== undefined && this.#commits < since) return undefined;
    if (this.#announced.get(shape.namespace) === shape) return table;
    this.gathering.announce(shape, shape !== this.#shapes.get(shape.namespace));
    this.#announced.set(shape.namespace, shape);
    this.#shapes.set(shape.namespace, shape);
    return table;
  }

  #change(arrived: Extract<Message, { tag: 'insert' | 'update' | 'delete' }>): void {
    const table = this.#given(arrived.relation);
    if (!table) return;
    const message = filled(arrived), change = changeOf(message, table);
    if (table.computed.length > 0) this.#await(table, message, change);
    this.gathering.add(change, bytesOfChange(change));
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
    const table = this.#given(id);
    if (!table) return;
    this.gathering.add({ kind: 'truncate', namespace: table.shape.namespace }, 64);
  }

  #commit(end: bigint, at: number): void {
    if (this.gathering.commit(end, at)) return;
    const { position, changes } = this.#job.from;
    throw new DsyncError('refused', `the transaction after ${position} has less than the ${changes} changes that were applied of it: the tables of the run are not those of the checkpoint`, { remedy: `go on with the same tables, or start the run ${this.#job.run} anew` });
  }
}

function startSql({ from }: FollowJob, slot: string, publication: string): string {
  return `START_REPLICATION SLOT ${quoted(slot)} LOGICAL ${from.position} (proto_version '1', publication_names ${literal(quoted(publication))})`;
}

/** The slot, if it reaches back so far. An earlier connection of ours may hold it for a moment. */
async function freeSlot(aside: Session, { run, from }: FollowJob, name: string, signal: AbortSignal): Promise<Slot> {
  const start = lsnOf(from.position);
  for (let attempt = 1;; attempt++) {
    const slot = await findSlot(aside, name, signal);
    if (!slot) throw historyLost(run, `the replication slot ${name} is not there`);
    if (slot.lost || slot.confirmed === undefined) throw historyLost(run, `the replication slot ${name} was invalidated`);
    if (lsnOf(slot.confirmed) > start) throw historyLost(run, `the replication slot ${name} was confirmed up to ${slot.confirmed}, and ${from.position} is asked for`);
    if (slot.activePid === undefined) return slot;
    if (attempt === 50) throw inUse(name, undefined, slot.activePid);
    await aside.query('SELECT pg_sleep(0.1)', signal);
  }
}

/**
 * After a failover the promoted server may lack what was applied already, and the changes that it makes in their stead would be
 * passed over as known. It has the old timeline up to the fork (PostgreSQL manual, "Streaming Replication Protocol":
 * TIMELINE_HISTORY). A slot that was confirmed after the fork was confirmed by a run that had gone on from there.
 */
async function refuseForked(sender: Session, { run, from }: FollowJob, confirmed: bigint, signal: AbortSignal): Promise<void> {
  const [[, timeline]] = await sender.query('IDENTIFY_SYSTEM', signal);
  if (timeline === '1') return;
  const [[, history]] = await sender.query(`TIMELINE_HISTORY ${timeline}`, signal);
  const [, fork] = /(?:^|\n)\d+\t([0-9A-F]+\/[0-9A-F]+)[^\n]*\n*$/i.exec(textOf(history!)) ?? [];
  if (fork === undefined || lsnOf(from.position) <= lsnOf(fork) || confirmed > lsnOf(fork)) return;
  throw new DsyncError('refused', `the source was promoted at ${fork} and lacks changes that this run has applied, up to ${from.position}: they were lost with the old server`, {
    remedy: `bring the old server back, or start over: dsync cleanup ${run}, then dsync sync --live; synchronized_standby_slots keeps a run from getting ahead of its standbys`,
  });
}

/** The history comes as text, or as bytea. */
function textOf(history: string): string {
  return history.startsWith('\\x') ? Buffer.from(history.slice(2), 'hex').toString('utf8') : history;
}

/**
 * Lets an idle slot move: a commit of ours, and, from 16 on, the record at which decoding may begin anew, which the server
 * writes by itself only every 15 s. What the user may not, or a standby can't, is left out: the log is read on as others write it.
 */
function heartbeat(aside: Session, reader: Reader, millis: number): NodeJS.Timeout {
  const beats = new Set(["SELECT pg_logical_emit_message(true, 'dsync', '')", 'SELECT pg_log_standby_snapshot()']);
  return setInterval(() => {
    if (performance.now() - reader.changedAt < millis) return;
    for (const beat of beats) aside.query(beat, neverAborted).catch(() => beats.delete(beat));
  }, millis);
}

function lost(run: string, slot: string, error: unknown): DsyncError {
  const said = serverError(error);
  if (said?.code === '55006') return inUse(slot, error);
  if (said && /^(42704|55000|58P01)$/.test(said.code)) return historyLost(run, said.message, error);
  if (error instanceof DsyncError && error.code !== 'source-lost') return error;
  return new DsyncError('source-lost', `the connection for the source's log was lost${error === undefined ? ': the server ended it' : ` (${said?.message ?? messageOf((error as DsyncError).cause ?? error)})`}`, { cause: error });
}

function greater(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
