import type { Connector } from '../../contract.js';
import { mongodbDestination } from './destination.js';
import { openScratch } from './scratch.js';
import { connect } from './session.js';
import { mongodbSource } from './source.js';

/** MongoDB, documents as bytes both ways. URLs are the driver's own: `mongodb://USER:PASSWORD@HOST/DATABASE?tls=true&tlsCAFile=…`. */
export const mongodb: Connector = {
  name: 'mongodb',
  schemes: ['mongodb', 'mongodb+srv'],
  openSource: async (url, options) => mongodbSource(await connect(url, options, 'source-lost'), options),
  openDestination: async (url, options) => mongodbDestination(await connect(url, options, 'connection-lost')),
  openScratch: (url, name, options) => openScratch(url, name, options),
};
