import type { Destination, Mapping, Shape } from '../../contract.js';
import { apply } from './apply.js';
import { batchWriter } from './batches.js';
import { checkDestination } from './check.js';
import { identityOf } from './identity.js';
import { build, creationOptions, names, planObjects, readObjects, release } from './objects.js';
import { progressIn } from './progress.js';
import type { Session } from './session.js';
import { createCollection, dropCollection, hasCollection, stagingOf, swapIn } from './staging.js';
import { collectionFor } from './target.js';
import { fillSeries, seriesOf } from './timeseries.js';
import { holdsDocuments, typeOf } from './types.js';
import { planView } from './views.js';
import { durable, keepsEmptyTimestamps, writerFor, type Place } from './write.js';

/** Where the progress is kept if the URL names no database. */
const ownDatabase = '_dsync';

export function mongodbDestination(session: Session): Destination {
  const home = session.database ?? ownDatabase;
  const progress = progressIn(session, home);
  let writer = writerFor(session, false), batches = batchWriter(writer);
  return {
    engine: 'mongodb',
    version: `MongoDB ${session.version}`,
    ...(session.database !== undefined && { defaultSchema: session.database }),
    identity: (signal) => identityOf(session, signal),
    check: (mappings, signal) => checkDestination(session, mappings, signal),
    async adapt(source, target, signal, objects) {
      const mapping = await collectionFor(session, source, target, signal);
      return objects && !mapping.existed ? { ...mapping, objects } : mapping;
    },
    typeOf,
    names,
    objects: planObjects,
    view: planView,
    async build(run, mapping, objects, signal) {
      await progress.check(run, signal);
      return build(session, mapping, objects, signal);
    },
    async release(run, mapping, objects, signal) {
      await progress.check(run, signal);
      await release(session, mapping, objects, signal);
    },
    standing: async (shapes, signal) => (await readObjects(session, shapes, signal)).tables,
    holdsRows: (target, signal) => holdsRows(session, target, signal),
    formats: (mapping) => (holdsDocuments(mapping.source) ? ['bson', 'values'] : ['values']),
    async begin(run, signal) {
      await progress.begin(run, signal);
      writer = writerFor(session, await keepsEmptyTimestamps(session, home, signal));
      batches = batchWriter(writer);
    },
    progress: (run, signal) => progress.rows(run, signal),
    async prepare(run, mapping, { empty, tasks }, signal) {
      const place = placeOf(run, mapping);
      if (empty) {
        await progress.forgetTasks(run, tasks, signal);
        await progress.setSwapped(run, mapping.target.namespace, false, signal);
        await clear(session, place, mapping, signal);
      } else if (mapping.staged && await progress.swapped(run, mapping.target.namespace, signal)) return;
      if (!await hasCollection(session, place, signal)) await createCollection(session, place, creationOptions(mapping), signal);
    },
    async write(run, batch, mapping, options, signal) {
      await progress.check(run, signal);
      const rejected = await batches.write(placeOf(run, mapping), batch, mapping, options, signal);
      await progress.written(run, batch, signal);
      return { written: batch.count - rejected.length, rejected };
    },
    async taskDone(run, barrier, signal) {
      await progress.check(run, signal);
      await progress.taskDone(run, barrier, signal);
    },
    async finish(run, mapping, { keepRows }, signal) {
      const staging = placeOf(run, mapping);
      if (!mapping.staged || !await hasCollection(session, staging, signal)) return [];
      await progress.setSwapped(run, mapping.target.namespace, true, signal);
      if (seriesOf(mapping.target)) await fillSeries(session, staging, mapping, signal);
      else await swapIn(session, writer, staging, mapping.target, keepRows, signal);
      return [];
    },
    async mend(run, mapping, changes, signal) {
      await progress.check(run, signal);
      return { rejected: await batches.mend({ ...placeOf(run, mapping), collection: mapping.target.name }, mapping, changes, signal) };
    },
    appliesByKey: true,
    async apply(run, work, signal) {
      await progress.check(run, signal);
      const known = await progress.laneNoted(run, work, signal);
      if (known) return { rejected: known };
      const rejected = await apply(session, batches, run, work, signal);
      await progress.noteLane(run, work, rejected, signal);
      return { rejected };
    },
    lanes: (run, signal) => progress.lanes(run, signal),
    async forget(run, mappings, signal) {
      for (const mapping of mappings.filter(({ staged }) => staged)) await dropCollection(session, placeOf(run, mapping), signal);
      await progress.forget(run, signal);
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

/** Where the batches of a table go. */
function placeOf(run: string, { target, staged }: Mapping): Place {
  return { run, database: target.schema!, collection: staged ? stagingOf(run, target) : target.name };
}

/** A collection that stood before keeps its indexes and options; dsync's own is made anew. */
async function clear(session: Session, place: Place, { staged, existed }: Mapping, signal: AbortSignal): Promise<void> {
  if (staged || !existed) return dropCollection(session, place, signal);
  const collection = session.client.db(place.database).collection(place.collection);
  await session.attempt(`emptying ${place.database}.${place.collection}`, signal, () => collection.deleteMany({}, { writeConcern: durable }));
}

async function holdsRows({ client, attempt }: Session, { schema, name, namespace }: Shape, signal: AbortSignal): Promise<boolean> {
  return attempt(`looking into ${namespace}`, signal, async () => (await client.db(schema).collection(name).findOne({}, { projection: { _id: 1 }, signal })) !== null);
}
