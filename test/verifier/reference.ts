import { createHash } from 'node:crypto';
import type { DigestForm, PartDigest, Row, Value } from '../../src/contract.js';
import { spellAny } from '../../src/values/normal.js';

/** Digests as docs/normal-form.md defines them, made of scanned rows: what a server must come to by itself. */
export function referenceDigest(rows: readonly Row[], forms: readonly DigestForm[]): PartDigest {
  const sums = rows.map((row) => sha256(Buffer.concat(row.map((cell, i) => cellOf(cell, forms[i]))).toString('latin1')).readBigUInt64BE(0));
  return { rows: rows.length, sum: BigInt.asUintN(64, sums.reduce((sum, one) => sum + one, 0n)) };
}

function cellOf(cell: Value, { as, long }: DigestForm): Buffer {
  const ended = as === 'number' || as === 'float' || as === 'plain';
  if (cell === null) return Buffer.from(ended ? ',' : '-');
  if (cell instanceof Uint8Array) return Buffer.from(sha256(Buffer.from(cell).toString('latin1')).toString('hex'));
  const text = Buffer.from(spelled(cell, as));
  if (ended) return Buffer.concat([text, Buffer.from(',')]);
  return long ? Buffer.from(sha256(text.toString('latin1')).toString('hex')) : Buffer.concat([Buffer.from(`${text.length}:`), text]);
}

function spelled(cell: Exclude<Value, null>, as: DigestForm['as']): string {
  if (as === 'float') return floatText(Number(cell));
  const text = spellAny(cell);
  if (as === 'padded') return text.replace(/ +$/, '');
  return as === 'number' && /^-?\d+\.\d*$/.test(text) ? text.replace(/\.?0+$/, '').replace(/^-0$/, '0') : text;
}

/** The shortest digits are JavaScript's; where the exponent begins is MySQL's. */
function floatText(value: number): string {
  if (Object.is(value, -0)) return '-0';
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const [, sign, digits, exponent] = /^(-?)([\d.]+)e([+-]\d+)$/.exec(value.toExponential())!;
  const power = Number(exponent), all = digits.replace('.', '');
  if ((power >= 15 && Number.isInteger(value)) || Math.abs(value) < 1e-15) return `${sign}${digits}e${power}`;
  if (power < 0) return `${sign}0.${'0'.repeat(-power - 1)}${all}`;
  return `${sign}${all.slice(0, power + 1).padEnd(power + 1, '0')}${all.length > power + 1 ? `.${all.slice(power + 1)}` : ''}`;
}

function sha256(latin1: string): Buffer {
  return createHash('sha256').update(Buffer.from(latin1, 'latin1')).digest();
}
