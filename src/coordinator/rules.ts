import type { Column, ColumnRule, Destination, Emit, Fidelity, Mapping, Mask, OnBadValue, Shape, Source } from '../contract.js';
import { DsyncError } from '../errors.js';
import { changesValues, originOf, ruled } from '../source/ruled.js';
import { castBetween } from '../values/cast.js';
import { restNative } from '../values/columns.js';
import { isMaskable, isRoomy } from '../values/mask.js';
import { nearest } from '../nearest.js';
import type { RunConfig } from './config.js';

/** The choices of a run's configuration that concern columns. */
export type Rules = Pick<RunConfig, 'cast' | 'columns' | 'mask' | 'maskKey' | 'onBadValue' | 'acceptLoss'>;

/** The source as the user wants it; the very source where nothing was chosen. */
export function withRules(source: Source, rules: Rules, destination: Pick<Destination, 'engine' | 'typeOf'>, emit: Emit): Source {
  if (!hasRules(rules)) return source;
  return ruled(source, {
    rule: ruling(rules, destination), ...(rules.maskKey !== undefined && { key: rules.maskKey }),
    nulled: (namespace, column, count) => emit({ kind: 'nulled', namespace, column, count }),
  });
}

function hasRules({ cast, columns, mask, onBadValue }: Rules): boolean {
  return [cast, columns, mask].some((rules) => rules !== undefined && Object.keys(rules).length > 0) || Object.values(onBadValue ?? {}).some((way) => way !== 'reject');
}

/** Puts the rules on a shape of the source; fails with `usage` where one can't be followed. Rules of other tables are no concern. */
export function ruling(rules: Rules, destination: Pick<Destination, 'engine' | 'typeOf'>): (plain: Shape) => Shape {
  return (plain) => {
    const kept = keptColumns(plain, rules);
    const columns = hidingRest(kept.map((column) => ruledColumn(column, plain, rules, destination)), plain, rules);
    if (columns.length === plain.columns.length && columns.every(({ rule }) => !rule)) return plain;
    const key = plain.key.map((i) => kept.indexOf(plain.columns[i]));
    return { ...plain, columns, key, origin: plain.columns };
  };
}

/** A value that does not fit its column, or has none, stands in `rest`, where documents are columns: what is masked or left out must not. */
function hidingRest(columns: readonly Column[], plain: Shape, rules: Rules): readonly Column[] {
  const list = listOf(rules, plain) ?? [], only = isExcluding(list) || list.length === 0 ? undefined : list;
  const fields = [...(isExcluding(list) ? list.map(bare) : []), ...columns.flatMap(({ name, rule }) => (rule?.mask ? [name] : []))];
  if (!hasRest(plain) || (fields.length === 0 && !only)) return columns;
  return columns.map((column) => (column.native === restNative && !column.rule?.mask ? { ...column, rule: { ...column.rule, forgets: { fields, ...(only && { only }) } } } : column));
}

/** Are its columns the fields of documents? */
function hasRest({ engine, columns }: Shape): boolean {
  return engine === 'mongodb' && columns.some(({ native }) => native === restNative);
}

// --- what a rule names -------------------------------------------------------

/** What a rule says of this table: the rest of its name behind the table's. `public.orders.total` wins over `orders.total`. */
function ofTable<T>(rules: Readonly<Record<string, T>> | undefined, { namespace, name }: Shape): ReadonlyMap<string, T> {
  const found = new Map<string, T>();
  for (const prefix of new Set([name, namespace])) for (const [rule, value] of Object.entries(rules ?? {})) if (rule.startsWith(`${prefix}.`)) found.set(rule.slice(prefix.length + 1), value);
  return found;
}

/** By the type of a column: `mysql.tinyint(1)`, or `mysql.tinyint` whatever its arguments. The one with arguments wins. */
function ofType<T>(rules: Readonly<Record<string, T>> | undefined, column: Column, shape: Shape): T | undefined {
  const natives = nativeNames(column.native);
  for (const native of natives) for (const [rule, value] of Object.entries(rules ?? {})) if (typeRule(rule, shape.engine) === native) return value;
  return undefined;
}

