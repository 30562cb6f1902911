import { expect, test } from 'vitest';
import { mysql } from '../../src/connectors/mysql/connector.js';
import type { Batch, Destination, LogicalType, Mapping, Row, Shape, Snapshot, Source, Task } from '../../src/contract.js';
import { decodeDelimited } from '../../src/values/delimited.js';
import { connectText, describeWith, freshDatabase, ownServer, serverFor, type FreshDatabase } from '../servers/index.js';
import { hostile, hostileMariadb, hostileMysql } from './every-type.js';

const { signal } = new AbortController();
const megabyte = 1 << 20;
const servers = ['mariadb', 'mysql9'] as const;

for (const name of servers) {
  describeWith(name, `what is special to ${name}: reading`, () => {
    test('every type is read alike as text for the copy and in binary for the comparison, and loses nothing', async () => {
      await using database = await freshDatabase(name);
      await database.query(name === 'mariadb' ? `${hostile} ${hostileMariadb}` : `${hostile} ${hostileMysql}`);
      await using from = await opened(database, { shapes: ['hostile', 'own'] });
      for (const shape of from.shapes) {
        const read = await rowsRead(from.snapshot, shape);
        expect(read).toEqual(await rowsScanned(from.snapshot, shape));
        expect(read.length).toBeGreaterThan(1);
      }
      const [row] = await rowsRead(from.snapshot, shapeOf(from, 'hostile'));
      expect(cell(shapeOf(from, 'hostile'), row, 'f')).toBe(Math.fround(16777215.5));
      expect(cell(shapeOf(from, 'hostile'), row, 'z')).toBe(42);
      expect(cell(shapeOf(from, 'hostile'), row, 'u64')).toBe(18446744073709551615n);
      expect(cell(shapeOf(from, 'hostile'), row, 'b')).toBe('00000010101');
      expect(cell(shapeOf(from, 'hostile'), row, 'l1')).toBe('é€ß');
      expect(cell(shapeOf(from, 'hostile'), row, 'ts0')).toBe('2038-01-19 03:14:07');
    });

    test('a copy on the same server keeps every stored byte, zero dates and the year 0000 too', async () => {
      await using database = await freshDatabase(name);
      await using other = await freshDatabase(name);
      await database.query(name === 'mariadb' ? `${hostile} ${hostileMariadb}` : `${hostile} ${hostileMysql}`);
      await using from = await opened(database, { shapes: ['hostile', 'own'] });
      await using to = await destinationOf(other);
      for (const shape of from.shapes) {
        const mapping = await to.adapt(shape, { name: shape.name }, signal);
        expect(mapping.fidelity.map(({ level }) => level)).toEqual(shape.columns.map(() => 'exact'));
        expect(mapping.target.columns.map(({ native }) => native)).toEqual(shape.columns.map(({ native }) => native));
        expect(await copied(from.snapshot, to, mapping)).toEqual([]);
        expect(await stored(other, shape)).toEqual(await stored(database, shape));
      }
    });

    test('rows that are longer than a packet of 16 MB are read and written whole', async () => {
      await using database = await freshDatabase(name);
      await using other = await freshDatabase(name);
      await database.query("CREATE TABLE wide (id INT PRIMARY KEY, a LONGTEXT CHARACTER SET utf8mb4, b LONGBLOB, c LONGTEXT CHARACTER SET utf8mb4)");
      await database.query("INSERT INTO wide VALUES (1, REPEAT('é\\t', 1500000), REPEAT(x'00ff0a5c', 2000000), REPEAT('\\\\', 9000000)), (2, 'x', NULL, '')");
      await using from = await opened(database, { batchBytes: megabyte });
      await using to = await destinationOf(other);
      const mapping = await to.adapt(from.shapes[0]!, { name: 'wide' }, signal);
      expect(await copied(from.snapshot, to, mapping)).toEqual([]);
      const digest = 'SELECT id, SHA2(a, 256) AS a, SHA2(b, 256) AS b, SHA2(c, 256) AS c FROM wide ORDER BY id';
      expect(await other.query(digest)).toEqual(await database.query(digest));
      const [first] = await rowsScanned(from.snapshot, from.shapes[0]!);
      expect((first![2] as Uint8Array).length).toBe(8_000_000);
    });

    test('reading goes on after any batch\'s cursor, whatever the key is made of', async () => {
      await using database = await freshDatabase(name);
      await database.query(`CREATE TABLE keyed (a INT, b VARCHAR(30), c DATETIME(3), d VARBINARY(10), e DECIMAL(10,3), PRIMARY KEY (b, a, c, d, e));
        INSERT INTO keyed SELECT n MOD 3, ELT(1 + n MOD 5, '', 'it''s', 'tab\\t', 'back\\\\slash', 'é😀'), '2024-01-01' + INTERVAL n SECOND, CHAR(n, 92, 0), n / 8 - 3 FROM (${numbers(60)}) n`);
      await using from = await opened(database, { batchRows: 7 });
      const [shape] = from.shapes as [Shape];
      const all = await rowsRead(from.snapshot, shape);
      expect(all.length).toBe(60);
      for (const batch of await batchesOf(from.snapshot, shape)) {
        const rest = await rowsRead(from.snapshot, shape, batch.cursor);
        expect(rest).toEqual(all.slice(all.length - rest.length));
        expect(rest.length).toBe(60 - Math.min(60, 7 * (batch.sequence + 1)));
      }
    });

    test('tasks by keys of integers, texts and bytes are disjoint and together the whole table', async () => {
      await using database = await freshDatabase(name);
      await database.query(`CREATE TABLE ints (id BIGINT UNSIGNED PRIMARY KEY, t VARCHAR(200)); CREATE TABLE texts (id VARCHAR(40) PRIMARY KEY, t VARCHAR(200)); CREATE TABLE bytes (id VARBINARY(20) PRIMARY KEY, t VARCHAR(200));
        INSERT INTO ints SELECT IF(n = 0, 18446744073709551615, n * n), REPEAT('x', 200) FROM (${numbers(3000)}) n;
        INSERT INTO texts SELECT CONCAT(SUBSTR(SHA2(n, 256), 1, 20), n), REPEAT('x', 200) FROM (${numbers(3000)}) n;
        INSERT INTO bytes SELECT SUBSTR(UNHEX(SHA2(n, 256)), 1, 20), REPEAT('x', 200) FROM (${numbers(3000)}) n; ANALYZE TABLE ints, texts, bytes`);
      if (name === 'mariadb') await database.query("CREATE TABLE uuids (id UUID PRIMARY KEY, t VARCHAR(200)); INSERT INTO uuids SELECT INSERT(INSERT(SUBSTR(SHA2(id, 256), 1, 32), 13, 1, '4'), 17, 1, '8'), t FROM texts; ANALYZE TABLE uuids");
      await using from = await opened(database);
      for (const shape of from.shapes) {
        const tasks = await from.snapshot.plan(shape, { taskBytes: 64 << 10 }, signal);
        expect(tasks.length).toBeGreaterThan(3);
        const rows = (await Promise.all(tasks.map((task) => rowsOfTask(from.snapshot, shape, task)))).flat();
        expect(new Set(rows.map(([id]) => String(id instanceof Uint8Array ? Buffer.from(id).toString('hex') : id))).size).toBe(3000);
        expect(rows.length).toBe(3000);
      }
    });

    test('all readers see one moment while others write', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE moments (id INT AUTO_INCREMENT PRIMARY KEY, n INT)');
      const writer = writing(database, 'INSERT INTO moments (n) VALUES (1)');
      try {
        for (let round = 0; round < 30; round++) {
          await writer.wrote();
          await using from = await opened(database, { connections: 4 });
          expect(from.snapshot.moment).toMatchObject({ exact: true, position: expect.any(String) });
          const counts = await Promise.all([1, 2, 3, 4].map(async () => (await rowsScanned(from.snapshot, from.shapes[0]!)).length));
          expect(new Set(counts).size).toBe(1);
        }
      } finally {
        await writer.stop();
      }
    });

    test('two moments with nothing between them have one fingerprint, and a write in between makes another', async () => {
      await using own = await ownServer(name);
      const root = await connectText(own.url);
      await root.query('CREATE DATABASE quiet; CREATE TABLE quiet.t (id INT PRIMARY KEY)');
      const look = async () => {
        const source = await mysql.openSource!(`${own.url}quiet`, options());
        await using snapshot = await source.snapshot(await source.shapes(everything, signal), signal);
        await source[Symbol.asyncDispose]();
        return snapshot.moment.fingerprint;
      };
      const first = await look();
      expect(first).toBeDefined();
      expect(await look()).toBe(first);
      await root.query('INSERT INTO quiet.t VALUES (1)');
      expect(await look()).not.toBe(first);
      await root.end();
    });

    test('one lost reader ends the snapshot for all: source-lost', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)');
      const before = await connectionIds(database);
      await using from = await opened(database, { connections: 3 });
      const mine = (await connectionIds(database)).filter((id) => !before.includes(id)).sort((a, b) => a - b);
      await database.query(`KILL ${mine.at(-1)}`);
      const failed = async () => { for (;;) await rowsScanned(from.snapshot, from.shapes[0]!); };
      await expect(failed()).rejects.toMatchObject({ code: 'source-lost' });
      const others = await Promise.allSettled([1, 2, 3].map(() => rowsScanned(from.snapshot, from.shapes[0]!)));
      expect(others.map((other) => other.status === 'rejected' && other.reason.code)).toEqual(['source-lost', 'source-lost', 'source-lost']);
    });

    test('a consumer that leaves early ends the query and keeps the reader', async () => {
      await using database = await freshDatabase(name);
      await database.query(`CREATE TABLE t (id INT PRIMARY KEY, x TEXT); INSERT INTO t SELECT n, REPEAT('x', 2000) FROM (${numbers(10_000)}) n`);
      await using from = await opened(database, { connections: 1 });
      for await (const rows of from.snapshot.scan({ shape: from.shapes[0]!, part: {} }, signal)) {
        expect(rows.length).toBeGreaterThan(0);
        break;
      }
      expect((await rowsRead(from.snapshot, from.shapes[0]!)).length).toBe(10_000);
    });

    test('an abort ends a running query at once, on the server too', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1), (2)');
      await using from = await opened(database);
      const stop = new AbortController();
      const where = 'SLEEP(20) = 0';
      const reading = rowsRead(from.snapshot, from.shapes[0]!, undefined, { where, signal: stop.signal });
      reading.catch(() => undefined);
      await until(async () => (await running(database, 'SLEEP(20)')) > 0);
      const start = performance.now();
      stop.abort(new Error('stopped by the test'));
      await expect(reading).rejects.toThrow('stopped by the test');
      expect(performance.now() - start).toBeLessThan(1000);
      await until(async () => (await running(database, 'SLEEP(20)')) === 0);
      expect(performance.now() - start).toBeLessThan(4000);
    });

    test('a filter that the server does not understand is a usage error before anything is read', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY)');
      await using from = await opened(database);
      await expect(from.snapshot.plan(from.shapes[0]!, { taskBytes: 1, where: 'no_such_column = 1' }, signal)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('no_such_column') });
    });

    test('a table whose engine has no snapshots makes the moment inexact, and the check says so', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM; CREATE TABLE new (id INT PRIMARY KEY)');
      await using from = await opened(database);
      expect(from.snapshot.moment).toMatchObject({ exact: false, how: expect.stringContaining('.old') });
      expect((await from.source.check(from.shapes, signal)).map((finding) => finding.code)).toContain('no-snapshot');
      await using only = await opened(database, { shapes: ['new'] });
      expect(only.snapshot.moment.exact).toBe(true);
    });

    test('a column of a name that the driver can\'t read is told in the check, with the way round it', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY, `__proto__` INT)');
      await using from = await opened(database);
      expect(await from.source.check(from.shapes, signal)).toContainEqual(expect.objectContaining({ level: 'error', error: 'refused', remedy: expect.stringMatching(/^leave it out: --columns '.*=-__proto__'$/) }));
    });
  });

  describeWith(name, `what is special to ${name}: writing`, () => {
    test('LOAD DATA never changes a value in silence: each bad row is rejected with its reason, all others are there', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE narrow (id INT PRIMARY KEY, n TINYINT NOT NULL, t VARCHAR(3), d DATE, m DECIMAL(5,2))');
      await using to = await destinationOf(database);
      const mapping = await to.adapt(source([['id', int32], ['n', int32], ['t', text], ['d', { kind: 'date' }], ['m', { kind: 'decimal' }]]), { name: 'narrow' }, signal);
      const good = (id: number): Row => [id, id % 100, 'abc', '2024-02-29', '1.25'];
      const bad: Row[] = [[900, 128, 'x', null, null], [901, null, 'x', null, null], [902, 1, 'abcd', null, null], [903, 1, 'x', '2023-02-32', null], [904, 1, 'x', null, '1.255'], [905, 1, 'x', null, 'NaN']];
      const rows = [...range(400).map(good), ...bad.slice(0, 3), ...range(100).map((i) => good(i + 400)), ...bad.slice(3)];
      const result = await written(to, mapping, rows);
      expect(result.rejected.map(({ row }) => row)).toEqual(bad);
      expect(result.rejected.every(({ reason }) => reason.length > 5)).toBe(true);
      expect(result.written).toBe(500);
      expect(await database.query('SELECT COUNT(*) AS c, SUM(n) AS s FROM narrow')).toEqual([{ c: '500', s: String(5 * 4950) }]);
    });

    test('duplicates of a batch are set aside one by one, and what stood there stays as it was', async () => {
      await using database = await freshDatabase(name);
      await database.query(`CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO t VALUES (17, 'mine'), (1999, 'mine')`);
      await using to = await destinationOf(database);
      const mapping = await to.adapt(source([['id', int32], ['v', text]]), { name: 't' }, signal);
      const result = await written(to, mapping, range(2000).map((id) => [id, 'theirs']));
      expect(result.rejected.map(({ row }) => row[0])).toEqual([17, 1999]);
      expect(await database.query("SELECT COUNT(*) AS c FROM t WHERE v = 'theirs'")).toEqual([{ c: '1998' }]);
    });

    test('thousands of taken keys in one batch are set aside without trying the lines one by one', async () => {
      await using database = await freshDatabase(name);
      await database.query(`CREATE TABLE t (a INT, b VARCHAR(20) CHARACTER SET utf8mb4, v INT, PRIMARY KEY (b, a)); INSERT INTO t SELECT n, 'x', -1 FROM (${numbers(3000)}) n`);
      await using to = await destinationOf(database);
      const shape = { ...source([['a', int32], ['b', text], ['v', int32]]), key: [1, 0] };
      const mapping = await to.adapt({ ...shape, columns: shape.columns.map((column, i) => ({ ...column, nullable: i === 2 })) }, { name: 't' }, signal);
      const loads = async () => Number((await database.query("SHOW GLOBAL STATUS LIKE 'Com_load'"))[0]!.Value);
      const before = await loads();
      const result = await written(to, mapping, [...range(4000).map((a): Row => [a, 'x', a]), [3500, 'x', 1], [3500, 'y', 1]]);
      expect(result.rejected.map(({ row }) => row[0])).toEqual([...range(3000), 3500]);
      expect(await loads() - before).toBeLessThan(200);
      expect(await database.query('SELECT COUNT(*) AS c, SUM(v >= 0) AS s FROM t')).toEqual([{ c: '4001', s: '1001' }]);
    });

    test('thousands of bad rows are found in few steps, also by a user whom the server names only some', async () => {
      await using database = await freshDatabase(name);
      const user = `u_${database.name}`.slice(0, 32);
      await database.query(`CREATE TABLE t (id INT PRIMARY KEY, n TINYINT); CREATE USER ${user}@'%' IDENTIFIED BY 'pw'; GRANT ALL ON ${database.name}.* TO ${user}@'%'`);
      const url = new URL(database.url);
      [url.username, url.password] = [user, 'pw'];
      try {
        await using to = await mysql.openDestination!(url.href, options());
        const mapping = await to.adapt(source([['id', int32], ['n', int32]]), { name: 't' }, signal);
        const loads = async () => Number((await database.query("SHOW GLOBAL STATUS LIKE 'Com_load'"))[0]!.Value);
        const before = await loads();
        const result = await written(to, mapping, range(8000).map((id) => [id, id % 2 === 0 ? 1 : 1000]));
        expect(result.rejected.map(({ row }) => row[0])).toEqual(range(4000).map((i) => 2 * i + 1));
        expect(await loads() - before).toBeLessThan(100);
        expect(await database.query('SELECT COUNT(*) AS c FROM t')).toEqual([{ c: '4000' }]);
      } finally {
        await database.query(`DROP USER ${user}@'%'`);
      }
    });

    test('a batch that was sent before is found again, with the rows that it rejected', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(3))');
      await using to = await destinationOf(database);
      const mapping = await to.adapt(source([['id', int32], ['v', text]]), { name: 't' }, signal);
      const rows: Row[] = [[1, 'a'], [2, 'long'], [3, 'b']];
      const first = await written(to, mapping, rows);
      const again = await to.write(run, batchOf(mapping, rows), mapping, { overwrite: false, redo: true }, signal);
      expect(again).toEqual(first);
      expect(await database.query('SELECT id FROM t ORDER BY id')).toEqual([{ id: '1' }, { id: '3' }]);
      expect(await to.progress(run, signal)).toEqual([{ task: 'task', sequence: 0, rows: 2, done: false, cursor: '["9"]' }]);
    });

    test('a process that was overtaken writes nothing any more', async () => {
      await using database = await freshDatabase(name);
      await using first = await destinationOf(database);
      const mapping = await first.adapt(source([['id', int32]]), { name: 't' }, signal);
      await written(first, mapping, [[1]]);
      await using second = await destinationOf(database);
      await second.begin(run, signal);
      await expect(first.write(run, { ...batchOf(mapping, [[2]]), sequence: 1 }, mapping, { overwrite: false, redo: false }, signal)).rejects.toMatchObject({ code: 'busy' });
      await expect(first.taskDone(run, { kind: 'task-done', task: 'task', namespace: 'n', sequence: 1, rows: 1 }, signal)).rejects.toMatchObject({ code: 'busy' });
      expect(await database.query('SELECT id FROM t')).toEqual([{ id: '1' }]);
    });

    test('begin waits for the write of an earlier process that is under way', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY)');
      await using first = await destinationOf(database);
      const mapping = await first.adapt(source([['id', int32]]), { name: 't' }, signal);
      await first.begin(run, signal);
      const other = await connectText(database.url);
      await other.query('START TRANSACTION; INSERT INTO t VALUES (7)');
      const writing = first.write(run, batchOf(mapping, [[6], [7], [8]]), mapping, { overwrite: false, redo: false }, signal);
      await until(async () => (await running(database, 'LOAD DATA LOCAL')) > 0);
      await using second = await destinationOf(database);
      let begun = false;
      const beginning = second.begin(run, signal).then(() => { begun = true; });
      await until(async () => begun || (await waiting(database, 'epoch = epoch + 1')) > 0);
      const tooEarly = begun;
      await other.query('ROLLBACK');
      await other.end();
      expect(tooEarly).toBe(false);
      await beginning;
      expect(await writing).toEqual({ written: 3, rejected: [] });
      expect(await second.progress(run, signal)).toHaveLength(1);
    });

    test('an upsert never touches a row of another key, whatever other unique indexes there are', async () => {
      await using database = await freshDatabase(name);
      await database.query(`CREATE TABLE people (id INT PRIMARY KEY, mail VARCHAR(50) NOT NULL UNIQUE, n INT); INSERT INTO people VALUES (1, 'a@x', 1), (2, 'b@x', 1)`);
      await using to = await destinationOf(database);
      const mapping = await to.adapt(source([['id', int32], ['mail', text], ['n', int32]]), { name: 'people' }, signal);
      const result = await written(to, mapping, [[1, 'a@x', 7], [3, 'b@x', 7], [4, 'd@x', 7]], { overwrite: true });
      expect(result.rejected.map(({ row }) => row[0])).toEqual([3]);
      expect(await database.query('SELECT * FROM people ORDER BY id')).toEqual([{ id: '1', mail: 'a@x', n: '7' }, { id: '2', mail: 'b@x', n: '1' }, { id: '4', mail: 'd@x', n: '7' }]);
    });

    test('a float whose sign of zero will be lost is said to be so, before the first row', async () => {
      await using database = await freshDatabase(name);
      await using to = await destinationOf(database);
      const { fidelity } = await to.adapt(source([['id', int32], ['f', { kind: 'float', bits: 64 }]]), { name: 'zeros' }, signal);
      const zero = (await database.query('SELECT CAST(-0e0 AS CHAR) AS zero'))[0]!.zero;
      expect(fidelity[1]).toEqual(zero === '-0' ? { level: 'exact' } : { level: 'reshaped', note: '-0 becomes 0' });
    });

    test('keys that the target\'s collation takes for equal are rejected, not overwritten', async () => {
      await using database = await freshDatabase(name);
      await database.query(`CREATE TABLE words (w VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, n INT); INSERT INTO words VALUES ('a', 1)`);
      await using to = await destinationOf(database);
      const mapping = await to.adapt(source([['w', text], ['n', int32]]), { name: 'words' }, signal);
      expect(mapping.fidelity[0]).toMatchObject({ level: 'reshaped', note: expect.stringContaining('utf8mb4_general_ci') });
      const result = await written(to, mapping, [['A', 2], ['b', 2], ['a', 3]], { overwrite: true });
      expect(result.rejected.map(({ row }) => row)).toEqual([['A', 2]]);
      expect(await database.query('SELECT * FROM words ORDER BY w')).toEqual([{ w: 'a', n: '3' }, { w: 'b', n: '2' }]);
      const mended = await to.mend(run, mapping, { upserts: [['B', 9]], deletes: [['A']] }, signal);
      expect(mended.rejected.map(({ row }) => row[0])).toEqual(['B']);
      expect(await database.query('SELECT * FROM words ORDER BY w')).toEqual([{ w: 'a', n: '3' }, { w: 'b', n: '2' }]);
    });

    test('a table that dsync makes tells letter case, accents and trailing spaces of its keys apart', async () => {
      await using database = await freshDatabase(name);
      await using to = await destinationOf(database);
      const mapping = await to.adapt(source([['w', text]]), { name: 'made' }, signal);
      const rows: Row[] = ['a', 'A', 'á', 'a ', 'a  ', '', ' ', 'ß', 'ss'].map((word) => [word]);
      expect((await written(to, mapping, rows)).rejected).toEqual([]);
      expect((await to.mend(run, mapping, { upserts: [['A']], deletes: [['a ']] }, signal)).rejected).toEqual([]);
      expect(await database.query('SELECT COUNT(*) AS c FROM made')).toEqual([{ c: '8' }]);
      const long = await to.write(run, { ...batchOf(mapping, [['x'.repeat(256)], ['y'.repeat(255)]]), sequence: 1 }, mapping, { overwrite: false, redo: false }, signal);
      expect(long.rejected.map(({ row }) => (row[0] as string).length)).toEqual([256]);
    });

    test('any 128 bits are a UUID, also where the server\'s own type would refuse them', async () => {
      await using database = await freshDatabase(name);
      await using to = await destinationOf(database);
      const mapping = await to.adapt(source([['id', { kind: 'uuid' }]]), { name: 't' }, signal);
      const rows: Row[] = ['77c0da7a-0d04-b543-65bc-06c068e1321e', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'].map((id) => [id]);
      expect((await written(to, mapping, rows)).rejected).toEqual([]);
    });

    test('form feeds and vertical tabs from COPY stay what they are, beside backslashes', async () => {
      await using database = await freshDatabase(name);
      await using to = await destinationOf(database);
      const mapping = await to.adapt({ ...source([['id', int32], ['t', text]]), engine: 'postgres' }, { name: 't' }, signal);
      await to.begin(run, signal);
      await to.prepare(run, mapping, { empty: false, keyed: false, tasks: [] }, signal);
      const bytes = Buffer.from('1\t\\f\\v\\b\\\\f\\\\\\f\\t\\n\\r\n2\t\\\\v\n3\t\\N\n');
      await to.write(run, { ...batchOf(mapping, []), rows: { format: 'delimited', bytes }, count: 3 }, mapping, { overwrite: false, redo: false }, signal);
      expect(await database.query('SELECT id, HEX(t) AS t FROM t ORDER BY id')).toEqual([
        { id: '1', t: Buffer.from('\f\v\b\\f\\\f\t\n\r').toString('hex').toUpperCase() }, { id: '2', t: '5C76' }, { id: '3', t: null },
      ]);
    });

    test('a keyless table is swapped in once, also when the process died right after the rename', async () => {
      await using database = await freshDatabase(name);
      await using to = await destinationOf(database);
      const mapping = await to.adapt(keyless([['a', int32], ['b', text]]), { name: 'log' }, signal);
      expect(mapping.staged).toBe(true);
      await written(to, mapping, [[1, 'x'], [1, 'x'], [null, null]]);
      expect(await to.holdsRows(mapping.target, signal)).toBe(false);
      const [staging] = (await tables(database)).filter((table) => table.startsWith('_dsync_s_'));
      await database.query(`INSERT INTO _dsync_progress VALUES ('${run}', 'swap', '${database.name}.log', 1, NULL, 0, 0, NULL); RENAME TABLE ${staging} TO log`);
      await to.finish(run, mapping, { keepRows: false }, signal);
      await to.prepare(run, mapping, { empty: false, keyed: false, tasks: [] }, signal);
      await to.finish(run, mapping, { keepRows: false }, signal);
      expect(await database.query('SELECT a, b FROM log ORDER BY a')).toEqual([{ a: null, b: null }, { a: '1', b: 'x' }, { a: '1', b: 'x' }]);
      // Copied anew, it takes the place of its own earlier self.
      await to.prepare(run, mapping, { empty: true, keyed: false, tasks: [taskOf(mapping)] }, signal);
      await to.write(run, batchOf(mapping, [[2, 'y']]), mapping, { overwrite: false, redo: false }, signal);
      await to.finish(run, mapping, { keepRows: false }, signal);
      expect(await database.query('SELECT a, b FROM log')).toEqual([{ a: '2', b: 'y' }]);
      await to.forget(run, [mapping], signal);
      expect(await tables(database)).toEqual(['log']);
    });

    test('rows that stood in a keyless table before dsync stay with append, and come once', async () => {
      await using database = await freshDatabase(name);
      await database.query("CREATE TABLE log (a INT, b VARCHAR(10)); INSERT INTO log VALUES (0, 'mine')");
      await using to = await destinationOf(database);
      const mapping = await to.adapt(keyless([['a', int32], ['b', text]]), { name: 'log' }, signal);
      await written(to, mapping, [[1, 'x']]);
      await to.finish(run, mapping, { keepRows: true }, signal);
      await to.finish(run, mapping, { keepRows: true }, signal);
      expect(await database.query('SELECT a FROM log ORDER BY a')).toEqual([{ a: '0' }, { a: '1' }]);
    });

    test('a table made by someone else meanwhile is not replaced', async () => {
      await using database = await freshDatabase(name);
      await using to = await destinationOf(database);
      const mapping = await to.adapt(keyless([['a', int32]]), { name: 'log' }, signal);
      await written(to, mapping, [[1]]);
      await database.query('CREATE TABLE log (a INT); INSERT INTO log VALUES (99)');
      await expect(to.finish(run, mapping, { keepRows: false }, signal)).rejects.toMatchObject({ code: 'refused' });
      expect(await database.query('SELECT a FROM log')).toEqual([{ a: '99' }]);
    });

    test('a MyISAM table takes upserts by key, and none without a key', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE old (id INT PRIMARY KEY, v VARCHAR(3)) ENGINE=MyISAM; CREATE TABLE older (v INT) ENGINE=MyISAM');
      await using to = await destinationOf(database);
      const mapping = await to.adapt(source([['id', int32], ['v', text]]), { name: 'old' }, signal);
      const result = await written(to, mapping, [[1, 'a'], [2, 'long'], [3, 'b']]);
      expect(result.rejected.map(({ row }) => row[0])).toEqual([2]);
      await to.write(run, { ...batchOf(mapping, [[3, 'c']]), sequence: 1 }, mapping, { overwrite: false, redo: false }, signal);
      expect(await database.query('SELECT id, v FROM old ORDER BY id')).toEqual([{ id: '1', v: 'a' }, { id: '3', v: 'c' }]);
      await expect(to.adapt(keyless([['v', int32]]), { name: 'older' }, signal)).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining('MyISAM') });
    });

    test('a standing table that does not fit is refused with every reason at once, save what it computes by itself', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (a DATE, b INT GENERATED ALWAYS AS (1) STORED, d INT NOT NULL)');
      await using to = await destinationOf(database);
      const failure: Error = await to.adapt(source([['a', int32], ['b', int32], ['c', text]]), { name: 't' }, signal).then(() => { throw new Error('it fitted'); }, (error: Error) => error);
      expect(failure).toMatchObject({ code: 'refused' });
      for (const part of ['a is date', 'no column c', 'd has no default', 'no primary key or unique index on a']) expect(failure.message).toContain(part);
      expect(failure.message).not.toContain('b is');
    });

    test('the largest and smallest floats, years and bits come in as they are', async () => {
      await using database = await freshDatabase(name);
      await using to = await destinationOf(database);
      const mapping = await to.adapt(source([['id', int32], ['f', { kind: 'float', bits: 32 }], ['d', { kind: 'float', bits: 64 }], ['b', { kind: 'bits', length: 64 }], ['u', { kind: 'int', bits: 64, signed: false }], ['y', { kind: 'bool' }]]), { name: 't' }, signal);
      const most = Math.fround(3.4028234663852886e38);
      const rows: Row[] = [[1, most, Number.MAX_VALUE, '1'.repeat(64), 18446744073709551615n, true], [2, -most, Number.MIN_VALUE, '0'.repeat(63) + '1', 0n, false], [3, Math.fround(0.1), 0.1, '01'.repeat(32), 1n, null]];
      expect((await written(to, mapping, rows)).rejected).toEqual([]);
      await using from = await opened(database, { shapes: ['t'] });
      const scanned = (await rowsScanned(from.snapshot, shapeOf(from, 't'))).map((row) => row.slice(0, 5));
      expect(scanned).toEqual(rows.map((row) => row.slice(0, 5)));
    });

    test('a YEAR takes the years that it can hold and makes none up', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY, y YEAR)');
      await using to = await destinationOf(database);
      const mapping = await to.adapt(source([['id', int32], ['y', { kind: 'int', bits: 16, signed: true }]]), { name: 't' }, signal);
      const result = await written(to, mapping, [[1, 0], [2, 1901], [3, 2155], [4, 5], [5, 99], [6, 1900], [7, 2156], [8, null]]);
      expect(result.rejected.map(({ row }) => row[1])).toEqual([5, 99, 1900, 2156]);
      expect(await database.query('SELECT y + 0 AS y FROM t ORDER BY id')).toEqual([{ y: '0' }, { y: '1901' }, { y: '2155' }, { y: null }]);
    });

    test('an abort ends a write at once and leaves neither rows nor progress', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (5)');
      await using to = await destinationOf(database);
      const mapping = await to.adapt(source([['id', int32]]), { name: 't' }, signal);
      await to.begin(run, signal);
      const other = await connectText(database.url);
      await other.query('START TRANSACTION; SELECT * FROM t WHERE id = 5 FOR UPDATE; INSERT INTO t VALUES (7)');
      const stop = new AbortController();
      const writing = to.write(run, batchOf(mapping, [[6], [7], [8]]), mapping, { overwrite: false, redo: false }, stop.signal);
      writing.catch(() => undefined);
      await until(async () => (await running(database, 'LOAD DATA LOCAL')) > 0);
      const start = performance.now();
      stop.abort(new Error('stopped by the test'));
      await expect(writing).rejects.toThrow('stopped by the test');
      expect(performance.now() - start).toBeLessThan(1000);
      await other.query('ROLLBACK');
      await other.end();
      await until(async () => (await running(database, 'LOAD DATA LOCAL')) === 0);
      expect(await database.query('SELECT id FROM t')).toEqual([{ id: '5' }]);
      expect(await to.progress(run, signal)).toEqual([]);
    });
  });

  describeWith(name, `what is special to ${name}: users and settings`, () => {
    test('the moment is had by the rung of the lock ladder that the user\'s rights allow', async () => {
      await using own = await ownServer(name, { flags: async () => ['--skip-log-bin'] });
      const root = await connectText(own.url);
      await root.query(`CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY);
        CREATE USER all_rights@'%' IDENTIFIED BY 'pw'; GRANT SELECT, RELOAD, LOCK TABLES ON *.* TO all_rights@'%';
        CREATE USER locker@'%' IDENTIFIED BY 'pw'; GRANT SELECT, LOCK TABLES ON shop.* TO locker@'%';
        CREATE USER reader@'%' IDENTIFIED BY 'pw'; GRANT SELECT ON shop.* TO reader@'%'`);
      await root.end();
      const momentAs = async (user: string) => {
        const source = await mysql.openSource!(`mysql://${user}:pw@127.0.0.1:${own.port}/shop`, { ...options(), connections: 2 });
        const shapes = await source.shapes(everything, signal);
        const findings = await source.check(shapes, signal);
        await using snapshot = await source.snapshot(shapes, signal);
        await source[Symbol.asyncDispose]();
        return { ...snapshot.moment, said: findings.find((finding) => finding.code === 'moment')!.message };
      };
      expect(await momentAs('all_rights')).toMatchObject({ exact: true, how: 'FLUSH TABLES WITH READ LOCK', said: expect.stringContaining('FLUSH TABLES') });
      expect(await momentAs('locker')).toMatchObject({ exact: true, how: 'LOCK TABLES … READ', said: expect.stringContaining('LOCK TABLES') });
      const fuzzy = await momentAs('reader');
      expect(fuzzy).toMatchObject({ exact: false, how: expect.stringContaining('fuzzy'), said: expect.stringContaining('can\'t share one moment') });
      expect(fuzzy.fingerprint).toBeUndefined();
    });

    test('where LOAD DATA LOCAL is off, rows go in by INSERT under the same rule', async () => {
      await using own = await ownServer(name, { flags: async () => ['--local-infile=0', '--max-allowed-packet=1M'] });
      const root = await connectText(own.url);
      await root.query('CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(3), b LONGBLOB, m DECIMAL(5,2))');
      const to = await mysql.openDestination!(`${own.url}shop`, options());
      const mapping = await to.adapt(source([['id', int32], ['v', text], ['b', { kind: 'bytes' }], ['m', { kind: 'decimal' }]]), { name: 't' }, signal);
      expect((await to.check([mapping], signal)).map((finding) => finding.code)).toEqual(expect.arrayContaining(['local-infile', 'packet']));
      const rows: Row[] = [[1, "'\\", Buffer.from([0, 255, 39, 92]), '1.5'], [2, 'long', null, null], [3, 'x', Buffer.alloc(2 * megabyte), null], [4, 'x', Buffer.alloc(300_000, 7), null], [5, 'x', Buffer.alloc(300_000, 8), '1.234'], [6, 'x', Buffer.alloc(300_000, 9), null]];
      const result = await written(to, mapping, rows);
      expect(result.rejected.map(({ row }) => row[0])).toEqual([2, 3, 5]);
      const again = await to.write(run, { ...batchOf(mapping, [[1, 'new', null, null], [7, 'new', null, null]]), sequence: 1 }, mapping, { overwrite: true, redo: false }, signal);
      expect(again.rejected).toEqual([]);
      expect(await root.query('SELECT id, v, LENGTH(b) AS b FROM shop.t ORDER BY id')).toEqual([
        { id: '1', v: 'new', b: null }, { id: '4', v: 'x', b: '300000' }, { id: '6', v: 'x', b: '300000' }, { id: '7', v: 'new', b: null },
      ]);
      await to[Symbol.asyncDispose]();
      await root.end();
    });

    test('a server that dies and comes back, and one that turns read-only, are told apart', async () => {
      await using own = await ownServer(name);
      const root = await connectText(own.url);
      await root.query("CREATE DATABASE shop; CREATE USER writer@'%' IDENTIFIED BY 'pw'; GRANT ALL ON shop.* TO writer@'%'");
      const url = `mysql://writer:pw@127.0.0.1:${own.port}/shop`;
      const to = await mysql.openDestination!(url, options());
      const mapping = await to.adapt(source([['id', int32]]), { name: 't' }, signal);
      await written(to, mapping, [[1], [2]]);
      const from = await mysql.openSource!(url, options());
      await using snapshot = await from.snapshot([mapping.target], signal);
      const more = { ...batchOf(mapping, [[3]]), sequence: 1 };
      await own.kill();
      await expect(to.write(run, more, mapping, { overwrite: false, redo: false }, signal)).rejects.toMatchObject({ code: 'connection-lost', retryable: true });
      await expect(rowsScanned(snapshot, mapping.target)).rejects.toMatchObject({ code: 'source-lost' });
      await expect(mysql.openSource!(url, options())).rejects.toMatchObject({ code: 'unreachable' });
      await own.restart();
      expect(await to.write(run, more, mapping, { overwrite: false, redo: true }, signal)).toEqual({ written: 1, rejected: [] });
      const again = await connectText(own.url);
      expect(await again.query('SELECT id FROM shop.t ORDER BY id')).toEqual([{ id: '1' }, { id: '2' }, { id: '3' }]);
      await again.query('SET GLOBAL read_only = ON');
      expect((await to.check([mapping], signal)).find((finding) => finding.code === 'read-only')).toMatchObject({ level: 'error', error: 'denied' });
      await expect(to.write(run, { ...more, sequence: 2 }, mapping, { overwrite: false, redo: false }, signal)).rejects.toMatchObject({ code: 'denied' });
      await again.end();
      await root.end().catch(() => undefined);
      await from[Symbol.asyncDispose]();
      await to[Symbol.asyncDispose]();
    });

    test('a wrong password, a missing database and an unknown option are told apart', async () => {
      const url = new URL(serverFor(name)!.url);
      url.password = 'wrong';
      await expect(mysql.openSource!(url.href, options())).rejects.toMatchObject({ code: 'denied', message: expect.not.stringContaining('wrong') });
      await expect(mysql.openSource!(new URL('/no_such_database', serverFor(name)!.url).href, options())).rejects.toMatchObject({ code: 'unreachable', remedy: expect.stringContaining('CREATE DATABASE') });
      await expect(mysql.openSource!('mysql://u@127.0.0.1:1/x', options())).rejects.toMatchObject({ code: 'unreachable' });
      await expect(mysql.openSource!('mysql://u@127.0.0.1/x?colour=red', options())).rejects.toMatchObject({ code: 'usage' });
    });
  });
}

