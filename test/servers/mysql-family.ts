import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { textRows } from './sql.js';

/** A file of statements that the server runs at every start: the tests' user, who may do all. */
export async function writeFirstStatements(folder: string): Promise<void> {
  await writeFile(join(folder, 'init.sql'), [
    "CREATE USER IF NOT EXISTS tester@'%' IDENTIFIED BY 'pw';",
    "GRANT ALL ON *.* TO tester@'%' WITH GRANT OPTION;",
    '',
  ].join('\n'));
}

/** Flags that MySQL and MariaDB share: little memory, the binary log and LOAD DATA LOCAL on. */
export function sharedFlags(folder: string, port: number): readonly string[] {
  return [
    `--datadir=${join(folder, 'data')}`, `--port=${port}`, '--bind-address=127.0.0.1', `--socket=${join(folder, 's.sock')}`,
    `--pid-file=${join(folder, 'pid')}`, `--init-file=${join(folder, 'init.sql')}`, `--tmpdir=${folder}`,
    '--server-id=1', '--log-bin=bin', '--binlog-format=ROW', '--local-infile=1', '--skip-name-resolve',
    '--innodb-buffer-pool-size=64M', '--max-connections=200',
    // Nobody may rely on the server's own time zone.
    '--default-time-zone=+05:45',
  ];
}

export const urlOf = (port: number): string => `mysql://tester:pw@127.0.0.1:${port}/`;

export async function versionOf(url: string): Promise<string> {
  const version = (await textRows(url, 'SELECT version() AS v'))[0]!.v!;
  const number = version.split('-')[0];
  return /mariadb/i.test(version) ? `MariaDB ${number}` : `MySQL ${number}`;
}
