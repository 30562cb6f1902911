import type { RunState } from '../contract.js';
import type { Ports, RunConfig } from './config.js';
import { openDestination } from './ends.js';

/** Removes all that a run has left: its progress and staging tables in the destination, then its state here. The rows that it copied stay. */
export async function cleanup(state: RunState, config: RunConfig, ports: Ports): Promise<void> {
  await using _lock = await ports.store.lock(state.flow);
  await using destination = await openDestination(config, ports);
  await destination.forget(state.run, state.mappings, ports.signal);
  ports.store.remove(state.run);
}
