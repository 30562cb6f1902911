import type { Mapping, Sequence, SequenceSet, Shape } from '../../contract.js';
import { furthest, sequencesOf } from '../../destination/sequences.js';
import { name, quote, tableName, type Session } from './session.js';

/** What gives a column its values: AUTO_INCREMENT, or (MariaDB) a sequence that its default asks. */
interface Use {
  readonly table: Pick<Shape, 'schema' | 'name'>;
  readonly column: string;
  readonly sequence?: Pick<Shape, 'schema' | 'name'>;
}

export async function sequences(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Sequence[]> {
  const uses = await usesOf(session, shapes, signal), all: Sequence[] = [];
  for (const use of uses) {
    const { next, step } = await stateOf(session, use, signal);
    all.push({ namespace: `${use.table.schema}.${use.table.name}`, column: use.column, ...use.sequence, next, step });
  }
  for (const sequence of await aloneIn(session, shapes, uses, signal)) all.push({ ...sequence, ...await sequenceState(session, sequence, signal) });
  return all;
}

export async function setSequences(session: Session, defaultSchema: string | undefined, mappings: readonly Mapping[], given: readonly Sequence[], signal: AbortSignal): Promise<readonly SequenceSet[]> {
  const targets = mappings.map(({ target }) => target), uses = await usesOf(session, targets, signal), sets: SequenceSet[] = [];
  for (const use of uses) {
    const { target, sources } = counterpart(use, mappings, given), { step, next: own } = await stateOf(session, use, signal);
    const next = furthest(sources, { step, next: own, ...await largestOf(session, use, step, signal) })!;
    sets.push(await set(session, use, `${target.namespace}.${use.column}`, next, signal));
  }
  return [...sets, ...await missing(session, mappings, given, uses, signal), ...await setAlone(session, defaultSchema, given, signal)];
}

/** With `information_schema_stats_expiry = 0` (settings.ts): else MySQL's AUTO_INCREMENT here is up to a day old. */
async function stateOf(session: Session, { table, sequence }: Use, signal: AbortSignal): Promise<Pick<Sequence, 'next' | 'step'>> {
  if (sequence) return sequenceState(session, sequence, signal);
  const [[next]] = await session.rows(`SELECT auto_increment FROM information_schema.tables WHERE table_schema = ${quote(table.schema ?? '')} AND table_name = ${quote(table.name)}`, signal);
  return { next: next ?? '1', step: '1' };
}

/** What the server keeps for its sessions is taken as given out. */
async function sequenceState(session: Session, { schema, name: sequence }: Pick<Shape, 'schema' | 'name'>, signal: AbortSignal): Promise<Pick<Sequence, 'next' | 'step'>> {
  const [[next, step]] = await session.rows(`SELECT next_not_cached_value, IF(increment = 0, 1, increment) FROM ${tableName(schema, sequence)}`, signal);
  return { next: next!, step: step! };
}

async function usesOf(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Use[]> {
  const rows = await session.rows(`SELECT table_schema, table_name, column_name, extra, column_default FROM information_schema.columns
    WHERE (extra LIKE '%auto_increment%' OR column_default LIKE '%nextval(%') AND table_schema IN (${schemasOf(shapes)}) ORDER BY 1, 2, ordinal_position`, signal);
  return rows.flatMap(([schema, table, column, extra, fallback]): Use[] => {
    if (!shapes.some((shape) => shape.schema === schema && shape.name === table)) return [];
    const use = { table: { schema: schema!, name: table! }, column: column! };
    if (/auto_increment/i.test(extra ?? '')) return [use];
    const [, of, sequence] = /nextval\((?:`((?:[^`]|``)+)`\.)?`((?:[^`]|``)+)`\)/.exec(fallback ?? '') ?? [];
    return sequence === undefined ? [] : [{ ...use, sequence: { schema: (of ?? schema!).replaceAll('``', '`'), name: sequence.replaceAll('``', '`') } }];
  });
}

function schemasOf(shapes: readonly Shape[]): string {
  return [...new Set(shapes.map((shape) => shape.schema ?? '')), ''].map(quote).join(', ');
}

/** MariaDB's sequences in the tables' databases that no chosen table's default asks. */
async function aloneIn(session: Session, shapes: readonly Shape[], uses: readonly Use[], signal: AbortSignal): Promise<readonly { readonly schema: string; readonly name: string }[]> {
  const rows = await session.rows(`SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'SEQUENCE' AND table_schema IN (${schemasOf(shapes)}) ORDER BY 1, 2`, signal);
  return rows.map(([schema, sequence]) => ({ schema: schema!, name: sequence! })).filter((one) => !uses.some(({ sequence }) => sequence?.schema === one.schema && sequence.name === one.name));
}

function counterpart({ table, column }: Use, mappings: readonly Mapping[], given: readonly Sequence[]): { readonly target: Shape; readonly sources: readonly Sequence[] } {
  const mapping = mappings.find(({ target }) => target.schema === table.schema && target.name === table.name)!;
  const place = mapping.target.columns.findIndex((one) => one.name.toLowerCase() === column.toLowerCase());
  return { target: mapping.target, sources: sequencesOf(mapping, given).get(place) ?? [] };
}

async function largestOf(session: Session, { table, column }: Pick<Use, 'table' | 'column'>, step: string, signal: AbortSignal): Promise<{ readonly largest?: string }> {
  const [[key]] = await session.rows(`SELECT ${step.startsWith('-') ? 'MIN' : 'MAX'}(${name(column)}) FROM ${tableName(table.schema, table.name)}`, signal);
  return key === null ? {} : { largest: key.replace(/\..*$/, '') };
}

/** A value past the column's range is cut by the server: what it says then is what counts. */
async function set(session: Session, use: Use, of: string, next: string, signal: AbortSignal): Promise<SequenceSet> {
  if (use.sequence) return setSequence(session, use.sequence, of, next, signal);
  if (BigInt(next) > 1n) await session.run(`ALTER TABLE ${tableName(use.table.schema, use.table.name)} AUTO_INCREMENT = ${next}`, signal);
  const now = await stateOf(session, use, signal);
  return BigInt(now.next) < BigInt(next) ? { of, state: 'exhausted' } : { of, state: 'set', next: now.next };
}

/** SETVAL never goes back, and says NULL then; past the end it can't be. */
async function setSequence(session: Session, sequence: Pick<Shape, 'schema' | 'name'>, of: string, next: string, signal: AbortSignal): Promise<SequenceSet> {
  const [[least, most]] = await session.rows(`SELECT minimum_value, maximum_value FROM ${tableName(sequence.schema, sequence.name)}`, signal);
  if (BigInt(next) < BigInt(least!) || BigInt(next) > BigInt(most!)) return { of, state: 'exhausted' };
  await session.rows(`SELECT SETVAL(${tableName(sequence.schema, sequence.name)}, ${next}, 0)`, signal);
  return { of, state: 'set', next };
}

async function missing(session: Session, mappings: readonly Mapping[], given: readonly Sequence[], uses: readonly Use[], signal: AbortSignal): Promise<readonly SequenceSet[]> {
  const sets: SequenceSet[] = [];
  for (const mapping of mappings) {
    const { target } = mapping;
    for (const [place, own] of sequencesOf(mapping, given)) {
      const { name: column, native } = target.columns[place], table = { schema: target.schema, name: target.name };
      if (uses.some((use) => use.table.schema === table.schema && use.table.name === table.name && use.column.toLowerCase() === column.toLowerCase())) continue;
      const next = furthest(own, { step: '1', ...await largestOf(session, { table, column }, '1', signal) }) ?? '1';
      sets.push({ of: `${target.namespace}.${column}`, state: 'missing', next, remedy: `ALTER TABLE ${tableName(target.schema, target.name)} MODIFY ${name(column)} ${native} NOT NULL AUTO_INCREMENT, AUTO_INCREMENT = ${next}` });
    }
  }
  return sets;
}

async function setAlone(session: Session, defaultSchema: string | undefined, given: readonly Sequence[], signal: AbortSignal): Promise<readonly SequenceSet[]> {
  const alone = given.filter(({ namespace }) => namespace === undefined), sets: SequenceSet[] = [];
  for (const { schema = defaultSchema, name: sequence, next, step } of alone) {
    const of = `${schema}.${sequence}`, [stands] = await session.rows(`SELECT 1 FROM information_schema.tables WHERE table_type = 'SEQUENCE' AND table_schema = ${quote(schema ?? '')} AND table_name = ${quote(sequence!)}`, signal);
    if (stands) sets.push(await setSequence(session, { schema, name: sequence! }, of, furthest([{ next, step }], await sequenceState(session, { schema, name: sequence! }, signal))!, signal));
    else sets.push({ of, state: 'missing', next, ...(session.version.flavour === 'mariadb' && { remedy: `CREATE SEQUENCE ${tableName(schema, sequence!)} START WITH ${next} INCREMENT BY ${step}` }) });
  }
  return sets;
}
