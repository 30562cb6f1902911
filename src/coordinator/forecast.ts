import { setTimeout as delay } from 'node:timers/promises';
import type { ChangeLog, Finding, LogLook, Shape, Source } from '../contract.js';
import type { RunConfig } from './config.js';
import { logOf } from './ends.js';

/** Two looks so far apart tell how fast the log grows. */
const lookMillis = 5000;
/** What a copy is supposed to get done in a second, unless --rate-limit says less. */
const supposedBytes = 20e6;

/** What following these tables needs, and what will become of the source's log while they are copied. */
export async function liveFindings(source: Source, shapes: readonly Shape[], config: Pick<RunConfig, 'rateLimit'>, signal: AbortSignal): Promise<readonly Finding[]> {
  const log = logOf(source), found = await log.check(shapes, signal);
  return log.look ? [...found, ...await outlook(log, log.look, shapes, config, signal)] : found;
}

async function outlook(log: ChangeLog, look: NonNullable<ChangeLog['look']>, shapes: readonly Shape[], { rateLimit }: Pick<RunConfig, 'rateLimit'>, signal: AbortSignal): Promise<readonly Finding[]> {
  const first = await look(signal), start = performance.now();
  await delay(lookMillis, undefined, { signal }).catch(() => { throw signal.reason; });
  const second = await look(signal), seconds = (performance.now() - start) / 1000;
  const pace = Math.min(supposedBytes, rateLimit?.bytes ?? Infinity), bytes = bytesOf(shapes);
  return forecast({ look: second, held: log.held === true, seconds, growth: Math.max(0, second.written - first.written) / seconds, pace, ...(bytes !== undefined && { bytes }) });
}

/** The size of all tables; undefined where it is unknown of one. */
function bytesOf(shapes: readonly Shape[]): number | undefined {
  return shapes.reduce<number | undefined>((sum, { estimatedBytes }) => (sum === undefined || estimatedBytes === undefined ? undefined : sum + estimatedBytes), 0);
}

export interface Outlook {
  readonly look: LogLook;
  readonly held: boolean;
  /** Between the two looks. */
  readonly seconds: number;
  /** Of the log, in bytes a second. */
  readonly growth: number;
  /** Of the copy, in bytes a second. */
  readonly pace: number;
  /** What is to be copied. */
  readonly bytes?: number;
}

/** Every figure says what it rests on. */
export function forecast(outlook: Outlook): readonly Finding[] {
  const { look, seconds, growth, pace, bytes } = outlook, info = { level: 'info' } as const;
  const copySeconds = bytes === undefined ? undefined : bytes / pace;
  return [
    { ...info, code: 'log-growth', message: `the log grows by ${size(growth)} a second (measured over ${seconds.toFixed(0)} s: an estimate)` },
    { ...info, code: 'copy-time', message: copySeconds === undefined ? 'how long the copy takes can\'t be told: the source does not know how large its tables are' : `the copy takes about ${time(copySeconds)}: an estimate, of ${size(bytes!)} at a supposed ${size(pace)} a second` },
    { ...info, code: 'snapshot-open', message: `as long as it copies, its snapshot is open: ${look.snapshotHolds}` },
    keptFinding(outlook, copySeconds),
    ...look.heldBack,
  ];
}

function keptFinding({ look: { mostBytes, keptSeconds, lengthen }, held, growth }: Outlook, copySeconds: number | undefined): Finding {
  const bySize = mostBytes === undefined ? undefined : growth > 0 ? mostBytes / growth : Infinity, lasts = Math.min(bySize ?? Infinity, keptSeconds ?? Infinity);
  const found = { code: 'log-kept', ...(lengthen !== undefined && { remedy: lengthen }) }, meanwhile = copySeconds === undefined ? undefined : growth * copySeconds;
  if (mostBytes === undefined && keptSeconds === undefined) {
    const grown = meanwhile === undefined ? '' : `: about ${size(meanwhile)} by the end of the copy, an estimate`;
    return held ? { level: 'info', code: 'log-kept', message: `the source keeps all of its log for the run until it is applied, with no limit but the disk${grown}`, remedy: '--max-retained 50GB stops the run before the disk is full' }
      : { level: 'info', code: 'log-kept', message: `the source removes none of its log by itself${grown}` };
  }
  const limit = [...(mostBytes === undefined ? [] : [`no more than ${size(mostBytes)} of its log`]), ...(keptSeconds === undefined ? [] : [`its log for ${time(keptSeconds)}`])].join(' and ');
  const reach = lasts === Infinity ? 'which is enough as long as the log does not grow' : `which lasts for about ${time(lasts)}${bySize === undefined ? '' : ' at this pace, an estimate'}`;
  if (copySeconds === undefined || lasts === Infinity) return { ...found, level: 'info', message: `the source keeps ${limit}, ${reach}` };
  // Twice as long: the run has to catch up as well.
  if (lasts >= 2 * copySeconds) return { ...found, level: 'info', message: `the source keeps ${limit}, ${reach}: enough for a copy of ${time(copySeconds)}` };
  return { ...found, level: 'warning', message: `the source keeps ${limit}, ${reach}, and the copy takes about ${time(copySeconds)}: the log may be gone before the run gets to it` };
}

function size(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e3).toFixed(1)} kB`;
}

function time(seconds: number): string {
  return seconds >= 5400 ? `${(seconds / 3600).toFixed(1)} h` : seconds >= 90 ? `${Math.round(seconds / 60)} min` : `${Math.ceil(seconds)} s`;
}
