import { describe, expect, test } from 'vitest';
import { absolute, expanded, hasPassword, literalSecrets, scrubber, withoutSecrets, withPassword } from '../../src/url.js';

describe('a URL without its secrets', () => {
  test.each([
    ['postgres://ada:secret@db1:5432/shop', 'postgres://ada@db1:5432/shop'],
    ['postgres://ada@db1/shop', 'postgres://ada@db1/shop'],
    ['postgres://ada:se%40cret@db1/shop?sslmode=require', 'postgres://ada@db1/shop?sslmode=require'],
    ['postgres://ada:s@cret@db1/shop', 'postgres://ada@db1/shop'],
    ['postgres://ada:a:b:c@[::1]:5432/shop', 'postgres://ada@[::1]:5432/shop'],
    ['postgres://:secret@db1/shop', 'postgres://@db1/shop'],
    ['mongodb://ada:secret@h1:27017,h2:27018/shop?authSource=admin&replicaSet=rs0', 'mongodb://ada@h1:27017,h2:27018/shop?authSource=admin&replicaSet=rs0'],
    ['postgres:///shop?user=ada&password=secret&host=/tmp', 'postgres:///shop?user=ada&host=/tmp'],
    ['mongodb://h1/shop?tlsCertificateKeyFilePassword=secret', 'mongodb://h1/shop'],
    ['mongodb://h1/shop?authMechanismProperties=AWS_SESSION_TOKEN:secret', 'mongodb://h1/shop'],
    ['mongodb://h1/shop?appName=ada@home', 'mongodb://h1/shop?appName=ada@home'],
    ['postgres://ada:${PW}@db1/shop', 'postgres://ada:${PW}@db1/shop'],
    ['postgres://ada:x${PW}@db1/shop', 'postgres://ada@db1/shop'],
    ['postgres:///shop?password=${PW}', 'postgres:///shop?password=${PW}'],
    ['${DATABASE_URL}', '${DATABASE_URL}'],
    ['sqlite:/data/a@b#c.db', 'sqlite:/data/a@b#c.db'],
    ['sqlite:///data/a:b@c.db', 'sqlite:///data/a:b@c.db'],
    ['generator:?rows=1000&key=uuid', 'generator:?rows=1000&key=uuid'],
    ['null:', 'null:'],
    ['no url at all', 'no url at all'],
  ])('%s', (url, clean) => {
    expect(withoutSecrets(url)).toBe(clean);
  });

  test.each(['postgres://ada:se/cret@db1/shop', 'postgres://ada:12/34@db1/shop', 'postgres://ada:se?cret@db1/shop', 'postgres://ada:se#cret@db1/shop', 'postgres://ada:12#34@db1/shop'])(
    'shows nothing of %s, whose password ends too early', (url) => {
      expect(withoutSecrets(url)).toBe('postgres://***');
      expect(() => expanded(url, {}, 'source')).toThrow(expect.objectContaining({ code: 'usage', message: expect.not.stringContaining('cret'), remedy: expect.stringContaining('%2F') }));
    });
});

