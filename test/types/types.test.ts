import { BSON } from 'mongodb';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { natives as mongodb } from '../../src/connectors/mongodb/natives.js';
import { natives as mysql } from '../../src/connectors/mysql/natives.js';
import { natives as postgres } from '../../src/connectors/postgres/natives.js';
import { natives as sqlite } from '../../src/connectors/sqlite/natives.js';
import { selftest, tested, type SelftestReport, type Stage } from '../../src/coordinator/selftest.js';
import type { NativeType } from '../../src/values/native-type.js';
import { describeWith, freshDatabase, type FreshDatabase } from '../servers/index.js';
import { page, writtenPage } from './page.js';

/** Hundreds of tables are made and read, each in several ways. */
vi.setConfig({ testTimeout: 300_000 });

const never = new AbortController().signal;
const named = (natives: readonly NativeType[]): ReadonlySet<string> => new Set(natives.map(({ name }) => name));
const unknown = (natives: readonly NativeType[], names: readonly (string | null)[]): string[] => names.filter((name) => !named(natives).has(name!)) as string[];

async function databaseOf(name: Exclude<Parameters<typeof freshDatabase>[0], 'mongodb'>): Promise<FreshDatabase> {
  const made = await freshDatabase(name);
  onTestFinished(() => made[Symbol.asyncDispose]());
  return made;
}

/** Extensions of PostgreSQL's own packages that bring types; those of others that this server has, too. */
const extensions = ['citext', 'hstore', 'ltree', 'cube', 'seg', 'isn', 'intarray', 'btree_gist', 'pg_trgm', 'lo', 'earthdistance', 'vector', 'postgis'];

async function withExtensions(database: FreshDatabase): Promise<readonly string[]> {
  const found = await database.query(`SELECT name FROM pg_available_extensions WHERE name IN (${extensions.map((name) => `'${name}'`).join(', ')})`);
  for (const { name } of found) await database.query(`CREATE EXTENSION IF NOT EXISTS ${name} CASCADE`);
  return found.map(({ name }) => name!);
}

test('docs/types.md is what the tables say: npm run docs:types writes it', () => {
  expect(writtenPage()).toBe(page());
});

describe('the table of native types', () => {
  test.each([['PostgreSQL', postgres], ['MySQL', mysql], ['MongoDB', mongodb], ['SQLite', sqlite]] as const)('of %s has each type once for each server', (_, natives) => {
    const lines = natives.map(({ name, only = '' }) => `${name} ${only}`);
    expect(lines.filter((line, i) => lines.indexOf(line) !== i)).toEqual([]);
    expect(natives.filter(({ trials }) => trials.some(({ values }) => values.length === 0))).toEqual([]);
  });
});

