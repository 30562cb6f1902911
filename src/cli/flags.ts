import type { OptionValues } from 'commander';
import type { Command } from '@commander-js/extra-typings';

/** What is said about a setting, in `--help`, in the documentation and in errors. The schema in settings.ts has the same names. */
interface Flag {
  /** As commander takes it; a positional argument is in capitals. */
  readonly spelling: string;
  readonly meaning: string;
  /** The default, as one would write it. */
  readonly usual?: string;
  readonly repeatable?: boolean;
}

export const flags = {
  source: { spelling: 'SOURCE', meaning: 'URL of the database to read' },
  destination: { spelling: 'DESTINATION', meaning: 'URL of the database to write' },
  namespaces: { spelling: '--namespace <pattern>', meaning: 'take these tables or collections: a glob pattern, or name:target to rename', repeatable: true },
  exclude: { spelling: '--exclude <pattern>', meaning: 'leave out what matches this glob pattern', repeatable: true },
  where: { spelling: '--where <table: filter>', meaning: "take only the rows that match, in the source's own language; the verification heeds it too", repeatable: true },
  existing: { spelling: '--existing <way>', meaning: 'what becomes of rows that the destination already holds: refuse, append, merge (upsert by key) or replace', usual: 'refuse' },
  cast: { spelling: '--cast <column=type>', meaning: "this column (table.column), or every column of this type of the source (mysql.tinyint(1)), gets a type of the destination's own", repeatable: true },
  columns: { spelling: '--columns <table=names>', meaning: 'take only these columns of a table (id,email), or all but these (-password,-token); of MongoDB documents fields, by their paths', repeatable: true },
  mask: { spelling: '--mask <column=way>', meaning: 'this column (table.column), or field of documents, is masked: hash (keyed, the same for the same value), redact (a fixed value) or null', repeatable: true },
  maskKey: { spelling: '--mask-key <key>', meaning: 'the key of hashes, best as ${NAME}; dsync never keeps it (default: ${DSYNC_MASK_KEY})' },
  onBadValue: { spelling: '--on-bad-value <way>', meaning: 'what becomes of a value that can\'t be converted or kept: reject (its row), null (the value) or fail (the run ends); for a column or a type: orders.ts=null, mysql.datetime=null', usual: 'reject', repeatable: true },
  acceptLoss: { spelling: '--accept-loss <table.column>', meaning: 'this column may lose something in the destination', repeatable: true },
  concurrency: { spelling: '--concurrency <number>', meaning: 'how many tasks are read, and written, at once', usual: '4' },
  memory: { spelling: '--memory <size>', meaning: 'how much may be on its way between the two ends', usual: '128MB' },
  batchSize: { spelling: '--batch-size <size>', meaning: 'how much is written at once: 4MB, "5000 rows", or both with a comma (default: what suits the ends)' },
  rateLimit: { spelling: '--rate-limit <rate>', meaning: 'write no faster than "5000 rows/s", 20MB/s, or both with a comma' },
  verify: { spelling: '--no-verify', meaning: 'leave out the comparison of both ends after the copy', usual: 'true' },
  verifyWith: { spelling: '--verify-with <way>', meaning: 'how both ends are compared: rows (read all of them), digests (computed in the servers; rows of what differs only) or auto (digests where an end is more than 5 ms away)', usual: 'auto' },
  live: { spelling: '--live', meaning: 'after the copy go on with what changes in the source, until it is stopped', usual: 'false' },
  slot: { spelling: '--slot <name>', meaning: 'PostgreSQL, with --live: follow the log by this replication slot, which stays when the run goes (default: one that dsync makes and drops)' },
  publication: { spelling: '--publication <name>', meaning: 'PostgreSQL, with --live: follow this publication, which stays when the run goes (default: one that dsync makes and drops)' },
  failoverSlot: { spelling: '--failover-slot', meaning: 'PostgreSQL 17, with --live: make a slot that standbys take over', usual: 'false' },
  maxRetained: { spelling: '--max-retained <size>', meaning: 'PostgreSQL, with --live: stop (7) before the source keeps more of its log than this for the run, such as 50GB' },
  onDdl: { spelling: '--on-ddl <way>', meaning: 'what a live run does where a table changes its shape: stop, apply (added, dropped and widened columns, new tables) or ignore (new columns are not taken)', usual: 'stop' },
  mode: { spelling: '--mode <mode>', meaning: 'copy, live (the same as --live), or changes: what changed since --from, in tables that were copied by other means', usual: 'copy' },
  from: { spelling: '--from <position>', meaning: "with --mode changes: where in the source's log the copy stands (an LSN, a GTID set, or file:offset)" },
  schema: { spelling: '--schema <way>', meaning: 'what becomes of indexes, constraints, defaults and comments: create, check (compare with what stands) or none', usual: 'create' },
  views: { spelling: '--views <way>', meaning: 'what becomes of views: definition (made where the engine is the same, else told), as-tables (what they show is copied into tables) or skip', usual: 'definition' },
  document: { spelling: '--document <way>', meaning: 'what documents of MongoDB become in tables: json (one column, canonical Extended JSON) or columns (one for each field, and _rest for what they don\'t restore)', usual: 'json' },
  documentSample: { spelling: '--document-sample <number>', meaning: 'with --document columns: how many documents of a collection are looked at to choose its columns, or all', usual: 'all' },
  maxRejects: { spelling: '--max-rejects <number>', meaning: 'stop (7) when the destination could not hold more rows than this, over all processes of the run; 0: at the first' },
  state: { spelling: '--state <folder>', meaning: 'where runs are remembered (default: $XDG_STATE_HOME/dsync or ~/.local/state/dsync)' },
  logLevel: { spelling: '--log-level <level>', meaning: 'what is logged on stderr: error, warn, info or debug (default: info; warn where progress bars are shown)' },
  logFile: { spelling: '--log-file <file>', meaning: 'append the log, from level debug on, to this file as JSON lines' },
  json: { spelling: '--json', meaning: 'print one JSON document on stdout, and nothing else there', usual: 'false' },
} as const satisfies Record<string, Flag>;

