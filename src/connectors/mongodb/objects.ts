import type { Finding, IndexObject, Mapping, NameRules, PlannedObject, SchemaObjects, Shape, TableObjects, ViewObject } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { isKey, notMade } from '../../schema/portable.js';
import { refusal } from '../../schema/refusal.js';
import { toExtendedJson } from '../../values/bson.js';
import { exact, Fields, parseExtendedJson } from './json.js';
import type { Session } from './session.js';
import { durable } from './write.js';

export const names: NameRules = { longest: 127, unit: 'bytes', indexes: 'table', constraints: 'table', ignoresCase: false };

/** Indexes as listIndexes tells them, the options of the collections, and the views beside them. */
export async function readObjects(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<SchemaObjects> {
  const tables: TableObjects[] = [], views: ViewObject[] = [];
  for (const schema of new Set(shapes.map((shape) => shape.schema!))) {
    const infos = await infosOf(session, schema, {}, signal);
    views.push(...infos.filter((info) => info.get('type') === 'view').map((info): ViewObject => {
      const name = String(info.get('name')), native = exact(new Fields([['create', name], ...optionsOf(info).list]));
      return { namespace: `${schema}.${name}`, schema, name, engine: 'mongodb', materialized: false, definition: native, native };
    }));
    for (const shape of shapes.filter((one) => one.schema === schema)) tables.push(await tableObjects(session, shape, infos, signal));
  }
  return { tables, views };
}

/** Collections and views as listCollections tells them, their fields in the server's order. */
async function infosOf({ client, attempt }: Session, schema: string, filter: object, signal: AbortSignal): Promise<readonly Fields[]> {
  const raw = await attempt(`listing the collections of ${schema}`, signal, () => client.db(schema).listCollections(filter, { signal, raw: true }).toArray());
  return raw.map((bytes) => fieldsOf(bytes as unknown as Uint8Array));
}

function fieldsOf(bytes: Uint8Array): Fields {
  return parseExtendedJson(toExtendedJson(bytes)) as Fields;
}

function optionsOf(info: Fields | undefined): Fields {
  return info?.get('options') as Fields | undefined ?? new Fields([]);
}

/** What a time series is made with: its fields, and how they are put together. */
export async function seriesOptions(session: Session, schema: string, name: string, signal: AbortSignal): Promise<Fields> {
  const info = (await infosOf(session, schema, { name }, signal)).find((one) => one.get('name') === name), options = optionsOf(info).get('timeseries');
  if (options instanceof Fields) return options;
  throw new DsyncError('data', `the server does not tell how the time series ${schema}.${name} is made`);
}

async function tableObjects({ client, attempt }: Session, { namespace, schema, name }: Shape, infos: readonly Fields[], signal: AbortSignal): Promise<TableObjects> {
  const options = optionsOf(infos.find((info) => info.get('name') === name)), collated = options.get('collation') !== undefined;
  const indexes = await attempt(`listing the indexes of ${namespace}`, signal, () => client.db(schema).collection(name).listIndexes({ raw: true }).toArray());
  return {
    namespace, engine: 'mongodb', columns: [], foreignKeys: [], checks: [], partitions: [], others: [],
    indexes: indexes.map((bytes) => fieldsOf(bytes as unknown as Uint8Array)).filter((index) => index.get('name') !== '_id_' && index.get('clustered') !== true).map((index) => indexObject(index, collated)),
    native: options.list.length > 0 ? { options: exact(options) } : {},
  };
}

/** `collated`: an index that tells no collation compares bytes, where a new one would take the collection's. */
function indexObject(index: Fields, collated: boolean): IndexObject {
  const told = index.list.filter(([name]) => name !== 'ns'), native = exact(new Fields(told)), ways = (index.get('key') as Fields).list;
  return {
    name: String(index.get('name')), unique: index.get('unique') === true,
    method: ways.every(([, way]) => Math.abs(Number(way)) === 1) ? 'btree' : String(ways.map(([, way]) => way).find((way) => typeof way === 'string')),
    parts: ways.map(([column, way]) => ({ column, ...(Number(way) < 0 && { descending: true }) })), native,
    definition: collated && index.get('collation') === undefined ? exact(new Fields([...told, ['collation', { locale: 'simple' }]])) : native,
  };
}

/** From MongoDB all, as commands in Extended JSON; from tables the indexes over columns. */
export function planObjects(mapping: Mapping): readonly PlannedObject[] {
  const { objects, existed } = mapping;
  if (!objects || existed) return [];
  return objects.engine === 'mongodb' ? own(mapping, objects) : foreign(mapping, objects);
}

/** Options with which a collection is made, and never afterwards. */
const atCreation = ['collation', 'clusteredIndex', 'changeStreamPreAndPostImages', 'storageEngine', 'indexOptionDefaults', 'timeseries'];
/** Those that a command of their own sets, and what only old servers tell. */
const afterwards = ['capped', 'size', 'max', 'validator', 'validationLevel', 'validationAction', 'expireAfterSeconds', 'autoIndexId'];

/** What would refuse or delete documents waits with the unique indexes: for all rows, and in a live run for its end. */
function own({ target }: Mapping, { indexes, native }: TableObjects): readonly PlannedObject[] {
  const options = optionsIn(native), isCapped = options.get('capped') === true;
  const waiting = (kind: string, command: readonly (readonly [string, unknown])[], note?: string, name = target.name): PlannedObject =>
    ({ stage: 'unique', kind, name, native: native.options!, sql: exact(new Fields(command)), ...(note && { note }) });
  const set = (...fields: readonly string[]) => fields.flatMap((field): (readonly [string, unknown])[] => (options.get(field) === undefined ? [] : [[field, options.get(field)]]));
  return [
    // Before the indexes: the conversion keeps none.
    ...(isCapped ? [waiting('capped collection', [['convertToCapped', target.name], ...set('size')], 'it is converted when all documents are there: the oldest is the one that came first here')] : []),
    ...(isCapped && options.get('max') !== undefined ? [waiting('capped collection', [['collMod', target.name], ['cappedMax', options.get('max')]], undefined, `${target.name} (max)`)] : []),
    ...indexes.map((index) => indexCommand(target, index, isCapped)),
    ...(options.get('validator') ? [waiting('validator', [['collMod', target.name], ...set('validator', 'validationLevel', 'validationAction')])] : []),
    ...(options.get('expireAfterSeconds') !== undefined ? [waiting('expiry', [['collMod', target.name], ...set('expireAfterSeconds')], expires)] : []),
    ...options.list.filter(([name]) => !atCreation.includes(name) && !afterwards.includes(name)).map(([name, value]) => notMade('option', name, exact({ [name]: value }), 'it is not copied')),
  ];
}

const expires = 'it is made when all documents are there: nothing expires before';

function indexCommand(target: Shape, index: IndexObject, isCapped: boolean): PlannedObject {
  const spec = parseExtendedJson(index.definition!) as Fields, isTtl = spec.get('expireAfterSeconds') !== undefined;
  const sql = exact({ createIndexes: target.name, indexes: [new Fields(spec.list.map(([name, value]) => [name, name === 'name' ? index.name : value]))] });
  return { stage: index.unique || isTtl || isCapped ? 'unique' : 'index', kind: isTtl ? 'ttl index' : index.unique ? 'unique' : 'index', name: index.name, native: index.native, sql, ...(isTtl && { note: expires }) };
}

function optionsIn({ options }: TableObjects['native']): Fields {
  return options === undefined ? new Fields([]) : parseExtendedJson(options) as Fields;
}

function foreign(mapping: Mapping, objects: TableObjects): readonly PlannedObject[] {
  const { source: { table, ...shape }, target } = mapping, source = table ? { ...shape, ...table } : shape, fieldOf = (at: number) => (table ? source : target).columns[at]!.name;
  const indexes = objects.indexes.filter((index) => !isKey({ ...mapping, source }, index)).map((index): PlannedObject => {
    const kind = index.unique ? 'unique' : 'index', positions = index.parts.map(({ column, length }) => (length === undefined ? source.columns.findIndex(({ name }) => name === column) : -1));
    if (positions.includes(-1) || index.where !== undefined || (index.method !== 'btree' && index.method !== 'hash')) return notMade(kind, index.name, index.native, 'an index over whole columns only has a counterpart');
    if (index.unique && positions.some((i) => source.columns[i].nullable)) return notMade(kind, index.name, index.native, 'MongoDB takes two nulls for equal');
    const key = new Fields(index.parts.map(({ descending }, i) => [fieldOf(positions[i]), descending ? -1 : 1]));
    return { stage: index.unique ? 'unique' : 'index', kind, name: index.name, native: index.native, sql: exact({ createIndexes: target.name, indexes: [{ key, name: index.name, ...(index.unique && { unique: true }) }] }) };
  });
  const left = [...objects.foreignKeys.map((key) => notMade('foreign key', key.name, key.native, 'MongoDB knows none')), ...objects.checks.map((check) => notMade('check', check.name, check.native, 'MongoDB knows none'))];
  const defaults = objects.columns.flatMap((column) => (column.default !== undefined || column.identity ? [notMade(column.identity ? 'identity' : 'default', column.name, column.default ?? column.identity!.kind, 'MongoDB knows none')] : []));
  return [...indexes, ...left, ...defaults, ...objects.others.map(({ kind, name, native }) => notMade(kind, name, native, 'it is not copied'))];
}

/** What a collection must be made with. A staging collection of a time series is none itself. */
export function creationOptions({ objects, staged }: Mapping): Record<string, unknown> {
  if (objects?.engine !== 'mongodb' || staged) return {};
  return Object.fromEntries(optionsIn(objects.native).list.filter(([name]) => atCreation.includes(name)));
}

/** Runs the commands; what stands as it should is left alone by the server itself. */
export async function build({ client, attempt }: Session, mapping: Mapping | undefined, objects: readonly PlannedObject[], signal: AbortSignal): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const object of objects) {
    const database = mapping?.target.schema ?? object.name.slice(0, object.name.indexOf('.')), place = client.db(database);
    try {
      await attempt(`making ${object.kind} ${object.name}`, signal, async () => {
        if (object.kind === 'capped collection' && await place.collection(mapping!.target.name).isCapped()) return;
        await place.command({ ...commandIn(object.sql!), writeConcern: durable }, { signal });
      });
    } catch (error) {
      if (!(error instanceof DsyncError) || error.retryable || error.code === 'interrupted' || !isAnswer(error)) throw error;
      if (object.stage !== 'view' || (error.cause as { readonly code?: number }).code !== alreadyThere) findings.push(refusal(object, messageOf(error.cause), mapping));
    }
  }
  return findings;
}

