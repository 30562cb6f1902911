import type { DigestForm, Part, PartDigest } from '../contract.js';
import { DsyncError } from '../errors.js';
import type { Digest } from './digest.js';
import { destination, source } from './rows.js';
import { scanError, type Table, type View } from './scan.js';

/** What the two servers' digests of a part say: it is equal, or its rows must be read. `failure`: one of them could not tell. */
export type Told = { readonly digest: Digest } | { readonly digest?: undefined; readonly failure?: string };

/** Has both servers digest a part at the same time. When it fails, the caller's signal ends what the other side still does. */
export async function askServers(table: Table, view: View, part: Part, forms: readonly DigestForm[]): Promise<Told> {
  const { mapping, where } = table, { snapshots, signal } = view;
  const results = await Promise.all(([source, destination] as const).map(async (side): Promise<PartDigest | string> => {
    try {
      return await snapshots[side].digests!.digest({ shape: side === source ? mapping.source : mapping.target, part, where: where[side], forms }, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (isOwnFailure(error)) return error.message;
      throw scanError(error, side, mapping);
    }
  }));
  const failure = results.find((one) => typeof one === 'string');
  if (failure !== undefined) return { failure };
  const [there, here] = results as PartDigest[];
  return there.rows === here.rows && there.sum === here.sum ? { digest: { rows: there.rows, first: there.sum, second: 0n } } : {};
}

/** The server is there, but this it can't do: the rows are read, which tells whether they can be. */
function isOwnFailure(error: unknown): error is DsyncError {
  return error instanceof DsyncError && !error.retryable && !['interrupted', 'source-lost', 'connection-lost', 'unreachable'].includes(error.code);
}
