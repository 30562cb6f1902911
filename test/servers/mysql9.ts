import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder, findProgram } from './programs.js';
import { sharedFlags, urlOf, versionOf, writeFirstStatements } from './mysql-family.js';
import { run, type Kind, type Program } from './server.js';

/** MySQL as it is installed here (8 or later, and not MariaDB by its older name), or else from Debian's unstable packages. */
export const mysql9: Kind = {
  name: 'mysql9',
  variables: ['DSYNC_TEST_MYSQL9_URL'],
  obtain,
  version: versionOf,
};

async function obtain(): Promise<Program> {
  const installed = await installedMysqld();
  const unpacked = installed ? undefined : join(cacheFolder(), 'mysql9');
  if (unpacked) await unpack(unpacked);
  const server = [...(installed ? [installed] : fromUnpacked(join(unpacked!, 'root'))), ...(process.getuid?.() === 0 ? ['--user=root'] : [])];
  return {
    from: installed ?? 'Debian unstable, unpacked',
    initialise: async (folder) => {
      await writeFirstStatements(folder);
      await run([...server, '--initialize-insecure', `--datadir=${join(folder, 'data')}`], { cwd: folder });
    },
    command: (folder, port, flags) => [
      ...server, ...sharedFlags(folder, port), '--mysqlx=OFF', '--secure-file-priv=NULL',
      '--gtid-mode=ON', '--enforce-gtid-consistency=ON', '--binlog-row-metadata=FULL', ...flags,
    ],
    ready: /ready for connections/,
    stopSignal: 'SIGKILL',
    url: urlOf,
  };
}

async function installedMysqld(): Promise<string | undefined> {
  const program = await findProgram('mysqld');
  if (!program) return undefined;
  const version = await run([program, '--no-defaults', '--version']);
  return !/mariadb/i.test(version) && Number(/Ver (\d+)\./.exec(version)?.[1]) >= 8 ? program : undefined;
}

/** The unpacked tree has libraries of its own, newer than the system's: its own loader finds them. */
function fromUnpacked(root: string): readonly string[] {
  const libraries = join(root, 'usr', 'lib', 'x86_64-linux-gnu');
  return [
    join(libraries, 'ld-linux-x86-64.so.2'), '--library-path', libraries,
    join(root, 'usr', 'sbin', 'mysqld'), '--no-defaults', `--basedir=${join(root, 'usr')}`, `--lc-messages-dir=${join(root, 'usr', 'share', 'mysql')}`,
  ];
}

async function unpack(folder: string): Promise<void> {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('no MySQL 8 or later on the PATH, and Debian has it for Linux on x64 only');
  const done = await access(join(folder, 'done'), constants.F_OK).then(() => true, () => false);
  if (!done) await run(['bash', fileURLToPath(new URL('mysql9-from-debian.sh', import.meta.url)), folder], { seconds: 600 });
}
