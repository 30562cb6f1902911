import { expect, test } from 'vitest';
import { syncJson } from './command.js';
import { expectTables } from './compare.js';
import { openEnd, type EndName } from './ends/index.js';
import { fixtures } from './fixtures.js';
import { describePair } from './skip.js';

/** One way into and out of every engine: the part of the pairs that runs on every version of Node. */
const ways: readonly (readonly [EndName, EndName])[] = [['postgres18', 'mariadb'], ['mysql9', 'postgres14'], ['sqlite', 'mongodb'], ['postgres18', 'sqlite']];

for (const [from, to] of ways) {
  describePair([from, to], `${from} → ${to}`, () => {
    test('moves every cell of every table', async () => {
      await using source = await openEnd[from]();
      await using destination = await openEnd[to]();
      const tables = await source.make(fixtures);
      const outcome = await syncJson(source.url, destination.url);
      expect.soft(outcome, outcome.stderr).toMatchObject({ status: 0 });
      await expectTables(destination, tables);
    });
  });
}
