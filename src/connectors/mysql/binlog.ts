import ZongJi from '@vlasky/zongji';
import { randomInt } from 'node:crypto';
import { DsyncError, messageOf } from '../../errors.js';
import type { Position } from '../../contract.js';
import { errnoOf } from './faults.js';
import { filePlaceOf } from './places.js';
import type { Session } from './session.js';
import { tableMapOf, type TableMap } from './tablemap.js';

/** What the log tells, in its order. `end` is the offset after the event in its file, 0 where the server does not say. */
export type LogEvent =
  /** A transaction begins. `standalone`: it is one statement, and no commit follows. `prepares`: `XA PREPARE` ends it. */
  | { readonly kind: 'begin'; readonly gtid?: string; readonly standalone?: boolean; readonly prepares?: boolean }
  /** The columns of a chosen table's rows that follow. */
  | { readonly kind: 'map'; readonly map: TableMap }
  /** Rows of a chosen table: the event without its header. */
  | { readonly kind: 'rows'; readonly change: 'insert' | 'update' | 'delete'; readonly extra: boolean; readonly table: number; readonly body: Buffer }
  | { readonly kind: 'query'; readonly schema: string; readonly sql: string; readonly end: number; readonly at: number }
  | { readonly kind: 'commit'; readonly end: number; readonly at: number }
  /** `XA PREPARE`, or with `onePhase` a commit. */
  | { readonly kind: 'prepare'; readonly xid: string; readonly onePhase: boolean; readonly end: number; readonly at: number }
  | { readonly kind: 'file'; readonly name: string }
  /** The head of a file, which tells nothing, ended here. */
  | { readonly kind: 'passed'; readonly offset: number };

export interface Binlog {
  /** All events that are here, or none where none comes within `milliseconds`. Fails with what ended the stream, or the signal's reason. */
  take(signal: AbortSignal, milliseconds?: number): Promise<readonly LogEvent[]>;
  /** Did `take` hand out all that has come? */
  readonly drained: boolean;
  close(): void;
}

export interface BinlogOptions {
  readonly from: Position;
  /** Is this a table whose rows are wanted? Those of others are dropped undecoded. */
  readonly chosen: (schema: string, table: string) => boolean;
  /** The connection is paused while events of more than so many bytes wait. */
  readonly bytes: number;
}

/** What dsync uses of zongji 0.9.0 beyond its documented methods; the version is pinned, and the conformance tests notice a change. */
interface Machinery {
  ctrlConnection: unknown;
  connection: unknown;
  _establishConnection(): void;
  _isChecksumEnabled(next: (error: unknown, enabled?: boolean) => void): void;
  BinlogClass: { readonly prototype: { binlogData(packet: WirePacket, connection: unknown): unknown; onResult?: (error: unknown) => void } };
  on(event: 'error' | 'binlog' | 'ready', listener: (value: never) => void): void;
  start(options: object): void;
  stopped: boolean;
}

interface WirePacket { readonly buffer: Buffer; readonly offset: number; end: number; isEOF(): boolean; isError(): boolean }

/** What zongji makes of the events that it decodes for dsync. */
interface Decoded {
  readonly timestamp: number; readonly nextPosition: number; getTypeName(): string;
  readonly gtid?: string; readonly standalone?: boolean; readonly preparedXa?: boolean; readonly query?: string; readonly schema?: string; readonly binlogName?: string;
  readonly onePhase?: boolean; readonly xidFormatId?: number; readonly xidGtrid?: Buffer; readonly xidBqual?: Buffer;
}

const headBytes = 19;
const [formatDescription, tableMap] = [15, 19];
/** What else stands at the head of a file: the GTIDs of those before it, MySQL's and MariaDB's, and a checkpoint. */
const fileHeads = new Set([formatDescription, 35, 163, 161]);
const checksumBytes = 4;
/** Row events by their type: versions 1 and 2. */
const rowEvents = new Map<number, { readonly change: 'insert' | 'update' | 'delete'; readonly extra: boolean }>([
  [23, { change: 'insert', extra: false }], [24, { change: 'update', extra: false }], [25, { change: 'delete', extra: false }],
  [30, { change: 'insert', extra: true }], [31, { change: 'update', extra: true }], [32, { change: 'delete', extra: true }],
]);
const compressedRows = new Set([166, 167, 168, 169, 170, 171]);
/** MySQL's: parts of JSON values in place of rows, and a whole transaction as one compressed event. */
const [partialRows, compressedTransaction] = [39, 40];
const heartbeatSeconds = 5;
const silentSeconds = 20;

/**
 * Follows the binary log on `dump`, which serves nothing else from then on; `control` answers zongji's questions at the start.
 * zongji speaks the protocol and decodes what frames a transaction. Table maps and rows are taken as bytes: its own
 * decoder loses values (year 0, invalid enums, SRIDs, labels with commas) and mixes up columns after a geometry.
 */