const families: Readonly<Record<string, string>> = { mariadb: 'mysql', postgresql: 'postgres' };
const engines: readonly string[] = ['postgres', 'mysql', 'mariadb', 'sqlite', 'mongodb', 'memory'];

/** The type that a rule names, if it names one of this engine. */
function typeRule(rule: string, engine: string): string | undefined {
  const dot = rule.indexOf('.'), named = rule.slice(0, dot), family = families[named] ?? named;
  return dot > 0 && family === (families[engine] ?? engine) ? plainType(rule.slice(dot + 1)) : undefined;
}

/** How PostgreSQL's types are called besides. */
const aliases: Readonly<Record<string, string>> = {
  int2: 'smallint', int4: 'integer', int: 'integer', int8: 'bigint', float4: 'real', float8: 'double precision', bool: 'boolean', decimal: 'numeric',
  varchar: 'character varying', char: 'character', timestamptz: 'timestamp with time zone', timestamp: 'timestamp without time zone', timetz: 'time with time zone', time: 'time without time zone', varbit: 'bit varying',
};

function plainType(text: string): string {
  return text.trim().toLowerCase().replace(/\s+(character set|collate)\s+\S+/g, '').replace(/\s*\(\s*/g, '(').replace(/\s*([,)])\s*/g, '$1').replace(/\)(?=\w)/g, ') ');
}

/** `timestamp(3) with time zone` → itself, without arguments, and what else it may be called. */
function nativeNames(native: string): readonly string[] {
  const whole = plainType(native), bare = whole.replace(/\([^)]*\)/g, '').trim(), first = bare.split(' ', 1)[0];
  const others = Object.entries(aliases).filter(([, name]) => name === bare).flatMap(([alias]) => [whole.replace(/^[^(]*/, alias).replace(/\).*$/, ')'), alias]);
  return [...new Set([whole, ...others.filter((name) => name.includes('(')), bare, ...others, first])];
}

/** Fails with `usage` where a rule names nothing of these tables, with the name that is nearest. */
export function refuseUnnamed(rules: Partial<Rules>, shapes: readonly Shape[]): void {
  for (const [flag, given] of [['--cast', rules.cast], ['--mask', rules.mask], ['--on-bad-value', rules.onBadValue]] as const) {
    for (const name of Object.keys(given ?? {})) if (name !== '*' && !shapes.some((shape) => namesColumn(name, shape, flag !== '--mask'))) throw unnamed(flag, name, shapes);
  }
  for (const [table, names] of Object.entries(rules.columns ?? {})) refuseUnnamedColumns(table, names, shapes);
}

function namesColumn(name: string, shape: Shape, types: boolean): boolean {
  const columns = originsOf(shape), isDocuments = holdsDocuments(shape);
  const isNamed = [...ofTable({ [name]: true }, shape).keys()].some((rest) => (isDocuments && !types) || columns.some((column) => column.name === rest));
  return isNamed || (types && columns.some((column) => ofType({ [name]: true }, column, shape)));
}

function originsOf({ origin, columns }: Shape): readonly Column[] {
  return origin ?? columns;
}

function holdsDocuments(shape: Shape): boolean {
  return originsOf(shape).some(({ type }) => type.kind === 'document');
}

function unnamed(flag: string, name: string, shapes: readonly Shape[]): DsyncError {
  const named = name.slice(0, Math.max(name.indexOf('.'), 0)), isType = engines.includes(named), familyOf = (engine: string) => families[engine] ?? engine;
  const known = shapes.flatMap((shape) => originsOf(shape).flatMap((column) => (isType ? [`${familyOf(named) === familyOf(shape.engine) ? named : shape.engine}.${plainType(column.native)}`] : [`${shape.name}.${column.name}`, `${shape.namespace}.${column.name}`])));
  const near = nearest(name, [...new Set(known)]);
  const hint = near !== undefined ? `did you mean '${near}'?` : isType ? `the source's columns are of ${[...new Set(known)].sort().slice(0, 20).join(', ')}` : 'name a column of a selected table: table.column';
  return new DsyncError('usage', `${flag} names '${name}', which is no column of the selected tables; ${hint}`);
}

