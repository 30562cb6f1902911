import type { Onlooker, Ports, RunConfig } from '../coordinator/config.js';
import type { Session, Store } from './perform.js';

interface Transfer {
  /** With URLs that can be connected to. */
  readonly config: RunConfig;
  readonly onlooker: Onlooker;
  /** Opens the state. */
  readonly ports: () => Promise<Ports & { readonly store: Store }>;
}

/** What sync, plan, verify and doctor need. An optional destination that isn't given is the empty text. */
export async function transferOf(session: Session, { destination }: { readonly destination: 'needed' | 'optional' } = { destination: 'needed' }): Promise<Transfer> {
  const [{ needed, runConfigOf, storedConfigOf }, { connectable, maskKeyOf }, { flowId }] = await Promise.all([import('./config.js'), import('./passwords.js'), import('../state/flow.js')]);
  const { settings, around: { env, folder } } = session;
  const alone = destination === 'optional' && settings.destination === undefined;
  const stored = storedConfigOf(alone ? { ...settings, destination: '' } : settings, folder);
  const urls = {
    source: connectable(needed(settings, 'source'), env, 'source', folder),
    destination: alone ? '' : connectable(needed(settings, 'destination'), env, 'destination', folder),
  };
  session.hide(urls.source, urls.destination);
  const key = maskKeyOf(stored.mask, settings.maskKey, env), config = runConfigOf(stored, { ...urls, ...(key && { maskKey: key.key }) });
  const flow = flowId(config);
  return { config, onlooker: session.onlooker(flow), ports: () => session.ports(flow, { ...stored, ...(key && { maskKey: key.stored }) }) };
}
