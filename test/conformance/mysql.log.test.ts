import { expect, test } from 'vitest';
import { mysql } from '../../src/connectors/mysql/connector.js';
import type { Change, ChangeLog, Finding, LogChanges, LogMessage, LogPlace, Pin, Position, Row, Shape, Snapshot, Source, Value } from '../../src/contract.js';
import { connectText, describeWith, freshDatabase, freshSql, ownServer, type FreshDatabase } from '../servers/index.js';
import { hostile, hostileMariadb, hostileMysql } from './every-type.js';

const { signal } = new AbortController();
const servers = ['mariadb', 'mysql9'] as const;
const everything = { include: [], exclude: [] };
const run = 'run-1';

for (const name of servers) {
  describeWith(name, `the change log of ${name}`, () => {
    test('a snapshot and the log after it are the source, while a writer changes keys, rows and whole tables', async () => {
      await using database = await freshDatabase(name);
      await database.query(`CREATE TABLE a (id BIGINT PRIMARY KEY, v VARCHAR(60), n INT); CREATE TABLE b (x VARCHAR(20) CHARACTER SET latin1, y INT, v BLOB, PRIMARY KEY (y, x));
        INSERT INTO a SELECT n, CONCAT('row ', n), n FROM (${numbers(500)}) n; INSERT INTO b SELECT CONCAT('é', n), n, REPEAT('x', n) FROM (${numbers(100)}) n`);
      let copied = false;
      const writer = writing(database, (i) => [
        `INSERT INTO a VALUES (${1000 + i}, 'new', NULL); UPDATE a SET n = ${i}, v = REPEAT('ü', ${i % 50}) WHERE id < ${i % 40}`,
        `START TRANSACTION; UPDATE a SET id = -id WHERE id MOD 97 = ${i % 97}; DELETE FROM a WHERE n = ${i % 7}; COMMIT`,
        `UPDATE b SET x = CONCAT('ß', y) WHERE y MOD 5 = ${i % 5}; DELETE FROM b WHERE y = ${i % 100}; INSERT INTO b VALUES ('é', ${200 + i}, '')`,
        // A table that is truncated leaves the snapshots that were taken before.
        `${copied ? 'TRUNCATE TABLE' : 'DELETE FROM'} b; INSERT INTO b SELECT CONCAT('t', n), n, NULL FROM (${numbers(20)}) n`,
      ][i % 4]);
      try {
        await writer.wrote(8);
        await using from = await pinned(database);
        await writer.wrote(8);
        const model = await modelOf(from);
        await from.snapshot[Symbol.asyncDispose]();
        copied = true;
        const follower = following(from, from.position);
        await writer.wrote(60);
        await writer.stop();
        const { messages } = await follower.upTo(await from.log.head(signal));
        apply(model, messages);
        await expectSource(database, model);
        expect(messages.filter((message) => message.kind === 'changes').length).toBeGreaterThan(0);
      } finally {
        await writer.stop();
      }
    });

    test('every type is spelled alike by the copy, the log and the comparison', async () => {
      await using database = await freshDatabase(name);
      const statements = `${hostile} ${name === 'mariadb' ? hostileMariadb : hostileMysql}; ${moreTypes}; ${moreRows}`.split(/;\s*(?=CREATE|INSERT)/).map((sql) => sql.trim());
      const [creates, inserts] = [statements.filter((sql) => !sql.startsWith('INSERT')), statements.filter((sql) => sql.startsWith('INSERT'))];
      await database.query(creates.join('; '));
      await using from = await pinned(database);
      const follower = following(from, from.position);
      await database.query(`SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; ${inserts.join('; ').replace(/;\s*;/g, ';')}`);
      await database.query("SET sql_mode = ''; INSERT INTO more (id, e, y) VALUES (100, 'no such label', 0), (101, 'a', 1901); UPDATE hostile SET v = CONCAT(COALESCE(v, ''), '!'), tm = IF(tm < 0, tm, '-00:00:00.1') WHERE id > 0; DELETE FROM more WHERE id = 3");
      const { messages } = await follower.upTo(await from.log.head(signal));
      const model = emptyModel(from);
      apply(model, messages);
      await using later = await pinned(database);
      for (const shape of later.shapes) {
        const scanned = await rowsScanned(later.snapshot, shape);
        expect(scanned.length).toBeGreaterThan(1);
        expect(sorted(model.rows.get(shape.namespace)!.values())).toEqual(sorted(scanned));
        expect(sorted(await rowsRead(later.snapshot, shape))).toEqual(sorted(scanned));
      }
    });

    test('a key change tells both keys, a delete the key alone, and a table without a key whole rows', async () => {
      await using database = await freshDatabase(name);
      await database.query("CREATE TABLE keyed (id INT PRIMARY KEY, v TEXT); CREATE TABLE bare (n INT, v TEXT); INSERT INTO keyed VALUES (1, 'a'); INSERT INTO bare VALUES (1, 'a'), (1, 'a')");
      await using from = await pinned(database);
      const follower = following(from, from.position);
      await database.query("UPDATE keyed SET id = 2 WHERE id = 1; UPDATE keyed SET v = 'b'; DELETE FROM keyed; UPDATE bare SET n = 2 LIMIT 1; DELETE FROM bare WHERE n = 1");
      const { changes } = await follower.upTo(await from.log.head(signal));
      const [keyed, bare] = ['keyed', 'bare'].map((table) => `${database.name}.${table}`);
      expect(changes).toEqual([
        { kind: 'update', namespace: keyed, before: [1, undefined], row: [2, 'a'] },
        { kind: 'update', namespace: keyed, row: [2, 'b'] },
        { kind: 'delete', namespace: keyed, before: [2, undefined] },
        { kind: 'update', namespace: bare, before: [1, 'a'], row: [2, 'a'] },
        { kind: 'delete', namespace: bare, before: [1, 'a'] },
      ]);
    });

    test('a large transaction comes in pieces, and each piece is a place to go on from', async () => {
      await using database = await freshDatabase(name);
      await database.query(`CREATE TABLE large (id INT PRIMARY KEY, v VARCHAR(100)); CREATE TABLE other (id INT PRIMARY KEY)`);
      await using from = await pinned(database);
      await database.query(`START TRANSACTION; INSERT INTO other VALUES (0); INSERT INTO large SELECT n, REPEAT('x', 100) FROM (${numbers(3000)}) n; UPDATE large SET v = 'y' WHERE id < 100; COMMIT; INSERT INTO other VALUES (1)`);
      const head = await from.log.head(signal);
      const whole = await following(from, from.position, { bytes: 20_000 }).upTo(head);
      const pieces = whole.messages.filter((message): message is LogChanges => message.kind === 'changes');
      expect(pieces.length).toBeGreaterThan(10);
      expect(whole.changes.length).toBe(3102);
      // Transactions of other clients of the server may stand before it.
      expect(pieces[3].place.changes).toBe(pieces.slice(0, 4).reduce((sum, { changes }) => sum + changes.length, 0));
      for (const piece of [pieces[3], pieces.at(-2)!]) {
        const rest = await following(from, piece.place, { bytes: 20_000 }).upTo(head);
        const done = pieces.slice(0, pieces.indexOf(piece) + 1).reduce((sum, { changes }) => sum + changes.length, 0);
        expect(rest.changes).toEqual(whole.changes.slice(done));
      }
    });

    test('small transactions are gathered into messages, and any message\'s place is one to go on from', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE small (id INT PRIMARY KEY)');
      await using from = await pinned(database);
      for (let i = 0; i < 10; i++) await database.query(range(30).map((n) => `INSERT INTO small VALUES (${i * 30 + n})`).join(';'));
      const head = await from.log.head(signal);
      const { messages, changes } = await following(from, from.position, { bytes: 2000 }).upTo(head);
      const gathered = messages.filter((message): message is LogChanges => message.kind === 'changes');
      expect(changes.length).toBe(300);
      expect(gathered.length).toBeLessThan(150);
      expect(gathered.some((message) => message.changes.length > 5)).toBe(true);
      const middle = gathered[Math.floor(gathered.length / 2)];
      const after = await following(from, middle.place).upTo(head);
      expect(after.changes).toEqual(changes.slice(changes.indexOf(middle.changes.at(-1)!) + 1));
      expect(messages.filter((message) => message.kind === 'shape')).toEqual([{ kind: 'shape', shape: from.shapes[0], changed: false }]);
    });

    test('altered columns come with a new shape before their rows, and no value moves into another column', async () => {
      await using database = await freshDatabase(name);
      await database.query("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(10), b VARCHAR(10)); INSERT INTO t VALUES (1, 'a1', 'b1')");
      await using from = await pinned(database);
      const follower = following(from, from.position);
      const steps = [
        ["INSERT INTO t VALUES (2, 'a2', 'b2')", ['id', 'a', 'b'], [2, 'a2', 'b2']],
        ["ALTER TABLE t ADD COLUMN c INT AFTER id; INSERT INTO t VALUES (3, 33, 'a3', 'b3')", ['id', 'c', 'a', 'b'], [3, 33, 'a3', 'b3']],
        ["ALTER TABLE t MODIFY a VARCHAR(10) AFTER b; INSERT INTO t (id, a, b, c) VALUES (4, 'a4', 'b4', 44)", ['id', 'c', 'b', 'a'], [4, 44, 'b4', 'a4']],
        ["ALTER TABLE t RENAME COLUMN a TO z; INSERT INTO t (id, z) VALUES (5, 'z5')", ['id', 'c', 'b', 'z'], [5, null, null, 'z5']],
        ["ALTER TABLE t DROP COLUMN c, MODIFY b TEXT; INSERT INTO t (id, b) VALUES (6, 'b6')", ['id', 'b', 'z'], [6, 'b6', null]],
        ["ALTER TABLE t ADD INDEX (z); INSERT INTO t (id, b) VALUES (7, 'b7')", ['id', 'b', 'z'], [7, 'b7', null]],
        ["DROP TABLE t; CREATE TABLE t (k BIGINT PRIMARY KEY); INSERT INTO t VALUES (8)", ['k'], [8n]],
      ] as const;
      for (const [sql, columns, row] of steps) {
        await database.query(sql);
        const { messages, changes } = await follower.upTo(await from.log.head(signal));
        const shapes = messages.flatMap((message) => (message.kind === 'shape' ? [message] : []));
        expect({ sql, columns: shapes.at(-1)?.shape.columns.map((column) => column.name) }).toEqual({ sql, columns });
        expect(changes.at(-1)).toMatchObject({ kind: 'insert', row });
      }
      const { messages, changes } = await follower.upTo(await from.log.head(signal));
      expect(messages.flatMap((message) => (message.kind === 'shape' ? [message.changed] : []))).toEqual([false, true, true, true, true, true]);
      expect(changes.at(-2)).toEqual({ kind: 'truncate', namespace: `${database.name}.t` });
    });

    test('columns that were swapped twice before the log was read are refused, not guessed', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(10), b VARCHAR(10))');
      await using from = await pinned(database);
      await database.query("ALTER TABLE t MODIFY a VARCHAR(10) AFTER b; INSERT INTO t (id, a) VALUES (1, 'a'); ALTER TABLE t MODIFY b VARCHAR(10) AFTER a; INSERT INTO t (id, a) VALUES (2, 'a')");
      await expect(following(from, from.position).upTo(await from.log.head(signal))).rejects.toMatchObject({ code: 'refused', namespace: `${database.name}.t` });
    });

    test('a table that was altered once before the log was read is followed through it', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(10), b VARCHAR(10))');
      await using from = await pinned(database);
      await database.query("INSERT INTO t VALUES (1, 'a', 'b'); ALTER TABLE t MODIFY a VARCHAR(10) AFTER b; INSERT INTO t (id, a, b) VALUES (2, 'a', 'b')");
      const { changes, messages } = await following(from, from.position).upTo(await from.log.head(signal));
      expect(changes).toMatchObject([{ row: [1, 'a', 'b'] }, { row: [2, 'b', 'a'] }]);
      expect(messages.map((message) => message.kind).filter((kind) => kind !== 'position')).toEqual(['shape', 'changes', 'shape', 'changes']);
    });

    test('a table that another one took the place of is refused', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE other (id INT PRIMARY KEY); INSERT INTO other VALUES (9)');
      await using from = await pinned(database, ['t']);
      await database.query('RENAME TABLE t TO old_t, other TO t; INSERT INTO t VALUES (1)');
      await expect(following(from, from.position).upTo(await from.log.head(signal))).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining('RENAME') });
    });

    test('an XA transaction counts when it is committed, and is never lost by going on after its preparation', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY)');
      await using from = await pinned(database);
      await database.query("INSERT INTO t VALUES (1); XA START 'x1'; INSERT INTO t VALUES (2), (3); XA END 'x1'; XA PREPARE 'x1'");
      await using other = await freshConnection(database);
      await other.query('INSERT INTO t VALUES (4); INSERT INTO t VALUES (5)');
      const follower = following(from, from.position);
      await follower.until((changes) => changes.length === 3);
      const prepared = follower.messages.at(-1) as LogChanges;
      expect(follower.changes).toMatchObject([1, 4, 5].map((id) => ({ row: [id] })));
      await database.query("XA COMMIT 'x1'; XA START 'x2'; INSERT INTO t VALUES (6); XA END 'x2'; XA PREPARE 'x2'; XA ROLLBACK 'x2'; XA START 'x3'; INSERT INTO t VALUES (7); XA END 'x3'; XA COMMIT 'x3' ONE PHASE; INSERT INTO t VALUES (8)");
      const head = await from.log.head(signal);
      expect((await follower.upTo(head)).changes).toMatchObject([1, 4, 5, 2, 3, 7, 8].map((id) => ({ row: [id] })));
      expect((await following(from, prepared.place).upTo(head)).changes).toMatchObject([2, 3, 7, 8].map((id) => ({ row: [id] })));
    });

    test('rows of a large XA transaction are read again when it is committed, in pieces, each a place to go on from; those of small ones are kept', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY, v TEXT)');
      await using from = await pinned(database);
      const prepared = (xid: string, rows: string) => `XA START '${xid}'; INSERT INTO t ${rows}; XA END '${xid}'; XA PREPARE '${xid}'`;
      await using small = await freshConnection(database);
      await using large = await freshConnection(database);
      await using dropped = await freshConnection(database);
      const [kept, left, never] = ['small', 'large', 'dropped'].map((part) => `${database.name}-${part}`) as [string, string, string];
      await small.query(prepared(kept, "VALUES (1, 'a'), (2, 'b')"));
      await large.query(`${prepared(left, `SELECT n + 100, REPEAT('x', 1000) FROM (${numbers(8000)}) n`)}`);
      await dropped.query(`${prepared(never, `SELECT n + 20000, REPEAT('y', 1000) FROM (${numbers(8000)}) n`)}`);
      await database.query("INSERT INTO t VALUES (3, 'c')");
      await dropped.query(`XA ROLLBACK '${never}'`);
      await large.query(`XA COMMIT '${left}'`);
      await small.query(`XA COMMIT '${kept}'`);
      await database.query("INSERT INTO t VALUES (4, 'd')");
      const head = await from.log.head(signal);
      const { messages, changes } = await following(from, from.position, { bytes: 100_000 }).upTo(head);
      const ids = changes.map((change) => (change.kind === 'insert' ? Number(change.row[0]) : undefined));
      expect([ids[0], ids.slice(1, -3).sort((a, b) => a! - b!), ids.slice(-3)]).toEqual([3, range(8000).map((n) => n + 100), [1, 2, 4]]);
      const pieces = messages.filter((message): message is LogChanges => message.kind === 'changes');
      expect(Math.max(...pieces.map(({ bytes }) => bytes))).toBeLessThan(200_000);
      for (const piece of [pieces[3]!, pieces[Math.floor(pieces.length / 2)]!]) {
        const rest = await following(from, piece.place, { bytes: 100_000 }).upTo(head);
        const done = pieces.slice(0, pieces.indexOf(piece) + 1).reduce((sum, one) => sum + one.changes.length, 0);
        expect(rest.changes.length).toBe(changes.length - done);
        expect(rest.changes).toEqual(changes.slice(done));
      }
    });

    test('a table that is made equal while an XA transaction is prepared gets its rows when it is committed', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY)');
      await using from = await pinned(database);
      await using other = await freshConnection(database);
      await other.query(`XA START '${database.name}'; INSERT INTO t VALUES (1); XA END '${database.name}'; XA PREPARE '${database.name}'`);
      await database.query('INSERT INTO t VALUES (2)');
      const since = await from.log.head(signal);
      await other.query(`XA COMMIT '${database.name}'`);
      await database.query('INSERT INTO t VALUES (3)');
      const head = await from.log.head(signal), stop = new AbortController(), seen: unknown[] = [];
      for await (const message of from.log.follow({ run, shapes: from.shapes, from: { position: from.position, changes: 0 }, bytes: 1000, since: new Map([[`${database.name}.t`, since]]) }, stop.signal)) {
        if (message.kind === 'changes') seen.push(...message.changes.map((change) => change.kind === 'insert' && change.row[0]));
        if (message.kind !== 'shape' && from.log.reached(message.place.position, head)) break;
      }
      expect(seen).toEqual([1, 3]);
    });

    test('a session that logs statements or parts of rows is refused, and not passed over', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1)');
      for (const setting of ["binlog_format = 'STATEMENT'", "binlog_row_image = 'MINIMAL'"]) {
        await using from = await pinned(database);
        await using other = await freshConnection(database);
        await other.query(`SET SESSION ${setting}; SET SESSION transaction_isolation = 'REPEATABLE-READ'`.replace(name === 'mariadb' ? 'transaction_isolation' : '', name === 'mariadb' ? 'tx_isolation' : ''));
        await other.query('UPDATE t SET v = v + 1');
        await expect(following(from, from.position).upTo(await from.log.head(signal))).rejects.toMatchObject({ code: 'refused', namespace: `${database.name}.t` });
      }
    });

    test('a table that is not chosen costs nothing, and the position goes on past its rows', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE chosen (id INT PRIMARY KEY); CREATE TABLE ignored (id INT PRIMARY KEY, v LONGTEXT)');
      await using from = await pinned(database, ['chosen']);
      const follower = following(from, from.position);
      await database.query(`INSERT INTO ignored SELECT n, REPEAT('x', 1000) FROM (${numbers(2000)}) n; ALTER TABLE ignored ADD COLUMN z INT; INSERT INTO ignored VALUES (-1, 'y', 1)`);
      const { messages } = await follower.upTo(await from.log.head(signal));
      expect([...new Set(messages.map((message) => message.kind))]).toEqual(['position']);
      expect(messages.at(-1)).toMatchObject({ place: { changes: 0 }, at: expect.any(Number) });
    });

    test('a caller that is slow for long holds the server back and loses nothing', async () => {
      await using own = await ownServer(name, { flags: async () => ['--net-write-timeout=1'] });
      await using database = await freshSql(own.url);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY, v TEXT)');
      await using from = await pinned(database);
      await database.query(range(8).map((i) => `INSERT INTO t SELECT ${i} * 5000 + n, REPEAT('x', 1000) FROM (${numbers(5000)}) n`).join(';'));
      const head = await from.log.head(signal);
      const stop = new AbortController();
      let count = 0, slow = true;
      for await (const message of from.log.follow({ run, shapes: from.shapes, from: { position: from.position, changes: 0 }, bytes: 100_000 }, stop.signal)) {
        if (message.kind === 'changes') count += message.changes.length;
        if (count > 0 && slow) await new Promise((resolve) => setTimeout(resolve, 3000));
        if (count > 0) slow = false;
        if (message.kind !== 'shape' && from.log.reached(message.place.position, head)) break;
      }
      expect(count).toBe(40_000);
    });

    test('an abort ends following within a second, with its reason, and leaves no connection behind', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY)');
      await using from = await pinned(database);
      const stop = new AbortController();
      const heard: string[] = [];
      const read = (async () => {
        for await (const { kind } of from.log.follow({ run, shapes: from.shapes, from: { position: from.position, changes: 0 }, bytes: 1000 }, stop.signal)) heard.push(kind);
      })();
      read.catch(() => undefined);
      await until(async () => heard.includes('position') && (await dumps(database)).length === 1);
      const start = performance.now();
      stop.abort(new Error('stopped by the test'));
      await expect(read).rejects.toThrow('stopped by the test');
      expect(performance.now() - start).toBeLessThan(1000);
      await until(async () => (await dumps(database)).length === 0);
    });

    test('a connection that is lost is source-lost, and the log goes on from the last place', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (0)');
      await using from = await pinned(database);
      const follower = following(from, from.position);
      await database.query('INSERT INTO t VALUES (1)');
      await follower.until((changes) => changes.length === 1);
      for (const id of await dumps(database)) await database.query(`KILL ${id}`);
      await expect(follower.until(() => false)).rejects.toMatchObject({ code: 'source-lost', retryable: true });
      await database.query('INSERT INTO t VALUES (2)');
      const again = await following(from, (follower.messages.at(-1) as LogChanges).place).upTo(await from.log.head(signal));
      expect(again.changes).toEqual([{ kind: 'insert', namespace: `${database.name}.t`, row: [2] }]);
    });

    test('rows that are longer than a packet of 16 MB come whole', async () => {
      await using own = await ownServer(name, { flags: async () => ['--max-allowed-packet=128M'] });
      await using database = await freshSql(own.url);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY, a LONGTEXT, b LONGBLOB)');
      await using from = await pinned(database);
      await database.query("INSERT INTO t VALUES (1, REPEAT('é', 10000000), REPEAT(x'00ff', 9000000)), (2, 'x', 'y')");
      const { changes } = await following(from, from.position).upTo(await from.log.head(signal));
      expect(changes.map((change) => (change.kind === 'insert' ? [(change.row[1] as string).length, (change.row[2] as Uint8Array).length] : []))).toEqual([[10_000_000, 18_000_000], [1, 1]]);
    });

    test('a log that was purged is history-lost', async () => {
      await using own = await ownServer(name);
      await using database = await freshSql(own.url);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY)');
      await using from = await pinned(database);
      await database.query('INSERT INTO t VALUES (1); FLUSH BINARY LOGS; INSERT INTO t VALUES (2); FLUSH BINARY LOGS');
      const logs = await database.query('SHOW BINARY LOGS');
      const newest = (logs.at(-1) as Record<string, string>).Log_name;
      await until(async () => {
        await database.query(`PURGE BINARY LOGS TO '${newest}'`);
        return (await database.query('SHOW BINARY LOGS')).length === 1;
      });
      await expect(following(from, from.position).until(() => false)).rejects.toMatchObject({ code: 'history-lost', remedy: expect.stringContaining('new run') });
    });

    test('the check names each setting and right that following lacks, with the statement that mends it', async () => {
      await using own = await ownServer(name, { flags: async () => ['--binlog-row-image=MINIMAL', name === 'mariadb' ? '--log-bin-compress=ON' : '--binlog-transaction-compression=ON', '--binlog-expire-logs-seconds=3600'] });
      await using database = await freshSql(own.url);
      await database.query(`CREATE TABLE parent (id INT PRIMARY KEY); CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY child_parent (p) REFERENCES parent (id) ON DELETE CASCADE); CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM;
        CREATE USER reader@'%' IDENTIFIED BY 'pw'; GRANT SELECT ON *.* TO reader@'%'; SET GLOBAL binlog_format = STATEMENT`);
      const check = async (url: string): Promise<readonly Finding[]> => {
        await using source = await mysql.openSource!(url, options());
        return await source.log!.check(await source.shapes(everything, signal), signal);
      };
      const found = await check(database.url);
      const coded = (code: string, all = found) => all.find((finding) => finding.code === code);
      expect(coded('row-image')).toMatchObject({ level: 'error', remedy: expect.stringContaining('binlog_row_image = FULL') });
      expect(coded('compression')).toMatchObject({ level: 'error', remedy: expect.stringContaining('= OFF') });
      expect(coded('binlog-format')).toMatchObject({ level: 'error', remedy: expect.stringContaining('ROW') });
      expect(coded('log-expiry')).toMatchObject({ level: 'warning', message: expect.stringContaining('1 h') });
      expect(coded('cascade')).toMatchObject({ level: 'warning', namespace: `${database.name}.child` });
      expect(coded('no-transactions')).toMatchObject({ level: 'error', namespace: `${database.name}.old` });
      expect(coded('log-rights')).toBeUndefined();
      const poor = await check(database.url.replace('tester:pw', 'reader:pw'));
      expect(coded('log-rights', poor)).toMatchObject({ level: 'error', error: 'denied', remedy: expect.stringMatching(/GRANT REPLICATION SLAVE, (BINLOG MONITOR|REPLICATION CLIENT) ON \*\.\* TO 'reader'@'%'/) });
    });

    test('pin saves before and after, with the position of the snapshot, and is refused where the moment is not exact', async () => {
      await using database = await freshDatabase(name);
      await database.query('CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM');
      await using source = await mysql.openSource!(database.url, options());
      const [old, t] = await source.shapes(everything, signal) as [Shape, Shape];
      const pins: Pin[] = [];
      await using snapshot = await source.log!.pin(run, [t], (pin) => pins.push(pin), signal);
      expect(pins).toEqual([{ names: [] }, { names: [], position: snapshot.moment.position }]);
      await expect(source.log!.pin(run, [t, old], () => {}, signal)).rejects.toMatchObject({ code: 'not-ready' });
      const { log } = source, here = snapshot.moment.position!;
      await database.query('INSERT INTO t VALUES (1)');
      const head = await log!.head(signal);
      expect([log!.reached(head, here), log!.reached(here, here), log!.reached(here, head)]).toEqual([true, true, false]);
      expect((await log!.retention(run, here, signal)).secondsLeft ?? 1).toBeGreaterThan(0);
      await log!.unpin(run, signal);
    });
  });
}

