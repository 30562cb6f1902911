import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Event, RunState } from '../../src/contract.js';
import type { Ports, RunConfig, RunReport } from '../../src/coordinator/config.js';
import type { Actions } from '../../src/cli/actions.js';
import { main } from '../../src/cli/main.js';
import type { StopSignal, Surroundings } from '../../src/cli/surroundings.js';

const folders: string[] = [];
afterAll(() => { for (const folder of folders) rmSync(folder, { recursive: true, force: true }); });

export function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dsync-cli-'));
  folders.push(folder);
  return folder;
}

export interface Typed {
  readonly folder?: string;
  readonly env?: Record<string, string>;
  readonly actions?: Partial<Actions>;
  readonly ask?: Surroundings['ask'];
  readonly terminal?: boolean;
}

export interface Printed { readonly status: number; readonly stdout: string; readonly stderr: string; readonly exits: readonly number[] }

/** Types a command line into a terminal of its own, with another coordinator. `press` sends it a signal, `printed` is what it has printed so far. */
export function type(argv: readonly string[], { folder = freshFolder(), env = {}, actions = {}, ask, terminal = false }: Typed = {}): Promise<Printed> & { readonly press: (signal: StopSignal) => void; readonly printed: () => string } {
  let stdout = '', stderr = '', handler: ((signal: StopSignal) => void) | undefined;
  const exits: number[] = [];
  const around: Surroundings = {
    argv, folder, ask, env: { XDG_STATE_HOME: join(folder, 'state'), ...env },
    stdout: { write: (text: string | Uint8Array) => { stdout += String(text); return true; } },
    stderr: { write: (text: string | Uint8Array) => { stderr += String(text); return true; }, isTTY: terminal, columns: 120, rows: 40 } as Surroundings['stderr'],
    onSignal: (stop) => { handler = stop; return () => { handler = undefined; }; },
    exit: (status) => { exits.push(status); },
    actions: async () => ({ ...well, ...actions }),
  };
  const done = main(around).then((status) => ({ status, stdout, stderr, exits }));
  return Object.assign(done, { press: (signal: StopSignal) => handler?.(signal), printed: () => stdout });
}

/** A report of a run in which all went well. */
export const report = (more: Partial<RunReport> = {}): RunReport => ({
  run: 'r1', flow: 'f1', status: 'done', exitStatus: 0, source: 'SQLite 3.45', destination: 'SQLite 3.45',
  agreed: [{ namespace: 'orders', target: 'orders', format: 'values', sent: 'values', staged: false, losses: [] }],
  tasks: 1, rows: 1234, bytes: 56_789, seconds: 1.5, phases: { copy: 1.2 }, moments: [], mended: { upserted: 0, deleted: 0, recopied: [] },
  rejected: { count: 0 }, verification: [], findings: [], ...more,
});

export const state = (config: RunConfig, ports: Ports, run: string, more: Partial<RunState> = {}): RunState => ({
  run, flow: ports.flow, status: 'running', phase: 'copy', startedAt: new Date().toISOString(), updatedAt: new Date().toISOString(),
  config: ports.storedConfig, sourceIdentity: 's', destinationIdentity: 'd', mappings: [], tasks: [], moments: [], ...more,
});

/** Begins a run as the coordinator does: its state is saved, then it is announced. */
export async function begin(config: RunConfig, ports: Ports, more: Partial<RunState> = {}): Promise<string> {
  const run = ports.newRunId();
  ports.store.save(state(config, ports, run, more));
  ports.emit({ kind: 'run', run, flow: ports.flow, resumed: false } satisfies Event);
  return run;
}

/** A coordinator to which nothing bad happens. */
export const well: Actions = {
  sync: async (config, ports) => {
    const run = await begin(config, ports);
    const result = report({ run, flow: ports.flow });
    ports.store.update(run, { status: 'done', phase: 'done', summary: result });
    return result;
  },
  resume: async (state, _config, ports) => {
    ports.emit({ kind: 'run', run: state.run, flow: state.flow, resumed: true });
    ports.store.update(state.run, { status: 'done' });
    return report({ run: state.run });
  },
  abortCutover: async () => [],
  plan: async () => ({ source: 'SQLite 3.45', destination: 'SQLite 3.45', findings: [], namespaces: [], views: [] }),
  verifyOnly: async () => report({ run: '' }),
  doctor: async () => [],
  cleanup: async (state, _config, ports) => ports.store.remove(state.run),
  replay: async (state) => ({ run: state.run, exitStatus: 0, dryRun: false, written: 1, there: 0, gone: 0, left: [], rejected: { count: 0 } }),
  roundtrip: async () => ({ source: 'SQLite 3.45', destination: 'SQLite 3.45', scratch: 'dsync_types_1', tables: [{ namespace: 'orders', rows: 5, rejected: 0 }], columns: [], untried: [] }),
  selftest: async () => ({ server: 'SQLite 3.45', scratch: 'dsync_selftest_1', ways: ['copy, values', 'verifier'], types: [], absent: [], refused: [] }),
};

/** A promise that is settled from outside. */
export function promised<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void; readonly reject: (reason: unknown) => void } {
  let resolve!: (value: T) => void, reject!: (reason: unknown) => void;
  const promise = new Promise<T>((yes, no) => { resolve = yes; reject = no; });
  return { promise, resolve, reject };
}
