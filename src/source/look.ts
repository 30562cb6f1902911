import type { Column, Finding, Shape } from '../contract.js';
import { bsonType, bufferOf, eachField, type Element } from '../values/bson-bytes.js';
import { restNative } from '../values/columns.js';
import { plainDecimal } from '../values/decimal128.js';
import { decimalNative, fieldCodec, isExactDouble, isPlainDecimal, mostScale, scaleOf } from '../values/fields.js';

/** What of a destination's kind matters to the columns that documents become. */
export interface Table {
  /** JSON is kept in a column of text: its values must tell it from text. */
  readonly jsonIsText: boolean;
  /** A key of one integer has 64 bits, whatever is said of it. */
  readonly keysAreLong: boolean;
  /** Documents that were rows of a table may become rows again, without a rest: not where later ones may come. */
  readonly takesRows: boolean;
  /** A table without a rest stands where they go. */
  readonly stands?: boolean;
  /** A row of so many columns is held whatever is in them. */
  readonly mostColumns: number;
}

/** Of a connector. So many columns of the longest cells that stay in a row fill a page of PostgreSQL (8 kB, 24 bytes each), and of InnoDB (half of 16 kB, 40 bytes each). */
export function tableIn(connector: string | undefined, takesRows: boolean): Table {
  switch (connector) {
    case 'mysql': case 'mariadb': return { jsonIsText: true, keysAreLong: false, takesRows, mostColumns: 190 };
    case 'postgres': return { jsonIsText: false, keysAreLong: false, takesRows, mostColumns: 330 };
    default: return { jsonIsText: false, keysAreLong: connector === 'sqlite', takesRows, mostColumns: 1000 };
  }
}

/** One field of the documents that were looked at. */
interface Field {
  readonly name: string;
  /** The field that stands after it, where columns are in order. */
  next: Field | undefined;
  documents: number;
  nulls: number;
  /** How many values there are of each BSON type; type 4 and length 16 of binary as `uuid`. */
  readonly types: Map<string, number>;
  /** Digits after the point of decimals, doubles and dates, at the most. */
  scale: number;
  /** Longs that no double holds. */
  inexact: number;
  /** Decimals have different numbers of digits after the point. */
  scales: boolean;
  /** Values that no row of a table becomes: binary of other subtypes, dates of far years, odd bits. */
  odd: number;
}

/** Names that are counted: of more, the rarest are left out. */
const mostNames = 20_000;

/** Looks at the documents of a collection one by one, and tells which columns they become. */
export class Look {
  readonly #first: Field = newField('');
  readonly #fields = new Map<string, Field>();
  #documents = 0;
  #pruned = false;
  /** All documents have the same fields in the same order. */
  #uniform = true;
  /** As long as the `_id`s are those of rows. */
  #keys: Keys | undefined = {};

  get documents(): number {
    return this.#documents;
  }

  add(document: Uint8Array): void {
    const bytes = bufferOf(document);
    let before = this.#first, fields = 0, visits = 0;
    const known = this.#fields.size;
    this.#documents++;
    eachField(bytes, 0, bytes.length, (type, nameStart, nameEnd, start, end) => {
      const next = before.next, name = bytes.toString('utf8', nameStart, nameEnd);
      const field = next?.name === name ? next : this.#fields.get(name) ?? this.#insert(name, before);
      if (field === before.next) fields++;
      visits++;
      before = field;
      field.documents++;
      count(field, bytes, type, start, end);
    });
    this.#uniform &&= (this.#documents === 1 || this.#fields.size === known) && fields === this.#fields.size && visits === fields;
    this.#keys = this.#keys && stillKeys(this.#keys, bytes);
    if (this.#fields.size > mostNames) this.#prune();
  }

  /** Behind the one that it follows: the order of most documents is that of the columns. */
  #insert(name: string, before: Field): Field {
    const field = newField(name);
    [field.next, before.next] = [before.next, field];
    this.#fields.set(name, field);
    return field;
  }

