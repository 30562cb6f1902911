import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../test/servers/server.js';
import { textRows } from '../test/servers/sql.js';
import { prepareDocuments } from './documents.js';

/*
 * Clients that work on a source while dsync follows it: pgbench on PostgreSQL, sysbench on MariaDB and MySQL, which also work
 * on `twins`, a table without a key and with equal rows; on MongoDB a client of its own (documents.ts).
 */

/** A client program that is started again when its server goes away. */
export interface Load extends AsyncDisposable {
  /** Transactions a second, about. */
  start(rate: number, clients?: number): void;
  stop(): Promise<void>;
}

/** The tables that a load changes, each with all columns in the order in which rows are compared. */
export interface Prepared { readonly load: Load; readonly tables: readonly { readonly name: string; readonly columns: readonly string[] }[] }

/** Fills the database that the URL names. */
export async function prepareLoad(url: string, scale: number): Promise<Prepared> {
  if (url.startsWith('mongodb')) return prepareDocuments(url, scale);
  return url.startsWith('postgres') ? preparePgbench(url, scale) : prepareSysbench(url, scale);
}

async function preparePgbench(url: string, scale: number): Promise<Prepared> {
  const { hostname, port, username, password, pathname } = new URL(url), folder = await mkdtemp(join(tmpdir(), 'dsync-load-'));
  const login = ['-h', hostname, '-p', port, '-U', username, pathname.slice(1)], env = { PGPASSWORD: password };
  await run(['pgbench', '-i', '-q', '-s', String(scale), ...login], { env });
  await textRows(url, `ALTER TABLE pgbench_history REPLICA IDENTITY FULL; CREATE TABLE twins (n int, note text); ALTER TABLE twins REPLICA IDENTITY FULL;
    INSERT INTO twins SELECT g % 50, repeat('x', g % 7) FROM generate_series(1, 2000) g`);
  const script = join(folder, 'twins.sql');
  await writeFile(script, `\\set n random(0, 49)
    INSERT INTO twins VALUES (:n, 'x'), (:n, 'x'); DELETE FROM twins WHERE ctid IN (SELECT ctid FROM twins WHERE n = :n LIMIT 1); UPDATE twins SET note = note || 'y' WHERE ctid IN (SELECT ctid FROM twins WHERE n = :n LIMIT 1);\n`);
  const command = (rate: number, clients: number) => ['pgbench', '-n', '-b', 'tpcb-like@8', '-f', `${script}@2`, '-c', String(clients), '-T', '100000', '-R', String(rate), ...login];
  return {
    load: respawning(command, env, folder),
    tables: [
      { name: 'pgbench_accounts', columns: ['aid', 'bid', 'abalance', 'filler'] }, { name: 'pgbench_tellers', columns: ['tid', 'bid', 'tbalance'] },
      { name: 'pgbench_branches', columns: ['bid', 'bbalance'] }, { name: 'pgbench_history', columns: ['tid', 'bid', 'aid', 'delta', 'mtime'] }, { name: 'twins', columns: ['n', 'note'] },
    ],
  };
}

async function prepareSysbench(url: string, scale: number): Promise<Prepared> {
  const { hostname, port, username, password, pathname } = new URL(url), folder = await mkdtemp(join(tmpdir(), 'dsync-load-'));
  const flags = [`--mysql-host=${hostname}`, `--mysql-port=${port}`, `--mysql-user=${username}`, `--mysql-password=${password}`, `--mysql-db=${pathname.slice(1)}`, '--tables=2', `--table-size=${scale * 50_000}`];
  await run(['sysbench', 'oltp_write_only', ...flags, 'prepare']);
  await textRows(url, `CREATE TABLE twins (n int, note text); INSERT INTO twins SELECT k % 50, repeat('x', k % 7) FROM sbtest1 LIMIT 2000`);
  const script = join(folder, 'mixed.lua');
  // Sysbench's own transaction with one on the table without a key; what a lost connection or a deadlock ends is ignored.
  await writeFile(script, `require("oltp_common")
    function prepare_statements() prepare_begin() prepare_commit() prepare_index_updates() prepare_non_index_updates() prepare_delete_inserts() end
    function event()
      begin() execute_index_updates() execute_non_index_updates() execute_delete_inserts() commit()
      local n = sysbench.rand.uniform(0, 49)
      con:query("INSERT INTO twins VALUES (" .. n .. ", 'x'), (" .. n .. ", 'x')")
      con:query("DELETE FROM twins WHERE n = " .. n .. " LIMIT 1")
      con:query("UPDATE twins SET note = concat(note, 'y') WHERE n = " .. n .. " LIMIT 1")
    end\n`);
  const command = (rate: number, clients: number) => ['sysbench', script, ...flags, `--threads=${clients}`, `--rate=${rate}`, '--time=0', '--mysql-ignore-errors=all', 'run'];
  const columns = ['id', 'k', 'c', 'pad'];
  return { load: respawning(command, {}, folder), tables: [{ name: 'sbtest1', columns }, { name: 'sbtest2', columns }, { name: 'twins', columns: ['n', 'note'] }] };
}

function respawning(command: (rate: number, clients: number) => readonly string[], env: NodeJS.ProcessEnv, folder: string): Load {
  let child: ChildProcess | undefined, wanted: (() => ChildProcess) | undefined, gone: Promise<unknown> = Promise.resolve();
  const again = () => {
    if (!wanted) return;
    child = wanted();
    gone = new Promise((resolve) => child!.once('close', resolve));
    void gone.then(() => setTimeout(again, 300).unref());
  };
  const stop = async () => {
    wanted = undefined;
    child?.kill('SIGKILL');
    await gone;
  };
  return {
    start(rate, clients = 2) {
      const [program, ...args] = command(rate, clients);
      wanted = () => spawn(program!, args, { env: { ...process.env, ...env }, stdio: 'ignore', cwd: folder });
      again();
    },
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A database of the load's own on a server. */
export async function workDatabase(server: { readonly url: string }): Promise<string> {
  if (!server.url.startsWith('mongodb')) await textRows(server.url, 'CREATE DATABASE work');
  const url = new URL(server.url);
  url.pathname = '/work';
  return url.href;
}
