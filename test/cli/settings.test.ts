import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { settingsOf } from '../../src/cli/config.js';
import { parseSettings } from '../../src/cli/file.js';
import { flags } from '../../src/cli/flags.js';
import { defaults, settingsSchema } from '../../src/cli/settings.js';
import type { RunConfig } from '../../src/coordinator/config.js';
import { freshFolder, type, well } from './terminal.js';

/** The configuration that the coordinator gets. */
async function configOf(argv: readonly string[], file?: string, env: Record<string, string> = {}): Promise<RunConfig> {
  const folder = freshFolder();
  if (file !== undefined) writeFileSync(join(folder, 'dsync.yaml'), file);
  let seen: RunConfig | undefined;
  const printed = await type(['sync', ...argv], { folder, env, actions: { sync: async (config, ports) => { seen = config; return well.sync(config, ports); } } });
  expect(printed).toMatchObject({ status: 0 });
  return seen!;
}

const mistakes = (text: string): string => {
  try {
    parseSettings(text, 'dsync.yaml');
    return 'none';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('dsync.yaml', () => {
  test('and the flags know the same settings, and nothing else', () => {
    expect(Object.keys(settingsSchema.shape).sort()).toEqual(Object.keys(flags).sort());
    expect(defaults.memory).toBe(128e6);
  });

  test.each([
    ['a number that is none', 'source: a\nconcurrency: many\n', /^dsync\.yaml:2:14: concurrency: .*expected number/],
    ['a number that is too large', 'concurrency: 1000', /^dsync\.yaml:1:14: concurrency: .*256/],
    ['a wrong word', 'existing:   destroy', /^dsync\.yaml:1:13: existing: .*"refuse"\|"append"\|"merge"\|"replace"/],
    ['a size that is none', '\n\nmemory: 12 parsecs\n', /^dsync\.yaml:3:9: memory: "12 parsecs" is not a size/],
    ['a size that is a list', 'memory: [1]', /^dsync\.yaml:1:9: memory: expected a size/],
    ['a pattern that is none', 'namespaces:\n  - public.*\n  - 7\n', /^dsync\.yaml:3:5: namespaces\.1: .*expected string/],
    ['a filter that is none', 'where:\n  orders:\n    status: 1\n', /^dsync\.yaml:3:5: where\.orders: .*expected string/],
    ['a mask that is none', 'mask:\n  users.email: hush\n', /^dsync\.yaml:2:16: mask\.users\.email: expected one of "hash"\|"redact"\|"null"/],
    ['a cast to no text', 'cast:\n  a.b: {}\n', /^dsync\.yaml:2:8: cast\.a\.b: .*expected string/],
    ['columns that are taken and left out at once', 'columns:\n  users: [id, -email]\n', /^dsync\.yaml:2:10: columns\.users: names are either taken or/],
    ['a way with bad values that is none', 'source: a\nonBadValue: ignore\n', /^dsync\.yaml:2:13: onBadValue\.\*: expected one of "reject"\|"null"\|"fail"/],
    ['a way with the bad values of a column that is none', 'onBadValue:\n  orders.ts: drop\n', /^dsync\.yaml:2:14: onBadValue\.orders\.ts: expected one of/],
    ['a key without a value', 'verify:\nexclude:\n', /^dsync\.yaml:1:8: verify: .*\ndsync\.yaml:2:9: exclude: /],
    ['a mistyped key', 'source: a\nnamespace: b\n', /^dsync\.yaml:2:1: unknown key "namespace": did you mean "namespaces"\?$/],
    ['another mistyped key', 'batchsize: 5', /did you mean "batchSize"\?$/],
    ['a key that means nothing', 'colour: red', /^dsync\.yaml:1:1: unknown key "colour"; known keys: source, /],
    ['broken YAML', 'source: "a\n', /^dsync\.yaml:2:1: Missing closing "quote/],
    ['a key that stands twice', 'source: a\nsource: b\n', /^dsync\.yaml:2:1: Map keys must be unique/],
    ['no mapping at all', '- source', /^dsync\.yaml:1:1: expected keys such as/],
  ])('names line and column of %s', (_, text, message) => {
    expect(mistakes(text)).toMatch(message);
  });

  test('tells of every mistake at once', () => {
    expect(mistakes('concurrency: 0\nverify: maybe\nsuorce: x\n').split('\n')).toHaveLength(3);
  });

  test('may be empty', () => {
    expect(parseSettings('# nothing\n', 'dsync.yaml')).toEqual({});
  });

  test('that --config names must be there; the usual one need not', () => {
    expect(() => settingsOf({ flags: { config: 'other.yaml' } }, freshFolder())).toThrow(expect.objectContaining({ code: 'usage', message: expect.stringContaining('other.yaml') }));
    expect(settingsOf({ flags: {} }, freshFolder())).toEqual({});
  });
});

describe('the configuration of a run', () => {
  test('has its defaults', async () => {
    expect(await configOf(['sqlite:/a.db', 'null:'])).toEqual({
      source: 'sqlite:/a.db', destination: 'null:', namespaces: [], exclude: [], where: {}, existing: 'refuse', acceptLoss: [], concurrency: 4, memoryBytes: 128e6, verify: true, verifyWith: 'auto', live: false, onDdl: 'stop', schema: 'create', views: 'definition',
    });
  });

  const everything: RunConfig = {
    source: 'sqlite:/a.db', destination: 'null:', namespaces: ['a.*', 'b:c'], exclude: ['a.x'], where: { 'a.y': "s = 'a: b'" }, existing: 'merge', acceptLoss: ['a.y.ts'],
    concurrency: 2, memoryBytes: 64 * 2 ** 20, batchBytes: 4e6, batchRows: 500, rateLimit: { rows: 5000 }, verify: false, verifyWith: 'digests', live: false, onDdl: 'stop', schema: 'create', views: 'definition',
  };

  test('is the same from flags and from the file', async () => {
    expect(await configOf(['sqlite:/a.db', 'null:', '--namespace', 'a.*', '--namespace', 'b:c', '--exclude', 'a.x', '--where', "a.y: s = 'a: b'", '--existing', 'merge',
      '--accept-loss', 'a.y.ts', '--concurrency', '2', '--memory', '64MiB', '--batch-size', '4MB, 500 rows', '--rate-limit', '5000 rows/s', '--no-verify', '--verify-with', 'digests'])).toEqual(everything);
    expect(await configOf([], `source: sqlite:/a.db
destination: "null:"
namespaces: [a.*, "b:c"]
exclude: a.x
where: { a.y: "s = 'a: b'" }
existing: merge
acceptLoss: [a.y.ts]
concurrency: 2
memory: 64MiB
batchSize: 4MB, 500 rows
rateLimit: 5000 rows/s
verify: false
verifyWith: digests
`)).toEqual(everything);
  });

  const rules: Partial<RunConfig> = {
    cast: { 'orders.total': 'numeric(12,2)', 'mysql.tinyint(1)': 'smallint' }, columns: { users: ['-password', '-token'], orders: ['id', 'total'] },
    mask: { 'users.email': 'hash', 'users.phone': 'null' }, onBadValue: { '*': 'null', 'orders.ts': 'fail' }, maskKey: 'k',
  };

  test('has the same rules for columns from flags and from the file', async () => {
    const ends = ['sqlite:/a.db', 'null:'], env = { DSYNC_MASK_KEY: 'k' };
    expect(await configOf([...ends, '--cast', 'orders.total=numeric(12,2)', '--cast', 'mysql.tinyint(1)=smallint', '--columns', 'users=-password, -token', '--columns', 'orders=id,total',
      '--mask', 'users.email=hash', '--mask', 'users.phone=null', '--on-bad-value', 'null', '--on-bad-value', 'orders.ts=fail'], undefined, env)).toMatchObject(rules);
    expect(await configOf(ends, `cast: { orders.total: "numeric(12,2)", mysql.tinyint(1): smallint }
columns: { users: [-password, -token], orders: "id, total" }
mask: { users.email: hash, users.phone: null }
maskKey: \${OTHER}
onBadValue: { "*": null, orders.ts: fail }
`, { OTHER: 'k' })).toMatchObject(rules);
    expect(await configOf(ends, 'onBadValue: null\n')).toMatchObject({ onBadValue: { '*': 'null' } });
  });

  test('has no key of hashes where nothing is hashed', async () => {
    expect(await configOf(['sqlite:/a.db', 'null:', '--mask', 'a.b=redact', '--mask-key', 'k'])).not.toHaveProperty('maskKey');
  });

  test('heeds a flag more than the file', async () => {
    const config = await configOf(['sqlite:/b.db', '--namespace', 'x'], 'source: sqlite:/a.db\ndestination: "null:"\nnamespaces: [y, z]\nexclude: [q]\n');
    expect(config).toMatchObject({ source: 'sqlite:/b.db', destination: 'null:', namespaces: ['x'], exclude: ['q'] });
  });

  test('reads the environment in URLs, and only there', async () => {
    const config = await configOf(['--exclude', '${PW}'], 'source: postgres://ada:${PW}@db1/shop\ndestination: ${TARGET}\nwhere: { t: "a = ${PW}" }\n', { PW: 'p@ss', TARGET: 'mysql://db2/shop' });
    expect(config).toMatchObject({ source: 'postgres://ada:p%40ss@db1/shop', destination: 'mysql://db2/shop', exclude: ['${PW}'], where: { t: 'a = ${PW}' } });
  });

  test('takes passwords from variables that are made for it, or that drivers know', async () => {
    const urls = ['postgres://ada@db1/shop', 'mysql://ada@db2/shop'];
    expect(await configOf(urls, undefined, { DSYNC_SOURCE_PASSWORD: 'a', DSYNC_DESTINATION_PASSWORD: 'b', PGPASSWORD: 'c' })).toMatchObject({ source: 'postgres://ada:a@db1/shop', destination: 'mysql://ada:b@db2/shop' });
    expect(await configOf(urls, undefined, { PGPASSWORD: 'c', MYSQL_PWD: 'd' })).toMatchObject({ source: 'postgres://ada:c@db1/shop', destination: 'mysql://ada:d@db2/shop' });
  });
});

describe('a wrong command line', () => {
  const urls = ['sqlite:/a.db', 'null:'];
  test.each([
    ['no source', [], /no source is given/],
    ['no destination', ['sqlite:/a.db'], /no destination is given/],
    ['a third end', [...urls, 'null:'], /too many arguments/],
    ['an unknown flag', [...urls, '--exisitng', 'merge'], /unknown option '--exisitng'\s+\(Did you mean --existing\?\)/],
    ['a flag without its value', [...urls, '--memory'], /--memory <size>' argument missing/],
    ['a wrong word', [...urls, '--existing', 'destroy'], /--existing: .*"refuse"/],
    ['a wrong size', [...urls, '--memory', '12x'], /--memory: "12x" is not a size such as 128MB/],
    ['a hash without a key', [...urls, '--mask', 'a.b=hash'], /needs a key, and the environment has no DSYNC_MASK_KEY/],
    ['a hash with a key that is not there', [...urls, '--mask', 'a.b=hash', '--mask-key', '${NONE}'], /has no NONE/],
    ['a wrong mask', [...urls, '--mask', 'a.b=hush'], /--mask: a\.b: expected one of/],
    ['a mask of nothing', [...urls, '--mask', 'hash'], /--mask: "hash" is not column=way/],
    ['a cast of nothing', [...urls, '--cast', '=int'], /--cast: "=int" is not column=type/],
    ['a column that is cast twice', [...urls, '--cast', 'a.b=int', '--cast', 'a.b=text'], /--cast: a\.b is named twice/],
    ['columns of both kinds', [...urls, '--columns', 'a=b,-c'], /--columns: a: names are either taken or/],
    ['a wrong way with bad values', [...urls, '--on-bad-value', 'a.b=drop'], /--on-bad-value: a\.b: expected one of/],
    ['a wrong batch', [...urls, '--batch-size', 'big'], /--batch-size: "big" is not a number of rows/],
    ['a wrong rate', [...urls, '--rate-limit', '5000'], /--rate-limit: "5000" is not a rate/],
    ['a wrong number', [...urls, '--concurrency', '1.5'], /--concurrency: /],
    ['a wrong level', [...urls, '--log-level', 'loud'], /--log-level: /],
    ['a wrong filter', [...urls, '--where', 'status = 1'], /--where: "status = 1" is not TABLE: FILTER/],
    ['two filters of one table', [...urls, '--where', 'a: x', '--where', 'a: y'], /--where: a has two filters/],
    ['a missing variable', ['sqlite:/${NOWHERE}', 'null:'], /environment has no NOWHERE/],
    ['a log file that is a folder', [...urls, '--log-file', '/'], /log file \/ can't be opened/],
  ])('with %s says so and exits with 2', async (_, argv, message) => {
    const { status, stdout, stderr } = await type(['sync', ...argv]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
  });
});
