import { describe, expect, it } from 'vitest';
import type { Column, LogicalType, Mapping, Shape } from '../../src/contract.js';
import { typeOf } from '../../src/connectors/postgres/types.js';
import { typeOf as mysqlTypeOf } from '../../src/connectors/mysql/types.js';
import { refuseUnnamed, ruling, settled, type Rules } from '../../src/coordinator/rules.js';
import { narrow, whole } from '../../src/source/ruled.js';
import { forgetting } from '../../src/values/rest.js';

const column = (name: string, native: string, type: LogicalType, nullable = true): Column => ({ name, native, type, nullable });
const int: LogicalType = { kind: 'int', bits: 32, signed: true }, text: LogicalType = { kind: 'text' };
const users: Shape = {
  namespace: 'shop.users', schema: 'shop', name: 'users', engine: 'mariadb', key: [0],
  columns: [column('id', 'int(11)', int, false), column('email', 'varchar(99) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', { kind: 'text', maxLength: 99 }), column('flag', 'tinyint(1)', { kind: 'int', bits: 8, signed: true }), column('small', 'tinyint(3) unsigned', { kind: 'int', bits: 8, signed: false }), column('born', 'datetime', { kind: 'timestamp', fraction: 0 }, false)],
};
const documents: Shape = { namespace: 'shop.people', schema: 'shop', name: 'people', engine: 'mongodb', key: [0], columns: [column('_id', '_id', { kind: 'document-id' }, false), column('document', 'document', { kind: 'document' }, false)] };
const postgres = { engine: 'postgres', typeOf };
const ruled = (rules: Partial<Rules>, shape = users) => ruling({ acceptLoss: [], ...rules }, postgres)(shape);
const columnOf = (shape: Shape, name: string) => shape.columns.find((one) => one.name === name)!;

