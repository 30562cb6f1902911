import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { describeWith, freshDatabase, type FreshDatabase } from '../servers/index.js';
import { Program } from '../cutover/program.js';
import { findProgram } from '../servers/programs.js';
import { syncJson, type Outcome } from './command.js';
import { works } from './postgres-works.js';

const role = 'dsync_test_reader';

async function database(name: 'postgres14' | 'postgres18', ...statements: readonly string[]): Promise<FreshDatabase> {
  const made = await freshDatabase(name);
  onTestFinished(() => made[Symbol.asyncDispose]());
  for (const statement of statements) await made.query(statement).catch((error: unknown) => { throw new Error(`${statement}: ${String(error)}`); });
  return made;
}

interface Finding { readonly level: string; readonly code: string; readonly message: string; readonly remedy?: string }
const findings = ({ stdout }: Outcome): readonly Finding[] => (JSON.parse(stdout) as { findings: { finding: Finding }[] }).findings.map(({ finding }) => finding);

/** What was not made, or not as it was. */
const untold = (outcome: Outcome) => findings(outcome).filter(({ code }) => code.startsWith('object-'));

const ofUsers = `n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', '_dsync')`;
const comment = (oid: string, catalogue: string) => `coalesce(obj_description(${oid}, '${catalogue}'), '')`;

/**
 * What pg_dump reads of the catalogue, each fact as a line. Names that PostgreSQL gave a NOT NULL, and the columns of a
 * child, which are its own as well in a copy, are left out.
 */
const facts = [
  `SELECT concat_ws(' ', 'relation', c.oid::regclass, c.relkind, c.relpersistence, c.relreplident, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, (SELECT reloptions FROM pg_class x WHERE x.oid = c.reltoastrelid), c.relacl, pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), ${comment('c.oid', 'pg_class')},
    CASE WHEN c.relkind IN ('v', 'm') THEN regexp_replace(pg_get_viewdef(c.oid), '(people|seen)\\.', '', 'g') END) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${ofUsers} AND c.relkind <> 'i'`,
  `SELECT concat_ws(' ', 'column', c.oid::regclass, CASE WHEN c.relkind = 'S' THEN 0 ELSE (SELECT count(*) FROM pg_attribute b WHERE b.attrelid = a.attrelid AND b.attnum BETWEEN 1 AND a.attnum AND NOT b.attisdropped) END, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, to_jsonb(a)->>'attcompression', coalesce(nullif(a.attstattarget, -1)::text, ''), a.attoptions, a.attacl,
    pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation, col_description(c.oid, a.attnum)) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE ${ofUsers} AND a.attnum > 0 AND c.relkind <> 'i'`,
  `SELECT concat_ws(' ', 'constraint', coalesce(nullif(k.conrelid, 0)::regclass::text, k.contypid::regtype::text), k.conname, pg_get_constraintdef(k.oid), k.convalidated, ${comment('k.oid', 'pg_constraint')}) FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE ${ofUsers} AND (k.contype <> 'n' OR k.conname !~ '_not_null[0-9]*$') AND k.contype <> 't'`,
  `SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident, (SELECT h.inhparent::regclass FROM pg_inherits h WHERE h.inhrelid = c.oid), ${comment('c.oid', 'pg_class')}, (SELECT array_agg(nullif(a.attstattarget, -1) ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid)) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${ofUsers}`,
  `SELECT concat_ws(' ', 'inherits', h.inhrelid::regclass, h.inhparent::regclass) FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${ofUsers}`,
  `SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(g.oid), g.tgenabled, ${comment('g.oid', 'pg_trigger')}) FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${ofUsers} AND NOT g.tgisinternal AND g.tgparentid = 0`,
  `SELECT concat_ws(' ', 'rule', pg_get_ruledef(r.oid), r.ev_enabled, ${comment('r.oid', 'pg_rewrite')}) FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${ofUsers} AND r.rulename <> '_RETURN'`,
  `SELECT concat_ws(' ', 'policy', p.polrelid::regclass, p.polname, p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid), ${comment('p.oid', 'pg_policy')}) FROM pg_policy p`,
  `SELECT concat_ws(' ', 'statistics', pg_get_statisticsobjdef(s.oid), nullif(s.stxstattarget, -1), ${comment('s.oid', 'pg_statistic_ext')}) FROM pg_statistic_ext s`,
  `SELECT concat_ws(' ', 'function', pg_get_functiondef(f.oid), f.proacl, ${comment('f.oid', 'pg_proc')}) FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace WHERE ${ofUsers} AND f.proname NOT LIKE 'span%'`,
  `SELECT concat_ws(' ', 'type', t.oid::regtype, t.typtype, format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault, nullif(t.typcollation, 0)::regcollation, ${comment('t.oid', 'pg_type')}, (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE ${ofUsers} AND t.typtype IN ('d', 'e', 'r')`,
  `SELECT concat_ws(' ', 'collation', c.oid::regcollation, c.collprovider, c.collisdeterministic) FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE ${ofUsers}`,
  `SELECT concat_ws(' ', 'sequence', s.seqrelid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle, (SELECT d.refobjid::regclass || '.' || d.refobjsubid || d.deptype::text FROM pg_depend d WHERE d.objid = s.seqrelid AND d.deptype IN ('a', 'i'))) FROM pg_sequence s`,
];

