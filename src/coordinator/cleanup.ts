import type { RunState } from '../contract.js';
import { DsyncError } from '../errors.js';
import type { Ports, RunConfig } from './config.js';
import { openDestination, openOptions, openSource } from './ends.js';

/** Removes all that a run has left: its progress and staging tables in the destination, what keeps the source's log, then its state here. The rows that it copied stay. */
export async function cleanup(state: RunState, config: RunConfig, ports: Ports): Promise<void> {
  if (state.log?.cutover?.steps.length) throw fenced(state.run);
  await using _lock = await ports.store.lock(state.flow);
  await using destination = await openDestination(config, ports);
  await destination.forget(state.run, state.mappings, ports.signal);
  if (state.log?.pin) await unpin(state, config, ports);
  ports.store.remove(state.run);
}

function fenced(run: string): DsyncError {
  return new DsyncError('refused', `the fence that the cutover of run ${run} raised in the source still stands, and only this run knows of it`, { remedy: `dsync cutover ${run} --abort lifts it` });
}

async function unpin({ run }: RunState, config: RunConfig, ports: Ports): Promise<void> {
  await using source = await openSource(config.source, openOptions(config, ports.signal));
  await source.log?.unpin(run, ports.signal);
}
