import type { Agreed, EndFinding, PlannedNamespace, PlanReport, RunReport } from '../coordinator/config.js';
import type { ReplayReport } from '../coordinator/replay.js';
import type { ColumnTried, RoundtripReport, Tried } from '../coordinator/roundtrip.js';
import type { SelftestReport, TypeTested } from '../coordinator/selftest.js';
import type { TableVitals, Vitals } from '../coordinator/vitals.js';
import type { RunState } from '../contract.js';
import { bytes, count, counted, duration, table } from './text.js';

/** The closing report of sync, resume and verify, for people. */
export function runText(report: RunReport, verification: string, folder: string | undefined): string {
  return [
    `${headline(report)}\n`,
    `  ${report.source} → ${report.destination}\n`,
    report.run && `  ${counted(report.rows, 'row')}, ${bytes(report.bytes)}, ${counted(report.tasks, 'task')} in ${duration(report.seconds)}${phasesText(report.phases)}\n`,
    section('Agreed', agreedText(report.agreed)),
    section('Mended', mendedText(report)),
    section('Verification', verification),
    section('Rejected', report.rejected.count > 0 ? `  ${counted(report.rejected.count, 'row')}, with reasons in ${report.rejected.path}\n` : ''),
    section('Became NULL', Object.entries(report.nulled ?? {}).map(([column, values]) => `  ${column}: ${counted(values, 'value')} that could not be kept\n`).join('')),
    section('Findings', findingsText(report.findings)),
    report.run && `\nRun ${report.run}, remembered in ${folder}\n`,
  ].filter(Boolean).join('');
}

function headline({ status, verification, rejected }: RunReport): string {
  switch (status) {
    case 'done': return verification ? 'Done and verified: both sides are equal.' : 'Done, not verified.';
    case 'different': return 'DIFFERENT: the destination is not equal to the source.';
    case 'not-comparable': return 'Done, but not all could be compared.';
    case 'rejected': return `Done, but ${counted(rejected.count, 'row')} could not be kept by the destination.`;
    default: return status satisfies never;
  }
}

function phasesText(phases: RunReport['phases']): string {
  const parts = Object.entries(phases).filter(([, seconds]) => seconds >= 0.05).map(([phase, seconds]) => `${phase} ${duration(seconds)}`);
  return parts.length > 0 ? ` (${parts.join(', ')})` : '';
}

function agreedText(agreed: readonly Agreed[]): string {
  return table(agreed.map((one) => [`${one.namespace} → ${one.target}`, wayText(one), one.losses.length > 0 ? `loses: ${one.losses.join('; ')}` : '']), '  ');
}

function wayText({ format, sent, staged }: Agreed): string {
  return `${format === sent ? format : `${format} as ${sent}`}${staged ? ', staged' : ''}`;
}

function mendedText({ mended: { upserted, deleted, recopied } }: RunReport): string {
  const rows = upserted + deleted > 0 ? `  ${counted(upserted, 'row')} written and ${counted(deleted, 'row')} removed that had changed since they were copied\n` : '';
  return `${rows}${recopied.length > 0 ? `  copied anew: ${recopied.join(', ')}\n` : ''}`;
}

/** Errors first, each with what mends it. */
export function findingsText(findings: readonly EndFinding[]): string {
  const rank = { error: 0, warning: 1, info: 2 };
  return [...findings].sort((a, b) => rank[a.finding.level] - rank[b.finding.level]).map(({ end, finding }) => {
    const where = finding.namespace && !finding.message.includes(finding.namespace) ? ` (${finding.namespace})` : '';
    return `  ${finding.level.padEnd(7)}  ${end}: ${finding.message}${where}\n${finding.remedy ? `${finding.remedy.trimEnd().replace(/^/gm, '             ')}\n` : ''}`;
  }).join('');
}

const mostLeft = 20;

/** What `dsync replay` says. */
export function replayText({ dryRun, written, there, gone, left, rejected, unverified }: ReplayReport, verification: string): string {
  const would = dryRun ? ' would be' : '';
  return [
    dryRun ? 'Nothing was written.\n' : `${left.length === 0 && rejected.count === 0 ? 'Done: no row is rejected any more.' : `${counted(rejected.count, 'row')} still rejected.`}\n`,
    `  ${counted(written, 'row')}${would || ' were'} written, ${count(there)} are there already${gone > 0 ? `, ${count(gone)} are no longer in the source` : ''}\n`,
    section('Left', left.slice(0, mostLeft).map(({ namespace, key, reason }) => `  ${namespace}, ${key}: ${reason}\n`).join('') + (left.length > mostLeft ? `  and ${count(left.length - mostLeft)} more\n` : '')),
    section('Verification', verification || (unverified === undefined ? '' : `  not compared: ${unverified}\n`)),
    section('Rejected', rejected.path === undefined ? '' : `  ${counted(rejected.count, 'row')}, with reasons in ${rejected.path}\n`),
  ].filter(Boolean).join('');
}

