import type { ScratchTable } from '../contract.js';
import type { NativeType, Trial } from './native-type.js';

/** A table that a trial needs. */
export interface TrialTable extends ScratchTable { readonly name: string; readonly trial: Trial }

/** The tables of all trials of a table of native types: `t_int4`, `t_numeric`, `t_numeric_2`, … in this schema. A table must not be called as a type is. */
export function trialTables(natives: readonly NativeType[], schema: string | undefined): readonly TrialTable[] {
  const taken = new Map<string, number>();
  return natives.flatMap(({ name: type, trials }) => trials.map((trial) => {
    const plain = `t_${type.replace(/\W+/g, '_')}`, count = (taken.get(plain) ?? 0) + 1;
    taken.set(plain, count);
    const name = count === 1 ? plain : `${plain}_${count}`;
    return { name, namespace: schema === undefined ? name : `${schema}.${name}`, type, declared: trial.declared, values: trial.values, trial };
  }));
}

/** Types with trials, none of which is among the tables. */
export function absentTypes(natives: readonly NativeType[], tables: readonly ScratchTable[]): readonly string[] {
  const there = new Set(tables.map(({ type }) => type));
  return [...new Set(natives.filter(({ name, trials }) => trials.length > 0 && !there.has(name)).map(({ name }) => name))];
}