describeWith('mysql9', 'what is special to mysql9: passwords', () => {
  test('the first login with caching_sha2_password works without TLS', async () => {
    await using database = await freshDatabase('mysql9');
    const user = `u${process.pid}`;
    await database.query(`CREATE USER ${user}@'%' IDENTIFIED WITH caching_sha2_password BY 'a secret'; GRANT ALL ON ${database.name}.* TO ${user}@'%'`);
    try {
      for (const mode of ['DISABLED', 'PREFERRED', 'REQUIRED']) {
        await database.query('FLUSH PRIVILEGES');
        const url = new URL(`${database.url}?ssl-mode=${mode}`);
        url.username = user;
        url.password = 'a%20secret';
        const source = await mysql.openSource!(url.href, options());
        expect(await source.shapes(everything, signal)).toEqual([]);
        await source[Symbol.asyncDispose]();
      }
    } finally {
      await database.query(`DROP USER ${user}@'%'`);
    }
  });
});

// --- what the tests are made of ------------------------------------------

const run = 'test-run';
const everything = { include: [], exclude: [] };
const int32: LogicalType = { kind: 'int', bits: 32, signed: true };
const text: LogicalType = { kind: 'text' };


function options() {
  return { signal, connections: 2, batchBytes: megabyte };
}

type Opened = { readonly source: Source; readonly snapshot: Snapshot; readonly shapes: readonly Shape[] } & AsyncDisposable;

