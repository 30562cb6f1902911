import { connectorFor } from '../../src/connectors/index.js';
import { describeWith, freshDatabase, type ServerName } from '../servers/index.js';
import { sqlPlace, type Dialect } from './sql-place.js';
import { describeConnector } from './suite.js';

const allNames = `SELECT CONCAT(table_schema, '.', table_name) AS name FROM information_schema.tables WHERE table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')`;

/** `collation`: one in which all texts are different keys that are different texts. */
export function describeMysqlFamily(server: Extract<ServerName, 'mariadb' | 'mysql9'>, collation: string): void {
  const dialect: Dialect = {
    quote: (name) => `\`${name.replaceAll('`', '``')}\``,
    types: { int64: 'bigint', int32: 'int', text: 'longtext', 'key-text': `varchar(40) CHARACTER SET utf8mb4 COLLATE ${collation}`, bytes: 'longblob' },
    text: (hex) => (hex === '' ? "''" : `CONVERT(X'${hex}' USING utf8mb4)`),
    bytes: (hex) => `X'${hex}'`,
    analyze: (table) => `ANALYZE TABLE ${table}`,
  };
  describeWith(server, server, () => {
    describeConnector({
      name: server,
      connector: () => connectorFor('mysql://x'),
      where: 'id < 101',
      async fresh() {
        const { url, name: database, query, [Symbol.asyncDispose]: dispose } = await freshDatabase(server);
        // Other tests work on the same server: their tables are not ours.
        const names = async () => (await query(allNames)).map(({ name }) => name!).filter((name) => name.startsWith(`${database}.`));
        return sqlPlace({ url, run: query, names, [Symbol.asyncDispose]: dispose }, dialect);
      },
    });
  });
}
