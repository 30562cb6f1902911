import { describe, expect, it } from 'vitest';
import { Ledger, reached } from '../../src/channel/ledger.js';

const barrier = (sequence: number) => ({ kind: 'task-done' as const, task: 't', namespace: 'n', sequence, rows: 9 });
const row = (sequence: number, cursor?: string, done = false) => ({ task: 't', sequence, cursor, rows: 10, done });

describe('the ledger', () => {
  it('completes a task only when every batch before its barrier has landed', () => {
    const ledger = new Ledger();
    expect(ledger.landed('t', 1)).toBeUndefined();
    expect(ledger.barrier(barrier(3))).toBeUndefined();
    expect(ledger.landed('t', 2)).toBeUndefined();
    expect(ledger.landed('t', 0)).toEqual(barrier(3));
  });

  it('completes an empty task with its barrier', () => {
    expect(new Ledger().barrier(barrier(0))).toEqual(barrier(0));
  });

  it('counts from where an earlier process stopped', () => {
    const ledger = new Ledger();
    ledger.startAt('t', 5);
    expect(ledger.landed('t', 5)).toBeUndefined();
    expect(ledger.barrier(barrier(6))).toEqual(barrier(6));
  });

  it('keeps tasks apart', () => {
    const ledger = new Ledger();
    ledger.landed('other', 0);
    expect(ledger.barrier(barrier(1))).toBeUndefined();
  });
});

describe('what a task reached', () => {
  const second = 2 ** 32, third = 2 * second;

  it('is the cursor of the contiguous prefix, never one beyond a gap', () => {
    expect(reached([row(0, 'a'), row(1, 'b'), row(3, 'd')]).get('t')).toMatchObject({ cursor: 'b', sequence: second, done: false });
  });

  it('keeps the last cursor that was given', () => {
    expect(reached([row(1), row(0, 'a')]).get('t')).toMatchObject({ cursor: 'a', sequence: second });
  });

  it('is nothing when the first batch is missing', () => {
    expect(reached([row(1, 'b')]).get('t')).toMatchObject({ cursor: undefined, sequence: second, rows: 10 });
  });

  it('goes on behind the gaps that earlier processes have left', () => {
    const first = [row(0, 'a'), row(2, 'c')];
    expect(reached([...first, row(second, 'b'), row(second + 1, 'c2'), row(second + 3, 'e')]).get('t')).toMatchObject({ cursor: 'c2', sequence: third });
    expect(reached([...first, row(second + 1, 'c2')]).get('t')).toMatchObject({ cursor: 'a', sequence: third });
    expect(reached([...first, row(second)]).get('t')).toMatchObject({ cursor: 'a', sequence: third });
  });

  it('is done when the destination says so', () => {
    expect(reached([row(7, 'z', true)]).get('t')).toMatchObject({ done: true });
  });
});
