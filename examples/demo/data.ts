import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { csvParse } from 'd3-dsv';
import type { Client } from 'pg';

/**
 * US air traffic, from the npm package vega-datasets (BSD-3-Clause; its flights and airports are public-domain data of the
 * US Bureau of Transportation Statistics, its zip codes of GeoNames, CC BY 4.0): six tables tied by foreign keys.
 */
const schema = `
  CREATE TABLE states (state text PRIMARY KEY, zip_codes integer NOT NULL);
  CREATE TABLE zip_codes (zip_code char(5) PRIMARY KEY, city text NOT NULL, county text, state text NOT NULL REFERENCES states, latitude numeric(9,6), longitude numeric(9,6));
  CREATE TABLE airports (iata text PRIMARY KEY, name text NOT NULL, city text, state text REFERENCES states, country text NOT NULL, latitude double precision, longitude double precision);
  CREATE TABLE routes (origin text REFERENCES airports, destination text REFERENCES airports, flights integer NOT NULL, PRIMARY KEY (origin, destination));
  CREATE TABLE flights (id bigint PRIMARY KEY, departed timestamptz NOT NULL, delay integer, distance integer NOT NULL, origin text NOT NULL, destination text NOT NULL);
  CREATE TABLE departures (id bigint PRIMARY KEY, hour real NOT NULL, delay integer NOT NULL, distance integer NOT NULL);
`;

const require = createRequire(import.meta.url);

type Table = readonly Record<string, unknown>[];

/** Creates and fills the tables; returns how many rows each has. */
export async function fill(client: Client): Promise<ReadonlyMap<string, number>> {
  await client.query(schema);
  const tables = await read();
  for (const [name, rows] of tables) await insert(client, name, rows);
  await client.query('ANALYZE');
  return new Map([...tables].map(([name, rows]) => [name, rows.length]));
}

async function read(): Promise<ReadonlyMap<string, Table>> {
  const zipCodes = csvParse(await text('zipcodes.csv'));
  const airports = csvParse(await text('airports.csv')).map((row) => ({ ...row, city: orNull(row.city), state: orNull(row.state) }));
  const routes = csvParse(await text('flights-airport.csv')).map(({ origin, destination, count }) => ({ origin, destination, flights: count }));
  const flights = JSON.parse(await text('flights-20k.json')) as Record<string, string>[];
  const departures = JSON.parse(await text('flights-200k.json')) as Record<string, number>[];
  return new Map<string, Table>([
    ['states', statesOf([...zipCodes, ...airports])],
    ['zip_codes', zipCodes],
    ['airports', airports],
    ['routes', routes],
    ['flights', flights.map(({ date, ...rest }, i) => ({ id: i + 1, departed: `${date.replaceAll('/', '-')}:00Z`, ...rest }))],
    ['departures', departures.map(({ time, ...rest }, i) => ({ id: i + 1, hour: time, ...rest }))],
  ]);
}

function statesOf(places: readonly { state?: string | null }[]): Table {
  const counts = new Map<string, number>();
  for (const { state } of places) if (state) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => ({ state, zip_codes: count }));
}

async function insert(client: Client, table: string, rows: Table): Promise<void> {
  for (let at = 0; at < rows.length; at += 20_000) {
    await client.query(`INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`, [JSON.stringify(rows.slice(at, at + 20_000))]);
  }
}

function text(file: string): Promise<string> {
  return readFile(new URL(`../data/${file}`, pathToFileURL(require.resolve('vega-datasets'))), 'utf8');
}

function orNull(text: string | undefined): string | null {
  return text === undefined || text === '' || text === 'NA' ? null : text;
}
