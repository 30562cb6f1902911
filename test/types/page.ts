import { fileURLToPath } from 'node:url';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Column, Fidelity, LogicalType, Mapping, Shape } from '../../src/contract.js';
import { fieldOfColumn } from '../../src/connectors/mongodb/types.js';
import { natives as mongodb } from '../../src/connectors/mongodb/natives.js';
import { natives as mysql } from '../../src/connectors/mysql/natives.js';
import { storeColumns } from '../../src/connectors/mysql/storage.js';
import { withZeroNotes } from '../../src/connectors/mysql/target.js';
import { natives as postgres } from '../../src/connectors/postgres/natives.js';
import { placeFor } from '../../src/connectors/postgres/types.js';
import { natives as sqlite } from '../../src/connectors/sqlite/natives.js';
import { declaredFor } from '../../src/connectors/sqlite/types.js';
import { logicalKinds } from '../../src/values/logical.js';
import type { NativeType } from '../../src/values/native-type.js';

/** docs/types.md, made of the tables in the code: run this file to write it (`npm run docs:types`). */
export const pagePath = fileURLToPath(new URL('../../docs/types.md', import.meta.url));

interface Kept { readonly native: string; readonly fidelity: Fidelity }
type Keeps = (column: Column, engine: string, inKey: boolean) => Kept;

const offered = (flavour: 'mysql' | 'mariadb'): Keeps => (column, engine, inKey) => {
  const shape: Shape = { namespace: 't', name: 't', engine, columns: [column], key: inKey ? [0] : [] };
  const [stored] = storeColumns(shape, { version: { flavour, number: 0, text: flavour }, exactCollation: 'bin', collations: new Set(), lowersNames: false, ignoresTableCase: false });
  const mapping: Mapping = { source: shape, target: { ...shape, engine: flavour, columns: [stored!.column] }, fidelity: [stored!.fidelity], existed: false, staged: false };
  return { native: stored!.column.native.replace(/ CHARACTER SET .*/, ''), fidelity: withZeroNotes(mapping).fidelity[0]! };
};

/** What each destination makes of a column of another engine. */
const destinations: Readonly<Record<string, Keeps>> = {
  PostgreSQL: (column) => {
    const place = placeFor(column);
    return 'refused' in place ? { native: 'the same type', fidelity: { level: 'exact' } } : place;
  },
  MySQL: offered('mysql'), MariaDB: offered('mariadb'),
  SQLite: (column, engine) => declaredFor(column, engine, false),
  MongoDB: (column) => {
    if (column.type.kind === 'document' || column.type.kind === 'document-id') return { native: column.type.kind === 'document' ? 'the document' : '`_id`', fidelity: { level: 'exact' } };
    const { column: { native }, fidelity } = fieldOfColumn(column, false);
    return { native, fidelity };
  },
};
const engines: Readonly<Record<string, string>> = { postgres: 'PostgreSQL', mysql: 'MySQL', mariadb: 'MariaDB', sqlite: 'SQLite' };

