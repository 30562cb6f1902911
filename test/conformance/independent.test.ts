import { expect, test } from 'vitest';
import { connectorFor } from '../../src/connectors/index.js';
import { describeWith, freshDatabase, type FreshDatabase } from '../servers/index.js';

/* `Destination.independent`: which standing tables have nothing but their key, and so may take changes of different keys in any order. */

const { signal } = new AbortController();

async function independentOf({ url }: FreshDatabase, asUser?: string): Promise<readonly string[]> {
  const named = new URL(url), connector = await connectorFor(url);
  await using source = await connector.openSource!(named.href, { signal, connections: 1, batchBytes: 1 << 20 });
  const shapes = await source.shapes({ include: [], exclude: [] }, signal);
  if (asUser) [named.username, named.password] = [asUser, 'pw'];
  await using destination = await connector.openDestination!(named.href, { signal, connections: 1, batchBytes: 1 << 20 });
  return (await destination.independent!(shapes, signal)).map((namespace) => namespace.split('.')[1]!).sort();
}

describeWith('postgres18', 'PostgreSQL tells of its tables', () => {
  test('which have a primary key and nothing else that ties rows together', async () => {
    await using database = await freshDatabase('postgres18');
    for (const sql of [
      'CREATE TABLE plain (id int PRIMARY KEY, v int)', 'CREATE INDEX ON plain (v)', 'CREATE TABLE uniq (id int PRIMARY KEY, v int UNIQUE)', 'CREATE TABLE excl (id int PRIMARY KEY, v int4range, EXCLUDE USING gist (v WITH &&))',
      'CREATE TABLE parent (id int PRIMARY KEY)', 'CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent)', 'CREATE TABLE ruled (id int PRIMARY KEY)', 'CREATE RULE r AS ON DELETE TO ruled DO ALSO NOTHING',
      'CREATE TABLE fired (id int PRIMARY KEY)', "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'", 'CREATE TRIGGER t BEFORE INSERT ON fired FOR EACH ROW EXECUTE FUNCTION f()',
      'CREATE TABLE secured (id int PRIMARY KEY)', 'ALTER TABLE secured ENABLE ROW LEVEL SECURITY', 'CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id)', 'CREATE TABLE heir () INHERITS (plain)', "CREATE TABLE \"odd 'n\" (id int PRIMARY KEY)",
    ]) await database.query(sql);
    expect(await independentOf(database)).toEqual(["odd 'n"]);
    await database.query('DROP TABLE heir');
    expect(await independentOf(database)).toEqual(["odd 'n", 'plain']);
  });
});

for (const name of ['mariadb', 'mysql9'] as const) describeWith(name, `${name} tells of its tables`, () => {
  test('which have a primary key and nothing else that ties rows together, to those who can see triggers', async () => {
    await using database = await freshDatabase(name);
    const user = `u${database.name.slice(-20)}`;
    for (const sql of [
      'CREATE TABLE plain (id int PRIMARY KEY, v int, KEY (v))', 'CREATE TABLE uniq (id int PRIMARY KEY, v int UNIQUE)', 'CREATE TABLE parent (id int PRIMARY KEY)', 'CREATE TABLE child (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES parent (id))',
      'CREATE TABLE fired (id int PRIMARY KEY)', 'CREATE TRIGGER t BEFORE INSERT ON fired FOR EACH ROW SET NEW.id = NEW.id', 'CREATE TABLE old (id int PRIMARY KEY) ENGINE=MyISAM', "CREATE TABLE `odd 'n` (id int PRIMARY KEY)",
      `CREATE USER ${user}@'%' IDENTIFIED BY 'pw'`, `GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON ${database.name}.* TO ${user}@'%'`,
    ]) await database.query(sql);
    try {
      expect(await independentOf(database)).toEqual(["odd 'n", 'plain']);
      expect(await independentOf(database, user)).toEqual([]);
      await database.query(`GRANT TRIGGER ON ${database.name}.* TO ${user}@'%'`);
      expect(await independentOf(database, user)).toEqual(["odd 'n", 'plain']);
    } finally {
      await database.query(`DROP USER ${user}@'%'`);
    }
  });
});
