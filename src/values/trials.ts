import type { ScratchTable } from '../contract.js';
import type { NativeType, Trial } from './native-type.js';

/** A table that a trial needs. */
export interface TrialTable<Form extends TrialForm = TrialForm> extends ScratchTable { readonly name: string; readonly trial: Trial; readonly form: Form }

/** How a table is built around its value: its key decides what a log tells of a row. */
export interface TrialForm {
  /** Of the table's name. */
  readonly suffix: string;
  /** Of the declared type, for people. */
  readonly note: string;
  /** The value is (part of) the key: it is never NULL, nor longer than an index takes. */
  readonly inKey?: boolean;
  readonly alike?: true;
}

const longestInKey = 500;

/** The tables of all trials of a table of native types, one of each form: `t_int4`, `t_numeric`, `t_numeric_2`, … in this schema. A table must not be called as a type is. */
export function trialTables<Form extends TrialForm>(natives: readonly NativeType[], schema: string | undefined, forms: readonly Form[]): readonly TrialTable<Form>[] {
  const taken = new Map<string, number>();
  return natives.flatMap(({ name: type, trials }) => trials.flatMap((trial) => {
    const plain = `t_${type.replace(/\W+/g, '_')}`, count = (taken.get(plain) ?? 0) + 1;
    taken.set(plain, count);
    return forms.map((form) => tableOf({ type, trial, form, schema, name: `${count === 1 ? plain : `${plain}_${count}`}${form.suffix}` }));
  }));
}

function tableOf<Form extends TrialForm>({ type, trial, form, schema, name }: Pick<TrialTable<Form>, 'type' | 'trial' | 'form' | 'name'> & { readonly schema: string | undefined }): TrialTable<Form> {
  const values = form.inKey ? trial.values.filter((value) => value.length <= longestInKey) : trial.values;
  return { name, namespace: schema === undefined ? name : `${schema}.${name}`, type, declared: trial.declared + form.note, values, rows: values.length + (form.inKey ? 0 : 1), trial, form, ...(form.alike && { alike: form.alike }) };
}

/** What each row is updated to: the value of the next one. */
export function nextValue({ values, rows }: Pick<ScratchTable, 'values' | 'rows'>, place: number): string | undefined {
  return values[(place + 1) % rows];
}

/** Types with trials, none of which is among the tables. */
export function absentTypes(natives: readonly NativeType[], tables: readonly ScratchTable[]): readonly string[] {
  const there = new Set(tables.map(({ type }) => type));
  return [...new Set(natives.filter(({ name, trials }) => trials.length > 0 && !there.has(name)).map(({ name }) => name))];
}
