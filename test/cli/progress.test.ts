import { describe, expect, test } from 'vitest';
import type { Event } from '../../src/contract.js';
import { percent, rowsText, totalText } from '../../src/cli/progress.js';
import { Progress } from '../../src/coordinator/progress.js';

/** A progress with a clock of its own, in seconds. */
function clocked() {
  let now = 0;
  const progress = new Progress(() => now);
  const written = (namespace: string, rows: number): Event => ({ kind: 'written', namespace, task: `${namespace}#1`, rows, bytes: rows * 100, seconds: 0 });
  return {
    progress,
    planned: (namespace: string, estimatedRows?: number, tasks = 1, copiedRows = 0) => progress.take({ kind: 'planned', namespace, tasks, copiedRows, estimatedRows }),
    write: (namespace: string, rows: number, after = 0) => { now += after; progress.take(written(namespace, rows)); },
    taskDone: (namespace: string, rows: number) => progress.take({ kind: 'task-done', namespace, task: `${namespace}#1`, rows }),
    of: (namespace: string) => progress.namespaces.find((one) => one.namespace === namespace)!,
  };
}

describe('the progress of a namespace', () => {
  test('is part of an estimate, and says that it is one', () => {
    const { planned, write, of } = clocked();
    planned('orders', 5000);
    write('orders', 1200);
    expect(rowsText(of('orders'))).toBe('1,200 of ~5,000 rows (24 %)');
  });

  test('never goes beyond 99 % before its end, whatever the estimate was: the estimate grows, and says so', () => {
    const { planned, write, taskDone, of } = clocked();
    planned('orders', 1000, 2);
    for (let i = 0; i < 50; i++) {
      write('orders', 333);
      expect(percent(of('orders'))).toBeLessThanOrEqual(99);
      expect(of('orders').estimate).toBeGreaterThan(of('orders').rows);
    }
    expect(rowsText(of('orders'))).toMatch(/^16,650 of ~\d\d,\d{3} rows \(9\d %\), more than estimated$/);
    taskDone('orders', 10_000);
    expect(percent(of('orders'))).toBeLessThanOrEqual(99);
    taskDone('orders', 6650);
    expect(rowsText(of('orders'))).toBe('16,650 rows (100 %)');
  });

  test('is 100 % at its end, even if there were fewer rows than estimated', () => {
    const { planned, write, taskDone, of } = clocked();
    planned('orders', 1000);
    write('orders', 10);
    taskDone('orders', 10);
    expect(rowsText(of('orders'))).toBe('10 rows (100 %)');
  });

  test('without an estimate is a number of rows', () => {
    const { planned, write, of } = clocked();
    planned('orders');
    planned('lines', -1);
    write('orders', 10);
    write('lines', 10);
    expect([rowsText(of('orders')), rowsText(of('lines'))]).toEqual(['10 rows', '10 rows']);
  });
});

test('what could not be compared is copied, not verified', () => {
  const { progress, planned, write, taskDone, of } = clocked();
  planned('orders', 10);
  write('orders', 10);
  taskDone('orders', 10);
  const verification = { namespace: 'orders', target: 'orders', sourceRows: 0, destinationRows: 0, sourceDigest: '', destinationDigest: '', missing: 0, extra: 0, changed: 0, rejected: 0, differences: [], seconds: 0 };
  progress.take({ kind: 'verified', verification: { ...verification, result: 'not-comparable' } });
  expect([of('orders').state, progress.total().verified]).toEqual(['copied', 0]);
  progress.take({ kind: 'verified', verification: { ...verification, result: 'equal' } });
  expect([of('orders').state, progress.total().verified]).toEqual(['done', 1]);
});

describe('a resumed run', () => {
  test('goes on counting where the earlier process stopped, and tells the rate of its own rows', () => {
    const { progress, planned, write, taskDone, of } = clocked();
    planned('orders', 5000, 1, 3000);
    planned('lines', 100, 0, 100);
    progress.take({ kind: 'phase', phase: 'copy' });
    write('orders', 1200, 1);
    expect([rowsText(of('orders')), totalText(progress.total())]).toEqual(['4,200 of ~5,000 rows (84 %)', '4,300 of ~5,100 rows, ~0.67 s left, 1,200 rows/s, 120.0 kB/s']);
    expect(rowsText(of('lines'))).toBe('100 rows (100 %)');
    taskDone('orders', 5000);
    expect(rowsText(of('orders'))).toBe('4,200 rows (100 %)');
  });

  test('under a second moment begins with what is there by then', () => {
    const { planned, write, of } = clocked();
    planned('orders', 5000);
    write('orders', 1200);
    planned('orders', 5000, 1, 1000);
    write('orders', 500);
    expect(rowsText(of('orders'))).toBe('1,500 of ~5,000 rows (30 %)');
  });
});

describe('the total', () => {
  test('has the rate of the last seconds, and an estimate of the time that is left', () => {
    const { progress, planned, write } = clocked();
    planned('orders', 100_000);
    progress.take({ kind: 'phase', phase: 'copy' });
    for (let i = 0; i < 20; i++) write('orders', 10, 1);
    for (let i = 0; i < 11; i++) write('orders', 1000, 1);
    const total = progress.total();
    expect(total.rowsPerSecond).toBeCloseTo(1000, 0);
    expect(totalText(total)).toBe('11,200 of ~100,000 rows, ~1 min 29 s left, 1,000 rows/s, 100.0 kB/s');
  });

  test('knows no end where one namespace has no estimate', () => {
    const { progress, planned, write } = clocked();
    planned('orders', 100);
    planned('lines');
    progress.take({ kind: 'phase', phase: 'copy' });
    write('orders', 10, 1);
    expect(totalText(progress.total())).toBe('10 rows, 10 rows/s, 1.0 kB/s');
  });

  test('counts what was verified', () => {
    const { progress, planned } = clocked();
    planned('orders', 1);
    planned('lines', 1);
    progress.take({ kind: 'compared', namespace: 'orders', parts: 3, of: 4, rows: 10 });
    progress.take({ kind: 'verified', verification: { namespace: 'lines', target: 'lines', result: 'equal', sourceRows: 0, destinationRows: 0, sourceDigest: '', destinationDigest: '', missing: 0, extra: 0, changed: 0, rejected: 0, differences: [], seconds: 0 } });
    expect(progress.total()).toMatchObject({ parts: 3, verified: 1, namespaces: 2 });
  });
});
