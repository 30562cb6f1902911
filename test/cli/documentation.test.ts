import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { defaultFolder } from '../../src/state/store.js';
import { parseSettings } from '../../src/cli/file.js';
import { flags, type SettingName } from '../../src/cli/flags.js';
import { defaults, settingsSchema } from '../../src/cli/settings.js';
import { DsyncError, exitStatus, type ErrorCode } from '../../src/errors.js';
import { freshFolder, report, type, well } from './terminal.js';

const read = (path: string) => readFileSync(resolve(path), 'utf8');
/** The cells of a Markdown table's rows, without code marks. */
const rowsOf = (text: string) => text.split('\n').filter((line) => line.startsWith('| ')).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim().replaceAll('`', '')));

const commands = ['sync', 'resume', 'replay', 'plan', 'verify', 'doctor', 'selftest', 'runs', 'status', 'tables', 'cutover', 'cleanup'];
const examplesIn = (help: string) => help.split('\n').filter((line) => /^ {2}dsync /.test(line)).map((line) => line.trim());
/** Words as a shell splits them: quotes and nothing else. */
const wordsOf = (line: string) => [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);

describe('docs/configuration.md', () => {
  const documented = new Map(rowsOf(read('docs/configuration.md')).map(([key, ...rest]) => [key, rest]));

  test.each(Object.keys(settingsSchema.shape) as SettingName[])('explains %s as the schema and --help do', (name) => {
    const { spelling } = flags[name];
    const [flag, usual, said] = documented.get(name) ?? [];
    expect(flag).toBe(spelling);
    expect(said).toBe(settingsSchema.shape[name].unwrap().description?.replace(/ \(default: .*\)$/, ''));
    if ('usual' in flags[name]) expect(usual).toBe(flags[name].usual);
  });

  test('has no key that the schema does not know', () => {
    const keys = [...documented.keys()].slice(1).filter((key) => !key.includes('_'));
    expect(keys.filter((key) => key !== 'variable')).toEqual(Object.keys(settingsSchema.shape));
  });

  test('names the flags that have no key', async () => {
    const text = read('docs/configuration.md').replace(/\s+/g, ' ');
    const known = new Set(Object.values(flags).map(({ spelling }) => spelling.split(' ')[0]));
    const helps = await Promise.all(commands.map(async (command) => (await type([command, '--help'])).stdout));
    const others = new Set(helps.flatMap((help) => [...help.matchAll(/^ {2}(--[a-z-]+(?: <\w+>)?)/gm)].map(([, flag]) => flag)).filter((flag) => !known.has(flag.split(' ')[0]) && flag !== '--help'));
    expect([...others].filter((flag) => !text.includes(`\`${flag}\``))).toEqual([]);
    expect(others.size).toBe(16);
  });

  test('says the default state folder', () => {
    expect(documented.get('state')![1]).toBe('$XDG_STATE_HOME/dsync or ~/.local/state/dsync');
    expect(defaultFolder({ HOME: '~' })).toBe('~/.local/state/dsync');
  });
});

describe('examples/dsync.yaml', () => {
  const text = read('examples/dsync.yaml');

  test('has every key, and is understood', () => {
    expect(Object.keys(parseSettings(text, 'dsync.yaml'))).toEqual(Object.keys(settingsSchema.shape));
  });

  test('has the defaults where there are some', () => {
    const { existing, concurrency, memory, verify, verifyWith, json } = parseSettings(text, 'dsync.yaml');
    expect({ existing, concurrency, memory, verify, verifyWith, json }).toEqual({ existing: defaults.existing, concurrency: defaults.concurrency, memory: defaults.memory, verify: defaults.verify, verifyWith: defaults.verifyWith, json: defaults.json });
  });
});

describe('docs/exit-status.md', () => {
  const rows = rowsOf(read('docs/exit-status.md'));
  const statuses = new Map(rows.flatMap(([codes, status]) => codes.split(', ').map((code) => [code, status])));
  const codes: ErrorCode[] = ['usage', 'unreachable', 'denied', 'not-ready', 'refused', 'busy', 'interrupted', 'source-lost', 'connection-lost', 'conflict', 'disk-full', 'state', 'data', 'internal'];

  test.each(codes)('gives the status of %s', (code) => {
    expect(statuses.get(code)?.split(' ')[0]).toBe(String(exitStatus(new DsyncError(code, ''))));
  });

  test('has every status', () => {
    expect(rows.map(([status]) => status).filter((status) => /^\d+$/.test(status))).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '130', '143']);
  });
});

describe('--help', () => {
  test.each(commands)('of %s has examples that the command line understands', async (command) => {
    const examples = examplesIn((await type([command, '--help'])).stdout);
    expect(examples.length).toBeGreaterThan(1);
    for (const example of examples) {
      const [, ...argv] = wordsOf(example);
      const { stderr } = await type([...argv, '--config', resolve('examples/dsync.yaml'), '--log-file', '/dev/null', '--state', freshFolder()], {
        env: { SHOP_PASSWORD: 'x', COPY_PASSWORD: 'y' }, actions: { sync: async () => report(), resume: well.resume },
      });
      expect(stderr, example).not.toMatch(/unknown|argument|missing|--[a-z-]+: /);
    }
  });

  test('of dsync has examples that the command line understands', async () => {
    const { stdout } = await type(['--help']);
    expect(examplesIn(stdout)).toHaveLength(3);
    for (const command of commands) expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
  });
});

describe('files that other programs read', () => {
  const files = ['docker-compose.yml', ...['.github/workflows', '.github/ISSUE_TEMPLATE'].flatMap((folder) => readdirSync(resolve(folder)).map((name) => `${folder}/${name}`))];

  test.each(files)('%s is YAML', (name) => {
    expect(parse(read(name))).toEqual(expect.any(Object));
  });
});
