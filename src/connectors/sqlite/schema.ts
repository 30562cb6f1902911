import type { CheckObject, ColumnObjects, ForeignKeyObject, IndexObject, IndexPart, ReferenceAction, SchemaObjects, Shape, TableObjects } from '../../contract.js';
import { readTable } from './catalogue.js';
import { quoted, type Native, type Session } from './session.js';

/** What these tables have besides columns and keys, from their own SQL and the file's pragmas, and all views. */
export function readObjects(session: Session, shapes: readonly Shape[]): SchemaObjects {
  const views = session.all("SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY rowid");
  return {
    tables: shapes.map((shape) => tableObjects(session, shape)),
    views: views.map(([name, sql]) => ({ namespace: String(name), name: String(name), engine: 'sqlite', materialized: false, definition: String(sql), native: String(sql) })),
  };
}

function tableObjects(session: Session, shape: Shape): TableObjects {
  const { name } = shape, [sql] = session.get("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", [name])!;
  const { body, definitions } = partsOf(String(sql)), words = definitions.map(wordsOf);
  const triggers = session.all("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY rowid", [name]);
  return {
    namespace: shape.namespace, engine: 'sqlite', columns: columnsOf(session, name, words, String(sql)), indexes: indexesOf(session, name),
    foreignKeys: foreignKeysOf(session, name), checks: words.flatMap((one) => checksIn(one, name)).map((check, i) => ({ ...check, name: check.name || `${name}_check${i + 1}` })),
    native: { body }, partitions: [], others: triggers.map(([trigger, text]) => ({ kind: 'trigger', name: String(trigger), native: String(text) })),
  };
}

/** What follows the table's name, and the definitions between the outermost brackets. */
function partsOf(sql: string): { readonly body: string; readonly definitions: readonly string[] } {
  const words = tokensOf(sql), open = words.findIndex(({ text }) => text.startsWith('('));
  return { body: sql.slice(words[open].at), definitions: split(words[open].text.slice(1, -1)) };
}

interface Token { readonly text: string; readonly at: number }

const atoms = /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*.*?\*\/|[\p{L}\p{N}_$.]+|\s+|./suy;

/** Words, names, strings and whole brackets; no comments, no spaces. */
function tokensOf(sql: string): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < sql.length;) {
    const end = sql[at] === '(' ? closing(sql, at) : atomEnd(sql, at), text = sql.slice(at, end);
    if (text.trim() !== '' && !text.startsWith('--') && !text.startsWith('/*')) tokens.push({ text, at });
    at = end;
  }
  return tokens;
}

function atomEnd(sql: string, at: number): number {
  atoms.lastIndex = at;
  atoms.test(sql);
  return atoms.lastIndex;
}

function closing(sql: string, open: number): number {
  let at = open + 1;
  for (let depth = 1; depth > 0 && at < sql.length;) {
    depth += sql[at] === '(' ? 1 : sql[at] === ')' ? -1 : 0;
    at = atomEnd(sql, at);
  }
  return at;
}

function wordsOf(sql: string): readonly string[] {
  return tokensOf(sql).map(({ text }) => text);
}

function split(list: string): readonly string[] {
  const commas = tokensOf(list).filter(({ text }) => text === ',').map(({ at }) => at);
  return [...commas, list.length].map((end, i) => list.slice(i === 0 ? 0 : commas[i - 1] + 1, end).trim());
}

