import type { Column } from '../contract.js';
import { parseExpression, textIn, type Dialect, type Expression } from './expression.js';

/** A default as the destination spells it; `kept: false` with the reason where there is none that means the same. `NULL` is no default. */
export type Default = { readonly kept: true; readonly sql: string } | { readonly kept: false; readonly note: string } | undefined;

/** The default of a column in another engine: literals, and the functions for now, today and a new uuid. */
export function translateDefault(text: string, from: Dialect, to: Dialect, target: Column): Default {
  const expression = parseExpression(text, from);
  if (!expression) return { kept: false, note: 'its default is an expression of the source\'s own' };
  switch (expression.kind) {
    case 'null': return undefined;
    case 'call': return momentary(expression.name, to, target);
    case 'number': case 'text': case 'boolean': case 'bits': return literalFor(expression, to, target);
    default: return { kept: false, note: 'its default is an expression of the source\'s own' };
  }
}

function momentary(name: string, to: Dialect, { type, native }: Column): Default {
  const kind = type.kind, no = (note: string): Default => ({ kept: false, note });
  if (name === 'today') return kind === 'date' ? { kept: true, sql: to === 'mysql' ? '(CURRENT_DATE)' : 'CURRENT_DATE' } : no('its default is a date, the column is none');
  if (name === 'uuid') {
    if (to === 'sqlite') return no('SQLite makes no uuids');
    if (kind !== 'uuid' && kind !== 'text') return no('its default is a uuid, the column takes none');
    return { kept: true, sql: to === 'mysql' ? '(uuid())' : kind === 'text' ? '(gen_random_uuid()::text)' : 'gen_random_uuid()' };
  }
  if (name !== 'now' || (kind !== 'timestamp' && kind !== 'instant' && kind !== 'date')) return no('its default is a function of the source\'s own');
  if (to !== 'mysql') return { kept: true, sql: kind === 'date' ? 'CURRENT_DATE' : to === 'postgres' && kind === 'timestamp' ? 'LOCALTIMESTAMP' : 'CURRENT_TIMESTAMP' };
  if (kind === 'date') return { kept: true, sql: '(CURRENT_DATE)' };
  const digits = type.fraction > 0 ? `(${type.fraction})` : '';
  return { kept: true, sql: /^(timestamp|datetime)/i.test(native) ? `CURRENT_TIMESTAMP${digits}` : `(CURRENT_TIMESTAMP${digits})` };
}

type Literal = Extract<Expression, { readonly value: unknown }>;

/** The literal as a value of the column's own type. */
function literalFor(literal: Literal, to: Dialect, { type, native }: Column): Default {
  const text = String(literal.value), no = (note: string): Default => ({ kept: false, note });
  const quoted = (spelled: string): Default => {
    const sql = textIn(to, spelled);
    return { kept: true, sql: to === 'mysql' && /^(long|medium|tiny)?(text|blob)|^json|^geometry/i.test(native) ? `(${sql})` : sql };
  };
  switch (type.kind) {
    case 'int': case 'decimal': case 'float': {
      const number = literal.kind === 'boolean' ? (literal.value ? '1' : '0') : text.trim();
      if (!/^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(number)) return no(`its default '${text}' is no number`);
      return { kept: true, sql: number };
    }
    case 'bool': {
      if (!/^(t|true|f|false|0|1)$/i.test(text)) return no(`its default '${text}' is no boolean`);
      const value = /^(t|1)/i.test(text);
      return { kept: true, sql: to === 'postgres' ? String(value) : value ? '1' : '0' };
    }
    case 'bits': return /^[01]+$/.test(text) ? { kept: true, sql: to === 'sqlite' ? textIn(to, text) : `b'${text}'` } : no(`its default '${text}' is no bits`);
    case 'date': case 'time': case 'timestamp': case 'instant': {
      const isNone = type.kind === 'time' && to === 'postgres' ? !/^(([01]\d|2[0-3]):|24:00:00(\.0*)?$)/.test(text) : /^0000|-00/.test(text) || !/^-?\d/.test(text);
      if (isNone) return no(`its default '${text}' is no date or time here`);
      return quoted(text.replace(/\+00$/, ''));
    }
    case 'text': case 'enum': case 'set': case 'uuid': case 'json-text': case 'json-value': case 'native': return quoted(literal.kind === 'boolean' ? (literal.value ? 'true' : 'false') : text);
    default: return no('a default of such a column is the source\'s own');
  }
}