describeWith('mysql9', 'values that the log of mysql9 does not tell', () => {
  test('are read again by the key, and a row that is gone by then is removed as often as it was told of', async () => {
    await using database = await freshDatabase('mysql9');
    await database.query("CREATE TABLE t (a VARCHAR(9), b VARBINARY(4), n INT, j JSON NOT NULL, PRIMARY KEY (b, a)); INSERT INTO t VALUES ('moves', '', 0, '[]')");
    await using from = await pinned(database);
    await database.query(`INSERT INTO t VALUES ('it''s', x'00ff', 1, '{"b": 1.10, "a": 1.0}'), ('gone', x'01', 2, '[1]'), ('later', x'02', 3, '[3]');
      DELETE FROM t WHERE n = 2; UPDATE t SET j = '[4]' WHERE n = 3; UPDATE t SET a = 'moved' WHERE n = 0; DELETE FROM t WHERE n = 0`);
    const { changes } = await following(from, from.position).upTo(await from.log.head(signal));
    const namespace = `${database.name}.t`, bytes = (hex: string) => Buffer.from(hex, 'hex');
    expect(changes).toEqual([
      { kind: 'insert', namespace, row: ["it's", bytes('00ff'), 1, '{"a": 1.0, "b": 1.1}'] },
      { kind: 'delete', namespace, before: ['gone', bytes('01'), undefined, undefined] },
      { kind: 'insert', namespace, row: ['later', bytes('02'), 3, '[4]'] },
      { kind: 'delete', namespace, before: ['gone', bytes('01'), undefined, undefined] },
      { kind: 'update', namespace, row: ['later', bytes('02'), 3, '[4]'] },
      { kind: 'delete', namespace, before: ['moves', bytes(''), undefined, undefined] },
      { kind: 'delete', namespace, before: ['moved', bytes(''), undefined, undefined] },
    ]);
  });
});

