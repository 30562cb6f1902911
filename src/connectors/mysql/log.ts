import type { ChangeLog, Moment, Position, Shape, Snapshot } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { follow } from './follow.js';
import { checkLog } from './logcheck.js';
import { Outlook } from './outlook.js';
import { succeedsByDomains, type Succession } from './succession.js';
import { filePlaceOf, reached } from './places.js';
import type { Session } from './session.js';
import { binlogPlace } from './snapshot.js';

export interface LogPorts {
  readonly control: Session;
  readonly open: (signal: AbortSignal) => Promise<Session>;
  readonly identity: (signal: AbortSignal) => Promise<string>;
  readonly snapshot: (shapes: readonly Shape[], signal: AbortSignal) => Promise<Snapshot>;
}

/** The binary log. Nothing is made in the server: it keeps its log for as long as its own settings say. */
export function changeLog({ control, open, identity, snapshot }: LogPorts): ChangeLog {
  // A server may begin to count GTIDs while a run goes by file and offset: its goals are told in the run's own kind.
  let byFile = false;
  const noted = (position: Position): Position => {
    byFile = filePlaceOf(position) !== undefined;
    return position;
  };
  const outlook = new Outlook({ control, open, head: (signal) => head(control, byFile, signal) });
  return {
    check: (shapes, signal) => checkLog(control, shapes, signal),
    async pin(_run, shapes, save, signal) {
      save({ names: [] });
      const frozen = await snapshot(shapes, signal);
      try {
        save({ names: [], position: noted(exactPosition(frozen.moment)) });
        return frozen;
      } catch (error) {
        await frozen[Symbol.asyncDispose]();
        throw error;
      }
    },
    async adopt(_run, _shapes, from, save, signal) {
      await refuseUnknown(control, noted(from), signal);
      save({ names: [], position: from });
    },
    follow(job, signal) {
      noted(job.from.position);
      return follow(job, { open, head: (session, inner) => head(session, byFile, inner) }, signal);
    },
    head: (signal) => head(control, byFile, signal),
    reached,
    succeeds: async (earlier, position, at, signal) => succeeds({ earlier, here: await identity(signal), position, at }, { control, open }, signal),
    distance: (position, signal) => outlook.distance(position, signal),
    confirm() {},
    retention: (_run, position, signal) => outlook.retention(position, signal),
    look: (signal) => outlook.look(signal),
    async unpin() {},
  };
}

/** Is it a place in this server's log that is there already? Whether the log still reaches back to it, following tells. */
async function refuseUnknown(session: Session, from: Position, signal: AbortSignal): Promise<void> {
  const file = filePlaceOf(from), gtids = session.version.flavour === 'mariadb' ? /^\d+-\d+-\d+(,\d+-\d+-\d+)*$/ : /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}(:[\w-]+)+(,[\da-f-]{36}(:[\w-]+)+)*$/i;
  const end = await head(session, file !== undefined, signal);
  if (!file && !gtids.test(from)) throw new DsyncError('usage', `'${from}' is no position in the log of ${session.version.text}`, { remedy: `write it as the server does: its log is at ${end} now` });
  if (!file && filePlaceOf(end)) throw new DsyncError('usage', `the server counts no GTIDs, and '${from}' is one`, { remedy: `name a file and an offset: its log is at ${end} now` });
  if (!reached(end, from)) throw new DsyncError('usage', `the source's log has not come to ${from} yet: it is at ${end}`);
}

function exactPosition({ exact, position, how }: Moment): Position {
  if (exact && position !== undefined) return position;
  throw new DsyncError('not-ready', exact ? `the snapshot's place in the binary log can't be had (${how})` : `the snapshot is not of one moment (${how}): the changes after it can't be told`, {
    remedy: 'turn the binary log on, GRANT RELOAD, REPLICATION CLIENT ON *.* to the user (MariaDB: RELOAD, BINLOG MONITOR), and leave out tables without transactions',
  });
}

/** A replica of the very server that is meant: it has all of its transactions that were applied, and keeps those that were not. */
function succeeds(succession: Succession, ports: Pick<LogPorts, 'control' | 'open'>, signal: AbortSignal): Promise<boolean> {
  return ports.control.version.flavour === 'mariadb' ? succeedsByDomains(succession, ports, signal) : succeedsByUuid(ports.control, succession, signal);
}

async function succeedsByUuid(control: Session, { earlier, here, position }: Succession, signal: AbortSignal): Promise<boolean> {
  const [[, server, database] = [], [, , own] = []] = [earlier, here].map((text) => /^mysql:([0-9a-f-]{36})(.*)$/.exec(text) ?? []);
  if (server === undefined || database !== own || filePlaceOf(position) || !position.includes(server)) return false;
  const [[on, ...sets]] = await control.rows("SELECT @@global.gtid_mode = 'ON', @@global.gtid_purged, @@global.gtid_executed", signal), [purged, executed] = sets.map((set) => set!.replace(/\s/g, ''));
  return on === '1' && reached(position, purged) && reached(executed, position);
}

/** A GTID set where the server has one, else, or if it is asked for, `file:offset`. */
async function head(session: Session, byFile: boolean, signal: AbortSignal): Promise<Position> {
  const gtids = session.version.flavour === 'mariadb' ? '@@global.gtid_binlog_pos' : "IF(@@global.gtid_mode = 'ON', @@global.gtid_executed, '')";
  const [[set]] = await session.rows(`SELECT ${gtids}`, signal);
  const position = set && !byFile ? set.replace(/\s/g, '') : await binlogPlace(session, signal);
  if (position === undefined) throw new DsyncError('not-ready', 'the server does not tell where its binary log ends', { remedy: 'turn the binary log on, and GRANT REPLICATION CLIENT (MariaDB: BINLOG MONITOR) ON *.* to the user' });
  return position;
}
