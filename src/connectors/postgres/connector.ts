import type { Connector } from '../../contract.js';
import { openDestination } from './destination.js';
import { loginOf } from './login.js';
import { openScratch } from './scratch.js';
import { openSource } from './source.js';

/** `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`, as libpq's users know it. */
export const postgres: Connector = {
  name: 'postgres',
  schemes: ['postgres', 'postgresql'],
  openSource: async (url, options) => openSource(loginOf(url), options),
  openDestination: async (url, options) => openDestination(loginOf(url), options),
  openScratch: (url, name, options) => openScratch(url, name, options),
};
