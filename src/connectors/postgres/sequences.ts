import type { Mapping, Sequence, SequenceSet, Shape } from '../../contract.js';
import { furthest, sequencesOf } from '../../destination/sequences.js';
import type { Session } from './session.js';
import { qualified, quoted } from './sql.js';

interface Named { readonly schema: string; readonly name: string }

/** A sequence, beside one column that takes its values; one that stands alone has no column. */
interface Use extends Named { readonly column?: { readonly table: Named; readonly name: string }; readonly step: string; readonly least: string; readonly most: string }

/**
 * A sequence gives a column's values as its identity, as what a default calls, or because it is owned by it (serial). Those of
 * other tables than `$1` are left out; those that no table uses stand alone.
 */
const usesQuery = `
  WITH uses AS (
    SELECT d.objid AS sequence, d.refobjid AS tab, d.refobjsubid AS col FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
    UNION
    SELECT d.refobjid, f.adrelid, f.adnum FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
  )
  SELECT n.nspname, c.relname, s.seqincrement, s.seqmin, s.seqmax, tn.nspname, t.relname, a.attname
  FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN uses u ON u.sequence = c.oid
  LEFT JOIN pg_class t ON t.oid = u.tab LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = u.tab AND a.attnum = u.col
  WHERE c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '_dsync') AND (u.tab IS NULL OR tn.nspname || '.' || t.relname = ANY ($1))
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
  ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", t.relname COLLATE "C", a.attnum`;

/** Next values as they are now; a sequence that is past its last value gives that and one step. */
export async function sequences(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Sequence[]> {
  const all: Sequence[] = [];
  for (const use of await usesOf(session, shapes, signal)) {
    const { schema, name, step, column } = use;
    all.push({ ...(column && { namespace: `${column.table.schema}.${column.table.name}`, column: column.name }), schema, name, next: await nextOf(session, use, signal), step });
  }
  return all;
}

export async function setSequences(session: Session, defaultSchema: string, mappings: readonly Mapping[], given: readonly Sequence[], signal: AbortSignal): Promise<readonly SequenceSet[]> {
  const uses = await usesOf(session, mappings.map(({ target }) => target), signal), sets: SequenceSet[] = [];
  for (const own of grouped(uses)) {
    const sources = own.flatMap((use) => sourcesOf(use, mappings, given, defaultSchema));
    if (own[0].column === undefined && sources.length === 0) continue;
    let next = furthest(sources, { step: own[0].step, next: await nextOf(session, own[0], signal) })!;
    for (const use of own) next = furthest([], { step: use.step, next, ...await largestOf(session, use, signal) })!;
    sets.push(await set(session, own, next, signal));
  }
  return [...sets, ...await missing(session, mappings, given, uses, signal), ...missingAlone(given, uses, defaultSchema)];
}

async function usesOf(session: Session, shapes: readonly Shape[], signal: AbortSignal): Promise<readonly Use[]> {
  const rows = await session.query(usesQuery, signal, [shapes.map(({ namespace }) => namespace)]);
  return rows.map(([schema, name, step, least, most, tableSchema, tableName, column]) => ({
    schema: schema!, name: name!, step: step!, least: least!, most: most!,
    ...(column !== null && { column: { table: { schema: tableSchema!, name: tableName! }, name: column } }),
  }));
}

function grouped(uses: readonly Use[]): readonly (readonly Use[])[] {
  const groups = new Map<string, Use[]>();
  for (const use of uses) groups.set(qualified(use), [...(groups.get(qualified(use)) ?? []), use]);
  return [...groups.values()];
}

async function nextOf(session: Session, use: Use, signal: AbortSignal): Promise<string> {
  const [[last, called]] = await session.query(`SELECT last_value, is_called FROM ${qualified(use)}`, signal);
  return String(BigInt(last!) + (called === 't' ? BigInt(use.step) : 0n));
}

function sourcesOf({ column, schema, name }: Use, mappings: readonly Mapping[], given: readonly Sequence[], defaultSchema: string): readonly Sequence[] {
  if (!column) return given.filter((one) => one.namespace === undefined && one.name === name && (one.schema ?? defaultSchema) === schema);
  const mapping = mappings.find(({ target }) => target.schema === column.table.schema && target.name === column.table.name)!;
  return sequencesOf(mapping, given).get(mapping.target.columns.findIndex((one) => one.name === column.name)) ?? [];
}

/** The key furthest along, whole: by the index where there is one. */
async function largestOf(session: Session, { column, step }: Pick<Use, 'column' | 'step'>, signal: AbortSignal): Promise<{ readonly largest?: string }> {
  if (!column) return {};
  const [[key]] = await session.query(`SELECT trunc(${step.startsWith('-') ? 'min' : 'max'}(${quoted(column.name)})::numeric) FROM ${qualified(column.table)}`, signal);
  return key === null ? {} : { largest: key };
}

async function set(session: Session, own: readonly Use[], next: string, signal: AbortSignal): Promise<SequenceSet> {
  const [{ step, least, most }] = own, isDown = step.startsWith('-'), isPast = isDown ? BigInt(next) < BigInt(least) : BigInt(next) > BigInt(most);
  await session.query('SELECT setval($1::regclass, $2::bigint, $3::boolean)', signal, [qualified(own[0]), isPast ? (isDown ? least : most) : next, isPast ? 't' : 'f']);
  const of = own.map(({ column, schema, name }) => (column ? `${column.table.schema}.${column.table.name}.${column.name}` : `${schema}.${name}`)).join(', ');
  return isPast ? { of, state: 'exhausted' } : { of, state: 'set', next };
}

/** What gives values in the source and has no counterpart here. */
async function missing(session: Session, mappings: readonly Mapping[], given: readonly Sequence[], uses: readonly Use[], signal: AbortSignal): Promise<readonly SequenceSet[]> {
  const sets: SequenceSet[] = [];
  for (const mapping of mappings) {
    const table = { schema: mapping.target.schema!, name: mapping.target.name };
    for (const [place, own] of sequencesOf(mapping, given)) {
      const { name } = mapping.target.columns[place], [{ step }] = own;
      if (uses.some(({ column }) => column?.name === name && qualified(column.table) === qualified(table))) continue;
      const next = furthest(own, { step, ...await largestOf(session, { column: { table, name }, step }, signal) })!;
      sets.push({
        of: `${mapping.target.namespace}.${name}`, state: 'missing', next,
        remedy: `ALTER TABLE ${qualified(table)} ALTER COLUMN ${quoted(name)} ADD GENERATED BY DEFAULT AS IDENTITY (START WITH ${next}${step === '1' ? '' : ` INCREMENT BY ${step}`})`,
      });
    }
  }
  return sets;
}

function missingAlone(given: readonly Sequence[], uses: readonly Use[], defaultSchema: string): readonly SequenceSet[] {
  const stands = (one: Named) => uses.some(({ column, schema, name }) => !column && name === one.name && schema === one.schema);
  return given.filter(({ namespace }) => namespace === undefined).map((one) => ({ ...one, schema: one.schema ?? defaultSchema, name: one.name! })).filter((one) => !stands(one)).map((one) => ({
    of: `${one.schema}.${one.name}`, state: 'missing', next: one.next, remedy: `CREATE SEQUENCE ${qualified(one)} INCREMENT BY ${one.step} START WITH ${one.next}`,
  }));
}
