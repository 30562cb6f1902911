import type { Connector } from '../../contract.js';
import { settingsIn } from './settings.js';
import { source } from './source.js';

/** `generator:?rows=1000&key=uuid`: a source whose rows are computed, for tests and measurements. */
export const generator: Connector = {
  name: 'generator',
  schemes: ['generator'],
  openSource: async (url, options) => source(settingsIn(url), options),
};
