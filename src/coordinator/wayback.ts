import type { ChangeLog, Destination, Mapping, Position, Shape, Source } from '../contract.js';
import { DsyncError } from '../errors.js';
import { originOf } from '../source/ruled.js';
import { literally } from '../source/selection.js';
import { castBetween } from '../values/cast.js';
import type { Ports, RunConfig } from './config.js';
import { openDestination, openOptions, openSource, openSourceOf } from './ends.js';
import type { Run } from './run.js';
import { withRules } from './rules.js';
import { adaptAll, refuseLosses } from './tables.js';

/** The run to leave behind, and its configuration as it is stored: the ends exchanged, the tables mapped back. */
export interface WayBackAsk {
  readonly run: string;
  readonly flow: string;
  readonly storedConfig: unknown;
  readonly namespaces: readonly string[];
  readonly acceptLoss: readonly string[];
}

/** A run that is ready to follow the new database from here on. */
export interface WayBack { readonly run: string; readonly position: Position }

export interface ReadyWayBack {
  /** Pins the new database's log where it ends now, and leaves the run: `noted` has its id on disk before anything is made. */
  leave(noted: (run: string) => void, signal: AbortSignal): Promise<WayBack>;
  close(): Promise<void>;
}

/** Looks whether the new database can be followed into the old one; changes nothing. Fails as a run from there would. */
export async function prepareWayBack(run: Run, ask: WayBackAsk, signal: AbortSignal): Promise<ReadyWayBack> {
  refuseMasked(run.mappings);
  const config = exchanged(run.config, ask), ports: Ports = { ...run, signal };
  const opened = await openSourceOf(config, openOptions(config, signal));
  try {
    await using destination = await openDestination(config, ports);
    const cast = castsBack(run.mappings, destination), source = withRules(opened, { ...config, cast }, destination, run.emit);
    const mappings = await mapBack(run.mappings, source, destination, signal);
    refuseLosses(mappings, ask.acceptLoss);
    await refuseFindings(source, destination, mappings, signal);
    const identities = { sourceIdentity: await source.identity(signal), destinationIdentity: await destination.identity(signal) };
    return { leave: (noted, inner) => leave(run, { ...ask, storedConfig: { ...(ask.storedConfig as object), cast } }, source, mappings, identities, noted, inner), close: async () => opened[Symbol.asyncDispose]() };
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

/** What has gone to the new database as text, or as a number of another kind, becomes again what it was. */
function castsBack(forward: readonly Mapping[], { typeOf }: Pick<Destination, 'typeOf'>): Readonly<Record<string, string>> {
  return Object.fromEntries(forward.flatMap(({ source, target }) => source.columns.flatMap((column, i): readonly [string, string][] => {
    const { type, native } = originOf(source, column), now = target.columns[i].type;
    const hasChanged = now.kind === 'text' ? !['text', 'enum', 'set', 'document', 'document-id', 'any'].includes(type.kind) : now.kind === 'decimal' && type.kind === 'int';
    const known = hasChanged ? typeOf?.(native) : undefined;
    return known && castBetween(now, known.type) ? [[`${target.namespace}.${target.columns[i].name}`, native]] : [];
  })));
}

/** What was masked would come back in the place of what it stands for. */
function refuseMasked(mappings: readonly Mapping[]): void {
  const masked = mappings.find(({ source }) => source.columns.some(({ rule }) => rule?.mask ?? rule?.fields));
  if (masked) throw new DsyncError('refused', `${masked.source.namespace} is masked or has fields left out: a way back would write that into the old database`, { namespace: masked.source.namespace, remedy: 'leave out --reverse' });
}

function logOf(source: Source): ChangeLog {
  if (source.log) return source.log;
  throw new DsyncError('usage', `${source.engine} keeps no log of its changes: there is no way back from it`, { remedy: 'leave out --reverse' });
}

/** Takes back what `leave` has made, or began to. */
export async function dropWayBack(id: string, config: RunConfig, { store, signal }: Ports): Promise<void> {
  await using source = await openSource(config.destination, openOptions(config, signal));
  await source.log?.unpin(id, signal);
  store.remove(id);
}

function exchanged(config: RunConfig, { namespaces, acceptLoss }: WayBackAsk): RunConfig {
  return { ...config, source: config.destination, destination: config.source, namespaces, exclude: [], where: {}, acceptLoss, existing: 'merge', cast: {}, columns: {}, mask: {}, onBadValue: {} };
}

async function mapBack(forward: readonly Mapping[], source: Source, destination: Destination, signal: AbortSignal): Promise<readonly Mapping[]> {
  const shapes = await source.shapes({ include: forward.map(({ target }) => literally(target.namespace)), exclude: [] }, signal);
  const found = forward.map(({ source: old, target }) => ({ old, shape: shapes.find(({ namespace }) => namespace === target.namespace) }));
  const lost = found.find(({ shape }) => !shape);
  if (lost) throw new DsyncError('refused', `${lost.old.namespace} has no table in the destination that could be followed back`);
  return adaptAll(new Map(found.map(({ old, shape }): [Shape, { schema?: string; name: string }] => [shape!, { schema: old.schema, name: old.name }])), destination, signal);
}

async function refuseFindings(source: Source, destination: Destination, mappings: readonly Mapping[], signal: AbortSignal): Promise<void> {
  const shapes = mappings.map((mapping) => mapping.source);
  const findings = [...await logOf(source).check(shapes, signal), ...await destination.check(mappings, signal)].filter(({ level }) => level === 'error');
  if (findings.length === 0) return;
  throw new DsyncError(findings[0].error ?? 'not-ready', `there is no way back yet: ${findings.map(({ message }) => message).join('; ')}`, {
    remedy: [...findings.flatMap(({ remedy }) => remedy ?? []), 'or leave out --reverse'].join('\n'),
  });
}

async function leave({ store }: Run, ask: WayBackAsk, source: Source, mappings: readonly Mapping[], identities: { sourceIdentity: string; destinationIdentity: string }, noted: (run: string) => void, signal: AbortSignal): Promise<WayBack> {
  const now = new Date().toISOString(), { run, flow, storedConfig: config } = ask;
  noted(run);
  store.save({ run, flow, status: 'interrupted', phase: 'follow', startedAt: now, updatedAt: now, config, ...identities, mappings, tasks: [], moments: [] });
  const snapshot = await logOf(source).pin(run, mappings.map((mapping) => mapping.source), (pin) => store.update(run, { log: { pin } }), signal);
  const { position } = snapshot.moment;
  await snapshot[Symbol.asyncDispose]();
  if (position === undefined) throw new DsyncError('not-ready', 'the new database does not tell where its log ends', { remedy: 'leave out --reverse' });
  store.update(run, { log: { place: { position, changes: 0 } } });
  return { run, position };
}
