import type { Followed, NamespaceProgress, Total } from '../coordinator/progress.js';
import { bytes, count, counted, duration } from './text.js';

/** 0 to 99 while there is more to come, 100 when it is all there; absent without an estimate. */
export function percent(one: Pick<NamespaceProgress, 'rows' | 'estimate' | 'state'>): number | undefined {
  if (one.state === 'copied' || one.state === 'verifying' || one.state === 'done') return 100;
  return one.estimate ? Math.min(99, Math.floor((100 * one.rows) / one.estimate)) : undefined;
}

/** `1,200 of ~5,000 rows (24 %)`; says when there were more than estimated. */
export function rowsText(one: NamespaceProgress): string {
  const share = percent(one);
  if (share === undefined) return counted(one.rows, 'row');
  if (share === 100) return `${counted(one.rows, 'row')} (100 %)`;
  return `${count(one.rows)} of ~${count(one.estimate ?? 0)} rows (${share} %)${one.exceeded ? ', more than estimated' : ''}`;
}

/** `1,200,000 of ~5,000,000 rows, ~38.0 s left, 100,000 rows/s, 12.0 MB/s`: what matters most stands where a narrow terminal still shows it. */
export function totalText({ rows, estimate, rowsPerSecond, bytesPerSecond, secondsLeft }: Total): string {
  const left = secondsLeft === undefined ? '' : `, ~${duration(secondsLeft)} left`;
  return `${estimate === undefined ? counted(rows, 'row') : `${count(rows)} of ~${count(Math.max(estimate, rows))} rows`}${left}, ${count(rowsPerSecond)} rows/s, ${bytes(bytesPerSecond)}/s`;
}

/** `applied 1,200 changes, 0.3 s behind` */
export function followedText({ changes, behindSeconds }: Followed): string {
  const behind = behindSeconds === undefined ? '' : behindSeconds === 0 ? ', nothing left to apply' : `, ${duration(behindSeconds)} behind`;
  return `applied ${counted(changes, 'change')}${behind}`;
}

/** `2 of 5 tables, 12 parts` */
export function verifiedText({ verified, namespaces, parts }: Total): string {
  return `${verified} of ${counted(namespaces, 'table')}, ${counted(parts, 'part')}`;
}

/** `, 3 rejected`; nothing where none is. */
export function rejectedText(rejected: number): string {
  return rejected === 0 ? '' : `, ${count(rejected)} rejected`;
}
