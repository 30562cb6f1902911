import { setTimeout as delay } from 'node:timers/promises';
import pLimit, { type LimitFunction } from 'p-limit';
import type { ComparedPart, Destination, Emit, Mapping, NamespaceVerification, Part, Rejected, Row, Snapshot, VerifyWith } from '../contract.js';
import { keyText } from './key.js';
import { beginning, isMendable, judge, mendedIn, saw, type Course } from './course.js';
import { finishedOf, lookOf, verificationOf } from './result.js';
import { meansFor } from './means.js';
import type { Mend } from './mend.js';
import { isEqual, lookAt, type LookOptions } from './part.js';
import { partsOf } from './parts.js';
import { hashers } from './rows.js';
import type { Table, View } from './scan.js';

export interface VerifyRequest {
  readonly source: Snapshot;
  /** A fresh look at the destination; closed when it has been compared, and opened anew after rows were mended. */
  readonly openDestination: () => Promise<Snapshot>;
  readonly mappings: readonly Mapping[];
  /** The filter of a namespace, each in its side's own language; on the destination only if rows outside of it may be there. */
  readonly where?: (namespace: string) => string | undefined;
  readonly destinationWhere?: (namespace: string) => string | undefined;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Parts that are compared at a time: not more than either side has readers. */
  readonly concurrency: number;
  /** Keys (`keyText`) of rows that the copy rejected: they are expected to be missing. */
  readonly rejectedKeys?: (namespace: string) => ReadonlySet<string>;
  /** The table held other rows before: rows that only the destination has are no differences, and are never touched. */
  readonly extrasAllowed?: (mapping: Mapping) => boolean;
  /** Where extras are allowed: what stands under a key of the source may be overwritten to mend it (`merge`). Else never (`append`). */
  readonly mayOverwrite?: (mapping: Mapping) => boolean;
  /** Makes rows equal by key. Absent: differences are only reported. */
  readonly mend?: (mapping: Mapping, changes: Parameters<Destination['mend']>[2]) => Promise<{ readonly rejected: readonly Rejected[] }>;
  /** Copies a table without a key anew. */
  readonly recopy?: (mapping: Mapping) => Promise<void>;
  /** Parts that an earlier process found equal at this very moment of the source. */
  readonly finished?: (namespace: string, part: Part) => ComparedPart | undefined;
  readonly finish?: (namespace: string, part: Part, found: ComparedPart) => void;
  /** Default `auto`. */
  readonly verifyWith?: VerifyWith;
  /** Rows of a part. */
  readonly partRows?: number;
  /** Differences that are listed for each table; all are counted. */
  readonly listed?: number;
  /** Looks at what differs, where a side shows no single moment, until it settles. */
  readonly looks?: number;
  /** Waits before look number `look` (from 1). */
  readonly pause?: (look: number, signal: AbortSignal) => Promise<unknown>;
  /** Keys that are told apart at a time, in 32 bytes or so each. */
  readonly keysInMemory?: number;
}

export type Settings = Required<Pick<VerifyRequest, 'verifyWith' | 'partRows' | 'listed' | 'looks' | 'pause' | 'keysInMemory'>> & VerifyRequest;

/** Times that a part is read again to count what differs; what still differs then is told, but not counted. */
const passes = 16;

/**
 * Compares tables, reading both sides afresh, and mends what differs if it is told how to. One mending and one more look
 * must do where both sides show one moment; else what differs is looked at again until it settles. `equal` means: every
 * row of either side was seen to be equal, or is rightly on one side only.
 */
export async function verify(request: VerifyRequest): Promise<readonly NamespaceVerification[]> {
  const settings: Settings = {
    ...request, verifyWith: request.verifyWith ?? 'auto', partRows: request.partRows ?? 100_000, listed: request.listed ?? 100, looks: request.looks ?? 6,
    pause: request.pause ?? growingPause, keysInMemory: request.keysInMemory ?? 700_000,
  };
  const limit = pLimit(request.concurrency);
  const courses = await together(request.mappings, request.signal, (mapping, signal) => limit(() => courseOf(mapping, settings, signal)));
  const results = new Map<Course, NamespaceVerification>();
  for (let look = 0, open = courses; open.length > 0; look++) {
    if (look > 0 && open.some((course) => course.settling)) await settings.pause(look, settings.signal);
    open = await lookAtAll(open, look, settings, limit, results);
    for (const course of open) if (course.recopy) await copyAnew(course, settings);
  }
  return courses.map((course) => results.get(course)!);
}

