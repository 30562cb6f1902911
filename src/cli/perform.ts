import { randomInt } from 'node:crypto';
import { resolve } from 'node:path';
import type { Emit, StateStore } from '../contract.js';
import type { Onlooker, Ports } from '../coordinator/config.js';
import { DsyncError } from '../errors.js';
import { toJson } from '../state/json.js';
import type { Actions } from './actions.js';
import type { Given, StoredConfig } from './config.js';
import { failureDocument, failureText, statusOf, traceText } from './failure.js';
import type { Display } from './lines.js';
import type { Log } from './log.js';
import { passwordVariable } from './passwords.js';
import type { Settings } from './settings.js';
import type { StopSignal, Surroundings } from './surroundings.js';
import { Voice } from './voice.js';

/** What a command came to: printed as text, or with `--json` as a document. */
export interface Outcome {
  readonly exitStatus: number;
  readonly document: unknown;
  readonly text: string;
}

export type Store = StateStore & { readonly folder: string };

/** What a command's work is given. */
export interface Session {
  readonly settings: Settings;
  readonly around: Surroundings;
  readonly signal: AbortSignal;
  readonly emit: Emit;
  /** The state, opened when it is first asked for, closed with the session. */
  readonly store: () => Promise<Store>;
  readonly actions: () => Promise<Actions>;
  /** These URLs' passwords are never printed from now on. */
  readonly hide: (...urls: readonly string[]) => void;
  /** For what remembers nothing: no state is opened. */
  readonly onlooker: (flow: string) => Onlooker;
  readonly ports: (flow: string, config: StoredConfig) => Promise<Ports & { readonly store: Store }>;
}

export type Work = (session: Session) => Promise<Outcome>;
/** Runs a command's work with what was typed, prints what it came to, and notes its exit status. */
export type Perform = (given: Given, work: Work) => Promise<void>;

/** Never fails: what goes wrong is printed, and is the exit status. */
export async function perform(around: Surroundings, given: Given, work: Work): Promise<number> {
  const voice = new Voice(around.stdout, around.stderr);
  const stopping = watch(around, voice);
  const open: AsyncDisposable[] = [];
  const memory: Memory = { json: given.flags.json === true };
  try {
    const outcome = await workWith(around, given, work, { voice, stopping, open, memory });
    await close(open);
    voice.say(memory.json ? `${toJson(outcome.document, 2)}\n` : outcome.text);
    return outcome.exitStatus;
  } catch (error) {
    await close(open);
    return fail(error, around, voice, stopping.by(), memory);
  } finally {
    stopping.off();
  }
}

/** What a failure has to know of the session that it ended. */
interface Memory {
  json: boolean;
  run?: string;
  settings?: Settings;
  config?: StoredConfig;
  log?: Log;
}

interface Tools {
  readonly voice: Voice;
  readonly stopping: Stopping;
  readonly open: AsyncDisposable[];
  readonly memory: Memory;
}

async function workWith(around: Surroundings, given: Given, work: Work, { voice, stopping, open, memory }: Tools): Promise<Outcome> {
  const [{ settingsOf }, { createLog }, { narrator }] = await Promise.all([import('./config.js'), import('./log.js'), import('./narrate.js')]);
  const settings = settingsOf(given, around.folder);
  Object.assign(memory, { settings, json: settings.json === true });
  const terminal = around.stderr.isTTY === true;
  const log = createLog(settings.logLevel ?? (terminal ? 'warn' : 'info'), settings.logFile && resolve(around.folder, settings.logFile), voice);
  memory.log = log;
  const display = await displayFor(around, terminal, log, voice);
  open.push({ [Symbol.asyncDispose]: async () => display.stop() });
  const narrate = narrator(log);
  const emit: Emit = (event) => {
    if (event.kind === 'run') memory.run = event.run;
    display.take(event);
    narrate(event);
  };
  let opened: Promise<Store> | undefined;
  const store = () => (opened ??= openState(settings, around, open, voice));
  return work({
    settings, around, signal: stopping.signal, emit, store, actions: around.actions,
    hide: (...urls) => voice.hide(...urls),
    onlooker: (flow) => ({ emit, signal: stopping.signal, flow }),
    async ports(flow, config) {
      memory.config = config;
      const state = await store();
      return { store: state, emit, signal: stopping.signal, newRunId: () => newRunId(state), flow, storedConfig: config };
    },
  });
}

