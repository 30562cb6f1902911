import { expect, test } from 'vitest';
import type { LogLook } from '../../src/contract.js';
import { forecast, type Outlook } from '../../src/coordinator/forecast.js';

const look: LogLook = { written: 0, heldBack: [], snapshotHolds: 'old rows stay', lengthen: 'SET more' };
/** 1 GB at 20 MB/s takes 50 s, in which the log grows by 100 MB. */
const outlook: Outlook = { look, held: true, seconds: 5, growth: 2e6, pace: 20e6, bytes: 1e9 };
const kept = (changed: Partial<Outlook>, of: Partial<LogLook> = {}) => forecast({ ...outlook, ...changed, look: { ...look, ...of } }).find(({ code }) => code === 'log-kept')!;

test('every estimate says that it is one, and what it rests on', () => {
  const messages = forecast(outlook).map(({ code, message }) => `${code}: ${message}`);
  expect(messages).toEqual([
    'log-growth: the log grows by 2.0 MB a second (measured over 5 s: an estimate)',
    'copy-time: the copy takes about 50 s: an estimate, of 1.0 GB at a supposed 20.0 MB a second',
    'snapshot-open: as long as it copies, its snapshot is open: old rows stay',
    'log-kept: the source keeps all of its log for the run until it is applied, with no limit but the disk: about 100.0 MB by the end of the copy, an estimate',
  ]);
});

test('a log that may be gone before the copy is done is a warning, with the statement that lengthens it', () => {
  expect(kept({}, { mostBytes: 90e6 })).toMatchObject({ level: 'warning', remedy: 'SET more', message: expect.stringMatching(/90.0 MB.*lasts for about 45 s.*copy takes about 50 s/) });
  expect(kept({}, { mostBytes: 150e6 })).toMatchObject({ level: 'warning' });
  expect(kept({}, { mostBytes: 300e6 })).toMatchObject({ level: 'info', message: expect.stringContaining('enough for a copy of 50 s') });
  expect(kept({ held: false }, { keptSeconds: 60 })).toMatchObject({ level: 'warning' });
  expect(kept({ held: false }, { keptSeconds: 3600 })).toMatchObject({ level: 'info' });
  expect(kept({}, { mostBytes: 300e6, keptSeconds: 60 })).toMatchObject({ level: 'warning' });
});

test('what is unknown is not made up', () => {
  expect(kept({ bytes: undefined }, { mostBytes: 90e6 })).toMatchObject({ level: 'info', message: expect.not.stringContaining('copy') });
  expect(kept({ growth: 0 }, { mostBytes: 90e6 })).toMatchObject({ level: 'info', message: expect.stringContaining('as long as the log does not grow') });
  expect(kept({ held: false })).toMatchObject({ level: 'info', message: expect.stringContaining('removes none of its log by itself') });
  expect(forecast({ ...outlook, bytes: undefined })[1]).toMatchObject({ message: expect.stringContaining('can\'t be told') });
});
