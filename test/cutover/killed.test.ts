import { expect, it } from 'vitest';
import type { Sign } from '../crash/wires.js';
import { describeWith } from '../servers/index.js';
import type { Running } from './program.js';
import { Shop, type Sql } from './shop.js';

/* SIGKILL at each step of a cutover, to the byte: between what is saved and what is done, and between what is done and what is known of it. */

/** A word of dsync's own log, then what passes on the wires. */
type Step = Sign | { readonly says: RegExp };
interface Point { readonly name: string; readonly at: readonly Step[]; readonly isDone?: true }

const isPostgres = (name: Sql): boolean => name.startsWith('postgres');

function pointsOf(from: Sql, to: Sql): readonly Point[] {
  const raised = /cutover: a fence is raised/, source = (text: RegExp, more: Partial<Sign> = {}): Sign => ({ side: 'source', way: 'asked', text, ...more });
  const destination = (text: RegExp, more: Partial<Sign> = {}): Sign => ({ side: 'destination', way: 'asked', text, ...more });
  const trigger = isPostgres(from) ? /CREATE OR REPLACE TRIGGER/ : /CREATE TRIGGER/, each = isPostgres(from) ? 2 : 3;
  const committed = isPostgres(from) ? [source(/ENABLE ALWAYS/, { nth: 2 }), source(/COMMIT/, { unanswered: true })] : [source(trigger, { nth: 2 * each, unanswered: true })];
  const set = isPostgres(to) ? /SELECT setval/ : /AUTO_INCREMENT = \d/;
  return [
    { name: 'the fence is begun, and its first step made unseen', at: [{ says: raised }, source(isPostgres(from) ? /CREATE SCHEMA/ : trigger, { unanswered: true })] },
    { name: 'half of the fence stands, and its next trigger is made unseen', at: [{ says: raised }, source(trigger, { nth: each + 1, unanswered: true })] },
    { name: 'the whole fence stands, and nobody knows of its end', at: [{ says: raised }, ...committed] },
    { name: 'the log is drained', at: [{ says: /cutover: the rest of the log is applied/ }] },
    { name: 'both sides are compared', at: [{ says: /cutover: both sides are compared/ }, { side: 'destination', way: 'answered', nth: 500 }] },
    { name: 'a sequence is set, and nobody knows of it', at: [{ says: /cutover: sequences are set/ }, destination(set, { unanswered: true })] },
    { name: 'it is done, and indexes are made', at: [{ says: /cutover: sequences are set/ }, destination(/ADD UNIQUE|CREATE UNIQUE/)], isDone: true },
  ];
}

for (const [pair, [from, to]] of ([['postgres18', 'mariadb'], ['mariadb', 'postgres18'], ['mysql9', 'postgres18']] as const).entries()) {
  describeWith([from, to], `A cutover from ${from} to ${to}, killed when`, () => {
    for (const [i, { name, at, isDone = false }] of pointsOf(from, to).entries()) {
      const way = (pair + i) % 2 === 0 ? 'abort' : 'resume';
      it(isDone ? `${name}: stays done, and the old database stays closed` : `${name}: ${way === 'abort' ? '--abort' : 'resume'} opens the source again, and the next one loses no write`, async () => {
        await using shop = await Shop.open(from, to, { made: false, wired: true });
        await shop.source.query('CREATE UNIQUE INDEX one_n ON orders (n)');
        const before = await shop.settings(), running = await shop.program.live(), writer = await shop.writer();
        await writer.more(20);
        const cutover = shop.program.cutover('--fence', '--timeout', '60s');
        await killAt(shop, running, at);
        const { by } = await cutover;
        const first = await writer.stop();
        if (isDone) return await expectDone(shop, first.written);
        expect(by).toBe(7);
        await undone(shop, way);
        expect(await shop.settings()).toEqual(before);
        const second = await shop.writer(first.written + 1);
        await second.more(20);
        const last = await shop.program.cutover('--fence', '--timeout', '60s');
        expect(last.by, last.stderr).toBe(0);
        const { refused, written } = await second.stop();
        expect(refused).toMatch(/fenced off/);
        await expectDone(shop, first.written + written);
      });
    }
  });
}

async function killAt({ wires }: Shop, running: Running, at: readonly Step[]): Promise<void> {
  for (const [i, step] of at.entries()) {
    const reached = 'says' in step ? running.says(step.says) : wires!.stopAt(step);
    if (i > 0 && !('says' in at[i - 1]!)) wires!.release();
    await Promise.race([reached, running.ended.then(({ stderr }) => { throw new Error(`dsync ended before ${JSON.stringify(at.map(String))}:\n${stderr}`); })]);
  }
  running.kill('SIGKILL');
  expect((await running.ended).by).toBe('SIGKILL');
  wires!.release();
}

async function undone({ program }: Shop, way: 'abort' | 'resume'): Promise<void> {
  if (way === 'abort') {
    const { by, stderr } = await program.cutover('--abort');
    return void expect(by, stderr).toBe(0);
  }
  const resumed = program.run('resume', program.id);
  await resumed.says(/nothing left to apply/);
}

/** The new database has all, and the old one takes no write: there is one truth. */
async function expectDone(shop: Shop, written: number): Promise<void> {
  const { program } = shop;
  if (program.runs()[0]!.status !== 'done') {
    const { by, stderr } = await program.run('resume', program.id).ended;
    expect(by, stderr).toBe(0);
  }
  const contents = await shop.contents('source') as readonly unknown[][];
  expect(await shop.contents('destination')).toEqual(contents);
  expect(contents[1]!.length).toBeGreaterThanOrEqual(50 + written);
  await expect(shop.insert('source', 'orders', 'late')).rejects.toThrow(/fenced off/);
  await expect(shop.destination.query('INSERT INTO orders (id, n) VALUES (900001, 5), (900002, 5)')).rejects.toThrow(/duplicate/i);
  expect(Number(await shop.insert('destination', 'notes', 'new'))).toBe(51);
  expect(await shop.slots('source')).toEqual([]);
}
