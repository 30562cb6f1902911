import type { Column } from '../../contract.js';
import { isBinaryNative } from './lines.js';
import { isYear } from './types.js';

/** SQL that turns a cell's text `v`, in normal form of the source's type, into what the column takes; undefined where the text itself will do. */
export function assignment(source: Column, target: Column): ((v: string) => string) | undefined {
  const { type } = source;
  if (target.type.kind === 'bytes' && type.kind === 'bytes') return (v) => `UNHEX(SUBSTR(${v}, 3))`;
  if (target.type.kind === 'native' && isBinaryNative(target.native)) return (v) => `UNHEX(${v})`;
  if (target.type.kind === 'bits') return type.kind === 'bits' ? (v) => `CAST(CONV(${v}, 2, 10) AS UNSIGNED)` : (v) => `CAST(${v} AS UNSIGNED)`;
  // The text '0' would be the year 2000, and any number of two digits a year of this or the last century.
  if (isYear(target.native)) return (v) => `IF(${v} BETWEEN 1 AND 99, -1, CAST(${v} AS SIGNED))`;
  // The shortest spelling of the largest FLOAT is a DOUBLE beyond it.
  if (target.type.kind === 'float' && target.type.bits === 32) return (v) => `CASE ABS(${v}) WHEN 3.4028235e38 THEN SIGN(${v}) * 3.4028234663852886e38 ELSE ${v} END`;
  return undefined;
}