async function factsOf(end: FreshDatabase): Promise<readonly string[]> {
  const all: string[] = [];
  for (const query of facts) all.push(...(await end.query(query)).map((row) => Object.values(row)[0]!).sort());
  return all;
}

/** Of version 18 or later: no older one knows these servers. */
async function dumpProgram(): Promise<string | undefined> {
  const program = process.env.DSYNC_TEST_PG_DUMP ?? await findProgram('pg_dump');
  const version = program && (await run(program, ['--version'])).stdout;
  return version && Number(/ (\d+)/.exec(version)?.[1]) >= 18 ? program : undefined;
}

const run = promisify(execFile), pgDump = await dumpProgram();

/** The statements of a dump, without those of the table \`child\`. */
async function dumped({ url }: FreshDatabase): Promise<readonly string[]> {
  const { stdout } = await run(pgDump!, ['--schema-only', '--exclude-schema=_dsync', url]);
  return stdout.split(/^--$/m).map((part) => part.trim()).filter((part) => /^[A-Z]/m.test(part) && !/restrict|^-- Dumped/m.test(part) && !/\bchild\b/.test(part)).sort();
}

const roleStands = `DO $$BEGIN CREATE ROLE ${role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END$$`;

describeWith('postgres18', 'postgres18 → postgres18, all that there is', () => {
  test('keeps all that pg_dump reads of the catalogue', async () => {
    const source = await database('postgres18', roleStands, ...works(18, role)), destination = await database('postgres18');
    const outcome = await syncJson(source.url, destination.url);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    expect(untold(outcome)).toEqual([]);
    expect(await factsOf(destination)).toEqual(await factsOf(source));
    for (const end of [source, destination]) await end.query('ALTER TABLE posts DISABLE TRIGGER ALL');
    // What the source's sessions keep in store counts as given out.
    expect(await destination.query(`INSERT INTO people (name, nick) VALUES ('next', 'next') RETURNING id::text, shared::text`)).toEqual([{ id: '205', shared: '21' }]);
    for (const next of ['INSERT INTO posts DEFAULT VALUES RETURNING id::text', `SELECT nextval('alone')::text`]) expect(await destination.query(next)).toEqual(await source.query(next));
  });

  test.skipIf(!pgDump)(`is dumped alike${pgDump ? '' : ' (skipped: no pg_dump 18 or later; DSYNC_TEST_PG_DUMP names one)'}`, async () => {
    const source = await database('postgres18', roleStands, ...works(18, role)), destination = await database('postgres18');
    expect(await syncJson(source.url, destination.url)).toMatchObject({ status: 0 });
    expect(await dumped(destination)).toEqual(await dumped(source));
  });
});

