import type { Finding } from '../contract.js';
import { DsyncError } from '../errors.js';
import { originOf } from '../source/ruled.js';
import type { EndFinding, PlannedNamespace, PlanReport, Onlooker, RunConfig } from './config.js';
import { openDestination, openOptions, openSourceOf } from './ends.js';
import { liveFindings } from './forecast.js';
import { filtersOf } from './route.js';
import { tasksOf } from './moment.js';
import { withRules } from './rules.js';
import { selectedShapes, withEnds } from './sync.js';
import { adaptTables } from './schema.js';
import { agreedOf, agreementOf } from './tables.js';

/** All that a sync would do, read from both ends; changes nothing. Losses are listed, not refused. */
export async function plan(config: RunConfig, ports: Onlooker): Promise<PlanReport> {
  return withEnds(config, ports, async (source, destination) => {
    const { signal } = ports;
    const shapes = await selectedShapes(config, source, signal);
    const where = filtersOf(config.where, shapes);
    const { mappings, views, findings: told } = await adaptTables(config, source, destination, shapes, signal);
    const findings = [
      ...(await source.check(shapes, signal)).map((finding): EndFinding => ({ end: 'source', finding })),
      ...[...await destination.check(mappings, signal), ...told].map((finding): EndFinding => ({ end: 'destination', finding })),
    ];
    await using snapshot = await source.snapshot(shapes, signal);
    const namespaces: PlannedNamespace[] = [];
    for (const mapping of mappings) {
      const tasks = await tasksOf(mapping, { config, where, signal }, snapshot);
      namespaces.push({
        ...agreedOf(mapping, agreementOf(mapping, source, destination)),
        existed: mapping.existed, tasks: tasks.length, estimatedRows: mapping.source.estimatedRows, estimatedBytes: mapping.source.estimatedBytes,
        columns: mapping.source.columns.map((column, i) => ({ name: column.name, from: originOf(mapping.source, column).native, to: mapping.target.columns[i].native, ...mapping.fidelity[i] })),
        statements: mapping.existed ? [] : destination.createStatements?.(mapping) ?? [], objects: destination.objects?.(mapping) ?? [],
      });
    }
    return { source: source.version, destination: destination.version, findings, namespaces, views };
  });
}

/** What keeps a sync from starting, or will surprise: each finding with the statement that mends it. Nothing is changed. */
export async function doctor(config: Omit<RunConfig, 'destination'> & { readonly destination?: string }, ports: Onlooker): Promise<readonly EndFinding[]> {
  const findings: EndFinding[] = [];
  const tell = (end: EndFinding['end'], more: readonly Finding[]) => findings.push(...more.map((finding) => ({ end, finding })));
  const guarded = async <T>(end: EndFinding['end'], action: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof DsyncError) || error.code === 'interrupted' || error.code === 'internal') throw error;
      tell(end, [{ level: 'error', code: error.code, message: error.message, remedy: error.remedy, error: findingError(error) }]);
      return undefined;
    }
  };
  const plain = await guarded('source', () => openSourceOf({ ...config, destination: config.destination ?? '' }, openOptions({ ...config, destination: '' }, ports.signal)));
  const destination = config.destination ? await guarded('destination', () => openDestination({ ...config, destination: config.destination! }, ports)) : undefined;
  // What a type is called is the destination's to say.
  const source = plain && destination ? withRules(plain, config, destination, ports.emit) : plain;
  try {
    const shapes = source ? await guarded('source', () => selectedShapes(config, source, ports.signal)) : undefined;
    if (source && shapes) tell('source', await source.check(shapes, ports.signal));
    if (source && shapes && config.live) tell('source', await guarded('source', () => liveFindings(source, shapes, config, ports.signal)) ?? []);
    const adapted = source && shapes && destination
      ? await guarded('destination', () => adaptTables(config, source, destination, shapes, ports.signal)) : undefined;
    if (destination) tell('destination', [...await destination.check(adapted?.mappings ?? [], ports.signal), ...adapted?.findings ?? []]);
    return findings;
  } finally {
    await source?.[Symbol.asyncDispose]();
    await destination?.[Symbol.asyncDispose]();
  }
}

function findingError(error: DsyncError): Finding['error'] {
  return error.code === 'refused' || error.code === 'usage' || error.code === 'denied' ? error.code : 'not-ready';
}
