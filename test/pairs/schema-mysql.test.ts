import { expect, onTestFinished, test } from 'vitest';
import { describeWith, freshDatabase, type FreshDatabase } from '../servers/index.js';
import { dsync, syncJson, type Outcome } from './command.js';
import { works } from './mysql-works.js';

type Server = 'mariadb' | 'mysql9';

async function database(name: Server, ...statements: readonly string[]): Promise<FreshDatabase> {
  const made = await freshDatabase(name);
  onTestFinished(() => made[Symbol.asyncDispose]());
  for (const statement of statements) await made.query(statement).catch((error: unknown) => { throw new Error(`${statement}: ${String(error)}`); });
  return made;
}

interface Finding { readonly level: string; readonly code: string; readonly message: string; readonly remedy?: string }
const told = ({ stdout }: Outcome) => (JSON.parse(stdout) as { findings: { finding: Finding }[] }).findings.map(({ finding }) => finding).filter(({ code }) => code.startsWith('object-'));

/** All that SHOW CREATE shows, without the name of the database. The character set of a literal is that of whoever wrote the statement. */
async function shown(end: FreshDatabase, { tables, triggers, views }: ReturnType<typeof works>): Promise<readonly string[]> {
  const all: string[] = [], show = async (kind: string, name: string) => (await end.query(`SHOW CREATE ${kind} \`${name}\``))[0]!;
  for (const table of tables) all.push((await show('TABLE', table))['Create Table']!);
  for (const trigger of triggers) {
    const { sql_mode, 'SQL Original Statement': statement } = await show('TRIGGER', trigger);
    all.push(`${sql_mode} ${trigger} ${statement!.replace(/^.*? TRIGGER (`[^`]+`\.)?[`"]?(an""other|an"other|first|second)[`"]? /is, '').replace(/ ON (`[^`]+`\.)?`?books`? /i, ' ON books ').replace(/ FOLLOWS first/, '')}`);
  }
  for (const view of views) all.push((await show('VIEW', view))['Create View']!);
  all.push(...(await end.query(`SELECT concat_ws(' ', trigger_name, event_manipulation, action_order, action_timing, sql_mode, event_object_table) AS t FROM information_schema.triggers WHERE trigger_schema = DATABASE() ORDER BY 1`)).map(({ t }) => t!));
  return all.map((text) => text.replaceAll(`\`${end.name}\`.`, '').replaceAll(/_utf8mb[34]\\?'/g, "'"));
}

for (const name of ['mariadb', 'mysql9'] as const) {
  describeWith(name, `${name} → ${name}, all that there is`, () => {
    test('keeps all that SHOW CREATE shows of tables, triggers and views, and names the rest', async () => {
      const all = works(name), source = await database(name, ...all.statements), destination = await database(name);
      const outcome = await syncJson(source.url, destination.url);
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      expect(told(outcome).filter(({ code }) => code === 'object-refused')).toEqual([]);
      expect(await shown(destination, all)).toEqual(await shown(source, all));
      expect(told(outcome).map(({ code, message }) => [code, message.split(/:| is made/)[0]])).toEqual([
        ...(name === 'mariadb' ? [['object-changed', `row history history of ${source.name}.history`]] : []),
        ['object-left-out', `event ${source.name}.ev is not made`], ['object-left-out', `procedure ${source.name}.p is not made`],
      ]);
      // No trigger has fired on what dsync wrote; they fire on what others write.
      expect(await destination.query('SELECT title FROM books WHERE id = 1')).toEqual(await source.query('SELECT title FROM books WHERE id = 1'));
      expect(await destination.query('SELECT count(*) AS n FROM audit')).toEqual([{ n: '2' }]);
      await destination.query(`INSERT INTO books VALUES (9, NULL, 'z')`);
      expect(await destination.query('SELECT n, what FROM audit WHERE n > 41')).toEqual([{ n: '42', what: `book; 9 'x'` }]);
      if (name === 'mariadb') expect(await destination.query('SELECT NEXT VALUE FOR numbers AS a, NEXT VALUE FOR alone AS b')).toEqual([{ a: '40', b: '9' }]);
      const verified = await dsync('verify', source.url, destination.url, '--exclude', '*.books', '--exclude', '*.audit');
      expect(verified, verified.stderr).toMatchObject({ status: 0 });
    });
  });
}
