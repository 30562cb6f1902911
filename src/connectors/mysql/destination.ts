import pLimit from 'p-limit';
import type { Destination, OpenOptions, Shape } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import type { Address } from './address.js';
import { alter } from './alter.js';
import { applying } from './apply.js';
import { checkDestination } from './check.js';
import { errnoOf, lostAs } from './faults.js';
import { identityOf } from './identity.js';
import { independent } from './independent.js';
import { build, createStatement, isTied, names, neededStatements, planObjects, planView, release } from './objects.js';
import { pool, withSession } from './pool.js';
import { begin, forget, lanes, ledgerIn, progress, recordDone, type Hold } from './progress.js';
import { readObjects } from './schema.js';
import { setSequences } from './sequences.js';
import { connect, name, type Session } from './session.js';
import { destinationSettings } from './settings.js';
import { dropStaging, fenced, prepareTable, swapIn, targetName } from './tables.js';
import { adapt, readOffer } from './target.js';
import { tieColumns } from './ties.js';
import { typeOf } from './types.js';
import { writing } from './write.js';

/** The database that holds dsync's progress where the URL names none. */
const ownSchema = '_dsync';
const missingTable = 1146;
/** What a statement takes beside its values. */
const statementBytes = 65_536;

export async function openDestination(address: Address, options: OpenOptions): Promise<Destination> {
  const open = (signal: AbortSignal) => connect({ address, settings: destinationSettings, lostAs: 'connection-lost' }, signal);
  const sessions = pool({ size: options.connections, open, reopen: (signal) => open(signal).catch(lostAs('connection-lost')) });
  const using = <T>(signal: AbortSignal, action: (session: Session) => Promise<T>) => withSession(sessions, signal, action);
  const { offer, ...limits } = await using(options.signal, (session) => readLimits(session, options.signal));
  const ledger = ledgerIn(address.database ?? ownSchema);
  const epochs = new Map<string, number>();
  const holding = <T>(run: string, signal: AbortSignal, action: (hold: Hold) => Promise<T>) =>
    using(signal, (session) => action({ ledger, run, epoch: epochs.get(run), session, signal }));
  const oneByOne = pLimit(1), writer = writing(limits), { write, mend } = writer, apply = applying(writer);

  return {
    engine: offer.version.flavour,
    version: offer.version.text,
    ...(address.database !== undefined && { defaultSchema: address.database }),
    identity: (signal) => using(signal, (session) => identityOf(session, address.database, signal)),
    check: (mappings, signal) => using(signal, (session) => checkDestination(session, mappings, signal)),
    adapt: (source, target, signal, objects) => using(signal, (session) => adapt(source, target, schemaOf(target.schema, address), offer, session, signal, objects)),
    typeOf: (spelling) => typeOf(spelling, offer.version.flavour),
    names: { ...names, tablesIgnoreCase: offer.ignoresTableCase },
    tied: tieColumns,
    objects: (mapping) => planObjects(mapping, offer),
    view: (view, target, mappings) => planView(view, target, mappings, offer),
    createStatements: (mapping) => [...(mapping.target.schema === address.database ? [] : [`CREATE DATABASE IF NOT EXISTS ${name(mapping.target.schema!)} CHARACTER SET utf8mb4`]), ...neededStatements(mapping), createStatement(targetName(mapping.target), mapping, offer)],
    build: (run, mapping, objects, signal) => holding(run, signal, async (hold) => {
      await fenced(hold, async () => {});
      const act = () => build(hold, mapping, objects);
      return mapping && await isTied(hold, mapping, objects) ? oneByOne(act) : act();
    }),
    release: (run, mapping, objects, signal) => holding(run, signal, async (hold) => {
      await fenced(hold, async () => {});
      await release(hold, mapping, objects);
    }),
    standing: (shapes, signal) => using(signal, async (session) => (await readObjects(session, shapes, signal)).tables),
    holdsRows: (target, signal) => using(signal, (session) => holdsRows(target, session, signal)),
    formats: () => ['delimited', 'values'],
    begin: (run, signal) => using(signal, async (session) => {
      if (address.database === undefined) await session.run(`CREATE DATABASE IF NOT EXISTS ${name(ownSchema)} CHARACTER SET utf8mb4`, signal);
      epochs.set(run, await begin(ledger, run, session, signal));
    }),
    progress: (run, signal) => using(signal, (session) => progress(ledger, run, session, signal)),
    prepare: (run, mapping, how, signal) => holding(run, signal, (hold) => prepareTable(hold, mapping, how, offer)),
    write: (run, batch, mapping, how, signal) => holding(run, signal, (hold) => write(hold, batch, mapping, how)),
    taskDone: (run, barrier, signal) => holding(run, signal, (hold) => fenced(hold, () => recordDone(ledger, run, barrier, hold.session, signal))),
    finish: (run, mapping, { keepRows }, signal) => holding(run, signal, async (hold) => {
      await fenced(hold, async () => {});
      if (mapping.staged) await swapIn(hold, mapping, keepRows);
      await hold.session.run(`ANALYZE NO_WRITE_TO_BINLOG TABLE ${targetName(mapping.target)}`, signal);
      return [];
    }),
    mend: (run, mapping, changes, signal) => holding(run, signal, (hold) => mend(hold, mapping, changes)),
    apply: (run, work, signal) => holding(run, signal, async (hold) => ({ rejected: await apply(hold, work) })),
    independent: (targets, signal) => using(signal, (session) => independent(session, targets, signal)),
    lanes: (run, signal) => using(signal, (session) => lanes(ledger, run, session, signal)),
    alter: (run, mapping, source, signal) => holding(run, signal, (hold) => alter(hold, mapping, source, offer)),
    setSequences: (mappings, given, signal) => using(signal, (session) => setSequences(session, address.database, mappings, given, signal)),
    forget: (run, mappings, signal) => using(signal, async (session) => {
      for (const mapping of mappings) if (mapping.staged) await dropStaging(run, mapping, session, signal);
      await forget(ledger, run, session, signal);
      epochs.delete(run);
    }),
    [Symbol.asyncDispose]: () => sessions[Symbol.asyncDispose](),
  };
}

async function readLimits(session: Session, signal: AbortSignal) {
  const offer = await readOffer(session, signal);
  const [[infile, packet]] = await session.rows('SELECT @@local_infile, @@max_allowed_packet', signal);
  return { offer, infile: infile === '1', packet: { bytes: Number(packet) - statementBytes } };
}

async function holdsRows(target: Shape, session: Session, signal: AbortSignal): Promise<boolean> {
  const rows = await session.rows(`SELECT 1 FROM ${targetName(target)} LIMIT 1`, signal).catch((error: unknown) => {
    if (errnoOf(error) === missingTable) return [];
    throw error;
  });
  return rows.length > 0;
}

function schemaOf(schema: string | undefined, address: Address): string {
  const found = schema ?? address.database;
  if (found === undefined) throw new DsyncError('usage', 'the destination URL names no database', { remedy: 'write mysql://HOST/DATABASE, or name it in the target: --namespace NAMESPACE:DATABASE.TABLE' });
  return found;
}
