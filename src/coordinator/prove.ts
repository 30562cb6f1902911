import type { Emit, Mapping, NamespaceVerification, Rejected, Row, Snapshot } from '../contract.js';
import { retrying } from '../destination/retry.js';
import { DsyncError } from '../errors.js';
import { ruledAgain } from '../source/ruled.js';
import { misfitsBetween } from '../values/misfits.js';
import { verify, type VerifyRequest } from '../verifier/verify.js';
import { isReadable, lookAtDestination } from './ends.js';
import { copyTables, enter, reject, type Run, type Work } from './run.js';
import { agreementOf } from './tables.js';

/** Why a destination such as `null:` is not compared. */
export const unreadable = 'the destination keeps nothing that could be read again';
/** Why a copy that its source's log makes right is not compared before: neither equal nor different. */
export const notYet = 'the copy shows no single moment of the source: it becomes one when the changes made meanwhile are applied, and can be compared then';

/**
 * Compares every table with the source, in the snapshot that the copy has read. Where that snapshot shows less than one
 * moment, or an earlier moment copied a part, differences are mended by key before anything is called equal. Such tables
 * are compared even with `--no-verify`. A live copy of no single moment is not compared at all: it is right later.
 */
export async function verifyRun(run: Run, works: readonly Work[], snapshot: Snapshot): Promise<void> {
  // Its differences are changes that are still to come: mending them would only be a race with the writers.
  if (run.config.live && !snapshot.moment.exact) return works.forEach((work) => run.emit({ kind: 'verified', verification: notComparable(work.mapping, notYet) }));
  const mended = works.filter((work) => work.stale || (run.config.verify && !snapshot.moment.exact));
  const plain = run.config.verify ? works.filter((work) => !mended.includes(work)) : [];
  if (mended.length + plain.length === 0) return;
  enter(run, 'verify');
  if (!(await isReadable(run.config.destination))) return works.forEach((work) => run.emit({ kind: 'verified', verification: notComparable(work.mapping, unreadable) }));
  await compare(run, plain, snapshot, false);
  await compare(run, mended, snapshot, true);
}

/**
 * Mends tables that an earlier moment has filled. Fails with `refused` where they did not become equal, in a moment in which that
 * can be told: what changed while it was looked at is still to come by the log.
 */
export async function compareStale(run: Run, works: readonly Work[], snapshot: Snapshot): Promise<void> {
  const unequal: NamespaceVerification[] = [], { exact } = snapshot.moment;
  const later = (namespace: string) => notComparable(works.find(({ mapping }) => mapping.source.namespace === namespace)!.mapping, notYet);
  const emit: Emit = (event) => {
    if (event.kind === 'verified' && !exact) return run.emit({ kind: 'verified', verification: later(event.verification.namespace) });
    if (event.kind === 'verified' && event.verification.result !== 'equal') unequal.push(event.verification);
    run.emit(event);
  };
  await compare({ ...run, emit }, works, snapshot, true);
  const [first] = unequal;
  if (first) throw new DsyncError('refused', `${first.namespace} did not become equal to the source: ${first.reason ?? `${first.missing} rows are missing, ${first.extra} are too many, ${first.changed} are not the same`}`, { namespace: first.namespace });
}

/** Waits for a destination that is lost on the way, and goes on with the tables that are not settled. */
async function compare(run: Run, works: readonly Work[], snapshot: Snapshot, mend: boolean): Promise<void> {
  const settled = new Set<string>();
  const emit: Emit = (event) => {
    if (event.kind === 'verified') settled.add(event.verification.namespace);
    run.emit(event);
  };
  const open = () => works.filter((work) => !settled.has(work.mapping.source.namespace));
  const sourceLost = await retrying(() => compareOnce({ ...run, emit }, open().map(({ mapping }) => mapping), snapshot, mend ? { mended: works } : {}).then(() => undefined, onlySourceLost), 'destination', run.emit, run.signal);
  if (sourceLost) throw sourceLost;
}

/** No second try in the same moment brings a lost source back. */
function onlySourceLost(error: unknown): DsyncError {
  if (error instanceof DsyncError && error.code === 'source-lost') return error;
  throw error;
}