for (const [name, flags, format] of [['mysql9', ['--gtid-mode=ON', '--enforce-gtid-consistency=ON', '--binlog-row-metadata=FULL'], /^[0-9a-f-]{36}:/], ['mysql9', ['--gtid-mode=OFF', '--enforce-gtid-consistency=OFF'], /^bin\.\d+:\d+$/], ['mariadb', ['--binlog-row-metadata=FULL'], /^0-1-\d+$/]] as const) {
  describeWith(name, `positions of ${name} ${flags.join(' ')}`, () => {
    test('the log is resumed by such a position after the server was restarted and its log rotated', async () => {
      await using own = await ownServer(name, { flags: async () => [...flags] });
      const places: LogPlace[] = [];
      const root = await connectText(own.url);
      await root.query('CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, g GEOMETRY, v VARCHAR(9) CHARACTER SET latin1); CREATE TABLE shop.u (id INT PRIMARY KEY)');
      const url = `${own.url}shop`;
      const first = await mysql.openSource!(url, options());
      const shapes = await first.shapes(everything, signal);
      const snapshot = await first.log!.pin(run, shapes, () => {}, signal);
      places.push({ position: snapshot.moment.position!, changes: 0 });
      expect(places[0].position).toMatch(format);
      await snapshot[Symbol.asyncDispose]();
      await first[Symbol.asyncDispose]();
      for (let round = 1; round <= 3; round++) {
        const writer = await connectText(url);
        await writer.query(`INSERT INTO t VALUES (${round}, POINT(1, ${round}), 'é'); INSERT INTO u VALUES (${round}); FLUSH BINARY LOGS; INSERT INTO t VALUES (${-round}, NULL, 'ü')`);
        await writer.end();
        await own.restart();
        await using source = await mysql.openSource!(url, options());
        const { changes, messages } = await following({ log: source.log!, shapes }, places.at(-1)!).upTo(await source.log!.head(signal));
        expect(changes.map((change) => change.kind === 'insert' && [change.row[0], change.row[2]])).toEqual([[round, 'é'], [round, undefined], [-round, 'ü']]);
        const last = messages.at(-1)!;
        if (last.kind !== 'shape') places.push(last.place);
        expect(places.at(-1)!.position).toMatch(format);
      }
      const last = await connectText(url);
      await last.query('FLUSH BINARY LOGS');
      await last.end();
      await using source = await mysql.openSource!(url, options());
      expect((await following({ log: source.log!, shapes }, places.at(-1)!).upTo(await source.log!.head(signal))).changes).toEqual([]);
      await root.end().catch(() => undefined);
    });
  });
}

