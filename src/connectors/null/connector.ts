import type { Connector } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { destination } from './destination.js';

/** `null:` takes everything and keeps nothing: what remains of a copy without its destination. */
export const nothing: Connector = {
  name: 'null',
  schemes: ['null'],
  async openDestination(url) {
    if (url.toLowerCase() !== 'null:') throw new DsyncError('usage', `null: takes no more than that, not '${url}'`);
    return destination();
  },
};
