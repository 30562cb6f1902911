import { pino, type Logger, type DestinationStream } from 'pino';
import { DsyncError, messageOf } from '../errors.js';
import type { Settings } from './settings.js';
import type { Voice } from './voice.js';

export type Log = Logger;

/** Logs on stderr as lines for people, and into the log file, if there is one, as JSON. */
export function createLog(level: NonNullable<Settings['logLevel']>, file: string | undefined, voice: Voice): Log {
  const human: DestinationStream = {
    write(line) {
      const record = JSON.parse(line) as LogRecord;
      if (!record.printed) voice.tell(forPeople(record));
    },
  };
  const streams = [{ level, stream: human }, ...(file === undefined ? [] : [{ level: 'debug' as const, stream: appended(file, voice) }])];
  return pino({ level: 'debug', base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.multistream(streams));
}

/** `printed`: people have read it already, it is for the file. */
interface LogRecord { readonly level: number; readonly time: string; readonly msg: string; readonly remedy?: string; readonly printed?: boolean }

/** `12:34:56 warn  orders: …`; a remedy stands on its own line. */
function forPeople({ level, time, msg, remedy }: LogRecord): string {
  const [hour, minute, second] = [new Date(time).getHours(), new Date(time).getMinutes(), new Date(time).getSeconds()].map((part) => String(part).padStart(2, '0'));
  const then = remedy ? `\n         what to do: ${remedy.replaceAll('\n', '\n                     ')}` : '';
  return `${hour}:${minute}:${second} ${(pino.levels.labels[level] ?? '').padEnd(5)} ${msg}${then}\n`;
}

function appended(path: string, voice: Voice): DestinationStream {
  const file = openFile(path);
  let failed = false;
  file.on('error', (error: unknown) => {
    if (!failed) voice.tell(`the log file ${path} can't be written: ${messageOf(error)}\n`);
    failed = true;
  });
  return { write: (line) => { if (!failed) file.write(voice.scrub(line)); } };
}

function openFile(path: string): ReturnType<typeof pino.destination> {
  try {
    return pino.destination({ dest: path, sync: true, mkdir: true, mode: 0o600 });
  } catch (error) {
    throw new DsyncError('usage', `the log file ${path} can't be opened: ${messageOf(error)}`, { cause: error });
  }
}