// --- types ------------------------------------------------------------------

const moreTypes = `CREATE TABLE more (id INT PRIMARY KEY, e ENUM('a', 'x,y', 'it''s') CHARACTER SET latin1, s SET('p', 'q q', 'ü') CHARACTER SET utf8mb4, y YEAR, d0 DECIMAL(30,0), d9 DECIMAL(18,9), d5 DECIMAL(5,5), t0 TIME, t2 TIME(2), t4 TIME(4), dt3 DATETIME(3), ts1 TIMESTAMP(1) NULL,
  u2 VARCHAR(20) CHARACTER SET ucs2, u16 CHAR(20) CHARACTER SET utf16, u32 TEXT CHARACTER SET utf32, k8 VARCHAR(20) CHARACTER SET koi8r, gb VARCHAR(20) CHARACTER SET gbk, sj TEXT CHARACTER SET sjis, wide CHAR(200) CHARACTER SET utf8mb4, tb TINYBLOB, mt MEDIUMTEXT CHARACTER SET utf8mb4, gen INT AS (id * 2) STORED, virt INT AS (id * 3) VIRTUAL)`;
const moreRows = `INSERT INTO more (id, e, s, y, d0, d9, d5, t0, t2, t4, dt3, ts1, u2, u16, u32, k8, gb, sj, wide, tb, mt) VALUES
  (1, 'it''s', 'p,ü', 2024, '-123456789012345678901234567890', '-0.000000001', '-0.00001', '-838:59:59', '-00:00:00.01', '12:34:56.0001', '2024-02-29 23:59:59.999', '1970-01-01 00:00:01.5', 'é😀中', 'é中 ', 'é😀', 'привет', '中文', 'テスト', REPEAT('ü', 200), x'0000', 'é'),
  (2, 'x,y', '', 2155, '999999999999999999999999999999', '999999999.999999999', '0.99999', '00:00:00', '838:59:58.99', '-00:00:01.9999', '0000-00-00 00:00:00', '2038-01-19 03:14:07', '', '', '', '', '', '', '', '', ''),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`.replace('é😀中', 'é中');

