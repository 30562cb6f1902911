import type { LogicalType } from '../contract.js';

/** How the values of one kind are spelled: the normal form (docs/normal-form.md), and the columns that show what an end makes of them. */
export interface LogicalKind {
  /** In `values`. */
  readonly value: string;
  /** In `delimited`, before it is escaped. */
  readonly text: string;
  /** Types of this kind that ends may keep in different ways. */
  readonly variants: readonly LogicalType[];
}

const text = 'text';
const one = (value: string, spelled: string, ...variants: readonly LogicalType[]): LogicalKind => ({ value, text: spelled, variants });
const fractions = (kind: 'time' | 'timestamp' | 'instant'): LogicalType[] => [0, 3, 6].map((fraction) => ({ kind, fraction }));

/** Every kind of value that passes between two ends. */
export const logicalKinds: { readonly [Kind in LogicalType['kind']]: LogicalKind } = {
  bool: one('`boolean`', '`1`, `0`', { kind: 'bool' }),
  int: one('`number`; `bigint` where it has 64 bits', 'digits', ...([8, 16, 24, 32, 64] as const).flatMap((bits): LogicalType[] => [{ kind: 'int', bits, signed: true }, { kind: 'int', bits, signed: false }])),
  decimal: one(text, 'digits, `NaN`, `Infinity`, `-Infinity`', { kind: 'decimal', precision: 10, scale: 2 }, { kind: 'decimal', precision: 38, scale: 20 }, { kind: 'decimal', precision: 65, scale: 30 }, { kind: 'decimal', precision: 5, scale: -2 }, { kind: 'decimal', precision: 1000, scale: 500 }, { kind: 'decimal' }),
  float: one('`number`; rounded to 32 bits where it has 32', 'the shortest decimal that reads back to the same bits', { kind: 'float', bits: 32 }, { kind: 'float', bits: 64 }),
  text: one(text, text, { kind: 'text', maxLength: 20 }, { kind: 'text', maxLength: 20, padded: true }, { kind: 'text' }),
  bytes: one('`Uint8Array`', '`\\x` and hexadecimal digits', { kind: 'bytes', maxLength: 20 }, { kind: 'bytes' }),
  date: one(text, '`YYYY-MM-DD`', { kind: 'date' }),
  time: one(text, '`HH:MM:SS[.ffffff]`', ...fractions('time')),
  timestamp: one(text, '`YYYY-MM-DD HH:MM:SS[.ffffff]`', ...fractions('timestamp')),
  instant: one(text, 'as a timestamp, in UTC, no zone written', ...fractions('instant')),
  uuid: one(text, 'lower case, with hyphens', { kind: 'uuid' }),
  'json-text': one(text, text, { kind: 'json-text' }),
  'json-value': one(text, text, { kind: 'json-value' }),
  enum: one(text, text, { kind: 'enum', labels: ['a', 'b'] }),
  set: one(text, 'labels with commas between', { kind: 'set', labels: ['a', 'b'] }),
  bits: one(text, '`0` and `1`', { kind: 'bits', length: 8 }, { kind: 'bits', length: 70 }, { kind: 'bits', length: 8, varying: true }, { kind: 'bits', varying: true }),
  native: one(text, 'the engine\'s own spelling', ...['postgres', 'mysql', 'mariadb'].map((engine): LogicalType => ({ kind: 'native', engine }))),
  any: one('what the value is', 'by what the value is', { kind: 'any' }),
  document: one('BSON bytes', 'canonical Extended JSON', { kind: 'document' }),
  'document-id': one(text, 'canonical Extended JSON of the `_id`', { kind: 'document-id' }),
};
