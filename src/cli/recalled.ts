import type { RunState } from '../contract.js';
import type { Ports, RunConfig } from '../coordinator/config.js';
import { paceOf, restoredConfig, runConfigOf, writtenAnew, type StoredConfig } from './config.js';
import { connectable, recalled, recalledKey } from './passwords.js';
import type { Session } from './perform.js';
import { defaults, type Settings } from './settings.js';
import type { End } from '../url.js';

/** A stored run as it goes on now: its own configuration, at another pace if one is given, with passwords found anew. `reads`: rows are read, which may take the key of hashes. */
export async function recalledRun(session: Session, state: RunState, { reads } = { reads: true }): Promise<{ config: RunConfig; ports: Ports }> {
  const { settings, around } = session;
  const stored = writtenAnew({ ...restoredConfig(state.run, state.config), ...newPace(settings) }, settings, around.folder);
  const urlOf = async (end: End) => {
    const given = settings[end];
    const url = given === undefined ? await recalled(stored, end, state.run, around, session.signal) : connectable(given, around.env, end, around.folder);
    session.hide(url);
    return url;
  };
  const urls = { source: await urlOf('source'), destination: await urlOf('destination') };
  const maskKey = reads ? recalledKey(stored, settings.maskKey, state.run, around.env) : undefined;
  return { config: runConfigOf(stored, { ...urls, ...(maskKey !== undefined && { maskKey }) }), ports: await session.ports(state.flow, stored) };
}

function newPace(settings: Settings): Partial<StoredConfig> {
  const { concurrency, memoryBytes, ...rest } = paceOf({ ...defaults, ...settings });
  return {
    ...(settings.concurrency !== undefined && { concurrency }), ...(settings.memory !== undefined && { memoryBytes }), ...rest,
    ...(settings.verify !== undefined && { verify: settings.verify }), ...(settings.maxRetained !== undefined && { maxRetainedBytes: settings.maxRetained }),
    ...(settings.maxRejects !== undefined && { maxRejects: settings.maxRejects }),
  };
}
