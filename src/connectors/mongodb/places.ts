import { createHash } from 'node:crypto';
import type { Position, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';

/** A moment of the cluster's clock: seconds since 1970, and a number within the second. */
export interface Time { readonly t: number; readonly i: number }

/** What a stream is opened on: all databases, one, or each collection by itself. */
export type Reach = 'deployment' | 'database' | 'collections';

/**
 * A place in the log. Every event up to `time`, that time included, is before it. `token` (Extended JSON) tells the server
 * more exactly where to go on; it is that of the last event, or of how far the server has read. `filter` is `filterOf` the
 * collections: absent while the place is one of the server's clock alone.
 */
export interface Spot {
  readonly time: Time;
  readonly reach?: Reach;
  readonly filter?: string;
  readonly token?: string;
  /** Several streams read by one process, which count their changes together. */
  readonly process?: string;
}

/** Which collections are followed, in 16 hex digits. */
export function filterOf(shapes: readonly Shape[]): string {
  const names = shapes.map(({ schema, name }) => JSON.stringify([schema, name])).sort();
  return createHash('sha256').update(names.join('\n')).digest('hex').slice(0, 16);
}

/** `1750000000.3`, `1750000000.3 database 0011223344556677 {"_data":"82…"}`, `1750000000.3 collections 0011223344556677 by amber`. */
export function spellSpot({ time, reach, filter, token, process }: Spot): Position {
  const where = reach === undefined ? '' : ` ${reach} ${filter}`;
  return `${time.t}.${time.i}${where}${token !== undefined ? ` ${token}` : process !== undefined ? ` by ${process}` : ''}`;
}

const pattern = /^(\d+)\.(\d+)(?: (deployment|database|collections) ([0-9a-f]{16})(?: (?:by (\w+)|(\{.*\})))?)?$/s;

export function parseSpot(position: Position): Spot {
  const [, t, i, reach, filter, process, token] = pattern.exec(position) ?? [];
  if (t === undefined) throw new DsyncError('usage', `not a place in MongoDB's log: ${position}`, { remedy: 'it is spelled SECONDS.NUMBER of a cluster time' });
  return {
    time: { t: Number(t), i: Number(i) },
    ...(reach !== undefined && { reach: reach as Reach, filter }), ...(token !== undefined && { token }), ...(process !== undefined && { process }),
  };
}

/** Is all that is before `goal` before `position`, too? Resume tokens of one moment sort as their text does, as the manual says of them. */
export function reached(position: Position, goal: Position): boolean {
  const [here, there] = [parseSpot(position), parseSpot(goal)], ahead = compareTimes(here.time, there.time);
  if (ahead !== 0 || here.token === undefined || there.token === undefined) return ahead >= 0;
  return here.token >= there.token;
}

export function compareTimes(a: Time, b: Time): number {
  return a.t - b.t || a.i - b.i;
}

export function timeBefore({ t, i }: Time): Time {
  return i > 0 ? { t, i: i - 1 } : { t: t - 1, i: 0xffff_ffff };
}

export function timeAfter({ t, i }: Time): Time {
  return { t, i: i + 1 };
}

/**
 * The clock in a resume token (Extended JSON), which begins with it: 0x82, then seconds and number, 32 bits each, big end
 * first (MongoDB's KeyString of a Timestamp). Undefined for a token of another form.
 */
export function timeInToken(token: string): Time | undefined {
  const [, t, i] = /^\{"_data":"82([0-9a-f]{8})([0-9a-f]{8})/i.exec(token) ?? [];
  return t === undefined ? undefined : { t: Number.parseInt(t, 16), i: Number.parseInt(i!, 16) };
}
