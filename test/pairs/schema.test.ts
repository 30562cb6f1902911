import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'libsql';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { describeWith, freshDatabase, type FreshDatabase, type ServerName } from '../servers/index.js';
import { dsync, syncJson, type Outcome } from './command.js';

const folder = mkdtempSync(join(tmpdir(), 'dsync-test-schema-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const sqlitePath = (): string => join(folder, `${files++}.db`);

async function database(name: Exclude<ServerName, 'mongodb'>, ...statements: readonly string[]): Promise<FreshDatabase> {
  const made = await freshDatabase(name);
  onTestFinished(() => made[Symbol.asyncDispose]());
  for (const statement of statements) await made.query(statement);
  return made;
}

/** The program, with a state folder of its own. */
const program = (state: string, ...args: readonly string[]) =>
  spawn(process.execPath, [fileURLToPath(new URL('../../bin/dsync.js', import.meta.url)), ...args, '--state', state], { stdio: 'ignore', timeout: 90_000, killSignal: 'SIGKILL' });

interface Finding { readonly level: string; readonly code: string; readonly message: string; readonly remedy?: string }
const findings = ({ stdout }: Outcome): readonly Finding[] => (JSON.parse(stdout) as { findings: { finding: Finding }[] }).findings.map(({ finding }) => finding);
const refused = (outcome: Outcome) => findings(outcome).filter(({ code }) => code === 'object-refused');

/** A shop with all that pg_dump --schema-only would show of its tables. */
const postgresShop = [
  `CREATE TYPE status AS ENUM ('new', 'paid', 'it''s')`,
  `CREATE TABLE "Customers" (id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5) CONSTRAINT "cust key" PRIMARY KEY, "E-Mail" text COLLATE "C" NOT NULL, name varchar(50) DEFAULT 'x''y', state status NOT NULL DEFAULT 'new',
    parent bigint CONSTRAINT "self ref" REFERENCES "Customers" ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED, full_name text GENERATED ALWAYS AS (upper(name)) STORED,
    created timestamptz DEFAULT now(), tags text[] DEFAULT '{}', CONSTRAINT email_ok CHECK (position('@' in "E-Mail") > 1))`,
  `CREATE UNIQUE INDEX "cust mail" ON "Customers" (lower("E-Mail")) WHERE name <> 'paid'`,
  'CREATE INDEX cust_part ON "Customers" (created DESC NULLS LAST, name varchar_pattern_ops) INCLUDE (state) WITH (fillfactor = 70)', 'CREATE INDEX cust_gin ON "Customers" USING gin (tags)',
  `COMMENT ON TABLE "Customers" IS 'people ''n such'`, `COMMENT ON COLUMN "Customers".name IS 'the name'`,
  `CREATE TABLE orders (id serial, day date NOT NULL, customer bigint NOT NULL, total numeric(10,2) CHECK (total >= 0), CONSTRAINT "order pk" PRIMARY KEY (id, day), UNIQUE (customer, day, id)) PARTITION BY RANGE (day)`,
  `CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')`, `CREATE TABLE "orders 2" PARTITION OF orders FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY RANGE (day)`,
  `CREATE TABLE orders_2a PARTITION OF "orders 2" DEFAULT`, 'CREATE TABLE orders_def PARTITION OF orders DEFAULT', 'CREATE INDEX ON orders (total)',
  'ALTER TABLE orders ADD CONSTRAINT ord_cust FOREIGN KEY (customer) REFERENCES "Customers" ON UPDATE CASCADE',
  'CREATE TABLE log (at timestamp, what text) PARTITION BY HASH (what)', 'CREATE TABLE log0 PARTITION OF log FOR VALUES WITH (MODULUS 2, REMAINDER 0)', 'CREATE TABLE log1 PARTITION OF log FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
  'CREATE TABLE a (id int PRIMARY KEY, b int)', 'CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a)', 'ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b',
  'CREATE TABLE uniq (x int NOT NULL, y text, CONSTRAINT uniq_x UNIQUE (x))', 'CREATE TABLE "select" ("from" int PRIMARY KEY, "wh""ere" text DEFAULT \'ü\')',
  'CREATE VIEW v2 AS SELECT id, name FROM "Customers"', 'CREATE VIEW v1 AS SELECT count(*) AS n FROM v2', 'CREATE MATERIALIZED VIEW m AS SELECT * FROM v1',
  `INSERT INTO "Customers" ("E-Mail", name, parent) SELECT 'u' || i || '@x', 'n' || i, CASE WHEN i > 1 THEN 100 END FROM generate_series(1, 50) i`,
  `INSERT INTO orders (day, customer, total) SELECT date '2020-06-01' + i * 20, 100, i FROM generate_series(1, 60) i`, `INSERT INTO log SELECT now(), 'w' || i FROM generate_series(1, 50) i`,
  'INSERT INTO uniq SELECT i, \'y\' FROM generate_series(1, 20) i', 'INSERT INTO a VALUES (1, NULL)', 'INSERT INTO b VALUES (1, 1)', 'UPDATE a SET b = 1', 'INSERT INTO "select" VALUES (1, \'x\')', 'REFRESH MATERIALIZED VIEW m',
];

/** What pg_dump looks at, asked of the catalogue. */
const postgresFacts = [
  `SELECT c.relname || '.' || a.attname || ' ' || a.attnum || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || a.attidentity::text || a.attgenerated::text || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || a.attcollation || coalesce(col_description(c.oid, a.attnum), '') || coalesce(obj_description(c.oid), '') AS fact
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1`,
  `SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || convalidated AS fact FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 ORDER BY 1`,
  `SELECT pg_get_indexdef(indexrelid) || indisvalid AS fact FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1`,
  `SELECT relname || relkind::text || coalesce(pg_get_partkeydef(oid), '') || coalesce(pg_get_expr(relpartbound, oid), '') || CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) ELSE '' END AS fact FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1`,
  `SELECT sequencename || data_type::text || start_value || increment_by || last_value AS fact FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1`,
  'SELECT n::text AS fact FROM m',
];

async function factsOf(end: FreshDatabase, queries: readonly string[]): Promise<readonly string[]> {
  const facts = [];
  for (const query of queries) facts.push(...(await end.query(query)).map(({ fact }) => fact!));
  return facts;
}

describeWith('postgres18', 'postgres18 → postgres18', () => {
  test('keeps all that pg_dump --schema-only shows of the tables', async () => {
    const source = await database('postgres18', ...postgresShop), destination = await database('postgres18');
    const outcome = await syncJson(source.url, destination.url);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    expect(refused(outcome)).toEqual([]);
    const without = postgresFacts.map((query) => query.replace(' || last_value', ''));
    expect(await factsOf(destination, without)).toEqual(await factsOf(source, without));
    const next = `INSERT INTO "Customers" ("E-Mail") VALUES ('next@x') RETURNING id::text`;
    expect(await destination.query(next)).toEqual(await source.query(next));
    expect(await destination.query(`INSERT INTO orders (day, customer) VALUES ('2020-02-02', 100) RETURNING id::text`)).toEqual([{ id: '61' }]);
    await expect(destination.query(`INSERT INTO orders (day, customer) VALUES ('2020-02-02', 7)`)).rejects.toThrow(/ord_cust/);
    expect((await dsync('verify', source.url, destination.url, '--json', '--exclude', 'Customers', '--exclude', 'orders')).status).toBe(0);
  });

  test('makes bare tables with --schema none, and gives a table that stood before nothing', async () => {
    const source = await database('postgres18', 'CREATE TABLE t (id serial PRIMARY KEY, v int DEFAULT 5 CHECK (v > 0))', 'CREATE INDEX tv ON t (v)', 'INSERT INTO t (v) VALUES (1)');
    const bare = await database('postgres18'), stood = await database('postgres18', 'CREATE TABLE t (id int PRIMARY KEY, v int)');
    for (const [end, ...flags] of [[bare, '--schema', 'none'], [stood]] as const) {
      expect((await syncJson(source.url, end.url, ...flags)).status).toBe(0);
      expect(await end.query(`SELECT count(*)::text AS n FROM pg_index WHERE indrelid = 't'::regclass`)).toEqual([{ n: '1' }]);
      expect(await end.query(`SELECT count(*)::text AS n FROM pg_attrdef WHERE adrelid = 't'::regclass`)).toEqual([{ n: '0' }]);
    }
  });

  test('names what differs with --schema check, and refuses where a table is missing', async () => {
    const source = await database('postgres18', 'CREATE TABLE t (id serial PRIMARY KEY, v int DEFAULT 5)', 'CREATE INDEX tv ON t (v)', 'CREATE UNIQUE INDEX tu ON t (v, id)');
    const destination = await database('postgres18', 'CREATE TABLE t (id serial PRIMARY KEY, v int)', 'CREATE UNIQUE INDEX other ON t (v, id)');
    const outcome = await syncJson(source.url, destination.url, '--schema', 'check');
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    expect(findings(outcome).filter(({ code }) => code === 'object-missing').map(({ message }) => message)).toEqual(['public.t has no counterpart of index tv', 'public.t has no counterpart of default v']);
    expect(await syncJson(source.url, (await database('postgres18')).url, '--schema', 'check')).toMatchObject({ status: 5 });
  });

  test('tells an object that the server refuses with its statement, and makes the others', async () => {
    const source = await database('postgres18', 'CREATE FUNCTION g(int) RETURNS int IMMUTABLE LANGUAGE sql AS $$SELECT $1$$', 'CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN public.g($1); END$$', 'CREATE TABLE t (id int PRIMARY KEY, v int)', 'CREATE INDEX by_f ON t (f(v))', 'CREATE INDEX by_v ON t (v)', 'INSERT INTO t VALUES (1, 1)');
    const destination = await database('postgres18');
    const outcome = await syncJson(source.url, destination.url);
    expect(outcome).toMatchObject({ status: 0 });
    expect(refused(outcome)).toEqual([expect.objectContaining({ message: expect.stringMatching(/index by_f of public\.t was not made: .*does not exist/) as string, remedy: expect.stringContaining('CREATE INDEX "by_f"') as string })]);
    expect(await destination.query(`SELECT indexname FROM pg_indexes WHERE tablename = 't' ORDER BY 1`)).toEqual([{ indexname: 'by_v' }, { indexname: 't_pkey' }]);
  });

  const slow = (body: string) => `CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN ${body} RETURN $1; END$$`;
  const oidsOf = (end: FreshDatabase, ...names: readonly string[]) => end.query(`SELECT relname, oid::text AS oid FROM pg_class WHERE relname = ANY ($1) ORDER BY 1`, [names]);

  /** Starts a sync, kills it when the destination's function \`slow\` is waited for and these indexes stand, and lets the function go on. */
  async function killed(source: FreshDatabase, destination: FreshDatabase, state: string, names: readonly string[]): Promise<void> {
    const child = program(state, 'sync', source.url, destination.url), closed = once(child, 'close');
    const waits = async () => (await destination.query(`SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()`)).length > 0 && (await oidsOf(destination, ...names)).length === names.length;
    await expect.poll(waits, { timeout: 60_000 }).toBe(true);
    child.kill('SIGKILL');
    await closed;
    await destination.query('SELECT pg_advisory_unlock(42)');
  }

  async function resumed(source: FreshDatabase, destination: FreshDatabase, state: string): Promise<number | null> {
    const [status] = await once(program(state, 'resume', '--source', source.url, '--destination', destination.url), 'close') as [number | null];
    return status;
  }

  const locking = [slow('PERFORM pg_advisory_xact_lock_shared(42);'), 'SELECT pg_advisory_lock(42)'];

  test('goes on building indexes where a killed process has stopped, and keeps those that stand', async () => {
    const tables = ['CREATE TABLE t (id int PRIMARY KEY, v int)', 'CREATE INDEX a_quick ON t (v)', 'CREATE INDEX b_slow ON t (slow(v))', 'CREATE UNIQUE INDEX c_unique ON t (v)'];
    const source = await database('postgres18', slow(''), ...tables, 'INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i');
    const destination = await database('postgres18', ...locking), state = mkdtempSync(join(folder, 'state-'));
    await killed(source, destination, state, ['a_quick', 't_pkey']);
    const before = await oidsOf(destination, 'a_quick', 't_pkey');
    expect(await resumed(source, destination, state)).toBe(0);
    expect(await oidsOf(destination, 'a_quick', 't_pkey')).toEqual(before);
    expect(await destination.query(`SELECT indexname FROM pg_indexes WHERE tablename = 't' ORDER BY 1`)).toEqual(['a_quick', 'b_slow', 'c_unique', 't_pkey'].map((indexname) => ({ indexname })));
  });

  test('mends rows that a unique index of a killed process would keep out', async () => {
    const source = await database('postgres18', slow(''), 'CREATE TABLE t (id int PRIMARY KEY, v int CONSTRAINT one UNIQUE, CONSTRAINT waits CHECK (slow(v) > 0))', 'INSERT INTO t SELECT i, i FROM generate_series(1, 100) i');
    const destination = await database('postgres18', ...locking), state = mkdtempSync(join(folder, 'state-'));
    await killed(source, destination, state, ['one']);
    for (const swap of ['UPDATE t SET v = 1000 WHERE id = 1', 'UPDATE t SET v = 1 WHERE id = 2', 'UPDATE t SET v = 2 WHERE id = 1']) await source.query(swap);
    expect(await resumed(source, destination, state)).toBe(0);
    expect(await destination.query('SELECT id::text, v::text FROM t WHERE id < 3 ORDER BY id')).toEqual([{ id: '1', v: '2' }, { id: '2', v: '1' }]);
    expect(await destination.query(`SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass AND contype IN ('u', 'c') ORDER BY 1`)).toEqual([{ conname: 'one' }, { conname: 'waits' }]);
  });

  test('mends rows past a trigger of a killed process, which would fire', async () => {
    const source = await database('postgres18', slow(''), 'CREATE TABLE t (id int PRIMARY KEY, v int)', 'CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$',
      'CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse()', 'ALTER TABLE t DISABLE TRIGGER refuse', 'CREATE RULE kept AS ON DELETE TO t DO INSTEAD NOTHING', 'ALTER TABLE t DISABLE RULE kept', 'INSERT INTO t SELECT i, i FROM generate_series(1, 100) i',
      'ALTER TABLE t ENABLE ALWAYS TRIGGER refuse', 'ALTER TABLE t ENABLE ALWAYS RULE kept', 'CREATE MATERIALIZED VIEW waits AS SELECT slow(1)');
    const destination = await database('postgres18', ...locking), state = mkdtempSync(join(folder, 'state-'));
    await killed(source, destination, state, ['t_pkey']);
    expect(await destination.query(`SELECT tgenabled::text AS e FROM pg_trigger WHERE tgname = 'refuse'`)).toEqual([{ e: 'A' }]);
    for (const change of ['ALTER TABLE t DISABLE TRIGGER refuse', 'ALTER TABLE t DISABLE RULE kept', 'UPDATE t SET v = 1000 WHERE id = 1', 'DELETE FROM t WHERE id = 2', 'ALTER TABLE t ENABLE ALWAYS TRIGGER refuse', 'ALTER TABLE t ENABLE ALWAYS RULE kept']) await source.query(change);
    expect(await resumed(source, destination, state)).toBe(0);
    expect(await destination.query('SELECT id::text, v::text FROM t WHERE id < 4 ORDER BY id')).toEqual([{ id: '1', v: '1000' }, { id: '3', v: '3' }]);
    expect(await destination.query(`SELECT tgenabled::text AS e FROM pg_trigger WHERE tgname = 'refuse'`)).toEqual([{ e: 'A' }]);
  });
});

const mysqlShop = [
  `CREATE TABLE \`we\`\`ird name\` (\`id\` int unsigned NOT NULL AUTO_INCREMENT, \`Key\` varchar(20) CHARACTER SET latin1 DEFAULT 'a''b\\\\c' COMMENT 'it''s, (a) comment', \`when\` timestamp(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
    \`e\` enum('x','y,)','z''q') NOT NULL DEFAULT 'x', \`full\` varchar(60) GENERATED ALWAYS AS (concat(\`Key\`,'-',\`n\`)) STORED, \`virt\` int AS (n + 1) VIRTUAL, \`n\` decimal(10,2) DEFAULT 1.50, \`b\` bit(3) DEFAULT b'101', \`t\` text, \`parent\` int unsigned DEFAULT NULL,
    PRIMARY KEY (\`id\`), UNIQUE KEY \`u\` (\`Key\`,\`n\`), KEY \`pre\` (\`t\`(20), \`n\`), FULLTEXT KEY \`ft\` (\`t\`), KEY par (parent),
    CONSTRAINT \`chk\` CHECK (\`n\` > 0 and \`e\` in ('x','y,)')), CONSTRAINT \`self\` FOREIGN KEY (\`parent\`) REFERENCES \`we\`\`ird name\` (\`id\`) ON DELETE CASCADE) ENGINE=InnoDB AUTO_INCREMENT=500 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci COMMENT='table''s'`,
  "INSERT INTO `we``ird name` (`Key`, e, t, parent) VALUES ('k1','x','some text',NULL), ('k2','y,)','more',500), ('k3','x',NULL,501)",
  'CREATE TABLE parts (id int NOT NULL, d date NOT NULL, v int, PRIMARY KEY (id, d)) PARTITION BY RANGE (year(d)) (PARTITION p0 VALUES LESS THAN (2020), PARTITION p1 VALUES LESS THAN MAXVALUE)', "INSERT INTO parts VALUES (1,'2019-01-01',1), (2,'2022-01-01',2)",
  "CREATE TABLE nokey (a int, b varchar(10) DEFAULT 'q', KEY `pre` (a))", "INSERT INTO nokey VALUES (1,'x'), (1,'x')",
  'CREATE TABLE onlyuniq (a int NOT NULL, b int, UNIQUE KEY ua (a), c int NOT NULL AUTO_INCREMENT, KEY (c))', 'INSERT INTO onlyuniq (a, b) VALUES (1,2), (3,4)',
  'CREATE TABLE ca (id int PRIMARY KEY AUTO_INCREMENT, b int)', 'CREATE TABLE cb (id int PRIMARY KEY AUTO_INCREMENT, a int, FOREIGN KEY (a) REFERENCES ca (id))', 'ALTER TABLE ca ADD FOREIGN KEY (b) REFERENCES cb (id)',
  'INSERT INTO ca VALUES (1, NULL)', 'INSERT INTO cb VALUES (1, 1)', 'UPDATE ca SET b = 1', 'CREATE VIEW v2 AS SELECT id, `Key` AS k FROM `we``ird name`', 'CREATE VIEW v1 AS SELECT count(*) AS n FROM v2',
];
const mysqlTables = ['we``ird name', 'parts', 'nokey', 'onlyuniq', 'ca', 'cb'];

for (const name of ['mariadb', 'mysql9'] as const) {
  describeWith(name, `${name} → ${name}`, () => {
    test('keeps all that SHOW CREATE TABLE shows', async () => {
      const source = await database(name, ...mysqlShop), destination = await database(name);
      const outcome = await syncJson(source.url, destination.url);
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      expect(refused(outcome)).toEqual([]);
      // The character set of a literal is that of whoever wrote the statement.
      const shown = async (end: FreshDatabase, table: string) => (await end.query(`SHOW CREATE TABLE \`${table}\``))[0]!['Create Table']!.replaceAll(/_utf8mb[34]'/g, "'");
      for (const table of mysqlTables) expect(await shown(destination, table)).toBe(await shown(source, table));
      expect(await destination.query('SELECT * FROM v1')).toEqual([{ n: '3' }]);
      await destination.query("INSERT INTO `we``ird name` (`Key`) VALUES ('next')");
      expect(await destination.query("SELECT id, `full` FROM `we``ird name` WHERE `Key` = 'next'")).toEqual([{ id: '503', full: 'next-1.50' }]);
      await expect(destination.query("INSERT INTO `we``ird name` (parent) VALUES (9)")).rejects.toThrow(/foreign key/);
      expect((await dsync('verify', source.url, destination.url, '--json', '--exclude', '*we*')).status).toBe(0);
    });
  });

  describeWith([name, 'postgres18'], `${name} → postgres18`, () => {
    test('makes what has a counterpart, and names what has none', async () => {
      const source = await database(name, ...mysqlShop, 'CREATE TRIGGER tr BEFORE INSERT ON parts FOR EACH ROW SET NEW.v = 5'), destination = await database('postgres18');
      const outcome = await syncJson(source.url, destination.url);
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      expect(refused(outcome)).toEqual([]);
      const indexes = (await destination.query(`SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname`)).map(({ indexdef }) => indexdef!);
      expect(indexes).toContain('CREATE UNIQUE INDEX u ON public."we`ird name" USING btree ("Key", n)');
      expect(indexes.filter((text) => text.includes(' pre_'))).toHaveLength(2);
      expect(indexes.some((text) => text.includes('USING gin (to_tsvector'))).toBe(true);
      expect((await destination.query(`SELECT conname FROM pg_constraint WHERE contype IN ('f', 'c') AND convalidated ORDER BY 1`)).map(({ conname }) => conname)).toEqual(expect.arrayContaining(['chk', 'self']));
      expect(await destination.query(`INSERT INTO "we\`ird name" (parent) VALUES (500) RETURNING id::text, "Key", e, b::text`)).toEqual([{ id: '503', Key: "a'b\\c", e: 'x', b: '101' }]);
      await expect(destination.query(`INSERT INTO "we\`ird name" (e) VALUES ('z''q')`)).rejects.toThrow(/chk/);
      expect(findings(outcome).filter(({ code }) => code === 'object-left-out').map(({ message }) => message.split(':')[0])).toEqual(expect.arrayContaining([
        `trigger tr of ${source.name}.parts is not made`, `partitions ${source.name}.parts of ${source.name}.parts is not made`, `generated column full of ${source.name}.we\`ird name is not made`, `view ${source.name}.v1 is not made`,
      ]));
      expect((await dsync('verify', source.url, destination.url, '--json', '--exclude', '*we*')).status).toBe(0);
    });

    test('writes a file of statements that makes what a sync would make', async () => {
      const source = await database(name, ...mysqlShop), destination = await database('postgres18'), file = join(folder, `${name}.sql`);
      expect((await dsync('plan', source.url, destination.url, '--ddl', file)).status).toBe(0);
      await destination.query(readFileSync(file, 'utf8'));
      const outcome = await syncJson(source.url, destination.url, '--schema', 'check');
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      expect(findings(outcome).filter(({ code, message }) => code === 'object-missing' && !/index (ft|pre)/.test(message))).toEqual([]);
    });

    test('cuts names that are too long, and never two to the same', async () => {
      const long = 'ü'.repeat(50), source = await database(name, `CREATE TABLE \`${long}\` (id int PRIMARY KEY, \`${long}a\` int, \`${long}b\` int, KEY \`${long}\` (\`${long}a\`))`, `INSERT INTO \`${long}\` VALUES (1, 2, 3)`);
      const destination = await database('postgres18');
      const outcome = await syncJson(source.url, destination.url);
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      expect(findings(outcome).map(({ code }) => code)).toEqual(expect.arrayContaining(['table-renamed', 'object-renamed']));
      const names = await destination.query(`SELECT DISTINCT column_name FROM information_schema.columns WHERE table_schema = 'public'`);
      expect(names).toHaveLength(3);
      expect((await dsync('verify', source.url, destination.url, '--json')).status).toBe(0);
    });
  });

  describeWith(['postgres18', name], `postgres18 → ${name}`, () => {
    test('makes what has a counterpart, and names what has none', async () => {
      const source = await database('postgres18', `CREATE TABLE people (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, name varchar(20) DEFAULT 'x', born date DEFAULT CURRENT_DATE, active boolean NOT NULL DEFAULT true, seen timestamp DEFAULT now(), CONSTRAINT named CHECK (name IN ('x', 'y') OR name IS NULL))`,
        'CREATE INDEX by_name ON people (name DESC, id)', 'CREATE INDEX part ON people (name) WHERE active', 'CREATE INDEX rx ON people (lower(name))', `COMMENT ON TABLE people IS 'all'`, `COMMENT ON COLUMN people.name IS 'called'`,
        'CREATE TABLE posts (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, author bigint NOT NULL REFERENCES people ON DELETE CASCADE, "Name" int, name int)', `INSERT INTO people (email) SELECT 'm' || i FROM generate_series(1, 20) i`, 'INSERT INTO posts (author) VALUES (1), (2)', `SELECT setval('people_id_seq', 1000)`);
      const destination = await database(name);
      const outcome = await syncJson(source.url, destination.url);
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      expect(refused(outcome)).toEqual([]);
      await destination.query(`INSERT INTO people (email) VALUES ('next')`);
      expect(await destination.query(`SELECT id, name, active, born = CURRENT_DATE AS today, seen IS NOT NULL AS seen FROM people WHERE email = 'next'`)).toEqual([{ id: '1001', name: 'x', active: '1', today: '1', seen: '1' }]);
      await expect(destination.query(`INSERT INTO people (email) VALUES ('m1')`)).rejects.toThrow(/Duplicate/);
      await expect(destination.query(`INSERT INTO people (email, name) VALUES ('other', 'z')`)).rejects.toThrow(/named/);
      await expect(destination.query('INSERT INTO posts (author) VALUES (99)')).rejects.toThrow(/foreign key/);
      await destination.query('DELETE FROM people WHERE id = 1');
      expect(await destination.query('SELECT count(*) AS n FROM posts')).toEqual([{ n: '1' }]);
      expect(await destination.query(`SELECT table_comment AS c FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'people'`)).toEqual([{ c: 'all' }]);
    });
  });
}

for (const name of ['mariadb', 'mysql9'] as const) {
  describeWith(['postgres18', name], `postgres18 → ${name} and back`, () => {
    test('gives columns that a foreign key ties together one type', async () => {
      const source = await database('postgres18', 'CREATE TABLE shelf (id serial PRIMARY KEY, code text NOT NULL, big bigint UNIQUE NOT NULL)', 'CREATE TABLE label (code text PRIMARY KEY, parent text REFERENCES label)',
        'CREATE TABLE book (id bigint PRIMARY KEY, shelf smallint REFERENCES shelf, label text REFERENCES label, at int REFERENCES shelf (big))',
        `INSERT INTO label VALUES ('a', NULL), ('b', 'a')`, `INSERT INTO shelf VALUES (7, 'x', 70)`, `INSERT INTO book VALUES (1, 7, 'b', 70), (2, NULL, NULL, NULL)`);
      const destination = await database(name), there = await syncJson(source.url, destination.url);
      expect(there, there.stderr).toMatchObject({ status: 0 });
      expect(refused(there)).toEqual([]);
      const typesOf = `SELECT column_name AS c, data_type AS t FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'book' ORDER BY 1`;
      expect(await destination.query(typesOf)).toEqual([{ c: 'at', t: 'bigint' }, { c: 'id', t: 'bigint' }, { c: 'label', t: 'varchar' }, { c: 'shelf', t: 'int' }]);
      for (const wrong of ['shelf) VALUES (3, 8', `label) VALUES (3, 'c'`, 'at) VALUES (3, 71']) await expect(destination.query(`INSERT INTO book (id, ${wrong})`)).rejects.toThrow(/foreign key/);
      const back = await database('postgres18'), home = await syncJson(destination.url, back.url);
      expect(home, home.stderr).toMatchObject({ status: 0 });
      const keys = `SELECT count(*)::text AS n FROM pg_constraint WHERE contype = 'f' AND convalidated`, rows = 'SELECT id::text, shelf::text, label, at::text FROM book ORDER BY id';
      expect(await back.query(keys)).toEqual([{ n: '4' }]);
      expect(await back.query(rows)).toEqual(await source.query(rows));
    });

    test('a text that is unique by its hash is unique by itself again; an expression of long texts, a BRIN index and a unique index that becomes the key are told', async () => {
      const source = await database('postgres18', 'CREATE TABLE t (name text NOT NULL CONSTRAINT by_name UNIQUE, id serial NOT NULL CONSTRAINT by_id UNIQUE, at timestamp, long text, CONSTRAINT early CHECK (id > 0 OR at IS NOT NULL))',
        'CREATE INDEX by_at ON t USING brin (at)', 'CREATE UNIQUE INDEX by_lower ON t (lower(name))', 'CREATE INDEX by_long ON t (upper(long))', `INSERT INTO t (name, at) SELECT 'n' || i, now() FROM generate_series(1, 9) i`);
      const destination = await database(name), there = await syncJson(source.url, destination.url);
      expect(there, there.stderr).toMatchObject({ status: 0 });
      expect(refused(there)).toEqual([]);
      expect(findings(there).map(({ message }) => message)).toEqual(expect.arrayContaining(['unique by_id of public.t is made differently: it is the primary key', 'index by_at of public.t is made differently: it holds each row, not ranges of blocks', 'check early of public.t is not made: it speaks of id, which AUTO_INCREMENT numbers']));
      expect(await destination.query(`SELECT index_name AS i FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 't' AND column_name = 'id'`)).toEqual([{ i: 'PRIMARY' }]);
      await destination.query(`INSERT INTO t (name) VALUES ('next')`);
      await expect(destination.query(`INSERT INTO t (name) VALUES ('n1')`)).rejects.toThrow(/Duplicate/);
      if (name === 'mysql9') await expect(destination.query(`INSERT INTO t (name) VALUES ('N1')`)).rejects.toThrow(/Duplicate/);
      const back = await database('postgres18');
      expect(await syncJson(destination.url, back.url)).toMatchObject({ status: 0 });
      expect(await back.query(`SELECT indexdef FROM pg_indexes WHERE indexname = 'by_name'`)).toEqual([{ indexdef: 'CREATE UNIQUE INDEX by_name ON public.t USING btree (name)' }]);
    });
  });
}

describeWith('postgres18', 'sqlite → postgres18', () => {
  test('conditions that compare truths with numbers', async () => {
    const path = sqlitePath(), file = new Database(path);
    file.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, lang TEXT, is_main BOOLEAN NOT NULL CHECK (is_main IN (0, 1))); CREATE UNIQUE INDEX one_main ON t (lang) WHERE is_main = 1; INSERT INTO t VALUES (1, 'en', 1), (2, 'en', 0), (3, 'en', 0)`);
    file.close();
    const destination = await database('postgres18'), outcome = await syncJson(`sqlite:${path}`, destination.url);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    expect(refused(outcome)).toEqual([]);
    expect(await destination.query('SELECT is_main::text AS m FROM t ORDER BY id')).toEqual([{ m: 'true' }, { m: 'false' }, { m: 'false' }]);
    await expect(destination.query(`INSERT INTO t VALUES (4, 'en', true)`)).rejects.toThrow(/one_main/);
    await destination.query(`INSERT INTO t VALUES (5, 'en', false)`);
  });
});

test('sqlite → sqlite keeps the SQL of tables, indexes, views and triggers', async () => {
  const from = sqlitePath(), to = sqlitePath(), source = new Database(from);
  source.exec(`CREATE TABLE "My Table" ( -- a comment, with comma
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE DEFAULT 'x,(y', n REAL CHECK (n > 0), /* c */ g TEXT AS (upper(name)) VIRTUAL, s INT GENERATED ALWAYS AS (n * 2) STORED,
    parent INTEGER REFERENCES "My Table" ON DELETE CASCADE, created TEXT DEFAULT CURRENT_TIMESTAMP, email TEXT, CONSTRAINT em CHECK (email IN ('a@x','b@x') OR email IS NULL), UNIQUE (email, name));
    CREATE TABLE wr (a TEXT, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID; CREATE TABLE st (a INTEGER PRIMARY KEY, b ANY) STRICT; CREATE TABLE nokey (a INT DEFAULT 5, b TEXT UNIQUE);
    CREATE INDEX i1 ON "My Table" (name DESC, n) WHERE n > 5; CREATE UNIQUE INDEX i2 ON "My Table" (lower(email)); CREATE VIEW v AS SELECT * FROM "My Table"; CREATE TRIGGER tr AFTER INSERT ON wr BEGIN UPDATE st SET b = 1; END;
    INSERT INTO "My Table" (id, name, n, parent, email) VALUES (5,'a',1,NULL,'a@x'), (6,'b',7,5,'b@x'), (70,'c',9,5,NULL); DELETE FROM "My Table" WHERE id = 70; INSERT INTO wr VALUES ('x',1); INSERT INTO nokey VALUES (1,'x'), (1,'y')`);
  const outcome = await syncJson(`sqlite:${from}`, `sqlite:${to}`);
  expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
  expect(refused(outcome)).toEqual([]);
  const destination = new Database(to);
  const shown = (end: Database.Database) => (end.prepare(`SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name NOT LIKE '\\_dsync%' ESCAPE '\\' AND tbl_name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name`).all() as { type: string; name: string; sql: string }[])
    .map(({ type, name, sql }) => [type, name, sql.replaceAll('"', '')]);
  expect(shown(destination)).toEqual(shown(source));
  expect(destination.prepare(`INSERT INTO "My Table" (name, n) VALUES ('next', 3) RETURNING id, s`).get()).toMatchObject({ id: 71, s: 6 });
  source.close();
  destination.close();
});

describeWith('postgres18', 'postgres18 → sqlite and back', () => {
  test('keeps defaults, checks, foreign keys and the next number', async () => {
    const source = await database('postgres18', `CREATE TABLE t (id serial PRIMARY KEY, v int NOT NULL DEFAULT 7 CHECK (v > 0), price numeric(8,2) CHECK (price < 1000), u text UNIQUE)`, 'CREATE TABLE c (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE)', 'CREATE INDEX ON c (t)',
      `INSERT INTO t (v, price) VALUES (1, 20), (2, 5)`, `SELECT setval('t_id_seq', 99)`, 'INSERT INTO c VALUES (1, 1)');
    const path = sqlitePath(), first = await syncJson(source.url, `sqlite:${path}`);
    expect(first, first.stderr).toMatchObject({ status: 0 });
    // Numbers that are kept as text would be compared as text.
    expect(findings(first).filter(({ code }) => code === 'object-left-out').map(({ message }) => message)).toEqual([expect.stringContaining('check t_price_check')]);
    const file = new Database(path);
    expect(() => file.exec('PRAGMA foreign_keys = ON; INSERT INTO c VALUES (2, 9)')).toThrow(/FOREIGN KEY/);
    expect(() => file.exec('INSERT INTO t (v) VALUES (0)')).toThrow(/CHECK/);
    file.close();
    const back = await database('postgres18'), second = await syncJson(`sqlite:${path}`, back.url);
    expect(second, second.stderr).toMatchObject({ status: 0 });
    expect(await back.query('INSERT INTO t DEFAULT VALUES RETURNING id::text, v::text')).toEqual([{ id: '100', v: '7' }]);
    await expect(back.query('INSERT INTO c VALUES (3, 12)')).rejects.toThrow(/foreign key/);
  });
});

describeWith('postgres18', 'a sequence of postgres18 that has given out its last number', () => {
  test.each(['postgres18', 'sqlite'])('is told on the way to %s, and keeps no row from going', async (to) => {
    const source = await database('postgres18', 'CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, s bigserial)', 'INSERT INTO t VALUES (9223372036854775807, 9223372036854775807)',
      `SELECT setval(pg_get_serial_sequence('t', 'id'), 9223372036854775807), setval(pg_get_serial_sequence('t', 's'), 9223372036854775807)`);
    const outcome = await syncJson(source.url, to === 'sqlite' ? `sqlite:${sqlitePath()}` : (await database('postgres18')).url);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    expect(refused(outcome)).toEqual([]);
    if (to === 'postgres18') expect(findings(outcome).filter(({ code }) => code === 'sequence-exhausted')).toHaveLength(2);
  });
});

describeWith('mongodb', 'mongodb → mongodb', () => {
  test('makes the indexes, the unique one too', async () => {
    await using source = await freshDatabase('mongodb');
    await using destination = await freshDatabase('mongodb');
    await source.db.collection<{ _id: number }>('things').insertMany([{ _id: 1, a: 1, at: new Date(0) }, { _id: 2, a: 2 }] as never);
    await source.db.collection('things').createIndex({ a: 1 }, { unique: true, name: 'by a' });
    await source.db.collection('things').createIndex({ b: -1, a: 1 });
    const outcome = await syncJson(source.url, destination.url);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    const keys = async (end: typeof source) => (await end.db.collection('things').listIndexes().toArray()).map(({ name, key, unique }) => ({ name, key, unique })).sort((a, b) => (a.name < b.name ? -1 : 1));
    expect(await keys(destination)).toEqual(await keys(source));
    await expect(destination.db.collection('things').insertOne({ a: 1 })).rejects.toThrow(/duplicate/i);
  });
});
