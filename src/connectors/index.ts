import type { Connector } from '../contract.js';
import { DsyncError } from '../errors.js';

/** A line of the registry. The connector, and with it its driver, is loaded when a URL first names it. */
export interface Entry {
  readonly name: string;
  /** URL schemes, without the colon. */
  readonly schemes: readonly string[];
  load(): Promise<Connector>;
}

export const connectors: readonly Entry[] = [
  { name: 'postgres', schemes: ['postgres', 'postgresql'], load: async () => (await import('./postgres/connector.js')).postgres },
  { name: 'mysql', schemes: ['mysql', 'mariadb'], load: async () => (await import('./mysql/connector.js')).mysql },
  { name: 'mongodb', schemes: ['mongodb', 'mongodb+srv'], load: async () => (await import('./mongodb/connector.js')).mongodb },
  { name: 'sqlite', schemes: ['sqlite'], load: async () => (await import('./sqlite/connector.js')).sqlite },
  { name: 'generator', schemes: ['generator'], load: async () => (await import('./generator/connector.js')).generator },
  { name: 'memory', schemes: ['memory'], load: async () => (await import('./memory/connector.js')).memory },
  { name: 'null', schemes: ['null'], load: async () => (await import('./null/connector.js')).nothing },
];

/** The connector for a URL; fails with `usage` where its scheme is not known. */
export async function connectorFor(url: string): Promise<Connector> {
  const scheme = schemeOf(url);
  const entry = connectors.find(({ schemes }) => scheme !== undefined && schemes.includes(scheme));
  if (!entry) throw unknownScheme(url, scheme);
  return entry.load();
}

function schemeOf(url: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1].toLowerCase();
}

function unknownScheme(url: string, scheme: string | undefined): DsyncError {
  const known = connectors.flatMap(({ schemes }) => schemes).map((name) => `${name}:`).join(' ');
  if (looksLikeSqliteFile(url, scheme)) {
    return new DsyncError('usage', `'${url}' has no URL scheme`, { remedy: `did you mean sqlite:${url}` });
  }
  // What has no known scheme may hold a password anywhere: only the scheme is repeated.
  const what = scheme === undefined ? 'a source or destination is a URL that begins with its scheme' : `unknown URL scheme '${scheme}:'`;
  return new DsyncError('usage', what, { remedy: `known schemes: ${known}` });
}

function looksLikeSqliteFile(url: string, scheme: string | undefined): boolean {
  return scheme === undefined && !url.includes('@') && /\.(db|sqlite3?)$/i.test(url);
}
