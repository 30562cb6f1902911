import cliProgress, { type Options, type SingleBar } from 'cli-progress';
import { Progress, type NamespaceProgress } from '../coordinator/progress.js';
import type { Display } from './lines.js';
import { followedText, percent, rejectedText, rowsText, totalText, verifiedText } from './progress.js';
import { counted } from './text.js';
import type { Output } from './surroundings.js';
import type { Voice } from './voice.js';

const { Format, MultiBar } = cliProgress;
const most = 20;
const barOptions: Options = {
  barsize: 24, barCompleteChar: '=', barIncompleteChar: '-',
  clearOnComplete: true, forceRedraw: true, gracefulExit: false,
  // Nothing in the terminal is switched off that a killed process would leave so: lines are cut to its width instead.
  hideCursor: false, linewrap: true,
};

/** For a terminal: one bar for all, and one for each namespace (of many, for those that are worked on). They vanish at the end. */
export function bars(stderr: Output, voice: Voice): Display {
  const progress = new Progress();
  // Not before there is something to show: until then the terminal may be needed to ask for a password.
  let stack: ReturnType<typeof stackOf> | undefined;
  return {
    take(event) {
      progress.take(event);
      if (stack) return;
      stack = stackOf(progress, stderr);
      voice.through((text) => stack?.log(text));
    },
    stop() {
      voice.through(undefined);
      // Writes what was logged since the last time: `stop` alone would drop it.
      stack?.update();
      stack?.stop();
    },
  };
}

function stackOf(progress: Progress, stderr: Output) {
  const stack = new MultiBar({ ...barOptions, stream: stderr as NodeJS.WritableStream, format: (options, { progress: share }, { line }: { line: Line }) => spelled(line, share, options) });
  const all = stack.create(100, 0, { line: totalLine(progress) });
  const slots: SingleBar[] = [];
  stack.on('update-pre', () => {
    const lines = shown(progress.namespaces, stderr.rows ?? 24).map(lineOf);
    for (const [i, line] of lines.entries()) (slots[i] ??= stack.create(100, 0, { line })).update(line.percent ?? 0, { line });
    for (const slot of slots.slice(lines.length)) slot.update(0, { line: { text: '' } });
    const line = totalLine(progress);
    all.update(line.percent ?? 0, { line });
  });
  return stack;
}

interface Line { readonly title?: string; readonly percent?: number; readonly text: string }

function spelled({ title, percent: share, text }: Line, progress: number, options: Options): string {
  if (title === undefined) return text;
  const bar = share === undefined ? ' '.repeat(barOptions.barsize! + 2) : `[${Format.BarFormat(progress, options)}]`;
  return `${title.padEnd(24)} ${bar} ${text}`;
}

/** Everything where it fits; else what is worked on now. */
function shown(namespaces: readonly NamespaceProgress[], rows: number): readonly NamespaceProgress[] {
  const fitting = Math.max(1, Math.min(most, rows - 4));
  if (namespaces.length <= fitting) return namespaces;
  return namespaces.filter(({ state }) => state === 'copying' || state === 'verifying').slice(0, fitting);
}

function lineOf(one: NamespaceProgress): Line {
  const title = one.namespace.length > 24 ? `…${one.namespace.slice(-23)}` : one.namespace;
  if (one.state === 'verifying') return { title, percent: shareOf(one.parts, one.ofParts), text: `verified ${one.parts} of ${counted(one.ofParts, 'part')}` };
  return { title, percent: percent(one), text: one.state === 'done' ? `${rowsText(one)}, verified` : rowsText(one) };
}

function totalLine(progress: Progress): Line {
  const total = progress.total();
  if (progress.phase === 'copy') return { title: 'copy', percent: total.estimate && Math.min(99, shareOf(total.rows, total.estimate)), text: `${totalText(total)}${rejectedText(progress.rejected)}` };
  if (progress.phase === 'verify') return { title: 'verify', percent: shareOf(total.verified, total.namespaces), text: verifiedText(total) };
  if (progress.phase === 'follow') return { title: 'follow', text: `${followedText(progress.followed)}${rejectedText(progress.rejected)}` };
  return { text: progress.phase };
}

function shareOf(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.floor((100 * part) / whole);
}
