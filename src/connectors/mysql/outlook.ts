import type { Finding, LogLook, Position, Retention } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { openBinlog } from './binlog.js';
import { isOn, variables } from './check.js';
import { filePlaceOf, reached } from './places.js';
import type { Session } from './session.js';

export interface OutlookPorts {
  readonly control: Session;
  readonly open: (signal: AbortSignal) => Promise<Session>;
  readonly head: (signal: AbortSignal) => Promise<Position>;
}

interface LogFile { readonly name: string; readonly bytes: number }

/** How long the first event after a position is waited for. */
const eventMillis = 3000;

/** What can be told of the log files. What was seen of them is kept from call to call: a file's beginning, and when it was written to. */
export class Outlook {
  readonly #ports: OutlookPorts;
  readonly #beginnings = new Map<string, Position>();
  readonly #written = new Map<string, number>();
  /** By file: when it was written to for the last time, or a moment before that. Milliseconds since 1970. */
  readonly #alive = new Map<string, number>();

  constructor(ports: OutlookPorts) {
    this.#ports = ports;
  }

  /** Bytes of the log after a position; undefined where the position's file is gone. */
  async distance(position: Position, signal: AbortSignal): Promise<number | undefined> {
    const files = await this.#files(signal), at = await this.#fileOf(files, position, signal);
    return at < 0 ? undefined : this.#after(files.slice(at), position, signal);
  }

