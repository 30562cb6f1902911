/**
 * A database with one of everything that pg_dump --schema-only shows of tables. `version`: 14, or 18 for what came since.
 * Roles are of the whole server: `role` stands there already.
 */
export function works(version: 14 | 18, role: string): readonly string[] {
  return [...types, ...tables(version), ...guards(role), ...(version === 18 ? since14 : []), ...rows];
}

const types = [
  'CREATE SCHEMA other', 'CREATE SCHEMA "Mixed Case"',
  `CREATE COLLATION other.german (provider = icu, locale = 'de', deterministic = false)`,
  `CREATE TYPE other.mood AS ENUM ('sad', 'it''s', 'HAPPY')`, `COMMENT ON TYPE other.mood IS 'how one feels'`,
  `CREATE FUNCTION other.is_fine(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT $1 <> '''' $$`,
  `CREATE DOMAIN other.short AS varchar(20) COLLATE "C" DEFAULT 'none' NOT NULL CONSTRAINT fine CHECK (other.is_fine(VALUE)) CHECK (length(VALUE) > 1)`,
  'CREATE DOMAIN "Mixed Case"."Shorter" AS other.short CHECK (length(VALUE) < 10)', `COMMENT ON DOMAIN other.short IS 'a short one'`,
  'CREATE TYPE other.address AS (street text COLLATE "C", "No" integer, moods other.mood[])',
  'CREATE TYPE other.span AS RANGE (subtype = float8, subtype_diff = float8mi)',
];

