import { z } from 'zod';
import type { RunConfig } from '../coordinator/config.js';
import { DsyncError } from '../errors.js';
import { settingsOfFile } from './file.js';
import { flagName, flags, type SettingName } from './flags.js';
import { defaults, reasonOf, settingsSchema, type Settings } from './settings.js';
import { absolute, literalSecrets, withoutSecrets } from '../url.js';

/** What was typed: positional arguments and flags, not parsed yet. */
export interface Given {
  readonly source?: string;
  readonly destination?: string;
  readonly flags: Readonly<Record<string, unknown>>;
  /** Only these settings are taken from the file; absent: all. */
  readonly fromFile?: readonly SettingName[];
}

/** Flags over the file. Fails with `usage`, naming each wrong flag, or each wrong line of the file. */
export function settingsOf(given: Given, folder: string): Settings {
  const file = settingsOfFile(given.flags.config as string | undefined, folder);
  const kept = given.fromFile ? Object.fromEntries(Object.entries(file).filter(([name]) => given.fromFile!.includes(name as SettingName))) : file;
  const typed = settingsOfFlags(given);
  return { ...(typed.mode !== undefined || typed.live ? withoutMode(kept) : kept), ...typed };
}

/** A typed mode takes the place of all that the file says of it. */
function withoutMode({ mode: _mode, live: _live, from: _from, ...others }: Settings): Settings {
  return others;
}

function settingsOfFlags({ source, destination, flags: typed }: Given): Settings {
  const { namespace, where, cast, columns, mask, onBadValue, config: _, verify, ...others } = typed;
  const named = {
    source, destination, namespaces: namespace, where: where === undefined ? undefined : filters(where as string[]),
    cast: assigned('cast', cast), columns: assigned('columns', columns), mask: assigned('mask', mask), onBadValue: assigned('onBadValue', onBadValue),
    // Commander says true where the flag is absent.
    verify: verify === false ? false : undefined, ...others,
  };
  const parsed = settingsSchema.safeParse(Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)));
  if (parsed.success) return parsed.data;
  throw new DsyncError('usage', parsed.error.issues.map((issue) => [flagName(issue.path[0] as SettingName), ...issue.path.slice(1).filter((step) => typeof step === 'string'), reasonOf(issue)].join(': ')).join('\n'));
}

/** `orders: status = 1` → `{ orders: 'status = 1' }` */
function filters(texts: readonly string[]): Record<string, string> {
  const pairs = texts.map((text) => {
    const colon = text.indexOf(':');
    if (colon < 1) throw new DsyncError('usage', `--where: "${text}" is not TABLE: FILTER`, { remedy: "for instance --where 'orders: status = 1'" });
    return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()] as const;
  });
  const twice = pairs.find(([table], i) => pairs.findIndex(([other]) => other === table) !== i);
  if (twice) throw new DsyncError('usage', `--where: ${twice[0]} has two filters`, { remedy: 'join them in one' });
  return Object.fromEntries(pairs);
}

/** `orders.total=numeric(12,2)` → `{ 'orders.total': 'numeric(12,2)' }`; a way of `--on-bad-value` alone is for all columns. */
function assigned(setting: 'cast' | 'columns' | 'mask' | 'onBadValue', given: unknown): Record<string, string> | undefined {
  if (given === undefined) return undefined;
  const flag = flagName(setting), pairs = (given as string[]).map((text): readonly [string, string] => {
    const sign = setting === 'cast' || setting === 'columns' ? text.indexOf('=') : text.lastIndexOf('=');
    if (sign < 0 && setting === 'onBadValue') return ['*', text.trim()];
    if (sign < 1) throw new DsyncError('usage', `${flag}: "${text}" is not ${flags[setting].spelling.replace(/^\S+ <|>$/g, '')}`, { remedy: assignments[setting] });
    return [text.slice(0, sign).trim(), text.slice(sign + 1).trim()];
  });
  const twice = pairs.find(([name], i) => pairs.findIndex(([other]) => other === name) !== i);
  if (twice) throw new DsyncError('usage', `${flag}: ${twice[0] === '*' ? 'all columns are' : `${twice[0]} is`} named twice`);
  return Object.fromEntries(pairs);
}

const assignments = {
  cast: "for instance --cast 'orders.total=numeric(12,2)'", columns: "for instance --columns 'users=id,email' or --columns 'users=-password'",
  mask: "for instance --mask 'users.email=hash'", onBadValue: "for instance --on-bad-value null or --on-bad-value 'orders.ts=null'",
} as const;

const secrets = z.enum(['none', 'password', 'other']);

/** A run's configuration as the state keeps it: URLs as they were written, without the passwords that stood in them. */
const storedSchema = z.object({
  source: z.string(), destination: z.string(),
  /** What was left out of the URLs. */
  secrets: z.object({ source: secrets, destination: secrets }),
  namespaces: z.array(z.string()), exclude: z.array(z.string()), where: z.record(z.string(), z.string()),
  existing: settingsSchema.shape.existing.unwrap(), acceptLoss: z.array(z.string()),
  cast: settingsSchema.shape.cast, columns: settingsSchema.shape.columns, mask: settingsSchema.shape.mask, onBadValue: settingsSchema.shape.onBadValue,
  /** Of hashes: what the key is read from, and what tells it from others. */
  maskKey: z.object({ from: z.string().optional(), check: z.string() }).optional(),
  concurrency: z.number(), memoryBytes: z.number(), batchBytes: z.number().optional(), batchRows: z.number().optional(),
  rateLimit: z.object({ rows: z.number().optional(), bytes: z.number().optional() }).optional(), verify: z.boolean(),
  verifyWith: settingsSchema.shape.verifyWith.unwrap().default('auto'), live: z.boolean().default(false), from: z.string().optional(),
  slot: z.string().optional(), publication: z.string().optional(), failoverSlot: z.boolean().optional(), maxRetainedBytes: z.number().optional(),
  onDdl: settingsSchema.shape.onDdl.unwrap().default('stop'), maxRejects: z.number().optional(),
  // Runs of a version that made bare tables go on with them.
  schema: settingsSchema.shape.schema.unwrap().default('none'), views: settingsSchema.shape.views.unwrap().default('skip'),
  document: settingsSchema.shape.document.unwrap().optional(), documentSample: z.number().optional(),
});