/** With `mended`, the work of each table, differences are mended. `afresh`: the destination may be another than when its parts were compared. */
async function compareOnce(run: Run, mappings: readonly Mapping[], snapshot: Snapshot, { mended, afresh }: { readonly mended?: readonly Work[]; readonly afresh?: true }): Promise<readonly NamespaceVerification[]> {
  if (mappings.length === 0) return [];
  const { keys } = run.store.rejects(run.id);
  const added = run.config.existing === 'append' || run.config.existing === 'merge';
  return verify({
    source: snapshot,
    openDestination: () => lookAtDestination(run.config, run, mappings.map((mapping) => mapping.target)),
    mappings, where: run.where, concurrency: run.config.concurrency, verifyWith: run.config.verifyWith, emit: run.emit, signal: run.signal,
    ...(mended && run.config.live && !snapshot.moment.exact && { looks: 2 }),
    rejectedKeys: (namespace) => keys.get(namespace) ?? new Set(),
    extrasAllowed: (mapping) => added && mapping.existed,
    mayOverwrite: () => run.config.existing === 'merge',
    ...(afresh ? {} : remembered(run, snapshot.moment.fingerprint)),
    ...(mended && { mend: (mapping, changes) => mendTable(run, mapping, changes), recopy: (mapping) => recopy(run, mended.find((work) => work.mapping === mapping)!, snapshot) }),
  });
}

/** Compares tables, all of them if none are named, in a new moment of both sides; mends nothing. */
export async function compareNow(run: Run, mappings = run.mappings): Promise<readonly NamespaceVerification[]> {
  if (!(await isReadable(run.config.destination))) return mappings.map((mapping) => notComparable(mapping, unreadable));
  await using snapshot = await run.source.snapshot(mappings.map(({ source }) => source), run.signal);
  return await compareOnce(run, mappings, snapshot, { afresh: true });
}

/** Parts that an earlier process found equal are so still, if the source provably did not change since. */
function remembered({ id, store }: Run, fingerprint: string | undefined): Pick<VerifyRequest, 'finished' | 'finish'> {
  if (fingerprint === undefined) return {};
  return { finished: store.allCompared(id, fingerprint), finish: (namespace, part, found) => store.compared(id, fingerprint, namespace, part, found) };
}

async function mendTable(run: Run, mapping: Mapping, changes: Parameters<Run['destination']['mend']>[2]) {
  const { fit, rejected } = misfitsBetween(mapping)(changes.upserts), { good, bad } = divided(mapping, fit);
  const result = await run.destination.mend(run.id, mapping, { ...changes, upserts: good }, run.signal);
  const all = [...rejected, ...bad, ...result.rejected];
  if (all.length > 0) reject(run, mapping, all);
  return { rejected: all };
}

/** The verifier reads rows with a value that can't be what is wanted of it, too. */
function divided({ source }: Mapping, rows: readonly Row[]): { readonly good: readonly Row[]; readonly bad: readonly Rejected[] } {
  const again = ruledAgain(source), good: Row[] = [], bad: Rejected[] = [];
  for (const row of rows) {
    const { reason, column } = again(row);
    if (reason === undefined) good.push(row);
    else bad.push({ namespace: source.namespace, row, reason, ...(column !== undefined && { column }) });
  }
  return { good, bad };
}

/** A table without a key can't be mended row by row: it is copied anew, in the present moment, and swapped in. */
async function recopy(run: Run, work: Work, snapshot: Snapshot): Promise<void> {
  const { mapping, tasks } = work;
  const table = { mapping, agreement: agreementOf(mapping, run.source, run.destination), overwrite: false };
  const jobs = tasks.map((task) => ({ table, read: { task, shape: mapping.source, format: table.agreement.read, where: run.where(mapping.source.namespace), sequence: 0 } }));
  await copyTables(run, [{ ...work, jobs, empty: true, overwrite: false }], snapshot, run.moments.length - 1);
  await run.destination.finish(run.id, mapping, { keepRows: false }, run.signal);
}

export function notComparable(mapping: Mapping, reason: string): NamespaceVerification {
  return {
    namespace: mapping.source.namespace, target: mapping.target.namespace, result: 'not-comparable', reason,
    sourceRows: 0, destinationRows: 0, sourceDigest: '', destinationDigest: '', missing: 0, extra: 0, changed: 0, rejected: 0, differences: [], seconds: 0,
  };
}