const tables = (version: 14 | 18): readonly string[] => [
  'CREATE SEQUENCE alone AS integer INCREMENT BY -3 MINVALUE -900 MAXVALUE 90 START WITH 9 CACHE 4 CYCLE', `COMMENT ON SEQUENCE alone IS 'of nobody'`, 'CREATE SEQUENCE other.shared',
  `CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5 MAXVALUE 100000 CACHE 3 CYCLE), name other.short, nick "Mixed Case"."Shorter" DEFAULT 'nick', mood other.mood DEFAULT 'it''s',
    moods other.mood[], home other.address, span other.span, words text COLLATE other.german, big text, raw bytea, born date DEFAULT CURRENT_DATE, "Select" integer CHECK ("Select" <> 7) NO INHERIT,
    loud text GENERATED ALWAYS AS (upper(big)) STORED, shared integer DEFAULT nextval('other.shared'), CONSTRAINT "people key" PRIMARY KEY (id) INCLUDE (name) WITH (fillfactor = 80))
    WITH (fillfactor = 60, autovacuum_enabled = false, toast.autovacuum_enabled = false)`,
  'ALTER TABLE people ALTER big SET STORAGE EXTERNAL, ALTER raw SET STATISTICS 321, ALTER words SET (n_distinct = -0.5, n_distinct_inherited = 20)', 'ALTER TABLE people ALTER raw SET COMPRESSION pglz',
  'CREATE INDEX people_words ON people (words DESC NULLS LAST, name varchar_pattern_ops) INCLUDE (born) WITH (fillfactor = 70) WHERE born IS NOT NULL', 'CREATE INDEX people_upper ON people (upper(big), (born + 1))', 'ALTER INDEX people_upper ALTER COLUMN 2 SET STATISTICS 55',
  'CREATE UNIQUE INDEX people_nick ON people (nick) WHERE mood <> \'sad\'', 'CREATE INDEX people_brin ON people USING brin (born) WITH (pages_per_range = 8)', 'CREATE INDEX people_hash ON people USING hash (big)',
  'ALTER TABLE people CLUSTER ON people_upper', 'ALTER TABLE people ADD CONSTRAINT people_born UNIQUE (born, id) DEFERRABLE INITIALLY DEFERRED',
  'ALTER TABLE people ADD CONSTRAINT apart EXCLUDE USING gist (span WITH &&) WHERE (mood <> \'sad\')', 'ALTER TABLE people ADD CONSTRAINT lately CHECK (born > \'1900-01-01\') NOT VALID',
  'CREATE STATISTICS people_stats (ndistinct, mcv) ON born, mood FROM people', 'CREATE STATISTICS other.people_more ON (born + 1), upper(big) FROM people', 'ALTER STATISTICS people_stats SET STATISTICS 77', `COMMENT ON STATISTICS people_stats IS 'stats'`,
  `COMMENT ON TABLE people IS 'people ''n such'`, `COMMENT ON COLUMN people."Select" IS 'a word'`, `COMMENT ON INDEX people_words IS 'an index'`, `COMMENT ON CONSTRAINT lately ON people IS 'a check'`, `COMMENT ON CONSTRAINT "people key" ON people IS 'a key'`,
  'CREATE UNLOGGED TABLE "Mixed Case"."Un""logged" (a integer NOT NULL, b integer NOT NULL, c text)', 'CREATE UNIQUE INDEX "by ab" ON "Mixed Case"."Un""logged" (a, b)', 'ALTER TABLE "Mixed Case"."Un""logged" REPLICA IDENTITY USING INDEX "by ab"',
  'CREATE TABLE full_identity (v integer)', 'ALTER TABLE full_identity REPLICA IDENTITY FULL',
  `CREATE TABLE posts (id serial PRIMARY KEY, author bigint CONSTRAINT "by whom" REFERENCES people ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED, parent integer, changed timestamptz, CONSTRAINT up FOREIGN KEY (parent) REFERENCES posts MATCH FULL NOT VALID)`,
  'CREATE TABLE parent (id integer PRIMARY KEY, v integer DEFAULT 3 CONSTRAINT positive CHECK (v > 0))', 'CREATE TABLE child (extra text) INHERITS (parent)', 'ALTER TABLE child ALTER v SET DEFAULT 4',
  `CREATE TABLE sales (id integer, day date NOT NULL, region text, total numeric(10,2) CHECK (total >= 0), CONSTRAINT sales_key PRIMARY KEY (id, day, region)) PARTITION BY RANGE (day)`,
  `CREATE TABLE sales_old PARTITION OF sales FOR VALUES FROM (MINVALUE) TO ('2020-01-01') WITH (fillfactor = 50)`, `CREATE TABLE sales_new PARTITION OF sales FOR VALUES FROM ('2020-01-01') TO (MAXVALUE) PARTITION BY LIST (region)`,
  `CREATE TABLE sales_new_north PARTITION OF sales_new (total DEFAULT 5, CONSTRAINT north CHECK (total < 1000)) FOR VALUES IN ('n', 'N')`, 'CREATE TABLE other.sales_rest PARTITION OF sales_new DEFAULT',
  'CREATE INDEX sales_total ON sales (total)', 'CREATE INDEX "only old" ON sales_old (region)', 'CREATE INDEX rest_day ON other.sales_rest (day)', 'CREATE INDEX sales_day ON ONLY sales (day)', 'CREATE INDEX my_old ON sales_old (day)',
  'CREATE INDEX my_new ON sales_new (day)', 'ALTER INDEX sales_day ATTACH PARTITION my_old', 'ALTER INDEX sales_day ATTACH PARTITION my_new', `COMMENT ON TABLE sales_old IS 'old sales'`, `COMMENT ON COLUMN sales_new.total IS 'a total'`,
  'ALTER TABLE sales_old ALTER region SET STORAGE MAIN', `CREATE TABLE hashed (k text PRIMARY KEY) PARTITION BY HASH (k)`, 'CREATE TABLE hashed0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0)', 'CREATE TABLE hashed1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
  `CREATE VIEW seen WITH (security_barrier = true) AS SELECT id, name FROM people WHERE mood <> 'sad' WITH LOCAL CHECK OPTION`, 'CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM seen', `COMMENT ON VIEW seen IS 'a view'`, 'CREATE UNIQUE INDEX counted_n ON counted (n)',
  ...(version === 18 ? ['CREATE TABLE storing (a text STORAGE EXTENDED COMPRESSION pglz)'] : []),
];

