import { connectorFor } from '../../src/connectors/index.js';
import { createTable, dropStore, put, storeNamed, tableOf } from '../../src/connectors/memory/store.js';
import { spellKey } from '../../src/source/keys.js';
import { shapeOf, type Sample } from './samples.js';
import { describeConnector } from './suite.js';

let made = 0;

describeConnector({
  name: 'memory',
  connector: () => connectorFor('memory:x'),
  exceptions: { noCondition: 'it has no filter language', takesNull: 'it keeps whatever it is given' },
  async fresh() {
    const name = `conformance-${made++}`, store = storeNamed(name);
    const own = (sample: Sample) => ({ ...shapeOf(sample), namespace: sample.name, schema: undefined, engine: 'memory' });
    return {
      url: `memory:${name}`,
      create: async (sample) => void createTable(store, own(sample), sample.rows),
      insert: async (sample, row) => put(tableOf(store, own(sample)), row),
      update: async (sample, row) => put(tableOf(store, own(sample)), row),
      remove: async (sample, row) => void tableOf(store, own(sample)).rows.delete(spellKey(sample.key.map((i) => row[i]))),
      names: async () => [...store.tables.keys(), ...[...store.staging.keys(), ...store.runs.keys()].map((key) => `_dsync ${key}`)],
      async [Symbol.asyncDispose]() {
        dropStore(name);
      },
    };
  },
});