async function opened(database: FreshDatabase, how: { readonly connections?: number; readonly batchBytes?: number; readonly batchRows?: number; readonly shapes?: readonly string[] } = {}): Promise<Opened> {
  const source = await mysql.openSource!(database.url, { ...options(), ...how });
  const shapes = await source.shapes({ include: (how.shapes ?? []).map((name) => `${database.name}.${name}`), exclude: [] }, signal);
  const snapshot = await source.snapshot(shapes, signal);
  return {
    source, snapshot, shapes,
    async [Symbol.asyncDispose]() {
      await snapshot[Symbol.asyncDispose]();
      await source[Symbol.asyncDispose]();
    },
  };
}

function destinationOf(database: FreshDatabase): Promise<Destination> {
  return mysql.openDestination!(database.url, options());
}

function shapeOf({ shapes }: Opened, name: string): Shape {
  return shapes.find((shape) => shape.name === name)!;
}

function cell(shape: Shape, row: Row | undefined, column: string): unknown {
  return row?.[shape.columns.findIndex(({ name }) => name === column)];
}

const whole = (shape: Shape): Task => ({ id: 'task', namespace: shape.namespace });
const taskOf = (mapping: Mapping): Task => whole(mapping.source);

async function batchesOf(snapshot: Snapshot, shape: Shape): Promise<readonly Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of snapshot.read({ task: whole(shape), shape, format: 'delimited', sequence: 0 }, signal)) batches.push(batch);
  return batches;
}