describe('${NAME}', () => {
  test('in a password is the password itself, whatever is in it', () => {
    expect(expanded('postgres://ada:${PW}@db1/shop', { PW: 'p@s/s?#%w' }, 'source')).toBe('postgres://ada:p%40s%2Fs%3F%23%25w@db1/shop');
  });

  test('may be the whole URL, or any part of it', () => {
    expect(expanded('${URL}', { URL: 'postgres://ada:secret@db1/shop' }, 'source')).toBe('postgres://ada:secret@db1/shop');
    expect(expanded('postgres://${HOST}:${PORT}/${DB}', { HOST: 'db1', PORT: '5432', DB: 'shop' }, 'source')).toBe('postgres://db1:5432/shop');
  });

  test('that is not in the environment is named', () => {
    expect(() => expanded('postgres://ada:${PW}@db1/shop', {}, 'destination')).toThrow(expect.objectContaining({ code: 'usage', message: 'the destination URL uses ${PW}, but the environment has no PW' }));
  });

  test('may be empty', () => {
    expect(expanded('postgres://ada:${PW}@db1/shop', { PW: '' }, 'source')).toBe('postgres://ada:@db1/shop');
  });

  test.each(['postgres://ada:${1PW}@db1', 'postgres://ada:${PW-x}@db1', 'postgres://ada:${}@db1'])('that is no name is refused: %s', (url) => {
    expect(() => expanded(url, { PW: 'x' }, 'source')).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});

describe('what the state would lose', () => {
  test.each([
    ['postgres://ada:secret@db1/shop', 'password'], ['postgres://ada@db1/shop', 'none'], ['postgres://ada:${PW}@db1/shop', 'none'],
    ['postgres:///shop?user=ada&password=secret', 'password'], ['mongodb://ada:secret@h1/shop?tlsCertificateKeyFilePassword=x', 'other'],
    ['sqlite:a.db', 'none'], ['mongodb://h1/shop?tlsCertificateKeyFilePassword=${X}', 'none'],
  ])('%s: %s', (url, lost) => {
    expect(literalSecrets(url)).toBe(lost);
  });
});

describe('a password from elsewhere', () => {
  test('goes to the user, encoded', () => {
    expect(withPassword('postgres://ada@db1/shop', 'p@ss')).toBe('postgres://ada:p%40ss@db1/shop');
  });

  test('goes nowhere where there is one, or no user', () => {
    expect(withPassword('postgres://ada:x@db1/shop', 'y')).toBe('postgres://ada:x@db1/shop');
    expect(withPassword('postgres://db1/shop', 'y')).toBe('postgres://db1/shop');
    expect(withPassword('sqlite:a.db', 'y')).toBe('sqlite:a.db');
  });

  test('is seen', () => {
    expect(['postgres://ada:x@db1', 'postgres:///s?password=x', 'postgres://ada@db1', 'null:'].map(hasPassword)).toEqual([true, true, false, false]);
  });
});

test('a file is found from any folder; others stay as they are', () => {
  expect(['sqlite:a.db', 'sqlite:./a.db?mode=ro', 'sqlite:/x/a.db', 'sqlite:///x/a.db', 'sqlite://a%20b.db', 'sqlite::memory:', 'file:out', 'postgres://db1/a', 'null:'].map((url) => absolute(url, '/home/ada')))
    .toEqual(['sqlite:/home/ada/a.db', 'sqlite:/home/ada/a.db?mode=ro', 'sqlite:/x/a.db', 'sqlite:///x/a.db', 'sqlite:/home/ada/a b.db', 'sqlite::memory:', 'file:/home/ada/out', 'postgres://db1/a', 'null:']);
});

describe('any text', () => {
  test('loses passwords in each of their spellings', () => {
    const scrub = scrubber(['postgres://ada:p%40ss"word@db1/shop', 'mongodb://h1/shop?tlsCertificateKeyFilePassword=hunter22']);
    expect(scrub('tried p@ss"word, p%40ss"word, p%40ss%22word and hunter22')).toBe('tried ***, ***, *** and ***');
    expect(scrub(JSON.stringify({ message: 'p@ss"word' }))).toBe('{"message":"***"}');
    expect(scrubber(['postgres://ada:hun/ter22@db1/shop'])('no host ada:hun/ter22')).toBe('no host ada:***');
  });

  test('loses what looks like the password of another URL', () => {
    expect(scrubber([])('at mysql://eve:hunter22@db2/x, see https://example.org/a:b@c')).toBe('at mysql://eve:***@db2/x, see https://example.org/a:b@c');
    expect(scrubber([])('postgres://ada:${PW}@db1')).toBe('postgres://ada:${PW}@db1');
  });

  test('stays readable where the password is a word that stands in the URL anyway', () => {
    expect(scrubber(['postgres://postgres:postgres@db1/shop'])('postgres://postgres@db1/shop does not answer')).toBe('postgres://postgres@db1/shop does not answer');
  });
});
