import type { Collection } from 'mongodb';
import pLimit from 'p-limit';
import type { Batch, Finding, OpenOptions, ReadJob, Row, ScanJob, Selection, Shape, Snapshot, Source, Task } from '../../contract.js';
import { isOwn, selects } from '../../source/selection.js';
import { decodeRows } from '../../values/bson.js';
import { checkSource } from './check.js';
import { identityOf } from './identity.js';
import { readObjects, seriesOptions } from './objects.js';
import { exactIdText } from './frames.js';
import { exact } from './json.js';
import { changeLog } from './log.js';
import type { Time } from './places.js';
import { filterOf, tasksAt } from './ranges.js';
import { replies } from './replies.js';
import { ifSupported, type Session } from './session.js';
import { inOrderOfNames, measurementColumns, seriesOf } from './timeseries.js';
import { documentColumns } from './types.js';

/** For each task this many `_id`s are sampled, and at most this share of the collection, beyond which MongoDB scans it. */
const samplesPerTask = 20, largestSample = 0.04;
const samplingAttempts = 4;

export function mongodbSource(session: Session, options: OpenOptions): Source {
  let leftOut: readonly Finding[] = [];
  return {
    engine: 'mongodb',
    version: `MongoDB ${session.version}`,
    ...(session.database !== undefined && { defaultSchema: session.database }),
    identity: (signal) => identityOf(session, signal),
    async check(shapes, signal) {
      return [...await checkSource(session, shapes, signal), ...leftOut];
    },
    async shapes(selection, signal) {
      const found = await collections(session, selection, signal);
      leftOut = found.filter(({ type }) => !readable.has(type) && type !== 'view').map(leftOutFinding);
      const limit = pLimit(options.connections);
      const shapes = await Promise.all(found.filter(({ type }) => readable.has(type) || (type === 'view' && selection.views)).map((one) => limit(() => shapeOf(session, one, signal))));
      return shapes.sort((a, b) => (a.namespace < b.namespace ? -1 : 1));
    },
    objects: (shapes, signal) => readObjects(session, shapes, signal),
    formats: () => ['bson'],
    unfenced,
    log: changeLog(session, (from) => fuzzySnapshot(session, options, from)),
    snapshot: async () => fuzzySnapshot(session, options),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

/** docs/cutover.md has more of it. */
const unfenced: NonNullable<Source['unfenced']> = {
  why: "MongoDB can't refuse writers of some collections: a validator lets deletes pass, and a lock or a write block stops every database of the deployment",
  remedy: "stop the applications; or revokeRolesFromUser for their users; or, where all databases may stand still, db.adminCommand({ setUserWriteBlockMode: 1, global: true }) (MongoDB 6.0)",
};

const readable = new Set(['collection', 'timeseries']);

interface Found { readonly schema: string; readonly name: string; readonly namespace: string; readonly type: string }

async function collections(session: Session, selection: Selection, signal: AbortSignal): Promise<readonly Found[]> {
  const selected = selects(selection);
  const lists = (await databases(session, signal)).map((schema) => session.attempt(`listing the collections of ${schema}`, signal, async () => {
    const infos = await session.client.db(schema).listCollections({}, { nameOnly: true, authorizedCollections: true, signal }).toArray();
    return infos.map(({ name, type = 'collection' }) => ({ schema, name, namespace: `${schema}.${name}`, type }));
  }));
  return (await Promise.all(lists)).flat().filter(({ name, namespace }) => !name.startsWith('system.') && !isOwn(name) && selected(namespace));
}

async function databases({ client, database, attempt }: Session, signal: AbortSignal): Promise<readonly string[]> {
  if (database !== undefined) return [database];
  const { databases } = await attempt('listing the databases', signal, () => client.db('admin').command({ listDatabases: 1, nameOnly: true, authorizedDatabases: true }, { signal }));
  const system = new Set(['admin', 'config', 'local']);
  return (databases as { name: string }[]).map(({ name }) => name).filter((name) => !system.has(name) && !isOwn(name));
}

function leftOutFinding({ namespace, type }: Found): Finding {
  return { level: 'warning', code: 'not-a-collection', namespace, message: `${namespace} is a ${type}, not a collection: it is left out` };
}

async function shapeOf(session: Session, { schema, name, namespace, type }: Found, signal: AbortSignal): Promise<Shape> {
  // A view has no statistics. Its documents go by their `_id`, as all others do.
  if (type === 'view') return { namespace, schema, name, engine: 'mongodb', view: 'plain', columns: documentColumns, key: [0] };
  const { count, size } = await sizeOf(session, schema, name, signal);
  const kind = type === 'timeseries' ? { columns: measurementColumns(exact(await seriesOptions(session, schema, name, signal))), key: [] } : { columns: documentColumns, key: [0] };
  return {
    namespace, schema, name, engine: 'mongodb', ...kind,
    ...(count !== undefined && { estimatedRows: count }),
    ...(size !== undefined && { estimatedBytes: size }),
  };
}

/** From the collection's own statistics; nothing where the user may not see them. */
async function sizeOf({ client, attempt }: Session, schema: string, name: string, signal: AbortSignal): Promise<{ readonly count?: number; readonly size?: number }> {
  return attempt(`reading the size of ${schema}.${name}`, signal, async () => {
    const stats = await ifSupported(client.db(schema).command({ collStats: name }, { signal }));
    if (typeof stats?.['count'] === 'number' && typeof stats['size'] === 'number') return { count: stats['count'], size: stats['size'] };
    return { count: await ifSupported(client.db(schema).collection(name).estimatedDocumentCount()) };
  });
}

/** `from`: nothing is read as it was before that moment, or that could still be rolled back. */
function fuzzySnapshot(session: Session, options: OpenOptions, from?: Time): Snapshot {
  return {
    moment: { at: new Date().toISOString(), exact: false, how: 'fuzzy: MongoDB keeps a snapshot for minutes only, so each document is read as it is when its turn comes' },
    plan: (shape, { taskBytes }, signal) => plan(session, shape, taskBytes, signal),
    read: (job, signal) => read(session, options, job, signal, from),
    parts: async () => [{}],
    scan: (job, signal) => scan(session, options, job, signal, from),
    [Symbol.asyncDispose]: async () => {},
  };
}

async function plan(session: Session, shape: Shape, taskBytes: number, signal: AbortSignal): Promise<readonly Task[]> {
  const wanted = Math.ceil((shape.estimatedBytes ?? 0) / taskBytes);
  const size = Math.floor(Math.min(wanted * samplesPerTask, (shape.estimatedRows ?? 0) * largestSample));
  if (wanted < 2 || size < wanted || shape.key.length === 0) return tasksAt(shape, []);
  const sample = await sampledIds(session, shape, size, signal);
  return tasksAt(shape, Array.from({ length: wanted - 1 }, (_, i) => sample[Math.floor(((i + 1) * sample.length) / wanted)]).filter((id) => id !== undefined));
}

/** Some `_id`s in the index's order; none where the server can't sample. mongo-java-server can, at the second try or the third. */
async function sampledIds(session: Session, shape: Shape, size: number, signal: AbortSignal): Promise<readonly string[]> {
  const pipeline = [{ $sample: { size } }, { $project: { _id: 1 } }, { $sort: { _id: 1 } }];
  for (let attempt = 0; attempt < samplingAttempts; attempt++) {
    const sample = await session.attempt(`sampling ${shape.namespace}`, signal, () =>
      ifSupported(collectionOf(session, shape).aggregate(pipeline, { raw: true, batchSize: size, signal }).toArray()));
    if (sample) return sample.map((document) => exactIdText(document as Uint8Array)).filter((id) => id !== undefined);
  }
  return [];
}

async function* read(session: Session, options: OpenOptions, job: ReadJob, signal: AbortSignal, from?: Time): AsyncGenerator<Batch> {
  const { shape, task } = job;
  let sequence = job.sequence;
  const series = seriesOf(shape) !== undefined;
  const find = { filter: filterOf(task, job.after, job.where), sorted: !series, what: `reading ${task.id}`, ...(from && { from }) };
  for await (const documents of replies(session, shape, find, options, signal)) {
    for (const part of cut(series ? documents.map(inOrderOfNames) : documents, options)) {
      const cursor = series ? undefined : exactIdText(part.documents.at(-1)!);
      yield {
        task: task.id, namespace: task.namespace, sequence: sequence++,
        rows: { format: 'bson', documents: part.documents }, count: part.documents.length, bytes: part.bytes,
        ...(cursor !== undefined && { cursor }),
      };
    }
  }
}

/** A reply as batches within the limits: its documents can be far from the average. */
function* cut(documents: readonly Uint8Array[], { batchBytes, batchRows = Infinity }: OpenOptions): Generator<{ readonly documents: readonly Uint8Array[]; readonly bytes: number }> {
  let start = 0, bytes = 0;
  for (let i = 0; i < documents.length; i++) {
    const size = documents[i]!.length;
    if (i > start && (i - start >= batchRows || bytes + size > batchBytes * 2)) {
      yield { documents: documents.slice(start, i), bytes };
      start = i;
      bytes = 0;
    }
    bytes += size;
  }
  yield { documents: documents.slice(start), bytes };
}

async function* scan(session: Session, options: OpenOptions, { shape, part, where }: ScanJob, signal: AbortSignal, from?: Time): AsyncGenerator<readonly Row[]> {
  const decode = decodeRows(shape), series = seriesOf(shape) !== undefined, range = partFilter(shape, part);
  const find = { filter: filterOf({ ...(range !== undefined && { range }) }, undefined, where), sorted: false, what: `scanning ${shape.namespace}`, ...(from && { from }) };
  for await (const documents of replies(session, shape, find, options, signal)) yield decode(series ? documents.map(inOrderOfNames) : documents);
}

/** The range of an integer key: of `_id` itself, or of the first field of the document that it is. */
function partFilter(shape: Shape, { from, to }: ScanJob['part']): string | undefined {
  if (from === undefined && to === undefined) return undefined;
  const first = shape.columns[shape.key[0]!]!.name;
  const spelled = (edge: string) => (shape.key.length === 1 ? number(edge) : `{${JSON.stringify(first)}:${number(edge)}}`);
  const bounds = [from !== undefined && `"$gte":${spelled(from)}`, to !== undefined && `"$lt":${spelled(to)}`];
  return `{"_id":{${bounds.filter(Boolean).join(',')}}}`;
}

function number(digits: string): string {
  return BigInt.asIntN(64, BigInt(digits)) === BigInt(digits) ? `{"$numberLong":"${digits}"}` : `{"$numberDecimal":"${digits}"}`;
}

function collectionOf({ client }: Session, shape: Shape): Collection {
  return client.db(shape.schema).collection(shape.name);
}
