import type { Finding, Mapping, Shape } from '../../contract.js';
import { parseExtendedJson, type Fields } from './json.js';
import { readObjects } from './objects.js';
import { helloOf, ifSupported, type Session } from './session.js';
import { holdsDocuments } from './types.js';

export async function checkSource(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Finding[]> {
  const rights = await rightsOf(session, signal);
  return [
    ...version(session),
    { level: 'info', code: 'fuzzy', message: 'documents that change while they are copied are made equal by the verification at the end, or with --live by their changes' },
    ...shapes.filter((shape) => !rights(shape.schema!, shape.name, 'find')).map((shape) => missingRight(shape, 'read')),
    ...(await Promise.all(shapes.filter(({ view }) => view).map((shape) => withoutId(session, shape, signal)))).flat(),
  ];
}

/** A view may leave `_id` away, by which documents are told apart. */
async function withoutId({ client, attempt }: Session, { schema, name, namespace }: Shape, signal: AbortSignal): Promise<readonly Finding[]> {
  const found = await attempt(`looking into ${namespace}`, signal, () => client.db(schema).collection(name).findOne({ _id: { $exists: false } }, { signal }));
  return found ? [{ level: 'error', code: 'no-id', error: 'refused', namespace, message: `the view ${namespace} shows documents without an _id`, remedy: `leave it out: --exclude '${namespace}'` }] : [];
}

export async function checkDestination(session: Session, mappings: readonly Mapping[], signal: AbortSignal): Promise<readonly Finding[]> {
  const rights = await rightsOf(session, signal);
  const unwritable = ({ target }: Mapping) => !['insert', 'update', 'remove', 'find'].every((action) => rights(target.schema!, target.name, action));
  return [
    ...version(session),
    ...await role(session, signal),
    ...mappings.filter(unwritable).map(({ target }) => missingRight(target, 'readWrite')),
    ...mappings.filter(({ source, target }) => source.engine !== 'mongodb' && !holdsDocuments(target)).flatMap(renamed),
    ...await armed(session, mappings.filter((mapping) => mapping.existed && !unwritable(mapping)).map(({ target }) => target), signal),
  ];
}

/** The longest that a TTL index may wait (manual: core/index-ttl). */
const longestExpiry = 2_147_483_647;

/** TTL indexes of collections that stand already: what they delete is taken for a difference, or comes again. */
async function armed(session: Session, targets: readonly Shape[], signal: AbortSignal): Promise<readonly Finding[]> {
  if (targets.length === 0) return [];
  const { tables } = await readObjects(session, targets, signal);
  return tables.flatMap(({ namespace, indexes }) => indexes.flatMap((index): Finding[] => {
    const seconds = Number((parseExtendedJson(index.native) as Fields).get('expireAfterSeconds') ?? longestExpiry);
    if (seconds >= longestExpiry) return [];
    const { schema, name } = targets.find((target) => target.namespace === namespace)!;
    const set = (to: number) => `db.getSiblingDB(${JSON.stringify(schema)}).runCommand(${JSON.stringify({ collMod: name, index: { name: index.name, expireAfterSeconds: to } })})`;
    return [{ level: 'warning', code: 'ttl-armed', namespace, message: `the TTL index ${index.name} of ${namespace} deletes documents while they are copied`, remedy: `${set(longestExpiry)}; and when the run is done: ${set(seconds)}` }];
  }));
}

function version({ version, hello }: Session): readonly Finding[] {
  return [{ level: 'info', code: 'version', message: `MongoDB ${version}${hello.msg === 'isdbgrid' ? ', a sharded cluster' : hello.setName !== undefined ? `, replica set ${hello.setName}` : ''}` }];
}

async function role(session: Session, signal: AbortSignal): Promise<readonly Finding[]> {
  const hello = await session.attempt('asking for the role', signal, () => helloOf(session.client));
  if (!(hello.isWritablePrimary ?? hello.ismaster)) {
    return [{ level: 'error', code: 'not-primary', message: `${session.hosts} is not the primary: it takes no writes`, remedy: 'name all members and the replica set in the URL: mongodb://A,B,C/DATABASE?replicaSet=NAME' }];
  }
  if (hello.setName !== undefined || hello.msg === 'isdbgrid') return [];
  return [{ level: 'info', code: 'standalone', message: 'a server without a replica set: what it has acknowledged survives its crash, not the loss of its disk' }];
}

type Rights = (database: string, collection: string, action: string) => boolean;

/** What the user may do; everything, where the server asks nobody to log in or does not say. */
async function rightsOf({ client, attempt }: Session, signal: AbortSignal): Promise<Rights> {
  const reply = await attempt('reading the rights', signal, () => ifSupported(client.db('admin').command({ connectionStatus: 1, showPrivileges: true }, { signal })));
  const info = reply?.['authInfo'] as { authenticatedUsers: unknown[]; authenticatedUserPrivileges?: Privilege[] } | undefined;
  if (!info?.authenticatedUserPrivileges || info.authenticatedUsers.length === 0) return () => true;
  const privileges = info.authenticatedUserPrivileges;
  return (database, collection, action) => privileges.some(({ resource, actions }) => actions.includes(action) && covers(resource, database, collection));
}

interface Resource { readonly db?: string; readonly collection?: string; readonly anyResource?: boolean }
interface Privilege { readonly resource: Resource; readonly actions: readonly string[] }

function covers({ db, collection, anyResource }: Resource, database: string, name: string): boolean {
  return anyResource === true || ((db === '' || db === database) && (collection === '' || collection === name));
}

function missingRight({ schema, name, namespace }: Shape, right: string): Finding {
  return {
    level: 'error', code: 'rights', namespace, error: 'denied', message: `the user may not ${right === 'read' ? 'read' : 'write'} ${namespace}`,
    remedy: `db.getSiblingDB('admin').grantRolesToUser(USER, [{ role: '${right}', db: '${schema ?? name}' }])`,
  };
}

function renamed({ source, target }: Mapping): readonly Finding[] {
  const changed = source.columns.flatMap((column, i) => (target.columns[i]!.name === column.name ? [] : [`${column.name} → ${target.columns[i]!.name}`]));
  return changed.length === 0 ? [] : [{ level: 'info', code: 'renamed', namespace: source.namespace, message: `fields get other names than their columns: ${changed.join(', ')}` }];
}
