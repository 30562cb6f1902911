import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { connectorFor } from '../../src/connectors/index.js';
import { sqlPlace, type Dialect } from './sql-place.js';
import { describeConnector } from './suite.js';

const dialect: Dialect = {
  quote: (name) => `"${name.replaceAll('"', '""')}"`,
  types: { int64: 'INTEGER', int32: 'SIGNED32_INT', text: 'TEXT', 'key-text': 'VARCHAR_TEXT(40)', bytes: 'BLOB' },
  text: (hex) => `CAST(x'${hex}' AS TEXT)`,
  bytes: (hex) => `x'${hex}'`,
};

describeConnector({
  name: 'sqlite',
  connector: () => connectorFor('sqlite:x'),
  where: 'id < 101 -- the first hundred',
  async fresh() {
    const folder = mkdtempSync(join(tmpdir(), 'dsync-test-')), path = join(folder, 'test.db');
    const database = new Database(path);
    database.exec('PRAGMA journal_mode = WAL');
    return sqlPlace({
      url: `sqlite:${path}`,
      run: async (sql) => void database.exec(sql),
      names: async () => (database.prepare('SELECT name FROM sqlite_schema').all() as { name: string }[]).map(({ name }) => name),
      async [Symbol.asyncDispose]() {
        database.close();
        rmSync(folder, { recursive: true });
      },
    }, dialect);
  },
});