async function displayFor(around: Surroundings, terminal: boolean, log: Log, voice: Voice): Promise<Display> {
  return terminal ? (await import('./bars.js')).bars(around.stderr, voice) : (await import('./lines.js')).lines(log);
}

async function openState({ state }: Settings, { env, folder }: Surroundings, open: AsyncDisposable[], voice: Voice): Promise<Store> {
  const { defaultFolder, openStore } = await import('../state/store.js');
  const store = openStore(state === undefined ? defaultFolder(env) : resolve(folder, state), (text) => voice.scrub(text));
  open.unshift(store);
  return store;
}

async function close(open: AsyncDisposable[]): Promise<void> {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
}

/** Its day, and enough chance that no other machine's run of that day is called the same: `20250131-k3f9xq`. */
function newRunId(store: StateStore): string {
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789';
  const day = new Date().toISOString().slice(0, 10).replaceAll('-', '');
  const id = `${day}-${Array.from({ length: 6 }, () => letters[randomInt(letters.length)]).join('')}`;
  return store.load(id) ? newRunId(store) : id;
}

interface Stopping {
  readonly signal: AbortSignal;
  readonly by: () => StopSignal | undefined;
  readonly off: () => void;
}

/** The first signal asks the work to stop, the second one ends the process. */
function watch(around: Surroundings, voice: Voice): Stopping {
  const abort = new AbortController();
  let by: StopSignal | undefined;
  const off = around.onSignal((name) => {
    if (by) return around.exit(name === 'SIGTERM' ? 143 : 130);
    by = name;
    voice.tell('Stopping. Once more stops at once; nothing is lost either way.\n');
    abort.abort(new DsyncError('interrupted', `stopped by ${name}`));
  });
  return { signal: abort.signal, by: () => by, off };
}

function fail(error: unknown, { env }: Surroundings, voice: Voice, stopped: StopSignal | undefined, memory: Memory): number {
  const document = failureDocument(error, memory.run);
  const interrupted = document.error.code === 'interrupted';
  memory.log?.error({ ...document.error, message: undefined, run: document.run, printed: true }, document.error.message);
  voice.tell(`${interrupted ? `Interrupted.${memory.run ? '' : ' Nothing was begun.'}\n` : failureText(error)}${goOnText(document, memory, env)}`);
  if (env.DSYNC_DEBUG) voice.tell(traceText(error));
  if (memory.json) voice.say(`${toJson(document, 2)}\n`);
  return statusOf(error, stopped);
}

const needsAnotherWay: readonly string[] = ['usage', 'refused', 'busy'];

/** How a run that came to an end too early goes on, with all that the command needs. */
function goOnText({ error, run }: ReturnType<typeof failureDocument>, { settings, config }: Memory, env: Surroundings['env']): string {
  if (!run || needsAnotherWay.includes(error.code)) return '';
  const missing = (['source', 'destination'] as const).filter((end) => config && config.secrets[end] !== 'none' && env[passwordVariable(end)] === undefined);
  const again = missing.filter((end) => config?.secrets[end] === 'other').map((end) => ` --${end} URL`).join('');
  const state = settings?.state === undefined ? '' : ` --state ${quoted(settings.state)}`;
  const set = missing.filter((end) => config?.secrets[end] === 'password').map((end) => `The password of the ${end} is not kept: you will be asked for it, or set ${passwordVariable(end)}.\n`).join('');
  return `Go on with: dsync resume ${run}${state}${again}\n${set}`;
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
