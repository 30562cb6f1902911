import { createHash } from 'node:crypto';
import type { Mapping } from '../../contract.js';
import type { Table } from './catalogue.js';
import { judged, type Find, type Load } from './load.js';
import { name, tableName, type Session } from './session.js';
import { collationOf, tellsAllApart } from './types.js';

/** A table that rows are upserted into by way of a temporary one. */
export interface Upserts {
  readonly temporary: string;
  /** Makes the temporary table, outside of any transaction. */
  prepare(session: Session, signal: AbortSignal): Promise<void>;
  /** `apart`: a unique index may have come since the table was looked at. */
  load(into: Load, apart?: boolean): Load;
  /** Which lines have a key that stands in the table, or in an earlier line: the server does not name them. */
  taken(bring: Load): Find;
  /** Empties the temporary table, in the open transaction. */
  clear(session: Session, signal: AbortSignal): Promise<void>;
  /** Brings in key cells and these columns, and updates the rows that have the keys; no row is made. */
  update(columns: readonly number[], into: Load): Load;
  /** Deletes the rows whose key is in the temporary table. */
  remove(session: Session, signal: AbortSignal): Promise<void>;
}

/**
 * Rows replace those with the same key and no others: where another unique index or a key collation that takes different
 * texts for equal could catch a second row, ON DUPLICATE KEY UPDATE would alter that one, so the two steps are done apart.
 */
export function upserts(mapping: Mapping, table: Table | undefined): Upserts {
  const { target } = mapping;
  const into = tableName(target.schema, target.name), temporary = tableName(target.schema, `_dsync_load_${createHash('sha256').update(target.name).digest('hex').slice(0, 16)}`);
  const columns = target.columns.map((column) => name(column.name)), keys = target.key.map((position) => columns[position]);
  const others = columns.filter((column) => !keys.includes(column));
  const sameKey = target.key.map((position) => equal(columns[position], target.columns[position].native)).join(' AND ');
  const anyKey = keys.map((key) => `t.${key} = s.${key}`).join(' AND ');
  const careful = isCareful(mapping, table);
  const stepwise = [
    ...(others.length > 0 ? [`UPDATE ${temporary} s STRAIGHT_JOIN ${into} t ON ${sameKey} SET ${others.map((column) => `t.${column} = s.${column}`).join(', ')}`] : []),
    `INSERT INTO ${into} (${columns.join(', ')}) SELECT ${columns.map((column) => `s.${column}`).join(', ')} FROM ${temporary} s LEFT JOIN ${into} t ON ${sameKey} WHERE t.${keys[0]} IS NULL`,
  ];
  const atOnce = [
    `INSERT INTO ${into} (${columns.join(', ')}) SELECT ${columns.map((column) => `s.${column}`).join(', ')} FROM ${temporary} s
     ON DUPLICATE KEY UPDATE ${(others.length > 0 ? others : keys).map((column) => `${column} = s.${column}`).join(', ')}`,
  ];
  const definition = target.columns.map((column, i) => `${columns[i]} ${column.native}${target.key.includes(i) ? ' NOT NULL' : ' NULL'}`);
  // The temporary table comes first in every join: a scan of the other would wait for rows that other lanes have locked.
  const clear = async (session: Session, signal: AbortSignal) => { await session.run(`DELETE FROM ${temporary}`, signal); };
  return {
    temporary,
    async prepare(session, signal) {
      await session.run(`DROP TEMPORARY TABLE IF EXISTS ${temporary}`, signal);
      await session.run(`CREATE TEMPORARY TABLE ${temporary} (${definition.join(', ')}, _dsync_line BIGINT AUTO_INCREMENT, KEY (_dsync_line), KEY (${keys.join(', ')})) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`, signal);
    },
    clear,
    load: (bring, apart = careful) => (session, lines, signal) => judged(async () => {
      await clear(session, signal);
      const trouble = await bring(session, lines, signal);
      if (trouble) return trouble;
      for (const statement of apart ? stepwise : atOnce) await session.run(statement, signal);
      return undefined;
    }),
    taken: (bring) => async (session, lines, signal) => {
      await clear(session, signal);
      if (await bring(session, lines, signal)) return new Map();
      const rows = await session.rows(`SELECT n FROM (SELECT ROW_NUMBER() OVER (ORDER BY s._dsync_line) AS n,
        ROW_NUMBER() OVER (PARTITION BY ${keys.map((key) => `s.${key}`).join(', ')} ORDER BY s._dsync_line) AS nth, t.${keys[0]} IS NOT NULL AS stands
        FROM ${temporary} s LEFT JOIN ${into} t ON ${anyKey}) AS numbered WHERE nth > 1 OR stands`, signal);
      return new Map(rows.map(([n]) => [Number(n) - 1, 'its key is there already']));
    },
    update: (positions, bring) => (session, lines, signal) => judged(async () => {
      await clear(session, signal);
      const trouble = await bring(session, lines, signal);
      if (trouble) return trouble;
      await session.run(`UPDATE ${temporary} s STRAIGHT_JOIN ${into} t ON ${sameKey} SET ${positions.map((i) => `t.${columns[i]} = s.${columns[i]}`).join(', ')}`, signal);
      return undefined;
    }),
    async remove(session, signal) {
      await session.run(`DELETE t FROM ${temporary} s STRAIGHT_JOIN ${into} t ON ${sameKey}`, signal);
    },
  };
}

function isCareful({ target, existed }: Mapping, table: Table | undefined): boolean {
  const key = JSON.stringify(target.key.map((position) => target.columns[position].name.toLowerCase()).sort());
  const secondary = table?.indexes.some((index) => index.unique && JSON.stringify(index.columns.map((column) => column.toLowerCase()).sort()) !== key);
  return (existed && secondary !== false) || target.key.some((position) => !tellsAllApart(collationOf(target.columns[position].native)));
}

function equal(column: string, native: string): string {
  const plain = `t.${column} = s.${column}`;
  return tellsAllApart(collationOf(native)) ? plain : `${plain} AND BINARY t.${column} = BINARY s.${column}`;
}