describe('rules', () => {
  it('leave a table alone that they do not name', () => {
    expect(ruled({ cast: { 'orders.id': 'bigint' }, mask: { 'shop.orders.email': 'redact' }, columns: { orders: ['id'] }, onBadValue: { '*': 'reject' } })).toBe(users);
  });

  it('of a column win over those of its type, and a type with arguments over one without', () => {
    const types = (cast: Record<string, string>) => ruled({ cast }).columns.map(({ native }) => native);
    expect(types({ 'mysql.tinyint': 'smallint' }).slice(2, 4)).toEqual(['smallint', 'smallint']);
    expect(types({ 'mysql.tinyint': 'smallint', 'mysql.tinyint(1)': 'boolean' }).slice(2, 4)).toEqual(['boolean', 'smallint']);
    expect(types({ 'mysql.tinyint': 'smallint', 'mariadb.TINYINT( 3 ) unsigned': 'integer', 'users.flag': 'bigint', 'shop.users.flag': 'text' }).slice(2, 4)).toEqual(['text', 'integer']);
    expect(types({ 'mysql.varchar(99)': 'text' })[1]).toBe('text');
    expect(types({ 'postgres.tinyint': 'text' })).toEqual(users.columns.map(({ native }) => native));
  });

  it('of bad values go by column, by type, and for all', () => {
    const shape = ruled({ onBadValue: { '*': 'null', 'mysql.datetime': 'fail', 'users.email': 'reject' } });
    expect(shape.columns.map(({ rule }) => rule?.bad)).toEqual(['null', undefined, 'null', 'null', 'fail']);
  });

  it('keep what the source itself has', () => {
    const shape = ruled({ columns: { users: ['-small', '-flag'] }, mask: { 'users.email': 'null' }, cast: { 'users.born': 'timestamptz' } });
    expect(shape.columns.map(({ name, native, nullable }) => [name, native, nullable])).toEqual([['id', 'int(11)', false], ['email', users.columns[1]!.native, true], ['born', 'timestamp with time zone', false]]);
    expect(whole(shape)).toEqual(users);
    expect(narrow(shape).columns).toEqual([users.columns[0], users.columns[1], users.columns[4]]);
    const later = { ...users, key: [4], columns: users.columns };
    expect(ruled({ columns: { users: ['email', 'born'] } }, later).key).toEqual([1]);
  });

  it.each<[string, Partial<Rules>, RegExp]>([
    ['a key column is left out', { columns: { users: ['email'] } }, /id is part of the key of shop\.users/],
    ['no column is left', { columns: { users: ['-id', '-email', '-flag', '-small', '-born'] } }, /part of the key/],
    ['the destination knows no such type', { cast: { 'users.flag': 'tinyint' } }, /'tinyint' \(for shop\.users\.flag\) is no type that dsync knows of postgres/],
    ['nothing converts', { cast: { 'users.flag': 'date' } }, /nothing converts shop\.users\.flag \(tinyint\(1\)\) to date/],
    ['the whole key would be one', { mask: { 'users.id': 'redact' } }, /id is part of the key/],
    ['hashes of a key could be one', { mask: { 'users.id': 'hash' }, maskKey: 'k' }, /two hashes of int\(11\) could be one/],
    ['there is no key for hashes', { mask: { 'users.email': 'hash' } }, /without a key/],
  ])('are refused where %s', (_, rules, message) => {
    expect(() => ruled(rules)).toThrow(expect.objectContaining({ code: 'usage', message: expect.stringMatching(message) }));
  });

  it('are refused where two keys could become one', () => {
    const words: Shape = { ...users, columns: [column('id', 'varchar(20)', { kind: 'text', maxLength: 20 }, false)] };
    expect(() => ruled({ cast: { 'users.id': 'integer' } }, words)).toThrow(/two keys of varchar\(20\) could become one integer/);
    expect(columnOf(ruled({ cast: { 'users.id': 'bytea' } }, words), 'id').native).toBe('bytea');
    expect(columnOf(ruled({ cast: { 'users.id': 'uuid' } }, words), 'id').rule).toEqual({ cast: true, spelled: true });
    expect(columnOf(ruled({ cast: { 'users.id': 'bigint' }, mask: { 'users.id': 'hash' }, maskKey: 'k' }), 'id').native).toBe('bigint');
  });

  it.each<[Partial<Rules>, RegExp]>([
    [{ mask: { 'users.emial': 'redact' } }, /--mask names 'users\.emial', which is no column of the selected tables; did you mean 'users\.email'\?/],
    [{ cast: { 'user.email': 'text' } }, /did you mean 'users\.email'\?/],
    [{ cast: { 'mysql.tinyitn(1)': 'text' } }, /did you mean 'mysql\.tinyint\(1\)'\?/],
    [{ onBadValue: { 'shop.users.brn': 'null' } }, /--on-bad-value .* did you mean 'shop\.users\.born'\?/],
    [{ columns: { userz: ['id'] } }, /--columns names 'userz', which is none of the selected tables; did you mean 'users'\?/],
    [{ columns: { users: ['-pasword'] } }, /shop\.users has no column 'pasword'; it has id, email/],
    [{ columns: { users: ['emal'] } }, /did you mean 'email'\?/],
    [{ cast: { 'people.document': 'text', 'people.street': 'text' } }, /--cast names 'people\.street'/],
  ])('that name nothing are an error with the nearest name: %o', (rules, message) => {
    expect(() => refuseUnnamed(rules, [users, documents])).toThrow(expect.objectContaining({ code: 'usage', message: expect.stringMatching(message) }));
  });

  it('of documents name paths', () => {
    const rules: Partial<Rules> = { mask: { 'people.address.street': 'hash', 'shop.people.ssn': 'redact' }, columns: { people: ['-token', '-address.zip'] }, maskKey: 'k' };
    expect(() => refuseUnnamed(rules, [documents])).not.toThrow();
    expect(columnOf(ruled(rules, documents), 'document').rule).toEqual({ fields: { masks: [{ path: 'address.street', mask: 'hash' }, { path: 'ssn', mask: 'redact' }], left: ['token', 'address.zip'] } });
    expect(() => ruled({ mask: { 'people._id': 'null' } }, documents)).toThrow(/_id of shop\.people is the key/);
    expect(() => ruled({ cast: { 'people.document': 'text' } }, documents)).toThrow(/whose fields are no columns/);
  });
});

