import { describe, expect, test } from 'vitest';
import { connectors } from '../../src/connectors/index.js';
import { applyingPromises } from './applying.js';
import { destinationPromises } from './destination-promises.js';
import { sourcePromises } from './source-promises.js';
import type { Subject } from './subject.js';

/** Holds a connector to every promise of the roles that it plays. */
export function describeConnector(subject: Subject, roles: { readonly source: boolean; readonly destination: boolean } = { source: true, destination: true }): void {
  describe(`${subject.name} keeps the contract`, () => {
    test('and plays the roles that are tested', async () => {
      const connector = await subject.connector();
      expect([connector.openSource !== undefined, connector.openDestination !== undefined]).toEqual([roles.source, roles.destination]);
      const entry = connectors.find(({ name }) => name === connector.name);
      expect(entry?.schemes).toEqual(connector.schemes);
    });
    for (const [reason, what] of Object.entries(subject.exceptions ?? {})) test.skip(`${reason}: ${what}`);
    if (roles.source) sourcePromises(subject);
    if (roles.destination) destinationPromises(subject);
    if (roles.destination) applyingPromises(subject);
  });
}
