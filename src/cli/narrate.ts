import type { Event } from '../contract.js';
import type { Log } from './log.js';
import { counted, duration } from './text.js';

/** How many rejected rows are logged one by one; the file has them all. */
const rejectsShown = 10;

/** Turns the events of a run into log records: what people must know at `info` and above, each step at `debug`. */
export function narrator(log: Log): (event: Event) => void {
  let rejected = 0;
  return (event) => {
    switch (event.kind) {
      case 'run': log.info({ run: event.run, flow: event.flow }, event.resumed ? `going on with run ${event.run}` : `run ${event.run}`); break;
      case 'phase': log.info({ phase: event.phase }, event.phase); break;
      case 'finding': log[levels[event.finding.level]]({ end: event.end, ...event.finding, level: undefined }, `${event.end}: ${event.finding.message}`); break;
      case 'agreed': log.info({ ...event, kind: undefined }, agreedText(event)); break;
      case 'moment': log.info({ moment: event.moment, number: event.number }, `reading the source as of ${event.moment.at} (${event.moment.how})`); break;
      case 'planned': log.debug({ ...event, kind: undefined }, `${event.namespace}: ${counted(event.tasks, 'task')}`); break;
      case 'written': break;
      case 'task-done': log.debug({ ...event, kind: undefined }, `${event.task}: done, ${counted(event.rows, 'row')}`); break;
      case 'rejected': if (rejected++ < rejectsShown) log.warn({ namespace: event.rejected.namespace }, `${event.rejected.namespace}: a row was rejected: ${event.rejected.reason}${rejected === rejectsShown ? ' (further ones are only in the reject file)' : ''}`); break;
      case 'nulled': log.debug({ ...event, kind: undefined }, `${event.namespace}: ${counted(event.count, 'value')} of ${event.column} became NULL`); break;
      case 'retry': log.warn({ ...event, kind: undefined }, `${event.end}: attempt ${event.attempt} failed (${event.error}); trying again in ${duration(event.waitSeconds)}`); break;
      case 'finished': log.debug({ namespace: event.namespace }, `${event.namespace}: keys are built`); break;
      case 'compared': log.debug({ ...event, kind: undefined }, `${event.namespace}: verified ${event.parts} of ${event.of} parts`); break;
      case 'mended': log.info({ ...event, kind: undefined }, `${event.namespace}: ${mendedText(event)}`); break;
      case 'verified': log[event.verification.result === 'equal' ? 'info' : 'warn']({ namespace: event.verification.namespace, result: event.verification.result }, `${event.verification.namespace}: ${event.verification.result}${event.verification.reason ? `, ${event.verification.reason}` : ''}`); break;
      case 'followed': log.debug({ ...event, kind: undefined }, `applied up to ${event.place.position}`); break;
      case 'table': log[event.table?.state === 'paused' && event.table.failed ? 'warn' : 'info']({ ...event, kind: undefined }, `${event.namespace}: ${tableText(event)}`); break;
      case 'cutover': log.info({ doing: event.doing }, `cutover: ${event.doing}`); break;
      default: event satisfies never;
    }
  };
}

const levels = { info: 'info', warning: 'warn', error: 'error' } as const;

function agreedText({ namespace, target, format, sent, staged, losses }: Extract<Event, { kind: 'agreed' }>): string {
  return `${namespace} → ${target}: ${format === sent ? format : `${format} as ${sent}`}${staged ? ', through a staging table' : ''}${losses.length > 0 ? `; loses: ${losses.join('; ')}` : ''}`;
}

function tableText({ table }: Extract<Event, { kind: 'table' }>): string {
  if (!table) return 'followed';
  return table.state === 'since' ? `followed from ${table.position} on` : `${table.state}${table.why ? `: ${table.why}` : ''}`;
}

function mendedText({ upserted, deleted, recopied }: Extract<Event, { kind: 'mended' }>): string {
  return recopied ? 'changed since it was copied: copied anew' : `brought up to date: ${counted(upserted, 'row')} written, ${counted(deleted, 'row')} removed`;
}
