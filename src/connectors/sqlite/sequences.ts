import type { Mapping, Sequence, SequenceSet, Shape } from '../../contract.js';
import { furthest, sequencesOf } from '../../destination/sequences.js';
import { readTable } from './catalogue.js';
import { quoted, type Session } from './session.js';

/** What `sqlite_sequence` keeps; a row number without AUTOINCREMENT follows the largest key. */
export function sequences(session: Session, shapes: readonly Shape[]): readonly Sequence[] {
  return shapes.flatMap(({ namespace, name }) => {
    const alias = readTable(session, name)?.alias;
    return alias === undefined || !counts(session, name) ? [] : [{ namespace, column: alias, next: String(lastOf(session, name) + 1n), step: '1' }];
  });
}

/** A row number goes on from the largest key by itself; with AUTOINCREMENT `sqlite_sequence` keeps the last one that was given. */
export function setSequences(session: Session, mappings: readonly Mapping[], given: readonly Sequence[]): readonly SequenceSet[] {
  return mappings.flatMap((mapping) => {
    const { target } = mapping, alias = readTable(session, target.name)?.alias;
    const sources = sequencesOf(mapping, given), place = target.columns.findIndex(({ name }) => name === alias);
    const others = [...sources].filter(([at]) => at !== place).map(([at, [{ next }]]): SequenceSet => ({ of: `${target.namespace}.${target.columns[at].name}`, state: 'missing', next }));
    if (alias === undefined || place < 0) return others;
    return [setOne(session, target.name, alias, sources.get(place) ?? []), ...others];
  });
}

function setOne(session: Session, table: string, alias: string, sources: readonly Sequence[]): SequenceSet {
  const [largest] = session.get(`SELECT max(${quoted(alias)}) FROM ${quoted(table)}`)!, of = `${table}.${alias}`;
  const own = typeof largest === 'bigint' ? { largest: String(largest) } : {};
  if (!counts(session, table)) return { of, state: 'automatic', next: furthest([], { step: '1', ...own }) ?? '1' };
  const next = BigInt(furthest(sources, { step: '1', next: String(lastOf(session, table) + 1n), ...own })!);
  if (next > 2n ** 63n - 1n) return { of, state: 'exhausted' };
  session.run('DELETE FROM sqlite_sequence WHERE name = ?', [table]);
  session.run('INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)', [table, next - 1n]);
  return { of, state: 'set', next: String(next) };
}

function lastOf(session: Session, table: string): bigint {
  const [last] = session.get('SELECT seq FROM sqlite_sequence WHERE name = ?', [table]) ?? [];
  return typeof last === 'bigint' ? last : 0n;
}

/** Declared with AUTOINCREMENT: the word stands in the table's own definition, outside of names and texts. */
function counts(session: Session, table: string): boolean {
  const [sql] = session.get("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE", [table]) ?? [''];
  return /\bAUTOINCREMENT\b/i.test(String(sql).replace(/"(?:[^"]|"")*"|'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*.*?\*\//gs, ' '));
}
