import type { Connector } from '../../contract.js';
import { addressOf } from './address.js';
import { openDestination } from './destination.js';
import { openScratch } from './scratch.js';
import { openSource } from './source.js';

/** MySQL 8 and later, MariaDB 10.6 and later. */
export const mysql: Connector = {
  name: 'mysql',
  schemes: ['mysql', 'mariadb'],
  openSource: async (url, options) => openSource(addressOf(url), options),
  openDestination: async (url, options) => openDestination(addressOf(url), options),
  openScratch: (url, name, options) => openScratch(url, name, options),
};
