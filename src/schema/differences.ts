import type { Finding, ForeignKeyObject, IndexObject, Mapping, TableObjects } from '../contract.js';
import { columnNames, isKey } from './portable.js';

/** What of the source's objects a standing table lacks, for `--schema check`: whatever the names, though an index of the same name counts, too. */
export function differences(mapping: Mapping, wanted: TableObjects, there: TableObjects, among: ReadonlyMap<string, Mapping>): readonly Finding[] {
  const columnOf = columnNames(mapping), { namespace } = mapping.target;
  const indexes = new Set(there.indexes.map((index) => indexText(index, (name) => name))), named = new Set(there.indexes.map(({ name }) => name.toLowerCase()));
  const keys = new Set(there.foreignKeys.map((key) => keyText(key, key.references.namespace, (name) => name, (name) => name)));
  const lacks = (kind: string, name: string, native: string): Finding => ({ level: 'warning', code: 'object-missing', namespace: mapping.source.namespace, message: `${namespace} has no counterpart of ${kind} ${name}`, remedy: native });
  return [
    ...wanted.indexes.filter((index) => !isKey(mapping, index) && !indexes.has(indexText(index, columnOf)) && !named.has(index.name.toLowerCase())).map((index) => lacks(index.unique ? 'unique' : 'index', index.name, index.native)),
    ...wanted.foreignKeys.filter((key) => {
      const other = among.get(key.references.namespace);
      return other && !keys.has(keyText(key, other.target.namespace, columnOf, columnNames(other)));
    }).map((key) => lacks('foreign key', key.name, key.native)),
    ...(wanted.checks.length > there.checks.length ? wanted.checks.map((check) => lacks('check', check.name, check.native)) : []),
    ...wanted.columns.filter((column) => column.default !== undefined || column.identity).flatMap((column) => {
      const standing = there.columns.find(({ name }) => name.toLowerCase() === (columnOf(column.name) ?? column.name).toLowerCase());
      return standing && (standing.default !== undefined || standing.identity || standing.generated) ? [] : [lacks(column.identity ? 'identity' : 'default', column.name, column.default ?? 'auto_increment')];
    }),
  ];
}

function indexText({ unique, parts, where }: IndexObject, columnOf: (name: string) => string | undefined): string {
  return JSON.stringify([unique, parts.map(({ column, expression, descending = false }) => [column === undefined ? expression : (columnOf(column) ?? column).toLowerCase(), descending]), where !== undefined]);
}

function keyText({ columns, references, onDelete, onUpdate }: ForeignKeyObject, namespace: string, columnOf: (name: string) => string | undefined, referredOf: (name: string) => string | undefined): string {
  const action = (one: string) => (one === 'restrict' ? 'no action' : one);
  return JSON.stringify([columns.map((name) => (columnOf(name) ?? name).toLowerCase()), namespace.toLowerCase(), references.columns.map((name) => (referredOf(name) ?? name).toLowerCase()), action(onDelete), action(onUpdate)]);
}
