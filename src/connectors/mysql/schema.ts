import type { CheckObject, ColumnObjects, ForeignKeyObject, IndexObject, IndexPart, NeededObject, OtherObject, ReferenceAction, SchemaObjects, Shape, TableObjects, ViewObject } from '../../contract.js';
import { quote, tableName, type Session } from './session.js';

/** What these tables have besides columns and keys, from SHOW CREATE TABLE, and the views of their databases. */
export async function readObjects(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<SchemaObjects> {
  const tables: TableObjects[] = [], triggers = await triggersOf(session, shapes, signal);
  for (const shape of shapes) {
    const [[, create]] = await session.rows(`SHOW CREATE TABLE ${tableName(shape.schema, shape.name)}`, signal);
    const objects = tableObjects(shape, create!, triggers.filter(({ table }) => table === tableName(shape.schema, shape.name)).map(({ trigger }) => trigger));
    const needs = await sequencesOf(session, objects, shape, signal);
    tables.push(needs.length > 0 ? { ...objects, needs } : objects);
  }
  return { tables, views: [...await readViews(session, shapes, signal), ...await readLoose(session, shapes, tables, signal)] };
}

/** A CREATE TABLE, as the server prints it, taken apart. */
export function tableObjects(shape: Shape, create: string, triggers: readonly OtherObject[]): TableObjects {
  const { definitions, options, partition } = partsOf(create);
  const lines = definitions.map((text) => ({ text, words: wordsOf(text) }));
  const columns = lines.filter(({ words }) => words[0]?.startsWith('`')).map(({ text, words }, position) => columnObjects(text, words, position, /\bAUTO_INCREMENT=(\d+)/.exec(options)?.[1]));
  const isKey = ({ words }: (typeof lines)[number]) => /^(UNIQUE|FULLTEXT|SPATIAL|KEY)$/.test(words[0]!);
  const constraints = lines.filter(({ words }) => words[0] === 'CONSTRAINT');
  const primary = lines.find(({ words }) => words[0] === 'PRIMARY')?.text;
  const comment = /\bCOMMENT='((?:[^'\\]|''|\\.)*)'/s.exec(options)?.[1];
  return {
    namespace: shape.namespace, engine: shape.engine, ...(comment && { comment: plainText(`'${comment}'`) }), columns,
    indexes: lines.filter(isKey).map(({ text, words }) => indexObject(text, words, shape)),
    foreignKeys: constraints.filter(({ words }) => words[2] === 'FOREIGN').map(({ text, words }) => foreignKey(text, words, shape)),
    checks: [
      ...constraints.filter(({ words }) => words[2] === 'CHECK').map(({ text, words }) => check(text, words, shape)),
      ...lines.flatMap(({ words }) => columnCheck(words)),
    ],
    native: { options: options.replace(/ ?\bAUTO_INCREMENT=\d+/, ''), ...(primary && { primaryKey: primary }), ...(partition && { partition }) },
    partitions: [], others: triggers,
  };
}

