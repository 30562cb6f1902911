import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { Program, type Running } from '../cutover/program.js';
import { describeWith, freshDatabase, type FreshDatabase } from '../servers/index.js';

/* A live run with casts, masks, left-out columns and bad values: killed, resumed, and compared by a cutover. */

const key = 'the key of these tests';
beforeAll(() => { process.env.DSYNC_MASK_KEY = key; });

type Sql = 'postgres18' | 'mariadb';
const isPostgres = (name: Sql) => name === 'postgres18';
const hashOf = (text: string) => createHmac('sha256', key).update(text).digest('hex');

/** `large` is kept out of line by PostgreSQL, and masked where it is called `veiled`: the log does not repeat either. */
const made = (name: Sql) => [
  `CREATE TABLE people (id ${isPostgres(name) ? 'int' : 'int NOT NULL'} PRIMARY KEY, email varchar(80), age varchar(20), secret varchar(80), large ${isPostgres(name) ? 'text' : 'longtext'}, veiled ${isPostgres(name) ? 'text' : 'longtext'})`,
  'CREATE TABLE mails (email varchar(80) PRIMARY KEY, v int)',
  ...(isPostgres(name) ? ['ALTER TABLE people ALTER large SET STORAGE EXTERNAL, ALTER veiled SET STORAGE EXTERNAL'] : []),
];
const large = (n: number) => `repeat('${n}', 9000)`;
const person = (id: number, age = `${id}`) => `INSERT INTO people VALUES (${id}, 'mail ${id}', '${age}', 'secret ${id}', ${large(id % 10)}, ${large(id % 10)})`;
const mail = (n: number, v: number) => `INSERT INTO mails VALUES ('mail ${n}', ${v})`;
const rules = ['--mask', 'people.email=hash', '--mask', 'people.veiled=redact', '--mask', 'mails.email=hash', '--columns', 'people=-secret', '--cast', 'people.age=int', '--cast', 'mails.v=varchar(20)'];

for (const [from, to] of [['postgres18', 'mariadb'], ['mariadb', 'postgres18']] as const) {
  describeWith([from, to], `a live run with rules from ${from} to ${to}`, () => {
    // What PostgreSQL keeps out of line is not repeated: a row that is mended can't come from the log alone.
    const mended = !isPostgres(from);

    it('obeys them in every change, through a kill, and ends equal', async () => {
      await using scene = await Scene.open(from, to);
      const { source, destination, program } = scene;
      for (const sql of [person(1), person(2), person(3, 'three'), person(4), mail(1, 1), mail(2, 2)]) await source.query(sql);
      const first = await program.live(...rules);
      const changes = [
        person(5), 'UPDATE people SET email = \'new\' WHERE id = 1', 'UPDATE people SET id = 20 WHERE id = 2', 'DELETE FROM people WHERE id = 4',
        // A value that turns bad, one that comes bad, one that is mended.
        "UPDATE people SET age = 'old' WHERE id = 5", person(6, 'six'), person(7, 'seven'), "UPDATE people SET age = '33' WHERE id = 3", "UPDATE people SET age = '77' WHERE id = 7",
        mail(3, 3), "UPDATE mails SET email = 'moved' WHERE email = 'mail 1'", "UPDATE mails SET v = 22 WHERE email = 'mail 2'",
      ];
      for (const sql of changes) await source.query(sql);
      await scene.becomes("SELECT v FROM mails WHERE v = '22'");
      first.kill('SIGKILL');
      await first.ended;
      for (const sql of [person(8), "UPDATE people SET email = 'while it was dead' WHERE id = 20", 'DELETE FROM mails WHERE v = 3', "UPDATE people SET id = 30 WHERE id = 1"]) await source.query(sql);
      const second = await scene.resume();
      await source.query("UPDATE people SET email = 'last' WHERE id = 8");
      await scene.becomes(`SELECT id FROM people WHERE email = '${hashOf('last')}'`);
      const { by, stderr, report } = await program.cutover();
      expect(by, stderr).toBe(6);
      expect(report.tables.map(({ namespace, result, rejected }) => [namespace.split('.')[1], result, rejected])).toEqual([['mails', 'equal', 0], ['people', 'equal', mended ? 2 : 4]]);
      await second.ended;
      const people = await destination.query('SELECT id, email, age, large, veiled FROM people ORDER BY id');
      expect(people).toEqual(([...(mended ? [[3, 'mail 3', 33, 3], [7, 'mail 7', 77, 7]] as const : []), [8, 'last', 8, 8], [20, 'while it was dead', 2, 2], [30, 'new', 1, 1]] as const)
        .map(([id, email, age, digit]) => ({ id: `${id}`, email: hashOf(email), age: `${age}`, large: `${digit}`.repeat(9000), veiled: '***' })));
      expect(await destination.query('SELECT email, v FROM mails ORDER BY v')).toEqual([{ email: hashOf('moved'), v: '1' }, { email: hashOf('mail 2'), v: '22' }]);
    });

    it('ends where a value is bad and fail is asked for, however often it is resumed, and takes no other key', async () => {
      await using scene = await Scene.open(from, to);
      const { source, destination, program } = scene;
      const first = await program.live('--cast', 'people.age=int', '--on-bad-value', 'people.age=fail', '--mask', 'mails.email=hash');
      await source.query(person(1));
      await source.query(person(2, 'two'));
      const { by, stderr } = await first.ended;
      expect([by, stderr]).toEqual([1, expect.stringMatching(/people, row id=2: age: 'two' is not a whole number/)]);
      expect((await program.run('resume', '--mask-key', 'another').ended).stderr).toMatch(/not the key that run .* began with/);
      const again = await program.run('resume').ended;
      expect(again.stderr).toMatch(/row id=2: age/);
      expect(await destination.query('SELECT id FROM people WHERE id = 2')).toEqual([]);
    });
  });
}