describeWith(['postgres14', 'postgres18'], 'postgres14 → postgres18, all that there is', () => {
  test('keeps it over the versions', async () => {
    const source = await database('postgres14', roleStands, ...works(14, role)), destination = await database('postgres18', roleStands);
    const outcome = await syncJson(source.url, destination.url);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    expect(untold(outcome)).toEqual([]);
    // MAINTAIN is a privilege of its own since 17.
    const owned = (lines: readonly string[]) => lines.map((line) => line.replace('arwdDxtm/', 'arwdDxt/'));
    expect(owned(await factsOf(destination))).toEqual(await factsOf(source));
  });
});

describeWith('postgres18', 'what fires, postgres18 → postgres18', () => {
  const audited = ['CREATE TABLE audit (n serial PRIMARY KEY, what text)', 'CREATE TABLE t (id int PRIMARY KEY, v int)', `CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.audit (what) VALUES (NEW.v); RETURN NEW; END$$`,
    'CREATE TRIGGER note AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION noted()', 'ALTER TABLE t ENABLE ALWAYS TRIGGER note', 'INSERT INTO t SELECT i, i FROM generate_series(1, 30) i'];

  test('never fires on rows that dsync writes', async () => {
    const source = await database('postgres18', ...audited), destination = await database('postgres18');
    expect(await syncJson(source.url, destination.url)).toMatchObject({ status: 0 });
    expect(await destination.query('SELECT count(*)::text AS n FROM audit')).toEqual([{ n: '30' }]);
    await destination.query('INSERT INTO t VALUES (99, 99)');
    expect(await destination.query('SELECT what FROM audit WHERE n > 30')).toEqual([{ what: '99' }]);
  });
});

describeWith('postgres18', 'a key WITHOUT OVERLAPS, postgres18 → postgres18', () => {
  test('is followed as a table without a key, and made at the cutover', async () => {
    const source = await database('postgres18', 'CREATE TABLE rooms (room int4range, at tsrange, PRIMARY KEY (room, at WITHOUT OVERLAPS))', 'ALTER TABLE rooms REPLICA IDENTITY FULL', `INSERT INTO rooms VALUES ('[1,2)', '[2020-01-01,2020-01-02)')`), destination = await database('postgres18');
    using program = new Program(source.url, destination.url);
    const running = await program.live();
    await source.query(`UPDATE rooms SET at = '[2021-01-01,2021-01-02)'`);
    await source.query(`INSERT INTO rooms VALUES ('[5,6)', '[2020-01-01,2020-01-02)')`);
    const { by, stderr } = await program.cutover('--fence', '--timeout', '60s');
    expect(by, stderr).toBe(0);
    await running.ended;
    const rows = 'SELECT room::text, at::text FROM rooms ORDER BY 1';
    expect(await destination.query(rows)).toEqual(await source.query(rows));
    expect(await destination.query(`SELECT pg_get_constraintdef(oid) AS d FROM pg_constraint WHERE conrelid = 'rooms'::regclass AND contype = 'p'`)).toEqual([{ d: 'PRIMARY KEY (room, at WITHOUT OVERLAPS)' }]);
  });
});

describeWith(['postgres14', 'postgres18'], 'grants, postgres14 → postgres18', () => {
  test('are made where the role stands, and told with their statement where it does not', async () => {
    const lone = `dsync_test_${process.pid}`, source = await database('postgres14', `CREATE ROLE ${lone}`, 'CREATE TABLE t (id int PRIMARY KEY)', `GRANT SELECT ON t TO ${lone}`, 'GRANT INSERT ON t TO PUBLIC', 'INSERT INTO t VALUES (1)');
    onTestFinished(async () => { await source.query(`DROP OWNED BY ${lone}; DROP ROLE ${lone}`); });
    const destination = await database('postgres18'), outcome = await syncJson(source.url, destination.url);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    expect(untold(outcome)).toEqual([expect.objectContaining({ code: 'object-refused', remedy: `GRANT SELECT ON "public"."t" TO ${lone}` })]);
    expect(await destination.query(`SELECT relacl::text AS acl FROM pg_class WHERE relname = 't'`)).toEqual([{ acl: expect.stringContaining('=a/') as string }]);
  });
});
