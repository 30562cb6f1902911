import type { LogicalType } from '../../src/contract.js';
import { natives as mysql } from '../../src/connectors/mysql/natives.js';
import { natives as postgres } from '../../src/connectors/postgres/natives.js';
import { natives as sqlite } from '../../src/connectors/sqlite/natives.js';
import type { NativeType, Trial } from '../../src/values/native-type.js';
import type { End, EndName } from './ends/index.js';
import type { FixtureColumn, Kind } from './table.js';

/** One value of one type: the only cell of its row that is not null. */
export interface Cell { readonly table: string; readonly id: number; readonly column: string; readonly declared: string; readonly value: string; readonly kind: Kind }

export interface TypeTable { readonly name: string; readonly columns: readonly FixtureColumn[]; readonly cells: readonly Cell[]; readonly create: readonly string[]; readonly inserts: readonly string[] }

export type TypedSource = 'postgres18' | 'mariadb' | 'mysql9' | 'sqlite';
export const typedSources: readonly TypedSource[] = ['postgres18', 'mariadb', 'mysql9', 'sqlite'];
const columnsPerTable = 12;

/** Every type of a source, in tables of some columns. */
function tablesOf(source: TypedSource, to: EndName): readonly TypeTable[] {
  const flavour = source === 'mysql9' ? 'mysql' : source;
  const own: readonly NativeType[] = source === 'postgres18' ? postgres.filter(({ only }) => only === undefined || /citext|hstore|ltree|cube|seg|isn|intarray/.test(only))
    : source === 'sqlite' ? sqlite : mysql.filter(({ name, only }) => (only === undefined || only === flavour) && !(name === 'vector' && source === 'mariadb'));
  // "char" before PostgreSQL 16 has a test of its own.
  const isThere = ({ declared, expressions }: Trial) => !(to === 'postgres14' && expressions) && !(source === 'mariadb' && declared.includes('gb18030'));
  const trials = own.flatMap(({ type, name, trials }) => trials.filter(isThere).map((trial) => ({ ...trial, kind: kindOf(type, { name, declared: trial.declared }, source) })));
  const groups = source !== 'sqlite' ? [{ suffix: '', options: '', trials }] : [
    { suffix: '', options: '', trials }, { suffix: '_without', options: ' WITHOUT ROWID', trials },
    { suffix: '_strict', options: ' STRICT', trials: trials.filter(({ declared }) => ['INT', 'INTEGER', 'REAL', 'TEXT', 'BLOB', 'ANY'].includes(declared)) },
  ];
  return groups.flatMap(({ suffix, options, trials }) => Array.from({ length: Math.ceil(trials.length / columnsPerTable) }, (_, at) => {
    const some = trials.slice(at * columnsPerTable, (at + 1) * columnsPerTable), name = `types_${at}${suffix}`;
    const cells = some.flatMap(({ values, kind, declared }, i) => values.map((value, n): Cell => ({ table: name, id: i * 100 + n, column: `c${i}`, declared, value, kind })));
    return {
      name, cells, columns: some.map(({ kind }, i) => ({ name: `c${i}`, kind, types: {} })),
      create: [...some.flatMap(({ before = [] }) => before), `CREATE TABLE ${name} (id integer NOT NULL PRIMARY KEY, ${some.map(({ declared }, i) => `c${i} ${declared}`).join(', ')})${options}`],
      inserts: cells.map(({ id, column, value, declared }) => `INSERT INTO ${name} (id, ${column}) VALUES (${id}, ${source === 'postgres18' && !/^\(?-?\d+\)?::/.test(value) ? `'${value.replaceAll("'", "''")}'::${declared}` : value})`),
    };
  }));
}

/** How the cells of a type are compared: as what they mean, whatever an engine prints. */
function kindOf(type: LogicalType, { name, declared }: { readonly name: string; readonly declared: string }, source: TypedSource): Kind {
  switch (type.kind) {
    case 'int': case 'bool': case 'decimal': case 'bytes': case 'date': case 'time': case 'timestamp': case 'instant': case 'uuid': return type.kind;
    case 'float': return type.bits === 32 ? 'float32' : 'float64';
    case 'text': return type.padded ? 'padded' : 'text';
    case 'json-value': return 'json';
    case 'bits': return type.varying ? 'text' : 'bits';
    case 'native': return source !== 'postgres18' && !name.startsWith('inet') ? 'bytes' : declared === 'positive' ? 'decimal' : 'text';
    default: return 'text';
  }
}

/** Makes and fills the tables. */
export async function fillTypes(end: End, source: TypedSource, to: EndName): Promise<readonly TypeTable[]> {
  const tables = tablesOf(source, to);
  if (source === 'postgres18') await withExtensions(end);
  if (source === 'mariadb' || source === 'mysql9') await end.execute("SET sql_mode = 'ALLOW_INVALID_DATES'");
  for (const { create, inserts } of tables) await end.execute(...create, ...(source === 'sqlite' ? ['BEGIN', ...inserts, 'COMMIT'] : inserts));
  return tables;
}

export const withExtensions = (end: End): Promise<void> => end.execute(...['citext', 'hstore', 'ltree', 'cube', 'seg', 'isn', 'intarray'].map((name) => `CREATE EXTENSION ${name}`));

export const key: FixtureColumn = { name: 'id', kind: 'int', types: {} };

/** Cells as the plain driver reads them, spelled alike for all engines, by table, id and column. */
export async function cellsIn(end: End, tables: readonly TypeTable[]): Promise<ReadonlyMap<string, string | null>> {
  const all = new Map<string, string | null>();
  for (const { name, columns } of tables) {
    for (const [id, ...cells] of await end.read(name, [key, ...columns])) cells.forEach((cell, i) => all.set(`${name} ${id} c${i}`, cell === null ? null : plain(cell, columns[i]!.kind)));
  }
  return all;
}

/** Zeros that a ZEROFILL or a YEAR has before its digits, and the zone of a year BC. */
function plain(text: string, kind: Kind): string {
  if (kind === 'int' || kind === 'decimal') return text.replace(/^(-?)0+(?=\d)/, '$1');
  // As text, an address of one host ends in its mask.
  if (kind === 'text') return text.replace(/^([\da-f:.]+)\/(32|128)$/, '$1');
  return kind === 'instant' ? text.replace(/\+00(?= BC$)/, '') : text;
}
