import type { Mapping, Shape, Target } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import type { Session } from './session.js';
import { makesSeries, seriesOf } from './timeseries.js';
import { documentColumns, fieldOfColumn, holdsDocuments } from './types.js';

/** The collection for a table or collection. Fails with `refused` where one stands that can't take documents, `usage` without a database. */
export async function collectionFor(session: Session, source: Shape, { schema = session.database, name }: Target, signal: AbortSignal): Promise<Mapping> {
  if (schema === undefined) throw new DsyncError('usage', `no database for ${source.namespace}`, { remedy: 'name one in the URL: mongodb://HOST/DATABASE' });
  const namespace = `${schema}.${name}`;
  refuseName(source, schema, name);
  const existed = await standing(session, schema, name, signal), series = seriesOf(source);
  const place = { namespace, schema, name, engine: 'mongodb' };
  if (series) {
    refuseSeries(session, source, namespace, existed);
    return { source, target: { ...place, columns: source.columns, key: [] }, fidelity: [{ level: 'reshaped', note: 'the fields of a measurement come in the order of their names' }], existed, staged: true };
  }
  if (holdsDocuments(source)) {
    const target: Shape = { ...place, columns: documentColumns, key: [0] };
    return { source, target, fidelity: documentColumns.map(() => ({ level: 'exact' })), existed, staged: false };
  }
  const fields = source.columns.map((column, index) => fieldOfColumn(column, source.key.length === 1 && source.key[0] === index));
  refuseSharedNames(source, fields.map(({ column }) => column.name));
  const target: Shape = { ...place, columns: fields.map(({ column }) => column), key: source.key };
  return { source, target, fidelity: fields.map(({ fidelity }) => fidelity), existed, staged: source.key.length === 0 };
}

/** Does a collection of this name stand? A view, a time series and a capped collection are refused: they lose or refuse rows. */
async function standing({ client, attempt }: Session, schema: string, name: string, signal: AbortSignal): Promise<boolean> {
  const infos = await attempt(`looking for ${schema}.${name}`, signal, () => client.db(schema).listCollections({ name }, { signal }).toArray());
  const found = infos.find((info) => info.name === name);
  if (!found) return false;
  const { type = 'collection', options } = found as { readonly type?: string; readonly options?: { readonly capped?: boolean } };
  const unfit = type !== 'collection' ? `a ${type}` : options?.capped === true ? 'a capped collection' : undefined;
  if (unfit) throw new DsyncError('refused', `${schema}.${name} is ${unfit}: it does not take these rows`, { remedy: 'choose another name: --namespace SOURCE:TARGET' });
  return true;
}

function refuseSeries(session: Session, { namespace: from }: Shape, namespace: string, existed: boolean): void {
  if (existed) throw new DsyncError('refused', `${namespace} is a collection, and ${from} a time series`, { namespace: from, remedy: `choose another name: --namespace '${from}:NAME'` });
  if (!makesSeries(session)) throw new DsyncError('refused', `${from} is a time series: MongoDB ${session.version} makes none of staged documents, 7.0.3 does`, { namespace: from, remedy: `leave it out: --exclude '${from}'` });
}

const longestName = 235;

function refuseName(source: Shape, schema: string, name: string): void {
  const wrong = /[/\\. "$*<>:|?\0]/.test(schema) || Buffer.byteLength(schema) > 63 ? `'${schema}' can't be the name of a database`
    : name === '' || /[$\0]/.test(name) || name.startsWith('system.') || name.startsWith('.') || name.endsWith('.') || name.includes('..') || Buffer.byteLength(`${schema}.${name}`) > longestName
      ? `'${name}' can't be the name of a collection` : undefined;
  if (wrong) throw new DsyncError('refused', `${source.namespace}: ${wrong} on MongoDB`, { remedy: `choose another: --namespace '${source.namespace}:NAME'` });
}

function refuseSharedNames(source: Shape, names: readonly string[]): void {
  const unfit = source.columns.filter((_, i) => names.indexOf(names[i]!) !== i || names[i]!.includes('\0'));
  if (unfit.length > 0) throw new DsyncError('refused', `${source.namespace}: ${unfit.map(({ name }) => name).join(', ')} can't be the name of a field on MongoDB, or would be that of another column's`);
}