export async function openBinlog(options: BinlogOptions, control: Session, dump: Session, signal: AbortSignal): Promise<Binlog> {
  const queue = queueOf(options.bytes, dump);
  const zongji = new ZongJi({}) as unknown as Machinery;
  const fail = (error: unknown) => queue.fail(logFault(error, dump));
  await prepare(dump, signal);
  zongji._establishConnection = () => {
    zongji.ctrlConnection = control.connection;
    zongji.connection = dump.connection;
  };
  // MySQL leaves the checksums out, whatever its files have, and MariaDB does not: they are taken off here, file by file.
  zongji._isChecksumEnabled = (next) => next(null, false);
  zongji.on('error', fail);
  zongji.on('binlog', (event: Decoded) => {
    const told = eventOf(event);
    if (told) queue.put(told, 200 + (event.query?.length ?? 0));
  });
  zongji.on('ready', () => takeRows(zongji, options.chosen, queue, fail));
  zongji.start({ serverId: randomInt(1 << 20, 2 ** 32 - 1), ...startOf(options.from), includeEvents: ['gtid', 'anonymousgtid', 'mariadbgtid', 'query', 'xid', 'xaprepare', 'rotate'] });
  return {
    take: queue.take,
    get drained() { return queue.drained; },
    close() {
      zongji.stopped = true;
      queue.close();
      dump.destroy();
    },
  };
}

async function prepare(dump: Session, signal: AbortSignal): Promise<void> {
  await dump.run(`SET @master_binlog_checksum = 'NONE', @source_binlog_checksum = 'NONE', @master_heartbeat_period = ${heartbeatSeconds}e9, @source_heartbeat_period = ${heartbeatSeconds}e9`, signal);
  // Two followers that chose one number would end each other; MySQL goes by this instead.
  if (dump.version.flavour === 'mysql') await dump.run('SET @slave_uuid = UUID(), @replica_uuid = @slave_uuid', signal);
}

function startOf(from: Position): object {
  const place = filePlaceOf(from);
  return place ? { filename: place.file, position: place.at } : { gtidSet: from };
}

/** zongji's command hands each packet to `binlogData` of its prototype: table maps and rows are kept from its decoder. */
function takeRows(zongji: Machinery, chosen: BinlogOptions['chosen'], queue: Queue, fail: (error: unknown) => void): void {
  const { prototype } = zongji.BinlogClass;
  const decode = prototype.binlogData;
  const wanted = new Set<number>();
  let summed = false;
  prototype.onResult = fail;
  prototype.binlogData = function (packet, connection) {
    queue.heard();
    if (packet.isEOF()) fail(new Error('the server ended the binary log\'s stream'));
    if (packet.isEOF() || packet.isError()) return decode.call(this, packet, connection);
    const { buffer } = packet, head = packet.offset + 1, type = buffer[head + 4];
    if (type === formatDescription) summed = buffer[packet.end - checksumBytes - 1] === 1;
    else if (summed) cutChecksum(packet, head);
    const { end } = packet;
    const body = () => buffer.subarray(head + headBytes, end);
    const rows = rowEvents.get(type);
    if (rows) {
      const table = buffer.readUIntLE(head + headBytes, 6);
      if (wanted.has(table)) queue.put({ kind: 'rows', ...rows, table, body: body() }, end - head);
    } else if (type === tableMap) {
      const map = tableMapOf(body());
      if (chosen(map.schema, map.table)) {
        wanted.add(map.id);
        queue.put({ kind: 'map', map }, end - head);
      } else wanted.delete(map.id);
    } else if (compressedRows.has(type)) {
      if (wanted.has(buffer.readUIntLE(head + headBytes, 6))) fail(unreadable('compressed rows', 'SET GLOBAL log_bin_compress = OFF'));
    } else if (type === partialRows) {
      if (wanted.has(buffer.readUIntLE(head + headBytes, 6))) fail(unreadable('parts of JSON values', "SET GLOBAL binlog_row_value_options = ''"));
    } else if (type === compressedTransaction) {
      // Whose rows are in it can't be seen.
      fail(unreadable('a compressed transaction', 'SET GLOBAL binlog_transaction_compression = OFF'));
    } else {
      if (fileHeads.has(type)) queue.put({ kind: 'passed', offset: buffer.readUInt32LE(head + 13) }, 0);
      return decode.call(this, packet, connection);
    }
    return prototype.binlogData;
  };
}

function unreadable(what: string, statement: string): DsyncError {
  return new DsyncError('refused', `the binary log holds ${what}, which dsync does not read: a session, or the server, was set so after this run began`, { remedy: `${statement}, let all clients connect again, then start over with a new run` });
}

