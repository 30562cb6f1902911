import { expect, test } from 'vitest';
import { expectTables } from './compare.js';
import { syncJson } from './command.js';
import { endNames, openEnd, sqlNames, type EndName } from './ends/index.js';
import { fixtures, nulTexts } from './fixtures.js';
import { describePair } from './skip.js';

const isPostgres = (name: EndName): boolean => name.startsWith('postgres');

for (const from of sqlNames) {
  describePair([from], `${from}`, () => {
    test('holds the fixtures as they were written', async () => {
      await using end = await openEnd[from]();
      await expectTables(end, await end.make([...fixtures, ...(isPostgres(from) ? [] : [nulTexts])]));
    });
  });
  for (const to of endNames) {
    describePair([from, to], `${from} → ${to}`, () => {
      test('moves every cell of every table', async () => {
        await using source = await openEnd[from]();
        await using destination = await openEnd[to]();
        const tables = await source.make([...fixtures, ...(isPostgres(from) || isPostgres(to) ? [] : [nulTexts])]);
        const outcome = await syncJson(source.url, destination.url);
        expect.soft(outcome, outcome.stderr).toMatchObject({ status: 0 });
        await expectTables(destination, tables);
        await expectTables(source, tables);
      });
    });
  }
}
