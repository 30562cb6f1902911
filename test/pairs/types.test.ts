import { readFileSync } from 'node:fs';
import { BSON, MongoClient } from 'mongodb';
import { expect, test } from 'vitest';
import { mongodb } from '../../src/connectors/mongodb/connector.js';
import { freshDatabase } from '../servers/index.js';
import { dsync, syncJson, type Outcome } from './command.js';
import { endNames, openEnd, type End, type EndName } from './ends/index.js';
import { describePair } from './skip.js';
import { cellsIn, fillTypes, key, typedSources, withExtensions, type Cell, type TypeTable } from './type-tables.js';

/** What a destination has no place for, in the column that a new table gets: these values and no others are set aside. */
function isUnheld(to: EndName, { kind, declared, value }: Cell): boolean {
  const isDay = ['date', 'timestamp', 'instant'].includes(kind), isFloat = kind === 'float32' || kind === 'float64';
  switch (to) {
    case 'postgres18': case 'postgres14':
      return (isDay && /^'(0000-|\d{4}-00|\d{4}-\d\d-00|2024-02-31|2023-02-29)/.test(value)) || (kind === 'time' && /^'(-|\d{3}:)/.test(value)) || /[^\\](\\\\)*\\0/.test(value) || (kind === 'json' && value.includes('\\u0000')) || (to === 'postgres14' && declared === 'interval' && value.includes('infinity'));
    case 'mysql9': case 'mariadb':
      return (isFloat && /NaN|Infinity|9e999/.test(value)) || (kind === 'decimal' && declared.includes('(') && value.includes('NaN')) || (isDay && /BC|infinity|^\d{5,}-/.test(value));
    case 'sqlite': return isFloat && value === 'NaN';
    case 'mongodb': return false;
    default: return to satisfies never;
  }
}

interface Planned { readonly namespaces: readonly { readonly namespace: string; readonly columns: readonly { readonly name: string; readonly level: string; readonly note?: string }[] }[] }

/** Columns by `table.column` that the plan calls lossy, and those that it tells become another value. */
function declared({ stdout }: Outcome): { readonly lossy: readonly string[]; readonly zeros: ReadonlySet<string> } {
  const all = (JSON.parse(stdout) as Planned).namespaces.flatMap(({ namespace, columns }) => columns.map((column) => ({ ...column, place: `${namespace.split('.').at(-1)}.${column.name}` })));
  return { lossy: all.filter(({ level }) => level === 'lossy').map(({ place }) => place), zeros: new Set(all.filter(({ note }) => note?.includes('-0 becomes 0')).map(({ place }) => place)) };
}

function rejectsIn({ report }: Outcome): ReadonlyMap<string, string> {
  const lines = report.rejected?.path === undefined ? [] : readFileSync(report.rejected.path, 'utf8').trim().split('\n');
  const rows = lines.map((line) => JSON.parse(line) as { readonly namespace: string; readonly reason: string; readonly row: { readonly id: unknown } });
  return new Map(rows.map(({ namespace, reason, row }) => [`${namespace.split('.').at(-1)} ${Number(row.id)}`, reason]));
}

for (const from of typedSources) {
  for (const to of endNames) {
    describePair([from, to], `every type, ${from} → ${to}`, () => {
      test('every cell arrives as it was, is set aside with a reason, or stands in a column that the plan declares', async () => {
        await using source = await openEnd[from]();
        await using destination = await openEnd[to]();
        const tables = await fillTypes(source, from, to);
        if (from === 'postgres18' && to.startsWith('postgres')) await prepare(destination, tables);
        const plan = await dsync('plan', source.url, destination.url, '--json');
        expect(plan, plan.stderr).toMatchObject({ status: 0 });
        const { lossy, zeros } = declared(plan);
        const outcome = await syncJson(source.url, destination.url, ...lossy.flatMap((column) => ['--accept-loss', column]));
        const rejects = rejectsIn(outcome), [written, found] = [await cellsIn(source, tables), await cellsIn(destination, tables)];
        const faults = tables.flatMap(({ cells }) => cells).flatMap(({ table, id, column, declared, value }) => {
          const place = `${table} ${id} ${column}`, was = written.get(place), is = found.get(place);
          if (was === is || lossy.includes(`${table}.${column}`) || (zeros.has(`${table}.${column}`) && /^"?(number )?-0"?$/.test(was ?? '') && is === was!.replace('-', ''))) return [];
          // Of a number with so many decimals the server shows no more than these, and keeps what it computed.
          const decimals = /^(?:double|float)\(\d+,(\d+)\)/.exec(declared)?.[1];
          if (decimals !== undefined && is !== undefined && Number(is).toFixed(Number(decimals)) === was) return [];
          const reason = rejects.get(`${table} ${id}`);
          return reason !== undefined && is === undefined && reason !== '' ? [] : [`${declared}, ${value.slice(0, 60)}: ${was?.slice(0, 100)} became ${is?.slice(0, 100)}`];
        });
        expect.soft(faults).toEqual([]);
        expect.soft(written.size).toBeGreaterThan(200);
        const setAside = tables.flatMap(({ cells }) => cells).filter((cell) => isUnheld(to, cell));
        expect.soft([...rejects.keys()].sort()).toEqual(setAside.map(({ table, id }) => `${table} ${id}`).sort());
        expect(outcome, outcome.stderr).toMatchObject({ status: rejects.size > 0 ? 6 : 0 });
      });
    });
  }
}

