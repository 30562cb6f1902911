import { resolve } from 'node:path';
import { DsyncError } from './errors.js';

/**
 * The one place that knows where passwords stand in URLs. Names in `${…}` are no secrets: they stay as they are written.
 * `scheme://user:password@hosts/path?query`; a URL without hosts (`sqlite:FILE`) has no user either.
 */
interface Parts {
  /** With its `://`, or its colon. */
  readonly scheme: string;
  readonly user?: string;
  readonly password?: string;
  /** Hosts and path. */
  readonly place: string;
  /** Between `?` and `#`, undecoded. */
  readonly query: readonly string[];
  readonly fragment: string;
}

const withAuthority = /^([a-z][a-z0-9+.-]*:\/\/)(?:([^/?#]*)@)?([^?#]*)(?:\?([^#]*))?(#.*)?$/is;
const withoutAuthority = /^([a-z][a-z0-9+.-]*:)()([^?]*)(?:\?(.*))?()$/is;
const hostless = /^(sqlite|file|generator|memory|null):/i;
const secretName = /passw|passphrase|pwd|secret|token/i;
const name = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g;
const onlyNames = /^(\$\{[A-Za-z_][A-Za-z0-9_]*\})*$/;
export type End = 'source' | 'destination';

/**
 * The URL with each `${NAME}` replaced from the environment; in the user and password by its percent-encoded value, so
 * that the variable holds the password itself. Fails with `usage` when a variable is missing.
 */
export function expanded(written: string, env: Readonly<Record<string, string | undefined>>, end: End): string {
  checkNames(written, end);
  const authority = hostless.test(written) ? '' : /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*@/i.exec(written)?.[0] ?? '';
  const value = (variable: string) => env[variable] ?? fail(`the ${end} URL uses \${${variable}}, but the environment has no ${variable}`, `export ${variable}=…`);
  const url = authority.replace(name, (_, variable: string) => encodeURIComponent(value(variable)))
    + written.slice(authority.length).replace(name, (_, variable: string) => value(variable));
  if (isAmbiguous(url)) fail(`the ${end} URL can't be read: there is an @ behind its first / ? or #`, 'write / as %2F, ? as %3F, # as %23 and @ as %40 in user and password, or write the password as ${NAME}');
  return url;
}

/** The URL without its password and other secrets: good to print, to log and to store. */
export function withoutSecrets(url: string): string {
  if (isAmbiguous(url)) return `${/^[a-z][a-z0-9+.-]*:\/\//i.exec(url)?.[0] ?? ''}***`;
  const parts = partsOf(url);
  if (!parts) return url;
  return joined({ ...parts, password: keptName(parts.password), query: parts.query.filter((pair) => !isSecret(pair)) });
}

/** Which literal secrets the URL would lose in the state: none, its password, or some that only a new URL can bring back. */
export function literalSecrets(written: string): 'none' | 'password' | 'other' {
  const parts = partsOf(written);
  if (parts?.query.some((pair) => isSecret(pair) && nameOf(pair) !== 'password')) return 'other';
  const password = parts?.password ?? parts?.query.find(isSecret);
  return password && keptName(password) === undefined ? 'password' : 'none';
}

/** The URL with this password, if it names a user and has no password yet. */
export function withPassword(url: string, password: string): string {
  const parts = partsOf(url);
  return parts?.user && parts.password === undefined ? joined({ ...parts, password: encodeURIComponent(password) }) : url;
}

export function hasPassword(url: string): boolean {
  const parts = partsOf(url);
  return parts?.password !== undefined || parts?.query.some((pair) => nameOf(pair) === 'password') === true;
}

export function schemeOf(url: string): string {
  return /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1].toLowerCase() ?? '';
}

/** A file's path made absolute, so that `resume` finds it from anywhere. */
export function absolute(url: string, folder: string): string {
  const [, scheme, slashes, path, query] = /^(sqlite:|file:)(\/\/)?(?!\/|:memory:)([^?]+)(\?.*)?$/is.exec(url) ?? [];
  return path ? `${scheme}${resolve(folder, slashes ? decoded(path) : path)}${query ?? ''}` : url;
}

/** Blots the secrets of these URLs out of any text, whoever wrote it, and passwords of other URLs as far as they look like one. */
export function scrubber(urls: readonly string[]): (text: string) => string {
  const secrets = [...new Set(urls.flatMap(secretsOf))].sort((a, b) => b.length - a.length);
  return (text) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text.replace(/(:\/\/[^\s:@/?#]*):(?!\*\*\*@|\$\{)[^\s@/]+@/g, '$1:***@'));
}

// A secret of a few letters, or one that stands openly in the rest of the URL, would only make the text unreadable.
function secretsOf(url: string): readonly string[] {
  const open = withoutSecrets(url);
  const spellings = rawSecretsOf(url).flatMap((text) => [text, decoded(text), encodeURIComponent(decoded(text))]).flatMap((text) => [text, JSON.stringify(text).slice(1, -1)]);
  return spellings.filter((text) => text.length > 3 && !open.includes(text));
}

function rawSecretsOf(url: string): readonly string[] {
  if (isAmbiguous(url)) return [url.slice(url.indexOf(':', url.indexOf('//')) + 1, url.lastIndexOf('@'))];
  const parts = partsOf(url);
  return [...(parts?.password === undefined ? [] : [parts.password]), ...(parts?.query.filter(isSecret).map(valueOf) ?? [])];
}

function partsOf(url: string): Parts | undefined {
  const found = (hostless.test(url) ? null : withAuthority.exec(url)) ?? withoutAuthority.exec(url);
  if (!found) return undefined;
  const [, scheme, userinfo, place, query, fragment] = found;
  const colon = userinfo?.indexOf(':') ?? -1;
  return {
    scheme, place, fragment: fragment ?? '', query: query ? query.split('&') : [],
    ...(userinfo ? { user: colon < 0 ? userinfo : userinfo.slice(0, colon) } : {}),
    ...(userinfo && colon >= 0 ? { password: userinfo.slice(colon + 1) } : {}),
  };
}

function joined({ scheme, user, password, place, query, fragment }: Parts): string {
  const userinfo = user === undefined ? '' : `${user}${password === undefined ? '' : `:${password}`}@`;
  return `${scheme}${userinfo}${place}${query.length > 0 ? `?${query.join('&')}` : ''}${fragment}`;
}

function isSecret(pair: string): boolean {
  return (secretName.test(nameOf(pair)) || /token:/i.test(decoded(valueOf(pair)))) && keptName(valueOf(pair)) === undefined;
}

function nameOf(pair: string): string {
  return decoded(pair.split('=', 1)[0]);
}

function valueOf(pair: string): string {
  return pair.slice(pair.indexOf('=') + 1);
}

function keptName(secret: string | undefined): string | undefined {
  return secret !== undefined && onlyNames.test(secret) ? secret : undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** An unencoded / ? or # in a password ends the authority too early: what follows it may be secret. */
function isAmbiguous(url: string): boolean {
  const [, authority, rest] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)(.*)$/is.exec(url) ?? [];
  if (authority === undefined || hostless.test(url) || authority.includes('@') || !rest.includes('@')) return false;
  const [path] = rest.split('?', 1);
  return path.includes('@') || nameOf(rest.slice(path.length + 1)).includes('@') || /:(?!\d*(,|$))[^\]]*$/.test(authority);
}

function checkNames(written: string, end: End): void {
  if (written.replace(name, '').includes('${')) fail(`the ${end} URL has a \${…} that is not the name of an environment variable`, 'write ${NAME}, with letters, digits and _');
}

function fail(message: string, remedy: string): never {
  throw new DsyncError('usage', message, { remedy });
}
