import { connectorFor } from '../../src/connectors/index.js';
import { describeConnector } from './suite.js';

describeConnector({
  name: 'null',
  connector: () => connectorFor('null:'),
  exceptions: { keepsNothing: 'it takes everything and keeps nothing', takesNull: 'there is nothing that it does not take' },
  fresh: async () => ({
    url: 'null:',
    create: async () => {},
    insert: async () => {},
    update: async () => {},
    remove: async () => {},
    names: async () => [],
    async [Symbol.asyncDispose]() {},
  }),
}, { source: false, destination: true });
