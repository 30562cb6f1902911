import { appendFile, cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kinds, type ServerName } from './kinds.js';
import { startServer, type OwnServer } from './server.js';
import { connectText, textRows } from './sql.js';

/** A hot standby of an own PostgreSQL server, made by a base backup and fed by streaming, with feedback and a physical slot. */
export async function standbyOf(primary: OwnServer, name: Extract<ServerName, `postgres${string}`>, settings: readonly string[] = []): Promise<OwnServer> {
  const program = await kinds[name].obtain(), slot = `standby_${process.pid}_${Date.now().toString(36)}`;
  await textRows(primary.url, `SELECT pg_create_physical_replication_slot('${slot}', true)`);
  const conninfo = `host=127.0.0.1 port=${primary.port} user=postgres password=pw dbname=postgres`;
  return startServer(`${name}-standby`, {
    ...program,
    initialise: (folder) => baseBackup(primary, join(folder, 'data')),
    ready: /database system is ready to accept read-only connections/,
  }, { flags: async () => ['-c', 'hot_standby=on', '-c', 'hot_standby_feedback=on', '-c', `primary_slot_name=${slot}`, '-c', `primary_conninfo=${conninfo}`, '-c', 'wal_receiver_status_interval=1s', ...settings] });
}

/** As the manual has it ("Making a Base Backup Using the Low Level API"): the files may change while they are copied. */
async function baseBackup(primary: OwnServer, folder: string): Promise<void> {
  const connection = await connectText(primary.url);
  try {
    await connection.query("SELECT pg_backup_start('standby', true)");
    await cp(join(primary.folder, 'data'), folder, { recursive: true });
    const [{ labelfile }] = await connection.query('SELECT labelfile FROM pg_backup_stop(false)') as [{ labelfile: string }];
    await rm(join(folder, 'postmaster.pid'), { force: true });
    // A standby has slots of its own.
    await rm(join(folder, 'pg_replslot'), { recursive: true, force: true });
    await mkdir(join(folder, 'pg_replslot'));
    await writeFile(join(folder, 'backup_label'), labelfile);
    await appendFile(join(folder, 'standby.signal'), '');
  } finally {
    await connection.end();
  }
}
