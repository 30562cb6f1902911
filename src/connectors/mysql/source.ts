import type { OpenOptions, Shape, Source } from '../../contract.js';
import { isOwn, selects } from '../../source/selection.js';
import type { Address } from './address.js';
import { readTables } from './catalogue.js';
import { checkSource } from './check.js';
import { lostAs } from './faults.js';
import { fenceOf } from './fence.js';
import { identityOf } from './identity.js';
import { changeLog } from './log.js';
import { readObjects } from './schema.js';
import { sequences } from './sequences.js';
import { connect, type Session } from './session.js';
import { sourceSettings } from './settings.js';
import { openSnapshot } from './snapshot.js';

const defaultBatchRows = 100_000;

export async function openSource(address: Address, options: OpenOptions): Promise<Source> {
  const open = (signal: AbortSignal) => connect({ address, settings: sourceSettings, lostAs: 'source-lost' }, signal);
  const control = await open(options.signal);
  const limits = { batchBytes: options.batchBytes, batchRows: options.batchRows ?? defaultBatchRows };
  const shapesOf = async (views: boolean, signal: AbortSignal) => (await readTables(control, { schema: address.database, views }, signal)).map((table) => table.shape);

  const snapshot: Source['snapshot'] = async (shapes, signal) => {
    const sessions = await openAll(options.connections + 1, (inner) => open(inner).catch(lostAs('source-lost')), signal);
    try {
      const [lock, ...readers] = sessions;
      return await openSnapshot(shapes, { readers, control: lock, limits, server: await identityOf(control, undefined, signal) }, signal);
    } catch (error) {
      for (const session of sessions) session.destroy();
      throw error;
    }
  };

  return {
    engine: control.version.flavour,
    version: control.version.text,
    ...(address.database !== undefined && { defaultSchema: address.database }),
    identity: (signal) => identityOf(control, address.database, signal),
    check: (shapes, signal) => checkSource(control, shapes, signal),
    async shapes(selection, signal) {
      const selected = selects(selection);
      return (await shapesOf(selection.views === true, signal)).filter((shape) => !isOwn(shape.name) && selected(shape.namespace)).sort(byNamespace);
    },
    objects: (shapes, signal) => readObjects(control, shapes, signal),
    formats: () => ['delimited', 'values'],
    snapshot,
    fence: fenceOf(open),
    sequences: (shapes, signal) => sequences(control, shapes, signal),
    log: changeLog({ control, identity: (signal) => identityOf(control, address.database, signal), open: (signal) => open(signal).catch(lostAs('source-lost')), snapshot }),
    [Symbol.asyncDispose]: () => control.close(),
  };
}

async function openAll(count: number, open: (signal: AbortSignal) => Promise<Session>, signal: AbortSignal): Promise<Session[]> {
  const opened = await Promise.allSettled(Array.from({ length: count }, () => open(signal)));
  const failed = opened.find((result) => result.status === 'rejected');
  const sessions = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  if (!failed) return sessions;
  for (const session of sessions) session.destroy();
  throw failed.reason;
}

function byNamespace(a: Shape, b: Shape): number {
  return a.namespace < b.namespace ? -1 : a.namespace > b.namespace ? 1 : 0;
}
