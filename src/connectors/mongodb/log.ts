import { randomBytes } from 'node:crypto';
import { ReadPreference, type Document } from 'mongodb';
import type { ChangeLog, FollowJob, Moment, Shape, Snapshot } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { bufferOf } from '../../values/bson-bytes.js';
import { toExtendedJson } from '../../values/bson.js';
import { follow } from './follow.js';
import { parseExtendedJson } from './json.js';
import { checkLog } from './logcheck.js';
import { clockOf, isReplicated, isSharded, retention } from './oplog.js';
import { compareTimes, filterOf, parseSpot, reached, spellSpot, timeAfter, timeBefore, type Reach, type Spot, type Time } from './places.js';
import { hasSessions, type Session } from './session.js';
import { cursorsOf, Stream, Streams, type Listener, type Scope, type StreamPorts, type StreamSpec } from './stream.js';

/** Change streams. Nothing is made in the server: it keeps its oplog for as long as its own settings say. */
export function changeLog(session: Session, snapshot: (from: Time) => Snapshot): ChangeLog {
  const ports: StreamPorts = { open: cursorsOf(session), attempt: session.attempt, ...(!isReplicated(session) && { clock: (signal: AbortSignal) => clockOf(session, signal) }) };
  return {
    byKey: true,
    check: (shapes, signal) => checkLog(session, shapes, (inner) => reachOf(ports, session, shapes, inner), signal),
    async pin(_run, shapes, save, signal) {
      save({ names: [] });
      const reach = await reachOf(ports, session, shapes, signal), time = await clockOf(session, signal);
      const position = spellSpot({ time, reach, filter: filterOf(shapes) });
      const frozen = snapshot(time), moment: Moment = { ...frozen.moment, position };
      save({ names: [], position });
      return { ...frozen, moment };
    },
    follow: (job, signal) => follow(job, { listen: (one, inner) => listen(ports, session, one, inner), find: (shape, key, inner) => find(session, shape, key, inner) }, signal),
    async head(signal) {
      const time = await clockOf(session, signal);
      // Events of several shards may share a moment.
      return spellSpot({ time: isSharded(session) ? timeAfter(time) : time });
    },
    reached,
    confirm() {},
    retention: (_run, position, signal) => retention(session, parseSpot(position).time, signal),
    async unpin() {},
  };
}

// --- which streams -----------------------------------------------------------

/** The widest stream that these collections need; each by itself where no wider one is allowed. Opens them, and closes them again. */
async function reachOf(ports: StreamPorts, session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<Reach> {
  const from: Spot = { time: timeAfter(await clockOf(session, signal)) };
  for (const reach of reachesFor(session, shapes)) {
    const listeners = streamsOf(ports, shapes, { ...from, reach, filter: filterOf(shapes) }, { waitMillis: 1 });
    try {
      await Promise.all(listeners.map((one) => one.next(signal)));
      return reach;
    } catch (error) {
      if (reach === 'collections' || !(error instanceof DsyncError && error.code === 'denied')) throw error;
    } finally {
      for (const one of listeners) one.close();
    }
  }
  throw new DsyncError('internal', 'no change stream is wide enough');
}

function reachesFor(session: Session, shapes: readonly Shape[]): readonly Reach[] {
  if (shapes.length === 1 || !isReplicated(session)) return ['collections'];
  return [new Set(shapes.map(({ schema }) => schema)).size === 1 ? 'database' : 'deployment', 'collections'];
}

/** How long the server may wait where nothing comes: one of several streams keeps the others waiting. */
const [aloneMillis, togetherMillis] = [500, 100];

function streamsOf(ports: StreamPorts, shapes: readonly Shape[], from: Spot, how: { readonly waitMillis?: number; readonly since?: FollowJob['since'] } = {}): readonly Stream[] {
  const { process: _process, ...start } = from, several = from.reach === 'collections' && shapes.length > 1;
  const waitMillis = how.waitMillis ?? (several ? togetherMillis : aloneMillis);
  const stream = (scope: Scope, match?: StreamSpec['match'], at: Spot = start) => new Stream(ports, { scope, waitMillis, ...(match && { match }) }, at);
  switch (from.reach) {
    case 'deployment': return [stream({ on: 'deployment' }, matching(shapes))];
    case 'database': return [stream({ on: 'database', database: shapes[0]!.schema! }, matching(shapes))];
    default: return shapes.map((shape) => stream({ on: 'collection', database: shape.schema!, collection: shape.name }, undefined, laterOf(start, how.since?.get(shape.namespace))));
  }
}

/** Of a collection by itself nothing is heard before that position: neither its drop nor what ended its stream then. */
function laterOf(start: Spot, since: string | undefined): Spot {
  const time = since === undefined ? start.time : parseSpot(since).time;
  return compareTimes(time, start.time) > 0 ? { reach: start.reach, filter: start.filter, time } : start;
}

/** Events of these collections, whatever comes to bear one of their names, and what ends their database or the stream. */
export function matching(shapes: readonly Shape[]): Document {
  const databases = [...new Set(shapes.map(({ schema }) => schema!))];
  const named = (field: string) => databases.map((database) => ({ [`${field}.db`]: database, [`${field}.coll`]: { $in: shapes.filter(({ schema }) => schema === database).map(({ name }) => name) } }));
  return { $or: [...named('ns'), ...named('to'), { operationType: 'dropDatabase', 'ns.db': { $in: databases } }, { operationType: 'invalidate' }] };
}

/** The kind of stream is that of the place: a token of one is no place of another. */
async function listen(ports: StreamPorts, session: Session, { shapes, from: { position }, since }: FollowJob, signal: AbortSignal): Promise<Listener> {
  const filter = filterOf(shapes), place = placeFor(filter, parseSpot(position));
  const reach = place.reach ?? await reachOf(ports, session, shapes, signal), from: Spot = { ...place, reach, filter };
  const streams = streamsOf(ports, shapes, from, { since });
  return streams.length === 1 ? streams[0]! : new Streams(streams.map((stream, i) => named(stream, shapes[i]!)), from, randomBytes(4).toString('hex'));
}

/** A token is tied to the collections that it was made for: of a place of others only the time is good. All that shares it is told again. */
function placeFor(filter: string, { time, token, ...rest }: Spot): Spot {
  if (rest.filter === undefined || rest.filter === filter) return { time, ...(token !== undefined && { token }), ...rest };
  return { time: token === undefined ? time : timeBefore(time) };
}

/** A server that watches one collection may not say which. */
function named(stream: Listener, { schema, name }: Shape): Listener {
  const on = { database: schema!, collection: name };
  return {
    async next(signal) {
      const { heard, ...rest } = await stream.next(signal);
      return { ...rest, heard: heard.map((one) => (one.event.on ? one : { ...one, event: { ...one.event, on } })) };
    },
    close: () => stream.close(),
  };
}

/** As the majority has it: what could be rolled back is not in the log either. */
async function find(session: Session, { schema, name, namespace }: Shape, key: Buffer, signal: AbortSignal): Promise<Buffer | undefined> {
  const { client, hello } = session, id = parseExtendedJson(toExtendedJson(key)) as { list: readonly (readonly [string, unknown])[] };
  const [, value] = id.list.find(([field]) => field === '_id')!;
  const majority = hasSessions(hello) && { readConcern: { level: 'majority' as const } };
  const found = await session.attempt(`looking into ${namespace}`, signal, () => client.db(schema).collection(name).findOne({ _id: { $eq: value } } as Document, { raw: true, signal, readPreference: ReadPreference.primary, ...majority })) as unknown as Uint8Array | null;
  return found ? bufferOf(found) : undefined;
}
