import type { Event } from '../contract.js';
import { Progress } from '../coordinator/progress.js';
import type { Log } from './log.js';
import { followedText, rejectedText, totalText, verifiedText } from './progress.js';

/** Shows how far a run is. */
export interface Display {
  take(event: Event): void;
  stop(): void;
}

const everySeconds = 5;

/** For what is not a terminal: a log line every few seconds, as long as something moves. */
export function lines(log: Log): Display {
  const progress = new Progress();
  let last = '';
  const timer = setInterval(() => {
    const text = lineOf(progress);
    if (text !== undefined && text !== last) log.info(text);
    last = text ?? last;
  }, everySeconds * 1000);
  timer.unref();
  return { take: (event) => progress.take(event), stop: () => clearInterval(timer) };
}

/** Nothing between the phases that take long. */
export function lineOf(progress: Progress): string | undefined {
  const total = progress.total();
  if (progress.phase === 'copy') return `copied ${totalText(total)}${rejectedText(progress.rejected)}`;
  if (progress.phase === 'verify') return `verified ${verifiedText(total)}`;
  if (progress.phase === 'follow') return `${followedText(progress.followed)}${rejectedText(progress.rejected)}`;
  return undefined;
}