// --- following --------------------------------------------------------------

interface Pinned extends AsyncDisposable { readonly source: Source; readonly log: ChangeLog; readonly shapes: readonly Shape[]; readonly snapshot: Snapshot; readonly position: Position }

function options() {
  return { signal, connections: 2, batchBytes: 1 << 20 };
}

async function pinned(database: FreshDatabase, tables: readonly string[] = []): Promise<Pinned> {
  const source = await mysql.openSource!(database.url, options());
  const shapes = await source.shapes({ include: tables.map((table) => `${database.name}.${table}`), exclude: [] }, signal);
  const snapshot = await source.log!.pin(run, shapes, () => {}, signal);
  return {
    source, log: source.log!, shapes, snapshot, position: snapshot.moment.position!,
    async [Symbol.asyncDispose]() {
      await snapshot[Symbol.asyncDispose]();
      await source[Symbol.asyncDispose]();
    },
  };
}

/** Reads the log until something holds, and may be asked to go on. */
function following({ log, shapes }: Pick<Pinned, 'log' | 'shapes'>, from: Position | LogPlace, { bytes = 1 << 20 } = {}) {
  const place = typeof from === 'string' ? { position: from, changes: 0 } : from;
  const messages: LogMessage[] = [], changes: Change[] = [];
  const stop = new AbortController();
  const stream = log.follow({ run, shapes, from: place, bytes }, stop.signal)[Symbol.asyncIterator]();
  const until = async (holds: (changes: readonly Change[]) => boolean) => {
    while (!holds(changes)) {
      const { value, done } = await stream.next();
      if (done) throw new Error('the log ended');
      messages.push(value);
      if (value.kind === 'changes') changes.push(...value.changes);
    }
    return { messages, changes };
  };
  const at = () => messages.findLast((message) => message.kind !== 'shape')?.place.position;
  return { messages, changes, until, upTo: (head: Position) => until(() => at() !== undefined && log.reached(at()!, head)) };
}

