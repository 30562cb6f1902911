import type { Part, Rejected } from '../contract.js';
import type { Means } from './means.js';
import type { Mended } from './mend.js';
import { isEqual, type Look } from './part.js';
import type { Table } from './scan.js';

/** One table on its way to a verdict. */
export interface Course {
  readonly table: Table;
  readonly parts: readonly Part[];
  /** What the latest look at each part found, and the one before it. */
  readonly found: Map<Part, Look>;
  readonly before: Map<Part, Look>;
  /** Parts whose rows were read, and why their digests were not had, where a server said so. */
  readonly read: Map<Part, string | undefined>;
  readonly startedAt: number;
  /** Remembers a row that could not be mended. */
  readonly rejected: (row: Rejected) => void;
  /** How it is compared; absent before the first look. */
  means?: Means;
  /** Parts to look at next. */
  pending: readonly Part[];
  /** Mending changed nothing. */
  stuck: boolean;
  /** What differs may yet change by itself: the next look waits a little. */
  settling: boolean;
  /** The table is to be copied anew before the next look. */
  recopy: boolean;
  recopies: number;
}

export interface Verdict { readonly result: 'equal' | 'different' | 'not-comparable'; readonly reason?: string; /** List only what two looks found alike. */ readonly persisting?: boolean }

export interface Circumstances {
  /** No look may follow. */
  readonly last: boolean;
  /** Both sides show one moment. */
  readonly exact: boolean;
  /** Tables without a key can be copied anew. */
  readonly recopies: boolean;
}

const mostRecopies = 3;

export function beginning(table: Table, parts: readonly Part[], rejected: Course['rejected']): Course {
  return {
    table, parts, rejected, found: new Map(), before: new Map(), read: new Map(), startedAt: performance.now(),
    pending: parts, stuck: false, settling: false, recopy: false, recopies: 0,
  };
}

/** Takes note of what a look at a part found. Of all parts together, the first `listed` differences are kept. */
export function saw(course: Course, part: Part, look: Look, listed: number): void {
  const { found, before, parts } = course, earlier = found.get(part);
  if (earlier) before.set(part, earlier);
  found.set(part, look);
  if (look.read) course.read.set(part, look.read.failure);
  if (look.listed.length === 0) return;
  let room = listed;
  for (const each of parts) {
    const one = found.get(each);
    if (one && one.listed.length > room) found.set(each, { ...one, listed: one.listed.slice(0, room) });
    room -= Math.min(room, one?.listed.length ?? 0);
  }
}

/** Has it a key to mend by, and was mending of use? */
export function isMendable({ table: { mapping }, stuck }: Course): boolean {
  return mapping.source.key.length > 0 && !mapping.staged && !stuck;
}

/** What the latest look has mended. */
export function mendedIn({ pending, found }: Course): Mended {
  const all = pending.map((part) => found.get(part)!.mended);
  return { upserted: all.reduce((sum, one) => sum + one.upserted, 0), deleted: all.reduce((sum, one) => sum + one.deleted, 0) };
}

/** The verdict on a table, or that another look is needed: then the course says what comes before it. */
export function judge(course: Course, { last, exact, recopies }: Circumstances): Verdict | 'again' {
  const { upserted, deleted } = mendedIn(course);
  course.pending = course.parts.filter((part) => !isEqual(course.found.get(part)!));
  if (course.pending.length === 0) return equal(course);
  const looks = course.pending.map((part) => course.found.get(part)!);
  const persists = course.pending.every((part) => isSame(course.found.get(part)!, course.before.get(part)));
  const again = (change: Partial<Course>): 'again' => {
    Object.assign(course, { recopy: false, settling: !exact }, change);
    return 'again';
  };
  if (upserted + deleted > 0) return again({ stuck: persists });
  if (recopies && !last && isRecopied(course, exact)) return again({ recopy: true });
  const certain = exact ? !looks.some((look) => look.unexplained) : persists;
  if (certain) return { result: 'different', reason: uncountedIn(looks) };
  return last ? unsettled(course) : again({});
}

/** Differences that a second look found the same, row by row. */
export function isSame(look: Look, before: Look | undefined): boolean {
  return before !== undefined && !look.unexplained && look.fingerprint === before.fingerprint;
}

function equal({ parts, found }: Course): Verdict {
  const others = parts.reduce((sum, part) => sum + found.get(part)!.others, 0);
  return { result: 'equal', ...(others > 0 && { reason: `${others.toLocaleString('en')} other rows of the destination were there before` }) };
}

function isRecopied({ table: { mapping, extrasAllowed }, recopies }: Course, exact: boolean): boolean {
  return mapping.source.key.length === 0 && !extrasAllowed && recopies < (exact ? 1 : mostRecopies);
}

function uncountedIn(looks: readonly Look[]): string | undefined {
  return looks.some((look) => look.uncounted) ? 'so much differs that not all was counted: the figures are lower bounds' : undefined;
}

/** No look showed one moment, and the last one still found something. */
function unsettled(course: Course): Verdict {
  const some = course.pending.some((part) => persisting(course, part).length > 0);
  if (some) return { result: 'different', reason: 'other rows were still changing: the figures are those of the last look', persisting: true };
  return { result: 'not-comparable', reason: 'rows were still changing at the last look, so that no moment could be compared' };
}

/** The listed differences of a part that the look before has listed, too. */
export function persisting({ found, before }: Course, part: Part): Look['listed'] {
  const known = new Set(before.get(part)?.listed.map((one) => one.fingerprint));
  return found.get(part)!.listed.filter((one) => known.has(one.fingerprint));
}