describePair(['postgres18', 'postgres14'], 'a "char" above 127, postgres18 → postgres14', () => {
  test('is declared as lossy before the first row, and told by the verification where the loss is accepted', async () => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd.postgres14();
    await source.execute('CREATE TABLE t (id int PRIMARY KEY, c "char")', `INSERT INTO t VALUES (1, 'a'), (2, (-1)::"char")`);
    expect(await dsync('sync', source.url, destination.url)).toMatchObject({ status: 5, stderr: expect.stringContaining('becomes a backslash') });
    expect(await syncJson(source.url, destination.url, '--accept-loss', 't.c')).toMatchObject({ status: 4, report: { verification: [{ changed: 1 }] } });
  });
});

describePair(['postgres14', 'postgres18'], 'a "char" above 127, postgres14 → postgres18', () => {
  test('arrives as it is', async () => {
    await using source = await openEnd.postgres14();
    await using destination = await openEnd.postgres18();
    await source.execute('CREATE TABLE t (id int PRIMARY KEY, c "char")', `INSERT INTO t SELECT i, i::"char" FROM generate_series(-128, 127) i`);
    expect(await syncJson(source.url, destination.url)).toMatchObject({ status: 0 });
    await destination.execute('CREATE TABLE u AS SELECT id, c::int AS c FROM t');
    expect((await destination.read('u', [key, { ...key, name: 'c' }])).filter(([id, c]) => id !== c)).toEqual([]);
    expect(await destination.read('u', [key])).toHaveLength(256);
  });
});

describePair(['postgres18', 'mariadb'], 'a type that dsync does not know', () => {
  const make = ['CREATE TYPE odd', 'CREATE FUNCTION odd_in(cstring) RETURNS odd LANGUAGE internal IMMUTABLE STRICT AS $$textin$$', 'CREATE FUNCTION odd_out(odd) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS $$textout$$', 'CREATE TYPE odd (INPUT = odd_in, OUTPUT = odd_out, LIKE = text)'];
  const table = 'CREATE TABLE t (id int PRIMARY KEY, v odd, vs odd[])', column = (name: string): typeof key => ({ ...key, name, kind: 'text' });

  test.each(['mariadb', 'sqlite'] as const)('travels as its text to %s, and the plan says so', async (to) => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd[to]();
    await source.execute(...make, table, `INSERT INTO t VALUES (1, E'a\\tb\\\\é', '{x,"y z"}'), (2, '', NULL)`);
    const plan = JSON.parse((await dsync('plan', source.url, destination.url, '--json')).stdout) as Planned;
    expect(plan.namespaces[0]!.columns.slice(1)).toMatchObject([{ name: 'v', level: 'reshaped', note: 'kept as text' }, { name: 'vs', level: 'reshaped', note: 'kept as text' }]);
    expect(await syncJson(source.url, destination.url)).toMatchObject({ status: 0 });
    expect(await destination.read('t', [column('v'), column('vs')])).toEqual([['a\tb\\é', '{x,"y z"}'], ['', null]]);
  });

  test('is refused by a PostgreSQL that has it not, and kept by one that has', async () => {
    await using source = await openEnd.postgres18();
    await using destination = await openEnd.postgres18();
    await source.execute(...make, table, `INSERT INTO t VALUES (1, 'a', '{x}')`);
    expect(await dsync('sync', source.url, destination.url)).toMatchObject({ status: 5, stderr: expect.stringContaining('v (public.odd): the destination has no such type') });
    await destination.execute(...make);
    expect(await syncJson(source.url, destination.url)).toMatchObject({ status: 0 });
    expect(await destination.read('t', [column('v'), column('vs')])).toEqual([['a', '{x}']]);
  });
});

