import { expect, it } from 'vitest';
import { openEnd } from '../pairs/ends/index.js';
import { describePair } from '../pairs/skip.js';
import { Command } from './command.js';
import { unacknowledged } from './points.js';
import { Wires } from './wires.js';

for (const [from, to] of [['postgres18', 'mysql9'], ['mariadb', 'postgres18']] as const) {
  describePair([from, to], `views of ${from} as tables of ${to}`, () => {
    it('hold what the views show, once, though the copy was killed and the source changed', async () => {
      await using source = await openEnd[from]();
      await using destination = await openEnd[to]();
      await using wires = await Wires.between(source.url, destination.url);
      using command = new Command(wires, ['--batch-size', '100 rows', '--concurrency', '1', '--views', 'as-tables', '--exclude', '*items']);
      const numbers = 'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, i * 2 FROM n';
      await source.execute('CREATE TABLE items (id integer NOT NULL PRIMARY KEY, v integer)', `INSERT INTO items ${numbers}`, 'CREATE VIEW twice AS SELECT v FROM items UNION ALL SELECT v FROM items');
      const running = command.sync(), point = unacknowledged(to, 4);
      for (const [i, sign] of point.entries()) {
        if (i > 0) wires.release();
        if (!('says' in sign)) await wires.stopAt(sign);
      }
      running.kill('SIGKILL');
      await running.ended;
      wires.release();
      await source.execute('UPDATE items SET v = -1 WHERE id = 1');
      const resumed = await command.resume().ended;
      expect([resumed.by, resumed.report.verification?.map(({ result, sourceRows }) => [result, sourceRows])], resumed.stderr).toEqual([0, [['equal', 1800]]]);
      const values = (await destination.read('twice', [{ name: 'v', kind: 'int', types: {} }])).map(([v]) => v);
      expect([values.length, values.filter((v) => v === '-1').length]).toEqual([1800, 2]);
    });
  });
}
