import { DsyncError } from '../../errors.js';

/** What is made up. Equal settings are equal data, on any machine, for ever. */
export interface Settings {
  readonly namespaces: number;
  readonly rows: number;
  /** About the bytes of a row as COPY text. */
  readonly width: number;
  readonly key: 'int' | 'uuid' | 'text' | 'composite' | 'none';
  readonly seed: number;
  /** Share of nulls in nullable columns, and of hostile text in text columns: 0 to 1. */
  readonly nulls: number;
  readonly unicode: number;
  /** A few common columns, or one of every logical type. */
  readonly types: 'basic' | 'all';
}

type Reader = (text: string) => number | string | undefined;

const readers: Record<keyof Settings, Reader> = {
  namespaces: wholeNumber(1, 10_000),
  rows: wholeNumber(0, 1e12),
  width: wholeNumber(1, 1e9),
  key: oneOf('int', 'uuid', 'text', 'composite', 'none'),
  seed: wholeNumber(0, 0xffffffff),
  nulls: share,
  unicode: share,
  types: oneOf('basic', 'all'),
};

const defaults: Settings = { namespaces: 1, rows: 100_000, width: 160, key: 'int', seed: 1, nulls: 0, unicode: 0, types: 'basic' };

/** The settings of a `generator:` URL. Fails with `usage`. */
export function settingsIn(url: string): Settings {
  const query = /^generator:(?:\/\/)?(?:\?(.*))?$/i.exec(url);
  if (!query) throw new DsyncError('usage', `'${url}' is not generator:?OPTION=VALUE&…`, { remedy: `options: ${Object.keys(readers).join(' ')}` });
  const given = [...new URLSearchParams(query[1] ?? '')].map(([name, text]) => [name, valueOf(name, text)]);
  return { ...defaults, ...Object.fromEntries(given) };
}

function valueOf(name: string, text: string): number | string {
  if (!Object.hasOwn(readers, name)) {
    throw new DsyncError('usage', `generator: has no option '${name}'`, { remedy: `options: ${Object.keys(readers).join(' ')}` });
  }
  const value = readers[name as keyof Settings](text);
  if (value === undefined) throw new DsyncError('usage', `generator: option ${name} can't be '${text}'`);
  return value;
}

function wholeNumber(least: number, most: number): Reader {
  return (text) => (/^\d+$/.test(text) && Number(text) >= least && Number(text) <= most ? Number(text) : undefined);
}

function share(text: string): number | undefined {
  return /^(0|1|[01]?\.\d+)$/.test(text) && Number(text) <= 1 ? Number(text) : undefined;
}

function oneOf(...words: string[]): Reader {
  return (text) => (words.includes(text) ? text : undefined);
}