  #prune(): void {
    this.#pruned = true;
    const kept = new Set([...this.#fields.values()].sort((a, b) => b.documents - a.documents).slice(0, mostNames / 2));
    for (let field = this.#first; field.next; ) {
      if (kept.has(field.next)) { field = field.next; continue; }
      this.#fields.delete(field.next.name);
      field.next = field.next.next;
    }
  }

  /** The columns, and what is to be told of them. */
  columns(shape: Shape, table: Table, sampled: boolean): { readonly shape: Shape; readonly findings: readonly Finding[] } {
    const fields: Field[] = [];
    for (let field = this.#first.next; field; field = field.next) fields.push(field);
    // One document may well be like a row by chance.
    const keys = sampled || !table.takesRows || (this.#documents < 2 && !table.stands) ? undefined : this.#keysOf(fields), rows = keys && this.#asTable(shape, keys, fields, table);
    if (rows) return { shape: rows, findings: [{ level: 'info', code: 'documents-seen', namespace: shape.namespace, message: `${shape.namespace}: all ${this.#documents} documents were looked at: they are rows of a table with the key (${rows.key.map((i) => rows.columns[i]!.name).join(', ')})` }] };
    const { kept, left } = this.#divide(fields, table);
    if (keys?.every((field) => kept.includes(field))) {
      const columns = [...kept.map((field) => keyedColumn(field, keys, table)), restColumn([...this.#fields.keys()])];
      return { shape: { ...shape, columns, key: keys.map((field) => kept.indexOf(field)) }, findings: this.#findings(shape.namespace, columns, left, sampled, table) };
    }
    const id = this.#fields.get('_id'), key = idNative(id, table), idColumn: Column = { name: '_id', type: fieldCodec(key)!.type, native: key, nullable: false };
    const others = kept.filter((field) => field !== id).map((field) => columnOf(field, nativeOf(field, table)));
    const columns = [idColumn, ...others, restColumn([...this.#fields.keys()])];
    return { shape: { ...shape, columns, key: [0] }, findings: this.#findings(shape.namespace, columns, left, sampled, table) };
  }

  /** The fields that are the key of a table, if the documents were its rows: several may be equal to `_id` everywhere, the first is as good a key as any. */
  #keysOf(fields: readonly Field[]): readonly Field[] | undefined {
    const { names = [], composite } = this.#keys ?? {};
    const found = (composite ? names : fields.filter(({ name }) => names.includes(name)).slice(0, 1).map(({ name }) => name)).map((name) => this.#fields.get(name)!);
    const isKey = ({ name, types, nulls, odd }: Field) => nulls === 0 && odd === 0 && types.size === 1 && [...types.keys()].every((type) => keyTypes.has(type)) && isColumnName(name);
    return found.length > 0 && found.every(isKey) ? found : undefined;
  }

  /** The table whose rows became these documents: all fields in one order, and in each one type. */
  #asTable(shape: Shape, keys: readonly Field[], fields: readonly Field[], { jsonIsText, stands, mostColumns }: Table): Shape | undefined {
    const columns = fields.filter(({ name }) => name !== '_id'), types = jsonIsText && !stands ? rowTypes : moreRowTypes;
    if (!this.#uniform || columns.length > mostColumns || !columns.every((field) => field.types.size <= 1 && [...field.types.keys()].every((type) => types.has(type)) && field.odd === 0 && isColumnName(field.name))) return undefined;
    if (new Set(columns.map(({ name }) => foldedName(name))).size < columns.length) return undefined;
    return { ...shape, key: keys.map((field) => columns.indexOf(field)), columns: columns.map((field) => rowColumn(field, !keys.includes(field))) };
  }

  /** Fields with a column of their own; those whose names no column can have, or that are too many, are left to the rest. */
  #divide(fields: readonly Field[], { mostColumns }: Table): { readonly kept: readonly Field[]; readonly left: readonly Field[] } {
    const taken = new Set(['_id']), byUse = [...fields].sort((a, b) => b.documents - a.documents), kept = new Set<Field>();
    for (const field of byUse) {
      const folded = foldedName(field.name);
      if (field.name === '_id' || kept.size >= mostColumns - 2 || !isColumnName(field.name) || taken.has(folded)) continue;
      taken.add(folded);
      kept.add(field);
    }
    return { kept: fields.filter((field) => kept.has(field)), left: fields.filter((field) => !kept.has(field) && field.name !== '_id') };
  }

  #findings(namespace: string, columns: readonly Column[], left: readonly Field[], sampled: boolean, { mostColumns }: Table): readonly Finding[] {
    const rest = columns.at(-1)!.name, tell = (code: string, message: string): Finding => ({ level: 'info', code, namespace, message });
    const seen = sampled ? `a sample of ${this.#documents} documents` : `all ${this.#documents} documents`;
    const mixed = columns.flatMap(({ name, native }) => {
      const field = this.#fields.get(name);
      return field && field.types.size > 1 ? [`${name} (${[...field.types].map(([type, many]) => `${many} ${type}`).join(', ')}) → ${native}`] : [];
    });
    const isFull = columns.length >= mostColumns;
    return [
      tell('documents-seen', `${namespace}: ${seen} ${this.#documents === 1 ? 'was' : 'were'} looked at; ${columns.length} columns, ${rest} has what they don't restore${sampled ? ', fields that the sample does not have among it' : ''}`),
      ...(mixed.length > 0 ? [tell('mixed-fields', `${namespace}: fields of several types: ${listed(mixed)}`)] : []),
      ...(left.length > 0 || this.#pruned ? [tell('fields-left', `${namespace}: without a column of their own, kept in ${rest}: ${listed(left.map(({ name }) => JSON.stringify(name)))}${isFull ? ` (a row of ${mostColumns} columns is held whatever is in them)` : ''}`)] : []),
    ];
  }
}

/** The fields that are equal to `_id` (`composite`: to the fields of `_id`) in all documents; absent before the first. */
interface Keys { readonly names?: readonly string[]; readonly composite?: boolean }

const keyTypes: ReadonlySet<string> = new Set(['int', 'long', 'string', 'uuid', 'objectId', 'decimal', 'binData', 'date']);
const rowTypes: ReadonlySet<string> = new Set(['int', 'long', 'double', 'decimal', 'string', 'binData']);
/** Where these are types of columns by themselves. */
const moreRowTypes: ReadonlySet<string> = new Set([...rowTypes, 'bool', 'date', 'uuid']);

function rowColumn({ name, types, scale, scales }: Field, nullable: boolean): Column {
  const [native = 'string'] = types.keys();
  if (native === 'date') return { name, native, nullable, type: { kind: 'instant', fraction: scale } };
  if (native !== 'decimal') return { name, native, nullable, type: fieldCodec(native)!.type };
  return { name, native, nullable, type: scales ? { kind: 'decimal' } : fieldCodec(decimalNative(scale))!.type };
}

function stillKeys({ names, composite }: Keys, bytes: Buffer): Keys | undefined {
  const spelled = new Map<string, string>(), of = (type: number, start: number, end: number) => `${type} ${bytes.toString('latin1', start, end)}`;
  let id: Element | undefined;
  eachField(bytes, 0, bytes.length, (type, nameStart, nameEnd, start, end) => {
    const name = bytes.toString('utf8', nameStart, nameEnd);
    if (name === '_id') id = { type, start, end };
    else if (!names || names.includes(name)) spelled.set(name, of(type, start, end));
  });
  if (!id) return undefined;
  if (id.type !== bsonType.document) {
    const same = of(id.type, id.start, id.end), left = [...spelled].filter(([, value]) => value === same).map(([name]) => name);
    return composite || left.length === 0 ? undefined : { names: left };
  }
  const parts: string[] = [];
  let equal = true;
  eachField(bytes, id.start, id.end, (type, nameStart, nameEnd, start, end) => {
    const name = bytes.toString('utf8', nameStart, nameEnd);
    parts.push(name);
    equal &&= spelled.get(name) === of(type, start, end);
  });
  return !equal || parts.length < 2 || (names && !(composite && JSON.stringify(names) === JSON.stringify(parts))) ? undefined : { names: parts, composite: true };
}

function listed(texts: readonly string[]): string {
  return texts.length <= 20 ? texts.join('; ') : `${texts.slice(0, 20).join('; ')}; and ${texts.length - 20} more`;
}

function newField(name: string): Field {
  return { name, next: undefined, documents: 0, nulls: 0, types: new Map(), scale: 0, inexact: 0, scales: false, odd: 0 };
}

function count(field: Field, bytes: Buffer, type: number, start: number, end: number): void {
  if (type === bsonType.null) {
    field.nulls++;
    return;
  }
  const name = typeName(bytes, type, start, end);
  field.types.set(name, (field.types.get(name) ?? 0) + 1);
  if (type === bsonType.decimal) {
    const scale = scaleIn(plainDecimal(bytes, start));
    field.scales ||= field.types.get(name)! > 1 && scale !== field.scale;
    field.scale = Math.max(field.scale, scale);
  }
  if (isOdd(bytes, type, start, end)) field.odd++;
  if (type === bsonType.date && bytes.readBigInt64LE(start) % 1000n !== 0n) field.scale = 3;
  if (type === bsonType.double) field.scale = Math.max(field.scale, scaleIn(String(bytes.readDoubleLE(start))));
  else if (type === bsonType.long && !isExactDouble(bytes.readBigInt64LE(start))) field.inexact++;
}

/** Would the value be another one after it has been in a row of a table? */
function isOdd(bytes: Buffer, type: number, start: number, end: number): boolean {
  switch (type) {
    case bsonType.decimal: return !isPlainDecimal(bytes, start);
    case bsonType.double: return Number.isNaN(bytes.readDoubleLE(start)) && bytes.readBigUInt64LE(start) !== 0x7ff8_0000_0000_0000n;
    case bsonType.date: return fieldCodec('date')!.cell(bytes, type, start, end) === undefined;
    case bsonType.binary: return bytes[start + 4] !== 0 && !(bytes[start + 4] === 4 && end - start === 21);
    default: return false;
  }
}

function scaleIn(text: string): number {
  return /^-?\d+\.\d+$/.test(text) ? Math.min(scaleOf(text), mostScale) : 0;
}

const typeNames: Readonly<Record<number, string>> = {
  [bsonType.double]: 'double', [bsonType.string]: 'string', [bsonType.document]: 'object', [bsonType.array]: 'array', [bsonType.binary]: 'binData',
  [bsonType.undefined]: 'undefined', [bsonType.objectId]: 'objectId', [bsonType.bool]: 'bool', [bsonType.date]: 'date', [bsonType.regex]: 'regex',
  [bsonType.dbPointer]: 'dbPointer', [bsonType.code]: 'javascript', [bsonType.symbol]: 'symbol', [bsonType.codeWithScope]: 'javascriptWithScope',
  [bsonType.int]: 'int', [bsonType.timestamp]: 'timestamp', [bsonType.long]: 'long', [bsonType.decimal]: 'decimal', [bsonType.minKey]: 'minKey', [bsonType.maxKey]: 'maxKey',
};

function typeName(bytes: Buffer, type: number, start: number, end: number): string {
  return type === bsonType.binary && bytes[start + 4] === 4 && end - start === 21 ? 'uuid' : typeNames[type]!;
}

function keyedColumn(field: Field, keys: readonly Field[], table: Table): Column {
  const isKey = keys.includes(field), native = nativeOf(field, table), whole = native === 'int' || native === 'long';
  return { ...columnOf(field, isKey && whole && keys.length === 1 && table.keysAreLong ? 'integer' : native), nullable: !isKey };
}

function columnOf({ name }: Field, native: string): Column {
  return { name, type: fieldCodec(native)!.type, native, nullable: true };
}

/** The name of the last column: one that no field has. */
function restColumn(names: readonly string[]): Column {
  const folded = new Set(names.map(foldedName));
  let name = '_rest';
  for (let nth = 2; folded.has(name); nth++) name = `_rest_${nth}`;
  return { name, type: { kind: 'json-text' }, native: restNative, nullable: true };
}

const idNatives = new Set(['objectId', 'int', 'long', 'uuid']);

function idNative(id: Field | undefined, { keysAreLong }: Table): string {
  const types = [...id?.types.keys() ?? []], whole = types.every((type) => type === 'int' || type === 'long');
  if (id === undefined || id.nulls > 0) return 'string id';
  if (whole && keysAreLong) return 'integer';
  if (types.length === 1 && idNatives.has(types[0]!)) return types[0]!;
  return whole ? 'long' : 'string id';
}

const numbers = new Set(['int', 'long', 'double', 'decimal']);
const simple = new Set(['objectId', 'int', 'long', 'double', 'bool', 'date', 'binData', 'uuid']);

/** The one type that was seen, or what several widen to; JSON for what only it holds. */
function nativeOf(field: Field, { jsonIsText }: Table): string {
  const types = [...field.types.keys()], has = (name: string) => field.types.has(name), [only] = types;
  if (types.length === 0 || (types.length === 1 && only === 'string')) return jsonIsText ? 'text' : 'string';
  if (types.length === 1 && simple.has(only!)) return only!;
  if (types.every((type) => type === 'binData' || type === 'uuid')) return 'binData';
  if (!types.every((type) => numbers.has(type))) return jsonIsText ? 'text' : 'json';
  if (has('decimal')) return decimalNative(field.scale);
  if (!has('double')) return 'long';
  const wholes = (field.types.get('long') ?? 0) + (field.types.get('int') ?? 0);
  return field.inexact > 0 && wholes > field.types.get('double')! ? 'long' : 'double';
}

/** As the strictest engine compares names: MySQL takes `É` for `e`. */
function foldedName(name: string): string {
  return name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}

/** PostgreSQL's own columns, and what MySQL's driver refuses. */
const systemColumns = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid', '__definegetter__', '__definesetter__', '__lookupgetter__', '__lookupsetter__', '__proto__']);

/** Does every engine take the name as it is? Others would have to be changed, and lost on the way back. */
function isColumnName(name: string): boolean {
  return name !== '' && Buffer.byteLength(name) <= 63 && !/\s$|[\u0000-\u001f\ufffd]|[\u{10000}-\u{10ffff}]/u.test(name) && !systemColumns.has(name.toLowerCase());
}