describeWith(['postgres18', 'mariadb'], 'a live run with rules whose source is altered', () => {
  it('passes over what becomes of columns that are left out, and keeps the rules of the others', async () => {
    await using scene = await Scene.open('postgres18', 'mariadb');
    const { source, program } = scene;
    await source.query(person(1));
    const running = await program.live(...rules, '--on-ddl', 'apply');
    await source.query('ALTER TABLE people ALTER secret TYPE text, ADD more int');
    await source.query("INSERT INTO people VALUES (2, 'mail 2', '2', 'secret 2', 'l', 'v', 5)");
    await source.query('ALTER TABLE people DROP secret');
    await source.query("INSERT INTO people VALUES (3, 'mail 3', '3', 'l', 'v', 6)");
    await scene.becomes(`SELECT id FROM people WHERE email = '${hashOf('mail 3')}' AND veiled = '***'`);
    const { by, stderr, report } = await program.cutover();
    expect(by, stderr).toBe(0);
    expect(report.tables.map(({ result }) => result)).toEqual(['equal', 'equal']);
    await running.ended;
    expect(await scene.destination.query('SELECT id, email, age, veiled, more FROM people ORDER BY id')).toEqual([
      { id: '1', email: hashOf('mail 1'), age: '1', veiled: '***', more: null }, { id: '2', email: hashOf('mail 2'), age: '2', veiled: '***', more: '5' }, { id: '3', email: hashOf('mail 3'), age: '3', veiled: '***', more: '6' },
    ]);
  });

  it('brings what was mended by a resync, and rejects anew what was not', async () => {
    await using scene = await Scene.open('postgres18', 'mariadb');
    const { source, destination, program } = scene;
    for (const sql of [person(1), person(2, 'two'), person(3, 'three')]) await source.query(sql);
    const running = await program.live(...rules);
    // The log does not repeat the large values: the row can't come by it alone.
    await source.query("UPDATE people SET age = '2' WHERE id = 2");
    expect(await program.run('tables', program.id, 'resync', 'public.people').ended).toMatchObject({ by: 0 });
    await scene.becomes('SELECT id FROM people WHERE id = 2 AND age = 2');
    const { by, stderr, report } = await program.cutover();
    expect(by, stderr).toBe(6);
    expect(report.tables.map(({ result, rejected }) => [result, rejected])).toEqual([['equal', 0], ['equal', 1]]);
    const { stdout } = await running.ended, { path } = (JSON.parse(stdout) as { rejected: { path: string } }).rejected;
    expect(readFileSync(path, 'utf8').trim().split('\n').map((line) => (JSON.parse(line) as { key: string; reason: string }))).toMatchObject([{ key: 'id=3', reason: "age: 'three' is not a whole number" }]);
    expect(await destination.query('SELECT count(*) AS n FROM people')).toEqual([{ n: '2' }]);
  });

  it('has no way back where something is masked', async () => {
    await using scene = await Scene.open('postgres18', 'mariadb');
    await scene.program.live(...rules);
    const { by, stderr } = await scene.program.cutover('--reverse');
    expect([by, stderr]).toEqual([5, expect.stringMatching(/mails is masked/)]);
  });
});

class Scene implements AsyncDisposable {
  readonly source: FreshDatabase;
  readonly destination: FreshDatabase;
  readonly program: Program;

  private constructor(source: FreshDatabase, destination: FreshDatabase) {
    [this.source, this.destination, this.program] = [source, destination, new Program(source.url, destination.url)];
  }

  static async open(from: Sql, to: Sql): Promise<Scene> {
    const scene = new Scene(await freshDatabase(from), await freshDatabase(to));
    for (const sql of made(from)) await scene.source.query(sql);
    return scene;
  }

  async resume(): Promise<Running> {
    const running = this.program.run('resume');
    await running.says(/\bfollow\b/);
    return running;
  }

  /** Waits until the destination has a row of this query. */
  async becomes(sql: string): Promise<void> {
    while ((await this.destination.query(sql)).length === 0) await delay(50);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.program[Symbol.dispose]();
    if (this.source.url.startsWith('postgres')) {
      const slots = 'pg_replication_slots WHERE database = current_database()';
      await this.source.query(`SELECT pg_terminate_backend(active_pid) FROM ${slots} AND active`);
      while ((await this.source.query(`SELECT 1 FROM ${slots} AND active`)).length > 0) await delay(50);
      await this.source.query(`SELECT pg_drop_replication_slot(slot_name) FROM ${slots}`);
    }
    await this.source[Symbol.asyncDispose]();
    await this.destination[Symbol.asyncDispose]();
  }
}
