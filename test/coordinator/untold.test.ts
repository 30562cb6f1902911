import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Event, LanePlace, Mapping, Shape } from '../../src/contract.js';
import { lineOf, type Run } from '../../src/coordinator/run.js';
import { placeText, takeRejects } from '../../src/coordinator/untold.js';
import { openStore } from '../../src/state/store.js';

const shape: Shape = { namespace: 'shop.t', name: 't', engine: 'memory', columns: [{ name: 'id', type: { kind: 'int', bits: 32, signed: true }, native: 'int', nullable: false }], key: [0] };
const place = (position: string, ...ids: readonly number[]): LanePlace => ({ position, changes: 0, ...(ids.length > 0 && { rejected: ids.map((id) => ({ namespace: 'shop.t', row: [id], reason: 'no' })) }) });

function scene(maxRejects?: number) {
  const folder = mkdtempSync(join(tmpdir(), 'dsync-untold-')), events: Event[] = [], store = openStore(folder);
  onTestFinished(async () => {
    await store[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });
  const run = { id: 'r', store, config: { maxRejects }, mappings: [{ source: shape } as Mapping], emit: (event: Event) => { events.push(event); } } as unknown as Run;
  return { run, store, told: () => events.splice(0).map((event) => event.kind === 'rejected' && event.rejected.row[0]) };
}

test('what a lane has kept of a dead process is told once, also when it was replayed since', () => {
  const { run, store, told } = scene();
  takeRejects(run, [place('0/1', 1, 2), place('0/2')]);
  expect([told(), store.rejects('r').count]).toEqual([[1, 2], 2]);
  takeRejects(run, [place('0/1', 1, 2)]);
  expect(told()).toEqual([]);
  store.endReplay('r', 'a', [{ line: lineOf(shape, { namespace: 'shop.t', row: [1], reason: 'no' }, placeText(place('0/1'))), done: 'written' }]);
  takeRejects(run, [place('0/1', 1, 2)]);
  expect([told(), store.rejects('r').count]).toEqual([[], 1]);
  takeRejects(run, [place('0/3', 1)]);
  expect([told(), store.rejects('r').count]).toEqual([[1], 2]);
});

test('more than are allowed stop the run before anything is applied, whoever has told them', () => {
  const { run } = scene(1);
  takeRejects(run, [place('0/1', 1)]);
  expect(() => takeRejects(run, [place('0/2', 2)])).toThrow(expect.objectContaining({ code: 'waiting' }));
  expect(() => takeRejects(run, [place('0/3')])).toThrow(expect.objectContaining({ code: 'waiting' }));
});