/** What a destination would hold: rows by their key. */
interface Model { readonly shapes: Map<string, Shape>; readonly rows: Map<string, Map<string, Row>> }

function emptyModel({ shapes }: Pick<Pinned, 'shapes'>): Model {
  return { shapes: new Map(shapes.map((shape) => [shape.namespace, shape])), rows: new Map(shapes.map((shape) => [shape.namespace, new Map()])) };
}

async function modelOf(from: Pinned): Promise<Model> {
  const model = emptyModel(from);
  for (const shape of from.shapes) for (const row of await rowsRead(from.snapshot, shape)) model.rows.get(shape.namespace)!.set(keyOf(shape, row), row);
  return model;
}

function apply({ shapes, rows }: Model, messages: readonly LogMessage[]): void {
  for (const message of messages) {
    if (message.kind === 'shape') shapes.set(message.shape.namespace, message.shape);
    if (message.kind !== 'changes') continue;
    for (const change of message.changes) {
      const shape = shapes.get(change.namespace)!, held = rows.get(change.namespace)!;
      if (change.kind === 'truncate') held.clear();
      if (change.kind === 'delete' || (change.kind === 'update' && change.before)) held.delete(keyOf(shape, change.before!));
      if (change.kind === 'insert' || change.kind === 'update') held.set(keyOf(shape, change.row), change.row as Row);
    }
  }
}