describe('rules of documents in columns', () => {
  const rest = (rules: Partial<Rules>) => {
    const shape: Shape = { ...documents, columns: [column('_id', 'objectId', { kind: 'document-id' }, false), column('ssn', 'string', text), column('rest', 'rest', { kind: 'json-text' })] };
    return ruled(rules, shape).columns.at(-1)!.rule;
  };

  it('keep the column of the rest from telling what is masked or left out', () => {
    expect(rest({ columns: { people: ['-ssn', '-unseen'] } })).toEqual({ forgets: { fields: ['ssn', 'unseen'] } });
    expect(rest({ mask: { 'people.ssn': 'redact' } })).toEqual({ forgets: { fields: ['ssn'] } });
    expect(rest({ columns: { people: ['_id', 'rest'] } })).toEqual({ forgets: { fields: [], only: ['_id', 'rest'] } });
    expect(rest({ cast: { 'people.ssn': 'int' } })).toBeUndefined();
  });

  it('drop those fields, and nothing else', () => {
    const text = '{"v":1,"fields":{"ssn":{"$numberInt":"1"},"2":{"b":1.50,"a":["x",null]},"x":true},"order":["2","ssn"]}';
    expect(forgetting((field) => field === 'ssn')(text)).toBe('{"v":1,"fields":{"2":{"b":1.50,"a":["x",null]},"x":true},"order":["2","ssn"]}');
    expect(forgetting((field) => field === 'other')(text)).toBe(text);
    expect(forgetting((field) => field === 'ssn')('{"v":1,"fields":{"ssn":"x"}}')).toBeNull();
  });
});

describe('a mapping with rules', () => {
  const mapped = (rules: Partial<Rules>, nullable = true): Mapping => {
    const source = ruled(rules), target: Shape = { ...source, namespace: 'public.users', engine: 'postgres', columns: source.columns.map((one) => ({ ...one, native: 'text', type: text, nullable })) };
    return settled({ source, target, fidelity: source.columns.map(() => ({ level: 'exact' })), existed: false, staged: false });
  };

  it('says what becomes of each column', () => {
    const { source, fidelity } = mapped({ cast: { 'users.flag': 'integer', 'users.small': 'boolean' }, mask: { 'users.email': 'redact' }, onBadValue: { 'users.born': 'fail', 'users.small': 'null' } });
    expect(Object.fromEntries(source.columns.map(({ name }, i) => [name, fidelity[i]]))).toEqual({
      id: { level: 'exact' }, email: { level: 'reshaped', note: 'masked: redact' }, flag: { level: 'reshaped', note: 'cast from tinyint(1)' },
      small: { level: 'reshaped', note: "cast from tinyint(3) unsigned; a value that can't be converted exactly becomes NULL" }, born: { level: 'exact', note: "a value that can't be kept ends the run" },
    });
  });

  it('knows what takes the values that are looked at, and keeps the rules to the source', () => {
    const { source, target } = mapped({ onBadValue: { 'users.born': 'null' } });
    expect(columnOf(source, 'born').rule).toEqual({ bad: 'null', taker: { type: text, native: 'text', nullable: true, engine: 'postgres' } });
    expect(JSON.stringify(target)).not.toMatch(/rule|origin/);
  });

  it('refuses NULL for a column that takes none', () => {
    expect(() => mapped({ mask: { 'users.email': 'null' } }, false)).toThrow(/is to be NULL, and public\.users\.email is NOT NULL/);
  });
});

describe('types that a cast may name', () => {
  it.each([['int4', 'integer'], ['varchar(20)', 'character varying(20)'], ['NUMERIC(12, 2)', 'numeric(12,2)'], ['timestamptz(3)', 'timestamp(3) with time zone'], ['timestamp(3) with time zone', 'timestamp(3) with time zone'], ['char', 'character(1)'], ['text(3)', undefined], ['inet', 'inet'], ['moood', undefined], ['text[]', 'text[]'], ['varchar(9) [][]', 'character varying(9)[]'], ['moood[]', undefined]])('of PostgreSQL: %s', (spelling, native) => {
    expect(typeOf(spelling)?.native).toBe(native);
  });

  it.each([['INTEGER unsigned', 'int unsigned'], ['bool', 'tinyint(1)'], ['decimal(12, 2)', 'decimal(12,2)'], ['numeric', 'decimal(10,0)'], ['varchar', undefined], ["enum('a','b,c')", "enum('a','b,c')"], ['datetime(6)', 'datetime(6)'], ['uuid', 'uuid'], ['tinyitn', undefined]])('of MariaDB: %s', (spelling, native) => {
    expect(mysqlTypeOf(spelling, 'mariadb')?.native).toBe(native);
  });
});