function refuseUnnamedColumns(table: string, names: readonly string[], shapes: readonly Shape[]): void {
  const shape = shapes.find(({ namespace, name }) => table === namespace || table === name);
  if (!shape) {
    const near = nearest(table, shapes.flatMap(({ namespace, name }) => [name, namespace]));
    throw new DsyncError('usage', `--columns names '${table}', which is none of the selected tables${near === undefined ? '' : `; did you mean '${near}'?`}`);
  }
  // A field need not have a column to be left out.
  if (holdsDocuments(shape) || (hasRest({ ...shape, columns: originsOf(shape) }) && isExcluding(names))) return;
  const known = originsOf(shape).map(({ name }) => name), wrong = names.map(bare).find((name) => !known.includes(name));
  if (wrong === undefined) return;
  const near = nearest(wrong, known);
  throw new DsyncError('usage', `--columns: ${shape.namespace} has no column '${wrong}'; ${near === undefined ? `it has ${known.join(', ')}` : `did you mean '${near}'?`}`, { namespace: shape.namespace });
}

function bare(name: string): string {
  return name.startsWith('-') ? name.slice(1) : name;
}

// --- what becomes of a column ------------------------------------------------

function listOf({ columns }: Rules, { namespace, name }: Shape): readonly string[] | undefined {
  return columns?.[namespace] ?? columns?.[name];
}

/** The columns that are taken, in the table's own order. A key's can't be left out: no row would be found again. */
function keptColumns(shape: Shape, rules: Rules): readonly Column[] {
  const list = listOf(rules, shape);
  if (!list || holdsDocuments(shape)) return shape.columns;
  const isLeft = ({ name }: Column) => (isExcluding(list) ? list.includes(`-${name}`) : !list.includes(name));
  const lost = shape.key.map((i) => shape.columns[i]).find(isLeft);
  if (lost) throw new DsyncError('usage', `--columns: ${lost.name} is part of the key of ${shape.namespace}, which can't be left out`, { namespace: shape.namespace });
  const kept = shape.columns.filter((column) => !isLeft(column));
  if (kept.length === 0) throw new DsyncError('usage', `--columns leaves no column of ${shape.namespace}; leave the table out: --exclude '${shape.namespace}'`, { namespace: shape.namespace });
  return kept;
}

function isExcluding(list: readonly string[]): boolean {
  return list[0]?.startsWith('-') ?? false;
}

function ruledColumn(column: Column, shape: Shape, rules: Rules, destination: Pick<Destination, 'engine' | 'typeOf'>): Column {
  if (column.type.kind === 'document') return documentColumn(column, shape, rules);
  if (column.type.kind === 'document-id') return column;
  const spelling = ofTable(rules.cast, shape).get(column.name) ?? ofType(rules.cast, column, shape), mask = ofTable(rules.mask, shape).get(column.name);
  const bad = mask ? undefined : ofTable(rules.onBadValue, shape).get(column.name) ?? ofType(rules.onBadValue, column, shape) ?? rules.onBadValue?.['*'];
  const cast = spelling === undefined ? undefined : castTo(column, shape, spelling, rules, destination, mask !== undefined);
  const rule: ColumnRule = { ...cast?.rule, ...(mask && { mask }), ...(bad && bad !== 'reject' && { bad }) };
  if (Object.keys(rule).length === 0) return column;
  const wanted: Column = { ...column, ...cast?.column, rule, nullable: column.nullable || mask === 'null' };
  if (mask) refuseMask(mask, wanted, shape, rules.maskKey);
  return wanted;
}