async function rowsRead(snapshot: Snapshot, shape: Shape, after?: string, how: { readonly where?: string; readonly signal?: AbortSignal } = {}): Promise<Row[]> {
  return rowsOfTask(snapshot, shape, whole(shape), after, how);
}

async function rowsOfTask(snapshot: Snapshot, shape: Shape, task: Task, after?: string, how: { readonly where?: string; readonly signal?: AbortSignal } = {}): Promise<Row[]> {
  const rows: Row[] = [];
  const decode = decodeDelimited(shape.columns);
  for await (const batch of snapshot.read({ task, shape, format: 'delimited', sequence: 0, after, where: how.where }, how.signal ?? signal)) {
    if (batch.rows.format === 'delimited') rows.push(...decode(batch.rows.bytes));
  }
  return rows;
}

async function rowsScanned(snapshot: Snapshot, shape: Shape): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const chunk of snapshot.scan({ shape, part: {} }, signal)) rows.push(...chunk);
  return rows;
}

/** Copies a table by the connectors alone; returns what was rejected. */
async function copied(snapshot: Snapshot, to: Destination, mapping: Mapping) {
  await to.begin(run, signal);
  await to.prepare(run, mapping, { empty: false, keyed: false, tasks: [] }, signal);
  const rejected = [];
  for (const batch of await batchesOf(snapshot, mapping.source)) {
    const sent = { ...batch, task: mapping.source.name };
    rejected.push(...(await to.write(run, sent, mapping, { overwrite: false, redo: false }, signal)).rejected);
  }
  await to.finish(run, mapping, { keepRows: false }, signal);
  return rejected;
}

