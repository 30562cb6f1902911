import { expect, test } from 'vitest';
import type { NamespaceVerification, VerifyWith } from '../../src/contract.js';
import { connectorFor } from '../../src/connectors/index.js';
import type { RunConfig } from '../../src/coordinator/config.js';
import { verifyOnly } from '../../src/coordinator/verify.js';
import { formsOf } from '../../src/verifier/forms.js';
import { dsync, syncJson } from './command.js';
import { openEnd, type End, type EndName } from './ends/index.js';
import { fixtures, negativeZero, nulTexts } from './fixtures.js';
import { relayFrom, type Relay } from './relay.js';
import { describePair } from './skip.js';
import { tableFor, type Family, type FixtureColumn, type FixtureTable } from './table.js';

async function verified(source: string, destination: string, verifyWith: VerifyWith): Promise<readonly NamespaceVerification[]> {
  const config: RunConfig = { source, destination, namespaces: [], exclude: [], where: {}, existing: 'refuse', acceptLoss: [], concurrency: 1, memoryBytes: 1 << 26, verify: true, verifyWith, live: false, onDdl: 'stop', schema: 'create', views: 'definition' };
  const report = await verifyOnly(config, { emit: () => {}, signal: new AbortController().signal, flow: 'f' });
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
  // MySQL's JSON goes to jsonb, which prints it anew.
  return from === 'mysql9' && to === 'postgres18' ? ['things'] : [];
}

const column = (name: string, kind: FixtureColumn['kind'], postgres: string, mysql = postgres): FixtureColumn => ({ name, kind, types: { postgres, mysql, mariadb: mysql } });

/** Rows that differ in their key only: a row is spoilt for each way of spoiling one. */
const items: FixtureTable = {
  name: 'items',
  key: ['id'],
  columns: [
    column('id', 'int', 'integer'), column('a', 'text', 'varchar(40)'), column('b', 'text', 'varchar(40)'), column('long', 'text', 'text', 'longtext'), column('fixed', 'padded', 'char(8)'), column('n', 'decimal', 'numeric(12,3)', 'decimal(12,3)'),
    column('big', 'int', 'bigint'), column('at', 'timestamp', 'timestamp(6)', 'datetime(6)'), column('moment', 'instant', 'timestamptz', 'timestamp(6) NULL'), column('day', 'date', 'date'), column('clock', 'time', 'time(6)'),
    column('raw', 'bytes', 'bytea', 'longblob'), column('f', 'float64', 'double precision', 'double'), column('s', 'float32', 'real', 'float'), column('none', 'text', 'varchar(40)'), column('blank', 'text', 'varchar(40)'),
  ],
  rows: Array.from({ length: 40 }, (_, i) => [
    String(i), 'a 1', '2 b', 'long é 😀', 'ab', '5.500', '9007199254740993', '2026-01-02 03:04:05.600000', '2026-01-02 03:04:05.000007', '2026-01-02', '03:04:05.100000', Buffer.from([0, 5]), '0.7142857142857143', '2.5', null, '',
  ]),
};
const twins: FixtureTable = { name: 'twins', key: [], columns: [column('a', 'text', 'varchar(40)'), column('n', 'int', 'integer')], rows: [['x', '1'], ['x', '1'], ['x', '1'], ['x', '1'], ['y', '2'], [null, '3'], ['', '3']] };

const bytesLiteral = (family: Family, hex: string): string => (family === 'postgres' ? `'\\x${hex}'` : `x'${hex}'`);
const set = (id: number, change: string): string => `UPDATE items SET ${change} WHERE id = ${id}`;

/** What is done to cells of one row. */
const spoiltCells = (family: Family): readonly string[] => [
  "a = 'a 2'", "a = 'a 1 '", "a = NULL", "a = ''", "a = 'a 12', b = ' b'", "a = '2 b', b = 'a 1'", `${quoted(family, '"long"')} = 'long é 😁'`, "fixed = ' ab'", 'n = 5.501', 'n = -5.5', 'n = 55', 'big = 9007199254740992',
  "at = '2026-01-02 03:04:05.600001'", "at = '2026-01-02 03:04:06'", "moment = '2026-01-02 03:04:05.07'", "moment = '2026-01-02 04:04:05.000007'", "day = '2026-01-03'", "clock = '03:04:05.01'",
  `raw = ${bytesLiteral(family, '0006')}`, `raw = ${bytesLiteral(family, '')}`, 'raw = NULL', 'f = 0.7142857142857144', 'f = -0.7142857142857143', 's = 2.5000002', "none = ''", 'blank = NULL', "none = '', blank = NULL", "blank = ' '",
];

