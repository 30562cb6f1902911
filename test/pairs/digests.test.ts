import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { NamespaceVerification, VerifyWith } from '../../src/contract.js';
import type { RunConfig } from '../../src/coordinator/config.js';
import { verifyOnly } from '../../src/coordinator/verify.js';
import { openStore } from '../../src/state/store.js';
import { dsync, syncJson } from './command.js';
import { openEnd, type End, type EndName } from './ends/index.js';
import { fixtures, negativeZero, nulTexts } from './fixtures.js';
import { relayFrom, type Relay } from './relay.js';
import { describePair } from './skip.js';
import { tableFor, type Family, type FixtureColumn, type FixtureTable } from './table.js';

const folder = mkdtempSync(join(tmpdir(), 'dsync-digests-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let made = 0;

async function verified(source: string, destination: string, verifyWith: VerifyWith): Promise<readonly NamespaceVerification[]> {
  await using store = openStore(join(folder, `state${made++}`));
  const config: RunConfig = { source, destination, namespaces: [], exclude: [], where: {}, existing: 'refuse', acceptLoss: [], concurrency: 1, memoryBytes: 1 << 26, verify: true, verifyWith, live: false };
  const report = await verifyOnly(config, { store, emit: () => {}, signal: new AbortController().signal, newRunId: () => 'r', flow: 'f', storedConfig: {} });
  return report.verification!;
}

interface Pair extends AsyncDisposable { readonly source: End; readonly destination: End; readonly tables: readonly FixtureTable[] }

async function copied(from: EndName, to: EndName, tables: readonly FixtureTable[]): Promise<Pair> {
  const source = await openEnd[from](), destination = await openEnd[to]();
  const own = await source.make(tables);
  const outcome = await syncJson(source.url, destination.url, '--no-verify');
  expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
  return { source, destination, tables: own, [Symbol.asyncDispose]: async () => { await source[Symbol.asyncDispose](); await destination[Symbol.asyncDispose](); } };
}

/** Tables with a column that the two servers may spell in two ways. */
function unspelled(from: EndName, to: EndName): readonly string[] {
  // PostgreSQL and MySQL each print their JSON values anew.
  return (from === 'postgres18' && to === 'mysql9') || (from === 'mysql9' && to === 'postgres18') ? ['things'] : [];
}

const column = (name: string, kind: FixtureColumn['kind'], postgres: string, mysql = postgres): FixtureColumn => ({ name, kind, types: { postgres, mysql, mariadb: mysql } });

const items: FixtureTable = {
  name: 'items',
  key: ['id'],
  columns: [
    column('id', 'int', 'integer'), column('a', 'text', 'varchar(40)'), column('b', 'text', 'varchar(40)'), column('long', 'text', 'text', 'longtext'), column('fixed', 'padded', 'char(8)'), column('n', 'decimal', 'numeric(12,3)', 'decimal(12,3)'),
    column('big', 'int', 'bigint'), column('at', 'timestamp', 'timestamp(6)', 'datetime(6)'), column('moment', 'instant', 'timestamptz', 'timestamp(6) NULL'), column('day', 'date', 'date'), column('clock', 'time', 'time(6)'),
    column('raw', 'bytes', 'bytea', 'longblob'), column('f', 'float64', 'double precision', 'double'), column('s', 'float32', 'real', 'float'),
  ],
  rows: Array.from({ length: 60 }, (_, i) => [
    String(i), `a ${i}`, i === 7 ? null : i === 8 ? '' : `b ${i}`, `long ${i} é 😀`, 'ab', `${i}.500`, String(2n ** 53n + BigInt(i)), '2026-01-02 03:04:05.600000', '2026-01-02 03:04:05.000007', '2026-01-02', '03:04:05.100000', Buffer.from([0, i]), String(i / 7), String(Math.fround(i / 2)),
  ]),
};
const twins: FixtureTable = { name: 'twins', key: [], columns: [column('a', 'text', 'varchar(40)'), column('n', 'int', 'integer')], rows: [['x', '1'], ['x', '1'], ['x', '1'], ['x', '1'], ['y', '2'], [null, '3'], ['', '3']] };

const set = (id: number, change: string): string => `UPDATE items SET ${change} WHERE id = ${id}`;
const bytesLiteral = (family: Family, hex: string): string => (family === 'postgres' ? `'\\x${hex}'` : `x'${hex}'`);

/** What is done to a copy, and what takes it back. */
function spoils(family: Family): readonly (readonly [string, readonly string[], readonly string[]])[] {
  const cells: readonly (readonly [string, string, string])[] = [
    ['a', "'a 5x'", "'a 5'"], ['a', "'a 6'", "'a 5'"], ['a', "'a 5 '", "'a 5'"], ['b', 'NULL', "'b 5'"], ['b', "''", "'b 5'"], ['"long"', "'long 5 é 😁'", "'long 5 é 😀'"], ['fixed', "' ab'", "'ab'"], ['n', '5.501', '5.5'], ['n', '-5.5', '5.5'],
    ['big', '9007199254740996', '9007199254740997'], ['at', "'2026-01-02 03:04:05.600001'", "'2026-01-02 03:04:05.6'"], ['moment', "'2026-01-02 03:04:05.07'", "'2026-01-02 03:04:05.000007'"], ['day', "'2026-01-03'", "'2026-01-02'"], ['clock', "'03:04:05.01'", "'03:04:05.1'"],
    ['raw', bytesLiteral(family, '0006'), bytesLiteral(family, '0005')], ['raw', bytesLiteral(family, ''), bytesLiteral(family, '0005')], ['f', '0.7142857142857144', '0.7142857142857143'], ['s', '2.5000002', '2.5'],
  ];
  return [
    ...cells.map(([name, to, back]) => [`${name} is ${to}`, [set(5, `${quoted(family, name)} = ${to}`)], [set(5, `${quoted(family, name)} = ${back}`)]] as const),
    ['null is empty', [set(7, "b = ''")], [set(7, 'b = NULL')]], ['empty is null', [set(8, 'b = NULL')], [set(8, "b = ''")]],
    ['two columns are exchanged', [set(9, "a = 'b 9', b = 'a 9'")], [set(9, "a = 'a 9', b = 'b 9'")]],
    ['a letter moved to the next column', [set(9, "a = 'a ', b = '9b 9'")], [set(9, "a = 'a 9', b = 'b 9'")]],
    ['another row', [set(13, "raw = NULL, f = 2")], [set(13, `raw = ${bytesLiteral(family, '000d')}, f = 1.8571428571428572`)]],
    ['two rows exchanged a cell', [set(10, "a = 'a 11'"), set(11, "a = 'a 10'")], [set(10, "a = 'a 10'"), set(11, "a = 'a 11'")]],
    ['a row is missing', ['DELETE FROM items WHERE id = 12'], [insert(family, 12)]],
    ['a row is too many', [insert(family, 12, '1012')], ['DELETE FROM items WHERE id = 1012']],
    ['a row has another key', [set(12, 'id = 1012')], [set(1012, 'id = 12')]],
    ['two of four equal rows are lost', ["DELETE FROM twins WHERE a = 'x'", "INSERT INTO twins VALUES ('x', 1), ('x', 1)"], ["INSERT INTO twins VALUES ('x', 1), ('x', 1)"]],
    ['a row without a key is another', ["UPDATE twins SET n = 3 WHERE a = 'y'"], ["UPDATE twins SET n = 2 WHERE a = 'y'"]],
    ['null is empty in a table without a key', ["UPDATE twins SET a = '' WHERE n = 3"], ["DELETE FROM twins WHERE n = 3", "INSERT INTO twins VALUES (NULL, 3), ('', 3)"]],
  ];
}

/** Spoils that don't meet in a row. */
const together: readonly string[] = ["a is 'a 6'", 'null is empty', 'empty is null', 'two columns are exchanged', 'two rows exchanged a cell', 'a row is missing', 'two of four equal rows are lost', 'another row'];

/** What is told of each table, apart from how that was found. */
function told(results: readonly NamespaceVerification[]) {
  return results.map(({ compared: _, sourceDigest: __, destinationDigest: ___, seconds: ____, ...rest }) => rest).sort((a, b) => (a.namespace < b.namespace ? -1 : 1));
}

function quoted(family: Family, name: string): string {
  return family === 'postgres' ? name : name.replaceAll('"', '`');
}

function insert(family: Family, row: number, id = String(row)): string {
  const cells = items.rows[row].map((cell, i) => (i === 0 ? id : cell === null ? 'NULL' : typeof cell === 'string' ? `'${cell}'` : bytesLiteral(family, cell.toString('hex'))));
  return `INSERT INTO items VALUES (${cells.join(', ')})`;
}

const families: Partial<Record<EndName, Family>> = { postgres18: 'postgres', mariadb: 'mariadb', mysql9: 'mysql' };
const names = Object.keys(families) as EndName[];

for (const from of names) {
  for (const to of names) {
    describePair([from, to], `${from} → ${to}, compared by digests of the servers`, () => {
      test('a copy of every table is equal, and none of its rows is read', async () => {
        const more = [...(from === 'postgres18' || to === 'postgres18' ? [] : [nulTexts]), ...(from === 'mariadb' || to === 'mariadb' ? [] : [negativeZero])];
        await using pair = await copied(from, to, [...fixtures, ...more]);
        const found = await verified(pair.source.url, pair.destination.url, 'digests');
        expect(found.map(({ result }) => result)).toEqual(pair.tables.map(() => 'equal'));
        const byRows = found.filter(({ compared }) => compared!.by === 'rows' || compared!.read > 0);
        expect(byRows.map(({ namespace, compared }) => ({ name: namespace.slice(pair.source.prefix.length), compared }))).toEqual(unspelled(from, to).map((name) => ({ name, compared: expect.objectContaining({ by: 'rows' }) })));
      });

      test('whatever is spoilt is found, with the keys and columns that a comparison of all rows finds', async () => {
        await using pair = await copied(from, to, [items, twins]);
        const byDigests = () => verified(pair.source.url, pair.destination.url, 'digests'), all = spoils(families[to]!);
        for (const [what, spoil, mend] of all) {
          await pair.destination.execute(...spoil);
          const found = await byDigests(), [differing, ...others] = found.filter(({ result }) => result === 'different');
          expect(differing?.differences.length, what).toBeGreaterThan(0);
          expect([others, found.map(({ compared }) => compared!.by)], what).toEqual([[], ['digests', 'digests']]);
          await pair.destination.execute(...mend);
        }
        expect(await byDigests()).toMatchObject([{ result: 'equal', compared: { read: 0 } }, { result: 'equal', compared: { read: 0 } }]);
        for (const [what, spoil] of all) if (together.includes(what)) await pair.destination.execute(...spoil);
        const found = told(await byDigests());
        expect(found.map(({ missing, extra, changed }) => [missing, extra, changed])).toEqual([[1, 0, 7], [2, 0, 0]]);
        expect(found).toEqual(told(await verified(pair.source.url, pair.destination.url, 'rows')));
      });
    });
  }
}

describePair(['postgres18', 'mariadb'], 'ends that are far away', () => {
  const count = 20_000, most = 200_000;
  const wide: FixtureTable = tableFor({ ...items, name: 'wide', rows: Array.from({ length: count }, (_, i) => items.rows[i % 60].with(0, String(i))) }, 'mariadb')!;

  test('send no rows that are equal; of what differs, only its part; and are told from near ones', async () => {
    await using pair = await copied('mariadb', 'postgres18', [wide]);
    await using source = await relayTo(pair.source.url), destination = await relayTo(pair.destination.url);
    const received = () => source.relay.received() + destination.relay.received();
    const bytesFor = async (...flags: readonly string[]) => {
      const before = received(), outcome = await dsync('verify', source.url, destination.url, ...flags);
      return { ...outcome, bytes: received() - before };
    };
    const rows = await bytesFor('--verify-with', 'rows'), auto = await bytesFor(), json = await bytesFor('--json');
    expect(rows).toMatchObject({ status: 0, stdout: expect.stringContaining('both sides read and hashed here, every row and column (as asked)') });
    expect(rows.bytes).toBeGreaterThan(2 * most);
    expect(auto).toMatchObject({ status: 0, stdout: expect.stringMatching(/digests of every row and column, computed in both servers; no row was read here \(round trips of [\d.]+ ms to the source and [\d.]+ ms to the destination: far\)/) });
    expect(auto.bytes).toBeLessThan(most);
    expect(json.report.verification).toMatchObject([{ result: 'equal', sourceRows: count, compared: { by: 'digests', read: 0 } }]);
    const near = await dsync('verify', pair.source.url, pair.destination.url, '--json');
    expect(near.report.verification).toMatchObject([{ result: 'equal', compared: { by: 'rows', reason: expect.stringMatching(/: near$/) } }]);
    await pair.destination.execute("UPDATE wide SET a = 'spoilt' WHERE id = 7");
    const spoilt = await bytesFor('--json');
    expect(spoilt).toMatchObject({ status: 4 });
    expect(spoilt.report.verification).toMatchObject([{ result: 'different', changed: 1, differences: [{ kind: 'changed', key: 'id=7', columns: [{ name: 'a' }] }] }]);
  });
});

async function relayTo(url: string): Promise<{ readonly url: string; readonly relay: Relay } & AsyncDisposable> {
  const there = new URL(url), relay = await relayFrom('127.0.0.2', Number(there.port), { delay: 10 });
  there.hostname = '127.0.0.2';
  there.port = String(relay.port);
  return { url: there.href, relay, [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose]() };
}
