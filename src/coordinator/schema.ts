import pLimit from 'p-limit';
import type { ColumnObjects, Destination, Finding, Mapping, ObjectStage, PlannedObject, SchemaObjects, Shape, Source, TableObjects, Target, ViewObject } from '../contract.js';
import { DsyncError } from '../errors.js';
import { differences } from '../schema/differences.js';
import { nameObjects } from '../schema/names.js';
import { resolveReferences } from '../schema/portable.js';
import { selects } from '../source/selection.js';
import type { RunConfig } from './config.js';
import { placesOf, selectionOf, targetsOf } from './route.js';
import { enter, type Run } from './run.js';
import { sourceSequences } from './numbers.js';
import { adaptAll } from './tables.js';

/** Tables beside their places in the destination, with what is to be told of their objects, and the views. */
export interface Adapted { readonly mappings: readonly Mapping[]; readonly findings: readonly Finding[]; readonly views: readonly PlannedObject[] }

type Ways = Pick<RunConfig, 'schema' | 'views' | 'live' | 'namespaces' | 'exclude'>;

/**
 * Where each table goes, and what is made of its objects (`--schema create`), or how what stands differs (`check`). Everything
 * that has no counterpart is a finding, before any row moves. Fails with `refused` where `check` finds a table missing.
 */
export async function adaptTables(config: Ways, source: Source, destination: Destination, shapes: readonly Shape[], signal: AbortSignal): Promise<Adapted> {
  const read = config.schema === 'none' || !destination.objects ? undefined : await objectsOf(source, shapes, signal);
  const objects = new Map(read?.tables.map((table) => [table.namespace, config.live ? withoutComputed(table) : table]));
  const targets = placesOf(shapes, config.namespaces, source, destination);
  const found = await adaptAll(targets, destination, signal, config.schema === 'create' ? objects : undefined);
  if (config.schema === 'check') return { mappings: found, findings: await checked(found, objects, destination, signal), views: [] };
  const { mappings: named, renamed } = destination.names ? nameObjects(found, destination.names) : { mappings: found, renamed: [] };
  const resolved = resolveReferences(named), mappings = destination.tied?.(resolved) ?? resolved;
  const views = viewsOf(config, source, destination, read, mappings);
  return {
    mappings, views,
    findings: [
      ...[...targetsOf(shapes, config.namespaces, source, destination).values()].flatMap((wanted, i) => tableRenamed(found[i], wanted)),
      ...renamed.map(({ namespace, from, to }): Finding => ({ level: 'info', code: 'object-renamed', namespace, message: `${namespace}: ${from} is named ${to} in the destination` })),
      ...mappings.flatMap((mapping) => objectFindings(mapping, destination.objects?.(mapping) ?? [], config.live)),
      ...views.flatMap((view) => findingOf(view, undefined)),
    ],
  };
}

/** What the tables have; a view that becomes a table has at most the indexes and comments of a materialized one. */
async function objectsOf(source: Source, shapes: readonly Shape[], signal: AbortSignal): Promise<SchemaObjects | undefined> {
  const read = await source.objects?.(shapes.filter(({ view }) => view !== 'plain'), signal), views = new Set(shapes.filter(({ view }) => view).map(({ namespace }) => namespace));
  return read && { ...read, tables: read.tables.map((table) => (views.has(table.namespace) ? { ...table, native: {}, others: [] } : table)) };
}

function plainColumn({ generated: _, native: __, ...column }: ColumnObjects): ColumnObjects {
  return column;
}

/** The log tells the values of computed columns as any others: they stay plain columns. */
function withoutComputed(table: TableObjects): TableObjects {
  const computed = table.columns.flatMap(({ name, generated }) => (generated ? [{ kind: 'generated column', name, native: `GENERATED ALWAYS AS (${generated.expression})` }] : []));
  if (computed.length === 0) return table;
  return { ...table, columns: table.columns.map((column) => (column.generated ? plainColumn(column) : column)), others: [...table.others, ...computed] };
}

function tableRenamed({ source, target, existed }: Mapping, wanted: Target): Finding[] {
  if (existed || target.name === wanted.name) return [];
  return [{ level: 'info', code: 'table-renamed', namespace: source.namespace, message: `${source.namespace} is named ${target.namespace} in the destination` }];
}