async function courseOf(mapping: Mapping, settings: Settings, signal: AbortSignal): Promise<Course> {
  const extrasAllowed = settings.extrasAllowed?.(mapping) ?? false;
  const { namespace } = mapping.source, ownRejects = new Set<string>();
  const isRejected = (row: Row) => {
    const known = settings.rejectedKeys?.(namespace);
    if (ownRejects.size === 0 && !known?.size) return false;
    const key = keyText(mapping.source, row);
    return ownRejects.has(key) || known?.has(key) === true;
  };
  const table: Table = {
    mapping, hashers: await hashers(mapping),
    where: [settings.where?.(namespace), settings.destinationWhere?.(namespace)],
    extrasAllowed, mayOverwrite: !extrasAllowed || (settings.mayOverwrite?.(mapping) ?? false),
    isRejected,
  };
  const parts = await partsOf(mapping, settings.source, settings.partRows, signal);
  return beginning(table, parts, (rejected) => ownRejects.add(keyText(mapping.source, rejected.row)));
}

/** One look at all that is open; returns the tables that need another one. */
async function lookAtAll(open: readonly Course[], look: number, settings: Settings, limit: LimitFunction, results: Map<Course, NamespaceVerification>): Promise<readonly Course[]> {
  await using destination = await settings.openDestination();
  const exact = settings.source.moment.exact && destination.moment.exact, last = look + 1 >= settings.looks;
  if (look === 0) await chooseMeans(open, { snapshots: [settings.source, destination], signal: settings.signal }, settings);
  const again = await together(open, settings.signal, async (course, signal) => {
    const mends = settings.mend !== undefined && isMendable(course) && (exact ? look === 0 : !last);
    await lookAtTable(course, { snapshots: [settings.source, destination], signal }, { first: look === 0, mends, settings, limit });
    const verdict = judge(course, { last, exact, recopies: settings.recopy !== undefined });
    if (verdict === 'again') return [course];
    const verification = verificationOf(course, verdict, settings.listed);
    results.set(course, verification);
    settings.emit({ kind: 'verified', verification });
    return [];
  });
  return again.flat();
}

async function chooseMeans(courses: readonly Course[], view: View, { verifyWith }: Settings): Promise<void> {
  const meansOf = await meansFor(verifyWith, view);
  for (const course of courses) course.means = meansOf(course.table);
}

interface Turn { readonly first: boolean; readonly mends: boolean; readonly settings: Settings; readonly limit: LimitFunction }

async function lookAtTable(course: Course, view: View, { first, mends, settings, limit }: Turn): Promise<void> {
  const { table, pending } = course, { mapping } = table;
  const options: LookOptions = { list: settings.listed, keys: settings.keysInMemory, passes, forms: course.means?.forms, ...(mends && { mend: mendOf(course, settings) }) };
  const tell = teller(course, first ? settings.emit : () => {});
  await together(pending, view.signal, (part, signal) => limit(async () => {
    signal.throwIfAborted();
    const known = first ? settings.finished?.(mapping.source.namespace, part) : undefined;
    if (known) tell.rows(known.rows);
    const found = known ? lookOf(known) : await lookAt(table, { ...view, signal }, part, { ...options, progress: tell.rows });
    saw(course, part, found, settings.listed);
    if (!known && isEqual(found)) settings.finish?.(mapping.source.namespace, part, finishedOf(found));
    tell.part();
  }));
  const { upserted, deleted } = mendedIn(course);
  if (upserted + deleted > 0) settings.emit({ kind: 'mended', namespace: mapping.source.namespace, upserted, deleted, recopied: false });
}

function mendOf({ table: { mapping }, rejected }: Course, settings: Settings): Mend {
  return async (changes) => (await settings.mend!(mapping, changes)).rejected.forEach(rejected);
}

/** After the look at the destination is closed: a table that is swapped for another must not be open. */
async function copyAnew(course: Course, settings: Settings): Promise<void> {
  const { mapping } = course.table;
  await settings.recopy!(mapping);
  course.recopies++;
  settings.emit({ kind: 'mended', namespace: mapping.source.namespace, upserted: 0, deleted: 0, recopied: true });
}

/** Tells how far a look at a table has come: with each part, and every half second. */
function teller(course: Course, emit: Emit) {
  const { namespace } = course.table.mapping.source, of = course.parts.length;
  let parts = 0, rows = 0, told = performance.now();
  const tell = () => {
    told = performance.now();
    emit({ kind: 'compared', namespace, parts, of, rows });
  };
  return {
    part: () => {
      parts++;
      tell();
    },
    rows: (more: number) => {
      rows += more;
      if (performance.now() - told > 500) tell();
    },
  };
}

/** All at once, in the order of what there is to do. The first failure ends the others, and is thrown. */
async function together<T, R>(items: readonly T[], signal: AbortSignal, work: (item: T, signal: AbortSignal) => Promise<R>): Promise<readonly R[]> {
  const stop = new AbortController(), linked = AbortSignal.any([signal, stop.signal]);
  const results = await Promise.allSettled(items.map(async (item) => {
    try {
      linked.throwIfAborted();
      return await work(item, linked);
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  }));
  linked.throwIfAborted();
  return results.map((result) => (result as PromiseFulfilledResult<R>).value);
}

async function growingPause(look: number, signal: AbortSignal): Promise<void> {
  await delay(250 * 2 ** (look - 1), undefined, { signal }).catch(() => signal.throwIfAborted());
}
