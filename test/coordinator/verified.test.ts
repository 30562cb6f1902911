import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { expect, it } from 'vitest';
import type { Event } from '../../src/contract.js';
import type { Ports, RunConfig } from '../../src/coordinator/config.js';
import { resume, sync } from '../../src/coordinator/sync.js';
import { DsyncError } from '../../src/errors.js';
import { openStore } from '../../src/state/store.js';
import { describeWith, freshSql, ownServer } from '../servers/index.js';

function spoil(file: string): void {
  const copy = new Database(file);
  copy.exec("UPDATE t SET note = 'changed' WHERE id = 1");
  copy.close();
}

describeWith('postgres18', 'a run that is stopped while it verifies', () => {
  /** Stops after the first finished part; returns how the resumed run ended, and which rows of the copy say `changed`. */
  async function stoppedAndResumed(meanwhile: (query: (sql: string) => Promise<unknown>) => Promise<unknown>) {
    // A server of its own: every write to any of its databases is a change that can't be told from one to this table.
    await using server = await ownServer('postgres18', { flags: async () => ['-c', 'autovacuum=off'] });
    await using from = await freshSql(server.url);
    await from.query(`CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t SELECT g, 'note ' || g FROM generate_series(1, 250000) g; ANALYZE t`);
    const folder = mkdtempSync(join(tmpdir(), 'dsync-verified-'));
    await using store = openStore(folder);
    const config: RunConfig = { source: from.url, destination: `sqlite:${join(folder, 'copy.db')}`, namespaces: [], exclude: [], where: {}, existing: 'refuse', acceptLoss: [], concurrency: 1, memoryBytes: 1 << 26, verify: true, live: false, onDdl: 'stop', schema: 'create', views: 'definition' };
    const stop = new AbortController();
    const ports = (signal: AbortSignal, emit: Ports['emit']): Ports => ({ store, signal, emit, flow: 'f', storedConfig: {}, newRunId: () => 'r1' });
    const untilFirstPart = (event: Event) => { if (event.kind === 'compared' && event.parts === 1) stop.abort(new DsyncError('interrupted', 'stopped')); };
    await expect(sync(config, ports(stop.signal, untilFirstPart))).rejects.toMatchObject({ code: 'interrupted' });
    // Only a look at the destination's row 1, in the part that is finished, could find this.
    spoil(join(folder, 'copy.db'));
    await meanwhile(from.query);
    const report = await resume(store.load('r1')!, config, ports(new AbortController().signal, () => undefined));
    const copy = new Database(join(folder, 'copy.db'), { readonly: true });
    const changed = copy.prepare("SELECT id FROM t WHERE note = 'changed' ORDER BY id").all().map((row) => (row as { id: number }).id);
    copy.close();
    rmSync(folder, { recursive: true });
    return { report, changed };
  }

  it('does not compare a finished part again if nothing was written since', async () => {
    const { report, changed } = await stoppedAndResumed(async () => undefined);
    expect(report).toMatchObject({ exitStatus: 0, verification: [{ result: 'equal', sourceRows: 250_000 }] });
    expect(changed).toEqual([1]);
  });

  it('compares all of it again if something was, and mends it', async () => {
    const { report, changed } = await stoppedAndResumed((query) => query(`UPDATE t SET note = 'changed' WHERE id IN (2, 249999)`));
    expect(report).toMatchObject({ exitStatus: 0, mended: { upserted: 3 } });
    expect(changed).toEqual([2, 249_999]);
  });
}, { own: true });
