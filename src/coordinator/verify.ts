import type { Mapping, NamespaceVerification, Source } from '../contract.js';
import { DsyncError } from '../errors.js';
import { verify } from '../verifier/verify.js';
import type { Onlooker, RunConfig, RunReport } from './config.js';
import { isReadable, lookAtDestination } from './ends.js';
import { filtersOf, placesOf } from './route.js';
import { refuseRuledFilter } from './rules.js';
import { selectedShapes, withEnds } from './sync.js';
import { adaptAll } from './tables.js';
import { tallying } from './tally.js';

/** Compares two databases, whoever filled the second one; changes nothing. */
export async function verifyOnly(config: RunConfig, ports: Onlooker): Promise<RunReport> {
  if (!(await isReadable(config.destination))) throw new DsyncError('usage', 'this destination keeps nothing that could be compared');
  const tally = tallying(ports.emit);
  const inner: Onlooker = { ...ports, emit: tally.emit };
  return withEnds(config, inner, async (source, destination) => {
    const { signal } = ports;
    tally.emit({ kind: 'phase', phase: 'check' });
    const shapes = await selectedShapes(config, source, signal);
    const where = filtersOf(config.where, shapes);
    refuseForeignFilter(config, source.engine, destination.engine);
    refuseRuledFilter(shapes, where);
    const mappings = await adaptAll(placesOf(shapes, config.namespaces, source, destination), destination, signal);
    const there = mappings.filter((mapping) => mapping.existed);
    for (const mapping of mappings) if (!mapping.existed) tally.emit({ kind: 'verified', verification: missingTable(mapping) });
    tally.emit({ kind: 'phase', phase: 'verify' });
    if (there.length > 0) await compare(config, inner, source, there, where);
    tally.emit({ kind: 'phase', phase: 'done' });
    const unequal = tally.verification.some((one) => one.result !== 'equal');
    return {
      run: '', flow: ports.flow, exitStatus: unequal ? 4 : 0,
      status: tally.verification.some((one) => one.result === 'different') ? 'different' : unequal ? 'not-comparable' : 'done',
      source: source.version, destination: destination.version,
      agreed: [], tasks: 0, rows: 0, bytes: 0, seconds: tally.seconds(), phases: tally.phases(), moments: [],
      mended: { upserted: 0, deleted: 0, recopied: [] }, rejected: { count: 0 }, verification: tally.verification, findings: tally.findings,
    };
  });
}

async function compare(config: RunConfig, ports: Onlooker, source: Source, mappings: readonly Mapping[], where: (namespace: string) => string | undefined): Promise<void> {
  await using snapshot = await source.snapshot(mappings.map((mapping) => mapping.source), ports.signal);
  ports.emit({ kind: 'moment', moment: snapshot.moment, number: 0 });
  await verify({
    source: snapshot,
    openDestination: () => lookAtDestination(config, ports, mappings.map((mapping) => mapping.target)),
    mappings, where, concurrency: config.concurrency, verifyWith: config.verifyWith, emit: ports.emit, signal: ports.signal,
    destinationWhere: where,
    rejectedKeys: () => new Set(), extrasAllowed: () => false,
  });
}

/** The filter goes to both ends as it is, so both must understand it. */
function refuseForeignFilter({ where }: RunConfig, source: string, destination: string): void {
  if (Object.keys(where).length === 0 || (source === 'mongodb') === (destination === 'mongodb')) return;
  throw new DsyncError('usage', `--where is the source's own filter, and ${destination} can't apply one of ${source}`, { remedy: 'compare whole tables, or leave them out with --exclude' });
}

function missingTable({ source, target }: Mapping): NamespaceVerification {
  return {
    namespace: source.namespace, target: target.namespace, result: 'different', reason: 'the destination has no such table',
    sourceRows: source.estimatedRows ?? 0, destinationRows: 0, sourceDigest: '', destinationDigest: '',
    missing: source.estimatedRows ?? 0, extra: 0, changed: 0, rejected: 0, differences: [], seconds: 0,
  };
}
