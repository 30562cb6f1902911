import { describe, expect, test } from 'vitest';
import { batchOf, rateOf, sizeOf } from '../../src/cli/sizes.js';
import { bytes, count, duration, table } from '../../src/cli/text.js';

describe('what people write', () => {
  test.each([['128MB', 128e6], ['64MiB', 64 * 2 ** 20], ['64 mib', 64 * 2 ** 20], ['1.5 GB', 1.5e9], ['4096', 4096], ['10 b', 10]])('%s is so many bytes', (text, size) => {
    expect(sizeOf(text)).toBe(size);
  });

  test.each(['', '0', '0MB', '-1MB', '12x', 'MB', '1e6', '1 000', '99999999999GB', '1,5MB'])('"%s" is no size', (text) => {
    expect(sizeOf(text)).toBeUndefined();
  });

  test.each([
    ['5000', { rows: 5000 }], ['5000 rows', { rows: 5000 }], ['1 row', { rows: 1 }], ['4MB', { bytes: 4e6 }], ['4MB, 5000 rows', { bytes: 4e6, rows: 5000 }],
    ['4MB,4MB', undefined], ['', undefined], ['many', undefined], ['0', undefined],
  ])('batches of %s', (text, batch) => {
    expect(batchOf(text)).toEqual(batch);
  });

  test.each([
    ['5000 rows/s', { rows: 5000 }], ['20MB/s', { bytes: 20e6 }], ['6000 rows / min', { rows: 100 }], ['3.6GB/h', { bytes: 1e6 }],
    ['5000 rows/s, 20 MiB/s', { rows: 5000, bytes: 20 * 2 ** 20 }], ['5000', undefined], ['5000/s', undefined], ['20MB', undefined], ['20MB/day', undefined], ['0 rows/s', undefined],
  ])('at a rate of %s', (text, rate) => {
    expect(rateOf(text)).toEqual(rate);
  });
});

describe('what people read', () => {
  test('are round numbers with their units', () => {
    expect([count(1234567.8), bytes(999), bytes(12_345), bytes(56_789_000), bytes(7.5e9)]).toEqual(['1,234,568', '999 B', '12.3 kB', '56.8 MB', '7.5 GB']);
    expect([duration(0.123), duration(12.34), duration(125), duration(12_000)]).toEqual(['0.12 s', '12.3 s', '2 min 5 s', '3 h 20 min']);
  });

  test('stands in columns', () => {
    expect(table([['a', 'bb', ''], ['ccc', 'd', 'e']], '> ')).toBe('> a    bb\n> ccc  d   e\n');
  });
});
