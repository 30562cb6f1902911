/** A table as a statement names it. */
export interface Named { readonly schema: string; readonly name: string }

/** What a logged statement does to tables, as far as following them is concerned. */
export type Effect =
  | { readonly kind: 'altered' | 'truncated' | 'dropped' | 'created' | 'recreated'; readonly table: Named }
  /** Its rows were changed by the statement itself, and the log does not tell them. */
  | { readonly kind: 'replaced'; readonly table: Named; readonly how: string }
  | { readonly kind: 'schema-dropped'; readonly schema: string };

const token = /`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|""|\\.)*"|[\w$\u0080-\uffff]+|[^\s]/gs;

/** `schema`: the default database of the statement. Nothing for statements that change no table. */
export function effectsOf(sql: string, schema: string): readonly Effect[] {
  const words = sql.replace(/\/\*M?!\d*|\*\//g, ' ').replace(/\/\*.*?\*\/|--\s[^\n]*|#[^\n]*/gs, (text) => (/^['"`]/.test(text) ? text : ' ')).match(token) ?? [];
  const upper = words.slice(0, 12).map((word) => word.toUpperCase());
  if (/^(CREATE|DROP)$/.test(upper[0] ?? '') && upper[1] === 'TEMPORARY') return [];
  const table = upper.findIndex((word) => word === 'TABLE' || word === 'TABLES');
  switch (upper[0]) {
    case 'TRUNCATE': return [{ kind: 'truncated', table: nameAt(words, upper[1] === 'TABLE' ? 2 : 1, schema).named }];
    case 'ALTER': return table < 0 ? [] : altered(words, table + 1, schema);
    case 'RENAME': return table < 0 ? [] : renamed(words, table + 1, schema);
    case 'DROP': return dropped(words, upper, table, schema);
    case 'CREATE': return created(words, upper, table, schema);
    default: return [];
  }
}

function altered(words: readonly string[], at: number, schema: string): readonly Effect[] {
  const { named, next } = nameAt(words, afterIf(words, at), schema);
  const rest = words.slice(next).map((word) => word.toUpperCase());
  const rows = /\b(DROP|TRUNCATE|EXCHANGE|IMPORT|DISCARD|CONVERT) (PARTITION|TABLESPACE|TABLE)\b/.exec(rest.filter((word) => /^\w+$/.test(word)).join(' '))?.[0];
  if (rows) return [{ kind: 'replaced', table: named, how: rows }];
  const to = rest.findIndex((word, i) => word === 'RENAME' && !['COLUMN', 'INDEX', 'KEY'].includes(rest[i + 1]));
  if (to < 0) return [{ kind: 'altered', table: named }];
  const start = next + to + (['TO', 'AS', '='].includes(rest[to + 1]) ? 2 : 1);
  return [{ kind: 'dropped', table: named }, { kind: 'replaced', table: nameAt(words, start, schema).named, how: 'RENAME' }];
}

function renamed(words: readonly string[], at: number, schema: string): readonly Effect[] {
  const effects: Effect[] = [];
  for (let next = afterIf(words, at); next < words.length;) {
    const from = nameAt(words, next, schema);
    const to = nameAt(words, words.findIndex((word, i) => i >= from.next && word.toUpperCase() === 'TO') + 1, schema);
    effects.push({ kind: 'dropped', table: from.named }, { kind: 'replaced', table: to.named, how: 'RENAME' });
    next = to.next + 1;
  }
  return effects;
}

function dropped(words: readonly string[], upper: readonly string[], table: number, schema: string): readonly Effect[] {
  if (upper[1] === 'DATABASE' || upper[1] === 'SCHEMA') return [{ kind: 'schema-dropped', schema: plain(words[afterIf(words, 2)] ?? '') }];
  if (upper[1] === 'INDEX') return indexed(words, schema);
  if (table !== 1) return [];
  const effects: Effect[] = [];
  for (let next = afterIf(words, 2); next < words.length;) {
    const found = nameAt(words, next, schema);
    effects.push({ kind: 'dropped', table: found.named });
    if (words[found.next] !== ',') break;
    next = found.next + 1;
  }
  return effects;
}

function created(words: readonly string[], upper: readonly string[], table: number, schema: string): readonly Effect[] {
  if (table < 0 || table > 3) return upper.slice(1, 6).includes('INDEX') ? indexed(words, schema) : [];
  return [{ kind: upper[1] === 'OR' ? 'recreated' : 'created', table: nameAt(words, afterIf(words, table + 1), schema).named }];
}

function indexed(words: readonly string[], schema: string): readonly Effect[] {
  const on = words.findIndex((word) => word.toUpperCase() === 'ON');
  return on < 0 ? [] : [{ kind: 'altered', table: nameAt(words, on + 1, schema).named }];
}

/** The place after `IF [NOT] EXISTS`. */
function afterIf(words: readonly string[], at: number): number {
  if (words[at]?.toUpperCase() !== 'IF') return at;
  return words[at + 1]?.toUpperCase() === 'NOT' ? at + 3 : at + 2;
}

function nameAt(words: readonly string[], at: number, schema: string): { readonly named: Named; readonly next: number } {
  const first = plain(words[at] ?? '');
  return words[at + 1] === '.'
    ? { named: { schema: first, name: plain(words[at + 2] ?? '') }, next: at + 3 }
    : { named: { schema, name: first }, next: at + 1 };
}

function plain(word: string): string {
  return /^[`"]/.test(word) ? word.slice(1, -1).replaceAll(word[0] + word[0], word[0]) : word;
}
