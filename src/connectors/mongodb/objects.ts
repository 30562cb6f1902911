import { BSON, type Document } from 'mongodb';
import type { Finding, IndexObject, Mapping, NameRules, PlannedObject, SchemaObjects, Shape, TableObjects, Target, ViewObject } from '../../contract.js';
import { DsyncError, messageOf } from '../../errors.js';
import { isKey, notMade } from '../../schema/portable.js';
import { refusal } from '../../schema/refusal.js';
import type { Session } from './session.js';
import { durable } from './write.js';

const { EJSON } = BSON;

export const names: NameRules = { longest: 127, unit: 'bytes', indexes: 'table', constraints: 'table', ignoresCase: false };

const exact = (document: unknown) => EJSON.stringify(document, { relaxed: false });

/** Indexes as listIndexes tells them, the options of the collections, and the views beside them. */
export async function readObjects({ client, attempt }: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<SchemaObjects> {
  const tables: TableObjects[] = [], views: ViewObject[] = [];
  for (const schema of new Set(shapes.map((shape) => shape.schema!))) {
    const infos = await attempt(`listing the collections of ${schema}`, signal, () => client.db(schema).listCollections({}, { signal }).toArray());
    views.push(...infos.filter(({ type }) => type === 'view').map((info): ViewObject => {
      const { name, options } = info as { readonly name: string; readonly options?: Document };
      const native = exact({ create: name, ...options });
      return { namespace: `${schema}.${name}`, schema, name, engine: 'mongodb', materialized: false, definition: native, native };
    }));
    for (const shape of shapes.filter((one) => one.schema === schema)) {
      const indexes = await attempt(`listing the indexes of ${shape.namespace}`, signal, () => client.db(schema).collection(shape.name).listIndexes().toArray());
      const options = (infos.find(({ name }) => name === shape.name) as { readonly options?: Document } | undefined)?.options ?? {};
      tables.push({
        namespace: shape.namespace, engine: 'mongodb', columns: [], foreignKeys: [], checks: [], partitions: [], others: [],
        indexes: (indexes as Document[]).filter(({ name }) => name !== '_id_').map(indexObject), native: Object.keys(options).length > 0 ? { options: exact(options) } : {},
      });
    }
  }
  return { tables, views };
}

function indexObject({ ns: _, ...index }: Document): IndexObject {
  const native = exact(index), key = index['key'] as Readonly<Record<string, unknown>>;
  return {
    name: index['name'] as string, unique: index['unique'] === true, method: Object.values(key).every((way) => Number(way) === 1 || Number(way) === -1) ? 'btree' : String(Object.values(key).find((way) => typeof way === 'string')),
    parts: Object.entries(key).map(([column, way]) => ({ column, ...(Number(way) < 0 && { descending: true }) })), definition: native, native,
  };
}

/** From MongoDB all, as commands in Extended JSON; from tables the indexes over columns. */
export function planObjects(mapping: Mapping): readonly PlannedObject[] {
  const { objects, existed } = mapping;
  if (!objects || existed) return [];
  return objects.engine === 'mongodb' ? own(mapping, objects) : foreign(mapping, objects);
}

function own({ target }: Mapping, { indexes, native }: TableObjects): readonly PlannedObject[] {
  const options = native.options ? EJSON.parse(native.options, { relaxed: false }) as Document : {};
  const { capped, size, max, validator, validationLevel, validationAction } = options;
  const command = (stage: PlannedObject['stage'], kind: string, name: string, text: string, sql: Document, note?: string): PlannedObject => ({ stage, kind, name, native: text, sql: exact(sql), ...(note && { note }) });
  return [
    // Before the indexes: the conversion keeps none.
    ...(capped ? [command('index', 'capped collection', target.name, native.options, { convertToCapped: target.name, size, ...(max !== undefined && { max }) })] : []),
    ...indexes.map((index): PlannedObject => {
      const spec = EJSON.parse(index.definition!, { relaxed: false }) as Document, isTtl = spec['expireAfterSeconds'] !== undefined;
      return command(index.unique || isTtl ? 'unique' : 'index', isTtl ? 'ttl index' : index.unique ? 'unique' : 'index', index.name, index.native, { createIndexes: target.name, indexes: [{ ...spec, name: index.name }] },
        isTtl ? 'it is made when all documents are there: nothing expires before' : undefined);
    }),
    ...(validator ? [command('end', 'validator', target.name, native.options, { collMod: target.name, validator, ...(validationLevel && { validationLevel }), ...(validationAction && { validationAction }) })] : []),
  ];
}

function foreign(mapping: Mapping, objects: TableObjects): readonly PlannedObject[] {
  const { source, target } = mapping;
  const indexes = objects.indexes.filter((index) => !isKey(mapping, index)).map((index): PlannedObject => {
    const kind = index.unique ? 'unique' : 'index', positions = index.parts.map(({ column, length }) => (length === undefined ? source.columns.findIndex(({ name }) => name === column) : -1));
    if (positions.includes(-1) || index.where !== undefined || (index.method !== 'btree' && index.method !== 'hash')) return notMade(kind, index.name, index.native, 'an index over whole columns only has a counterpart');
    if (index.unique && positions.some((i) => source.columns[i].nullable)) return notMade(kind, index.name, index.native, 'MongoDB takes two nulls for equal');
    const key = Object.fromEntries(index.parts.map(({ descending }, i) => [target.columns[positions[i]].name, descending ? -1 : 1]));
    return { stage: index.unique ? 'unique' : 'index', kind, name: index.name, native: index.native, sql: exact({ createIndexes: target.name, indexes: [{ key, name: index.name, ...(index.unique && { unique: true }) }] }) };
  });
  const left = [...objects.foreignKeys.map((key) => notMade('foreign key', key.name, key.native, 'MongoDB knows none')), ...objects.checks.map((check) => notMade('check', check.name, check.native, 'MongoDB knows none'))];
  const defaults = objects.columns.flatMap((column) => (column.default !== undefined || column.identity ? [notMade(column.identity ? 'identity' : 'default', column.name, column.default ?? column.identity!.kind, 'MongoDB knows none')] : []));
  return [...indexes, ...left, ...defaults, ...objects.others.map(({ kind, name, native }) => notMade(kind, name, native, 'it is not copied'))];
}

/** What a collection must be made with: its collation can't be changed afterwards. */
export function creationOptions({ objects }: Mapping): Document {
  if (objects?.engine !== 'mongodb' || !objects.native.options) return {};
  const { collation } = EJSON.parse(objects.native.options, { relaxed: false }) as Document;
  return collation ? { collation } : {};
}

export function planView(view: ViewObject, { schema, name }: Target, mappings: readonly Mapping[]): PlannedObject {
  const refused = (note: string) => notMade('view', view.namespace, view.native, note);
  if (view.engine !== 'mongodb') return refused('a view goes to its own engine only');
  const moved = mappings.find(({ source, target }) => source.name !== target.name);
  if (moved) return refused(`${moved.source.namespace} has another name here`);
  return { stage: 'view', kind: 'view', name: `${schema ?? view.schema}.${name}`, native: view.native, sql: view.native };
}

/** Runs the commands; what stands as it should is left alone by the server itself. */
export async function build({ client, attempt }: Session, mapping: Mapping | undefined, objects: readonly PlannedObject[], signal: AbortSignal): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const object of objects) {
    const database = mapping?.target.schema ?? object.name.slice(0, object.name.indexOf('.')), place = client.db(database);
    try {
      await attempt(`making ${object.kind} ${object.name}`, signal, async () => {
        if (object.kind === 'capped collection' && await place.collection(mapping!.target.name).isCapped()) return;
        await place.command({ ...EJSON.parse(object.sql!, { relaxed: false }) as Document, writeConcern: durable }, { signal });
      });
    } catch (error) {
      if (!(error instanceof DsyncError) || error.retryable || error.code === 'interrupted' || !isAnswer(error)) throw error;
      if (object.stage !== 'view' || (error.cause as { readonly code?: number }).code !== alreadyThere) findings.push(refusal(object, messageOf(error.cause), mapping));
    }
  }
  return findings;
}

const alreadyThere = 48;

function isAnswer({ cause }: DsyncError): boolean {
  return typeof (cause as { readonly code?: unknown } | undefined)?.code === 'number';
}

/** Takes unique indexes of an interrupted process away. */
export async function release({ client, attempt }: Session, { target }: Mapping, objects: readonly PlannedObject[], signal: AbortSignal): Promise<void> {
  for (const { name, kind } of objects.filter((object) => object.kind === 'unique' || object.kind === 'ttl index')) {
    await attempt(`dropping ${kind} ${name}`, signal, () => client.db(target.schema).command({ dropIndexes: target.name, index: name }, { signal }).catch((error: { readonly code?: number }) => {
      if (error.code !== indexNotFound && error.code !== namespaceNotFound) throw error;
    }));
  }
}

const indexNotFound = 27, namespaceNotFound = 26;
