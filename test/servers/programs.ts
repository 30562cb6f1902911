import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { run } from './server.js';

/** Where things that took long to get are kept between runs. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dsync-test');
}

/** A program on the PATH, or where systems keep their servers. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    const path = join(folder, name);
    if (folder && await access(path, constants.X_OK).then(() => true, () => false)) return path;
  }
  return undefined;
}

/** Debian's packages, by root only. Chosen without a service, so that nothing is started. */
export async function installPackages(packages: readonly string[]): Promise<void> {
  if (process.getuid?.() !== 0 || !await findProgram('apt-get')) throw new Error(`not installed, and only root can install ${packages[0]} here, with apt-get`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['apt-get', '-q', 'install', '-y', '--no-install-recommends', ...packages];
  await run(install, { env, seconds: 300 }).catch(async () => {
    await run(['apt-get', '-q', 'update'], { env, seconds: 300 });
    await run(install, { env, seconds: 300 });
  });
}
