import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { describeWith, freshDatabase } from '../servers/index.js';
import { Program } from './program.js';

/* What fires in the source has fired there: in the destination it stands from the cutover on. */

const postgres = [
  'CREATE TABLE audit (n serial PRIMARY KEY, what text)', 'CREATE TABLE t (id int PRIMARY KEY, v text, span int4range, EXCLUDE USING gist (span WITH &&))',
  `CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.audit (what) VALUES (NEW.v); RETURN NEW; END$$`,
  'CREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION noted()', 'ALTER TABLE t ENABLE ALWAYS TRIGGER note', 'CREATE RULE silent AS ON DELETE TO audit DO INSTEAD NOTHING', 'ALTER TABLE audit ENABLE ALWAYS RULE silent',
  `INSERT INTO t VALUES (1, 'first', '[1,2)')`,
];
const mariadb = [
  'CREATE TABLE audit (n int AUTO_INCREMENT PRIMARY KEY, what text)', 'CREATE TABLE t (id int PRIMARY KEY, v text)', 'CREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW INSERT INTO audit (what) VALUES (NEW.v)', `INSERT INTO t VALUES (1, 'first')`,
];

for (const [server, statements, marks] of [['postgres18', postgres, ['exclusion constraint', 'trigger note', 'rule silent']], ['mariadb', mariadb, ['trigger note']]] as const) {
  describeWith(server, `What fires, ${server} → ${server}`, () => {
    it('waits in a live run until it is cut over, and fires from then on', async () => {
      await using source = await freshDatabase(server);
      await using destination = await freshDatabase(server);
      for (const sql of statements) await source.query(sql);
      using program = new Program(source.url, destination.url);
      const running = await program.live();
      await source.query(server === 'mariadb' ? `INSERT INTO t VALUES (2, 'second')` : `INSERT INTO t VALUES (2, 'second', '[3,4)')`);
      const written = async () => (await destination.query('SELECT what FROM audit ORDER BY n')).map(({ what }) => what);
      while ((await written()).length < 2) await delay(50);
      expect(await written()).toEqual(['first', 'second']);
      const { by, stderr } = await program.cutover('--fence', '--timeout', '60s');
      expect(by, stderr).toBe(0);
      const { stderr: said } = await running.ended;
      for (const mark of marks) expect(said).toMatch(new RegExp(`${mark}.* waits until nothing is followed any more`));
      await destination.query(server === 'mariadb' ? `INSERT INTO t VALUES (3, 'third')` : `INSERT INTO t VALUES (3, 'third', '[5,6)')`);
      expect(await written()).toEqual(['first', 'second', 'third']);
      // The fence that stands in the source is none of its objects.
      await using later = await freshDatabase(server);
      using anew = new Program(source.url, later.url);
      const { by: end, stdout } = await anew.run('sync', source.url, later.url).ended;
      expect(end).toBe(0);
      expect(stdout).not.toMatch(/_dsync_\w+ (of|to)/);
      await later.query(server === 'mariadb' ? `INSERT INTO t VALUES (4, 'fourth')` : `INSERT INTO t VALUES (4, 'fourth', '[7,8)')`);
    });
  });
}