const never = new AbortController().signal;

for (const to of endNames) {
  describePair(['mongodb', to], `every type, mongodb → ${to}`, () => {
    test('every value arrives as it was written: as its bytes, or as its canonical Extended JSON', async () => {
      await using server = await freshDatabase('mongodb');
      await using source = await mongodb.openScratch!(server.url, `${server.name}_types`, { signal: never, connections: 1, batchBytes: 1 << 20, empty: false });
      const refused = new Set((await source.fill(never)).map(({ namespace, value }) => `${namespace} ${value}`));
      await using destination = await openEnd[to]();
      const outcome = await syncJson(source.url, destination.url);
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      const faults: string[] = [];
      // Those whose key is the value are compared by the run itself.
      for (const { namespace, values, type } of source.tables.filter(({ declared }) => !declared.endsWith(' as _id'))) {
        const table = namespace.split('.').at(-1)!, held = await documentsAt(source.url, table), found = to === 'mongodb' ? await documentsAt(destination.url, table) : await documentTexts(destination, table);
        // mongo-java-server takes a binary of subtype 128 for one of subtype 0.
        const isKept = (value: string, id: number) => isSame(held.get(id)!, found.get(id)) && (isSame(value, held.get(id)) || value.includes('"subType":"80"'));
        faults.push(...values.flatMap((value, i) => (refused.has(`${namespace} ${value}`) || isKept(value, i + 1) ? [] : [`${type}: ${value.slice(0, 80)} became ${found.get(i + 1)?.slice(0, 80)}`])));
      }
      expect(faults).toEqual([]);
      expect(source.tables.length).toBeGreaterThan(20);
    });
  });
}

/** The field `v` of each document by its `_id`, as Extended JSON, by the plain driver. */
async function documentsAt(url: string, collection: string): Promise<ReadonlyMap<number, string>> {
  const client = await MongoClient.connect(url);
  try {
    const documents = await client.db().collection(collection).find({}, { raw: true }).toArray() as unknown as Buffer[];
    return new Map(documents.map((bytes) => [bytes.readInt32LE(9), plainly(bytes)]));
  } finally {
    await client.close();
  }
}

/** The same, from the text that stands in a table. */
async function documentTexts(end: End, table: string): Promise<ReadonlyMap<number, string>> {
  const rows = await end.read(table, [{ name: '_id', kind: 'text', types: {} }, { name: 'document', kind: 'text', types: {} }]);
  return new Map(rows.map(([id, document]) => [Number((JSON.parse(id!) as { $numberInt: string }).$numberInt), /^\{"_id":\{"\$numberInt":"\d+"\},"v":(.*)\}$/s.exec(document!)![1]!]));
}

/** JavaScript has not all dates of BSON: their 64 bits stand behind the length, `_id` and the head of `v`. */
function plainly(bytes: Buffer): string {
  if (bytes[13] === 9) return `{"$date":{"$numberLong":"${bytes.readBigInt64LE(16)}"}}`;
  return BSON.EJSON.stringify((BSON.deserialize(bytes, { promoteValues: false, promoteBuffers: false, promoteLongs: false, bsonRegExp: true })).v, { relaxed: false });
}

/** The same characters, or two spellings of one value: the same BSON. */
function isSame(written: string, found: string | undefined): boolean {
  if (found === undefined || written === found) return found !== undefined;
  return !written.includes('$date') && bsonOf(written) === bsonOf(found);
}

function bsonOf(value: string): string {
  return Buffer.from(BSON.serialize(BSON.EJSON.parse(`{"v":${value}}`, { relaxed: false }) as BSON.Document)).toString('hex');
}

/** What another PostgreSQL must have before it can hold the users' own types. */
async function prepare(end: End, tables: readonly TypeTable[]): Promise<void> {
  await withExtensions(end);
  await end.execute(...tables.flatMap(({ create }) => create.slice(0, -1)));
}