/** Every cell as the hex of what is stored, by the server itself. */
async function stored(database: FreshDatabase, shape: Shape) {
  const cells = shape.columns.map(({ name, type }) => (type.kind === 'float' ? `CAST(\`${name}\` AS DOUBLE) AS \`${name}\`` : type.kind === 'int' ? `\`${name}\`` : `HEX(\`${name}\`) AS \`${name}\``));
  return database.query(`SELECT ${cells.join(', ')} FROM \`${shape.name}\` ORDER BY id`);
}

function source(columns: readonly (readonly [string, LogicalType])[]): Shape {
  return {
    namespace: 'elsewhere.t', name: 't', engine: 'elsewhere', key: [0],
    columns: columns.map(([name, type], i) => ({ name, type, native: type.kind, nullable: i > 0 })),
  };
}

function keyless(columns: readonly (readonly [string, LogicalType])[]): Shape {
  const shape = source(columns);
  return { ...shape, key: [], columns: shape.columns.map((column) => ({ ...column, nullable: true })) };
}

function batchOf(mapping: Mapping, rows: readonly Row[]): Batch {
  return { task: 'task', namespace: mapping.source.namespace, sequence: 0, rows: { format: 'values', rows }, count: rows.length, bytes: 100, cursor: '["9"]' };
}