function castTo(column: Column, shape: Shape, spelling: string, { acceptLoss }: Rules, destination: Pick<Destination, 'engine' | 'typeOf'>, masked: boolean): { readonly column: Pick<Column, 'type' | 'native'>; readonly rule: ColumnRule } {
  const name = `${shape.namespace}.${column.name}`, isKey = shape.key.some((i) => shape.columns[i] === column);
  const fail = (what: string, remedy?: string) => new DsyncError('usage', `--cast: ${what}`, { namespace: shape.namespace, remedy });
  const found = destination.typeOf?.(spelling);
  if (!found) throw fail(`'${spelling}' (for ${name}) is no type that dsync knows of ${destination.engine}`, "name a type in the destination's own spelling; docs/types.md has them");
  const rounds = acceptLoss.includes(name) || acceptLoss.includes(`${shape.name}.${column.name}`), way = castBetween(column.type, found.type, rounds);
  if (!way && !masked) throw fail(`nothing converts ${name} (${column.native}) to ${found.native}`, 'cast it to a type of text, or mask it, or leave it out: --columns');
  const spelled = isKey && found.type.kind === 'uuid' && !keepsApart(column, 'uuid');
  if (isKey && !masked && (rounds || !(spelled || keepsApart(column, found.type.kind)))) throw fail(`${name} is part of the key, and two keys of ${column.native} could become one ${found.native}`);
  return { column: found, rule: { cast: true, ...(rounds && { rounds }), ...(spelled && { spelled }) } };
}

/** Different values stay different, or are bad. `1` and `01` are one number. */
function keepsApart({ type }: Column, to: Column['type']['kind']): boolean {
  const isLoose = type.kind === 'text' || type.kind === 'native' || type.kind === 'any' || type.kind === 'json-text' || type.kind === 'json-value' || type.kind === 'float';
  return !isLoose || ['text', 'bytes', 'any', 'native', 'enum'].includes(to);
}

function refuseMask(mask: Mask, column: Column, shape: Shape, key: string | undefined): void {
  const name = `${shape.namespace}.${column.name}`, fail = (what: string, remedy?: string) => new DsyncError('usage', `--mask: ${what}`, { namespace: shape.namespace, remedy });
  if (!isMaskable(mask, column.type)) throw fail(`${name} (${column.native}) has no ${mask === 'hash' ? 'hash' : 'fixed value'} of its type`, `--mask '${shape.name}.${column.name}=null', or cast it to text besides: --cast`);
  if (mask === 'hash' && key === undefined) throw fail(`${name} can't be hashed without a key`, 'set DSYNC_MASK_KEY, or give --mask-key');
  if (!shape.key.some((i) => shape.columns[i].name === column.name)) return;
  if (mask !== 'hash') throw fail(`${name} is part of the key: all rows would have the same one`, `--mask '${shape.name}.${column.name}=hash'`);
  if (!isRoomy(column.type)) throw fail(`${name} is part of the key, and two hashes of ${column.native} could be one`, `cast it to a type with more room besides: --cast '${shape.name}.${column.name}=…'`);
}

/** Of documents: paths, instead of columns. */
function documentColumn(column: Column, shape: Shape, rules: Rules): Column {
  const list = listOf(rules, shape) ?? [], masks = [...ofTable(rules.mask, shape)].map(([path, mask]) => ({ path, mask }));
  if (ofTable(rules.cast, shape).size > 0) throw new DsyncError('usage', `--cast: ${shape.namespace} has documents, whose fields are no columns`, { namespace: shape.namespace });
  const left = isExcluding(list) ? list.map(bare) : [], kept = isExcluding(list) || list.length === 0 ? undefined : list;
  const ofId = [...masks.map(({ path }) => path), ...left].find((path) => path === '_id' || path.startsWith('_id.'));
  if (ofId !== undefined) throw new DsyncError('usage', `${ofId} of ${shape.namespace} is the key of its documents: it can be neither masked nor left out`, { namespace: shape.namespace });
  if (masks.some(({ mask }) => mask === 'hash') && rules.maskKey === undefined) throw new DsyncError('usage', `--mask: fields of ${shape.namespace} can't be hashed without a key`, { remedy: 'set DSYNC_MASK_KEY, or give --mask-key' });
  return masks.length + left.length === 0 && !kept ? column : { ...column, rule: { fields: { masks, left, ...(kept && { kept }) } } };
}