/** The event's length stands at byte 9 of its header. */
function cutChecksum(packet: WirePacket, head: number): void {
  packet.end -= checksumBytes;
  packet.buffer.writeUInt32LE(packet.buffer.readUInt32LE(head + 9) - checksumBytes, head + 9);
}

function eventOf(event: Decoded): LogEvent | undefined {
  const { timestamp: at, nextPosition: end } = event;
  switch (event.getTypeName()) {
    case 'Gtid': return { kind: 'begin', gtid: event.gtid };
    case 'AnonymousGtid': return { kind: 'begin' };
    case 'MariadbGtid': return { kind: 'begin', gtid: event.gtid, standalone: event.standalone, prepares: event.preparedXa };
    case 'Query': return { kind: 'query', schema: event.schema ?? '', sql: event.query ?? '', end, at };
    case 'Xid': return { kind: 'commit', end, at };
    case 'XaPrepare': return { kind: 'prepare', xid: xidText(event), onePhase: event.onePhase === true, end, at };
    case 'Rotate': return { kind: 'file', name: event.binlogName ?? '' };
    default: return undefined;
  }
}

/** As `XA COMMIT X'61',X'',1` spells it, without the X. */
function xidText({ xidGtrid, xidBqual, xidFormatId }: Decoded): string {
  return `'${xidGtrid?.toString('hex')}','${xidBqual?.toString('hex')}',${xidFormatId}`;
}

/** The server's refusal to send the log, in dsync's words. */
function logFault(error: unknown, dump: Session): DsyncError {
  if (error instanceof DsyncError) return error;
  const number = errnoOf(error), text = messageOf(error);
  const known = dump.fault(error);
  if (number === undefined || number <= 0 || /same server_uuid|same server_id|server_uuid\/server_id/i.test(text)) return new DsyncError('source-lost', `the binary log's stream broke off: ${known.message}`, { cause: error });
  if (/max_allowed_packet|too large/i.test(text)) return new DsyncError('not-ready', `the binary log can't be sent: ${known.message}`, { cause: error, remedy: 'SET GLOBAL max_allowed_packet = 1073741824' });
  const purged = number === 1236 || number === 1789 || number === 1955 || number === 1945 || number === 1373;
  if (!purged) return known.code === 'internal' ? new DsyncError('source-lost', `the binary log's stream broke off: ${known.message}`, { cause: error }) : known;
  return new DsyncError('history-lost', `the binary log no longer reaches back to where this run left off: ${known.message}`, {
    cause: error, remedy: 'start over with a new run, and let the server keep its log for longer (binlog_expire_logs_seconds)',
  });
}

interface Queue {
  put(event: LogEvent, bytes: number): void;
  take: Binlog['take'];
  fail(error: DsyncError): void;
  /** Something came from the server. */
  heard(): void;
  close(): void;
  readonly drained: boolean;
}

/** Events that wait for the reader. The connection rests while they are more than `most` bytes, and is lost if the server falls silent. */
function queueOf(most: number, dump: Session): Queue {
  let events: LogEvent[] = [], bytes = 0, paused = false, failure: DsyncError | undefined, wake = () => {}, last = performance.now();
  const fail = (error: DsyncError) => { failure ??= error; wake(); };
  const offLost = dump.onLost(fail);
  const watch = setInterval(() => {
    if (!paused && performance.now() - last > silentSeconds * 1000) fail(new DsyncError('source-lost', `the server sent nothing for ${silentSeconds} s, not even a heartbeat`));
  }, heartbeatSeconds * 1000);
  watch.unref();
  return {
    put(event, size) {
      events.push(event);
      bytes += size;
      if (bytes > most && !paused) {
        paused = true;
        dump.connection.pause();
      }
      wake();
    },
    async take(signal, milliseconds) {
      const until = performance.now() + (milliseconds ?? Infinity);
      while (events.length === 0) {
        signal.throwIfAborted();
        if (failure) throw failure;
        if (performance.now() >= until) break;
        await woken(signal, until - performance.now(), (resolve) => { wake = resolve; });
      }
      signal.throwIfAborted();
      const taken = events;
      events = [];
      bytes = 0;
      last = performance.now();
      if (paused) {
        paused = false;
        dump.connection.resume();
      }
      return taken;
    },
    fail,
    heard() { last = performance.now(); },
    close() {
      clearInterval(watch);
      offLost();
    },
    get drained() { return events.length === 0; },
  };
}

function woken(signal: AbortSignal, milliseconds: number, wait: (wake: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = Number.isFinite(milliseconds) ? setTimeout(wake, milliseconds + 1) : undefined;
    signal.addEventListener('abort', wake, { once: true });
    wait(wake);
  });
}