function plainName(word: string): string {
  return /^["'`[]/.test(word) ? word.slice(1, -1).replaceAll(word[0] + word[0], word[0]) : word;
}

function columnsOf(session: Session, table: string, definitions: readonly (readonly string[])[], sql: string): readonly ColumnObjects[] {
  const rows = session.all('SELECT name, type, "notnull", dflt_value, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid', [table]);
  const { alias } = readTable(session, table)!;
  return rows.map(([name, type, notNull, fallback, hidden], position): ColumnObjects => {
    const words = definitions.find((one) => plainName(one[0]).toLowerCase() === String(name).toLowerCase()) ?? [], upper = words.map((word) => word.toUpperCase());
    const as = upper.indexOf('AS'), collate = upper.indexOf('COLLATE');
    return {
      name: String(name), ...(fallback !== null && hidden === 0n && { default: String(fallback) }), ...(collate > 0 && { collation: words[collate + 1] }),
      ...(hidden !== 0n && as > 0 && { generated: { expression: words[as + 1].slice(1, -1), stored: hidden === 3n, native: String(type), nullable: notNull === 0n, position } }),
      ...(alias === name && { identity: { kind: 'auto', ...(/\bAUTOINCREMENT\b/i.test(sql) && { next: nextNumber(session, table) }) } }),
    };
  }).filter((column) => Object.keys(column).length > 1);
}

function nextNumber(session: Session, table: string): string {
  const found = session.get('SELECT seq FROM sqlite_sequence WHERE name = ?', [table]);
  return String((typeof found?.[0] === 'bigint' ? found[0] : 0n) + 1n);
}

/** Constraints have no names that an index could have elsewhere: they get one. */
function indexesOf(session: Session, table: string): readonly IndexObject[] {
  return session.all('SELECT name, "unique", origin, partial FROM pragma_index_list(?) ORDER BY seq DESC', [table]).filter(([, , origin]) => origin !== 'pk').map(([name, unique, origin]) => {
    const parts = session.all('SELECT cid, name, "desc", coll FROM pragma_index_xinfo(?) WHERE "key" = 1 ORDER BY seqno', [name]);
    const [sql] = session.get("SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?", [name])!, text = sql === null ? undefined : String(sql);
    const words = text === undefined ? [] : tokensOf(text), list = words.find(({ text: word }) => word.startsWith('(')), where = words.findIndex(({ text: word }) => word.toUpperCase() === 'WHERE');
    const spelled = list ? split(list.text.slice(1, -1)) : [];
    return {
      name: origin === 'u' ? `${table}_${parts.map(([, column]) => String(column)).join('_')}_key` : String(name), unique: unique === 1n, method: 'btree',
      ...(origin === 'u' && { constraint: true }), ...(where > 0 && { where: text!.slice(words[where].at + 5).trim() }),
      parts: parts.map(([cid, column, descending], i): IndexPart => ({ ...(cid === -2n ? { expression: spelled[i].replace(/\s+(ASC|DESC)$/i, '') } : { column: String(column) }), ...(descending === 1n && { descending: true }) })),
      ...(list && { definition: text!.slice(list.at) }), native: text ?? `UNIQUE (${parts.map(([, column]) => quoted(String(column))).join(', ')})`,
    };
  });
}

function foreignKeysOf(session: Session, table: string): readonly ForeignKeyObject[] {
  const groups = new Map<Native, Native[][]>();
  for (const row of session.all('SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq', [table])) groups.set(row[0], [...(groups.get(row[0]) ?? []), row]);
  return [...groups.values()].map((rows) => {
    const [, named, , , update, remove] = rows[0], other = readTable(session, String(named)), columns = rows.map((row) => String(row[2]));
    const referred = rows.map((row, i) => (row[3] === null ? other?.key[i] ?? '' : String(row[3])));
    return {
      name: `${table}_${columns.join('_')}_fkey`, columns, references: { namespace: other?.name ?? String(named), columns: referred },
      onUpdate: String(update).toLowerCase() as ReferenceAction, onDelete: String(remove).toLowerCase() as ReferenceAction,
      native: `FOREIGN KEY (${columns.map(quoted).join(', ')}) REFERENCES ${quoted(String(named))} (${referred.map(quoted).join(', ')}) ON UPDATE ${String(update)} ON DELETE ${String(remove)}`,
    };
  });
}

/** Of a column or of the table; the name stands before, if there is one. */
function checksIn(words: readonly string[], table: string): CheckObject[] {
  return words.flatMap((word, i) => {
    if (word.toUpperCase() !== 'CHECK' || !words[i + 1]?.startsWith('(')) return [];
    const name = words[i - 2]?.toUpperCase() === 'CONSTRAINT' ? plainName(words[i - 1]) : '';
    return [{ name, expression: words[i + 1].slice(1, -1), native: `${quoted(table)}: CHECK ${words[i + 1]}` }];
  });
}