function cells(column: Column, engine: string, inKey = false): string[] {
  return Object.entries(destinations).map(([name, keeps]) => {
    if (engines[engine] === name) return 'the same type';
    const { native, fidelity: { level, note } } = keeps(column, engine, inKey);
    const named = /^(the |`)/.test(native) ? native : native === '' ? '(no type)' : `\`${native}\``;
    return level === 'exact' ? named : `${named}: ${level === 'lossy' ? '**lossy**, ' : ''}${note}`;
  });
}

const columnOf = (type: LogicalType, native = 'x'): Column => ({ name: 'v', type, native, nullable: true });
const row = (texts: readonly string[]): string => `| ${texts.map((text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |\n`;
const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string => row(heads) + row(heads.map(() => '---')).replaceAll(' ', '') + rows.map(row).join('');

/** `decimal(10,2)`, `int 32 unsigned`, `bits(8) varying`. */
export function spelledType(type: LogicalType): string {
  switch (type.kind) {
    case 'int': return `int ${type.bits}${type.signed ? '' : ' unsigned'}`;
    case 'float': return `float ${type.bits}`;
    case 'decimal': return type.precision === undefined ? 'decimal' : `decimal(${type.precision},${type.scale ?? 0})`;
    case 'text': return `text${type.maxLength === undefined ? '' : `(${type.maxLength})`}${type.padded ? ' padded' : ''}`;
    case 'bytes': return `bytes${type.maxLength === undefined ? '' : `(${type.maxLength})`}`;
    case 'time': case 'timestamp': case 'instant': return `${type.kind}(${type.fraction})`;
    case 'bits': return `bits${type.length === undefined ? '' : `(${type.length})`}${type.varying ? ' varying' : ''}`;
    default: return type.kind;
  }
}

/** Variants that every destination keeps alike stand in one row. */
function keepingRows(): string[][] {
  const variants = Object.values(logicalKinds).flatMap(({ variants }) => variants).filter(({ kind }) => kind !== 'native');
  const plain = variants.map((type) => [spelledType(type), ...cells(columnOf(type), type.kind === 'any' ? 'sqlite' : 'any other')]);
  const keyed = (['text', 'bytes'] as const).map((kind) => [`${kind}, in a key`, ...cells(columnOf({ kind }), 'any other', true)]);
  return [...plain, ...keyed];
}

/** The native types of an engine that have no logical type, together where the destinations keep them alike. */
function nativeRows(engine: string, natives: readonly NativeType[]): string[][] {
  const groups = new Map<string, string[]>();
  for (const { name, type, only, trials: [trial] } of natives) {
    if (type.kind !== 'native' || trial === undefined || only === (engine === 'mysql' ? 'mariadb' : 'mysql')) continue;
    const key = JSON.stringify(cells(columnOf({ kind: 'native', engine }, trial.declared), engine).map((cell) => cell.replaceAll(name, 'TYPE')));
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  return [...groups].map(([key, names]) => [`${engines[engine]}'s ${names.length > 4 ? `own, all ${names.length}` : names.map((name) => `\`${name}\``).join(', ')}`, ...(JSON.parse(key) as string[]).map((cell) => (names.length === 1 ? cell.replaceAll('TYPE', names[0]!) : cell.replaceAll('`TYPE`', 'the same type')))]);
}

function nativeTable(natives: readonly NativeType[]): string {
  return table(['type', 'what it means', 'only', ''], natives.map(({ name, type, takes, only, note }) => [name === '' ? '(none)' : `\`${name}\``, meaningOf(type, takes), only ?? '', note ?? '']));
}

function meaningOf(type: LogicalType, takes: NativeType['takes'] = []): string {
  const said: Record<string, string> = { maxLength: 'its length', length: 'its length', precision: 'its digits', scale: '', fraction: 'its fraction', signed: 'its sign', labels: 'its labels' };
  const sizes = takes.map((size) => said[size]).filter(Boolean);
  return `${spelledType(type)}${sizes.length > 0 ? `, with ${sizes.join(' and ')}` : ''}`;
}

export function page(): string {
  return `# Types

This page is made of the tables in the code (\`npm run docs:types\`); a test fails when it is stale. \`dsync plan\` says the same
of the columns of your own tables, \`dsync doctor --types\` sends their extreme values and real rows through the destination and back, and
\`dsync selftest\` tries every type of a server of yours.

## Logical types

What a value means, whatever an engine calls its type, and its one spelling ([the normal form](normal-form.md)) for the copy, the
change log and the verifier.

${table(['logical type', 'in `values`', 'in `delimited`'], Object.entries(logicalKinds).map(([kind, { value, text }]) => [kind, value, text]))}
## How destinations keep them

A cell is the type that a new table gets. Without a remark every value is kept exactly, or its row is rejected with the reason
(exit 6): a date that the destination has not, NaN where there is none, a number out of range. A remark without "lossy" says in
which other shape the value is kept exactly. **lossy** stops a run before its first row, unless the column is accepted by name.
Between two servers of one engine a column keeps its own type. -0 in MariaDB, and within JSON in PostgreSQL, is 0: those servers keep no other
zero, whichever way it is written, and all engines take the two for equal; the plan names such columns.

${table(['', ...Object.keys(destinations)], [...keepingRows(), ...nativeRows('postgres', postgres), ...nativeRows('mysql', mysql), ...nativeRows('mariadb', mysql)])}
## PostgreSQL

Names are those of \`pg_type\`. What is \`native\` passes as PostgreSQL's own text, with time zone, date, interval and float styles fixed.

${nativeTable(postgres)}
## MySQL and MariaDB

Names are those of \`information_schema.columns.data_type\`.

${nativeTable(mysql)}
## SQLite

SQLite's typing is dynamic: any value may stand in any column. A value that is not of its column's type keeps its own in SQLite and
MongoDB, and its row is rejected by the others. Names that are not here go by their affinity.

${nativeTable(sqlite)}
## MongoDB

Documents pass between MongoDB servers as their bytes. Elsewhere a document is canonical Extended JSON, which tells all of these apart.

${nativeTable(mongodb)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(pagePath, page());

export const writtenPage = (): string => readFileSync(pagePath, 'utf8');
