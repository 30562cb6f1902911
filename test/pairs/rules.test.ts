import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BSON } from 'mongodb';
import { beforeAll, expect, test } from 'vitest';
import { freshDatabase, type FreshDatabase } from '../servers/index.js';
import { dsync, stateFolder, syncJson, type Outcome } from './command.js';
import { openEnd } from './ends/index.js';
import { describePair } from './skip.js';

/* What the user chooses for columns, over real servers: copied, compared, spoilt, compared again. */

beforeAll(() => { process.env.DSYNC_MASK_KEY = 'the key of these tests'; });

/** What is masked begins with this, and nothing else does. */
const original = 'Original';
const postgres = [
  `CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, password text, note varchar(50), token uuid, born text, age int, flag boolean, ts timestamptz, small numeric(10,3))`,
  ...[1, 2, 3, 4].map((id) => `INSERT INTO users VALUES (${id}, '${original}${id}@example.com', '${original} password', '${original} note', gen_random_uuid(), '${id === 3 ? 'long ago' : `199${id}-02-28`}', ${id * 100}, ${id % 2 === 0}, '2024-01-01 0${id}:00:00.123456+00', ${id}.500)`),
  'CREATE TABLE orders (id int PRIMARY KEY, user_email text REFERENCES users (email), ts timestamp)',
  ...[1, 2, 4].map((id) => `INSERT INTO orders VALUES (${id}, '${original}${id}@example.com', ${id === 4 ? "'infinity'" : "'2024-01-01'"})`),
];
const usersRules = ['--columns', 'users=-password', '--mask', 'users.email=hash', '--mask', 'orders.user_email=hash', '--mask', 'users.note=redact', '--mask', 'users.token=null', '--cast', 'users.born=date', '--cast', 'users.age=bigint', '--on-bad-value', 'orders.ts=null'];