for (const server of ['postgres18', 'postgres14'] as const) describeWith(server, `the types of ${server}`, () => {
  test('are all in the table: base, range and multirange types, and those of extensions', async () => {
    const database = await databaseOf(server);
    await withExtensions(database);
    const rows = await database.query("SELECT typname AS name FROM pg_type WHERE typtype IN ('b', 'r', 'm') AND (typcategory <> 'A' OR typname IN ('int2vector', 'oidvector')) AND typnamespace <> 'information_schema'::regnamespace");
    expect(rows.length).toBeGreaterThan(80);
    expect(unknown(postgres, rows.map(({ name }) => name!))).toEqual([]);
  });

  test('are each read alike by the copy, the change log and the verifier', async () => {
    const database = await databaseOf(server), has = await withExtensions(database);
    const lacks = postgres.filter(({ only, trials }) => trials.length > 0 && only !== undefined && !has.includes(only.replace('extension ', ''))).map(({ name }) => name);
    const report = await selftest(database.url, never);
    // Intervals know infinity since PostgreSQL 17.
    const unknownThere = (value: string) => server === 'postgres14' && value.endsWith('infinity');
    expectAllEqual({ ...report, refused: report.refused.filter(({ value }) => !unknownThere(value)) }, ['copy, delimited', 'copy, values', 'verifier', 'log'], lacks);
    expectForms(report, ['integer', 'integer, whole rows in the log', 'integer, without a key', 'integer in the key', 'numeric(10,2) in the key', 'bytea in the key', 'jsonb in the key', 'bit varying in the key', 'timestamp with time zone in the key', '"char" in the key', 'int4range in the key', 'pair in the key']);
    expect(await database.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'dsync%'")).toEqual([]);
    expect(await database.query(`SELECT slot_name FROM pg_replication_slots WHERE database = '${database.name}'`)).toEqual([]);
    expect(await database.query('SELECT pubname FROM pg_publication')).toEqual([]);
  });
});

for (const server of ['mariadb', 'mysql9'] as const) describeWith(server, `the types of ${server}`, () => {
  test('are all in the table: whatever word, plug-in or topic of help makes a column', async () => {
    const database = await databaseOf(server), found = new Set<string>();
    const words = await database.query(`SELECT word AS w FROM information_schema.keywords UNION SELECT plugin_name FROM information_schema.plugins WHERE plugin_type = 'DATA TYPE' UNION SELECT name FROM mysql.help_topic WHERE name RLIKE '^[A-Z]+[0-9]?$'`);
    const others = ['geometry', 'point', 'linestring', 'polygon', 'multipoint', 'multilinestring', 'multipolygon', 'geometrycollection', 'xmltype', 'vector'];
    for (const word of [...words.map(({ w }) => w!), ...others]) {
      for (const size of ['', '(3)', "('a')"]) {
        const made = await database.query(`CREATE TEMPORARY TABLE tried (c ${word}${size})`).then(() => true, () => false);
        if (!made) continue;
        await database.query('CREATE TABLE tried_too LIKE tried');
        for (const { t } of await database.query("SELECT data_type AS t FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'tried_too'")) found.add(t!);
        await database.query('DROP TEMPORARY TABLE tried; DROP TABLE tried_too');
      }
    }
    expect(found.size).toBeGreaterThan(30);
    const flavour = server === 'mariadb' ? 'mariadb' : 'mysql', own = mysql.filter(({ only }) => only === undefined || only === flavour);
    expect(unknown(own, [...found])).toEqual([]);
    // MariaDB's JSON is a LONGTEXT, and its VECTOR came with 11.7.
    expect(own.map(({ name }) => name).filter((name) => !found.has(name))).toEqual(server === 'mariadb' ? ['json', 'vector'] : []);
  });

  test('are each read alike by the copy, the change log and the verifier', async () => {
    const database = await databaseOf(server);
    const report = await selftest(database.url, never);
    expectAllEqual(report, ['copy, delimited', 'copy, values', 'verifier', 'log'], server === 'mariadb' ? ['vector'] : []);
    expectForms(report, ['bigint unsigned', 'bigint unsigned, without a key', 'bigint unsigned in the key', 'decimal(65,30) in the key', 'varchar(50) CHARACTER SET sjis in the key', 'varchar(50) CHARACTER SET gbk, without a key', 'binary(4) in the key', 'bit(64) in the key', 'time(6) in the key', 'float in the key', "enum('é', '') CHARACTER SET latin1 in the key"]);
    expect(await database.query(`SELECT schema_name FROM information_schema.schemata WHERE schema_name = '${report.scratch}'`)).toEqual([]);
  });
});

/** Where mongo-java-server closes the connection; a real server takes them. */
const closedAt = /^\{"a":.*,"a":|"subType":"(01|0[5-9]|ff)"|\$symbol|\$scope|\$dbPointer/;

describeWith('mongodb', 'the types of MongoDB', () => {
  test('are all in the table: those of the driver, by the names that $type takes', async () => {
    const database = await freshDatabase('mongodb');
    onTestFinished(() => database[Symbol.asyncDispose]());
    expect(unknown(mongodb, Object.keys(BSON.BSONType))).toEqual([]);
    for (const { name } of mongodb) await database.db.collection('c').find({ v: { $type: name } } as never).toArray();
  });

  test('are each read alike by the copy, the change log and the verifier', async () => {
    const database = await freshDatabase('mongodb');
    onTestFinished(() => database[Symbol.asyncDispose]());
    const report = await selftest(database.url, never);
    expectAllEqual({ ...report, refused: report.refused.filter(({ reason, value }) => !(/ closed$/.test(reason) && closedAt.test(value))) }, ['copy, bson', 'verifier', 'log'], []);
    expectForms(report, ['decimal', 'decimal as _id', 'objectId as _id', 'binData as _id', 'minKey as _id']);
  });
});

describe('the types of SQLite', () => {
  test('are all in the table: those of STRICT tables, and the examples of its manual', () => {
    const strict = ['INT', 'INTEGER', 'REAL', 'TEXT', 'BLOB', 'ANY'], manual = ['TINYINT', 'SMALLINT', 'MEDIUMINT', 'BIGINT', 'UNSIGNED BIG INT', 'INT2', 'INT8', 'CLOB', 'DOUBLE', 'DOUBLE PRECISION', 'FLOAT', 'NUMERIC', 'DECIMAL', 'BOOLEAN', 'DATE', 'DATETIME'];
    expect(unknown(sqlite, [...strict, ...manual])).toEqual([]);
  });

  test('are each read alike by the copy and the verifier, in plain tables, in STRICT ones and WITHOUT ROWID', async () => {
    const report = await selftest('sqlite:any.db', never);
    expectAllEqual(report, ['copy, values', 'copy, delimited', 'verifier'], []);
    expectForms(report, ['INTEGER', 'INTEGER WITHOUT ROWID', 'INTEGER STRICT', 'TEXT in the key', 'BLOB in the key, WITHOUT ROWID', 'UNSIGNED64_BLOB in the key']);
  });
});

describe('a difference is', () => {
  const table = { namespace: 's.t', type: 'int4', declared: 'integer', values: ['7', '8'], rows: 3 };
  const reading = (way: string, ...rows: readonly (readonly [string, string])[]) => ({ way, tables: new Map([['s.t', new Map(rows)]]) });
  const whole = [['1', '1, 7'], ['2', '2, 8'], ['3', '3, null']] as const, step = 'insert';
  const differences = (...readings: Stage['readings'][number][]) => tested(table, [{ step, readings }], 0).differences;

  test('what one way reads otherwise, or not at all, or what all have lost', () => {
    expect(differences(reading('copy', ...whole), reading('log', ...whole))).toEqual([]);
    expect(differences(reading('copy', ...whole), reading('log', ['1', '1, 7'], ['2', '2, 9'], ['3', '3, null']))).toEqual([{ after: step, key: '2', value: '8', spelled: { copy: '2, 8', log: '2, 9' } }]);
    expect(differences(reading('copy', ...whole), reading('log', ...whole.slice(1)))).toEqual([{ after: step, key: '1', value: '7', spelled: { copy: '1, 7', log: 'no such row' } }]);
    expect(differences(reading('copy', ...whole.slice(1)), reading('log', ...whole.slice(1)))).toEqual([{ after: step, key: '', spelled: { written: '3 rows', read: '2 rows' } }]);
    expect(tested(table, [{ step, readings: [reading('copy', ...whole.slice(1))] }], 1).differences).toEqual([]);
  });

  test('what the log tells of a row as it was that is not so, and a row that it does not delete', () => {
    const untrue = { namespace: 's.t', key: '1', spelled: { 'log, before an update': '1, 6', 'as it was': '1, 7' } };
    const updated = reading('copy', ['1', '1, 8'], ['2', '2, null'], ['3', '3, 7']);
    expect(tested(table, [{ step: 'update', readings: [updated], untrue: [untrue, { ...untrue, namespace: 's.other' }] }], 0).differences).toEqual([{ after: 'update', key: '1', value: '8', spelled: untrue.spelled }]);
    expect(tested(table, [{ step: 'delete', readings: [reading('verifier'), reading('log', ['3', '3, 7'])] }], 0).differences).toEqual([{ after: 'delete', key: '3', value: '7', spelled: { verifier: 'no such row', log: '3, 7' } }]);
  });
});

test('a source that has no types of its own is a usage error', async () => {
  await expect(selftest('generator:', never)).rejects.toMatchObject({ code: 'usage' });
});

/** Tables of these kinds were tried, with rows in them. */
function expectForms({ types }: SelftestReport, declared: readonly string[]): void {
  expect(declared.filter((one) => !types.some((tried) => tried.declared === one && tried.rows > 0))).toEqual([]);
}

function expectAllEqual({ types, ways, absent, refused }: SelftestReport, expectedWays: readonly string[], expectedAbsent: readonly string[]): void {
  expect(types.filter(({ differences }) => differences.length > 0)).toEqual([]);
  expect(new Set(ways)).toEqual(new Set(expectedWays));
  expect(absent).toEqual(expectedAbsent);
  expect(refused).toEqual([]);
  expect(types.length).toBeGreaterThan(20);
}
