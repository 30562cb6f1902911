import type { IndexObject, OtherObject, Shape, TableObjects } from '../contract.js';
import { isObject, parseJson, type Json } from '../values/extended-json-bytes.js';

/** What a collection has beside its documents, for a table of its fields: indexes over columns, and the rest as what is named only. */
export function objectsInColumns(objects: TableObjects, shape: Shape): TableObjects {
  const { options } = objects.native, judged = objects.indexes.map((index) => ({ index, fault: faultOf(index, shape) }));
  return {
    ...objects, native: {},
    indexes: judged.flatMap(({ index, fault }) => (fault === undefined ? [{ ...index, method: 'btree' }] : [])),
    others: [
      ...objects.others, ...judged.flatMap(({ index: { name, native }, fault }): OtherObject[] => (fault === undefined ? [] : [{ kind: fault, name, native }])),
      ...(options === undefined ? [] : [{ kind: 'collection options', name: shape.name, native: options }]),
    ],
  };
}

const kinds: Readonly<Record<string, string>> = { partialFilterExpression: 'partial index', expireAfterSeconds: 'TTL index', wildcardProjection: 'wildcard index' };

/** What keeps an index from being one over columns, as a kind of index; undefined for nothing. */
function faultOf({ parts, unique, definition = '{}', method }: IndexObject, { columns }: Shape): string | undefined {
  const specification: Json = parseJson(definition), members = isObject(specification) ? specification.members : [];
  const special = members.find(([name]) => kinds[name] !== undefined);
  if (special) return kinds[special[0]];
  if (unique && members.some(([name]) => name === 'collation')) return 'unique index with a collation';
  if (method !== 'btree' && method !== 'hashed') return `${method} index`;
  const found = parts.map(({ column }) => columns.find(({ name, native }) => name === column && !column.includes('.') && !native.startsWith('json') && native !== 'rest'));
  return found.every(Boolean) ? undefined : `${unique ? 'unique ' : ''}index over fields that are no columns`;
}