/** The definitions between the outermost brackets, and what follows them. */
function partsOf(create: string): { readonly definitions: readonly string[]; readonly options: string; readonly partition?: string } {
  const definitions: string[] = [];
  let start = create.indexOf('(', create.indexOf('`', create.search(/TABLE `/) + 7)) + 1, at = start;
  for (let depth = 1; depth > 0; at++) {
    const skipped = quotedAt(create, at);
    if (skipped > at) at = skipped - 1;
    else if (create[at] === '(') depth++;
    else if (create[at] === ')') depth--;
    if (depth === 0 || (depth === 1 && create[at] === ',')) {
      definitions.push(create.slice(start, at).trim());
      start = at + 1;
    }
  }
  const rest = create.slice(at).trim(), divided = rest.search(/(\/\*!\d+ )?\bPARTITION BY\b/i);
  return divided < 0 ? { definitions, options: rest } : { definitions, options: rest.slice(0, divided).trim(), partition: rest.slice(divided) };
}

/** The end of the string, name or comment that begins here; else the place itself. */
function quotedAt(text: string, at: number): number {
  const pattern = { "'": /'(?:[^'\\]|''|\\.)*'/suy, '`': /`(?:[^`]|``)*`/suy, '"': /"(?:[^"\\]|""|\\.)*"/suy }[text[at]];
  if (!pattern) return at;
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

/** Words, strings, names and whole brackets; the marks of version comments are left out, what is in them is not. */
export function wordsOf(text: string): readonly string[] {
  const words: string[] = [];
  for (let at = 0; at < text.length;) {
    const end = wordEnd(text, at), word = text.slice(at, end);
    if (word.trim() !== '' && !/^(\/\*M?!\d*|\*\/)$/.test(word)) words.push(word);
    at = end;
  }
  return words;
}

function wordEnd(text: string, at: number): number {
  const skipped = quotedAt(text, at);
  if (skipped > at) return skipped;
  if (text[at] === '(') {
    let end = at + 1;
    for (let depth = 1; depth > 0 && end < text.length; end++) {
      const inner = quotedAt(text, end);
      if (inner > end) end = inner - 1;
      else depth += text[end] === '(' ? 1 : text[end] === ')' ? -1 : 0;
    }
    return end;
  }
  const word = /\/\*M?!\d*|\*\/|[\w$.+-]+|\s+|./suy;
  word.lastIndex = at;
  word.test(text);
  return word.lastIndex;
}

const attributes = new Set(['NOT', 'NULL', 'ON', 'AUTO_INCREMENT', 'COMMENT', 'GENERATED', 'CHECK', 'INVISIBLE', 'COLLATE', 'CHARACTER', 'DEFAULT', 'SRID', 'VIRTUAL', 'STORED', 'PERSISTENT', 'COLUMN_FORMAT', 'STORAGE']);

function columnObjects(text: string, words: readonly string[], position: number, next: string | undefined): ColumnObjects {
  const name = plainName(words[0]), upper = words.map((word) => word.toUpperCase());
  const after = (word: string) => upper.indexOf(word, 1);
  const comment = after('COMMENT') > 0 ? plainText(words[after('COMMENT') + 1]) : undefined;
  const update = upper.findIndex((word, i) => word === 'ON' && upper[i + 1] === 'UPDATE'), as = upper.findIndex((word, i) => word === 'AS' && words[i + 1]?.startsWith('('));
  const identity = after('AUTO_INCREMENT') > 0 ? { kind: 'auto' as const, ...(next && { next }) } : undefined;
  const fallback = after('DEFAULT') > 0 && as < 0 ? valueAt(words, after('DEFAULT') + 1) : undefined;
  const generated = as < 0 ? undefined : {
    expression: words[as + 1].slice(1, -1), stored: upper.includes('STORED') || upper.includes('PERSISTENT'), position,
    native: words.slice(1, upper.findIndex((word, i) => i > 0 && (word === 'GENERATED' || word === 'AS'))).join(' '), nullable: !upper.some((word, i) => word === 'NOT' && upper[i + 1] === 'NULL'),
  };
  return {
    name, native: text.slice(words[0].length).trim(), ...(comment && { comment }), ...(identity && { identity }), ...(generated && { generated }),
    ...(fallback !== undefined && fallback.toUpperCase() !== 'NULL' && { default: fallback }), ...(update > 0 && { onUpdate: valueAt(words, update + 2) }),
  };
}

/** An expression without spaces of its own: up to the next attribute. */
function valueAt(words: readonly string[], start: number): string {
  let end = start + 1;
  while (end < words.length && !attributes.has(words[end].toUpperCase())) end++;
  return words.slice(start, end).join('');
}

/** `json_valid` is how MariaDB keeps its JSON: the type says it already. */
function columnCheck(words: readonly string[]): CheckObject[] {
  const at = words.findIndex((word, i) => i > 0 && word.toUpperCase() === 'CHECK' && words[0].startsWith('`'));
  if (at < 0 || /^\(json_valid\(/i.test(words[at + 1])) return [];
  return [{ name: `${plainName(words[0])}_check`, expression: words[at + 1].slice(1, -1), native: `${words[0]} CHECK ${words[at + 1]}` }];
}

function indexObject(text: string, words: readonly string[], shape: Shape): IndexObject {
  const kind = words[0] === 'KEY' ? '' : words[0].toLowerCase(), at = words[0] === 'KEY' ? 1 : 2, brackets = text.indexOf('(', text.indexOf(words[at]) + words[at].length);
  const using = words.findIndex((word) => word.toUpperCase() === 'USING');
  return {
    name: plainName(words[at]), unique: kind === 'unique', parts: split(words[at + 1].slice(1, -1)).map(partOf),
    method: kind === 'fulltext' || kind === 'spatial' ? kind : using > 0 ? words[using + 1].toLowerCase() : 'btree',
    definition: text.slice(brackets), native: `ALTER TABLE ${tableName(shape.schema, shape.name)} ADD ${text}`,
  };
}

function partOf(text: string): IndexPart {
  const words = wordsOf(text.trim()), descending = words.at(-1)?.toUpperCase() === 'DESC' && { descending: true };
  if (words[0].startsWith('(')) return { expression: words[0].slice(1, -1), ...descending };
  return { column: plainName(words[0]), ...(words[1]?.startsWith('(') && { length: Number(words[1].slice(1, -1)) }), ...descending };
}

function foreignKey(text: string, words: readonly string[], shape: Shape): ForeignKeyObject {
  const at = words.indexOf('REFERENCES'), qualified = words[at + 2] === '.';
  const action = (when: string): ReferenceAction => {
    const place = words.findIndex((word, i) => word === 'ON' && words[i + 1] === when);
    return place < 0 ? 'no action' : (words[place + 2] === 'CASCADE' || words[place + 2] === 'RESTRICT' ? words[place + 2].toLowerCase() : `${words[place + 2]} ${words[place + 3]}`.toLowerCase()) as ReferenceAction;
  };
  const schema = qualified ? plainName(words[at + 1]) : shape.schema, table = plainName(words[at + (qualified ? 3 : 1)]);
  return {
    name: plainName(words[1]), columns: namesIn(words[4]), references: { namespace: `${schema}.${table}`, columns: namesIn(words[at + (qualified ? 4 : 2)]) },
    onDelete: action('DELETE'), onUpdate: action('UPDATE'), native: `ALTER TABLE ${tableName(shape.schema, shape.name)} ADD ${text}`,
  };
}

function check(text: string, words: readonly string[], shape: Shape): CheckObject {
  return {
    name: plainName(words[1]), expression: words[3].slice(1, -1), definition: text.slice(text.indexOf('CHECK', words[1].length + 11)),
    native: `ALTER TABLE ${tableName(shape.schema, shape.name)} ADD ${text}`,
  };
}

function namesIn(brackets: string): string[] {
  return split(brackets.slice(1, -1)).map((one) => plainName(one.trim()));
}

/** At the commas that stand in no bracket, string or name. */
function split(list: string): string[] {
  const parts: string[] = [];
  let part = '';
  for (let at = 0; at < list.length;) {
    const end = wordEnd(list, at), word = list.slice(at, end);
    if (word === ',') part = (parts.push(part), '');
    else part += word;
    at = end;
  }
  return [...parts, part];
}

function plainName(word: string): string {
  return word.startsWith('`') ? word.slice(1, -1).replaceAll('``', '`') : word;
}

const escapes: Readonly<Record<string, string>> = { 0: '\0', n: '\n', r: '\r', t: '\t', Z: '\x1a' };

function plainText(word: string): string {
  return word.slice(1, -1).replace(/''|\\(.)/gs, (pair: string, char: string | undefined) => (char === undefined ? "'" : escapes[char] ?? char));
}

/** In the order in which they fire. Whoever makes one again becomes its definer. */
async function triggersOf(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly { readonly table: string; readonly trigger: OtherObject }[]> {
  const schemas = schemasOf(shapes), triggers: { readonly table: string; readonly trigger: OtherObject }[] = [];
  if (schemas.length === 0) return [];
  const rows = await session.rows(`SELECT event_object_schema, event_object_table, trigger_name, action_timing, event_manipulation, sql_mode, collation_connection FROM information_schema.triggers
    WHERE trigger_schema IN (${schemas.map(quote).join(', ')}) AND trigger_name NOT LIKE '\\_dsync%' ORDER BY event_object_schema, event_object_table, event_manipulation, action_timing, action_order`, signal);
  for (const [schema, table, trigger, timing, event, mode, collation] of rows) {
    // What the information schema of MySQL has of the body has lost the quotes in its strings.
    const [[, , create]] = await session.rows(`SHOW CREATE TRIGGER ${tableName(schema!, trigger!)}`, signal);
    triggers.push({
      table: tableName(schema!, table!),
      trigger: {
        kind: 'trigger', name: trigger!, stage: 'last', native: `CREATE TRIGGER ${tableName(schema!, trigger!)} ${timing} ${event} ON ${tableName(schema!, table!)} FOR EACH ROW ${bodyOf(create!)}`,
        settings: { sql_mode: mode!, ...(collation?.startsWith('utf8mb4') && { collation_connection: collation }) },
      },
    });
  }
  return triggers;
}

/** What follows FOR EACH ROW, without its place among the others: they are made in their order. */
function bodyOf(create: string): string {
  const last: string[] = [];
  for (let at = 0; at < create.length;) {
    const end = wordEnd(create, at), word = create.slice(at, end);
    at = end;
    if (word.trim() === '') continue;
    last.push(word.toUpperCase());
    if (last.slice(-3).join(' ') === 'FOR EACH ROW') return create.slice(at).trim().replace(/^(FOLLOWS|PRECEDES)\s+(`(?:[^`]|``)+`|"(?:[^"]|"")+"|\S+)\s*/i, '');
  }
  return create;
}

/** MariaDB's sequences that the defaults of these tables ask. */
async function sequencesOf(session: Session, objects: TableObjects, shape: Shape, signal: AbortSignal): Promise<readonly NeededObject[]> {
  const asked = objects.columns.flatMap(({ default: fallback }) => /nextval\((?:`((?:[^`]|``)+)`\.)?`((?:[^`]|``)+)`\)/i.exec(fallback ?? '')?.slice(1).map((part) => part?.replaceAll('``', '`')) ?? []);
  const needs: NeededObject[] = [];
  for (let i = 0; i < asked.length; i += 2) {
    const schema = asked[i] ?? shape.schema!, sequence = asked[i + 1];
    needs.push({ kind: 'sequence', schema, name: sequence, native: await sequenceStatement(session, schema, sequence, signal) });
  }
  return needs;
}

async function sequenceStatement(session: Session, schema: string, sequence: string, signal: AbortSignal): Promise<string> {
  const [[, create]] = await session.rows(`SHOW CREATE SEQUENCE ${tableName(schema, sequence)}`, signal);
  return create!.replace(/^CREATE SEQUENCE `(?:[^`]|``)+`/, () => `CREATE SEQUENCE ${tableName(schema, sequence)}`);
}

function schemasOf(shapes: readonly Shape[]): readonly string[] {
  return [...new Set(shapes.flatMap(({ schema }) => schema ?? []))];
}

async function readViews(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly ViewObject[]> {
  const schemas = schemasOf(shapes);
  if (schemas.length === 0) return [];
  const rows = await session.rows(`SELECT table_schema, table_name, view_definition, security_type, check_option FROM information_schema.views WHERE table_schema IN (${schemas.map(quote).join(', ')}) ORDER BY table_schema, table_name`, signal);
  return rows.map(([schema, name, definition, security, option]) => ({
    namespace: `${schema}.${name}`, schema: schema!, name: name!, engine: session.version.flavour, materialized: false, definition: `${definition}${option === 'NONE' ? '' : ` WITH ${option} CHECK OPTION`}`,
    native: `CREATE SQL SECURITY ${security} VIEW ${tableName(schema!, name!)} AS ${definition}${option === 'NONE' ? '' : ` WITH ${option} CHECK OPTION`}`,
  }));
}

/** Sequences that no table asks, which are made again; procedures, functions and events, which are only named. */
async function readLoose(session: Session, shapes: readonly Shape[], tables: readonly TableObjects[], signal: AbortSignal): Promise<readonly ViewObject[]> {
  const schemas = schemasOf(shapes).map(quote).join(', '), asked = new Set(tables.flatMap(({ needs = [] }) => needs.map(({ schema, name }) => tableName(schema, name))));
  if (schemas === '') return [];
  const rows = await session.rows(`SELECT LOWER(table_type), table_schema, table_name FROM information_schema.tables WHERE table_type = 'SEQUENCE' AND table_schema IN (${schemas})
    UNION ALL SELECT LOWER(routine_type), routine_schema, routine_name FROM information_schema.routines WHERE routine_schema IN (${schemas}) AND routine_type IN ('PROCEDURE', 'FUNCTION')
    UNION ALL SELECT 'event', event_schema, event_name FROM information_schema.events WHERE event_schema IN (${schemas}) ORDER BY 1, 2, 3`, signal);
  const loose: ViewObject[] = [];
  for (const [kind, schema, name] of rows as [string, string, string][]) {
    if (asked.has(tableName(schema, name)) || /^_dsync/.test(name)) continue;
    const native = kind === 'sequence' ? await sequenceStatement(session, schema, name, signal) : await shownStatement(session, kind, tableName(schema, name), signal);
    loose.push({ kind, namespace: `${schema}.${name}`, schema, name, engine: session.version.flavour, materialized: false, definition: native, native });
  }
  return loose;
}

/** Without the rights to see it, its name alone. */
async function shownStatement(session: Session, kind: string, name: string, signal: AbortSignal): Promise<string> {
  const [row] = await session.rows(`SHOW CREATE ${kind.toUpperCase()} ${name}`, signal);
  return row?.find((cell) => /^CREATE\b/i.test(cell ?? '')) ?? `CREATE ${kind.toUpperCase()} ${name}`;
}