export type StoredConfig = Readonly<z.output<typeof storedSchema>>;

/** The stored configuration for these settings; a source or destination that is absent is a `usage` error. */
export function storedConfigOf(settings: Settings, folder: string): StoredConfig {
  const source = absolute(needed(settings, 'source'), folder), destination = absolute(needed(settings, 'destination'), folder);
  const all = { ...defaults, ...settings };
  return {
    source: withoutSecrets(source), destination: withoutSecrets(destination),
    secrets: { source: literalSecrets(source), destination: literalSecrets(destination) },
    namespaces: [...all.namespaces], exclude: [...all.exclude], where: { ...all.where }, existing: all.existing, acceptLoss: [...all.acceptLoss],
    ...rulesOf(settings), ...paceOf(all), ...(all.maxRejects !== undefined && { maxRejects: all.maxRejects }), verify: all.verify, verifyWith: all.verifyWith, onDdl: all.onDdl, schema: all.schema, views: all.views, ...modeOf(all), ...keepingOf(all), ...documentOf(all),
  };
}

/** What was chosen for columns. */
function rulesOf({ cast, columns, mask, onBadValue }: Settings): Pick<StoredConfig, 'cast' | 'columns' | 'mask' | 'onBadValue'> {
  return { ...(cast && { cast }), ...(columns && { columns }), ...(mask && { mask }), ...(onBadValue && { onBadValue }) };
}

/** How documents become rows. */
function documentOf({ document, documentSample }: Settings): Pick<StoredConfig, 'document' | 'documentSample'> {
  if (documentSample !== undefined && document !== 'columns') throw new DsyncError('usage', '--document-sample goes with --document columns');
  return { ...(document && { document }), ...(typeof documentSample === 'number' && { documentSample }) };
}

/** How the source's log is kept. */
function keepingOf({ slot, publication, failoverSlot, maxRetained }: Settings): Pick<StoredConfig, 'slot' | 'publication' | 'failoverSlot' | 'maxRetainedBytes'> {
  return { ...(slot && { slot }), ...(publication && { publication }), ...(failoverSlot && { failoverSlot }), ...(maxRetained && { maxRetainedBytes: maxRetained }) };
}

/** `--live` is short for `--mode live`. */
function modeOf({ mode, live, from, slot, publication, failoverSlot }: Settings): Pick<StoredConfig, 'live' | 'from'> {
  if (mode === 'changes' && from === undefined) throw new DsyncError('usage', '--mode changes needs --from POSITION: where in the source\'s log the copy stands');
  if (mode !== 'changes' && from !== undefined) throw new DsyncError('usage', '--from goes with --mode changes: a copy begins where it is made');
  if (mode === 'changes' && (slot ?? publication ?? failoverSlot) !== undefined) throw new DsyncError('usage', '--mode changes finds the slot that reaches back, and its publication, by itself', { remedy: 'leave out --slot, --publication and --failover-slot' });
  return { live: mode === undefined ? live === true : mode !== 'copy', ...(from !== undefined && { from }) };
}

/** The stored configuration with the URLs that a resumed run is given now. */
export function writtenAnew(config: StoredConfig, settings: Settings, folder: string): StoredConfig {
  return (['source', 'destination'] as const).reduce((stored, end) => {
    const url = settings[end] && absolute(settings[end], folder);
    return url ? { ...stored, [end]: withoutSecrets(url), secrets: { ...stored.secrets, [end]: literalSecrets(url) } } : stored;
  }, config);
}

/** What only says how fast: a run may be resumed with others. */
export function paceOf({ concurrency, memory, batchSize, rateLimit }: Settings & { readonly concurrency: number; readonly memory: number }): Pick<StoredConfig, 'concurrency' | 'memoryBytes' | 'batchBytes' | 'batchRows' | 'rateLimit'> {
  return { concurrency, memoryBytes: memory, ...(batchSize?.bytes && { batchBytes: batchSize.bytes }), ...(batchSize?.rows && { batchRows: batchSize.rows }), ...(rateLimit && { rateLimit }) };
}

/** Reads a run's configuration back. */
export function restoredConfig(run: string, config: unknown): StoredConfig {
  const parsed = storedSchema.safeParse(config);
  if (parsed.success) return parsed.data;
  throw new DsyncError('state', `the state of run ${run} can't be read: ${parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')}`);
}

/** Of a run the other way round: what was chosen for columns was meant for this way. */
export function withoutRules(config: StoredConfig): StoredConfig {
  const { cast: _cast, columns: _columns, mask: _mask, onBadValue: _onBadValue, maskKey: _maskKey, ...others } = config;
  return others;
}

/** What the coordinator works with: the stored configuration, with URLs that can be connected to. */
export function runConfigOf({ secrets: _, maskKey: __, ...config }: StoredConfig, secret: Pick<RunConfig, 'source' | 'destination' | 'maskKey'>): RunConfig {
  return { ...config, ...secret };
}

export function needed(settings: Settings, end: 'source' | 'destination'): string {
  const url = settings[end];
  if (url !== undefined) return url;
  throw new DsyncError('usage', `no ${end} is given`, { remedy: `write its URL as ${flags[end].spelling} on the command line, or as "${end}: …" in dsync.yaml` });
}