// --- beside the destination --------------------------------------------------

/** A mapping as it is when its table in the destination is known: what rules need to know of it, and what is told of them. */
export function settled(mapping: Mapping): Mapping {
  const { source, target } = mapping;
  if (source.columns.every(({ rule }) => !rule) && target.columns.every(({ rule }) => !rule)) return mapping;
  refuseNullMasks(mapping);
  const columns = source.columns.map((column, i) => (column.rule?.bad ? { ...column, rule: { ...column.rule, taker: takerOf(target, i) } } : column));
  const { origin: _, ...bareTarget } = target;
  return {
    ...mapping, source: { ...source, columns }, target: { ...bareTarget, columns: target.columns.map(({ rule: __, ...column }) => column) },
    fidelity: mapping.fidelity.map((fidelity, i) => told(fidelity, columns[i], source)),
  };
}

function takerOf({ columns, engine }: Shape, i: number): NonNullable<ColumnRule['taker']> {
  const { type, native, nullable } = columns[i];
  return { type, native, nullable, engine };
}

function refuseNullMasks({ source, target }: Mapping): void {
  const i = source.columns.findIndex(({ rule }, at) => rule?.mask === 'null' && !target.columns[at].nullable);
  if (i < 0) return;
  throw new DsyncError('refused', `--mask: ${source.namespace}.${source.columns[i].name} is to be NULL, and ${target.namespace}.${target.columns[i].name} is NOT NULL`, { namespace: source.namespace, remedy: `--mask '${source.name}.${source.columns[i].name}=redact', or leave the column out: --columns` });
}

const endings: Readonly<Record<OnBadValue, string>> = { reject: 'is rejected', null: 'becomes NULL', fail: 'ends the run' };

function told({ level, note }: Fidelity, column: Column, shape: Shape): Fidelity {
  const { rule } = column;
  if (!rule) return note === undefined ? { level } : { level, note };
  const from = originOf(shape, column), ending = endings[rule.bad ?? 'reject'];
  const exact = rule.cast && castBetween(from.type, column.type)?.keepsText;
  const { masks = [], left = [], kept } = rule.fields ?? {};
  const notes = [
    rule.mask && `masked: ${rule.mask}`, rule.forgets && (rule.forgets.only ? 'only of fields that are taken' : `without ${rule.forgets.fields.join(', ')}`), ...masks.map(({ path, mask }) => `${path} masked: ${mask}`), left.length > 0 && `left out: ${left.join(', ')}`, kept && `only ${kept.join(', ')}`,
    rule.cast && `cast from ${from.native}`, rule.cast && !rule.mask && (rule.rounds ? `what does not fit is rounded or cut; what can't be converted ${ending}` : exact ? undefined : `a value that can't be converted exactly ${ending}`),
    !rule.cast && rule.bad && `a value that can't be kept ${ending}`, note,
  ].filter((text) => typeof text === 'string');
  return { level: level === 'exact' && (rule.cast || rule.mask || rule.fields || rule.forgets) ? 'reshaped' : level, ...(notes.length > 0 && { note: notes.join('; ') }) };
}

/** A filter that is given to the destination as well must mean the same there. */
export function refuseRuledFilter(shapes: readonly Shape[], where: (namespace: string) => string | undefined): void {
  const shape = shapes.find((one) => where(one.namespace) !== undefined && (one.origin !== undefined && (changesValues(one) || one.columns.length < one.origin.length)));
  if (shape) throw new DsyncError('usage', `--where is for both ends here, and the rows of ${shape.namespace} are others in the destination by --cast, --mask or --columns`, { namespace: shape.namespace, remedy: 'compare the whole table, or leave it out with --exclude' });
}

/** Is the run to end with a row that the destination has rejected? */
export function endsWith({ source }: Mapping, column: string | undefined): boolean {
  return source.columns.some(({ name, rule }) => rule?.bad === 'fail' && (column === undefined || column === name));
}
