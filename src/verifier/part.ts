import type { DigestForm, Part } from '../contract.js';
import { lookAtKeys, type Found, type Group } from './differing.js';
import { Buckets, minus, same, type Digest } from './digest.js';
import { compareKeys } from './key.js';
import type { Listed } from './listing.js';
import type { Mend } from './mend.js';
import { destination, source } from './rows.js';
import { scanBoth, type Table, type View } from './scan.js';
import { askServers } from './servers.js';

/** What one look at a part found. */
export interface Look {
  /** Of the rows that ought to be on both sides: without the rejected ones, and without extras that are allowed. */
  readonly digests: readonly [Digest, Digest];
  readonly missing: number;
  readonly extra: number;
  readonly changed: number;
  readonly rejected: number;
  /** Rows that only the destination has, and may have. */
  readonly others: number;
  readonly listed: readonly Listed[];
  /** Adds up the differing keys with both sides' hashes: equal in two looks if the very same rows differ alike. */
  readonly fingerprint: bigint;
  readonly mended: { readonly upserted: number; readonly deleted: number };
  /** The digests differ, and no key was found that does: somebody writes. */
  readonly unexplained: boolean;
  /** More keys differ than could be counted: the figures are lower bounds. */
  readonly uncounted: boolean;
  /** The servers' digests did not do: its rows were read. `failure`: a server could compute none. */
  readonly read?: { readonly failure?: string };
}

export interface LookOptions {
  /** Differences to list. */
  readonly list: number;
  /** Keys in memory at a time. */
  readonly keys: number;
  /** Times that the part is read again to tell keys apart, unless they are mended. */
  readonly passes: number;
  readonly mend?: Mend;
  readonly progress?: (rows: number) => void;
  /** Both servers are asked for a digest first, of cells in these forms. */
  readonly forms?: readonly DigestForm[];
}

/** Compares a part by the servers' digests, where it has forms for them, and by its rows where they are not equal. */
export async function lookAt(table: Table, view: View, part: Part, options: LookOptions): Promise<Look> {
  if (!options.forms) return lookAtRows(table, view, part, options);
  const told = await askServers(table, view, part, options.forms);
  if (!told.digest) return { ...(await lookAtRows(table, view, part, options)), read: told };
  options.progress?.(told.digest.rows);
  return equalLook([told.digest, told.digest]);
}

/** Compares a part by digests of its rows, and reads again what differs, down to keys and columns; or mends it. */
async function lookAtRows(table: Table, view: View, part: Part, options: LookOptions): Promise<Look> {
  const buckets = [new Buckets(), new Buckets()] as const;
  let rows = 0;
  await scanBoth(table, view, part, [
    (_, hasher) => {
      buckets[source].add(hasher);
      if ((++rows & 8191) === 0) options.progress?.(8192);
    },
    (_, hasher) => buckets[destination].add(hasher),
  ]);
  options.progress?.(rows & 8191);
  const differing = buckets[source].differing(buckets[destination]);
  const look = equalLook([buckets[source].total(), buckets[destination].total()]);
  return differing.length === 0 ? look : explained(table, view, part, options, buckets, differing, look);
}

export function equalLook(digests: readonly [Digest, Digest], rejected = 0): Look {
  return { digests, missing: 0, extra: 0, changed: 0, rejected, others: 0, listed: [], fingerprint: 0n, mended: { upserted: 0, deleted: 0 }, unexplained: false, uncounted: false };
}

/** Is there nothing more to find out about this part, and nothing to mend? */
export function isEqual(look: Look): boolean {
  const { missing, extra, changed, mended, unexplained, uncounted } = look;
  return missing + extra + changed + mended.upserted + mended.deleted === 0 && !unexplained && !uncounted;
}

/** Tells the keys of the differing buckets apart, as many buckets at a time as memory allows. */
async function explained(table: Table, view: View, part: Part, options: LookOptions, buckets: readonly [Buckets, Buckets], differing: readonly number[], look: Look): Promise<Look> {
  const rowsIn = (bucket: number) => Math.max(buckets[source].at(bucket).rows, table.extrasAllowed ? 0 : buckets[destination].at(bucket).rows);
  const groups = grouped(differing, rowsIn, options.keys);
  const within = options.mend ? groups : groups.slice(0, options.passes);
  let sum = { ...look, uncounted: within.length < groups.length };
  for (const group of within) sum = added(sum, await lookAtKeys(table, view, part, group, options));
  const listed = sum.listed.slice(0, options.list);
  const found = sum.missing + sum.extra + sum.changed > 0 || sum.uncounted;
  return { ...sum, listed, unexplained: !found && !same(sum.digests[source], sum.digests[destination]) };
}

function grouped(buckets: readonly number[], rowsOf: (bucket: number) => number, limit: number): readonly Group[] {
  const groups: { buckets: number[]; rows: number }[] = [];
  for (const bucket of buckets) {
    const rows = rowsOf(bucket), last = groups.at(-1);
    if (last && last.rows + rows <= limit) {
      last.buckets.push(bucket);
      last.rows += rows;
    } else groups.push({ buckets: [bucket], rows });
  }
  return groups;
}

function added(sum: Look, found: Found): Look {
  const { rejected, others } = found;
  return {
    ...sum,
    digests: [minus(sum.digests[source], rejected), minus(sum.digests[destination], others)],
    missing: sum.missing + found.missing, extra: sum.extra + found.extra, changed: sum.changed + found.changed,
    rejected: sum.rejected + rejected.rows, others: sum.others + others.rows,
    listed: [...sum.listed, ...found.listed].sort((a, b) => compareKeys(a.key, b.key)),
    fingerprint: BigInt.asUintN(64, sum.fingerprint + found.fingerprint),
    mended: { upserted: sum.mended.upserted + found.mended.upserted, deleted: sum.mended.deleted + found.mended.deleted },
  };
}
