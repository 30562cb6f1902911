import { expect, onTestFinished, test } from 'vitest';
import { mysql } from '../../src/connectors/mysql/connector.js';
import type { ChangeLog, Position, Source } from '../../src/contract.js';
import { describeWith, freshSql, ownServer, type OwnServer } from '../servers/index.js';

/* How much of its binary log MySQL and MariaDB have from a position on, and for how long. Servers of our own: others write to shared ones. */

const { signal } = new AbortController();

async function sourceOf(server: OwnServer) {
  const database = await freshSql(server.url), source = await mysql.openSource!(database.url, { signal, connections: 2, batchBytes: 1 << 20 }) as Source & { readonly log: ChangeLog };
  onTestFinished(() => source[Symbol.asyncDispose]());
  await database.query('CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)');
  return { database, source, log: source.log, retention: (position: Position) => source.log.retention('run', position, signal) };
}

const settings = { mariadb: { gtid: [], file: ['--gtid-strict-mode=0'] }, mysql9: { gtid: [], file: ['--gtid-mode=OFF', '--enforce-gtid-consistency=OFF'] } } as const;

for (const name of ['mariadb', 'mysql9'] as const) for (const kind of ['gtid', 'file'] as const) describeWith(name, `the log files of ${name} by ${kind}`, () => {
  test('are counted from the one that is needed; its age is told as the worst that it may be', async () => {
    await using server = await ownServer(name, { flags: async () => ['--binlog-expire-logs-seconds=3600', ...settings[name][kind]] });
    const { database, source, log, retention } = await sourceOf(server);
    const start = kind === 'file' && name === 'mariadb' ? await filePlace(database) : await log.head(signal);
    expect(start).toMatch(kind === 'file' ? /\.\d{6}:\d+$/ : name === 'mariadb' ? /^0-1-\d+$/ : /^[0-9a-f-]{36}:/);
    expect(await retention(start)).toEqual({ bytes: 0, secondsLeft: 3600 });
    await database.query("INSERT INTO t VALUES (1, REPEAT('x', 100000))");
    const some = await retention(start);
    expect(some).toEqual({ bytes: expect.any(Number), secondsLeft: 3600 });
    expect(some.bytes).toBeGreaterThan(100_000);
    await database.query("FLUSH BINARY LOGS; INSERT INTO t VALUES (2, REPEAT('x', 200000))");
    const rotated = await retention(start);
    expect(rotated.bytes).toBeGreaterThan(300_000);
    // A process that never saw the file in use asks the log when it was written.
    await using later = await mysql.openSource!(database.url, { signal, connections: 2, batchBytes: 1 << 20 }) as Source & { readonly log: ChangeLog };
    for (const found of [rotated, await later.log.retention('run', start, signal)]) {
      expect(found).toMatchObject({ estimated: true });
      expect(found.secondsLeft).toBeLessThanOrEqual(3600);
      expect(found.secondsLeft).toBeGreaterThan(3500);
    }
    const now = kind === 'file' && name === 'mariadb' ? await filePlace(database) : await log.head(signal);
    expect(await retention(now)).toEqual({ bytes: 0, secondsLeft: 3600 });
    const first = await log.look!(signal);
    await database.query("INSERT INTO t VALUES (3, REPEAT('x', 300000)); FLUSH BINARY LOGS");
    expect((await log.look!(signal)).written - first.written).toBeGreaterThan(300_000);
    const [[file]] = [(await database.query('SHOW BINARY LOGS')).slice(-1)];
    await database.query(`PURGE BINARY LOGS TO '${Object.values(file!)[0]}'`);
    const second = await log.look!(signal);
    // What was removed was written all the same.
    expect(second.written - first.written).toBeGreaterThan(300_000);
    expect(second).toMatchObject({ keptSeconds: 3600, heldBack: [] });
    await expect(retention(start)).rejects.toMatchObject({ code: 'history-lost' });
    await source[Symbol.asyncDispose]();
  });
});

async function filePlace(database: { query(sql: string): Promise<readonly Readonly<Record<string, string | null>>[]> }): Promise<Position> {
  const [{ File: file, Position: at }] = await database.query('SHOW MASTER STATUS') as [{ File: string; Position: string }];
  return `${file}:${at}`;
}