/** Begins, prepares and writes one batch. */
async function written(to: Destination, mapping: Mapping, rows: readonly Row[], how: { readonly overwrite: boolean } = { overwrite: false }) {
  await to.begin(run, signal);
  await to.prepare(run, mapping, { empty: false, keyed: how.overwrite, tasks: [] }, signal);
  return to.write(run, batchOf(mapping, rows), mapping, { ...how, redo: false }, signal);
}

async function tables(database: FreshDatabase): Promise<string[]> {
  return (await database.query('SELECT table_name AS t FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1')).map((row) => row.t!);
}

async function connectionIds(database: FreshDatabase): Promise<number[]> {
  return (await database.query(`SELECT id FROM information_schema.processlist WHERE db = '${database.name}'`)).map((row) => Number(Object.values(row)[0]));
}

async function running(database: FreshDatabase, part: string): Promise<number> {
  await database.query('SELECT SLEEP(0.01)');
  const like = `%${part}%`;
  return Number((await database.query(`SELECT COUNT(*) AS c FROM information_schema.processlist WHERE db = '${database.name}' AND command <> 'Sleep' AND id <> CONNECTION_ID() AND info LIKE '${like}'`))[0]!.c);
}

/** Statements of this database that wait for a row lock. */
async function waiting(database: FreshDatabase, part: string): Promise<number> {
  // The server looks again only if nobody has looked for a tenth of a second.
  await database.query('SELECT SLEEP(0.15)');
  return Number((await database.query(`SELECT COUNT(*) AS c FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE '%${database.name}%${part}%'`))[0]!.c);
}

/** Waits until the server itself shows it; every look is a query. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds()));
}

/** Another client that writes all the time. */
function writing(database: FreshDatabase, statement: string) {
  let stopped = false;
  let tell = (): void => undefined;
  const done = (async () => {
    const client = await connectText(database.url);
    while (!stopped) {
      await client.query(statement);
      tell();
    }
    await client.end();
  })();
  return {
    wrote: () => new Promise<void>((resolve) => { tell = resolve; }),
    async stop() { stopped = true; await done; },
  };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** SQL for the numbers below `count`, at most 10,000. */
function numbers(count: number): string {
  const digit = `(SELECT 0 AS d ${range(9).map((d) => `UNION ALL SELECT ${d + 1}`).join(' ')})`;
  return `SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS n FROM ${digit} a, ${digit} b, ${digit} c, ${digit} e HAVING n < ${count}`;
}
