import type { Shape, Task } from '../../contract.js';
import { DsyncError } from '../../errors.js';
import type { Session, TextRow } from './session.js';
import { serverError } from './failure.js';
import { qualified } from './sql.js';

/**
 * A part of a table: pages [from, to) of one file, whose rows are read in the order of their places. Absent edges are
 * open: rows that a later snapshot finds beyond the last page belong to the last part. `tree`: a partitioned table with
 * all its partitions, in no order.
 */
export interface Range { readonly schema: string; readonly name: string; readonly tree?: true; readonly placed: boolean; readonly from?: number; readonly to?: number }

export function rangeOf(task: Task, shape: Shape): Range {
  return task.range === undefined ? { schema: shape.schema!, name: shape.name, placed: shape.key.length > 0 } : JSON.parse(task.range) as Range;
}

/** Tasks of about so many bytes, from the sizes of the files. Partitions have tasks of their own. */
export async function plan(session: Session, shape: Shape, options: { readonly taskBytes: number; readonly where?: string }, signal: AbortSignal): Promise<readonly Task[]> {
  if (options.where !== undefined) await checkFilter(session, shape, options.where, signal);
  const files = (await session.query(filesQuery, signal, [shape.schema, shape.name])).map(fileOf);
  const ranges = shape.key.length > 0 && files.length > 0
    ? files.flatMap((file) => rangesOf(file, options.taskBytes))
    : [{ range: { schema: shape.schema!, name: shape.name, placed: false, ...(files[0]?.name !== shape.name && { tree: true as const }) }, estimatedRows: shape.estimatedRows }];
  return ranges.map(({ range, estimatedRows }, i) => ({
    id: `${shape.namespace}#${i}`, namespace: shape.namespace, range: JSON.stringify(range satisfies Range),
    ...(estimatedRows !== undefined && { estimatedRows }),
  }));
}

/** A table's own file, or those of its partitions that hold rows. */
const filesQuery = `
  SELECT n.nspname, c.relname, c.relkind, pg_relation_size(c.oid) / current_setting('block_size')::int, pg_table_size(c.oid), c.reltuples::bigint
  FROM pg_class root JOIN pg_namespace rn ON rn.oid = root.relnamespace
  CROSS JOIN LATERAL (SELECT root.oid WHERE root.relkind <> 'p' UNION ALL SELECT relid FROM pg_partition_tree(root.oid) WHERE isleaf AND root.relkind = 'p' AND relid <> root.oid) p (oid)
  JOIN pg_class c ON c.oid = p.oid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE rn.nspname = $1 AND root.relname = $2
  ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

interface File { readonly schema: string; readonly name: string; readonly foreign: boolean; readonly pages: number; readonly bytes: number; readonly rows?: number }

function fileOf([schema, name, kind, pages, bytes, rows]: TextRow): File {
  return { schema: schema!, name: name!, foreign: kind === 'f', pages: Number(pages), bytes: Number(bytes), ...(Number(rows) >= 0 && { rows: Number(rows) }) };
}

function rangesOf({ schema, name, foreign, pages, bytes, rows }: File, taskBytes: number): { readonly range: Range; readonly estimatedRows?: number }[] {
  const count = foreign ? 1 : Math.max(1, Math.min(pages, Math.ceil(bytes / taskBytes)));
  const edge = (i: number) => Math.round((pages * i) / count);
  return Array.from({ length: count }, (_, i) => ({
    range: { schema, name, placed: !foreign, ...(i > 0 && { from: edge(i) }), ...(i < count - 1 && { to: edge(i + 1) }) },
    estimatedRows: rows === undefined ? undefined : Math.round(rows / count),
  }));
}

/** A filter is the user's own SQL: say so before any row is read. */
async function checkFilter(session: Session, shape: Shape, where: string, signal: AbortSignal): Promise<void> {
  try {
    await session.query(`EXPLAIN SELECT FROM ${qualified(shape)} WHERE (${where}\n)`, signal);
  } catch (error) {
    if (!serverError(error)?.code.startsWith('42')) throw error;
    throw new DsyncError('usage', `the filter of ${shape.namespace} is not valid SQL here: ${serverError(error)!.message}`, {
      cause: error, namespace: shape.namespace, remedy: 'write names of functions and types outside pg_catalog with their schema',
    });
  }
}
