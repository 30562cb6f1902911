import { DsyncError } from '../errors.js';
import type { Following } from './handlers.js';
import { add } from './resync.js';
import type { Run } from './run.js';

/** What `dsync tables` asks of a run. */
export interface TableRequest { readonly action: 'pause' | 'resume' | 'resync' | 'add'; readonly name: string }

export interface TableAnswer { readonly namespace: string; readonly state: 'paused' | 'resync' }

/** Once it resolves, what was asked is on disk: no crash undoes it. A resync comes after it. */
export async function changeTable(following: Following, { action, name }: TableRequest): Promise<TableAnswer> {
  const { run, apart, lanes } = following;
  if (action === 'add') {
    const namespace = await add(run, apart, name);
    following.resync();
    return { namespace, state: 'resync' };
  }
  const namespace = namespaceOf(run, name), fresh = apart.isFresh(namespace) && { fresh: true };
  if (action === 'resume' && apart.get(namespace)?.state !== 'paused') throw new DsyncError('usage', `${namespace} is not paused`, { namespace, remedy: `dsync tables ${run.id} resync ${namespace} makes it equal anew` });
  apart.set(namespace, action === 'pause' ? { state: 'paused', why: 'by request', ...fresh } : { state: 'resync', why: action === 'resume' ? 'it was paused' : 'by request', ...fresh });
  lanes.drop(namespace);
  await lanes.drain();
  if (action !== 'pause') following.resync();
  return { namespace, state: action === 'pause' ? 'paused' : 'resync' };
}

/** By its full name, or by its last part alone where that names one table. */
function namespaceOf({ mappings, id }: Run, name: string): string {
  const all = mappings.map(({ source }) => source);
  const [found, ...more] = all.some(({ namespace }) => namespace === name) ? [name] : all.filter((shape) => shape.name === name).map(({ namespace }) => namespace);
  if (found !== undefined && more.length === 0) return found;
  throw new DsyncError('usage', found === undefined ? `the run has no table ${name}` : `${name} names several tables: ${[found, ...more].join(', ')}`, { remedy: `dsync status ${id} lists them` });
}
