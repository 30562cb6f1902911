import { z } from 'zod';
import { flags } from './flags.js';
import { batchOf, rateOf, sizeOf } from './sizes.js';

/** One schema for the flags and for dsync.yaml: each key, what it means, and its default. */

const words = z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(z.string().min(1)));
const count = z.preprocess((value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value), z.int().min(0));
const wholeNumber = z.preprocess((value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value), z.int().min(1).max(256));

export const settingsSchema = z.strictObject({
  source: z.string().min(1).describe(flags.source.meaning),
  destination: z.string().min(1).describe(flags.destination.meaning),
  namespaces: words.describe(flags.namespaces.meaning),
  exclude: words.describe(flags.exclude.meaning),
  where: z.record(z.string(), z.string().min(1)).describe(flags.where.meaning),
  existing: z.enum(['refuse', 'append', 'merge', 'replace']).describe(flags.existing.meaning),
  acceptLoss: words.describe(flags.acceptLoss.meaning),
  concurrency: wholeNumber.describe(flags.concurrency.meaning),
  memory: read(sizeOf, 'a size such as 128MB or 64MiB').describe(flags.memory.meaning),
  batchSize: read(batchOf, 'a number of rows such as 5000, a size such as 4MB, or both with a comma').describe(flags.batchSize.meaning),
  rateLimit: read(rateOf, 'a rate such as "5000 rows/s" or 20MB/s, or both with a comma').describe(flags.rateLimit.meaning),
  verify: z.boolean().describe('compare both ends after the copy'),
  verifyWith: z.enum(['auto', 'rows', 'digests']).describe(flags.verifyWith.meaning),
  live: z.boolean().describe(flags.live.meaning),
  slot: z.string().min(1).describe(flags.slot.meaning),
  publication: z.string().min(1).describe(flags.publication.meaning),
  failoverSlot: z.boolean().describe(flags.failoverSlot.meaning),
  maxRetained: read(sizeOf, 'a size such as 50GB').describe(flags.maxRetained.meaning),
  onDdl: z.enum(['stop', 'apply', 'ignore']).describe(flags.onDdl.meaning),
  mode: z.enum(['copy', 'live', 'changes']).describe(flags.mode.meaning),
  from: z.string().min(1).describe(flags.from.meaning),
  schema: z.enum(['create', 'check', 'none']).describe(flags.schema.meaning),
  views: z.enum(['definition', 'skip']).describe(flags.views.meaning),
  maxRejects: count.describe(flags.maxRejects.meaning),
  state: z.string().min(1).describe(flags.state.meaning),
  logLevel: z.enum(['error', 'warn', 'info', 'debug']).describe(flags.logLevel.meaning),
  logFile: z.string().min(1).describe(flags.logFile.meaning),
  json: z.boolean().describe(flags.json.meaning),
}).partial();

export type Settings = z.output<typeof settingsSchema>;

/** What holds where neither a flag nor the file says otherwise. */
export const defaults = {
  namespaces: [], exclude: [], where: {}, acceptLoss: [],
  existing: flags.existing.usual, concurrency: Number(flags.concurrency.usual), memory: sizeOf(flags.memory.usual)!, verify: true, verifyWith: flags.verifyWith.usual, live: false, onDdl: flags.onDdl.usual, schema: flags.schema.usual, views: flags.views.usual, json: false,
} as const satisfies Settings;

/** Settings as text, given by a flag or in the file; a number counts as its digits. */
function read<T>(parse: (text: string) => T | undefined, what: string) {
  return z.union([z.string(), z.number()], { error: `expected ${what}` }).transform((given, context) => {
    const value = parse(String(given));
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: `"${given}" is not ${what}` });
    return z.NEVER;
  });
}

/** What is wrong with a setting: `expected number, received null`. */
export function reasonOf({ message }: { readonly message: string }): string {
  return message.replace(/^Invalid (input|option): /, '');
}

/** The known word nearest to a mistyped one, if any is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const [best] = known.map((candidate) => ({ candidate, far: distance(word.toLowerCase(), candidate.toLowerCase()) })).sort((a, b) => a.far - b.far);
  return best && best.far <= Math.max(1, Math.floor(best.candidate.length / 3)) ? best.candidate : undefined;
}

/** How many letters must be changed, added or dropped. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}