/** What `dsync plan` says. */
export function planText(plan: PlanReport): string {
  const lossy = plan.namespaces.flatMap((one) => one.columns.filter(({ level }) => level === 'lossy').map(({ name }) => `${one.namespace}.${name}`));
  const tasks = plan.namespaces.reduce((sum, one) => sum + one.tasks, 0);
  return [
    `${plan.source} → ${plan.destination}\n`,
    `  ${counted(plan.namespaces.length, 'namespace')}, ${counted(tasks, 'task')}. Nothing was changed.\n`,
    ...plan.namespaces.map((one) => `\n${plannedText(one)}`),
    section('Losses', lossy.map((column) => `  ${column}: sync refuses, unless it is accepted with --accept-loss ${column}\n`).join('')),
    section('Findings', findingsText(plan.findings)),
  ].filter(Boolean).join('');
}

function plannedText(one: PlannedNamespace): string {
  const size = [one.estimatedRows === undefined ? '' : `~${count(one.estimatedRows)} rows`, one.estimatedBytes === undefined ? '' : `~${bytes(one.estimatedBytes)}`].filter(Boolean);
  const rank = { lossy: 0, reshaped: 1, exact: 2 };
  const columns = [...one.columns].sort((a, b) => rank[a.level] - rank[b.level]);
  return `${one.namespace} → ${one.target} (${one.existed ? 'stands there already' : 'will be created'})\n`
    + `  ${[wayText(one), counted(one.tasks, 'task'), ...size].join(', ')}\n`
    + table(columns.map(({ name, from, to, level, note }) => [level, name, from === to ? from : `${from} → ${to}`, note ?? '']), '    ');
}

/** What `dsync selftest` says. */
export function selftestText({ server, scratch, ways, unfollowed, types, absent, refused }: SelftestReport): string {
  const rows = types.reduce((sum, one) => sum + one.rows, 0), differing = types.filter(({ differences }) => differences.length > 0);
  return [
    differing.length === 0 ? 'All equal: every type is read alike.\n' : `DIFFERENT: ${counted(differing.length, 'column')} of ${count(types.length)} not read alike.\n`,
    `  ${server}: ${counted(types.length, 'column')} with ${counted(rows, 'row')}, read by ${ways.join('; ')}. ${scratch} was made for it and is dropped.\n`,
    section('Different', differing.map(differingText).join('')),
    section('The change log was not read', unfollowed === undefined ? '' : `  ${unfollowed}\n`),
    section('Values that the server does not take', refused.map(({ namespace, value, reason }) => `  ${namespace}: ${value}: ${reason}\n`).join('')),
    section('Types that this server does not have', absent.length > 0 ? `  ${absent.join(', ')}\n` : ''),
  ].filter(Boolean).join('');
}

function differingText({ declared, differences }: TypeTested): string {
  return differences.map(({ after, key, value, spelled }) => `  ${declared}${value === undefined ? key && `, row ${key}` : `: ${value}`}${after === 'insert' ? '' : `, after ${after === 'update' ? 'an update' : 'a delete'}`}\n${table(Object.entries(spelled).map(([way, text]) => [way, text]), '      ')}`).join('');
}

/** What `dsync doctor --types` says. */
export function roundtripText({ source, destination, scratch, tables, columns, untried }: RoundtripReport): string {
  const rows = tables.reduce((sum, one) => sum + one.rows, 0), rejected = tables.reduce((sum, one) => sum + one.rejected, 0);
  return [
    columns.length === 0 ? 'All values came back equal.\n' : `${counted(columns.length, 'column')} would not come back whole.\n`,
    `  ${source} → ${destination}: ${counted(tables.length, 'table')}, ${counted(rows, 'row')}${rejected > 0 ? `, of which ${count(rejected)} would be rejected` : ''}. ${scratch} was made for it and is dropped.\n`,
    section('Columns', columns.map(columnText).join('')),
    section('Not tried', untried.map(({ namespace, column, reason }) => `  ${namespace}.${column}: ${reason}\n`).join('')),
  ].filter(Boolean).join('');
}

function columnText({ namespace, column, from, to, level, note, extremes, rows }: ColumnTried): string {
  const kept = level === 'exact' ? '' : `; the plan says ${level}: ${note}`;
  return `  ${namespace}.${column} (${from} → ${to}${kept})\n${triedText('values at the edges of its type', extremes)}${triedText('values of real rows', rows)}`;
}