function amongOf(mappings: readonly Mapping[]): ReadonlyMap<string, Mapping> {
  return new Map(mappings.map((mapping) => [mapping.source.namespace, mapping]));
}

/** The views that the selection names, where whole tables go; otherwise they are not even told. */
function viewsOf(config: Ways, source: Source, destination: Destination, read: SchemaObjects | undefined, mappings: readonly Mapping[]): readonly PlannedObject[] {
  if (config.views !== 'definition' || !read || !destination.view) return [];
  const selected = selects(selectionOf(config.namespaces, config.exclude, source));
  return read.views.filter(({ namespace }) => selected(namespace)).map((view) => destination.view!(view, placeOf(view, source, destination), mappings));
}

function placeOf(view: ViewObject, source: Source, destination: Destination): Target {
  return view.schema === undefined || view.schema === source.defaultSchema ? { schema: destination.defaultSchema, name: view.name } : { schema: view.schema, name: view.name };
}

export function objectFindings(mapping: Mapping, objects: readonly PlannedObject[], live: boolean): readonly Finding[] {
  return objects.flatMap((object) => (live && waits(object) && object.sql !== undefined
    ? [{ level: 'info' as const, code: 'object-waits', namespace: mapping.source.namespace, message: `${object.kind} ${object.name} of ${mapping.target.namespace} waits until nothing is followed any more`, remedy: object.sql }]
    : findingOf(object, mapping)));
}

function findingOf({ stage, kind, name, note, native }: PlannedObject, mapping: Mapping | undefined): Finding[] {
  if (note === undefined) return [];
  const of = mapping ? ` of ${mapping.source.namespace}` : '', at = mapping && { namespace: mapping.source.namespace };
  return stage === 'none'
    ? [{ level: 'warning', code: 'object-left-out', message: `${kind} ${name}${of} is not made: ${note}`, remedy: native, ...at }]
    : [{ level: 'info', code: 'object-changed', message: `${kind} ${name}${of} is made differently: ${note}`, ...at }];
}

/** Changes of several rows may come in another order than in the source: what ties rows together, fires or forbids waits until they have all come. */
function waits({ stage }: PlannedObject): boolean {
  return stage === 'unique' || stage === 'foreign-key' || stage === 'last';
}

async function checked(mappings: readonly Mapping[], objects: ReadonlyMap<string, TableObjects>, destination: Destination, signal: AbortSignal): Promise<readonly Finding[]> {
  const missing = mappings.filter(({ existed }) => !existed).map(({ target }) => target.namespace);
  if (missing.length > 0) {
    throw new DsyncError('refused', `--schema check: the destination has no ${missing.join(', ')}`, { remedy: "make the tables first (dsync plan --ddl FILE writes the statements), or let them be made: --schema create" });
  }
  const standing = new Map((await destination.standing?.(mappings.map(({ target }) => target), signal) ?? []).map((table) => [table.namespace, table]));
  return asIfMade(mappings, objects, destination).flatMap((made, i) => {
    const there = standing.get(made.target.namespace), planned = destination.objects?.(made) ?? [];
    if (!there || !made.objects) return [];
    const left = planned.filter(({ stage }) => stage === 'none');
    return [...differences(mappings[i], withoutLeft(made.objects, left), there, amongOf(mappings)), ...left.flatMap((object) => findingOf(object, made))];
  });
}

/** What a run that makes the tables itself would make of them, under the names that it would give. */
function asIfMade(mappings: readonly Mapping[], objects: ReadonlyMap<string, TableObjects>, { names }: Destination): readonly Mapping[] {
  const bare = mappings.map((mapping): Mapping => ({ ...mapping, existed: false, objects: objects.get(mapping.source.namespace) }));
  return resolveReferences(names ? nameObjects(bare, names).mappings : bare);
}

/** Without what has no counterpart. */
function withoutLeft(objects: TableObjects, left: readonly PlannedObject[]): TableObjects {
  const isLeft = (kinds: readonly string[], name: string) => left.some((object) => kinds.includes(object.kind) && object.name === name);
  return {
    ...objects,
    indexes: objects.indexes.filter(({ name }) => !isLeft(['index', 'unique'], name)),
    foreignKeys: objects.foreignKeys.filter(({ name }) => !isLeft(['foreign key'], name)),
    checks: objects.checks.filter(({ name }) => !isLeft(['check'], name)),
    columns: objects.columns.filter(({ name }) => !isLeft(['default', 'identity', 'generated column'], name)),
  };
}

