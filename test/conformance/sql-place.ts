import type { Row, Value } from '../../src/contract.js';
import type { Sample, SampleColumn } from './samples.js';
import type { Place } from './subject.js';

/** How an engine says in SQL what the samples need. */
export interface Dialect {
  readonly quote: (name: string) => string;
  readonly types: Readonly<Record<SampleColumn['kind'], string>>;
  /** A text or bytes literal, given as hex. */
  readonly text: (hex: string) => string;
  readonly bytes: (hex: string) => string;
  /** Counts the rows of a table anew. */
  readonly analyze?: (table: string) => string;
}

export interface Database extends AsyncDisposable {
  readonly url: string;
  run(sql: string): Promise<unknown>;
  names(): Promise<readonly string[]>;
}

/** A place whose samples are written in plain SQL. */
export function sqlPlace(database: Database, dialect: Dialect): Place {
  const { quote } = dialect;
  const literal = (value: Value): string => {
    if (value === null) return 'NULL';
    if (typeof value === 'string') return dialect.text(Buffer.from(value).toString('hex'));
    return value instanceof Uint8Array ? dialect.bytes(Buffer.from(value).toString('hex')) : String(value);
  };
  const tuple = (row: Row): string => `(${row.map(literal).join(', ')})`;
  const byKey = ({ columns, key }: Sample, row: Row): string => key.map((i) => `${quote(columns[i].name)} = ${literal(row[i])}`).join(' AND ');
  const insert = async ({ name, columns }: Sample, rows: readonly Row[]): Promise<void> => {
    const names = columns.map((column) => quote(column.name)).join(', ');
    for (let i = 0; i < rows.length; i += 500) {
      await database.run(`INSERT INTO ${quote(name)} (${names}) VALUES ${rows.slice(i, i + 500).map(tuple).join(', ')}`);
    }
  };
  return {
    url: database.url,
    async create(sample) {
      const columns = sample.columns.map(({ name, kind, nullable }) => `${quote(name)} ${dialect.types[kind]}${nullable ? '' : ' NOT NULL'}`);
      const key = sample.key.length > 0 ? [`PRIMARY KEY (${sample.key.map((i) => quote(sample.columns[i].name)).join(', ')})`] : [];
      await database.run(`CREATE TABLE ${quote(sample.name)} (${[...columns, ...key].join(', ')})`);
      await insert(sample, sample.rows);
    },
    insert: (sample, row) => insert(sample, [row]),
    async update(sample, row) {
      const changes = sample.columns.map(({ name }, i) => `${quote(name)} = ${literal(row[i])}`).join(', ');
      await database.run(`UPDATE ${quote(sample.name)} SET ${changes} WHERE ${byKey(sample, row)}`);
    },
    remove: async (sample, row) => void await database.run(`DELETE FROM ${quote(sample.name)} WHERE ${byKey(sample, row)}`),
    settle: async ({ name }) => void (dialect.analyze && await database.run(dialect.analyze(quote(name)))),
    names: () => database.names(),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}