/** What is done to whole rows, and what takes it back. */
function spoiltRows(family: Family): readonly (readonly [string, readonly string[], readonly string[]])[] {
  return [
    ['a row is missing', ['DELETE FROM items WHERE id = 12'], [insert(family, '12')]],
    ['a row is too many', [insert(family, '1012')], ['DELETE FROM items WHERE id = 1012']],
    ['a row has another key', [set(12, 'id = 1012')], [set(1012, 'id = 12')]],
    ['two of four equal rows are lost', ["DELETE FROM twins WHERE a = 'x'", "INSERT INTO twins VALUES ('x', 1), ('x', 1)"], ["INSERT INTO twins VALUES ('x', 1), ('x', 1)"]],
    ['a row without a key is another', ["UPDATE twins SET n = 3 WHERE a = 'y'"], ["UPDATE twins SET n = 2 WHERE a = 'y'"]],
    ['null is empty in a table without a key', ["UPDATE twins SET a = '' WHERE n = 3"], ['DELETE FROM twins WHERE n = 3', "INSERT INTO twins VALUES (NULL, 3), ('', 3)"]],
  ];
}

/** What is told of each table, apart from how that was found. */
function told(results: readonly NamespaceVerification[]) {
  return results.map(({ compared: _, sourceDigest: __, destinationDigest: ___, seconds: ____, ...rest }) => rest).sort((a, b) => (a.namespace < b.namespace ? -1 : 1));
}

/** Rows whose digests differ, each row by itself. */
async function differingRows(from: string, to: string, namespace: string): Promise<readonly number[]> {
  const { signal } = new AbortController(), options = { signal, connections: 1, batchBytes: 1 << 20 };
  const open = async (url: string) => (await connectorFor(url)).openSource!(url, options);
  await using left = await open(from), right = await open(to), taker = await (await connectorFor(to)).openDestination!(to, options);
  const shape = (await left.shapes({ include: ['**'], exclude: [] }, signal)).find((one) => one.namespace === namespace)!;
  const mapping = await taker.adapt(shape, { name: shape.name }, signal), found = formsOf(mapping);
  await using there = await left.snapshot([shape], signal), here = await right.snapshot([mapping.target], signal);
  const forms = 'forms' in found ? found.forms : [], differing: number[] = [];
  for (let id = 0; id < items.rows.length; id++) {
    const job = { part: {}, where: `id = ${id}`, forms };
    const [one, other] = await Promise.all([there.digests!.digest({ ...job, shape }, signal), here.digests!.digest({ ...job, shape: mapping.target }, signal)]);
    if (one.rows !== 1 || other.rows !== 1 || one.sum !== other.sum) differing.push(id);
  }
  return differing;
}

function quoted(family: Family, name: string): string {
  return family === 'postgres' ? name : name.replaceAll('"', '`');
}

function insert(family: Family, id: string): string {
  const cells = items.rows[0].map((cell, i) => (i === 0 ? id : cell === null ? 'NULL' : typeof cell === 'string' ? `'${cell}'` : bytesLiteral(family, cell.toString('hex'))));
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

      test('every spoilt cell is found, with the key and column that a comparison of all rows finds', async () => {
        await using pair = await copied(from, to, [items]);
        const spoilt = spoiltCells(families[to]!), namespace = `${pair.source.prefix}items`;
        expect(await differingRows(pair.source.url, pair.destination.url, namespace)).toEqual([]);
        await pair.destination.execute(...spoilt.map((change, i) => set(i, change)));
        expect(await differingRows(pair.source.url, pair.destination.url, namespace)).toEqual(spoilt.map((_, i) => i));
        const found = await verified(pair.source.url, pair.destination.url, 'digests');
        expect(found).toMatchObject([{ result: 'different', changed: spoilt.length, missing: 0, extra: 0, compared: { by: 'digests', parts: 1, read: 1 } }]);
        expect(told(found)).toEqual(told(await verified(pair.source.url, pair.destination.url, 'rows')));
      });

      test('rows that are lost, added or changed are found, and equal ones never cancel', async () => {
        await using pair = await copied(from, to, [items, twins]);
        for (const [what, spoil, mend] of spoiltRows(families[to]!)) {
          await pair.destination.execute(...spoil);
          const found = await verified(pair.source.url, pair.destination.url, 'digests');
          expect(found.map(({ result, differences, compared }) => `${result} ${differences.length > 0} ${compared!.by} ${compared!.read}`).sort(), what).toEqual(['different true digests 1', 'equal false digests 0']);
          await pair.destination.execute(...mend);
        }
        expect(await verified(pair.source.url, pair.destination.url, 'digests')).toMatchObject([{ result: 'equal', compared: { read: 0 } }, { result: 'equal', compared: { read: 0 } }]);
      });
    });
  }
}

describePair(['postgres18', 'mariadb'], 'ends that are far away', () => {
  const count = 20_000, most = 200_000;
  const wide: FixtureTable = tableFor({ ...items, name: 'wide', rows: Array.from({ length: count }, (_, i) => items.rows[0].with(0, String(i))) }, 'mariadb')!;

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
