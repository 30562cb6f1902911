import type { Column, Mapping, Shape } from '../contract.js';
import { DsyncError } from '../errors.js';

/** What is to be done to a target, so that it takes the rows of a new shape. */
export interface Alteration { readonly add: readonly Column[]; readonly drop: readonly string[]; readonly widen: readonly Column[] }

/** What an engine knows of its own columns. */
export interface Altering {
  /** The columns as they stand now. */
  readonly standing: readonly Column[];
  /** Where dsync would make the table anew for the new shape: its columns. */
  readonly wanted: Mapping;
  /** Are two names one? */
  readonly same: (a: string, b: string) => boolean;
  /** Does a column of the second type hold every value of the first one as it is? Both are the destination's. */
  readonly widens: (from: Column, to: Column) => boolean;
}

/** Fails with `refused`, naming all that can't be done. What stands already as it should, of an earlier call perhaps, is left. */
export function alterationOf({ source: before, target }: Mapping, { standing, wanted, same, widens }: Altering): Alteration {
  const now = wanted.source, problems: string[] = [], add: Column[] = [], widen: Column[] = [];
  const stands = (name: string) => standing.find((column) => same(column.name, name));
  if (keyOf(before) !== keyOf(now)) problems.push(`its key is (${keyOf(now)}), not (${keyOf(before)})`);
  for (const [i, column] of now.columns.entries()) {
    const at = before.columns.findIndex(({ name }) => name === column.name), to = wanted.target.columns[i];
    const found = stands(at < 0 ? to.name : target.columns[at].name);
    if (at < 0 && !found) add.push({ ...to, nullable: true });
    if (at < 0 || isSame(before.columns[at], column) || found?.native === to.native) continue;
    if (!found) problems.push(`${column.name} is not in the destination`);
    else if (widens(found, to)) widen.push({ ...to, name: found.name, nullable: found.nullable });
    else problems.push(`${column.name} became ${column.native}, and ${found.native} can't simply be widened to ${to.native}`);
  }
  const gone = before.columns.flatMap(({ name }, i) => (now.columns.some((column) => column.name === name) ? [] : [target.columns[i].name]));
  if (problems.length > 0) throw new DsyncError('refused', problems.join('; '), { namespace: now.namespace });
  return { add, drop: gone.filter(stands), widen };
}

export function isEmpty({ add, drop, widen }: Alteration): boolean {
  return add.length + drop.length + widen.length === 0;
}

function keyOf({ columns, key }: Shape): string {
  return key.map((i) => columns[i].name).join(', ');
}

function isSame(a: Column, b: Column): boolean {
  return a.native === b.native && JSON.stringify(a.type) === JSON.stringify(b.type);
}