/** What fires, forbids, or lets others in. */
const guards = (role: string): readonly string[] => [
  `CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $f$BEGIN NEW.changed := now(); RETURN NEW; END$f$`, `COMMENT ON FUNCTION touch() IS 'touches'`,
  `CREATE FUNCTION other.refuse(integer, VARIADIC text[]) RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$`.replace('(integer, VARIADIC text[])', '()'),
  'CREATE TRIGGER "touch it" BEFORE INSERT OR UPDATE OF parent, author ON posts FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION touch()', 'CREATE TRIGGER always AFTER DELETE ON posts REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION other.refuse(\'a\', \'b\')',
  'CREATE CONSTRAINT TRIGGER later AFTER INSERT ON posts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touch()', 'ALTER TABLE posts ENABLE ALWAYS TRIGGER always', 'ALTER TABLE posts DISABLE TRIGGER later',
  `COMMENT ON TRIGGER always ON posts IS 'always'`, 'CREATE TRIGGER on_sales BEFORE INSERT ON sales FOR EACH ROW EXECUTE FUNCTION touch()', 'CREATE TRIGGER on_old BEFORE DELETE ON sales_old FOR EACH ROW EXECUTE FUNCTION touch()',
  `CREATE RULE silent AS ON DELETE TO parent WHERE old.v = 1 DO INSTEAD NOTHING`, 'CREATE RULE told AS ON INSERT TO full_identity DO ALSO NOTIFY full_identity', 'ALTER TABLE full_identity DISABLE RULE told', `COMMENT ON RULE silent ON parent IS 'a rule'`,
  `CREATE POLICY own ON posts FOR SELECT TO ${role} USING (author = 1)`, 'CREATE POLICY "no more" ON posts AS RESTRICTIVE USING (id > 0) WITH CHECK (id < 1000)', `COMMENT ON POLICY own ON posts IS 'a policy'`,
  'ALTER TABLE posts ENABLE ROW LEVEL SECURITY', 'ALTER TABLE people ENABLE ROW LEVEL SECURITY', 'ALTER TABLE people FORCE ROW LEVEL SECURITY',
  `GRANT SELECT, UPDATE ON posts TO ${role}`, `GRANT SELECT ON parent TO PUBLIC`, `GRANT INSERT (extra), UPDATE (extra, v) ON child TO ${role} WITH GRANT OPTION`, `GRANT USAGE ON SEQUENCE posts_id_seq TO ${role}`, `GRANT SELECT ON seen TO ${role}`, `GRANT DELETE ON sales_old TO ${role}`,
];

const since14 = [
  'CREATE TABLE since (a integer, b integer, at tsrange, double integer GENERATED ALWAYS AS (a * 2) VIRTUAL, CONSTRAINT since_one UNIQUE NULLS NOT DISTINCT (a, b), CONSTRAINT a_there NOT NULL a, CONSTRAINT soft CHECK (b > 0) NOT ENFORCED)',
  'CREATE TABLE rooms (room int4range, at tsrange, PRIMARY KEY (room, at WITHOUT OVERLAPS))',
  'CREATE TABLE stays (id integer PRIMARY KEY, room int4range, at tsrange, FOREIGN KEY (room, PERIOD at) REFERENCES rooms (room, PERIOD at))',
  'ALTER TABLE parent ADD CONSTRAINT v_there NOT NULL v NOT VALID',
];

const rows = [
  `INSERT INTO people (name, nick, mood, moods, home, span, words, big, raw) SELECT 'p' || i || 'x', 'n' || i, 'HAPPY', '{sad,HAPPY}', ROW('s', i, '{sad}')::other.address, other.span(i, i + 0.5::float8), 'w' || i, 'b' || i, '\\x01' FROM generate_series(1, 20) i`,
  `INSERT INTO "Mixed Case"."Un""logged" SELECT i, i, 'c' FROM generate_series(1, 5) i`, 'INSERT INTO full_identity VALUES (1), (1)', 'ALTER TABLE posts DISABLE TRIGGER USER', 'INSERT INTO posts (author) VALUES (100), (105)',
  'ALTER TABLE posts ENABLE TRIGGER USER', 'ALTER TABLE posts ENABLE ALWAYS TRIGGER always', 'ALTER TABLE posts DISABLE TRIGGER later', 'INSERT INTO parent VALUES (1, 1), (2, 2)', `INSERT INTO child VALUES (3, 3, 'x')`,
  'ALTER TABLE sales DISABLE TRIGGER on_sales', `INSERT INTO sales SELECT i, date '2019-12-01' + i, CASE WHEN i % 2 = 0 THEN 'n' ELSE 's' END, i FROM generate_series(1, 60) i`, 'ALTER TABLE sales ENABLE TRIGGER on_sales',
  `INSERT INTO hashed SELECT 'k' || i FROM generate_series(1, 10) i`, 'REFRESH MATERIALIZED VIEW counted',
];
