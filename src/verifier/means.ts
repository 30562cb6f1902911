import type { Compared, DigestForm, Snapshot, VerifyWith } from '../contract.js';
import { formsOf } from './forms.js';
import type { Table, View } from './scan.js';

/** Milliseconds of a round trip from which on an end is far: rows of both sides are no longer the fastest. */
const far = 5;

/** How a table is compared, and why so. With `forms`, digests come first. */
export type Means = Pick<Compared, 'by' | 'reason'> & { readonly forms?: readonly DigestForm[] };

/** Chooses for each table. Asks both ends how far they are, where that matters. */
export async function meansFor(asked: VerifyWith, { snapshots, signal }: View): Promise<(table: Table) => Means> {
  const rows = (reason: string) => (): Means => ({ by: 'rows', reason });
  if (asked === 'rows') return rows('as asked');
  const [source, destination] = snapshots;
  if (!source.digests || !destination.digests) return rows(`the ${source.digests ? 'destination' : 'source'} computes no digests`);
  const distance = asked === 'auto' ? await distanceOf(source, destination, signal) : undefined;
  if (distance && !distance.isFar) return rows(`${distance.text}: near`);
  return (table) => byDigests(table, distance ? `${distance.text}: far` : 'as asked');
}

function byDigests({ mapping, extrasAllowed }: Table, reason: string): Means {
  if (extrasAllowed) return { by: 'rows', reason: 'the destination may hold other rows' };
  const found = formsOf(mapping);
  if ('forms' in found) return { by: 'digests', reason, forms: found.forms };
  return { by: 'rows', reason: `the two servers may spell one value in two ways: ${found.unspelled.join(', ')}` };
}

async function distanceOf(source: Snapshot, destination: Snapshot, signal: AbortSignal): Promise<{ readonly isFar: boolean; readonly text: string }> {
  const [there, here] = await Promise.all([source.digests!.roundTrip(signal), destination.digests!.roundTrip(signal)]);
  return { isFar: Math.max(there, here) > far, text: `round trips of ${milliseconds(there)} to the source and ${milliseconds(here)} to the destination` };
}

function milliseconds(time: number): string {
  return `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`;
}
