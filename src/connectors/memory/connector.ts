import type { Connector } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { destination } from './destination.js';
import { source } from './source.js';
import { storeNamed } from './store.js';

/** `memory:NAME`: a database in this process's memory, for tests of everything between two ends. */
export const memory: Connector = {
  name: 'memory',
  schemes: ['memory'],
  openSource: async (url, options) => source(storeNamed(nameIn(url)), options),
  openDestination: async (url) => destination(storeNamed(nameIn(url))),
};

function nameIn(url: string): string {
  const name = /^memory:([\w.-]+)$/i.exec(url)?.[1];
  if (name === undefined) throw new DsyncError('usage', `'${url}' names no store`, { remedy: 'write memory:NAME' });
  return name;
}
