import { expect, it } from 'vitest';
import { describeWith } from '../servers/index.js';
import { Shop, type Sql } from './shop.js';

/* The tables were copied by other means: dsync only applies what came after. */

/** Copies by plain queries while nobody writes, and says where the source's log was. */
async function copied(shop: Shop): Promise<string> {
  const position = await logAt(shop);
  for (const [table, column] of [['notes', 'body'], ['orders', 'note']] as const) {
    const rows = await shop.source.query(`SELECT id, ${column} AS text FROM ${table}`);
    await shop.destination.query(`INSERT INTO ${table} (id, ${column}) VALUES ${rows.map(({ id, text }) => `(${id}, '${text}')`).join(', ')}`);
  }
  return position;
}

async function logAt(shop: Shop): Promise<string> {
  if (shop.from === 'postgres18') {
    await shop.source.query('CREATE PUBLICATION moving FOR TABLE notes, orders');
    const [row] = await shop.source.query("SELECT lsn AS at FROM pg_create_logical_replication_slot('moving_' || current_database(), 'pgoutput')");
    return row!.at!;
  }
  const [row] = await shop.source.query(shop.from === 'mariadb' ? 'SELECT @@global.gtid_binlog_pos AS at' : 'SELECT @@global.gtid_executed AS at');
  return row!.at!.replace(/\s/g, '');
}

for (const from of ['postgres18', 'mariadb', 'mysql9'] as const satisfies readonly Sql[]) {
  describeWith([from, 'postgres18'], `--mode changes from ${from}`, () => {
    it('applies what came after the position, through a kill, and a cutover compares it all', async () => {
      await using shop = await Shop.open(from, 'postgres18');
      const position = await copied(shop);
      await shop.insert('source', 'orders', 'before it began');
      const first = shop.program.run('sync', shop.source.url, shop.destination.url, '--mode', 'changes', '--from', position);
      await first.says(/nothing that was written before .* is copied or compared/);
      await first.says(/applied \d+ changes?/);
      first.kill('SIGKILL');
      await first.ended;
      await shop.source.query("UPDATE notes SET body = 'while it was dead' WHERE id = 3");
      const { by, stderr, report } = await shop.program.cutover('--fence', '--timeout', '60s');
      expect(by, stderr).toBe(0);
      expect(report.tables.map(({ result }) => result)).toEqual(['equal', 'equal']);
      expect(await shop.contents('destination')).toEqual(await shop.contents('source'));
    });

    it('is refused where the position is none, is still to come, or a table is not there', async () => {
      await using shop = await Shop.open(from, 'postgres18');
      const position = await copied(shop), changes = (...more: readonly string[]) => shop.program.run('sync', shop.source.url, shop.destination.url, '--mode', 'changes', ...more).ended;
      expect((await changes()).by).toBe(2);
      expect((await changes('--from', 'yesterday')).by).toBe(2);
      const future = from === 'postgres18' ? 'FFFF/0' : position.replace(/\d+$/, '99999999');
      expect(await changes('--from', future)).toMatchObject({ by: 2, stderr: expect.stringMatching(/has not come to/) });
      await shop.destination.query('DROP TABLE notes');
      expect(await changes('--from', position)).toMatchObject({ by: 5, stderr: expect.stringMatching(/has no public\.notes/) });
    });
  });
}

describeWith('postgres18', '--mode changes without a slot that reaches back', () => {
  it('is refused with 5, and the way to do it', async () => {
    await using shop = await Shop.open('postgres18', 'postgres18');
    const [row] = await shop.source.query('SELECT pg_current_wal_lsn() AS at');
    await shop.source.query('CREATE PUBLICATION moving FOR TABLE notes, orders');
    const { by, stderr } = await shop.program.run('sync', shop.source.url, shop.destination.url, '--mode', 'changes', '--from', row!.at!).ended;
    expect([by, stderr]).toEqual([5, expect.stringMatching(/pg_create_logical_replication_slot/)]);
  });
});