function commandIn(text: string): Record<string, unknown> {
  return Object.fromEntries((parseExtendedJson(text) as Fields).list);
}

const alreadyThere = 48;

function isAnswer({ cause }: DsyncError): boolean {
  return typeof (cause as { readonly code?: unknown } | undefined)?.code === 'number';
}

/** Takes away what an interrupted process has made and what could refuse or delete documents. */
export async function release({ client, attempt }: Session, { target }: Mapping, objects: readonly PlannedObject[], signal: AbortSignal): Promise<void> {
  for (const object of objects) {
    const command = releaseCommand(target.name, object);
    if (command) await attempt(`taking away ${object.kind} ${object.name}`, signal, () => client.db(target.schema).command(command, { signal }).catch((error: { readonly code?: number }) => {
      if (error.code !== indexNotFound && error.code !== namespaceNotFound) throw error;
    }));
  }
}

function releaseCommand(collection: string, { kind, name }: PlannedObject): Record<string, unknown> | undefined {
  switch (kind) {
    case 'unique': case 'ttl index': return { dropIndexes: collection, index: name };
    case 'validator': return { collMod: collection, validator: {} };
    case 'expiry': return { collMod: collection, expireAfterSeconds: 'off' };
    default: return undefined;
  }
}

const indexNotFound = 27, namespaceNotFound = 26;
