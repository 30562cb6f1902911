import { z } from 'zod';
import { flags } from './flags.js';
import { batchOf, rateOf, sizeOf } from './sizes.js';

/** One schema for the flags and for dsync.yaml: each key, what it means, and its default. */

const words = z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(z.string().min(1)));
const count = z.preprocess((value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value), z.int().min(0));
const wholeNumber = z.preprocess((value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value), z.int().min(1).max(256));

/** `null` in YAML is the word here. */
const worded = (value: unknown) => (value === null ? 'null' : value);
const badWays = z.preprocess(worded, z.enum(['reject', 'null', 'fail']));
/** Names, all with a minus before them or none. */
const columnList = z.preprocess((value) => (typeof value === 'string' ? value.split(',').map((name) => name.trim()) : value), z.array(z.string().min(1)).min(1).refine((names) => names.every((name) => name.startsWith('-')) || !names.some((name) => name.startsWith('-')), { error: 'names are either taken or, all with a minus, left out' }));

export const settingsSchema = z.strictObject({
  source: z.string().min(1).describe(flags.source.meaning),
  destination: z.string().min(1).describe(flags.destination.meaning),
  namespaces: words.describe(flags.namespaces.meaning),
  exclude: words.describe(flags.exclude.meaning),
  where: z.record(z.string(), z.string().min(1)).describe(flags.where.meaning),
  existing: z.enum(['refuse', 'append', 'merge', 'replace']).describe(flags.existing.meaning),
  cast: z.record(z.string(), z.string().min(1)).describe(flags.cast.meaning),
  columns: z.record(z.string(), columnList).describe(flags.columns.meaning),
  mask: z.record(z.string(), z.preprocess(worded, z.enum(['hash', 'redact', 'null']))).describe(flags.mask.meaning),
  maskKey: z.string().min(1).describe(flags.maskKey.meaning),
  onBadValue: z.preprocess((value) => (typeof value === 'string' || value === null ? { '*': value } : value), z.record(z.string(), badWays)).describe(flags.onBadValue.meaning),
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
  views: z.enum(['definition', 'as-tables', 'skip']).describe(flags.views.meaning),
  document: z.enum(['json', 'columns']).describe(flags.document.meaning),
  documentSample: z.preprocess((value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value), z.union([z.literal('all'), z.int().min(1)], { error: 'expected all or a number of documents' })).describe(flags.documentSample.meaning),
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
