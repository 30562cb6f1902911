import type { Position } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { openBinlog } from './binlog.js';
import { filePlaceOf } from './places.js';
import type { Session } from './session.js';

/** `earlier`, `here`: identities. `at`: when the last transaction before `position` was committed, where that is known. */
export interface Succession { readonly earlier: string; readonly here: string; readonly position: Position; readonly at: number | undefined }

type Open = (signal: AbortSignal) => Promise<Session>;

/** How long the transaction at a position is waited for. */
const patienceMillis = 10_000;

/**
 * MariaDB's GTIDs (domain-server-sequence) name no server for good: two of one number count alike. A successor has each of the
 * position's in its log, and the last one was committed in the very second in which the earlier server committed it.
 */
export async function succeedsByDomains({ earlier, here, position, at }: Succession, { control, open }: { readonly control: Session; readonly open: Open }, signal: AbortSignal): Promise<boolean> {
  if (at === undefined || filePlaceOf(position) || !earlier.startsWith('mariadb:') || databaseOf(earlier) !== databaseOf(here)) return false;
  const gtids = position.split(',').map((gtid) => gtid.split('-')), [[log]] = await control.rows('SELECT @@global.gtid_binlog_state', signal);
  const logged = (log ?? '').split(',').map((gtid) => gtid.split('-'));
  const has = ([domain, server, sequence]: readonly string[]) => logged.some((own) => own[0] === domain && own[1] === server && BigInt(own[2]) >= BigInt(sequence));
  if (!gtids.every(has)) return false;
  for (const gtid of gtids) if ((await committedAt(gtid, position, open, signal)) === at) return true;
  return false;
}

/** What follows the last slash, after the data folder; nothing where the URL names no database. */
function databaseOf(identity: string): string {
  return identity.slice(identity.lastIndexOf('/') + 1);
}

/** When one of a position's transactions was committed, milliseconds since 1970: the log is read from the one before it. Undefined where it can't be. */
async function committedAt([domain, server, sequence]: readonly string[], position: Position, open: Open, signal: AbortSignal): Promise<number | undefined> {
  const gtid = `${domain}-${server}-${sequence}`, before = `${domain}-${server}-${BigInt(sequence) - 1n}`;
  const control = await open(signal), dump = await open(signal), until = Date.now() + patienceMillis;
  const log = await openBinlog({ from: position.split(',').map((one) => (one === gtid ? before : one)).join(','), chosen: () => false, bytes: 1 << 20 }, control, dump, signal);
  try {
    for (let begun: { readonly standalone?: boolean } | undefined; Date.now() < until;) {
      for (const event of await log.take(signal, until - Date.now())) {
        if (event.kind === 'begin') begun = event.gtid === gtid ? event : undefined;
        else if (begun && (event.kind === 'commit' || event.kind === 'prepare' || (event.kind === 'query' && (begun.standalone || /^COMMIT/i.test(event.sql))))) return event.at;
      }
    }
    return undefined;
  } catch (error) {
    // It is not in the log any more, or not there: nothing is proven.
    if (error instanceof DsyncError && ['history-lost', 'refused', 'not-ready'].includes(error.code)) return undefined;
    throw error;
  } finally {
    log.close();
    control.destroy();
  }
}
