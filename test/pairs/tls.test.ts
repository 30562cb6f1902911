import { chmod, copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectText, describeWith, ownServer, type OwnServer, type ServerName } from '../servers/index.js';
import { newAuthority, type Authority } from './certificates.js';
import { syncJson } from './command.js';
import { openEnd } from './ends/index.js';
import { relayFrom } from './relay.js';

/** What differs between the engines. */
interface Way {
  readonly name: ServerName;
  /** Puts the server's own files into its folder; the flags that turn TLS on, and plain connections off. */
  readonly flags: (folder: string) => readonly string[];
  readonly beforeStart?: (folder: string) => Promise<void>;
  /** Statements that make a user `certified` who needs a client certificate with that name. */
  readonly certifiedUser: readonly string[];
  readonly proven: (ca: string) => Record<string, string>;
  readonly client: (cert: string, key: string) => Record<string, string>;
  readonly plain: Record<string, string>;
}

const postgresWay = (name: 'postgres18' | 'postgres14'): Way => ({
  name,
  flags: (folder) => ['-c', 'ssl=on', '-c', `ssl_cert_file=${join(folder, 'server.pem')}`, '-c', `ssl_key_file=${join(folder, 'server.key')}`, '-c', `ssl_ca_file=${join(folder, 'ca.pem')}`],
  beforeStart: (folder) => writeFile(join(folder, 'data', 'pg_hba.conf'), 'hostssl all certified all cert\nhostssl all all all scram-sha-256\n'),
  certifiedUser: ['CREATE USER certified SUPERUSER'],
  proven: (ca) => ({ sslmode: 'verify-full', sslrootcert: ca }),
  client: (cert, key) => ({ sslcert: cert, sslkey: key }),
  plain: { sslmode: 'disable' },
});

const mysqlWay = (name: 'mysql9' | 'mariadb'): Way => ({
  name,
  flags: (folder) => [`--ssl-ca=${join(folder, 'ca.pem')}`, `--ssl-cert=${join(folder, 'server.pem')}`, `--ssl-key=${join(folder, 'server.key')}`, '--require-secure-transport=ON'],
  certifiedUser: ["CREATE USER certified@'%' REQUIRE SUBJECT '/CN=certified'", "GRANT ALL ON *.* TO certified@'%'"],
  proven: (ca) => ({ 'ssl-mode': 'VERIFY_IDENTITY', 'ssl-ca': ca }),
  client: (cert, key) => ({ 'ssl-cert': cert, 'ssl-key': key }),
  plain: { 'ssl-mode': 'DISABLED' },
});

for (const way of [postgresWay('postgres18'), postgresWay('postgres14'), mysqlWay('mysql9'), mysqlWay('mariadb')]) {
  describeWith(way.name, `${way.name} that takes TLS only`, () => {
    let authority: Authority;
    let server: OwnServer;

    beforeAll(async () => {
      authority = await newAuthority('the right authority');
      const files = await authority.sign('server', 'IP:127.0.0.1,DNS:localhost');
      server = await ownServer(way.name, {
        flags: async (folder) => {
          await copyFile(authority.ca, join(folder, 'ca.pem'));
          await copyFile(files.cert, join(folder, 'server.pem'));
          await copyFile(files.key, join(folder, 'server.key'));
          await chmod(join(folder, 'server.key'), 0o600);
          await way.beforeStart?.(folder);
          return way.flags(folder);
        },
      });
      await administer('CREATE DATABASE secret', ...way.certifiedUser);
      await administer.inSecret('CREATE TABLE t (id int PRIMARY KEY, v varchar(10))', "INSERT INTO t VALUES (1, 'one'), (2, 'two')");
    });
    afterAll(async () => {
      await server?.stop();
      await authority?.[Symbol.asyncDispose]();
    });

    async function statements(database: string, list: readonly string[]): Promise<void> {
      const connection = await connectText(url({ database }), authority.ca);
      try { for (const sql of list) await connection.query(sql); } finally { await connection.end(); }
    }
    const administer = Object.assign((...list: string[]) => statements(way.name.startsWith('postgres') ? 'postgres' : 'mysql', list), { inSecret: (...list: string[]) => statements('secret', list) });

    function url({ user, database = 'secret', options = {} }: { user?: string; database?: string; options?: Record<string, string> }): string {
      const made = new URL(server.url);
      made.pathname = `/${database}`;
      if (user) { made.username = user; made.password = ''; }
      for (const [name, value] of Object.entries(options)) made.searchParams.set(name, value);
      return made.href;
    }

    async function expectCopy(source: string): Promise<void> {
      await using destination = await openEnd.sqlite();
      const outcome = await syncJson(source, destination.url);
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      expect(await destination.read('t', [{ name: 'id', kind: 'int', types: {} }, { name: 'v', kind: 'text', types: {} }])).toEqual([['1', 'one'], ['2', 'two']]);
    }

    async function expectUnusable(source: string): Promise<void> {
      const outcome = await syncJson(source, 'null:');
      expect(outcome, outcome.stderr).toMatchObject({ status: 3 });
      expect(outcome.stdout + outcome.stderr).not.toMatch(/:pw@/);
    }

    test('is read where its name and its authority are proven', async () => {
      await expectCopy(url({ options: way.proven(authority.ca) }));
    });

    test('is written, too', async () => {
      await administer('CREATE DATABASE copy');
      const outcome = await syncJson('generator:?rows=100', url({ database: 'copy', options: way.proven(authority.ca) }));
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
    });

    test('is not read when another authority signed it', async () => {
      await using other = await newAuthority('another authority');
      await expectUnusable(url({ options: way.proven(other.ca) }));
    });

    test('is not read by a name that its certificate does not have', async () => {
      const other = new URL(url({ options: way.proven(authority.ca) }));
      other.hostname = '127.0.0.2';
      await using relay = await relayFrom('127.0.0.2', server.port);
      other.port = String(relay.port);
      await expectUnusable(other.href);
    });

    test('is not read without TLS', async () => {
      await expectUnusable(url({ options: way.plain }));
    });

    test('knows its user by a client certificate', async () => {
      const { cert, key } = await authority.sign('certified');
      await chmod(key, 0o600);
      await expectCopy(url({ user: 'certified', options: { ...way.proven(authority.ca), ...way.client(cert, key) } }));
      const stranger = await authority.sign('stranger');
      await expectUnusable(url({ user: 'certified', options: { ...way.proven(authority.ca), ...way.client(stranger.cert, stranger.key) } }));
      await expectUnusable(url({ user: 'certified', options: way.proven(authority.ca) }));
    });
  }, { own: true });
}