function triedText(what: string, { tried, unequal, rejected, example }: Tried): string {
  if (unequal + rejected === 0 || !example) return '';
  const { sent, back, reason } = example, became = reason === undefined ? `${sent} became ${back ?? 'nothing'}` : `${sent}: ${reason}`;
  return `      of ${count(tried)} ${what}: ${[unequal > 0 && `${count(unequal)} came back changed`, rejected > 0 && `${count(rejected)} would be rejected`].filter(Boolean).join(', ')}; ${JSON.stringify(became)}\n`;
}

/** What `dsync runs` says. */
export function runsText(runs: readonly (Pick<RunState, 'run' | 'phase' | 'startedAt'> & { readonly status: string; readonly rows?: number; readonly rejected?: number; readonly source: string; readonly destination: string })[], folder: string): string {
  if (runs.length === 0) return `No runs in ${folder}.\n`;
  const heads = ['RUN', 'STATUS', 'PHASE', 'STARTED (UTC)', 'ROWS', 'REJECTED', 'ENDS'];
  return table([heads, ...runs.map(({ run, status, phase, startedAt, rows, rejected, source, destination }) => [
    run, status, phase, startedAt.slice(0, 19).replace('T', ' '), rows === undefined ? '' : count(rows), rejected ? count(rejected) : '', `${source} → ${destination}`,
  ])]);
}

/** What `dsync status --json` prints. What is unknown is absent; `process` is absent where none works on the run. */
export interface StatusDocument extends Partial<Vitals> {
  readonly run: string;
  readonly status: RunState['status'] | 'killed';
  readonly phase: RunState['phase'];
  readonly process?: { readonly pid?: number; readonly host?: string; readonly since?: string };
  readonly source: string;
  readonly destination: string;
  readonly startedAt: string;
  readonly updatedAt: string;
}

/** What `dsync status` says. */
export function statusText(status: StatusDocument): string {
  const { run, process, lastError, tables = [] } = status;
  return [
    `Run ${run}: ${headOf(status)}\n`,
    `  ${status.source} → ${status.destination}\n`,
    `  ${process ? `process ${process.pid ?? '(just begun)'}${process.since ? ` on ${process.host}, since ${clock(process.since)}` : ''}` : 'no process works on it'}\n`,
    amountText(status).map((line) => `  ${line}\n`).join(''),
    lastError && `  last error, ${clock(lastError.at)}: ${lastError.message.trimEnd().replaceAll('\n', '\n    ')}\n`,
    section('Tables', table(tables.map((one) => [one.namespace, one.state, amountOf(one), one.why ?? '']), '  ')),
  ].filter(Boolean).join('');
}

/** The same in one line, without the tables that are as all others. */
export function statusLine(status: StatusDocument): string {
  const apart = (status.tables ?? []).filter(({ state }) => state === 'paused' || state === 'resync').map(({ namespace, state, why }) => `${namespace} ${state}${why ? ` (${why})` : ''}`);
  return [headOf(status), ...amountText(status), ...apart, status.lastError && `last error: ${status.lastError.message.trimEnd()}`].filter(Boolean).join('; ').replaceAll('\n', ' ');
}

function headOf({ status, phase }: StatusDocument): string {
  return status === 'done' ? 'done' : status === 'running' ? phase : `${status}, in phase ${phase}`;
}

function amountText({ rows, estimatedRows, estimatedSecondsLeft, changes, behindSeconds, behindBytes, rejected }: StatusDocument): string[] {
  const lag = [behindSeconds !== undefined && duration(behindSeconds), behindBytes !== undefined && bytes(behindBytes)].filter(Boolean).join(', ');
  return [
    ...(rows === undefined ? [] : [`copied ${amountOf({ rows, estimatedRows })}${estimatedSecondsLeft === undefined ? '' : `, an estimated ${duration(estimatedSecondsLeft)} left`}`]),
    ...(changes === undefined ? [] : [`applied ${counted(changes, 'change')}, lag ${lag || 'unknown'}`]),
    ...(rejected ? [`${counted(rejected, 'row')} rejected`] : []),
  ];
}

function amountOf({ rows, estimatedRows }: Pick<TableVitals, 'rows' | 'estimatedRows'>): string {
  return estimatedRows === undefined || estimatedRows === rows ? counted(rows, 'row') : `${count(rows)} of ~${count(estimatedRows)} rows`;
}

/** `2025-01-31 10:00:00 UTC` */
function clock(at: string): string {
  return `${at.slice(0, 19).replace('T', ' ')} UTC`;
}

function section(title: string, body: string): string {
  return body && `\n${title}\n${body}`;
}