export type SettingName = keyof typeof flags;

export const selectionFlags = ['namespaces', 'exclude', 'where'] as const satisfies readonly SettingName[];
export const ruleFlags = ['cast', 'columns', 'mask', 'maskKey', 'onBadValue'] as const satisfies readonly SettingName[];
export const paceFlags = ['concurrency', 'memory', 'batchSize', 'rateLimit'] as const satisfies readonly SettingName[];
export const logFlags = ['slot', 'publication', 'failoverSlot', 'maxRetained'] as const satisfies readonly SettingName[];
export const schemaFlags = ['schema', 'views'] as const satisfies readonly SettingName[];
export const documentFlags = ['document', 'documentSample'] as const satisfies readonly SettingName[];
const commonFlags = ['state', 'logLevel', 'logFile', 'json'] as const satisfies readonly SettingName[];

/** Adds these flags to a command, and those that every command has. */
export function withFlags<Arguments extends unknown[], Options extends OptionValues>(command: Command<Arguments, Options>, names: readonly SettingName[]): Command<Arguments, Options> {
  for (const name of [...names, ...commonFlags]) addFlag(command, flags[name]);
  command.option('--config <file>', 'read settings from this file (default: dsync.yaml, if it is there)');
  return command;
}

function addFlag<Arguments extends unknown[], Options extends OptionValues>(command: Command<Arguments, Options>, { spelling, meaning, usual, repeatable }: Flag): void {
  const text = usual && spelling.includes('<') ? `${meaning} (default: ${usual})` : meaning;
  if (repeatable) command.option(spelling, `${text}; may be given several times`, (value: string, earlier: string[] | undefined) => [...(earlier ?? []), value]);
  else command.option(spelling, text);
}

/** `--namespace`, for messages. */
export function flagName(name: SettingName): string {
  return flags[name].spelling.split(' ', 1)[0];
}