  /** A file goes when it was not written to for as long as the server keeps them. */
  async retention(position: Position, signal: AbortSignal): Promise<Retention> {
    const files = await this.#files(signal), at = await this.#fileOf(files, position, signal);
    if (at < 0) throw new DsyncError('history-lost', `the source's binary log no longer reaches back to ${position}`, { remedy: 'start over with a new run, and let the server keep its log for longer (binlog_expire_logs_seconds)' });
    const bytes = { bytes: await this.#after(files.slice(at), position, signal) };
    const kept = await keptSeconds(this.#ports.control, signal);
    if (kept === undefined) return bytes;
    if (at === files.length - 1) return { ...bytes, secondsLeft: kept };
    const alive = this.#alive.get(files[at].name) ?? await this.#firstAfter(position, files[at].name, signal);
    return alive === undefined ? bytes : { ...bytes, secondsLeft: Math.max(0, Math.round(kept - (Date.now() - alive) / 1000)), estimated: true };
  }

  async look(signal: AbortSignal): Promise<LogLook> {
    await this.#files(signal);
    const kept = await keptSeconds(this.#ports.control, signal);
    return {
      written: [...this.#written.values()].reduce((sum, bytes) => sum + bytes, 0), ...(kept !== undefined && { keptSeconds: kept }),
      heldBack: await heldBack(this.#ports.control, signal),
      snapshotHolds: 'InnoDB keeps the old version of every row that is changed meanwhile, in its undo log',
      lengthen: 'SET GLOBAL binlog_expire_logs_seconds = 604800',
    };
  }

  async #files(signal: AbortSignal): Promise<readonly LogFile[]> {
    const files = (await this.#ports.control.rows('SHOW BINARY LOGS', signal)).map(([name, bytes]) => ({ name: name!, bytes: Number(bytes) }));
    for (const { name, bytes } of files) this.#written.set(name, bytes);
    const last = files.at(-1);
    if (last) this.#alive.set(last.name, Date.now());
    return files;
  }

  async #after(files: readonly LogFile[], position: Position, signal: AbortSignal): Promise<number> {
    if (reached(position, await this.#ports.head(signal))) return 0;
    return Math.max(0, files.reduce((sum, file) => sum + file.bytes, 0) - (filePlaceOf(position)?.at ?? 0));
  }

  /** Which file has the position; -1 if none has. */
  async #fileOf(files: readonly LogFile[], position: Position, signal: AbortSignal): Promise<number> {
    const place = filePlaceOf(position);
    return place ? files.findIndex(({ name }) => name === place.file) : this.#holding(files, position, signal);
  }

  /** The newest file that begins at or before the position; -1 if none does. */
  async #holding(files: readonly LogFile[], position: Position, signal: AbortSignal): Promise<number> {
    for (let i = files.length - 1; i >= 0; i--) if (reached(position, await this.#beginning(files[i].name, signal))) return i;
    return -1;
  }

  async #beginning(file: string, signal: AbortSignal): Promise<Position> {
    const known = this.#beginnings.get(file);
    if (known !== undefined) return known;
    const { control } = this.#ports;
    const gtids = control.version.flavour === 'mariadb'
      ? (await control.rows(`SELECT BINLOG_GTID_POS('${file}', 4)`, signal))[0]?.[0]
      : (await control.rows(`SHOW BINLOG EVENTS IN '${file}' LIMIT 2`, signal)).find((event) => event[2] === 'Previous_gtids')?.[5];
    const found = (gtids ?? '').replace(/\s/g, '');
    this.#beginnings.set(file, found);
    return found;
  }

  /** The file was written to by then at least. */
  async #firstAfter(position: Position, file: string, signal: AbortSignal): Promise<number | undefined> {
    const [control, dump] = [await this.#ports.open(signal), await this.#ports.open(signal)], limit = AbortSignal.timeout(eventMillis);
    const log = await openBinlog({ from: position, chosen: () => false, bytes: 1 << 20 }, control, dump, signal);
    try {
      for (;;) {
        for (const event of await log.take(AbortSignal.any([signal, limit]))) {
          if (!('at' in event) || event.at === 0) continue;
          this.#alive.set(file, event.at);
          return event.at;
        }
      }
    } catch (error) {
      if (limit.aborted && !signal.aborted) return undefined;
      throw error;
    } finally {
      log.close();
      control.destroy();
    }
  }
}

/** Undefined where the server removes no log by itself. */
async function keptSeconds(control: Session, signal: AbortSignal): Promise<number | undefined> {
  const settings = await variables(control, ['binlog_expire_logs_seconds', 'expire_logs_days', 'binlog_expire_logs_auto_purge'], signal);
  if (settings.has('binlog_expire_logs_auto_purge') && !isOn(settings.get('binlog_expire_logs_auto_purge'))) return undefined;
  return Number(settings.get('binlog_expire_logs_seconds') ?? 0) || Math.round(Number(settings.get('expire_logs_days') ?? 0) * 86_400) || undefined;
}

const longSeconds = 300, longHistory = 1_000_000;

async function heldBack(control: Session, signal: AbortSignal): Promise<readonly Finding[]> {
  try {
    return [...await oldTransactions(control, signal), ...await longUndo(control, signal)];
  } catch (error) {
    if (!(error instanceof DsyncError && error.code === 'denied')) throw error;
    return [{ level: 'info', code: 'undo-unknown', message: 'what open transactions hold back can\'t be seen without the right PROCESS', remedy: 'GRANT PROCESS ON *.* TO the user' }];
  }
}

async function oldTransactions(control: Session, signal: AbortSignal): Promise<Finding[]> {
  const rows = await control.rows(`
    SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, CONVERT_TZ(trx_started, 'SYSTEM', '+00:00'), NOW()) FROM information_schema.innodb_trx
    WHERE trx_mysql_thread_id NOT IN (0, CONNECTION_ID()) AND CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') < NOW() - INTERVAL ${longSeconds} SECOND ORDER BY trx_started LIMIT 5`, signal);
  return rows.map(([id, seconds]) => ({
    level: 'warning', code: 'old-transaction', message: `the transaction of connection ${id} has been open for ${seconds} s: InnoDB keeps the old versions of rows for it`, remedy: `wait until it ends, or: KILL ${id}`,
  }));
}

async function longUndo(control: Session, signal: AbortSignal): Promise<Finding[]> {
  const [row] = await control.rows("SELECT `COUNT` FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len'", signal);
  return Number(row?.[0] ?? 0) < longHistory ? [] : [{
    level: 'warning', code: 'undo', message: `InnoDB keeps the old rows of ${row[0]} transactions already (history list length): reads get slower, and the undo log grows`, remedy: 'end old transactions (SELECT * FROM information_schema.innodb_trx ORDER BY trx_started), and wait until it shrinks',
  }];
}