describePair(['postgres18', 'mariadb'], 'rules, postgres18 → mariadb', () => {
  test('are heeded by copy and verification, and what is spoilt after is found', async () => {
    await using ends = await filled('postgres18', 'mariadb', postgres);
    const rules = [...usersRules, '--cast', 'users.small=decimal(12,1)', '--cast', 'postgres.boolean=char(5)'];
    const outcome = await syncJson(ends.source.url, ends.destination.url, ...rules);
    expect(outcome, outcome.stderr).toMatchObject({ status: 6, report: { rejected: { count: 1 }, nulled: { 'public.orders.ts': 1 } } });
    expect(outcome.report.verification?.map(({ result }) => result)).toEqual(['equal', 'equal']);
    expect(await ends.destination.query('SELECT id, born, age, flag, small, note, token FROM users ORDER BY id')).toEqual([1, 2, 4].map((id) => ({ id: `${id}`, born: `199${id}-02-28`, age: `${id * 100}`, flag: id % 2 === 0 ? 'true' : 'false', small: `${id}.5`, note: '***', token: null })));
    expect(await ends.destination.query('SELECT count(*) AS n FROM users JOIN orders ON user_email = email')).toEqual([{ n: '3' }]);
    expect(await ends.destination.query('SELECT id FROM orders WHERE ts IS NULL')).toEqual([{ id: '4' }]);
    expect(await ends.destination.query("SELECT column_name AS c, column_type AS t FROM information_schema.columns WHERE table_schema = database() AND column_name IN ('password', 'small', 'age', 'born', 'flag') AND table_name = 'users' ORDER BY 1")).toEqual([
      { c: 'age', t: 'bigint(20)' }, { c: 'born', t: 'date' }, { c: 'flag', t: 'char(5)' }, { c: 'small', t: 'decimal(12,1)' },
    ]);
    await ends.source.query("DELETE FROM users WHERE id = 3");
    expect(await verified(ends, rules)).toMatchObject({ status: 0 });
    for (const [changed, sql] of [
      ["users 1", "UPDATE users SET email = CONCAT('x', SUBSTR(email, 2)) WHERE id = 1"], ['users 2', 'UPDATE users SET age = 101 WHERE id = 2'], ['users 3', "UPDATE users SET note = 'seen' WHERE id = 4"], ['orders 1', "UPDATE orders SET ts = '2024-01-01' WHERE id = 4"],
    ] as const) {
      await ends.destination.query(sql);
      const spoilt = await verified(ends, [...rules, '--json']);
      expect(spoilt.status).toBe(4);
      expect(spoilt.report.verification?.map((one) => `${one.namespace.slice(7)} ${one.changed}`), sql).toContain(changed);
      expectNoOriginal(spoilt);
    }
    expectNoOriginal(outcome);
  });

  test('are shown by the plan, and by doctor where they are wrong', async () => {
    await using ends = await filled('postgres18', 'mariadb', postgres);
    const { stdout } = await dsync('plan', ends.source.url, ends.destination.url, ...usersRules);
    expect(stdout).toMatch(/email +text → longtext.* masked: hash\n/);
    expect(stdout).toMatch(/born +text → date +cast from text; a value that can't be converted exactly is rejected\n/);
    expect(stdout).toMatch(/age +integer → bigint +cast from integer\n/);
    expect(stdout).toMatch(/ts +timestamp without time zone → datetime\(6\) +a value that can't be kept becomes NULL\n/);
    expect(stdout).toMatch(/public\.users: password is left out, as asked/);
    const { status, stderr } = await dsync('doctor', ends.source.url, ends.destination.url, '--cast', 'users.flag=date');
    expect([status, stderr]).toEqual([2, expect.any(String)]);
    const tried = await dsync('doctor', ends.source.url, ends.destination.url, '--types', '--json', ...usersRules);
    const born = (JSON.parse(tried.stdout) as { columns: { column: string }[] }).columns.find(({ column }) => column === 'born');
    expect(born).toMatchObject({ from: 'text', to: 'date', rows: { rejected: 1, example: { sent: 'long ago', reason: "born: 'long ago' is not a date" } } });
  });

  test('end the run with fail, and name the row, the column and the reason', async () => {
    await using ends = await filled('postgres18', 'mariadb', postgres);
    const { status, stderr } = await syncJson(ends.source.url, ends.destination.url, '--on-bad-value', 'fail');
    expect([status, stderr]).toEqual([1, expect.stringMatching(/public\.orders, row id=4: ts: 'infinity' is out of MySQL's calendar/)]);
  });

  test('end the run with fail where only the server knows, with the row in the reject file', async () => {
    await using ends = await filled('postgres18', 'mariadb', ['CREATE TABLE t (id int PRIMARY KEY, v text)', "INSERT INTO t VALUES (1, 'a'), (2, 'A')"]);
    await ends.destination.query('CREATE TABLE t (id int PRIMARY KEY, v varchar(9) COLLATE utf8mb4_general_ci, UNIQUE (v))');
    const { status, stderr } = await syncJson(ends.source.url, ends.destination.url, '--on-bad-value', 't.v=fail');
    expect([status, stderr]).toEqual([1, expect.stringMatching(/public\.t, row id=2 can't be kept .*--on-bad-value fail ends the run; the row is in the reject file/)]);
  });

  test('reject the row where NULL may not stand', async () => {
    await using ends = await filled('postgres18', 'mariadb', ['CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL)', "INSERT INTO t VALUES (1, '1'), (2, 'two')"]);
    expect(await syncJson(ends.source.url, ends.destination.url, '--cast', 't.v=int', '--on-bad-value', 'null')).toMatchObject({ status: 6, report: { rejected: { count: 1 } } });
    expect(await ends.destination.query('SELECT id, v FROM t')).toEqual([{ id: '1', v: '1' }]);
  });

  test('of columns alone keep the fast formats', async () => {
    await using ends = await filled('postgres18', 'mariadb', postgres.slice(0, 5));
    const outcome = await syncJson(ends.source.url, ends.destination.url, '--columns', 'users=id,email');
    expect(outcome, outcome.stderr).toMatchObject({ status: 0, report: { agreed: [{ format: 'delimited' }] } });
    expect((await ends.destination.query('SELECT * FROM users')).map((row) => Object.keys(row))).toContainEqual(['id', 'email']);
  });
});

const mysql = [
  "CREATE TABLE users (id varchar(40) PRIMARY KEY, name varchar(30), on_off tinyint(1), other tinyint, seen datetime NULL, secret longtext, payload varbinary(20), KEY (secret(5)), KEY named (name))",
  ...[1, 2, 3].map((id) => `INSERT INTO users VALUES ('${original}-${id}', 'Ada ${id}', ${id % 2}, ${id}, ${id === 2 ? "'0000-00-00 00:00:00'" : "'2024-01-01 10:00:00'"}, '${original} secret', x'ff0${id}')`),
];

describePair(['postgres18', 'mariadb'], 'a row that a cast has rejected', () => {
  test('is written by a replay once its line is mended, and not before', async () => {
    await using ends = await filled('postgres18', 'mariadb', ['CREATE TABLE t (id int PRIMARY KEY, v text, at text)', "INSERT INTO t VALUES (1, '1', '2024-01-01'), (2, 'two', '2024-01-01'), (3, '3', 'never')"]);
    const copied = await syncJson(ends.source.url, ends.destination.url, '--cast', 't.v=bigint', '--cast', 't.at=date'), run = (copied.report as { run?: string }).run!, path = copied.report.rejected!.path!;
    expect(copied, copied.stderr).toMatchObject({ status: 6, report: { rejected: { count: 2 } } });
    const replay = () => dsync('replay', run, '--json', '--source', ends.source.url, '--destination', ends.destination.url);
    const first = await replay();
    expect(first, first.stderr).toMatchObject({ status: 6, report: { left: [{ key: 'id=2', reason: "v: 'two' is not a whole number" }, { key: 'id=3', reason: "at: 'never' is not a date" }] } });
    writeFileSync(path, readFileSync(path, 'utf8').replace('{"text":"two"}', '2').replace('"never"', '"2024-02-29"'));
    const second = await replay();
    expect(second, second.stderr).toMatchObject({ report: { written: 2, left: [] } });
    expect(await ends.destination.query('SELECT v, at FROM t ORDER BY id')).toEqual([{ v: '1', at: '2024-01-01' }, { v: '2', at: '2024-01-01' }, { v: '3', at: '2024-02-29' }]);
  });
});

describePair(['mariadb', 'postgres18'], 'rules, mariadb → postgres18', () => {
  test('are heeded by copy and verification, keys and types too', async () => {
    await using ends = await filled('mariadb', 'postgres18', ["SET sql_mode = ''", ...mysql]);
    const name = ends.source.name, rules = ['--columns', 'users=-secret', '--mask', 'users.id=hash', '--cast', 'mysql.tinyint(1)=boolean', '--cast', 'mariadb.tinyint=bigint', '--cast', `${name}.users.payload=text`, '--on-bad-value', 'mysql.datetime=null', '--on-bad-value', 'users.payload=null'];
    const outcome = await syncJson(ends.source.url, ends.destination.url, ...rules);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0, report: { nulled: { [`${name}.users.seen`]: 1, [`${name}.users.payload`]: 3 } } });
    expect(await ends.destination.query('SELECT name, on_off, other, seen, payload FROM users ORDER BY name')).toEqual([1, 2, 3].map((id) => ({ name: `Ada ${id}`, on_off: id % 2 ? 't' : 'f', other: `${id}`, seen: id === 2 ? null : '2024-01-01 10:00:00', payload: null })));
    expect(await ends.destination.query("SELECT count(*) AS n FROM users WHERE id ~ '^[0-9a-f]{40}$'")).toEqual([{ n: '3' }]);
    expect(await verified(ends, rules)).toMatchObject({ status: 0 });
    await ends.destination.query("UPDATE users SET id = 'f' || substr(id, 2), on_off = NOT on_off WHERE name = 'Ada 1'");
    expect(await verified(ends, rules)).toMatchObject({ status: 4 });
    expect(outcome.stderr).toMatch(/index secret of .*users is not made|secret/);
    expectNoOriginal(outcome);
  });

  test('are the same with digests, which are left to tables without them', async () => {
    await using ends = await filled('mariadb', 'postgres18', ["CREATE TABLE a (id int PRIMARY KEY, v varchar(9))", "CREATE TABLE b (id int PRIMARY KEY, v varchar(9))", "INSERT INTO a VALUES (1, 'x')", "INSERT INTO b VALUES (1, 'x')"]);
    const outcome = await syncJson(ends.source.url, ends.destination.url, '--mask', 'a.v=hash', '--verify-with', 'digests');
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    expect(outcome.report.verification?.map(({ namespace, compared }) => [namespace.split('.')[1], compared?.by]).sort()).toEqual([['a', 'rows'], ['b', 'digests']]);
  });
});

describePair(['postgres18'], 'rules, sqlite → postgres18', () => {
  test('take values by what they are, whatever their column says', async () => {
    await using source = await openEnd.sqlite();
    await using destination = await freshDatabase('postgres18');
    await source.execute('CREATE TABLE t (id integer PRIMARY KEY, n integer, d datetime, x)', "INSERT INTO t VALUES (1, 5, '2024-01-01T10:00:00Z', 1), (2, '7', '2024-01-02', '2'), (3, 'many', 'never', x'33')");
    const rules = ['--cast', 't.n=smallint', '--cast', 'sqlite.datetime=timestamptz(3)', '--cast', 't.x=numeric(5,1)', '--on-bad-value', 'null'];
    const outcome = await syncJson(source.url, destination.url, ...rules);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0, report: { nulled: { 't.n': 1, 't.d': 1, 't.x': 1 } } });
    expect(await destination.query('SELECT id, n, d, x FROM t ORDER BY id')).toEqual([
      { id: '1', n: '5', d: '2024-01-01 10:00:00+00', x: '1.0' }, { id: '2', n: '7', d: '2024-01-02 00:00:00+00', x: '2.0' }, { id: '3', n: null, d: null, x: null },
    ]);
    expect(await dsync('verify', source.url, destination.url, ...rules)).toMatchObject({ status: 0 });
    expect(await dsync('verify', source.url, destination.url, ...rules.slice(0, -2))).toMatchObject({ status: 4 });
  });
});

const people = [{ _id: 1, name: 'Ada', ssn: `${original} 1`, address: { street: `${original} street`, zip: 4020 }, jobs: [{ street: `${original} way`, pay: new BSON.Double(1) }], raw: new BSON.Binary(Buffer.from([1, 2])) }, { _id: 2, name: 'Bob', ssn: null }];
const fields = ['--columns', 'people=-address.zip', '--mask', 'people.ssn=hash', '--mask', 'people.address.street=redact', '--mask', 'people.jobs.street=hash'];

describePair(['mongodb'], 'rules, mongodb → mongodb', () => {
  test('mask fields by their paths, and leave all other bytes alone', async () => {
    await using source = await freshDatabase('mongodb');
    await using destination = await freshDatabase('mongodb');
    await source.db.collection<{ _id: number }>('people').insertMany(people);
    const outcome = await syncJson(source.url, destination.url, ...fields);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0, report: { agreed: [{ format: 'bson' }] } });
    const found = await destination.db.collection('people').find({}, { sort: { _id: 1 }, promoteValues: false }).toArray();
    expect(BSON.EJSON.serialize(found, { relaxed: false })).toMatchObject([
      { _id: { $numberInt: '1' }, name: 'Ada', ssn: expect.stringMatching(/^[0-9a-f]{64}$/), address: { street: '***' }, jobs: [{ street: expect.stringMatching(/^[0-9a-f]{64}$/), pay: { $numberDouble: '1.0' } }] }, { name: 'Bob', ssn: null },
    ]);
    expect(found[0]!.address).not.toHaveProperty('zip');
    expect(await dsync('verify', source.url, destination.url, ...fields)).toMatchObject({ status: 0 });
    await destination.db.collection('people').updateOne({ name: 'Ada' }, { $set: { 'address.street': 'x' } });
    expect(await dsync('verify', source.url, destination.url, ...fields)).toMatchObject({ status: 4 });
    expectNoOriginal(outcome);
  });
});

describePair(['mongodb', 'postgres18'], 'rules, mongodb → postgres18', () => {
  test('mask fields of documents that become JSON', async () => {
    await using source = await freshDatabase('mongodb');
    await using destination = await freshDatabase('postgres18');
    await source.db.collection<{ _id: number }>('people').insertMany(people);
    const outcome = await syncJson(source.url, destination.url, ...fields);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    expect(await destination.query("SELECT document->'address'->>'street' AS a FROM people ORDER BY 1")).toEqual([{ a: '***' }, { a: null }]);
    expect(await dsync('verify', source.url, destination.url, ...fields)).toMatchObject({ status: 0 });
    await destination.query("UPDATE people SET document = replace(document::text, '***', '****')::json");
    expect(await dsync('verify', source.url, destination.url, ...fields)).toMatchObject({ status: 4 });
    expectNoOriginal(outcome);
  });
});

describePair(['mongodb', 'postgres18'], 'rules, documents in columns', () => {
  test('hide a value that does not fit its column, too', async () => {
    await using source = await freshDatabase('mongodb');
    await using destination = await freshDatabase('postgres18');
    const documents = [...Array.from({ length: 5 }, (_, i) => ({ _id: i, name: 'Ada', ssn: i, token: i, extra: new BSON.Double(1.5) })), { _id: 9, name: 'Bob', ssn: { is: `${original} 9` }, token: [`${original} token`], extra: 'other' }];
    await source.db.collection<{ _id: number }>('people').insertMany(documents as never);
    const rules = ['--document', 'columns', '--mask', 'people.ssn=hash', '--columns', 'people=-token,-nowhere'];
    const outcome = await syncJson(source.url, destination.url, ...rules);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    const rows = JSON.stringify(await destination.query('SELECT * FROM people'));
    expect(rows).not.toContain(original);
    expect(rows).toContain('Bob');
    const verified = await dsync('verify', source.url, destination.url, ...rules);
    expect(verified, verified.stderr).toMatchObject({ status: 0 });
    expectNoOriginal(outcome);
  });
});

interface Ends extends AsyncDisposable { readonly source: FreshDatabase; readonly destination: FreshDatabase }

async function filled(from: 'postgres18' | 'mariadb', to: 'postgres18' | 'mariadb', statements: readonly string[]): Promise<Ends> {
  const source = await freshDatabase(from), destination = await freshDatabase(to);
  await source.query(statements.join(';\n'));
  return { source, destination, [Symbol.asyncDispose]: async () => { await source[Symbol.asyncDispose](); await destination[Symbol.asyncDispose](); } };
}

const verified = ({ source, destination }: Ends, rules: readonly string[]): Promise<Outcome> => dsync('verify', source.url, destination.url, ...rules);

/** Neither what was printed nor what is in the state, reject files included, has a value from before it was masked. */
function expectNoOriginal({ stdout, stderr }: Outcome): void {
  expect(stdout + stderr).not.toContain(original);
  const files = readdirSync(stateFolder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(0);
  for (const { parentPath, name } of files) expect(readFileSync(join(parentPath, name)).includes(original), name).toBe(false);
}
