import { DsyncError } from '../errors.js';
import type { StoredConfig } from './config.js';
import { keyCheck } from '../values/mask.js';
import type { Surroundings } from './surroundings.js';
import { absolute, expanded, hasPassword, schemeOf, withoutSecrets, withPassword, type End } from '../url.js';

const driverVariables: Readonly<Record<string, string>> = { postgres: 'PGPASSWORD', postgresql: 'PGPASSWORD', mysql: 'MYSQL_PWD', mariadb: 'MYSQL_PWD' };

/** `DSYNC_SOURCE_PASSWORD` */
export function passwordVariable(end: End): string {
  return `DSYNC_${end.toUpperCase()}_PASSWORD`;
}

/** A URL without a password gets the one in the environment: dsync's own variable for this end, or that of the engine. */
export function withKnownPassword(url: string, env: Surroundings['env'], end: End): string {
  const password = env[passwordVariable(end)] ?? env[driverVariables[schemeOf(url)] ?? ''];
  return password === undefined ? url : withPassword(url, password);
}

/** A URL as it was given, with all that the environment adds to it. */
export function connectable(written: string, env: Surroundings['env'], end: End, folder: string): string {
  return withKnownPassword(absolute(expanded(written, env, end), folder), env, end);
}

/** The URL of a stored end with its password, which the state never held: from the environment, or from whoever sits there. */
export async function recalled(config: StoredConfig, end: End, run: string, { env, ask }: Pick<Surroundings, 'env' | 'ask'>, signal: AbortSignal): Promise<string> {
  const url = withKnownPassword(expanded(config[end], env, end), env, end);
  if (config.secrets[end] === 'other') throw forgotten(end, run, 'secrets', `give the URL again: dsync resume ${run} --${end} URL`);
  if (config.secrets[end] === 'none' || hasPassword(url)) return url;
  if (!ask) throw forgotten(end, run, 'password', `set ${passwordVariable(end)} and run it again, or give the URL again with --${end} URL`);
  return withPassword(url, await ask(`Password for the ${end} ${withoutSecrets(url)}: `, signal));
}

/** Where the key of hashes is read from, unless the user says otherwise. */
const usualKey = '${DSYNC_MASK_KEY}';

/** The key of hashes, and what may be kept of it; undefined where nothing is hashed. `given`: as it was written, `${NAME}` and all. */
export function maskKeyOf(mask: StoredConfig['mask'], given: string | undefined, env: Surroundings['env']): { readonly key: string; readonly stored: NonNullable<StoredConfig['maskKey']> } | undefined {
  if (!Object.values(mask ?? {}).includes('hash')) return undefined;
  const written = given ?? usualKey, key = written.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, variable: string) => env[variable] ?? noKey(variable));
  if (key === '') noKey('DSYNC_MASK_KEY');
  return { key, stored: { ...(/^\$\{\w+\}$/.test(written) && { from: written }), check: keyCheck(key) } };
}

/** The key of a stored run: hashes of two keys would not meet. */
export function recalledKey({ mask, maskKey }: StoredConfig, given: string | undefined, run: string, env: Surroundings['env']): string | undefined {
  const found = maskKeyOf(mask, given ?? maskKey?.from, env);
  if (found && maskKey && found.stored.check !== maskKey.check) throw new DsyncError('usage', `this is not the key that run ${run} began with: what it hashed would no longer be the same`, { remedy: 'give the same key: DSYNC_MASK_KEY or --mask-key' });
  return found?.key;
}

function noKey(variable: string): never {
  throw new DsyncError('usage', `--mask hash needs a key, and the environment has no ${variable}`, { remedy: `export ${variable}=…, or give --mask-key '\${NAME}'; the same key makes the same hashes` });
}

function forgotten(end: End, run: string, what: string, remedy: string): DsyncError {
  return new DsyncError('usage', `run ${run} needs the ${what} of its ${end} again: dsync keeps none`, { remedy });
}
