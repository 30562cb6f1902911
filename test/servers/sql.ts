import { readFileSync } from 'node:fs';
import mysql from 'mysql2/promise';
import pg from 'pg';

export type TextRow = Readonly<Record<string, string | null>>;

/** A plain driver's connection, in UTC, all of whose values are the server's own text. */
export interface TextConnection {
  query(sql: string, values?: readonly unknown[]): Promise<readonly TextRow[]>;
  end(): Promise<void>;
}

/** `caFile`: by TLS, proven by this certificate authority. */
export function connectText(url: string, caFile?: string): Promise<TextConnection> {
  const ssl = caFile ? { ca: readFileSync(caFile, 'utf8') } : undefined;
  return url.startsWith('postgres') ? connectPostgres(url, ssl) : connectMysql(url, ssl);
}

/** One query on a connection of its own. */
export async function textRows(url: string, sql: string): Promise<readonly TextRow[]> {
  const connection = await connectText(url);
  try { return await connection.query(sql); } finally { await connection.end(); }
}

async function connectPostgres(url: string, ssl: { ca: string } | undefined): Promise<TextConnection> {
  const client = new pg.Client({
    connectionString: url, ssl,
    options: '-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=1',
    types: { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig,
  });
  client.on('error', () => { /* the next query says so */ });
  await client.connect();
  return {
    // Several statements in one text give several results: the last one counts.
    query: async (sql, values) => [await client.query(sql, values as unknown[] | undefined)].flat().at(-1)!.rows as TextRow[],
    end: () => client.end(),
  };
}

async function connectMysql(url: string, ssl: { ca: string } | undefined): Promise<TextConnection> {
  const connection = await mysql.createConnection({ uri: url, ssl, multipleStatements: true, typeCast: (field) => field.buffer()?.toString('utf8') ?? null });
  connection.on('error', () => { /* the next query says so */ });
  await connection.query("SET time_zone = '+00:00'");
  return {
    query: async (sql, values) => {
      const [result] = await connection.query(sql, values as never);
      return Array.isArray(result) ? (Array.isArray(result.at(-1)) ? result.at(-1) : result) as TextRow[] : [];
    },
    end: () => connection.end(),
  };
}
