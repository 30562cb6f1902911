import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram, installPackages } from './programs.js';
import { sharedFlags, urlOf, versionOf, writeFirstStatements } from './mysql-family.js';
import { run, type Kind, type Program } from './server.js';

/** MariaDB as it is installed here, or else by the system's own packages. */
export const mariadb: Kind = {
  name: 'mariadb',
  variables: ['DSYNC_TEST_MARIADB_URL'],
  obtain,
  version: versionOf,
};

async function obtain(): Promise<Program> {
  const installed = await findProgram('mariadbd');
  if (!installed) await installPackages(['mariadb-server-core', 'mariadb-client-core']);
  const server = installed ?? await findProgram('mariadbd');
  const install = await findProgram('mariadb-install-db');
  if (!server || !install) throw new Error('no mariadbd and mariadb-install-db on the PATH');
  const user = process.getuid?.() === 0 ? ['--user=root'] : [];
  return {
    from: installed ? server : 'mariadb-server-core',
    initialise: async (folder) => {
      await mkdir(join(folder, 'data'));
      await writeFirstStatements(folder);
      await run([install, '--no-defaults', `--datadir=${join(folder, 'data')}`, '--auth-root-authentication-method=normal', '--skip-test-db', ...user], { cwd: folder, env: { TMPDIR: folder } });
    },
    command: (folder, port, flags) => [server, '--no-defaults', ...user, ...sharedFlags(folder, port), ...flags],
    ready: /ready for connections/,
    stopSignal: 'SIGKILL',
    url: urlOf,
  };
}
