import { connectorFor } from '../../src/connectors/index.js';
import { describeWith, freshDatabase } from '../servers/index.js';
import { sqlPlace, type Dialect } from './sql-place.js';
import { describeConnector } from './suite.js';

const dialect: Dialect = {
  quote: (name) => `"${name.replaceAll('"', '""')}"`,
  types: { int64: 'bigint', int32: 'integer', text: 'text', 'key-text': 'varchar(40)', bytes: 'bytea' },
  text: (hex) => `convert_from('\\x${hex}', 'UTF8')`,
  bytes: (hex) => `'\\x${hex}'::bytea`,
};

/** Tables, and schemas in whose names dsync would hide. */
const allNames = `SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname NOT LIKE 'pg\\_%' UNION ALL SELECT nspname FROM pg_namespace`;

for (const server of ['postgres18', 'postgres14'] as const) {
  describeWith(server, server, () => {
    describeConnector({
      name: server,
      connector: () => connectorFor('postgres://x'),
      where: 'id < 101 -- the first hundred',
      async fresh() {
        const { url, query, [Symbol.asyncDispose]: dispose } = await freshDatabase(server);
        const names = async () => (await query(allNames)).map(({ name }) => name!);
        return sqlPlace({ url, run: query, names, [Symbol.asyncDispose]: dispose }, dialect);
      },
    });
  });
}
