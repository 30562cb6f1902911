import type { Finding, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import { isSharded, oplogHours } from './oplog.js';
import type { Reach } from './places.js';
import type { Session } from './session.js';

/** An oplog that is shorter may be overtaken by a large copy. */
const shortHours = 24;

/** May the changes of these collections be followed? `reachOf` opens the streams that would be, and closes them again. */
export async function checkLog(session: Session, shapes: readonly Shape[], reachOf: (signal: AbortSignal) => Promise<Reach>, signal: AbortSignal): Promise<readonly Finding[]> {
  const series = shapes.filter(({ key }) => key.length === 0);
  if (series.length > 0) return series.map(unfollowed);
  const routers = severalRouters(session);
  if (routers) return [routers];
  return [await streamFinding(shapes, reachOf, signal), ...await oplogFindings(session, signal), lookedUp];
}

const lookedUp: Finding = { level: 'info', code: 'looked-up', message: 'updated documents are looked up by the server as their events are read: changeStreamPreAndPostImages is not needed' };

/** Manual: core/timeseries/timeseries-limitations. */
function unfollowed({ namespace }: Shape): Finding {
  return { level: 'error', code: 'time-series', error: 'refused', namespace, message: `${namespace} is a time series: MongoDB has no change streams of those`, remedy: `leave it out: --exclude '${namespace}'; and copy it by itself: --namespace '${namespace}', without --live` };
}

/** A cursor lives on one of them, and the driver would ask any. */
function severalRouters(session: Session): Finding | undefined {
  const { hosts, srvHost, loadBalanced } = session.client.options;
  if (!isSharded(session) || (hosts.length === 1 && srvHost === undefined && !loadBalanced)) return undefined;
  return { level: 'error', code: 'several-routers', message: `the URL names several mongos (${session.hosts}): a change stream stays with one of them`, remedy: 'name a single mongos in the URL: mongodb://USER:PASSWORD@MONGOS/DATABASE' };
}

async function streamFinding(shapes: readonly Shape[], reachOf: (signal: AbortSignal) => Promise<Reach>, signal: AbortSignal): Promise<Finding> {
  try {
    const reach = await reachOf(signal);
    const what = reach === 'deployment' ? 'one change stream of all databases' : reach === 'database' ? `one change stream of ${shapes[0]!.schema}` : shapes.length === 1 ? `a change stream of ${shapes[0]!.namespace}` : `${shapes.length} change streams, one of each collection`;
    return { level: 'info', code: 'stream', message: `changes come by ${what}` };
  } catch (error) {
    if (!(error instanceof DsyncError) || signal.aborted) throw error;
    if (error.code === 'denied') return { level: 'error', code: 'stream-rights', error: 'denied', message: error.message, remedy: rightsFor(shapes) };
    if (error.code === 'not-ready') return { level: 'error', code: 'standalone', message: error.message, remedy: error.remedy };
    throw error;
  }
}

/** A role with the least that the widest stream needs. */
function rightsFor(shapes: readonly Shape[]): string {
  const databases = [...new Set(shapes.map(({ schema }) => schema!))], [only] = databases;
  const resource = databases.length > 1 ? { db: '', collection: '' } : { db: only!, collection: shapes.length === 1 ? shapes[0]!.name : '' };
  const role = { createRole: 'dsyncLive', privileges: [{ resource, actions: ['find', 'changeStream'] }], roles: [] };
  return `db.getSiblingDB('admin').runCommand(${JSON.stringify(role)}); db.getSiblingDB('admin').grantRolesToUser(USER, ['dsyncLive'])`;
}

async function oplogFindings(session: Session, signal: AbortSignal): Promise<Finding[]> {
  const hours = await oplogHours(session, signal);
  if (hours === undefined) return [{ level: 'info', code: 'oplog', message: 'how far the oplog reaches back can\'t be read: that needs the right to read the database local' }];
  const message = `the oplog reaches ${hours.toFixed(1)} h back`;
  return [hours >= shortHours ? { level: 'info', code: 'oplog', message } : { level: 'warning', code: 'oplog', message: `${message}: a copy that takes longer can't be followed by its changes`, remedy: 'db.adminCommand({ replSetResizeOplog: 1, minRetentionHours: 48 })' }];
}
