import { expect, test } from 'vitest';
import { expectTables } from './compare.js';
import { syncJson } from './command.js';
import { endNames, openEnd, sqlNames, type EndName } from './ends/index.js';
import { fixtures, negativeZero, nulTexts } from './fixtures.js';
import { describePair } from './skip.js';
import type { FixtureTable } from './table.js';

/** All that each of the ends can hold. */
function fixturesFor(...ends: readonly EndName[]): readonly FixtureTable[] {
  return [
    ...fixtures,
    ...(ends.some((name) => name.startsWith('postgres')) ? [] : [nulTexts]),
    ...(ends.includes('mariadb') ? [] : [negativeZero]),
  ];
}

for (const from of sqlNames) {
  describePair([from], `${from}`, () => {
    test('holds the fixtures as they were written', async () => {
      await using end = await openEnd[from]();
      await expectTables(end, await end.make(fixturesFor(from)));
    });
  });
  for (const to of endNames) {
    describePair([from, to], `${from} → ${to}`, () => {
      test('moves every cell of every table', async () => {
        await using source = await openEnd[from]();
        await using destination = await openEnd[to]();
        const tables = await source.make(fixturesFor(from, to));
        const outcome = await syncJson(source.url, destination.url);
        expect.soft(outcome, outcome.stderr).toMatchObject({ status: 0 });
        await expectTables(destination, tables);
        await expectTables(source, tables);
      });
    });
  }
}
