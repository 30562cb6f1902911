import { readFileSync } from 'node:fs';
import { Command } from '@commander-js/extra-typings';
import { CommanderError } from 'commander';
import { DsyncError } from '../errors.js';
import { addCleanup } from './commands/cleanup.js';
import { addCutover } from './commands/cutover.js';
import { addDoctor } from './commands/doctor.js';
import { addPlan } from './commands/plan.js';
import { addReplay } from './commands/replay.js';
import { addResume } from './commands/resume.js';
import { addRuns } from './commands/runs.js';
import { addSelftest } from './commands/selftest.js';
import { addStatus } from './commands/status.js';
import { addSync } from './commands/sync.js';
import { addTables } from './commands/tables.js';
import { addVerify } from './commands/verify.js';
import { failureDocument, failureText, statusOf, traceText } from './failure.js';
import { perform, type Perform } from './perform.js';
import { ofThisProcess, type Surroundings } from './surroundings.js';
import { Voice } from './voice.js';

/** Runs one command line and returns its exit status (docs/exit-status.md). Never fails. */
export async function main(around: Surroundings): Promise<number> {
  let status = 0;
  const program = programWith(around, async (given, work) => { status = await perform(around, given, work); });
  try {
    await program.parseAsync([...around.argv], { from: 'user' });
    return status;
  } catch (error) {
    return misread(error, around);
  }
}

/** Runs the command line of this process, and ends it: an idle connection must not keep it. */
export async function mainAndExit(around: Surroundings = ofThisProcess()): Promise<void> {
  // A reader such as `head` may leave early: that is no fault.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  process.on('uncaughtException', (error) => {
    process.stderr.write(`${failureText(error)}${process.env.DSYNC_DEBUG ? traceText(error) : ''}`);
    process.exit(1);
  });
  // Nothing is left that could ever wake this process: without this, it would end as if all were well.
  process.once('beforeExit', () => {
    process.stderr.write(failureText(new DsyncError('internal', 'dsync came to a standstill', { remedy: 'dsync resume goes on' })));
    process.exit(1);
  });
  const status = await main(around);
  await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))));
  process.exit(status);
}

function programWith(around: Surroundings, run: Perform): Command {
  const program: Command = new Command('dsync')
    .description('Moves a database to another one while it stays in use, and proves that nothing was lost.')
    .version(version(), '--version', 'print the version')
    .helpOption('--help', 'print what a command does, its flags, and examples')
    .helpCommand('help [COMMAND]', 'the same')
    .exitOverride()
    .configureOutput({ writeOut: (text) => around.stdout.write(text), writeErr: () => undefined })
    .addHelpText('after', overview);
  for (const add of [addSync, addResume, addReplay, addPlan, addVerify, addDoctor, addSelftest, addRuns, addStatus, addTables, addCutover, addCleanup]) add(program, run);
  return program;
}

const overview = `
Ends are URLs: postgres:// mysql:// mariadb:// mongodb:// mongodb+srv:// sqlite:FILE generator: null:
\${NAME} in a URL is read from the environment. Every flag can stand in dsync.yaml.

Examples:
  dsync sync postgres://ada@db1/shop mysql://ada@db2/shop
  dsync resume
  dsync help sync
`;

function version(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  return version;
}

/** Help and version end commander early too. Everything else that it throws is a mistake in the command line. */
function misread(error: unknown, { argv, stdout, stderr, env }: Surroundings): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  const known = error instanceof CommanderError ? usageError(error) : error;
  const voice = new Voice(stdout, stderr);
  voice.hide(...argv);
  voice.tell(failureText(known));
  if (env.DSYNC_DEBUG) voice.tell(traceText(known));
  if (argv.includes('--json')) voice.say(`${JSON.stringify(failureDocument(known, undefined), null, 2)}\n`);
  return statusOf(known, undefined);
}

function usageError(error: CommanderError): DsyncError {
  return new DsyncError('usage', mistakeOf(error), { remedy: 'dsync --help lists the commands, dsync COMMAND --help the flags of one' });
}

function mistakeOf({ code, message }: CommanderError): string {
  if (code === 'commander.help') return 'no command is given';
  // What stands in a command's place and looks like a URL, or like half of one, may hold a password: it is not repeated.
  if (code === 'commander.unknownCommand' && /[:@]/.test(message.replace(/^error:/, ''))) return 'a command comes first: dsync sync SOURCE DESTINATION';
  return message.replace(/^error: /, '');
}
