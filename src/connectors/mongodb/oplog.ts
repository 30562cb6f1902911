import { ReadPreference, Timestamp, type Document } from 'mongodb';
import { DsyncError } from '../../errors.js';
import { compareTimes, spellSpot, type Time } from './places.js';
import { helloOf, ifSupported, type Session } from './session.js';

export const tooShort = 'start over with a new run (dsync cleanup, then dsync sync --live), and keep more of the oplog before: db.adminCommand({ replSetResizeOplog: 1, size: MEGABYTES, minRetentionHours: HOURS })';

export const isSharded = ({ hello }: Session): boolean => hello.msg === 'isdbgrid';

/** What is neither member of a replica set nor a router has no change streams, unless it only speaks MongoDB's protocol. */
export const isReplicated = (session: Session): boolean => session.hello.setName !== undefined || isSharded(session);

/** The moment of the last operation that the server knows of. */
export async function clockOf(session: Session, signal: AbortSignal): Promise<Time> {
  const { client } = session;
  return session.attempt("reading the cluster's clock", signal, async () => {
    const hello = await helloOf(client) as Document, now = hello['operationTime'] as Timestamp | undefined;
    if (now) return { t: now.getHighBitsUnsigned(), i: now.getLowBitsUnsigned() };
    return (await edgeOf(session, -1, signal)) ?? { t: Math.floor((hello['localTime'] as Date).getTime() / 1000), i: 0 };
  });
}

/** The first entry's moment (1), or the last one's (-1), where the oplog may be read. */
async function edgeOf({ client }: Session, order: 1 | -1, signal: AbortSignal): Promise<Time | undefined> {
  const entries = await ifSupported(client.db('local').collection('oplog.rs').find({}, { signal, readPreference: ReadPreference.primary }).sort({ $natural: order }).limit(1).project({ ts: 1 }).toArray());
  const at = entries?.[0]?.['ts'] as Timestamp | undefined;
  return at && { t: at.getHighBitsUnsigned(), i: at.getLowBitsUnsigned() };
}

interface Oplog { readonly first: Time; readonly last: Time; readonly size: number; readonly largest: number }

/** Undefined where it may not be read, or is no ring of a fixed size. */
async function oplogOf(session: Session, signal: AbortSignal): Promise<Oplog | undefined> {
  if (isSharded(session)) return undefined;
  const [first, last, stats] = await session.attempt('reading the oplog', signal, () => Promise.all([
    edgeOf(session, 1, signal), edgeOf(session, -1, signal), ifSupported(session.client.db('local').command({ collStats: 'oplog.rs' }, { signal })),
  ]));
  const size = Number(stats?.['size']), largest = Number(stats?.['maxSize']);
  return first && last && size >= 0 && largest > 0 ? { first, last, size, largest } : undefined;
}

/** How long an entry stays, if the log goes on growing as it did. */
const secondsKept = ({ first, last, size, largest }: Oplog): number => ((last.t - first.t) * Math.max(size, largest)) / Math.max(1, size);

export async function oplogHours(session: Session, signal: AbortSignal): Promise<number | undefined> {
  const oplog = await oplogOf(session, signal);
  return oplog && secondsKept(oplog) / 3600;
}

/** By the average of the whole oplog: it tells no more. Fails with `history-lost` where it begins after the place. */
export async function retention(session: Session, time: Time, signal: AbortSignal): Promise<{ readonly bytes?: number; readonly secondsLeft?: number }> {
  const oplog = await oplogOf(session, signal);
  if (!oplog) return {};
  const { first, last, size } = oplog;
  if (compareTimes(first, time) > 0) throw new DsyncError('history-lost', `the oplog begins at ${spellSpot({ time: first })}, after ${spellSpot({ time })}, where this run stands`, { remedy: tooShort });
  const behind = Math.max(0, last.t - time.t);
  return { bytes: Math.round((size * behind) / Math.max(1, last.t - first.t)), secondsLeft: Math.max(0, Math.round(secondsKept(oplog) - behind)) };
}
