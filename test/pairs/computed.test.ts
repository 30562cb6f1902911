import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { describeWith, freshDatabase } from '../servers/index.js';
import { dsync, syncJson } from './command.js';

/* Generated columns across engines: computed again where that means the same, else kept as they are and named. */

const folder = mkdtempSync(join(tmpdir(), 'dsync-test-computed-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

type Server = 'postgres18' | 'mariadb' | 'sqlite';
interface End { readonly url: string; run(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> }

async function open(server: Server): Promise<End> {
  if (server === 'sqlite') {
    const path = join(folder, `${files++}.db`), database = new Database(path);
    onTestFinished(() => void database.close());
    return { url: `sqlite:${path}`, run: async (sql) => { const found = database.prepare(sql); return found.reader ? found.all() as Record<string, unknown>[] : (found.run(), []); } };
  }
  const made = await freshDatabase(server);
  onTestFinished(() => made[Symbol.asyncDispose]());
  return { url: made.url, run: (sql) => made.query(sql) };
}

/** `large`: what it is computed by is more than its type holds. */
const table = (server: Server) => `CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (a * 2 + id) STORED, a int NOT NULL, price decimal(10,2), n int, total decimal(20,4) GENERATED ALWAYS AS (price * n - 0.5) ${server === 'postgres18' ? 'STORED' : 'VIRTUAL'},
  half int GENERATED ALWAYS AS (a - 7) VIRTUAL, words varchar(40), loud varchar(40) GENERATED ALWAYS AS (upper(words)) STORED${server === 'postgres18' ? '' : ', large int GENERATED ALWAYS AS (a * 5000 - a * 4999) STORED'})`;
const text = (value: unknown) => (value === null ? null : String(value));

for (const [from, to, computed] of [
  ['postgres18', 'mariadb', ['twice', 'total', 'half']], ['mariadb', 'postgres18', ['twice', 'total', 'half']], ['postgres18', 'sqlite', ['twice', 'half']], ['mariadb', 'sqlite', ['twice', 'half']], ['sqlite', 'postgres18', ['twice', 'half']], ['sqlite', 'mariadb', ['twice', 'half']],
] as const) {
  describeWith([from, to].filter((server): server is 'postgres18' | 'mariadb' => server !== 'sqlite'), `generated columns, ${from} → ${to}`, () => {
    test('are computed again where that means the same; the others are kept and named', async () => {
      const source = await open(from), destination = await open(to);
      for (const sql of [table(from), 'CREATE INDEX by_twice ON t (twice DESC)', `INSERT INTO t (id, a, price, n, words) VALUES (1, 1000000, 19.99, 3, 'abc'), (2, -5, NULL, 2, 'ä'), (3, 7, 0.01, 7, NULL)`]) await source.run(sql);
      const outcome = await syncJson(source.url, destination.url);
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      const left = (JSON.parse(outcome.stdout) as { findings: { finding: { code: string; message: string } }[] }).findings.map(({ finding }) => finding).filter(({ code, message }) => code === 'object-left-out' && message.startsWith('generated column'));
      expect(left.map(({ message }) => message.split(' ')[2]).sort()).toEqual(['half', 'loud', 'total', 'twice'].filter((name) => !(computed as readonly string[]).includes(name)));
      const read = async (end: End, name: string) => (await end.run(`SELECT ${name} AS v FROM t WHERE id < 9 ORDER BY id`)).map(({ v }) => text(v));
      for (const name of ['id', 'a', 'twice', 'half', 'n', 'words', 'loud', ...(from === 'postgres18' ? [] : ['large'])]) expect(await read(destination, name), name).toEqual(await read(source, name));
      await destination.run(`INSERT INTO t (id, a, price, n) VALUES (9, 10, 2.5, 2)`);
      expect(await destination.run(`SELECT twice, half FROM t WHERE id = 9`)).toEqual([{ twice: to === 'sqlite' ? 29 : '29', half: to === 'sqlite' ? 3 : '3' }]);
      if ((computed as readonly string[]).includes('total')) expect(await destination.run('SELECT total FROM t WHERE id = 9')).toEqual([{ total: '4.5000' }]);
      await destination.run('DELETE FROM t WHERE id = 9');
      const verified = await dsync('verify', source.url, destination.url);
      expect(verified, verified.stdout + verified.stderr).toMatchObject({ status: 0 });
    });
  });
}