function keyOf({ key }: Shape, row: readonly (Value | undefined)[]): string {
  return JSON.stringify(key.map((position) => plain(row[position])));
}

function plain(cell: Value | undefined): unknown {
  return cell instanceof Uint8Array ? Buffer.from(cell).toString('hex') : typeof cell === 'bigint' ? `${cell}n` : Object.is(cell, -0) ? '-0' : cell;
}

function sorted(rows: Iterable<Row>): string[] {
  return [...rows].map((row) => JSON.stringify(row.map(plain))).sort();
}

async function expectSource(database: FreshDatabase, model: Model): Promise<void> {
  await using now = await pinned(database);
  for (const shape of now.shapes) expect(sorted(model.rows.get(shape.namespace)!.values())).toEqual(sorted(await rowsScanned(now.snapshot, shape)));
}

async function rowsRead(snapshot: Snapshot, shape: Shape): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const batch of snapshot.read({ task: { id: 'task', namespace: shape.namespace }, shape, format: 'values', sequence: 0 }, signal)) if (batch.rows.format === 'values') rows.push(...batch.rows.rows);
  return rows;
}

async function rowsScanned(snapshot: Snapshot, shape: Shape): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const chunk of snapshot.scan({ shape, part: {} }, signal)) rows.push(...chunk);
  return rows;
}

/** The connections that are sent the log and were opened for this database. */
async function dumps(database: FreshDatabase): Promise<readonly (string | null)[]> {
  return (await database.query(`SELECT id AS id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%' AND db = '${database.name}'`)).map(({ id }) => id);
}

async function freshConnection(database: FreshDatabase) {
  const connection = await connectText(database.url);
  return { query: connection.query, [Symbol.asyncDispose]: () => connection.end() };
}

/** Writes without a pause, and says when it has written so often. */
function writing(database: FreshDatabase, statement: (i: number) => string) {
  let stopped = false, done = 0;
  const loop = (async () => {
    await using connection = await freshConnection(database);
    while (!stopped) await connection.query(statement(done++));
  })();
  loop.catch(() => undefined);
  return {
    async wrote(times: number) {
      const goal = done + times;
      while (done < goal) {
        await Promise.race([loop, new Promise((resolve) => setTimeout(resolve, 5))]);
        if (stopped) break;
      }
    },
    async stop() {
      stopped = true;
      await loop;
    },
  };
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function numbers(count: number): string {
  const digits = '(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)';
  return `SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS n FROM ${digits} a, ${digits} b, ${digits} c, ${digits} e HAVING n < ${count}`;
}
