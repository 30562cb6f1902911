import type { Part } from '../contract.js';
import { bucketCount, bucketOf, nothing, plus, Sum, type Digest } from './digest.js';
import { KeyTable, type Entry } from './keytable.js';
import { Listing, type Listed } from './listing.js';
import { mendRows, type Mend, type Mended } from './mend.js';
import { Rejects } from './rejected.js';
import { destination, source, type RowHasher } from './rows.js';
import { scan, scanBoth, type Table, type View, type Visit } from './scan.js';

/** Buckets whose keys fit into memory together. */
export interface Group { readonly buckets: readonly number[]; readonly rows: number }

/** What the keys of a group come to. */
export interface Found {
  readonly missing: number;
  readonly extra: number;
  readonly changed: number;
  /** Rows that are rightly at one side only: rejected by the copy, or others that the destination may have. */
  readonly rejected: Digest;
  readonly others: Digest;
  readonly listed: readonly Listed[];
  readonly fingerprint: bigint;
  readonly mended: Mended;
}

/** Reads a part again to tell which keys of the group differ, and a third time for their rows if any do. */
export async function lookAtKeys(table: Table, view: View, part: Part, group: Group, options: { readonly list: number; readonly mend?: Mend }): Promise<Found> {
  const { keys, others } = await keysOf(table, view, part, group);
  const differing = keys.only((entry) => isDifferent(entry, table));
  const counts = countsOf(differing), found: Found = { ...counts, rejected: nothing, others, listed: [], mended: unmended };
  if (differing.size === 0) return found;
  const mended = options.mend ? await mendRows(table, view, part, differing, options.mend) : unmended;
  if (mended.upserted + mended.deleted > 0) return { ...found, mended };
  const rejects = new Rejects(table), standing = new Sum(), listing = new Listing(table.mapping, options.list);
  await readRows(table, view, part, listers(differing, rejects, standing, listing));
  const rejected = rejects.total, changed = counts.changed - standing.total.rows;
  return { ...found, missing: counts.missing - (rejected.rows - standing.total.rows), changed, rejected, others: plus(others, standing.total), listed: listing.first() };
}

const unmended: Mended = { upserted: 0, deleted: 0 };

/** Where rows of others may stand, the source is read first: only then it is known which of them are in a rejected row's place. */
async function readRows(table: Table, view: View, part: Part, visits: readonly [Visit, Visit]): Promise<void> {
  if (!table.extrasAllowed) return scanBoth(table, view, part, visits);
  await scan(table, view, source, part, visits[source]);
  await scan(table, view, destination, part, visits[destination]);
}

interface Keys { readonly keys: KeyTable; readonly others: Digest }

async function keysOf(table: Table, view: View, part: Part, group: Group): Promise<Keys> {
  const wanted = new Uint8Array(bucketCount);
  for (const bucket of group.buckets) wanted[bucket] = 1;
  const inGroup = (visit: (hasher: RowHasher) => void): Visit => (_, hasher) => {
    if (wanted[bucketOf(hasher)] === 1) visit(hasher);
  };
  const keys = new KeyTable(group.rows);
  const own = inGroup((hasher) => keys.add(source, hasher));
  if (table.extrasAllowed) return { keys, others: await matching(table, view, part, keys, own, inGroup) };
  await scanBoth(table, view, part, [own, inGroup((hasher) => keys.add(destination, hasher))]);
  return { keys, others: nothing };
}

/** First all keys of the source, then of the destination's rows only those that have one of them: the others are many, perhaps. */
async function matching(table: Table, view: View, part: Part, keys: KeyTable, own: Visit, inGroup: (visit: (hasher: RowHasher) => void) => Visit): Promise<Digest> {
  const others = new Sum(), keyed = table.mapping.source.key.length > 0;
  await scan(table, view, source, part, own);
  await scan(table, view, destination, part, inGroup((hasher) => {
    const place = keys.find(hasher);
    if (place < 0 || (!keyed && keys.isMatched(place))) others.add(hasher);
    else keys.addAt(place, destination, hasher);
  }));
  return others.total;
}

function listers(differing: KeyTable, rejects: Rejects, standing: Sum, listing: Listing): readonly [Visit, Visit] {
  const entryOf = (hasher: RowHasher): Entry | undefined => {
    const place = differing.find(hasher);
    return place < 0 ? undefined : differing.at(place);
  };
  return [
    (row, hasher) => {
      const entry = entryOf(hasher);
      if (entry && !rejects.takes(entry, row, hasher)) listing.add(entry, source, row, hasher);
    },
    (row, hasher) => {
      const entry = entryOf(hasher);
      if (entry && rejects.isOther(entry)) standing.add(hasher);
      else if (entry) listing.add(entry, destination, row, hasher);
    },
  ];
}

function isDifferent({ counts: [before, after], sums }: Entry, { extrasAllowed, mapping }: Table): boolean {
  if (before === after) return sums[source] !== sums[destination];
  return before > after || !extrasAllowed || (before > 0 && mapping.source.key.length > 0);
}

function countsOf(differing: KeyTable): Pick<Found, 'missing' | 'extra' | 'changed' | 'fingerprint'> {
  let missing = 0, extra = 0, changed = 0, fingerprint = 0n;
  for (const entry of differing.entries()) {
    const [before, after] = entry.counts;
    missing += Math.max(0, before - after);
    extra += Math.max(0, after - before);
    if (before === after) changed += before;
    fingerprint = BigInt.asUintN(64, fingerprint + mixed(entry));
  }
  return { missing, extra, changed, fingerprint };
}

/** One number for a key, its counts and both sides' hashes. */
function mixed({ key, counts, sums }: Entry): bigint {
  return (key + 1n) * 0x9e3779b97f4a7c15n + sums[source] * 0xc2b2ae3d27d4eb4fn + sums[destination] * 0x165667b19e3779f9n + BigInt(counts[source] * 65537 + counts[destination]);
}