/** Constraints that an interrupted process has made would stand in the way of rows that are to be mended. */
export async function releaseObjects(run: Run, mappings: readonly Mapping[]): Promise<void> {
  for (const mapping of mappings) {
    const objects = (run.destination.objects?.(mapping) ?? []).filter(waits);
    if (objects.length > 0) await run.destination.release?.(run.id, mapping, objects, run.signal);
  }
}

const waves: readonly (readonly ObjectStage[])[] = [['index', 'unique'], ['check', 'foreign-key'], ['end'], ['last']];

/**
 * Makes what the tables have besides columns and keys, when their rows are all there and mended: indexes, constraints,
 * defaults and comments, what fires; several tables at a time. Then the views, and the next numbers. What stands is kept, and
 * what the destination refuses is a finding. In a live run what ties rows together or fires is left for later.
 */
export async function buildObjects(run: Run, live = run.config.live): Promise<void> {
  const { destination, signal } = run;
  if (!destination.build || !destination.objects || run.config.schema !== 'create') return;
  const tables = run.mappings.map((mapping) => ({ mapping, objects: destination.objects!(mapping).filter((object) => object.sql !== undefined && !(live && waits(object))) }));
  const read = run.mappings.some(({ objects, existed }) => objects && !existed) ? await objectsOf(run.source, run.mappings.map(({ source }) => source), signal) : undefined;
  const views = viewsOf(run.config, run.source, destination, read, run.mappings).filter(({ sql }) => sql !== undefined);
  if (views.length === 0 && tables.every(({ objects }) => objects.every(({ stage }) => stage === 'table'))) return;
  enter(run, 'finish');
  const limit = pLimit(run.config.concurrency);
  for (const stages of waves) {
    await Promise.all(tables.map(({ mapping, objects }) => limit(async () => {
      const due = objects.filter(({ stage, kind }) => stages.includes(stage) && kind !== 'next number');
      if (due.length > 0) tell(run, await destination.build!(run.id, mapping, due, signal));
    })));
  }
  await buildViews(run, views);
  await numberTables(run, views);
}

/** The tables that this run has made, and the sequences beside them, give out numbers where the source's go on. */
async function numberTables(run: Run, views: readonly PlannedObject[]): Promise<void> {
  const made = run.mappings.filter(({ objects, existed }) => objects && !existed), namespaces = new Set(made.map(({ source }) => source.namespace));
  const alone = new Set(views.filter(({ kind }) => kind === 'sequence').map(({ name }) => name)), { defaultSchema } = run.destination;
  const given = (await sourceSequences(run, run.signal)).filter(({ namespace, schema = defaultSchema, name }) => (namespace === undefined ? alone.has(`${schema}.${name}`) : namespaces.has(namespace)));
  const sets = await run.destination.setSequences?.(made, given, run.signal) ?? [];
  tell(run, sets.filter(({ state }) => state === 'exhausted').map(({ of }): Finding => ({ level: 'warning', code: 'sequence-exhausted', message: `${of} has given out its last number` })));
}

/** A view may read another one, which comes later: those that were refused are tried again as long as any is made. */
async function buildViews(run: Run, views: readonly PlannedObject[]): Promise<void> {
  let left = views;
  for (let before = Infinity; left.length > 0;) {
    const refused: { readonly view: PlannedObject; readonly findings: readonly Finding[] }[] = [];
    for (const view of left) {
      const findings = await run.destination.build!(run.id, undefined, [view], run.signal);
      if (findings.length > 0) refused.push({ view, findings });
    }
    if (refused.length === before || refused.length === 0) return refused.forEach(({ findings }) => tell(run, findings));
    before = refused.length;
    left = refused.map(({ view }) => view);
  }
}

function tell(run: Run, findings: readonly Finding[]): void {
  for (const finding of findings) run.emit({ kind: 'finding', end: 'destination', finding });
}
